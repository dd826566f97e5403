//! The service: its roles, each with its threads, until a signal ends it.

use crate::chop::Chop;
use crate::config::{Config, Role};
use crate::folders::Folders;
use crate::inbox::Inbox;
use crate::status::Status;
use crate::supervise::{Signals, Stop, Threads};
use crate::sweep;
use anyhow::Context;
use std::sync::Arc;
use std::time::Duration;

/// How long threads may take to end. What is interrupted is gone on with after the next start.
const END_WITHIN: Duration = Duration::from_millis(1500);

/// Runs the roles of `config` until SIGTERM or SIGINT.
///
/// # Errors
/// Something that a role needs is not there.
pub fn serve(config: Config) -> anyhow::Result<()> {
    let signals = Signals::hold().context("signals")?;
    let status = Arc::new(Status::default());
    let mut threads = Threads::new(Stop::default());
    let mut inbox = None;
    for role in &config.roles {
        match role {
            Role::Inbox => {
                let chop = Chop { segment: config.chop.segment() };
                let opened = Inbox::open(config.clone(), Arc::clone(&status), Box::new(chop))?;
                opened.start(&mut threads).context("threads")?;
                inbox = Some(opened);
            }
            Role::Sweep => {
                Folders::open(&config.dir)?;
                let (config, status) = (config.clone(), Arc::clone(&status));
                let sweep = move |stop| sweep::service::run(&config, &status, &stop);
                threads.spawn("sweep", sweep).context("threads")?;
            }
        }
    }
    tracing::info!(dir = %config.dir.display(), roles = ?config.roles, "serving");
    signals.wait().context("signals")?;
    tracing::info!("ending");
    threads.stop();
    inbox.iter().for_each(|inbox| inbox.close());
    threads.end(END_WITHIN);
    Ok(())
}

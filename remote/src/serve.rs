//! The service: its roles, each with its threads, until a signal ends it.

use crate::chop::Chop;
use crate::config::{Config, Role};
use crate::folders::Folders;
use crate::inbox::Inbox;
use crate::library::Library;
use crate::notify::Notify;
use crate::status::Status;
use crate::supervise::{Signals, Stop, Threads};
use crate::sweep;
use crate::watchdog::Watchdog;
use crate::web::{Server, Sources};
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
                let sweep = move |stop, pulse| sweep::service::run(&config, &status, &stop, &pulse);
                threads.spawn("sweep", sweep).context("threads")?;
            }
            Role::Web => web(&config, &status, &mut threads)?,
        }
    }
    let notify = Arc::new(Notify::from_env());
    let (told, pulses) = (Arc::clone(&notify), threads.pulses());
    threads.spawn("watchdog", move |stop, _| Watchdog::new(&told, pulses).run(&stop)).context("threads")?;
    notify.tell("READY=1");
    tracing::info!(dir = %config.dir.display(), roles = ?config.roles, "serving");
    signals.wait().context("signals")?;
    tracing::info!("ending");
    notify.tell("STOPPING=1");
    threads.stop();
    inbox.iter().for_each(|inbox| inbox.close());
    threads.end(END_WITHIN);
    Ok(())
}

/// What viewers see: a thread that knows what there is, and one that answers.
fn web(config: &Config, status: &Arc<Status>, threads: &mut Threads) -> anyhow::Result<()> {
    let library = Library::open(&config.dir, Arc::clone(status))?;
    let shelf = library.shelf();
    let sources = Sources {
        config: config.clone(),
        status: Arc::clone(status),
        shelf,
        pulses: threads.pulses(),
        folders: Folders::open(&config.dir)?,
    };
    let server = Server::bind(sources)?;
    threads.spawn("library", move |stop, pulse| library.run(&stop, &pulse)).context("threads")?;
    threads.spawn("web", move |stop, pulse| server.run(&stop, &pulse)).context("threads")
}

//! The service: its roles, each with its threads, until a signal ends it.

use crate::chop::Chop;
use crate::config::{Config, Role};
use crate::folders::Folders;
use crate::inbox::Inbox;
use crate::library::Library;
use crate::status::Status;
use crate::supervise::{self, Pulses, Stop, Threads};
use crate::sweep;
use crate::watchdog::Watchdog;
use crate::web::{Server, Sources};
use anyhow::Context;
use service::notify::Notify;
use std::sync::Arc;
use std::time::Duration;

/// How long threads may take to end. What is interrupted is gone on with after the next start.
const END_WITHIN: Duration = Duration::from_millis(1500);

/// Runs the roles of `config` until SIGTERM or SIGINT.
///
/// # Errors
/// Something that a role needs is not there.
pub fn serve(config: Config) -> anyhow::Result<()> {
    let signals = supervise::hold_signals().context("signals")?;
    let (status, pulses) = (Arc::new(Status::default()), Pulses::default());
    let mut threads = Threads::new(Stop::default(), pulses.clone());
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
            Role::Web => web(&config, &status, &mut threads)?,
        }
    }
    let notify = Arc::new(Notify::from_env());
    pulses.adopt("main");
    let (watched, told) = (pulses.clone(), Arc::clone(&notify));
    threads.spawn("watchdog", move |stop| Watchdog::new(&watched, told).run(&stop)).context("threads")?;
    let mut watchdog = Watchdog::new(&pulses, Arc::clone(&notify));
    notify.tell("READY=1");
    tracing::info!(dir = %config.dir.display(), roles = ?config.roles, "serving");
    while signals.next(watchdog.every()).context("signals")?.is_none() {
        watchdog.look();
    }
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
    threads.spawn("library", move |stop| library.run(&stop)).context("threads")?;
    threads.spawn("web", move |stop| server.run(&stop)).context("threads")
}

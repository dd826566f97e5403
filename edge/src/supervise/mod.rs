//! The one place that starts threads and reads clocks.
//!
//! Every pipeline thread has a name, a [`Heartbeat`] that health and the two watchers ([`Watch`]) read, and a [`Stop`] that ends it.

mod backoff;
mod bell;
pub mod clock;
mod dial;
mod heartbeat;
pub mod signals;
mod stop;
mod watchdog;

pub use backoff::Backoff;
pub use bell::Bell;
pub use dial::dial;
pub use heartbeat::{Heartbeat, StageHealth, Stages};
pub use stop::Stop;
pub use watchdog::{EVERY, Stalled, Watch};

use std::io;
use std::thread::{Builder, JoinHandle};

/// Runs a short job that blocks (a disk, a decoder) beside the thread of the tokio runtime that calls this. The runtime
/// bounds how many run at once; the others wait their turn.
pub fn aside<T: Send + 'static>(job: impl FnOnce() -> T + Send + 'static) -> tokio::task::JoinHandle<T> {
    tokio::task::spawn_blocking(job)
}

/// Starts the pipeline threads and joins them at the end.
pub struct Threads {
    stop: Stop,
    stages: Stages,
    running: Vec<(String, JoinHandle<()>)>,
}

impl Threads {
    /// No thread yet.
    pub fn new(stop: Stop, stages: Stages) -> Self {
        Self { stop, stages, running: Vec::new() }
    }

    /// Starts a thread called `name` (cut to 15 bytes by the kernel) that runs one stage until `Stop` is asked for.
    pub fn spawn(
        &mut self,
        name: &str,
        stage: impl FnOnce(Stop, Heartbeat) + Send + 'static,
    ) -> io::Result<()> {
        let stop = self.stop.clone();
        let heartbeat = self.stages.register(name);
        let thread = Builder::new().name(name.to_owned()).spawn(move || stage(stop, heartbeat))?;
        self.running.push((name.to_owned(), thread));
        Ok(())
    }

    /// Waits for every thread to end, in the order in which they were started. Ask for the stop first.
    pub fn join(self) {
        for (name, thread) in self.running {
            if thread.join().is_err() {
                tracing::error!(stage = name, "stage ended by a panic");
            }
            tracing::debug!(stage = name, "ended");
        }
    }
}

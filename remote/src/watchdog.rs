//! The end of standing still: the process ends at once when one of its threads hangs, and whoever started it (systemd: `Restart=always`)
//! starts it again.
//!
//! What a hanging thread holds (the flock of a claim, a lock of the process) nobody can take from it but the kernel, at the end of the
//! process. Then claims are free, and the next process or another one goes on with them; a recording that every worker hangs in goes to
//! quarantine after ten starts. A thread that waits for a disk cannot be ended: the process waits with it.

use crate::supervise::{EVERY, Pulses, Stop, Watch};
use service::notify::Notify;
use std::sync::Arc;
use std::time::Duration;

/// One of the two watchers. systemd hears nothing while neither of them looks.
pub struct Watchdog {
    watch: Watch,
    notify: Arc<Notify>,
}

impl Watchdog {
    /// A watcher of the threads that are registered by now.
    pub fn new(pulses: &Pulses, notify: Arc<Notify>) -> Self {
        Self { watch: Watch::new(pulses), notify }
    }

    /// From one look to the next.
    pub fn every(&self) -> Duration {
        self.notify.rhythm().map_or(EVERY, |rhythm| rhythm.min(EVERY))
    }

    /// Looks until the stop is asked for.
    pub fn run(mut self, stop: &Stop) {
        while !stop.wait(self.every()) {
            self.look();
        }
    }

    /// One look. Does not return if a thread stands still.
    pub fn look(&mut self) {
        if let Some(thread) = self.watch.look() {
            tracing::error!(thread, "stands still: the process ends");
            // Nothing may be tidied up: that could hang as well.
            std::process::abort();
        }
        self.notify.tell("WATCHDOG=1");
    }
}

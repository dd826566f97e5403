//! The end of standing still: the process begins anew in its own place when one of its threads hangs.
//!
//! What a hanging thread holds (a lock, a device, half a change) nobody can take from it but the kernel, at the end of the process. So the
//! process replaces itself (execve(2)): the same process id, the same arguments, no descriptor left. What matters outlives it: the rings on
//! the RAM disk, the recordings, their ledgers. docs/design/appliance.md has the procedure.
//!
//! ```text
//! Watch: a thread stands still ---------> log --> execve, with PORTHOLE_EDGE_STALLED="COUNT STAGE"
//!    |   a camera that nothing else helps --^
//!    +--> all is well: systemd hears WATCHDOG=1
//! ```

use super::Restarts;
use nix::unistd::alarm;
use service::notify::Notify;
use service::supervise::{EVERY, Pulses, Stop, Watch};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

/// Tells the next process what ended this one.
const STALLED: &str = "PORTHOLE_EDGE_STALLED";
/// Seconds that the way to a new process may take.
const LAST_WORD: u32 = 3;

/// Why the process had to begin anew.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stalled {
    /// How often it had to by now, because a stage stood still.
    pub count: u64,
    /// The stage that stood still, or that wished for it.
    pub stage: String,
}

impl Stalled {
    /// What the process before this one left word of, if it ended that way. The alarm that it set is off from here on.
    pub fn inherited() -> Option<Self> {
        alarm::cancel();
        Self::parse(&std::env::var(STALLED).ok()?)
    }

    fn parse(text: &str) -> Option<Self> {
        let (count, stage) = text.split_once(' ')?;
        Some(Self { count: count.parse().ok()?, stage: stage.to_owned() })
    }
}

/// One of the two watchers. systemd hears nothing while neither of them looks.
pub struct Watchdog {
    watch: Watch,
    /// How often the process has begun anew.
    count: u64,
    restarts: Restarts,
    notify: Arc<Notify>,
    /// Where the program stood when it was started: an upgrade may have put another one there since.
    program: PathBuf,
}

impl Watchdog {
    /// A watcher of the threads that are registered by now, in a process that has begun anew `count` times. It grants the wish of
    /// `restarts`, and tells `notify` that all is well.
    pub fn new(pulses: &Pulses, count: u64, restarts: Restarts, notify: Arc<Notify>) -> Self {
        let program = std::env::current_exe().unwrap_or_else(|_| PathBuf::from("/proc/self/exe"));
        Self { watch: Watch::new(pulses), count, restarts, notify, program }
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

    /// One look, every [`Watchdog::every`]. Does not return if a thread stands still, or a camera wishes for a new process.
    pub fn look(&mut self) {
        if let Some(stage) = self.watch.look() {
            tracing::error!(stage, "stands still: the process begins anew");
            self.begin_anew(&Stalled { count: self.count + 1, stage });
        }
        if let Some(camera) = self.restarts.wished() {
            alarm::set(LAST_WORD);
            tracing::error!(camera, "nothing else helped the camera: the process begins anew");
            self.begin_anew(&Stalled { count: self.count, stage: format!("capture {camera}") });
        }
        self.notify.tell("WATCHDOG=1");
    }

    /// Replaces the process.
    fn begin_anew(&self, stalled: &Stalled) -> ! {
        let mut arguments = std::env::args_os();
        let name = arguments.next().unwrap_or_default();
        let mut command = Command::new(&self.program);
        command.arg0(name).args(arguments).env(STALLED, format!("{} {}", stalled.count, stalled.stage));
        command.env(super::restarts::RESTARTS, self.restarts.to_string());
        let error = command.exec();
        tracing::error!(%error, "cannot begin anew, and ends");
        std::process::abort()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_process_reads_what_was_left_for_it() {
        let stalled = Stalled { count: 2, stage: "encode front door".to_owned() };
        assert_eq!(Stalled::parse("2 encode front door"), Some(stalled));
        assert_eq!(Stalled::parse("encode"), None);
    }
}

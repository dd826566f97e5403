//! The end of standing still: the process begins anew in its own place when one of its threads hangs.
//!
//! What a hanging thread holds (a lock, a device, half a change) nobody can take from it but the kernel, at the end of the process. So the
//! process replaces itself (execve(2)): the same process id, the same arguments, no descriptor left. What matters outlives it: the rings on
//! the RAM disk, the recordings, their ledgers. docs/design/appliance.md has the procedure.
//!
//! ```text
//! Watch: a thread stands still --> log --> execve, with PORTHOLE_EDGE_STALLED="COUNT STAGE"
//! ```

use nix::unistd::alarm;
use service::supervise::{EVERY, Pulses, Stop, Watch};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;

/// Tells the next process what ended this one.
const STALLED: &str = "PORTHOLE_EDGE_STALLED";

/// Why the process had to begin anew.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stalled {
    /// How often it had to by now.
    pub count: u64,
    /// The stage that stood still.
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

/// One of the two watchers.
pub struct Watchdog {
    watch: Watch,
    /// How often the process has begun anew.
    count: u64,
    /// Where the program stood when it was started: an upgrade may have put another one there since.
    program: PathBuf,
}

impl Watchdog {
    /// A watcher of the threads that are registered by now, in a process that has begun anew `count` times.
    pub fn new(pulses: &Pulses, count: u64) -> Self {
        let program = std::env::current_exe().unwrap_or_else(|_| PathBuf::from("/proc/self/exe"));
        Self { watch: Watch::new(pulses), count, program }
    }

    /// Looks until the stop is asked for.
    pub fn run(mut self, stop: &Stop) {
        while !stop.wait(EVERY) {
            self.look();
        }
    }

    /// One look, every [`EVERY`]. Does not return if a thread stands still.
    pub fn look(&mut self) {
        if let Some(stage) = self.watch.look() {
            self.begin_anew(&Stalled { count: self.count + 1, stage });
        }
    }

    /// Replaces the process.
    fn begin_anew(&self, stalled: &Stalled) -> ! {
        tracing::error!(stage = stalled.stage, "stands still: the process begins anew");
        let mut arguments = std::env::args_os();
        let name = arguments.next().unwrap_or_default();
        let mut command = Command::new(&self.program);
        command.arg0(name).args(arguments).env(STALLED, format!("{} {}", stalled.count, stalled.stage));
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

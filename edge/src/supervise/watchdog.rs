//! The end of standing still: the process begins anew in its own place when one of its threads hangs.
//!
//! What a hanging thread holds (a lock, a device, half a change) nobody can take from it but the kernel, at the end of the process. So the
//! process replaces itself (execve(2)): the same process id, the same arguments, no descriptor left. What matters outlives it: the rings on
//! the RAM disk, the recordings, their ledgers. docs/design/appliance.md has the procedure.
//!
//! ```text
//!           main <----------- each sees whether the other moves -----------> watchdog
//!             \                                                                 /
//!              +--- every half second: is a stage silent, longer than it said? +
//!                     | yes
//!                     v
//!           does a thread wait for the disk (state D)? --yes--> say so, and wait with it
//!                     | no
//!                     v
//!           SIGALRM in 3 s --> log --> execve, with PORTHOLE_EDGE_STALLED="COUNT STAGE"
//! ```
//!
//! A thread that waits for a disk cannot be ended: an exec would take the live view from viewers, and then wait for that disk itself.
//! The alarm is for a hanging thread that holds what logging or exec take: then the process is killed, and whoever started it starts it again.

use super::clock::media_now;
use super::heartbeat::{Heartbeat, STUCK_AFTER, Stage, Stages};
use super::stop::Stop;
use media::Ticks90k;
use nix::unistd::alarm;
use service::standstill::waits_for_disk;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

/// From one look to the next.
pub const EVERY: Duration = Duration::from_millis(500);
/// Whoever looks this late was held up together with all others: by a suspended machine, or a stopped process.
const LATE: Ticks90k = Ticks90k(2 * media::time::TICKS_PER_SECOND);
/// Seconds that the way from a finding to the new beginning may take.
const LAST_WORD: u32 = 3;
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
pub struct Watch {
    stages: Vec<Arc<Stage>>,
    own: Heartbeat,
    looked: Ticks90k,
    /// Nobody is blamed before.
    fair_from: Ticks90k,
    /// It was said that the disk stands still.
    told: bool,
    /// How often the process has begun anew.
    count: u64,
    /// Where the program stood when it was started: an upgrade may have put another one there since.
    program: PathBuf,
}

impl Watch {
    /// A watcher of the stages that are registered by now, among them itself: `own`. Its process has begun anew `count` times.
    pub fn new(stages: &Stages, own: Heartbeat, count: u64) -> Self {
        let now = media_now();
        let program = std::env::current_exe().unwrap_or_else(|_| PathBuf::from("/proc/self/exe"));
        Self { stages: stages.all(), own, looked: now, fair_from: now, told: false, count, program }
    }

    /// Looks until the stop is asked for.
    pub fn run(mut self, stop: &Stop) {
        while !stop.wait(EVERY) {
            self.look();
        }
    }

    /// One look, every [`EVERY`]. Does not return if a stage stands still.
    pub fn look(&mut self) {
        self.own.beat();
        let Some(stage) = self.silent(media_now()) else {
            self.told = false;
            return;
        };
        alarm::set(LAST_WORD);
        if !waits_for_disk() {
            begin_anew(&self.program, &Stalled { count: self.count + 1, stage: stage.name.clone() });
        }
        if !self.told {
            tracing::error!(stage = stage.name, "stands still behind a disk that does not answer");
        }
        alarm::cancel();
        self.told = true;
    }

    /// The stage that is silent for longer than it said, at media time `now`.
    fn silent(&mut self, now: Ticks90k) -> Option<Arc<Stage>> {
        if now - self.looked > LATE {
            self.fair_from = now + STUCK_AFTER;
        }
        self.looked = now;
        self.stages.iter().find(|stage| now >= self.fair_from && !stage.is_moving(now)).cloned()
    }
}

/// Replaces the process.
fn begin_anew(program: &Path, stalled: &Stalled) -> ! {
    tracing::error!(stage = stalled.stage, "stands still: the process begins anew");
    let mut arguments = std::env::args_os();
    let name = arguments.next().unwrap_or_default();
    let mut command = Command::new(program);
    command.arg0(name).args(arguments).env(STALLED, format!("{} {}", stalled.count, stalled.stage));
    let error = command.exec();
    tracing::error!(%error, "cannot begin anew, and ends");
    std::process::abort()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(watch: &mut Watch, now: Ticks90k) -> Option<String> {
        watch.silent(now).map(|stage| stage.name.clone())
    }

    #[test]
    fn whoever_is_silent_is_blamed_and_nobody_when_all_were_held_up() {
        let stages = Stages::default();
        let encode = stages.register("encode front");
        let own = ["main", "watchdog"].map(|name| stages.register(name));
        let [mut main, mut watchdog] = own.map(|own| Watch::new(&stages, own, 0));
        let now = media_now();
        let after = |seconds: i64| now + Ticks90k(seconds * Ticks90k::SECOND.0);
        assert_eq!(names(&mut main, now), None);
        assert_eq!(names(&mut main, after(20)), None, "it looks late: everything stood still");
        (21..25).for_each(|second| assert_eq!(names(&mut main, after(second)), None, "{second}"));
        assert_eq!(names(&mut main, after(25)), Some("encode front".to_owned()));

        (0..5).for_each(|second| assert_eq!(names(&mut watchdog, after(second)), None, "{second}"));
        encode.quiet_for(Ticks90k(10 * Ticks90k::SECOND.0));
        watchdog.own.quiet_for(Ticks90k(10 * Ticks90k::SECOND.0));
        assert_eq!(names(&mut watchdog, after(6)), Some("main".to_owned()), "the other watcher");
    }

    #[test]
    fn the_next_process_reads_what_was_left_for_it() {
        let stalled = Stalled { count: 2, stage: "encode front door".to_owned() };
        assert_eq!(Stalled::parse("2 encode front door"), Some(stalled));
        assert_eq!(Stalled::parse("encode"), None);
    }
}

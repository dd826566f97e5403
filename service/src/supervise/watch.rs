//! Feels all pulses. Two threads of a process do: its main thread, and one called `watchdog`; each sees whether the other moves.
//!
//! ```text
//!           main <----------- each sees whether the other moves -----------> watchdog
//!             \                                                                 /
//!              +-- every half second: is a thread silent, longer than it said? -+
//!                     | yes
//!                     v
//!           SIGALRM in 3 s
//!           does a thread wait for the disk (state D)? --yes--> say so, and wait with it
//!                     | no
//!                     v
//!           the process must not go on
//! ```
//!
//! A thread that waits for a disk cannot be ended: the end of the process would wait for it, and take the others from whom they serve.
//! The alarm is for a thread that hangs with what logging or the end take: then the process is killed, and whoever started it starts it again.

use super::clock::monotonic;
use super::pulse::{Beat, Pulses, STUCK_AFTER, beat};
use nix::unistd::alarm;
use std::sync::Arc;
use std::time::Duration;

/// From one look to the next, at most.
pub const EVERY: Duration = Duration::from_millis(500);
/// Whoever looks this late was held up together with all others: by a stopped process, or a machine that did not run.
const LATE: Duration = Duration::from_secs(2);
/// Seconds that the way from a finding to the end may take.
const LAST_WORD: u32 = 3;

/// One of the two watchers.
pub struct Watch {
    beats: Vec<Arc<Beat>>,
    looked: Duration,
    /// Nobody is blamed before.
    fair_from: Duration,
    /// It was said that the disk stands still.
    told: bool,
}

impl Watch {
    /// A watcher of the threads that are registered by now.
    pub fn new(pulses: &Pulses) -> Self {
        let now = monotonic();
        Self { beats: pulses.all(), looked: now, fair_from: now, told: false }
    }

    /// One look, to be taken every [`EVERY`]. Gives the name of a thread that stands still: the process must not go on, and has
    /// three seconds for its last word.
    pub fn look(&mut self) -> Option<String> {
        beat();
        // Until the alarm is set, nothing here may wait for what the silent thread may hold: no lock, no memory.
        let Some(silent) = self.silent(monotonic()) else {
            self.told = false;
            return None;
        };
        alarm::set(LAST_WORD);
        if !waits_for_disk() {
            return Some(silent.thread.clone());
        }
        if !std::mem::replace(&mut self.told, true) {
            tracing::error!(thread = silent.thread, "stands still behind a disk that does not answer");
        }
        alarm::cancel();
        None
    }

    /// The thread that is silent for longer than it said, at `now` of [`monotonic`].
    fn silent(&mut self, now: Duration) -> Option<Arc<Beat>> {
        if now.saturating_sub(self.looked) > LATE {
            self.fair_from = now + STUCK_AFTER;
        }
        self.looked = now;
        self.beats.iter().find(|beat| now >= self.fair_from && !beat.moves(now)).cloned()
    }
}

/// Whether any thread of the process waits in the kernel where no signal reaches it (proc(5), state D): for a disk, mostly. Then the process
/// cannot end before the disk answers.
fn waits_for_disk() -> bool {
    let tasks = std::fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    tasks.filter_map(|task| std::fs::read_to_string(task.path().join("stat")).ok()).any(|stat| is_deaf(&stat))
}

/// Reads `ID (NAME) STATE ...`, where the name may hold anything.
fn is_deaf(stat: &str) -> bool {
    stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('D'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_is_silent_is_blamed_and_nobody_when_all_were_held_up() {
        let pulses = Pulses::default();
        let _silent = pulses.register("worker 1");
        let mut watch = Watch::new(&pulses);
        let now = monotonic();
        let mut at =
            |seconds| watch.silent(now + Duration::from_secs(seconds)).map(|beat| beat.thread.clone());
        assert_eq!(at(0), None);
        assert_eq!(at(60), None, "it looks late: everything stood still");
        (61..65).for_each(|second| assert_eq!(at(second), None, "{second}"));
        assert_eq!(at(65), Some("worker 1".to_owned()));
    }

    #[test]
    fn a_thread_that_panicked_is_blamed_at_once() {
        let pulses = Pulses::default();
        let pulse = pulses.register("worker 1");
        let died = std::thread::spawn(move || {
            pulse.attach();
            panic!("as meant");
        });
        assert!(died.join().is_err());
        let silent = Watch::new(&pulses).silent(monotonic());
        assert_eq!(silent.map(|beat| beat.thread.clone()), Some("worker 1".to_owned()));
    }

    #[test]
    fn a_thread_that_waits_for_a_disk_is_told_from_others_whatever_its_name() {
        assert!(is_deaf("7 (record front) D 1 7"));
        assert!(!is_deaf("7 (a) D) S 1 7"));
        assert!(!is_deaf(""));
    }
}

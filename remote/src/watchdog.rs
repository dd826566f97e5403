//! The end of standing still: the process ends at once when one of its threads hangs, and whoever started it (systemd: `Restart=always`)
//! starts it again.
//!
//! What a hanging thread holds (the flock of a claim, a lock of the process) nobody can take from it but the kernel, at the end of the
//! process. Then claims are free, and the next process or another one goes on with them; a recording that every worker hangs in goes to
//! quarantine after ten starts. A thread that waits for a disk cannot be ended: the process waits with it.

use crate::notify::Notify;
use crate::supervise::{Pulses, STUCK_AFTER, Stop, monotonic};
use service::standstill::waits_for_disk;
use std::time::Duration;

/// From one look to the next, at most.
const EVERY: Duration = Duration::from_secs(1);
/// Whoever looks this late was held up together with all others: by a suspended machine, or a stopped process.
const LATE: Duration = Duration::from_secs(3);

/// Watches all threads of the process, itself among them: systemd hears nothing while it does not look.
pub struct Watchdog<'a> {
    notify: &'a Notify,
    pulses: Pulses,
    looked: Duration,
    /// Nobody is blamed before.
    fair_from: Duration,
    /// It was said that the disk stands still.
    told: bool,
}

impl<'a> Watchdog<'a> {
    /// Has not looked yet.
    pub fn new(notify: &'a Notify, pulses: Pulses) -> Self {
        let now = monotonic();
        Self { notify, pulses, looked: now, fair_from: now, told: false }
    }

    /// Looks until `stop` is asked for. Does not return if a thread stands still.
    pub fn run(mut self, stop: &Stop) {
        let every = self.notify.rhythm().map_or(EVERY, |rhythm| rhythm.min(EVERY));
        while !stop.wait(every) {
            match self.silent(monotonic()) {
                None => {
                    self.told = false;
                    self.notify.tell("WATCHDOG=1");
                }
                Some(thread) if waits_for_disk() => {
                    if !std::mem::replace(&mut self.told, true) {
                        tracing::error!(thread, "stands still behind a disk that does not answer");
                    }
                    self.notify.tell("WATCHDOG=1");
                }
                Some(thread) => {
                    tracing::error!(thread, "stands still: the process ends");
                    // Nothing may be tidied up: that could hang as well.
                    std::process::abort();
                }
            }
        }
    }

    /// The thread that is silent for longer than it said, at `now` of [`monotonic`].
    fn silent(&mut self, now: Duration) -> Option<String> {
        if now.saturating_sub(self.looked) > LATE {
            self.fair_from = now + STUCK_AFTER;
        }
        self.looked = now;
        let fair = now >= self.fair_from;
        let silent = |health: &crate::supervise::ThreadHealth| fair && !health.moving;
        self.pulses.health(now).into_iter().find(silent).map(|health| health.thread)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_is_silent_is_blamed_and_nobody_when_all_were_held_up() {
        let (notify, pulses) = (Notify::from_env(), Pulses::default());
        let _silent = pulses.register("worker 1");
        let mut watchdog = Watchdog::new(&notify, pulses);
        let now = monotonic();
        let mut at = |seconds| watchdog.silent(now + Duration::from_secs(seconds));
        assert_eq!(at(0), None);
        assert_eq!(at(60), None, "it looks late: everything stood still");
        (61..70).for_each(|second| assert_eq!(at(second), None, "{second}"));
        assert_eq!(at(70), Some("worker 1".to_owned()));
    }

    #[test]
    fn a_thread_that_panicked_is_blamed_at_once() {
        let (notify, pulses) = (Notify::from_env(), Pulses::default());
        let dead = pulses.register("worker 1");
        let died = std::thread::spawn(move || {
            let _dead = dead;
            panic!("as meant");
        });
        assert!(died.join().is_err());
        assert_eq!(Watchdog::new(&notify, pulses).silent(monotonic()), Some("worker 1".to_owned()));
    }
}

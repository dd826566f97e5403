//! What is tried next with a camera that does not work: a state machine without a clock or a device of its own.
//!
//! ```text
//!                +----------------------- a good picture -----------------------+
//!                v                                                              |
//! failed --> reopen, after 0.1 s doubling to 1 s --failed 3 times--> reset its USB device, and reopen
//!                                                                       |    (30 s, 1 min ... 16 min between two resets)
//!                                            failing for 5 minutes, and 3 resets have not helped
//!                                                                       v
//!                                                restart the process, once (an hour between two restarts)
//!
//! absent --> reopen, and nothing else, for ever
//! ```
//!
//! A camera that is not there, is in use elsewhere or cannot be understood is waited for: neither a reset nor a restart brings it.

use media::Ticks90k;
use std::time::Duration;

/// Failures in a row before anything but opening again is tried.
const PATIENCE: u32 = 3;
/// Between two resets of one fault: at first, and at most. Each is twice as long as the one before.
const BETWEEN_RESETS: (Ticks90k, Ticks90k) = (Ticks90k::from_millis(30_000), Ticks90k::from_millis(960_000));
/// How long a camera that is there must fail, and how many resets must not have helped, before the process is restarted for it.
const BEFORE_RESTART: (Ticks90k, u32) = (Ticks90k::from_millis(300_000), 3);
/// Between two restarts of the process.
const BETWEEN_RESTARTS: Ticks90k = Ticks90k::from_millis(3_600_000);

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// There is no camera that could be opened: somebody must act.
    Absent,
    /// It is there and does not work.
    Failing,
}

/// What is done before the camera is opened again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rung {
    /// Nothing.
    Reopen,
    /// Its USB device is reset, if it has one.
    ResetUsb,
    /// The process begins anew.
    Restart,
}

/// Where one camera stands.
#[derive(Debug)]
pub(super) struct Ladder {
    /// Before an opening: after the first failure, and at most.
    back_off: (Duration, Duration),
    wait: Duration,
    /// Failures in a row of a camera that was there each time.
    failures: u32,
    /// When the first of them was.
    since: Ticks90k,
    /// Resets since the last picture.
    resets: u32,
    /// No reset before.
    next_reset: Option<Ticks90k>,
    /// When the process was last restarted for a camera.
    restarted: Option<Ticks90k>,
    /// There was a restart for this fault already.
    spent: bool,
}

impl Ladder {
    /// At the bottom. Waits from `back_off.0`, each time twice as long, to `back_off.1`. `restarted`: when the process was last restarted for a camera; `spent`: it was for this one.
    pub(super) fn new(back_off: (Duration, Duration), restarted: Option<Ticks90k>, spent: bool) -> Self {
        let (wait, since) = (back_off.0, Ticks90k::ZERO);
        Self { back_off, wait, failures: 0, since, resets: 0, next_reset: None, restarted, spent }
    }

    /// The camera could not be opened, or ended: what to do, and how long to wait then.
    pub(super) fn failed(&mut self, fault: Fault, now: Ticks90k) -> (Rung, Duration) {
        let wait = self.wait;
        self.wait = (wait * 2).min(self.back_off.1);
        if fault == Fault::Absent {
            self.failures = 0;
            return (Rung::Reopen, wait);
        }
        if self.failures == 0 {
            self.since = now;
        }
        self.failures = self.failures.saturating_add(1);
        (self.rung(now), wait)
    }

    fn rung(&mut self, now: Ticks90k) -> Rung {
        if self.failures < PATIENCE {
            return Rung::Reopen;
        }
        if self.may_restart(now) {
            self.spent = true;
            self.restarted = Some(now);
            return Rung::Restart;
        }
        if self.next_reset.is_some_and(|due| now < due) {
            return Rung::Reopen;
        }
        let (first, most) = BETWEEN_RESETS;
        let between = Ticks90k(first.0 << self.resets.min(16)).min(most);
        self.next_reset = Some(now + between);
        self.resets = self.resets.saturating_add(1);
        Rung::ResetUsb
    }

    fn may_restart(&self, now: Ticks90k) -> bool {
        let (failing, resets) = BEFORE_RESTART;
        let rested = self.restarted.is_none_or(|last| now - last >= BETWEEN_RESTARTS);
        !self.spent && rested && self.resets >= resets && now - self.since >= failing
    }

    /// A good picture has come.
    pub(super) fn delivered(&mut self) {
        *self = Self::new(self.back_off, self.restarted, false);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = Ticks90k::SECOND.0;
    const BACK_OFF: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(1));

    /// The seconds at which a rung above opening again is taken, if the camera fails each second for so long.
    fn climbed(ladder: &mut Ladder, from: i64, seconds: i64) -> Vec<(i64, Rung)> {
        let fails = |second| (second, ladder.failed(Fault::Failing, Ticks90k(second * SECOND)).0);
        (from..from + seconds).map(fails).filter(|(_, rung)| *rung != Rung::Reopen).collect()
    }

    #[test]
    fn a_camera_that_fails_is_opened_again_then_reset_then_the_process_is_restarted_once() {
        use Rung::{ResetUsb, Restart};
        let mut ladder = Ladder::new(BACK_OFF, None, false);
        let first_half_hour = climbed(&mut ladder, 0, 1800);
        let expected = [
            (2, ResetUsb),
            (32, ResetUsb),
            (92, ResetUsb),
            (212, ResetUsb),
            (300, Restart),
            (452, ResetUsb),
            (932, ResetUsb),
        ];
        assert_eq!(first_half_hour, expected);
        let day: Vec<_> = climbed(&mut ladder, 1800, 86_400);
        assert!(
            day.iter().all(|(_, rung)| *rung == ResetUsb),
            "a restart that did not help is not made again"
        );
        assert_eq!(day.len(), 90, "one in sixteen minutes");
    }

    #[test]
    fn a_camera_that_is_absent_is_opened_again_each_second_and_nothing_else() {
        let mut ladder = Ladder::new(BACK_OFF, None, false);
        let mut waits = Vec::new();
        for second in 0..3600 {
            let (rung, wait) = ladder.failed(Fault::Absent, Ticks90k(second * SECOND));
            assert_eq!(rung, Rung::Reopen);
            waits.push(wait.as_millis());
        }
        assert_eq!(waits[..6], [100, 200, 400, 800, 1000, 1000]);
        assert_eq!(waits.last(), Some(&1000));
    }

    #[test]
    fn a_reset_that_makes_the_device_vanish_for_a_moment_does_not_bring_the_next_one_nearer() {
        let mut ladder = Ladder::new(BACK_OFF, None, false);
        assert_eq!(climbed(&mut ladder, 0, 3), [(2, Rung::ResetUsb)]);
        ladder.failed(Fault::Absent, Ticks90k(3 * SECOND));
        assert_eq!(climbed(&mut ladder, 4, 40), [(32, Rung::ResetUsb)]);
    }

    #[test]
    fn a_picture_begins_anew_but_not_the_hour_between_two_restarts() {
        let mut ladder = Ladder::new(BACK_OFF, Some(Ticks90k(0)), true);
        let restarts = |climbed: Vec<(i64, Rung)>| -> Vec<i64> {
            climbed.into_iter().filter(|(_, rung)| *rung == Rung::Restart).map(|(second, _)| second).collect()
        };
        assert_eq!(restarts(climbed(&mut ladder, 1, 7200)), [0; 0], "it did not help");
        ladder.delivered();
        assert_eq!(ladder.failed(Fault::Failing, Ticks90k(7300 * SECOND)), (Rung::Reopen, BACK_OFF.0));
        assert_eq!(restarts(climbed(&mut ladder, 7301, 600)), [7600]);
        ladder.delivered();
        assert_eq!(restarts(climbed(&mut ladder, 8000, 3300)), [11_200]);
    }
}

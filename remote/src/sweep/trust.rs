//! Whether the wall clock can be believed, so that ages count: not where it went on by much more or less than time did, since the last
//! sweep of any process.
//!
//! ```text
//! cache/sweep.clock   v1 <wall clock, s since 1970> <steady clock, s> <boot> <for how long it is not believed yet, s>
//! ```
//!
//! It is kept over a restart, because a board whose clock is wrong is wrong from its start. Across two boots nobody counts the time: a host that was
//! off for longer than [`JUMP`] is taken for one with a wrong clock, and so is one of which nothing is known.

use super::Policy;
use super::leaving::{NOTES, notes};
use crate::folder::{Error, Folder};
use crate::supervise::{boot_id, monotonic, wall_now};
use std::path::Path;
use std::time::Duration;

/// The wall clock jumped when it went on by so much more or less than time did.
const JUMP: Duration = Duration::from_secs(3600);
/// How long ages are not believed after a jump: somebody may notice, or the clock be put right.
const DISTRUST: Duration = Duration::from_secs(24 * 3600);
/// Where it is written down.
const FILE: &str = "sweep.clock";
/// The longest such file.
const MOST_BYTES: u64 = 256;

/// When something was, by both clocks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moment {
    /// Since 1970.
    pub wall: Duration,
    /// By a clock that never jumps, and begins anew with each boot.
    pub steady: Duration,
    /// Tells boots apart.
    pub boot: String,
}

impl Moment {
    /// As the clocks are.
    pub fn now() -> Self {
        Self { wall: wall_now(), steady: monotonic(), boot: boot_id() }
    }
}

/// Whether ages can be believed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trust {
    last: Option<Moment>,
    /// For how long they cannot be yet, counted from then.
    left: Duration,
}

impl Trust {
    /// What the last sweep below `dir` has written down; nothing, if that cannot be read.
    pub fn load(dir: &Path) -> Self {
        let bytes =
            Folder::open(&dir.join(NOTES)).and_then(|notes| notes.read(FILE, MOST_BYTES)).ok().flatten();
        Self::parse(&bytes.unwrap_or_default()).unwrap_or_default()
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        let fields: Vec<&str> = std::str::from_utf8(bytes).ok()?.split_whitespace().collect();
        let ["v1", wall, steady, boot, left] = fields[..] else { return None };
        let seconds = |text: &str| text.parse().ok().map(Duration::from_secs);
        let last = Moment { wall: seconds(wall)?, steady: seconds(steady)?, boot: boot.to_owned() };
        Some(Self { last: Some(last), left: seconds(left)?.min(DISTRUST) })
    }

    /// Writes it down, durably.
    ///
    /// # Errors
    /// It cannot: the next process believes what was written before.
    pub fn store(&self, dir: &Path) -> Result<(), Error> {
        let Some(Moment { wall, steady, boot }) = &self.last else { return Ok(()) };
        let [wall, steady, left] = [wall, steady, &self.left].map(Duration::as_secs);
        notes(dir)?.replace(FILE, format!("v1 {wall} {steady} {boot} {left}\n").as_bytes())
    }

    /// What has to leave by the clocks as they are: for its age nothing, as long as they cannot be believed.
    pub fn policy(&mut self, policy: Policy, now: Moment) -> Policy {
        let keep = if self.holds(now) { policy.keep } else { Duration::MAX };
        Policy { keep, ..policy }
    }

    /// For how long ages are not believed yet.
    pub fn left(&self) -> Option<Duration> {
        Some(self.left).filter(|left| !left.is_zero())
    }

    /// Whether the wall clock has kept pace for long enough, `now` included.
    fn holds(&mut self, now: Moment) -> bool {
        let passed = self.last.as_ref().and_then(|last| passed(last, &now));
        self.left = passed.map_or(DISTRUST, |passed| self.left.saturating_sub(passed));
        self.last = Some(now);
        self.left.is_zero()
    }
}

/// How much time has passed; `None` if the wall clock has not kept pace with it.
fn passed(last: &Moment, now: &Moment) -> Option<Duration> {
    let same_boot = last.boot == now.boot && last.steady <= now.steady;
    let passed = if same_boot { now.steady - last.steady } else { now.wall.saturating_sub(last.wall) };
    let expected = if same_boot { last.wall.saturating_add(passed) } else { last.wall };
    (expected.abs_diff(now.wall) <= JUMP).then_some(passed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hours(count: u64) -> Duration {
        Duration::from_secs(count * 3600)
    }

    fn at(boot: &str, wall: u64, steady: u64) -> Moment {
        Moment { wall: hours(wall), steady: hours(steady), boot: boot.to_owned() }
    }

    /// A host that has been trusted.
    fn trusted(now: Moment) -> Trust {
        Trust { last: Some(now), left: Duration::ZERO }
    }

    #[test]
    fn after_a_jump_of_the_clock_ages_count_again_a_day_later() {
        let mut trust = trusted(at("a", 1000, 10));
        assert!(trust.holds(at("a", 1010, 20)), "it keeps pace");
        assert!(!trust.holds(at("a", 9770, 21)), "a year ahead");
        assert!(!trust.holds(at("a", 9771, 22)) && !trust.holds(at("a", 9793, 44)));
        assert!(trust.holds(at("a", 9794, 45)));
        assert!(!trust.holds(at("a", 9790, 46)), "back");
    }

    #[test]
    fn a_clock_that_jumps_while_the_host_is_off_is_not_believed_for_a_day_whoever_sweeps() {
        let dir = tempfile::tempdir().expect("dir");
        let policy = Policy { keep: hours(100), bytes: Some(7) };
        let keep = |moment: Moment| {
            let mut trust = Trust::load(dir.path());
            let policy = trust.policy(policy, moment);
            trust.store(dir.path()).expect("stores");
            assert_eq!(policy.bytes, Some(7), "what there is no room for leaves in any case");
            policy.keep
        };
        assert_eq!(keep(at("a", 1000, 1)), Duration::MAX, "nothing is known");
        assert_eq!(keep(at("a", 1024, 25)), hours(100), "it was on for a day, and every process knows");
        assert_eq!(keep(at("b", 1025, 0)), hours(100), "a restart");
        assert_eq!(keep(at("c", 9770, 0)), Duration::MAX, "a year ahead from its start");
        assert_eq!(keep(at("d", 9771, 0)), Duration::MAX, "another start does not help");
        assert_eq!(keep(at("d", 9793, 22)), Duration::MAX);
        assert_eq!(keep(at("d", 9794, 23)), hours(100), "nobody has put it right for a day");
        assert_eq!(keep(at("e", 9000, 0)), Duration::MAX, "back");

        std::fs::write(dir.path().join("cache/sweep.clock"), "v1 x").expect("writes");
        assert_eq!(keep(at("e", 9000, 0)), Duration::MAX, "rubbish is nothing known");
    }
}

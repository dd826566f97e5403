//! When a recording ends: at the first IDR at or after each wall-clock quarter (or other whole part of an hour).
//!
//! ```text
//! clock known    |--- 06:15 ---|--- 06:30 ---|      cut at the first GOP that starts at or after the mark
//! clock unknown  |-- minutes --|-- minutes --|      by media time
//! clock arrives, or is set to another time  -> cut: the dates of one recording are all of one clock
//! ```

use media::time::WallMapping;
use media::{Ticks90k, WallTime};

/// The clock was set, rather than slewed, if it moves by more than this between two GOPs: 1 s in microseconds.
pub const CLOCK_SET: i64 = 1_000_000;

/// The span that one recording covers.
#[derive(Clone, Copy, Debug)]
pub struct Period {
    start: Ticks90k,
    /// The wall time of `start`.
    wall: Option<WallTime>,
    /// The wall clock as it was at the newest GOP.
    clock: Option<WallMapping>,
}

impl Period {
    /// A recording begins with a GOP at media time `start`, taken at `wall`.
    pub fn begin(start: Ticks90k, wall: Option<WallTime>) -> Self {
        let mut period = Self { start, wall, clock: None };
        period.extend(start, wall);
        period
    }

    /// A GOP at media time `start`, taken at `wall`, is in the recording now.
    pub fn extend(&mut self, start: Ticks90k, wall: Option<WallTime>) {
        self.clock = wall.map(|wall| WallMapping { media: start, wall });
    }

    /// Whether a GOP at media time `start`, taken at `wall`, belongs into the next recording.
    pub fn ends_before(&self, start: Ticks90k, wall: Option<WallTime>, minutes: u32) -> bool {
        let minutes = i64::from(minutes);
        match (self.wall, self.clock, wall) {
            (Some(begun), Some(clock), Some(wall)) => {
                let mark = |wall: WallTime| wall.as_secs().div_euclid(60 * minutes);
                let moved = wall.0 - clock.wall_of(start).0;
                mark(wall) > mark(begun) || moved.abs() > CLOCK_SET
            }
            (None, None, None) => {
                start - self.start >= Ticks90k(60 * minutes * media::time::TICKS_PER_SECOND)
            }
            _ => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUARTER: u32 = 15;
    /// 2026-11-21T06:15:00Z.
    const MARK: WallTime = WallTime(1_795_241_700_000_000);

    fn seconds(n: i64) -> Ticks90k {
        Ticks90k(n * media::time::TICKS_PER_SECOND)
    }

    #[test]
    fn a_recording_ends_at_the_first_gop_at_or_after_the_mark() {
        let period = Period::begin(seconds(100), Some(MARK));
        let ends =
            |after: Ticks90k| period.ends_before(seconds(100) + after, Some(MARK.plus(after)), QUARTER);
        assert!(!ends(seconds(899)));
        assert!(!ends(seconds(900) - Ticks90k(9)));
        assert!(ends(seconds(900)));
        let late = Period::begin(seconds(100), Some(MARK.plus(seconds(899))));
        assert!(
            late.ends_before(seconds(101), Some(MARK.plus(seconds(900))), QUARTER),
            "however short it is"
        );
    }

    #[test]
    fn a_clock_that_is_slewed_back_over_the_mark_makes_no_second_cut() {
        let period = Period::begin(seconds(100), Some(MARK.plus(Ticks90k(9))));
        assert!(!period.ends_before(seconds(101), Some(MARK.plus(seconds(1) - Ticks90k(90))), QUARTER));
    }

    #[test]
    fn a_clock_that_arrives_or_is_set_ends_the_recording() {
        let undated = Period::begin(seconds(10), None);
        assert!(undated.ends_before(seconds(11), Some(MARK), QUARTER));
        let dated = Period::begin(seconds(10), Some(MARK));
        assert!(dated.ends_before(seconds(11), None, QUARTER));
        assert!(dated.ends_before(seconds(11), Some(MARK.plus(seconds(-3600))), QUARTER));
        assert!(dated.ends_before(seconds(11), Some(MARK.plus(seconds(60))), QUARTER));
        assert!(!dated.ends_before(seconds(11), Some(MARK.plus(seconds(2))), QUARTER));
    }

    #[test]
    fn a_clock_that_is_slewed_for_long_does_not_count_as_set() {
        let mut period = Period::begin(seconds(0), Some(MARK));
        for second in 1..600 {
            let slewed = seconds(second) - Ticks90k(900 * second);
            assert!(!period.ends_before(seconds(second), Some(MARK.plus(slewed)), QUARTER), "{second}");
            period.extend(seconds(second), Some(MARK.plus(slewed)));
        }
    }

    #[test]
    fn without_a_clock_media_time_counts() {
        let period = Period::begin(seconds(10), None);
        assert!(!period.ends_before(seconds(69), None, 1));
        assert!(period.ends_before(seconds(70), None, 1));
    }
}

//! Exact frame rates and the grid of timestamps that a paced source plays on.
//!
//! ```text
//! slot        0        1        2        3         ...  n
//! media time  start    +3003    +6006    +9009     ...  start + n * 90000 * den / num     (30000/1001)
//! ```
//!
//! Each slot is computed from its number, so that rounding never adds up to a drift.

use media::Ticks90k;
use media::time::TICKS_PER_SECOND;

/// Frames a second as an exact fraction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    num: u32,
    den: u32,
}

impl Rate {
    /// Slowest rate that is taken, in frames a second: one frame in ten seconds.
    const SLOWEST: (u64, u64) = (1, 10);
    /// Fastest rate that is taken, in frames a second.
    const FASTEST: u64 = 1000;

    /// `num / den` frames a second; `None` outside 1/10 to 1000.
    pub fn new(num: u32, den: u32) -> Option<Self> {
        let (n, d) = (u64::from(num), u64::from(den));
        let slow = n * Self::SLOWEST.1 < d * Self::SLOWEST.0;
        let fast = n > d * Self::FASTEST;
        (num > 0 && den > 0 && !slow && !fast).then_some(Self { num, den })
    }

    /// Seconds from one frame to the next as numerator and denominator, as V4L2 has it.
    pub fn interval(self) -> (u32, u32) {
        (self.den, self.num)
    }

    /// Frames in a thousand seconds: to compare rates by.
    pub fn millihertz(self) -> u64 {
        u64::from(self.num) * 1000 / u64::from(self.den)
    }

    /// The time of slot `n`, counted from slot 0.
    pub fn time_of(self, n: i64) -> Ticks90k {
        let (num, den) = (i128::from(self.num), i128::from(self.den));
        let ticks = i128::from(n) * i128::from(TICKS_PER_SECOND) * den;
        Ticks90k((ticks + num / 2).div_euclid(num) as i64)
    }

    /// Time between two frames, to the nearest tick.
    pub fn frame_duration(self) -> Ticks90k {
        self.time_of(1)
    }

    /// The last slot whose time is not after `span`.
    fn slot_at(self, span: Ticks90k) -> i64 {
        let (num, den) = (i128::from(self.num), i128::from(self.den));
        let slot = (i128::from(span.0) * num).div_euclid(i128::from(TICKS_PER_SECOND) * den) as i64;
        // Slots are rounded to ticks: the next one may have been rounded down to `span`.
        if self.time_of(slot + 1) <= span { slot + 1 } else { slot }
    }
}

/// Where a paced source is on its grid.
#[derive(Clone, Copy, Debug)]
pub struct Grid {
    rate: Rate,
    start: Ticks90k,
    slot: i64,
}

impl Grid {
    /// A grid whose slot 0 is at media time zero, standing at the first slot after `now`. Two runs share one grid.
    pub fn absolute(rate: Rate, now: Ticks90k) -> Self {
        Self { rate, start: Ticks90k::ZERO, slot: rate.slot_at(now) + 1 }
    }

    /// A grid whose slot 0 is at `start`, standing there.
    pub fn starting_at(rate: Rate, start: Ticks90k) -> Self {
        Self { rate, start, slot: 0 }
    }

    /// Media time of the slot it stands at.
    pub fn due(&self) -> Ticks90k {
        self.start + self.rate.time_of(self.slot)
    }

    /// Goes on to the next slot.
    pub fn advance(&mut self) {
        self.slot += 1;
    }

    /// Leaves out what has been missed: if the slot was due more than `most_late` before `now`, stands at the last one
    /// that is due.
    pub fn catch_up(&mut self, now: Ticks90k, most_late: Ticks90k) {
        if now - self.due() > most_late {
            self.slot = self.rate.slot_at(now - self.start);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ntsc() -> Rate {
        Rate::new(30_000, 1001).expect("a rate")
    }

    #[test]
    fn an_hour_of_ntsc_frames_does_not_drift() {
        assert_eq!(ntsc().frame_duration(), Ticks90k(3003));
        // 107,892 frames at 30000/1001 are 3599.9964 s.
        assert_eq!(ntsc().time_of(107_892), Ticks90k(107_892 * 3003));
        let odd = Rate::new(24_000, 1001).expect("a rate");
        assert_eq!((odd.time_of(1), odd.time_of(2)), (Ticks90k(3754), Ticks90k(7508)));
        assert_eq!(odd.time_of(24_000), Ticks90k(1001 * 90_000));
    }

    #[test]
    fn rates_that_no_camera_has_are_refused() {
        assert_eq!(Rate::new(0, 1), None);
        assert_eq!(Rate::new(30, 0), None);
        assert_eq!(Rate::new(1, 11), None);
        assert_eq!(Rate::new(1001, 1), None);
        assert!(Rate::new(1, 10).is_some() && Rate::new(1000, 1).is_some());
    }

    #[test]
    fn an_absolute_grid_stands_on_whole_frames_of_media_time() {
        let rate = Rate::new(30, 1).expect("a rate");
        assert_eq!(Grid::absolute(rate, Ticks90k(90_001)).due(), Ticks90k(93_000));
        assert_eq!(Grid::absolute(rate, Ticks90k(93_000)).due(), Ticks90k(96_000));
    }

    #[test]
    fn a_late_source_stays_on_its_grid() {
        let mut grid = Grid::starting_at(ntsc(), Ticks90k(500));
        grid.advance();
        assert_eq!(grid.due(), Ticks90k(3503));
        grid.catch_up(Ticks90k(6506), Ticks90k(3003));
        assert_eq!(grid.due(), Ticks90k(3503));
        grid.catch_up(Ticks90k(6507), Ticks90k(3003));
        assert_eq!(grid.due(), Ticks90k(6506));
    }
}

//! All chance in a run, drawn from its seed (SplitMix64, Steele et al. 2014).

use std::cell::Cell;
use std::time::Duration;

/// A source of numbers that only look like chance.
#[derive(Debug)]
pub struct Random(Cell<u64>);

impl Random {
    /// The numbers of `seed`.
    pub fn new(seed: u64) -> Self {
        Self(Cell::new(seed))
    }

    /// Any number.
    pub fn number(&self) -> u64 {
        self.0.set(self.0.get().wrapping_add(0x9E37_79B9_7F4A_7C15));
        let mut z = self.0.get();
        z = (z ^ z >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ z >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ z >> 31
    }

    /// A number below `end`; 0 if that is 0.
    pub fn below(&self, end: u64) -> u64 {
        self.number().checked_rem(end).unwrap_or(0)
    }

    /// A number of `from..=to`.
    pub fn from_to(&self, from: u64, to: u64) -> u64 {
        from + self.below(to.saturating_sub(from) + 1)
    }

    /// True once in so many times.
    pub fn once_in(&self, times: u64) -> bool {
        self.below(times) == 0
    }

    /// A span of time up to `most`: each order of magnitude down to a microsecond is as likely as the others.
    pub fn span(&self, most: Duration) -> Duration {
        let most = u64::try_from(most.as_micros()).unwrap_or(u64::MAX).max(1);
        let digits = self.from_to(1, u64::from(most.ilog2()) + 1);
        Duration::from_micros(self.below(most.min(1 << digits.min(63)) + 1))
    }

    /// One of them.
    pub fn pick<'a, T>(&self, from: &'a [T]) -> Option<&'a T> {
        from.get(usize::try_from(self.below(from.len() as u64)).unwrap_or(0))
    }
}

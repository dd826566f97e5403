//! Waits that grow while something keeps failing.

use std::time::Duration;

/// The waits between tries: each twice as long as the one before, up to a bound, each shortened by up to a quarter at random so
/// that many devices that lost the same host do not come back at the same instant.
#[derive(Clone, Debug)]
pub struct Backoff {
    first: Duration,
    longest: Duration,
    next: Duration,
    /// Failures since the last success.
    tries: u32,
    /// State of xorshift64; never 0.
    random: u64,
}

impl Backoff {
    /// Waits from `first` to `longest`.
    pub fn new(first: Duration, longest: Duration) -> Self {
        // Where the system has no random numbers yet, devices wait alike.
        Self::seeded(first, longest, getrandom::u64().unwrap_or(1))
    }

    /// As [`Backoff::new`], with shortenings that follow from `seed`.
    pub fn seeded(first: Duration, longest: Duration, seed: u64) -> Self {
        let random = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
        Self { first, longest, next: first, tries: 0, random }
    }

    /// It failed once more: how long to wait.
    pub fn next_wait(&mut self) -> Duration {
        self.next_wait_within(self.longest)
    }

    /// The same of a failure whose next try costs nobody anything: no longer than `bound`, and it lets no later wait grow beyond that.
    pub fn next_wait_within(&mut self, bound: Duration) -> Duration {
        let wait = self.next.min(bound);
        self.next = self.next.max(bound.min(self.next * 2));
        self.tries = self.tries.saturating_add(1);
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        wait - wait / 4 * (self.random >> 32) as u32 / u32::MAX
    }

    /// It went well.
    pub fn reset(&mut self) {
        self.next = self.first;
        self.tries = 0;
    }

    /// Failures since the last success.
    pub fn tries(&self) -> u32 {
        self.tries
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_bound_and_are_shortened_by_at_most_a_quarter() {
        let second = Duration::from_secs(1);
        let mut backoff = Backoff::seeded(second, second * 10, 7);
        let waits: Vec<Duration> = (0..6).map(|_| backoff.next_wait()).collect();
        for (wait, most) in waits.iter().zip([1, 2, 4, 8, 10, 10]) {
            assert!(*wait <= second * most && *wait >= second * most * 3 / 4, "{waits:?}");
        }
        assert_eq!(backoff.tries(), 6);
        backoff.reset();
        assert!(backoff.next_wait() <= second);
    }

    #[test]
    fn a_failure_with_a_bound_of_its_own_waits_no_longer_and_leaves_what_others_have_grown_to() {
        let second = Duration::from_secs(1);
        let mut backoff = Backoff::seeded(second, second * 100, 7);
        let is_about = |wait: Duration, most: u32| wait <= second * most && wait >= second * most * 3 / 4;
        for most in [1, 2, 3, 3] {
            let wait = backoff.next_wait_within(second * 3);
            assert!(is_about(wait, most), "{wait:?} instead of {most} s");
        }
        for most in [3, 6] {
            let wait = backoff.next_wait();
            assert!(is_about(wait, most), "{wait:?} instead of {most} s");
        }
        assert!(is_about(backoff.next_wait_within(second * 3), 3));
        assert!(is_about(backoff.next_wait(), 12), "it has not shrunk");
        assert_eq!(backoff.tries(), 8);
    }

    #[test]
    fn two_devices_wait_differently() {
        let second = Duration::from_secs(1);
        let wait = |seed| Backoff::seeded(second, second, seed).next_wait();
        assert_ne!(wait(3), wait(0x1234_5678_9abc));
    }
}

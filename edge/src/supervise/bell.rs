//! A bell: whoever has news rings it, whoever waits for news wakes up at once.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Shared by those who ring and the one who listens. It counts: a ring between two waits is not missed.
#[derive(Clone, Default)]
pub struct Bell(Arc<(Mutex<u64>, Condvar)>);

impl Bell {
    /// There is news.
    pub fn ring(&self) {
        *self.rings() += 1;
        self.0.1.notify_all();
    }

    /// How often it has rung.
    pub fn count(&self) -> u64 {
        *self.rings()
    }

    /// Waits until it has rung more than `heard` times, at most `timeout`.
    pub fn wait(&self, heard: u64, timeout: Duration) {
        let rings = self.rings();
        // Whether it rang or not, the listener looks for itself.
        let _either = self.0.1.wait_timeout_while(rings, timeout, |rings| *rings <= heard);
    }

    fn rings(&self) -> MutexGuard<'_, u64> {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ring_before_the_wait_is_heard() {
        let bell = Bell::default();
        let heard = bell.count();
        let other = bell.clone();
        let ringer = std::thread::spawn(move || other.ring());
        // If it were missed this would take for ever.
        bell.wait(heard, Duration::from_secs(3600));
        assert_eq!(bell.count(), heard + 1);
        ringer.join().expect("rang");
    }
}

//! The wish to end, seen by threads and by tasks.

use super::pulse::beat;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::watch;

/// From one look at the wish to end to the next, while waiting.
const TURN: Duration = Duration::from_secs(1);

/// Shared by everything that must end together. Whoever looks at it shows with that that it moves, because whatever takes long has to look at it.
#[derive(Clone, Debug)]
pub struct Stop {
    asked: Arc<watch::Sender<bool>>,
    wish: Arc<(Mutex<bool>, Condvar)>,
}

impl Default for Stop {
    fn default() -> Self {
        Self { asked: Arc::new(watch::Sender::new(false)), wish: Arc::default() }
    }
}

impl Stop {
    /// Asks everything to end.
    pub fn ask(&self) {
        self.asked.send_replace(true);
        let (asked, changed) = &*self.wish;
        *asked.lock().unwrap_or_else(PoisonError::into_inner) = true;
        changed.notify_all();
    }

    /// Whether the end was asked for.
    pub fn asked(&self) -> bool {
        beat();
        *self.asked.borrow()
    }

    /// Waits until the end is asked for, at most `timeout`; says whether it was.
    pub fn wait(&self, timeout: Duration) -> bool {
        let (wish, changed) = &*self.wish;
        let mut left = timeout;
        while !self.asked() && !left.is_zero() {
            let turn = left.min(TURN);
            left -= turn;
            let asked = wish.lock().unwrap_or_else(PoisonError::into_inner);
            let _waited = changed.wait_timeout_while(asked, turn, |asked| !*asked);
        }
        self.asked()
    }

    /// Completes when the end is asked for.
    pub async fn wait_async(&self) {
        let mut asked = self.asked.subscribe();
        // The sender lives in `self`, so the wait cannot fail.
        let _ended = asked.wait_for(|asked| *asked).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_waits_hears_of_the_end_at_once() {
        let stop = Stop::default();
        assert!(!stop.wait(Duration::ZERO) && !stop.asked());
        let other = stop.clone();
        let asking = std::thread::spawn(move || other.ask());
        // If it were not woken this would take for ever.
        assert!(stop.wait(Duration::from_secs(3600)));
        assert!(stop.asked());
        asking.join().expect("asked");
    }
}

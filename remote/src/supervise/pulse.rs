//! Whether each thread moves, so that health can name the one that does not.

use super::monotonic;
use serde::Serialize;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// A thread that has neither beaten nor said that it waits for this long does not move.
pub const STUCK_AFTER: Duration = Duration::from_secs(10);

#[derive(Debug)]
struct Beat {
    thread: String,
    /// Milliseconds of [`monotonic`] until which silence is fine.
    quiet_until: AtomicU64,
}

/// Held by a thread, which says with it that it moves. Dropped by a panic, it says that the thread is dead.
#[derive(Debug)]
pub struct Pulse(Arc<Beat>);

impl Pulse {
    /// It made progress, or found that there is nothing to do.
    pub fn beat(&self) {
        self.quiet_for(STUCK_AFTER);
    }

    /// It begins with something that takes `span` at most.
    pub fn quiet_for(&self, span: Duration) {
        self.0.quiet_until.store(millis(monotonic() + span.max(STUCK_AFTER)), Ordering::Relaxed);
    }

    /// A way to give signs of life, for what the thread does.
    pub(super) fn sign(&self) -> Sign {
        Sign(Arc::clone(&self.0))
    }
}

/// Gives signs of life for a thread.
#[derive(Clone, Debug)]
pub(super) struct Sign(Arc<Beat>);

impl Sign {
    /// The thread moves; what it said that it may take still holds.
    pub(super) fn give(&self) {
        self.0.quiet_until.fetch_max(millis(monotonic() + STUCK_AFTER), Ordering::Relaxed);
    }
}

impl Drop for Pulse {
    fn drop(&mut self) {
        let until = if std::thread::panicking() { 0 } else { u64::MAX };
        self.0.quiet_until.store(until, Ordering::Relaxed);
    }
}

/// What health shows of a thread.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ThreadHealth {
    /// Its name.
    pub thread: String,
    /// It made progress lately, or waits for something.
    pub moving: bool,
}

/// The pulses of all threads.
#[derive(Clone, Debug, Default)]
pub struct Pulses(Arc<Mutex<Vec<Arc<Beat>>>>);

impl Pulses {
    /// One more thread, which counts as moving from now on.
    pub fn register(&self, thread: &str) -> Pulse {
        let beat = Arc::new(Beat { thread: thread.to_owned(), quiet_until: AtomicU64::new(0) });
        let pulse = Pulse(Arc::clone(&beat));
        pulse.beat();
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(beat);
        pulse
    }

    /// The state of every thread at `now` of [`monotonic`].
    pub fn health(&self, now: Duration) -> Vec<ThreadHealth> {
        let beats = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let health = |beat: &Arc<Beat>| ThreadHealth {
            thread: beat.thread.clone(),
            moving: millis(now) <= beat.quiet_until.load(Ordering::Relaxed),
        };
        beats.iter().map(health).collect()
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moving(pulses: &Pulses, now: Duration) -> Vec<bool> {
        pulses.health(now).iter().map(|health| health.moving).collect()
    }

    #[test]
    fn a_silent_thread_is_told_from_one_that_said_that_it_takes_long() {
        let pulses = Pulses::default();
        let [_silent, working] = ["janitor", "worker 1"].map(|name| pulses.register(name));
        working.quiet_for(STUCK_AFTER * 10);
        working.sign().give();
        let now = monotonic();
        assert_eq!(moving(&pulses, now), [true, true]);
        assert_eq!(moving(&pulses, now + STUCK_AFTER * 2), [false, true]);
        assert_eq!(pulses.health(now)[0].thread, "janitor");
    }

    #[test]
    fn a_thread_that_panicked_does_not_move_and_one_that_ended_is_well() {
        let pulses = Pulses::default();
        drop(pulses.register("well"));
        let pulse = pulses.register("dead");
        let died = std::thread::spawn(move || {
            pulse.beat();
            panic!("as meant");
        });
        assert!(died.join().is_err());
        assert_eq!(moving(&pulses, monotonic()), [true, false]);
    }
}

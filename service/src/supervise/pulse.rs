//! The pulse of each thread: whether it moves, so that health can name the one that does not, and the process can act.
//!
//! ```text
//! beat . beat .. beat ..... silent for more than STUCK_AFTER: it stands still
//!             within(limit) [............] beat: for `limit`, silence is fine
//! ```
//!
//! Whoever looks at the wish to end, waits for it, or reads on in a large file, beats. What may rightly take longer than [`STUCK_AFTER`] without
//! any of that is run [`within`] a limit of its own.

use super::clock::monotonic;
use serde::Serialize;
use std::cell::RefCell;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// A thread that is silent for longer, and has not said that it may be, stands still.
pub const STUCK_AFTER: Duration = Duration::from_secs(5);

thread_local! {
    /// Of the running thread, if anybody feels it.
    static OWN: RefCell<Option<Arc<Beat>>> = const { RefCell::new(None) };
}

/// The running thread moves.
pub fn beat() {
    OWN.with_borrow(|own| own.iter().for_each(|own| own.silent_until(monotonic() + STUCK_AFTER)));
}

/// Runs what may take the running thread longer than [`STUCK_AFTER`], but at most `limit`.
pub fn within<T>(limit: Duration, job: impl FnOnce() -> T) -> T {
    let own = OWN.with_borrow(Clone::clone);
    // An outer job may have a limit too, which still holds behind this one.
    let outer = own.as_ref().map_or(0, |own| own.quiet_until.load(Ordering::Relaxed));
    own.iter().for_each(|own| own.silent_until(monotonic() + limit));
    let done = job();
    if let Some(own) = own {
        own.quiet_until.store(outer.max(millis(monotonic() + STUCK_AFTER)), Ordering::Relaxed);
    }
    done
}

/// What is known of one thread.
#[derive(Debug)]
pub(super) struct Beat {
    pub(super) thread: String,
    /// Milliseconds of [`monotonic`] until which silence is fine.
    quiet_until: AtomicU64,
}

impl Beat {
    /// Silence is fine until then, if it was not for longer already.
    fn silent_until(&self, time: Duration) {
        self.quiet_until.fetch_max(millis(time), Ordering::Relaxed);
    }

    /// Whether it moves at `now` of [`monotonic`].
    pub(super) fn moves(&self, now: Duration) -> bool {
        millis(now) <= self.quiet_until.load(Ordering::Relaxed)
    }
}

/// The pulse of a thread, or of some together, as long as that lives. Dropped by a panic, it says that the thread is dead; else that it ended well.
#[derive(Debug)]
pub struct Pulse(Arc<Beat>);

impl Pulse {
    /// From now on it is the pulse of the running thread.
    pub(super) fn attach(&self) {
        OWN.set(Some(Arc::clone(&self.0)));
    }

    /// Silence is fine until `time` of [`monotonic`] and no longer; without a time, for ever. For what has no thread of its own to feel.
    pub fn expect_by(&self, time: Option<Duration>) {
        self.0.quiet_until.store(time.map_or(u64::MAX, millis), Ordering::Relaxed);
    }
}

impl Drop for Pulse {
    fn drop(&mut self) {
        self.expect_by(std::thread::panicking().then_some(Duration::ZERO));
    }
}

/// What health shows of a thread.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ThreadHealth {
    /// Its name.
    pub thread: String,
    /// It made progress lately, or waits for something bounded.
    pub moving: bool,
}

/// The pulses of all threads of a process.
#[derive(Clone, Debug, Default)]
pub struct Pulses(Arc<Mutex<Vec<Arc<Beat>>>>);

impl Pulses {
    /// One more thread, which counts as moving for [`STUCK_AFTER`] from now.
    pub fn register(&self, thread: &str) -> Pulse {
        let beat = Beat { thread: thread.to_owned(), quiet_until: AtomicU64::new(0) };
        beat.silent_until(monotonic() + STUCK_AFTER);
        let beat = Arc::new(beat);
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(&beat));
        Pulse(beat)
    }

    /// The running thread is one more, called `thread`, until the end of the process.
    pub fn adopt(&self, thread: &str) {
        let pulse = std::mem::ManuallyDrop::new(self.register(thread));
        pulse.attach();
    }

    /// The state of every thread at `now` of [`monotonic`].
    pub fn health(&self, now: Duration) -> Vec<ThreadHealth> {
        let health = |beat: &Arc<Beat>| ThreadHealth { thread: beat.thread.clone(), moving: beat.moves(now) };
        self.all().iter().map(health).collect()
    }

    /// All that are registered by now.
    pub(super) fn all(&self) -> Vec<Arc<Beat>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moving(pulses: &Pulses, later: Duration) -> Vec<bool> {
        pulses.health(monotonic() + later).iter().map(|health| health.moving).collect()
    }

    /// What is seen `later` of a thread that does this.
    fn seen(later: Duration, job: impl FnOnce(&dyn Fn() -> bool) + Send + 'static) {
        let pulses = Pulses::default();
        let pulse = pulses.register("worker");
        let thread = std::thread::spawn(move || {
            pulse.attach();
            job(&|| moving(&pulses, later)[0]);
        });
        thread.join().expect("ends well");
    }

    #[test]
    fn a_silent_thread_is_told_from_one_that_said_that_it_takes_long() {
        seen(STUCK_AFTER * 2, |moves| {
            beat();
            assert!(!moves());
            assert!(within(STUCK_AFTER * 3, moves));
            assert!(!moves(), "the limit was for the job alone");
        });
        seen(Duration::ZERO, |moves| assert!(moves(), "it has just begun"));
    }

    #[test]
    fn a_beat_or_a_shorter_job_does_not_end_the_limit_around_it() {
        seen(STUCK_AFTER * 2, |moves| {
            within(STUCK_AFTER * 3, || {
                beat();
                assert!(moves());
                assert!(within(Duration::ZERO, moves));
                assert!(moves());
            });
        });
    }

    #[test]
    fn a_thread_that_panicked_does_not_move_and_one_that_ended_is_well() {
        let pulses = Pulses::default();
        drop(pulses.register("well"));
        let pulse = pulses.register("dead");
        let died = std::thread::spawn(move || {
            pulse.attach();
            panic!("as meant");
        });
        assert!(died.join().is_err());
        assert_eq!(moving(&pulses, Duration::ZERO), [true, false]);
        assert_eq!(pulses.health(monotonic())[1].thread, "dead");
    }

    #[test]
    fn a_thread_that_nobody_feels_works_as_any_other() {
        beat();
        assert_eq!(within(Duration::ZERO, || 7), 7);
    }
}

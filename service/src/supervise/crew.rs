//! The threads beside a tokio runtime, for what blocks: a disk, a decoder. They come and go, so they have one pulse together.
//!
//! ```text
//! aside --> waiting --begin--> at work --end--> nobody's
//!              |                  |
//!              |                  none may be at work for longer than STUCK_AFTER
//!              while one waits, some other must begin or end within STUCK_AFTER
//! ```

use super::clock::monotonic;
use super::pulse::{Pulse, Pulses, STUCK_AFTER};
use std::cell::RefCell;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::task::{JoinHandle, spawn_blocking};

thread_local! {
    /// Of the runtime of the running thread.
    static OWN: RefCell<Option<Crew>> = const { RefCell::new(None) };
}

/// Runs a short job that blocks beside the thread of the tokio runtime that calls this. The runtime bounds how many run at once; the others
/// wait their turn.
pub fn aside<T: Send + 'static>(job: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
    let ticket = OWN.with_borrow(|own| own.as_ref().map(Crew::take_on));
    spawn_blocking(move || {
        let _at_work = ticket.map(Ticket::begin);
        job()
    })
}

/// The threads beside one runtime, as one.
#[derive(Clone)]
pub struct Crew(Arc<Shared>);

struct Shared {
    jobs: Mutex<Jobs>,
    pulse: Pulse,
}

/// What there is to do.
#[derive(Default)]
struct Jobs {
    /// Number of a job, and since when it is at work.
    at_work: Vec<(u64, Duration)>,
    /// How many wait.
    waiting: usize,
    /// When the first of those came, or another job began or ended since.
    moved: Duration,
    /// Numbers given so far.
    begun: u64,
}

impl Jobs {
    fn take_on(&mut self, now: Duration) {
        if self.waiting == 0 {
            self.moved = now;
        }
        self.waiting += 1;
    }

    fn begin(&mut self, now: Duration) -> u64 {
        self.waiting -= 1;
        self.moved = now;
        self.begun += 1;
        self.at_work.push((self.begun, now));
        self.begun
    }

    /// `None`: it will never begin.
    fn end(&mut self, number: Option<u64>, now: Duration) {
        match number {
            Some(number) => self.at_work.retain(|(other, _)| *other != number),
            None => self.waiting -= 1,
        }
        self.moved = now;
    }

    /// Until when silence is fine; for ever, while there is nothing to do.
    fn quiet_until(&self) -> Option<Duration> {
        let waiting = (self.waiting > 0).then_some(self.moved);
        let oldest = self.at_work.iter().map(|(_, since)| *since).chain(waiting).min();
        oldest.map(|since| since + STUCK_AFTER)
    }
}

impl Crew {
    /// The threads called `name`, with nothing to do.
    pub fn new(name: &str, pulses: &Pulses) -> Self {
        let pulse = pulses.register(name);
        pulse.expect_by(None);
        Self(Arc::new(Shared { jobs: Mutex::default(), pulse }))
    }

    /// The runtime is that of the running thread.
    pub fn attach(&self) {
        OWN.set(Some(self.clone()));
    }

    fn take_on(&self) -> Ticket {
        self.change(Jobs::take_on);
        Ticket { crew: self.clone(), number: None }
    }

    fn change<T>(&self, change: impl FnOnce(&mut Jobs, Duration) -> T) -> T {
        let mut jobs: MutexGuard<'_, Jobs> = self.0.jobs.lock().unwrap_or_else(PoisonError::into_inner);
        let changed = change(&mut jobs, monotonic());
        self.0.pulse.expect_by(jobs.quiet_until());
        changed
    }
}

/// A job; dropped when it ends, or when it is clear that it will never begin.
struct Ticket {
    crew: Crew,
    /// Once it has begun.
    number: Option<u64>,
}

impl Ticket {
    fn begin(mut self) -> Self {
        self.number = Some(self.crew.change(Jobs::begin));
        self
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.crew.change(|jobs, now| jobs.end(self.number, now));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn the_oldest_job_at_work_counts() {
        let mut jobs = Jobs::default();
        assert_eq!(jobs.quiet_until(), None);
        jobs.take_on(at(1));
        let first = jobs.begin(at(2));
        jobs.take_on(at(3));
        let second = jobs.begin(at(3));
        assert_eq!(jobs.quiet_until(), Some(at(2) + STUCK_AFTER));
        jobs.end(Some(first), at(4));
        assert_eq!(jobs.quiet_until(), Some(at(3) + STUCK_AFTER));
        jobs.end(Some(second), at(5));
        assert_eq!(jobs.quiet_until(), None);
    }

    #[test]
    fn a_long_queue_is_fine_as_long_as_it_moves_and_a_thread_that_never_comes_is_not() {
        let mut jobs = Jobs::default();
        (0..3).for_each(|_| jobs.take_on(at(1)));
        assert_eq!(jobs.quiet_until(), Some(at(1) + STUCK_AFTER));
        let first = jobs.begin(at(5));
        jobs.end(Some(first), at(9));
        assert_eq!(jobs.quiet_until(), Some(at(9) + STUCK_AFTER));
        (0..2).for_each(|_| jobs.end(None, at(10)));
        assert_eq!(jobs.quiet_until(), None, "the runtime has ended");
    }

    #[test]
    fn a_job_is_at_work_from_its_beginning_to_its_end() {
        let pulses = Pulses::default();
        let crew = Crew::new("io", &pulses);
        let moving = |later| pulses.health(monotonic() + later)[0].moving;
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        crew.attach();
        let (hold, held) = std::sync::mpsc::channel::<()>();
        runtime.block_on(async {
            let job = aside(move || held.recv());
            assert!(moving(Duration::ZERO));
            assert!(!moving(STUCK_AFTER * 2), "it hangs");
            drop(hold);
            job.await.expect("ends").expect_err("nobody sent anything");
            assert!(moving(STUCK_AFTER * 2));
        });
    }
}

//! What everybody in a run shares: chance, time, the judge and the trace.

use super::judge::Judge;
use super::random::Random;
use super::tasks::Tasks;
use std::cell::{Cell, RefCell};
use std::rc::Rc;

/// One run's.
pub struct World {
    /// All chance.
    pub random: Random,
    /// Everybody who acts, and the time.
    pub tasks: Tasks,
    /// Who knows what must be where.
    pub judge: RefCell<Judge>,
    /// Faults are over: what is not done yet must be done soon.
    pub calm: Cell<bool>,
    trace: Option<RefCell<Vec<String>>>,
    broken: RefCell<Option<String>>,
}

impl World {
    /// The world of a seed; a trace costs time and memory.
    pub fn new(seed: u64, traced: bool) -> Rc<Self> {
        Rc::new(Self {
            random: Random::new(seed),
            tasks: Tasks::default(),
            judge: RefCell::default(),
            calm: Cell::new(false),
            trace: traced.then(RefCell::default),
            broken: RefCell::default(),
        })
    }

    /// Adds a line to the trace.
    pub fn tell(&self, line: impl FnOnce() -> String) {
        if let Some(trace) = &self.trace {
            let (now, who) = (self.tasks.now(), self.tasks.who());
            trace.borrow_mut().push(format!("{:>14.6} {who:<12} {}", now.as_secs_f64(), line()));
        }
    }

    /// An invariant does not hold; the first one counts.
    pub fn fail(&self, what: String) {
        self.tell(|| format!("!!! {what}"));
        self.broken.borrow_mut().get_or_insert(what);
    }

    /// The invariant that did not hold.
    pub fn broken(&self) -> Option<String> {
        self.broken.borrow().clone()
    }

    /// The trace so far.
    pub fn trace(&self) -> Vec<String> {
        self.trace.as_ref().map(|trace| trace.borrow().clone()).unwrap_or_default()
    }
}

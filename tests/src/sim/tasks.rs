//! Everybody who acts, in one thread: tasks take turns in the order of virtual time.
//!
//! ```text
//! task a   --turn--|            |--turn--> (done)
//! task b           |--turn--|-------------------X killed: its process died in between
//!          0       10 us    25 us               4 s        virtual time
//! ```
//!
//! A turn is whatever a task does between two waits, and nobody else acts meanwhile: every call of an operating system is a turn of its own.
//! A process dies between two turns, because that is where other tasks act. What it holds is dropped, as a kernel would.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

/// A process: the tasks that die together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Process(pub u64);

/// One thread of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TaskId(u64);

struct Task {
    process: Process,
    name: String,
    /// When its next turn is; `None`: when somebody wakes it.
    at: Option<Duration>,
    /// `None` while it has its turn.
    future: Option<Pin<Box<dyn Future<Output = ()>>>>,
}

/// All tasks, and the time.
#[derive(Default)]
pub struct Tasks {
    now: Cell<Duration>,
    tasks: RefCell<BTreeMap<TaskId, Task>>,
    ids: Cell<u64>,
    current: Cell<Option<TaskId>>,
}

impl Tasks {
    /// Virtual time since the run began.
    pub fn now(&self) -> Duration {
        self.now.get()
    }

    /// A number that nobody has had.
    pub fn id(&self) -> u64 {
        self.ids.set(self.ids.get() + 1);
        self.ids.get()
    }

    /// A task of `process` that has its first turn now.
    pub fn spawn(&self, process: Process, name: &str, future: impl Future<Output = ()> + 'static) {
        let task =
            Task { process, name: name.to_owned(), at: Some(self.now()), future: Some(Box::pin(future)) };
        self.tasks.borrow_mut().insert(TaskId(self.id()), task);
    }

    /// Ends all tasks of a process, wherever they are.
    pub fn kill(&self, process: Process) {
        let dead: Vec<TaskId> = {
            let tasks = self.tasks.borrow();
            tasks.iter().filter(|(_, task)| task.process == process).map(|(id, _)| *id).collect()
        };
        for id in dead {
            // What it held is dropped after the list is free again: it may look at the list.
            let task = self.tasks.borrow_mut().remove(&id);
            drop(task);
        }
    }

    /// Who has the turn: a name for the trace.
    pub fn who(&self) -> String {
        let name = |id| self.tasks.borrow().get(&id).map(|task: &Task| task.name.clone());
        self.current.get().and_then(name).unwrap_or_default()
    }

    /// The task that has the turn.
    pub fn current(&self) -> Option<TaskId> {
        self.current.get()
    }

    /// Gives the next task its turn; `false` if nobody will ever have one again.
    pub fn step(&self) -> bool {
        let next = {
            let tasks = self.tasks.borrow();
            tasks.iter().filter_map(|(id, task)| Some((task.at?, *id))).min()
        };
        let Some((at, id)) = next else { return false };
        self.now.set(self.now().max(at));
        let future = self.tasks.borrow_mut().get_mut(&id).and_then(|task| {
            task.at = None;
            task.future.take()
        });
        let Some(mut future) = future else { return true };
        self.current.set(Some(id));
        let polled = future.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        self.current.set(None);
        if polled.is_pending() {
            // It is gone if it ended itself.
            if let Some(task) = self.tasks.borrow_mut().get_mut(&id) {
                task.future = Some(future);
            }
        } else {
            let task = self.tasks.borrow_mut().remove(&id);
            drop(task);
        }
        true
    }

    /// Waits for `span`.
    pub async fn sleep(&self, span: Duration) {
        let until = self.now().saturating_add(span);
        while self.now() < until {
            self.park(Some(until)).await;
        }
    }

    /// Waits to be woken, at most until `deadline`. The caller looks whether what it waits for has happened.
    pub async fn park(&self, deadline: Option<Duration>) {
        let mut parked = false;
        poll_fn(|_| {
            if std::mem::replace(&mut parked, true) {
                return Poll::Ready(());
            }
            if let (Some(id), mut tasks) = (self.current.get(), self.tasks.borrow_mut())
                && let Some(task) = tasks.get_mut(&id)
            {
                task.at = deadline;
            }
            Poll::Pending
        })
        .await;
    }

    /// A parked task has its turn at `at`, if not before.
    pub fn wake(&self, id: TaskId, at: Duration) {
        if let Some(task) = self.tasks.borrow_mut().get_mut(&id) {
            task.at = Some(task.at.map_or(at, |known| known.min(at)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::rc::Rc;

    #[test]
    fn tasks_take_turns_in_the_order_of_time_and_a_killed_one_drops_what_it_held() {
        let tasks = Rc::new(Tasks::default());
        let seen = Rc::new(RefCell::new(Vec::new()));
        let held = Rc::new(());
        for (name, process, spans) in [("a", 1, [10, 30]), ("b", 2, [20, 1]), ("c", 3, [15, 100])] {
            let (clock, seen, held) = (Rc::clone(&tasks), Rc::clone(&seen), Rc::clone(&held));
            tasks.spawn(Process(process), name, async move {
                let _held = held;
                for span in spans {
                    clock.sleep(Duration::from_micros(span)).await;
                    seen.borrow_mut().push((clock.now().as_micros(), clock.who()));
                }
            });
        }
        while tasks.now() < Duration::from_micros(40) && tasks.step() {}
        assert_eq!(Rc::strong_count(&held), 2);
        tasks.kill(Process(3));
        assert_eq!(Rc::strong_count(&held), 1);
        assert!(!tasks.step());
        let seen: Vec<String> = seen.borrow().iter().map(|(at, who)| format!("{at} {who}")).collect();
        assert_eq!(seen, ["10 a", "15 c", "20 b", "21 b", "40 a"]);
    }
}

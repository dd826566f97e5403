//! What waits for a worker of one process: each NAME once.

use super::disk::Inode;
use super::tasks::{TaskId, Tasks};
use media::handshake::claim::Found;
use std::cell::RefCell;
use std::collections::{BTreeSet, VecDeque};

/// A recording that a worker may have.
#[derive(Clone, Debug)]
pub struct Job {
    /// Its NAME.
    pub name: String,
    /// Where it was found; of a claim the account does not matter any more.
    pub inbox: String,
    /// What it was found as.
    pub found: Found,
    /// Which file its lock was, if it was found beside somebody else's.
    pub lock: Option<Inode>,
}

#[derive(Default)]
struct Jobs {
    waiting: VecDeque<Job>,
    known: BTreeSet<(bool, String)>,
    idle: Vec<TaskId>,
}

/// The queue between the janitor and the workers of a process.
#[derive(Default)]
pub struct Queue(RefCell<Jobs>);

fn key(job: &Job) -> (bool, String) {
    (matches!(job.found, Found::Orphan { .. }), job.name.clone())
}

impl Queue {
    /// Offers a job, unless it is known already.
    pub fn offer(&self, tasks: &Tasks, job: Job) {
        let mut jobs = self.0.borrow_mut();
        if jobs.known.insert(key(&job)) {
            jobs.waiting.push_back(job);
            jobs.idle.drain(..).for_each(|worker| tasks.wake(worker, tasks.now()));
        }
    }

    /// Waits for the next job.
    pub async fn next(&self, tasks: &Tasks) -> Job {
        loop {
            {
                let mut jobs = self.0.borrow_mut();
                if let Some(job) = jobs.waiting.pop_front() {
                    return job;
                }
                jobs.idle.extend(tasks.current());
            }
            tasks.park(None).await;
        }
    }

    /// The job has come to an end.
    pub fn done(&self, job: &Job) {
        self.0.borrow_mut().known.remove(&key(job));
    }
}

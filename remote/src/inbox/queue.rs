//! What waits for a worker: bounded, each NAME once, no account more than a quarter.
//!
//! Nothing is lost when it is full: what was turned away still stands in its folder, and the next look finds it again.

use super::name::Name;
use super::scan::Account;
use crate::supervise::beat;
use media::handshake::claim::Found;
use std::collections::{HashSet, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Jobs that wait at most.
pub const MOST: usize = 256;
/// Jobs of one account that wait or are worked on at most.
pub const MOST_OF_ACCOUNT: usize = 128;

/// From one sign of life of a worker that waits to the next.
const TURN: Duration = Duration::from_secs(1);

/// A recording that a worker may have.
#[derive(Clone, Debug)]
pub struct Job {
    /// Whose inbox it stands in; a claim that was taken over tells by its tries.
    pub account: Option<Arc<Account>>,
    /// Its NAME.
    pub name: Name,
    /// What it was found as.
    pub found: Found,
    /// Which file its lock was, if it was found beside somebody else's.
    pub lock: Option<(u64, u64)>,
}

/// Which job it is: whose, and its NAME.
type Key = (String, Name);

impl Job {
    fn key(&self) -> Key {
        (self.account.as_ref().map(|account| account.name.clone()).unwrap_or_default(), self.name.clone())
    }
}

#[derive(Default)]
struct Jobs {
    waiting: VecDeque<Job>,
    /// Waiting or worked on.
    known: HashSet<Key>,
    closed: bool,
    /// Something was turned away since the last [`Queue::wait_for_room`].
    turned_away: bool,
}

/// The queue between the janitor and the workers.
#[derive(Default)]
pub struct Queue {
    jobs: Mutex<Jobs>,
    changed: Condvar,
}

impl Queue {
    /// Offers a job; one that is known already, or for which there is no room, is turned away.
    pub fn offer(&self, job: Job) {
        let mut jobs = self.lock();
        let key = job.key();
        if jobs.known.contains(&key) {
            return;
        }
        let of_account = jobs.known.iter().filter(|(account, _)| *account == key.0).count();
        if jobs.waiting.len() >= MOST || of_account >= MOST_OF_ACCOUNT {
            jobs.turned_away = true;
            return;
        }
        jobs.known.insert(key);
        jobs.waiting.push_back(job);
        self.changed.notify_all();
    }

    /// Waits for the next job; `None` once the queue is closed. [`Queue::done`] must follow.
    pub fn next(&self) -> Option<Job> {
        let mut jobs = self.lock();
        while jobs.waiting.is_empty() && !jobs.closed {
            beat();
            let waited = self.changed.wait_timeout(jobs, TURN);
            jobs = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        if jobs.closed {
            return None;
        }
        let job = jobs.waiting.pop_front();
        self.changed.notify_all();
        job
    }

    /// The job has come to an end.
    pub fn done(&self, job: &Job) {
        self.lock().known.remove(&job.key());
    }

    /// Whether a recording of that name, or the part that it is made of, waits or is worked on.
    pub fn knows(&self, name: &Name) -> bool {
        self.lock().known.iter().any(|(_, known)| known == name || known.partial() == *name)
    }

    /// Waits for the time of the next look: `pause` from now, or as soon as there is room if something was turned away.
    pub fn wait_for_room(&self, pause: Duration) {
        let mut jobs = self.lock();
        let turned_away = std::mem::take(&mut jobs.turned_away);
        let is_time = |jobs: &Jobs| jobs.closed || turned_away && jobs.waiting.is_empty();
        drop(self.changed.wait_timeout_while(jobs, pause, |jobs| !is_time(jobs)));
    }

    /// Nobody gets a job any more.
    pub fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_all();
    }

    /// Jobs that wait.
    pub fn len(&self) -> usize {
        self.lock().waiting.len()
    }

    /// Whether no job waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn lock(&self) -> MutexGuard<'_, Jobs> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(account: &str, name: &str) -> Job {
        let dir = std::env::temp_dir();
        let folder = crate::folder::Folder::open(&dir).expect("opens");
        let account = Arc::new(Account { name: account.to_owned(), folder });
        Job {
            account: Some(account),
            name: Name::new(name).expect("a name"),
            found: Found::Recording,
            lock: None,
        }
    }

    #[test]
    fn a_name_waits_once_and_again_only_after_its_end() {
        let queue = Queue::default();
        queue.offer(job("a", "x"));
        queue.offer(job("a", "x"));
        queue.offer(job("b", "x"));
        assert_eq!(queue.len(), 2);
        let first = queue.next().expect("a job");
        queue.offer(job("a", "x"));
        assert_eq!(queue.len(), 1);
        queue.done(&first);
        assert!(queue.knows(&first.name.partial()), "what is made of a part is worked on with it");
        assert!(!queue.knows(&job("a", "y").name));
        queue.offer(job("a", "x"));
        assert_eq!(queue.len(), 2);
    }

    #[test]
    fn no_account_fills_the_queue() {
        let queue = Queue::default();
        (0..1000).for_each(|n| queue.offer(job("flood", &n.to_string())));
        assert_eq!(queue.len(), MOST_OF_ACCOUNT);
        queue.offer(job("b", "x"));
        (0..1000).for_each(|n| queue.offer(job("c", &n.to_string())));
        assert_eq!(queue.len(), MOST);
        queue.close();
        assert!(queue.next().is_none());
    }
}

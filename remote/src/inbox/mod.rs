//! Taking recordings in: from what cameras may write to what is the remote's own.
//!
//! ```text
//! inbox/ACCOUNT/inbox/ --> janitor --queue--> workers --> claim/ --> hls/NAME/, archive/NAME.mp4
//!                             |                  |
//!                             v                  v
//!                  dead locks, dead workers    quarantine/ACCOUNT/
//! ```
//!
//! The janitor looks at every NAME and judges; workers go through W1 to W6. Both follow
//! [`media::handshake::claim`]; docs/design/inbox.md has owners, invariants and what follows each crash.

pub mod claim;
mod janitor;
pub mod lease;
pub mod ledger;
pub mod name;
mod partial;
pub mod quarantine;
pub mod queue;
pub mod scan;
pub mod scratch;
pub mod tries;
pub mod whole;

use crate::config::Config;
use crate::folder::Error;
use crate::folders::Folders;
use crate::status::Status;
use crate::supervise::{self, Stop, Threads};
use claim::Hand;
use media::handshake::claim::Outcome;
use media::names::LockToken;
use quarantine::Quarantine;
use queue::{Job, Queue};
use scratch::Scratch;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// Waits of a worker that is hindered: the first, and the longest.
const HINDERED: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(60)];
/// What a fault of the workers is shown as.
const WORKERS: &str = "inbox";

/// What is made of a recording (W4).
pub trait Work: Send + Sync {
    /// Makes the output of `input` below `tmp`, syncs it, and renames it into `hls`. The same input gives the same names
    /// and bytes, and gives way to what is there already. Once `stop` is asked for it may end early, with
    /// [`Failure::Stopped`].
    ///
    /// # Errors
    /// Whose fault it was.
    fn make(&self, input: &Input<'_>, tmp: &Path, hls: &Path, stop: &Stop) -> Result<(), Failure>;
}

/// A recording that was accepted.
#[derive(Clone, Copy, Debug)]
pub struct Input<'a> {
    /// Where it is; no camera can change it.
    pub path: &'a Path,
    /// Its NAME.
    pub name: &'a str,
    /// Whose it is.
    pub account: &'a str,
}

/// Why a step did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The recording is at fault.
    #[error("{0}")]
    File(String),
    /// The host is: disk full, read-only, no descriptors.
    #[error(transparent)]
    Host(#[from] Error),
    /// The process ends.
    #[error("the process ends")]
    Stopped,
}

/// Everything that janitor and workers share.
pub struct Inbox {
    folders: Folders,
    config: Config,
    status: Arc<Status>,
    work: Box<dyn Work>,
    token: LockToken,
    queue: Queue,
}

impl Inbox {
    /// Opens the folders of `config`; those that are missing are made.
    ///
    /// # Errors
    /// One can be neither opened nor made.
    pub fn open(config: Config, status: Arc<Status>, work: Box<dyn Work>) -> Result<Arc<Self>, Error> {
        let folders = Folders::open(&config.dir)?;
        Ok(Arc::new(Self { folders, config, status, work, token: token(), queue: Queue::default() }))
    }

    /// Starts the janitor and the workers.
    ///
    /// # Errors
    /// The system has no thread left.
    pub fn start(self: &Arc<Self>, threads: &mut Threads) -> io::Result<()> {
        let inbox = Arc::clone(self);
        threads.spawn("janitor", move |stop| janitor::run(&inbox, &stop))?;
        for n in 1..=self.config.inbox.workers {
            let inbox = Arc::clone(self);
            let name = format!("worker {n}");
            threads.spawn(&name.clone(), move |stop| inbox.run_worker(n, &name, &stop))?;
        }
        Ok(())
    }

    /// Wakes whoever waits for a recording, so that it sees the wish to end.
    pub fn close(&self) {
        self.queue.close();
    }

    fn quarantine(&self) -> Quarantine<'_> {
        Quarantine {
            folder: &self.folders.quarantine,
            bounds: &self.config.quarantine,
            metrics: &self.status.metrics,
        }
    }

    /// One loop: the next recording, all the way. What hinders every recording is waited for.
    fn run_worker(&self, n: usize, worker: &str, stop: &Stop) {
        let mut wait = HINDERED[0];
        while !stop.asked() {
            let trouble = match Scratch::new(&self.folders.tmp, &format!("{}-{n}", std::process::id())) {
                Ok(scratch) => self.work_until_hindered(worker, &scratch, stop, &mut wait),
                Err(error) => Some(error),
            };
            let Some(trouble) = trouble else { return };
            self.status.set_fault(WORKERS, Some(trouble.to_string()));
            stop.wait(wait);
            wait = HINDERED[1].min(wait * 2);
        }
    }

    /// Takes jobs until the end, or until the host lacks something that every job needs: then that is told.
    fn work_until_hindered(
        &self,
        worker: &str,
        scratch: &Scratch<'_>,
        stop: &Stop,
        wait: &mut Duration,
    ) -> Option<Error> {
        while let Some(job) = self.queue.next() {
            self.status.metrics.queue.set(self.queue.len() as i64);
            self.status.begin(worker, job.name.as_str(), supervise::wall_now());
            let (outcome, trouble) = match Hand::new(self, scratch, stop, &job) {
                Ok(mut hand) => hand.run(),
                Err(error) => (Outcome::Hindered, Some(error)),
            };
            self.queue.done(&job);
            self.status.end(worker, &words(&outcome), supervise::wall_now());
            self.tell(&job, &outcome);
            match trouble {
                None => {
                    *wait = HINDERED[0];
                    self.status.set_fault(WORKERS, None);
                }
                Some(trouble) => {
                    tracing::error!(worker, name = %job.name, %trouble, "hindered");
                    self.status.metrics.hindrances.inc();
                    if trouble.is_scarcity() {
                        return Some(trouble);
                    }
                }
            }
        }
        None
    }

    fn tell(&self, job: &Job, outcome: &Outcome) {
        let metrics = &self.status.metrics;
        let account = job.account.as_ref().map_or(quarantine::NOBODY, |account| account.name.as_str());
        let name = &job.name;
        match outcome {
            Outcome::Done => {
                metrics.recordings_accepted.inc();
                tracing::info!(%name, account, "accepted");
            }
            Outcome::Known => {
                metrics.recordings_known.inc();
                tracing::info!(%name, account, "known already");
            }
            Outcome::Ledger => tracing::info!(%name, account, "ledger accepted, of a part that was given up"),
            Outcome::Quarantined(reason) => tracing::error!(%name, account, reason, "put aside"),
            Outcome::Failed(reason) => {
                metrics.work_failures.inc();
                tracing::warn!(%name, account, reason, "failed, will be tried again");
            }
            Outcome::Lost | Outcome::Left | Outcome::Hindered => {
                tracing::debug!(%name, account, outcome = words(outcome));
            }
        }
    }
}

/// An outcome in words.
fn words(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Done => "done".to_owned(),
        Outcome::Known => "known already".to_owned(),
        Outcome::Ledger => "a ledger, kept".to_owned(),
        Outcome::Lost => "another worker was first".to_owned(),
        Outcome::Left => "still being written".to_owned(),
        Outcome::Hindered => "the host was hindered".to_owned(),
        Outcome::Quarantined(reason) => format!("put aside: {reason}"),
        Outcome::Failed(reason) => format!("failed: {reason}"),
    }
}

/// What the locks of this process hold.
fn token() -> LockToken {
    let host = nix::unistd::gethostname().unwrap_or_else(|_| "remote".into());
    let plain = |c: char| if c.is_ascii_alphanumeric() || c == '-' || c == '.' { c } else { '_' };
    let host: String = host.to_string_lossy().chars().map(plain).take(64).collect();
    LockToken::Chop { host, boot: supervise::boot_id(), pid: std::process::id() }
}

//! Sealed recordings travel to the remote host, oldest first. docs/design/upload.md has the procedure.
//!
//! ```text
//! STORE --oldest without a receipt--> handshake (media) --Step--> Inbox (SFTP over Link)
//!   ^                                     |      ^                    |
//!   +----------- journal -----------------+      +------- Reply ------+
//! ```
//!
//! One thread, one session, one recording at a time. What fails is tried again: a session with a growing wait, a single recording
//! (a name clash, say) after the others. While the remote host is away nothing else notices.

mod error;
mod inbox;
pub mod key;
mod link;
mod posix_rename;

pub use error::Error;

use crate::config::{self, Current};
use crate::status::{Status, UploadFailure, UploadState, UploadStatus};
use crate::store::{self, Pending, Stage, Store};
use crate::supervise::{Backoff, Heartbeat, Stop, clock};
use inbox::{Inbox, Local};
use key::DeviceKey;
use link::Link;
use media::Ticks90k;
use media::handshake::{Fault, Reply, Step, Upload};
use media::names::{LockToken, RecordingName};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

/// How often the store is asked for something to send.
const POLL: Duration = Duration::from_millis(500);
/// Recordings that are held back at most; beyond that the wait is for all.
const MOST_HELD_BACK: usize = 256;

/// What an uploader works with.
pub struct Inputs {
    /// Where the recordings come from.
    pub store: Store,
    /// The configuration in force; without `[upload]` nothing is sent.
    pub current: Current,
    /// Where progress is told.
    pub status: Arc<Status>,
    /// How long it waits.
    pub patience: Patience,
}

/// How long an uploader waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// For one answer of the remote host, and for a connection.
    pub call: Duration,
    /// First wait after a failure.
    pub shortest: Duration,
    /// Longest wait after failures.
    pub longest: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            call: Duration::from_secs(30),
            shortest: Duration::from_secs(1),
            longest: Duration::from_secs(300),
        }
    }
}

/// Uploads until the end is asked for; leaves in the middle of a recording then, which the next start goes on with.
pub fn run(inputs: Inputs, stop: Stop, heartbeat: Heartbeat) {
    let Patience { call, shortest, longest } = inputs.patience;
    let mut uploader = Uploader {
        inputs,
        stop: stop.clone(),
        heartbeat: heartbeat.clone(),
        session: None,
        held_back: HashMap::new(),
        receipts: 0,
        failure: None,
    };
    let mut backoff = Backoff::new(shortest, longest);
    let mut wait = Duration::ZERO;
    loop {
        // A call may take its time; Link says so again before each.
        heartbeat.quiet_for(Ticks90k::from_duration(wait + call));
        if stop.wait(wait) {
            return;
        }
        wait = match uploader.upload_next() {
            Ok(true) => {
                backoff.reset();
                Duration::ZERO
            }
            Ok(false) => POLL,
            Err(Error::Stopped) => return,
            Err(error) => {
                uploader.session = None;
                let wait = backoff.next_wait();
                uploader.fail(&error, backoff.tries());
                uploader.show(UploadState::BackingOff { seconds: wait.as_secs() });
                wait
            }
        };
    }
}

/// A recording that the remote host does not take for now.
struct HeldBack {
    until: Ticks90k,
    backoff: Backoff,
    failure: UploadFailure,
}

struct Uploader {
    inputs: Inputs,
    stop: Stop,
    heartbeat: Heartbeat,
    /// The open session, and the configuration that it was opened with.
    session: Option<(config::Upload, Inbox)>,
    held_back: HashMap<RecordingName, HeldBack>,
    receipts: u64,
    /// The last failure that concerned all recordings, until a receipt comes.
    failure: Option<UploadFailure>,
}

impl Uploader {
    /// Uploads the oldest recording that can be; says whether there was one.
    fn upload_next(&mut self) -> Result<bool, Error> {
        let Some(config) = self.inputs.current.get().upload.clone() else { return Ok(false) };
        if self.inputs.store.open().is_err() {
            // The store shows that itself.
            return Ok(false);
        }
        let now = clock::media_now();
        let skip =
            self.held_back.iter().filter(|(_, held)| held.until > now).map(|(name, _)| *name).collect();
        let Some(pending) = self.inputs.store.next_upload(&skip) else {
            // A session with nothing to do would hold a slot of the remote host.
            self.session = None;
            self.show(UploadState::Idle);
            return Ok(false);
        };
        match self.upload(&config, &pending) {
            Ok(()) => {
                self.receipts += 1;
                self.inputs.status.metrics.upload_receipts.inc();
                self.held_back.remove(&pending.name);
                self.failure = None;
                tracing::info!(recording = %pending.name, bytes = pending.bytes, "receipt");
                Ok(true)
            }
            // It has left to make room.
            Err(Error::Store(store::Error::Gone { .. })) => Ok(true),
            Err(error) if error.is_about_one() && self.held_back.len() < MOST_HELD_BACK => {
                self.hold_back(pending.name, &error);
                Ok(true)
            }
            Err(error) => Err(error),
        }
    }

    fn upload(&mut self, config: &config::Upload, pending: &Pending) -> Result<(), Error> {
        let failed = |source| Error::Recording { path: pending.path.clone(), source };
        let file = std::fs::File::open(&pending.path).map_err(failed)?;
        let local = Local { name: pending.name, path: pending.path.clone(), file };
        self.connect(config)?;
        let mut machine = self.machine(pending)?;
        let sending =
            |sent| UploadState::Sending { recording: pending.name.to_string(), sent, bytes: pending.bytes };
        self.show(sending(0));
        loop {
            let step = machine.step();
            let reply = match step {
                Step::Free => return Ok(()),
                Step::WriteJournal(journal) => {
                    self.inputs.store.advance(&pending.name, Stage::of(journal))?;
                    Reply::Done
                }
                step => {
                    let Some((_, mut inbox)) = self.session.take() else { return Err(Error::Stopped) };
                    let bytes = self.inputs.status.metrics.upload_bytes.clone();
                    let mut before = None;
                    let reply = inbox.perform(&step, &local, machine.token(), &mut |sent| {
                        bytes.inc_by(sent - before.replace(sent).unwrap_or(sent));
                        self.show(sending(sent));
                    })?;
                    self.session = Some((config.clone(), inbox));
                    reply
                }
            };
            machine.reply(reply).map_err(|fault| self.explain(config, pending, fault))?;
        }
    }

    /// The handshake from where the journal says that it stands. Its token is kept before its first step.
    fn machine(&self, pending: &Pending) -> Result<Upload, Error> {
        let store = &self.inputs.store;
        let (token, begun) = match &pending.token {
            Some(LockToken::Upload { camera, nonce, .. }) => {
                (LockToken::Upload { camera: *camera, boot: clock::boot_id(), nonce: nonce.clone() }, true)
            }
            _ => {
                let nonce = getrandom::u64().map_err(|error| Error::Recording {
                    path: "/dev/urandom".into(),
                    source: std::io::Error::other(error.to_string()),
                })?;
                let camera = pending.name.camera;
                (LockToken::Upload { camera, boot: clock::boot_id(), nonce: format!("{nonce:016x}") }, false)
            }
        };
        if pending.token.as_ref() != Some(&token) {
            store.begin_upload(&pending.name, &token)?;
        }
        Ok(Upload::new(pending.stage.upload(), pending.bytes, token, begun))
    }

    fn connect(&mut self, config: &config::Upload) -> Result<(), Error> {
        if self.session.as_ref().is_some_and(|(with, _)| with == config) {
            return Ok(());
        }
        self.session = None;
        self.show(UploadState::Connecting);
        let key = DeviceKey::load_or_make(&config.key)?;
        let link = Link::open(config, &key, self.inputs.patience.call, &self.stop, &self.heartbeat)?;
        self.session = Some((config.clone(), Inbox::open(link, &config.dir)?));
        Ok(())
    }

    fn explain(&self, config: &config::Upload, pending: &Pending, fault: Fault) -> Error {
        let (remote, name) = (link::remote_name(config), pending.name.to_string());
        if fault == Fault::NoLock
            && let Some((_, inbox)) = &self.session
        {
            match inbox.is_full() {
                Ok(true) => return Error::DiskFull { remote, doing: "create the lockfile of", path: name },
                Ok(false) => {}
                Err(error) => return error,
            }
        }
        Error::Fault { remote, name, fault }
    }

    /// One recording cannot go now; the others go on.
    fn hold_back(&mut self, name: RecordingName, error: &Error) {
        let Patience { shortest, longest, .. } = self.inputs.patience;
        let mut backoff =
            self.held_back.remove(&name).map_or_else(|| Backoff::new(shortest, longest), |held| held.backoff);
        let until = clock::media_now() + Ticks90k::from_duration(backoff.next_wait());
        let failure = self.count(error, backoff.tries());
        self.held_back.insert(name, HeldBack { until, backoff, failure });
    }

    fn fail(&mut self, error: &Error, tries: u32) {
        self.failure = Some(self.count(error, tries));
    }

    fn count(&self, error: &Error, tries: u32) -> UploadFailure {
        self.inputs.status.metrics.upload_failures.inc();
        let failure = UploadFailure { kind: error.kind(), message: error.to_string(), tries };
        tracing::warn!(kind = ?failure.kind, tries, "upload: {error}");
        failure
    }

    fn show(&self, state: UploadState) {
        let Some(config) = &self.inputs.current.get().upload else { return };
        let failure = self.failure.clone().or_else(|| {
            let latest = self.held_back.values().max_by_key(|held| held.until);
            latest.map(|held| held.failure.clone())
        });
        self.inputs.status.set_upload(UploadStatus {
            remote: link::remote_name(config),
            state,
            pending: self.inputs.store.waiting(),
            receipts: self.receipts,
            failure,
        });
    }
}

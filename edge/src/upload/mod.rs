//! Recordings travel to the remote host while they grow, and after that the newest first. docs/design/upload.md has the
//! procedure.
//!
//! ```text
//! STORE --bell--> Desk --next--> handshake (media) --Step--> Inbox (SFTP over Link)
//!   ^              what grows         |      ^                    |
//!   |              comes first        |      +------- Reply ------+
//!   +---------- journal --------------+
//! ```
//!
//! One thread and one session for all cameras, one step at a time. What fails is tried again: a session with a growing wait, a single
//! recording (a name clash, say) after the others. While the remote host is away nothing else notices: the uploader reads
//! files of the store, and no more.

mod desk;
mod error;
mod farewell;
mod inbox;
pub mod key;
mod lane;
mod link;
mod local;
mod pace;
mod parts;
mod posix_rename;
mod report;
mod trial;

pub use error::Error;
pub use trial::{host_key, trial};

use crate::config::{self, Current, UploadMode};
use crate::status::{Status, UploadFailure, UploadState};
use crate::store::{self, Stage, Store};
use crate::supervise::{Backoff, Stop, clock};
use desk::Desk;
use inbox::Inbox;
use key::DeviceKey;
use link::Link;
use media::Ticks90k;
use media::handshake::{Fault, Reply, Step};
use media::names::RecordingName;
use pace::Pace;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

/// How long a listener for news sleeps before it looks at the wish to end, and at the recordings that were held back.
const POLL: Duration = Duration::from_millis(250);
/// How often the status is told anew while bytes flow.
const SHOWN_EVERY: Ticks90k = Ticks90k(Ticks90k::SECOND.0 / 4);
/// Recordings that are held back at most; beyond that the wait is for all.
const MOST_HELD_BACK: usize = 256;

/// Sessions in a row that a recording may end before the others go on without it.
const BLAMED: u32 = 3;

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
    /// Longest wait while nobody answers: a try is no more than a packet then, and the remote host is found again soon.
    pub away: Duration,
    /// Longest wait after other failures.
    pub longest: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            call: Duration::from_secs(30),
            shortest: Duration::from_secs(1),
            away: Duration::from_secs(10),
            longest: Duration::from_secs(300),
        }
    }
}

/// Uploads until the end is asked for; leaves in the middle of a recording then, which the next start goes on with.
pub fn run(inputs: Inputs, stop: Stop) {
    let Patience { shortest, away, longest, .. } = inputs.patience;
    let mut uploader = Uploader {
        inputs,
        stop: stop.clone(),
        session: None,
        desk: Desk::default(),
        pace: Pace::default(),
        held_back: HashMap::new(),
        blamed: None,
        backoff: Backoff::new(shortest, longest),
        receipts: 0,
        failure: None,
        shown: Ticks90k(i64::MIN / 2),
    };
    while !stop.asked() {
        let heard = uploader.inputs.store.news();
        match uploader.turn() {
            Ok(Turn::Busy) => {}
            Ok(Turn::Idle(wait)) => uploader.inputs.store.wait_for_news(heard, wait),
            Err(Error::Stopped) => return,
            Err(error) => {
                uploader.lose_session();
                let bound = if matches!(error, Error::Unreachable { .. }) { away } else { longest };
                let wait = uploader.backoff.next_wait_within(bound);
                uploader.fail(&error);
                uploader.show(UploadState::BackingOff { seconds: wait.as_secs() });
                stop.wait(wait);
            }
        }
    }
}

/// What a turn came to.
enum Turn {
    /// A step was done; there may be more.
    Busy,
    /// There is nothing to do for so long, unless there is news.
    Idle(Duration),
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
    /// The open session, and the configuration that it was opened with.
    session: Option<(config::Upload, Inbox)>,
    desk: Desk,
    pace: Pace,
    held_back: HashMap<RecordingName, HeldBack>,
    /// Whose file was refused last, and how often in a row.
    blamed: Option<(RecordingName, u32)>,
    /// Of what concerns all recordings; begins anew when bytes are on the remote host's disk.
    backoff: Backoff,
    receipts: u64,
    /// The last failure that concerned all recordings, until bytes are on the remote host's disk.
    failure: Option<UploadFailure>,
    shown: Ticks90k,
}

impl Uploader {
    /// Does one step for the recording whose turn it is.
    fn turn(&mut self) -> Result<Turn, Error> {
        let Some(config) = self.inputs.current.get().upload.clone() else { return Ok(Turn::Idle(POLL)) };
        if self.inputs.store.open().is_err() {
            // The store shows that itself.
            return Ok(Turn::Idle(POLL));
        }
        let now = clock::media_now();
        let held = |name: &RecordingName| self.held_back.get(name).is_some_and(|held| held.until > now);
        let growing = config.mode == UploadMode::Growing;
        self.desk.refresh(&self.inputs.store, growing, held);
        if let Some((_, inbox)) = &mut self.session {
            inbox.keep(|name| self.desk.tasks().iter().any(|task| task.pending.name == *name))?;
        }
        let sync_every = self.pace.sync_every(self.desk.growing());
        let Some(name) = self.desk.next(now, sync_every) else {
            return Ok(self.rest(now, sync_every));
        };
        match self.serve(&config, &name) {
            Ok(()) => Ok(Turn::Busy),
            // It has left to make room.
            Err(Error::Store(store::Error::Gone { .. })) => {
                self.drop_task(&name)?;
                Ok(Turn::Busy)
            }
            Err(error) if error.is_about_one() => self.hold_back(name, error),
            Err(error) if self.is_to_blame(name, &error) => {
                self.lose_session();
                self.hold_back(name, error)
            }
            Err(error) => Err(error),
        }
    }

    /// Nothing is to be done now.
    fn rest(&mut self, now: Ticks90k, sync_every: Ticks90k) -> Turn {
        if self.desk.tasks().is_empty() {
            // A session with nothing to do would hold a slot of the remote host.
            self.lose_session();
        }
        self.show(UploadState::Idle);
        let sync = self.desk.next_sync(sync_every).map(|due| (due - now).to_duration());
        Turn::Idle(sync.map_or(POLL, |sync| sync.clamp(Duration::from_millis(1), POLL)))
    }

    /// One step of one recording.
    fn serve(&mut self, config: &config::Upload, name: &RecordingName) -> Result<(), Error> {
        self.connect(config)?;
        let Some(task) = self.desk.task(name) else { return Ok(()) };
        if self.pace.is_long() {
            task.widen(&self.inputs.store)?;
        }
        let (machine, local) = task.begin(&self.inputs.store)?;
        if machine.step() == Step::Wait {
            machine.sync();
        }
        let step = machine.step();
        let reply = match step {
            Step::Free => return self.receipt(name),
            Step::WriteJournal(journal) => {
                self.inputs.store.advance(name, Stage::of(journal))?;
                Reply::Done
            }
            ref step => {
                let Some((_, inbox)) = &mut self.session else { return Ok(()) };
                let begun = clock::media_now();
                let reply = inbox.perform(step, local, machine.token(), &self.pace)?;
                let took = clock::media_now() - begun;
                match (step, &reply) {
                    (Step::WritePart { from, .. }, Reply::Written(to) | Reply::Synced(to)) => {
                        self.pace.wrote(to.saturating_sub(*from), took);
                    }
                    (Step::SyncPart, _) => self.pace.synced(took),
                    // What it waits for began earlier.
                    (Step::EndSync, _) => {}
                    _ => self.pace.answered(took),
                }
                reply
            }
        };
        self.reply(config, name, &step, reply)
    }

    /// Tells the machine what became of the step, and everybody else how far it has come.
    fn reply(
        &mut self,
        config: &config::Upload,
        name: &RecordingName,
        step: &Step,
        reply: Reply,
    ) -> Result<(), Error> {
        let now = clock::media_now();
        let synced = matches!(step, Step::SyncPart) || matches!(reply, Reply::Synced(_));
        let Some(task) = self.desk.task(name) else { return Ok(()) };
        let before = task.sent();
        let Some(machine) = task.machine() else { return Ok(()) };
        if let Err(fault) = machine.reply(reply) {
            return Err(self.explain(config, name, fault));
        }
        let Some(task) = self.desk.task(name) else { return Ok(()) };
        if matches!(step, Step::WritePart { .. } | Step::EndSync) {
            self.inputs.status.metrics.upload_bytes.inc_by(task.sent().saturating_sub(before));
            let camera = self.inputs.status.camera(&task.pending.camera);
            for end in task.newly_confirmed() {
                camera.inspect(|camera| camera.metrics.gop_delay_seconds.observe((now - end).as_secs_f64()));
            }
        }
        if synced {
            task.synced(now);
            self.backoff.reset();
            self.failure = None;
        }
        let (recording, sent, bytes) = (name.to_string(), task.sent(), task.pending.content.bytes());
        if now - self.shown >= SHOWN_EVERY {
            self.show(UploadState::Sending { recording, sent, bytes });
        }
        Ok(())
    }

    fn receipt(&mut self, name: &RecordingName) -> Result<(), Error> {
        self.receipts += 1;
        self.inputs.status.metrics.upload_receipts.inc();
        self.held_back.remove(name);
        self.failure = None;
        self.backoff.reset();
        tracing::info!(recording = %name, "receipt");
        self.drop_task(name)
    }

    fn drop_task(&mut self, name: &RecordingName) -> Result<(), Error> {
        self.desk.remove(name);
        self.session.as_mut().map_or(Ok(()), |(_, inbox)| inbox.forget(name))
    }

    fn lose_session(&mut self) {
        if self.session.take().is_some() {
            self.pace = Pace::default();
        }
        self.desk.retry();
    }

    fn connect(&mut self, config: &config::Upload) -> Result<(), Error> {
        if self.session.as_ref().is_some_and(|(with, _)| with == config) {
            return Ok(());
        }
        self.lose_session();
        self.show(UploadState::Connecting);
        let key = DeviceKey::load_or_make(&config.key)?;
        let link = Link::open(config, &key, self.inputs.patience.call, &self.stop)?;
        self.session = Some((config.clone(), Inbox::open(link, &config.dir)?));
        Ok(())
    }

    fn explain(&self, config: &config::Upload, name: &RecordingName, fault: Fault) -> Error {
        let (remote, name) = (link::remote_name(config), name.to_string());
        if matches!(fault, Fault::NoLock | Fault::NoPart)
            && let Some((_, inbox)) = &self.session
        {
            match inbox.want_of_room("create a file of", &name) {
                Ok(Some(error)) | Err(error) => return error,
                Ok(None) => {}
            }
        }
        Error::Fault { remote, name, fault }
    }

    /// Whether a recording has ended session after session by itself: the others cannot wait for it.
    fn is_to_blame(&mut self, name: RecordingName, error: &Error) -> bool {
        let store = &self.inputs.store;
        let waiting = || store.backlog().sealed + store.growing().len() as u64;
        if !error.may_be_about_one() || waiting() < 2 {
            return false;
        }
        let before = self.blamed.filter(|(blamed, _)| *blamed == name).map_or(0, |(_, times)| times);
        self.blamed = Some((name, before + 1));
        before + 1 >= BLAMED
    }

    /// One recording cannot go now; the others go on, unless there are too many of those.
    fn hold_back(&mut self, name: RecordingName, error: Error) -> Result<Turn, Error> {
        self.drop_task(&name)?;
        if self.held_back.len() >= MOST_HELD_BACK && !self.held_back.contains_key(&name) {
            return Err(error);
        }
        let Patience { shortest, longest, .. } = self.inputs.patience;
        let mut backoff =
            self.held_back.remove(&name).map_or_else(|| Backoff::new(shortest, longest), |held| held.backoff);
        let until = clock::media_now() + Ticks90k::from_duration(backoff.next_wait());
        let failure = self.count(&error, backoff.tries());
        self.held_back.insert(name, HeldBack { until, backoff, failure });
        Ok(Turn::Busy)
    }

    fn fail(&mut self, error: &Error) {
        self.failure = Some(self.count(error, self.backoff.tries()));
    }

    fn count(&self, error: &Error, tries: u32) -> UploadFailure {
        self.inputs.status.metrics.upload_failures.inc();
        let failure = UploadFailure { kind: error.kind(), message: error.to_string(), tries };
        tracing::warn!(kind = ?failure.kind, tries, "upload: {error}");
        failure
    }
}

//! What there is to watch: every recording that is here, is coming, or was put aside, and every span without footage.
//!
//! ```text
//! archive/NAME.mp4    --seal-----> ledger slices --stitch--> dates, gaps --+
//! hls/NAME/           --playlist-> how long, since when -------------------+--> Catalogue --> web
//! quarantine/ACCOUNT/ --reason---------------------------------------------+
//! inbox/, claim/      --names and sizes, every second ---------------------+
//! ```
//!
//! One thread looks; whoever asks gets what it saw last, at once. A folder that has not changed since is not read again.
//! docs/design/remote-web.md has the bounds.

mod account;
mod coming;
mod held;
mod quarantined;
mod recording;

use crate::folder::Error;
use crate::folders::Folders;
use crate::status::Status;
use crate::supervise::{Stop, monotonic, within};
use account::Account;
use coming::Coming;
use held::Held;
use media::WallTime;
use quarantined::Quarantined;
pub use recording::{Gap, Key, Recording, State};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

/// From one look to the next.
const EVERY: Duration = Duration::from_secs(1);
/// After so long everything is looked at, changed or not: a folder's time is no finer than a tick of the kernel.
const ALL_EVERY: Duration = Duration::from_secs(10);
/// To put the accounts of all recordings of all cameras together may take so long.
const LONGEST_ACCOUNT: Duration = Duration::from_secs(30);

/// What there is, as it was seen at one moment.
#[derive(Clone, Debug, Default)]
pub struct Catalogue {
    /// Everything has been seen; at first there may be more than is here.
    pub complete: bool,
    /// Recordings that do not change from one second to the next: in the archive, chopped, put aside. Newest first.
    pub settled: Arc<Vec<Recording>>,
    /// Recordings that arrive, wait for a worker or are worked on. Newest first.
    pub coming: Arc<Vec<Recording>>,
    /// Spans without footage, newest first; those of a boot without a date at the end.
    pub gaps: Arc<Vec<Gap>>,
    /// When recordings began whose playlists say something else, because their camera's clock was put right later.
    pub dates: Arc<BTreeMap<String, WallTime>>,
}

impl Catalogue {
    /// All recordings, newest first.
    pub fn recordings(&self) -> impl Iterator<Item = &Recording> {
        let mut coming = self.coming.iter().peekable();
        let mut settled = self.settled.iter().peekable();
        std::iter::from_fn(move || match (coming.peek(), settled.peek()) {
            (Some(new), Some(old)) if new.key() < old.key() => settled.next(),
            (None, _) => settled.next(),
            _ => coming.next(),
        })
    }
}

/// Where the newest catalogue can be had.
#[derive(Clone, Debug, Default)]
pub struct Shelf(Arc<RwLock<Catalogue>>);

impl Shelf {
    /// The newest one.
    pub fn catalogue(&self) -> Catalogue {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn put(&self, catalogue: Catalogue) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = catalogue;
    }
}

/// Keeps the catalogue.
pub struct Library {
    folders: Folders,
    status: Arc<Status>,
    shelf: Shelf,
    held: Held,
    quarantined: Quarantined,
    coming: Coming,
    /// What came of the ledgers and dates when they were put together last.
    account: Account,
    /// When everything was looked at last.
    all: Option<Duration>,
}

impl Library {
    /// Opens the folders below `dir`. Nothing is read yet.
    ///
    /// # Errors
    /// A folder can be neither opened nor made.
    pub fn open(dir: &Path, status: Arc<Status>) -> Result<Self, Error> {
        Ok(Self {
            folders: Folders::open(dir)?,
            status,
            shelf: Shelf::default(),
            held: Held::default(),
            quarantined: Quarantined::default(),
            coming: Coming::default(),
            account: Account::default(),
            all: None,
        })
    }

    /// Where its catalogue can be had.
    pub fn shelf(&self) -> Shelf {
        self.shelf.clone()
    }

    /// Looks again and again until the stop is asked for.
    pub fn run(mut self, stop: &Stop) {
        let mut trouble = String::new();
        while !stop.asked() {
            let looked = self.look();
            let now = looked.as_ref().err().map(ToString::to_string).unwrap_or_default();
            if now != trouble {
                tracing::warn!(trouble = now, "looking through the recordings");
                trouble = now;
            }
            if looked.is_err() || matches!(looked, Ok(true)) {
                stop.wait(EVERY);
            }
        }
    }

    /// Looks once. False: there is more to read, and the next look should come at once.
    fn look(&mut self) -> Result<bool, Error> {
        let now = monotonic();
        let all = self.all.is_none_or(|last| now.saturating_sub(last) >= ALL_EVERY);
        let held = self.held.look(&self.folders, all)?;
        let quarantined = self.quarantined.look(&self.folders.quarantine)?;
        if all && held.complete {
            self.all = Some(now);
        }
        let mut catalogue = self.shelf.catalogue();
        if held.changed || quarantined {
            within(LONGEST_ACCOUNT, || self.settle(&mut catalogue));
        }
        catalogue.coming = Arc::new(self.coming.look(&self.folders, &self.held, &self.account)?);
        catalogue.complete = held.complete;
        self.shelf.put(catalogue);
        Ok(held.complete)
    }

    /// Puts everything together that has come to rest.
    fn settle(&mut self, catalogue: &mut Catalogue) {
        self.account = Account::of(&self.held);
        let mut settled = self.account.recordings(&self.held);
        settled.extend(self.quarantined.recordings());
        settled.sort_by(|a, b| b.key().cmp(&a.key()));
        self.measure(&settled);
        catalogue.settled = Arc::new(settled);
        catalogue.gaps = Arc::new(self.account.gaps());
        catalogue.dates = Arc::new(self.account.dates(&self.held));
    }

    fn measure(&self, settled: &[Recording]) {
        let watchable = || settled.iter().filter(|recording| recording.state != State::Quarantined);
        let bytes: u64 = watchable().map(|recording| recording.bytes).sum();
        self.status.metrics.recordings.set(watchable().count() as i64);
        self.status.metrics.recording_bytes.set(bytes as i64);
    }
}

#[cfg(test)]
mod tests;

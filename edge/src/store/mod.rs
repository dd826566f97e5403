//! The store: a bounded folder of recordings, each with a synced journal. docs/design/store.md has invariants and procedures.
//!
//! ```text
//! record --begin, grow, seal--> STORE <--next_upload, begin_upload, advance-- upload
//!                                 |
//!                                 v
//!    2026-11-21-06-15-00-CAMERA8-0000004711.mp4  ....mp4.journal     CAMERA8.camera    .lock
//! ```
//!
//! The only place on the edge that deletes a recording. It has no thread: each call does its own work under one lock. A
//! folder that cannot be used is a fault that is shown; every call tries again. While the card does not work a folder on the RAM disk
//! stands in for it.

mod disk;
mod error;
mod fallback;
pub mod files;
mod folder;
mod journal;
mod ledgers;
mod places;
mod recovery;
mod repair;
mod waiting;

pub use error::Error;
pub use journal::Stage;
pub use recovery::recover_dir;
pub use repair::Sealed;
pub use waiting::{Backlog, Pending};

use crate::config::Current;
use crate::status::{Cause, Recording, RecordingState, Status, StorageStatus};
use crate::supervise::{Bell, clock, within};
use crate::upload::key::DeviceKey;
use bytes::Bytes;
use files::SLOW_DISK;
use folder::{Entry, Folder};
use media::handshake::room;
use media::ledger::{self, Boot};
use media::names::{CameraId, RecordingName};
use media::{Ticks90k, WallTime};
use std::fs::File;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The list of recordings is shown again after this much growth of one of them.
const SHOWN_EVERY: Ticks90k = Ticks90k(5 * media::time::TICKS_PER_SECOND);

/// Room that is kept: for what is reserved for the `moov` of a recording that begins, and for some footage.
const BEGIN_ROOM: u64 = 2 << 20;

/// What a card that does not work is called as a fault.
const DISK_FAILED: &str = "disk_failed";
/// The folder beside the ring that stands in for it.
const IN_RAM: &str = "recordings";

/// The recordings of all cameras; cheap to clone.
#[derive(Clone)]
pub struct Store {
    shared: Arc<Shared>,
}

struct Shared {
    current: Current,
    status: Arc<Status>,
    key: PathBuf,
    boot: String,
    /// `None` until the folder could be opened.
    folder: Mutex<Option<Folder>>,
    /// Rings when there is more to upload.
    bell: Bell,
}

/// A recording that has just begun.
#[derive(Debug)]
pub struct Begun {
    /// Its name.
    pub name: RecordingName,
    /// Empty, and open for writing.
    pub file: File,
    /// Where it is.
    pub path: PathBuf,
    /// It is on the RAM disk, because the card does not work.
    pub in_ram: bool,
}

/// What is in a growing recording now.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Growth {
    /// Its size: whole GOPs.
    pub bytes: u64,
    /// Footage.
    pub duration: Ticks90k,
    /// Where the headers of GOPs stand that still say `free`, until the next sync.
    pub unsynced: Vec<u64>,
    /// The newest GOP that does not.
    pub counting: Option<u64>,
}

impl Store {
    /// The store of `record.dir`. Touches no file yet: a folder that is not there must not keep the live view from starting.
    /// `key` is where the device key is: the names of recordings depend on it.
    pub fn new(current: Current, status: Arc<Status>, key: PathBuf) -> Self {
        let (boot, folder, bell) = (clock::boot_id(), Mutex::new(None), Bell::default());
        let shared = Shared { current, status, key, boot, folder, bell };
        Self { shared: Arc::new(shared) }
    }

    /// Opens the folder if it is not open: finishes what a crash left, and shows what is there.
    ///
    /// # Errors
    /// The folder cannot be used; that is shown as the fault `store` until it can.
    pub fn open(&self) -> Result<(), Error> {
        self.with(|_| Ok(()))
    }

    /// The newest GOP of this boot's ring that is in a sealed recording of `camera`. Seals what its recorder left torn.
    ///
    /// # Errors
    /// The folder cannot be used, or a torn recording cannot be sealed.
    pub fn resume(&self, camera: &str) -> Result<Option<u64>, Error> {
        self.with(|folder| folder.resume(camera, self.shared.status.started))
    }

    /// Tells the ledger of `camera` what its GOPs do not say: gaps, and what the clock was set to. All dates follow.
    ///
    /// # Errors
    /// The folder cannot be written; nothing was kept, then.
    pub fn note(&self, camera: &str, entries: &[ledger::Entry]) -> Result<(), Error> {
        self.with(|folder| {
            folder.note(camera, entries)?;
            folder.cut(camera, clock::wall_now(), false)?;
            if entries.iter().any(|entry| matches!(entry, ledger::Entry::Clock { .. })) {
                self.shared.status.gaps.date(|media| folder.date(media));
                self.show(folder);
            }
            Ok(())
        })
    }

    /// The ledger slices that the seal of a recording with these GOPs carries.
    ///
    /// # Errors
    /// The end of the ledger cannot be read.
    pub fn draft(&self, name: &RecordingName, gops: &[ledger::Gop]) -> Result<Bytes, Error> {
        self.with(|folder| folder.draft(name, gops))
    }

    /// Puts what waits in the ledger of `camera` into a file of its own if it must leave, or if `now` and there is any.
    ///
    /// # Errors
    /// The folder cannot be written.
    pub fn cut_ledger(&self, camera: &str, now: bool) -> Result<(), Error> {
        self.with(|folder| folder.cut(camera, clock::wall_now(), now))?;
        self.shared.bell.ring();
        Ok(())
    }

    /// Begins a recording whose first picture is at media time `origin`, taken at `start` if that is known.
    ///
    /// # Errors
    /// There is no room and none can be made, or the folder cannot be written.
    pub fn begin(&self, camera: &str, origin: Ticks90k, start: Option<WallTime>) -> Result<Begun, Error> {
        self.with(|folder| {
            self.make_room(folder, BEGIN_ROOM)?;
            let begun = folder.begin(camera, origin, start)?;
            self.show(folder);
            Ok(begun)
        })
    }

    /// A recording has grown.
    ///
    /// # Errors
    /// There is no more room and none can be made.
    pub fn grow(&self, name: &RecordingName, growth: Growth) -> Result<(), Error> {
        self.with(|folder| {
            folder.grow(name, growth);
            self.shared.bell.ring();
            self.make_room(folder, 0)?;
            let now = clock::media_now();
            if now - folder.shown >= SHOWN_EVERY {
                self.show(folder);
            }
            Ok(())
        })
    }

    /// A recording has been sealed and synced.
    ///
    /// # Errors
    /// Its journal cannot be written; it counts as torn then, and [`Store::resume`] finds that it is sealed.
    pub fn seal(&self, name: &RecordingName, sealed: &Sealed) -> Result<(), Error> {
        self.with(|folder| {
            folder.seal(name, sealed)?;
            tracing::info!(recording = %name, bytes = sealed.bytes, seconds = sealed.duration.as_secs_f64(), "sealed");
            self.shared.bell.ring();
            self.show(folder);
            Ok(())
        })
    }

    /// Files with ledger entries that no recording carries, oldest first: to be uploaded as they are, as `NAME.ledger`.
    pub fn ledger_files(&self) -> Vec<(RecordingName, PathBuf)> {
        self.lock().as_ref().map(Folder::ledger_files).unwrap_or_default()
    }

    /// Its recorder has given up: it is torn. [`Store::resume`] seals it.
    pub fn release(&self, name: &RecordingName) {
        if let Some(folder) = self.lock().as_mut() {
            folder.release(name);
        }
    }

    /// The disk is full although the configured bound is not reached: one more recording goes.
    ///
    /// # Errors
    /// The folder cannot be used.
    pub fn disk_is_full(&self) -> Result<(), Error> {
        self.with(|folder| {
            let victim = self.victim(folder, true);
            victim.map_or(Ok(()), |victim| self.sacrifice(folder, victim))?;
            self.show(folder);
            Ok(())
        })
    }

    /// A recording could not be written. If that is so because the card does not work, recordings go to RAM from now on.
    pub fn failed(&self, error: &Error) {
        if let Some(folder) = self.lock().as_mut() {
            self.judge(folder, error);
        }
    }

    /// While the card does not work: tries, once that is due, whether it does again. After that, brings one recording to it that is
    /// in RAM.
    pub fn tend(&self, now: Ticks90k) {
        let mut state = self.lock();
        let Some(folder) = state.as_mut().filter(|folder| folder.is_tending_due(now)) else { return };
        let done = within(SLOW_DISK, || match folder.next_in_ram().filter(|_| folder.away.why.is_none()) {
            Some((order, bytes)) => self.make_room(folder, bytes).and_then(|()| folder.bring(order)),
            None => folder.return_to_card(),
        });
        match done {
            Ok(()) => folder.leave_ram(),
            Err(error) => folder.tend_later(&error),
        }
        self.tell(folder);
        self.shared.bell.ring();
    }

    /// Seconds of footage of `camera` that are in RAM, and without a receipt.
    pub fn in_ram(&self, camera: &str) -> f64 {
        let state = self.lock();
        let entries = state.iter().flat_map(Folder::entries);
        let all = state.as_ref().is_some_and(|folder| folder.disk.is_ram());
        let only_here = |entry: &&Entry| {
            (all || entry.in_ram)
                && entry.journal.camera == camera
                && entry.journal.stage < Stage::Acknowledged
        };
        entries.filter(only_here).map(|entry| entry.journal.seconds).sum()
    }

    /// The id that stands for `camera` in names and tokens.
    ///
    /// # Errors
    /// The folder, or the device key, cannot be used.
    pub fn camera_id(&self, camera: &str) -> Result<CameraId, Error> {
        self.with(|folder| Ok(folder.camera_id(camera)))
    }

    fn change(&self, name: &RecordingName, change: impl FnOnce(&mut journal::Journal)) -> Result<(), Error> {
        self.with(|folder| {
            folder.change(name, change)?;
            self.show(folder);
            Ok(())
        })
    }

    fn lock(&self) -> MutexGuard<'_, Option<Folder>> {
        // Another thread may hold it while it waits for the card.
        let locked = within(SLOW_DISK, || self.shared.folder.lock());
        // Each change of an entry follows the write that it stands for: a panic elsewhere leaves the list usable.
        locked.unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs `work` on the open folder; opens it first if need be.
    fn with<T>(&self, work: impl FnOnce(&mut Folder) -> Result<T, Error>) -> Result<T, Error> {
        let mut state = self.lock();
        within(SLOW_DISK, || {
            let folder = match &mut *state {
                Some(folder) => folder,
                closed => closed.insert(self.open_folder()?),
            };
            work(folder).inspect_err(|error| self.judge(folder, error))
        })
    }

    fn judge(&self, folder: &mut Folder, error: &Error) {
        if error.is_disk_failed() && folder.leave_card(error) {
            self.tell(folder);
        }
    }

    /// Says whether the card works, and what there is.
    fn tell(&self, folder: &mut Folder) {
        let fault = |why: &String| format!("recordings go to RAM: {why}");
        self.shared.status.set_fault(DISK_FAILED, folder.away.why.as_ref().map(fault));
        self.show(folder);
    }

    fn open_folder(&self) -> Result<Folder, Error> {
        let config = self.shared.current.get();
        let key = DeviceKey::load_or_make(&self.shared.key).map_err(Error::from);
        let mute = key.as_ref().is_ok_and(|key| key.signing_key().is_none());
        let no_ledger =
            mute.then(|| "NO LEDGER: the device key is not ed25519 and cannot sign one".to_owned());
        self.shared.status.set_fault("ledger", no_ledger);
        let ram = (config.record.ram_bytes > 0).then(|| config.ring.dir.join(IN_RAM));
        let open = |key| Folder::open(&config.record.dir, ram.as_deref(), &key, &self.shared.boot);
        let opened = key.and_then(open);
        self.shared.status.set_fault("store", opened.as_ref().err().map(ToString::to_string));
        let mut folder = opened?;
        for camera in &self.shared.status.cameras {
            let history = folder.history(&camera.name);
            let begun = (Boot::of(&self.shared.boot), self.shared.status.started);
            self.shared.status.gaps.remember(&camera.name, &history, begun);
        }
        self.tell(&mut folder);
        Ok(folder)
    }

    /// Bytes that all recordings may take where they go now.
    fn bound(&self, folder: &Folder) -> u64 {
        let record = &self.shared.current.get().record;
        if folder.is_in_ram() { record.ram_bytes } else { record.bytes }
    }

    /// Room that is left on the disk: for a recording that begins, and for a copy of the one that is thinned next.
    fn spare(&self, folder: &Folder) -> u64 {
        let thinned = room::next_thinned(self.items(folder), self.shared.current.get().upload.is_some());
        let entry = folder.here().find(|entry| Some(entry.journal.order) == thinned);
        BEGIN_ROOM + entry.map_or(0, |entry| entry.bytes)
    }

    /// Lets recordings leave until all of them and `more` bytes fit into the bound, and the disk itself is not nearly full.
    fn make_room(&self, folder: &mut Folder, more: u64) -> Result<(), Error> {
        let most = self.bound(folder);
        loop {
            let over = folder.here().map(|entry| entry.bytes).sum::<u64>() + more > most;
            let spare = self.spare(folder);
            let needed = over || files::free(folder.dir()).is_ok_and(|free| free < spare);
            match self.victim(folder, needed) {
                Some(victim) => {
                    self.sacrifice(folder, victim)?;
                    self.show(folder);
                }
                None if over => return Err(Error::Full { dir: folder.dir().to_owned(), bytes: most }),
                None => return Ok(()),
            }
        }
    }

    fn victim(&self, folder: &Folder, needed: bool) -> Option<room::Victim> {
        let config = self.shared.current.get();
        room::next_victim(self.items(folder), config.upload.is_some(), config.record.days, needed)
    }

    /// What the policy knows of the recordings that are where new ones go.
    fn items<'a>(&self, folder: &'a Folder) -> impl Iterator<Item = room::Item> + Clone + 'a {
        let (now, wall) = (clock::media_now(), clock::wall_now());
        folder.here().map(move |entry| room::Item {
            order: entry.journal.order,
            sealed: (entry.journal.stage != Stage::Growing).then(|| entry.journal.stage.upload()),
            begun: entry.journal.token.is_some(),
            thinned: entry.journal.thinned,
            days: folder.days(entry, now, wall),
        })
    }

    fn sacrifice(&self, folder: &mut Folder, victim: room::Victim) -> Result<(), Error> {
        match victim {
            room::Victim::Leave(order) => {
                let left = folder.remove(order)?;
                tracing::info!(recording = %left.name, "left to make room");
            }
            room::Victim::Thin(order) => match folder.thin(order) {
                Ok(thinned) => self.show_loss(folder, &thinned, Cause::Thinned),
                Err(error) => {
                    tracing::warn!(%error, "cannot be thinned");
                    // Where there is no room for that, the oldest makes it.
                    let oldest = room::next_dropped(self.items(folder)).filter(|_| error.is_disk_full());
                    return self.sacrifice(folder, room::Victim::Drop(oldest.unwrap_or(order)));
                }
            },
            room::Victim::Drop(order) => {
                let lost = folder.drop(order)?;
                self.count_loss(folder, &lost);
            }
        }
        Ok(())
    }

    fn count_loss(&self, folder: &Folder, lost: &Entry) {
        let journal = &lost.journal;
        tracing::error!(recording = %lost.name, camera = journal.camera, seconds = journal.seconds,
            "DROPPED WITHOUT A RECEIPT: the disk is full and the remote host did not take it");
        if let Some(camera) = self.shared.status.camera(&journal.camera) {
            camera.metrics.recordings_dropped.inc();
        }
        self.show_loss(folder, lost, Cause::DiskFull);
    }

    /// The ledger has it already: it is what remains of the recording there.
    fn show_loss(&self, folder: &Folder, lost: &Entry, cause: Cause) {
        let span = (Ticks90k(lost.journal.origin), lost.journal.end());
        self.shared.status.gaps.add(&lost.journal.camera, cause, span, folder.start_of(lost));
    }

    fn show(&self, folder: &mut Folder) {
        let list = folder.entries().map(|entry| Recording {
            name: entry.name.to_string(),
            camera: entry.journal.camera.clone(),
            path: folder.recording(&entry.name),
            bytes: entry.bytes,
            seconds: entry.journal.seconds,
            start: folder.start_of(entry),
            state: match entry.journal.stage {
                Stage::Growing => RecordingState::Growing,
                Stage::Acknowledged => RecordingState::Receipted,
                _ if entry.journal.token.is_some() => RecordingState::Uploading,
                _ => RecordingState::Sealed,
            },
        });
        let list: Arc<[Recording]> = list.collect();
        self.shared.status.set_recordings(list);
        let now = clock::media_now();
        let storage = folder.disk.status(now);
        let ram = storage.ram || folder.is_in_ram();
        self.shared.status.set_storage(StorageStatus { ram, ..storage });
        folder.shown = now;
    }
}

#[cfg(test)]
pub(crate) mod fixture;
#[cfg(test)]
mod ledger_tests;
#[cfg(test)]
mod tests;

//! What the upload sees of the store: what is not on the remote host yet, and what is new.

use super::files::{self, SLOW_DISK};
use super::folder::{Entry, Folder};
use super::journal::Journal;
use super::ledgers::EXTENSION;
use super::{Error, Stage, Store};
use crate::supervise::{clock, within};
use media::Ticks90k;
use media::handshake::Content;
use media::mp4::MEDIA_AT;
use media::names::{LockToken, RecordingName};
use std::path::PathBuf;
use std::time::Duration;

/// A file that waits for its upload, or whose upload has begun.
#[derive(Clone, Debug, PartialEq)]
pub struct Pending {
    /// Its name.
    pub name: RecordingName,
    /// What ends the file's name: `mp4`, or `ledger` of a file with ledger entries that no recording carries.
    pub extension: &'static str,
    /// Rises from the oldest to the newest.
    pub order: u64,
    /// The camera's name.
    pub camera: String,
    /// Where it is.
    pub path: PathBuf,
    /// How much of it there is.
    pub content: Content,
    /// Another one than before: what was there may have been cut.
    pub epoch: u32,
    /// Where headers of GOPs stand that count already, although the file still says `free`.
    pub unsynced: Vec<u64>,
    /// Media time at which its footage ends.
    pub end: Ticks90k,
    /// A recorder adds to it.
    pub held: bool,
    /// Footage.
    pub seconds: f64,
    /// How far it has come.
    pub stage: Stage,
    /// The ring that it was made from is gone with its boot.
    pub orphaned: bool,
    /// The lock token, if the upload has begun.
    pub token: Option<LockToken>,
    /// It was uploaded over a long path: more of it can be there without being on the disk there.
    pub long: bool,
}

/// Everything without a receipt, added up.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Backlog {
    /// Sealed recordings.
    pub sealed: u64,
    /// Bytes of all, also of what grows.
    pub bytes: u64,
    /// Bytes a second by which it grows, over what grows now.
    pub growth: f64,
    /// Bytes that may be added before a recording without a receipt must leave.
    pub room: u64,
    /// Sealed footage of each camera, in seconds.
    pub seconds: Vec<(String, f64)>,
}

impl Pending {
    fn of(folder: &Folder, entry: &Entry) -> Self {
        let journal = &entry.journal;
        let content = match (journal.stage, journal.cut) {
            (Stage::Growing, Some(cut)) => Content::Torn(cut),
            (Stage::Growing, None) => Content::Growing(entry.bytes),
            _ => Content::Sealed(entry.bytes),
        };
        Self {
            name: entry.name,
            extension: "mp4",
            order: journal.order,
            camera: journal.camera.clone(),
            path: folder.recording(&entry.name),
            content,
            epoch: entry.epoch,
            unsynced: entry.unsynced.clone(),
            end: journal.end(),
            held: entry.held,
            seconds: journal.seconds,
            stage: journal.stage,
            orphaned: journal.boot != clock::boot_id(),
            token: journal.lock_token(),
            long: journal.long,
        }
    }
}

impl Pending {
    /// A file with ledger entries. It has no journal: the upload begins anew with each process, and entries that arrive twice are
    /// the same ones. It is small, so it goes before all recordings that are sealed.
    fn ledger(name: RecordingName, path: PathBuf) -> Option<Self> {
        let bytes = std::fs::metadata(&path).ok()?.len();
        let token =
            LockToken::Upload { camera: name.camera, boot: clock::boot_id(), nonce: EXTENSION.to_owned() };
        Some(Self {
            name,
            extension: EXTENSION,
            order: u64::MAX,
            camera: String::new(),
            path,
            content: Content::Plain(bytes),
            epoch: 0,
            unsynced: Vec::new(),
            end: Ticks90k::ZERO,
            held: false,
            seconds: 0.0,
            stage: Stage::Sealed,
            orphaned: false,
            token: Some(token),
            long: false,
        })
    }
}

/// Whether the upload may read it: it is sealed, or a GOP is whole and a recorder is writing it, or would but for the card.
fn is_pending(entry: &Entry) -> bool {
    let has_gops = entry.journal.cut.unwrap_or(entry.bytes) > 0;
    entry.waits_for_receipt() || (entry.held || entry.journal.cut.is_some()) && has_gops
}

impl Store {
    /// Counts what is new for the upload: a GOP, a sealed recording.
    pub fn news(&self) -> u64 {
        self.shared.bell.count()
    }

    /// Waits for more news than `heard`, at most `timeout`.
    pub fn wait_for_news(&self, heard: u64, timeout: Duration) {
        self.shared.bell.wait(heard, timeout);
    }

    /// The recordings that grow, one a camera, and those that a card which does not work keeps from being sealed.
    pub fn growing(&self) -> Vec<Pending> {
        let state = self.lock();
        let Some(folder) = state.as_ref() else { return Vec::new() };
        let growing = folder.entries().filter(|entry| is_pending(entry) && !entry.waits_for_receipt());
        growing.map(|entry| Pending::of(folder, entry)).collect()
    }

    /// A ledger file, or else the newest sealed recording without a receipt; none that is to be skipped.
    pub fn newest_sealed(&self, skip: impl Fn(&RecordingName) -> bool) -> Option<Pending> {
        let state = self.lock();
        let folder = state.as_ref()?;
        let ledger = folder.ledger_files().into_iter().rev().filter(|(name, _)| !skip(name));
        if let Some(ledger) = ledger.filter_map(|(name, path)| Pending::ledger(name, path)).next() {
            return Some(ledger);
        }
        let waits = |entry: &&Entry| entry.waits_for_receipt() && !skip(&entry.name);
        folder.entries().rev().find(waits).map(|entry| Pending::of(folder, entry))
    }

    /// The file of that name, if it still waits for its receipt.
    pub fn pending(&self, name: &RecordingName) -> Option<Pending> {
        let state = self.lock();
        let folder = state.as_ref()?;
        if let Some((name, path)) = folder.ledger_files().into_iter().find(|(ledger, _)| ledger == name) {
            return Pending::ledger(name, path);
        }
        let entry = folder.entries().find(|entry| entry.name == *name && is_pending(entry))?;
        Some(Pending::of(folder, entry))
    }

    /// Keeps the lock token of an upload, before the upload begins: from now on the name does not change, and the bytes only
    /// grow. Gives what there is to upload: until now it may have been thinned.
    ///
    /// # Errors
    /// The journal cannot be written, or the recording has left meanwhile.
    pub fn begin_upload(&self, name: &RecordingName, token: &LockToken) -> Result<Pending, Error> {
        self.change_upload(name, |journal| journal.token = Some(token.to_string()))
    }

    /// Keeps that more of a recording may be on its way than over a short path, before it is.
    ///
    /// # Errors
    /// As [`Store::begin_upload`].
    pub fn widen_upload(&self, name: &RecordingName) -> Result<Pending, Error> {
        self.change_upload(name, |journal| journal.long = true)
    }

    fn change_upload(
        &self,
        name: &RecordingName,
        change: impl FnOnce(&mut Journal),
    ) -> Result<Pending, Error> {
        self.with(|folder| {
            folder.change(name, change)?;
            self.show(folder);
            let entry = folder.entries().find(|entry| entry.name == *name);
            Ok(Pending::of(folder, entry.ok_or_else(|| folder.gone(name))?))
        })
    }

    /// The upload of a file has come so far, durably. A ledger file has nothing more to do here once it is there.
    ///
    /// # Errors
    /// The journal cannot be written, or the file not removed.
    pub fn advance(&self, name: &RecordingName, stage: Stage) -> Result<(), Error> {
        if self.ledger_files().iter().all(|(ledger, _)| ledger != name) {
            if stage == Stage::Acknowledged {
                self.with(|folder| {
                    // A disk may be full until this very recording leaves.
                    if let Err(error) = folder.note_receipt(name, clock::wall_now()) {
                        tracing::warn!(recording = %name, %error, "the ledger does not know of its receipt");
                    }
                    Ok(())
                })?;
            }
            return self.change(name, |journal| journal.stage = stage);
        }
        match stage {
            Stage::Acknowledged => self.with(|folder| folder.remove_ledger_file(name)),
            _ => Ok(()),
        }
    }

    /// What is not on the remote host yet.
    pub fn backlog(&self) -> Backlog {
        let state = self.lock();
        let mut backlog = Backlog::default();
        for entry in state.iter().flat_map(Folder::entries).filter(|entry| is_pending(entry)) {
            let journal = &entry.journal;
            backlog.bytes += entry.bytes;
            if entry.held {
                backlog.growth += entry.bytes.saturating_sub(MEDIA_AT) as f64 / journal.seconds.max(1.0);
            }
            if !entry.waits_for_receipt() {
                continue;
            }
            backlog.sealed += 1;
            match backlog.seconds.iter_mut().find(|(camera, _)| *camera == journal.camera) {
                Some((_, seconds)) => *seconds += journal.seconds,
                None => backlog.seconds.push((journal.camera.clone(), journal.seconds)),
            }
        }
        if let Some(folder) = state.as_ref() {
            let bytes = |pending| {
                folder.here().filter(move |entry| is_pending(entry) == pending).map(|entry| entry.bytes)
            };
            let (kept, may_leave): (u64, u64) = (bytes(true).sum(), bytes(false).sum());
            let free = within(SLOW_DISK, || files::free(folder.dir()));
            let free = free.unwrap_or(u64::MAX).saturating_add(may_leave);
            let room = self.bound(folder).saturating_sub(kept);
            backlog.room = room.min(free.saturating_sub(self.spare(folder)));
        }
        backlog
    }
}

//! A card that does not work: recordings go to RAM, and to the card again once it works. docs/design/store.md has the procedure.
//!
//! ```text
//!            a write, a read or a sync fails
//!   card ------------------------------------> RAM      what was growing on the card stays torn there, and travels as it is
//!    ^                                          |
//!    +--- counters, journals, ledger ends ------+       as soon as the card can be written and synced
//!    +--- then recordings, one by one ----------+
//! ```

use super::disk::Disk;
use super::folder::{Entry, Folder, journal_of, lock};
use super::repair::{self, Looked};
use super::{Error, Stage, files, journal};
use crate::supervise::{Backoff, clock};
use media::Ticks90k;
use media::ledger::slice;
use std::fs::OpenOptions;
use std::path::Path;
use std::time::Duration;

/// First and longest wait between two tries whether the card works.
const WAIT: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));

/// What is known of a card that does not work.
pub struct Away {
    /// What it last refused; `None` while it works.
    pub why: Option<String>,
    backoff: Backoff,
    /// When it is tried again.
    due: Ticks90k,
}

impl Default for Away {
    fn default() -> Self {
        Self { why: None, backoff: Backoff::new(WAIT.0, WAIT.1), due: Ticks90k::ZERO }
    }
}

impl Away {
    fn wait(&mut self) {
        self.due = clock::media_now() + Ticks90k::from_duration(self.backoff.next_wait());
    }
}

impl Folder {
    /// Reads what is in the two folders, and decides which one is written.
    pub(super) fn enter(&mut self) -> Result<(), Error> {
        if let Some(ram) = self.places.ram().filter(|ram| ram.exists()).map(Path::to_owned) {
            // An earlier process has left it, and it is newer than the card.
            self.places.go(true);
            self.scan(&ram)?;
        }
        let card = self.places.card().to_owned();
        let locked = self.lock_card();
        match locked {
            Err(error) if error.is_disk_failed() && self.leave_card(&error) => {
                if let Err(error) = self.scan(&card) {
                    tracing::error!(%error, "what is on the card is not known");
                }
                Ok(())
            }
            Err(error) => Err(error),
            Ok(()) => {
                self.scan(&card)?;
                match self.places.in_ram().then(|| self.return_to_card()) {
                    Some(Err(error)) if !self.leave_card(&error) => Err(error),
                    _ => Ok(()),
                }
            }
        }
    }

    fn lock_card(&mut self) -> Result<(), Error> {
        let card = self.places.card();
        std::fs::create_dir_all(card).map_err(Error::io("make", card))?;
        self.lock = Some(lock(card)?);
        // Before that it may not have been there, or been another one.
        self.disk = Disk::of(card, clock::media_now());
        Ok(())
    }

    /// The card has failed: from now on everything is written to RAM. Gives whether it is.
    pub fn leave_card(&mut self, error: &Error) -> bool {
        let Some(ram) = self.places.ram() else { return false };
        if self.away.why.is_some() {
            return true;
        }
        if let Err(error) = std::fs::create_dir_all(ram) {
            tracing::error!(ram = %ram.display(), %error, "the card does not work, and RAM neither");
            return false;
        }
        tracing::error!(ram = %ram.display(), %error, "THE CARD DOES NOT WORK: recording goes on in RAM");
        if !self.places.in_ram() {
            self.branch();
        }
        self.places.go(true);
        self.away.why = Some(error.to_string());
        self.away.wait();
        true
    }

    /// Whether it is time to try the card, or to bring something to it.
    pub fn is_tending_due(&self, now: Ticks90k) -> bool {
        now >= self.away.due && (self.places.in_ram() || self.next_in_ram().is_some())
    }

    /// That went wrong: it is tried again, later each time.
    pub fn tend_later(&mut self, error: &Error) {
        if !self.places.in_ram() && error.is_disk_failed() {
            self.leave_card(error);
        } else {
            tracing::warn!(%error, "what is in RAM stays there for now");
            self.away.wait();
        }
    }

    /// The card works again, if it does: what is known of recordings and ledgers moves there, and everything is written there.
    pub fn return_to_card(&mut self) -> Result<(), Error> {
        let card = self.places.card().to_owned();
        // It may be another file system than the one that failed, or the empty folder that a card is mounted on.
        let missing = |entry: &&Entry| !entry.in_ram && !card.join(format!("{}.mp4", entry.name)).exists();
        if let Some(entry) = self.entries().find(missing) {
            return Err(Error::Gone { dir: card, name: entry.name.to_string() });
        }
        self.lock = None;
        self.lock_card()?;
        self.scan(&card)?;
        files::probe(&card).map_err(Error::io("write into", &card))?;
        self.bring_small_files()?;
        self.places.go(false);
        self.away.why = None;
        // Whoever has files of it open may have those of the one that failed.
        self.entries.values_mut().filter(|entry| !entry.in_ram).for_each(|entry| entry.epoch += 1);
        tracing::info!(card = %card.display(), "the card works again");
        self.mend();
        Ok(())
    }

    /// Moves everything but the recordings that are in RAM, and their journals.
    fn bring_small_files(&mut self) -> Result<(), Error> {
        let Some(ram) = self.places.ram() else { return Ok(()) };
        let list = std::fs::read_dir(ram).map_err(Error::io("list", ram))?;
        for file in list {
            let path = file.map_err(Error::io("list", ram))?.path();
            let Some(name) = path.file_name().and_then(|name| name.to_str()) else { continue };
            let recording = name.strip_suffix(".journal").unwrap_or(name);
            if recording.ends_with(".mp4") && self.places.ram_has(recording).is_some()
                || name.ends_with(".tmp")
            {
                continue;
            }
            let home = self.places.card().join(name);
            let bytes =
                files::read_bounded(&path, slice::MOST_BYTES as u64).map_err(Error::io("read", &path))?;
            files::replace(&home, &bytes, &OpenOptions::new()).map_err(Error::io("write", &home))?;
            files::remove(&path).map_err(Error::io("remove", &path))?;
        }
        Ok(())
    }

    /// Order and size of the oldest finished recording that is in RAM.
    pub fn next_in_ram(&self) -> Option<(u64, u64)> {
        let next = self.entries().find(|entry| entry.in_ram && entry.journal.stage > Stage::Growing)?;
        Some((next.journal.order, next.bytes))
    }

    /// Moves a recording from RAM to the card; one with a receipt just leaves. Its journal is there first, so that a crash leaves
    /// the recording in RAM, or in both places.
    pub fn bring(&mut self, order: u64) -> Result<(), Error> {
        let (Some(entry), Some(ram)) = (self.entries.get(&order), self.places.ram()) else { return Ok(()) };
        if entry.journal.stage == Stage::Acknowledged {
            return self.remove(order).map(|_| ());
        }
        let (file, known) = (format!("{}.mp4", entry.name), journal_of(&entry.name));
        let [home, known_home] = [&file, &known].map(|file| self.places.card().join(file));
        journal::save(&known_home, &entry.journal).map_err(Error::io("write", &known_home))?;
        files::copy(&ram.join(&file), &home).map_err(Error::io("write", &home))?;
        for path in [ram.join(file), ram.join(known)] {
            files::remove(&path).map_err(Error::io("remove", &path))?;
        }
        if let Some(entry) = self.entries.get_mut(&order) {
            tracing::info!(recording = %entry.name, "moved from RAM to the card");
            entry.in_ram = false;
        }
        Ok(())
    }

    /// Nothing is left in RAM.
    pub fn leave_ram(&mut self) {
        self.away.backoff.reset();
        if let Some(ram) = self.places.ram().filter(|_| !self.entries().any(|entry| entry.in_ram)) {
            // What is no file of ours keeps it there.
            let _left = std::fs::remove_dir(ram);
        }
    }

    /// Seals what is torn, as far as it can be sealed now.
    pub(super) fn mend(&mut self) {
        for order in self.torn(|_| true) {
            let mut mended = self.repair(order);
            if let Err(error) = &mended
                && error.is_disk_failed()
                && self.leave_card(error)
            {
                mended = self.repair(order);
            }
            // Without room a recording cannot be sealed, and without an open folder no room can be made.
            if let Err(error) = mended {
                tracing::error!(%error, "stays torn for now");
            }
        }
    }

    /// Decides how much counts of a recording that is torn on a card which does not work. So far it travels, there it is cut once it can
    /// be, and behind that the next one begins.
    pub(super) fn look(&mut self, order: u64) -> Result<(), Error> {
        let Some(entry) = self.entries.get(&order).filter(|entry| entry.journal.cut.is_none()) else {
            return Ok(());
        };
        let (name, camera) = (entry.name, entry.journal.camera.clone());
        let (of_this_boot, origin) = (entry.journal.boot == self.boot, Ticks90k(entry.journal.origin));
        let counting = match entry.safe {
            Some(safe) => safe,
            None => match repair::look(&self.recording(&name)) {
                Ok(Looked::Sealed(sealed)) => return self.seal(&name, &sealed),
                Ok(Looked::Torn(counting)) => counting,
                Err(error) => {
                    tracing::error!(%error, "cannot be read while the card does not work");
                    return Ok(());
                }
            },
        };
        if let Some(gop) = counting.gop.filter(|_| of_this_boot) {
            self.keep_last_gop(&camera, origin, gop)?;
        }
        self.change(&name, |journal| journal.cut = Some(counting.bytes))?;
        if let Some(entry) = self.entry_mut(&name) {
            entry.bytes = counting.bytes;
            entry.unsynced.clear();
        }
        Ok(())
    }
}

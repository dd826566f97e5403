//! The card: its two slots, and the two sectors that say which one is started.

use super::Error;
use media::update::slots::{COPIES, SECTOR};
use media::update::{Slot, Slots, State};
use nix::fcntl::{PosixFadviseAdvice, posix_fadvise};
use std::fs::{File, TryLockError};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

/// Where the signature of the disk is, and what it is: `board/initrd/init` knows it too.
const SIGNATURE: (usize, [u8; 4]) = (440, [0x50, 0x52, 0x54, 0x48]);
/// Where the table of partitions has its second entry, that of slot A; the third one is slot B's.
const FIRST_SLOT: usize = 446 + 16;
/// A card that somebody else still has after this is being written.
const BUSY: Duration = Duration::from_secs(10);
/// How long until it is tried again.
const AGAIN: Duration = Duration::from_millis(50);

/// The card, for one process at a time.
pub struct Card {
    file: File,
    path: PathBuf,
    places: [Place; 2],
}

/// Where a slot lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Bytes from the beginning of the card.
    pub start: u64,
    /// Bytes.
    pub size: u64,
}

/// Locks the card. udev does so too: it looks at a disk after each process that has written to it (systemd.io, "Locking Block Device Access").
fn lock(file: &File, path: &Path) -> Result<(), Error> {
    let mut waited = Duration::ZERO;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(()),
            Err(TryLockError::WouldBlock) if waited < BUSY => thread::sleep(AGAIN),
            Err(TryLockError::WouldBlock) => return Err(Error::Busy),
            Err(TryLockError::Error(error)) => return Err(Error::io(path)(error)),
        }
        waited += AGAIN;
    }
}

impl Card {
    /// Opens the card, once nobody else has it; nobody who opens it like this has it meanwhile.
    ///
    /// # Errors
    /// It cannot be opened, somebody else has it, or it is none of ours.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let file = File::options().read(true).write(true).open(path).map_err(Error::io(path))?;
        lock(&file, path)?;
        let mut table = [0; SECTOR];
        file.read_exact_at(&mut table, 0).map_err(Error::io(path))?;
        let (at, signature) = SIGNATURE;
        let wrong = |what| Error::Card { path: path.to_owned(), what };
        if table[at..at + 4] != signature || table[510..] != [0x55, 0xAA] {
            return Err(wrong("no card of a board with Porthole"));
        }
        let place = |entry: usize| {
            let number = |at: usize| {
                let bytes = [0, 1, 2, 3].map(|n| table[entry + at + n]);
                u64::from(u32::from_le_bytes(bytes)) * SECTOR as u64
            };
            Place { start: number(8), size: number(12) }
        };
        let places = [place(FIRST_SLOT), place(FIRST_SLOT + 16)];
        let behind_the_state = COPIES[1] + SECTOR as u64;
        if places.iter().any(|place| place.start < behind_the_state || place.size == 0) {
            return Err(wrong("its table of partitions has no slots"));
        }
        Ok(Self { file, path: path.to_owned(), places })
    }

    /// Where a slot lies.
    pub fn place(&self, slot: Slot) -> Place {
        match slot {
            Slot::A => self.places[0],
            Slot::B => self.places[1],
        }
    }

    /// What the sectors say.
    pub fn slots(&self) -> Result<Slots, Error> {
        let mut copies = [[0; SECTOR]; 2];
        for (copy, at) in copies.iter_mut().zip(COPIES) {
            self.read(copy, at)?;
        }
        Ok(Slots::of([&copies[0], &copies[1]]))
    }

    /// Makes the sectors say `state`: by one write, to the older one.
    pub fn set(&self, state: State) -> Result<(), Error> {
        let mut slots = self.slots()?;
        if slots.state == state {
            // Whoever wrote that may have died before it was durable.
            self.sync(COPIES[0], COPIES[1] + SECTOR as u64 - COPIES[0])?;
            slots = self.slots()?;
        }
        if slots.state == state {
            return Ok(());
        }
        let spent = Error::Card { path: self.path.clone(), what: "its state was written too often" };
        let (copy, sector) = slots.next(state).ok_or(spent)?;
        self.put(&sector, COPIES[copy])
    }

    /// Writes and syncs, and reads back.
    pub fn put(&self, bytes: &[u8], at: u64) -> Result<(), Error> {
        self.write(bytes, at)?;
        self.sync(at, bytes.len() as u64)?;
        let mut found = vec![0; bytes.len()];
        self.read(&mut found, at)?;
        if found == bytes { Ok(()) } else { Err(self.unfaithful(at)) }
    }

    /// What was written `at` that byte, or behind it, does not come back.
    pub fn unfaithful(&self, at: u64) -> Error {
        Error::Unfaithful { path: self.path.clone(), at }
    }

    /// Writes, sooner or later.
    pub fn write(&self, bytes: &[u8], at: u64) -> Result<(), Error> {
        self.file.write_all_at(bytes, at).map_err(Error::io(&self.path))
    }

    /// Makes what was written durable, and forgets it: the next read is one of the card, and memory stays with the camera.
    pub fn sync(&self, at: u64, length: u64) -> Result<(), Error> {
        self.file.sync_data().map_err(Error::io(&self.path))?;
        self.forget(at, length);
        Ok(())
    }

    /// Has the kernel forget what it read or wrote there.
    pub fn forget(&self, at: u64, length: u64) {
        if let (Ok(at), Ok(length)) = (at.try_into(), length.try_into()) {
            let advice = PosixFadviseAdvice::POSIX_FADV_DONTNEED;
            let _only_advice = posix_fadvise(&self.file, at, length, advice);
        }
    }

    /// Reads.
    pub fn read(&self, bytes: &mut [u8], at: u64) -> Result<(), Error> {
        self.file.read_exact_at(bytes, at).map_err(Error::io(&self.path))
    }
}

//! The card of a board, as power cuts find it: what was written is volatile until it was flushed, and a cut keeps, drops or tears each
//! volatile write by chance.
//!
//! ```text
//! write, trim -> volatile, in their order --flush--> file
//!                        \--cut--> each one: kept | dropped | some of its sectors kept
//! ```
//! A card reads what was written last, durable or not. One that lies says that it has flushed, and has not. Between a write and its flush are
//! a few milliseconds, which an instant by chance hardly ever hits: so the power can also go with a write.

use std::fs::File;
use std::ops::{AddAssign, Range};
use std::os::unix::fs::FileExt;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use nix::fcntl::{FallocateFlags, fallocate};

use crate::dice::Dice;

/// What a card writes whole or not at all.
pub const SECTOR: u64 = 512;
/// Of the volatile writes that a cut finds, so many are torn.
const TORN: f64 = 0.25;

/// A card.
#[derive(Debug)]
pub struct Card {
    file: File,
    size: u64,
    volatile: Vec<Write>,
    /// Writes so far.
    writes: u64,
    /// The write with which the power goes, counted like them.
    last: Option<u64>,
    /// A flush makes nothing durable.
    pub lies: bool,
}

/// Something written, that a cut can take back.
#[derive(Debug)]
struct Write {
    at: Range<u64>,
    /// Zeros if there are none: the range was trimmed.
    bytes: Option<Vec<u8>>,
    /// No cut takes it back (FUA).
    durable: bool,
}

/// What a cut did to the volatile writes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cut {
    /// On the card as they were written.
    pub kept: u32,
    /// As if they had never been.
    pub dropped: u32,
    /// Some of their sectors are on the card.
    pub torn: u32,
}

impl AddAssign for Cut {
    fn add_assign(&mut self, more: Self) {
        self.kept += more.kept;
        self.dropped += more.dropped;
        self.torn += more.torn;
    }
}

impl Card {
    /// The card whose durable bytes are a file's.
    pub fn open(image: &Path) -> Result<Self> {
        let file = File::options().read(true).write(true).open(image);
        let file = file.with_context(|| image.display().to_string())?;
        let size = file.metadata()?.len();
        Ok(Self { file, size, volatile: Vec::new(), writes: 0, last: None, lies: false })
    }

    /// Its bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// How many writes are volatile.
    pub fn volatile(&self) -> usize {
        self.volatile.len()
    }

    /// How many writes there were, of all its machines.
    pub fn writes(&self) -> u64 {
        self.writes
    }

    /// The power goes with the write after so many more.
    pub fn go_dark_after(&mut self, writes: u64) {
        self.last = Some(self.writes + writes + 1);
    }

    /// Whether the power is gone, until the cut says what that did: nothing is taken or answered.
    pub fn is_dark(&self) -> bool {
        self.last.is_some_and(|last| self.writes >= last)
    }

    fn range(&self, at: u64, length: u64) -> Result<Range<u64>> {
        let end = at.checked_add(length).filter(|end| *end <= self.size);
        Ok(at..end.with_context(|| format!("{length} bytes at {at} are not on a card of {}", self.size))?)
    }

    /// What is there, durable or not.
    pub fn read(&self, at: u64, length: u32) -> Result<Vec<u8>> {
        let wanted = self.range(at, length.into())?;
        let mut bytes = vec![0; length as usize];
        self.file.read_exact_at(&mut bytes, at)?;
        for write in &self.volatile {
            let (from, to) = (wanted.start.max(write.at.start), wanted.end.min(write.at.end));
            if from < to {
                let here = &mut bytes[(from - at) as usize..(to - at) as usize];
                match &write.bytes {
                    Some(written) => here.copy_from_slice(part(written, from - write.at.start, to - from)),
                    None => here.fill(0),
                }
            }
        }
        Ok(bytes)
    }

    /// Writes; `durable` is as if a flush of this write alone followed.
    pub fn write(&mut self, at: u64, bytes: Vec<u8>, durable: bool) -> Result<()> {
        let at = self.range(at, bytes.len() as u64)?;
        self.writes += 1;
        // Nobody was told that this one is durable.
        let durable = durable && !self.lies && !self.is_dark();
        self.volatile.push(Write { at, bytes: Some(bytes), durable });
        Ok(())
    }

    /// Forgets what is there.
    pub fn trim(&mut self, at: u64, length: u32) -> Result<()> {
        let at = self.range(at, length.into())?;
        self.volatile.push(Write { at, bytes: None, durable: false });
        Ok(())
    }

    /// Makes all that was written durable.
    pub fn flush(&mut self) -> Result<()> {
        if !self.lies {
            for write in std::mem::take(&mut self.volatile) {
                self.keep(&write)?;
            }
        }
        Ok(())
    }

    /// The power goes: chance decides what of the volatile writes is on the card from now on.
    pub fn cut(&mut self, dice: &mut Dice) -> Result<Cut> {
        let mut cut = Cut::default();
        self.last = None;
        // From all but nothing lost to all but everything.
        let loss = dice.roll();
        for write in std::mem::take(&mut self.volatile) {
            if write.durable || dice.roll() >= loss {
                cut.kept += 1;
                self.keep(&write)?;
            } else if dice.roll() < TORN && write.at.end - write.at.start > SECTOR {
                cut.torn += 1;
                self.tear(&write, dice)?;
            } else {
                cut.dropped += 1;
            }
        }
        Ok(cut)
    }

    /// The power goes, and takes all that it can.
    pub fn cut_all(&mut self) -> Result<Cut> {
        let mut cut = Cut::default();
        self.last = None;
        for write in std::mem::take(&mut self.volatile) {
            if write.durable {
                cut.kept += 1;
                self.keep(&write)?;
            } else {
                cut.dropped += 1;
            }
        }
        Ok(cut)
    }

    /// Keeps each sector of a write or does not.
    fn tear(&self, write: &Write, dice: &mut Dice) -> Result<()> {
        let mut from = write.at.start;
        while from < write.at.end {
            let to = write.at.end.min((from / SECTOR + 1) * SECTOR);
            if dice.roll() < 0.5 {
                let bytes =
                    write.bytes.as_ref().map(|bytes| part(bytes, from - write.at.start, to - from).to_vec());
                self.keep(&Write { at: from..to, bytes, durable: false })?;
            }
            from = to;
        }
        Ok(())
    }

    fn keep(&self, write: &Write) -> Result<()> {
        match &write.bytes {
            Some(bytes) => self.file.write_all_at(bytes, write.at.start)?,
            None => {
                let hole = FallocateFlags::FALLOC_FL_PUNCH_HOLE | FallocateFlags::FALLOC_FL_KEEP_SIZE;
                let [at, length] = [write.at.start, write.at.end - write.at.start].map(i64::try_from);
                fallocate(&self.file, hole, at?, length?)?;
            }
        }
        Ok(())
    }
}

/// `length` bytes from `at` on.
fn part(bytes: &[u8], at: u64, length: u64) -> &[u8] {
    &bytes[at as usize..(at + length) as usize]
}

impl Drop for Card {
    /// Nobody looks into the file of a card that is in use; what was not cut is there.
    fn drop(&mut self) {
        for write in &self.volatile {
            if let Err(error) = self.keep(write) {
                eprintln!("a card: {error:#}");
            }
        }
    }
}

/// A copy of an image on a larger card; where there is nothing in it, the copy takes no room.
pub fn write_image(image: &Path, card: &Path, size: u64) -> Result<()> {
    let copied = std::process::Command::new("cp").arg("--sparse=always").args([image, card]).status()?;
    ensure!(copied.success(), "cp ended with {copied}");
    Ok(File::options().write(true).open(card)?.set_len(size)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn card(sectors: u64) -> (tempfile::NamedTempFile, Card) {
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(sectors * SECTOR).unwrap();
        let card = Card::open(file.path()).unwrap();
        (file, card)
    }

    /// What is durable: a byte for each sector.
    fn durable(file: &tempfile::NamedTempFile) -> Vec<u8> {
        let bytes = std::fs::read(file.path()).unwrap();
        let sectors = bytes.chunks(SECTOR as usize);
        let whole = |sector: &[u8]| sector.iter().all(|byte| *byte == sector[0]);
        sectors.map(|sector| if whole(sector) { sector[0] } else { panic!("half a sector") }).collect()
    }

    fn sectors(count: usize, byte: u8) -> Vec<u8> {
        vec![byte; count * SECTOR as usize]
    }

    #[test]
    fn a_card_reads_what_was_written_last() {
        let (_file, mut card) = card(8);
        card.write(0, sectors(8, 1), false).unwrap();
        card.flush().unwrap();
        card.write(SECTOR, sectors(4, 2), false).unwrap();
        card.trim(2 * SECTOR, SECTOR as u32).unwrap();
        card.write(4 * SECTOR + 7, vec![3; 2], false).unwrap();
        let read = card.read(0, 8 * SECTOR as u32).unwrap();
        let first: Vec<u8> = read.chunks(SECTOR as usize).map(|sector| sector[0]).collect();
        assert_eq!(first, [1, 2, 0, 2, 2, 1, 1, 1]);
        assert_eq!(read[4 * SECTOR as usize + 6..][..4], [2, 3, 3, 2]);
        assert_eq!(card.read(4 * SECTOR + 8, 2).unwrap(), [3, 2]);
    }

    #[test]
    fn what_was_flushed_outlives_a_cut_and_what_was_not_may_be_torn() {
        let mut seen = Cut::default();
        for seed in 1..50 {
            let (file, mut card) = card(64);
            card.write(0, sectors(64, 1), false).unwrap();
            card.flush().unwrap();
            for n in 0..16 {
                card.write(4 * n * SECTOR, sectors(4, 2), false).unwrap();
            }
            let cut = card.cut(&mut Dice::seeded(seed)).unwrap();
            assert_eq!(cut.kept + cut.dropped + cut.torn, 16);
            assert!(durable(&file).iter().all(|byte| [1, 2].contains(byte)));
            let changed = durable(&file).iter().filter(|byte| **byte == 2).count() as u32;
            assert!(changed >= 4 * cut.kept && changed <= 4 * (cut.kept + cut.torn), "{cut:?} {changed}");
            assert_eq!(card.volatile(), 0);
            seen += cut;
        }
        assert!(seen.kept > 100 && seen.dropped > 100 && seen.torn > 50, "{seen:?}");
    }

    #[test]
    fn a_later_write_may_stay_where_an_earlier_one_is_lost() {
        let mut ends = std::collections::BTreeSet::new();
        for seed in 1..200 {
            let (file, mut card) = card(1);
            card.write(0, sectors(1, 1), false).unwrap();
            card.write(0, sectors(1, 2), false).unwrap();
            card.cut(&mut Dice::seeded(seed)).unwrap();
            ends.insert(durable(&file)[0]);
        }
        assert_eq!(ends.into_iter().collect::<Vec<_>>(), [0, 1, 2]);
    }

    #[test]
    fn a_forced_write_is_durable_alone() {
        for seed in 1..50 {
            let (file, mut card) = card(2);
            card.write(0, sectors(1, 1), false).unwrap();
            card.write(SECTOR, sectors(1, 2), true).unwrap();
            card.cut(&mut Dice::seeded(seed)).unwrap();
            assert_eq!(durable(&file)[1], 2);
        }
    }

    #[test]
    fn what_was_trimmed_is_empty_once_that_is_durable() {
        let (file, mut card) = card(8);
        card.write(0, sectors(8, 1), false).unwrap();
        card.flush().unwrap();
        card.trim(2 * SECTOR, 3 * SECTOR as u32).unwrap();
        assert_eq!(durable(&file), [1; 8]);
        card.flush().unwrap();
        assert_eq!(durable(&file), [1, 1, 0, 0, 0, 1, 1, 1]);
    }

    #[test]
    fn a_card_that_lies_loses_what_was_flushed() {
        let mut lost = 0;
        for seed in 1..50 {
            let (file, mut card) = card(1);
            card.lies = true;
            card.write(0, sectors(1, 1), true).unwrap();
            card.flush().unwrap();
            card.cut(&mut Dice::seeded(seed)).unwrap();
            lost += u32::from(durable(&file)[0] == 0);
        }
        assert!((5..45).contains(&lost), "{lost} of 49");
    }

    #[test]
    fn the_power_goes_with_a_write_that_is_not_durable_even_if_it_was_forced() {
        let (file, mut card) = card(4);
        card.go_dark_after(2);
        for sector in 0..3 {
            assert!(!card.is_dark());
            card.write(sector * SECTOR, sectors(1, 1), true).unwrap();
        }
        assert!(card.is_dark());
        assert_eq!(card.cut_all().unwrap(), Cut { kept: 2, dropped: 1, torn: 0 });
        assert_eq!((durable(&file), card.is_dark(), card.writes()), (vec![1, 1, 0, 0], false, 3));
    }

    #[test]
    fn what_is_not_on_the_card_is_an_error() {
        let (_file, mut card) = card(2);
        assert!(card.read(SECTOR, 1025).is_err());
        assert!(card.write(u64::MAX, vec![1], false).is_err());
        let error = card.trim(1024, 1).unwrap_err().to_string();
        assert_eq!(error, "1 bytes at 1024 are not on a card of 1024");
    }
}

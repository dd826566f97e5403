//! The file of the ring.
//!
//! ```text
//! 0        4096                          4096 + 1024 * 64
//! +--------+-----------------------------+--------------------------------------------------+
//! | header | index: 1024 entries, 64 B   | log, `capacity` bytes, runs round                |
//! +--------+-----------------------------+--------------------------------------------------+
//!            entry of GOP n: slot n mod 1024        GOP: head record, unit record, unit record, ...
//!
//! record = | payload bytes u32 | kind u8 | key u8 | 0 u16 | pts i64 | payload |      (little-endian)
//! entry  = | sequence u64 | offset u64 | bytes u64 | 0 ... | crc32 of the first 60 bytes |
//! ```
//!
//! Offsets count the bytes ever written; an offset modulo `capacity` is the place in the log. A record is written before
//! the entry that covers it, and an entry is wiped before its bytes are overwritten: whenever the process dies, every
//! entry with a good checksum covers whole records.

use super::Error;
use bytes::{Buf, BufMut, Bytes};
use media::{AccessUnit, AudioConfig, StreamConfig, Ticks90k, Track, VideoConfig, WallTime};
use nix::errno::Errno;
use nix::fcntl::{FallocateFlags, Flock, FlockArg, fallocate};
use nix::libc::off_t;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

/// GOPs that the index can hold.
pub(super) const SLOTS: usize = 1024;
/// Bytes of a record in front of its payload.
pub(super) const RECORD_HEADER: usize = 16;
/// Bytes of the largest head record's payload; SPS, PPS and AudioSpecificConfig are far smaller.
pub(super) const MOST_HEAD: usize = 2048;

const MAGIC: &[u8; 8] = b"PHRING02";
const HEADER: u64 = 4096;
const ENTRY: usize = 64;
const LOG_START: u64 = HEADER + (SLOTS * ENTRY) as u64;
const LEAST_CAPACITY: u64 = 1 << 20;

/// What a record holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Head = 0,
    Video = 1,
    Audio = 2,
}

impl Kind {
    pub(super) fn of(track: Track) -> Self {
        match track {
            Track::Video => Self::Video,
            Track::Audio => Self::Audio,
        }
    }
}

/// The first 16 bytes of a record.
pub(super) fn record_header(kind: Kind, key: bool, pts: Ticks90k, payload: usize) -> [u8; RECORD_HEADER] {
    let mut header = [0; RECORD_HEADER];
    let mut out = &mut header[..];
    out.put_u32_le(payload as u32);
    out.put_u8(kind as u8);
    out.put_u8(u8::from(key));
    out.put_u16_le(0);
    out.put_i64_le(pts.0);
    header
}

/// An entry of the index on the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Slot {
    pub(super) sequence: u64,
    pub(super) offset: u64,
    pub(super) len: u64,
}

/// The opened and locked file.
pub(super) struct Log {
    file: Flock<File>,
    capacity: u64,
}

impl Log {
    /// Opens the file, or makes it anew if it is not there, of another size or of another boot.
    pub(super) fn open(path: &Path, bytes: u64, boot_id: &str) -> Result<Self, Error> {
        let io_error = |source| Error::Io { path: path.to_owned(), source };
        if let Some(dir) = path.parent() {
            std::fs::create_dir_all(dir).map_err(io_error)?;
        }
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(path)
            .map_err(io_error)?;
        let file = match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(file) => file,
            Err((_, nix::errno::Errno::EWOULDBLOCK)) => return Err(Error::Busy { path: path.to_owned() }),
            Err((_, errno)) => return Err(io_error(errno.into())),
        };
        let capacity = match read_header(&file, boot_id) {
            // A ring that was made smaller for want of room stays as it is until the next boot.
            Some(capacity) if capacity <= bytes && bytes < capacity * 2 => capacity,
            _ => make(&file, bytes, boot_id).map_err(io_error)?,
        };
        Ok(Self { file, capacity })
    }

    /// Bytes that the log holds.
    pub(super) fn capacity(&self) -> u64 {
        self.capacity
    }

    /// Writes `bytes` at a log offset, round the end if need be.
    pub(super) fn write(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let (first, second) = self.split(offset, bytes.len());
        let (head, tail) = bytes.split_at(first);
        self.file.write_all_at(head, LOG_START + offset % self.capacity)?;
        if second > 0 { self.file.write_all_at(tail, LOG_START) } else { Ok(()) }
    }

    /// Reads `len` bytes at a log offset, round the end if need be.
    pub(super) fn read(&self, offset: u64, len: u64) -> io::Result<Bytes> {
        if len > self.capacity {
            return Err(io::Error::new(io::ErrorKind::InvalidData, format!("a GOP of {len} bytes")));
        }
        let mut bytes = vec![0; len as usize];
        let (first, second) = self.split(offset, bytes.len());
        let (head, tail) = bytes.split_at_mut(first);
        self.file.read_exact_at(head, LOG_START + offset % self.capacity)?;
        if second > 0 {
            self.file.read_exact_at(tail, LOG_START)?;
        }
        Ok(bytes.into())
    }

    fn split(&self, offset: u64, len: usize) -> (usize, usize) {
        let room = (self.capacity - offset % self.capacity).min(len as u64) as usize;
        (room, len - room)
    }

    /// Writes the entry of a GOP.
    pub(super) fn write_slot(&self, slot: Slot) -> io::Result<()> {
        let mut entry = [0; ENTRY];
        let mut out = &mut entry[..];
        out.put_u64_le(slot.sequence);
        out.put_u64_le(slot.offset);
        out.put_u64_le(slot.len);
        let sum = crc32fast::hash(&entry[..ENTRY - 4]);
        entry[ENTRY - 4..].copy_from_slice(&sum.to_le_bytes());
        self.file.write_all_at(&entry, slot_place(slot.sequence))
    }

    /// Wipes the entry of a GOP.
    pub(super) fn wipe_slot(&self, sequence: u64) -> io::Result<()> {
        self.file.write_all_at(&[0; ENTRY], slot_place(sequence))
    }

    /// All entries with a good checksum, in no order.
    pub(super) fn slots(&self) -> io::Result<Vec<Slot>> {
        let mut bytes = vec![0; SLOTS * ENTRY];
        self.file.read_exact_at(&mut bytes, HEADER)?;
        let good = bytes.chunks_exact(ENTRY).enumerate().filter_map(|(n, entry)| {
            let (mut fields, sum) = entry.split_at(ENTRY - 4);
            if fields.iter().all(|byte| *byte == 0) || crc32fast::hash(fields).to_le_bytes() != sum {
                return None;
            }
            let slot =
                Slot { sequence: fields.get_u64_le(), offset: fields.get_u64_le(), len: fields.get_u64_le() };
            (slot.sequence % SLOTS as u64 == n as u64 && slot.len <= self.capacity).then_some(slot)
        });
        Ok(good.collect())
    }
}

fn slot_place(sequence: u64) -> u64 {
    HEADER + (sequence % SLOTS as u64) * ENTRY as u64
}

fn header(capacity: u64, boot_id: &str) -> [u8; 64] {
    let mut header = [0; 64];
    header[..8].copy_from_slice(MAGIC);
    header[8..16].copy_from_slice(&capacity.to_le_bytes());
    header[16..20].copy_from_slice(&crc32fast::hash(boot_id.as_bytes()).to_le_bytes());
    header
}

/// The capacity of a ring that was made in this boot.
fn read_header(file: &File, boot_id: &str) -> Option<u64> {
    let mut found = [0; 64];
    file.read_exact_at(&mut found, 0).ok()?;
    let capacity = (&found[8..16]).get_u64_le();
    let size = file.metadata().ok()?.len();
    (found == header(capacity, boot_id) && size == LOG_START.checked_add(capacity)?).then_some(capacity)
}

/// Takes the room on the disk, less if there is not enough, and writes the header last.
fn make(file: &File, bytes: u64, boot_id: &str) -> io::Result<u64> {
    let mut capacity = bytes;
    file.set_len(0)?;
    loop {
        let size = off_t::try_from(LOG_START + capacity).map_err(|_| Errno::EFBIG);
        match size.and_then(|size| fallocate(file, FallocateFlags::empty(), 0, size)) {
            Ok(()) => break,
            Err(Errno::ENOSPC | Errno::EFBIG) if capacity / 2 >= LEAST_CAPACITY => {
                file.set_len(0)?;
                capacity /= 2;
            }
            Err(errno) => {
                // Room that was taken for nothing would starve whoever shares the disk.
                file.set_len(0)?;
                return Err(errno.into());
            }
        }
    }
    file.write_all_at(&header(capacity, boot_id), 0)?;
    Ok(capacity)
}

/// Stands in a head record for a time that there is not.
const NO_TIME: i64 = i64::MIN;

/// What the first record of a GOP tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) wall: Option<WallTime>,
    pub(super) discontinuity: bool,
    pub(super) gone_since: Option<Ticks90k>,
    pub(super) config: StreamConfig,
}

/// Writes the payload of a head record into `out`, which is cleared first.
pub(super) fn write_head(
    out: &mut Vec<u8>,
    wall: Option<WallTime>,
    discontinuity: bool,
    gone_since: Option<Ticks90k>,
    config: &StreamConfig,
) -> io::Result<()> {
    out.clear();
    out.put_i64_le(wall.map_or(NO_TIME, |wall| wall.0));
    out.put_u8(u8::from(discontinuity));
    out.put_i64_le(gone_since.map_or(NO_TIME, |since| since.0));
    out.put_u16_le(config.video.width);
    out.put_u16_le(config.video.height);
    out.put_i64_le(config.video.frame_duration.0);
    put_blob(out, &config.video.sps);
    put_blob(out, &config.video.pps);
    if let Some(audio) = &config.audio {
        out.put_u32_le(audio.sample_rate);
        out.put_u8(audio.channels);
        put_blob(out, &audio.asc);
    }
    if out.len() > MOST_HEAD {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "parameter sets are too large"));
    }
    Ok(())
}

fn put_blob(out: &mut Vec<u8>, blob: &[u8]) {
    // One that is too long makes the head too long, and `write_head` refuses it.
    out.put_u16_le(blob.len().min(usize::from(u16::MAX)) as u16);
    out.put_slice(blob);
}

/// Reads the payload of a head record.
pub(super) fn read_head(payload: &Bytes) -> Option<Head> {
    let mut rest = payload.clone();
    let wall = rest.try_get_i64_le().ok()?;
    let discontinuity = rest.try_get_u8().ok()? != 0;
    let gone_since = rest.try_get_i64_le().ok()?;
    let video = VideoConfig {
        width: rest.try_get_u16_le().ok()?,
        height: rest.try_get_u16_le().ok()?,
        frame_duration: Ticks90k(rest.try_get_i64_le().ok()?),
        sps: get_blob(&mut rest)?,
        pps: get_blob(&mut rest)?,
    };
    let audio = if rest.has_remaining() {
        Some(AudioConfig {
            sample_rate: rest.try_get_u32_le().ok().filter(|rate| *rate > 0)?,
            channels: rest.try_get_u8().ok()?,
            asc: get_blob(&mut rest)?,
        })
    } else {
        None
    };
    let wall = (wall != NO_TIME).then_some(WallTime(wall));
    let gone_since = (gone_since != NO_TIME).then_some(Ticks90k(gone_since));
    Some(Head { wall, discontinuity, gone_since, config: StreamConfig { video, audio } })
}

fn get_blob(rest: &mut Bytes) -> Option<Bytes> {
    let len = usize::from(rest.try_get_u16_le().ok()?);
    (len <= rest.len()).then(|| rest.split_to(len))
}

/// One record of a GOP.
pub(super) struct Record {
    pub(super) kind: Kind,
    pub(super) key: bool,
    pub(super) pts: Ticks90k,
    pub(super) payload: Bytes,
}

/// Splits the bytes of a GOP into records; the payloads are slices of them.
pub(super) fn records(bytes: &Bytes) -> io::Result<Vec<Record>> {
    let mut rest = bytes.clone();
    let mut records = Vec::new();
    while rest.has_remaining() {
        let damaged = || io::Error::new(io::ErrorKind::InvalidData, "damaged record");
        if rest.len() < RECORD_HEADER {
            return Err(damaged());
        }
        let len = rest.get_u32_le() as usize;
        let kind = match rest.get_u8() {
            0 => Kind::Head,
            1 => Kind::Video,
            2 => Kind::Audio,
            _ => return Err(damaged()),
        };
        let key = rest.get_u8() != 0;
        rest.advance(2);
        let pts = Ticks90k(rest.get_i64_le());
        if len > rest.len() {
            return Err(damaged());
        }
        records.push(Record { kind, key, pts, payload: rest.split_to(len) });
    }
    Ok(records)
}

/// The access units among the records of (a piece of) a GOP.
pub(super) fn units(bytes: &Bytes) -> io::Result<Vec<AccessUnit>> {
    let unit = |record: Record| {
        let track = match record.kind {
            Kind::Head => return None,
            Kind::Video => Track::Video,
            Kind::Audio => Track::Audio,
        };
        Some(AccessUnit { track, pts: record.pts, key: record.key, data: record.payload })
    };
    Ok(records(bytes)?.into_iter().filter_map(unit).collect())
}

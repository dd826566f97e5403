//! The ledger: one append-only chain of hashes a camera, over every GOP and every gap. docs/design/ledger.md has the bytes, the
//! procedures, and what each kind of tampering looks like.
//!
//! ```text
//! slice A, in recording 1            slice B, in recording 2
//! [ GOP GOP Gap GOP ... ] signed     [ Clock GOP GOP ... ] signed
//! head 0 ------------> head 61 ===== head 61 -------> head 122
//!
//! hash n = SHA-256( hash n-1 | boot | entry n )          hash 0 is drawn at random when the chain is begun
//! ```
//!
//! | module | what |
//! |---|---|
//! | [`slice`](mod@slice) | entries from one head to the next, signed with the device key: what travels |
//! | [`tail`] | what no sealed recording carries yet: what the edge keeps |
//! | [`dates`] | media time -> UTC, also for what was taken before the clock was set |
//! | [`stitch`](mod@stitch) | many slices in any order -> one account of every second |

pub mod dates;
pub mod slice;
pub mod stitch;
pub mod tail;

pub use dates::Dates;
pub use ed25519_dalek::{Signature, SigningKey, VerifyingKey};
pub use slice::{Form, Slice};
pub use stitch::{Finding, Missing, Stitched, stitch};
pub use tail::Tail;

use crate::{Ticks90k, WallTime};
use bytes::{Buf, BufMut};
use sha2::{Digest, Sha256};
use std::fmt;

/// SHA-256.
pub type Hash = [u8; 32];

/// Spans between two pictures that are shorter are no gaps: the first one stands for them.
pub const SHORTEST_GAP: Ticks90k = Ticks90k(crate::time::TICKS_PER_SECOND / 2);

/// Why bytes are no ledger.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// They end too early, or promise more than there may be.
    #[error("ledger at byte {at}: {what}")]
    Malformed {
        /// How far they could be read.
        at: usize,
        /// What is wrong there.
        what: &'static str,
    },
}

/// Why there is no footage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Cause {
    /// The camera could not be opened, or stopped delivering.
    CameraGone,
    /// The process or the board was not running.
    NoPower,
    /// The wall clock was not set.
    ClockUnset,
    /// The encoder or the disk did not keep up, or a thread stood still.
    Overload,
    /// No room on the disk.
    DiskFull,
    /// For want of room only the IDR pictures are left.
    Thinned,
}

impl Cause {
    const ALL: [Self; 6] =
        [Self::CameraGone, Self::NoPower, Self::ClockUnset, Self::Overload, Self::DiskFull, Self::Thinned];

    /// As it stands in JSON: `camera_gone`.
    pub fn name(self) -> &'static str {
        match self {
            Self::CameraGone => "camera_gone",
            Self::NoPower => "no_power",
            Self::ClockUnset => "clock_unset",
            Self::Overload => "overload",
            Self::DiskFull => "disk_full",
            Self::Thinned => "thinned",
        }
    }
}

/// One boot of the board: media times are of one boot, and mean nothing in another.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Boot(pub [u8; 16]);

impl Boot {
    /// From the kernel's boot id, or whatever text stands for a boot: half of its SHA-256.
    pub fn of(id: &str) -> Self {
        let hash = Sha256::digest(id.as_bytes());
        Self(std::array::from_fn(|n| hash[n]))
    }
}

impl fmt::Display for Boot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().take(4).try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Boot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A GOP that was recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gop {
    /// Its number in the ring.
    pub sequence: u64,
    /// `pts` of its IDR picture.
    pub start: Ticks90k,
    /// Until the next picture, or the nominal end of its last one.
    pub duration: Ticks90k,
    /// Wall time of `start`, if it was known when it was encoded.
    pub wall: Option<WallTime>,
    /// Over the data of its access units in the order of the file: the pictures, then the AAC frames.
    pub sha256: Hash,
}

/// One entry of the chain. All times are of the boot that its slice names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry {
    /// The process began: what is missing before was lost because nothing ran.
    Start {
        /// When.
        at: Ticks90k,
    },
    /// Footage.
    Gop(Gop),
    /// No footage.
    Gap {
        /// Why.
        cause: Cause,
        /// Where the footage ends.
        from: Ticks90k,
        /// Where it begins again.
        to: Ticks90k,
    },
    /// The wall clock was set: this is how all media times of the boot become dates.
    Clock {
        /// Media time of the reading.
        media: Ticks90k,
        /// UTC at that moment.
        wall: WallTime,
    },
    /// The remote host holds a recording: it must be there from now on.
    Receipt {
        /// When that was known.
        at: Ticks90k,
        /// Sequence number of the recording's name.
        recording: u64,
    },
}

/// Bytes of the longest entry.
pub const MOST_ENTRY_BYTES: usize = 61;

impl Entry {
    /// When it began.
    pub fn at(&self) -> Ticks90k {
        match self {
            Self::Start { at } | Self::Receipt { at, .. } => *at,
            Self::Clock { media: at, .. } | Self::Gap { from: at, .. } => *at,
            Self::Gop(gop) => gop.start,
        }
    }

    /// Appends the entry; docs/design/ledger.md shows the bytes.
    pub fn write(&self, out: &mut impl BufMut) {
        match self {
            Self::Start { at } => {
                out.put_u8(1);
                out.put_i64(at.0);
            }
            Self::Gop(gop) => {
                out.put_u8(2);
                out.put_u64(gop.sequence);
                out.put_i64(gop.start.0);
                out.put_u32(gop.duration.0.clamp(0, u32::MAX.into()) as u32);
                out.put_i64(gop.wall.map_or(i64::MIN, |wall| wall.0));
                out.put_slice(&gop.sha256);
            }
            Self::Gap { cause, from, to } => {
                out.put_u8(3);
                out.put_u8(*cause as u8);
                out.put_i64(from.0);
                out.put_i64(to.0);
            }
            Self::Clock { media, wall } => {
                out.put_u8(4);
                out.put_i64(media.0);
                out.put_i64(wall.0);
            }
            Self::Receipt { at, recording } => {
                out.put_u8(5);
                out.put_i64(at.0);
                out.put_u64(*recording);
            }
        }
    }

    /// Reads one entry from the front of `bytes`; `None` if they are none.
    pub fn read(bytes: &mut &[u8]) -> Option<Self> {
        Some(match bytes.try_get_u8().ok()? {
            1 => Self::Start { at: ticks(bytes)? },
            2 => Self::Gop(Gop {
                sequence: bytes.try_get_u64().ok()?,
                start: ticks(bytes)?,
                duration: Ticks90k(bytes.try_get_u32().ok()?.into()),
                wall: match bytes.try_get_i64().ok()? {
                    i64::MIN => None,
                    micros => Some(sane_wall(micros)?),
                },
                sha256: array(bytes)?,
            }),
            3 => Self::Gap {
                cause: *Cause::ALL.get(usize::from(bytes.try_get_u8().ok()?))?,
                from: ticks(bytes)?,
                to: ticks(bytes)?,
            },
            4 => Self::Clock { media: ticks(bytes)?, wall: sane_wall(bytes.try_get_i64().ok()?)? },
            5 => Self::Receipt { at: ticks(bytes)?, recording: bytes.try_get_u64().ok()? },
            _ => return None,
        })
    }
}

/// A time of at most a thousand years: differences and sums of two stay within 64 bits.
fn ticks(bytes: &mut &[u8]) -> Option<Ticks90k> {
    let ticks = bytes.try_get_i64().ok()?;
    (ticks.unsigned_abs() < 1 << 52).then_some(Ticks90k(ticks))
}

fn sane_wall(micros: i64) -> Option<WallTime> {
    (micros.unsigned_abs() < 1 << 58).then_some(WallTime(micros))
}

fn array<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let mut array = [0; N];
    bytes.try_copy_to_slice(&mut array).ok()?;
    Some(array)
}

/// A place in the chain: behind `position` entries, and the hash over all of them.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Head {
    /// Entries before it.
    pub position: u64,
    /// Over all entries before it; drawn at random where there are none.
    pub hash: Hash,
}

impl Head {
    /// The beginning of a chain. `seed` is drawn at random, so that no two chains have a head in common.
    pub fn begin(seed: Hash) -> Self {
        Self { position: 0, hash: seed }
    }

    /// The head behind one more entry.
    #[must_use]
    pub fn append(self, boot: Boot, entry: &Entry) -> Self {
        let mut bytes = Vec::with_capacity(MOST_ENTRY_BYTES);
        entry.write(&mut bytes);
        let hash = Sha256::new().chain_update(self.hash).chain_update(boot.0).chain_update(&bytes);
        Self { position: self.position.saturating_add(1), hash: hash.finalize().into() }
    }

    /// The head behind all of `entries`.
    #[must_use]
    pub fn extend<'a>(self, boot: Boot, entries: impl IntoIterator<Item = &'a Entry>) -> Self {
        entries.into_iter().fold(self, |head, entry| head.append(boot, entry))
    }

    /// The head of a branch: what the chain goes on behind while this head cannot be replaced where it is kept. If a power cut takes the
    /// end of the branch, what follows this head then contradicts nothing.
    #[must_use]
    pub fn branch(self, boot: Boot) -> Self {
        let hash = Sha256::new().chain_update(self.hash).chain_update(boot.0).chain_update(b"branch");
        Self { hash: hash.finalize().into(), ..self }
    }

    fn write(&self, out: &mut impl BufMut) {
        out.put_u64(self.position);
        out.put_slice(&self.hash);
    }

    fn read(bytes: &mut &[u8]) -> Option<Self> {
        Some(Self { position: bytes.try_get_u64().ok()?, hash: array(bytes)? })
    }
}

impl fmt::Debug for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.position)?;
        self.hash.iter().take(4).try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// Reads `count` entries; memory is taken only for bytes that are there.
fn read_entries(bytes: &mut &[u8], count: usize) -> Option<Vec<Entry>> {
    let mut entries = Vec::with_capacity(count.min(bytes.len() / 9));
    for _ in 0..count {
        entries.push(Entry::read(bytes)?);
    }
    Some(entries)
}

#[cfg(test)]
mod fixture;
#[cfg(test)]
mod tests;

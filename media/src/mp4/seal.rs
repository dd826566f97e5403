//! The two `uuid` boxes of Porthole in a recording (ISO/IEC 14496-12, 11.1).
//!
//! ```text
//! anchor, in every moov:   size 'uuid' ANCHOR_UUID(16) version(8) flags(24)
//!                          first_sequence(64) origin(64) audio_zero(64) start(64)
//! seal, ends the file:     size 'uuid' SEAL_UUID(16) version(8) flags(24)
//!                          size(64) first_sequence(64) last_sequence(64) sha256(256)
//!                          ledger slices, one behind the other (crate::ledger::slice); none if the key cannot sign
//! ```
//!
//! The anchor ties the file's time to the camera's media clock. The seal says what the file must be, and its ledger slices what
//! every GOP of it must be, and what is missing in front of it.

use super::boxes::boxed;
use crate::{Ticks90k, Track, WallTime};
use bytes::{Buf, BufMut, BytesMut};

/// User type of the anchor box.
pub const ANCHOR_UUID: [u8; 16] = *b"\x2f\x0b\x6a\x91\x5d\x37\x4e\x0c\x9a\x44\x70\x6f\x72\x74\x68\x31";
/// User type of the seal box.
pub const SEAL_UUID: [u8; 16] = *b"\x8d\x61\xc4\x0e\x21\xf9\x4b\x7a\xb3\x15\x70\x6f\x72\x74\x68\x32";
/// The type of the seal's box, four bytes behind the end of the footage: all of a seal that is known before the recording is sealed.
/// A fragment that has it for its own counts no more, nor does what follows.
pub const SEAL_TYPE: [u8; 4] = *b"uuid";

/// Where a recording's time comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Anchor {
    /// Sequence number of the first GOP; a fragment's `sequence_number` counts from it, beginning with 1.
    pub first_sequence: u64,
    /// Media time of the first picture: time 0 of the movie.
    pub origin: Ticks90k,
    /// Media time of time 0 of the audio track.
    pub audio_zero: Ticks90k,
    /// Wall time of `origin`, if it was known when this was written.
    pub start: Option<WallTime>,
}

/// What a sealed recording says about itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seal {
    /// Size of the whole file in bytes, seal included.
    pub size: u64,
    /// Sequence number of the first GOP.
    pub first_sequence: u64,
    /// Sequence number of the last GOP.
    pub last_sequence: u64,
    /// SHA-256 over the data of all access units in the order of the file: GOP by GOP the pictures, then the AAC frames.
    pub sha256: [u8; 32],
}

impl Anchor {
    /// Media time of time 0 of a track.
    pub fn zero(&self, track: Track) -> Ticks90k {
        match track {
            Track::Video => self.origin,
            Track::Audio => self.audio_zero,
        }
    }

    pub(super) fn write(&self, out: &mut BytesMut) {
        write_uuid(out, &ANCHOR_UUID, |out| {
            out.put_u64(self.first_sequence);
            out.put_i64(self.origin.0);
            out.put_i64(self.audio_zero.0);
            out.put_i64(self.start.map_or(i64::MIN, |wall| wall.0));
        });
    }

    /// Reads the payload behind the user type.
    pub fn parse(mut payload: &[u8]) -> Option<Self> {
        version_0(&mut payload)?;
        let anchor = Self {
            first_sequence: payload.try_get_u64().ok()?,
            origin: Ticks90k(payload.try_get_i64().ok()?),
            audio_zero: Ticks90k(payload.try_get_i64().ok()?),
            start: Some(payload.try_get_i64().ok()?).filter(|&wall| wall != i64::MIN).map(WallTime),
        };
        // A thousand years: times can be added to it without care.
        let is_sane = |time: Ticks90k| time.0.unsigned_abs() < 1 << 52;
        (is_sane(anchor.origin) && is_sane(anchor.audio_zero)).then_some(anchor)
    }
}

impl Seal {
    /// Size in bytes of the box without its ledger slices.
    pub const BOX_SIZE: u64 = 8 + 16 + 4 + 24 + 32;

    pub(super) fn write(&self, out: &mut BytesMut, ledger: &[u8]) {
        write_uuid(out, &SEAL_UUID, |out| {
            out.put_u64(self.size);
            out.put_u64(self.first_sequence);
            out.put_u64(self.last_sequence);
            out.put_slice(&self.sha256);
            out.put_slice(ledger);
        });
    }

    /// Reads the payload behind the user type.
    pub fn parse(mut payload: &[u8]) -> Option<Self> {
        version_0(&mut payload)?;
        let size = payload.try_get_u64().ok()?;
        let first_sequence = payload.try_get_u64().ok()?;
        let last_sequence = payload.try_get_u64().ok()?;
        let mut sha256 = [0; 32];
        payload.try_copy_to_slice(&mut sha256).ok()?;
        Some(Self { size, first_sequence, last_sequence, sha256 })
    }
}

fn write_uuid(out: &mut BytesMut, user_type: &[u8; 16], body: impl FnOnce(&mut BytesMut)) {
    boxed(out, b"uuid", |out| {
        out.put_slice(user_type);
        out.put_u32(0); // version and flags
        body(out);
    });
}

fn version_0(payload: &mut &[u8]) -> Option<()> {
    (payload.try_get_u32().ok()? >> 24 == 0).then_some(())
}

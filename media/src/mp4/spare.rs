//! The seal once more, at the end of the room in front of the footage.
//!
//! ```text
//!                                              1 MiB - 20         1 MiB - 16
//! moov | free ........ the seal's box (n bytes) | n (32) | mdat ... footage ...| the seal's box (n bytes)
//!       `-------------- one box ---------------------'                         ^ what is sent late comes down here
//! ```
//!
//! The footage of a recording only grows at its end, and there the seal stands. A GOP that the edge has lost in a power cut was perhaps
//! sent before it: a server that does so late writes it over the seal of what is left (docs/design/upload.md). It never
//! writes in front of the end of the footage what does not belong there. So whoever takes a recording in goes by the spare.

use super::demux::{ReadAt, ReadError, read};
use super::growing::{FLIP_AT, MDAT_AT, MEDIA_AT};
use super::seal::{SEAL_UUID, Seal};
use bytes::{Buf, BufMut, Bytes, BytesMut};
use std::io;

/// Bytes of the length behind the spare.
const LENGTH: u64 = 4;

/// The seal of a recording that does not end with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spare {
    /// Where it belongs: the end of the footage. The file ends behind it.
    pub offset: u64,
    /// The whole box.
    pub bytes: Bytes,
}

/// What stands in the room behind a `free` that begins at `from`, up to the header of `mdat`; nothing where it does not fit.
pub(super) fn write(from: u64, seal: &[u8]) -> Bytes {
    let mut out = BytesMut::new();
    if from + 8 + seal.len() as u64 + LENGTH <= MDAT_AT {
        out.put_slice(seal);
        out.put_u32(seal.len() as u32);
    }
    out.freeze()
}

/// The seal that a recording has lost; `None`: it ends with it, or it has no spare.
///
/// # Errors
/// The file cannot be read.
pub fn spare(source: &(impl ReadAt + ?Sized)) -> Result<Option<Spare>, ReadError> {
    if source.size() < MEDIA_AT {
        return Ok(None);
    }
    let header = read(source, MDAT_AT - LENGTH, (MEDIA_AT - MDAT_AT + LENGTH) as usize)?;
    let mut header = header.as_slice();
    let length = header.get_u32();
    let footage = if header.starts_with(b"\0\0\0\x01mdat") { (&header[8..]).get_u64() } else { 0 };
    let fits = (Seal::BOX_SIZE..=MDAT_AT - LENGTH - FLIP_AT).contains(&u64::from(length));
    // What is written late makes no file shorter: one that is was cut otherwise.
    let end = footage.checked_add(MDAT_AT + u64::from(length));
    if !fits || end.is_none_or(|end| end > source.size()) {
        return Ok(None);
    }
    let offset = MDAT_AT + footage;
    let spare =
        Spare { offset, bytes: read(source, MDAT_AT - LENGTH - u64::from(length), length as usize)?.into() };
    let stands = spare.end() == source.size() && read(source, offset, length as usize)? == spare.bytes;
    Ok(Some(spare).filter(|spare| !stands && spare.is_seal()))
}

impl Spare {
    /// Size of the recording.
    pub fn end(&self) -> u64 {
        self.offset.saturating_add(self.bytes.len() as u64)
    }

    /// Whether it is the seal of a recording that ends here.
    fn is_seal(&self) -> bool {
        let mut fields = &self.bytes[..];
        let is_box = fields.try_get_u32().is_ok_and(|size| size as usize == self.bytes.len());
        let payload = fields.strip_prefix(b"uuid").and_then(|fields| fields.strip_prefix(&SEAL_UUID));
        is_box && payload.and_then(Seal::parse).is_some_and(|seal| seal.size == self.end())
    }
}

/// A recording as it reads with its seal in place.
#[derive(Debug)]
pub struct Restored<'a, S: ?Sized> {
    source: &'a S,
    spare: Option<Spare>,
}

impl<'a, S: ReadAt + ?Sized> Restored<'a, S> {
    /// Looks for what is to be put in place.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn new(source: &'a S) -> Result<Self, ReadError> {
        Ok(Self { source, spare: spare(source)? })
    }
}

impl<S: ReadAt + ?Sized> ReadAt for Restored<'_, S> {
    fn size(&self) -> u64 {
        self.spare.as_ref().map_or_else(|| self.source.size(), Spare::end)
    }

    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        let Some(spare) = &self.spare else { return self.source.read_exact_at(buf, offset) };
        let footage = spare.offset.saturating_sub(offset).min(buf.len() as u64) as usize;
        let (footage, seal) = buf.split_at_mut(footage);
        if !footage.is_empty() {
            self.source.read_exact_at(footage, offset)?;
        }
        if seal.is_empty() {
            return Ok(());
        }
        (*spare.bytes).read_exact_at(seal, offset.max(spare.offset) - spare.offset)
    }
}

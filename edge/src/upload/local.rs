//! A file on the edge as its part must read: every whole GOP counts, also one that waits for its sync here.

use super::error::Error;
use crate::store::Pending;
use media::mp4::ReadAt;
use media::mp4::demux::footage_end;
use media::names::RecordingName;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

/// What the header of a GOP says once it counts (ISO/IEC 14496-12, 8.8.4).
const MOOF: &[u8; 4] = b"moof";

/// A file on the edge, opened for its upload.
pub struct Local {
    pub name: RecordingName,
    /// What ends its name on the remote host once it is committed.
    pub extension: &'static str,
    path: PathBuf,
    file: File,
    /// Where headers stand that may still say `free`.
    unsynced: Vec<u64>,
}

impl Local {
    /// Opens it.
    pub fn open(pending: &Pending) -> Result<Self, Error> {
        let path = pending.path.clone();
        let file = File::open(&path).map_err(|source| Error::Recording { path: path.clone(), source })?;
        let unsynced = pending.unsynced.clone();
        Ok(Self { name: pending.name, extension: pending.extension, path, file, unsynced })
    }

    /// It has grown.
    pub fn update(&mut self, pending: &Pending) {
        self.unsynced.clone_from(&pending.unsynced);
    }

    /// Reads the bytes from `offset` on.
    pub fn read_at(&self, buf: &mut [u8], offset: u64) -> Result<(), Error> {
        self.file.read_exact_at(buf, offset).map_err(|source| self.failed(source))?;
        for header in &self.unsynced {
            overlay(buf, offset, header + 4, MOOF);
        }
        Ok(())
    }

    /// Where the footage of the sealed recording ends.
    pub fn footage_end(&self) -> Result<u64, Error> {
        let size = self.file.metadata().map_err(|source| self.failed(source))?.len();
        footage_end(&Whole { file: &self.file, size }).map_err(|error| self.failed(io::Error::other(error)))
    }

    fn failed(&self, source: io::Error) -> Error {
        Error::Recording { path: self.path.clone(), source }
    }
}

/// A file that does not change any more.
struct Whole<'a> {
    file: &'a File,
    size: u64,
}

impl ReadAt for Whole<'_> {
    fn size(&self) -> u64 {
        self.size
    }

    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        FileExt::read_exact_at(self.file, buf, offset)
    }
}

/// Puts `bytes`, which stand at `at` of the file, into `buf`, which is what stands at `offset`; as far as they lie in it.
fn overlay(buf: &mut [u8], offset: u64, at: u64, bytes: &[u8]) {
    for (byte, at) in bytes.iter().zip(at..) {
        let place = at.checked_sub(offset).and_then(|place| usize::try_from(place).ok());
        if let Some(place) = place.and_then(|place| buf.get_mut(place)) {
            *place = *byte;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_replaced_also_where_it_is_cut_in_two() {
        let whole = *b"....free....";
        for from in 0..12 {
            for to in from..12 {
                let mut buf = whole[from..to].to_vec();
                overlay(&mut buf, from as u64, 4, MOOF);
                assert_eq!(buf, b"....moof...."[from..to]);
            }
        }
    }
}

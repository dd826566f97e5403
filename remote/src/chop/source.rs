//! The file of a recording, read through a few large blocks.
//!
//! Picture and sound are read in turn, a few hundred bytes at a time, from two places that move on together. A block is read once;
//! the one that was not used for the longest time gives way.

use crate::supervise::beat;
use media::mp4::ReadAt;
use std::cell::RefCell;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

const BLOCK: usize = 256 << 10;
const BLOCKS: usize = 4;

/// A file that is open for reading.
#[derive(Debug)]
pub struct Source {
    file: File,
    size: u64,
    /// The one used last comes first.
    blocks: RefCell<Vec<Block>>,
}

#[derive(Debug)]
struct Block {
    /// Which one of the file.
    number: u64,
    bytes: Vec<u8>,
}

impl Source {
    /// Opens an ordinary file.
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "not an ordinary file"));
        }
        Ok(Self { file, size: metadata.len(), blocks: RefCell::default() })
    }

    /// Whether the file begins as an MP4 does: with a box that can stand there.
    pub fn is_mp4(&self) -> io::Result<bool> {
        const FIRST: [&[u8; 4]; 8] = [b"ftyp", b"styp", b"moov", b"moof", b"mdat", b"free", b"skip", b"wide"];
        let mut start = [0; 8];
        if self.size < start.len() as u64 {
            return Ok(false);
        }
        self.read_exact_at(&mut start, 0)?;
        Ok(FIRST.iter().any(|name| start.ends_with(*name)))
    }

    /// Moves the block to the front, and reads it if it is not there.
    fn fetch(&self, number: u64, blocks: &mut Vec<Block>) -> io::Result<()> {
        let known = blocks.iter().position(|block| block.number == number);
        let mut block = match known {
            Some(0) => return Ok(()),
            Some(index) => blocks.remove(index),
            None if blocks.len() == BLOCKS => blocks.remove(BLOCKS - 1),
            None => Block { number: u64::MAX, bytes: Vec::new() },
        };
        if block.number != number {
            beat();
            let start = number * BLOCK as u64;
            let length = self.size.saturating_sub(start).min(BLOCK as u64);
            block.bytes.resize(length as usize, 0);
            block.number = number;
            self.file.read_exact_at(&mut block.bytes, start)?;
        }
        blocks.insert(0, block);
        Ok(())
    }
}

impl ReadAt for Source {
    fn size(&self) -> u64 {
        self.size
    }

    fn read_exact_at(&self, mut buf: &mut [u8], mut offset: u64) -> io::Result<()> {
        if buf.len() >= BLOCK {
            beat();
            return self.file.read_exact_at(buf, offset);
        }
        let mut blocks = self.blocks.borrow_mut();
        while !buf.is_empty() {
            self.fetch(offset / BLOCK as u64, &mut blocks)?;
            let front = blocks.first().map_or(&[][..], |block| &block.bytes);
            let available = front.get((offset % BLOCK as u64) as usize..).unwrap_or_default();
            if available.is_empty() {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let (now, later) = buf.split_at_mut(available.len().min(buf.len()));
            now.copy_from_slice(&available[..now.len()]);
            offset += now.len() as u64;
            buf = later;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_span_reads_as_it_stands_in_the_file() {
        let file = tempfile::NamedTempFile::new().expect("file");
        let bytes: Vec<u8> = (0..6 * BLOCK as u32 + 77).map(|n| (n % 251) as u8 ^ (n >> 12) as u8).collect();
        std::fs::write(file.path(), &bytes).expect("writes");
        let source = Source::open(file.path()).expect("opens");
        let spans =
            [(0, 1), (5 * BLOCK - 3, 7), (BLOCK - 1, BLOCK - 1), (0, 2 * BLOCK), (3, 9), (6 * BLOCK, 77)];
        for (at, length) in spans {
            let mut read = vec![0; length];
            source.read_exact_at(&mut read, at as u64).expect("reads");
            assert!(read == bytes[at..at + length], "{length} bytes at {at}");
        }
        assert!(source.read_exact_at(&mut [0; 2], source.size() - 1).is_err());
        assert!(Source::open(Path::new("/")).is_err());
    }
}

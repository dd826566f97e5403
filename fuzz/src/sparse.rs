//! Recordings without the megabyte that they reserve, so that an input stays small.
//!
//! ```text
//! input   length(16) | head | tail
//! file    head | zeros up to 1 MiB - 16 | tail         from there on a growing file holds media, a sealed one its mdat
//! ```

use media::mp4::{ReadAt, Step};
use std::io;

/// Where the tail begins in the file.
const TAIL_AT: usize = (1 << 20) - 16;

/// A file with a hole.
pub struct Sparse<'a> {
    head: &'a [u8],
    tail: &'a [u8],
}

impl<'a> Sparse<'a> {
    /// The file that an input stands for.
    pub fn new(input: &'a [u8]) -> Self {
        let (length, rest) = input.split_first_chunk().unwrap_or((&[0, 0], &[]));
        let length = usize::from(u16::from_be_bytes(*length)).min(rest.len());
        let (head, tail) = rest.split_at(length);
        Self { head, tail }
    }

    /// The file as bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = self.head.to_vec();
        if !self.tail.is_empty() {
            bytes.resize(TAIL_AT, 0);
            bytes.extend_from_slice(self.tail);
        }
        bytes
    }
}

impl ReadAt for Sparse<'_> {
    fn size(&self) -> u64 {
        (if self.tail.is_empty() { self.head.len() } else { TAIL_AT + self.tail.len() }) as u64
    }

    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        let end = offset.checked_add(buf.len() as u64).filter(|end| *end <= self.size());
        end.ok_or(io::ErrorKind::UnexpectedEof)?;
        buf.fill(0);
        for (at, part) in [(0, self.head), (TAIL_AT, self.tail)] {
            // Where the part and the buffer overlap, counted from the start of each.
            let (from, into) = ((offset as usize).saturating_sub(at), at.saturating_sub(offset as usize));
            if let (Some(part), Some(buf)) = (part.get(from..), buf.get_mut(into..)) {
                let length = part.len().min(buf.len());
                buf[..length].copy_from_slice(&part[..length]);
            }
        }
        Ok(())
    }
}

/// The input that stands for a recording.
pub fn fold(file: &[u8]) -> Vec<u8> {
    let (head, tail) = file.split_at(TAIL_AT.min(file.len()));
    let length = head.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    [&(length as u16).to_be_bytes(), &head[..length], tail].concat()
}

/// Carries steps out on a file in memory.
pub fn apply(file: &mut Vec<u8>, steps: &[Step]) {
    for step in steps {
        if let Step::Write { offset, bytes } = step {
            let (start, end) = (*offset as usize, *offset as usize + bytes.len());
            file.resize(file.len().max(end), 0);
            file[start..end].copy_from_slice(bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_reads_the_same_through_its_input() {
        let mut file = vec![0; TAIL_AT + 20];
        file[..5].copy_from_slice(b"12345");
        file[TAIL_AT..].fill(7);
        let input = fold(&file);
        assert_eq!(input.len(), 2 + 5 + 20);
        let sparse = Sparse::new(&input);
        assert_eq!(sparse.to_bytes(), file);
        for (offset, length) in [(0, file.len()), (3, 9), (TAIL_AT - 4, 10), (TAIL_AT + 2, 18), (100, 50)] {
            let mut read = vec![1; length];
            sparse.read_exact_at(&mut read, offset as u64).expect("it is there");
            assert_eq!(read, &file[offset..offset + length], "{length} at {offset}");
        }
        assert!(sparse.read_exact_at(&mut [0; 2], file.len() as u64 - 1).is_err());
    }
}

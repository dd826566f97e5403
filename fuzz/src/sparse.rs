//! Recordings without the megabyte that they reserve, so that an input stays small.
//!
//! ```text
//! input   length of the head(16) | length of the back(16) | head | back, tail
//! file    head | zeros | back, up to 1 MiB - 16 | tail   from there on a growing file holds media, a sealed one its mdat
//! ```

use media::mp4::{ReadAt, Step};
use std::io;
use std::ops::Range;

/// Where the tail begins in the file.
const TAIL_AT: usize = (1 << 20) - 16;

/// A file with a hole.
pub struct Sparse<'a> {
    head: &'a [u8],
    /// What is behind the hole.
    tail: &'a [u8],
    tail_at: usize,
}

impl<'a> Sparse<'a> {
    /// The file that an input stands for.
    pub fn new(input: &'a [u8]) -> Self {
        let ([head, back], rest) = lengths(input);
        let (head, tail) = rest.split_at(head.min(rest.len()));
        Self { head, tail, tail_at: TAIL_AT - back }
    }

    /// The file as bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = self.head.to_vec();
        if !self.tail.is_empty() {
            bytes.resize(self.tail_at, 0);
            bytes.extend_from_slice(self.tail);
        }
        bytes
    }
}

/// The two lengths that an input begins with, and what follows them.
fn lengths(input: &[u8]) -> ([usize; 2], &[u8]) {
    let ([a, b, c, d], rest) = input.split_first_chunk().unwrap_or((&[0; 4], &[]));
    ([[*a, *b], [*c, *d]].map(|length| usize::from(u16::from_be_bytes(length))), rest)
}

impl ReadAt for Sparse<'_> {
    fn size(&self) -> u64 {
        (if self.tail.is_empty() { self.head.len() } else { self.tail_at + self.tail.len() }) as u64
    }

    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        let end = offset.checked_add(buf.len() as u64).filter(|end| *end <= self.size());
        end.ok_or(io::ErrorKind::UnexpectedEof)?;
        buf.fill(0);
        for (at, part) in [(0, self.head), (self.tail_at, self.tail)] {
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
    let room = &file[..TAIL_AT.min(file.len())];
    let hole = longest_hole(room);
    let lengths = [hole.start, room.len() - hole.end].map(|length| (length as u16).to_be_bytes());
    [lengths.as_flattened(), &file[..hole.start], &file[hole.end..]].concat()
}

/// The longest run of zeros.
fn longest_hole(room: &[u8]) -> Range<usize> {
    let mut end = 0;
    let holes = room.split(|byte| *byte != 0).map(|zeros| {
        let start = end;
        end = start + zeros.len() + 1;
        start..start + zeros.len()
    });
    holes.max_by_key(Range::len).unwrap_or_default()
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
        file[TAIL_AT - 3..].fill(7);
        let input = fold(&file);
        assert_eq!(input.len(), 4 + 5 + 3 + 20);
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

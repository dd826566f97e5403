//! Whether a file is a whole recording, and making one of half.

use crate::supervise::beat;
use media::mp4::demux::{structure, verify};
use media::mp4::{ReadAt, ReadError, Recovered, Restored, Seal, Step, recover, spare};
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// Why a file is not taken as a recording.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// The file itself is at fault.
    #[error("{0}")]
    Broken(String),
    /// The host could not read or write it.
    #[error("{0}")]
    Host(#[from] io::Error),
}

impl From<ReadError> for Problem {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Io { source, .. } if source.kind() != io::ErrorKind::UnexpectedEof => {
                Self::Host(source)
            }
            broken => Self::Broken(broken.to_string()),
        }
    }
}

/// An open file of a size that was looked at once: what is appended later does not count.
pub struct Opened<'a> {
    file: &'a File,
    size: u64,
}

impl<'a> Opened<'a> {
    /// The file as it is now.
    ///
    /// # Errors
    /// The system refuses.
    pub fn new(file: &'a File) -> io::Result<Self> {
        Ok(Self { file, size: file.metadata()?.len() })
    }
}

impl ReadAt for Opened<'_> {
    fn size(&self) -> u64 {
        self.size
    }

    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        beat();
        FileExt::read_exact_at(self.file, buf, offset)
    }
}

/// Containers that scripts send under the name of an MP4, by what stands at an offset: Matroska and WebM, AVI. They do not say
/// whether they are whole; that the uploader has finished is what counts, and whether chop can decode them.
const OTHERS: [(u64, &[u8]); 2] = [(0, b"\x1A\x45\xDF\xA3"), (8, b"AVI ")];

fn is_other(opened: &impl ReadAt) -> io::Result<bool> {
    for (offset, mark) in OTHERS {
        let mut found = [0; 4];
        if opened.size() >= offset + 4 {
            opened.read_exact_at(&mut found, offset)?;
        }
        if found == mark {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Looks at every box, and at the size that the seal promises, if there is a seal. Reads no footage. A seal that was written over and
/// that [`restore`] can put in place counts.
///
/// # Errors
/// It is not whole.
pub fn check(file: &File) -> Result<(), Problem> {
    look(&Restored::new(&Opened::new(file)?)?).map(drop)
}

/// Puts the seal in place, where a request that an edge's server did late has written over it; whether it did. Syncs nothing.
///
/// # Errors
/// The host could not read or write it.
pub fn restore(file: &File) -> Result<bool, Problem> {
    let Some(seal) = spare(&Opened::new(file)?)? else { return Ok(false) };
    file.write_all_at(&seal.bytes, seal.offset)?;
    file.set_len(seal.end())?;
    Ok(true)
}

/// The same, and reads all footage that the seal promises, if there is a seal; without one it is half where it `must_be_sealed`.
///
/// # Errors
/// It is not whole.
pub fn read_through(file: &File, must_be_sealed: bool) -> Result<(), Problem> {
    let opened = Opened::new(file)?;
    match look(&opened)? {
        Some(_) => verify(&opened).map(drop)?,
        None if must_be_sealed => return Err(Problem::Broken("it is not sealed".to_owned())),
        None => {}
    }
    Ok(())
}

/// What is legal and only not known here may be known to who works on it.
fn look(opened: &impl ReadAt) -> Result<Option<Seal>, Problem> {
    if is_other(opened)? {
        return Ok(None);
    }
    match structure(opened) {
        Err(ReadError::Unsupported { .. }) => Ok(None),
        found => Ok(found?),
    }
}

/// Cuts what was to become a recording at its last whole GOP, and seals and syncs it.
///
/// # Errors
/// It has not one whole GOP, or the host could not write it.
pub fn mend(file: &File) -> Result<(), Problem> {
    let torn = match recover(&Opened::new(file)?)? {
        Recovered::Sealed(_) => {
            return Err(Problem::Broken("the seal promises other access units".to_owned()));
        }
        Recovered::Empty => return Err(Problem::Broken("not one GOP was finished".to_owned())),
        Recovered::Torn(torn) => torn,
    };
    file.set_len(torn.growing.size())?;
    for step in torn.repair.iter().chain(&torn.growing.seal(&torn.about)) {
        match step {
            Step::Write { offset, bytes } => file.write_all_at(bytes, *offset)?,
            Step::Sync => file.sync_data()?,
        }
    }
    Ok(())
}

/// Bytes of a digest: 64 hexadecimal digits.
pub const DIGEST_BYTES: u64 = 64;

/// SHA-256 over a whole file, as hexadecimal digits.
///
/// # Errors
/// It cannot be read.
pub fn digest(file: &File) -> io::Result<String> {
    let mut digest = Sha256::new();
    each_piece(file, |piece, _| {
        digest.update(piece);
        Ok(true)
    })?;
    Ok(digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Whether two files have the same bytes.
///
/// # Errors
/// One cannot be read.
pub fn same(a: &File, b: &File) -> io::Result<bool> {
    if a.metadata()?.len() != b.metadata()?.len() {
        return Ok(false);
    }
    let mut other = vec![0; PIECE];
    each_piece(a, |piece, at| {
        let other = &mut other[..piece.len()];
        b.read_exact_at(other, at)?;
        Ok(piece == other)
    })
}

/// Read at once.
const PIECE: usize = 1 << 16;

/// Shows a file piece by piece, each with its offset, as long as it is wanted; whether it was to the end.
fn each_piece(file: &File, mut wanted: impl FnMut(&[u8], u64) -> io::Result<bool>) -> io::Result<bool> {
    let size = file.metadata()?.len();
    let mut piece = vec![0; PIECE];
    for at in (0..size).step_by(PIECE) {
        beat();
        let piece = &mut piece[..PIECE.min((size - at) as usize)];
        file.read_exact_at(piece, at)?;
        if !wanted(piece, at)? {
            return Ok(false);
        }
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn files_are_compared_to_their_last_byte() {
        let bytes: Vec<u8> = (0..PIECE + 10).map(|n| n as u8).collect();
        let file = |bytes: &[u8]| {
            let mut file = tempfile::tempfile().expect("a file");
            file.write_all(bytes).expect("writes");
            file
        };
        let mut other = bytes.clone();
        *other.last_mut().expect("not empty") ^= 1;
        let one = file(&bytes);
        for (bytes, expected) in [(&bytes[..], true), (&other, false), (&bytes[1..], false)] {
            assert_eq!(same(&one, &file(bytes)).expect("reads"), expected);
        }
        let abc = digest(&file(b"abc")).expect("reads");
        assert_eq!(abc, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        assert_eq!(abc.len() as u64, DIGEST_BYTES);
    }

    #[test]
    fn what_was_never_a_recording_cannot_be_mended() {
        let mut file = tempfile::tempfile().expect("a file");
        assert_eq!(mend(&file).expect_err("empty").to_string(), "not one GOP was finished");
        file.write_all(b"letters and nothing else but letters").expect("writes");
        assert!(matches!(mend(&file), Err(Problem::Broken(_))));
        assert!(matches!(check(&file), Err(Problem::Broken(_))));
    }
}

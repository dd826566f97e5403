//! Whether a file is a whole recording, and making one of half.

use media::mp4::demux::{structure, verify};
use media::mp4::{ReadAt, ReadError, Recovered, Step, recover};
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
        FileExt::read_exact_at(self.file, buf, offset)
    }
}

/// Looks at every box, and at the size that the seal promises, if there is a seal. Reads no footage.
///
/// # Errors
/// It is not whole.
pub fn check(file: &File) -> Result<(), Problem> {
    structure(&Opened::new(file)?)?;
    Ok(())
}

/// The same, and reads all footage that the seal promises, if there is a seal.
///
/// # Errors
/// It is not whole.
pub fn read_through(file: &File) -> Result<(), Problem> {
    let opened = Opened::new(file)?;
    if structure(&opened)?.is_some() {
        verify(&opened)?;
    }
    Ok(())
}

/// Cuts what was to become a recording at its last whole GOP, and seals and syncs it.
///
/// # Errors
/// It has not one whole GOP, or the host could not write it.
pub fn mend(file: &File) -> Result<(), Problem> {
    let torn = match recover(&Opened::new(file)?)? {
        Recovered::Sealed(_) => return Ok(()),
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

/// Whether two files have the same bytes.
///
/// # Errors
/// One cannot be read.
pub fn same(a: &File, b: &File) -> io::Result<bool> {
    let size = a.metadata()?.len();
    if size != b.metadata()?.len() {
        return Ok(false);
    }
    let mut pieces = [vec![0; 1 << 16], vec![0; 1 << 16]];
    let mut at = 0;
    while at < size {
        let length = (size - at).min(1 << 16) as usize;
        let [one, other] = &mut pieces;
        let (one, other) = (&mut one[..length], &mut other[..length]);
        a.read_exact_at(one, at)?;
        b.read_exact_at(other, at)?;
        if one != other {
            return Ok(false);
        }
        at += length as u64;
    }
    Ok(true)
}

//! A bundle: one sector that says what follows, signed, and then a slot as it will lie on the card, without its empty end.
//!
//! ```text
//!    0  16  "PORTHOLE-UPDATE1"
//!   16  32  the board, ASCII, padded with zeros
//!   48  10  the version: major, minor, patch (16 bits each), release (32 bits); big-endian, as all numbers here
//!   58   6  zeros
//!   64   8  bytes of the slot that follow
//!   72  32  their SHA-256
//!  104 344  zeros
//!  448  64  ed25519 over what SSHSIG makes of the 448 bytes before (`ssh-keygen -Y sign -n porthole-update`)
//!  512      the slot
//! ```

use std::fmt;
use std::str::FromStr;

/// Bytes of the header.
pub const HEADER: usize = 512;
/// Bytes of it that are signed.
pub const SIGNED: usize = 448;
/// What signatures are made for, in the words of SSHSIG: one that was made for something else is not taken for one of these.
pub const NAMESPACE: &str = "porthole-update";
/// A slot is written in pieces of this size; its length is a multiple of it.
pub const BLOCK: u64 = 4096;
const MAGIC: &[u8; 16] = b"PORTHOLE-UPDATE1";
const BOARD: usize = 32;

/// Why a header says nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// It does not begin as a bundle does.
    #[error("this is no bundle")]
    Magic,
    /// A field has a value that no bundle of this format has.
    #[error("the header of the bundle is damaged at byte {0}")]
    Damaged(usize),
}

/// Which version is the newer one: by the version of Porthole, and of two images with the same one by the builder's release.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    /// As in 1.2.3.
    pub number: [u16; 3],
    /// What the builder counts.
    pub release: u32,
}

/// What a bundle says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// For which board it is.
    pub board: String,
    /// What is in it.
    pub version: Version,
    /// Bytes of the slot.
    pub length: u64,
    /// Of those bytes.
    pub sha256: [u8; 32],
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [major, minor, patch] = self.number;
        write!(f, "{major}.{minor}.{patch}+{}", self.release)
    }
}

impl FromStr for Version {
    type Err = ();

    /// `1.2.3+4`; the release may be missing, and is 0 then.
    fn from_str(text: &str) -> Result<Self, ()> {
        let (number, release) = text.split_once('+').unwrap_or((text, "0"));
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let mut parts = number.split('.').map(|part| part.parse().ok().filter(|_| digits(part)));
        let mut part = || parts.next().flatten().ok_or(());
        let number = [part()?, part()?, part()?];
        let release = release.parse().ok().filter(|_| digits(release)).ok_or(())?;
        if parts.next().is_some() { Err(()) } else { Ok(Self { number, release }) }
    }
}

/// Whether a board may be called so.
pub fn is_board(name: &str) -> bool {
    let good = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=BOARD).contains(&name.len()) && name.bytes().all(good)
}

impl Header {
    /// The bytes that are signed; `None` for a board that cannot be called so.
    pub fn bytes(&self) -> Option<[u8; SIGNED]> {
        let mut bytes = [0; SIGNED];
        let mut put = |at: usize, field: &[u8]| bytes[at..at + field.len()].copy_from_slice(field);
        put(0, MAGIC);
        put(16, is_board(&self.board).then_some(self.board.as_bytes())?);
        for (n, part) in self.version.number.iter().enumerate() {
            put(48 + 2 * n, &part.to_be_bytes());
        }
        put(54, &self.version.release.to_be_bytes());
        put(64, &self.length.to_be_bytes());
        put(72, &self.sha256);
        Some(bytes)
    }

    /// Reads the bytes that are signed.
    ///
    /// # Errors
    /// They are not those of a bundle.
    pub fn parse(bytes: &[u8; SIGNED]) -> Result<Self, Error> {
        if !bytes.starts_with(MAGIC) {
            return Err(Error::Magic);
        }
        let board = std::str::from_utf8(&bytes[16..48]).unwrap_or_default().trim_end_matches('\0').to_owned();
        let number = [48, 50, 52].map(|at| u16::from_be_bytes(array(bytes, at)));
        let version = Version { number, release: u32::from_be_bytes(array(bytes, 54)) };
        let length = u64::from_be_bytes(array(bytes, 64));
        let header = Self { board, version, length, sha256: array(bytes, 72) };
        if header.length == 0 || !header.length.is_multiple_of(BLOCK) {
            return Err(Error::Damaged(64));
        }
        // Written again it must be the same: so no byte is left without a meaning.
        let again = header.bytes().ok_or(Error::Damaged(16))?;
        match again.iter().zip(bytes).position(|(one, other)| one != other) {
            Some(at) => Err(Error::Damaged(at)),
            None => Ok(header),
        }
    }
}

fn array<const N: usize>(bytes: &[u8; SIGNED], at: usize) -> [u8; N] {
    let mut array = [0; N];
    array.copy_from_slice(&bytes[at..at + N]);
    array
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> Header {
        let version = Version { number: [1, 20, 3], release: 70_000 };
        Header { board: "orangepi-pc-plus".into(), version, length: 3 * BLOCK, sha256: [0xAB; 32] }
    }

    #[test]
    fn what_is_written_is_read() {
        let bytes = header().bytes().expect("a board");
        assert_eq!(&bytes[..18], b"PORTHOLE-UPDATE1or");
        assert_eq!(&bytes[48..58], [0, 1, 0, 20, 0, 3, 0, 1, 0x11, 0x70]);
        assert_eq!(Header::parse(&bytes), Ok(header()));
        assert_eq!(Header { board: "Orange Pi".into(), ..header() }.bytes(), None);
    }

    #[test]
    fn no_byte_can_be_another_one_without_a_word() {
        let good = header().bytes().expect("a board");
        for at in 0..SIGNED {
            let mut bytes = good;
            bytes[at] ^= 0x80;
            match Header::parse(&bytes) {
                Ok(other) => {
                    assert!(other != header() && (48..58).contains(&at) || (64..104).contains(&at), "{at}")
                }
                Err(Error::Magic) => assert!(at < 16, "{at}"),
                Err(Error::Damaged(found)) => assert!(found <= at, "{found} {at}"),
            }
        }
    }

    #[test]
    fn versions_are_ordered_as_numbers() {
        let version = |text: &str| text.parse::<Version>().expect(text);
        let ordered = ["0.1.0", "0.1.0+1", "0.1.0+10", "0.2.0", "0.10.0", "1.0.0+3"].map(version);
        assert!(ordered.is_sorted(), "{ordered:?}");
        assert_eq!(version("0.1.0").to_string(), "0.1.0+0");
        for wrong in
            ["", "1", "1.2", "1.2.3.4", "1.2.x", "1.2.+3", "1.2.3+", "1.2.3+-1", "+1.2.3", "70000.0.0"]
        {
            assert_eq!(wrong.parse::<Version>(), Err(()), "{wrong}");
        }
    }
}

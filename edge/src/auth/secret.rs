//! Random secrets, how they are written, and comparing without telling by time how much was right.

use sha2::{Digest as _, Sha256};
use std::fmt;
use subtle::ConstantTimeEq;

/// What stands for a secret where the secret itself need not be: its SHA-256. For random secrets alone: a password could be found from it.
#[derive(Clone, Copy)]
pub struct Digest([u8; 32]);

impl Digest {
    /// Of the parts, one behind the other.
    pub fn of(parts: &[&[u8]]) -> Self {
        Self(parts.iter().fold(Sha256::new(), |hash, part| hash.chain_update(part)).finalize().into())
    }

    /// From hexadecimal digits.
    pub fn parse(text: &str) -> Option<Self> {
        unhex(text).map(Self)
    }
}

/// Takes the same time wherever the two differ.
impl PartialEq for Digest {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex(&self.0))
    }
}

/// Whether two secrets are the same; takes the same time wherever they differ.
pub fn same(a: &[u8], b: &[u8]) -> bool {
    a.ct_eq(b).into()
}

/// Bytes that nobody can guess.
///
/// # Errors
/// The kernel has none.
pub fn random<const N: usize>() -> std::io::Result<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|error| std::io::Error::other(error.to_string()))?;
    Ok(bytes)
}

/// As hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// From exactly so many hexadecimal digits.
pub fn unhex<const N: usize>(text: &str) -> Option<[u8; N]> {
    if text.len() != 2 * N || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let mut bytes = [0; N];
    for (byte, digits) in bytes.iter_mut().zip(text.as_bytes().chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hexadecimal_digits_come_back_and_nothing_else_does() {
        assert_eq!(hex(&[0, 0xab, 255]), "00abff");
        assert_eq!(unhex("00abFF"), Some([0, 0xab, 255]));
        for bad in ["00abf", "00abff0", "00abfg", "+0abff", "", "é0abf"] {
            assert_eq!(unhex::<3>(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn a_digest_is_of_the_parts_together() {
        let whole = Digest::of(&[b"abc"]);
        assert!(whole == Digest::of(&[b"a", b"bc"]) && whole != Digest::of(&[b"abd"]));
        assert!(whole.to_string().starts_with("ba7816bf8f01cfea"));
        assert!(Digest::parse(&whole.to_string()).expect("digits") == whole);
    }
}

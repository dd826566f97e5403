//! The claim code: eight characters of Crockford's base 32, 40 random bits, as `K7QM-3XWP`.
//!
//! The alphabet has no I, L, O and U. Who types them means 1, 1 and 0; small letters, blanks and dashes are fine.

use super::secret::{random, same};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;

const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
const LENGTH: usize = 8;

/// What whoever claims the device must know.
#[derive(Clone, Copy, Debug)]
pub struct Code([u8; LENGTH]);

impl Code {
    /// Another one each time.
    ///
    /// # Errors
    /// The kernel has no randomness.
    pub fn random() -> std::io::Result<Self> {
        Ok(Self(random()?.map(|byte: u8| ALPHABET[usize::from(byte % 32)])))
    }

    /// What somebody typed.
    pub fn parse(text: &str) -> Option<Self> {
        let characters = text.bytes().filter(|byte| !matches!(byte, b'-' | b' '));
        let meant = characters.map(|byte| match byte.to_ascii_uppercase() {
            b'I' | b'L' => b'1',
            b'O' => b'0',
            byte => byte,
        });
        let meant: Vec<u8> = meant.take(LENGTH + 1).collect();
        meant.iter().all(|byte| ALPHABET.contains(byte)).then_some(())?;
        meant.try_into().ok().map(Self)
    }
}

/// Takes the same time wherever the two differ.
impl PartialEq for Code {
    fn eq(&self, other: &Self) -> bool {
        same(&self.0, &other.0)
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = String::from_utf8_lossy(&self.0);
        let (first, last) = text.split_at(LENGTH / 2);
        write!(f, "{first}-{last}")
    }
}

impl Serialize for Code {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Code {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| serde::de::Error::custom("not a claim code"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_read_as_people_type_it() {
        let code = Code(*b"K10M3XWP");
        assert_eq!(code.to_string(), "K10M-3XWP");
        for typed in ["K10M-3XWP", "k1om3xwp", " kLoM 3xwp ", "KI0M--3XWP"] {
            assert_eq!(Code::parse(typed), Some(code), "{typed}");
        }
        for typed in ["", "K10M-3XW", "K10M-3XWPP", "K10M-3XWU", "K10M-3XW!", "K10M-3XWé"] {
            assert_eq!(Code::parse(typed), None, "{typed}");
        }
        assert_ne!(Code::random().expect("random"), Code::random().expect("random"));
    }
}

//! An account: a name, and a password of which only an Argon2id hash (RFC 9106) is kept.
//!
//! ```text
//! NAME:1:SALT:HASH      1: Argon2id, 7 MiB, 5 passes, 1 lane; 16 bytes of salt and 32 of hash as hexadecimal digits
//! ```
//!
//! The cost is in the code and not in the text: a file must not be able to ask for more memory than there is.

use super::secret::{hex, random, same, unhex};
use crate::supervise::within;
use argon2::{Algorithm, Argon2, Params, Version};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// OWASP's choice for little memory: KiB, passes, lanes.
const COST: (u32, u32, u32) = (7 << 10, 5, 1);
/// What a board may take for it that has much else to do, as at its start.
const SLOW: Duration = Duration::from_secs(60);
/// Says which cost it was.
const KIND: &str = "1";
/// Characters of a password.
const PASSWORD: std::ops::RangeInclusive<usize> = 10..=128;
const NAME: usize = 32;

/// Why an account cannot be.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The name.
    #[error("the name {0:?}: 1 to 32 of a-z, 0-9, - and _")]
    Name(String),
    /// The password.
    #[error("a password has 10 to 128 characters")]
    Password,
    /// It is not written as this module writes it.
    #[error("not an account as `porthole-edge password NAME` prints it")]
    Form,
    /// The hash could not be made.
    #[error("the password cannot be hashed: {0}")]
    Hash(String),
}

/// Somebody with a password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    name: String,
    salt: [u8; 16],
    hash: [u8; 32],
}

impl Account {
    /// Hashes the password: takes some tenths of a second, and 7 MiB for as long.
    ///
    /// # Errors
    /// Name or password cannot be; or there is no memory.
    pub fn new(name: &str, password: &str) -> Result<Self, Error> {
        if !is_name(name) {
            return Err(Error::Name(name.chars().take(NAME * 2).collect()));
        }
        if !PASSWORD.contains(&password.chars().count()) {
            return Err(Error::Password);
        }
        let salt = random().map_err(|error| Error::Hash(error.to_string()))?;
        Ok(Self { name: name.to_owned(), salt, hash: hash(password, &salt)? })
    }

    /// Who it is.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether this is the password; takes as long as making the account did.
    ///
    /// # Errors
    /// There is no memory.
    pub fn is_opened_by(&self, password: &str) -> Result<bool, Error> {
        // A longer one was never taken, and would cost more to hash.
        let fits = password.chars().count() <= *PASSWORD.end();
        let hash = hash(if fits { password } else { "" }, &self.salt)?;
        Ok(fits && same(&hash, &self.hash))
    }

    /// One that no password opens, for names that nobody has: they cost the same.
    pub fn nobody() -> Self {
        Self { name: String::new(), salt: [0; 16], hash: [0; 32] }
    }
}

/// Whether an account can be called so.
fn is_name(name: &str) -> bool {
    let good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_';
    (1..=NAME).contains(&name.len()) && name.chars().all(good)
}

fn hash(password: &str, salt: &[u8]) -> Result<[u8; 32], Error> {
    let failed = |error: argon2::Error| Error::Hash(error.to_string());
    let (memory, passes, lanes) = COST;
    let params = Params::new(memory, passes, lanes, None).map_err(failed)?;
    let mut hash = [0; 32];
    let argon = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    within(SLOW, || argon.hash_password_into(password.as_bytes(), salt, &mut hash)).map_err(failed)?;
    Ok(hash)
}

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{KIND}:{}:{}", self.name, hex(&self.salt), hex(&self.hash))
    }
}

impl FromStr for Account {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let parts: Vec<&str> = text.splitn(4, ':').collect();
        let [name, KIND, salt, hash] = parts[..] else { return Err(Error::Form) };
        if !is_name(name) {
            return Err(Error::Form);
        }
        let (salt, hash) = (unhex(salt).ok_or(Error::Form)?, unhex(hash).ok_or(Error::Form)?);
        Ok(Self { name: name.to_owned(), salt, hash })
    }
}

impl Serialize for Account {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Account {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::supervise::{Pulses, STUCK_AFTER, monotonic};
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::time::Instant;

    #[test]
    fn a_thread_that_looks_at_a_password_may_take_long() {
        let (pulses, seen) = (Pulses::default(), AtomicBool::new(false));
        std::thread::scope(|scope| {
            scope.spawn(|| {
                pulses.adopt("auth");
                while !seen.load(Ordering::Relaxed) {
                    Account::new("anna", "correct horse").expect("made");
                }
            });
            let deadline = Instant::now() + Duration::from_secs(60);
            while !seen.load(Ordering::Relaxed) && Instant::now() < deadline {
                let later = pulses.health(monotonic() + 2 * STUCK_AFTER);
                seen.store(later.iter().any(|thread| thread.moving), Ordering::Relaxed);
                std::thread::yield_now();
            }
            assert!(seen.swap(true, Ordering::Relaxed), "it stands still while it hashes");
        });
    }

    #[test]
    fn an_account_comes_back_from_its_text_and_opens_with_its_password_alone() {
        let account = Account::new("anna", "correct horse").expect("made");
        let text = account.to_string();
        assert!(text.starts_with("anna:1:") && !text.contains("horse"), "{text}");
        let read: Account = text.parse().expect("read");
        assert_eq!(read, account);
        assert!(read.is_opened_by("correct horse").expect("hashed"));
        for wrong in ["correct horsf", "", &"x".repeat(100_000)] {
            assert!(!read.is_opened_by(wrong).expect("hashed"));
        }
        assert!(!Account::nobody().is_opened_by("").expect("hashed"));
    }

    #[test]
    fn what_cannot_be_is_refused_with_what_may_be() {
        for (name, password, said) in [
            ("", "long enough", "the name \"\": 1 to 32 of a-z, 0-9, - and _"),
            ("Anna", "long enough", "the name \"Anna\": 1 to 32 of a-z, 0-9, - and _"),
            ("anna", "too short", "a password has 10 to 128 characters"),
            ("anna", &"x".repeat(129), "a password has 10 to 128 characters"),
        ] {
            assert_eq!(Account::new(name, password).expect_err("refused").to_string(), said);
        }
        let (salt, hash) = ("0".repeat(32), "0".repeat(64));
        assert!(format!("a:1:{salt}:{hash}").parse::<Account>().is_ok());
        for bad in [
            String::new(),
            format!("a:2:{salt}:{hash}"),
            format!("a:1:{salt}"),
            format!("a:1:{salt}:{hash}0"),
            format!("a b:1:{salt}:{hash}"),
            format!("a:1:{hash}:{salt}"),
        ] {
            assert!(bad.parse::<Account>().is_err(), "{bad}");
        }
    }
}

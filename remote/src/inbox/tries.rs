//! What is kept of a claim beside it: whose it was, and how often the work on it was tried.
//!
//! ```text
//! claim/NAME.tries     ACCOUNT STARTS FAILURES\n
//! ```
//!
//! It is written before the claim is taken, and without a claim it stays for some seconds of a janitor's sight: whoever goes on after a crash knows whose it is.

use super::name::Name;
use super::quarantine::NOBODY;
use crate::folder::{Error, Folder};
use media::handshake::claim::Tries;

/// The longest such file: a NAME and two numbers.
const MOST_BYTES: u64 = 160;

/// What stands beside a claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Whose inbox the recording came from.
    pub account: String,
    /// How often it was tried.
    pub tries: Tries,
}

impl Record {
    /// Reads it; what is missing or unreadable counts as never tried.
    ///
    /// # Errors
    /// The system refuses.
    pub fn load(claims: &Folder, name: &Name) -> Result<Self, Error> {
        let bytes = claims.read(file(name), MOST_BYTES)?.unwrap_or_default();
        Ok(Self::parse(&bytes).unwrap_or(Self { account: NOBODY.to_owned(), tries: Tries::default() }))
    }

    /// Writes it, durably.
    ///
    /// # Errors
    /// The system refuses.
    pub fn store(&self, claims: &Folder, name: &Name) -> Result<(), Error> {
        let Tries { starts, failures } = self.tries;
        claims.replace(&file(name), format!("{} {starts} {failures}\n", self.account).as_bytes())
    }

    /// Removes it.
    ///
    /// # Errors
    /// The system refuses.
    pub fn remove(claims: &Folder, name: &Name) -> Result<(), Error> {
        claims.remove(file(name))
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        let mut words = std::str::from_utf8(bytes).ok()?.trim_end().split(' ');
        let account = words.next().filter(|account| Name::new(account).is_some())?;
        let mut number = || words.next()?.parse().ok();
        let tries = Tries { starts: number()?, failures: number()? };
        Some(Self { account: account.to_owned(), tries })
    }
}

/// The file beside the claim of `name`.
pub fn file(name: &Name) -> String {
    format!("{name}.tries")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tries_survive_and_rubbish_counts_as_none() {
        let dir = tempfile::tempdir().expect("dir");
        let claims = Folder::open(dir.path()).expect("opens");
        let name = Name::new("a").expect("a name");
        let nobody = Record { account: NOBODY.to_owned(), tries: Tries::default() };
        assert_eq!(Record::load(&claims, &name).expect("reads"), nobody);
        let record = Record { account: "front".to_owned(), tries: Tries { starts: 3, failures: 2 } };
        record.store(&claims, &name).expect("writes");
        assert_eq!(Record::load(&claims, &name).expect("reads"), record);
        for rubbish in ["", "front", "front 1", "../up 1 2", "front 1 x"] {
            std::fs::write(dir.path().join("a.tries"), rubbish).expect("writes");
            assert_eq!(Record::load(&claims, &name).expect("reads"), nobody, "{rubbish:?}");
        }
    }
}

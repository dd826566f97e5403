//! `access.json`: who may do what, in one small file that is there whole or not at all.
//!
//! ```text
//! { "version": 1, "claim": "K7QM-3XWP" }                                      nobody's device yet
//! { "version": 1, "admins": ["anna:1:..."], "viewers": [...], "tokens": [{ "id", "name", "digest" }] }
//! ```
//!
//! It has a code or an administrator, never both, never neither. Anything else was not written here, and is not guessed at: [`Error`].

use super::account::Account;
use super::code::Code;
use super::secret::{Digest, hex, random};
use crate::store::files;
use crate::supervise::within;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Accounts, and tokens, at most.
const MOST: usize = 32;
const MOST_BYTES: u64 = 64 << 10;
const VERSION: u32 = 1;
/// Bytes of what is called a token.
const MOST_NAME: usize = 64;

/// Why there is no telling who may do what.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It cannot be read.
    #[error("{path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It was not written by this program, or is damaged.
    #[error("{path}: {message}; nobody is let in. A factory reset makes a new one")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        message: String,
    },
}

/// Why a change of it is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The table is full.
    #[error("there are {MOST} already")]
    Full,
    /// The device would have no administrator left.
    #[error("{0} is the last administrator")]
    Last(String),
    /// It is not there.
    #[error("there is no {0:?}")]
    Unknown(String),
    /// A name that cannot be.
    #[error("a token needs a name of 1 to {MOST_NAME} bytes without control characters")]
    Name,
    /// It was claimed meanwhile.
    #[error("this device is claimed already")]
    Claimed,
    /// The kernel has no randomness.
    #[error("no random numbers: {0}")]
    Random(String),
}

/// A token, without its secret.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Token {
    /// Names it when it is revoked; not secret.
    pub id: String,
    /// For whom or for what it is.
    pub name: String,
    #[serde(serialize_with = "write_digest", deserialize_with = "read_digest")]
    digest: Digest,
}

/// Who may do what.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Access {
    version: u32,
    /// What claims the device, while it is nobody's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    claim: Option<Code>,
    /// Who administers.
    #[serde(default)]
    admins: Vec<Account>,
    /// Who looks.
    #[serde(default)]
    viewers: Vec<Account>,
    /// Players that look.
    #[serde(default)]
    tokens: Vec<Token>,
}

impl Access {
    /// Of a device that is nobody's yet, with a new code.
    ///
    /// # Errors
    /// The kernel has no randomness.
    pub fn unclaimed() -> io::Result<Self> {
        Ok(Self { claim: Some(Code::random()?), ..Self::empty() })
    }

    fn empty() -> Self {
        Self { version: VERSION, claim: None, admins: Vec::new(), viewers: Vec::new(), tokens: Vec::new() }
    }

    /// Reads the file; `None` where there is none.
    ///
    /// # Errors
    /// It is there and cannot be used.
    pub fn load(path: &Path) -> Result<Option<Self>, Error> {
        let bytes = match files::read_bounded(path, MOST_BYTES) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(Error::Read { path: path.to_owned(), source }),
        };
        let damaged = |message: String| Error::Damaged { path: path.to_owned(), message };
        let access: Self = serde_json::from_slice(&bytes).map_err(|error| damaged(error.to_string()))?;
        access.check().map_err(|message| damaged(message.to_owned()))?;
        Ok(Some(access))
    }

    fn check(&self) -> Result<(), &'static str> {
        let bounded = [self.admins.len() + self.viewers.len(), self.tokens.len()];
        match self {
            Self { version, .. } if *version != VERSION => Err("it is of another version"),
            _ if bounded.into_iter().any(|count| count > MOST) => Err("it has too many entries"),
            Self { claim: None, admins, .. } if admins.is_empty() => {
                Err("it has neither code nor administrator")
            }
            Self { claim: Some(_), .. } if bounded != [0, 0] => Err("it has a code, and accounts"),
            _ => Ok(()),
        }
    }

    /// Writes it in the place of what was there, durably.
    ///
    /// # Errors
    /// It cannot be written; what was there still is.
    pub fn save(&self, path: &Path) -> io::Result<()> {
        let text = serde_json::to_vec_pretty(self)?;
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(files::parent(path))?;
        within(files::SLOW_DISK, || files::replace(path, &text, OpenOptions::new().mode(0o600)))
    }

    /// What claims the device, while it is nobody's.
    pub fn code(&self) -> Option<Code> {
        self.claim
    }

    /// All accounts, with whether each administers.
    pub fn accounts(&self) -> impl Iterator<Item = (&Account, bool)> {
        let viewers = self.viewers.iter().map(|account| (account, false));
        self.admins.iter().map(|account| (account, true)).chain(viewers)
    }

    /// The tokens.
    pub fn tokens(&self) -> &[Token] {
        &self.tokens
    }

    /// The token of which this is the digest.
    pub fn token(&self, digest: &Digest) -> Option<&Token> {
        self.tokens.iter().find(|token| token.digest == *digest)
    }

    /// The device is this one's from now on, and the code is void.
    ///
    /// # Errors
    /// It is somebody's already.
    pub fn claimed_by(&mut self, admin: Account) -> Result<(), Refused> {
        self.claim.take().ok_or(Refused::Claimed)?;
        self.admins.push(admin);
        Ok(())
    }

    /// Adds an account, or gives the one of that name this password and these rights.
    ///
    /// # Errors
    /// There is no room, or no administrator would be left.
    pub fn put(&mut self, account: Account, admin: bool) -> Result<(), Refused> {
        let name = account.name().to_owned();
        self.claim = None;
        let other = |one: &&Account| one.name() != name;
        if !admin && self.admins.iter().filter(other).count() == 0 {
            return Err(Refused::Last(name));
        }
        for list in [&mut self.admins, &mut self.viewers] {
            list.retain(|one| one.name() != name);
        }
        if self.admins.len() + self.viewers.len() >= MOST {
            return Err(Refused::Full);
        }
        if admin { &mut self.admins } else { &mut self.viewers }.push(account);
        Ok(())
    }

    /// Removes an account.
    ///
    /// # Errors
    /// There is none, or it is the last administrator.
    pub fn remove(&mut self, name: &str) -> Result<(), Refused> {
        if self.admins.len() == 1 && self.admins.iter().any(|one| one.name() == name) {
            return Err(Refused::Last(name.to_owned()));
        }
        let before = self.accounts().count();
        for list in [&mut self.admins, &mut self.viewers] {
            list.retain(|one| one.name() != name);
        }
        if self.accounts().count() == before { Err(Refused::Unknown(name.to_owned())) } else { Ok(()) }
    }

    /// Adds a token; gives its id and its secret, which nobody can read again.
    ///
    /// # Errors
    /// There is no room, or the name cannot be.
    pub fn add_token(&mut self, name: &str) -> Result<(String, String), Refused> {
        if name.is_empty() || name.len() > MOST_NAME || name.chars().any(char::is_control) {
            return Err(Refused::Name);
        }
        if self.tokens.len() >= MOST {
            return Err(Refused::Full);
        }
        let secret: [u8; 16] = random().map_err(|error| Refused::Random(error.to_string()))?;
        let id: [u8; 4] = random().map_err(|error| Refused::Random(error.to_string()))?;
        let (id, secret) = (hex(&id), hex(&secret));
        let digest = Digest::of(&[secret.as_bytes()]);
        self.tokens.push(Token { id: id.clone(), name: name.to_owned(), digest });
        Ok((id, secret))
    }

    /// Removes a token.
    ///
    /// # Errors
    /// There is none.
    pub fn revoke(&mut self, id: &str) -> Result<(), Refused> {
        let before = self.tokens.len();
        self.tokens.retain(|token| token.id != id);
        if self.tokens.len() == before { Err(Refused::Unknown(id.to_owned())) } else { Ok(()) }
    }

    /// One with this administrator alone, whatever there was before: for `porthole.toml`.
    pub fn of(admin: Account) -> Self {
        Self { admins: vec![admin], ..Self::empty() }
    }
}

fn write_digest<S: Serializer>(digest: &Digest, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(digest)
}

fn read_digest<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Digest, D::Error> {
    let text = String::deserialize(deserializer)?;
    Digest::parse(&text).ok_or_else(|| serde::de::Error::custom("not a digest"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(name: &str) -> Account {
        format!("{name}:1:{}:{}", "0".repeat(32), "1".repeat(64)).parse().expect("account")
    }

    fn damage(text: &str) -> String {
        let dir = tempfile::tempdir().expect("folder");
        let path = dir.path().join("access.json");
        std::fs::write(&path, text).expect("written");
        let error = Access::load(&path).err().expect("must be refused").to_string();
        error.replace(&path.display().to_string(), "FILE")
    }

    #[test]
    fn a_claim_makes_the_code_void_and_both_are_one_file() {
        let dir = tempfile::tempdir().expect("folder");
        let path = dir.path().join("state/access.json");
        assert!(Access::load(&path).expect("read").is_none());
        let mut access = Access::unclaimed().expect("code");
        access.save(&path).expect("saved");
        let code = Access::load(&path).expect("read").expect("there").code();
        assert!(code.is_some() && code == access.code());
        access.claimed_by(account("anna")).expect("claimed");
        assert_eq!(access.claimed_by(account("eve")), Err(Refused::Claimed));
        let (id, secret) = access.add_token("kitchen").expect("token");
        access.save(&path).expect("saved");
        let mut read = Access::load(&path).expect("read").expect("there");
        assert_eq!(read.code(), None);
        assert_eq!(
            read.accounts().map(|(one, admin)| (one.name(), admin)).collect::<Vec<_>>(),
            [("anna", true)]
        );
        assert_eq!(read.token(&Digest::of(&[secret.as_bytes()])).expect("token").id, id);
        assert!(!std::fs::read_to_string(&path).expect("text").contains(&secret));
        read.revoke(&id).expect("revoked");
        assert!(read.token(&Digest::of(&[secret.as_bytes()])).is_none());
    }

    #[test]
    fn the_last_administrator_stays_and_the_tables_are_bounded() {
        let mut access = Access::of(account("anna"));
        assert_eq!(access.remove("anna"), Err(Refused::Last("anna".to_owned())));
        assert_eq!(access.put(account("anna"), false), Err(Refused::Last("anna".to_owned())));
        assert_eq!(access.remove("eve"), Err(Refused::Unknown("eve".to_owned())));
        access.put(account("bob"), true).expect("added");
        access.put(account("anna"), false).expect("changed");
        assert_eq!(
            access.accounts().map(|(one, admin)| (one.name(), admin)).collect::<Vec<_>>(),
            [("bob", true), ("anna", false)]
        );
        for n in 2..MOST {
            access.put(account(&format!("v{n}")), false).expect("room");
        }
        assert_eq!(access.put(account("more"), false), Err(Refused::Full));
        for _ in 0..MOST {
            access.add_token("t").expect("room");
        }
        assert_eq!(access.add_token("t"), Err(Refused::Full));
        assert_eq!(access.add_token("a\nb"), Err(Refused::Name));
    }

    #[test]
    fn what_was_not_written_here_lets_nobody_in() {
        let end = "; nobody is let in. A factory reset makes a new one";
        for (text, said) in [
            ("{\"version\":1}", "it has neither code nor administrator"),
            ("{\"version\":1,\"viewers\":[]}", "it has neither code nor administrator"),
            ("{\"version\":2,\"claim\":\"K7QM-3XWP\"}", "it is of another version"),
        ] {
            assert_eq!(damage(text), format!("FILE: {said}{end}"));
        }
        for text in [
            "",
            "{",
            "null",
            "[]",
            "{\"version\":1,\"claim\":\"K7QM-3XW",
            "{\"version\":1,\"claim\":\"\"}",
            "{\"version\":1,\"claim\":\"K7QM-3XWP\",\"open\":true}",
            "{\"version\":1,\"admins\":[\"anna\"]}",
            "{\"claim\":\"K7QM-3XWP\"}",
            "\0\0\0\0",
        ] {
            assert!(damage(text).ends_with(end), "{text:?}");
        }
        let both =
            serde_json::to_string(&Access { claim: Code::parse("K7QM-3XWP"), ..Access::of(account("a")) });
        assert_eq!(damage(&both.expect("JSON")), format!("FILE: it has a code, and accounts{end}"));
        assert_eq!(damage(&" ".repeat(70_000)), "FILE: larger than 65536 bytes");
    }
}

//! Letting one more camera, or one more script, send its recordings: an account, its folders, its key, and what sshd lets it do.
//!
//! ```text
//! /etc/passwd                                   the account: no password; no shell (a script's has one, which sees no text of its own)
//! DIR/inbox/ACCOUNT/         root 0755          its chroot
//! DIR/inbox/ACCOUNT/inbox/   ACCOUNT:porthole   2770
//! /etc/porthole/keys/ACCOUNT                    its key, out of its reach
//! /etc/ssh/sshd_config.d/porthole-ACCOUNT.conf  Match User ACCOUNT
//! ```
//!
//! A [`plan`] is a list of steps, each of which makes something so, whatever was there; it is printed as a script or
//! performed ([`perform`]), and then all of it or nothing. docs/design/inbox.md says why owners and modes are these.

pub mod perform;
pub mod plan;
mod sshd;

use crate::inbox::name;
pub use plan::KEYS;
use plan::Plan;
use ssh_key::PublicKey;
use std::fmt;
use std::path::{Path, PathBuf};

/// The longest key line that is looked at.
const MOST_KEY_BYTES: usize = 1024;
/// The longest account; useradd(8) allows 32.
const MOST_NAME: usize = 30;

/// Why nobody was enrolled. Nothing was changed, but for what [`Error::Undo`] names.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It is no key.
    #[error(
        "this is no line with an ssh-ed25519 key, as `porthole-edge key` or `ssh-keygen -t ed25519` give it: {0}"
    )]
    Key(String),
    /// It is no account.
    #[error("account {0:?}: 1 to {MOST_NAME} of a-z, 0-9 and '-', a letter first; give one with --name")]
    Name(String),
    /// A path would have to be quoted.
    #[error("{0}: only paths of A-Z, a-z, 0-9, '.', '_', '-' and '/' go into sshd's configuration")]
    Path(PathBuf),
    /// Somebody else has the account.
    #[error("account {name} is taken: {found}")]
    Taken {
        /// The account.
        name: String,
        /// What is there.
        found: String,
    },
    /// It is enrolled, and not with this key.
    #[error("{0} holds another key; remove that file to give the account a new one")]
    OtherKey(PathBuf),
    /// It takes root, or a folder or group is missing.
    #[error("{0}")]
    Host(String),
    /// A program failed.
    #[error("{program}: {said}")]
    Program {
        /// Which one.
        program: String,
        /// What it printed.
        said: String,
    },
    /// sshd would not do what it should.
    #[error(
        "sshd would give account {name} {found:?}, not {wanted:?}; does its configuration include /etc/ssh/sshd_config.d/*.conf?"
    )]
    Sshd {
        /// The account.
        name: String,
        /// The line of `sshd -T` that should be there.
        wanted: String,
        /// The one that is.
        found: String,
    },
    /// What had been done before something failed could not be undone.
    #[error("{error}; and this is left: {left}")]
    Undo {
        /// What failed first.
        error: Box<Error>,
        /// What failed then.
        left: String,
    },
}

/// What an account is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A camera of ours: SFTP in a chroot.
    Camera,
    /// A script that knows only `NAME.mp4` and `NAME.lockfile`: [`crate::receive`].
    Script,
}

/// Who is to be let in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Enrollment {
    account: String,
    /// `ssh-ed25519 AAAA...`, without a comment.
    key: String,
    kind: Kind,
    /// The folder that everything is in.
    dir: PathBuf,
    /// This program, for a script's forced command.
    program: PathBuf,
}

impl Enrollment {
    /// Checks what was asked for. Without a `name` the key's comment is the account.
    ///
    /// # Errors
    /// It cannot be.
    pub fn new(key: &str, name: Option<&str>, kind: Kind, dir: &Path, program: &Path) -> Result<Self, Error> {
        let bad = |reason: &str| Error::Key(reason.to_owned());
        let key = key.trim_end_matches('\n');
        if key.len() > MOST_KEY_BYTES || !key.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
            return Err(bad("not one line of plain text"));
        }
        let parsed = PublicKey::from_openssh(key).map_err(|error| bad(&error.to_string()))?;
        let bare = PublicKey::new(parsed.key_data().clone(), "");
        if bare.key_data().ed25519().is_none() {
            return Err(bad(&format!("it is of type {}", bare.algorithm())));
        }
        let account = name.unwrap_or(parsed.comment());
        if !is_account(account) {
            return Err(Error::Name(name::escaped(account.as_ref())));
        }
        for path in [dir, program] {
            if !is_plain(path) {
                return Err(Error::Path(path.to_owned()));
            }
        }
        let key = bare.to_openssh().map_err(|error| bad(&error.to_string()))?.trim_end().to_owned();
        let (account, dir, program) = (account.to_owned(), dir.to_owned(), program.to_owned());
        Ok(Self { account, key, kind, dir, program })
    }

    /// The account.
    pub fn account(&self) -> &str {
        &self.account
    }

    /// Its home, which a camera cannot leave.
    fn home(&self) -> PathBuf {
        self.dir.join("inbox").join(&self.account)
    }

    /// Where it may write.
    fn inbox(&self) -> PathBuf {
        self.home().join("inbox")
    }

    /// What the person who enrolled it needs to know at its other end.
    pub fn welcome(&self) -> String {
        let account = &self.account;
        match self.kind {
            Kind::Script => format!(
                "scp NAME.lockfile {account}@HOST: && scp NAME.mp4 {account}@HOST: && ssh {account}@HOST rm NAME.lockfile"
            ),
            Kind::Camera => {
                let host_key = std::fs::read_to_string(sshd::HOST_KEY).unwrap_or_default();
                let host_key: Vec<&str> = host_key.split_whitespace().take(2).collect();
                let host_key = host_key.join(" ");
                format!(
                    "In the configuration of the edge:\n\n[upload]\nhost = \"HOST\"\nuser = \"{account}\"\nhost_key = \"{host_key}\""
                )
            }
        }
    }

    /// What is to be done.
    pub fn plan(&self) -> Plan {
        Plan::of(self)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Camera => "camera",
            Self::Script => "script",
        })
    }
}

fn is_account(name: &str) -> bool {
    let plain = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-');
    name.len() <= MOST_NAME
        && name.starts_with(|first: char| first.is_ascii_lowercase())
        && name.bytes().all(plain)
}

/// Whether a path means itself to a shell and to sshd, and leads where it says.
fn is_plain(path: &Path) -> bool {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"./_-".contains(byte);
    let steps_up = path.components().any(|component| component == std::path::Component::ParentDir);
    path.is_absolute() && !steps_up && path.as_os_str().as_encoded_bytes().iter().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAINdamAGCsQq31Uv+08lkBzoO4XLz2qYjJa8CGmj3B1Ea";

    fn enroll(key: &str, name: Option<&str>, dir: &str) -> Result<Enrollment, String> {
        let enrollment = Enrollment::new(key, name, Kind::Camera, Path::new(dir), Path::new("/usr/bin/p"));
        enrollment.map_err(|error| error.to_string())
    }

    #[test]
    fn the_comment_of_a_key_is_its_account_and_goes_nowhere_else() {
        let enrollment = enroll(&format!("{KEY} porthole-front\n"), None, "/srv").expect("is fine");
        assert_eq!((enrollment.account(), enrollment.key.as_str()), ("porthole-front", KEY));
        let named = enroll(&format!("{KEY} root@somewhere else"), Some("front"), "/srv").expect("is fine");
        assert_eq!((named.account(), named.key.as_str()), ("front", KEY));
    }

    #[test]
    fn what_is_no_key_is_refused() {
        let rsa = "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAAAAwEAAQ== a";
        let cut = &KEY[..KEY.len() - 4];
        let twice = format!("{KEY} a\n{KEY} b");
        let options = format!("command=\"id\" {KEY}");
        for key in ["", "front", rsa, cut, &twice, &options, &"x".repeat(2000)] {
            let error = enroll(key, Some("front"), "/srv").expect_err(key);
            assert!(error.starts_with("this is no line with an ssh-ed25519 key"), "{error}");
        }
    }

    #[test]
    fn what_is_no_account_is_refused() {
        let long = "x".repeat(31);
        for name in
            ["", "-front", "1front", "Front", "front_1", "a b", "a;id", "../a", "a\nb", "a/b", "é", &long]
        {
            let error = enroll(KEY, Some(name), "/srv").expect_err(name);
            assert!(error.contains("1 to 30 of a-z, 0-9 and '-', a letter first"), "{error}");
        }
        assert!(enroll(KEY, None, "/srv").is_err(), "a key without a comment");
    }

    #[test]
    fn a_path_that_would_need_quotes_is_refused() {
        for dir in ["srv", "/srv/a b", "/srv/%u", "/srv/$HOME", "/srv/../etc", "/srv/\"a"] {
            let error = enroll(KEY, Some("front"), dir).expect_err(dir);
            assert!(error.starts_with(dir), "{error}");
        }
    }
}

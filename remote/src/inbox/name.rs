//! The names of files in an inbox.
//!
//! ```text
//! NAME.mp4        a recording          NAME: 1 to 128 of A-Z a-z 0-9 . _ -
//! NAME.part       an upload so far           first a letter or a digit
//! NAME.lockfile   who has it
//! NAME.ledger     ledger entries that no recording took along
//! ```
//!
//! A NAME becomes a file in the archive, a folder and a part of URLs; so what is not plainly a name is none.

use crate::chop::is_name;
use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// The longest NAME.
const MOST: usize = 128;

/// A NAME that was checked.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Name(String);

/// What a file in an inbox is, by its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FileName {
    /// `NAME.mp4`
    Recording(Name),
    /// `NAME.part`
    Part(Name),
    /// `NAME.lockfile`
    Lock(Name),
    /// `NAME.ledger`
    Ledger(Name),
    /// It ends like a recording, and the rest is no NAME.
    Nameless,
    /// Nothing to us.
    Other,
}

impl Name {
    /// Checks a NAME.
    pub fn new(text: &str) -> Option<Self> {
        is_name(text).then(|| Self(text.to_owned()))
    }

    /// The NAME as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Its recording.
    pub fn recording(&self) -> String {
        format!("{}.mp4", self.0)
    }

    /// What the archive keeps of a recording whose output alone is wanted.
    pub fn digest(&self) -> String {
        format!("{}.sha256", self.0)
    }

    /// Its upload so far.
    pub fn part(&self) -> String {
        format!("{}.part", self.0)
    }

    /// Its lock.
    pub fn lock(&self) -> String {
        format!("{}.lockfile", self.0)
    }

    /// Its ledger file.
    pub fn ledger(&self) -> String {
        format!("{}.ledger", self.0)
    }

    /// The name of what is kept of it when only half of it came. It fits: a NAME of our edges is 39 long, and only they
    /// send parts; a longer one is cut.
    pub fn partial(&self) -> Self {
        let end = self.0.len().min(MOST - "-partial".len());
        Self(format!("{}-partial", &self.0[..end]))
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FileName {
    /// What a file of this name is.
    pub fn of(file: &OsStr) -> Self {
        let path = Path::new(file);
        let (Some(stem), Some(kind)) = (path.file_stem(), path.extension()) else {
            // A name that begins with its only dot has no extension.
            return if file == ".mp4" { Self::Nameless } else { Self::Other };
        };
        let name = stem.to_str().and_then(Name::new);
        match (kind.as_bytes(), name) {
            (b"mp4", Some(name)) => Self::Recording(name),
            (b"part", Some(name)) => Self::Part(name),
            (b"lockfile", Some(name)) => Self::Lock(name),
            (b"ledger", Some(name)) => Self::Ledger(name),
            (b"mp4", None) => Self::Nameless,
            _ => Self::Other,
        }
    }
}

/// A file name with everything but plain characters as `%XX`, at most 200 bytes: for what has no NAME.
pub fn escaped(file: &OsStr) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    let mut text = String::new();
    for (n, &byte) in file.as_bytes().iter().enumerate() {
        if text.len() > 197 {
            break;
        }
        if plain(byte) || byte == b'.' && n > 0 {
            text.push(char::from(byte));
        } else {
            text.push_str(&format!("%{byte:02X}"));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(file: &str) -> FileName {
        FileName::of(OsStr::new(file))
    }

    #[test]
    fn files_are_told_apart_by_their_ends() {
        let name = Name::new("a.b-C_1").expect("a name");
        assert_eq!(of("a.b-C_1.mp4"), FileName::Recording(name.clone()));
        assert_eq!(of("a.b-C_1.part"), FileName::Part(name.clone()));
        assert_eq!(of("a.b-C_1.ledger"), FileName::Ledger(name.clone()));
        assert_eq!(of("a.b-C_1.lockfile"), FileName::Lock(name));
        for other in ["notes.txt", "mp4", "a.mp4.journal", "a.MP4", "-.part"] {
            assert_eq!(of(other), FileName::Other, "{other}");
        }
    }

    #[test]
    fn what_could_lead_out_of_a_folder_is_no_name() {
        let long = format!("{}.mp4", "x".repeat(129));
        for file in [".mp4", "..mp4", "...mp4", "a b.mp4", "a\n.mp4", "%2e.mp4", "é.mp4", "-a.mp4", &long] {
            assert_eq!(of(file), FileName::Nameless, "{file:?}");
        }
        let not_text = OsStr::from_bytes(b"\xff.mp4");
        assert_eq!(FileName::of(not_text), FileName::Nameless);
        assert_eq!(escaped(not_text), "%FF.mp4");
        assert_eq!(escaped(OsStr::new("../a b\n.mp4")), "%2E.%2Fa%20b%0A.mp4");
        assert!(escaped(OsStr::new(&"é".repeat(127))).len() <= 201);
    }

    #[test]
    fn half_a_recording_has_a_name_of_its_own() {
        assert_eq!(Name::new("a").expect("a name").partial().as_str(), "a-partial");
        let long = Name::new(&"x".repeat(128)).expect("a name").partial();
        assert!(Name::new(long.as_str()).is_some());
    }
}

//! Which keys slices must be signed with: the lines of `authorized_keys`, or of any file with `ssh-ed25519 AAAA...` in its lines.

use super::report::Trust;
use super::walk::open;
use ssh_key::PublicKey;
use std::io::{self, Read};
use std::path::Path;

/// Largest file with keys that is read.
const MOST_BYTES: u64 = 1 << 20;

/// Which keys slices may be signed with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Keys {
    /// These alone.
    Expected(Vec<[u8; 32]>),
    /// Those of enrolled accounts; and of a camera that signs with none of them, the first one that it signs with.
    Enrolled(Vec<[u8; 32]>),
}

impl Keys {
    /// The ed25519 keys in the lines of a file, and no others; other lines and other kinds of keys mean nothing.
    ///
    /// # Errors
    /// The file cannot be read, or has no key.
    pub fn load(path: &Path) -> io::Result<Self> {
        let keys = in_file(path)?;
        if keys.is_empty() {
            return Err(io::Error::other("no line with an ssh-ed25519 key"));
        }
        Ok(Self::Expected(keys))
    }

    /// The keys in the files of a folder, as `enroll` puts them there; none if there is no folder.
    ///
    /// # Errors
    /// The folder, or a file in it, cannot be read.
    pub fn enrolled(folder: &Path) -> io::Result<Self> {
        let list = match std::fs::read_dir(folder) {
            Ok(list) => list,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::Enrolled(Vec::new())),
            Err(error) => return Err(error),
        };
        let mut keys = Vec::new();
        for file in list {
            let file = file?;
            if file.file_type()?.is_file() {
                keys.extend(in_file(&file.path())?);
            }
        }
        Ok(Self::Enrolled(keys))
    }

    /// Whether slices may be signed with this key at all.
    pub fn allow(&self, key: &[u8; 32]) -> bool {
        match self {
            Self::Expected(keys) => keys.contains(key),
            Self::Enrolled(_) => true,
        }
    }

    /// Why this key is believed.
    pub fn trust(&self, key: &[u8; 32]) -> Trust {
        match self {
            Self::Expected(_) => Trust::Expected,
            Self::Enrolled(keys) if keys.contains(key) => Trust::Enrolled,
            Self::Enrolled(_) => Trust::FirstUse,
        }
    }
}

fn in_file(path: &Path) -> io::Result<Vec<[u8; 32]>> {
    let mut text = Vec::new();
    open(path)?.take(MOST_BYTES + 1).read_to_end(&mut text)?;
    if text.len() as u64 > MOST_BYTES {
        return Err(io::Error::other("too large for a file of keys"));
    }
    Ok(String::from_utf8_lossy(&text).lines().filter_map(key_in).collect())
}

/// The key in a line, whatever options stand in front of it.
fn key_in(line: &str) -> Option<[u8; 32]> {
    let from = line.find("ssh-ed25519 ").filter(|_| !line.trim_start().starts_with('#'))?;
    let key = PublicKey::from_openssh(line.get(from..)?).ok()?;
    Some(key.key_data().ed25519()?.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::report::key_text;

    #[test]
    fn keys_are_found_behind_options_and_other_lines_mean_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("authorized_keys");
        // RFC 8032, 7.1, test 1.
        let key = [
            0xd7, 0x5a, 0x98, 0x01, 0x82, 0xb1, 0x0a, 0xb7, 0xd5, 0x4b, 0xfe, 0xd3, 0xc9, 0x64, 0x07, 0x3a,
            0x0e, 0xe1, 0x72, 0xf3, 0xda, 0xa6, 0x23, 0x25, 0xaf, 0x02, 0x1a, 0x68, 0xf7, 0x07, 0x51, 0x1a,
        ];
        let line = key_text(&key);
        std::fs::write(
            &path,
            format!("# {line}\n\nrestrict,command=\"x\" {line} porthole-front\nssh-rsa AAAA\n"),
        )
        .unwrap();
        let Keys::Expected(found) = Keys::load(&path).unwrap() else { panic!("no others count") };
        assert_eq!(found, [key]);
        assert_eq!(Keys::enrolled(dir.path()).unwrap(), Keys::Enrolled(vec![key]));
        assert_eq!(Keys::enrolled(&dir.path().join("nowhere")).unwrap(), Keys::Enrolled(Vec::new()));
        std::fs::write(&path, "nothing").unwrap();
        assert_eq!(Keys::load(&path).unwrap_err().to_string(), "no line with an ssh-ed25519 key");
    }
}

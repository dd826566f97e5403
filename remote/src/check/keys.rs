//! Which keys slices must be signed with: the lines of `authorized_keys`, or of any file with `ssh-ed25519 AAAA...` in its lines.

use ssh_key::PublicKey;
use std::io;
use std::path::Path;

/// Largest file with keys that is read.
const MOST_BYTES: u64 = 1 << 20;

/// Reads the ed25519 keys of a file; other lines and other kinds of keys mean nothing.
///
/// # Errors
/// The file cannot be read, or has no key.
pub fn load(path: &Path) -> io::Result<Vec<[u8; 32]>> {
    let text = std::fs::read(path)?;
    if text.len() as u64 > MOST_BYTES {
        return Err(io::Error::other("too large for a file of keys"));
    }
    let keys: Vec<[u8; 32]> = String::from_utf8_lossy(&text).lines().filter_map(key_in).collect();
    if keys.is_empty() {
        return Err(io::Error::other("no line with an ssh-ed25519 key"));
    }
    Ok(keys)
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
        assert_eq!(load(&path).unwrap(), [key]);
        std::fs::write(&path, "nothing").unwrap();
        assert_eq!(load(&path).unwrap_err().to_string(), "no line with an ssh-ed25519 key");
    }
}

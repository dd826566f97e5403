//! The device's own key: ed25519, made at the first start, kept in OpenSSH's format for its owner alone.

use crate::store::files;
use media::ledger::SigningKey;
use ssh_key::rand_core::OsRng;
use ssh_key::{Algorithm, LineEnding, PrivateKey};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// A key file that is larger was not made here.
const MOST_KEY_BYTES: u64 = 16 << 10;

/// Why there is no device key.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file cannot be read or made.
    #[error("device key {path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file is no private key in OpenSSH's format.
    #[error("device key {path}: {source}")]
    Format {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: ssh_key::Error,
    },
    /// The key can only be used with a passphrase, which nobody could enter.
    #[error("device key {path}: it has a passphrase")]
    Passphrase {
        /// The file.
        path: PathBuf,
    },
}

/// The private key of this device.
pub struct DeviceKey {
    private: PrivateKey,
    path: PathBuf,
}

impl DeviceKey {
    /// Reads the key at `path`, or makes it where there is none.
    ///
    /// # Errors
    /// What is there is no key that can be used; it is never overwritten.
    pub fn load_or_make(path: &Path) -> Result<Self, Error> {
        let io = |source| Error::Io { path: path.to_owned(), source };
        let format = |source| Error::Format { path: path.to_owned(), source };
        match files::read_bounded(path, MOST_KEY_BYTES) {
            Ok(text) => {
                let text = Zeroizing::new(text);
                let private = PrivateKey::from_openssh(&*text).map_err(format)?;
                if private.is_encrypted() {
                    return Err(Error::Passphrase { path: path.to_owned() });
                }
                Ok(Self { private, path: path.to_owned() })
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let mut private = PrivateKey::random(&mut OsRng, Algorithm::Ed25519).map_err(format)?;
                private.set_comment(format!("porthole-{}", host_name()));
                let text = private.to_openssh(LineEnding::LF).map_err(format)?;
                if !save(path, text.as_bytes()).map_err(io)? {
                    // Another process of ours was faster: there is one key for all.
                    return Self::load_or_make(path);
                }
                tracing::info!(path = %path.display(), "device key made");
                Ok(Self { private, path: path.to_owned() })
            }
            Err(error) => Err(io(error)),
        }
    }

    /// The line to enrol at the remote host: `ssh-ed25519 AAAA... porthole-HOST`.
    ///
    /// # Errors
    /// Never for a key that was loaded.
    pub fn public_line(&self) -> Result<String, Error> {
        self.private.public_key().to_openssh().map_err(|source| self.format(source))
    }

    /// The public key as it travels in SSH (RFC 4253 6.6).
    ///
    /// # Errors
    /// Never for a key that was loaded.
    pub fn public_blob(&self) -> Result<Vec<u8>, Error> {
        self.private.public_key().to_bytes().map_err(|source| self.format(source))
    }

    /// What signs the ledger; `None` for a key of another kind than ed25519.
    pub fn signing_key(&self) -> Option<SigningKey> {
        let pair = self.private.key_data().ed25519()?;
        Some(SigningKey::from_bytes(&pair.private.to_bytes()))
    }

    /// The private key in OpenSSH's format.
    ///
    /// # Errors
    /// Never for a key that was loaded.
    pub fn private_text(&self) -> Result<Zeroizing<String>, Error> {
        self.private.to_openssh(LineEnding::LF).map_err(|source| self.format(source))
    }

    fn format(&self, source: ssh_key::Error) -> Error {
        Error::Format { path: self.path.clone(), source }
    }
}

/// Whether it was saved: not if there is one by now.
fn save(path: &Path, text: &[u8]) -> io::Result<bool> {
    let dir = files::parent(path);
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    files::make(path, text, std::fs::OpenOptions::new().mode(0o600))
}

fn host_name() -> String {
    let name = nix::unistd::gethostname().unwrap_or_default();
    let good = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.');
    let name: String = name.to_string_lossy().chars().filter(good).take(63).collect();
    if name.is_empty() { "edge".to_owned() } else { name }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn the_key_is_made_once_and_is_the_owners_alone() {
        let dir = tempfile::tempdir().expect("folder");
        let path = dir.path().join("state/id_ed25519");
        let made = DeviceKey::load_or_make(&path).expect("made");
        let line = made.public_line().expect("line");
        assert!(line.starts_with("ssh-ed25519 AAAA") && line.contains(" porthole-"), "{line}");
        assert_eq!(std::fs::metadata(&path).expect("file").permissions().mode() & 0o777, 0o600);
        let again = DeviceKey::load_or_make(&path).expect("read");
        assert_eq!(again.public_line().expect("line"), line);
        assert_eq!(again.public_blob().expect("blob"), made.public_blob().expect("blob"));
        let signs = again.signing_key().expect("ed25519").verifying_key().to_bytes();
        assert_eq!(media::ledger::slice::ssh_blob(&signs), made.public_blob().expect("blob"));
    }

    #[test]
    fn all_who_make_it_at_once_have_the_same_one() {
        let dir = tempfile::tempdir().expect("folder");
        let path = dir.path().join("id_ed25519");
        let line = || DeviceKey::load_or_make(&path).and_then(|key| key.public_line()).expect("a key");
        let lines: Vec<String> = std::thread::scope(|scope| {
            let makers: Vec<_> = (0..8).map(|_| scope.spawn(line)).collect();
            makers.into_iter().map(|maker| maker.join().expect("a maker")).collect()
        });
        assert!(lines.iter().all(|one| *one == line()), "{lines:?}");
        let left: Vec<_> = std::fs::read_dir(dir.path()).expect("folder").flatten().collect();
        assert_eq!(left.len(), 1, "{left:?}");
    }

    #[test]
    fn what_is_no_key_is_named_and_not_overwritten() {
        let dir = tempfile::tempdir().expect("folder");
        let path = dir.path().join("id");
        std::fs::write(&path, "mine").expect("written");
        let error = DeviceKey::load_or_make(&path).err().expect("refused").to_string();
        assert!(error.starts_with(&format!("device key {}: ", path.display())), "{error}");
        assert_eq!(std::fs::read(&path).expect("there"), b"mine");
    }
}

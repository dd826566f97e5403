//! Why the store could not do what it was asked for.

use crate::upload::key;
use media::mp4::ReadError;
use nix::errno::Errno;
use std::io;
use std::path::{Path, PathBuf};

/// Why the store could not do what it was asked for.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The system refused.
    #[error("cannot {action} {path}: {source}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// With which file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Another process uses the folder.
    #[error("{dir}: another process uses it")]
    Busy {
        /// The folder.
        dir: PathBuf,
    },
    /// A recording is damaged in a way that no crash explains. It is left as it is.
    #[error("{path}: {source}")]
    Unreadable {
        /// The recording.
        path: PathBuf,
        /// Where and why.
        source: ReadError,
    },
    /// A ledger that is none.
    #[error("{path}: {source}")]
    Ledger {
        /// The file that carries it.
        path: PathBuf,
        /// What is wrong with it.
        source: media::ledger::Error,
    },
    /// An MP4 that is no recording.
    #[error("{path}: not a recording")]
    NoRecording {
        /// The file.
        path: PathBuf,
    },
    /// Access units that cannot be written as MP4.
    #[error("{path}: {source}")]
    Mp4 {
        /// The recording.
        path: PathBuf,
        /// Why.
        source: media::mp4::Error,
    },
    /// All recordings must stay, and there is no room for more.
    #[error("{dir}: no room within {bytes} bytes, and nothing there may leave")]
    Full {
        /// The folder.
        dir: PathBuf,
        /// The bound.
        bytes: u64,
    },
    /// The recording is not there, or no longer.
    #[error("{dir}: there is no recording {name}")]
    Gone {
        /// The folder.
        dir: PathBuf,
        /// Its name.
        name: String,
    },
    /// The device key, which names depend on.
    #[error(transparent)]
    Key(#[from] key::Error),
}

impl Error {
    /// For `map_err`: what was tried, and with what.
    pub fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { action, path: path.to_owned(), source }
    }

    pub(super) fn unreadable(path: &Path) -> impl FnOnce(ReadError) -> Self {
        move |source| match source {
            ReadError::Io { source, .. } => Self::Io { action: "read", path: path.to_owned(), source },
            source => Self::Unreadable { path: path.to_owned(), source },
        }
    }

    /// For `map_err`: which recording.
    pub fn mp4(path: &Path) -> impl FnOnce(media::mp4::Error) -> Self {
        move |source| Self::Mp4 { path: path.to_owned(), source }
    }

    /// Whether it is about what is on the disk, and not about what can be written there.
    pub(super) fn is_damage(&self) -> bool {
        matches!(
            self,
            Self::Unreadable { .. }
                | Self::NoRecording { .. }
                | Self::Ledger { .. }
                | Self::Io { action: "read", .. }
        )
    }

    /// Whether the disk does not do its work: it turned read-only, fails reads, writes or syncs, or is gone.
    pub fn is_disk_failed(&self) -> bool {
        const KINDS: [Errno; 9] = [
            Errno::EROFS,
            Errno::EIO,
            Errno::EREMOTEIO,
            Errno::ENXIO,
            Errno::ENODEV,
            Errno::ENOMEDIUM,
            Errno::ESHUTDOWN,
            Errno::EUCLEAN,
            Errno::EBADMSG,
        ];
        match self {
            Self::Io { source, .. } => {
                source.raw_os_error().is_some_and(|code| KINDS.contains(&Errno::from_raw(code)))
            }
            _ => false,
        }
    }

    /// Whether room would help.
    pub fn is_disk_full(&self) -> bool {
        match self {
            Self::Full { .. } => true,
            Self::Io { source, .. } => {
                matches!(source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
            }
            _ => false,
        }
    }
}

//! Why an upload did not go on, in the kinds that an operator must tell apart.

use crate::status::UploadFailureKind as Kind;
use crate::store;
use crate::upload::key;
use media::handshake::Fault;
use std::path::PathBuf;

/// Why an upload did not go on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The end was asked for.
    #[error("the end was asked for")]
    Stopped,
    /// No connection.
    #[error("{remote}: {source}")]
    Unreachable {
        /// `user@host:port`.
        remote: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// The connection broke.
    #[error("{remote}: the connection broke while it was to {doing}: {source}")]
    Broken {
        /// `user@host:port`.
        remote: String,
        /// What was being done.
        doing: &'static str,
        /// What the SSH library said.
        source: ssh2::Error,
    },
    /// Nothing went on for too long.
    #[error("{remote}: nothing went on for {seconds} s while it was to {doing}")]
    Slow {
        /// `user@host:port`.
        remote: String,
        /// What was being done.
        doing: &'static str,
        /// The time-out.
        seconds: u64,
    },
    /// The configured host key is no key.
    #[error("upload.host_key: {0}")]
    HostKeyConfig(ssh_key::Error),
    /// Somebody else answers, or the host has a new key.
    #[error(
        "{remote}: THE HOST KEY IS NOT THE PINNED ONE: {found} instead of {pinned}. Nothing was sent. If the host was set up \
         anew, put its new key into upload.host_key; otherwise somebody stands between"
    )]
    HostKey {
        /// `user@host:port`.
        remote: String,
        /// Fingerprint of the key that the host showed.
        found: String,
        /// Fingerprint of the pinned key.
        pinned: String,
    },
    /// The remote host does not take the device's key.
    #[error("{remote}: the device's key is refused; enrol there what `porthole-edge key` prints")]
    KeyRefused {
        /// `user@host:port`.
        remote: String,
    },
    /// Not allowed, or there is no such folder.
    #[error("{remote}: not allowed to {doing} {path}")]
    NoPermission {
        /// `user@host:port`.
        remote: String,
        /// What was being done.
        doing: &'static str,
        /// With which file there.
        path: String,
    },
    /// There is no room.
    #[error("{remote}: no room to {doing} {path}")]
    DiskFull {
        /// `user@host:port`.
        remote: String,
        /// What was being done.
        doing: &'static str,
        /// With which file there.
        path: String,
    },
    /// There is room, and not for this account.
    #[error(
        "{remote}: the account takes no more: not able to {doing} {path}, although the disk there has room and works; is its quota, \
         or a limit on the size of a file, reached?"
    )]
    AccountFull {
        /// `user@host:port`.
        remote: String,
        /// What was being done.
        doing: &'static str,
        /// With which file there.
        path: String,
    },
    /// The remote host refused for another reason.
    #[error("{remote}: cannot {doing} {path}: {source}")]
    Refused {
        /// `user@host:port`.
        remote: String,
        /// What was being done.
        doing: &'static str,
        /// With which file there.
        path: String,
        /// What it said.
        source: ssh2::Error,
    },
    /// The remote host holds something else under the recording's name.
    #[error("{remote}: {name}: {fault}")]
    Fault {
        /// `user@host:port`.
        remote: String,
        /// The recording.
        name: String,
        /// What.
        fault: Fault,
    },
    /// A recording on the edge cannot be read.
    #[error("{path}: {source}")]
    Recording {
        /// The recording.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A journal cannot be written.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// There is no device key.
    #[error(transparent)]
    Key(#[from] key::Error),
}

impl Error {
    /// The kind that the status shows.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Unreachable { .. } | Self::Broken { .. } | Self::Stopped => Kind::Unreachable,
            Self::Slow { .. } => Kind::Slow,
            Self::HostKey { .. } | Self::HostKeyConfig(_) => Kind::HostKey,
            Self::KeyRefused { .. } => Kind::KeyRefused,
            Self::NoPermission { .. } => Kind::NoPermission,
            Self::DiskFull { .. } => Kind::DiskFull,
            Self::AccountFull { .. } => Kind::AccountFull,
            Self::Fault { fault: Fault::NameClash(_) | Fault::Locked(_), .. } => Kind::NameClash,
            Self::Fault { .. } | Self::Refused { .. } => Kind::Protocol,
            Self::Recording { .. } | Self::Store(_) | Self::Key(_) => Kind::Local,
        }
    }

    /// Whether one file of the remote host was refused: perhaps that one alone, perhaps as all of them are.
    pub fn may_be_about_one(&self) -> bool {
        matches!(self, Self::NoPermission { .. } | Self::Refused { .. })
    }

    /// Whether it concerns one recording alone: the others are gone on with at once.
    pub fn is_about_one(&self) -> bool {
        matches!(self, Self::Fault { .. } | Self::Recording { .. })
    }
}

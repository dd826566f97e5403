//! Updates: a bundle that its builder signed goes to the other slot, is tried, and is kept if what worked before works again.
//! docs/design/update.md has the procedure and why it is cut so.
//!
//! ```text
//! page --> live ---+                          +--> install --> card: the other slot, then the sectors
//! porthole-edge    +==socket==> serve --------+
//!   update FILE ---+   a process of its own,  +--> keep, return
//! watch (a thread) +   for each request
//!   |
//!   +--> proof: what worked before works again --> keep; else return, and restart
//! ```
//!
//! The process that the LAN speaks to cannot write to the card; the one that can speaks to nobody, and writes what is signed.

pub mod ask;
mod card;
mod install;
pub mod proof;
pub mod serve;
pub mod watch;

use crate::config;
use crate::store::files;
use media::update::{Slot, Version};
use std::io;
use std::path::{Path, PathBuf};

/// Longer files were not made for this.
const MOST_BYTES: u64 = 16 << 10;

/// Why a bundle was not taken, or the card not written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The builder gave no key.
    #[error("{path}: this image was made without an update key, so it cannot tell whose an update is")]
    NoKey {
        /// Where the key would be.
        path: PathBuf,
    },
    /// The key is no ed25519 key.
    #[error("{path}: no ed25519 public key: {message}")]
    Key {
        /// Where it is.
        path: PathBuf,
        /// What is wrong with it.
        message: String,
    },
    /// It has not proved itself yet.
    #[error("the version that runs is being tried itself; wait until it is kept")]
    Trying,
    /// Somebody else does it.
    #[error("another update is under way")]
    Busy,
    /// It is nothing of ours.
    #[error(transparent)]
    Header(#[from] media::update::bundle::Error),
    /// Nobody who may has signed it.
    #[error("the signature is not by the key of this image")]
    Signature,
    /// It would not start.
    #[error("the bundle is for the board {found}, and this is {own}")]
    Board {
        /// In the bundle.
        found: String,
        /// What this is.
        own: String,
    },
    /// Older, or the same.
    #[error("the bundle has version {found}, and {own} runs: a version must be newer")]
    Downgrade {
        /// In the bundle.
        found: Version,
        /// What runs.
        own: Version,
    },
    /// There is no room.
    #[error("the bundle has {length} bytes, and a slot has room for {room}")]
    TooLong {
        /// Of the bundle.
        length: u64,
        /// Of the slot.
        room: u64,
    },
    /// It ends too early.
    #[error("the bundle is cut off: {found} of {length} bytes came")]
    Truncated {
        /// What came.
        found: u64,
        /// What was to come.
        length: u64,
    },
    /// It is not what was signed.
    #[error("the bundle is damaged: it is not what was signed")]
    Damaged,
    /// The card does not keep what is written to it.
    #[error("{path}: at byte {at} it gives back something else than was written; is the card worn out?")]
    Unfaithful {
        /// The card.
        path: PathBuf,
        /// Where.
        at: u64,
    },
    /// It is no card of ours.
    #[error("{path}: {what}")]
    Card {
        /// The card.
        path: PathBuf,
        /// What is wrong with it.
        what: &'static str,
    },
    /// A file, or the card.
    #[error("{path}: {source}")]
    Io {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file says something that cannot be.
    #[error("{path}: {what}")]
    Release {
        /// The file.
        path: PathBuf,
        /// What is missing in it.
        what: &'static str,
    },
}

impl Error {
    fn io(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { path, source }
    }
}

/// What runs on this board.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Running {
    /// From where.
    pub slot: Slot,
    /// What the board is called.
    pub board: String,
    /// Its version.
    pub version: Version,
}

impl Running {
    /// By the words of the boot loader, and the file of the slot.
    ///
    /// # Errors
    /// One of them cannot be read.
    pub fn read(config: &config::Update) -> Result<Self, Error> {
        let text = |path: &Path| {
            let bytes = files::read_bounded(path, MOST_BYTES).map_err(Error::io(path))?;
            Ok::<_, Error>(String::from_utf8_lossy(&bytes).into_owned())
        };
        let (boot, release) = (text(&config.boot)?, text(&config.release)?);
        let lacks = |path: &Path, what| Error::Release { path: path.to_owned(), what };
        let word = |name: &str| boot.split_whitespace().find_map(|word| word.strip_prefix(name));
        let line = |name: &str| release.lines().find_map(|line| line.strip_prefix(name));
        let slot = word("porthole.slot=").and_then(Slot::named);
        let version = line("version=").and_then(|version| version.parse().ok());
        Ok(Self {
            slot: slot.ok_or_else(|| lacks(&config.boot, "the boot loader named no slot"))?,
            board: line("board=").ok_or_else(|| lacks(&config.release, "no board="))?.to_owned(),
            version: version.ok_or_else(|| lacks(&config.release, "no version="))?,
        })
    }
}

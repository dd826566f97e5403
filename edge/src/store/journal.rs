//! What is kept beside each recording and for each camera: small JSON files, replaced whole and synced.
//!
//! ```text
//! NAME.mp4              the recording
//! NAME.mp4.journal      Journal
//! CAMERA8.camera        Counter
//! ```

use super::files;
use media::Ticks90k;
use media::handshake::Journal as Upload;
use media::names::LockToken;
use media::time::TICKS_PER_SECOND;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::fs::OpenOptions;
use std::io;
use std::path::Path;

/// A journal that is larger was not written here.
const MOST_BYTES: u64 = 64 << 10;

/// How far a recording has come. It only ever goes on, from one to the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// Being written, or torn.
    Growing,
    /// Whole, and will never change again; `j` = 0.
    Sealed,
    /// `j` = 1.
    Committing,
    /// The receipt is here; `j` = 2.
    Acknowledged,
}

impl Stage {
    /// `j` of the handshake.
    pub fn upload(self) -> Upload {
        match self {
            Self::Growing | Self::Sealed => Upload::Sealed,
            Self::Committing => Upload::Committing,
            Self::Acknowledged => Upload::Acknowledged,
        }
    }

    /// The stage of a sealed recording whose `j` is `upload`.
    pub fn of(upload: Upload) -> Self {
        match upload {
            Upload::Sealed => Self::Sealed,
            Upload::Committing => Self::Committing,
            Upload::Acknowledged => Self::Acknowledged,
        }
    }
}

/// What is known of one recording besides its name and its bytes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Journal {
    /// The camera's name.
    pub camera: String,
    /// Rises from recording to recording of all cameras: which one is the oldest, whatever the clock did.
    pub order: u64,
    /// The boot in which it was begun; empty if that is not known.
    pub boot: String,
    /// Media time of its first picture, in 90 kHz ticks of that boot.
    pub origin: i64,
    /// Seconds of footage.
    pub seconds: f64,
    /// How far it has come.
    pub stage: Stage,
    /// Only its IDR pictures are left.
    pub thinned: bool,
    /// It is torn, and a card that does not work keeps it from being sealed: so many bytes of it count, and what was behind them is
    /// recorded elsewhere.
    #[serde(default)]
    pub cut: Option<u64>,
    /// The lock token of its upload: once it is here the upload has begun, and neither name nor bytes change any more.
    pub token: Option<String>,
    /// It was uploaded over a long path: up to [`media::handshake::upload::WIDE`] of it can be there without being on the disk
    /// there.
    #[serde(default)]
    pub long: bool,
}

impl Journal {
    /// Media time at which its footage ends.
    pub fn end(&self) -> Ticks90k {
        Ticks90k(self.origin) + Ticks90k((self.seconds * TICKS_PER_SECOND as f64) as i64)
    }

    /// The lock token, if the upload has begun.
    pub fn lock_token(&self) -> Option<LockToken> {
        self.token.as_ref().and_then(|text| LockToken::parse(text.as_bytes()).ok())
    }
}

/// What must not be forgotten of a camera when its recordings have left.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Counter {
    /// The camera's name.
    pub camera: String,
    /// Sequence number of the next recording.
    pub next: u64,
    /// The boot that `last_gop` is of.
    pub boot: String,
    /// The newest GOP of that boot's ring that is in a sealed recording, or in one that a card which does not work keeps from
    /// being sealed.
    pub last_gop: Option<u64>,
    /// Where the recording with that GOP begins, in 90 kHz ticks of that boot.
    #[serde(default)]
    pub origin: i64,
}

/// Writes a journal or a counter, durably.
pub fn save(path: &Path, value: &impl Serialize) -> io::Result<()> {
    let mut text = serde_json::to_vec(value)?;
    text.push(b'\n');
    files::replace(path, &text, &OpenOptions::new())
}

/// Reads a journal or a counter; `None` if it is not there or not whole.
pub fn load<T: DeserializeOwned>(path: &Path) -> io::Result<Option<T>> {
    match files::read_bounded(path, MOST_BYTES) {
        Ok(text) => Ok(serde_json::from_slice(&text).ok()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) if error.kind() == io::ErrorKind::FileTooLarge => Ok(None),
        Err(error) => Err(error),
    }
}

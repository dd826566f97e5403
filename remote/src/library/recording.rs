//! What the catalogue tells of a recording, and of a span without footage. docs/ref/remote-openapi.json describes the JSON.

use crate::folder::Meta;
use serde::Serialize;

/// A recording that is here, is coming, or was put aside.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Recording {
    /// Its NAME; of what was put aside, the name of the file.
    pub name: String,
    /// The camera's name, or its id while no recording has told its name; else the account that sent it.
    pub camera: String,
    /// How far it has come.
    pub state: State,
    /// Why it was put aside.
    pub reason: Option<String>,
    /// When it begins, in milliseconds since 1970, by the newest setting of the camera's clock.
    pub start: Option<i64>,
    /// When it came to where it is, in milliseconds since 1970.
    pub arrived: Option<i64>,
    /// How long it is, in seconds.
    pub seconds: Option<f64>,
    /// Its size; while it arrives, what is here of it.
    pub bytes: u64,
    /// Path of its multivariant playlist.
    pub hls: Option<String>,
    /// Path of its file.
    pub mp4: Option<String>,
}

/// How far a recording has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Its edge sends it, perhaps while it still grows.
    Arriving,
    /// All of it is in the inbox: its edge has the proof of that, or can have it.
    Receipted,
    /// A worker has it.
    Chopping,
    /// It can be watched.
    Chopped,
    /// It is in the archive, and there is no HLS of it.
    Archived,
    /// Its time is over: it stays for as long as somebody may still be watching.
    Leaving,
    /// It is no recording, or its work failed.
    Quarantined,
}

/// What recordings are sorted by: time, then NAME.
pub type Key<'a> = (i64, &'a str);

impl Recording {
    /// When it begins, or else arrived; and its NAME.
    pub fn key(&self) -> Key<'_> {
        (self.start.or(self.arrived).unwrap_or_default(), &self.name)
    }
}

/// A span without footage.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Gap {
    /// As in [`Recording`].
    pub camera: String,
    /// A cause of the ledger, `absent` (it is not here, or not yet), `removed` (it was here) or `unexplained`.
    pub cause: &'static str,
    /// Milliseconds since 1970; null where the clock of that boot was never set.
    pub start: Option<i64>,
    /// How long; null where that is not known.
    pub seconds: Option<f64>,
}

/// When a file came to where it is.
pub fn arrived(meta: &Meta) -> Option<i64> {
    i64::try_from(meta.changed.as_millis()).ok()
}

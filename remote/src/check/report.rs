//! What `check` found, for people and as JSON. docs/ref/check.md describes the JSON.

use media::ledger::Missing;
use media::ledger::slice::{Forged, ssh_blob};
use serde::Serialize;
use std::fmt;

/// Everything that was found.
#[derive(Debug, Default, Serialize)]
pub struct Report {
    /// Recordings that were opened.
    pub recordings: usize,
    /// By camera.
    pub cameras: Vec<Camera>,
    /// What must not be: by file.
    pub problems: Vec<Problem>,
    /// What may be, and is worth knowing.
    pub notes: Vec<Problem>,
}

/// One camera's ledger.
#[derive(Debug, Serialize)]
pub struct Camera {
    /// Its id in the names of recordings.
    pub camera: String,
    /// Its name, as recordings tell it.
    pub name: Option<String>,
    /// The public key that its slices must be signed with, as SSH writes it.
    pub key: String,
    /// Where that key was taken from.
    pub trust: Trust,
    /// Footage that the ledger vouches for.
    pub footage_seconds: f64,
    /// Every span without footage.
    pub gaps: Vec<Gap>,
}

/// Why a key is believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Trust {
    /// It is one of the expected keys.
    Expected,
    /// An account of this host was enrolled with it.
    Enrolled,
    /// Nothing is known of it: it is the key of the first slice of this camera.
    FirstUse,
}

/// A span without footage.
#[derive(Debug, Serialize)]
pub struct Gap {
    /// Why: a cause of the ledger, or `absent` (slices are not here), `removed` (they were here) or `unexplained`.
    pub cause: &'static str,
    /// RFC 3339; null while unknown.
    pub start: Option<String>,
    /// Seconds of media time since the boot that `boot` stands for.
    pub media: f64,
    /// Tells boots apart.
    pub boot: String,
    /// How long; null where it begins or ends in a boot whose clock was never set.
    pub seconds: Option<f64>,
    /// The file whose ledger says so, or the first one behind the gap.
    pub file: String,
}

impl Gap {
    /// As the ledger tells it.
    pub fn new(cause: &'static str, missing: &Missing, file: &str) -> Self {
        Self {
            cause,
            start: missing.start.map(media::WallTime::rfc3339),
            media: missing.from.as_secs_f64(),
            boot: missing.boot.to_string(),
            seconds: missing.length.map(media::Ticks90k::as_secs_f64),
            file: file.to_owned(),
        }
    }
}

/// Something about a file.
#[derive(Debug, Serialize)]
pub struct Problem {
    /// Which kind.
    pub kind: Kind,
    /// The file, with its folder.
    pub file: String,
    /// What exactly.
    pub detail: String,
}

/// The kinds of problems and notes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Not a whole recording.
    Damaged,
    /// It could not be read.
    Unreadable,
    /// A GOP is not the one that was recorded.
    Altered,
    /// GOPs stand in another order than they were recorded in.
    Reordered,
    /// GOPs were cut out of the recording, or put in.
    Count,
    /// A ledger slice was changed after it had been signed.
    Signature,
    /// A ledger slice is signed by somebody else.
    Key,
    /// A ledger slice contradicts itself.
    Chain,
    /// The file has the name of another recording.
    Name,
    /// There is no ledger slice.
    Unsigned,
    /// Two histories continue the same ledger.
    Forked,
    /// The ledger was begun anew.
    BegunAnew,
    /// Parts of the ledger are not here, and nobody has a receipt for them.
    Absent,
    /// Parts of the ledger are not here although the remote host gave a receipt for them.
    Removed,
    /// Footage is missing, and the ledger does not say why.
    Unexplained,
    /// A playlist or a segment of a recording's HLS is missing or damaged.
    BrokenHls,
    /// A recording is visible beside the lock of its upload.
    Locked,
    /// A part without the lock of its upload.
    PartWithoutLock,
    /// The lock of a worker that is dead.
    StaleLock,
    /// A file that belongs to a recording and should be gone.
    Superfluous,
    /// A recording of an edge that is in quarantine.
    PutAside,
    /// A recording that stands in two folders.
    Double,
    /// On its way.
    Arriving,
    /// A part of which the edge has lost the end in a power cut.
    EdgeLost,
    /// Being worked on.
    InWork,
    /// Whole, but not a recording of an edge.
    Foreign,
    /// On the edge: it has left since it had its receipt.
    Receipted,
    /// Of this recording the HLS alone was kept, and its ledger.
    HlsAlone,
    /// A camera signs with a key that no account was enrolled with.
    NotEnrolled,
    /// The date in its name was not known, or wrong; the ledger knows it.
    Dated,
}

impl From<&Forged> for Kind {
    fn from(forged: &Forged) -> Self {
        match forged {
            Forged::Signature => Self::Signature,
            Forged::Key => Self::Key,
            Forged::Chain => Self::Chain,
            Forged::Altered { .. } => Self::Altered,
            Forged::Reordered { .. } => Self::Reordered,
            Forged::Count { .. } => Self::Count,
            Forged::Name => Self::Name,
        }
    }
}

impl Kind {
    /// Nothing but a hand on the files explains it.
    fn is_tampering(self) -> bool {
        (Self::Altered..=Self::Name).contains(&self) || [Self::Forked, Self::Removed].contains(&self)
    }
}

impl Report {
    /// Nothing must be looked at.
    pub fn is_clean(&self) -> bool {
        self.problems.is_empty()
    }

    /// Adds a problem.
    pub fn problem(&mut self, kind: Kind, file: &str, detail: impl fmt::Display) {
        self.problems.push(Problem { kind, file: file.to_owned(), detail: detail.to_string() });
    }

    /// Adds a note.
    pub fn note(&mut self, kind: Kind, file: &str, detail: impl fmt::Display) {
        self.notes.push(Problem { kind, file: file.to_owned(), detail: detail.to_string() });
    }
}

/// A key as SSH writes it: `ssh-ed25519 AAAA...`.
pub fn key_text(key: &[u8; 32]) -> String {
    let key = ssh_key::PublicKey::from_bytes(&ssh_blob(key)).and_then(|key| key.to_openssh());
    key.unwrap_or_else(|_| "not a key".to_owned())
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for camera in &self.cameras {
            let name = camera.name.as_deref().unwrap_or("?");
            let trust = match camera.trust {
                Trust::Expected => "as expected",
                Trust::Enrolled => "enrolled",
                Trust::FirstUse => "trusted because it came first",
            };
            writeln!(f, "camera {} ({name}): {:.3} s of footage", camera.camera, camera.footage_seconds)?;
            writeln!(f, "  key {}, {trust}", camera.key)?;
            for gap in &camera.gaps {
                let at =
                    gap.start.clone().unwrap_or_else(|| format!("boot {} + {:.3} s", gap.boot, gap.media));
                let length = gap.seconds.map_or_else(|| "?".to_owned(), |seconds| format!("{seconds:.3}"));
                writeln!(f, "  missing  {at}  {length} s  {}", gap.cause)?;
            }
        }
        for note in &self.notes {
            writeln!(f, "note     {}: {}", note.file, note.detail)?;
        }
        for problem in &self.problems {
            let word = if problem.kind.is_tampering() { "TAMPERED" } else { "PROBLEM " };
            writeln!(f, "{word} {}: {}", problem.file, problem.detail)?;
        }
        writeln!(f, "{} recordings, {} problems", self.recordings, self.problems.len())
    }
}

//! Whether the recordings in some folders are whole, unaltered, and all: by their seals, and by the ledgers of their cameras
//! (docs/design/ledger.md).
//!
//! ```text
//! folders --walk--> NAME.mp4 --seal, footage--+--> slices --signature, key, name--> by camera --stitch--> gaps with causes
//!             |     NAME.ledger --------------+                                                           absent, forked
//!             +---> locks, parts: I1, I4
//! ```
//!
//! It reads every byte of footage, changes nothing, and believes nothing that it reads.

mod keys;
mod report;
mod walk;

pub use keys::load as load_keys;
pub use report::{Camera, Gap, Kind, Problem, Report, Trust};

use crate::inbox::whole::Opened;
use media::ledger::slice::{Forged, MOST_BYTES};
use media::ledger::{Dates, Finding, Form, Missing, Slice, Tail, stitch};
use media::mp4::demux::{Examined, examine, ledger};
use media::mp4::{Movie, ReadError};
use media::names::{CameraId, RecordingName};
use std::collections::BTreeMap;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use walk::{Files, open, shown};

/// A name shows the second, and a clock drifts: 3 s in microseconds.
const SET_LATER: i64 = 3_000_000;

/// Checks all recordings, parts, locks and ledgers in `dirs` and the folders in them. Without `keys` the first key that a camera
/// signs with is trusted.
///
/// # Errors
/// A folder cannot be listed. A file that cannot be read is a problem, and no error.
pub fn check(dirs: &[PathBuf], keys: Option<&[[u8; 32]]>) -> io::Result<Report> {
    let files = Files::list(dirs)?;
    let mut report = Report::default();
    files.judge(&mut report);
    let mut ledgers = Ledgers { keys, cameras: BTreeMap::new() };
    for path in &files.recordings {
        ledgers.recording(path, &mut report);
    }
    for path in &files.ledgers {
        ledgers.alone(path, &mut report);
    }
    ledgers.account(&mut report);
    Ok(report)
}

/// What was read of the ledgers.
struct Ledgers<'a> {
    /// The expected ones, if any are.
    keys: Option<&'a [[u8; 32]]>,
    cameras: BTreeMap<CameraId, Known>,
}

/// One camera's slices that have passed, and the files that carry them.
struct Known {
    key: [u8; 32],
    name: Option<String>,
    slices: Vec<Slice>,
    files: Vec<String>,
}

impl Ledgers<'_> {
    /// Looks at `NAME.mp4`.
    fn recording(&mut self, path: &Path, report: &mut Report) {
        let file = shown(path);
        let name: Option<RecordingName> =
            path.file_stem().and_then(|name| name.to_str()).and_then(|name| name.parse().ok());
        let opened = open(path);
        let source = match opened.as_ref().map(Opened::new) {
            Ok(Ok(source)) => source,
            Ok(Err(error)) => return report.problem(Kind::Unreadable, &file, error),
            // It was taken in, or swept, since the folder was listed.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return,
            Err(error) => return report.problem(Kind::Unreadable, &file, error),
        };
        report.recordings += 1;
        let (examined, carried) = match examine(&source) {
            Ok(mut examined) => {
                let carried = std::mem::take(&mut examined.ledger);
                (Some(examined), carried)
            }
            Err(ReadError::Io { source, .. }) => return report.problem(Kind::Unreadable, &file, source),
            // What a script sent has no seal, and need not have one.
            Err(_) if name.is_none() && Movie::open(&source).is_ok_and(|movie| movie.seal.is_none()) => {
                return report.note(Kind::Foreign, &file, "no recording of an edge: it has no seal");
            }
            Err(error) => {
                report.problem(Kind::Damaged, &file, error);
                // Its place in the chain may still be known.
                (None, ledger(&source).unwrap_or_default())
            }
        };
        let slices = match Slice::parse_all(&carried) {
            Ok(slices) => slices,
            Err(error) => return report.problem(Kind::Signature, &file, error),
        };
        if let (Some(_), false) = (&examined, slices.iter().any(is_own)) {
            match name {
                Some(_) => {
                    report.problem(Kind::Unsigned, &file, "its seal carries no ledger slice of its own")
                }
                None => {
                    report.note(Kind::Foreign, &file, "no edge has signed it: it may have been sealed here")
                }
            }
        }
        for slice in slices {
            let camera = examined.as_ref().filter(|_| is_own(&slice)).and_then(|examined| {
                if let Err(forged) = of_file(&slice, name, examined) {
                    report.problem(Kind::from(&forged), &file, &forged);
                }
                examined.camera.as_deref()
            });
            self.slice(slice, camera, &file, report);
        }
    }

    /// Looks at `NAME.ledger`.
    fn alone(&mut self, path: &Path, report: &mut Report) {
        let file = shown(path);
        let mut bytes = Vec::new();
        let read = open(path).and_then(|opened| opened.take(MOST_BYTES as u64 + 1).read_to_end(&mut bytes));
        if let Err(error) = read {
            return report.problem(Kind::Unreadable, &file, error);
        }
        // On the edge itself there is the end of the chain too, where slices wait.
        let slices = match Tail::parse(&bytes) {
            Ok(tail) => Ok(tail.waiting().to_vec()),
            Err(_) => Slice::parse_all(&bytes),
        };
        match slices {
            Ok(slices) => slices.into_iter().for_each(|slice| self.slice(slice, None, &file, report)),
            Err(error) => report.problem(Kind::Signature, &file, error),
        }
    }

    /// Takes a slice up if it is what was signed, with the key of its camera. `name` is that of the camera, where a file tells it.
    fn slice(&mut self, slice: Slice, name: Option<&str>, file: &str, report: &mut Report) {
        let expected = self.keys.is_none_or(|keys| keys.contains(&slice.key));
        let known = self.cameras.get(&slice.camera).is_none_or(|known| known.key == slice.key);
        let fits = name.is_none_or(|name| slice.is_of(name));
        let verdict = if expected && known && fits { slice.verify() } else { Err(Forged::Key) };
        if let Err(forged) = verdict {
            return report.problem(Kind::from(&forged), file, &forged);
        }
        let known = self.cameras.entry(slice.camera).or_insert_with(|| Known {
            key: slice.key,
            name: None,
            slices: Vec::new(),
            files: Vec::new(),
        });
        known.name = known.name.take().or_else(|| name.map(str::to_owned));
        known.slices.push(slice);
        known.files.push(file.to_owned());
    }

    /// Puts the slices of each camera together.
    fn account(self, report: &mut Report) {
        let trust = if self.keys.is_some() { Trust::Expected } else { Trust::FirstUse };
        for (id, known) in self.cameras {
            let stitched = stitch(&known.slices);
            let mut camera = Camera {
                camera: id.to_string(),
                name: known.name,
                key: report::key_text(&known.key),
                trust,
                footage_seconds: stitched.footage.as_secs_f64(),
                gaps: Vec::new(),
            };
            for (slice, file) in known.slices.iter().zip(&known.files) {
                note_date(slice, &stitched.dates, file, report);
            }
            for finding in &stitched.findings {
                tell(finding, &known.files, &mut camera, report);
            }
            report.cameras.push(camera);
        }
    }
}

/// Adds what was found in one ledger to the report.
fn tell(finding: &Finding, files: &[String], camera: &mut Camera, report: &mut Report) {
    let file = |index: usize| files.get(index).map_or("", String::as_str);
    let mut gap = |cause, missing: &Missing, index| camera.gaps.push(Gap::new(cause, missing, file(index)));
    match finding {
        Finding::Missing { slice, missing } => match missing.cause {
            Some(cause) => gap(cause.name(), missing, *slice),
            None => {
                gap("unexplained", missing, *slice);
                report.problem(
                    Kind::Unexplained,
                    file(*slice),
                    "footage is missing in front of it, and nothing says why",
                );
            }
        },
        Finding::Absent { after, before, entries, missing } => {
            missing.iter().for_each(|missing| gap("absent", missing, *before));
            let detail = format!("{entries} ledger entries between it and {} are not here", file(*after));
            report.problem(Kind::Absent, file(*before), detail);
        }
        Finding::BegunAnew { after, before, missing } => {
            missing.iter().for_each(|missing| gap("absent", missing, *before));
            let detail = format!("begins another ledger than that of {}", file(*after));
            report.problem(Kind::BegunAnew, file(*before), detail);
        }
        Finding::Forked { one, other } => {
            let detail = format!("continues the ledger otherwise than {}", file(*one));
            report.problem(Kind::Forked, file(*other), detail);
        }
    }
}

/// A name never changes; where it has no date, or that of a clock that was put right later, the ledger knows better.
fn note_date(slice: &Slice, dates: &Dates, file: &str, report: &mut Report) {
    let name = Path::new(file).file_stem().and_then(|name| name.to_str()?.parse::<RecordingName>().ok());
    let (Some(name), Some(start), true) = (name, slice.start(dates), is_own(slice)) else { return };
    if name.start.is_none_or(|named| (named.0 - start.0).abs() > SET_LATER) {
        report.note(Kind::Dated, file, format!("began at {}", start.rfc3339()));
    }
}

/// Whether a slice is about the footage of the recording that carries it.
fn is_own(slice: &Slice) -> bool {
    slice.recording.is_some() && slice.form != Form::Dropped
}

/// Whether a slice is that of the file: of its name, and of its footage.
fn of_file(slice: &Slice, name: Option<RecordingName>, examined: &Examined) -> Result<(), Forged> {
    let named = name.is_none_or(|name| (name.camera, Some(name.sequence)) == (slice.camera, slice.recording));
    if named { slice.verify_footage(&examined.gops) } else { Err(Forged::Name) }
}

#[cfg(test)]
pub(crate) mod tests;

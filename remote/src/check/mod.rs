//! Whether the recordings in some folders are whole, unaltered, and all: by their seals, and by the ledgers of their cameras
//! (docs/design/ledger.md).
//!
//! ```text
//! folders --walk--> NAME.mp4 --seal, footage--+--> slices --signature, key, name--> by camera --stitch--> gaps with causes
//!             |     NAME.ledger --------------+                                                           absent, forked
//!             |     hls/NAME/ ---> playlists, and the segments that they name
//!             +---> locks, parts: I1, I4, and whose edge is sending
//! ```
//!
//! It reads every byte of footage in recordings, changes nothing, and believes nothing that it reads.

mod hls;
mod keys;
mod report;
mod walk;

pub use keys::Keys;
pub use report::{Camera, Gap, Kind, Problem, Report, Trust};

use crate::inbox::whole::Opened;
use media::ledger::slice::{Forged, MOST_BYTES};
use media::ledger::{Dates, Finding, Missing, Slice, Tail, stitch};
use media::mp4::demux::{Examined, examine, ledger};
use media::mp4::{Movie, ReadError};
use media::names::{CameraId, RecordingName};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use walk::{Files, HLS, open, shown};

/// A name shows the second, and a clock drifts: 3 s in microseconds.
const SET_LATER: i64 = 3_000_000;

/// Checks all recordings, parts, locks and ledgers in `dirs` and the folders in them.
///
/// # Errors
/// A folder cannot be listed. A file that cannot be read is a problem, and no error.
pub fn check(dirs: &[PathBuf], keys: &Keys) -> io::Result<Report> {
    let files = Files::list(dirs)?;
    let mut report = Report::default();
    files.judge(&mut report);
    let mut ledgers = Ledgers { sending: files.sending(), ..Ledgers::default() };
    for path in &files.recordings {
        ledgers.recording(path, &mut report);
    }
    for path in &files.hls {
        ledgers.hls(path, &mut report);
    }
    for path in &files.ledgers {
        ledgers.alone(path, &mut report);
    }
    for path in files.digests.iter().filter(|path| !path.with_extension("ledger").exists()) {
        ledgers.of_hls_alone(path, "its digest", &mut report);
    }
    for path in &files.aside {
        ledgers.aside(path, &mut report);
    }
    ledgers.account(keys, &mut report);
    Ok(report)
}

/// What was read of the ledgers.
#[derive(Default)]
struct Ledgers {
    carried: Vec<Carried>,
    /// HLS that was looked at.
    hls: BTreeMap<PathBuf, hls::Found>,
    /// Cameras whose edge is sending just now.
    sending: BTreeSet<CameraId>,
    /// Cameras of which the end of the ledger is here: this is their edge's own folder.
    ends: BTreeSet<CameraId>,
}

/// A slice, and the file that carries it.
struct Carried {
    slice: Slice,
    /// The camera's name, where the file tells it.
    camera: Option<String>,
    file: String,
}

/// One camera's slices that have passed, and the files that carry them.
struct Known {
    key: [u8; 32],
    name: Option<String>,
    slices: Vec<Slice>,
    files: Vec<String>,
}

impl Ledgers {
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
        if let (Some(_), false) = (&examined, slices.iter().any(Slice::is_own)) {
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
            let camera = examined.as_ref().filter(|_| slice.is_own()).and_then(|examined| {
                if let Err(forged) = of_file(&slice, name, examined) {
                    report.problem(Kind::from(&forged), &file, &forged);
                }
                examined.camera.as_deref()
            });
            self.carry(slice, camera, &file);
        }
    }

    /// Looks at `NAME.ledger`.
    fn alone(&mut self, path: &Path, report: &mut Report) {
        let file = shown(path);
        let mut bytes = Vec::new();
        let read = open(path).and_then(|opened| opened.take(MOST_BYTES as u64 + 1).read_to_end(&mut bytes));
        match read {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => return,
            Err(error) => return report.problem(Kind::Unreadable, &file, error),
        }
        // On the edge itself there is the end of the chain too, where slices wait.
        let slices = match Tail::parse(&bytes) {
            Ok(tail) => {
                self.ends.insert(tail.camera());
                Ok(tail.waiting().to_vec())
            }
            Err(_) => Slice::parse_all(&bytes),
        };
        match slices {
            Ok(slices) => {
                if slices.iter().any(Slice::is_own) {
                    self.of_hls_alone(path, "its ledger", report);
                }
                slices.into_iter().for_each(|slice| self.carry(slice, None, &file));
            }
            Err(error) => report.problem(Kind::Signature, &file, error),
        }
    }

    /// Looks at a recording of an edge that was put aside: why is told beside it, and its place in the chain may still be known.
    fn aside(&mut self, path: &Path, report: &mut Report) {
        let file = shown(path);
        report.problem(Kind::PutAside, &file, "it was put aside; the file .reason beside it says why");
        let carried = open(path).ok().and_then(|opened| ledger(&Opened::new(&opened).ok()?).ok());
        for slice in Slice::parse_all(&carried.unwrap_or_default()).unwrap_or_default() {
            self.carry(slice, None, &file);
        }
    }

    /// Looks at `hls/NAME/`, once.
    fn hls(&mut self, path: &Path, report: &mut Report) -> hls::Found {
        *self.hls.entry(path.to_owned()).or_insert_with(|| hls::look(path, report))
    }

    /// Looks for what there is of a recording of which the MP4 was not kept: `what` is at `path`.
    fn of_hls_alone(&mut self, path: &Path, what: &str, report: &mut Report) {
        if path.with_extension("mp4").exists() {
            return;
        }
        let file = shown(path);
        let name = path.file_stem().unwrap_or_default();
        let hls = path.parent().and_then(Path::parent).map(|dir| dir.join(HLS).join(name));
        match hls.map_or(hls::Found::Nothing, |hls| self.hls(&hls, report)) {
            hls::Found::Here | hls::Found::Leaving => {
                report.note(
                    Kind::HlsAlone,
                    &file,
                    "its MP4 was not kept: its HLS cannot be held against a ledger",
                );
            }
            // A sweep takes what is in the archive before the last of the HLS.
            hls::Found::Nothing if !path.exists() => {}
            hls::Found::Nothing => {
                report.problem(
                    Kind::Absent,
                    &file,
                    format!("{what} is here, but neither its MP4 nor its HLS"),
                );
            }
        }
    }

    fn carry(&mut self, slice: Slice, camera: Option<&str>, file: &str) {
        self.carried.push(Carried { slice, camera: camera.map(str::to_owned), file: file.to_owned() });
    }

    /// Puts the slices of each camera together.
    fn account(self, keys: &Keys, report: &mut Report) {
        let Self { carried, sending, ends, .. } = self;
        for (id, known) in accepted(carried, keys, report) {
            let stitched = stitch(&known.slices);
            let trust = keys.trust(&known.key);
            if let (Keys::Enrolled(enrolled), Trust::FirstUse, Some(file)) =
                (keys, trust, known.files.first())
                && !enrolled.is_empty()
            {
                report.note(Kind::NotEnrolled, file, format!("the key of camera {id} is not enrolled here"));
            }
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
            let place = match (ends.contains(&id), sending.contains(&id)) {
                (true, _) => Place::Edge,
                (false, true) => Place::RemoteSending,
                (false, false) => Place::Remote,
            };
            for finding in &stitched.findings {
                tell(finding, place, &known.files, &mut camera, report);
            }
            report.cameras.push(camera);
        }
    }
}

/// Takes up the slices that are what was signed, with the key of their camera.
fn accepted(carried: Vec<Carried>, keys: &Keys, report: &mut Report) -> BTreeMap<CameraId, Known> {
    let judge = |carried: Carried| {
        let Carried { slice, camera, .. } = &carried;
        let fits = camera.as_deref().is_none_or(|name| slice.is_of(name));
        let verdict = if keys.allow(&slice.key) && fits { slice.verify() } else { Err(Forged::Key) };
        (carried, verdict)
    };
    let judged: Vec<_> = carried.into_iter().map(judge).collect();
    let mut chosen: BTreeMap<CameraId, [u8; 32]> = BTreeMap::new();
    for (Carried { slice, .. }, _) in judged.iter().filter(|(_, verdict)| verdict.is_ok()) {
        let key = chosen.entry(slice.camera).or_insert(slice.key);
        if keys.trust(key) == Trust::FirstUse && keys.trust(&slice.key) != Trust::FirstUse {
            *key = slice.key;
        }
    }
    let mut cameras: BTreeMap<CameraId, Known> = BTreeMap::new();
    for (Carried { slice, camera, file }, verdict) in judged {
        let of_camera = chosen.get(&slice.camera).is_none_or(|key| *key == slice.key);
        if let Err(forged) = verdict.and(of_camera.then_some(()).ok_or(Forged::Key)) {
            report.problem(Kind::from(&forged), &file, &forged);
            continue;
        }
        let empty = || Known { key: slice.key, name: None, slices: Vec::new(), files: Vec::new() };
        let known = cameras.entry(slice.camera).or_insert_with(empty);
        known.name = known.name.take().or(camera);
        known.slices.push(slice);
        known.files.push(file);
    }
    cameras
}

/// Where a camera's recordings are looked at: what it means that some are not there depends on it.
#[derive(Clone, Copy)]
enum Place {
    /// On its edge, where they leave once they have their receipts.
    Edge,
    /// On a remote host, and its edge has nothing under way.
    Remote,
    /// On a remote host that its edge is sending to.
    RemoteSending,
}

/// Adds what was found in one ledger to the report.
fn tell(finding: &Finding, place: Place, files: &[String], camera: &mut Camera, report: &mut Report) {
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
        Finding::Absent { after, before, entries, receipts, missing } => {
            let what = format!("{entries} ledger entries between it and {} are not here", file(*after));
            let (cause, file) = (if *receipts == 0 { "absent" } else { "removed" }, file(*before));
            missing.iter().for_each(|missing| gap(cause, missing, *before));
            match (*receipts, place) {
                (0, Place::RemoteSending) => {
                    report.note(
                        Kind::Arriving,
                        file,
                        format!("{what}; its edge is sending, and has no receipt for them"),
                    );
                }
                (0, _) => report.problem(Kind::Absent, file, format!("{what}; there is no receipt for them")),
                (_, Place::Edge) => {
                    report.note(Kind::Receipted, file, format!("{what}; there are receipts for them"))
                }
                (receipts, _) => report.problem(
                    Kind::Removed,
                    file,
                    format!("{what}; {receipts} recordings of them had a receipt, and were taken away"),
                ),
            }
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
    let (Some(name), Some(start), true) = (name, slice.start(dates), slice.is_own()) else { return };
    if name.start.is_none_or(|named| (named.0 - start.0).abs() > SET_LATER) {
        report.note(Kind::Dated, file, format!("began at {}", start.rfc3339()));
    }
}

/// Whether a slice is that of the file: of its name, and of its footage.
fn of_file(slice: &Slice, name: Option<RecordingName>, examined: &Examined) -> Result<(), Forged> {
    let named = name.is_none_or(|name| (name.camera, Some(name.sequence)) == (slice.camera, slice.recording));
    if named { slice.verify_footage(&examined.gops) } else { Err(Forged::Name) }
}

#[cfg(test)]
pub(crate) mod tests;

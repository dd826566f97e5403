//! The files of folders, by what they are, and what their names tell of the handshake (invariants I1 and I4).

use super::report::{Kind, Report};
use media::names::{CameraId, LOST, LockToken, MOST_TOKEN_BYTES, RecordingName};
use nix::fcntl::{Flock, FlockArg, OFlag};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Folders in folders that are looked into.
const MOST_DEEP: usize = 4;
/// Files that are looked at; with more it is said that there are more.
const MOST_FILES: usize = 1 << 20;
/// Folders of the remote host in which there are no recordings.
const OTHERS: [&str; 2] = ["tmp", "cache"];
/// The folder of HLS: a folder for each recording, whose files are looked at with its playlist.
pub const HLS: &str = "hls";
/// The folder of what the remote host has accepted.
const ARCHIVE: &str = "archive";
/// The folder of what was put aside: only recordings of edges are looked for in it.
const ASIDE: &str = "quarantine";

/// The files of all folders, sorted by name.
#[derive(Debug, Default)]
pub struct Files {
    /// `NAME.mp4`.
    pub recordings: Vec<PathBuf>,
    /// `NAME.ledger`, and on an edge `CAMERA8.ledger`.
    pub ledgers: Vec<PathBuf>,
    /// `hls/NAME/`.
    pub hls: Vec<PathBuf>,
    /// `archive/NAME.sha256`: of these recordings the HLS alone is kept.
    pub digests: Vec<PathBuf>,
    /// Recordings of edges that were put aside.
    pub aside: Vec<PathBuf>,
    locks: BTreeSet<PathBuf>,
    parts: BTreeSet<PathBuf>,
    others: Vec<PathBuf>,
}

impl Files {
    /// Lists folders, and the folders in them. Links are not followed.
    ///
    /// # Errors
    /// A folder cannot be listed, or holds more files than can be looked at.
    pub fn list(dirs: &[PathBuf]) -> io::Result<Self> {
        let mut files = Self::default();
        let mut count = 0;
        let mut left: Vec<(PathBuf, usize)> = dirs.iter().map(|dir| (dir.clone(), 0)).collect();
        while let Some((dir, depth)) = left.pop() {
            let named =
                |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", dir.display()));
            for entry in std::fs::read_dir(&dir).map_err(named)? {
                let entry = entry.map_err(named)?;
                let path = entry.path();
                count += 1;
                if count > MOST_FILES {
                    return Err(io::Error::other(format!("more than {MOST_FILES} files")));
                }
                let is_dir = entry.file_type().map_err(named)?.is_dir();
                if dir.ends_with(HLS) {
                    files.hls.extend(Some(path).filter(|_| is_dir));
                } else if !is_dir {
                    match path.iter().any(|folder| folder == ASIDE) {
                        true => files.aside.extend(Some(path).filter(|path| is_of_edge(path))),
                        false => files.add(path),
                    }
                } else if depth < MOST_DEEP && !OTHERS.iter().any(|other| path.ends_with(other)) {
                    left.push((path, depth + 1));
                }
            }
        }
        files.recordings.sort_by(|one, other| one.file_name().cmp(&other.file_name()));
        files.ledgers.sort();
        files.hls.sort();
        files.digests.sort();
        files.aside.sort();
        files.others.sort();
        Ok(files)
    }

    fn add(&mut self, path: PathBuf) {
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("mp4") => self.recordings.push(path),
            Some("ledger") => self.ledgers.push(path),
            Some("sha256") if path.parent().is_some_and(|dir| dir.ends_with(ARCHIVE)) => {
                self.digests.push(path)
            }
            Some("lockfile") => drop(self.locks.insert(path)),
            Some("part") => drop(self.parts.insert(path)),
            _ => self.others.push(path),
        }
    }

    /// The cameras of which an upload is under way.
    pub fn sending(&self) -> BTreeSet<CameraId> {
        let locked = self.parts.iter().filter(|part| self.locks.contains(&part.with_extension("lockfile")));
        locked.filter_map(|part| Some(name_of(part)?.camera)).collect()
    }

    /// What the names tell: uploads on their way, locks that nobody holds, what should be gone.
    pub fn judge(&self, report: &mut Report) {
        for part in &self.parts {
            if self.locks.contains(&part.with_extension("lockfile")) {
                report.note(Kind::Arriving, &shown(part), "an upload that is not over, or was broken off");
            } else if is_lost(part) {
                report.note(
                    Kind::EdgeLost,
                    &shown(part),
                    "its edge has lost the end of it; a worker saves what is whole",
                );
            } else {
                report.problem(Kind::PartWithoutLock, &shown(part), "a part without the lock of its upload");
            }
        }
        let recordings: BTreeSet<&PathBuf> = self.recordings.iter().collect();
        for lock in &self.locks {
            judge_lock(lock, recordings.contains(&lock.with_extension("mp4")), report);
        }
        for other in self.others.iter().filter(|path| is_leftover(path)) {
            report.problem(Kind::Superfluous, &shown(other), "a leftover of a recording");
        }
        let mut names: BTreeMap<_, Vec<&PathBuf>> = BTreeMap::new();
        for recording in &self.recordings {
            names.entry(recording.file_name()).or_default().push(recording);
        }
        for double in names.values().filter(|paths| paths.len() > 1).flat_map(|paths| paths.iter().skip(1)) {
            report.note(Kind::Double, &shown(double), "stands in another folder too");
        }
    }
}

/// A lock beside a recording means that it is being worked on; one that stands alone, that an upload has just begun.
fn judge_lock(path: &Path, beside_recording: bool, report: &mut Report) {
    let file = shown(path);
    let content = open(path).and_then(|opened| {
        let mut content = Vec::new();
        (&opened).take(MOST_TOKEN_BYTES as u64 + 1).read_to_end(&mut content)?;
        Ok((opened, content))
    });
    let (opened, content) = match content {
        Ok(read) => read,
        Err(error) => return report.problem(Kind::Unreadable, &file, error),
    };
    match (LockToken::parse(&content), beside_recording) {
        (Ok(LockToken::Upload { .. }), true) => {
            report.problem(
                Kind::Locked,
                &file,
                "the lock of an upload beside a recording that is visible (I1)",
            );
        }
        (Ok(LockToken::Upload { .. }), false) => report.note(Kind::Arriving, &file, "an upload has begun"),
        // Our workers hold a lock on their lock as long as they live.
        (Ok(LockToken::Chop { .. }), _) if Flock::lock(opened, FlockArg::LockSharedNonblock).is_ok() => {
            report.problem(Kind::StaleLock, &file, "the lock of a worker that is dead");
        }
        _ => report.note(Kind::InWork, &file, "somebody works on it"),
    }
}

/// What an edge keeps of a recording, and the remote host of a claim that has failed, and of an MP4 that is not to be kept.
const KEPT: [&str; 3] = ["mp4.journal", "tries", "sha256"];

/// The name of an edge's recording, part or ledger.
fn name_of(path: &Path) -> Option<RecordingName> {
    path.file_stem()?.to_str()?.parse().ok()
}

/// Whether it is a part that its edge set aside: it holds GOPs that a power cut took from the edge.
fn is_lost(part: &Path) -> bool {
    let stem = part.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
    stem.strip_suffix(LOST).is_some_and(|name| name.parse::<RecordingName>().is_ok())
}

/// Whether it is called like an edge's recording.
fn is_of_edge(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "mp4") && name_of(path).is_some()
}

/// Whether a file was made for a recording, and serves nothing any more.
fn is_leftover(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    name.split_once('.')
        .is_some_and(|(name, rest)| name.parse::<RecordingName>().is_ok() && !KEPT.contains(&rest))
}

/// Opens an ordinary file; never waits for the other end of a FIFO, never follows a link.
pub fn open(path: &Path) -> io::Result<File> {
    let flags = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK;
    let file = OpenOptions::new().read(true).custom_flags(flags.bits()).open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not an ordinary file"));
    }
    Ok(file)
}

/// A path for people and for JSON.
pub fn shown(path: &Path) -> String {
    path.display().to_string()
}

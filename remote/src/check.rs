//! Whether the recordings in a folder are whole, by their own word: the seal at the end of each says what it must be.

use media::mp4::demux::verify;
use media::mp4::{ReadAt, ReadError, Seal};
use std::fmt;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// What is to be said of one file.
#[derive(Debug)]
pub struct Checked {
    /// File name without the folder.
    pub file: String,
    /// Its seal, if the file is what the seal promises.
    pub verdict: Result<Seal, Problem>,
}

/// What is wrong with a file in an inbox.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// Not a whole recording.
    #[error("{0}")]
    Damaged(#[from] ReadError),
    /// It could not be opened.
    #[error("{0}")]
    Unreadable(#[from] io::Error),
    /// The transfer is not over, or was broken off.
    #[error("the upload has not been finished")]
    Unfinished,
    /// A lock stands beside it: somebody works on it.
    #[error("locked")]
    Locked,
}

impl fmt::Display for Checked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.verdict {
            Ok(seal) => {
                let Seal { first_sequence, last_sequence, size, .. } = seal;
                write!(f, "good  {}  GOP {first_sequence} to {last_sequence}, {size} bytes", self.file)
            }
            Err(problem) => write!(f, "BAD   {}  {problem}", self.file),
        }
    }
}

/// Checks every recording, part and lock in `dir`, by name. Other files are not looked at.
pub fn check(dir: &Path) -> io::Result<Vec<Checked>> {
    let mut files: Vec<PathBuf> = Vec::new();
    for entry in std::fs::read_dir(dir)? {
        files.push(entry?.path());
    }
    files.sort();
    Ok(files.iter().filter_map(|path| check_file(path)).collect())
}

fn check_file(path: &Path) -> Option<Checked> {
    let file = path.file_name()?.to_string_lossy().into_owned();
    let verdict = match path.extension()?.to_str()? {
        "mp4" if path.with_extension("lockfile").exists() => Err(Problem::Locked),
        "mp4" => check_recording(path),
        "part" => Err(Problem::Unfinished),
        "lockfile" if path.with_extension("mp4").exists() => return None,
        "lockfile" => Err(Problem::Locked),
        _ => return None,
    };
    Some(Checked { file, verdict })
}

fn check_recording(path: &Path) -> Result<Seal, Problem> {
    let file = File::open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(io::Error::other("not a file").into());
    }
    Ok(verify(&Opened { file, size: metadata.len() })?)
}

struct Opened {
    file: File,
    size: u64,
}

impl ReadAt for Opened {
    fn size(&self) -> u64 {
        self.size
    }

    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        FileExt::read_exact_at(&self.file, buf, offset)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use media::mp4::{About, Growing, Step};
    use media::{AccessUnit, Gop, StreamConfig, Ticks90k, Track, VideoConfig};
    use std::sync::Arc;

    fn recording() -> Vec<u8> {
        let video = VideoConfig {
            width: 320,
            height: 240,
            frame_duration: Ticks90k(3000),
            sps: Bytes::from_static(&[0x67, 0x42, 0xc0, 0x1e, 1]),
            pps: Bytes::from_static(&[0x68, 1]),
        };
        let unit = |n: i64| AccessUnit {
            track: Track::Video,
            pts: Ticks90k(n * 3000),
            key: n == 0,
            data: Bytes::from_static(b"\0\0\0\x01A"),
        };
        let gop = Gop {
            sequence: 7,
            start: Ticks90k::ZERO,
            wall: None,
            discontinuity: true,
            config: Arc::new(StreamConfig { video, audio: None }),
            units: (0..30).map(unit).collect(),
            end: None,
        };
        let about = About::default();
        let (growing, mut steps) = Growing::begin(&gop, &about).expect("begins");
        steps.extend(growing.seal(&about));
        let mut file = Vec::new();
        for step in steps {
            if let Step::Write { offset, bytes } = step {
                let end = offset as usize + bytes.len();
                file.resize(end.max(file.len()), 0);
                file[offset as usize..end].copy_from_slice(&bytes);
            }
        }
        file
    }

    #[test]
    fn a_whole_recording_is_good_and_one_flipped_bit_is_named() {
        let dir = tempfile::tempdir().expect("dir");
        let whole = recording();
        std::fs::write(dir.path().join("a.mp4"), &whole).expect("writes");
        let mut flipped = whole.clone();
        let place = whole.windows(5).rposition(|w| w == b"\0\0\0\x01A").expect("is there") + 4;
        flipped[place] ^= 1;
        std::fs::write(dir.path().join("b.mp4"), flipped).expect("writes");
        std::fs::write(dir.path().join("c.mp4"), &whole[..whole.len() - 1]).expect("writes");
        std::fs::write(dir.path().join("d.part"), &whole).expect("writes");
        std::fs::write(dir.path().join("notes.txt"), b"other").expect("writes");
        let checked = check(dir.path()).expect("reads");
        let good: Vec<_> = checked.iter().map(|c| (c.file.as_str(), c.verdict.is_ok())).collect();
        assert_eq!(good, [("a.mp4", true), ("b.mp4", false), ("c.mp4", false), ("d.part", false)]);
        assert!(checked[1].to_string().contains("the seal promises other access units"), "{}", checked[1]);
    }
}

//! Recordings, whole and half, without a camera.

use std::fs::{self, File};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use media::mp4::{About, Growing, Step};
use media::{AccessUnit, Gop, Ticks90k, Track};
use tests::footage::silent_stream;

/// GOPs of each recording.
const GOPS: u64 = 3;

/// One second of recording `n`, at second `sequence` of media time.
fn gop(n: u64, sequence: u64) -> Gop {
    let start = Ticks90k(sequence as i64 * 90_000);
    let unit = |picture: i64| AccessUnit {
        track: Track::Video,
        pts: start + Ticks90k(picture * 3000),
        key: picture == 0,
        data: Bytes::from(
            [&[0, 0, 0, 9, if picture == 0 { 0x65 } else { 0x41 }][..], &n.to_be_bytes()].concat(),
        ),
    };
    Gop {
        sequence,
        start,
        wall: None,
        discontinuity: false,
        config: silent_stream(Ticks90k(3000)),
        units: (0..30).map(unit).collect(),
        end: None,
    }
}

/// The writes of recording `n` with the GOPs of these seconds, up to its seal.
pub fn grow(n: u64, seconds: RangeInclusive<u64>) -> (Growing, Vec<Step>) {
    let mut gops = seconds.map(|second| gop(n, second));
    let (mut growing, mut steps) = Growing::begin(&gops.next().unwrap(), &about()).unwrap();
    gops.for_each(|gop| steps.extend(growing.append(&gop).unwrap()));
    (growing, steps)
}

/// What its seal says of it.
pub fn about() -> About {
    About { camera: "front".to_owned(), start: None }
}

/// The file that these writes make.
pub fn bytes(steps: &[Step]) -> Vec<u8> {
    let mut file = Vec::new();
    for step in steps {
        if let Step::Write { offset, bytes } = step {
            let place = *offset as usize..*offset as usize + bytes.len();
            file.resize(file.len().max(place.end), 0);
            file[place].copy_from_slice(bytes);
        }
    }
    file
}

/// Recording `n`, sealed. No two have the same bytes.
pub fn sealed(n: u64) -> Vec<u8> {
    let (growing, steps) = grow(n, 1..=GOPS);
    bytes(&[steps, growing.seal(&about())].concat())
}

/// Recording `n` as long as it grows, broken off in the middle of its last GOP.
pub fn half(n: u64) -> Vec<u8> {
    let grown = bytes(&grow(n, 1..=GOPS).1);
    grown[..grown.len() - 100].to_vec()
}

/// Puts a file into `inbox` as an edge does: whole before it has its name.
pub fn put(inbox: &Path, name: &str, bytes: &[u8]) -> PathBuf {
    let part = inbox.join(format!("{name}.part"));
    let recording = inbox.join(format!("{name}.mp4"));
    fs::write(&part, bytes).unwrap();
    fs::rename(part, &recording).unwrap();
    recording
}

/// The recording of an archive, if it is what its seal promises.
pub fn verified(path: &Path) -> media::mp4::Seal {
    assert!(File::open(path).unwrap().metadata().unwrap().is_file());
    media::mp4::demux::verify(&fs::read(path).unwrap()).unwrap()
}

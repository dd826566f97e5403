//! MP4: any file, what should be a recording, and recordings that are written, cut and read back.

use crate::Target;
use crate::memory::Bound;
use crate::sample::{Numbers, gops, numbers, units};
use crate::sparse::{Sparse, apply, fold};
use media::mp4::demux::{Examined, examine, ledger, structure};
use media::mp4::{About, Growing, Movie, ReadAt, Recovered, recover};
use media::{Gop, Track};

/// A table of two million samples takes a few bytes if all are of one size: 32 bytes each in memory, and twice that while it grows.
const SAMPLES: usize = 2 << 21 << 6;
/// Most access units that are read of one track.
const MOST_READ: usize = 64;

/// Any bytes as a file: `Movie::open` and what it promises of every sample.
pub const MOVIE: Target = Target {
    name: "mp4_movie",
    run: |input| drop(movie(input)),
    bound: Bound { each: 64, fixed: SAMPLES },
    seeds: || {
        let (file, ..) = written(&gops(&mut Numbers(&numbers())));
        // A fragmented file without the room that a recording reserves.
        vec![[&file[..36], &file[1 << 20..]].concat()]
    },
};

/// A file that should be a recording, whole or torn.
pub const RECORDING: Target = Target {
    name: "mp4_recording",
    run: recording,
    bound: Bound { each: 64, fixed: SAMPLES + (16 << 20) },
    seeds: || {
        let gops = gops(&mut Numbers(&numbers()));
        let (growing, recording, _) = written(&gops);
        let mut sealed = growing.clone();
        apply(&mut sealed, &recording.seal(&about()));
        let mut half_sealed = growing.clone();
        apply(&mut half_sealed, &recording.seal(&about())[..3]);
        vec![fold(&growing), fold(&growing[..growing.len() - 7]), fold(&sealed), fold(&half_sealed)]
    },
};

/// Footage that is written, cut anywhere, recovered, sealed and read back.
pub const GROWING: Target = Target {
    name: "mp4_growing",
    run: written_and_cut,
    bound: Bound { each: 64, fixed: 16 << 20 },
    seeds: || vec![numbers(), [&[255, 255, 12, 80], &numbers()[..]].concat()],
};

fn movie(source: &(impl ReadAt + ?Sized)) -> Option<Movie> {
    let movie = Movie::open(source).ok()?;
    assert!(movie.end <= source.size());
    movie.stream_config();
    movie.duration();
    for track in &movie.tracks {
        let mut dts = 0;
        for (index, sample) in track.samples.iter().take(MOST_READ).enumerate() {
            assert!(sample.dts >= dts && sample.dts <= track.end, "sample {index} of {track:?}");
            dts = sample.dts;
            if let Ok(unit) = track.read(source, sample) {
                assert_eq!((unit.track, unit.pts), (track.kind(), track.pts(sample)));
            }
            let found = track.sync_before(track.dts(sample));
            assert!(found.is_none_or(|found| track.samples[found].sync));
        }
        track.presented_end();
    }
    Some(movie)
}

fn recording(input: &[u8]) {
    let source = Sparse::new(input);
    movie(&source);
    let _ = (structure(&source), ledger(&source));
    if let Ok(Examined { seal, .. }) = examine(&source) {
        assert_eq!(seal.size, source.size());
    }
    if let Ok(Recovered::Torn(torn)) = recover(&source) {
        let mut file = source.to_bytes();
        file.truncate(torn.growing.size() as usize);
        apply(&mut file, &torn.repair);
        seal(file, &torn.growing, &torn.about);
    }
}

/// Seals what was recovered: the file is then what its seal says, and nothing is left to recover.
fn seal(mut file: Vec<u8>, growing: &Growing, about: &About) -> Vec<u8> {
    apply(&mut file, &growing.seal(about));
    let examined = examine(&file).unwrap_or_else(|error| panic!("sealed and not whole: {error}"));
    assert_eq!(examined.seal, growing.seal_box());
    assert!(matches!(recover(&file), Ok(Recovered::Sealed(seal)) if seal == examined.seal));
    file
}

fn about() -> About {
    About { camera: "door".to_owned(), start: None }
}

/// The growing file of some GOPs, and where each of them ends.
fn written(gops: &[Gop]) -> (Vec<u8>, Growing, Vec<usize>) {
    let mut file = Vec::new();
    let (mut growing, steps) = Growing::begin(&gops[0], &about()).expect("a GOP that a camera can deliver");
    apply(&mut file, &steps);
    let mut ends = vec![file.len()];
    for gop in &gops[1..] {
        apply(&mut file, &growing.append(gop).expect("a GOP that follows"));
        ends.push(file.len());
    }
    (file, growing, ends)
}

fn written_and_cut(input: &[u8]) {
    let mut numbers = Numbers(input);
    let cut = usize::from(numbers.word());
    let gops = gops(&mut numbers);
    if gops.is_empty() {
        return;
    }
    let (mut file, _, ends) = written(&gops);
    file.truncate(file.len() - cut % (file.len() - (1 << 20)));
    let whole = ends.iter().filter(|end| **end <= file.len()).count();
    match recover(&file).expect("a recording") {
        Recovered::Empty => assert_eq!(whole, 0),
        Recovered::Sealed(seal) => panic!("never sealed: {seal:?}"),
        Recovered::Torn(torn) => {
            file.truncate(torn.growing.size() as usize);
            assert_eq!(file.len(), ends[whole - 1]);
            let file = seal(file, &torn.growing, &torn.about);
            assert_holds(&file, &gops[..whole]);
        }
    }
}

/// The file holds the access units of these GOPs, and no others.
fn assert_holds(file: &Vec<u8>, gops: &[Gop]) {
    let movie = Movie::open(file).expect("a movie");
    for track in [Track::Video, Track::Audio] {
        let expected = units(gops, track);
        let samples = movie.track(track).map_or(&[][..], |track| &track.samples);
        assert_eq!(samples.len(), expected.len(), "{track:?}");
        let Some(track) = movie.track(track) else { continue };
        for (sample, expected) in samples.iter().zip(expected) {
            let unit = track.read(file, sample).expect("an access unit");
            let rounding = (unit.pts + gops[0].start - expected.pts).0.abs();
            assert!(rounding <= i64::from(unit.track == Track::Audio), "off by {rounding} ticks");
            assert_eq!(unit.key, expected.key);
            assert_eq!(unit.data, expected.data);
        }
    }
}

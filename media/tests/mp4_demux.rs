//! The demuxer reads what others wrote as FFmpeg reads it, and hostile files neither crash it nor make it take memory.

#![allow(clippy::unwrap_used)]

mod common;

use common::{TempDir, apply, data_of, gops, packets, run, sha256};
use media::mp4::demux::{MovieTrack, structure, verify};
use media::mp4::{About, Growing, Movie, Tracks, init_segment};
use media::{Gop, Ticks90k, Track};
use std::path::Path;

fn sealed(gops: &[Gop]) -> (Vec<u8>, Vec<u8>) {
    let mut file = Vec::new();
    let about = About { camera: "door".to_owned(), start: None };
    let (mut growing, steps) = Growing::begin(&gops[0], &about).unwrap();
    apply(&mut file, &steps);
    for gop in &gops[1..] {
        apply(&mut file, &growing.append(gop).unwrap());
    }
    let before = file.clone();
    apply(&mut file, &growing.seal(&about));
    (before, file)
}

/// What FFmpeg writes with these options: B frames, sound, edit lists.
fn foreign(path: &Path, options: &[&str]) -> Vec<u8> {
    let mut args = vec!["-v", "error", "-f", "lavfi", "-i", "testsrc2=size=160x120:rate=25:duration=3"];
    args.extend(["-f", "lavfi", "-i", "sine=sample_rate=44100:duration=3", "-c:v", "libx264", "-g", "25"]);
    args.extend(["-bf", "2", "-pix_fmt", "yuv420p", "-c:a", "aac"]);
    run("ffmpeg", &[&args[..], options, &[path.to_str().unwrap()]].concat());
    std::fs::read(path).unwrap()
}

#[test]
fn files_of_other_muxers_are_read_as_ffmpeg_reads_them() {
    let dir = TempDir::new();
    let variants: [&[&str]; 4] = [
        &["-movflags", "+faststart", "-metadata", "title=Other"],
        &["-movflags", "+frag_keyframe+empty_moov+default_base_moof"],
        &["-movflags", "+frag_keyframe+delay_moov", "-use_editlist", "1"],
        &["-f", "mov"],
    ];
    for (number, options) in variants.iter().enumerate() {
        let path = dir.path(&format!("{number}.mp4"));
        let file = foreign(&path, options);
        let movie = Movie::open(&file).unwrap();
        assert!(movie.torn.is_none(), "{options:?}: {:?}", movie.torn);
        for kind in [Track::Video, Track::Audio] {
            let track = movie.track(kind).unwrap_or_else(|| panic!("{options:?}: {:?}", movie.skipped));
            let expected: Vec<_> = packets(&path, kind)
                .into_iter()
                .map(|packet| (Ticks90k::from_scale(packet.pts, track.timescale), packet.key, packet.hash))
                .collect();
            assert_eq!(read_all(&file, track), expected, "{kind:?} {options:?}");
        }
    }
}

fn read_all(file: &[u8], track: &MovieTrack) -> Vec<(Ticks90k, bool, String)> {
    let read = |sample| {
        let unit = track.read(file, sample).unwrap();
        (unit.pts, unit.key, sha256(&unit.data))
    };
    track.samples.iter().map(read).collect()
}

#[test]
fn recordings_come_back_as_they_went_in() {
    let gops = gops(3, Some(Ticks90k(960)));
    let (growing, sealed) = sealed(&gops);
    for file in [&growing, &sealed] {
        let movie = Movie::open(file).unwrap();
        assert_eq!(movie.stream_config().as_ref(), Some(&*gops[0].config));
        assert_eq!(movie.title.as_deref(), Some("door"));
        assert_eq!(movie.anchor.unwrap().origin, gops[0].start);
        assert_eq!(movie.duration(), Ticks90k(3 * 90_000));
        assert_eq!((movie.end, movie.fragmented), (file.len() as u64, movie.seal.is_none()));
        for kind in [Track::Video, Track::Audio] {
            let track = movie.track(kind).unwrap();
            let read: Vec<_> = track.samples.iter().map(|sample| track.read(file, sample).unwrap()).collect();
            let times: Vec<_> = read.iter().map(|unit| unit.pts + gops[0].start).collect();
            assert_eq!(
                times,
                gops.iter().flat_map(|gop| gop.track(kind)).map(|unit| unit.pts).collect::<Vec<_>>()
            );
            assert_eq!(read.into_iter().map(|unit| unit.data).collect::<Vec<_>>(), data_of(&gops, kind));
        }
        let video = movie.track(Track::Video).unwrap();
        let entered = |at: i64| video.sync_before(Ticks90k(at));
        assert_eq!(
            [entered(-1), entered(0), entered(89_999), entered(90_000), entered(900_000)],
            [Some(0), Some(0), Some(0), Some(30), Some(60)]
        );
    }
}

#[test]
fn a_seal_holds_for_its_file_alone() {
    let (growing, mut file) = sealed(&gops(1, Some(Ticks90k(0))));
    let verified = |file: &[u8]| verify(file).map(|seal| seal.size).map_err(|error| error.to_string());
    let (size, seal_at) = (file.len() as u64, growing.len());
    assert_eq!(verified(&file), Ok(size));
    assert_eq!(verified(&growing), Err(format!("uuid at {seal_at}: the recording is not sealed")));

    file.extend(b"\0\0\0\x08free");
    assert_eq!(verified(&file), Err(format!("uuid at {}: the seal promises another size", seal_at + 8)));
    file.truncate(size as usize);
    file[seal_at - 1] ^= 1;
    assert_eq!(verified(&file), Err(format!("uuid at {seal_at}: the seal promises other access units")));
}

/// Offset of the nth box of a type, and the type's.
fn find(file: &[u8], name: &[u8; 4], nth: usize) -> usize {
    file.windows(4).enumerate().filter(|(_, window)| window == name).nth(nth).unwrap().0 - 4
}

#[test]
fn an_error_names_the_box_and_where_it_stands() {
    let (growing, _) = sealed(&gops(2, Some(Ticks90k(0))));
    let start = 1 << 20;
    let init = init_segment(&gops(1, None)[0].config, Tracks::Video).to_vec();
    let opened = |file: &[u8]| match Movie::open(file) {
        Ok(movie) => movie.torn.map_or("whole".to_owned(), |torn| format!("torn: {torn}")),
        Err(error) => error.to_string(),
    };
    let damaged = |file: &[u8], at: usize, bytes: &[u8]| {
        let mut file = file.to_vec();
        file[at..at + bytes.len()].copy_from_slice(bytes);
        opened(&file)
    };
    let in_init = |name, at: usize, bytes: &[u8]| damaged(&init, find(&init, name, 0) + at, bytes);
    let moof = find(&growing[start..], b"moof", 1) + start;
    let trun = find(&growing[start..], b"trun", 2) + start;
    let cases = [
        (opened(&[]), "no moov in 0 bytes".to_owned()),
        (opened(&init[..20]), "ftyp at 0: reaches beyond the end of the file".into()),
        (opened(&init[..200]), "moov at 28: reaches beyond the end of the file".into()),
        (in_init(b"mdhd", 28, &[0; 4]), "mdhd at 276: the time scale is 0".into()),
        (in_init(b"trak", 0, &[0xFF; 4]), "trak at 156: reaches beyond the box around it".into()),
        (in_init(b"minf", 4, b"min!"), "mdia at 268: there is no minf in it".into()),
        (in_init(b"stts", 12, &[0xFF; 4]), format!("stts at {}: ends too early", find(&init, b"stts", 0))),
        (
            in_init(b"stsz", 12, &[0, 0, 0, 9, 0xFF, 0xFF, 0xFF, 0xFF]),
            format!("stsz at {}: 4294967295 samples, at most 2097152 are read", find(&init, b"stsz", 0)),
        ),
        (in_init(b"avcC", 8, &[9]), "avcC at 532: cannot be read".into()),
        (
            opened(&growing[..growing.len() - 1]),
            format!("torn: moof at {moof}: its samples reach beyond the end of the file"),
        ),
        (
            damaged(&growing, trun + 12, &[0x7F; 4]),
            format!("trun at {trun}: 2139062143 samples, at most 2097076 are read"),
        ),
        (damaged(&growing, moof, &[0; 4]), format!("torn: moof at {moof}: smaller than its header")),
    ];
    let (found, expected): (Vec<_>, Vec<_>) = cases.into_iter().unzip();
    assert_eq!(found, expected);
}

/// Chunks that all lie at the start of the file, and samples that fill most of it.
#[test]
fn samples_that_share_their_bytes_are_refused_before_any_is_read() {
    let (_, mut file) = sealed(&gops(2, None));
    assert_eq!(structure(&file).unwrap().map(|seal| seal.size), Some(file.len() as u64));
    let (sizes, chunks) = (find(&file, b"stsz", 0), find(&file, b"co64", 0));
    file[sizes + 12..sizes + 16].copy_from_slice(&30_000_u32.to_be_bytes());
    file[chunks + 16..chunks + 32].fill(0);
    let error = structure(&file).unwrap_err().to_string();
    assert_eq!(error, "moov at 0: its samples are larger than the file");
}

/// Numbers that tend to break readers.
const EVIL: [u32; 5] = [0, 1, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFF8];

#[test]
fn hostile_bytes_never_panic() {
    let dir = TempDir::new();
    let (growing, sealed) = sealed(&gops(1, Some(Ticks90k(960))));
    let foreign = foreign(&dir.path("foreign.mp4"), &["-movflags", "+faststart", "-t", "1"]);
    let moof_end = (1 << 20) + 3000;
    for (file, range) in [(&growing, 1 << 20..moof_end), (&sealed, 0..2500), (&foreign, 0..2500)] {
        let mut file = file.clone();
        for at in range {
            let before: [u8; 4] = file[at..at + 4].try_into().unwrap();
            for evil in EVIL {
                file[at..at + 4].copy_from_slice(&evil.to_be_bytes());
                exercise(&file);
            }
            file[at..at + 4].copy_from_slice(&before);
        }
    }
}

/// Reads whatever can be read.
fn exercise(file: &[u8]) {
    let Ok(movie) = Movie::open(file) else { return };
    for track in &movie.tracks {
        let _ = (movie.duration(), movie.stream_config(), track.sync_before(Ticks90k(90_000)));
        for sample in track.samples.iter().take(3).chain(track.samples.last()) {
            let _ = track.read(file, sample);
        }
    }
    let _ = media::mp4::recover(file);
}

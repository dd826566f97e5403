//! Files of every kind, made here and played.

use super::*;
use jpeg_encoder::{ColorType, Encoder};
use std::io::Write;
use std::path::Path;
use tempfile::NamedTempFile;

const SIDE: u16 = 32;

fn file(parts: &[&[u8]]) -> NamedTempFile {
    let mut file = NamedTempFile::new().expect("a file");
    file.write_all(&parts.concat()).expect("written");
    file
}

fn open_with(path: &Path, params: &str, camera: &Camera) -> Result<FileSource, Error> {
    FileSource::open(&format!("{}{params}", path.display()), camera)
}

fn open(path: &Path, params: &str) -> FileSource {
    let camera = Camera { width: SIDE, height: SIDE, ..Camera::default() };
    open_with(path, params, &camera).expect("opens")
}

fn refused(path: &Path, params: &str) -> String {
    match open_with(path, params, &Camera::default()) {
        Err(error) => error.to_string().replace(&path.display().to_string(), "FILE"),
        Ok(_) => panic!("must be refused"),
    }
}

/// Plays `count` slots: what each brought, its first luma sample and its timestamp.
fn play(source: &mut FileSource, count: usize) -> Vec<(Captured, u8, i64)> {
    let mut picture = Picture::new(SIDE.into(), SIDE.into());
    (0..count)
        .map(|_| {
            let captured = source.next(Some(&mut picture), Duration::from_secs(1)).expect("plays");
            (captured, picture.planes().0[0], picture.pts.0)
        })
        .collect()
}

/// A frame of one grey in I420.
fn i420(value: u8) -> Vec<u8> {
    let luma = usize::from(SIDE) * usize::from(SIDE);
    [vec![value; luma], vec![128; luma / 2]].concat()
}

fn y4m(fps: &str, frames: &[u8]) -> NamedTempFile {
    let header = format!("YUV4MPEG2 W{SIDE} H{SIDE} F{fps} Ip C420jpeg\n");
    let frames: Vec<u8> = frames.iter().flat_map(|&value| [&b"FRAME\n"[..], &i420(value)].concat()).collect();
    file(&[header.as_bytes(), &frames])
}

fn jpeg(value: u8) -> Vec<u8> {
    let mut file = Vec::new();
    let samples = vec![value; usize::from(SIDE) * usize::from(SIDE)];
    Encoder::new(&mut file, 90).encode(&samples, SIDE, SIDE, ColorType::Luma).expect("encodes");
    file
}

fn chunk(id: &[u8], data: &[u8]) -> Vec<u8> {
    let pad = &[0][..data.len() % 2];
    [id, &(data.len() as u32).to_le_bytes(), data, pad].concat()
}

fn list(kind: &[u8], chunks: &[Vec<u8>]) -> Vec<u8> {
    chunk(b"LIST", &[kind, &chunks.concat()].concat())
}

/// A sound stream, then a video stream, as cameras write them.
fn avi(codec: &[u8; 4], movi: &[Vec<u8>]) -> NamedTempFile {
    let stream = |kind: &[u8], scale: u32, rate: u32, format: Vec<u8>| {
        let header = [kind, &[0; 16], &scale.to_le_bytes()[..], &rate.to_le_bytes()[..], &[0; 28]].concat();
        list(b"strl", &[chunk(b"strh", &header), chunk(b"strf", &format), chunk(b"JUNK", &[0; 7])])
    };
    let side = u32::from(SIDE).to_le_bytes();
    let bitmap = [&40_u32.to_le_bytes()[..], &side, &side, &[1, 0, 24, 0], codec, &[0; 20]].concat();
    let header = list(
        b"hdrl",
        &[
            chunk(b"avih", &[0; 56]),
            stream(b"auds", 1, 48_000, vec![0; 18]),
            stream(b"vids", 1001, 60_000, bitmap),
        ],
    );
    let body = [list(b"INFO", &[chunk(b"ISFT", b"test")]), list(b"movi", movi), chunk(b"idx1", &[0; 64])];
    file(&[&chunk(b"RIFF", &[&b"AVI "[..], &header, &body.concat()].concat())])
}

#[test]
fn a_file_loops_with_timestamps_that_go_on_at_its_own_rate() {
    let clip = y4m("60000:1001", &[20, 40, 60]);
    let mut source = open(clip.path(), "");
    let start = source.grid.due().0;
    let frames: Vec<(u8, i64)> =
        play(&mut source, 7).into_iter().map(|(_, value, pts)| (value, pts - start)).collect();
    // 90000 * 1001 / 60000 = 1501.5 ticks
    let expected = [(20, 0), (40, 1502), (60, 3003), (20, 4505), (40, 6006), (60, 7508), (20, 9009)];
    assert_eq!(frames, expected);
}

#[test]
fn a_file_that_is_far_behind_leaves_slots_out_and_takes_its_sound_along() {
    let clip = y4m("60:1", &[20, 40, 60]);
    let mut source = open(clip.path(), "");
    let first = play(&mut source, 1)[0].2;
    assert_eq!(source.pass(), Some(Ticks90k(first)));
    let (rate, behind) = (Rate::new(60, 1).expect("a rate"), Ticks90k(9 * 90_000));
    source.grid = Grid::starting_at(rate, source.grid.due() - behind);
    let (_, value, second) = play(&mut source, 1)[0];
    assert_eq!(value, 40, "no frame is left out");
    let moved = source.pass().expect("a pass") - Ticks90k(first);
    assert!(moved > Ticks90k(8 * 90_000), "{moved}");
    assert_eq!(second - first, 1500 + moved.0 - behind.0);
}

#[test]
fn a_tail_that_is_no_whole_frame_is_left_out() {
    let clip = y4m("60:1", &[20, 40]);
    let length = clip.as_file().metadata().expect("metadata").len();
    clip.as_file().set_len(length - 1).expect("cut");
    let values: Vec<u8> =
        play(&mut open(clip.path(), ""), 3).into_iter().map(|(_, value, _)| value).collect();
    assert_eq!(values, [20, 20, 20]);
}

#[test]
fn the_stamp_is_the_wall_clock() {
    let luma = vec![90; 320 * 240];
    let chroma = vec![128; 320 * 120];
    let clip = file(&[b"YUV4MPEG2 W320 H240 F60:1\nFRAME\n", &luma, &chroma]);
    let mut source = open_with(clip.path(), "?stamp=1", &Camera::default()).expect("opens");
    let mut picture = Picture::new(320, 240);
    let before = clock::wall_millis_code();
    source.next(Some(&mut picture), Duration::from_secs(1)).expect("plays");
    let code = stamp::read_code(picture.planes().0, 320).expect("a code");
    assert!(code.wrapping_sub(before) <= clock::wall_millis_code().wrapping_sub(before));
}

#[test]
fn bare_frames_are_played_with_their_parameters() {
    let luma = usize::from(SIDE) * usize::from(SIDE);
    let yuyv = [30_u8, 128].repeat(luma);
    let clip = file(&[&yuyv, &yuyv]);
    let mut source = open(clip.path(), "?format=yuyv&width=32&height=32&fps=60");
    assert_eq!(source.mode().to_string(), format!("{} YUYV 32x32 at 60.00 fps", clip.path().display()));
    let frames = play(&mut source, 3);
    assert!(
        frames.iter().all(|&(captured, value, _)| (captured, value) == (Captured::Frame, 30)),
        "{frames:?}"
    );
}

#[test]
fn bare_jpegs_are_split_at_their_ends() {
    let clip = file(&[&jpeg(0), &jpeg(255)]);
    let mut source = open(clip.path(), "?format=mjpeg&width=32&height=32&fps=60");
    let values: Vec<u8> = play(&mut source, 3).into_iter().map(|(_, value, _)| value).collect();
    assert_eq!(values, [16, 235, 16]);
}

#[test]
fn motion_jpeg_is_found_between_sound_junk_and_index() {
    let mut odd = jpeg(255);
    if odd.len().is_multiple_of(2) {
        odd.push(0);
    }
    let sound = || chunk(b"00wb", &[1; 33]);
    let rec = list(b"rec ", &[sound(), chunk(b"01dc", &odd)]);
    let clip = avi(b"MJPG", &[sound(), chunk(b"01dc", &jpeg(0)), chunk(b"ix01", &[0; 5]), rec]);
    let mut source = open(clip.path(), "");
    assert_eq!(source.mode().frame_duration, Ticks90k(1502));
    assert_eq!((source.mode().width, source.mode().height), (32, 32));
    let frames: Vec<(Captured, u8)> =
        play(&mut source, 3).into_iter().map(|(captured, value, _)| (captured, value)).collect();
    assert_eq!(frames, [(Captured::Frame, 16), (Captured::Frame, 235), (Captured::Frame, 16)]);
}

#[test]
fn a_damaged_frame_is_told_and_an_empty_one_repeats_the_last() {
    let truncated = jpeg(255);
    let truncated = &truncated[..truncated.len() - 10];
    let clip = avi(b"mjpg", &[chunk(b"01dc", truncated), chunk(b"01db", b""), chunk(b"01dc", &jpeg(0))]);
    let frames: Vec<Captured> =
        play(&mut open(clip.path(), ""), 3).into_iter().map(|(captured, _, _)| captured).collect();
    assert_eq!(
        frames,
        [Captured::Damaged("JPEG is truncated or damaged"), Captured::Nothing, Captured::Frame]
    );
}

#[test]
fn what_cannot_be_played_is_refused_with_the_reason() {
    let text = file(&[b"hello, this is no video"]);
    assert_eq!(
        refused(text.path(), ""),
        "FILE: is neither Y4M nor AVI; a raw file needs format=, width=, height= and fps="
    );
    assert_eq!(refused(Path::new("/nowhere/a.y4m"), ""), "FILE: No such file or directory (os error 2)");
    assert_eq!(refused(avi(b"XVID", &[]).path(), ""), "FILE: AVI holds XVID; only MJPG is played");
    let short = file(&[b"RIFF\x04\0\0\0AVI "]);
    assert_eq!(refused(short.path(), ""), "FILE: AVI ends within its header");
}

#[test]
fn a_file_without_a_whole_frame_fails_instead_of_spinning() {
    for clip in [y4m("60:1", &[]), avi(b"MJPG", &[chunk(b"00wb", &[0; 8])])] {
        let mut source = open(clip.path(), "");
        let mut picture = Picture::new(SIDE.into(), SIDE.into());
        let error = source.next(Some(&mut picture), Duration::from_secs(1)).expect_err("no frame");
        assert!(error.to_string().ends_with(": holds no whole frame"), "{error}");
    }
}

#[test]
fn a_frame_larger_than_the_bound_is_refused_before_memory_is_taken() {
    let huge = [&b"01dc"[..], &u32::MAX.to_le_bytes()].concat();
    let clip = avi(b"MJPG", &[huge]);
    let mut source = open(clip.path(), "");
    let mut picture = Picture::new(SIDE.into(), SIDE.into());
    let error = source.next(Some(&mut picture), Duration::from_secs(1)).expect_err("too large");
    assert!(error.to_string().ends_with(": AVI frame of 4294967295 bytes"), "{error}");
    assert_eq!(source.frame.capacity(), 0);
}

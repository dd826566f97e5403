//! What FFmpeg reads of our MP4 is what went in: every access unit, at its time.

#![allow(clippy::unwrap_used)]

mod common;

use bytes::BytesMut;
use common::{TempDir, apply, data_of, gops, hashes, packets, run};
use media::mp4::fragment::SegmentType;
use media::mp4::{About, Fragment, Growing, Run, Step, Tracks, init_segment};
use media::{Gop, Ticks90k, Track, WallTime};
use std::path::PathBuf;

const ABOUT_START: WallTime = WallTime(1_790_000_000_000_000);

fn about() -> About {
    About { camera: "Garten Süd".to_owned(), start: Some(ABOUT_START) }
}

/// Records `gops` and returns the file while it grows and when it is sealed.
fn record(gops: &[Gop]) -> (Vec<u8>, Vec<u8>) {
    let mut file = Vec::new();
    let (mut growing, steps) = Growing::begin(&gops[0], &about()).unwrap();
    apply(&mut file, &steps);
    for gop in &gops[1..] {
        apply(&mut file, &growing.append(gop).unwrap());
    }
    assert_eq!(file.len() as u64, growing.size());
    let before = file.clone();
    apply(&mut file, &growing.seal(&about()));
    assert_eq!(file.len() as u64, growing.seal_box().size);
    (before, file)
}

fn save(dir: &TempDir, name: &str, bytes: &[u8]) -> PathBuf {
    let path = dir.path(name);
    std::fs::write(&path, bytes).unwrap();
    path
}

fn assert_same_access_units(path: &std::path::Path, gops: &[Gop]) {
    for track in [Track::Video, Track::Audio] {
        let found: Vec<String> = packets(path, track).into_iter().map(|packet| packet.hash).collect();
        assert_eq!(found, hashes(&data_of(gops, track)), "{track:?} of {path:?}");
    }
}

#[test]
fn growing_and_sealed_recordings_hold_the_same_access_units() {
    let dir = TempDir::new();
    let gops = gops(3, Some(Ticks90k(1920 + 500)));
    let (growing, sealed) = record(&gops);
    for path in [save(&dir, "growing.mp4", &growing), save(&dir, "sealed.mp4", &sealed)] {
        assert_same_access_units(&path, &gops);
        run("ffmpeg", &["-v", "error", "-xerror", "-i", path.to_str().unwrap(), "-f", "null", "-"]);
    }
}

#[test]
fn a_recording_opens_after_every_single_write() {
    let dir = TempDir::new();
    let gops = gops(3, Some(Ticks90k(0)));
    let (mut growing, mut steps) = Growing::begin(&gops[0], &about()).unwrap();
    for gop in &gops[1..] {
        steps.extend(growing.append(gop).unwrap());
    }
    steps.extend(growing.seal(&about()));

    let (mut file, mut whole) = (Vec::new(), 0);
    for step in &steps {
        apply(&mut file, std::slice::from_ref(step));
        if let Step::Write { offset, bytes } = step {
            whole += usize::from(*offset > 36 && bytes.ends_with(b"moof"));
        }
        if whole > 0 {
            assert_same_access_units(&save(&dir, "now.mp4", &file), &gops[..whole]);
        }
    }
    assert_eq!(whole, 3);
}

#[test]
fn sound_and_picture_start_where_they_did_to_the_tick() {
    let dir = TempDir::new();
    for lead in [0, 960, 1920 + 501, 3 * 1920, -7, -1001, -90_000] {
        let gops = gops(2, Some(Ticks90k(lead)));
        let (growing, sealed) = record(&gops);
        for path in [save(&dir, "growing.mp4", &growing), save(&dir, "sealed.mp4", &sealed)] {
            let video = packets(&path, Track::Video);
            let audio = packets(&path, Track::Audio);
            assert_eq!(video[0].pts, 0);
            let start = Ticks90k::from_scale(audio[0].pts, 48_000);
            assert!(
                (start.0 + lead).abs() <= 1,
                "sound {lead} ticks before the picture is at {start:?} in {path:?}"
            );
        }
    }
}

#[test]
fn a_recording_can_be_entered_at_every_second() {
    let dir = TempDir::new();
    let gops = gops(4, Some(Ticks90k(0)));
    let (growing, sealed) = record(&gops);
    for path in [save(&dir, "growing.mp4", &growing), save(&dir, "sealed.mp4", &sealed)] {
        for second in 0..4 {
            let interval = format!("{second}.5%+#1");
            let args =
                ["-v", "error", "-select_streams", "v:0", "-read_intervals", &interval, "-show_entries"];
            let path = path.to_str().unwrap();
            let found = run("ffprobe", &[&args[..], &["packet=pts,flags", "-of", "csv=p=0", path]].concat());
            assert_eq!(found.trim(), format!("{},K_", second * 90_000), "{path}");
        }
    }
}

#[test]
fn a_gap_is_a_long_picture_and_moves_nothing_that_follows() {
    let dir = TempDir::new();
    let mut gops = gops(2, Some(Ticks90k(0)));
    let gap = Ticks90k(7 * 90_000);
    gops[0].end = None;
    gops[1].start += gap;
    gops[1].discontinuity = true;
    gops[1].units.iter_mut().for_each(|unit| unit.pts += gap);
    let (growing, sealed) = record(&gops);
    for path in [save(&dir, "growing.mp4", &growing), save(&dir, "sealed.mp4", &sealed)] {
        let times: Vec<i64> = packets(&path, Track::Video)[28..32].iter().map(|packet| packet.pts).collect();
        assert_eq!(times, [84_000, 87_000, 720_000, 723_000], "{path:?}");
        let last = packets(&path, Track::Audio).pop().unwrap();
        let expected = gops[1].track(Track::Audio).last().unwrap().pts - gops[0].start;
        assert_eq!(last.pts, expected.to_scale(48_000), "{path:?}");
    }
    let before_gap = &packets(&dir.path("sealed.mp4"), Track::Video)[29];
    assert_eq!(before_gap.duration, 3000 + 7 * 90_000);
}

#[test]
fn a_sealed_recording_says_who_when_and_how_long() {
    let dir = TempDir::new();
    let (_, sealed) = record(&gops(2, None));
    let path = save(&dir, "sealed.mp4", &sealed);
    let entries = "format=duration,nb_streams:format_tags=title,creation_time:stream_tags=handler_name";
    let found = run("ffprobe", &["-v", "error", "-show_entries", entries, path.to_str().unwrap()]);
    assert_eq!(
        found,
        "\
[STREAM]
TAG:handler_name=Garten Süd
[/STREAM]
[FORMAT]
nb_streams=1
duration=2.000000
TAG:creation_time=2026-09-21T14:13:20.000000Z
TAG:title=Garten Süd
[/FORMAT]
"
    );
}

/// What `stream.mp4` sends: an init segment and one fragment an access unit.
fn live_stream(gops: &[Gop]) -> Vec<u8> {
    let config = &gops[0].config;
    let mut out = BytesMut::from(&init_segment(config, Tracks::Both)[..]);
    for (sequence, unit) in (1..).zip(gops.iter().flat_map(|gop| &gop.units)) {
        Fragment::single(config, sequence, unit).unwrap().write(&mut out).unwrap();
    }
    out.to_vec()
}

#[test]
fn a_live_stream_of_single_access_units_keeps_the_media_clock() {
    let dir = TempDir::new();
    let gops = gops(2, Some(Ticks90k(0)));
    let path = save(&dir, "stream.mp4", &live_stream(&gops));
    assert_same_access_units(&path, &gops);
    for track in [Track::Video, Track::Audio] {
        let timescale = if track == Track::Video { 90_000 } else { 48_000 };
        let sent: Vec<i64> =
            gops.iter().flat_map(|gop| gop.track(track)).map(|unit| unit.pts.to_scale(timescale)).collect();
        let seen: Vec<i64> = packets(&path, track).iter().map(|packet| packet.pts).collect();
        assert_eq!(seen, sent);
    }
}

#[test]
fn segments_of_one_track_in_parts_play() {
    let dir = TempDir::new();
    let gops = gops(2, Some(Ticks90k(0)));
    for (tracks, track) in [(Tracks::Video, Track::Video), (Tracks::Audio, Track::Audio)] {
        let mut out = BytesMut::from(&init_segment(&gops[0].config, tracks)[..]);
        for (sequence, gop) in (1..).zip(&gops) {
            let units: Vec<_> = gop.track(track).cloned().collect();
            let (first, second) = units.split_at(units.len() / 2);
            let end = if track == Track::Video {
                gop.video_end()
            } else {
                units[units.len() - 1].pts + Ticks90k(1920)
            };
            for (part, end, segment) in
                [(first, second[0].pts, SegmentType::Segment), (second, end, SegmentType::Chunk)]
            {
                let runs = [Run { track, origin: Ticks90k::ZERO, units: part.iter(), end }];
                let (segment, captured) = (Some(segment), Some(ABOUT_START));
                Fragment { config: &gop.config, sequence, segment, captured, runs }.write(&mut out).unwrap();
            }
        }
        let path = save(&dir, "segments.mp4", &out);
        let found: Vec<String> = packets(&path, track).into_iter().map(|packet| packet.hash).collect();
        assert_eq!(found, hashes(&data_of(&gops, track)));
    }
}

//! What FFmpeg reads of our MP4 is what went in: every access unit, at its time.

#![allow(clippy::unwrap_used)]

mod common;

use bytes::BytesMut;
use common::{TempDir, apply, data_of, gops, hashes, packets, run};
use media::mp4::fragment::SegmentType;
use media::mp4::{About, Fragment, Growing, Run, Tracks, init_segment};
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
    let gops = gops(5, Some(Ticks90k(1920 + 500)));
    let (growing, sealed) = record(&gops);
    for path in [save(&dir, "growing.mp4", &growing), save(&dir, "sealed.mp4", &sealed)] {
        assert_same_access_units(&path, &gops);
        run("ffmpeg", &["-v", "error", "-xerror", "-i", path.to_str().unwrap(), "-f", "null", "-"]);
    }
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

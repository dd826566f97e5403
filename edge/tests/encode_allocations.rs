//! From a captured frame to the ring nothing is allocated, once the first GOP is there.

mod counting;

use counting::{Counting, allocations};
use edge::config::{Camera, Config, Current};
use edge::encode::audio::{self, Stream};
use edge::encode::{Inputs, Stage};
use edge::frames::{self, Picture};
use edge::ring::{self, Limits};
use edge::source::pattern::Pattern;
use edge::source::{Captured, Source};
use edge::status::Status;
use edge::supervise::{Pulses, clock};
use media::AudioConfig;
use std::sync::Arc;
use std::time::Duration;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Captures, encodes and stores `pictures` pictures, with an AAC frame each.
fn run(
    pattern: &mut Pattern,
    picture: &mut Picture,
    stage: &mut Stage,
    sound: &mut audio::Sender,
    pictures: usize,
) {
    for _ in 0..pictures {
        assert!(matches!(pattern.next(Some(picture), Duration::from_secs(1)), Ok(Captured::Frame)));
        assert!(sound.send(picture.pts, &[7; 300]));
        stage.sound();
        stage.picture(picture);
        stage.sound();
    }
}

#[test]
fn from_the_pattern_to_the_ring_nothing_is_allocated() {
    let config = Config { camera: vec![Camera { fps: 60, ..Camera::default() }], ..Config::default() };
    let status = Arc::new(Status::new(&config, Pulses::default(), clock::media_now()));
    let own = Arc::clone(&status.cameras[0]);
    let dir = tempfile::tempdir().expect("a directory");
    let limits = Limits { seconds: 2, bytes: 2 << 20 };
    let (writer, ring) =
        ring::open(dir.path(), "front", limits, "boot", own.metrics.clone()).expect("a ring");
    let (_capture, frames) = frames::queue(320, 240);
    let (mut sound, receiver) = audio::queue();
    sound.start(Stream::Sound(AudioConfig {
        sample_rate: 48_000,
        channels: 2,
        asc: vec![0x11, 0x90].into(),
    }));
    let camera = config.camera[0].clone();
    let mut pattern = Pattern::open(&camera).expect("opens");
    let current = Current::new(config);
    let inputs = Inputs { camera, current, frames, audio: Some(receiver), ring: writer, status, own };
    let mut stage = Stage::new(inputs);
    let mut picture = Picture::new(320, 240);

    run(&mut pattern, &mut picture, &mut stage, &mut sound, 200);
    let before = ring.newest().expect("a GOP").sequence;
    let count = allocations(|| run(&mut pattern, &mut picture, &mut stage, &mut sound, 150));
    let gops = ring.newest().expect("a GOP").sequence - before;
    assert!(gops >= 2, "GOPs begin and the oldest leave the ring meanwhile: {gops}");
    assert_eq!(count, 0);
}

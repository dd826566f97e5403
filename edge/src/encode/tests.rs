//! The encode thread's step, from pictures to the ring, without a thread.

use super::audio::{self, Stream};
use super::scenes;
use super::stage::{Inputs, Stage};
use crate::config::{Config, Current};
use crate::frames::{self, Picture};
use crate::ring::{self, Limits, Ring};
use crate::status::{Cause, Status};
use crate::supervise::{Pulses, clock};
use media::{AudioConfig, Ticks90k, Track};
use std::sync::Arc;

struct Rig {
    stage: Stage,
    ring: Ring,
    status: Arc<Status>,
    picture: Picture,
    painted: u32,
    _dir: tempfile::TempDir,
}

impl Rig {
    fn new(audio: Option<audio::Receiver>) -> Self {
        let config = Config::default();
        let status = Arc::new(Status::new(&config, Pulses::default(), clock::media_now()));
        let own = Arc::clone(&status.cameras[0]);
        let dir = tempfile::tempdir().expect("a directory");
        let limits = Limits { seconds: 120, bytes: 4 << 20 };
        let (writer, ring) =
            ring::open(dir.path(), "front", limits, "boot", own.metrics.clone()).expect("a ring");
        let (_sender, frames) = frames::queue(320, 240);
        let inputs = Inputs {
            camera: config.camera[0].clone(),
            current: Current::new(config.clone()),
            frames,
            audio,
            ring: writer,
            status: Arc::clone(&status),
            own,
        };
        let mut picture = Picture::new(320, 240);
        picture.frame_duration = Ticks90k(3000);
        Self { stage: Stage::new(inputs), ring, status, picture, painted: 0, _dir: dir }
    }

    fn show(&mut self, pts: Ticks90k) {
        scenes::paint(&mut self.picture, 0, self.painted);
        self.painted += 1;
        self.picture.pts = pts;
        self.stage.sound();
        self.stage.picture(&self.picture);
        self.stage.sound();
    }

    fn starts(&self) -> Vec<i64> {
        self.ring.index().iter().map(|gop| gop.start.0).collect()
    }
}

fn sound() -> Stream {
    Stream::Sound(AudioConfig { sample_rate: 48_000, channels: 2, asc: vec![0x11, 0x90].into() })
}

#[test]
fn gops_in_the_ring_start_at_whole_seconds_whatever_was_lost() {
    let mut rig = Rig::new(None);
    for n in (0..100).filter(|n| !(40..62).contains(n) && n % 11 != 4) {
        rig.show(Ticks90k(45_000 + 3000 * n));
    }
    assert_eq!(rig.starts(), [45_000, 93_000, 231_000, 270_000]);
    for gop in rig.ring.index() {
        let gop = rig.ring.read(gop.sequence).expect("in the ring");
        let keys: Vec<_> = gop.units.iter().map(|unit| unit.key).collect();
        assert!(keys[0] && !keys[1..].contains(&true), "one IDR, at the start");
    }
}

#[test]
fn a_picture_that_does_not_advance_is_dropped_and_counted() {
    let mut rig = Rig::new(None);
    for pts in [90_000, 93_000, 93_000, 92_000, 96_000] {
        rig.show(Ticks90k(pts));
    }
    let gop = rig.ring.read(rig.ring.newest().expect("a GOP").sequence).expect("in the ring");
    let times: Vec<_> = gop.units.iter().map(|unit| unit.pts.0).collect();
    assert_eq!(times, [90_000, 93_000, 96_000]);
    assert_eq!(rig.status.cameras[0].metrics.frames_left_out.get(), 2);
}

#[test]
fn half_a_second_without_a_picture_is_a_gap_and_less_is_none() {
    let gaps = |missing: i64| {
        let mut rig = Rig::new(None);
        let before = (0..5).map(|n| 90_000 + 3000 * n);
        let behind = (5..8).map(|n| 90_000 + 3000 * n + missing);
        before.chain(behind).for_each(|pts| rig.show(Ticks90k(pts)));
        let gaps = rig.status.gaps.list();
        gaps.iter().map(|gap| (gap.cause, gap.from.0, gap.to.map(|to| to.0))).collect::<Vec<_>>()
    };
    assert_eq!(gaps(41_999), []);
    assert_eq!(gaps(42_000), [(Cause::Overload, 102_000, Some(147_000))]);
}

#[test]
fn another_frame_interval_changes_the_configuration_at_the_next_idr() {
    let mut rig = Rig::new(None);
    for n in 0..70 {
        if n == 40 {
            rig.picture.frame_duration = Ticks90k(6000);
        }
        rig.show(Ticks90k(90_000 + 3000 * n));
    }
    let index = rig.ring.index();
    let of: Vec<_> = index.iter().map(|gop| (gop.config.video.frame_duration.0, gop.discontinuity)).collect();
    assert_eq!(of, [(3000, true), (3000, false), (6000, true)]);
}

#[test]
fn the_camera_may_be_gone_for_hours_and_comes_back_with_an_idr() {
    let mut rig = Rig::new(None);
    rig.show(Ticks90k(90_000));
    rig.show(Ticks90k(93_000));
    assert_eq!(rig.starts(), [90_000]);
    let back = 90_000 * 7200 + 5;
    rig.show(Ticks90k(back));
    rig.show(Ticks90k(back + 3000));
    // What is older than the ring has left it.
    assert_eq!(rig.starts(), [back]);
}

#[test]
fn sound_is_in_the_configuration_from_the_first_gop_on() {
    let (mut sender, receiver) = audio::queue();
    let mut rig = Rig::new(Some(receiver));
    rig.show(Ticks90k(90_000));
    assert!(rig.starts().is_empty(), "waits for the microphone");
    sender.start(sound());
    assert!(sender.send(Ticks90k(93_000), &[7; 100]));
    rig.show(Ticks90k(93_000));
    let gop = rig.ring.read(rig.ring.newest().expect("a GOP").sequence).expect("in the ring");
    assert_eq!(gop.config.codecs(), "avc1.42C014,mp4a.40.2");
    let frames: Vec<_> = gop.track(Track::Audio).map(|unit| (unit.pts.0, unit.data.len())).collect();
    assert_eq!(frames, [(93_000, 100)]);
}

#[test]
fn sound_from_before_the_first_picture_is_left_out() {
    let (mut sender, receiver) = audio::queue();
    let mut rig = Rig::new(Some(receiver));
    sender.start(sound());
    rig.show(Ticks90k(93_000));
    for n in 0..4 {
        assert!(sender.send(Ticks90k(90_000 + 1920 * n), &[7; 100]));
    }
    rig.show(Ticks90k(96_000));
    let gop = rig.ring.read(rig.ring.newest().expect("a GOP").sequence).expect("in the ring");
    let frames: Vec<_> = gop.track(Track::Audio).map(|unit| unit.pts.0).collect();
    assert_eq!(frames, [93_840, 95_760]);
}

#[test]
fn a_microphone_that_goes_leaves_the_configuration_at_the_next_gop() {
    let (mut sender, receiver) = audio::queue();
    let mut rig = Rig::new(Some(receiver));
    sender.start(sound());
    for n in 0..61 {
        if n == 15 {
            sender.start(Stream::Silent);
        }
        rig.show(Ticks90k(90_000 + 3000 * n));
    }
    let index = rig.ring.index();
    let with_sound: Vec<_> = index.iter().map(|gop| gop.config.audio.is_some()).collect();
    assert_eq!(with_sound, [true, false, false]);
}

#[test]
fn without_an_answer_from_the_microphone_the_picture_goes_ahead() {
    let (_sender, receiver) = audio::queue();
    let mut rig = Rig::new(Some(receiver));
    for n in 0..12 {
        rig.show(Ticks90k(90_000 + 3000 * n));
    }
    assert_eq!(rig.starts(), [90_000 + 27_000]);
}

#[test]
fn an_encoder_that_fails_is_a_fault_until_it_is_well_again() {
    let mut rig = Rig::new(None);
    rig.show(Ticks90k(90_000));
    let good = std::mem::replace(&mut rig.picture, Picture::new(160, 120));
    for n in 1..5 {
        rig.show(Ticks90k(90_000 + 3000 * n));
    }
    let faults: Vec<_> = rig.status.faults().into_iter().map(|fault| (fault.part, fault.message)).collect();
    assert_eq!(faults, [("encode front".to_owned(), "openh264 EncodeFrame: error 1".to_owned())]);
    rig.picture = good;
    rig.show(Ticks90k(105_000));
    rig.show(Ticks90k(108_000));
    assert_eq!(rig.starts(), [90_000, 105_000]);
    assert!(rig.status.faults().is_empty());
}

#[test]
fn a_placeholder_begins_a_gop_and_so_does_the_first_picture_behind_it() {
    let mut rig = Rig::new(None);
    let gone = Ticks90k(96_000);
    for (n, gone_since) in [None, None, None, Some(gone), Some(gone), None, None].into_iter().enumerate() {
        rig.picture.gone_since = gone_since;
        rig.show(Ticks90k(90_000 + 3000 * n as i64));
    }
    let index = rig.ring.index();
    let told: Vec<_> = index.iter().map(|gop| (gop.start.0, gop.gone_since, gop.discontinuity)).collect();
    assert_eq!(told, [(90_000, None, true), (99_000, Some(gone), true), (105_000, None, true)]);
    assert!(index.windows(2).all(|pair| pair[0].config == pair[1].config), "viewers keep their connection");
    let metrics = &rig.status.cameras[0].metrics;
    assert_eq!((metrics.frames_encoded.get(), metrics.placeholders_encoded.get()), (5, 2));
}

#[test]
fn the_gap_before_a_start_ends_with_a_picture_and_not_with_a_placeholder() {
    let mut rig = Rig::new(None);
    rig.status.gaps.open("front", Cause::NoPower, Ticks90k(9), None);
    rig.picture.gone_since = Some(Ticks90k(9));
    rig.show(Ticks90k(90_000));
    assert!(rig.status.gaps.list()[0].lasts);
    rig.picture.gone_since = None;
    rig.show(Ticks90k(93_000));
    assert_eq!(rig.status.gaps.list()[0].to, Some(Ticks90k(93_000)));
}

//! The live playlists obey RFC 8216bis at every instant of a camera's life: with jitter, lost pictures, discontinuities, a
//! change of configuration and segments that leave.

use bytes::Bytes;
use media::timeline::Timeline;
use media::{AccessUnit, AudioConfig, Gop, StreamConfig, Ticks90k, Track, VideoConfig, WallTime, hls};
use std::sync::Arc;
use tests::hls_rules::{self as rules, Media};

fn config(frame_duration: i64, level: u8) -> Arc<StreamConfig> {
    let sps = Bytes::copy_from_slice(&[0x67, 0x42, 0xC0, level]);
    let pps = Bytes::from_static(&[0x68, 0xCE]);
    let frame_duration = Ticks90k(frame_duration);
    let video = VideoConfig { width: 320, height: 240, frame_duration, sps, pps };
    let audio = AudioConfig { sample_rate: 48_000, channels: 2, asc: Bytes::from_static(&[0x11, 0x90]) };
    Arc::new(StreamConfig { video, audio: Some(audio) })
}

/// A second of a camera whose pictures come up to 3 ms early or late, with AAC frames that are delivered 40 ms late.
fn gop(config: &Arc<StreamConfig>, sequence: u64) -> Gop {
    let second = sequence as i64 * 90_000;
    let interval = config.video.frame_duration.0;
    let jitter = |n: i64| (n * 7919 + sequence as i64 * 104_729) % 541 - 270;
    let unit = |track, pts, key| AccessUnit { track, pts, key, data: Bytes::from_static(&[0; 500]) };
    let pictures = |second: i64| (0..90_000 / interval).map(move |n| second + 300 + n * interval + jitter(n));
    let mut units: Vec<_> =
        pictures(second).enumerate().map(|(n, pts)| unit(Track::Video, Ticks90k(pts), n == 0)).collect();
    let late = 3600;
    let frames = (second - late) / 1920..(second + 90_000 - late) / 1920;
    units.extend(frames.map(|n| unit(Track::Audio, Ticks90k(n * 1920), true)));
    units.sort_by_key(|unit| unit.pts.0 + if unit.track == Track::Audio { late } else { 0 });
    let start = units.iter().find(|unit| unit.key && unit.track == Track::Video).unwrap().pts;
    let end = pictures(second + 90_000).next().map(Ticks90k);
    let wall = Some(WallTime(1_795_239_600_000_000).plus(start));
    Gop { sequence, start, wall, discontinuity: false, config: Arc::clone(config), units, end }
}

/// What viewers see while `gop` is encoded: the playlists after each access unit, the last time with the GOP ended.
fn watch(timeline: &mut Timeline, gop: &Gop, mut see: impl FnMut(&Timeline)) {
    for count in 1..=gop.units.len() {
        let growing = Gop { units: gop.units[..count].to_vec(), end: None, ..gop.clone() };
        timeline.update(&growing, false);
        see(timeline);
    }
    timeline.update(gop, true);
    see(timeline);
}

/// Judges every playlist of a timeline against the rules, and against its version before.
#[derive(Default)]
struct Judge {
    before: Option<[Media; 2]>,
}

impl Judge {
    fn judge(&mut self, timeline: &Timeline) {
        if timeline.complete().next().is_none() {
            return; // Until then every request waits.
        }
        let now = [Track::Video, Track::Audio].map(|track| {
            let (whole, violations) = rules::media(&hls::media(timeline, track, false));
            assert_eq!(violations, []);
            let (delta, violations) = rules::media(&hls::media(timeline, track, true));
            assert_eq!(violations, []);
            assert_eq!(rules::delta(&whole, &delta), []);
            whole
        });
        assert_eq!(rules::renditions(&[&now[0], &now[1]]), []);
        if let Some(before) = &self.before {
            for (before, now) in before.iter().zip(&now) {
                assert_eq!(rules::update(before, now), []);
                kept_promise(before, now);
            }
        }
        self.before = Some(now);
    }
}

/// The part that was hinted is the next one that is listed.
fn kept_promise(before: &Media, now: &Media) {
    let uris = |media: &Media| -> Vec<_> {
        media.segments.iter().flat_map(|s| &s.parts).map(|p| p.uri.clone()).collect()
    };
    let old = uris(before);
    if let Some(next) = uris(now).iter().find(|uri| !old.contains(uri)) {
        assert_eq!(before.hints[0].get("URI"), Some(next));
    }
}

#[test]
fn every_version_of_every_playlist_obeys_the_rules() {
    for frame_duration in [1500, 3000, 3750, 6000, 18_000] {
        let config = config(frame_duration, 13);
        let mut timeline = Timeline::new(&config, 8);
        let mut judge = Judge::default();
        for sequence in 1000..1012 {
            let gop = Gop { discontinuity: sequence % 4 == 0, ..gop(&config, sequence) };
            watch(&mut timeline, &gop, |timeline| judge.judge(timeline));
        }
        assert_eq!(timeline.segments().len(), 8);
        assert_eq!(rules::multivariant(&hls::master(&timeline).unwrap()), []);
        let (_, violations) = rules::media(&hls::ts(&timeline));
        assert_eq!(violations, []);
    }
}

#[test]
fn a_change_of_configuration_and_lost_gops_obey_the_rules() {
    let (first, second) = (config(3000, 13), config(3000, 30));
    let mut timeline = Timeline::new(&first, 60);
    let mut judge = Judge::default();
    for sequence in (1000..1005).chain(1008..1012) {
        watch(&mut timeline, &gop(&first, sequence), |timeline| judge.judge(timeline));
    }
    for sequence in 1012..1015 {
        watch(&mut timeline, &gop(&second, sequence), |timeline| judge.judge(timeline));
    }
    let text = hls::media(&timeline, Track::Video, false);
    assert_eq!((text.matches("#EXT-X-GAP").count(), text.matches("#EXT-X-MAP").count()), (3, 2));
}

#[test]
fn pictures_that_are_lost_inside_a_part_change_nothing_in_the_rules() {
    let config = config(3000, 13);
    let mut timeline = Timeline::new(&config, 60);
    let mut judge = Judge::default();
    for sequence in 1000..1010 {
        let mut gop = gop(&config, sequence);
        let lost = gop.track(Track::Video).nth(8 + 6 * (sequence as usize % 3)).unwrap().pts;
        gop.units.retain(|unit| unit.pts != lost || unit.track == Track::Audio);
        watch(&mut timeline, &gop, |timeline| judge.judge(timeline));
    }
}

//! The live timeline of one camera: which segments there are, how they fall into parts, and where time has holes. HLS
//! playlists and the DASH MPD are views of it, so that both number, cut and date the same footage in the same way.
//!
//! ```text
//! GOP 41                         GOP 42                         GOP 43, growing
//! |IDR p|p p p|p p p|p p p|p p p|  |IDR p|p p p|...             |IDR p|p p p|p
//! | 0   |  1  |  2  |  3  |  4  |  | 0   |  1  |                | 0   |  1  | not yet a part
//! segment 41 ------------------  segment 42 ------              open segment
//! ```
//!
//! A part ends where the next one starts, so the open segment shows a part only once an access unit behind it has come or
//! the GOP has ended. Cutting depends on nothing but the GOP: every run of every server cuts alike.

mod cut;

use crate::access_unit::{AccessUnit, Gop, StreamConfig, Track};
use crate::time::{TICKS_PER_SECOND, Ticks90k, WallTime};
use cut::Cut;
use sha2::{Digest, Sha256};
use std::collections::VecDeque;
use std::fmt;
use std::ops::Range;
use std::str::FromStr;
use std::sync::Arc;

/// A gap in the sequence of GOPs up to this long is shown as segments without footage; a longer one starts the timeline anew.
const MAX_MISSING: u64 = 16;
/// A hole between two segments that is longer than this is a discontinuity, whatever the GOP says.
const MAX_HOLE: Ticks90k = Ticks90k::from_millis(100);
/// A first part under this length is shown together with the second (docs/design/live-formats.md, "Parts").
const SHORT_FIRST: Ticks90k = Ticks90k::from_millis(250);
/// More than any fragment's boxes need: `moof` and `mdat` around a part, and an entry of `trun` for each access unit.
const PART_OVERHEAD: u64 = 160;
const UNIT_OVERHEAD: u64 = 16;

/// Names a decoder configuration: the same configuration has the same name in every run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ConfigId(u32);

impl ConfigId {
    /// The name of a configuration: the first 4 bytes of a SHA-256 over what a decoder must know.
    pub fn of(config: &StreamConfig) -> Self {
        let mut hash = Sha256::new();
        let video = &config.video;
        hash.update(video.width.to_be_bytes());
        hash.update(video.height.to_be_bytes());
        hash.update(&video.sps);
        hash.update(&video.pps);
        if let Some(audio) = &config.audio {
            hash.update(audio.sample_rate.to_be_bytes());
            hash.update(&audio.asc);
        }
        let digest = hash.finalize();
        Self(digest.iter().take(4).fold(0, |id, &byte| id << 8 | u32::from(byte)))
    }
}

impl fmt::Display for ConfigId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", self.0)
    }
}

impl FromStr for ConfigId {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        u32::from_str_radix(text, 16).map(Self)
    }
}

/// A piece of a segment that can be delivered before the segment ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// Presentation time of its first access unit.
    pub start: Ticks90k,
    /// From there to the next part.
    pub duration: Ticks90k,
    /// It starts with a picture or AAC frame that needs none before it.
    pub independent: bool,
    /// Which access units of the track it holds, counted from the start of the GOP.
    pub units: Range<usize>,
}

impl Part {
    /// When it ends: where the next part starts.
    pub fn end(&self) -> Ticks90k {
        self.start + self.duration
    }

    /// Its access units, out of the GOP that it was cut from.
    pub fn units_of<'a>(&self, gop: &'a Gop, track: Track) -> impl Iterator<Item = &'a AccessUnit> + Clone {
        gop.track(track).skip(self.units.start).take(self.units.len())
    }
}

/// The parts of one track of a GOP. Of a GOP that still grows (not `complete`) the last part is left out, since what belongs
/// to it is not known yet, and so is the first one as long as it is the only one and shorter than [`SHORT_FIRST`].
pub fn parts(gop: &Gop, track: Track, complete: bool) -> Vec<Part> {
    let cut = Cut::of(&gop.config, track);
    let mut parts: Vec<Part> = Vec::new();
    let mut open: Option<Part> = None;
    let first = gop.track(track).next().map_or(gop.start, |unit| unit.pts);
    let mut last = gop.start;
    for (index, access_unit) in gop.track(track).enumerate() {
        last = access_unit.pts;
        match &mut open {
            Some(part) if !cut.ends(first, part.start, last) => part.units.end = index + 1,
            _ => {
                let next = begin(access_unit, index);
                parts.extend(open.replace(next).map(|part| ended(part, last)));
            }
        }
    }
    if complete {
        let end = if track == Track::Video { gop.video_end() } else { last + cut.unit };
        parts.extend(open.map(|part| ended(part, end)));
    } else if let [first] = parts.as_slice()
        && first.duration < SHORT_FIRST
    {
        parts.clear();
    }
    parts
}

fn begin(first: &AccessUnit, index: usize) -> Part {
    Part { start: first.pts, duration: Ticks90k::ZERO, independent: first.key, units: index..index + 1 }
}

fn ended(part: Part, end: Ticks90k) -> Part {
    Part { duration: end - part.start, ..part }
}

/// One track of a segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Media {
    /// Presentation time of its first access unit; the start of the GOP if it has none.
    pub start: Ticks90k,
    /// Its exact duration, but never so long that it would round to more than the target duration.
    pub duration: Ticks90k,
    /// Bytes of its access units, and an upper bound for the boxes around them.
    pub bytes: u64,
    /// Its parts; none if this segment has no footage of the track.
    pub parts: Vec<Part>,
}

impl Media {
    /// There is no footage: the GOP is lost, or the microphone was silent.
    pub fn is_gap(&self) -> bool {
        self.parts.is_empty()
    }

    fn of(gop: &Gop, track: Track, complete: bool, longest: Ticks90k) -> Self {
        let parts = parts(gop, track, complete);
        let start = parts.first().map_or(gop.start, |part| part.start);
        let end = parts.last().map_or(gop.video_end(), Part::end);
        let media: u64 = gop.track(track).map(|unit| unit.data.len() as u64 + UNIT_OVERHEAD).sum();
        Self {
            start,
            duration: (end - start).clamp(Ticks90k(1), longest),
            bytes: media + parts.len() as u64 * PART_OVERHEAD,
            parts,
        }
    }

    fn missing(start: Ticks90k, duration: Ticks90k) -> Self {
        Self { start, duration, bytes: 0, parts: Vec::new() }
    }
}

/// One GOP on the timeline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Sequence number of the GOP; the media sequence number of HLS and `$Number$` of DASH.
    pub sequence: u64,
    /// Presentation time of the IDR.
    pub start: Ticks90k,
    /// The wall time of `start`, where it was known.
    pub wall: Option<WallTime>,
    /// Time or configuration does not follow on from the segment before.
    pub discontinuity: bool,
    /// The GOP has ended.
    pub complete: bool,
    /// What a decoder must know, and its name.
    pub config: Arc<StreamConfig>,
    /// The name of `config`.
    pub config_id: ConfigId,
    /// The pictures.
    pub video: Media,
    /// The sound.
    pub audio: Media,
}

impl Segment {
    /// One of its tracks.
    pub fn media(&self, track: Track) -> &Media {
        match track {
            Track::Video => &self.video,
            Track::Audio => &self.audio,
        }
    }
}

/// The segments of one camera that viewers can have, oldest first, and the one that grows.
#[derive(Clone, Debug)]
pub struct Timeline {
    segments: VecDeque<Segment>,
    window: usize,
    target: i64,
    part_targets: [Ticks90k; 2],
    discontinuity_sequence: u64,
    /// The first segment ever listed.
    origin: Option<u64>,
    anchors: VecDeque<Anchor>,
}

/// Where a stretch of segments without a break began: it outlives the segment it was taken from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Anchor {
    /// The first segment's sequence number.
    pub sequence: u64,
    /// The whole second of media time in which it started.
    pub second: i64,
    /// Nothing was ever listed before it.
    pub first: bool,
}

impl Timeline {
    /// An empty timeline that lists at most `window` segments. `config` fixes the target durations, which never change.
    ///
    /// A segment must stay downloadable a while after it has left the list (RFC 8216bis 6.2.2): the store behind it
    /// keeps at least two segments more.
    pub fn new(config: &StreamConfig, window: usize) -> Self {
        let longest_gop = Ticks90k::SECOND + config.video.frame_duration;
        Self {
            segments: VecDeque::new(),
            window: window.max(1),
            target: ((longest_gop.0 + Ticks90k::SECOND.0 / 2) / Ticks90k::SECOND.0).max(1),
            part_targets: [Track::Video, Track::Audio].map(|track| Cut::of(config, track).longest),
            discontinuity_sequence: 0,
            origin: None,
            anchors: VecDeque::new(),
        }
    }

    /// The GOP as it is now: the newest one again, longer or ended (`complete`), or the one that follows it. Call it with each
    /// access unit that comes, or whenever a reader shall see more.
    pub fn update(&mut self, gop: &Gop, complete: bool) {
        let newest = self.segments.back().map(|segment| segment.sequence);
        match newest {
            Some(newest) if gop.sequence == newest => {
                self.segments.pop_back();
                let segment = self.segment(gop, complete);
                self.segments.push_back(segment);
                return;
            }
            Some(newest) if gop.sequence > newest && gop.sequence - newest <= MAX_MISSING => self.fill(gop),
            Some(_) => {
                self.segments.clear();
                self.anchors.clear();
            }
            None => {}
        }
        self.date(gop);
        self.append(gop, complete);
        while self.segments.len() > self.window {
            self.remove_oldest();
        }
    }

    /// The clock has been set: what was taken before has a date now too.
    fn date(&mut self, gop: &Gop) {
        let Some(wall) = gop.wall else { return };
        for segment in self.segments.iter_mut().rev().take_while(|segment| segment.wall.is_none()) {
            segment.wall = Some(wall.plus(segment.start - gop.start));
        }
    }

    /// Takes segments before `sequence` off the list: what holds them is about to drop them.
    pub fn expire(&mut self, sequence: u64) {
        while self.segments.front().is_some_and(|segment| segment.complete && segment.sequence < sequence) {
            self.remove_oldest();
        }
    }

    /// The segments that have ended, oldest first.
    pub fn complete(&self) -> impl DoubleEndedIterator<Item = &Segment> + Clone {
        self.segments.iter().filter(|segment| segment.complete)
    }

    /// All segments, oldest first; the last one may still grow.
    pub fn segments(&self) -> impl DoubleEndedIterator<Item = &Segment> + ExactSizeIterator + Clone {
        self.segments.iter()
    }

    /// The segment of that sequence number.
    pub fn get(&self, sequence: u64) -> Option<&Segment> {
        let first = self.segments.front()?.sequence;
        self.segments.get(usize::try_from(sequence.checked_sub(first)?).ok()?)
    }

    /// The segment that still grows.
    pub fn open(&self) -> Option<&Segment> {
        self.segments.back().filter(|segment| !segment.complete)
    }

    /// The configuration of that name, if a listed segment uses it.
    pub fn config(&self, id: ConfigId) -> Option<&Arc<StreamConfig>> {
        self.segments.iter().rev().find(|segment| segment.config_id == id).map(|segment| &segment.config)
    }

    /// Seconds that no segment exceeds when rounded: `EXT-X-TARGETDURATION`.
    pub fn target_duration(&self) -> i64 {
        self.target
    }

    /// The longest that a part of the track may be: `PART-TARGET`.
    pub fn part_target(&self, track: Track) -> Ticks90k {
        let [video, audio] = self.part_targets;
        if track == Track::Video { video } else { audio }
    }

    /// `EXT-X-DISCONTINUITY-SEQUENCE`. It starts with the sequence number of the first segment ever listed, which is never
    /// less than the discontinuities before it: so it does not fall back when the server starts again.
    pub fn discontinuity_sequence(&self) -> u64 {
        self.discontinuity_sequence
    }

    /// Where each stretch between two breaks began, oldest first. Inside one, segment `sequence` starts in second
    /// `second + (segment.sequence - sequence)`. Every listed segment is covered.
    pub fn anchors(&self) -> impl ExactSizeIterator<Item = Anchor> + '_ {
        self.anchors.iter().copied()
    }

    /// The segment of a whole second of media time, also one that is yet to come; `None` where there is none or it is no longer
    /// listed.
    pub fn sequence_at(&self, second: i64) -> Option<u64> {
        let index = self.anchors.partition_point(|anchor| anchor.second <= second).checked_sub(1)?;
        let anchor = self.anchors.get(index)?;
        let sequence = anchor.sequence.checked_add(u64::try_from(second - anchor.second).ok()?)?;
        let next = self.anchors.get(index + 1).map_or(u64::MAX, |next| next.sequence);
        let first = self.segments.front()?.sequence;
        (first..next).contains(&sequence).then_some(sequence)
    }

    /// The largest and the average bit rate of the ended segments, over these tracks together: bits a second.
    pub fn bit_rates(&self, tracks: &[Track]) -> Option<(u64, u64)> {
        let rate = |bytes: u64, time: Ticks90k| bytes * 8 * TICKS_PER_SECOND as u64 / time.0.max(1) as u64;
        let (mut peak, mut bytes, mut time) = (0, 0, Ticks90k::ZERO);
        for segment in self.complete().filter(|segment| !segment.video.is_gap()) {
            let size = tracks.iter().map(|&track| segment.media(track).bytes).sum();
            peak = peak.max(rate(size, segment.video.duration));
            bytes += size;
            time += segment.video.duration;
        }
        (bytes > 0).then(|| (peak, rate(bytes, time)))
    }

    /// The longest that a segment may be without rounding to more than the target duration.
    fn longest(&self) -> Ticks90k {
        Ticks90k(self.target * Ticks90k::SECOND.0 + Ticks90k::SECOND.0 / 2 - 1)
    }

    fn segment(&self, gop: &Gop, complete: bool) -> Segment {
        let newest = self.segments.back();
        let config_id = match newest {
            Some(newest) if Arc::ptr_eq(&newest.config, &gop.config) => newest.config_id,
            _ => ConfigId::of(&gop.config),
        };
        let breaks = newest.is_some_and(|newest| {
            newest.config_id != config_id || gop.start - newest.start - newest.video.duration > MAX_HOLE
        });
        Segment {
            sequence: gop.sequence,
            start: gop.start,
            wall: gop.wall,
            discontinuity: gop.discontinuity || breaks,
            complete,
            config: Arc::clone(&gop.config),
            config_id,
            video: Media::of(gop, Track::Video, complete, self.longest()),
            audio: Media::of(gop, Track::Audio, complete, self.longest()),
        }
    }

    fn append(&mut self, gop: &Gop, complete: bool) {
        if let Some(newest) = self.segments.back_mut() {
            newest.complete = true;
        } else {
            self.discontinuity_sequence = self.discontinuity_sequence.max(gop.sequence);
        }
        let segment = self.segment(gop, complete);
        let second = segment.start.second();
        let follows = !segment.discontinuity
            && self
                .anchors
                .back()
                .is_some_and(|anchor| anchor.second + (segment.sequence - anchor.sequence) as i64 == second);
        if !follows {
            let origin = *self.origin.get_or_insert(segment.sequence);
            self.anchors.push_back(Anchor {
                sequence: segment.sequence,
                second,
                first: segment.sequence == origin,
            });
        }
        self.segments.push_back(segment);
    }

    /// Stands in for the GOPs between the newest one and `gop`, which are lost.
    fn fill(&mut self, gop: &Gop) {
        let Some(newest) = self.segments.back().cloned() else { return };
        let end = newest.start + newest.video.duration;
        let missing = gop.sequence - newest.sequence - 1;
        let each = Ticks90k((gop.start - end).0 / missing.max(1) as i64).clamp(Ticks90k(1), self.longest());
        for (index, sequence) in (newest.sequence + 1..gop.sequence).enumerate() {
            let start = end + Ticks90k(each.0 * index as i64);
            self.segments.push_back(Segment {
                sequence,
                start,
                wall: newest.wall.map(|wall| wall.plus(start - newest.start)),
                discontinuity: false,
                complete: true,
                video: Media::missing(start, each),
                audio: Media::missing(start, each),
                ..newest.clone()
            });
        }
    }

    fn remove_oldest(&mut self) {
        let Some(removed) = self.segments.pop_front() else { return };
        if removed.discontinuity {
            self.discontinuity_sequence += 1;
        }
        while self.anchors.get(1).is_some_and(|next| next.sequence <= removed.sequence + 1) {
            self.anchors.pop_front();
        }
    }
}

#[cfg(test)]
pub(crate) mod sample {
    //! GOPs to test with: 30 pictures and 47 AAC frames a second at 48 kHz, from a chosen media time.

    use super::*;
    use crate::access_unit::{AudioConfig, VideoConfig};
    use bytes::Bytes;

    /// 320x240 at 30 fps, with sound if asked for.
    pub fn config(audio: bool) -> Arc<StreamConfig> {
        let video = VideoConfig {
            width: 320,
            height: 240,
            frame_duration: Ticks90k(3000),
            sps: Bytes::from_static(&[0x67, 0x42, 0xC0, 0x0D, 0x8C, 0x8D, 0x40, 0xA0, 0xF8, 0x80]),
            pps: Bytes::from_static(&[0x68, 0xCE, 0x3C, 0x80]),
        };
        let audio = audio.then(|| AudioConfig {
            sample_rate: 48_000,
            channels: 2,
            asc: Bytes::from_static(&[0x11, 0x90]),
        });
        Arc::new(StreamConfig { video, audio })
    }

    /// GOP `sequence` in second `sequence` of media time: pictures every `interval` ticks and AAC frames in between.
    pub fn gop(config: &Arc<StreamConfig>, sequence: u64, interval: i64) -> Gop {
        let start = Ticks90k(sequence as i64 * 90_000);
        // One NAL unit of 996 bytes behind its length, or an AAC frame of 1000 bytes.
        let mut data = vec![1; 1000];
        data[..4].copy_from_slice(&996u32.to_be_bytes());
        let data = Bytes::from(data);
        let unit = |track, pts, key| AccessUnit { track, pts, key, data: data.clone() };
        let mut units: Vec<_> = (0..90_000 / interval)
            .map(|n| unit(Track::Video, start + Ticks90k(n * interval), n == 0))
            .collect();
        if config.audio.is_some() {
            let frames = (start.0 + 1919) / 1920..(start.0 + 90_000 + 1919) / 1920;
            units.extend(frames.map(|n| unit(Track::Audio, Ticks90k(n * 1920), true)));
        }
        units.sort_by_key(|unit| unit.pts);
        Gop {
            sequence,
            start,
            wall: Some(WallTime(1_795_239_600_000_000).plus(start)),
            discontinuity: false,
            config: Arc::clone(config),
            units,
            end: Some(start + Ticks90k::SECOND),
        }
    }

    /// The first `count` access units of a GOP, as they are there while it grows.
    pub fn growing(gop: &Gop, count: usize) -> Gop {
        Gop { units: gop.units[..count].to_vec(), end: None, ..gop.clone() }
    }

    /// A timeline of whole GOPs.
    pub fn timeline(config: &Arc<StreamConfig>, sequences: Range<u64>) -> Timeline {
        let mut timeline = Timeline::new(config, 120);
        for sequence in sequences {
            timeline.update(&gop(config, sequence, 3000), true);
        }
        timeline
    }
}

#[cfg(test)]
mod tests {
    use super::cut::PART;
    use super::sample::{config, gop, growing, timeline};
    use super::*;
    use crate::mp4::fragment::SegmentType;
    use crate::mp4::{Fragment, Run};
    use bytes::BytesMut;

    fn durations(parts: &[Part]) -> Vec<i64> {
        parts.iter().map(|part| part.duration.0).collect()
    }

    #[test]
    fn parts_cover_every_access_unit_once_and_obey_the_85_percent_rule() {
        for interval in [750, 1500, 3000, 3600, 3750, 6000, 7500, 9000, 18_000] {
            let mut config = (*config(true)).clone();
            config.video.frame_duration = Ticks90k(interval);
            let gop = gop(&Arc::new(config), 7, interval);
            for track in [Track::Video, Track::Audio] {
                let target = Cut::of(&gop.config, track).longest.0;
                let parts = parts(&gop, track, true);
                let count = gop.track(track).count();
                assert_eq!(
                    parts.iter().flat_map(|part| part.units.clone()).collect::<Vec<_>>(),
                    (0..count).collect::<Vec<_>>()
                );
                assert!(parts.windows(2).all(|pair| pair[0].end() == pair[1].start));
                let told = format!("{interval} {:?}", durations(&parts));
                assert!(parts.iter().all(|part| part.duration.0 <= target), "{told}");
                assert!(parts.last().is_some_and(|last| last.duration > PART), "{told}");
                let mut bound = parts[..parts.len() - 1].iter().filter(|part| !part.independent);
                assert!(bound.all(|part| part.duration.0 * 100 >= target * 85), "{told}");
            }
        }
    }

    #[test]
    fn the_last_part_of_a_second_of_sound_takes_the_crumbs() {
        for (rate, counts) in [
            (48_000, [9, 9, 9, 9, 11].as_slice()),
            (32_000, &[6, 6, 6, 6, 8]),
            (24_000, &[5, 5, 5, 5, 4]),
            (16_000, &[3, 3, 3, 3, 4]),
        ] {
            let mut config = (*config(true)).clone();
            config.audio.as_mut().unwrap().sample_rate = rate;
            let mut gop = gop(&Arc::new(config), 0, 3000);
            let frame = gop.units.iter().find(|unit| unit.track == Track::Audio).unwrap().clone();
            gop.units.retain(|unit| unit.track == Track::Video);
            let times = (0..).map(|n| Ticks90k(n * 1024 * 90_000 / i64::from(rate)));
            let times = times.take_while(|&pts| pts < Ticks90k::SECOND);
            gop.units.extend(times.map(|pts| AccessUnit { pts, ..frame.clone() }));
            let parts = parts(&gop, Track::Audio, true);
            assert_eq!(parts.iter().map(|part| part.units.len()).collect::<Vec<_>>(), counts, "{rate}");
            let longest = Cut::of(&gop.config, Track::Audio).longest;
            assert!(parts.iter().all(|part| part.duration <= longest), "{rate}: {:?}", durations(&parts));
        }
    }

    #[test]
    fn jitter_of_the_camera_does_not_change_how_many_pictures_a_part_has() {
        let mut gop = gop(&config(false), 7, 3000);
        for (index, unit) in gop.units.iter_mut().enumerate().skip(1) {
            unit.pts += Ticks90k([700, -700, 0, 600, -300][index % 5]);
        }
        let counts: Vec<_> = parts(&gop, Track::Video, true).iter().map(|part| part.units.len()).collect();
        assert_eq!(counts, [2, 7, 7, 7, 7]);
    }

    #[test]
    fn a_growing_gop_shows_a_part_once_the_next_one_has_begun() {
        let whole = gop(&config(false), 7, 3000);
        let shown = |count| parts(&growing(&whole, count), Track::Video, false).len();
        assert_eq!([0, 1, 2, 3, 9, 10, 17, 30].map(shown), [0, 0, 0, 0, 0, 2, 3, 4], "the first two at once");
        let all = parts(&whole, Track::Video, true);
        assert_eq!(
            parts(&growing(&whole, 10), Track::Video, false),
            all[..2],
            "a part never changes once it is shown"
        );
        assert_eq!(
            all.iter().map(|part| part.independent).collect::<Vec<_>>(),
            [true, false, false, false, false]
        );
        assert_eq!(all[1].units_of(&whole, Track::Video).count(), 7);
    }

    #[test]
    fn the_list_is_bounded_and_counts_the_discontinuities_that_leave_it() {
        let config = config(true);
        let mut timeline = Timeline::new(&config, 5);
        for sequence in 10..20 {
            let gop = Gop { discontinuity: sequence % 4 == 0, ..gop(&config, sequence, 3000) };
            timeline.update(&growing(&gop, 40), false);
            assert_eq!(timeline.open().map(|open| open.sequence), Some(sequence));
            timeline.update(&gop, true);
        }
        assert_eq!(
            timeline.segments().map(|segment| segment.sequence).collect::<Vec<_>>(),
            [15, 16, 17, 18, 19]
        );
        assert_eq!(timeline.discontinuity_sequence(), 11, "first sequence 10, and 12 has left");
        assert_eq!(timeline.anchors().map(|anchor| anchor.sequence).collect::<Vec<_>>(), [12, 16]);
        timeline.expire(18);
        assert_eq!(timeline.discontinuity_sequence(), 12);
        assert_eq!(
            timeline.anchors().collect::<Vec<_>>(),
            [Anchor { sequence: 16, second: 16, first: false }]
        );
        assert_eq!(timeline.get(19).map(|segment| segment.sequence), Some(19));
        assert!(timeline.get(17).is_none() && timeline.get(20).is_none());
    }

    #[test]
    fn a_second_leads_to_its_segment_but_not_into_a_hole() {
        let config = config(false);
        let mut timeline = Timeline::new(&config, 6);
        for sequence in 100..108 {
            let later = if sequence < 105 { 0 } else { 40 };
            timeline.update(&Gop { sequence, ..gop(&config, sequence + later, 3000) }, true);
        }
        let found =
            [99, 101, 102, 104, 105, 144, 145, 147, 148, 200].map(|second| timeline.sequence_at(second));
        let expected =
            [None, None, Some(102), Some(104), None, None, Some(105), Some(107), Some(108), Some(160)];
        assert_eq!(found, expected);
    }

    #[test]
    fn lost_gops_are_gaps_and_a_jump_too_far_begins_anew() {
        let config = config(true);
        let mut timeline = timeline(&config, 10..12);
        timeline.update(&gop(&config, 14, 3000), true);
        let shape = |timeline: &Timeline| {
            timeline
                .segments()
                .map(|s| (s.sequence, s.video.is_gap(), s.discontinuity, s.video.duration.0))
                .collect::<Vec<_>>()
        };
        let whole = |sequence| (sequence, false, false, 90_000);
        let gap = |sequence| (sequence, true, false, 90_000);
        assert_eq!(shape(&timeline), [whole(10), whole(11), gap(12), gap(13), whole(14)]);
        timeline.update(&gop(&config, 14 + MAX_MISSING + 1, 3000), true);
        assert_eq!(shape(&timeline), [whole(31)]);
        timeline.update(&gop(&config, 3, 3000), true);
        assert_eq!(shape(&timeline), [whole(3)]);
    }

    #[test]
    fn a_hole_in_the_picture_is_a_discontinuity_and_no_segment_exceeds_the_target_duration() {
        let config = config(false);
        let mut timeline = timeline(&config, 10..11);
        let mut stalled = gop(&config, 11, 3000);
        stalled.end = Some(stalled.start + Ticks90k::from_millis(2800));
        timeline.update(&stalled, true);
        let mut after = gop(&config, 12, 3000);
        after.start += Ticks90k::from_millis(1800);
        timeline.update(&after, true);
        let last: Vec<_> = timeline.segments().map(|s| (s.video.duration.0, s.discontinuity)).collect();
        assert_eq!(last, [(90_000, false), (134_999, false), (90_000, true)]);
        assert_eq!(timeline.target_duration(), 1);
    }

    #[test]
    fn silence_of_the_microphone_is_a_gap_in_the_sound_alone() {
        let config = config(true);
        let mut quiet = gop(&config, 10, 3000);
        quiet.units.retain(|unit| unit.track == Track::Video);
        let mut timeline = timeline(&config, 9..10);
        timeline.update(&quiet, true);
        let segment = timeline.get(10).unwrap();
        assert!(segment.audio.is_gap() && !segment.video.is_gap() && !segment.discontinuity);
        assert_eq!(segment.audio.duration, segment.video.duration);
    }

    #[test]
    fn another_configuration_has_another_name_and_breaks_the_stream() {
        let mut timeline = timeline(&config(true), 10..12);
        timeline.update(&gop(&config(false), 12, 3000), true);
        let segment = timeline.get(12).unwrap().clone();
        assert!(segment.discontinuity);
        assert_eq!(timeline.config(segment.config_id), Some(&segment.config));
        assert_ne!(segment.config_id, timeline.get(11).unwrap().config_id);
        assert_eq!(segment.config_id.to_string().parse(), Ok(segment.config_id));
        assert_eq!(ConfigId::of(&config(false)).to_string(), ConfigId::of(&segment.config).to_string());
    }

    #[test]
    fn what_is_sent_is_never_more_than_the_bytes_that_bandwidths_are_told_from() {
        let config = config(true);
        let gop = gop(&config, 7, 3000);
        let timeline = timeline(&config, 7..8);
        for track in [Track::Video, Track::Audio] {
            let mut sent = BytesMut::new();
            for part in parts(&gop, track, true) {
                let units = part.units_of(&gop, track);
                let run = Run { track, origin: Ticks90k::ZERO, units, end: part.end() };
                let segment = Some(SegmentType::Segment);
                let fragment =
                    Fragment { config: &config, sequence: 1, segment, captured: gop.wall, runs: [run] };
                fragment.write(&mut sent).unwrap();
            }
            let told = timeline.get(7).unwrap().media(track).bytes;
            assert!(
                sent.len() as u64 <= told && told < sent.len() as u64 * 102 / 100,
                "{track:?}: {told}, {}",
                sent.len()
            );
        }
    }

    #[test]
    fn bit_rates_are_the_bytes_of_both_tracks_over_time() {
        let config = config(true);
        let both = [Track::Video, Track::Audio];
        assert_eq!(Timeline::new(&config, 9).bit_rates(&both), None);
        let (peak, average) = timeline(&config, 10..14).bit_rates(&both).unwrap();
        let bytes = |units: u64| (units * 1016 + 10 * PART_OVERHEAD) * 8;
        assert_eq!(peak, bytes(30 + 47));
        assert!((bytes(30 + 46)..=peak).contains(&average), "{average}");
    }
}

//! The live Media Presentation Description of MPEG-DASH (ISO/IEC 23009-1), low latency by chunks (its clause on
//! `@availabilityTimeComplete`, and the DASH-IF low-latency guidelines).
//!
//! ```text
//! MPD@availabilityStartTime ── the wall time of media time 0, so that MPD time is media time
//!  ├─ Period 41  start = 0          ── segment N: [second N, one second later)
//!  └─ Period 97  start = second 99  ── the same, after a discontinuity or with another configuration
//! ```
//!
//! A segment's number is the whole second of media time in which its GOP starts: GOPs start within a frame of a whole second and
//! never drift from it. So a length of one second (`@duration`) is right for ever, number and time follow from each other without
//! a list, and a player can ask for the segment that grows without having read a new MPD. A `SegmentTimeline` would have to
//! name that segment before its length is known, and to be fetched once a second. The bytes are those of HLS: a chunk is a part,
//! a segment is its parts.
//!
//! The first Period starts with media time itself, though its first segments are long gone: FFmpeg's player forgets the start of
//! the Period in half of its sums, and is right where that is 0.
//!
//! All times are on one clock, that of `UTCTiming`, which the same server answers ([`utc_time`]). It must not jump while players
//! hold an MPD: take the mapping from media time to wall time once, and keep it for both.

use crate::access_unit::{StreamConfig, Track};
use crate::hls::Resource;
use crate::time::{TICKS_PER_SECOND, Ticks90k, WallMapping};
use crate::timeline::{Anchor, Segment, Timeline};
use std::fmt::{self, Write};

/// Path of the clock, relative to the MPD. Its answer is [`utc_time`].
pub const CLOCK: &str = "utc";
const CLOCK_SCHEME: &str = "urn:mpeg:dash:utc:http-iso:2014";

/// Milliseconds behind live: the least that players may try, what they aim at, and what they may fall back to.
const LATENCY_MIN: u32 = 500;
const LATENCY_TARGET: u32 = 1000;
const LATENCY_MAX: u32 = 3000;

/// What the clock answers at media time `now`: a date that `urn:mpeg:dash:utc:http-iso:2014` takes.
pub fn utc_time(clock: &WallMapping, now: Ticks90k) -> String {
    clock.wall_of(now).rfc3339()
}

/// The MPD. `clock` is the mapping of [`utc_time`]; without a wall clock, any that stays the same. `None` until a first segment
/// has ended: bandwidths are measured.
pub fn manifest(timeline: &Timeline, clock: &WallMapping, title: &str) -> Option<String> {
    let periods = periods(timeline);
    let newest = periods.last()?;
    let end = timeline.complete().next_back().map(|last| last.start + last.video.duration)?;
    let depth = end - timeline.segments().next()?.start;
    let mut xml = String::with_capacity(1024 + 2048 * periods.len());
    // Writing to a String cannot fail.
    let _ = writeln!(
        xml,
        r#"<?xml version="1.0" encoding="UTF-8"?>
<MPD xmlns="urn:mpeg:dash:schema:mpd:2011" profiles="urn:mpeg:dash:profile:isoff-live:2011" type="dynamic" availabilityStartTime="{}" publishTime="{}" minimumUpdatePeriod="PT2S" minBufferTime="PT1S" timeShiftBufferDepth="PT{}S" maxSegmentDuration="PT{}S" suggestedPresentationDelay="PT2S">
  <ProgramInformation><Title>{}</Title></ProgramInformation>
  <ServiceDescription id="0"><Latency referenceId="0" target="{LATENCY_TARGET}" max="{LATENCY_MAX}" min="{LATENCY_MIN}"/><PlaybackRate max="1.04" min="0.96"/></ServiceDescription>"#,
        clock.wall_of(Ticks90k::ZERO).rfc3339(),
        clock.wall_of(Ticks90k(newest.anchor.second * TICKS_PER_SECOND)).rfc3339(),
        depth.0 / TICKS_PER_SECOND,
        timeline.target_duration(),
        Escaped(title),
    );
    for (index, period) in periods.iter().enumerate() {
        period.write(&mut xml, timeline, clock, periods.get(index + 1))?;
    }
    let _ = writeln!(xml, "  <UTCTiming schemeIdUri=\"{CLOCK_SCHEME}\" value=\"{CLOCK}\"/>\n</MPD>");
    Some(xml)
}

/// A stretch of segments without a break.
struct Period<'a> {
    anchor: Anchor,
    /// The first of its segments that is still listed.
    first: &'a Segment,
}

/// A stretch in which no second begins before the next stretch does has no room in a grid of seconds, and is left out.
fn periods(timeline: &Timeline) -> Vec<Period<'_>> {
    let anchors: Vec<_> = timeline.anchors().collect();
    let room = |index: usize, second| anchors.iter().skip(index + 1).all(|later| later.second > second);
    let first = |sequence| timeline.segments().find(|segment| segment.sequence >= sequence);
    let roomy = anchors.iter().enumerate().filter(|(index, anchor)| room(*index, anchor.second));
    roomy.filter_map(|(_, &anchor)| Some(Period { anchor, first: first(anchor.sequence)? })).collect()
}

impl Period<'_> {
    /// The whole second of media time with which it starts.
    fn second(&self) -> i64 {
        if self.anchor.first { 0 } else { self.anchor.second }
    }

    fn start(&self) -> Ticks90k {
        Ticks90k(self.second() * TICKS_PER_SECOND)
    }

    /// Whole seconds to the end of its last segment, or to the next Period if that comes first.
    fn duration(&self, timeline: &Timeline, next: &Anchor) -> i64 {
        let last = timeline.segments().take_while(|segment| segment.sequence < next.sequence).last();
        let segments = last.map_or(0, |last| last.sequence.saturating_sub(self.anchor.sequence) as i64 + 1);
        self.anchor.second - self.second() + segments.min(next.second - self.anchor.second)
    }

    fn write(
        &self,
        xml: &mut String,
        timeline: &Timeline,
        clock: &WallMapping,
        next: Option<&Self>,
    ) -> Option<()> {
        let _ = write!(xml, "  <Period id=\"{}\" start=\"PT{}S\"", self.anchor.sequence, self.second());
        if let Some(next) = next {
            let _ = write!(xml, " duration=\"PT{}S\"", self.duration(timeline, &next.anchor));
        }
        xml.push_str(">\n");
        self.write_set(xml, timeline, clock, Track::Video)?;
        if self.first.config.audio.is_some() {
            self.write_set(xml, timeline, clock, Track::Audio)?;
        }
        xml.push_str("  </Period>\n");
        Some(())
    }

    fn write_set(
        &self,
        xml: &mut String,
        timeline: &Timeline,
        clock: &WallMapping,
        track: Track,
    ) -> Option<()> {
        let (kind, id) = match track {
            Track::Video => ("video", 0),
            Track::Audio => ("audio", 1),
        };
        let (bandwidth, _) = timeline.bit_rates(&[track])?;
        // From the first chunk on: a part ends when the access unit behind it is there.
        let early = Ticks90k::SECOND - timeline.part_target(track) - self.first.config.video.frame_duration;
        let _ = writeln!(
            xml,
            r#"    <AdaptationSet id="{id}" contentType="{kind}" mimeType="{kind}/mp4" segmentAlignment="true" startWithSAP="1">
      <ProducerReferenceTime id="{id}" type="captured" wallClockTime="{}" presentationTime="{offset}"><UTCTiming schemeIdUri="{CLOCK_SCHEME}" value="{CLOCK}"/></ProducerReferenceTime>
      <SegmentTemplate timescale="{TICKS_PER_SECOND}" duration="{TICKS_PER_SECOND}" startNumber="{}" presentationTimeOffset="{offset}" availabilityTimeOffset="{:.3}" availabilityTimeComplete="false" initialization="{}" media="{kind}-s$Number$.m4s"/>
      <Representation id="{kind}" bandwidth="{bandwidth}" {}
    </AdaptationSet>"#,
            clock.wall_of(self.start()).rfc3339(),
            self.second(),
            Ticks90k(early.0.max(0)).as_secs_f64(),
            Resource::Init(track, self.first.config_id),
            representation(&self.first.config, track),
            offset = self.start().0,
        );
        Some(())
    }
}

/// The rest of a Representation: attributes and content.
fn representation(config: &StreamConfig, track: Track) -> String {
    let StreamConfig { video, audio } = config;
    match (track, audio) {
        (Track::Audio, Some(audio)) => format!(
            r#"codecs="{}" audioSamplingRate="{}"><AudioChannelConfiguration schemeIdUri="urn:mpeg:dash:23003:3:audio_channel_configuration:2011" value="{}"/></Representation>"#,
            audio.codec(),
            audio.sample_rate,
            audio.channels
        ),
        _ => format!(
            r#"codecs="{}" width="{}" height="{}" frameRate="{TICKS_PER_SECOND}/{}"/>"#,
            video.codec(),
            video.width,
            video.height,
            video.frame_duration.0.max(1)
        ),
    }
}

/// Character data of XML 1.0 (2.4), without the control characters that XML has no way to say (2.2).
struct Escaped<'a>(&'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|c| match c {
            '<' => f.write_str("&lt;"),
            '>' => f.write_str("&gt;"),
            '&' => f.write_str("&amp;"),
            '"' => f.write_str("&quot;"),
            c if c.is_control() || matches!(c, '\u{FFFE}' | '\u{FFFF}') => f.write_char(' '),
            c => f.write_char(c),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::timeline::sample::{config, gop, growing, timeline};
    use crate::{Gop, WallTime};

    const CLOCK_1: WallMapping =
        WallMapping { media: Ticks90k(9_000_000), wall: WallTime(1_795_239_700_000_000) };

    /// `id`, `start` and `duration` of each Period.
    fn periods_of(timeline: &Timeline) -> Vec<[String; 3]> {
        let xml = manifest(timeline, &CLOCK_1, "Door").unwrap();
        let value = |tag: &str, name: &str| {
            let after = tag.split_once(&format!(" {name}=\"")).map_or("", |(_, after)| after);
            after.split('"').next().unwrap_or("").to_owned()
        };
        let tags = xml.split("<Period").skip(1).filter_map(|after| after.split('>').next());
        tags.map(|tag| ["id", "start", "duration"].map(|name| value(tag, name))).collect()
    }

    #[test]
    fn the_manifest_is_this_text() {
        let mut timeline = timeline(&config(true), 100..105);
        timeline.update(&growing(&gop(&config(true), 105, 3000), 40), false);
        let xml = manifest(&timeline, &CLOCK_1, "Tom & Ann's <door>\n").unwrap();
        assert_eq!(xml, include_str!("testdata/manifest.mpd"));
        assert_eq!(manifest(&Timeline::new(&config(true), 9), &CLOCK_1, ""), None);
    }

    #[test]
    fn a_break_begins_a_new_period_and_the_old_one_keeps_its_anchor_when_segments_leave() {
        let config = config(true);
        let mut timeline = Timeline::new(&config, 6);
        for sequence in 100..110 {
            let late = if sequence >= 106 { 50 } else { 0 };
            let moved = gop(&config, sequence + late, 3000);
            timeline.update(&Gop { sequence, discontinuity: sequence == 106, ..moved }, true);
        }
        assert_eq!(periods_of(&timeline), [["100", "PT0S", "PT106S"], ["106", "PT156S", ""]]);
    }

    #[test]
    fn a_restart_within_the_same_second_leaves_no_periods_that_overlap() {
        let config = config(false);
        let mut timeline = timeline(&config, 100..103);
        for (sequence, start) in [(103, 102.9), (104, 103.5), (105, 103.8), (106, 104.0)] {
            let start = Ticks90k((start * 90_000.0) as i64);
            let discontinuity = sequence != 106;
            timeline.update(&Gop { sequence, start, discontinuity, ..gop(&config, sequence, 3000) }, true);
        }
        let expected = [["100", "PT0S", "PT102S"], ["103", "PT102S", "PT1S"], ["105", "PT103S", ""]];
        assert_eq!(periods_of(&timeline), expected, "104 has no second of its own");
    }

    #[test]
    fn a_camera_without_microphone_has_no_audio_set() {
        let xml = manifest(&timeline(&config(false), 100..103), &CLOCK_1, "Door").unwrap();
        assert_eq!((xml.matches("<AdaptationSet").count(), xml.contains("audio")), (1, false));
    }

    #[test]
    fn the_clock_answers_in_the_time_of_the_manifest() {
        assert_eq!(utc_time(&CLOCK_1, Ticks90k(9_000_000)), "2026-11-21T05:41:40.000Z");
    }
}

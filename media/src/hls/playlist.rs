//! Playlists as text: the multivariant playlist (4.4.6), the low-latency media playlists over CMAF and the plain one over
//! MPEG-TS (4.4.1 to 4.4.5).
//!
//! The media playlists of both tracks list the same segments under the same numbers, with the same discontinuities and the
//! same `EXT-X-SERVER-CONTROL`, as 6.2.4 asks of renditions. (`let _ = writeln!`: writing to a `String` cannot fail.)

use super::{Resource, track_name};
use crate::access_unit::Track;
use crate::time::{TICKS_PER_SECOND, Ticks90k};
use crate::timeline::{Part, Segment, Timeline};
use std::fmt::{self, Display, Write};

/// Seconds with five decimals: an error of half a tick at most, so that sums over a playlist stay exact enough.
pub(super) struct Seconds(pub(super) Ticks90k);

impl Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.5}", self.0.as_secs_f64())
    }
}

/// The multivariant playlist: one variant, its sound as a rendition of its own. `None` until a first segment has ended: its
/// bandwidth is measured.
pub fn master(timeline: &Timeline) -> Option<String> {
    let (peak, average) = timeline.bit_rates(&[Track::Video, Track::Audio])?;
    let config = &timeline.segments().next_back()?.config;
    let mut text = String::from("#EXTM3U\n#EXT-X-VERSION:6\n#EXT-X-INDEPENDENT-SEGMENTS\n");
    let mut audio_group = "";
    if let Some(audio) = &config.audio {
        audio_group = ",AUDIO=\"audio\"";
        let _ = writeln!(
            text,
            "#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"audio\",NAME=\"Microphone\",DEFAULT=YES,AUTOSELECT=YES,CHANNELS=\"{}\",URI=\"audio.m3u8\"",
            audio.channels
        );
    }
    let video = &config.video;
    let _ = writeln!(
        text,
        "#EXT-X-STREAM-INF:BANDWIDTH={peak},AVERAGE-BANDWIDTH={average},CODECS=\"{}\",RESOLUTION={}x{},FRAME-RATE={:.3}{audio_group}\nvideo.m3u8",
        config.codecs(),
        video.width,
        video.height,
        TICKS_PER_SECOND as f64 / video.frame_duration.0.max(1) as f64,
    );
    Some(text)
}

/// The low-latency media playlist of one track. With `skip` a delta update (6.2.5.1), if there is anything to leave out.
pub fn media(timeline: &Timeline, track: Track, skip: bool) -> String {
    let skipped = if skip { skippable(timeline, track) } else { 0 };
    let mut text = String::with_capacity(1024 + 128 * timeline.segments().len());
    header(&mut text, timeline, if skipped > 0 { 9 } else { 6 }, Some(track));
    if skipped > 0 {
        let _ = writeln!(text, "#EXT-X-SKIP:SKIPPED-SEGMENTS={skipped}");
    }
    let parts_from = first_with_parts(timeline, track);
    let mut config = None;
    for segment in timeline.segments().skip(skipped) {
        let media = segment.media(track);
        if !segment.complete && media.is_gap() {
            break;
        }
        if segment.discontinuity {
            text.push_str("#EXT-X-DISCONTINUITY\n");
        }
        if config.replace(segment.config_id) != Some(segment.config_id) {
            let _ = writeln!(text, "#EXT-X-MAP:URI=\"{}\"", Resource::Init(track, segment.config_id));
        }
        date(&mut text, segment, media.start);
        if segment.sequence >= parts_from {
            write_parts(&mut text, timeline, segment, track);
        }
        if segment.complete {
            ended(&mut text, media.duration, media.is_gap(), Resource::Segment(track, segment.sequence));
        }
    }
    live_edge(&mut text, timeline, track);
    text
}

/// The media playlist over MPEG-TS: both tracks in one segment, no parts, for players that know nothing newer.
pub fn ts(timeline: &Timeline) -> String {
    let mut text = String::with_capacity(256 + 96 * timeline.segments().len());
    header(&mut text, timeline, 3, None);
    for segment in timeline.complete() {
        if segment.discontinuity {
            text.push_str("#EXT-X-DISCONTINUITY\n");
        }
        date(&mut text, segment, segment.start);
        ended(&mut text, segment.video.duration, segment.video.is_gap(), Resource::Ts(segment.sequence));
    }
    text
}

/// The last part that a track has: its segment's number and its own. A segment that ended without footage counts as one
/// without parts.
pub(super) fn last_part(timeline: &Timeline, track: Track) -> Option<(u64, Option<u32>)> {
    let listed = |segment: &&Segment| segment.complete || !segment.media(track).is_gap();
    let last = timeline.segments().rev().find(listed)?;
    Some((last.sequence, (last.media(track).parts.len() as u32).checked_sub(1)))
}

fn header(text: &mut String, timeline: &Timeline, version: u8, low_latency: Option<Track>) {
    let target = timeline.target_duration();
    let _ = writeln!(text, "#EXTM3U\n#EXT-X-VERSION:{version}\n#EXT-X-TARGETDURATION:{target}");
    if let Some(track) = low_latency {
        let longest_part = timeline.part_target(Track::Video).max(timeline.part_target(Track::Audio));
        let _ = writeln!(
            text,
            "#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,CAN-SKIP-UNTIL={}.0,HOLD-BACK={}.0,PART-HOLD-BACK={}\n\
             #EXT-X-PART-INF:PART-TARGET={}",
            6 * target,
            3 * target,
            Seconds(Ticks90k(longest_part.0 * 5 / 2)),
            Seconds(timeline.part_target(track)),
        );
    }
    let _ = writeln!(
        text,
        "#EXT-X-MEDIA-SEQUENCE:{}\n#EXT-X-DISCONTINUITY-SEQUENCE:{}\n#EXT-X-INDEPENDENT-SEGMENTS",
        timeline.segments().next().map_or(0, |first| first.sequence),
        timeline.discontinuity_sequence()
    );
}

/// `EXT-X-PROGRAM-DATE-TIME` dates the first sample of the segment (4.4.4.6), which for sound is not that of the picture.
fn date(text: &mut String, segment: &Segment, first: Ticks90k) {
    if let Some(wall) = segment.wall {
        let _ = writeln!(text, "#EXT-X-PROGRAM-DATE-TIME:{}", wall.plus(first - segment.start).rfc3339());
    }
}

fn ended(text: &mut String, duration: Ticks90k, gap: bool, resource: Resource) {
    let _ = writeln!(text, "#EXTINF:{},", Seconds(duration));
    if gap {
        text.push_str("#EXT-X-GAP\n");
    }
    let _ = writeln!(text, "{resource}");
}

fn write_parts(text: &mut String, timeline: &Timeline, segment: &Segment, track: Track) {
    let target = timeline.part_target(track);
    for (index, Part { duration, independent, .. }) in segment.media(track).parts.iter().enumerate() {
        // A camera that stalls makes a part longer than it may be called.
        let _ = writeln!(
            text,
            "#EXT-X-PART:DURATION={},URI=\"{}\"{}",
            Seconds((*duration).min(target)),
            Resource::Part(track, segment.sequence, index as u32),
            if *independent { ",INDEPENDENT=YES" } else { "" },
        );
    }
}

/// The part to ask for next, and how far the other track is.
fn live_edge(text: &mut String, timeline: &Timeline, track: Track) {
    let next = match timeline.open() {
        Some(open) => (open.sequence, open.media(track).parts.len() as u32),
        None => (timeline.segments().next_back().map_or(0, |last| last.sequence + 1), 0),
    };
    let _ = writeln!(text, "#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"{}\"", Resource::Part(track, next.0, next.1));
    let other = if track == Track::Video { Track::Audio } else { Track::Video };
    let has_audio = timeline.segments().next_back().is_some_and(|last| last.config.audio.is_some());
    if let Some((sequence, part)) = last_part(timeline, other).filter(|_| has_audio) {
        let _ =
            write!(text, "#EXT-X-RENDITION-REPORT:URI=\"{}.m3u8\",LAST-MSN={sequence}", track_name(other));
        if let Some(part) = part {
            let _ = write!(text, ",LAST-PART={part}");
        }
        text.push('\n');
    }
}

/// How many segments lie wholly further from the end of the last ended segment than the skip boundary (6.2.5.1).
fn skippable(timeline: &Timeline, track: Track) -> usize {
    let first_kept = first_within(timeline, track, 6 * timeline.target_duration(), Ticks90k::ZERO);
    timeline.segments().take_while(|segment| segment.sequence < first_kept).count()
}

/// The first segment whose parts are still listed: those within three target durations of the end of the playlist (6.2.2).
fn first_with_parts(timeline: &Timeline, track: Track) -> u64 {
    let open = timeline.open().map_or(Ticks90k::ZERO, |open| open.media(track).duration);
    first_within(timeline, track, 3 * timeline.target_duration(), open)
}

/// The first ended segment that ends at most `seconds` before a point that lies `behind` after the last one; the open segment
/// if there is none.
fn first_within(timeline: &Timeline, track: Track, seconds: i64, mut behind: Ticks90k) -> u64 {
    let mut first = timeline.segments().next_back().map_or(0, |last| last.sequence);
    for segment in timeline.complete().rev() {
        if behind > Ticks90k(seconds * TICKS_PER_SECOND) {
            break;
        }
        first = segment.sequence;
        behind += segment.media(track).duration;
    }
    first
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Gop;
    use crate::timeline::sample::{config, gop, growing, timeline};

    /// Segments 100 to 104, the second after a discontinuity, and 105 growing.
    fn live(audio: bool) -> Timeline {
        let config = config(audio);
        let mut timeline = Timeline::new(&config, 120);
        for sequence in 100..105 {
            timeline.update(&Gop { discontinuity: sequence == 101, ..gop(&config, sequence, 3000) }, true);
        }
        timeline.update(&growing(&gop(&config, 105, 3000), if audio { 40 } else { 16 }), false);
        timeline
    }

    #[test]
    fn the_multivariant_playlist_names_codecs_rates_and_the_audio_group() {
        assert_eq!(
            master(&live(true)).unwrap(),
            r#"#EXTM3U
#EXT-X-VERSION:6
#EXT-X-INDEPENDENT-SEGMENTS
#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="audio",NAME="Microphone",DEFAULT=YES,AUTOSELECT=YES,CHANNELS="2",URI="audio.m3u8"
#EXT-X-STREAM-INF:BANDWIDTH=638656,AVERAGE-BANDWIDTH=637030,CODECS="avc1.42C00D,mp4a.40.2",RESOLUTION=320x240,FRAME-RATE=30.000,AUDIO="audio"
video.m3u8
"#
        );
        let silent = master(&live(false)).unwrap();
        assert!(
            silent.ends_with("CODECS=\"avc1.42C00D\",RESOLUTION=320x240,FRAME-RATE=30.000\nvideo.m3u8\n"),
            "{silent}"
        );
        assert_eq!(master(&Timeline::new(&config(true), 9)), None);
    }

    #[test]
    fn the_media_playlist_is_this_text() {
        assert_eq!(media(&live(true), Track::Video, false), include_str!("testdata/video.m3u8"));
        assert_eq!(media(&live(true), Track::Audio, false), include_str!("testdata/audio.m3u8"));
    }

    #[test]
    fn a_delta_update_leaves_out_what_lies_behind_the_skip_boundary() {
        let config = config(false);
        let timeline = timeline(&config, 100..120);
        let text = media(&timeline, Track::Video, true);
        assert!(text.starts_with("#EXTM3U\n#EXT-X-VERSION:9\n"), "{text}");
        assert!(text.contains("#EXT-X-MEDIA-SEQUENCE:100\n"), "{text}");
        let after = text.split_once("#EXT-X-SKIP:SKIPPED-SEGMENTS=13\n").unwrap().1;
        assert!(after.starts_with("#EXT-X-MAP:URI=\"video-"), "{after}");
        let first = after.lines().find(|line| !line.starts_with('#'));
        assert_eq!(
            first,
            Some("video-113.m4s"),
            "segment 112 ends 7 s before the end, 113 ends 6 s before it"
        );
        let few = self::timeline(&config, 100..106);
        assert_eq!(media(&few, Track::Video, true), media(&few, Track::Video, false));
    }

    #[test]
    fn what_was_taken_before_the_clock_was_set_has_its_date_once_it_is() {
        let config = config(true);
        let mut timeline = Timeline::new(&config, 120);
        for sequence in 100..104 {
            let wall = gop(&config, sequence, 3000).wall.filter(|_| sequence == 103);
            assert!(!ts(&timeline).contains("PROGRAM-DATE-TIME"));
            timeline.update(&Gop { wall, ..gop(&config, sequence, 3000) }, true);
        }
        assert_eq!(ts(&timeline), ts(&self::timeline(&config, 100..104)));
    }

    #[test]
    fn the_transport_stream_playlist_has_no_parts_and_marks_lost_gops() {
        let config = config(true);
        let mut timeline = timeline(&config, 100..102);
        timeline.update(&Gop { wall: None, ..gop(&config, 103, 3000) }, true);
        assert_eq!(
            ts(&timeline),
            "\
#EXTM3U
#EXT-X-VERSION:3
#EXT-X-TARGETDURATION:1
#EXT-X-MEDIA-SEQUENCE:100
#EXT-X-DISCONTINUITY-SEQUENCE:100
#EXT-X-INDEPENDENT-SEGMENTS
#EXT-X-PROGRAM-DATE-TIME:2026-11-21T05:41:40.000Z
#EXTINF:1.00000,
100.ts
#EXT-X-PROGRAM-DATE-TIME:2026-11-21T05:41:41.000Z
#EXTINF:1.00000,
101.ts
#EXT-X-PROGRAM-DATE-TIME:2026-11-21T05:41:42.000Z
#EXTINF:1.00000,
#EXT-X-GAP
102.ts
#EXTINF:1.00000,
103.ts
"
        );
    }

    #[test]
    fn m3u8_rs_reads_them_all() {
        let timeline = live(true);
        for track in [Track::Video, Track::Audio] {
            let text = media(&timeline, track, false);
            let (_, list) = m3u8_rs::parse_media_playlist(text.as_bytes()).unwrap();
            assert_eq!((list.media_sequence, list.segments.len(), list.target_duration), (100, 5, 1));
            assert_eq!(list.discontinuity_sequence, 100);
            assert!(list.segments[1].discontinuity && list.segments[0].map.is_some());
            assert!((list.segments[2].duration - 1.0).abs() < 0.03);
        }
        let text = master(&timeline).unwrap();
        let (_, list) = m3u8_rs::parse_master_playlist(text.as_bytes()).unwrap();
        assert_eq!(list.variants[0].audio.as_deref(), Some("audio"));
        assert_eq!(list.alternatives[0].uri.as_deref(), Some("audio.m3u8"));
    }
}

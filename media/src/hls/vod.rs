//! Playlists of a recording that is over (RFC 8216bis): everything is there, nothing will be added.
//!
//! ```text
//! NAME.m3u8 ── NAME-out.m3u8 ── NAME-<camera>-0.ts   NAME-<camera>-1.ts ...
//! ```
//!
//! (`let _ = writeln!`: writing to a `String` cannot fail.)

use super::playlist::Seconds;
use crate::time::{TICKS_PER_SECOND, Ticks90k, WallTime};
use std::fmt::{self, Display, Write};

/// A segment of a recording.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Its file's name.
    pub name: String,
    /// From its first picture to that of the next segment.
    pub duration: Ticks90k,
    /// Size of the file.
    pub bytes: u64,
    /// Time does not follow on from the segment before.
    pub discontinuity: bool,
    /// When it began, if that is known.
    pub date: Option<WallTime>,
}

/// What the multivariant playlist says of the one variant.
#[derive(Clone, Debug, PartialEq)]
pub struct Variant {
    /// The `codecs` parameter of RFC 6381.
    pub codecs: String,
    /// Width, height, and pictures a second.
    pub picture: Option<(u16, u16, f64)>,
}

/// A relative URI (RFC 3986, 4.2) of a file's name: what is not unreserved is percent-encoded.
struct Uri<'a>(&'a str);

impl Display for Uri<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for byte in self.0.bytes() {
            match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                    f.write_char(char::from(byte))?;
                }
                _ => write!(f, "%{byte:02X}")?,
            }
        }
        Ok(())
    }
}

/// `EXT-X-TARGETDURATION`: no segment's duration, rounded, is longer (4.4.3.1). Whole seconds.
pub fn target_duration(segments: &[Segment]) -> i64 {
    let rounded = |segment: &Segment| (segment.duration.0 + TICKS_PER_SECOND / 2) / TICKS_PER_SECOND;
    segments.iter().map(rounded).max().unwrap_or(0).max(1)
}

/// The sum of the segments' durations.
pub fn duration(segments: &[Segment]) -> Ticks90k {
    Ticks90k(segments.iter().map(|segment| segment.duration.0).sum())
}

/// The media playlist.
pub fn media(segments: &[Segment]) -> String {
    let target = target_duration(segments);
    let mut text = String::with_capacity(256 + 128 * segments.len());
    let _ = writeln!(
        text,
        "#EXTM3U\n#EXT-X-VERSION:6\n#EXT-X-TARGETDURATION:{target}\n#EXT-X-MEDIA-SEQUENCE:0\n\
         #EXT-X-PLAYLIST-TYPE:VOD\n#EXT-X-INDEPENDENT-SEGMENTS"
    );
    for segment in segments {
        if segment.discontinuity {
            text.push_str("#EXT-X-DISCONTINUITY\n");
        }
        if let Some(date) = segment.date {
            let _ = writeln!(text, "#EXT-X-PROGRAM-DATE-TIME:{}", date.rfc3339());
        }
        let _ = writeln!(text, "#EXTINF:{},\n{}", Seconds(segment.duration), Uri(&segment.name));
    }
    text.push_str("#EXT-X-ENDLIST\n");
    text
}

/// What a media playlist says at a glance.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outline {
    /// The sum of all durations, in seconds.
    pub seconds: f64,
    /// `EXT-X-TARGETDURATION`, in seconds.
    pub target: f64,
    /// When the first segment that has a date began.
    pub start: Option<WallTime>,
    /// The URI of the first segment.
    pub first: Option<String>,
}

impl Outline {
    /// Reads what [`media`] writes. Lines that it does not write count for nothing.
    pub fn of(playlist: &str) -> Self {
        let mut outline = Self::default();
        for line in playlist.lines() {
            if let Some(duration) = line.strip_prefix("#EXTINF:") {
                outline.seconds += seconds(duration);
            } else if let Some(target) = line.strip_prefix("#EXT-X-TARGETDURATION:") {
                outline.target = seconds(target);
            } else if let Some(date) = line.strip_prefix("#EXT-X-PROGRAM-DATE-TIME:") {
                outline.start = outline.start.or_else(|| WallTime::parse_rfc3339(date));
            } else if !line.starts_with('#') && !line.is_empty() && outline.first.is_none() {
                outline.first = Some(line.to_owned());
            }
        }
        outline
    }
}

/// A media playlist of [`media`] with the dates that it would have if its first segment began at `start`. Where it has none, what is
/// behind a discontinuity stays without: how long that was is not in it.
pub fn redated(playlist: &str, start: WallTime) -> String {
    const DATE: &str = "#EXT-X-PROGRAM-DATE-TIME:";
    let after = |seconds: f64| WallTime(start.0.saturating_add((seconds * 1e6) as i64));
    let mut text = String::with_capacity(playlist.len() + 64);
    let (mut elapsed, mut shift, mut follows_on) = (0.0, None, true);
    for line in playlist.lines() {
        if let Some(date) = line.strip_prefix(DATE) {
            let Some(date) = WallTime::parse_rfc3339(date) else { continue };
            let shift = *shift.get_or_insert_with(|| after(elapsed).0.saturating_sub(date.0));
            let _ = writeln!(text, "{DATE}{}", WallTime(date.0.saturating_add(shift)).rfc3339());
            continue;
        }
        follows_on &= line != "#EXT-X-DISCONTINUITY";
        if let Some(duration) = line.strip_prefix("#EXTINF:") {
            if shift.is_none() && follows_on {
                let _ = writeln!(text, "{DATE}{}", after(elapsed).rfc3339());
            }
            elapsed += seconds(duration);
        }
        let _ = writeln!(text, "{line}");
    }
    text
}

/// A number of seconds as it stands in a tag; nonsense is 0.
fn seconds(text: &str) -> f64 {
    let number = text.trim_end_matches(',').parse::<f64>().ok();
    number.filter(|number| number.is_finite() && *number >= 0.0).unwrap_or_default()
}

/// The multivariant playlist: one variant, whose media playlist is the file `media`.
pub fn multivariant(media: &str, variant: &Variant, segments: &[Segment]) -> String {
    let (peak, average) = bit_rates(segments);
    let mut text = format!(
        "#EXTM3U\n#EXT-X-VERSION:6\n#EXT-X-INDEPENDENT-SEGMENTS\n\
         #EXT-X-STREAM-INF:BANDWIDTH={peak},AVERAGE-BANDWIDTH={average},CODECS=\"{}\"",
        variant.codecs
    );
    if let Some((width, height, rate)) = variant.picture {
        let _ = write!(text, ",RESOLUTION={width}x{height},FRAME-RATE={rate:.3}");
    }
    let _ = writeln!(text, "\n{}", Uri(media));
    text
}

/// Peak and average segment bit rate (1.1 of the draft): the peak is that of any run of segments which lasts between half a
/// target duration and one and a half.
fn bit_rates(segments: &[Segment]) -> (u64, u64) {
    let rate = |bytes: u64, time: Ticks90k| {
        let bits = u128::from(bytes) * 8 * TICKS_PER_SECOND as u128;
        bits.div_ceil(time.0.max(1) as u128) as u64
    };
    let target = Ticks90k(target_duration(segments) * TICKS_PER_SECOND);
    let mut peak = 0;
    for first in 0..segments.len() {
        let (mut bytes, mut time) = (0, Ticks90k::ZERO);
        for segment in segments.iter().skip(first) {
            bytes += segment.bytes;
            time += segment.duration;
            if 2 * time.0 > 3 * target.0 {
                break;
            }
            if 2 * time.0 >= target.0 {
                peak = peak.max(rate(bytes, time));
            }
        }
    }
    let average = rate(segments.iter().map(|segment| segment.bytes).sum(), duration(segments));
    (peak.max(average), average)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segment(name: &str, seconds: f64, bytes: u64) -> Segment {
        let duration = Ticks90k((seconds * 90_000.0) as i64);
        Segment { name: name.to_owned(), duration, bytes, discontinuity: false, date: None }
    }

    #[test]
    fn the_media_playlist_is_this_text() {
        let mut segments =
            [segment("a-0.ts", 6.0, 1000), segment("a b#1.ts", 6.5, 2000), segment("a-2.ts", 0.25, 3)];
        segments[1].date = Some(WallTime(1_795_241_700_987_000));
        segments[2].discontinuity = true;
        assert_eq!(
            media(&segments),
            "#EXTM3U\n#EXT-X-VERSION:6\n#EXT-X-TARGETDURATION:7\n#EXT-X-MEDIA-SEQUENCE:0\n\
             #EXT-X-PLAYLIST-TYPE:VOD\n#EXT-X-INDEPENDENT-SEGMENTS\n\
             #EXTINF:6.00000,\na-0.ts\n\
             #EXT-X-PROGRAM-DATE-TIME:2026-11-21T06:15:00.987Z\n#EXTINF:6.50000,\na%20b%231.ts\n\
             #EXT-X-DISCONTINUITY\n#EXTINF:0.25000,\na-2.ts\n#EXT-X-ENDLIST\n"
        );
    }

    #[test]
    fn a_media_playlist_is_outlined() {
        let mut segments = [segment("a-front-0.ts", 6.0, 1000), segment("a-front-1.ts", 0.25, 3)];
        segments[0].date = Some(WallTime(1_795_241_700_987_000));
        let (start, first) = (segments[0].date, Some("a-front-0.ts".to_owned()));
        assert_eq!(Outline::of(&media(&segments)), Outline { seconds: 6.25, target: 6.0, start, first });
        assert_eq!(Outline::of("#EXTINF:nan,\n#EXTINF:-1,\n#EXTINF:x"), Outline::default());
    }

    #[test]
    fn a_media_playlist_gets_the_dates_that_were_known_later() {
        let start = WallTime(1_795_241_700_987_000);
        let mut segments = ["a-0.ts", "a-1.ts", "a-2.ts", "a-3.ts"].map(|name| segment(name, 6.0, 1000));
        segments[2].discontinuity = true;
        let undated = media(&segments);
        let mut expected = segments.clone();
        for (n, segment) in expected.iter_mut().enumerate().take(2) {
            segment.date = Some(start.plus(Ticks90k(n as i64 * 6 * TICKS_PER_SECOND)));
        }
        assert_eq!(redated(&undated, start), media(&expected), "behind a gap nobody knows");
        let dated = |start: WallTime| {
            let mut segments = segments.clone();
            for (segment, after) in segments.iter_mut().zip([0, 6, 100, 106]) {
                segment.date = Some(start.plus(Ticks90k(after * TICKS_PER_SECOND)));
            }
            media(&segments)
        };
        assert_eq!(redated(&dated(WallTime(0)), start), dated(start));
        assert_eq!(redated(&dated(start), start), dated(start));
    }

    #[test]
    fn the_multivariant_playlist_measures_its_rates() {
        // The short last segment counts only together with the one before it.
        let segments = [segment("0", 6.0, 300_000), segment("1", 6.0, 450_000), segment("2", 0.1, 100_000)];
        let variant = Variant { codecs: "avc1.42C01E".to_owned(), picture: Some((320, 240, 30.0)) };
        assert_eq!(
            multivariant("a-out.m3u8", &variant, &segments),
            "#EXTM3U\n#EXT-X-VERSION:6\n#EXT-X-INDEPENDENT-SEGMENTS\n\
             #EXT-X-STREAM-INF:BANDWIDTH=721312,AVERAGE-BANDWIDTH=561984,CODECS=\"avc1.42C01E\",\
             RESOLUTION=320x240,FRAME-RATE=30.000\na-out.m3u8\n"
        );
        let sound = Variant { codecs: "mp4a.40.2".to_owned(), picture: None };
        let text = multivariant("a-out.m3u8", &sound, &segments[..1]);
        assert!(text.ends_with("BANDWIDTH=400000,CODECS=\"mp4a.40.2\"\na-out.m3u8\n"), "{text}");
    }
}

//! The rules of draft-pantos-hls-rfc8216bis for a live server, as code over the text of its playlists.
//!
//! [`multivariant`] and [`media`] judge one playlist, [`update`] two versions of the same one, [`delta`] a delta update,
//! [`renditions`] the media playlists of one presentation. Each gives the violations, with the section that is broken; none
//! is what a test wants. Nothing here knows how the server makes its playlists: it reads what clients read.

use std::collections::BTreeMap;
use std::fmt;

/// A rule that a playlist breaks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Section of the draft.
    pub section: &'static str,
    /// What is wrong, with the culprit.
    pub what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.section, self.what)
    }
}

#[derive(Default)]
struct Findings(Vec<Violation>);

impl Findings {
    fn check(&mut self, holds: bool, section: &'static str, what: impl FnOnce() -> String) {
        if !holds {
            self.0.push(Violation { section, what: what() });
        }
    }
}

/// A part as the playlist tells it.
#[derive(Clone, Debug, PartialEq)]
pub struct Part {
    /// Where it is.
    pub uri: String,
    /// Seconds.
    pub duration: f64,
    /// `INDEPENDENT=YES`.
    pub independent: bool,
    /// `GAP=YES`.
    pub gap: bool,
}

/// A segment as the playlist tells it; the last one may lack its own line and consist of parts alone.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Segment {
    /// Media sequence number.
    pub sequence: u64,
    /// Discontinuity sequence number.
    pub discontinuity_sequence: u64,
    /// Where it is; absent while it grows.
    pub uri: Option<String>,
    /// `EXTINF`, seconds.
    pub duration: f64,
    /// `EXT-X-DISCONTINUITY`.
    pub discontinuity: bool,
    /// `EXT-X-GAP`.
    pub gap: bool,
    /// The initialization section that applies to it.
    pub map: Option<String>,
    /// `EXT-X-PROGRAM-DATE-TIME`.
    pub date: Option<String>,
    /// Its parts.
    pub parts: Vec<Part>,
}

/// A media playlist, read.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Media {
    /// Tags that stand once, by name without `#`.
    pub tags: BTreeMap<String, String>,
    /// Segments, oldest first; those that a delta update skips are missing.
    pub segments: Vec<Segment>,
    /// `EXT-X-SKIP`.
    pub skipped: u64,
    /// `EXT-X-PRELOAD-HINT`, its attributes.
    pub hints: Vec<BTreeMap<String, String>>,
    /// `EXT-X-RENDITION-REPORT`, its attributes.
    pub reports: Vec<BTreeMap<String, String>>,
}

/// `NAME=value,NAME="value, quoted"` (4.2).
fn attributes(list: &str) -> BTreeMap<String, String> {
    let mut attributes = BTreeMap::new();
    let mut rest = list;
    while let Some((name, value)) = rest.split_once('=') {
        let (value, tail) = match value.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"').unwrap_or((quoted, "")),
            None => value.split_at(value.find(',').unwrap_or(value.len())),
        };
        attributes.insert(name.to_owned(), value.to_owned());
        rest = tail.trim_start_matches(',');
    }
    attributes
}

fn decimal(text: Option<&String>) -> f64 {
    text.and_then(|text| text.parse().ok()).unwrap_or(f64::NAN)
}

impl Media {
    /// A whole number that a tag gives; 0 without it.
    pub fn number(&self, tag: &str) -> u64 {
        self.tags.get(tag).and_then(|value| value.parse().ok()).unwrap_or(0)
    }

    /// An attribute of a tag that stands once.
    pub fn attribute(&self, tag: &str, name: &str) -> Option<String> {
        attributes(self.tags.get(tag)?).remove(name)
    }

    /// Seconds of its whole segments.
    pub fn duration(&self) -> f64 {
        self.segments.iter().map(|segment| segment.duration).sum()
    }

    fn server_control(&self, name: &str) -> f64 {
        decimal(self.attribute("EXT-X-SERVER-CONTROL", name).as_ref())
    }

    fn read(text: &str, findings: &mut Findings) -> Self {
        let mut media = Self::default();
        let mut segment = Segment::default();
        let mut map = None;
        for line in text.lines().skip(1) {
            let Some(tag) = line.strip_prefix('#') else {
                segment.uri = Some(line.to_owned());
                segment.map.clone_from(&map);
                media.segments.push(std::mem::take(&mut segment));
                continue;
            };
            let (tag, value) = tag.split_once(':').unwrap_or((tag, ""));
            let late = !segment.parts.is_empty()
                && matches!(tag, "EXT-X-DISCONTINUITY" | "EXT-X-MAP" | "EXT-X-PROGRAM-DATE-TIME");
            findings.check(!late, "4.4.4.9", || format!("{line} stands behind a part of its segment"));
            match tag {
                "EXT-X-MAP" => map = attributes(value).remove("URI"),
                "EXTINF" | "EXT-X-GAP" | "EXT-X-DISCONTINUITY" | "EXT-X-PROGRAM-DATE-TIME" | "EXT-X-PART" => {
                    segment.apply(tag, value);
                }
                _ => media.apply(tag, value, findings),
            }
        }
        if !segment.parts.is_empty() {
            segment.map = map;
            media.segments.push(segment);
        }
        media.count();
        media
    }

    fn apply(&mut self, tag: &str, value: &str, findings: &mut Findings) {
        match tag {
            "EXT-X-PRELOAD-HINT" => self.hints.push(attributes(value)),
            "EXT-X-RENDITION-REPORT" => self.reports.push(attributes(value)),
            "EXT-X-SKIP" => {
                findings.check(self.skipped == 0, "4.4.5.2", || "EXT-X-SKIP appears twice".to_owned());
                self.skipped =
                    attributes(value).get("SKIPPED-SEGMENTS").and_then(|n| n.parse().ok()).unwrap_or(0);
            }
            _ => {
                let twice = self.tags.insert(tag.to_owned(), value.to_owned());
                findings.check(twice.is_none(), "4.1", || format!("{tag} appears twice"));
            }
        }
    }

    fn count(&mut self) {
        let first = self.number("EXT-X-MEDIA-SEQUENCE") + self.skipped;
        let mut discontinuity = self.number("EXT-X-DISCONTINUITY-SEQUENCE");
        for (sequence, segment) in (first..).zip(&mut self.segments) {
            discontinuity += u64::from(segment.discontinuity);
            segment.sequence = sequence;
            segment.discontinuity_sequence = discontinuity;
        }
    }
}

impl Segment {
    fn apply(&mut self, tag: &str, value: &str) {
        match tag {
            "EXTINF" => self.duration = decimal(value.split(',').next().map(str::to_owned).as_ref()),
            "EXT-X-GAP" => self.gap = true,
            "EXT-X-DISCONTINUITY" => self.discontinuity = true,
            "EXT-X-PROGRAM-DATE-TIME" => self.date = Some(value.to_owned()),
            _ => self.parts.push(part(value)),
        }
    }
}

fn part(list: &str) -> Part {
    let attributes = attributes(list);
    let yes = |name: &str| attributes.get(name).is_some_and(|value| value == "YES");
    Part {
        uri: attributes.get("URI").cloned().unwrap_or_default(),
        duration: decimal(attributes.get("DURATION")),
        independent: yes("INDEPENDENT"),
        gap: yes("GAP"),
    }
}

/// Judges a live media playlist, low-latency or not, whole or a delta update.
pub fn media(text: &str) -> (Media, Vec<Violation>) {
    let mut findings = Findings::default();
    form(text, &mut findings);
    let media = Media::read(text, &mut findings);
    tags(&media, &mut findings);
    segments(&media, &mut findings);
    if media.tags.contains_key("EXT-X-PART-INF") {
        parts(&media, &mut findings);
        retention(&media, &mut findings);
        live_edge(&media, &mut findings);
    }
    (media, findings.0)
}

fn form(text: &str, findings: &mut Findings) {
    findings.check(text.starts_with("#EXTM3U\n"), "4.4.1.1", || "the first line is not #EXTM3U".to_owned());
    let control = |c: char| c.is_control() && c != '\n' && c != '\r';
    findings.check(!text.contains(control) && !text.starts_with('\u{FEFF}'), "4.1", || {
        "control characters".to_owned()
    });
    findings.check(text.ends_with('\n'), "4.1", || "the last line has no end".to_owned());
    let multivariant = text.contains("#EXT-X-STREAM-INF") || text.contains("#EXT-X-MEDIA:");
    let media = text.contains("#EXTINF") || text.contains("#EXT-X-TARGETDURATION");
    findings.check(!(multivariant && media), "4.1", || "tags of both kinds of playlist".to_owned());
}

fn tags(media: &Media, findings: &mut Findings) {
    let target = media.number("EXT-X-TARGETDURATION");
    findings.check(target > 0, "4.4.3.1", || "no EXT-X-TARGETDURATION".to_owned());
    findings.check(media.tags.contains_key("EXT-X-MEDIA-SEQUENCE"), "6.2.2", || {
        "no EXT-X-MEDIA-SEQUENCE".to_owned()
    });
    let discontinuities = media.segments.iter().any(|segment| segment.discontinuity);
    let counted = media.tags.contains_key("EXT-X-DISCONTINUITY-SEQUENCE");
    findings.check(!discontinuities || counted, "6.2.2", || "no EXT-X-DISCONTINUITY-SEQUENCE".to_owned());
    let maps = media.segments.iter().any(|segment| segment.map.is_some());
    let needed = match (media.skipped > 0, maps) {
        (true, _) => 9,
        (false, true) => 6,
        (false, false) => 3,
    };
    let version = media.number("EXT-X-VERSION");
    findings.check(version >= needed, "8", || format!("version {version}, {needed} is needed"));
    findings
        .check(version <= needed, "6.2.1", || format!("version {version} is more than is needed, {needed}"));
    findings.check(!media.tags.contains_key("EXT-X-PLAYLIST-TYPE"), "6.2.2", || {
        "a live playlist with a type".to_owned()
    });
    let target = target as f64;
    // An attribute that is absent is not a number, and no number is less than it.
    let low = |name: &str, least: f64| media.server_control(name) < least;
    findings.check(!low("CAN-SKIP-UNTIL", 6.0 * target), "4.4.3.8", || {
        "CAN-SKIP-UNTIL under 6 targets".to_owned()
    });
    findings.check(!low("HOLD-BACK", 3.0 * target), "4.4.3.8", || "HOLD-BACK under 3 targets".to_owned());
    let can_skip = media.server_control("CAN-SKIP-UNTIL") > 0.0;
    findings
        .check(media.skipped == 0 || can_skip, "4.4.3.8", || "EXT-X-SKIP without CAN-SKIP-UNTIL".to_owned());
}

fn segments(media: &Media, findings: &mut Findings) {
    let target = media.number("EXT-X-TARGETDURATION") as f64;
    let dates = media.segments.iter().any(|segment| segment.date.is_some());
    for segment in &media.segments {
        let Some(uri) = &segment.uri else { continue };
        findings.check(segment.duration > 0.0, "4.4.4.1", || format!("{uri}: no EXTINF"));
        findings.check(segment.duration.round() <= target, "4.4.3.1", || {
            format!("{uri}: {} s round to more than the target duration", segment.duration)
        });
        let dated = segment.date.is_some() || !dates;
        findings.check(!segment.discontinuity || dated, "6.2.1", || {
            format!("{uri}: a discontinuity without date")
        });
        let fmp4 = uri.contains(".m4s") || uri.contains(".mp4");
        findings.check(!fmp4 || segment.map.is_some(), "3.1.2", || format!("{uri}: no EXT-X-MAP applies"));
    }
}

fn parts(media: &Media, findings: &mut Findings) {
    let target = decimal(media.attribute("EXT-X-PART-INF", "PART-TARGET").as_ref());
    findings.check(target > 0.0, "4.4.3.7", || "no PART-TARGET".to_owned());
    let hold_back = media.server_control("PART-HOLD-BACK");
    let enough = hold_back >= 2.0 * target - 1e-5;
    findings.check(enough, "4.4.3.8", || format!("PART-HOLD-BACK {hold_back} under 2 part targets"));
    for segment in &media.segments {
        for (index, part) in segment.parts.iter().enumerate() {
            let what = |how| format!("{}: {} s {how} PART-TARGET", part.uri, part.duration);
            findings.check(part.duration <= target, "4.4.4.9", || what("over"));
            let next = segment.parts.get(index + 1);
            // The last part so far of a segment that grows may turn out not to be its last: no exception for it.
            let last = next.is_none() && segment.uri.is_some();
            let excepted = part.independent || part.gap || last || next.is_some_and(|next| next.gap);
            findings.check(excepted || part.duration >= 0.85 * target, "4.4.4.9", || what("under 85 % of"));
        }
        let Some(uri) = segment.uri.as_ref().filter(|_| !segment.parts.is_empty()) else { continue };
        let sum: f64 = segment.parts.iter().map(|part| part.duration).sum();
        findings.check((sum - segment.duration).abs() < 0.001, "3.2", || {
            format!("{uri}: parts of {sum} s in a segment of {} s", segment.duration)
        });
    }
}

/// Parts leave the list three target durations behind its end.
fn retention(media: &Media, findings: &mut Findings) {
    let until = 3.0 * media.number("EXT-X-TARGETDURATION") as f64;
    let (whole, open): (Vec<_>, Vec<_>) = media.segments.iter().partition(|segment| segment.uri.is_some());
    let mut behind: f64 = open.iter().flat_map(|segment| &segment.parts).map(|part| part.duration).sum();
    for segment in whole.iter().rev() {
        findings.check(behind <= until + 0.001 || segment.parts.is_empty(), "6.2.2", || {
            format!("{:?}: parts {behind} s before the end", segment.uri)
        });
        behind += segment.duration;
    }
}

fn live_edge(media: &Media, findings: &mut Findings) {
    let hints: Vec<_> =
        media.hints.iter().filter(|hint| hint.get("TYPE").is_some_and(|kind| kind == "PART")).collect();
    findings.check(hints.len() == 1, "6.2.6", || format!("{} hints of parts", hints.len()));
    let listed: Vec<_> =
        media.segments.iter().flat_map(|segment| &segment.parts).map(|part| &part.uri).collect();
    for hint in hints {
        let uri = hint.get("URI").cloned().unwrap_or_default();
        findings.check(!uri.is_empty() && !listed.contains(&&uri), "4.4.5.3", || {
            format!("the hint {uri:?} is listed")
        });
    }
    for report in &media.reports {
        findings.check(report.contains_key("LAST-MSN"), "4.4.5.4", || format!("no LAST-MSN in {report:?}"));
        let relative = report.get("URI").is_some_and(|uri| !uri.contains("://") && !uri.starts_with('/'));
        findings.check(relative, "4.4.5.4", || format!("the URI is not relative in {report:?}"));
    }
    let control = media.attribute("EXT-X-SERVER-CONTROL", "CAN-BLOCK-RELOAD");
    findings.check(control.as_deref() == Some("YES"), "B.1", || {
        "low latency without CAN-BLOCK-RELOAD".to_owned()
    });
}

/// Judges `new` as what follows `old` from the same server. Both must be whole, not delta updates.
pub fn update(old: &Media, new: &Media) -> Vec<Violation> {
    let mut findings = Findings::default();
    for tag in ["EXT-X-TARGETDURATION", "EXT-X-PART-INF", "EXT-X-SERVER-CONTROL", "EXT-X-VERSION"] {
        findings.check(old.tags.get(tag) == new.tags.get(tag), "6.2.1", || format!("{tag} has changed"));
    }
    for tag in ["EXT-X-MEDIA-SEQUENCE", "EXT-X-DISCONTINUITY-SEQUENCE"] {
        findings.check(old.number(tag) <= new.number(tag), "6.2.2", || format!("{tag} has fallen"));
    }
    for segment in &new.segments {
        let Some(before) = old.segments.iter().find(|before| before.sequence == segment.sequence) else {
            continue;
        };
        let same = before.uri.is_none()
            || (&before.uri, before.duration, before.gap) == (&segment.uri, segment.duration, segment.gap);
        findings.check(same, "6.2.1", || format!("segment {} has changed", segment.sequence));
        let timing = (before.discontinuity_sequence, &before.date, &before.map);
        findings.check(
            timing == (segment.discontinuity_sequence, &segment.date, &segment.map),
            "6.2.1",
            || format!("segment {} has another date, map or discontinuity sequence", segment.sequence),
        );
        let grown = segment.parts.is_empty() || segment.parts.starts_with(&before.parts);
        findings.check(grown, "6.2.1", || format!("parts of segment {} have changed", segment.sequence));
    }
    let removed = new.number("EXT-X-MEDIA-SEQUENCE") > old.number("EXT-X-MEDIA-SEQUENCE");
    let least = 3.0 * new.number("EXT-X-TARGETDURATION") as f64;
    findings.check(!removed || new.duration() >= least, "6.2.2", || {
        format!("removal has left {} s", new.duration())
    });
    findings.0
}

/// Judges a delta update against the whole playlist of the same instant.
pub fn delta(whole: &Media, delta: &Media) -> Vec<Violation> {
    let mut findings = Findings::default();
    let skipped = usize::try_from(delta.skipped).unwrap_or(usize::MAX);
    let kept = whole.segments.get(skipped..).unwrap_or_default();
    // A delta update does not tell how many discontinuities it skips (4.4.5.2).
    let same = |(kept, listed): (&Segment, &Segment)| {
        *kept == Segment { discontinuity_sequence: kept.discontinuity_sequence, ..listed.clone() }
    };
    let unchanged = kept.len() == delta.segments.len() && kept.iter().zip(&delta.segments).all(same);
    findings.check(unchanged, "6.2.5.1", || "what was not skipped differs".to_owned());
    let boundary = whole.server_control("CAN-SKIP-UNTIL");
    let after: f64 = kept.iter().map(|segment| segment.duration).sum();
    findings.check(skipped == 0 || after > boundary - 0.001, "6.2.5.1", || {
        format!("skipped up to {after} s before the end, the boundary is {boundary} s")
    });
    findings.0
}

/// Judges the media playlists of one presentation, of the same instant.
pub fn renditions(playlists: &[&Media]) -> Vec<Violation> {
    let mut findings = Findings::default();
    for pair in playlists.windows(2) {
        let [first, second] = pair else { continue };
        for tag in ["EXT-X-TARGETDURATION", "EXT-X-SERVER-CONTROL"] {
            findings.check(first.tags.get(tag) == second.tags.get(tag), "6.2.4", || format!("{tag} differs"));
        }
        for segment in &first.segments {
            let Some(other) = second.segments.iter().find(|other| other.sequence == segment.sequence) else {
                continue;
            };
            let same = segment.discontinuity_sequence == other.discontinuity_sequence;
            findings.check(same, "6.2.4", || {
                format!("discontinuity sequence of segment {} differs", segment.sequence)
            });
            findings.check(segment.date.is_some() == other.date.is_some(), "6.2.4", || {
                format!("segment {} is dated in one rendition only", segment.sequence)
            });
        }
    }
    findings.0
}

/// Judges a multivariant playlist.
pub fn multivariant(text: &str) -> Vec<Violation> {
    let mut findings = Findings::default();
    form(text, &mut findings);
    let mut groups = Vec::new();
    let mut variants = 0;
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        if let Some(list) = line.strip_prefix("#EXT-X-MEDIA:") {
            let attributes = attributes(list);
            let whole = ["TYPE", "GROUP-ID", "NAME"].iter().all(|&name| attributes.contains_key(name));
            findings.check(whole, "4.4.6.1", || format!("TYPE, GROUP-ID or NAME is missing in {line}"));
            groups.extend(attributes.get("GROUP-ID").cloned());
        }
        if let Some(list) = line.strip_prefix("#EXT-X-STREAM-INF:") {
            variants += 1;
            variant(&attributes(list), &groups, &mut findings);
            let uri = lines.peek().is_some_and(|next| !next.is_empty() && !next.starts_with('#'));
            findings.check(uri, "4.4.6.2", || "no URI behind EXT-X-STREAM-INF".to_owned());
        }
    }
    findings.check(variants > 0, "4.4.6.2", || "no variant".to_owned());
    findings.0
}

fn variant(attributes: &BTreeMap<String, String>, groups: &[String], findings: &mut Findings) {
    let bandwidth = decimal(attributes.get("BANDWIDTH"));
    findings.check(bandwidth > 0.0, "4.4.6.2", || "no BANDWIDTH".to_owned());
    let average = decimal(attributes.get("AVERAGE-BANDWIDTH"));
    findings.check(average <= bandwidth, "4.4.6.2", || {
        format!("an average of {average} over a peak of {bandwidth}")
    });
    for name in ["CODECS", "RESOLUTION", "FRAME-RATE"] {
        findings.check(attributes.contains_key(name), "4.4.6.2", || format!("no {name}"));
    }
    let group = attributes.get("AUDIO");
    findings
        .check(group.is_none_or(|group| groups.contains(group)), "4.4.6.2", || format!("no group {group:?}"));
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "#EXTM3U
#EXT-X-VERSION:6
#EXT-X-TARGETDURATION:1
#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,CAN-SKIP-UNTIL=6.0,HOLD-BACK=3.0,PART-HOLD-BACK=0.75
#EXT-X-PART-INF:PART-TARGET=0.25
#EXT-X-MEDIA-SEQUENCE:7
#EXT-X-DISCONTINUITY-SEQUENCE:2
#EXT-X-MAP:URI=\"init.mp4\"
#EXT-X-PART:DURATION=0.25,URI=\"7.0.m4s\",INDEPENDENT=YES
#EXT-X-PART:DURATION=0.25,URI=\"7.1.m4s\"
#EXT-X-PART:DURATION=0.1,URI=\"7.2.m4s\"
#EXTINF:0.60000,
7.m4s
#EXT-X-DISCONTINUITY
#EXT-X-PART:DURATION=0.24,URI=\"8.0.m4s\"
#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"8.1.m4s\"
#EXT-X-RENDITION-REPORT:URI=\"audio.m3u8\",LAST-MSN=8,LAST-PART=0
";

    #[test]
    fn a_good_playlist_has_no_violation() {
        let (media, violations) = media(GOOD);
        assert_eq!(violations, []);
        let numbers: Vec<_> = media.segments.iter().map(|s| (s.sequence, s.discontinuity_sequence)).collect();
        assert_eq!(numbers, [(7, 2), (8, 3)]);
        assert_eq!(update(&media, &media), []);
        assert_eq!(delta(&media, &media), []);
        assert_eq!(renditions(&[&media, &media]), []);
    }

    #[test]
    fn every_rule_can_be_broken() {
        for (section, from, to) in [
            ("4.4.1.1", "#EXTM3U\n", "#EXTM3U \n"),
            ("8", "VERSION:6", "VERSION:5"),
            ("6.2.1", "VERSION:6", "VERSION:7"),
            ("4.4.3.1", "0.60000", "1.50000"),
            ("4.4.3.8", "SKIP-UNTIL=6.0", "SKIP-UNTIL=5.9"),
            ("4.4.3.8", "HOLD-BACK=3.0", "HOLD-BACK=2.9"),
            ("4.4.3.8", "PART-HOLD-BACK=0.75", "PART-HOLD-BACK=0.49"),
            ("4.4.4.9", "DURATION=0.25,URI=\"7.1", "DURATION=0.26,URI=\"7.1"),
            ("4.4.4.9", "DURATION=0.24,URI=\"8.0", "DURATION=0.2,URI=\"8.0"),
            ("4.4.4.9", "8.0.m4s\"\n", "8.0.m4s\"\n#EXT-X-MAP:URI=\"other.mp4\"\n"),
            ("3.2", "DURATION=0.1,", "DURATION=0.2,"),
            ("3.1.2", "#EXT-X-MAP:URI=\"init.mp4\"\n", ""),
            ("6.2.2", "#EXT-X-DISCONTINUITY-SEQUENCE:2\n", ""),
            ("6.2.2", "#EXT-X-MEDIA-SEQUENCE:7\n", ""),
            ("6.2.2", "#EXT-X-MEDIA-SEQUENCE:7\n", "#EXT-X-PLAYLIST-TYPE:EVENT\n"),
            ("6.2.6", "TYPE=PART", "TYPE=MAP"),
            ("4.4.5.3", "URI=\"8.1.m4s\"", "URI=\"8.0.m4s\""),
            ("4.4.5.4", "URI=\"audio.m3u8\"", "URI=\"/audio.m3u8\""),
            ("4.4.5.4", "LAST-MSN=8,", ""),
            ("B.1", "CAN-BLOCK-RELOAD=YES,", ""),
            ("4.1", "#EXT-X-TARGETDURATION:1\n", "#EXT-X-TARGETDURATION:1\n#EXT-X-TARGETDURATION:1\n"),
        ] {
            assert!(GOOD.contains(from), "{from}");
            let (_, violations) = media(&GOOD.replacen(from, to, 1));
            let found = violations.iter().any(|violation| violation.section == section);
            assert!(found, "{section} {from}: {violations:?}");
        }
    }

    #[test]
    fn a_playlist_may_grow_but_not_change() {
        let read = |text: &str| media(text).0;
        let grown =
            GOOD.replace("#EXT-X-PRELOAD", "#EXT-X-PART:DURATION=0.25,URI=\"8.1.m4s\"\n#EXT-X-PRELOAD");
        assert_eq!(update(&read(GOOD), &read(&grown)), []);
        for (from, to) in [
            ("0.60000", "0.70000"),
            ("TARGETDURATION:1", "TARGETDURATION:2"),
            ("-DISCONTINUITY-SEQUENCE:2", "-DISCONTINUITY-SEQUENCE:1"),
            ("-MEDIA-SEQUENCE:7", "-MEDIA-SEQUENCE:6"),
            ("init.mp4", "other.mp4"),
            ("DURATION=0.24,URI=\"8.0", "DURATION=0.25,URI=\"8.0"),
        ] {
            assert_ne!(update(&read(GOOD), &read(&GOOD.replace(from, to))), [], "{from}");
        }
        let other = GOOD.replace("-DISCONTINUITY-SEQUENCE:2", "-DISCONTINUITY-SEQUENCE:3");
        assert_ne!(renditions(&[&read(GOOD), &read(&other)]), []);
    }

    #[test]
    fn a_multivariant_playlist_needs_what_players_choose_by() {
        let good = "#EXTM3U\n#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"a\",NAME=\"n\",URI=\"a.m3u8\"\n\
            #EXT-X-STREAM-INF:BANDWIDTH=2,AVERAGE-BANDWIDTH=1,CODECS=\"x,y\",RESOLUTION=1x1,FRAME-RATE=1.000,AUDIO=\"a\"\n\
            v.m3u8\n";
        assert_eq!(multivariant(good), []);
        for (from, to) in [
            ("BANDWIDTH=2,", ""),
            ("AVERAGE-BANDWIDTH=1", "AVERAGE-BANDWIDTH=3"),
            ("CODECS", "C"),
            ("AUDIO=\"a\"\n", "AUDIO=\"b\"\n"),
            ("GROUP-ID", "GROUP"),
            ("v.m3u8", ""),
        ] {
            assert_ne!(multivariant(&good.replacen(from, to, 1)), [], "{from}");
        }
    }
}

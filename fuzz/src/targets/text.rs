//! Text from outside: the query and the headers of a request, playlists that are read again, names of resources and recordings, lock tokens.

use crate::Target;
use crate::memory::Bound;
use crate::sample::{Numbers, config, gops};
use media::hls::vod::{Outline, Segment, duration, media as playlist_of, redated};
use media::hls::{Answer, Directives, Resource};
use media::http::{Wanted, has_tag, wanted};
use media::names::{CameraId, LockToken, NAME_LEN, RecordingName};
use media::timeline::{ConfigId, Timeline};
use media::{Ticks90k, Track, WallTime};
use std::fmt::{Debug, Display};
use std::str::FromStr;

/// Text as the query of a playlist request.
pub const DIRECTIVES: Target = Target {
    name: "hls_directives",
    run: directives,
    bound: Bound { each: 4, fixed: 256 << 10 },
    seeds: || {
        texts(&[
            "_HLS_msn=103&_HLS_part=2",
            "_HLS_msn=104&_HLS_skip=YES",
            "a=b&_HLS_skip=v2&&=",
            "_HLS_part=1",
        ])
    },
};

/// Text as the headers `Range` and `If-None-Match`.
pub const HEADERS: Target = Target {
    name: "http_headers",
    run: headers,
    bound: Bound { each: 8, fixed: 4 << 10 },
    seeds: || texts(&["bytes=10-19", "bytes=-5", "bytes=90-", "bytes=0-1,3-4", "\"a\", W/\"b\"", "*"]),
};

/// Text as a media playlist of a recording; and its bytes as the segments that one is made of.
pub const PLAYLIST: Target = Target {
    name: "hls_playlist",
    run: playlist,
    bound: Bound { each: 256, fixed: 64 << 10 },
    seeds: || {
        let dated = segments(&[60, 0, 0, 60, 1, 1, 3, 0, 2]);
        let undated =
            dated.iter().map(|segment| Segment { date: None, ..segment.clone() }).collect::<Vec<_>>();
        texts(&[&playlist_of(&dated), &playlist_of(&undated), "#EXTINF:1e308\n#EXTINF:1e308,\n\na.ts"])
    },
};

/// Text as each of the names, as a date, and as what a lockfile holds.
pub const NAMES: Target = Target {
    name: "names",
    run: names,
    bound: Bound { each: 16, fixed: 4 << 10 },
    seeds: || {
        let camera = CameraId::new(b"key", "front");
        let name = |start| RecordingName::new(start, camera, 4711).to_string();
        let upload = LockToken::Upload { camera, boot: "7d3c5a52".to_owned(), nonce: "00ff".to_owned() };
        let chop = LockToken::Chop { host: "vault".to_owned(), boot: "b".to_owned(), pid: 17 };
        let resources =
            ["video-00c0ffee.mp4", "audio-4711.m4s", "audio-s5207.m4s", "video-4711.3.m4s", "4711.ts"];
        let mut all = texts(&resources);
        all.extend(texts(&[&name(None), &name(Some(WallTime(1_795_241_700_000_000)))]));
        all.extend(texts(&[&upload.to_string(), &chop.to_string(), &camera.to_string()]));
        all.extend(texts(&["2026-11-21T05:40:00.123Z"]));
        all
    },
};

fn texts(texts: &[&str]) -> Vec<Vec<u8>> {
    texts.iter().map(|text| text.as_bytes().to_vec()).collect()
}

/// `count` whole segments of two parts each, from 100 on.
fn timeline(count: u64) -> Timeline {
    let gop = gops(&mut Numbers(&[0, 0, 7])).remove(0);
    let mut timeline = Timeline::new(&config(), 20);
    for n in 0..count {
        let shift = Ticks90k(Ticks90k::SECOND.0 * n as i64);
        let mut gop = media::Gop { sequence: 100 + n, start: gop.start + shift, ..gop.clone() };
        gop.end = Some(gop.start + Ticks90k::SECOND);
        for (index, unit) in gop.units.iter_mut().enumerate() {
            unit.pts = gop.start + Ticks90k(11_000 * index as i64);
        }
        timeline.update(&gop, true);
    }
    timeline
}

fn directives(input: &[u8]) {
    let Ok(query) = str::from_utf8(input) else { return };
    let Ok(directives) = Directives::parse(query) else { return };
    let Directives { msn, part, skip } = directives;
    let mut written = msn.map_or(String::new(), |msn| format!("_HLS_msn={msn}"));
    written += &part.map_or(String::new(), |part| format!("&_HLS_part={part}"));
    written += if skip { "&_HLS_skip=YES" } else { "" };
    assert_eq!(Directives::parse(&written), Ok(directives));

    let (now, later) = (timeline(4), timeline(8));
    for track in [Track::Video, Track::Audio] {
        if let Answer::Wait { msn, .. } = directives.answer(&now, track) {
            assert!(msn <= 105, "it waits for {msn}, and 103 is the last");
            assert_eq!(directives.answer(&later, track), Answer::Now);
        }
    }
}

/// Three bytes are one segment: tenths of a second, and whether it follows on and has a date.
fn segments(input: &[u8]) -> Vec<Segment> {
    let segment = |(n, bytes): (usize, &[u8])| Segment {
        name: format!("{n}.ts"),
        duration: Ticks90k(i64::from(bytes[0]) * 9_000),
        bytes: 1000,
        discontinuity: bytes[1] & 1 == 1,
        date: (bytes[2] & 1 == 0).then_some(WallTime(1_795_241_700_000_000 + 1_000_000 * n as i64)),
    };
    input.chunks_exact(3).enumerate().map(segment).collect()
}

fn playlist(input: &[u8]) {
    let made = segments(input);
    let outline = Outline::of(&playlist_of(&made));
    assert!((outline.seconds - duration(&made).as_secs_f64()).abs() < 1e-3, "{outline:?}");
    assert_eq!(outline.first, made.first().map(|segment| segment.name.clone()));
    // At the end of a text a carriage return belongs to the line, and in front of a newline to that.
    let Some(text) = str::from_utf8(input).ok().filter(|text| !text.contains('\r')) else { return };
    let outline = Outline::of(text);
    assert!(outline.seconds >= 0.0 && outline.target >= 0.0, "{outline:?}");
    let again = Outline::of(&redated(text, WallTime(1_795_241_700_000_000)));
    assert_eq!(Outline { start: outline.start, ..again }, outline, "dates change nothing else");
}

fn headers(input: &[u8]) {
    let tag = "\"b\"";
    for length in [0, 1, 100, u64::MAX] {
        if let Wanted::Part(range) = wanted(Some(input), None, tag, length) {
            assert!(range.start < range.end && range.end <= length, "{range:?} of {length}");
            let same = format!("bytes={}-{}", range.start, range.end - 1);
            assert_eq!(wanted(Some(same.as_bytes()), Some(tag.as_bytes()), tag, length), Wanted::Part(range));
        }
    }
    assert!(!has_tag(input, tag) || input.contains(&b'b') || input.contains(&b'*'));
}

fn names(input: &[u8]) {
    if let Ok(token) = LockToken::parse(input) {
        assert_eq!(LockToken::parse(token.to_string().as_bytes()), Ok(token));
    }
    let Ok(text) = str::from_utf8(input) else { return };
    if let Some(name) = same_text::<RecordingName>(text) {
        assert_eq!(text.len(), NAME_LEN);
        assert_eq!(RecordingName::new(name.start, name.camera, name.sequence), name);
    }
    if let Some(wall) = WallTime::parse_rfc3339(text) {
        assert_eq!(wall.rfc3339(), text);
    }
    same_text::<CameraId>(text);
    same_text::<Resource>(text);
    // It is only read as a part of a resource's name, which has one spelling.
    if let Ok(id) = text.parse::<ConfigId>() {
        assert_eq!(id.to_string().parse(), Ok(id));
    }
}

/// What can be read has no other spelling.
fn same_text<T: FromStr + Display + Debug>(text: &str) -> Option<T> {
    let value: T = text.parse().ok()?;
    assert_eq!(value.to_string(), text);
    Some(value)
}

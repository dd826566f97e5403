//! HTTP Live Streaming, second edition (draft-pantos-hls-rfc8216bis; section numbers are of revision 16 and later).
//!
//! ```text
//! master.m3u8 ─┬─ video.m3u8 ── video-<config>.mp4   video-<sequence>.m4s   video-<sequence>.<part>.m4s
//!              └─ audio.m3u8 ── audio-<config>.mp4   audio-<sequence>.m4s   audio-<sequence>.<part>.m4s
//! ts.m3u8 ────────────────────────────────────────── <sequence>.ts
//! ```
//!
//! [`playlist`] writes the text from a [`Timeline`](crate::timeline::Timeline), [`reload`] answers the delivery directives of a
//! request, [`vod`] writes the playlists of a recording that is over, and [`Resource`] is the one place that knows the names. A segment is its parts one after the other, byte for byte.

pub mod playlist;
pub mod reload;
pub mod vod;

pub use playlist::{master, media, ts};
pub use reload::{Answer, BadRequest, Directives};

use crate::access_unit::Track;
use crate::timeline::ConfigId;
use std::fmt;
use std::str::FromStr;

/// A resource that playlists and the MPD point to. `Display` writes its name, `FromStr` reads it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resource {
    /// Media Initialization Section of a track: `video-1a2b3c4d.mp4`.
    Init(Track, ConfigId),
    /// One track of a GOP in CMAF: `audio-4711.m4s`.
    Segment(Track, u64),
    /// The same, by the whole second of media time in which the GOP starts: `audio-s5207.m4s`. What DASH asks for.
    Second(Track, u32),
    /// One part of it, counted from 0: `video-4711.3.m4s`.
    Part(Track, u64, u32),
    /// A GOP in MPEG-TS: `4711.ts`.
    Ts(u64),
}

fn track_name(track: Track) -> &'static str {
    match track {
        Track::Video => "video",
        Track::Audio => "audio",
    }
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Init(track, config) => write!(f, "{}-{config}.mp4", track_name(track)),
            Self::Segment(track, sequence) => write!(f, "{}-{sequence}.m4s", track_name(track)),
            Self::Second(track, second) => write!(f, "{}-s{second}.m4s", track_name(track)),
            Self::Part(track, sequence, part) => write!(f, "{}-{sequence}.{part}.m4s", track_name(track)),
            Self::Ts(sequence) => write!(f, "{sequence}.ts"),
        }
    }
}

/// No resource has such a name.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("no such resource")]
pub struct UnknownResource;

impl FromStr for Resource {
    type Err = UnknownResource;

    fn from_str(name: &str) -> Result<Self, UnknownResource> {
        let resource = parse(name).ok_or(UnknownResource)?;
        // Leading zeros, signs and capitals are other names: a cache shall not hold the same bytes twice.
        (resource.to_string() == name).then_some(resource).ok_or(UnknownResource)
    }
}

fn parse(name: &str) -> Option<Resource> {
    if let Some(sequence) = name.strip_suffix(".ts") {
        return sequence.parse().ok().map(Resource::Ts);
    }
    let (track, rest) = name.split_once('-')?;
    let track = [Track::Video, Track::Audio].into_iter().find(|&known| track_name(known) == track)?;
    if let Some(config) = rest.strip_suffix(".mp4") {
        return config.parse().ok().map(|config| Resource::Init(track, config));
    }
    let numbers = rest.strip_suffix(".m4s")?;
    if let Some(second) = numbers.strip_prefix('s') {
        return second.parse().ok().map(|second| Resource::Second(track, second));
    }
    Some(match numbers.split_once('.') {
        None => Resource::Segment(track, numbers.parse().ok()?),
        Some((sequence, part)) => Resource::Part(track, sequence.parse().ok()?, part.parse().ok()?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_read_back_and_no_other_is() {
        let config = "00c0ffee".parse().unwrap();
        for (resource, name) in [
            (Resource::Init(Track::Video, config), "video-00c0ffee.mp4"),
            (Resource::Segment(Track::Audio, 4711), "audio-4711.m4s"),
            (Resource::Second(Track::Audio, 5207), "audio-s5207.m4s"),
            (Resource::Part(Track::Video, 4711, 3), "video-4711.3.m4s"),
            (Resource::Ts(u64::MAX), "18446744073709551615.ts"),
        ] {
            assert_eq!(resource.to_string(), name);
            assert_eq!(name.parse(), Ok(resource));
        }
        for name in [
            "",
            ".ts",
            "video",
            "video-",
            "video-.m4s",
            "video-1.m4s.",
            "video-1..m4s",
            "video-1.2.3.m4s",
            "video-01.m4s",
            "video-+1.m4s",
            "Video-1.m4s",
            "other-1.m4s",
            "video-c0ffee.mp4",
            "video-00C0FFEE.mp4",
            "18446744073709551616.ts",
            "-1.ts",
            "video-s.m4s",
            "video-s01.m4s",
            "video-s1.2.m4s",
            "video-1.-1.m4s",
        ] {
            assert_eq!(name.parse::<Resource>(), Err(UnknownResource), "{name}");
        }
    }
}

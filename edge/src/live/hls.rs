//! HLS (RFC 8216bis): playlists with blocking reload, init segments, segments, parts; also the segments of DASH, which are the
//! same.
//!
//! What a request may wait for, and which directives are wrong, is said by [`media::hls::reload`]; names by [`media::hls::Resource`].

use super::dash;
use super::packager::{Absent, Packager, View};
use super::reply::{self, Body, Cache};
use super::routes::Asked;
use bytes::Bytes;
use hyper::{Response, StatusCode};
use media::Track;
use media::hls::{self, Answer, Directives, Resource};
use media::mp4::{Tracks, init_segment};
use media::timeline::Timeline;
use std::rc::Rc;

const PLAYLIST: &str = "application/vnd.apple.mpegurl";
const VIDEO: &str = "video/mp4";
const AUDIO: &str = "audio/mp4";
const TRANSPORT_STREAM: &str = "video/mp2t";
/// Seconds that a segment may be kept by a cache. Its name comes back only after the board was restarted.
const SEGMENT_AGE: u32 = 30;

/// `master.m3u8`
pub(super) async fn master(packager: &Rc<Packager>, asked: &Asked<'_>) -> Response<Body> {
    // It names bandwidths, which are measured: a first segment must have ended.
    let ready = packager.wait_for(|timeline| timeline.bit_rates(&[Track::Video])).await;
    match ready {
        Ok(_) => view(packager, View::Master, PLAYLIST, asked, hls::master),
        Err(unready) => reply::unready(unready),
    }
}

/// `ts.m3u8`
pub(super) async fn ts(packager: &Rc<Packager>, asked: &Asked<'_>) -> Response<Body> {
    match packager.wait_for(|timeline| timeline.complete().next().map(|_| ())).await {
        Ok(()) => view(packager, View::Ts, PLAYLIST, asked, |timeline| Some(hls::ts(timeline))),
        Err(unready) => reply::unready(unready),
    }
}

/// `video.m3u8` and `audio.m3u8`
pub(super) async fn media(packager: &Rc<Packager>, track: Track, asked: &Asked<'_>) -> Response<Body> {
    let directives = match Directives::parse(asked.query) {
        Ok(directives) => directives,
        Err(error) => return reply::text(StatusCode::BAD_REQUEST, error.to_string()),
    };
    let look = |timeline: &Timeline| {
        if !has(timeline, track) {
            return Some(Err(reply::not_found(format!("Camera {:?} has no sound.", packager.camera()))));
        }
        match directives.answer(timeline, track) {
            Answer::Now => Some(Ok(())),
            Answer::Wait { .. } => None,
            Answer::Refuse(error) => Some(Err(reply::text(StatusCode::BAD_REQUEST, error.to_string()))),
        }
    };
    match packager.wait_for(look).await {
        Ok(Ok(())) => view(packager, View::Media(track, directives.skip), PLAYLIST, asked, |timeline| {
            Some(hls::media(timeline, track, directives.skip))
        }),
        Ok(Err(refused)) => refused,
        Err(unready) => reply::unready(unready),
    }
}

/// A text made from the timeline.
pub(super) fn view(
    packager: &Packager,
    view: View,
    kind: &'static str,
    asked: &Asked<'_>,
    make: impl FnOnce(&Timeline) -> Option<String>,
) -> Response<Body> {
    match packager.text(view, make) {
        Some(text) => {
            let tag = format!("\"{}-{}\"", packager.epoch(), packager.version());
            reply::tagged(reply::ok(kind, Cache::Ask, Body::Whole(text)), &tag, asked.headers)
        }
        None => reply::unready(super::packager::Unready::Late),
    }
}

fn has(timeline: &Timeline, track: Track) -> bool {
    track == Track::Video
        || timeline.segments().next_back().is_some_and(|newest| newest.config.audio.is_some())
}

/// A resource that playlists and the MPD point to.
pub(super) async fn resource(
    packager: &Rc<Packager>,
    resource: Resource,
    asked: &Asked<'_>,
) -> Response<Body> {
    let (resource, sequence) = match resource {
        Resource::Init(track, id) => {
            let found = packager.wait_for(|timeline| timeline.config(id).map(|_| ())).await;
            return match (found, packager.config(id)) {
                (Ok(()), Some(config)) => {
                    let tracks = if track == Track::Video { Tracks::Video } else { Tracks::Audio };
                    let built = Ok(init_segment(&config, tracks));
                    piece(packager, kind(track), Cache::Forever, built, resource, asked)
                }
                _ => reply::not_found(format!("{resource} belongs to no segment in the ring.")),
            };
        }
        Resource::Second(track, second) => {
            let at = |timeline: &Timeline| Some(timeline.sequence_at(second.into()));
            match packager.wait_for(at).await {
                Ok(Some(sequence)) => (Resource::Segment(track, sequence), sequence),
                Ok(None) => return reply::not_found(format!("{resource} does not exist.")),
                Err(unready) => return reply::unready(unready),
            }
        }
        Resource::Segment(_, sequence) | Resource::Part(_, sequence, _) | Resource::Ts(sequence) => {
            (resource, sequence)
        }
    };
    match packager.wait_for(|timeline| find(timeline, resource, sequence)).await {
        Ok(Found::Ended) => match resource {
            Resource::Segment(track, _) => {
                piece(packager, kind(track), SEGMENT, packager.segment(track, sequence), resource, asked)
            }
            Resource::Ts(_) => {
                piece(packager, TRANSPORT_STREAM, SEGMENT, packager.ts(sequence), resource, asked)
            }
            _ => part_or_nothing(packager, resource, asked),
        },
        Ok(Found::Growing) => match resource {
            Resource::Segment(track, _) => {
                reply::ok(kind(track), Cache::No, dash::growing(Rc::clone(packager), track, sequence))
            }
            _ => part_or_nothing(packager, resource, asked),
        },
        Ok(Found::NotYet) => reply::not_found(format!("{resource} does not exist yet.")),
        Err(unready) => reply::unready(unready),
    }
}

const SEGMENT: Cache = Cache::Seconds(SEGMENT_AGE);

fn part_or_nothing(packager: &Packager, resource: Resource, asked: &Asked<'_>) -> Response<Body> {
    match resource {
        Resource::Part(track, sequence, index) => {
            piece(packager, kind(track), SEGMENT, packager.part(track, sequence, index), resource, asked)
        }
        _ => reply::not_found(format!("{resource} does not exist.")),
    }
}

fn kind(track: Track) -> &'static str {
    if track == Track::Video { VIDEO } else { AUDIO }
}

/// Where a piece stands.
enum Found {
    /// Its segment has ended, or left the list; the ring knows whether it still has it.
    Ended,
    /// Its segment grows, and if it is a part, the part is there.
    Growing,
    /// It is further ahead than what comes next.
    NotYet,
}

/// Looks for a piece; `None` if it is the very next one that comes.
fn find(timeline: &Timeline, resource: Resource, sequence: u64) -> Option<Found> {
    let newest = timeline.segments().next_back()?;
    let next = newest.sequence + 1;
    let whole = matches!(resource, Resource::Ts(_));
    match resource {
        _ if sequence < newest.sequence || (sequence == newest.sequence && newest.complete) => {
            Some(Found::Ended)
        }
        _ if sequence > next || (whole && sequence == next) => Some(Found::NotYet),
        Resource::Part(track, _, index) => {
            let there = if sequence == next { 0 } else { newest.media(track).parts.len() };
            match index as usize {
                index if sequence == newest.sequence && index < there => Some(Found::Growing),
                index if index == there => None,
                _ => Some(Found::NotYet),
            }
        }
        _ if sequence == newest.sequence && !whole => Some(Found::Growing),
        _ => None,
    }
}

/// A piece that never changes.
fn piece(
    packager: &Packager,
    kind: &'static str,
    cache: Cache,
    built: Result<Bytes, Absent>,
    resource: Resource,
    asked: &Asked<'_>,
) -> Response<Body> {
    match built {
        Ok(bytes) if bytes.is_empty() => reply::not_found(format!("{resource} has no footage.")),
        Ok(bytes) => {
            // Sequence numbers begin again when the board was restarted; the epoch does not come back.
            let tag = format!("\"{resource}-{}\"", packager.epoch());
            reply::tagged(reply::ok(kind, cache, Body::Whole(bytes)), &tag, asked.headers)
        }
        Err(Absent::Ring(error @ crate::ring::Error::Gone { .. })) => {
            reply::not_found(format!("{resource}: {error}."))
        }
        Err(Absent::NoPart) => reply::not_found(format!("{resource}: {}.", Absent::NoPart)),
        Err(error) => {
            tracing::warn!(%resource, %error, "a segment cannot be made");
            reply::text(StatusCode::INTERNAL_SERVER_ERROR, format!("{resource}: {error}."))
        }
    }
}

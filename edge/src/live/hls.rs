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
use media::timeline::{ConfigId, Timeline};
use std::cmp::Ordering;
use std::rc::Rc;

const PLAYLIST: &str = "application/vnd.apple.mpegurl";
const VIDEO: &str = "video/mp4";
const AUDIO: &str = "audio/mp4";
const TRANSPORT_STREAM: &str = "video/mp2t";
/// How long a segment may be kept by a cache. Its name comes back only after the board was restarted.
const SEGMENT: Cache = Cache::Seconds(30);

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
    let piece = match resource {
        Resource::Init(track, id) => return init(packager, track, id, asked).await,
        Resource::Second(track, second) => {
            let at = |timeline: &Timeline| Some(timeline.sequence_at(second.into()));
            match packager.wait_for(at).await {
                Ok(Some(sequence)) => Piece::Segment(track, sequence),
                Ok(None) => return reply::not_found(format!("{resource} does not exist.")),
                Err(unready) => return reply::unready(unready),
            }
        }
        Resource::Segment(track, sequence) => Piece::Segment(track, sequence),
        Resource::Part(track, sequence, index) => Piece::Part(track, sequence, index),
        Resource::Ts(sequence) => Piece::Ts(sequence),
    };
    match packager.wait_for(|timeline| piece.find(timeline)).await {
        Ok(Found::There) => sent(packager, piece.kind(), SEGMENT, piece.build(packager), resource, asked),
        Ok(Found::Growing(track, sequence)) => {
            reply::ok(piece.kind(), Cache::No, dash::growing(Rc::clone(packager), track, sequence))
        }
        Ok(Found::NotYet) => reply::not_found(format!("{resource} does not exist yet.")),
        Err(unready) => reply::unready(unready),
    }
}

async fn init(packager: &Rc<Packager>, track: Track, id: ConfigId, asked: &Asked<'_>) -> Response<Body> {
    let resource = Resource::Init(track, id);
    match packager.wait_for(|timeline| Some(timeline.config(id).cloned())).await {
        Ok(Some(config)) => {
            let tracks = if track == Track::Video { Tracks::Video } else { Tracks::Audio };
            let built = Ok(init_segment(&config, tracks));
            sent(packager, kind(track), Cache::Forever, built, resource, asked)
        }
        Ok(None) => reply::not_found(format!("{resource} belongs to no segment in the ring.")),
        Err(unready) => reply::unready(unready),
    }
}

/// Some of the footage of one GOP.
#[derive(Clone, Copy)]
enum Piece {
    Segment(Track, u64),
    Part(Track, u64, u32),
    Ts(u64),
}

/// Where a piece stands.
enum Found {
    /// It can be had whole, or has left the ring: the ring knows.
    There,
    /// It is this track of the segment that grows.
    Growing(Track, u64),
    /// It is further ahead than what comes next.
    NotYet,
}

impl Piece {
    fn kind(self) -> &'static str {
        match self {
            Self::Segment(track, _) | Self::Part(track, ..) => kind(track),
            Self::Ts(_) => TRANSPORT_STREAM,
        }
    }

    fn build(self, packager: &Packager) -> Result<Bytes, Absent> {
        match self {
            Self::Segment(track, sequence) => packager.segment(track, sequence),
            Self::Part(track, sequence, index) => packager.part(track, sequence, index),
            Self::Ts(sequence) => packager.ts(sequence),
        }
    }

    /// Looks for it; `None` if it is the very next one that comes.
    fn find(self, timeline: &Timeline) -> Option<Found> {
        let newest = timeline.segments().next_back()?;
        let (Self::Segment(_, sequence) | Self::Part(_, sequence, _) | Self::Ts(sequence)) = self;
        let ended = newest.sequence + u64::from(newest.complete);
        if sequence < ended {
            return Some(Found::There);
        }
        // What has begun of the segment that is asked for, if it is the one that grows or the next one.
        let growing = (sequence == newest.sequence).then_some(newest);
        match self {
            _ if sequence > newest.sequence + 1 => Some(Found::NotYet),
            Self::Segment(track, _) => growing.map(|_| Found::Growing(track, sequence)),
            Self::Ts(_) => growing.is_none().then_some(Found::NotYet),
            Self::Part(track, _, index) => {
                let there = growing.map_or(0, |segment| segment.media(track).parts.len());
                match (index as usize).cmp(&there) {
                    Ordering::Less => Some(Found::There),
                    Ordering::Equal => None,
                    Ordering::Greater => Some(Found::NotYet),
                }
            }
        }
    }
}

fn kind(track: Track) -> &'static str {
    if track == Track::Video { VIDEO } else { AUDIO }
}

/// A resource that never changes.
fn sent(
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
        Err(absent @ (Absent::NoPart | Absent::Ring(crate::ring::Error::Gone { .. }))) => {
            reply::not_found(format!("{resource}: {absent}."))
        }
        Err(error) => {
            tracing::warn!(%resource, %error, "a segment cannot be made");
            reply::text(StatusCode::INTERNAL_SERVER_ERROR, format!("{resource}: {error}."))
        }
    }
}

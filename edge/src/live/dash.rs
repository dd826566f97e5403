//! DASH (ISO/IEC 23009-1): the MPD, the clock it names, and the segment that still grows, in chunks as they come.

use super::hls::view;
use super::packager::{Packager, View};
use super::reply::{self, Body, Cache};
use super::routes::Asked;
use crate::supervise::clock;
use hyper::Response;
use media::dash;
use media::time::WallMapping;
use media::{Track, WallTime};
use std::rc::Rc;

/// `manifest.mpd`
pub(super) async fn manifest(
    packager: &Rc<Packager>,
    clock: &WallMapping,
    asked: &Asked<'_>,
) -> Response<Body> {
    match packager.wait_for(|timeline| timeline.bit_rates(&[Track::Video])).await {
        Ok(_) => view(packager, View::Mpd, "application/dash+xml", asked, |timeline| {
            dash::manifest(timeline, clock, packager.camera())
        }),
        Err(unready) => reply::unready(unready),
    }
}

/// What the MPD's `UTCTiming` points to.
pub(super) fn time(clock: &WallMapping) -> Response<Body> {
    let now = dash::utc_time(clock, clock::media_now());
    reply::ok("text/plain; charset=utf-8", Cache::No, Body::Whole(now.into()))
}

/// The mapping from media time to MPD time: taken once, because it must not jump while players hold an MPD. Without a wall
/// clock, MPD time counts from 1970.
pub(super) fn mapping() -> WallMapping {
    let unset = || WallMapping { media: clock::media_now(), wall: WallTime(clock::media_now().as_micros()) };
    clock::mapping().unwrap_or_else(unset)
}

/// A segment that grows: each part is sent when it is there, and the answer ends with the GOP.
pub(super) fn growing(packager: Rc<Packager>, track: Track, sequence: u64) -> Body {
    Body::pieces(0, move |index: u32| {
        let packager = Rc::clone(&packager);
        async move {
            let there = packager.wait_for(|timeline| {
                let segment = timeline.get(sequence)?;
                let parts = segment.media(track).parts.len();
                match index as usize {
                    index if index < parts => Some(true),
                    _ if segment.complete => Some(false),
                    _ => None,
                }
            });
            match there.await {
                Ok(true) => Some((packager.part(track, sequence, index).ok()?, index + 1)),
                // A camera that stalls ends the segment too; the player goes on with the next one.
                _ => None,
            }
        }
    })
}

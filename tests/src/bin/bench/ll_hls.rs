//! Row: how old a picture is when hls.js shows it from LL-HLS.

use std::time::Duration;

use ::tests::browser::{Player, watch};
use anyhow::Result;

use crate::latency::seen;
use crate::table::{Figure, Unit};
use crate::{Bench, SETTLE, median};

/// How it is measured.
pub const HOW: &str = "As `latency`, with hls.js in its low-latency mode on `master.m3u8`; the same peer.";

/// Why it is as late as it is.
const DELAY: &str = "hls.js stays two and a half part targets behind the live edge, of the two that RFC 8216bis 4.4.3.8 demands and the three \
    that it advises; a part is listed once it is whole; and who joins at the end of a part stays that much behind. Parts of 200 ms would be sooner, but hls.js can lose the last one of a second if it is no longer than that \
    (docs/design/live-formats.md, \"Parts\"). PART-TARGET is the shortest that leaves the camera 9 ms of jitter.";

const JOINS: usize = 3;
const JOIN: Duration = Duration::from_secs(30);

/// Measures it.
pub fn measure(bench: &Bench) -> Result<Vec<Figure>> {
    let peer = bench.peer_delay()?.number("p50");
    let edge = bench.edge("?stamp=1")?;
    std::thread::sleep(SETTLE);
    let join = || {
        let watched = seen(watch(Player::HlsLowLatency, &edge.url("/live/front/master.m3u8"), JOIN)?)?;
        Ok((watched.number("p50"), watched.number("p95")))
    };
    let (middles, tails): (Vec<f64>, Vec<f64>) =
        (0..JOINS).map(|_| join()).collect::<Result<Vec<_>>>()?.into_iter().unzip();
    let figure = Figure::new("LL-HLS in hls.js, frame to screen, p50", Unit::Ms, median(middles))
        .at_most(1000.0)
        .tried(DELAY);
    Ok(vec![figure.detail(format!("p95 {:.0} ms", median(tails))).peer(format!("{peer:.0} ms"))])
}

//! Row: how old a picture is when hls.js shows it from LL-HLS.

use std::time::Duration;

use ::tests::browser::{Player, watch};
use anyhow::Result;

use crate::latency::seen;
use crate::table::{Figure, Unit};
use crate::{Bench, SETTLE, median};

/// How it is measured.
pub const HOW: &str = "As `latency`, with hls.js in its low-latency mode on `master.m3u8`, which may catch up with the live edge \
    (`maxLiveSyncPlaybackRate` 1.5), as the one of the peer may; the same peer. As it comes, hls.js does not catch up: whoever joins at \
    the end of a part stays a part behind for good.";

/// Why it is as late as it is.
const DELAY: &str = "hls.js stays three part targets behind the live edge, as RFC 8216bis 4.4.3.8 advises, and a part is shown once it \
    is whole. Parts of 200 ms would be sooner, but hls.js can lose the last one of a second if it is no longer than that \
    (docs/design/live-formats.md, \"Parts\"). PART-TARGET is the shortest that leaves the camera 9 ms of jitter.";

const JOINS: usize = 3;
const JOIN: Duration = Duration::from_secs(30);

/// Measures it.
pub fn measure(bench: &Bench) -> Result<Vec<Figure>> {
    let peer = bench.peer_delay()?.number("p50");
    let edge = bench.edge("?stamp=1")?;
    std::thread::sleep(SETTLE);
    let row = |name: &'static str, player: Player| -> Result<Figure> {
        let joins = (0..JOINS).map(|_| seen(watch(player, &edge.url("/live/front/master.m3u8"), JOIN)?));
        let joins = joins.collect::<Result<Vec<_>>>()?;
        let middle = |figure: &str| median(joins.iter().map(|join| join.number(figure)).collect());
        Ok(Figure::new(name, Unit::Ms, middle("p50")).detail(format!("p95 {:.0} ms", middle("p95"))))
    };
    let close = row("LL-HLS in hls.js, frame to screen, p50", Player::HlsLowLatencyClose)?;
    let as_it_comes = row("LL-HLS in hls.js as it comes, p50", Player::HlsLowLatency)?;
    Ok(vec![close.at_most(1000.0).tried(DELAY).peer(format!("{peer:.0} ms")), as_it_comes])
}

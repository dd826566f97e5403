//! Row: how old a picture is when the page shows it, how soon the first one is there, and whether that stays so.

use std::time::Duration;

use ::tests::browser::{Player, Watched, watch};
use anyhow::{Result, ensure};

use crate::peer::Peer;
use crate::table::{Figure, Unit};
use crate::{Bench, SETTLE, median};

/// How it is measured.
pub const HOW: &str = "The clock is drawn into the frames as they leave the camera, and read back from every picture that \
    Chromium presents. Three joins of 30 s each, the median of each figure; the first second of a join counts too. The first \
    picture: from opening the page in a browser with an empty cache that has finished its own start. Drift: the median of the \
    last minute of ten less that of the second. The peer is ffmpeg (libx264 medium, one-second HLS), nginx, and \
    hls.js kept one segment behind the live edge.";

/// Where the time until the first picture goes.
const FIRST_PICTURE: &str = "The names of the cameras come with the page, the stream is asked for as soon as six small modules are \
    there and before the page is laid out, and everything else waits for the picture (docs/design/live.md, \"The first picture\"). \
    The edge takes about a millisecond of the time for each answer. The rest is processor time of Chromium, on the same cores, so \
    that it grows with whatever else they do.";

/// What moves the picture away from where it was.
const DRIFT: &str = "A screen shows pictures by its refreshes, so that the delay moves in steps of 17 ms, and Chromium tells the page of a \
    picture at once or one refresh later, by turns for minutes. Tried with the arrivals of such runs played again: the page goes by the \
    screen and not by the position of playback, which had let it be two refreshes late for minutes; a delay of the machine counts once \
    and not for each picture that waited; and running dry keeps 30 ms more in hand at most, for a quarter of a minute, instead of \
    60 ms for a minute (docs/design/live.md, \"The live edge\"). What remains is how busy the machine is in each of the two minutes.";

const JOINS: usize = 3;
const JOIN: Duration = Duration::from_secs(30);
const TEN_MINUTES: Duration = Duration::from_secs(600);

/// Measures it.
pub fn measure(bench: &Bench) -> Result<Vec<Figure>> {
    let peer = bench.peer_delay()?.clone();
    let edge = bench.edge("?stamp=1")?;
    std::thread::sleep(SETTLE);
    let joins: Vec<Watched> =
        (0..JOINS).map(|_| seen(watch(Player::Page, &edge.url("/"), JOIN)?)).collect::<Result<_>>()?;
    let middle = |name| median(joins.iter().map(|join| join.number(name)).collect());
    let figure =
        |what, name| Figure::new(what, Unit::Ms, middle(name)).peer(format!("{:.0} ms", peer.number(name)));
    let mut figures = vec![
        figure("live page, frame to screen, p50", "p50").at_most(95.0).aim(70.0),
        figure("live page, frame to screen, p95", "p95").at_most(120.0).aim(90.0),
        figure("live page, first picture", "first_frame_ms").at_most(300.0).tried(FIRST_PICTURE),
    ];
    let drift = "live page, drift over 10 min";
    if bench.long {
        let long = seen(watch(Player::Page, &edge.url("/"), TEN_MINUTES)?)?;
        let detail = format!("p50 {:.0} ms, p95 {:.0} ms", long.number("p50"), long.number("p95"));
        let figure = Figure::new(drift, Unit::Ms, long.number("drift").abs());
        figures.push(figure.at_most(20.0).detail(detail).tried(DRIFT));
    } else {
        figures.push(Figure::new(drift, Unit::Ms, f64::NAN).at_most(20.0).detail("only with `--long`"));
    }
    Ok(figures)
}

/// What a viewer saw, if the clock could be read at all.
pub fn seen(watched: Watched) -> Result<Watched> {
    ensure!(watched.number("p50").is_finite(), "no picture with a clock: {}", watched.figures);
    Ok(watched)
}

impl Bench {
    /// What a viewer of the peer's HLS sees; measured once.
    pub fn peer_delay(&self) -> Result<&Watched> {
        if let Some(watched) = self.peer_delay.get() {
            return Ok(watched);
        }
        let peer = Peer::start(None)?;
        std::thread::sleep(SETTLE);
        let watched = seen(watch(Player::HlsClose, &peer.url(), JOIN)?)?;
        Ok(self.peer_delay.get_or_init(|| watched))
    }
}

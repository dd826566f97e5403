//! Row: memory of the edge.

use std::thread::sleep;
use std::time::Duration;

use ::tests::edge::Edge;
use ::tests::usage;
use anyhow::{Context, Result};

use crate::Bench;
use crate::peer::Peer;
use crate::table::{Figure, Unit};
use crate::viewers::Viewers;

/// How it is measured.
pub const HOW: &str = "RssAnon and RssFile of `/proc/PID/status` after 20 s with so many viewers of `stream.mp4`, recording; the ring is \
    in files on a RAM disk and so not among them. The peer is ffmpeg (libx264 medium) making HLS and MP4, without nginx.";

const SPAN: Duration = Duration::from_secs(20);
const MIB: f64 = 1024.0 * 1024.0;

/// Measures it.
pub fn measure(bench: &Bench) -> Result<Vec<Figure>> {
    let edge = bench.edge("")?;
    let one = with_viewers(&edge, 1)?;
    let many = with_viewers(&edge, 64)?;
    drop(edge);
    let peer = Peer::start(None)?;
    sleep(SPAN);
    let peer = format!("{:.1} MiB", peer.resident()? as f64 / MIB);
    let figure = |viewers, bytes: u64| {
        let what = format!("resident memory of the edge, {viewers}");
        Figure::new(what, Unit::MiB, bytes as f64).peer(&peer)
    };
    Ok(vec![figure("1 viewer", one).at_most(16.0 * MIB), figure("64 viewers", many).at_most(24.0 * MIB)])
}

fn with_viewers(edge: &Edge, count: usize) -> Result<u64> {
    let _viewers = Viewers::join(edge, count)?;
    sleep(SPAN);
    usage::resident(edge.id().context("the edge is not running")?)
}

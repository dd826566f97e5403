//! Row: many viewers of one-second segments.

use std::fs;

use ::tests::usage;
use anyhow::{Context, Result};

use crate::nginx::Nginx;
use crate::polling::{newest_segment, poll};
use crate::table::{Figure, Unit};
use crate::{Bench, SETTLE};

/// How it is measured.
pub const HOW: &str = "200 clients with a connection each ask once a second, spread over the second, for `video.m3u8` and the newest \
    segment in it, for 30 s. nginx serves the same playlist and segment as files, to the same clients, right after. CPU is that \
    of the edge's network thread, which also makes the playlists and packs the segments, and that of nginx; GB are those of bodies.";

const CLIENTS: u32 = 200;
const SECONDS: u32 = 30;
const PLAYLIST: &str = "video.m3u8";

/// Measures it.
pub fn measure(bench: &Bench) -> Result<Vec<Figure>> {
    let edge = bench.edge("")?;
    let id = edge.id().context("the edge is not running")?;
    std::thread::sleep(SETTLE);
    let front = edge.url("/live/front/");
    let per_gigabyte = |folder: &str, id, thread| -> Result<(f64, f64, u64)> {
        let before = usage::thread_cpu(id, thread)?;
        let totals = poll(folder, PLAYLIST, CLIENTS, SECONDS)?;
        let cpu = (usage::thread_cpu(id, thread)? - before).as_secs_f64();
        Ok((cpu / totals.gigabytes(), totals.gigabytes(), totals.segments()))
    };
    let (ours, gigabytes, segments) = per_gigabyte(&front, id, "live")?;

    let folder = tempfile::tempdir_in("/dev/shm")?;
    let www = folder.path().join("www");
    fs::create_dir(&www)?;
    let playlist = edge.get(&format!("/live/front/{PLAYLIST}"))?.text();
    let segment = newest_segment(&playlist).context("no segment")?;
    fs::write(www.join(segment), edge.get(&format!("/live/front/{segment}"))?.body)?;
    fs::write(www.join(PLAYLIST), &playlist)?;
    drop(edge);
    let nginx = Nginx::serve(folder.path())?;
    let (theirs, ..) = per_gigabyte(&nginx.url(""), nginx.id(), "nginx")?;

    let detail = format!("{ours:.2} CPU s per GB, {segments} segments, {gigabytes:.2} GB");
    let figure =
        Figure::new("200 viewers of 1-s segments: CPU per GB", Unit::Times, ours / theirs).at_most(3.0);
    Ok(vec![figure.detail(detail).peer(format!("{theirs:.2} CPU s per GB"))])
}

//! Row: 64 viewers who connect at the same instant.

use std::thread::sleep;
use std::time::Duration;

use ::tests::usage;
use anyhow::{Context, Result};

use crate::table::{Figure, Unit};
use crate::viewers::Viewers;
use crate::{Bench, SETTLE};

/// How it is measured.
pub const HOW: &str = "64 clients open `stream.mp4` at the same instant and read for 30 s. Served is who got at least nine tenths of \
    the video that was encoded in that time; lapped readers are what the edge counts itself. CPU is all that the edge takes \
    with them, less what it took before without any; in parentheses with capture, encoding and recording.";

const VIEWERS: usize = 64;
const SPAN: Duration = Duration::from_secs(30);

/// Measures it.
pub fn measure(bench: &Bench) -> Result<Vec<Figure>> {
    let edge = bench.edge("")?;
    let id = edge.id().context("the edge is not running")?;
    let rate = || -> Result<f64> {
        let before = usage::cpu(id)?;
        sleep(SPAN);
        Ok((usage::cpu(id)? - before).as_secs_f64() / SPAN.as_secs_f64())
    };
    let encoded = || edge.metric("porthole_edge_video_bytes_total{camera=\"front\"}");
    sleep(SETTLE);
    let alone = rate()?;
    let viewers = Viewers::join(&edge, VIEWERS)?;
    viewers.forget();
    let before = encoded();
    let together = rate()?;
    let fair = (encoded() - before) * 0.9;
    let served = viewers.served(fair as u64);
    let lapped = edge.metric("porthole_edge_reader_lapped_total{camera=\"front\"}");
    let detail = format!("{together:.3} with everything");
    Ok(vec![
        Figure::new("64 viewers at once: served", Unit::Count, served as f64).at_least(VIEWERS as f64),
        Figure::new("64 viewers at once: lapped readers", Unit::Count, lapped).at_most(0.0),
        Figure::new("64 viewers at once: CPU", Unit::CpuPerSecond, together - alone)
            .at_most(0.05)
            .detail(detail),
    ])
}

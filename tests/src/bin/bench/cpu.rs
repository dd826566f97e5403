//! Row: CPU time from camera to ring, recording and one viewer.

use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

use ::tests::{footage, usage};
use anyhow::{Context, Result};

use crate::peer::Peer;
use crate::table::{Figure, Unit};
use crate::viewers::Viewers;
use crate::{Bench, FOOTAGE, SETTLE};

/// How it is measured.
pub const HOW: &str = "User and system time of the edge (which also reads the file that plays the camera) and of ffmpeg alone \
    (libx264 medium making HLS and MP4; its camera and nginx are not counted) over the same 60 s. The edge records and has \
    one viewer of `stream.mp4`. With sound: AAC-LC at 128 kb/s on both sides, in 60 s of their own.";

const TRIED: &str = "Three quarters are openh264's, at its lowest complexity; it is compiled with its AVX2 code and without a guard on every \
    stack, which saved an eighth. How much of a picture changes is summed in 32 bits, sixteen samples at a time; an upright picture is \
    copied once. On an idle machine each picture is coded with cold caches, at two to three times of what it costs in a row: nothing but a \
    busier machine was found to help.";

const SPAN: Duration = Duration::from_secs(60);

/// Measures it.
pub fn measure(bench: &Bench) -> Result<Vec<Figure>> {
    let (edge, ffmpeg) = both(bench, None)?;
    let sound = footage::wav(FOOTAGE)?;
    let (edge_sound, ffmpeg_sound) = both(bench, Some(&sound))?;
    let figure = |what, edge: f64, ffmpeg: f64| {
        let figure = Figure::new(what, Unit::Times, edge / ffmpeg).detail(format!("{edge:.2} CPU s"));
        figure.peer(format!("{ffmpeg:.2} CPU s"))
    };
    Ok(vec![
        figure("CPU for 60 s, video only", edge, ffmpeg).at_most(0.2).aim(1.0 / 6.0).tried(TRIED),
        figure("CPU for 60 s, with sound", edge_sound, ffmpeg_sound),
    ])
}

/// CPU seconds of the edge and of ffmpeg in the same span.
fn both(bench: &Bench, sound: Option<&Path>) -> Result<(f64, f64)> {
    let parameters = sound.map(|sound| format!("?audio={}", sound.display())).unwrap_or_default();
    let edge = bench.edge(&parameters)?;
    let id = edge.id().context("the edge is not running")?;
    let peer = Peer::start(sound)?;
    let _viewer = Viewers::join(&edge, 1)?;
    sleep(SETTLE);
    let before = (usage::cpu(id)?, peer.cpu()?);
    sleep(SPAN);
    let after = (usage::cpu(id)?, peer.cpu()?);
    Ok(((after.0 - before.0).as_secs_f64(), (after.1 - before.1).as_secs_f64()))
}

//! Row: how fast a recording flows over links that are late, slow, or stand still again and again.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use ::tests::edge::{Edge, Settings};
use ::tests::footage;
use ::tests::proxy::Proxy;
use ::tests::sshd::{Sshd, View};
use anyhow::{Context, Result, ensure};
use media::mp4::MEDIA_AT;
use media::names::{CameraId, RecordingName};

use crate::Bench;
use crate::table::{Figure, Unit};
use crate::upload::scp;

/// How it is measured.
pub const HOW: &str = "A sealed recording of 32 MB and, at the same time, `scp` of the same file go to an OpenSSH server on loopback, each over a link \
    of its own that does the same: 2 s of delay each way; 20 Mb/s that stands still for half a second of every one and a half; 64 kb/s each way. The rate is \
    that at which the file there grows, from its fourth to its twentieth mebibyte of content, or at 64 kb/s from its 128th to its 384th kibibyte: how long it \
    takes to connect, and what the steps of the handshake before and after cost in round trips, is not in it.";

/// Bytes of a picture, and pictures of the recording.
const PICTURES: (usize, u64) = (1_000_000, 32);
/// How often the files there are looked at.
const LOOK: Duration = Duration::from_millis(5);
/// A file that does not grow as far within this does not flow.
const PATIENCE: Duration = Duration::from_secs(180);
/// Bytes of content in front of the measurement, and behind it.
const LONG: (u64, u64) = (4 << 20, 20 << 20);
const SHORT: (u64, u64) = (128 << 10, 384 << 10);
/// Of each, so long it passes, and so long it stands still.
const STALLS: [Duration; 2] = [Duration::from_millis(1000), Duration::from_millis(500)];

/// Measures it.
pub fn measure(_: &Bench) -> Result<Vec<Figure>> {
    let late = |link: &Proxy| link.delay(Duration::from_secs(2));
    Ok(vec![
        flow("goodput over 2 s of delay each way", LONG, false, late)?,
        flow("goodput over 20 Mb/s that stalls", LONG, true, |link| link.slow_down(2_500_000))?,
        flow("goodput over 64 kb/s", SHORT, false, |link| link.slow_down(8_000))?,
    ])
}

/// The rate of ours and of `scp`, each over a link that `shape` makes what it is.
fn flow(what: &'static str, span: (u64, u64), stalls: bool, shape: impl Fn(&Proxy)) -> Result<Figure> {
    let sshd = Sshd::start(View::Whole)?;
    let links = [Proxy::start(sshd.port())?, Proxy::start(sshd.port())?];
    let settings = Settings::default().set("record.enabled", false).upload_to(&sshd)?;
    let mut edge = Edge::prepare(settings.set("upload.port", links[0].port()))?;
    sshd.authorize(&edge.public_key()?)?;
    let name = RecordingName::new(None, CameraId::new(b"bench", what), 0);
    fs::create_dir_all(edge.file("recordings"))?;
    let file = edge.file("recordings").join(format!("{name}.mp4"));
    fs::write(&file, footage::noise(PICTURES.1, PICTURES.0, 0)?)?;
    let [part, copy] = ["part", "copy"].map(|end| sshd.inbox().join(format!("{name}.{end}")));
    let mut theirs = scp(&sshd, links[1].port(), &edge, &file, &copy);
    links.iter().for_each(shape);
    let over = AtomicBool::new(false);
    let rates = thread::scope(|scope| {
        if stalls {
            scope.spawn(|| stall(&links, &over));
        }
        edge.launch()?;
        let ours = scope.spawn(|| rate(&part, (MEDIA_AT + span.0, MEDIA_AT + span.1)));
        let peer = scope.spawn(|| rate_of(&mut theirs, &copy, span));
        let rates = [ours.join(), peer.join()].map(|rate| rate.ok().context("the measurement failed"));
        over.store(true, Ordering::Relaxed);
        let [ours, peer] = rates;
        anyhow::Ok([ours??, peer??])
    });
    let [ours, peer] = rates?;
    let figure = Figure::new(what, Unit::Times, ours / peer).at_least(0.9);
    Ok(figure.detail(format!("{:.1} kB/s", ours / 1e3)).peer(format!("scp {:.1} kB/s", peer / 1e3)))
}

/// Both links stand still and go on until it is `over`.
fn stall(links: &[Proxy; 2], over: &AtomicBool) {
    while !over.load(Ordering::Relaxed) {
        for (stalled, span) in [false, true].into_iter().zip(STALLS) {
            links.iter().for_each(|link| link.stall(stalled));
            thread::sleep(span);
        }
    }
}

/// The rate at which `file` grows while `peer` runs.
fn rate_of(peer: &mut Command, file: &Path, span: (u64, u64)) -> Result<f64> {
    let mut peer = peer.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
    let rate = rate(file, span);
    peer.kill()?;
    peer.wait()?;
    rate
}

/// Bytes a second by which `file` grows from the one length to the other.
fn rate(file: &Path, (from, to): (u64, u64)) -> Result<f64> {
    let began = Instant::now();
    let mut first = None;
    loop {
        let (bytes, now) = (fs::metadata(file).map_or(0, |file| file.len()), Instant::now());
        if bytes >= from && first.is_none() {
            first = Some((bytes, now));
        }
        if let Some((first, since)) = first.filter(|_| bytes >= to) {
            return Ok((bytes - first) as f64 / (now - since).as_secs_f64());
        }
        ensure!(began.elapsed() < PATIENCE, "{} has only {bytes} bytes", file.display());
        thread::sleep(LOOK);
    }
}

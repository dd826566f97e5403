//! Row: how soon and how fast recordings reach the remote host.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use ::tests::edge::{Edge, Settings};
use ::tests::footage;
use ::tests::proxy::Proxy;
use ::tests::sshd::{Sshd, View};
use ::tests::wait::{PATIENCE, wait_for, wait_until};
use ::tests::web::metric;
use anyhow::{Result, ensure};
use media::names::{CameraId, RecordingName};

use crate::table::{Figure, Unit};
use crate::{Bench, median};

/// How it is measured.
pub const HOW: &str = "An OpenSSH server on loopback, and in front of it a link of 100 Mb/s or none. Backfill: a sealed recording of 50 or 200 MB \
    waits when the edge starts; the time runs from its connecting until the receipt, with every sync of the handshake. The peer is `scp` of \
    the same file over the same link to the same server, before it. Seven rounds each, by turns; the medians. Delay of a GOP: three minutes of \
    the footage, from the end of each GOP until the remote host has confirmed it, as `/metrics` tells. Receipt: the recordings of those three \
    minutes, one each, from the last look at `/api/recordings` that shows it growing to the first that shows its receipt, a look each 20 ms.";

const ROUNDS: u64 = 7;
/// Bytes of a picture.
const PICTURE: usize = 1_000_000;
/// Pictures of the recording: over the link of a board, and over one that is faster than disks.
const PICTURES: (u64, u64) = (50, 200);
/// Bytes a second of the link of a board: Ethernet of 100 Mb/s.
const BOARD: u64 = 12_500_000;
/// How long GOPs, and recordings of a minute each, are watched.
const WATCHED: Duration = Duration::from_secs(180);
/// From one look at the recordings to the next.
const LOOK: Duration = Duration::from_millis(20);
/// The buckets of the histogram, in seconds.
const BUCKETS: [&str; 7] = ["0.1", "0.25", "0.5", "0.75", "1.0", "1.5", "2.0"];

/// What was done for the speed of a backfill.
const GOODPUT: &str = "No link is in the way here, and the disk of the remote host is: two syncs a mebibyte, so that no more than that has \
    to be sent again, in the order of the writes and without a wait for either; scp syncs nothing. A mebibyte is on its way. Most of the edge's time is the SSH library's \
    ChaCha20-Poly1305, which is plain C; its AES-GCM takes longer, since it gives OpenSSL 16 bytes a call.";

/// Measures it.
pub fn measure(bench: &Bench) -> Result<Vec<Figure>> {
    let sshd = Sshd::start(View::Whole)?;
    let link = Proxy::start(sshd.port())?;
    link.slow_down(BOARD);
    let board = goodput("goodput of a backfill over 100 Mb/s", &sshd, link.port(), PICTURES.0)?;
    let loopback = goodput("goodput of a backfill over loopback", &sshd, sshd.port(), PICTURES.1)?;
    let [delay, receipt] = live(bench, &sshd)?;
    Ok(vec![board, loopback.tried(GOODPUT), delay, receipt])
}

/// How fast a recording of so many `pictures` reaches `sshd` through `port`, against `scp`.
fn goodput(what: &'static str, sshd: &Sshd, port: u16, pictures: u64) -> Result<Figure> {
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        let settings = Settings::default().set("record.enabled", false).upload_to(sshd)?;
        let mut edge = Edge::prepare(settings.set("upload.port", port))?;
        sshd.authorize(&edge.public_key()?)?;
        let name = RecordingName::new(None, CameraId::new(b"bench", what), round);
        fs::create_dir_all(edge.file("recordings"))?;
        let file = edge.file("recordings").join(format!("{name}.mp4"));
        fs::write(&file, footage::noise(pictures, PICTURE, round)?)?;
        theirs.push(copy(sshd, port, &edge, &file)?);
        ours.push(backfill(&mut edge)?);
        ensure!(
            fs::read(&file)? == fs::read(sshd.inbox().join(format!("{name}.mp4")))?,
            "another file arrived"
        );
    }
    let (ours, theirs) = (median(ours), median(theirs));
    let megabytes = (pictures as usize * PICTURE) as f64 / 1e6;
    let figure = Figure::new(what, Unit::Times, theirs / ours).at_least(0.9);
    let figure = figure.detail(format!("{:.1} MB/s", megabytes / ours));
    Ok(figure.peer(format!("scp {:.1} MB/s", megabytes / theirs)))
}

/// `scp` of `file` to `target`, with the key of `edge`.
pub fn scp(sshd: &Sshd, port: u16, edge: &Edge, file: &Path, target: &Path) -> Command {
    let mut scp = Command::new("scp");
    scp.args([
        "-q",
        "-o",
        "StrictHostKeyChecking=no",
        "-o",
        "UserKnownHostsFile=/dev/null",
        "-o",
        "BatchMode=yes",
    ]);
    scp.arg("-i").arg(edge.file("id_ed25519")).arg("-P").arg(port.to_string());
    scp.arg(file).arg(format!("{}@127.0.0.1:{}", sshd.user(), target.display()));
    scp
}

/// Seconds that `scp` takes.
fn copy(sshd: &Sshd, port: u16, edge: &Edge, file: &Path) -> Result<f64> {
    let target = sshd.inbox().join("copy");
    let mut scp = scp(sshd, port, edge, file, &target);
    let began = Instant::now();
    let output = scp.output()?;
    let took = began.elapsed().as_secs_f64();
    ensure!(output.status.success(), "{output:?}");
    fs::remove_file(target)?;
    Ok(took)
}

/// Seconds from connecting to the receipt.
fn backfill(edge: &mut Edge) -> Result<f64> {
    edge.launch()?;
    let upload = |edge: &Edge| edge.json("/api/status").ok().map(|status| status["upload"].clone());
    wait_until("the upload to begin", PATIENCE, || {
        upload(edge)
            .is_some_and(|upload| upload["state"]["state"].as_str().is_some_and(|state| state != "idle"))
    })?;
    let began = Instant::now();
    wait_for("the receipt", PATIENCE, || upload(edge).filter(|upload| upload["receipts"] == 1))?;
    Ok(began.elapsed().as_secs_f64())
}

/// Within which time 99 of 100 GOPs of a live stream are there, and how long its recordings wait for their receipts.
fn live(bench: &Bench, sshd: &Sshd) -> Result<[Figure; 2]> {
    let mut edge = Edge::prepare(bench.settings("")?.upload_to(sshd)?.set("record.minutes", 1))?;
    sshd.authorize(&edge.public_key()?)?;
    edge.start_again()?;
    let waits = waits_for_receipts(&edge)?;
    let page = edge.get("/metrics")?.text();
    edge.terminate()?;
    Ok([delay(&page)?, receipt(waits)?])
}

/// Seconds from the seal of each recording to its receipt.
fn waits_for_receipts(edge: &Edge) -> Result<Vec<f64>> {
    let (end, mut growing, mut waits) = (Instant::now() + WATCHED, BTreeMap::new(), Vec::new());
    while Instant::now() < end {
        for recording in edge.recordings()? {
            let name = recording["name"].as_str().unwrap_or_default().to_owned();
            match recording["state"].as_str() {
                Some("growing") => drop(growing.insert(name, Instant::now())),
                Some("receipted") => {
                    waits.extend(growing.remove(&name).map(|last| last.elapsed().as_secs_f64()))
                }
                _ => {}
            }
        }
        std::thread::sleep(LOOK);
    }
    Ok(waits)
}

fn receipt(waits: Vec<f64>) -> Result<Figure> {
    ensure!(!waits.is_empty(), "no recording had its receipt");
    let (count, worst) = (waits.len(), waits.iter().copied().fold(0.0, f64::max));
    let figure = Figure::new("receipt of a recording after its seal", Unit::Seconds, median(waits));
    Ok(figure.detail(format!("worst {worst:.2} s of {count}")))
}

fn delay(page: &str) -> Result<Figure> {
    let counted = |what: &str| metric(page, &format!("porthole_edge_gop_delay_seconds_{what}"));
    let all = counted("count{camera=\"front\"}");
    ensure!(all >= 30.0, "only {all} GOPs arrived");
    let within =
        |bucket: &&&str| counted(&format!("bucket{{le=\"{bucket}\",camera=\"front\"}}")) >= 0.99 * all;
    let p99 = BUCKETS.iter().find(within).and_then(|bucket| bucket.parse().ok()).unwrap_or(f64::NAN);
    let mean = counted("sum{camera=\"front\"}") / all;
    let figure = Figure::new("delay of a GOP, p99 at most", Unit::Seconds, p99).at_most(2.0);
    Ok(figure.detail(format!("mean {mean:.2} s of {all:.0}")))
}

//! Row: how soon and how fast recordings reach the remote host.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use ::tests::edge::{Edge, Settings, metric};
use ::tests::footage;
use ::tests::sshd::{Sshd, View};
use ::tests::wait::{PATIENCE, wait_for, wait_until};
use anyhow::{Result, ensure};
use media::names::{CameraId, RecordingName};

use crate::table::{Figure, Unit};
use crate::{Bench, median};

/// How it is measured.
pub const HOW: &str = "An OpenSSH server on loopback. Backfill: a sealed recording of 200 MB waits when the edge starts; the time runs from its \
    connecting until the receipt, with every sync of the handshake. The peer is `scp` of the same file to the same server, before it. Three \
    rounds each, by turns; the medians. Delay of a GOP: 60 s of the footage, from the end of each GOP until the remote host has confirmed \
    it, as `/metrics` tells.";

const ROUNDS: u64 = 3;
/// Bytes of a picture, and how many the recording has.
const PICTURE: usize = 1_000_000;
const PICTURES: u64 = 200;
/// How long GOPs are watched.
const WATCHED: Duration = Duration::from_secs(60);
/// The buckets of the histogram, in seconds.
const BUCKETS: [&str; 7] = ["0.1", "0.25", "0.5", "0.75", "1.0", "1.5", "2.0"];

/// What was done for the speed of a backfill.
const GOODPUT: &str = "Two syncs a mebibyte, so that no more than that has to be sent again, each beside the writes on a channel of its \
    own; scp syncs nothing. Half a mebibyte is on its way while its first half is confirmed. Most of the edge's time is the SSH library's \
    ChaCha20-Poly1305, which is plain C; its AES-GCM takes longer, since it gives OpenSSL 16 bytes a call. On a RAM disk, where a sync \
    costs nothing, an unoptimised build reaches 1.0 x.";

/// Measures it.
pub fn measure(bench: &Bench) -> Result<Vec<Figure>> {
    let sshd = Sshd::start(View::Whole)?;
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        let settings = Settings::default().set("record.enabled", false).upload_to(&sshd)?;
        let mut edge = Edge::prepare(settings)?;
        sshd.authorize(&edge.public_key()?)?;
        let name = RecordingName::new(None, CameraId::new(b"bench", "front"), round);
        fs::create_dir_all(edge.file("recordings"))?;
        let file = edge.file("recordings").join(format!("{name}.mp4"));
        fs::write(&file, footage::noise(PICTURES, PICTURE, round)?)?;
        theirs.push(copy(&sshd, &edge, &file)?);
        ours.push(backfill(&mut edge)?);
        ensure!(
            fs::read(&file)? == fs::read(sshd.inbox().join(format!("{name}.mp4")))?,
            "another file arrived"
        );
    }
    let (ours, theirs) = (median(ours), median(theirs));
    let megabytes = (PICTURES as usize * PICTURE) as f64 / 1e6;
    let goodput = Figure::new("goodput of a backfill against scp", Unit::Times, theirs / ours).at_least(0.9);
    let goodput = goodput
        .detail(format!("{:.0} MB/s", megabytes / ours))
        .peer(format!("{:.0} MB/s", megabytes / theirs))
        .tried(GOODPUT);
    Ok(vec![goodput, delay(bench, &sshd)?])
}

/// Seconds that `scp` takes.
fn copy(sshd: &Sshd, edge: &Edge, file: &Path) -> Result<f64> {
    let target = sshd.inbox().join("copy");
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
    scp.arg("-i").arg(edge.file("id_ed25519")).arg("-P").arg(sshd.port().to_string());
    scp.arg(file).arg(format!("{}@127.0.0.1:{}", sshd.user(), target.display()));
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

/// Within which time 99 of 100 GOPs of a live stream are there.
fn delay(bench: &Bench, sshd: &Sshd) -> Result<Figure> {
    let mut edge = Edge::prepare(bench.settings("")?.upload_to(sshd)?)?;
    sshd.authorize(&edge.public_key()?)?;
    edge.start_again()?;
    std::thread::sleep(WATCHED);
    let page = edge.get("/metrics")?.text();
    edge.terminate()?;
    let counted = |what: &str| metric(&page, &format!("porthole_edge_gop_delay_seconds_{what}"));
    let all = counted("count{camera=\"front\"}");
    ensure!(all >= 30.0, "only {all} GOPs arrived");
    let within =
        |bucket: &&&str| counted(&format!("bucket{{le=\"{bucket}\",camera=\"front\"}}")) >= 0.99 * all;
    let p99 = BUCKETS.iter().find(within).and_then(|bucket| bucket.parse().ok()).unwrap_or(f64::NAN);
    let mean = counted("sum{camera=\"front\"}") / all;
    let figure = Figure::new("delay of a GOP, p99 at most", Unit::Seconds, p99).at_most(2.0);
    Ok(figure.detail(format!("mean {mean:.2} s of {all:.0}")))
}

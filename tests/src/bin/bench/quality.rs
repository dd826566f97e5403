//! Row: how good the picture is for its bits, and what that costs.

use std::path::Path;
use std::process::Command;

use ::tests::{built, footage};
use anyhow::{Context, Result, ensure};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;

use crate::peer::RATE;
use crate::table::{Figure, Unit};
use crate::{Bench, FOOTAGE, median};

/// How it is measured.
pub const HOW: &str = "`examples/encode_clip` and ffmpeg (libx264 ultrafast zerolatency, one thread) encode the same 60 s from a raw \
    file at full speed, in turn, five times each. CPU time is the median of user and system time of the whole process; SSIM is \
    ffmpeg's, of luma, over all pictures; the bit rate is that of the elementary stream.";

const ROUNDS: usize = 5;

/// One way to encode.
struct Encoding {
    cpu: f64,
    kbps: f64,
    ssim: f64,
}

/// Measures it.
pub fn measure(_: &Bench) -> Result<Vec<Figure>> {
    let raw = footage::i420(FOOTAGE)?;
    let folder = tempfile::tempdir_in("/dev/shm")?;
    let output = |name: &str| folder.path().join(name).with_extension("264");
    let files = ["baseline", "main", "x264"].map(output);
    let [baseline, main, x264] = &files;
    let commands =
        || [ours(&raw, baseline, "constrained-baseline"), ours(&raw, main, "main"), theirs(&raw, x264)];
    let mut times = [const { Vec::new() }; 3];
    for _ in 0..ROUNDS {
        for (times, command) in times.iter_mut().zip(commands()) {
            times.push(cpu_of(command)?);
        }
    }
    let mut encodings = Vec::new();
    for (file, times) in files.iter().zip(times) {
        let bits = std::fs::metadata(file)?.len() as f64 * 8.0;
        let kbps = bits / 1000.0 / f64::from(FOOTAGE);
        encodings.push(Encoding { cpu: median(times), kbps, ssim: ssim(file, &raw)? });
    }
    let [baseline, main, x264] = encodings.as_slice() else { return Ok(Vec::new()) };
    Ok(figures(baseline, main, x264))
}

fn figures(baseline: &Encoding, main: &Encoding, x264: &Encoding) -> Vec<Figure> {
    let at = |encoding: &Encoding| format!("{:.4} at {:.1} kb/s", encoding.ssim, encoding.kbps);
    let cost = |what, encoding: &Encoding| {
        let figure = Figure::new(what, Unit::Times, encoding.cpu / x264.cpu);
        figure.detail(format!("{:.2} CPU s", encoding.cpu)).peer(format!("{:.2} CPU s", x264.cpu))
    };
    vec![
        Figure::new("luma SSIM, Constrained Baseline", Unit::Ssim, baseline.ssim)
            .at_least(0.955)
            .aim(0.962)
            .peer(at(x264)),
        Figure::new("average bit rate, Constrained Baseline", Unit::Kbps, baseline.kbps)
            .at_most(400.0)
            .peer(format!("{:.1} kb/s", x264.kbps)),
        cost("CPU for encoding 60 s, Constrained Baseline", baseline).at_most(1.5),
        Figure::new("luma SSIM, Main", Unit::Ssim, main.ssim)
            .detail(format!("{:.1} kb/s", main.kbps))
            .peer(at(x264)),
        cost("CPU for encoding 60 s, Main", main),
    ]
}

/// What `encode_clip` is told: width, height, pictures a second, bits a second.
pub const PICTURES: [&str; 4] = ["320", "240", "30", "400000"];

fn ours(raw: &Path, output: &Path, profile: &str) -> Command {
    let mut encode = Command::new(built("examples/encode_clip"));
    encode.arg(raw).arg(output).args(PICTURES).arg(profile);
    encode
}

/// Reads the raw file.
const RAW: [&str; 9] = ["-f", "rawvideo", "-pix_fmt", "yuv420p", "-s", "320x240", "-r", "30", "-i"];

fn theirs(raw: &Path, output: &Path) -> Command {
    let mut ffmpeg = Command::new("ffmpeg");
    x264(ffmpeg.args(["-v", "error"]), raw, output);
    ffmpeg
}

/// Lets ffmpeg encode a raw file as fast as it can, in one thread.
pub fn x264<'a>(ffmpeg: &'a mut Command, raw: &Path, output: &Path) -> &'a mut Command {
    ffmpeg.args(["-nostdin", "-y"]).args(RAW).arg(raw);
    ffmpeg.args(["-c:v", "libx264", "-threads", "1", "-preset", "ultrafast", "-tune", "zerolatency"]);
    ffmpeg.args(RATE).args(["-f", "h264"]).arg(output)
}

/// Runs a command to its end; seconds of CPU time that it took.
fn cpu_of(mut command: Command) -> Result<f64> {
    let so_far = || -> Result<f64> {
        let usage = getrusage(UsageWho::RUSAGE_CHILDREN)?;
        Ok((usage.user_time() + usage.system_time()).num_microseconds() as f64 / 1e6)
    };
    let before = so_far()?;
    let output = command.output().with_context(|| format!("{command:?}"))?;
    ensure!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(so_far()? - before)
}

/// Luma SSIM of all pictures.
fn ssim(encoded: &Path, raw: &Path) -> Result<f64> {
    let mut ffmpeg = Command::new("ffmpeg");
    ffmpeg.args(["-nostdin", "-r", "30", "-i"]).arg(encoded).args(RAW).arg(raw);
    let output = ffmpeg.args(["-lavfi", "[0:v][1:v]ssim", "-f", "null", "-"]).output()?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let value = said.rsplit_once("SSIM Y:").and_then(|(_, rest)| rest.split(' ').next()?.parse().ok());
    value.with_context(|| format!("ffmpeg said no SSIM: {said}"))
}

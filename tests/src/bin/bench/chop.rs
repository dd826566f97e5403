//! Row: a recording of 15 minutes as HLS on the remote host.

use std::path::Path;
use std::process::{Command, Stdio};

use ::tests::{built, footage, usage};
use anyhow::{Result, ensure};

use crate::table::{Figure, Unit};
use crate::{Bench, FOOTAGE, median, peer};

/// How it is measured.
pub const HOW: &str = "15 minutes of 320x240 at 30 fps, H.264 at 400 kb/s and AAC at 128 kb/s, in one MP4; `porthole-remote chop` and `ffmpeg -c copy` \
    to HLS with segments of six seconds by turns, five times each, from and to the same file system; user and system time of the whole process, the median. \
    Ours also syncs every file.";

const ROUNDS: usize = 5;
const LOOPS: u32 = 15;

/// Measures it.
pub fn measure(_: &Bench) -> Result<Vec<Figure>> {
    let folder = tempfile::tempdir()?;
    let recording = recording(folder.path())?;
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        let out = folder.path().join(format!("ours-{round}"));
        let mut chop = Command::new(built("porthole-remote"));
        ours.push(cpu(chop.arg("chop").arg(&recording).arg("--out").arg(&out))?);
        let out = folder.path().join(format!("theirs-{round}"));
        std::fs::create_dir(&out)?;
        let mut copy = ffmpeg();
        copy.arg("-i").arg(&recording).args([
            "-c",
            "copy",
            "-f",
            "hls",
            "-hls_time",
            "6",
            "-hls_playlist_type",
            "vod",
        ]);
        theirs.push(cpu(copy.arg(out.join("out.m3u8")))?);
    }
    let (ours, theirs) = (median(ours), median(theirs));
    let figure = Figure::new("15-minute recording to HLS: CPU", Unit::Times, ours / theirs).at_most(0.5);
    Ok(vec![figure.detail(format!("{ours:.3} CPU s")).peer(format!("ffmpeg -c copy {theirs:.3} CPU s"))])
}

/// The footage encoded once, and repeated without encoding it again.
fn recording(folder: &Path) -> Result<std::path::PathBuf> {
    let (once, whole) = (folder.join("once.mp4"), folder.join("whole.mp4"));
    let mut encode = ffmpeg();
    encode.arg("-i").arg(footage::y4m(FOOTAGE)?).arg("-i").arg(footage::wav(FOOTAGE)?);
    encode
        .args(["-c:v", "libx264", "-preset", "veryfast", "-bf", "0"])
        .args(peer::RATE)
        .args(["-c:a", "aac", "-b:a", "128k"]);
    cpu(encode.arg(&once))?;
    let mut repeat = ffmpeg();
    cpu(repeat
        .args(["-stream_loop", &(LOOPS - 1).to_string(), "-i"])
        .arg(once)
        .args(["-c", "copy"])
        .arg(&whole))?;
    Ok(whole)
}

fn ffmpeg() -> Command {
    let mut ffmpeg = Command::new("ffmpeg");
    ffmpeg.args(["-v", "error", "-nostdin", "-y"]);
    ffmpeg
}

/// Runs a program to its end; the CPU seconds that it took.
fn cpu(command: &mut Command) -> Result<f64> {
    let before = usage::children_cpu()?;
    let status = command.stdout(Stdio::null()).status()?;
    ensure!(status.success(), "{command:?} ended with {status}");
    Ok((usage::children_cpu()? - before).as_secs_f64())
}

//! ffprobe, ffmpeg and GStreamer as judges of a file, a folder's playlist or a stream's address.

use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use serde_json::Value;

use crate::process::Process;
use crate::wait::{PATIENCE, wait_for};

/// What ffprobe says of `input`: its format and its streams. An error if it complains of anything.
pub fn ffprobe(input: &str) -> Result<Value> {
    probe(input, "warning", &["-show_format", "-show_streams"])
}

/// What ffprobe says of every packet of `input`; there may be none yet.
pub fn packets(input: &str) -> Result<Vec<Value>> {
    let answer = probe(input, "error", &["-show_packets", "-show_data_hash", "sha256"])?;
    answer["packets"].as_array().cloned().with_context(|| format!("no packets in {input}"))
}

/// A sha256 for every coded picture of `input`, whatever it is packed in: over its slices (NAL units 1 to 5), as Annex B.
/// At most `seconds` of a stream without an end.
pub fn pictures(input: &str, seconds: Option<u32>) -> Result<Vec<String>> {
    let mut ffmpeg = bounded("ffmpeg");
    ffmpeg.args(["-v", "error", "-nostdin", "-i", input]);
    if let Some(seconds) = seconds {
        ffmpeg.args(["-t", &seconds.to_string()]);
    }
    ffmpeg.args(["-map", "0:v:0", "-c", "copy", "-bsf:v", "h264_mp4toannexb,filter_units=pass_types=1-5"]);
    ffmpeg.args(["-f", "framehash", "-hash", "sha256", "-"]);
    let output = finish(ffmpeg)?;
    silent("ffmpeg", input, &output)?;
    let text = String::from_utf8_lossy(&output.stdout);
    // stream, dts, pts, duration, size, hash, and then side data where the container has some.
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    Ok(lines.filter_map(|line| line.split(',').nth(5)).map(|hash| hash.trim().to_owned()).collect())
}

fn probe(input: &str, complaints: &str, show: &[&str]) -> Result<Value> {
    let mut ffprobe = bounded("ffprobe");
    ffprobe.args(["-v", complaints, "-of", "json"]).args(show).arg(input);
    let output = finish(ffprobe)?;
    silent("ffprobe", input, &output)?;
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// Decodes `input` with ffmpeg to its end, or for `seconds` of a stream without an end. An error if it complains of anything.
pub fn decode(input: &str, seconds: Option<u32>) -> Result<()> {
    let mut ffmpeg = bounded("ffmpeg");
    ffmpeg.args(["-v", "error", "-nostdin", "-xerror", "-i", input]);
    if let Some(seconds) = seconds {
        ffmpeg.args(["-t", &seconds.to_string()]);
    }
    ffmpeg.args(["-f", "null", "-"]);
    silent("ffmpeg", input, &finish(ffmpeg)?)
}

/// The mean luma of every picture of `input`, decoded by ffmpeg. An error if it complains of anything.
pub fn brightness(input: &str) -> Result<Vec<u8>> {
    let mut ffmpeg = bounded("ffmpeg");
    ffmpeg.args([
        "-v",
        "error",
        "-nostdin",
        "-xerror",
        "-i",
        input,
        "-map",
        "0:v:0",
        "-fps_mode",
        "passthrough",
        "-enc_time_base",
        "-1",
    ]);
    ffmpeg.args(["-vf", "scale=1:1:flags=area", "-pix_fmt", "gray", "-f", "rawvideo", "-"]);
    let output = finish(ffmpeg)?;
    silent("ffmpeg", input, &output)?;
    Ok(output.stdout)
}

fn silent(program: &str, input: &str, output: &Output) -> Result<()> {
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.success() && said.trim().is_empty(),
        "{program} says of {input}: {}\n{said}",
        output.status
    );
    Ok(())
}

/// A program that is ended after two minutes: a live stream can keep one waiting for ever.
fn bounded(program: &str) -> Command {
    let mut command = Command::new("timeout");
    command.args(["120", program]);
    command
}

fn finish(mut command: Command) -> Result<Output> {
    command.output().with_context(|| format!("{command:?}"))
}

/// Plays the file or address `uri` with GStreamer to its end, every picture and every sound decoded and thrown away.
pub fn gstreamer(uri: &str) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let uri = format!("uri={uri}");
    let arguments = ["--quiet", "playbin", &uri, "video-sink=fakesink", "audio-sink=fakesink"];
    let mut process = gst_launch(&arguments, folder.path())?;
    let status = process.wait(PATIENCE + Duration::from_secs(120)).with_context(|| process.log())?;
    let log = process.log();
    ensure!(status.success() && complaint(&log).is_none(), "GStreamer says of {uri}: {status}\n{log}");
    Ok(())
}

/// Plays the live stream, playlist or manifest at `url` with GStreamer until so many pictures and so many AAC frames are decoded.
/// An error if it complains of anything before that.
pub fn gstreamer_live(url: &str, pictures: usize, sounds: usize) -> Result<()> {
    // A live source: for any other one the player would stop and wait whenever its buffer is not full, which it never is at
    // the live edge.
    let pipeline = format!(
        "souphttpsrc is-live=true location={url} ! decodebin name=d \
         d. ! video/x-raw ! fakesink name=pictures silent=false \
         d. ! audio/x-raw ! fakesink name=sounds silent=false"
    );
    let folder = tempfile::tempdir()?;
    let arguments: Vec<&str> = ["--verbose"].into_iter().chain(pipeline.split_whitespace()).collect();
    let mut process = gst_launch(&arguments, folder.path())?;
    let outcome = wait_for("GStreamer to play", PATIENCE, || {
        let log = process.log();
        let came = |sink: &str| log.matches(&format!("{sink}: last-message = chain")).count();
        match complaint(&log) {
            Some(complaint) => Some(Err(anyhow!("GStreamer says of {url}: {complaint}"))),
            None if came("pictures") >= pictures && came("sounds") >= sounds => Some(Ok(())),
            None if process.is_running() => None,
            None => Some(Err(anyhow!("GStreamer ended on {url}: {log}"))),
        }
    });
    outcome.with_context(|| format!("{url}: {}", process.log()))?
}

fn gst_launch(arguments: &[&str], folder: &Path) -> Result<Process> {
    let mut gst = Command::new("gst-launch-1.0");
    // Level 1 is errors, also those of FFmpeg's decoders, which never reach the program otherwise.
    gst.args(arguments).env("GST_DEBUG", "1").env("GST_DEBUG_NO_COLOR", "1");
    // Its registry of plug-ins is a shared file that two tests must not write at once.
    gst.env("GST_REGISTRY", folder.join("registry"));
    Process::start(gst, &folder.join("log"))
}

/// The first line of GStreamer that is an error or a warning.
fn complaint(log: &str) -> Option<&str> {
    // It resolves no relative address in `UTCTiming`, and goes on with its own clock.
    const KNOWN: &str = "gst_dash_demux_poll_clock_drift";
    let complains = |line: &&str| (line.contains("ERROR") || line.contains("WARN")) && !line.contains(KNOWN);
    log.lines().find(complains)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_whole_file_is_read_in_silence_and_a_broken_one_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let whole = folder.path().join("whole.mp4");
        let whole = whole.to_str().unwrap();
        let mut encode = Command::new("ffmpeg");
        encode.args(["-v", "error", "-f", "lavfi", "-i", "testsrc2=s=320x240:r=30:d=2"]);
        encode.args(["-f", "lavfi", "-i", "sine=440:r=48000:d=2", "-pix_fmt", "yuv420p", whole]);
        assert!(encode.status().unwrap().success());
        assert_eq!(ffprobe(whole).unwrap()["streams"].as_array().unwrap().len(), 2);
        assert!(packets(whole).unwrap().len() > 60);
        assert_eq!(pictures(whole, None).unwrap().len(), 60);
        decode(whole, None).unwrap();
        gstreamer(&format!("file://{whole}")).unwrap();

        let broken = folder.path().join("broken.mp4");
        let broken = broken.to_str().unwrap();
        let mut bytes = std::fs::read(whole).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle..middle + 2000].fill(0xff);
        std::fs::write(broken, bytes).unwrap();
        assert!(decode(broken, None).is_err());
        std::fs::write(broken, "no film").unwrap();
        assert!(ffprobe(broken).is_err());
        assert!(gstreamer(&format!("file://{broken}")).is_err());
    }
}

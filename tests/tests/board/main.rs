//! Cameras and sound behind real drivers: a kernel for armv7 in QEMU, and the edge as boards run it.

mod camera;
mod clap;
mod fault;
mod footage;
mod sound;
mod usb;
mod wifi;

use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use tests::board::{Board, PATIENCE};
use tests::wait::wait_for;

/// The camera that all tests look through.
const CAMERA: &str = "front";

/// A driver that behaves like an HDMI grabber which gets 720p at 30 fps and scales down to any size; without text over its bars.
fn grabber(board: &mut Board) -> Result<()> {
    board.run("modprobe vivid n_devs=1 node_types=1 num_inputs=1 input_types=0x3")?;
    board.run("v4l2-ctl -d /dev/video0 -c osd_text_mode=2")?;
    // The source sends what was selected for it, whatever the driver was set to before.
    let timings = item(board, "1280x720p30")?;
    board.run(&format!("v4l2-ctl -d /dev/video0 -c dv_timings={timings}"))?;
    signal(board, "Selected DV Timings")
}

/// What the driver's input gets.
fn signal(board: &mut Board, what: &str) -> Result<()> {
    let mode = item(board, what)?;
    board.run(&format!("v4l2-ctl -d /dev/video0 -c dv_timings_signal_mode={mode}")).map(drop)
}

/// The number of an item in the menus of the driver.
fn item(board: &mut Board, name: &str) -> Result<String> {
    let menus = board.run("v4l2-ctl -d /dev/video0 --list-ctrls-menus")?;
    let mut items = menus.lines().filter_map(|line| line.trim().split_once(": "));
    let found = items.find(|(_, item)| *item == name).map(|(number, _)| number.to_owned());
    found.with_context(|| format!("no {name} in {menus}"))
}

/// A configuration with one camera, without sound and recordings, and `more` of the camera.
fn looking_at(source: &str, more: &str) -> String {
    format!(
        "audio.device = \"none\"\nrecord.enabled = false\nlive.listen = \"0.0.0.0:8080\"\n\
         [[camera]]\nname = \"{CAMERA}\"\nsource = \"{source}\"\n{more}\n"
    )
}

/// What the edge says of the camera.
fn camera(board: &Board) -> Result<Value> {
    let cameras = board.web.list("/api/cameras", "cameras")?;
    cameras.into_iter().next().context("no camera")
}

/// Waits until pictures flow, and says in which mode: `I420 320x240`.
fn wait_for_pictures(board: &mut Board) -> Result<String> {
    let streaming = || camera(board).ok().filter(|camera| camera["state"] == "streaming");
    let camera = wait_for("pictures", PATIENCE, streaming).with_context(|| format!("{:?}", camera(board)));
    let camera = camera.with_context(|| board.edge_log())?;
    let text = |key: &str| camera[key].as_str().unwrap_or_default().to_owned();
    Ok(format!("{} {}x{}", text("format"), camera["width"], camera["height"]))
}

/// A counter of the camera.
fn count(board: &Board, name: &str) -> u64 {
    board.web.metric(&format!("porthole_edge_{name}_total{{camera=\"{CAMERA}\"}}")) as u64
}

/// The newest picture as the edge shows it: its planes Y, U and V in one, 320x240.
fn picture(board: &Board) -> Result<Vec<u8>> {
    let snapshot =
        || board.web.get(&format!("/live/{CAMERA}/snapshot.jpg")).ok().filter(|reply| reply.status == 200);
    let reply = wait_for("a picture", PATIENCE, snapshot)?;
    let mut ffmpeg = Command::new("ffmpeg");
    ffmpeg.args(["-loglevel", "error", "-f", "mjpeg", "-i", "-", "-f", "rawvideo"]);
    ffmpeg.args(["-vf", "scale=out_range=tv", "-pix_fmt", "yuv420p", "-"]);
    let mut ffmpeg = ffmpeg.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    let mut stdin = ffmpeg.stdin.take().context("ffmpeg's input")?;
    std::io::Write::write_all(&mut stdin, &reply.body)?;
    drop(stdin);
    let output = ffmpeg.wait_with_output()?;
    ensure!(output.stdout.len() == 320 * 240 * 3 / 2, "a picture of {} bytes", output.stdout.len());
    Ok(output.stdout)
}

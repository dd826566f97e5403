//! What somebody would use instead: ffmpeg that turns a camera into one-second HLS, served by nginx, and 15-minute MP4 files.
//!
//! ```text
//! framegen -> pipe -> ffmpeg, libx264 medium -> www/live.m3u8, www/*.ts  <- nginx <- viewer
//!                                            -> 000.mp4
//! ```

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use ::tests::process::Process;
use ::tests::wait::{PATIENCE, wait_until};
use ::tests::{built, footage, usage};
use anyhow::{Context, Result};
use tempfile::TempDir;

use crate::FOOTAGE;
use crate::nginx::Nginx;

/// Rates and GOPs as the appliance has them.
pub const RATE: [&str; 16] = [
    "-profile:v",
    "main",
    "-level",
    "3.1",
    "-g",
    "30",
    "-keyint_min",
    "30",
    "-sc_threshold",
    "0",
    "-b:v",
    "400k",
    "-maxrate",
    "400k",
    "-bufsize",
    "800k",
];

/// The running peer.
pub struct Peer {
    ffmpeg: Process,
    nginx: Nginx,
    _camera: Camera,
    _folder: TempDir,
}

impl Peer {
    /// Starts everything, with the sound of a WAV file if there shall be some, and waits for the first segment.
    pub fn start(sound: Option<&Path>) -> Result<Self> {
        let folder = TempDir::with_prefix_in("peer-", "/dev/shm").context("no RAM disk at /dev/shm")?;
        fs::create_dir(folder.path().join("www"))?;
        let nginx = Nginx::serve(folder.path())?;
        let (camera, frames) = Camera::start()?;
        let command = ffmpeg(folder.path(), sound);
        let ffmpeg = Process::start_fed(command, frames, &folder.path().join("ffmpeg.log"))?;
        let playlist = folder.path().join("www/live.m3u8");
        wait_until("the first segment of ffmpeg", PATIENCE, || playlist.exists())
            .with_context(|| ffmpeg.log())?;
        Ok(Self { ffmpeg, nginx, _camera: camera, _folder: folder })
    }

    /// The playlist.
    pub fn url(&self) -> String {
        self.nginx.url("live.m3u8")
    }

    /// CPU time of ffmpeg alone so far.
    pub fn cpu(&self) -> Result<Duration> {
        usage::cpu(self.ffmpeg.id())
    }

    /// Memory of ffmpeg alone.
    pub fn resident(&self) -> Result<u64> {
        usage::resident(self.ffmpeg.id())
    }
}

fn ffmpeg(folder: &Path, sound: Option<&Path>) -> Command {
    let mut ffmpeg = Command::new("ffmpeg");
    ffmpeg.args(["-v", "error", "-y", "-fflags", "nobuffer", "-probesize", "32"]);
    ffmpeg.args(["-f", "rawvideo", "-pix_fmt", "yuv420p", "-s", "320x240", "-r", "30", "-i", "pipe:0"]);
    if let Some(sound) = sound {
        ffmpeg.args(["-re", "-stream_loop", "-1", "-i"]).arg(sound);
        ffmpeg.args(["-map", "1:a", "-c:a", "aac", "-b:a", "128k"]);
    }
    ffmpeg.args(["-map", "0:v", "-c:v", "libx264", "-preset", "medium"]).args(RATE);
    let folder = folder.display();
    let hls = format!(
        "[f=hls:hls_time=1:hls_list_size=6:hls_flags=delete_segments+independent_segments\
         :hls_segment_filename={folder}/www/%06d.ts]{folder}/www/live.m3u8"
    );
    let files = format!(
        "[f=segment:segment_time=900:segment_format=mp4:segment_format_options=movflags=+faststart]{folder}/%03d.mp4"
    );
    ffmpeg.args(["-flags", "+global_header", "-f", "tee", &format!("{hls}|{files}")]);
    ffmpeg
}

/// The camera of the peer: the footage at its own pace, with the clock drawn into it. The pipe behind it has room for
/// less than one frame, so it never hides a backlog.
struct Camera(Child);

impl Camera {
    fn start() -> Result<(Self, Stdio)> {
        let mut framegen = Command::new(built("examples/framegen"));
        let source = format!("file:{}?stamp=1", footage::y4m(FOOTAGE)?.display());
        framegen.args([&source, "36000"]).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = framegen.spawn().context("examples/framegen")?;
        let frames = child.stdout.take().context("framegen has no output")?;
        Ok((Self(child), frames.into()))
    }
}

impl Drop for Camera {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

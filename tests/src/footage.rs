//! Test media, made by command into `target/footage` and kept there.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use media::mp4::{About, Growing, Step};
use media::{AccessUnit, Gop, StreamConfig, Ticks90k, Track, VideoConfig};

use crate::sim::random::Random;
use crate::workspace;

/// Sixty seconds of real footage, where somebody put them beside the workspace.
const CLIP: &str = "../shared/media/clip60.mp4";

/// Real footage if it is there; otherwise a moving picture with noise, and a line that says so.
pub fn clip() -> Option<PathBuf> {
    let clip = workspace().join(CLIP);
    if clip.exists() {
        return Some(clip);
    }
    eprintln!("{CLIP} is not there: a generated picture stands in for real footage");
    None
}

/// `seconds` of 320x240 at 30 fps as Y4M, of real footage if it is there.
pub fn y4m(seconds: u32) -> Result<PathBuf> {
    made(&format!("clip-{seconds}.y4m"), |file| {
        let mut ffmpeg = quiet_ffmpeg();
        picture(&mut ffmpeg, seconds);
        ffmpeg.args(["-pix_fmt", "yuv420p", "-f", "yuv4mpegpipe"]).arg(file);
        ffmpeg
    })
}

/// `seconds` of 320x240 at 30 fps as I420 without any header, of real footage if it is there.
pub fn i420(seconds: u32) -> Result<PathBuf> {
    made(&format!("clip-{seconds}.i420"), |file| {
        let mut ffmpeg = quiet_ffmpeg();
        picture(&mut ffmpeg, seconds);
        ffmpeg.args(["-pix_fmt", "yuv420p", "-f", "rawvideo"]).arg(file);
        ffmpeg
    })
}

/// One picture of it, 320x240 as I420 without any header.
pub fn still() -> Result<PathBuf> {
    made("still.i420", |file| {
        let mut ffmpeg = quiet_ffmpeg();
        picture(&mut ffmpeg, 1);
        ffmpeg.args(["-frames:v", "1", "-pix_fmt", "yuv420p", "-f", "rawvideo"]).arg(file);
        ffmpeg
    })
}

/// The same picture as a JPEG of a few kilobytes.
pub fn jpeg() -> Result<PathBuf> {
    made("still.jpg", |file| {
        let mut ffmpeg = quiet_ffmpeg();
        picture(&mut ffmpeg, 1);
        ffmpeg.args(["-frames:v", "1", "-pix_fmt", "yuvj420p", "-q:v", "6", "-f", "mjpeg"]).arg(file);
        ffmpeg
    })
}

/// `seconds` of 320x240 at 30 fps as Motion JPEG in AVI, of real footage if it is there.
pub fn mjpeg_avi(seconds: u32) -> Result<PathBuf> {
    made(&format!("clip-{seconds}.avi"), |file| {
        let mut ffmpeg = quiet_ffmpeg();
        picture(&mut ffmpeg, seconds);
        ffmpeg.args(["-c:v", "mjpeg", "-q:v", "4", "-f", "avi"]).arg(file);
        ffmpeg
    })
}

/// `seconds` of H.264 in an MP4 with an index in front, as many cameras make it.
pub fn mp4(seconds: u32) -> Result<PathBuf> {
    made(&format!("clip-{seconds}.mp4"), |file| {
        let mut ffmpeg = quiet_ffmpeg();
        picture(&mut ffmpeg, seconds);
        ffmpeg.args(["-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-g", "30", "-an"]);
        ffmpeg.args(["-movflags", "+faststart", "-f", "mp4"]).arg(file);
        ffmpeg
    })
}

/// Recording `n` of a camera that is not ours: a second of the same footage, and no two have the same bytes.
pub fn recording(n: u32) -> Result<Vec<u8>> {
    Ok([fs::read(mp4(1)?)?, unlike(n)].concat())
}

/// Recording `n` of a camera that is not ours, as small as they come: one picture, and no two have the same bytes.
pub fn small(n: u32) -> Result<Vec<u8>> {
    let picture = made("picture.mp4", |file| {
        let mut ffmpeg = quiet_ffmpeg();
        ffmpeg.args(["-f", "lavfi", "-i", "testsrc2=s=64x64:r=30", "-frames:v", "1", "-c:v", "libx264"]);
        ffmpeg.args(["-pix_fmt", "yuv420p", "-movflags", "+faststart", "-f", "mp4"]).arg(file);
        ffmpeg
    })?;
    Ok([fs::read(picture)?, unlike(n)].concat())
}

/// A box that every reader passes over, with a number in it.
fn unlike(n: u32) -> Vec<u8> {
    [&12_u32.to_be_bytes()[..], b"free", &n.to_be_bytes()].concat()
}

/// `seconds` of a stereo tone at 48 kHz, 16 bits a sample.
pub fn wav(seconds: u32) -> Result<PathBuf> {
    made(&format!("tone-{seconds}.wav"), |file| {
        let mut ffmpeg = quiet_ffmpeg();
        ffmpeg
            .args(["-f", "lavfi", "-i", &format!("sine=440:r=48000:d={seconds}"), "-ac", "2", "-f", "wav"])
            .arg(file);
        ffmpeg
    })
}

/// The `source` of a camera that shows real footage if it is there, with a tone and with the clock drawn into it.
pub fn source() -> Result<String> {
    Ok(format!("file:{}?stamp=1&audio={}", y4m(10)?.display(), wav(10)?.display()))
}

/// The parameters of 320x240 without sound, a picture every `frame_duration`, for recordings that nobody decodes.
pub fn silent_stream(frame_duration: Ticks90k) -> Arc<StreamConfig> {
    let video = VideoConfig {
        width: 320,
        height: 240,
        frame_duration,
        sps: vec![0x67, 0x42, 0xC0, 0x0A, 0x8C].into(),
        pps: vec![0x68, 0xCE, 0x3C, 0x80].into(),
    };
    Arc::new(StreamConfig { video, audio: None })
}

/// A sealed recording of the camera `front`: so many GOPs of a second, each one picture of `bytes` bytes of noise, which no
/// compression makes smaller and which nobody decodes.
pub fn noise(gops: u64, bytes: usize, seed: u64) -> Result<Vec<u8>> {
    let config = silent_stream(Ticks90k::SECOND);
    let random = Random::new(seed);
    let picture = |sequence: u64| {
        let mut data = u32::try_from(bytes).unwrap_or(u32::MAX).to_be_bytes().to_vec();
        while data.len() < bytes + 4 {
            data.extend(random.number().to_be_bytes());
        }
        data.truncate(bytes + 4);
        let start = Ticks90k(Ticks90k::SECOND.0 * sequence as i64);
        let unit = AccessUnit { track: Track::Video, pts: start, key: true, data: data.into() };
        let (config, units) = (Arc::clone(&config), vec![unit]);
        Gop { sequence, start, wall: None, discontinuity: false, config, units, end: None }
    };
    let about = About { camera: "front".to_owned(), start: None };
    let (mut growing, mut steps) = Growing::begin(&picture(0), &about)?;
    for sequence in 1..gops {
        steps.extend(growing.append(&picture(sequence))?);
    }
    steps.extend(growing.seal(&about));
    let mut file = vec![0; usize::try_from(growing.seal_box().size)?];
    for step in &steps {
        if let Step::Write { offset, bytes } = step {
            let at = usize::try_from(*offset)?;
            file.get_mut(at..at + bytes.len()).context("a write behind the end")?.copy_from_slice(bytes);
        }
    }
    Ok(file)
}

fn quiet_ffmpeg() -> Command {
    let mut ffmpeg = Command::new("ffmpeg");
    ffmpeg.args(["-hide_banner", "-loglevel", "error", "-nostdin", "-y"]);
    ffmpeg
}

fn picture(ffmpeg: &mut Command, seconds: u32) {
    let seconds = seconds.to_string();
    match clip() {
        Some(clip) => ffmpeg.args(["-t", &seconds, "-i"]).arg(clip).args(["-r", "30", "-s", "320x240"]),
        None => {
            let picture = format!("testsrc2=s=320x240:r=30:d={seconds},noise=alls=12:allf=t");
            ffmpeg.args(["-f", "lavfi", "-i", &picture])
        }
    };
}

/// The file of that name, made once. Whoever makes it at the same time makes the same, and the last one's stays.
fn made(name: &str, command: impl FnOnce(&Path) -> Command) -> Result<PathBuf> {
    let folder = crate::built("").join("footage");
    let file = folder.join(name);
    if !file.exists() {
        fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
        // A folder of its own: tests of one process make it at the same time too.
        let making = tempfile::tempdir_in(&folder)?;
        let unfinished = making.path().join(name);
        let status = command(&unfinished).status().context("ffmpeg")?;
        ensure!(status.success(), "ffmpeg ended with {status} while making {name}");
        fs::rename(&unfinished, &file)?;
    }
    Ok(file)
}

//! A camera behind Video4Linux2.
//!
//! ```text
//! identity -> follow_signal -> offers -> choose -> set_mode -> controls -> start -> (wait -> take -> convert -> give back) ...
//! ```
//!
//! The logic is here, over the small trait [`Device`]; the kernel's calls are in [`kernel`], the choice of a mode is a pure
//! function in [`negotiate`]. A frame is converted while it lies in the driver's buffer, which goes back at once.

pub mod controls;
pub mod device;
pub mod kernel;
pub mod negotiate;

use super::convert::{Converter, Target};
use super::pixels::PixelFormat;
use super::{Captured, Error, Mode, Source};
use crate::config::Camera;
use crate::frames::Picture;
use crate::supervise::clock;
use device::{Device, Granted, Identity, Offers, Taken};
use kernel::Kernel;
use media::Ticks90k;
use media::time::TICKS_PER_SECOND;
use negotiate::{Choice, Wish, choose};
use nix::errno::Errno;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Device nodes that are looked at.
const MOST_NODES: usize = 64;
/// A driver's timestamp that is further from now than this is not believed: `(before, after)`.
const BELIEVABLE: (Ticks90k, Ticks90k) = (Ticks90k(10 * TICKS_PER_SECOND), Ticks90k::from_millis(100));
/// More frames than this are not lost at once: the driver's count began anew.
const MOST_LOST: u32 = 10_000;

/// An opened camera.
pub struct V4l2<D: Device = Kernel> {
    device: D,
    /// Path and product, for errors.
    name: String,
    mode: Mode,
    /// The driver did not tell its rate: the time between two frames is measured.
    rate_untold: bool,
    converter: Converter,
    last_sequence: Option<u32>,
    last_pts: Option<Ticks90k>,
    lost: u64,
}

impl V4l2 {
    /// Opens a device node.
    ///
    /// # Errors
    /// `Unusable`, saying what it is instead of a camera that can be opened; `Io` for anything else.
    pub fn open(path: &Path, camera: &Camera) -> Result<Self, Error> {
        let name = path.display().to_string();
        let device = Kernel::open(path).map_err(|error| explain(&name, error))?;
        Self::over(device, &name, camera)
    }
}

impl<D: Device> V4l2<D> {
    /// Sets up and starts an opened device.
    fn over(mut device: D, path: &str, camera: &Camera) -> Result<Self, Error> {
        let identity = device.identity().map_err(|error| explain(path, error))?;
        let name = format!("{path} ({})", identity.card);
        let unusable = |reason: String| Error::Unusable { device: name.clone(), reason };
        let io = |error| explain(&name, error);
        let wish = Wish::of(camera);
        device.follow_signal().map_err(io)?;
        let (_, choice) = survey(&device, &identity, &wish).map_err(io)?;
        let granted = device.set_mode(&choice.map_err(unusable)?).map_err(io)?;
        let format = understood(&granted).map_err(unusable)?;
        let Granted { width, height, stride, range, rate, .. } = granted;
        let size = (width as usize, height as usize, stride as usize);
        let converter = Converter::new(format, size, range, Target::of(camera)).ok_or_else(|| {
            unusable(format!("{width}x{height} with lines of {stride} bytes cannot be {}", format.name()))
        })?;
        for refused in camera.controls.apply(&mut device) {
            tracing::warn!(camera = camera.name, device = name, "{refused}");
        }
        device.start().map_err(io)?;
        let wished = Ticks90k(TICKS_PER_SECOND / i64::from(wish.fps.max(1)));
        let mode = Mode {
            device: path.to_owned(),
            format: format.name().to_owned(),
            width,
            height,
            frame_duration: rate.map_or(wished, |rate| rate.frame_duration()),
        };
        let rate_untold = rate.is_none();
        Ok(Self { device, name, mode, rate_untold, converter, last_sequence: None, last_pts: None, lost: 0 })
    }

    fn convert(&mut self, taken: &Taken, picture: Option<&mut Picture>) -> Captured {
        if taken.damaged {
            return Captured::Damaged("marked as damaged by the driver");
        }
        if taken.length == 0 {
            return Captured::Damaged("empty buffer");
        }
        let pts = on_media_clock(clock::media_now(), clock::monotonic_to_media(), taken.monotonic);
        let since = self.last_pts.replace(pts).map(|last| pts - last);
        if let Some(since) = since.filter(|since| self.rate_untold && *since > Ticks90k::ZERO) {
            self.mode.frame_duration = since;
        }
        let Some(picture) = picture else { return Captured::Dropped };
        if let Err(how) = self.converter.convert(self.device.bytes(taken), picture) {
            return Captured::Damaged(how);
        }
        picture.pts = pts;
        picture.frame_duration = self.mode.frame_duration;
        Captured::Frame
    }

    fn count_lost(&mut self, sequence: u32) {
        let step = self.last_sequence.replace(sequence).map_or(1, |last| sequence.wrapping_sub(last));
        if (1..=MOST_LOST).contains(&step) {
            self.lost += u64::from(step - 1);
        }
    }
}

impl<D: Device> Source for V4l2<D> {
    fn mode(&self) -> &Mode {
        &self.mode
    }

    fn next(&mut self, picture: Option<&mut Picture>, timeout: Duration) -> Result<Captured, Error> {
        let explained = |error| explain(&self.name, error);
        if !self.device.wait(timeout).map_err(explained)? {
            return Ok(Captured::Nothing);
        }
        let Some(taken) = self.device.take().map_err(explained)? else {
            return Ok(Captured::Nothing);
        };
        self.count_lost(taken.sequence);
        let captured = self.convert(&taken, picture);
        self.device.give_back(taken).map_err(|error| explain(&self.name, error))?;
        Ok(captured)
    }

    fn lost(&mut self) -> u64 {
        std::mem::take(&mut self.lost)
    }
}

/// What a device offers and which mode would be chosen, or why none.
pub fn survey<D: Device>(
    device: &D,
    identity: &Identity,
    wish: &Wish,
) -> io::Result<(Offers, Result<Choice, String>)> {
    let refused = |reason: &str| Ok((Offers::default(), Err(reason.to_owned())));
    if !identity.captures {
        return refused(if identity.captures_multiplanar {
            "captures with several planes a buffer only, which is not supported"
        } else {
            "does not capture video"
        });
    }
    if !identity.streams {
        return refused("has no buffers that can be mapped");
    }
    let offers = device.offers(wish)?;
    let choice = choose(&offers.modes, wish).ok_or_else(|| nothing_in(&offers, wish));
    Ok((offers, choice))
}

/// Why none of the offers will do.
fn nothing_in(offers: &Offers, wish: &Wish) -> String {
    let mut formats: Vec<PixelFormat> = offers.modes.iter().map(|mode| mode.format).collect();
    formats.sort_unstable();
    formats.dedup();
    let names =
        |formats: &[PixelFormat]| formats.iter().map(|format| format.name()).collect::<Vec<_>>().join(", ");
    match (wish.format, formats.as_slice(), offers.other_formats.as_slice()) {
        (Some(format), [_, ..], _) => {
            format!("offers {}, not {} as camera.format wants it", names(&formats), format.name())
        }
        (_, _, []) => "offers no format".to_owned(),
        (_, _, codes) => {
            let codes: Vec<String> = codes.iter().map(|code| code.escape_ascii().to_string()).collect();
            format!("offers {} only; understood are {}", codes.join(", "), names(&PixelFormat::ALL))
        }
    }
}

/// The format of what the driver granted, if it can be read.
fn understood(granted: &Granted) -> Result<PixelFormat, String> {
    if !granted.progressive {
        return Err("delivers interlaced fields, which is not supported".to_owned());
    }
    PixelFormat::from_fourcc(granted.fourcc)
        .ok_or_else(|| format!("insists on the format {}", granted.fourcc.escape_ascii()))
}

/// The capture time on the media clock: the driver's, unless it is none of `CLOCK_MONOTONIC` or cannot be.
fn on_media_clock(now: Ticks90k, monotonic_to_media: Ticks90k, monotonic: Option<Ticks90k>) -> Ticks90k {
    let (before, after) = BELIEVABLE;
    let captured = monotonic.map(|time| Ticks90k(time.0.saturating_add(monotonic_to_media.0)));
    captured.filter(|time| (now - before..=now + after).contains(time)).unwrap_or(now)
}

/// Names the culprit, and says what an operator can do about the errors that have a plain meaning.
pub fn explain(device: &str, source: io::Error) -> Error {
    let device = device.to_owned();
    let reason = match source.raw_os_error().map(Errno::from_raw) {
        Some(Errno::EBUSY) => "is in use by another program",
        Some(Errno::ENOENT | Errno::ENXIO | Errno::ENODEV) => "is not there",
        Some(Errno::EACCES | Errno::EPERM) => "may not be opened; is the user in the group video?",
        // ENOSYS: an emulator of user space alone, which knows none of the calls.
        Some(Errno::ENOTTY | Errno::EISDIR | Errno::ENOSYS) => "is no V4L2 device",
        Some(Errno::ENOLINK) => "gets no signal; is something plugged into its input, and switched on?",
        Some(Errno::ENOLCK) => "gets a signal that it cannot hold",
        _ => return Error::Io { device, source },
    };
    Error::Unusable { device, reason: reason.to_owned() }
}

/// `/dev/video0`, `/dev/video1`, ... as far as they exist, in the order of their numbers.
pub fn nodes() -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir("/dev") else { return Vec::new() };
    let number = |name: &str| name.strip_prefix("video")?.parse::<u32>().ok();
    let mut numbers: Vec<u32> =
        entries.flatten().filter_map(|entry| number(entry.file_name().to_str()?)).collect();
    numbers.sort_unstable();
    numbers.truncate(MOST_NODES);
    numbers.into_iter().map(|number| PathBuf::from(format!("/dev/video{number}"))).collect()
}

#[cfg(test)]
mod tests;

//! Sources of pictures: a V4L2 camera, a test pattern, or a file played in a loop.
//!
//! A source hands over one frame at a time, converted straight into a [`Picture`] of the size that is encoded, with the
//! timestamp of the driver or the file on the media clock.

mod auto;
pub mod capture;
pub mod convert;
pub mod file;
mod find;
mod font;
pub mod geometry;
pub mod grid;
mod jpeg;
mod ladder;
mod look;
pub mod pattern;
pub mod pixels;
mod placeholder;
pub mod probe;
pub mod stamp;
mod usb;
pub mod v4l2;

use crate::config::Camera;
use crate::frames::Picture;
use crate::supervise::clock;
use auto::Auto;
use capture::{Opened, Opening};
use find::Device;
use ladder::Fault;
use media::Ticks90k;
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

/// Which source a camera has: the `source` key of the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Spec {
    /// The first usable V4L2 camera, else the pattern.
    Auto,
    /// The moving test pattern with its clock.
    Pattern,
    /// A V4L2 capture device.
    V4l2(PathBuf),
    /// A Y4M, Motion-JPEG AVI or raw file, with the parameters behind its `?`.
    File(String),
}

impl Spec {
    /// Parses the configuration's text; the error says what is allowed.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        const ALLOWED: &str = "auto, pattern, v4l2:/dev/videoN or file:PATH";
        match text.split_once(':') {
            None if text == "auto" => Ok(Self::Auto),
            None if text == "pattern" => Ok(Self::Pattern),
            Some(("v4l2", path)) if !path.is_empty() => Ok(Self::V4l2(path.into())),
            Some(("file", text)) if !text.is_empty() => match file::Params::parse(text) {
                Ok(_) => Ok(Self::File(text.to_owned())),
                Err(_) => Err(file::ALLOWED),
            },
            _ => Err(ALLOWED),
        }
    }
}

/// What a source delivers, as it was opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mode {
    /// What was opened: `/dev/video0`, `pattern`, a path.
    pub device: String,
    /// Pixel format of the device: `YUYV`, `MJPG`, `I420`, ...
    pub format: String,
    /// Size before scaling.
    pub width: u32,
    /// Size before scaling.
    pub height: u32,
    /// Time between two frames as the driver or the file tells it.
    pub frame_duration: Ticks90k,
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { device, format, width, height, frame_duration } = self;
        let fps = media::time::TICKS_PER_SECOND as f64 / frame_duration.0.max(1) as f64;
        write!(f, "{device} {format} {width}x{height} at {fps:.2} fps")
    }
}

/// What one wait brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Captured {
    /// A frame is in the picture, and `pts` and `frame_duration` of the picture are set.
    Frame,
    /// A frame came and was given back to the driver unread, because there was no picture to put it in.
    Dropped,
    /// A frame came but was damaged (a truncated JPEG, an error flag of the driver); the text says how.
    Damaged(&'static str),
    /// Nothing came within the time-out.
    Nothing,
}

/// One opened source. Dropping it closes the device.
pub trait Source: Send {
    /// What it delivers.
    fn mode(&self) -> &Mode;

    /// Waits at most `timeout` for the next frame and converts it into `picture`; with `None` the frame is dropped.
    ///
    /// # Errors
    /// The device is gone or broken: close it, count the gap, open again.
    fn next(&mut self, picture: Option<&mut Picture>, timeout: Duration) -> Result<Captured, Error>;

    /// Frames that the driver has lost, by its own count, since the last call.
    fn lost(&mut self) -> u64 {
        0
    }

    /// Media time of the first picture of this pass through a file that is played in a loop, for the sound beside it.
    fn pass(&self) -> Option<Ticks90k> {
        None
    }
}

/// Opens what a camera's configuration names, again and again.
struct Opener<'a> {
    camera: &'a Camera,
    auto: Auto,
    /// The V4L2 device that was tried last.
    device: Device,
    /// That its USB device cannot be reset was said.
    told: bool,
}

impl<'a> Opener<'a> {
    fn new(camera: &'a Camera) -> Self {
        Self { camera, auto: Auto::default(), device: Device::default(), told: false }
    }
}

impl Opening for Opener<'_> {
    fn open(&mut self, stand_in: bool) -> Result<Opened, Error> {
        let unusable =
            |reason: &str| Error::Unusable { device: self.camera.source.clone(), reason: reason.to_owned() };
        let opened = |source| Ok(Opened { source, stand_in: false });
        match Spec::parse(&self.camera.source).map_err(unusable)? {
            Spec::Pattern => opened(Box::new(pattern::Pattern::open(self.camera)?)),
            Spec::File(text) => opened(Box::new(file::FileSource::open(&text, self.camera)?)),
            Spec::V4l2(path) => {
                let node = self.device.find(&path, v4l2::nodes, find::identity);
                opened(Box::new(v4l2::V4l2::open(node, self.camera)?))
            }
            Spec::Auto => match self.auto.first(v4l2::nodes(), |node| v4l2::V4l2::open(node, self.camera)) {
                Ok(camera) => {
                    self.device.try_at(PathBuf::from(&camera.mode().device));
                    opened(Box::new(camera))
                }
                Err(error) if stand_in && self.auto.may_stand_in(clock::media_now()) => {
                    tracing::warn!(camera = self.camera.name, %error, "the test pattern stands in");
                    let source = Box::new(pattern::Pattern::open(self.camera)?);
                    Ok(Opened { source, stand_in: true })
                }
                Err(error) => Err(error),
            },
        }
    }

    fn delivered(&mut self) {
        self.auto.delivered();
        self.device.delivered();
    }

    fn fault(&self, error: &Error) -> Fault {
        match Spec::parse(&self.camera.source) {
            Ok(Spec::Auto | Spec::V4l2(_)) if error.is_of_a_camera_that_is_there() => Fault::Failing,
            _ => Fault::Absent,
        }
    }

    fn reset(&mut self) -> bool {
        let Some(node) = self.device.node() else { return false };
        let (camera, device) = (&self.camera.name, node.display());
        match usb::reset(node) {
            Ok(()) => {
                tracing::warn!(camera, %device, "USB device reset");
                true
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => false,
            Err(error) => {
                if !std::mem::replace(&mut self.told, true) {
                    tracing::warn!(camera, %device, %error, "the USB device cannot be reset");
                }
                false
            }
        }
    }
}

/// Why a source could not be opened or ended.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The device or file could not be opened or read.
    #[error("{device}: {source}")]
    Io {
        /// The device or file.
        device: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// It is there but cannot be used as a camera.
    #[error("{device}: {reason}")]
    Unusable {
        /// The device or file.
        device: String,
        /// Why, and what would be usable.
        reason: String,
    },
    /// It was opened and delivers nothing.
    #[error("{device}: delivered no frame for {:.1} s", span.as_secs_f64())]
    Silent {
        /// The device or file.
        device: String,
        /// For how long.
        span: Ticks90k,
    },
    /// None of the machine's cameras can be used.
    #[error("no usable camera: {reasons}")]
    NoCamera {
        /// Of each of them.
        reasons: String,
        /// One of them is there and does not work.
        failing: bool,
    },
}

impl Error {
    /// The device is there and does not work; else there is none that could, and somebody must act.
    fn is_of_a_camera_that_is_there(&self) -> bool {
        matches!(self, Self::Io { .. } | Self::Silent { .. } | Self::NoCamera { failing: true, .. })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_named_in_one_word() {
        assert_eq!(Spec::parse("auto"), Ok(Spec::Auto));
        assert_eq!(Spec::parse("v4l2:/dev/video2"), Ok(Spec::V4l2("/dev/video2".into())));
        assert_eq!(Spec::parse("file:a.y4m"), Ok(Spec::File("a.y4m".to_owned())));
        assert!(Spec::parse("webcam").is_err());
        assert!(Spec::parse("file:").is_err());
        assert_eq!(Spec::parse("file:a.yuv?format=rgb"), Err(file::ALLOWED));
    }
}

//! The encoder under its rate control: pictures in, access units of the right size out.

use super::activity::Meter;
use super::openh264::Settings;
use super::rate::{Facts, Limits, MOST_QP, RateControl};
use super::video::{Error, VideoEncoder};
use crate::config::{Camera, Video};
use crate::frames::Picture;
use media::time::TICKS_PER_SECOND;
use media::{Ticks90k, VideoConfig};

/// How much an IDR that came out too large is raised before it is coded again.
const RAISE: u8 = 6;

/// What became of a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coded {
    /// It is in [`Coder::unit`].
    Unit {
        /// The QP that it was coded at.
        qp: u8,
    },
    /// It would have broken the peak and must be left out. Until the next IDR nothing can be sent.
    LeftOut,
}

/// Encodes the pictures of one camera. It outlives the encoder of the library, which is made anew when the frame interval
/// changes.
pub struct Coder {
    camera: Camera,
    video: Video,
    encoder: Option<VideoEncoder>,
    meter: Meter,
    rate: RateControl,
}

impl Coder {
    /// For a camera of this configuration.
    pub fn new(camera: &Camera, video: &Video) -> Self {
        let (width, height) = (usize::from(camera.width), usize::from(camera.height));
        Self {
            camera: camera.clone(),
            video: video.clone(),
            encoder: None,
            meter: Meter::new(width, height),
            rate: RateControl::new(limits(camera, video)),
        }
    }

    /// Takes over a bitrate and a peak that were changed meanwhile; the profile stays.
    pub fn retarget(&mut self, video: &Video) {
        self.video.bitrate = video.bitrate;
        self.video.peak = video.peak;
        self.rate.retarget(limits(&self.camera, &self.video));
    }

    /// Encodes one picture, as an IDR if asked for.
    ///
    /// # Errors
    /// The picture is lost, and the next one must be an IDR.
    pub fn encode(&mut self, picture: &Picture, idr: bool) -> Result<Coded, Error> {
        let encoder = match &mut self.encoder {
            Some(encoder) if !idr || encoder.config().frame_duration == picture.frame_duration => encoder,
            stale => stale.insert(new_encoder(&self.camera, &self.video, picture.frame_duration)?),
        };
        let facts = Facts { pts: picture.pts, idr, activity: self.meter.measure(picture) };
        let mut qp = self.rate.plan(&facts);
        loop {
            encoder.encode(picture, qp, idr)?;
            if self.rate.admit(&facts, qp, encoder.unit().len() as f64 * 8.0) {
                return Ok(Coded::Unit { qp });
            }
            // A P picture cannot be coded again: the encoder already refers to the first try.
            if !idr || qp == MOST_QP {
                return Ok(Coded::LeftOut);
            }
            qp = (qp + RAISE).min(MOST_QP);
        }
    }

    /// Gives up the encoder of the library; the next picture must be an IDR and makes a new one.
    pub fn reset(&mut self) {
        self.encoder = None;
    }

    /// The access unit of the picture encoded last, in AVCC framing.
    pub fn unit(&self) -> &[u8] {
        self.encoder.as_ref().map_or(&[], VideoEncoder::unit)
    }

    /// What a decoder must know; `None` before the first picture.
    pub fn config(&self) -> Option<&VideoConfig> {
        self.encoder.as_ref().map(VideoEncoder::config)
    }
}

fn limits(camera: &Camera, video: &Video) -> Limits {
    let bitrate = f64::from(video.bitrate);
    Limits {
        bitrate,
        peak: bitrate * f64::from(video.peak),
        samples: f64::from(camera.width) * f64::from(camera.height) * f64::from(camera.fps),
    }
}

fn new_encoder(camera: &Camera, video: &Video, frame_duration: Ticks90k) -> Result<VideoEncoder, Error> {
    let settings = Settings {
        width: camera.width,
        height: camera.height,
        frame_rate: TICKS_PER_SECOND as f32 / frame_duration.0.max(1) as f32,
        peak_bitrate: (video.bitrate as f32 * video.peak) as u32,
        profile: video.profile,
    };
    VideoEncoder::new(&settings, frame_duration)
}

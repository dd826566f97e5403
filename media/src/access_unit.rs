//! What flows through Porthole: coded pictures and AAC frames, and the one-second closed GOPs that they form.
//!
//! ```text
//! Gop 7:  IDR  p  a  p  a  a  p ...   (pictures and AAC frames in the order in which they were encoded)
//! Gop 8:  IDR  p  ...
//! ```

use crate::Ticks90k;
use crate::time::WallTime;
use bytes::Bytes;
use std::sync::Arc;

/// Which of the two elementary streams of a camera.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Track {
    /// H.264, ISO/IEC 14496-10.
    Video,
    /// AAC-LC, ISO/IEC 14496-3.
    Audio,
}

/// One coded picture or one AAC frame.
///
/// There are no B pictures: decoding order is presentation order, and `pts` is also the DTS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessUnit {
    /// Its elementary stream.
    pub track: Track,
    /// Presentation time on the media clock.
    pub pts: Ticks90k,
    /// An IDR picture. Every AAC frame counts as a key.
    pub key: bool,
    /// Video: NAL units, each behind its length in 4 bytes, big-endian (AVCC, ISO/IEC 14496-15 5.3.4.2), without parameter
    /// sets and access unit delimiters. Audio: one raw AAC frame, without ADTS header.
    pub data: Bytes,
}

/// What a decoder must know of the video track.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct VideoConfig {
    /// Luma samples a line.
    pub width: u16,
    /// Luma lines.
    pub height: u16,
    /// Nominal time from one picture to the next: the camera's frame interval.
    pub frame_duration: Ticks90k,
    /// Sequence parameter set NAL unit, header byte included, without start code.
    pub sps: Bytes,
    /// Picture parameter set NAL unit, header byte included, without start code.
    pub pps: Bytes,
}

impl VideoConfig {
    /// The `codecs` parameter of RFC 6381: `avc1.42C01E`. An SPS too short to tell gives `avc1`.
    pub fn codec(&self) -> String {
        match self.sps.get(1..4) {
            Some([profile, constraints, level]) => format!("avc1.{profile:02X}{constraints:02X}{level:02X}"),
            _ => "avc1".to_owned(),
        }
    }
}

/// What a decoder must know of the audio track.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct AudioConfig {
    /// Samples a second: 8, 16, 24, 32 or 48 kHz, so that a frame is a whole number of 90 kHz ticks.
    pub sample_rate: u32,
    /// 1 or 2.
    pub channels: u8,
    /// AudioSpecificConfig, ISO/IEC 14496-3 1.6.2.1.
    pub asc: Bytes,
}

/// Samples in one AAC-LC frame.
pub const AAC_FRAME_SAMPLES: u32 = 1024;

impl AudioConfig {
    /// The time that one AAC frame covers; exact for the sample rates that are allowed.
    pub const fn frame_duration(&self) -> Ticks90k {
        Ticks90k::from_scale(AAC_FRAME_SAMPLES as i64, self.sample_rate)
    }

    /// The `codecs` parameter of RFC 6381 for AAC-LC.
    pub fn codec(&self) -> String {
        "mp4a.40.2".to_owned()
    }
}

/// The decoder configuration of a camera's stream; it changes only at a GOP border.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct StreamConfig {
    /// The picture.
    pub video: VideoConfig,
    /// The sound, where there is a microphone.
    pub audio: Option<AudioConfig>,
}

impl StreamConfig {
    /// The `codecs` parameter of RFC 6381 over all tracks: `avc1.42C01E,mp4a.40.2`.
    pub fn codecs(&self) -> String {
        match &self.audio {
            Some(audio) => format!("{},{}", self.video.codec(), audio.codec()),
            None => self.video.codec(),
        }
    }
}

/// One closed group of pictures with the sound that was encoded meanwhile. It starts with an IDR picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gop {
    /// Counts the GOPs of one camera, over restarts too. The media sequence number of HLS.
    pub sequence: u64,
    /// `pts` of the IDR.
    pub start: Ticks90k,
    /// The wall time of `start`, if the clock was set when the GOP began.
    pub wall: Option<WallTime>,
    /// Media time does not follow on from the GOP before, or the configuration changed.
    pub discontinuity: bool,
    /// What a decoder must know.
    pub config: Arc<StreamConfig>,
    /// Pictures and AAC frames, each track in time order, interleaved as they were encoded.
    pub units: Vec<AccessUnit>,
    /// `pts` of the picture that follows the last one here, if it has come and follows without a discontinuity: it tells
    /// how long the last picture lasts. Else the nominal frame duration counts.
    pub end: Option<Ticks90k>,
}

impl Gop {
    /// The access units of one track, in time order.
    pub fn track(&self, track: Track) -> impl Iterator<Item = &AccessUnit> + Clone {
        self.units.iter().filter(move |unit| unit.track == track)
    }

    /// When the video of this GOP ends: the start of the next one, or the nominal end of the last picture.
    pub fn video_end(&self) -> Ticks90k {
        self.end.unwrap_or_else(|| {
            let last = self.track(Track::Video).last().map_or(self.start, |unit| unit.pts);
            last + self.config.video.frame_duration
        })
    }
}

//! Pictures in, access units out: H.264 (ISO/IEC 14496-10) in AVCC framing, at a QP that the caller chooses.
//!
//! ```text
//! Picture --openh264--> Annex B: [SPS PPS] slice --> AVCC: length slice          in a buffer that is used again
//!                                 |
//!                                 +-- once, at the start: VUI added --> VideoConfig
//! ```

use super::openh264::{self, Encoder, Settings};
use crate::frames::Picture;
use media::h264::{self, Colour, NalType, nal, sps};
use media::{Ticks90k, VideoConfig};

/// Why a picture could not be encoded.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The library refused.
    #[error(transparent)]
    Library(#[from] openh264::Error),
    /// What came out of the library is not H.264.
    #[error("openh264: {0}")]
    Bitstream(#[from] h264::Error),
    /// The library gave no SPS or no PPS.
    #[error("openh264: no parameter sets")]
    NoParameterSets,
    /// The library coded a P picture where an IDR was asked for, or the other way round.
    #[error("openh264: the picture at {pts} has the wrong type")]
    WrongType {
        /// Its media time.
        pts: Ticks90k,
    },
}

/// One camera's encoder.
pub struct VideoEncoder {
    encoder: Encoder,
    config: VideoConfig,
    unit: Vec<u8>,
}

impl VideoEncoder {
    /// Makes an encoder for pictures of this size that follow each other by `frame_duration`.
    pub fn new(settings: &Settings, frame_duration: Ticks90k) -> Result<Self, Error> {
        let mut encoder = Encoder::new(settings)?;
        let coded = encoder.parameter_sets()?;
        let find = |wanted: NalType| {
            coded
                .annex_b()
                .flat_map(nal::annex_b)
                .find(|nal| NalType::of(nal) == wanted)
                .ok_or(Error::NoParameterSets)
        };
        let config = VideoConfig {
            width: settings.width,
            height: settings.height,
            frame_duration,
            sps: sps::with_vui(find(NalType::Sps)?, frame_duration, Colour::BT601)?,
            pps: find(NalType::Pps)?.to_vec().into(),
        };
        // The most that H.264 allows a macroblock is 3200 bits (A.3.1): 400 bytes for 256 samples.
        let most = usize::from(settings.width).next_multiple_of(16)
            * usize::from(settings.height).next_multiple_of(16);
        Ok(Self { encoder, config, unit: Vec::with_capacity(most * 2) })
    }

    /// What a decoder must know.
    pub fn config(&self) -> &VideoConfig {
        &self.config
    }

    /// Encodes one picture, as an IDR if asked for, into [`VideoEncoder::unit`].
    ///
    /// # Errors
    /// The picture is lost, and the next one must be an IDR.
    pub fn encode(&mut self, picture: &Picture, qp: u8, idr: bool) -> Result<(), Error> {
        self.unit.clear();
        let coded = self.encoder.encode(picture, qp, idr)?;
        if coded.is_idr() != idr {
            return Err(Error::WrongType { pts: picture.pts });
        }
        for layer in coded.annex_b() {
            h264::annex_b_to_avcc(layer, &mut self.unit)?;
        }
        Ok(())
    }

    /// The access unit of the picture encoded last, in AVCC framing.
    pub fn unit(&self) -> &[u8] {
        &self.unit
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Profile;
    use crate::encode::scenes;

    fn encoder(profile: Profile) -> VideoEncoder {
        let settings =
            Settings { width: 320, height: 240, frame_rate: 30.0, peak_bitrate: 1_200_000, profile };
        VideoEncoder::new(&settings, Ticks90k(3000)).expect("settings are good")
    }

    #[test]
    fn the_sps_tells_timing_colour_and_that_nothing_is_reordered() {
        for (profile, profile_idc, constraint_flags) in
            [(Profile::ConstrainedBaseline, 66, 0xC0), (Profile::Main, 77, 0x40)]
        {
            let encoder = encoder(profile);
            let info = sps::parse(&encoder.config().sps).expect("an SPS");
            assert_eq!((info.width, info.height), (320, 240));
            assert_eq!((info.profile_idc, info.constraint_flags & 0xC0), (profile_idc, constraint_flags));
            assert_eq!(info.frame_duration, Some(Ticks90k(3000)));
            assert_eq!(info.colour, Some(Colour::BT601));
            assert_eq!(info.max_num_reorder_frames, Some(0));
            assert_eq!(info.level_idc, 20, "1.2 Mb/s of 320x240 at 30 a second need level 2");
        }
    }

    #[test]
    fn main_profile_means_cabac() {
        // Two ue(v) of value 0 are one bit each; then comes entropy_coding_mode_flag (14496-10 7.3.2.2).
        let flag = |profile| encoder(profile).config().pps[1] & 0x20 != 0;
        assert_eq!((flag(Profile::ConstrainedBaseline), flag(Profile::Main)), (false, true));
    }

    #[test]
    fn an_idr_comes_when_asked_for_and_never_because_the_scene_changes() {
        let mut encoder = encoder(Profile::ConstrainedBaseline);
        let mut picture = Picture::new(320, 240);
        for n in 0..60 {
            scenes::paint(&mut picture, n / 5, n);
            let idr = n == 0 || n == 37;
            encoder.encode(&picture, 26, idr).expect("encodes");
            let types: Vec<_> =
                nal::avcc(encoder.unit()).map(|nal| NalType::of(nal.expect("whole"))).collect();
            assert_eq!(types, [if idr { NalType::Idr } else { NalType::Slice }], "picture {n}");
        }
    }

    #[test]
    fn a_higher_qp_takes_effect_with_the_very_picture() {
        let size = |qp| {
            let mut encoder = encoder(Profile::Main);
            let mut picture = Picture::new(320, 240);
            scenes::paint(&mut picture, 1, 0);
            encoder.encode(&picture, 30, true).expect("encodes");
            scenes::paint(&mut picture, 1, 1);
            encoder.encode(&picture, qp, false).expect("encodes");
            encoder.unit().len()
        };
        assert!(size(20) > 2 * size(32), "{} {}", size(20), size(32));
    }

    #[test]
    fn a_picture_of_another_size_is_refused() {
        let refused = encoder(Profile::Main).encode(&Picture::new(160, 120), 26, true);
        assert_eq!(refused.expect_err("refused").to_string(), "openh264 EncodeFrame: error 1");
    }
}

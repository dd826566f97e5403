//! AAC-LC (ISO/IEC 14496-3) through the fdk-aac library: 1024 samples a channel in, one raw frame out.

use super::queue::MOST_FRAME_BYTES;
use fdk_aac::enc::{AudioObjectType, BitRate, ChannelMode, Encoder, EncoderError, EncoderParams, Transport};
use media::AudioConfig;
use media::access_unit::AAC_FRAME_SAMPLES;

/// Why sound could not be encoded.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The library refused the settings or the samples.
    #[error("fdk-aac: {0}")]
    Library(String),
    /// The library did not make one frame of 1024 samples.
    #[error("fdk-aac: {consumed} samples became {bytes} bytes")]
    NotOneFrame {
        /// Samples that it took.
        consumed: usize,
        /// Bytes that it made.
        bytes: usize,
    },
}

impl From<EncoderError> for Error {
    fn from(error: EncoderError) -> Self {
        Self::Library(error.to_string())
    }
}

/// One encoder; its first frame is preceded by nothing.
pub struct AacEncoder {
    encoder: Encoder,
    config: AudioConfig,
    /// Samples a channel by which what a decoder makes of the frames lags behind what went in.
    delay: u32,
    frame: [u8; MOST_FRAME_BYTES],
}

impl AacEncoder {
    /// For one or two channels; `bitrate` in bits a second.
    pub fn new(sample_rate: u32, channels: u8, bitrate: u32) -> Result<Self, Error> {
        let encoder = Encoder::new(EncoderParams {
            bit_rate: BitRate::Cbr(bitrate),
            sample_rate,
            transport: Transport::Raw,
            channels: if channels == 1 { ChannelMode::Mono } else { ChannelMode::Stereo },
            audio_object_type: AudioObjectType::Mpeg4LowComplexity,
        })?;
        let info = encoder.info()?;
        let asc = info.confBuf.get(..info.confSize as usize).unwrap_or_default().to_vec().into();
        let config = AudioConfig { sample_rate, channels, asc };
        Ok(Self { encoder, config, delay: info.nDelay, frame: [0; MOST_FRAME_BYTES] })
    }

    /// What a decoder must know.
    pub fn config(&self) -> &AudioConfig {
        &self.config
    }

    /// Samples a channel by which the decoded sound lags behind its frames.
    pub fn delay(&self) -> u32 {
        self.delay
    }

    /// Encodes 1024 samples of each channel, interleaved, into one raw frame.
    pub fn encode(&mut self, samples: &[i16]) -> Result<&[u8], Error> {
        let made = self.encoder.encode(samples, &mut self.frame)?;
        let whole = samples.len() == AAC_FRAME_SAMPLES as usize * usize::from(self.config.channels);
        match self.frame.get(..made.output_size) {
            Some(frame) if whole && !frame.is_empty() && made.input_consumed == samples.len() => Ok(frame),
            _ => Err(Error::NotOneFrame { consumed: made.input_consumed, bytes: made.output_size }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fdk_aac::dec::{Decoder, Transport as From};

    /// Encodes and decodes: the decoded samples of the first channel, without what the decoder itself delays them.
    fn round_trip(channels: u8, samples: &[i16]) -> (AacEncoder, Vec<i16>) {
        let mut encoder = AacEncoder::new(48_000, channels, 128_000).expect("good settings");
        let mut decoder = Decoder::new(From::Raw);
        decoder.config_raw(&encoder.config().asc).expect("an ASC");
        let mut decoded = Vec::new();
        let mut pcm = vec![0; 2048];
        for chunk in samples.chunks_exact(1024 * usize::from(channels)) {
            decoder.fill(encoder.encode(chunk).expect("encodes")).expect("takes a frame");
            decoder.decode_frame(&mut pcm).expect("decodes");
            decoded.extend(pcm[..1024 * usize::from(channels)].iter().step_by(channels.into()));
        }
        let late = decoder.stream_info().outputDelay as usize;
        (encoder, decoded.split_off(late))
    }

    #[test]
    fn every_call_makes_one_frame_and_the_asc_says_aac_lc() {
        let (encoder, decoded) = round_trip(2, &vec![0; 2048 * 10]);
        assert_eq!(encoder.config().asc.as_ref(), [0x11, 0x90]);
        assert!((8 * 1024..=10 * 1024).contains(&decoded.len()));
    }

    #[test]
    fn a_click_comes_out_as_late_as_the_encoder_says() {
        let mut samples = vec![0; 1024 * 12];
        samples[5000..5004].fill(20_000);
        let (encoder, decoded) = round_trip(1, &samples);
        let loudest = decoded.iter().zip(0_i64..).max_by_key(|(sample, _)| sample.unsigned_abs()).unwrap().1;
        let late = loudest - 5000 - i64::from(encoder.delay());
        assert!((-8..=8).contains(&late), "{late} samples off a delay of {}", encoder.delay());
    }
}

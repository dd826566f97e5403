//! From captured samples to AAC frames with exact timestamps: resampling, encoding, and the promise that timestamps keep.
//!
//! ```text
//! device samples --> fifo --> resampler (ratio from the drift loop) --> 1024 samples --> AAC frame
//!
//! pts of frame k  =  start + k * 1024 samples          contiguous, exact in 90 kHz ticks
//! start           =  capture time of the first sample - encoder delay, on a grid of 0.5 ms
//! ```
//!
//! On that grid of 45 ticks every allowed sample rate has whole samples, so that 90 kHz and the sample rate convert into each
//! other without rounding.

use super::aac::{self, AacEncoder};
use super::drift::{Drift, HOLE};
use media::access_unit::AAC_FRAME_SAMPLES;
use media::{AudioConfig, Ticks90k};
use rubato::audioadapter_buffers::direct::InterleavedSlice;
use rubato::{Async, FixedAsync, PolynomialDegree, Resampler, SincInterpolationParameters, WindowFunction};

/// Ticks between two possible starts of a stream of frames.
const GRID: i64 = 45;

/// Samples a channel in a frame.
const FRAME: usize = AAC_FRAME_SAMPLES as usize;

/// The ratio may leave its nominal value by this factor: far more than the drift loop asks for.
const MOST_RELATIVE: f64 = 1.01;

/// Length of the anti-aliasing filter, where the rates differ.
const SINC_LENGTH: usize = 64;

/// Why sound could not be processed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The resampler refused.
    #[error("resampler: {0}")]
    Resampler(String),
    /// The encoder refused.
    #[error(transparent)]
    Aac(#[from] aac::Error),
}

/// Samples as a device or a file delivers them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Format {
    /// Samples a second.
    pub rate: u32,
    /// 1 or 2, interleaved.
    pub channels: u8,
}

/// The processing of one stream of samples without holes. After a hole, make a new one.
pub struct Line {
    format: Format,
    resampler: Async<f32>,
    encoder: AacEncoder,
    drift: Drift,
    /// Samples that were captured and not resampled yet, interleaved.
    fifo: Vec<f32>,
    /// One frame, before and after its conversion.
    resampled: Vec<f32>,
    frame: Vec<i16>,
    /// Samples a channel, at the output's rate, by which the decoded sound lags behind the captured one.
    delay: u32,
    /// Capture time of the first sample, on the grid.
    origin: Option<Ticks90k>,
    /// Frames made.
    frames: i64,
}

impl Line {
    /// For samples of `format`, into AAC of `rate` samples a second and `bitrate` bits a second.
    pub fn new(format: Format, rate: u32, bitrate: u32) -> Result<Self, Error> {
        let channels = usize::from(format.channels);
        let resampler = resampler(format, rate)?;
        let encoder = AacEncoder::new(rate, format.channels, bitrate)?;
        Ok(Self {
            format,
            delay: encoder.delay() + resampler.output_delay() as u32,
            resampler,
            encoder,
            drift: Drift::default(),
            fifo: Vec::with_capacity(format.rate as usize * channels),
            resampled: vec![0.0; FRAME * channels],
            frame: vec![0; FRAME * channels],
            origin: None,
            frames: 0,
        })
    }

    /// What a decoder must know.
    pub fn config(&self) -> &AudioConfig {
        self.encoder.config()
    }

    /// How much the sound is stretched now.
    pub fn correction(&self) -> f64 {
        self.drift.correction()
    }

    /// Takes samples, the last of which ended at media time `end`, and hands each frame that they complete to `emit`.
    ///
    /// Returns `false` if there is a hole before these samples: they are not taken, and a new line must be made.
    pub fn push(
        &mut self,
        samples: &[i16],
        end: Ticks90k,
        mut emit: impl FnMut(Ticks90k, &[u8]),
    ) -> Result<bool, Error> {
        let channels = usize::from(self.format.channels);
        self.fifo.extend(samples.iter().map(|&sample| f32::from(sample) / 32_768.0));
        let held = (self.fifo.len() / channels) as f64 / f64::from(self.format.rate);
        let origin = *self.origin.get_or_insert_with(|| on_grid(end - seconds(held)));
        let error = (end - origin).as_secs_f64() - held - self.promised();
        if error.abs() > HOLE {
            return Ok(false);
        }
        let elapsed = (samples.len() / channels) as f64 / f64::from(self.format.rate);
        let correction = self.drift.step(error, elapsed);
        let refused = |error: rubato::ResampleError| Error::Resampler(error.to_string());
        let adjust =
            self.resampler.as_adjustable().map(|r| r.set_resample_ratio_relative(1.0 + correction, true));
        adjust.transpose().map_err(refused)?;
        while self.fifo.len() / channels >= self.resampler.input_frames_next() {
            self.make_frame(origin, &mut emit)?;
        }
        Ok(true)
    }

    /// Seconds of sound that were made of what has left the fifo.
    fn promised(&self) -> f64 {
        (self.frames * FRAME as i64) as f64 / f64::from(self.config().sample_rate)
    }

    fn make_frame(&mut self, origin: Ticks90k, emit: &mut impl FnMut(Ticks90k, &[u8])) -> Result<(), Error> {
        let channels = usize::from(self.format.channels);
        let size = |error: rubato::audioadapter_buffers::SizeError| Error::Resampler(error.to_string());
        let input = InterleavedSlice::new(&self.fifo, channels, self.fifo.len() / channels).map_err(size)?;
        let mut output = InterleavedSlice::new_mut(&mut self.resampled, channels, FRAME).map_err(size)?;
        let (taken, _) = self
            .resampler
            .process_into_buffer(&input, &mut output, None)
            .map_err(|error| Error::Resampler(error.to_string()))?;
        self.fifo.drain(..taken * channels);
        for (sample, &resampled) in self.frame.iter_mut().zip(&self.resampled) {
            *sample = (resampled * 32_768.0) as i16;
        }
        let rate = self.config().sample_rate;
        let start = on_grid(origin - Ticks90k::from_scale(self.delay.into(), rate));
        let pts = start + Ticks90k::from_scale(self.frames * FRAME as i64, rate);
        emit(pts, self.encoder.encode(&self.frame)?);
        self.frames += 1;
        Ok(())
    }
}

fn resampler(format: Format, rate: u32) -> Result<Async<f32>, Error> {
    let ratio = f64::from(rate) / f64::from(format.rate);
    let channels = usize::from(format.channels);
    let made = if format.rate == rate {
        // Only the drift is corrected: nothing can alias, and a polynomial costs a tenth.
        Async::new_poly(ratio, MOST_RELATIVE, PolynomialDegree::Septic, FRAME, channels, FixedAsync::Output)
    } else {
        let filter = SincInterpolationParameters::new(SINC_LENGTH, WindowFunction::BlackmanHarris2);
        Async::new_sinc(ratio, MOST_RELATIVE, &filter, FRAME, channels, FixedAsync::Output)
    };
    made.map_err(|error| Error::Resampler(error.to_string()))
}

fn seconds(seconds: f64) -> Ticks90k {
    Ticks90k((seconds * Ticks90k::SECOND.0 as f64).round() as i64)
}

fn on_grid(time: Ticks90k) -> Ticks90k {
    Ticks90k((time.0 + GRID / 2).div_euclid(GRID) * GRID)
}

#[cfg(test)]
mod tests {
    use super::*;
    use fdk_aac::dec::{Decoder, Transport};

    /// A sound card that is `off` from the media clock and delivers pieces of 10 ms: the frames it becomes.
    fn frames(format: Format, rate: u32, off: f64, seconds: f64) -> (Line, Vec<(Ticks90k, Vec<u8>)>) {
        let mut line = Line::new(format, rate, 64_000).expect("good settings");
        let mut made = Vec::new();
        let piece = format.rate as usize / 100;
        let samples = vec![0; piece * usize::from(format.channels)];
        for n in 1..=(seconds * 100.0) as i64 {
            let end = Ticks90k(777_777 + (n as f64 * 900.0 / (1.0 + off)).round() as i64);
            let whole = line.push(&samples, end, |pts, frame| made.push((pts, frame.to_vec())));
            assert!(whole.expect("processes"), "no hole");
        }
        (line, made)
    }

    #[test]
    fn frames_are_contiguous_and_start_on_the_grid_at_every_rate() {
        for (device, rate, duration) in
            [(48_000, 48_000, 1920), (44_100, 48_000, 1920), (48_000, 32_000, 2880), (16_000, 8_000, 11_520)]
        {
            let (_, frames) = frames(Format { rate: device, channels: 2 }, rate, 0.0, 2.0);
            assert_eq!(frames[0].0.0 % 45, 0);
            assert!(frames.windows(2).all(|pair| pair[1].0 - pair[0].0 == Ticks90k(duration)), "{rate}");
            let expected = 2 * 90_000 / duration;
            assert!(
                (expected - 2..=expected + 1).contains(&(frames.len() as i64)),
                "{} at {rate}",
                frames.len()
            );
        }
    }

    #[test]
    fn a_fast_sound_card_is_slowed_down_and_a_slow_one_sped_up() {
        for off in [300e-6, -300e-6] {
            let (line, frames) = frames(Format { rate: 16_000, channels: 1 }, 16_000, off, 120.0);
            assert!((line.correction() + off).abs() < 30e-6, "{} at {off}", line.correction());
            let end = frames.last().expect("frames").0.as_secs_f64() - 777_777.0 / 90_000.0;
            assert!((119.7..=120.0).contains(&end), "{end}");
        }
    }

    #[test]
    fn a_hole_is_not_taken_for_drift() {
        let format = Format { rate: 48_000, channels: 1 };
        let mut line = Line::new(format, 48_000, 64_000).expect("good settings");
        let mut push = |end| line.push(&[0; 4800], Ticks90k(end), |_, _| {}).expect("processes");
        assert!(push(90_000) && push(99_000 + 4_000));
        assert!(!push(108_000 + 12_000));
    }

    #[test]
    fn a_click_is_heard_when_it_was_captured() {
        for (device, rate) in [(48_000, 48_000), (44_100, 48_000), (48_000, 16_000)] {
            let format = Format { rate: device, channels: 1 };
            let mut line = Line::new(format, rate, 64_000).expect("good settings");
            let mut samples = vec![0; device as usize];
            let at = device as usize / 2;
            samples[at..at + device as usize / 4000].fill(20_000);
            let (mut start, mut decoded, mut decoder) = (None, Vec::new(), Decoder::new(Transport::Raw));
            decoder.config_raw(&line.config().asc).expect("an ASC");
            for (n, piece) in (1..).zip(samples.chunks(device as usize / 100)) {
                let decode = |pts: Ticks90k, frame: &[u8]| {
                    start.get_or_insert(pts);
                    let mut pcm = [0_i16; 2048];
                    decoder.fill(frame).expect("takes a frame");
                    decoder.decode_frame(&mut pcm).expect("decodes");
                    decoded.extend_from_slice(&pcm[..1024]);
                };
                line.push(piece, Ticks90k(900 * n), decode).expect("processes");
            }
            let late = i64::from(decoder.stream_info().outputDelay);
            let loudest = decoded.iter().zip(0_i64..).max_by_key(|(sample, _)| sample.unsigned_abs());
            let heard =
                start.expect("a frame") + Ticks90k::from_scale(loudest.expect("sound").1 - late, rate);
            assert!((heard.0 - 45_000).abs() < 90, "{heard} instead of 0.5 s, {device} to {rate}");
        }
    }
}

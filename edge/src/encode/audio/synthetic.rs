//! Sound that is not captured: the WAV of a file source, and a beep at each whole second.
//!
//! Both run on the media clock itself: the sample for media time `t` is made once `t` has passed, as a microphone would.

use super::line::Format;
use super::{Error, Sound};
use crate::status::CameraStatus;
use crate::supervise::clock;
use media::Ticks90k;
use std::f64::consts::TAU;
use std::fs::File;
use std::io::BufReader;
use std::path::Path;
use std::sync::Arc;

/// Samples are made in pieces of this length: 10 ms, a whole number of samples at every rate that is a multiple of 100.
const PIECE: Ticks90k = Ticks90k::from_millis(10);

/// What is later than this is left out, as a hole.
const MOST_LATE: Ticks90k = Ticks90k::SECOND;

/// Paces pieces of sound on the media clock.
struct Pace {
    next: Ticks90k,
}

impl Pace {
    fn new() -> Self {
        // Pieces start on whole hundredths of a second, so that their sample positions are whole too.
        Self { next: Ticks90k(clock::media_now().0.div_euclid(PIECE.0) * PIECE.0) }
    }

    /// Waits until the next piece has passed; `None` after a hole.
    fn wait(&mut self) -> Option<Ticks90k> {
        let start = self.next;
        if clock::media_now() - start > MOST_LATE {
            *self = Self::new();
            return None;
        }
        clock::sleep_until(start + PIECE);
        self.next = start + PIECE;
        Some(start)
    }
}

/// A WAV file that runs in step with the pictures of a file source.
pub struct Wav {
    reader: hound::WavReader<BufReader<File>>,
    path: String,
    camera: Arc<CameraStatus>,
    pace: Pace,
    /// Media time of the first picture of the pass through the file that is being heard.
    pass: Option<Ticks90k>,
    /// The sample a channel that the reader stands at.
    position: i64,
    piece: Vec<i16>,
}

impl Wav {
    /// Opens a WAV file of 16-bit samples.
    pub fn open(path: &Path, camera: Arc<CameraStatus>) -> Result<Self, Error> {
        let name = path.display().to_string();
        let refused = |source| Error::Wav { path: name.clone(), source };
        let reader = hound::WavReader::open(path).map_err(refused)?;
        let spec = reader.spec();
        let good = spec.bits_per_sample == 16
            && spec.sample_format == hound::SampleFormat::Int
            && (1..=2).contains(&spec.channels)
            && (8_000..=192_000).contains(&spec.sample_rate);
        if !good {
            return Err(Error::NotOurWav { path: name });
        }
        let pace = Pace::new();
        Ok(Self { reader, path: name, camera, pace, pass: None, position: 0, piece: Vec::new() })
    }

    /// Fills the piece that starts at media time `start`; what the file does not have is silence.
    fn fill(&mut self, start: Ticks90k) -> Result<(), hound::Error> {
        let format = self.format();
        let channels = usize::from(format.channels);
        let index = |time: Ticks90k| time.to_scale(format.rate);
        let frames = (index(start + PIECE) - index(start)) as usize;
        self.piece.clear();
        if let Some(pass) = self.camera.pass().filter(|&pass| pass <= start) {
            self.pass = Some(pass);
        }
        let Some(pass) = self.pass else {
            self.piece.resize(frames * channels, 0);
            return Ok(());
        };
        let wanted = index(start) - index(pass);
        let length = i64::from(self.reader.duration());
        if (0..length).contains(&wanted) {
            if wanted != self.position {
                self.reader.seek(wanted as u32)?;
                self.position = wanted;
            }
            for sample in self.reader.samples().take(frames * channels) {
                self.piece.push(sample?);
            }
            self.position += (self.piece.len() / channels) as i64;
        }
        self.piece.resize(frames * channels, 0);
        Ok(())
    }
}

impl Sound for Wav {
    fn format(&self) -> Format {
        let spec = self.reader.spec();
        Format { rate: spec.sample_rate, channels: spec.channels as u8 }
    }

    fn read(&mut self) -> Result<Option<(&[i16], Ticks90k)>, Error> {
        let Some(start) = self.pace.wait() else { return Ok(None) };
        self.fill(start).map_err(|source| Error::Wav { path: self.path.clone(), source })?;
        Ok(Some((&self.piece, start + PIECE)))
    }
}

/// A quiet beep at each whole second of the wall clock, as the pattern shows it: proof that sound and picture agree.
pub struct Beep {
    rate: u32,
    pace: Pace,
    /// Media time of a whole second.
    second: Ticks90k,
    piece: Vec<i16>,
}

impl Beep {
    const HERTZ: f64 = 1000.0;
    const LENGTH: Ticks90k = Ticks90k::from_millis(100);
    const LOUDNESS: f64 = 3000.0;

    /// A mono tone at `rate` samples a second.
    pub fn new(rate: u32) -> Self {
        let second = clock::mapping().map_or(Ticks90k::ZERO, |mapping| {
            mapping.media - Ticks90k::from_micros(mapping.wall.0.rem_euclid(1_000_000))
        });
        Self { rate, pace: Pace::new(), second, piece: Vec::new() }
    }

    fn sample(&self, at: Ticks90k) -> i16 {
        let since = Ticks90k((at - self.second).0.rem_euclid(Ticks90k::SECOND.0));
        if since >= Self::LENGTH {
            return 0;
        }
        ((since.as_secs_f64() * Self::HERTZ * TAU).sin() * Self::LOUDNESS) as i16
    }
}

impl Sound for Beep {
    fn format(&self) -> Format {
        Format { rate: self.rate, channels: 1 }
    }

    fn read(&mut self) -> Result<Option<(&[i16], Ticks90k)>, Error> {
        let Some(start) = self.pace.wait() else { return Ok(None) };
        let samples = PIECE.to_scale(self.rate);
        let times = (0..samples).map(|n| start + Ticks90k::from_scale(n, self.rate));
        let mut piece = std::mem::take(&mut self.piece);
        piece.clear();
        piece.extend(times.map(|at| self.sample(at)));
        self.piece = piece;
        Ok(Some((&self.piece, start + PIECE)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::status::Status;
    use crate::supervise::Pulses;

    /// A mono file of `length` samples at 8 kHz that counts them.
    fn counting(dir: &Path, length: i16) -> std::path::PathBuf {
        let path = dir.join("counting.wav");
        let spec = hound::WavSpec {
            channels: 1,
            sample_rate: 8_000,
            bits_per_sample: 16,
            sample_format: hound::SampleFormat::Int,
        };
        let mut writer = hound::WavWriter::create(&path, spec).expect("writes");
        (1..=length).for_each(|sample| writer.write_sample(sample).expect("writes"));
        writer.finalize().expect("writes");
        path
    }

    #[test]
    fn a_wav_begins_again_with_each_pass_of_the_pictures() {
        let dir = tempfile::tempdir().expect("a directory");
        let status = Status::new(&Config::default(), Pulses::default(), Ticks90k::ZERO);
        let camera = Arc::clone(&status.cameras[0]);
        let mut wav = Wav::open(&counting(dir.path(), 160), Arc::clone(&camera)).expect("opens");
        let mut first_and_last = |ms: i64| {
            wav.fill(Ticks90k::from_millis(ms)).expect("reads");
            (wav.piece.len(), wav.piece[0], wav.piece[79])
        };
        assert_eq!(first_and_last(1000), (80, 0, 0), "no picture yet");
        camera.set_pass(Some(Ticks90k::from_millis(1010)));
        assert_eq!(first_and_last(1010), (80, 1, 80));
        assert_eq!(first_and_last(1020), (80, 81, 160));
        assert_eq!(first_and_last(1030), (80, 0, 0), "the sound is shorter than the pictures");
        camera.set_pass(Some(Ticks90k::from_millis(1045)));
        assert_eq!(first_and_last(1040), (80, 0, 0));
        assert_eq!(first_and_last(1050), (80, 41, 120), "5 ms into the next pass");
    }

    #[test]
    fn a_file_that_is_no_wav_is_named() {
        let status = Status::new(&Config::default(), Pulses::default(), Ticks90k::ZERO);
        let Err(error) = Wav::open(Path::new("/dev/null"), Arc::clone(&status.cameras[0])) else {
            panic!("an empty file is no WAV");
        };
        assert!(error.to_string().starts_with("/dev/null: "), "{error}");
    }

    #[test]
    fn the_beep_starts_at_the_second_and_lasts_a_tenth() {
        let beep = Beep { rate: 48_000, pace: Pace::new(), second: Ticks90k(7), piece: Vec::new() };
        let loudest = |ms: std::ops::Range<i64>| {
            ms.map(|ms| beep.sample(Ticks90k(7 + 90_000 * 3 + 22) + Ticks90k::from_millis(ms)))
                .map(i16::unsigned_abs)
                .max()
        };
        assert!(loudest(0..99) > Some(2_900));
        assert_eq!(loudest(100..999), Some(0));
    }
}

//! Sound: from a microphone or a file to AAC-LC frames on the media clock, on a thread of its own.
//!
//! ```text
//!           opened                   hole: an overrun, a jump of the clock
//! opening ----------> sound <------------------------------+
//!    |                  |  +-------------------------------+
//!    | no microphone    | error
//!    v                  v
//!  silent <-------------+      opened again with a back-off; the track comes back at a GOP border
//! ```

pub mod aac;
pub mod drift;
mod htstamp;
pub mod line;
pub mod microphone;
pub mod queue;
mod synthetic;

pub use queue::{Receiver, Sender, Stream, queue};

use crate::config::Config;
use crate::source::{Spec, file};
use crate::status::{CameraStatus, Status};
use crate::supervise::{Stop, clock};
use line::{Format, Line};
use media::Ticks90k;
use media::access_unit::AAC_FRAME_SAMPLES;
use microphone::Microphone;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use synthetic::{Beep, Wav};

/// Before the first new try to open.
const SHORTEST_BACK_OFF: Duration = Duration::from_secs(1);

/// Before any later one; each waits twice as long as the one before.
const LONGEST_BACK_OFF: Duration = Duration::from_secs(15);

/// A device that was heard for this long is tried again at once.
const STEADY: Ticks90k = Ticks90k::from_millis(10_000);

/// Why there is no sound.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The microphone.
    #[error("microphone {0}")]
    Microphone(#[from] microphone::Error),
    /// No sound card can capture.
    #[error("no microphone")]
    NoMicrophone,
    /// The WAV file cannot be read.
    #[error("{path}: {source}")]
    Wav {
        /// The file.
        path: String,
        /// What is wrong with it.
        source: hound::Error,
    },
    /// The WAV file holds something else.
    #[error("{path}: not 16-bit samples of one or two channels at 8 to 192 kHz")]
    NotOurWav {
        /// The file.
        path: String,
    },
    /// Resampling or encoding failed.
    #[error(transparent)]
    Line(#[from] line::Error),
}

/// Where the sound of a camera comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The first microphone that is there.
    AnyMicrophone,
    /// The microphone of this ALSA name.
    Microphone(String),
    /// A WAV file.
    Wav(PathBuf),
    /// A beep at each whole second.
    Beep,
}

impl Origin {
    /// The sound of camera `index`, if it may have some. The microphone belongs to the first camera that is not a file
    /// and, unless it is configured by name, not the pattern.
    pub fn of(config: &Config, index: usize) -> Option<Self> {
        let spec = |index: usize| config.camera.get(index).and_then(|c| Spec::parse(&c.source).ok());
        if let Some(Spec::File(text)) = spec(index) {
            return file::Params::parse(&text).ok()?.audio.map(Self::Wav);
        }
        let by_name = config.audio.device != "auto";
        let may_have = |index: usize| match spec(index) {
            Some(Spec::Auto | Spec::V4l2(_)) => true,
            Some(Spec::Pattern) => by_name,
            Some(Spec::File(_)) | None => false,
        };
        match config.audio.device.as_str() {
            "none" => None,
            "beep" => Some(Self::Beep),
            _ if !may_have(index) || (0..index).any(may_have) => None,
            "auto" => Some(Self::AnyMicrophone),
            device => Some(Self::Microphone(device.to_owned())),
        }
    }

    fn open(&self, rate: u32, own: &Arc<CameraStatus>) -> Result<Box<dyn Sound>, Error> {
        Ok(match self {
            Self::AnyMicrophone => {
                let device = microphone::first().ok_or(Error::NoMicrophone)?;
                Box::new(Microphone::open(&device, rate)?)
            }
            Self::Microphone(device) => Box::new(Microphone::open(device, rate)?),
            Self::Wav(path) => Box::new(Wav::open(path, Arc::clone(own))?),
            Self::Beep => Box::new(Beep::new(rate)),
        })
    }
}

/// Something that delivers samples. Dropping it closes the device.
trait Sound {
    /// What the samples are.
    fn format(&self) -> Format;

    /// Waits for samples: interleaved, with the media time at which the last one ended; `None` after a hole.
    ///
    /// # Errors
    /// The device is gone.
    fn read(&mut self) -> Result<Option<(&[i16], Ticks90k)>, Error>;
}

/// What the audio thread of one camera works with.
pub struct Inputs {
    /// Where the sound comes from.
    pub origin: Origin,
    /// Bits and samples a second of the AAC.
    pub audio: crate::config::Audio,
    /// Where the frames go.
    pub frames: Sender,
    /// For faults.
    pub status: Arc<Status>,
    /// For the counters.
    pub own: Arc<CameraStatus>,
}

impl Inputs {
    /// The part of the appliance that a fault names.
    fn part(&self) -> String {
        format!("audio {}", self.own.name)
    }

    /// Tells of an error once. That a board has no microphone is no fault.
    fn complain(&self, error: &Error, last: &mut String) {
        let text = error.to_string();
        if *last == text {
            return;
        }
        if matches!(error, Error::NoMicrophone) {
            tracing::info!(camera = self.own.name, "no microphone");
        } else {
            tracing::warn!(camera = self.own.name, error = text, "no sound");
            self.status.set_fault(&self.part(), Some(text.clone()));
        }
        *last = text;
    }
}

/// Captures and encodes until `stop` is asked for.
pub fn run(mut inputs: Inputs, stop: Stop) {
    let mut back_off = SHORTEST_BACK_OFF;
    let mut complaint = String::new();
    while !stop.asked() {
        let began = clock::media_now();
        let opened = inputs.origin.open(inputs.audio.rate, &inputs.own);
        let heard = opened.and_then(|mut sound| listen(&mut inputs, sound.as_mut(), &stop));
        let Err(error) = heard else { return };
        if clock::media_now() - began > STEADY {
            back_off = SHORTEST_BACK_OFF;
        }
        inputs.frames.start(Stream::Silent);
        inputs.complain(&error, &mut complaint);
        stop.wait(back_off);
        back_off = (back_off * 2).min(LONGEST_BACK_OFF);
    }
}

/// Encodes what one opened device delivers, until the stop or an error.
fn listen(inputs: &mut Inputs, sound: &mut dyn Sound, stop: &Stop) -> Result<(), Error> {
    inputs.status.set_fault(&inputs.part(), None);
    let Inputs { audio, frames, own, .. } = inputs;
    let frame_duration = Ticks90k::from_scale(i64::from(AAC_FRAME_SAMPLES), audio.rate);
    let format = sound.format();
    let new_line = || Line::new(format, audio.rate, audio.bitrate);
    let mut line = new_line()?;
    frames.start(Stream::Sound(line.config().clone()));
    tracing::info!(camera = own.name, rate = format.rate, channels = format.channels, "sound");
    let mut next = Ticks90k(i64::MIN);
    while !stop.asked() {
        let Some((samples, end)) = sound.read()? else {
            line = new_line()?;
            continue;
        };
        let whole = line.push(samples, end, |pts, frame| {
            // After a hole the first frames may reach back into what was sent before it.
            if pts >= next {
                next = pts + frame_duration;
                own.metrics.audio_dropped.inc_by(u64::from(!frames.send(pts, frame)));
            }
        })?;
        if !whole {
            tracing::debug!(camera = own.name, "hole in the sound");
            line = new_line()?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Camera;
    use crate::supervise::{Pulses, Threads};

    fn config(device: &str, sources: &[&str]) -> Config {
        let camera = |source: &&str| Camera { source: (*source).to_owned(), ..Camera::default() };
        let mut config = Config { camera: sources.iter().map(camera).collect(), ..Config::default() };
        config.audio.device = device.to_owned();
        config
    }

    #[test]
    fn one_camera_has_the_microphone_and_a_file_its_own_sound() {
        let all = |device, sources: &[&str]| {
            let config = config(device, sources);
            (0..sources.len()).map(|index| Origin::of(&config, index)).collect::<Vec<_>>()
        };
        let wav = Some(Origin::Wav("/clips/a.wav".into()));
        let sources = ["pattern", "file:/clips/a.y4m?audio=a.wav", "auto", "v4l2:/dev/video1"];
        assert_eq!(all("auto", &sources), [None, wav.clone(), Some(Origin::AnyMicrophone), None]);
        assert_eq!(all("hw:1", &sources), [Some(Origin::Microphone("hw:1".into())), wav.clone(), None, None]);
        assert_eq!(all("none", &sources), [None, wav, None, None]);
        assert_eq!(all("beep", &["pattern", "auto"]), [Some(Origin::Beep), Some(Origin::Beep)]);
        assert_eq!(all("auto", &["file:/clips/a.y4m"]), [None]);
    }

    /// Runs an audio thread until `done` has seen enough of its queue.
    fn run_until(origin: Origin, mut done: impl FnMut(&mut Receiver) -> bool) -> Arc<Status> {
        let config = Config::default();
        let status = Arc::new(Status::new(&config, Pulses::default(), clock::media_now()));
        let (frames, mut receiver) = queue();
        let own = Arc::clone(&status.cameras[0]);
        let inputs = Inputs { origin, audio: config.audio, frames, status: Arc::clone(&status), own };
        let stop = Stop::default();
        let mut threads = Threads::new(stop.clone(), Pulses::default());
        threads.spawn("audio", move |stop| run(inputs, stop)).expect("starts");
        let deadline = clock::media_now() + Ticks90k::from_millis(20_000);
        while !done(&mut receiver) {
            assert!(clock::media_now() < deadline, "the audio thread does not deliver");
            stop.wait(Duration::from_millis(5));
        }
        stop.ask();
        threads.join();
        status
    }

    #[test]
    fn the_thread_delivers_contiguous_frames_at_their_time() {
        let mut times = Vec::new();
        run_until(Origin::Beep, |receiver| {
            while let Some(frame) = receiver.next(1, &mut 0) {
                times.push(frame.pts);
            }
            times.len() >= 10
        });
        assert!(times.windows(2).all(|pair| pair[1] - pair[0] == Ticks90k(1920)), "{times:?}");
        let now = clock::media_now();
        assert!(now - Ticks90k::from_millis(20_000) < times[0] && times[9] < now, "{times:?} at {now}");
    }

    #[test]
    fn a_microphone_that_is_not_there_is_a_fault_and_silence() {
        let status = run_until(Origin::Microphone("hw:77,7".to_owned()), |receiver| {
            matches!(receiver.stream(), (_, Stream::Silent))
        });
        let faults = status.faults();
        assert_eq!(faults.len(), 1);
        assert_eq!(faults[0].part, "audio front");
        assert!(faults[0].message.starts_with("microphone hw:77,7: "), "{}", faults[0].message);
    }
}

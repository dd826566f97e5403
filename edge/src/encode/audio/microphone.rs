//! A microphone, through ALSA: 16-bit samples with the time at which they were captured.
//!
//! ```text
//!  status at htstamp:   ... read before | n samples, read now | rest |  <- htstamp
//!                                                             ^ end = htstamp - rest / rate
//! ```

use super::line::Format;
use super::{Sound, htstamp};
use crate::supervise::clock;
use alsa::pcm::{Access, Format as SampleFormat, HwParams, PCM, TstampType};
use alsa::{Direction, ValueOr};
use media::Ticks90k;
use std::time::Duration;

/// How long a wait for samples lasts, in milliseconds.
const PATIENCE_MS: u32 = 250;

/// What is asked for between two interrupts of the device, in microseconds.
const PERIOD_US: u32 = 10_000;

/// What the device can hold while the thread is held up, in microseconds.
const BUFFER_US: u32 = 500_000;

/// Why a microphone cannot be used, or went away.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// ALSA refused.
    #[error("{device}: {source}")]
    Alsa {
        /// The ALSA name.
        device: String,
        /// Which call, and what it said.
        source: alsa::Error,
    },
    /// More channels than AAC-LC here can take.
    #[error("{device}: {channels} channels; 1 or 2 can be encoded, perhaps by a plug device")]
    Channels {
        /// The ALSA name.
        device: String,
        /// What it has.
        channels: u32,
    },
    /// It has not delivered anything for the time-out.
    #[error("{device}: no samples")]
    Silent {
        /// The ALSA name.
        device: String,
    },
}

/// The first sound card that can capture, as an ALSA name.
pub fn first() -> Option<String> {
    alsa::card::Iter::new().flatten().find_map(|card| {
        let ctl = alsa::Ctl::from_card(&card, true).ok()?;
        let device = alsa::ctl::DeviceIter::new(&ctl)
            .find(|&device| ctl.pcm_info(device as u32, 0, Direction::Capture).is_ok())?;
        Some(format!("plughw:{},{device}", card.get_index()))
    })
}

/// An open microphone.
pub struct Microphone {
    device: String,
    pcm: PCM,
    format: Format,
    buffer: Vec<i16>,
}

impl Microphone {
    /// Opens `device`, as near to `rate` as it can without resampling, and starts it.
    pub fn open(device: &str, rate: u32) -> Result<Self, Error> {
        let refused = |source| Error::Alsa { device: device.to_owned(), source };
        let pcm = PCM::new(device, Direction::Capture, true).map_err(refused)?;
        let (rate, channels) = configure(&pcm, rate).map_err(refused)?;
        let channels = match channels {
            1 => 1,
            2 => 2,
            channels => return Err(Error::Channels { device: device.to_owned(), channels }),
        };
        pcm.start().map_err(refused)?;
        let format = Format { rate, channels };
        let buffer = vec![0; rate as usize / 10 * usize::from(channels)];
        Ok(Self { device: device.to_owned(), pcm, format, buffer })
    }

    fn capture(&mut self) -> Result<Option<(usize, Ticks90k)>, alsa::Error> {
        if !self.pcm.wait(Some(PATIENCE_MS))? {
            return Ok(None);
        }
        let status = self.pcm.status()?;
        // A plugin without hardware has no timestamps.
        let now = match htstamp::of(&status) {
            Duration::ZERO => clock::media_now(),
            stamp => Ticks90k::from_duration(stamp) + clock::monotonic_to_media(),
        };
        let captured = usize::try_from(status.get_delay().max(status.get_avail())).unwrap_or(0);
        let read = self.pcm.io_i16()?.readi(&mut self.buffer)?;
        let rest = captured.saturating_sub(read);
        let end = now - Ticks90k::from_scale(rest as i64, self.format.rate);
        Ok(Some((read * usize::from(self.format.channels), end)))
    }
}

impl Sound for Microphone {
    fn format(&self) -> Format {
        self.format
    }

    fn read(&mut self) -> Result<Option<(&[i16], Ticks90k)>, super::Error> {
        match self.capture() {
            Ok(Some((samples, end))) => Ok(self.buffer.get(..samples).map(|samples| (samples, end))),
            Ok(None) => Err(Error::Silent { device: self.device.clone() }.into()),
            // An overrun (EPIPE) or the end of a suspend (ESTRPIPE): a hole, not the end.
            Err(error) => {
                let recovered = self.pcm.try_recover(error, true).and_then(|()| self.pcm.start());
                recovered.map_err(|source| Error::Alsa { device: self.device.clone(), source })?;
                Ok(None)
            }
        }
    }
}

fn configure(pcm: &PCM, rate: u32) -> Result<(u32, u32), alsa::Error> {
    let hardware = HwParams::any(pcm)?;
    hardware.set_rate_resample(false)?;
    hardware.set_access(Access::RWInterleaved)?;
    hardware.set_format(SampleFormat::s16())?;
    let channels = hardware.set_channels_near(2)?;
    let rate = hardware.set_rate_near(rate, ValueOr::Nearest)?;
    hardware.set_period_time_near(PERIOD_US, ValueOr::Nearest)?;
    hardware.set_buffer_time_near(BUFFER_US, ValueOr::Nearest)?;
    pcm.hw_params(&hardware)?;
    let software = pcm.sw_params_current()?;
    software.set_tstamp_mode(true)?;
    software.set_tstamp_type(TstampType::Monotonic)?;
    pcm.sw_params(&software)?;
    Ok((rate, channels))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_that_is_not_there_is_named() {
        let Err(error) = Microphone::open("hw:77,7", 48_000) else { panic!("there is no card 77") };
        assert!(error.to_string().starts_with("hw:77,7: "), "{error}");
    }

    #[test]
    fn samples_come_with_their_time() {
        // ALSA's null device captures silence without a sound card.
        let mut microphone = Microphone::open("null", 48_000).expect("always there");
        assert_eq!(microphone.format(), Format { rate: 48_000, channels: 2 });
        let before = clock::media_now();
        let (samples, end) = Sound::read(&mut microphone).expect("reads").expect("no hole");
        assert!(!samples.is_empty() && samples.iter().all(|&sample| sample == 0));
        assert!((before - Ticks90k::SECOND..=clock::media_now()).contains(&end), "{end}");
    }
}

//! AAC as bytes: AudioSpecificConfig (ISO/IEC 14496-3 1.6.2.1) and ADTS (1.A.2.2).
//!
//! ```text
//! AudioSpecificConfig  object_type(5) frequency_index(4) channel_configuration(4) | frameLengthFlag(1) dependsOnCoreCoder(1)
//!                      extensionFlag(1)                                           two bytes: 11 90 is AAC-LC, 48 kHz, stereo
//! ADTS, 7 bytes        FF F1 | profile(2) frequency_index(4) 0 channels(3) 0000 | frame_length(13) | fullness(11) 00
//!                      9 bytes when protection_absent is 0 (FF F0): a CRC follows
//! ```

use crate::Ticks90k;
use crate::access_unit::AAC_FRAME_SAMPLES;

/// What can be wrong with AAC bytes.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum Error {
    /// Fewer bytes than the structure needs.
    #[error("AAC at byte {offset}: {needed} bytes are needed, {left} are there")]
    Truncated {
        /// Where the structure starts.
        offset: usize,
        /// How long it is.
        needed: usize,
        /// How much of it is there.
        left: usize,
    },
    /// Legal AAC of a kind that Porthole does not handle.
    #[error("AAC: {0} is not supported")]
    Unsupported(&'static str),
    /// No ADTS header where one must be, or one that contradicts itself.
    #[error("no ADTS header at byte {0}")]
    NoHeader(usize),
    /// A frame longer than `frame_length` can say.
    #[error("AAC frame of {0} bytes does not fit into ADTS")]
    TooLong(usize),
}

/// `samplingFrequencyIndex`, ISO/IEC 14496-3 table 1.18.
const SAMPLE_RATES: [u32; 13] =
    [96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8_000, 7_350];

/// Length of an ADTS header without CRC.
pub const ADTS_HEADER: usize = 7;

/// The decoder configuration of an AAC stream with frames of 1024 samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AudioSpecificConfig {
    /// `audioObjectType`: 1 Main, 2 LC, 3 SSR, 4 LTP.
    pub object_type: u8,
    /// Samples a second: one of the thirteen rates of the standard.
    pub sample_rate: u32,
    /// `channelConfiguration`: 1 to 7.
    pub channels: u8,
}

impl AudioSpecificConfig {
    /// AAC-LC at one of the standard's sample rates.
    pub fn lc(sample_rate: u32, channels: u8) -> Result<Self, Error> {
        let config = Self { object_type: 2, sample_rate, channels };
        config.frequency_index()?;
        config.channel_configuration()?;
        Ok(config)
    }

    /// Reads an AudioSpecificConfig. What follows the first two bytes (backward compatible SBR signalling) is ignored: a
    /// decoder of plain AAC does the same.
    pub fn parse(asc: &[u8]) -> Result<Self, Error> {
        let Some(&[first, second]) = asc.first_chunk::<2>() else {
            return Err(Error::Truncated { offset: 0, needed: 2, left: asc.len() });
        };
        let object_type = first >> 3;
        if !(1..=4).contains(&object_type) {
            return Err(Error::Unsupported("an object type other than Main, LC, SSR and LTP"));
        }
        if second & 0x04 != 0 {
            return Err(Error::Unsupported("a frame of 960 samples"));
        }
        let config = Self {
            object_type,
            sample_rate: sample_rate((first & 7) << 1 | second >> 7)?,
            channels: second >> 3 & 0x0F,
        };
        config.channel_configuration()?;
        Ok(config)
    }

    /// The time that one frame covers, to the nearest tick.
    pub const fn frame_duration(self) -> Ticks90k {
        Ticks90k::from_scale(AAC_FRAME_SAMPLES as i64, self.sample_rate)
    }

    /// The two bytes of the AudioSpecificConfig.
    pub fn to_bytes(self) -> Result<[u8; 2], Error> {
        let index = self.frequency_index()?;
        let channels = self.channel_configuration()?;
        Ok([self.object_type << 3 | index >> 1, (index & 1) << 7 | channels << 3])
    }

    /// The ADTS header for a raw frame of `frame` bytes, without CRC.
    pub fn adts_header(self, frame: usize) -> Result<[u8; ADTS_HEADER], Error> {
        let index = self.frequency_index()?;
        let channels = self.channel_configuration()?;
        let length = frame.saturating_add(ADTS_HEADER);
        if length > 0x1FFF {
            return Err(Error::TooLong(frame));
        }
        Ok([
            0xFF,
            0xF1,
            (self.object_type - 1) << 6 | index << 2 | channels >> 2,
            (channels & 3) << 6 | (length >> 11) as u8,
            (length >> 3) as u8,
            // adts_buffer_fullness 0x7FF: variable rate.
            (length << 5) as u8 | 0x1F,
            0xFC,
        ])
    }

    /// Appends a raw frame behind its ADTS header.
    pub fn push_adts(self, frame: &[u8], out: &mut Vec<u8>) -> Result<(), Error> {
        out.extend_from_slice(&self.adts_header(frame.len())?);
        out.extend_from_slice(frame);
        Ok(())
    }

    fn frequency_index(self) -> Result<u8, Error> {
        let index = SAMPLE_RATES.iter().position(|&rate| rate == self.sample_rate);
        index.map(|index| index as u8).ok_or(Error::Unsupported("a sample rate outside table 1.18"))
    }

    fn channel_configuration(self) -> Result<u8, Error> {
        match self.channels {
            1..=7 => Ok(self.channels),
            _ => Err(Error::Unsupported("a channel configuration other than 1 to 7")),
        }
    }
}

fn sample_rate(index: u8) -> Result<u32, Error> {
    SAMPLE_RATES.get(usize::from(index)).copied().ok_or(Error::Unsupported("an explicit sample rate"))
}

/// One frame of an ADTS stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AdtsFrame<'a> {
    /// What its header says of the decoder configuration.
    pub config: AudioSpecificConfig,
    /// The raw AAC frame, without header and CRC.
    pub data: &'a [u8],
}

/// The frames of an ADTS stream. After an error it ends.
pub fn adts(data: &[u8]) -> Adts<'_> {
    Adts { data, at: 0 }
}

/// Iterator of [`adts`].
#[derive(Clone, Debug)]
pub struct Adts<'a> {
    data: &'a [u8],
    at: usize,
}

impl<'a> Adts<'a> {
    fn frame(&self, rest: &'a [u8]) -> Result<(AdtsFrame<'a>, usize), Error> {
        let offset = self.at;
        let Some(header) = rest.first_chunk::<ADTS_HEADER>() else {
            return Err(Error::Truncated { offset, needed: ADTS_HEADER, left: rest.len() });
        };
        let [sync, flags, format, bits, middle, low, blocks] = *header;
        if sync != 0xFF || flags & 0xF6 != 0xF0 {
            return Err(Error::NoHeader(offset));
        }
        if blocks & 3 != 0 {
            return Err(Error::Unsupported("more than one raw data block in an ADTS frame"));
        }
        let config = AudioSpecificConfig {
            object_type: (format >> 6) + 1,
            sample_rate: sample_rate(format >> 2 & 0x0F)?,
            channels: (format & 1) << 2 | bits >> 6,
        };
        config.channel_configuration()?;
        let length = usize::from(bits & 3) << 11 | usize::from(middle) << 3 | usize::from(low) >> 5;
        let header = if flags & 1 == 1 { ADTS_HEADER } else { ADTS_HEADER + 2 };
        if length < header {
            return Err(Error::NoHeader(offset));
        }
        match rest.get(header..length) {
            Some(data) => Ok((AdtsFrame { config, data }, length)),
            None => Err(Error::Truncated { offset, needed: length, left: rest.len() }),
        }
    }
}

impl<'a> Iterator for Adts<'a> {
    type Item = Result<AdtsFrame<'a>, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        let rest = self.data.get(self.at..).filter(|rest| !rest.is_empty())?;
        let frame = self.frame(rest);
        self.at = frame.as_ref().map_or(self.data.len(), |(_, length)| self.at + length);
        Some(frame.map(|(frame, _)| frame))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_config_is_written_byte_for_byte_and_read_back() {
        let cases = [
            (48_000, 2, [0x11, 0x90]),
            (44_100, 1, [0x12, 0x08]),
            (16_000, 1, [0x14, 0x08]),
            (8_000, 2, [0x15, 0x90]),
        ];
        for (sample_rate, channels, bytes) in cases {
            let config = AudioSpecificConfig::lc(sample_rate, channels).unwrap();
            assert_eq!(config.to_bytes(), Ok(bytes));
            assert_eq!(AudioSpecificConfig::parse(&bytes), Ok(config));
        }
    }

    #[test]
    fn a_config_that_is_not_handled_says_why() {
        let cases: [(&[u8], Error); 5] = [
            (&[0x11], Error::Truncated { offset: 0, needed: 2, left: 1 }),
            (&[0x2B, 0x92], Error::Unsupported("an object type other than Main, LC, SSR and LTP")),
            (&[0x17, 0x80], Error::Unsupported("an explicit sample rate")),
            (&[0x11, 0x94], Error::Unsupported("a frame of 960 samples")),
            (&[0x11, 0x80], Error::Unsupported("a channel configuration other than 1 to 7")),
        ];
        for (bytes, error) in cases {
            assert_eq!(AudioSpecificConfig::parse(bytes), Err(error), "{bytes:02X?}");
        }
        assert!(AudioSpecificConfig::lc(12_345, 2).is_err());
    }

    #[test]
    fn an_adts_stream_is_read_back_frame_by_frame() {
        let config = AudioSpecificConfig::lc(48_000, 2).unwrap();
        let header = config.adts_header(3).unwrap();
        assert_eq!(header, [0xFF, 0xF1, 0x4C, 0x80, 0x01, 0x5F, 0xFC]);
        let with_crc = [0xFF, 0xF0, 0x4C, 0x80, 0x01, 0x5F, 0xFC, 0xAA, 0xBB, 7];
        let stream = [&header[..], &[1, 2, 3], &with_crc].concat();
        let frames: Result<Vec<_>, _> = adts(&stream).collect();
        assert_eq!(
            frames,
            Ok(vec![AdtsFrame { config, data: &[1, 2, 3] }, AdtsFrame { config, data: &[7] }])
        );
    }

    #[test]
    fn an_adts_stream_ends_at_its_first_fault() {
        let config = AudioSpecificConfig::lc(8_000, 1).unwrap();
        let whole = [&config.adts_header(2).unwrap()[..], &[1, 2]].concat();
        let faults: [(&[u8], Error); 4] = [
            (&[0xFF, 0xF1], Error::Truncated { offset: 9, needed: 7, left: 2 }),
            (&[0xFF, 0x00, 0, 0, 0, 0, 0], Error::NoHeader(9)),
            (&[0xFF, 0xF1, 0x6C, 0x40, 0x00, 0xDF, 0xFC], Error::NoHeader(9)),
            (
                &[0xFF, 0xF1, 0x6C, 0x43, 0xFF, 0xFF, 0xFC, 1],
                Error::Truncated { offset: 9, needed: 0x1FFF, left: 8 },
            ),
        ];
        for (fault, error) in faults {
            let stream = [&whole[..], fault].concat();
            let read: Vec<_> = adts(&stream).collect();
            assert_eq!(read, [Ok(AdtsFrame { config, data: &[1, 2] }), Err(error)], "{fault:02X?}");
        }
        assert_eq!(config.adts_header(0x1FFF - 6), Err(Error::TooLong(0x1FFF - 6)));
    }
}

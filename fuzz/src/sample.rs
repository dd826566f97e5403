//! Footage made from any bytes: what a camera could have delivered, so that what is written from it must be read back.

use bytes::Bytes;
use media::{AccessUnit, AudioConfig, Gop, StreamConfig, Ticks90k, Track, VideoConfig};
use std::sync::Arc;

/// Most GOPs that are made.
const MOST_GOPS: usize = 8;
/// How long an AAC frame lasts at 48 kHz.
const FRAME: i64 = 1920;

/// Numbers from the front of an input; zeros behind its end.
pub struct Numbers<'a>(pub &'a [u8]);

impl Numbers<'_> {
    /// The next byte.
    pub fn byte(&mut self) -> u8 {
        let (first, rest) = self.0.split_first().unwrap_or((&0, &[]));
        self.0 = rest;
        *first
    }

    /// The next two bytes.
    pub fn word(&mut self) -> u16 {
        u16::from_be_bytes([self.byte(), self.byte()])
    }

    /// So many bytes, none of them 0: they hold no start code.
    fn payload(&mut self, length: usize) -> Vec<u8> {
        (0..length).map(|_| self.byte() | 1).collect()
    }
}

/// Baseline 3.0 at 320x240, and stereo at 48 kHz.
pub fn config() -> Arc<StreamConfig> {
    let sps = Bytes::from_static(&[0x67, 0x42, 0xC0, 0x0D, 0x8C, 0x8D, 0x40, 0xA0, 0xF8, 0x80]);
    let pps = Bytes::from_static(&[0x68, 0xCE, 0x3C, 0x80]);
    let video = VideoConfig { width: 320, height: 240, frame_duration: Ticks90k(3000), sps, pps };
    let asc = Bytes::from_static(&[0x11, 0x90]);
    Arc::new(StreamConfig { video, audio: Some(AudioConfig { sample_rate: 48_000, channels: 2, asc }) })
}

/// GOPs of one to eight pictures, with as much sound as belongs to them.
pub fn gops(numbers: &mut Numbers<'_>) -> Vec<Gop> {
    let config = config();
    let (mut pts, mut sound, mut sequence) = (90_000 * 4000 + i64::from(numbers.word()), 90_000 * 4000, 100);
    let mut gops = Vec::new();
    while !numbers.0.is_empty() && gops.len() < MOST_GOPS {
        let (start, mut units) = (Ticks90k(pts), Vec::new());
        for picture in 0..1 + usize::from(numbers.byte() % 8) {
            let length = usize::from(numbers.byte());
            let nal = [&[if picture == 0 { 0x65 } else { 0x41 }][..], &numbers.payload(length)].concat();
            let data = [&(nal.len() as u32).to_be_bytes()[..], &nal].concat();
            units.push(unit(Track::Video, pts, picture == 0, data));
            pts += 1 + i64::from(numbers.word() % 6000);
            while sound + FRAME <= pts {
                let length = 1 + usize::from(numbers.byte());
                units.push(unit(Track::Audio, sound, true, numbers.payload(length)));
                sound += FRAME;
            }
        }
        let (config, end) = (Arc::clone(&config), Some(Ticks90k(pts)));
        gops.push(Gop { sequence, start, wall: None, discontinuity: false, config, units, end });
        sequence += 1 + u64::from(numbers.byte() & 1);
    }
    gops
}

fn unit(track: Track, pts: i64, key: bool, data: Vec<u8>) -> AccessUnit {
    AccessUnit { track, pts: Ticks90k(pts), key, data: data.into() }
}

/// An input of which [`gops`] makes three GOPs: few bytes in each, and no two alike.
pub fn numbers() -> Vec<u8> {
    let bytes = (0..110_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8 % 24);
    [0, 9].into_iter().chain(bytes).collect()
}

/// What a track's access units hold, over all GOPs.
pub fn units(gops: &[Gop], track: Track) -> Vec<&AccessUnit> {
    gops.iter().flat_map(|gop| gop.track(track)).collect()
}

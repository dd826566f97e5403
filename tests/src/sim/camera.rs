//! A camera: GOPs of a second each, small ones, every one known by its number.

use bytes::Bytes;
use media::names::CameraId;
use media::{AccessUnit, AudioConfig, Gop, StreamConfig, Ticks90k, Track, VideoConfig, WallTime};
use std::cell::Cell;
use std::sync::Arc;
use std::time::Duration;

/// One camera of an edge.
pub struct Camera {
    /// Its name.
    pub name: &'static str,
    /// What its recordings are called by.
    pub id: CameraId,
    /// GOPs that it has made: the number of the next one.
    pub made: Cell<u64>,
    /// GOPs that it makes in this run.
    pub makes: u64,
    /// From one GOP to the next.
    pub every: Duration,
    /// GOPs of one recording.
    pub length: u64,
    /// Bytes of one picture.
    pub picture: usize,
}

impl Camera {
    /// The next GOP; `None` when the run has no more.
    pub fn next(&self, wall: Option<WallTime>) -> Option<Gop> {
        let sequence = self.made.get();
        self.made.set(sequence + 1);
        (sequence < self.makes).then(|| self.gop(sequence, wall))
    }

    /// Whether it has made all.
    pub fn is_done(&self) -> bool {
        self.made.get() >= self.makes
    }

    /// Media time of the next one.
    pub fn now(&self) -> Ticks90k {
        Ticks90k(self.made.get() as i64 * Ticks90k::SECOND.0)
    }

    fn gop(&self, sequence: u64, wall: Option<WallTime>) -> Gop {
        let start = Ticks90k(sequence as i64 * Ticks90k::SECOND.0);
        let mark = sequence as u8 ^ self.name.as_bytes()[0];
        let picture = |after, key| {
            let mut data = (self.picture as u32).to_be_bytes().to_vec();
            data.push(if key { 0x65 } else { 0x41 });
            data.resize(self.picture + 4, mark | 1);
            AccessUnit { track: Track::Video, pts: start + Ticks90k(after), key, data: data.into() }
        };
        let sound =
            AccessUnit { track: Track::Audio, pts: start, key: true, data: vec![mark | 1; 40].into() };
        Gop {
            sequence,
            start,
            wall,
            discontinuity: false,
            config: stream(),
            units: vec![picture(0, true), picture(45_000, false), sound],
            end: Some(start + Ticks90k::SECOND),
        }
    }
}

fn stream() -> Arc<StreamConfig> {
    let video = VideoConfig {
        width: 320,
        height: 240,
        frame_duration: Ticks90k(3000),
        sps: Bytes::from_static(&[0x67, 0x42, 0xC0, 0x0A, 0x8C]),
        pps: Bytes::from_static(&[0x68, 0xCE, 0x3C, 0x80]),
    };
    let audio = AudioConfig { sample_rate: 48_000, channels: 1, asc: Bytes::from_static(&[0x11, 0x88]) };
    Arc::new(StreamConfig { video, audio: Some(audio) })
}

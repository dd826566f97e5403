//! A recording of a few bytes, and a disk with holes to put it on.

#![allow(dead_code)] // each test file uses a part

use bytes::Bytes;
use media::mp4::{About, ReadAt, Step};
use media::{AccessUnit, AudioConfig, Gop, StreamConfig, Ticks90k, Track, VideoConfig};
use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

/// So many GOPs it has.
pub const GOPS: usize = 3;

/// A file with holes: only blocks that were written take memory.
#[derive(Clone, Default, PartialEq)]
pub struct Disk {
    pub size: u64,
    pub blocks: BTreeMap<u64, [u8; Disk::BLOCK]>,
}

impl Disk {
    /// Bytes of a block.
    pub const BLOCK: usize = 256;

    /// Writes.
    pub fn write(&mut self, offset: u64, bytes: &[u8]) {
        self.size = self.size.max(offset + bytes.len() as u64);
        for (at, &byte) in (offset..).zip(bytes) {
            let block = self.blocks.entry(at / Self::BLOCK as u64).or_insert([0; Self::BLOCK]);
            block[at as usize % Self::BLOCK] = byte;
        }
    }

    /// Cuts.
    pub fn truncate(&mut self, size: u64) {
        let tail: Vec<u8> = vec![0; self.size.saturating_sub(size) as usize];
        self.write(size, &tail);
        self.size = size;
    }

    /// Carries out all writes.
    pub fn apply(&mut self, steps: &[Step]) {
        for step in steps {
            if let Step::Write { offset, bytes } = step {
                self.write(*offset, bytes);
            }
        }
    }
}

impl ReadAt for Disk {
    fn size(&self) -> u64 {
        self.size
    }

    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        if offset + buf.len() as u64 > self.size {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        for (at, byte) in (offset..).zip(buf) {
            let block = self.blocks.get(&(at / Self::BLOCK as u64));
            *byte = block.map_or(0, |block| block[at as usize % Self::BLOCK]);
        }
        Ok(())
    }
}

/// What it says of itself.
pub fn about() -> About {
    About { camera: "door".to_owned(), start: None }
}

/// GOPs of three pictures and two AAC frames of a few bytes; the first sound comes before the first picture.
pub fn gops() -> Vec<Gop> {
    let config = Arc::new(StreamConfig {
        video: VideoConfig {
            width: 32,
            height: 16,
            frame_duration: Ticks90k(3000),
            sps: Bytes::from_static(&[0x67, 0x42, 0xC0, 0x0A, 0x8C]),
            pps: Bytes::from_static(&[0x68, 0xCE]),
        },
        audio: Some(AudioConfig { sample_rate: 48_000, channels: 1, asc: Bytes::from_static(&[0x11, 0x88]) }),
    });
    let unit = |track, pts, key, seed: usize| {
        let header = if track == Track::Video { [0, 0, 0, 9, 0x41].as_slice() } else { &[0x21] };
        let data: Vec<u8> =
            header.iter().copied().chain((0..8).map(|byte| (seed * 31 + byte) as u8)).collect();
        AccessUnit { track, pts: Ticks90k(pts), key, data: data.into() }
    };
    let gop = |index: usize| {
        let start = 7_000_000 + 9000 * index as i64;
        let units = (0..3)
            .flat_map(|picture| {
                let (at, seed) = (start + 3000 * picture as i64, 10 * index + picture);
                let audio =
                    unit(Track::Audio, 6_999_040 + 1920 * (3 * index + picture) as i64, true, seed + 100);
                [unit(Track::Video, at, picture == 0, seed), audio]
            })
            .collect();
        let (sequence, start, config) = (40 + index as u64, Ticks90k(start), Arc::clone(&config));
        Gop { sequence, start, wall: None, discontinuity: false, config, units, end: None }
    };
    (0..GOPS).map(gop).collect()
}

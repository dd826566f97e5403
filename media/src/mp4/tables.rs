//! The sample tables of one track of a recording (ISO/IEC 14496-12, 8.6 and 8.7), kept while it grows.
//!
//! One GOP adds one chunk a track. Every array is held in the form in which it will be written, so the memory they take is
//! that of the sealed `moov`.

use super::boxes::full_box;
use bytes::{BufMut, BytesMut};

/// Sizes, times and places of the samples of one track.
#[derive(Clone, Debug, Default)]
pub(super) struct Tables {
    sizes: Vec<u32>,
    /// `stts`: runs of equal durations, of all samples but the last.
    durations: Vec<(u32, u32)>,
    /// Media times of the first and the last sample.
    span: Option<(u64, u64)>,
    /// `stsc`: first chunk (from 1), samples a chunk.
    chunk_runs: Vec<(u32, u32)>,
    chunk_offsets: Vec<u64>,
    /// `stss`: numbers (from 1) of the sync samples.
    sync: Vec<u32>,
}

/// One sample as the tables know it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sample {
    /// In the track's time scale.
    pub(super) media_time: u64,
    pub(super) size: u32,
    pub(super) sync: bool,
}

impl Tables {
    /// Bytes that `stts` to `stss` take without any sample.
    const EMPTY: u64 = 16 + 16 + 20 + 16 + 16;

    pub(super) fn is_empty(&self) -> bool {
        self.sizes.is_empty()
    }

    /// Media time of the first sample; its `stts` time is 0.
    pub(super) fn first_time(&self) -> Option<u64> {
        self.span.map(|(first, _)| first)
    }

    pub(super) fn last_time(&self) -> Option<u64> {
        self.span.map(|(_, last)| last)
    }

    /// Appends a chunk that lies at `offset` of the file. The caller has seen that times rise, by less than 2^32.
    pub(super) fn push_chunk(&mut self, offset: u64, samples: &[Sample]) {
        samples.iter().for_each(|&sample| self.push(sample));
        let count = samples.len() as u32;
        self.chunk_offsets.push(offset);
        if self.chunk_runs.last().is_none_or(|&(_, samples)| samples != count) {
            self.chunk_runs.push((self.chunk_offsets.len() as u32, count));
        }
    }

    fn push(&mut self, sample: Sample) {
        self.span = Some(match self.span {
            None => (sample.media_time, sample.media_time),
            Some((first, last)) => {
                push_duration(&mut self.durations, (sample.media_time - last) as u32);
                (first, sample.media_time)
            }
        });
        self.sizes.push(sample.size);
        if sample.sync {
            self.sync.push(self.sizes.len() as u32);
        }
    }

    /// An upper bound for what [`Self::write`] appends, were `samples` more in one chunk, `sync` of them sync samples.
    pub(super) fn size_with(&self, samples: usize, sync: usize) -> u64 {
        let one_more = 1;
        let stts = 8 * (self.durations.len() + one_more + samples);
        let stsc = 12 * (self.chunk_runs.len() + one_more);
        let stsz = 4 * (self.sizes.len() + samples);
        let co64 = 8 * (self.chunk_offsets.len() + one_more);
        let stss = 4 * (self.sync.len() + sync);
        Self::EMPTY + (stts + stsc + stsz + co64 + stss) as u64
    }

    /// Appends `stts`, `stsc`, `stsz`, `co64` and, unless every sample is one, `stss`. The last sample lasts until `end`.
    pub(super) fn write(&self, out: &mut BytesMut, end: u64) {
        let mut durations = self.durations.clone();
        if let Some(last) = self.last_time() {
            push_duration(&mut durations, u32::try_from(end.saturating_sub(last)).unwrap_or(u32::MAX));
        }
        full_box(out, b"stts", 0, 0, |out| put_pairs(out, &durations));
        full_box(out, b"stsc", 0, 0, |out| {
            out.put_u32(self.chunk_runs.len() as u32);
            for &(first_chunk, samples) in &self.chunk_runs {
                out.put_u32(first_chunk);
                out.put_u32(samples);
                out.put_u32(1); // sample description
            }
        });
        full_box(out, b"stsz", 0, 0, |out| {
            out.put_u32(0); // sizes differ
            out.put_u32(self.sizes.len() as u32);
            self.sizes.iter().for_each(|&size| out.put_u32(size));
        });
        full_box(out, b"co64", 0, 0, |out| {
            out.put_u32(self.chunk_offsets.len() as u32);
            self.chunk_offsets.iter().for_each(|&offset| out.put_u64(offset));
        });
        if self.sync.len() < self.sizes.len() {
            full_box(out, b"stss", 0, 0, |out| {
                out.put_u32(self.sync.len() as u32);
                self.sync.iter().for_each(|&number| out.put_u32(number));
            });
        }
    }
}

/// Appends to runs of (count, duration).
fn push_duration(runs: &mut Vec<(u32, u32)>, duration: u32) {
    match runs.last_mut() {
        Some((count, same)) if *same == duration => *count += 1,
        _ => runs.push((1, duration)),
    }
}

fn put_pairs(out: &mut BytesMut, pairs: &[(u32, u32)]) {
    out.put_u32(pairs.len() as u32);
    for &(a, b) in pairs {
        out.put_u32(a);
        out.put_u32(b);
    }
}

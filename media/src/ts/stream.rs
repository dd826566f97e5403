//! A recording as one transport stream, cut into segments that are played one after the other.
//!
//! ```text
//! segment  PAT PMT | IDR with PCR | picture with PCR | AAC frames | ... | AAC frames
//! segment  PAT PMT | IDR with PCR | ...                    counters, clock and time go on from the segment before
//! ```
//!
//! Unlike the segments of [`mux`](super::mux()), which know nothing of each other, these are made in order by one [`Stream`]. Pictures may
//! be reordered: a PES packet has a DTS where it is not the PTS. The PCR follows decoding time; where access units are far
//! apart it goes on by itself (2.7.2: at least every 100 ms).
//!
//! PAT and PMT stand at the start of each segment and before each IDR: a file is not joined anywhere else.

use super::Error;
use super::packets::{Counters, Elementary, Program, Writer};
use crate::aac::AudioSpecificConfig;
use crate::access_unit::{AccessUnit, Track, VideoConfig};
use crate::time::Ticks90k;

/// The PCR goes on by itself after this long.
const PCR_INTERVAL: Ticks90k = Ticks90k::from_millis(80);
/// The clock is not carried over a longer hole than this: its packets would only fill the file.
const LONGEST_HOLE: Ticks90k = Ticks90k(10 * Ticks90k::SECOND.0);
/// AAC frames share a PES packet as long as it spans no more than this.
const SOUND_SPAN: Ticks90k = Ticks90k::from_millis(100);
/// How far a frame may be from the end of the one before and still follow it: both times were rounded.
const ROUNDING: i64 = 2;

/// A transport stream that is written access unit by access unit, in decoding order.
#[derive(Debug)]
pub struct Stream {
    video: Option<VideoConfig>,
    audio: Option<AudioSpecificConfig>,
    counters: Counters,
    /// The next access unit is the first of a segment.
    begins: bool,
    /// The last PCR that was sent.
    clock: Option<Ticks90k>,
    /// AAC frames that wait for more, and when they begin and end.
    sound: Vec<u8>,
    sound_start: Ticks90k,
    sound_end: Ticks90k,
    /// Memory for the next picture.
    picture: Vec<u8>,
}

impl Stream {
    /// A stream of a picture, a sound, or both.
    pub fn new(video: Option<VideoConfig>, audio: Option<AudioSpecificConfig>) -> Self {
        let (clock, time) = (None, Ticks90k::ZERO);
        let (sound, picture, counters) = (Vec::new(), Vec::new(), Counters::default());
        let begins = true;
        Self { video, audio, counters, begins, clock, sound, sound_start: time, sound_end: time, picture }
    }

    /// Appends an access unit that is decoded at `dts`. A track that the stream does not have is left out.
    pub fn push(&mut self, unit: &AccessUnit, dts: Ticks90k, out: &mut Vec<u8>) -> Result<(), Error> {
        if self.begins || (unit.track == Track::Video && unit.key) {
            let program = self.program();
            self.writer(out).tables(program)?;
            self.begins = false;
        }
        match unit.track {
            Track::Video => self.push_picture(unit, dts, out),
            Track::Audio => self.push_sound(unit, out),
        }
    }

    /// Ends a segment: sound that waits for more is written. The next access unit begins another one.
    pub fn finish(&mut self, out: &mut Vec<u8>) -> Result<(), Error> {
        self.begins = true;
        self.flush(out)
    }

    fn flush(&mut self, out: &mut Vec<u8>) -> Result<(), Error> {
        if self.sound.is_empty() {
            return Ok(());
        }
        let sound = Elementary::sound(self.sound_start, std::mem::take(&mut self.sound));
        let sound = if self.program().clock() == Track::Audio { sound.with_clock() } else { sound };
        self.write(&sound, out)?;
        self.sound = sound.data;
        self.sound.clear();
        Ok(())
    }

    fn push_picture(&mut self, unit: &AccessUnit, dts: Ticks90k, out: &mut Vec<u8>) -> Result<(), Error> {
        let Some(config) = &self.video else { return Ok(()) };
        let picture = Elementary::picture(unit, dts, config, std::mem::take(&mut self.picture))?;
        self.write(&picture, out)?;
        self.picture = picture.data;
        Ok(())
    }

    fn push_sound(&mut self, frame: &AccessUnit, out: &mut Vec<u8>) -> Result<(), Error> {
        let Some(config) = self.audio else { return Ok(()) };
        let follows = (frame.pts - self.sound_end).0.abs() <= ROUNDING;
        let duration = config.frame_duration();
        if !follows || frame.pts + duration - self.sound_start > SOUND_SPAN {
            self.flush(out)?;
        }
        if self.sound.is_empty() {
            self.sound_start = frame.pts;
        }
        self.sound_end = frame.pts + duration;
        Ok(config.push_adts(&frame.data, &mut self.sound)?)
    }

    /// Writes a PES packet, and before it the clock where it would else stand still.
    fn write(&mut self, pes: &Elementary, out: &mut Vec<u8>) -> Result<(), Error> {
        let track = self.program().clock();
        let last = self.clock.filter(|&last| pes.clock && pes.dts - last <= LONGEST_HOLE);
        let mut due = last.map_or(pes.dts, |last| last + PCR_INTERVAL);
        while due < pes.dts {
            self.writer(out).clock(track, due)?;
            due += PCR_INTERVAL;
        }
        if pes.clock {
            self.clock = Some(pes.dts);
        }
        self.writer(out).pes(pes)
    }

    fn program(&self) -> Program {
        Program { video: self.video.is_some(), audio: self.audio.is_some() }
    }

    fn writer<'a>(&'a mut self, out: &'a mut Vec<u8>) -> Writer<'a> {
        Writer { out, counters: &mut self.counters }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::timeline::sample::{config, gop};
    use crate::ts::{Error, demux};

    /// The sample's first GOPs with each picture decoded two pictures before it is presented, and what came of them.
    fn reordered(audio: bool, from: Ticks90k) -> (Vec<(AccessUnit, Ticks90k)>, Vec<u8>) {
        let config = config(audio);
        let asc = config.audio.as_ref().map(|audio| AudioSpecificConfig::parse(&audio.asc).unwrap());
        let mut stream = Stream::new(Some(config.video.clone()), asc);
        let (mut units, mut out) = (Vec::new(), Vec::new());
        for sequence in 0..3 {
            for unit in gop(&config, sequence, 3000).units {
                let dts = if unit.track == Track::Video { unit.pts - Ticks90k(6000) } else { unit.pts };
                units.push((AccessUnit { pts: unit.pts + from, ..unit }, dts + from));
            }
        }
        units.sort_by_key(|(_, dts)| *dts);
        for (unit, dts) in &units {
            stream.push(unit, *dts, &mut out).unwrap();
        }
        stream.finish(&mut out).unwrap();
        (units, out)
    }

    #[test]
    fn decoding_times_are_kept_also_where_the_clock_comes_round() -> Result<(), Error> {
        for from in [Ticks90k::SECOND, Ticks90k((1 << 33) - 120_000)] {
            let (units, out) = reordered(true, from);
            let mut read = Vec::new();
            for pes in demux(&out)? {
                let shown = (pes.pts as i64 - pes.dts as i64).rem_euclid(1 << 33);
                let units = pes.access_units(from)?;
                read.extend(units.into_iter().map(|unit| (unit.clone(), unit.pts - Ticks90k(shown))));
            }
            for track in [Track::Video, Track::Audio] {
                let of = |units: &[(AccessUnit, Ticks90k)]| {
                    units.iter().filter(|(unit, _)| unit.track == track).cloned().collect::<Vec<_>>()
                };
                assert_eq!(of(&read), of(&units), "{track:?}");
            }
        }
        Ok(())
    }

    #[test]
    fn counters_go_on_from_segment_to_segment() {
        let (_, out) = reordered(true, Ticks90k::SECOND);
        let mut last = std::collections::HashMap::new();
        for packet in out.as_chunks::<188>().0.iter().filter(|packet| packet[3] & 0x10 != 0) {
            let pid = [packet[1] & 0x1F, packet[2]];
            let before = last.insert(pid, packet[3] & 0x0F);
            assert!(before.is_none_or(|before| (before + 1) & 0x0F == packet[3] & 0x0F), "{pid:?}");
        }
        assert_eq!(last.len(), 4);
    }

    #[test]
    fn sound_alone_carries_the_clock_and_a_long_hole_is_not_filled() -> Result<(), Error> {
        let asc = AudioSpecificConfig::lc(48_000, 2)?;
        let mut stream = Stream::new(None, Some(asc));
        let frame = |pts| AccessUnit { track: Track::Audio, pts, key: true, data: vec![7; 100].into() };
        let mut out = Vec::new();
        for second in [0, 1, 100_000] {
            let at = Ticks90k(second * Ticks90k::SECOND.0);
            stream.push(&frame(at), at, &mut out)?;
        }
        stream.finish(&mut out)?;
        let clocks =
            out.as_chunks::<188>().0.iter().filter(|packet| packet[3] & 0x20 != 0 && packet[5] & 0x10 != 0);
        assert_eq!(clocks.count(), 3 + 12, "a packet every 80 ms of the one second");
        assert_eq!(demux(&out)?.len(), 3);
        Ok(())
    }
}

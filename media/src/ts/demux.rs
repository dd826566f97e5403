//! Reads a transport stream back: of one program, its H.264 and its AAC.
//!
//! A reader may join anywhere and packets may be missing. What is not known to be whole is not given out: a PES packet counts only
//! from its start to the start of the next one, or to its length, without a jump of the continuity counter (2.4.3.3).
//!
//! ```text
//! no PAT ── PAT ──> no PMT ── PMT ──> idle ── start ──> collecting ── end ──> idle (a PES packet comes out)
//!                                      ^                   └── lost packet ──> idle (it is dropped and counted)
//! ```
//!
//! The reader of the `mpeg2ts` crate gives damaged packets out as good ones, and stumbles over a stream that it joins.

use super::{Error, PACKET, PAT_PID, SYNC_BYTE, WRAP};
use crate::aac;
use crate::access_unit::{AAC_FRAME_SAMPLES, AccessUnit, Track};
use crate::h264::annex_b_to_avcc;
use crate::time::Ticks90k;
use bytes::Bytes;

/// The most that a PES packet may hold: an IDR of a large camera, with room to spare.
const MAX_PES: usize = 4 << 20;
const STREAM_TYPE_H264: u8 = 0x1B;
const STREAM_TYPE_ADTS: u8 = 0x0F;

/// One PES packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pes {
    /// What it belongs to.
    pub track: Track,
    /// Its PTS: 33 bits.
    pub pts: u64,
    /// Its DTS; where it has none, its PTS.
    pub dts: u64,
    /// `random_access_indicator` of its first packet.
    pub random_access: bool,
    /// Video: one picture in Annex B framing. Audio: frames with ADTS headers.
    pub data: Vec<u8>,
}

impl Pes {
    /// The access units in it. `near` tells which round of the 33-bit clock is meant: the nearest.
    pub fn access_units(&self, near: Ticks90k) -> Result<Vec<AccessUnit>, Error> {
        let ahead = (self.pts as i64 - near.0).rem_euclid(WRAP);
        let pts = near + Ticks90k(if ahead >= WRAP / 2 { ahead - WRAP } else { ahead });
        if self.track == Track::Video {
            let mut data = Vec::with_capacity(self.data.len());
            annex_b_to_avcc(&self.data, &mut data)?;
            return Ok(vec![AccessUnit {
                track: Track::Video,
                pts,
                key: self.random_access,
                data: data.into(),
            }]);
        }
        let frames = aac::adts(&self.data).enumerate().map(|(index, frame)| {
            let frame = frame?;
            let samples = i64::from(AAC_FRAME_SAMPLES) * index as i64;
            let pts = pts + Ticks90k::from_scale(samples, frame.config.sample_rate);
            Ok(AccessUnit { track: Track::Audio, pts, key: true, data: Bytes::copy_from_slice(frame.data) })
        });
        frames.collect()
    }
}

/// A PES packet of which more may come.
#[derive(Debug)]
struct Partial {
    pes: Pes,
    /// How long it will be, if its header says.
    length: Option<usize>,
}

/// One elementary stream of the program.
#[derive(Debug)]
struct Stream {
    pid: u16,
    track: Track,
    counter: Option<u8>,
    partial: Option<Partial>,
}

/// Takes packets, gives PES packets. It holds at most one of each track.
#[derive(Debug, Default)]
pub struct Demuxer {
    packets: u64,
    pmt_pid: Option<u16>,
    streams: Vec<Stream>,
    lost: u64,
}

impl Demuxer {
    /// PES packets that were dropped because a part of them was missing.
    pub fn lost(&self) -> u64 {
        self.lost
    }

    /// The next packet. An error says that it was no packet of a transport stream; the next one may be.
    pub fn push(&mut self, packet: &[u8; PACKET]) -> Result<Option<Pes>, Error> {
        let number = self.packets;
        self.packets += 1;
        let malformed = |what| Error::Malformed { packet: number, what };
        let [sync, flags, pid_low, control, ..] = *packet;
        if sync != SYNC_BYTE {
            return Err(malformed("no sync byte"));
        }
        if flags & 0x80 != 0 || control & 0xC0 != 0 {
            return Ok(None); // damaged, or scrambled
        }
        let (field, payload) =
            split(packet).ok_or(malformed("the adaptation field is longer than the packet"))?;
        let Some(payload) = payload else { return Ok(None) };
        let start = flags & 0x40 != 0;
        let pid = u16::from(flags & 0x1F) << 8 | u16::from(pid_low);
        if pid == PAT_PID || Some(pid) == self.pmt_pid {
            let section = if start { section(payload) } else { None };
            match section {
                Some(section) if pid == PAT_PID => self.pat(section),
                Some(section) => self.pmt(section),
                None => {}
            }
            return Ok(None);
        }
        let Some(stream) = self.streams.iter_mut().find(|stream| stream.pid == pid) else { return Ok(None) };
        let random_access = field.first().is_some_and(|flags| flags & 0x40 != 0);
        let jumped = field.first().is_some_and(|flags| flags & 0x80 != 0);
        let taken = stream.take(payload, start, control & 0x0F, random_access, jumped);
        self.lost += taken.lost;
        taken.pes.map_err(malformed)
    }

    /// What the end of the stream completes.
    pub fn finish(&mut self) -> Vec<Pes> {
        let ends: Vec<_> = self.streams.iter_mut().map(Stream::end).collect();
        self.lost += ends.iter().filter(|(_, cut)| *cut).count() as u64;
        ends.into_iter().filter_map(|(pes, _)| pes).collect()
    }

    fn pat(&mut self, section: &[u8]) {
        let programs = section.get(8..).unwrap_or_default().chunks_exact(4);
        let program =
            programs.filter_map(|entry| entry.first_chunk::<4>()).find(|entry| entry[..2] != [0, 0]);
        self.pmt_pid = program.map(|&[_, _, high, low]| u16::from(high & 0x1F) << 8 | u16::from(low));
    }

    fn pmt(&mut self, section: &[u8]) {
        let Some((&[_, _, _, _, _, _, _, _, _, _, high, low], mut rest)) = section.split_first_chunk::<12>()
        else {
            return;
        };
        rest = rest.get(usize::from(high & 0x0F) << 8 | usize::from(low)..).unwrap_or_default();
        let mut streams = Vec::new();
        while let Some((&[kind, pid_high, pid_low, info_high, info_low], after)) =
            rest.split_first_chunk::<5>()
        {
            rest =
                after.get(usize::from(info_high & 0x0F) << 8 | usize::from(info_low)..).unwrap_or_default();
            let track = match kind {
                STREAM_TYPE_H264 => Track::Video,
                STREAM_TYPE_ADTS => Track::Audio,
                _ => continue,
            };
            if streams.iter().all(|&(known, _)| known != track) {
                streams.push((track, u16::from(pid_high & 0x1F) << 8 | u16::from(pid_low)));
            }
        }
        let known: Vec<_> = self.streams.iter().map(|stream| (stream.track, stream.pid)).collect();
        if known != streams {
            self.streams = streams
                .into_iter()
                .map(|(track, pid)| Stream { pid, track, counter: None, partial: None })
                .collect();
        }
    }
}

/// What a packet brought.
struct Taken {
    pes: Result<Option<Pes>, &'static str>,
    lost: u64,
}

impl Stream {
    fn take(&mut self, payload: &[u8], start: bool, counter: u8, random_access: bool, jumped: bool) -> Taken {
        let last = self.counter.replace(counter);
        if last == Some(counter) && !jumped {
            return Taken { pes: Ok(None), lost: 0 }; // sent twice, as 2.4.3.3 allows
        }
        let continuous = last.is_some_and(|last| (last + 1) & 0x0F == counter);
        let mut lost = 0;
        if !continuous {
            lost += u64::from(self.partial.take().is_some());
        }
        if !start {
            return match self.append(payload) {
                Ok(pes) => Taken { pes: Ok(pes), lost },
                Err(what) => Taken { pes: Err(what), lost: lost + 1 },
            };
        }
        let (ended, cut) = self.end();
        lost += u64::from(cut);
        let pes = header(self.track, payload, random_access).map(|partial| {
            self.partial = Some(partial);
            ended
        });
        Taken { pes, lost }
    }

    fn append(&mut self, payload: &[u8]) -> Result<Option<Pes>, &'static str> {
        let Some(mut partial) = self.partial.take() else { return Ok(None) };
        partial.pes.data.extend_from_slice(payload);
        let length = partial.pes.data.len();
        match partial.length {
            Some(whole) if length > whole => Err("a PES packet goes on behind its length"),
            Some(whole) if length == whole => Ok(Some(partial.pes)),
            None if length > MAX_PES => Err("a PES packet without end"),
            _ => {
                self.partial = Some(partial);
                Ok(None)
            }
        }
    }

    /// The PES packet that ends here, if it is whole; and whether one was cut short.
    fn end(&mut self) -> (Option<Pes>, bool) {
        match self.partial.take() {
            Some(Partial { pes, length }) if length.is_none_or(|length| pes.data.len() == length) => {
                (Some(pes), false)
            }
            Some(_) => (None, true),
            None => (None, false),
        }
    }
}

/// The adaptation field from its flags on, and the payload, if there is one. `None` if the field does not fit.
fn split(packet: &[u8; PACKET]) -> Option<(&[u8], Option<&[u8]>)> {
    let body = &packet[4..];
    let (field, payload) = match packet[3] >> 4 & 3 {
        0 | 1 => (&body[..0], body),
        _ => body.split_first().and_then(|(&length, rest)| rest.split_at_checked(usize::from(length)))?,
    };
    let has_payload = packet[3] & 0x10 != 0 && !payload.is_empty();
    Some((field, has_payload.then_some(payload)))
}

/// A section of PSI that one packet holds whole, without its CRC, if that is right.
fn section(payload: &[u8]) -> Option<&[u8]> {
    let (&pointer, rest) = payload.split_first()?;
    let rest = rest.get(usize::from(pointer)..)?;
    let &[_, high, low] = rest.first_chunk::<3>()?;
    let section = rest.get(..3 + (usize::from(high & 0x0F) << 8 | usize::from(low)))?;
    let whole = crc32(section) == 0;
    section.split_last_chunk::<4>().map(|(section, _)| section).filter(|_| whole)
}

/// CRC of annex A: over a section with its CRC it is 0.
fn crc32(bytes: &[u8]) -> u32 {
    bytes.iter().fold(!0, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte) << 24, |crc: u32, _| {
            if crc & 1 << 31 != 0 { crc << 1 ^ 0x04C1_1DB7 } else { crc << 1 }
        })
    })
}

/// The header of a PES packet (2.4.3.6), as far as a first packet must hold it.
fn header(track: Track, payload: &[u8], random_access: bool) -> Result<Partial, &'static str> {
    let Some((&[0, 0, 1, _, length_high, length_low, _, flags, header_length], rest)) =
        payload.split_first_chunk::<9>()
    else {
        return Err("no PES header where one must start");
    };
    let Some((fields, data)) = rest.split_at_checked(usize::from(header_length)) else {
        return Err("a PES header longer than its packet");
    };
    let pts = fields.first_chunk().filter(|_| flags & 0x80 != 0).ok_or("a PES packet without PTS")?;
    let dts = fields.get(5..).and_then(<[u8]>::first_chunk).filter(|_| flags & 0x40 != 0).unwrap_or(pts);
    let (pts, dts) = (timestamp(pts), timestamp(dts));
    let length = match usize::from(length_high) << 8 | usize::from(length_low) {
        0 => None,
        counted => Some(
            counted
                .checked_sub(3 + usize::from(header_length))
                .ok_or("a PES packet shorter than its header")?,
        ),
    };
    if length.is_some_and(|length| data.len() > length) {
        return Err("a PES packet goes on behind its length");
    }
    Ok(Partial { pes: Pes { track, pts, dts, random_access, data: data.to_vec() }, length })
}

/// A PTS or DTS of a PES header: 3, 15 and 15 bits, each behind or before a marker bit.
fn timestamp(&[first, second, third, fourth, fifth]: &[u8; 5]) -> u64 {
    let high = u64::from(first >> 1 & 7) << 30;
    let middle = (u64::from(second) << 8 | u64::from(third)) >> 1 << 15;
    let low = (u64::from(fourth) << 8 | u64::from(fifth)) >> 1;
    high | middle | low
}

/// All PES packets of a stream that must be whole: the first fault, a lost packet or a cut at the end is an error.
pub fn demux(stream: &[u8]) -> Result<Vec<Pes>, Error> {
    let mut demuxer = Demuxer::default();
    let mut all = Vec::new();
    let (packets, rest) = stream.as_chunks::<PACKET>();
    for packet in packets {
        all.extend(demuxer.push(packet)?);
    }
    all.extend(demuxer.finish());
    let packet = demuxer.packets;
    match (rest, demuxer.lost) {
        ([], 0) => Ok(all),
        ([], _) => Err(Error::Malformed { packet, what: "packets are missing before it" }),
        _ => Err(Error::Malformed { packet, what: "the last packet is cut off" }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::timeline::sample::{config, gop};
    use crate::ts::mux;

    fn segment(sequence: u64) -> Vec<u8> {
        let mut out = Vec::new();
        mux(&gop(&config(true), sequence, 3000), &mut out).unwrap();
        out
    }

    fn read(stream: &[u8]) -> (Vec<Pes>, u64) {
        let mut demuxer = Demuxer::default();
        let mut all: Vec<_> =
            stream.as_chunks().0.iter().filter_map(|packet| demuxer.push(packet).unwrap()).collect();
        all.extend(demuxer.finish());
        (all, demuxer.lost())
    }

    #[test]
    fn a_reader_that_joins_late_gets_whole_packets_from_the_next_tables_on() {
        let stream = segment(7);
        let whole = demux(&stream).unwrap();
        let (late, lost) = read(&stream[40 * PACKET..]);
        assert!(!late.is_empty() && late.len() < whole.len());
        assert!(late.iter().all(|pes| whole.contains(pes)));
        assert_eq!(lost, 0);
    }

    #[test]
    fn a_lost_packet_costs_its_pes_packet_and_no_other() {
        let stream = segment(7);
        let whole = demux(&stream).unwrap();
        for missing in 4..60 {
            let cut = [&stream[..missing * PACKET], &stream[(missing + 1) * PACKET..]].concat();
            let (read, lost) = read(&cut);
            assert!(read.iter().all(|pes| whole.contains(pes)), "packet {missing}");
            assert!(whole.len() - read.len() <= 1 && lost <= 1, "packet {missing}");
        }
    }

    #[test]
    fn a_packet_sent_twice_counts_once() {
        let stream = segment(7);
        let twice = [&stream[..12 * PACKET], &stream[11 * PACKET..]].concat();
        assert_eq!(read(&twice), read(&stream));
    }

    #[test]
    fn damage_never_gives_more_than_there_was_and_never_panics() {
        let stream = &segment(7)[..40 * PACKET];
        for bit in (0..24 * PACKET * 8).step_by(7) {
            let mut damaged = stream.to_vec();
            damaged[bit / 8] ^= 0x80 >> (bit % 8);
            let mut demuxer = Demuxer::default();
            let read: usize = damaged
                .as_chunks()
                .0
                .iter()
                .filter_map(|packet| demuxer.push(packet).ok().flatten())
                .map(|pes| {
                    let _ = pes.access_units(Ticks90k::ZERO);
                    pes.data.len()
                })
                .sum();
            assert!(read <= stream.len());
        }
        assert!(matches!(demux(&[0; PACKET]), Err(Error::Malformed { packet: 0, what: "no sync byte" })));
        assert!(matches!(demux(&stream[..stream.len() - 1]), Err(Error::Malformed { .. })));
    }

    #[test]
    fn a_pes_packet_without_end_is_bounded() {
        let mut stream = segment(7);
        // Length 0 in the header of the IDR, then continuations without a start for ever.
        let start = stream.windows(4).position(|bytes| bytes == [0, 0, 1, 0xE0]).unwrap();
        stream[start + 4..start + 6].fill(0);
        let idr = start / PACKET;
        let mut demuxer = Demuxer::default();
        for packet in stream[..(idr + 1) * PACKET].as_chunks().0 {
            demuxer.push(packet).unwrap();
        }
        let mut packet = *stream[(idr + 1) * PACKET..].first_chunk::<PACKET>().unwrap();
        let refused = (0..MAX_PES).find_map(|index| {
            packet[3] = 0x10 | ((index + 1) & 0x0F) as u8;
            demuxer.push(&packet).err()
        });
        assert!(matches!(refused, Some(Error::Malformed { what: "a PES packet without end", .. })));
    }
}

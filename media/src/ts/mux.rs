//! A GOP as one MPEG-TS segment.
//!
//! What is sent when, on the clock of the PCR, which runs [`DELAY`] behind the presentation time:
//!
//! ```text
//! PAT PMT | IDR with PCR | picture with PCR | AAC frames | picture with PCR | PAT PMT | picture ...
//! ```
//!
//! | what | how often | ISO/IEC 13818-1 |
//! |---|---|---|
//! | PCR | with each picture, at most 40 ms apart (the limit is 100 ms) | 2.7.2 |
//! | PAT, PMT | 16 times (or 32, ...), at most 90 ms apart | 2.4.4 |
//! | AUD | before each picture | 2.14.1 |
//! | parameter sets | before each IDR | |
//! | PTS | in each PES packet; no DTS, as nothing is reordered | 2.4.3.7 |

use super::{AUDIO_PID, Error, PACKET, PAT_PID, PMT_PID, PROGRAM, VIDEO_PID, WRAP};
use crate::aac::AudioSpecificConfig;
use crate::access_unit::{AccessUnit, Gop, Track, VideoConfig};
use crate::h264::{avcc_to_annex_b, nal::push_annex_b};
use crate::time::Ticks90k;
use mpeg2ts::es::{StreamId, StreamType};
use mpeg2ts::pes::PesHeader;
use mpeg2ts::time::{ClockReference, Timestamp};
use mpeg2ts::ts::payload::{Bytes, Pat, Pes, Pmt};
use mpeg2ts::ts::{
    AdaptationField, ContinuityCounter, EsInfo, Pid, ProgramAssociation, TransportScramblingControl,
    TsHeader, TsPacket, TsPacketWriter, TsPayload, VersionNumber, WriteTsPacket,
};

/// How long before its presentation an access unit arrives: enough that sound which was encoded late is still in time.
const DELAY: Ticks90k = Ticks90k::from_millis(400);
const PCR_INTERVAL: Ticks90k = Ticks90k::from_millis(40);
const PSI_INTERVAL: Ticks90k = Ticks90k::from_millis(90);
/// Continuity counters come round after this many packets.
const COUNTER_CYCLE: usize = 16;
/// AAC frames that share a PES packet: under 100 ms at 48 kHz.
const FRAMES_PER_PES: usize = 4;
/// Access unit delimiter: any slice type may follow (ISO/IEC 14496-10, 7.4.2.4).
const ACCESS_UNIT_DELIMITER: &[u8] = &[0x09, 0xF0];
/// Bytes behind the 4 of the packet header.
const ROOM: usize = PACKET - 4;
/// Where a packet has the reserved bits of its PCR: behind header, length and flags, and 33 bits of base.
const PCR_RESERVED_AT: usize = 4 + 2 + 4;
/// PES header with a PTS, and how much of it `PES_packet_length` counts.
const PES_HEADER: usize = 14;
const PES_HEADER_COUNTED: usize = 8;

/// Appends the segment of a whole GOP to `out`: a multiple of 188 bytes.
///
/// So little sound that it cannot fill 16 packets with at least a byte each (one empty AAC frame) is left out.
pub fn mux(gop: &Gop, out: &mut Vec<u8>) -> Result<(), Error> {
    let mut video = pictures(gop)?;
    let mut audio = sound(gop)?;
    if gop.track(Track::Video).next().is_none() || !fill_cycle(&mut video) {
        return Err(Error::NoPicture(gop.sequence));
    }
    if !fill_cycle(&mut audio) {
        audio.clear();
    }
    let mut events = schedule(gop, &video);
    events.extend(video.into_iter().chain(audio).map(|pes| (pes.pts, Event::Pes(pes))));
    // The IDR comes first, whatever sound belongs before it: a player starts with it, and it carries the first PCR.
    events.sort_by_key(|(time, event)| ((*time).max(gop.start), event.rank()));
    let mut writer = Writer { out, counters: Counters::default() };
    for (time, event) in &events {
        match event {
            Event::Tables => writer.tables(gop.config.audio.is_some())?,
            Event::Clock => writer.clock(*time)?,
            Event::Pes(pes) => writer.pes(pes)?,
        }
    }
    Ok(())
}

/// What is written at a time.
enum Event {
    /// PAT and PMT.
    Tables,
    /// A packet with nothing but a PCR.
    Clock,
    Pes(Elementary),
}

impl Event {
    /// The order of events of the same time.
    fn rank(&self) -> u8 {
        match self {
            Self::Tables => 0,
            Self::Pes(pes) if pes.track == Track::Video => 1,
            Self::Clock => 2,
            Self::Pes(_) => 3,
        }
    }
}

/// A PES packet to be.
struct Elementary {
    track: Track,
    pts: Ticks90k,
    key: bool,
    data: Vec<u8>,
    /// How many transport packets it is spread over.
    packets: usize,
}

impl Elementary {
    fn new(track: Track, pts: Ticks90k, key: bool, data: Vec<u8>) -> Self {
        let rest = data.len().saturating_sub(Self::first_room(track));
        Self { track, pts, key, data, packets: 1 + rest.div_ceil(ROOM) }
    }

    /// Bytes of the access unit that the first packet has room for, behind PES header and adaptation field.
    fn first_room(track: Track) -> usize {
        let adaptation_field = if track == Track::Video { 2 + 6 } else { 0 };
        ROOM - PES_HEADER - adaptation_field
    }

    /// The most packets it can be spread over: each but the first must carry a byte.
    fn most_packets(&self) -> usize {
        1 + self.data.len()
    }

    /// How many bytes go into each packet.
    fn pieces(&self) -> impl Iterator<Item = &[u8]> {
        let mut rest = &self.data[..];
        (0..self.packets).map(move |index| {
            let room = if index == 0 { Self::first_room(self.track) } else { ROOM };
            let kept = self.packets - 1 - index;
            let (piece, after) = rest.split_at(room.min(rest.len().saturating_sub(kept)));
            rest = after;
            piece
        })
    }
}

fn pictures(gop: &Gop) -> Result<Vec<Elementary>, Error> {
    gop.track(Track::Video).map(|unit| picture(unit, &gop.config.video)).collect()
}

fn picture(unit: &AccessUnit, config: &VideoConfig) -> Result<Elementary, Error> {
    let mut data = Vec::with_capacity(unit.data.len() + 64);
    push_annex_b(ACCESS_UNIT_DELIMITER, &mut data);
    if unit.key {
        push_annex_b(&config.sps, &mut data);
        push_annex_b(&config.pps, &mut data);
    }
    avcc_to_annex_b(&unit.data, &mut data)?;
    Ok(Elementary::new(Track::Video, unit.pts, unit.key, data))
}

/// AAC frames behind ADTS headers, several to a PES packet as long as they follow each other without a hole.
fn sound(gop: &Gop) -> Result<Vec<Elementary>, Error> {
    let Some(audio) = &gop.config.audio else { return Ok(Vec::new()) };
    let config = AudioSpecificConfig::parse(&audio.asc)?;
    let frames: Vec<_> = gop.track(Track::Audio).collect();
    let follows = |a: &&AccessUnit, b: &&AccessUnit| b.pts == a.pts + audio.frame_duration();
    let mut sound = Vec::new();
    for frames in frames.chunk_by(follows).flat_map(|run| run.chunks(FRAMES_PER_PES)) {
        let Some(first) = frames.first() else { continue };
        let mut data = Vec::new();
        for frame in frames {
            data.extend_from_slice(&config.adts_header(frame.data.len())?);
            data.extend_from_slice(&frame.data);
        }
        sound.push(Elementary::new(Track::Audio, first.pts, true, data));
    }
    Ok(sound)
}

/// Spreads the packets of a PID so that their number is a multiple of 16; false if there are too few bytes for that.
fn fill_cycle(elementary: &mut [Elementary]) -> bool {
    let packets: usize = elementary.iter().map(|pes| pes.packets).sum();
    let mut missing = packets.next_multiple_of(COUNTER_CYCLE) - packets;
    for pes in elementary {
        let more = missing.min(pes.most_packets() - pes.packets);
        pes.packets += more;
        missing -= more;
    }
    missing == 0
}

/// When tables and clocks without a picture are due.
fn schedule(gop: &Gop, video: &[Elementary]) -> Vec<(Ticks90k, Event)> {
    let end = gop.video_end();
    let duration = (end - gop.start).0.max(1);
    let cycles = (duration as usize).div_ceil(COUNTER_CYCLE * PSI_INTERVAL.0 as usize);
    let tables = (cycles * COUNTER_CYCLE) as i64;
    let mut events: Vec<_> =
        (0..tables).map(|index| (gop.start + Ticks90k(duration * index / tables), Event::Tables)).collect();
    let next = video.iter().skip(1).map(|pes| pes.pts).chain([end]);
    for (pes, next) in video.iter().zip(next) {
        let gap = (next - pes.pts).0;
        let steps = (gap + PCR_INTERVAL.0 - 1) / PCR_INTERVAL.0;
        events.extend((1..steps).map(|step| (pes.pts + Ticks90k(gap * step / steps), Event::Clock)));
    }
    events
}

/// Writes packets and counts them by PID.
struct Writer<'a> {
    out: &'a mut Vec<u8>,
    counters: Counters,
}

#[derive(Default)]
struct Counters {
    pat: ContinuityCounter,
    pmt: ContinuityCounter,
    video: ContinuityCounter,
    audio: ContinuityCounter,
}

impl Counters {
    fn of(&mut self, pid: u16) -> &mut ContinuityCounter {
        match pid {
            PAT_PID => &mut self.pat,
            PMT_PID => &mut self.pmt,
            VIDEO_PID => &mut self.video,
            _ => &mut self.audio,
        }
    }
}

impl Writer<'_> {
    fn packet(
        &mut self,
        pid: u16,
        field: Option<AdaptationField>,
        payload: Option<TsPayload>,
    ) -> Result<(), Error> {
        let counter = self.counters.of(pid);
        let counts = payload.is_some();
        let header = TsHeader {
            transport_error_indicator: false,
            transport_priority: false,
            pid: Pid::new(pid)?,
            transport_scrambling_control: TransportScramblingControl::NotScrambled,
            // A packet without payload repeats the last number (2.4.3.3).
            continuity_counter: if counts { *counter } else { before(*counter)? },
        };
        if counts {
            counter.increment();
        }
        let clock = self.out.len() + PCR_RESERVED_AT;
        let has_clock = field.is_some();
        let packet = TsPacket { header, adaptation_field: field, payload };
        TsPacketWriter::new(&mut *self.out).write_ts_packet(&packet)?;
        // Reserved bits are ones (2.1); the packet writer leaves those between base and extension of a PCR at zero.
        if let Some(reserved) = self.out.get_mut(clock).filter(|_| has_clock) {
            *reserved |= 0x7E;
        }
        Ok(())
    }

    fn tables(&mut self, audio: bool) -> Result<(), Error> {
        let table = vec![ProgramAssociation { program_num: PROGRAM, program_map_pid: Pid::new(PMT_PID)? }];
        let pat = Pat { transport_stream_id: 1, version_number: VersionNumber::new(), table };
        self.packet(PAT_PID, None, Some(TsPayload::Pat(pat)))?;
        let stream = |stream_type, pid| {
            Pid::new(pid).map(|elementary_pid| EsInfo {
                stream_type,
                elementary_pid,
                descriptors: Vec::new(),
            })
        };
        let mut es_info = vec![stream(StreamType::H264, VIDEO_PID)?];
        if audio {
            es_info.push(stream(StreamType::AdtsAac, AUDIO_PID)?);
        }
        let pmt = Pmt {
            program_num: PROGRAM,
            pcr_pid: Some(Pid::new(VIDEO_PID)?),
            version_number: VersionNumber::new(),
            program_info: Vec::new(),
            es_info,
        };
        self.packet(PMT_PID, None, Some(TsPayload::Pmt(pmt)))
    }

    fn clock(&mut self, time: Ticks90k) -> Result<(), Error> {
        self.packet(VIDEO_PID, Some(adaptation_field(pcr(time)?, false)), None)
    }

    fn pes(&mut self, pes: &Elementary) -> Result<(), Error> {
        let (pid, stream_id) = match pes.track {
            Track::Video => (VIDEO_PID, StreamId::new(StreamId::VIDEO_MIN)),
            Track::Audio => (AUDIO_PID, StreamId::new(StreamId::AUDIO_MIN)),
        };
        // 0 where the length does not fit, which only video may say and only video needs (2.4.3.7).
        let pes_packet_len = u16::try_from(pes.data.len() + PES_HEADER_COUNTED).unwrap_or(0);
        let header = PesHeader {
            stream_id,
            priority: false,
            data_alignment_indicator: true,
            copyright: false,
            original_or_copy: false,
            pts: Some(Timestamp::new(wrapped(pes.pts))?),
            dts: None,
            escr: None,
        };
        let mut start = Some(header);
        for piece in pes.pieces() {
            let data = Bytes::new(piece)?;
            match start.take() {
                Some(header) => {
                    let clock = (pes.track == Track::Video).then(|| pcr(pes.pts)).transpose()?;
                    let field = clock.map(|clock| adaptation_field(clock, pes.key));
                    self.packet(pid, field, Some(TsPayload::PesStart(Pes { header, pes_packet_len, data })))?;
                }
                None => self.packet(pid, None, Some(TsPayload::PesContinuation(data)))?,
            }
        }
        Ok(())
    }
}

fn before(counter: ContinuityCounter) -> Result<ContinuityCounter, mpeg2ts::Error> {
    ContinuityCounter::from_u8(counter.as_u8().wrapping_sub(1) & ContinuityCounter::MAX)
}

fn adaptation_field(pcr: ClockReference, random_access: bool) -> AdaptationField {
    AdaptationField {
        discontinuity_indicator: false,
        random_access_indicator: random_access,
        es_priority_indicator: false,
        pcr: Some(pcr),
        opcr: None,
        splice_countdown: None,
        transport_private_data: Vec::new(),
        extension: None,
    }
}

fn wrapped(time: Ticks90k) -> u64 {
    time.0.rem_euclid(WRAP) as u64
}

/// The clock at which what belongs to `time` is sent; its extension in 27 MHz is always 0.
fn pcr(time: Ticks90k) -> Result<ClockReference, mpeg2ts::Error> {
    ClockReference::new(wrapped(time - DELAY) * 300)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::timeline::sample::{config, gop};
    use crate::ts::demux;

    fn segment(gop: &Gop) -> Vec<u8> {
        let mut out = Vec::new();
        mux(gop, &mut out).unwrap();
        out
    }

    /// Both tracks apart, as their order in the stream is that of time.
    fn units(units: impl IntoIterator<Item = AccessUnit>) -> [Vec<AccessUnit>; 2] {
        let (video, audio) = units.into_iter().partition(|unit| unit.track == Track::Video);
        [video, audio]
    }

    fn read_back(stream: &[u8], near: Ticks90k) -> [Vec<AccessUnit>; 2] {
        units(demux(stream).unwrap().iter().flat_map(|pes| pes.access_units(near).unwrap()))
    }

    fn packets_by_pid(stream: &[u8]) -> [usize; 4] {
        [PAT_PID, PMT_PID, VIDEO_PID, AUDIO_PID].map(|pid| {
            let on_pid = |packet: &&[u8; PACKET]| u16::from_be_bytes([packet[1] & 0x1F, packet[2]]) == pid;
            stream.as_chunks().0.iter().filter(on_pid).filter(|packet| packet[3] & 0x10 != 0).count()
        })
    }

    #[test]
    fn the_access_units_are_the_same_byte_for_byte_also_where_the_clock_comes_round() {
        for sequence in [0, 7, 95_443, 190_887] {
            let gop = gop(&config(true), sequence, 3000);
            assert_eq!(read_back(&segment(&gop), gop.start), units(gop.units.clone()), "second {sequence}");
        }
    }

    #[test]
    fn every_pid_has_a_multiple_of_16_packets() {
        for interval in [1500, 3000, 3600, 9000, 45_000] {
            let packets = packets_by_pid(&segment(&gop(&config(true), 7, interval)));
            assert!(packets.iter().all(|packets| packets % 16 == 0 && *packets > 0), "{packets:?}");
        }
    }

    #[test]
    fn pictures_of_a_few_bytes_are_spread_without_stuffing_the_stream() {
        let mut tiny = gop(&config(false), 7, 3000);
        for unit in &mut tiny.units {
            unit.data = bytes::Bytes::from_static(&[0, 0, 0, 2, 0x41, 0x9A]);
        }
        let stream = segment(&tiny);
        assert_eq!(read_back(&stream, tiny.start), units(tiny.units.clone()));
        assert_eq!(packets_by_pid(&stream), [16, 16, 32, 0]);
    }

    #[test]
    fn sound_too_short_to_fill_a_cycle_is_left_out() {
        let mut quiet = gop(&config(true), 7, 3000);
        let first = quiet.track(Track::Audio).next().unwrap().pts;
        quiet.units.retain(|unit| unit.track == Track::Video || unit.pts == first);
        for (length, packets) in [(7, 0), (8, 16), (200, 16), (3000, 32)] {
            for unit in quiet.units.iter_mut().filter(|unit| unit.track == Track::Audio) {
                unit.data = bytes::Bytes::from(vec![1; length]);
            }
            assert_eq!(packets_by_pid(&segment(&quiet))[3], packets, "a frame of {length} bytes");
        }
    }

    #[test]
    fn a_gop_that_cannot_be_sent_says_why() {
        let good = gop(&config(true), 7, 3000);
        let soundless = Gop {
            units: good.units.iter().filter(|u| u.track == Track::Audio).cloned().collect(),
            ..good.clone()
        };
        assert!(matches!(mux(&soundless, &mut Vec::new()), Err(Error::NoPicture(7))));
        let mut broken = good;
        broken.units[0].data = bytes::Bytes::from_static(&[0, 0, 9, 9, 1]);
        assert!(matches!(mux(&broken, &mut Vec::new()), Err(Error::H264(_))));
    }
}

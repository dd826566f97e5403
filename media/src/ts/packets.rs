//! Packets of a transport stream: PES packets split over them, tables, clocks, and a continuity counter for each PID.
//!
//! ```text
//! 47 | start PID | counter | adaptation field: PCR, random access | 00 00 01 | stream_id | length | flags | PTS (DTS) | data
//! 47 |       PID | counter | data ...                                         the 184 bytes behind the header, or stuffing
//! ```

use super::{AUDIO_PID, Error, PACKET, PAT_PID, PMT_PID, PROGRAM, SYNC_BYTE, VIDEO_PID, WRAP};
use crate::access_unit::{AccessUnit, Track, VideoConfig};
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

/// How long before it is decoded an access unit arrives: enough that sound which was encoded late is still in time.
const DELAY: Ticks90k = Ticks90k::from_millis(400);
/// Access unit delimiter: any slice type may follow (ISO/IEC 14496-10, 7.4.2.4).
const ACCESS_UNIT_DELIMITER: &[u8] = &[0x09, 0xF0];
/// Bytes behind the 4 of the packet header.
const ROOM: usize = PACKET - 4;
/// Where a packet has the reserved bits of its PCR: behind header, length and flags, and 33 bits of base.
const PCR_RESERVED_AT: usize = 4 + 2 + 4;
/// Adaptation field with a PCR: length, flags, PCR.
const CLOCK_FIELD: usize = 2 + 6;
/// PES header with a PTS, and how much of it `PES_packet_length` counts. A DTS adds five bytes to both.
const PES_HEADER: usize = 14;
const PES_HEADER_COUNTED: usize = 8;
const DTS_FIELD: usize = 5;

/// Which elementary streams a program has: one of the two, or both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Program {
    pub(super) video: bool,
    pub(super) audio: bool,
}

impl Program {
    /// The track whose packets carry the clock.
    pub(super) fn clock(self) -> Track {
        if self.video { Track::Video } else { Track::Audio }
    }
}

/// A PES packet to be.
pub(super) struct Elementary {
    pub(super) track: Track,
    pub(super) pts: Ticks90k,
    pub(super) dts: Ticks90k,
    pub(super) key: bool,
    /// Whether its first packet carries a PCR.
    pub(super) clock: bool,
    pub(super) data: Vec<u8>,
    /// How many transport packets it is spread over.
    pub(super) packets: usize,
}

impl Elementary {
    /// A picture in Annex B framing: behind a delimiter and, an IDR, behind the parameter sets. `buffer` gives its memory.
    pub(super) fn picture(
        unit: &AccessUnit,
        dts: Ticks90k,
        config: &VideoConfig,
        buffer: Vec<u8>,
    ) -> Result<Self, Error> {
        let mut data = buffer;
        data.clear();
        data.reserve(unit.data.len() + 64);
        push_annex_b(ACCESS_UNIT_DELIMITER, &mut data);
        if unit.key {
            push_annex_b(&config.sps, &mut data);
            push_annex_b(&config.pps, &mut data);
        }
        avcc_to_annex_b(&unit.data, &mut data)?;
        let (track, pts, key) = (Track::Video, unit.pts, unit.key);
        Ok(Self { track, pts, dts, key, clock: true, data, packets: 0 }.spread())
    }

    /// AAC frames behind ADTS headers.
    pub(super) fn sound(pts: Ticks90k, data: Vec<u8>) -> Self {
        Self { track: Track::Audio, pts, dts: pts, key: true, clock: false, data, packets: 0 }.spread()
    }

    /// The same with a PCR: in a program without pictures.
    pub(super) fn with_clock(self) -> Self {
        Self { clock: true, ..self }.spread()
    }

    /// Over as few packets as can be.
    fn spread(self) -> Self {
        let packets = 1 + self.data.len().saturating_sub(self.first_room()).div_ceil(ROOM);
        Self { packets, ..self }
    }

    /// Bytes of the access unit that the first packet has room for, behind PES header and adaptation field.
    fn first_room(&self) -> usize {
        let clock = if self.clock { CLOCK_FIELD } else { 0 };
        ROOM - clock - PES_HEADER - self.dts_field()
    }

    /// Bytes of the DTS, which only a picture has that is not decoded when it is presented.
    fn dts_field(&self) -> usize {
        if self.dts == self.pts { 0 } else { DTS_FIELD }
    }

    /// The most packets it can be spread over: each but the first must carry a byte.
    pub(super) fn most_packets(&self) -> usize {
        1 + self.data.len()
    }

    /// How many bytes go into each packet.
    fn pieces(&self) -> impl Iterator<Item = &[u8]> {
        let mut rest = &self.data[..];
        (0..self.packets).map(move |index| {
            let room = if index == 0 { self.first_room() } else { ROOM };
            let kept = self.packets - 1 - index;
            let (piece, after) = rest.split_at(room.min(rest.len().saturating_sub(kept)));
            rest = after;
            piece
        })
    }
}

/// Writes packets and counts them by PID.
pub(super) struct Writer<'a> {
    pub(super) out: &'a mut Vec<u8>,
    pub(super) counters: &'a mut Counters,
}

/// The continuity counter of each PID.
#[derive(Debug, Default)]
pub(super) struct Counters {
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

    /// PAT and PMT.
    pub(super) fn tables(&mut self, program: Program) -> Result<(), Error> {
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
        let mut es_info = Vec::with_capacity(2);
        if program.video {
            es_info.push(stream(StreamType::H264, VIDEO_PID)?);
        }
        if program.audio {
            es_info.push(stream(StreamType::AdtsAac, AUDIO_PID)?);
        }
        let pmt = Pmt {
            program_num: PROGRAM,
            pcr_pid: Some(Pid::new(pid(program.clock()))?),
            version_number: VersionNumber::new(),
            program_info: Vec::new(),
            es_info,
        };
        self.packet(PMT_PID, None, Some(TsPayload::Pmt(pmt)))
    }

    /// A packet with nothing but a PCR.
    pub(super) fn clock(&mut self, track: Track, time: Ticks90k) -> Result<(), Error> {
        self.packet(pid(track), Some(adaptation_field(pcr(time)?, false)), None)
    }

    pub(super) fn pes(&mut self, pes: &Elementary) -> Result<(), Error> {
        let pid = pid(pes.track);
        let stream_id = match pes.track {
            Track::Video => StreamId::VIDEO_MIN,
            Track::Audio => StreamId::AUDIO_MIN,
        };
        let counted = pes.data.len() + PES_HEADER_COUNTED + pes.dts_field();
        // 0 where the length does not fit, which only video may say and only video needs (2.4.3.7).
        let pes_packet_len = u16::try_from(counted).unwrap_or(0);
        let timestamp = |time| Timestamp::new(wrapped(time));
        let header = PesHeader {
            stream_id: StreamId::new(stream_id),
            priority: false,
            data_alignment_indicator: true,
            copyright: false,
            original_or_copy: false,
            pts: Some(timestamp(pes.pts)?),
            dts: (pes.dts != pes.pts).then(|| timestamp(pes.dts)).transpose()?,
            escr: None,
        };
        let mut start = Some(header);
        for piece in pes.pieces() {
            match start.take() {
                Some(header) => {
                    let clock = pes.clock.then(|| pcr(pes.dts)).transpose()?;
                    let field = clock.map(|clock| adaptation_field(clock, pes.key));
                    let data = Bytes::new(piece)?;
                    self.packet(pid, field, Some(TsPayload::PesStart(Pes { header, pes_packet_len, data })))?;
                }
                None if piece.len() == ROOM => self.full(pid, piece),
                None => self.packet(pid, None, Some(TsPayload::PesContinuation(Bytes::new(piece)?)))?,
            }
        }
        Ok(())
    }

    /// A packet that data fills: most are of this kind, and there is nothing to work out for it.
    fn full(&mut self, pid: u16, data: &[u8]) {
        let counter = self.counters.of(pid);
        let [high, low] = pid.to_be_bytes();
        self.out.extend_from_slice(&[SYNC_BYTE, high, low, 0x10 | counter.as_u8()]);
        counter.increment();
        self.out.extend_from_slice(data);
    }
}

fn pid(track: Track) -> u16 {
    match track {
        Track::Video => VIDEO_PID,
        Track::Audio => AUDIO_PID,
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

/// The clock at which what is decoded at `time` is sent; its extension in 27 MHz is always 0.
fn pcr(time: Ticks90k) -> Result<ClockReference, mpeg2ts::Error> {
    ClockReference::new(wrapped(time - DELAY) * 300)
}

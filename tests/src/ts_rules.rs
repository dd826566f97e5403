//! The rules of ISO/IEC 13818-1 for a stream of one program with H.264 and AAC, as code over its packets.
//!
//! [`check`] gives the violations, with the clause that is broken; none is what a test wants. Nothing here knows how the
//! stream was made.

use std::collections::BTreeMap;

/// A rule that the stream breaks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Clause of the standard.
    pub clause: &'static str,
    /// Which packet, counted from 0.
    pub packet: usize,
    /// What is wrong.
    pub what: String,
}

const PACKET: usize = 188;
const WRAP: i64 = 1 << 33;
/// In ticks of 90 kHz.
const PCR_LIMIT: i64 = 9_000;
const PSI_LIMIT: i64 = 9_000;
const PTS_LIMIT: i64 = 63_000;
const DELAY_LIMIT: i64 = 90_000;

/// How a stream begins and what its clock is, as it was read.
#[derive(Default)]
struct State {
    violations: Vec<Violation>,
    packet: usize,
    counters: BTreeMap<u16, u8>,
    pmt_pid: Option<u16>,
    pcr_pid: Option<u16>,
    /// Stream type by PID.
    streams: BTreeMap<u16, u8>,
    /// PCR base at the packets that carry one, unwrapped.
    clocks: Vec<(usize, i64)>,
    /// Packets at which each table starts.
    tables: BTreeMap<u16, Vec<usize>>,
    /// PES packets by PID.
    pes: BTreeMap<u16, Vec<Pes>>,
}

/// A PES packet.
struct Pes {
    packet: usize,
    pts: i64,
    random_access: bool,
    bytes: Vec<u8>,
}

impl State {
    fn check(&mut self, holds: bool, clause: &'static str, what: impl FnOnce() -> String) {
        let packet = self.packet;
        if !holds {
            self.violations.push(Violation { clause, packet, what: what() });
        }
    }
}

/// Judges a stream: a segment, or several one after the other.
pub fn check(stream: &[u8]) -> Vec<Violation> {
    let mut state = State::default();
    let (packets, rest) = stream.as_chunks::<PACKET>();
    state.check(rest.is_empty() && !packets.is_empty(), "2.4.3.2", || format!("{} bytes", stream.len()));
    for (index, packet) in packets.iter().enumerate() {
        state.packet = index;
        read(&mut state, packet);
    }
    clocks(&mut state);
    tables(&mut state);
    let pes = std::mem::take(&mut state.pes);
    for (pid, pes) in &pes {
        elementary(&mut state, *pid, pes);
    }
    state.violations
}

fn read(state: &mut State, packet: &[u8; PACKET]) {
    state.check(packet[0] == 0x47, "2.4.3.2", || "no sync byte".to_owned());
    state.check(packet[1] & 0x80 == 0 && packet[3] & 0xC0 == 0, "2.4.3.3", || {
        "damaged or scrambled".to_owned()
    });
    let pid = u16::from_be_bytes([packet[1] & 0x1F, packet[2]]);
    let (has_field, has_payload) = (packet[3] & 0x20 != 0, packet[3] & 0x10 != 0);
    state.check(has_field || has_payload, "2.4.3.3", || "adaptation_field_control is 0".to_owned());
    let length = usize::from(packet[4]);
    let fits = !has_field || length == 183 || (has_payload && length <= 182);
    state.check(fits, "2.4.3.5", || format!("an adaptation field of {length} bytes"));
    if !fits {
        return;
    }
    counter(state, pid, packet[3] & 0x0F, has_payload);
    let field = if has_field { &packet[5..5 + length] } else { &[] };
    let payload = if has_field { &packet[5 + length..] } else { &packet[4..] };
    let random_access = adaptation(state, pid, field);
    if has_payload {
        carried(state, pid, payload, packet[1] & 0x40 != 0, random_access);
    }
}

fn counter(state: &mut State, pid: u16, counter: u8, counts: bool) {
    let last = state.counters.insert(pid, counter);
    let expected = last.map(|last| (last + u8::from(counts)) & 0x0F);
    state.check(expected.is_none_or(|expected| expected == counter), "2.4.3.3", || {
        format!("PID {pid:#x}: continuity_counter {counter} after {last:?}")
    });
}

/// Whether `random_access_indicator` is set.
fn adaptation(state: &mut State, pid: u16, field: &[u8]) -> bool {
    let Some((&flags, rest)) = field.split_first() else { return false };
    state.check(flags & 0x80 == 0, "2.4.3.5", || "a discontinuity is announced".to_owned());
    let clock = flags & 0x10 != 0;
    let stuffing = if clock { rest.get(6..).unwrap_or_default() } else { rest };
    state.check(stuffing.iter().all(|&byte| byte == 0xFF), "2.4.3.5", || {
        "stuffing that is not 0xFF".to_owned()
    });
    if let Some(&[a, b, c, d, e, f]) = rest.first_chunk::<6>().filter(|_| clock) {
        state.check(e & 0x7E == 0x7E, "2.1", || "reserved bits of the PCR are not ones".to_owned());
        state.check(u16::from_be_bytes([e & 1, f]) < 300, "2.4.3.5", || {
            "a PCR extension of 300 or more".to_owned()
        });
        state.check(state.pcr_pid.is_none_or(|pcr_pid| pcr_pid == pid), "2.4.4.9", || {
            format!("a PCR on PID {pid:#x}")
        });
        let base = i64::from(u32::from_be_bytes([a, b, c, d])) << 1 | i64::from(e >> 7);
        let unwrapped = state.clocks.last().map_or(base, |&(_, last)| last + (base - last).rem_euclid(WRAP));
        state.clocks.push((state.packet, unwrapped));
    }
    flags & 0x40 != 0
}

fn carried(state: &mut State, pid: u16, payload: &[u8], start: bool, random_access: bool) {
    if pid == 0 || Some(pid) == state.pmt_pid {
        table(state, pid, payload, start);
    } else if let Some(&[0, 0, 1, ..]) = payload.first_chunk::<9>().filter(|_| start) {
        let pts = pts(payload.get(9..).unwrap_or_default());
        state.check(payload[7] & 0x80 != 0, "2.7.4", || "a PES packet without PTS".to_owned());
        let pes = Pes { packet: state.packet, pts, random_access, bytes: payload.to_vec() };
        state.pes.entry(pid).or_default().push(pes);
    } else {
        state.check(!start, "2.4.3.6", || format!("PID {pid:#x}: no PES header where one must start"));
        let last = state.pes.get_mut(&pid).and_then(|pes| pes.last_mut());
        match last {
            Some(last) => last.bytes.extend_from_slice(payload),
            None => state.check(false, "2.4.4", || format!("PID {pid:#x}: payload before its first start")),
        }
    }
}

fn pts(field: &[u8]) -> i64 {
    let bits = |at: usize, mask: u8| field.get(at).map_or(0, |&byte| i64::from(byte & mask));
    (bits(0, 0x0E) >> 1) << 30
        | bits(1, 0xFF) << 22
        | (bits(2, 0xFE) >> 1) << 15
        | bits(3, 0xFF) << 7
        | bits(4, 0xFE) >> 1
}

fn table(state: &mut State, pid: u16, payload: &[u8], start: bool) {
    state.check(start && payload[0] == 0, "2.4.4", || {
        "a table that does not start with its packet".to_owned()
    });
    let length = 3 + (usize::from(payload[2] & 0x0F) << 8 | usize::from(payload[3]));
    let Some(section) = payload.get(1..=length) else { return };
    let crc = section.iter().fold(!0u32, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte) << 24, |crc, _| {
            if crc >> 31 == 1 { crc << 1 ^ 0x04C1_1DB7 } else { crc << 1 }
        })
    });
    state.check(crc == 0, "2.4.4.1", || format!("the CRC of the table on PID {pid:#x} is wrong"));
    let rest = payload.get(1 + length..).unwrap_or_default();
    state.check(rest.iter().all(|&byte| byte == 0xFF), "2.4.4", || {
        "stuffing behind a table that is not 0xFF".to_owned()
    });
    state.tables.entry(pid).or_default().push(state.packet);
    let number = |at: usize| u16::from_be_bytes([section[at] & 0x1F, section[at + 1]]);
    if pid == 0 {
        state.pmt_pid = Some(number(10));
        return;
    }
    state.pcr_pid = Some(number(8));
    let mut at = 12 + usize::from(number(10) & 0x0FFF);
    while at + 5 <= section.len() - 4 {
        state.streams.insert(number(at + 1), section[at]);
        at += 5 + usize::from(number(at + 3) & 0x0FFF);
    }
}

fn clocks(state: &mut State) {
    for pair in state.clocks.clone().windows(2) {
        let [(_, before), (packet, now)] = *pair else { continue };
        state.packet = packet;
        state.check(now - before <= PCR_LIMIT && now > before, "2.7.2", || {
            format!("PCR after {} ticks", now - before)
        });
    }
}

/// The clock at which a packet arrives: on the line between the PCRs around it, or beyond the last one at its pace.
fn arrival(clocks: &[(usize, i64)], packet: usize) -> Option<i64> {
    let after = clocks.partition_point(|&(at, _)| at <= packet).clamp(1, clocks.len().checked_sub(1)?);
    let (&(from, start), &(to, end)) = (clocks.get(after - 1)?, clocks.get(after)?);
    Some(start + (end - start) * (packet as i64 - from as i64) / (to - from) as i64)
}

fn tables(state: &mut State) {
    state.packet = 0;
    let first =
        [0, state.pmt_pid.unwrap_or(0)].map(|pid| state.tables.get(&pid).and_then(|at| at.first().copied()));
    state.check(first == [Some(0), Some(1)], "2.4.4", || {
        format!("the stream starts with tables at {first:?}")
    });
    for (pid, packets) in state.tables.clone() {
        for pair in packets.windows(2) {
            let [before, now] = *pair else { continue };
            let times = [before, now].map(|packet| arrival(&state.clocks, packet));
            let [Some(start), Some(end)] = times else { continue };
            state.packet = now;
            state.check(end - start <= PSI_LIMIT, "2.4.4", || {
                format!("PID {pid:#x}: a table after {} ticks", end - start)
            });
        }
    }
}

fn elementary(state: &mut State, pid: u16, all: &[Pes]) {
    let kind = state.streams.get(&pid).copied();
    let mut last = None;
    for pes in all {
        state.packet = pes.packet;
        let counted = usize::from(u16::from_be_bytes([pes.bytes[4], pes.bytes[5]]));
        let whole = counted + 6 == pes.bytes.len() || (counted == 0 && kind == Some(0x1B));
        state.check(whole, "2.4.3.7", || {
            format!("PID {pid:#x}: {counted} announced, {} came", pes.bytes.len() - 6)
        });
        let data = &pes.bytes[9 + usize::from(pes.bytes[8])..];
        match kind {
            Some(0x1B) => picture(state, pes, data),
            Some(0x0F) => {
                state.check(data.starts_with(&[0xFF, 0xF1]), "2.4.3.7", || "no ADTS header".to_owned())
            }
            _ => state.check(false, "2.4.4.9", || format!("PID {pid:#x} is in no PMT")),
        }
        let since = last.map_or(0, |last: i64| (pes.pts - last).rem_euclid(WRAP));
        state.check(since <= PTS_LIMIT, "2.7.4", || format!("PTS after {since} ticks"));
        last = Some(pes.pts);
        // The last byte must have arrived by the presentation, and the first not more than a second before.
        let Some(arrival) = arrival(&state.clocks, pes.packet) else { continue };
        let delay = (pes.pts - arrival).rem_euclid(WRAP);
        state.check(delay > 0 && delay <= DELAY_LIMIT, "2.4.2.6", || {
            format!("{delay} ticks from arrival to PTS")
        });
    }
}

fn picture(state: &mut State, pes: &Pes, data: &[u8]) {
    state.check(data.starts_with(&[0, 0, 0, 1, 9]), "2.14.1", || {
        "no access unit delimiter in front".to_owned()
    });
    let types: Vec<u8> =
        data.windows(4).filter(|bytes| bytes[..3] == [0, 0, 1]).map(|bytes| bytes[3] & 0x1F).collect();
    let idr = types.contains(&5);
    state.check(!idr || types.starts_with(&[9, 7, 8]), "2.14.1", || {
        format!("an IDR behind NAL units {types:?}")
    });
    state.check(idr == pes.random_access, "2.4.3.5", || {
        "random_access_indicator is not where the IDR is".to_owned()
    });
}

//! A GOP as one MPEG-TS segment.
//!
//! What is sent when, on the clock of the PCR, which runs 400 ms behind the presentation time:
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

use super::Error;
use super::packets::{Counters, Elementary, Program, Writer};
use crate::aac::AudioSpecificConfig;
use crate::access_unit::{AccessUnit, Gop, Track};
use crate::time::Ticks90k;

const PCR_INTERVAL: Ticks90k = Ticks90k::from_millis(40);
const PSI_INTERVAL: Ticks90k = Ticks90k::from_millis(90);
/// Continuity counters come round after this many packets.
const COUNTER_CYCLE: usize = 16;
/// AAC frames that share a PES packet: under 100 ms at 48 kHz.
const FRAMES_PER_PES: usize = 4;
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
    let program = Program { video: true, audio: gop.config.audio.is_some() };
    let mut writer = Writer { out, counters: &mut Counters::default() };
    for (time, event) in &events {
        match event {
            Event::Tables => writer.tables(program)?,
            Event::Clock => writer.clock(Track::Video, *time)?,
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

fn pictures(gop: &Gop) -> Result<Vec<Elementary>, Error> {
    let picture = |unit: &AccessUnit| Elementary::picture(unit, unit.pts, &gop.config.video, Vec::new());
    gop.track(Track::Video).map(picture).collect()
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
            config.push_adts(&frame.data, &mut data)?;
        }
        sound.push(Elementary::sound(first.pts, data));
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::timeline::sample::{config, gop};
    use crate::ts::{AUDIO_PID, PACKET, PAT_PID, PMT_PID, VIDEO_PID, demux};
    use sha2::{Digest, Sha256};

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
    fn segments_of_the_live_view_are_these_bytes() {
        let hash = |audio, interval| {
            let digest = Sha256::digest(segment(&gop(&config(audio), 7, interval)));
            digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect::<String>()
        };
        let hashes = [hash(true, 3000), hash(false, 3000), hash(true, 45_000)];
        assert_eq!(hashes, ["c8d5ee6993f8b2a4", "ac7df6cbe3a7beb9", "7aa5924b0bb32516"]);
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

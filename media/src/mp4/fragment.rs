//! A movie fragment: access units behind their `moof` (ISO/IEC 14496-12, 8.8; CMAF chunk, ISO/IEC 23000-19, 7.3.2).
//!
//! ```text
//! [styp]  [prft]  moof                                            mdat
//!                   mfhd  sequence_number                           payload of run 0, payload of run 1
//!                   traf  tfhd  default-base-is-moof
//!                         tfdt  version 1: time of the first sample
//!                         trun  data offset, durations*, sizes, flags*
//!                   traf  ...
//! * only where they differ from what `trex` of the init segment says
//! ```
//!
//! [`Fragment::write_header`] gives all but the payload, so that a caller who writes vectored never copies it. One
//! picture alone costs 100 bytes of boxes, four more if it is an IDR and four more with a duration of its own.

use super::Error;
use super::boxes::{boxed, full_box, put_u32_at};
use super::track::{Codec, NON_SYNC, SYNC};
use crate::{AccessUnit, StreamConfig, Ticks90k, Track, WallTime};
use bytes::{BufMut, Bytes, BytesMut};

/// Seconds from 1900-01-01, where NTP counts from, to 1970-01-01.
const SECONDS_1900_TO_1970: i64 = 2_208_988_800;

/// What a fragment is to a player that receives it as a file of its own (`styp`, CMAF 7.3.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SegmentType {
    /// It begins a segment (`cmfs`).
    Segment,
    /// It continues one: an LL-HLS part, a DASH chunk (`cmfl`).
    Chunk,
}

/// Access units of one track that follow each other.
#[derive(Clone, Debug)]
pub struct Run<I> {
    /// Their track.
    pub track: Track,
    /// The zero of the track's media time. For a live view [`Ticks90k::ZERO`]: its time is the media clock's.
    pub origin: Ticks90k,
    /// The access units, in time order. It is walked several times.
    pub units: I,
    /// When the last one ends.
    pub end: Ticks90k,
}

/// One `moof` and `mdat`, with one run a track; a run without access units is left out.
#[derive(Clone, Debug)]
pub struct Fragment<'a, I, const N: usize> {
    /// The configuration that the init segment was made from.
    pub config: &'a StreamConfig,
    /// `mfhd`: rises with every fragment of a stream.
    pub sequence: u32,
    /// Put a `styp` in front.
    pub segment: Option<SegmentType>,
    /// Put a `prft` in front (8.16.5): the wall time at which the first access unit of the first run was captured.
    pub captured: Option<WallTime>,
    /// What it carries.
    pub runs: [Run<I>; N],
}

impl<'a> Fragment<'a, std::slice::Iter<'a, AccessUnit>, 1> {
    /// A single access unit, on the media clock, for as long as its kind usually lasts.
    pub fn single(config: &'a StreamConfig, sequence: u32, unit: &'a AccessUnit) -> Result<Self, Error> {
        let end = unit.pts + Codec::of(config, unit.track)?.unit_duration();
        let units = std::slice::from_ref(unit).iter();
        let run = Run { track: unit.track, origin: Ticks90k::ZERO, units, end };
        Ok(Self { config, sequence, segment: None, captured: None, runs: [run] })
    }
}

impl<'a, I, const N: usize> Fragment<'a, I, N>
where
    I: Iterator<Item = &'a AccessUnit> + Clone,
{
    /// The payload behind the header, in the order in which it has to follow.
    pub fn payload(&self) -> impl Iterator<Item = &'a Bytes> {
        self.runs.iter().flat_map(|run| run.units.clone().map(|unit| &unit.data))
    }

    /// Appends the whole fragment.
    pub fn write(&self, out: &mut BytesMut) -> Result<(), Error> {
        self.write_header(out)?;
        for data in self.payload() {
            out.extend_from_slice(data);
        }
        Ok(())
    }

    /// Appends the fragment up to its payload: `[styp] [prft] moof` and the header of `mdat`.
    pub fn write_header(&self, out: &mut BytesMut) -> Result<(), Error> {
        let layouts = self.layouts()?;
        if let Some(segment) = self.segment {
            boxed(out, b"styp", |out| {
                out.put_slice(match segment {
                    SegmentType::Segment => b"msdh\0\0\0\0msdhcmfs",
                    SegmentType::Chunk => b"msdh\0\0\0\0msdhcmfl",
                });
            });
        }
        if let (Some(captured), Some(first)) = (self.captured, layouts.iter().find(|run| run.samples > 0)) {
            prft(out, first, captured);
        }
        self.write_moof(out, &layouts);
        out.put_u32(8 + layouts.iter().map(|run| run.bytes).sum::<u32>());
        out.put_slice(b"mdat");
        Ok(())
    }

    fn write_moof(&self, out: &mut BytesMut, layouts: &[Layout; N]) {
        let start = out.len();
        let mut data_offset_at = [None; N];
        boxed(out, b"moof", |out| {
            full_box(out, b"mfhd", 0, 0, |out| out.put_u32(self.sequence));
            for ((run, layout), at) in self.runs.iter().zip(layouts).zip(&mut data_offset_at) {
                if layout.samples > 0 {
                    *at = Some(traf(out, run, layout));
                }
            }
        });
        let mut data_offset = (out.len() - start) as u32 + 8;
        for (at, layout) in data_offset_at.into_iter().zip(layouts) {
            if let Some(at) = at {
                put_u32_at(out, at, data_offset);
                data_offset += layout.bytes;
            }
        }
    }

    /// Measures every run and refuses what the boxes cannot say: behind it nothing fails.
    fn layouts(&self) -> Result<[Layout; N], Error> {
        let mut total = 8u64;
        let mut layouts = [Layout::default(); N];
        for (layout, run) in layouts.iter_mut().zip(&self.runs) {
            *layout = Layout::of(self.config, run)?;
            total += run.units.clone().map(|unit| unit.data.len() as u64).sum::<u64>();
        }
        // Room for the moof itself, so that its data offsets fit too.
        if total > u64::from(u32::MAX / 2) {
            return Err(Error::TooLarge { bytes: total });
        }
        Ok(layouts)
    }
}

/// What the boxes of one run will say.
#[derive(Clone, Copy, Debug, Default)]
struct Layout {
    track_id: u32,
    timescale: u32,
    samples: u32,
    /// Payload in all.
    bytes: u32,
    /// Media time of the first sample.
    first: u64,
    /// `tr_flags`: which of the optional fields are there.
    trun_flags: u32,
}

const DATA_OFFSET: u32 = 0x001;
const FIRST_SAMPLE_FLAGS: u32 = 0x004;
const SAMPLE_DURATION: u32 = 0x100;
const SAMPLE_SIZE: u32 = 0x200;
const SAMPLE_FLAGS: u32 = 0x400;

impl Layout {
    fn of<'a, I>(config: &StreamConfig, run: &Run<I>) -> Result<Self, Error>
    where
        I: Iterator<Item = &'a AccessUnit> + Clone,
    {
        if run.units.clone().next().is_none() {
            return Ok(Self::default());
        }
        let codec = Codec::of(config, run.track)?;
        let timescale = codec.timescale();
        let mut layout = Self {
            track_id: codec.id(),
            timescale,
            trun_flags: DATA_OFFSET | SAMPLE_SIZE,
            ..Self::default()
        };
        let mut after = run.origin;
        for (unit, next) in with_next(run) {
            if unit.pts < after {
                return Err(Error::TimeWentBack { track: run.track, at: unit.pts, after });
            }
            if next <= unit.pts {
                return Err(Error::TimeWentBack { track: run.track, at: next, after: unit.pts });
            }
            let duration =
                u32::try_from(media_time(next, run, timescale) - media_time(unit.pts, run, timescale))
                    .map_err(|_| Error::GapTooLong { track: run.track, at: next })?;
            if duration != codec.default_duration() {
                layout.trun_flags |= SAMPLE_DURATION;
            }
            if sample_flags(unit) != codec.default_flags() {
                layout.trun_flags |= if layout.samples == 0 { FIRST_SAMPLE_FLAGS } else { SAMPLE_FLAGS };
            }
            if layout.samples == 0 {
                layout.first = media_time(unit.pts, run, timescale) as u64;
            }
            layout.samples += 1;
            layout.bytes = layout.bytes.wrapping_add(unit.data.len() as u32);
            after = unit.pts;
        }
        // The standard allows no more than one of the two.
        if layout.trun_flags & SAMPLE_FLAGS != 0 {
            layout.trun_flags &= !FIRST_SAMPLE_FLAGS;
        }
        Ok(layout)
    }
}

/// Each access unit with the time of what follows it.
fn with_next<'a, I>(run: &Run<I>) -> impl Iterator<Item = (&'a AccessUnit, Ticks90k)>
where
    I: Iterator<Item = &'a AccessUnit> + Clone,
{
    let following = run.units.clone().skip(1).map(|unit| unit.pts).chain([run.end]);
    run.units.clone().zip(following)
}

/// A time in the track's time scale. Durations are differences of these, so that rounding never adds up.
fn media_time<I>(pts: Ticks90k, run: &Run<I>, timescale: u32) -> i64 {
    (pts - run.origin).to_scale(timescale)
}

fn sample_flags(unit: &AccessUnit) -> u32 {
    if unit.key { SYNC } else { NON_SYNC }
}

/// Appends a `traf` and returns where the data offset of its `trun` stands.
fn traf<'a, I>(out: &mut BytesMut, run: &Run<I>, layout: &Layout) -> usize
where
    I: Iterator<Item = &'a AccessUnit> + Clone,
{
    let mut data_offset_at = 0;
    boxed(out, b"traf", |out| {
        full_box(out, b"tfhd", 0, 0x02_0000, |out| out.put_u32(layout.track_id));
        full_box(out, b"tfdt", 1, 0, |out| out.put_u64(layout.first));
        full_box(out, b"trun", 0, layout.trun_flags, |out| {
            out.put_u32(layout.samples);
            data_offset_at = out.len();
            out.put_u32(0);
            if layout.trun_flags & FIRST_SAMPLE_FLAGS != 0 {
                out.put_u32(SYNC);
            }
            for (unit, next) in with_next(run) {
                if layout.trun_flags & SAMPLE_DURATION != 0 {
                    let duration =
                        media_time(next, run, layout.timescale) - media_time(unit.pts, run, layout.timescale);
                    out.put_u32(duration as u32);
                }
                out.put_u32(unit.data.len() as u32);
                if layout.trun_flags & SAMPLE_FLAGS != 0 {
                    out.put_u32(sample_flags(unit));
                }
            }
        });
    });
    data_offset_at
}

/// `prft` (8.16.5): `captured` was the wall time at the first sample of `run`.
fn prft(out: &mut BytesMut, run: &Layout, captured: WallTime) {
    // Flags 24: the time at which the picture was captured.
    full_box(out, b"prft", 1, 24, |out| {
        out.put_u32(run.track_id);
        out.put_u64(ntp_time(captured));
        out.put_u64(run.first);
    });
}

/// NTP time: seconds since 1900 in the upper half, their fraction in the lower (RFC 5905, 6).
fn ntp_time(wall: WallTime) -> u64 {
    let seconds = wall.as_secs().saturating_add(SECONDS_1900_TO_1970) as u32;
    let fraction = ((wall.0.rem_euclid(1_000_000) as u64) << 32) / 1_000_000;
    u64::from(seconds) << 32 | fraction
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{AudioConfig, VideoConfig};

    fn config() -> StreamConfig {
        StreamConfig {
            video: VideoConfig {
                width: 320,
                height: 240,
                frame_duration: Ticks90k(3000),
                sps: Bytes::from_static(&[0x67, 0x42, 0xC0, 0x0D]),
                pps: Bytes::from_static(&[0x68, 0xCE]),
            },
            audio: Some(AudioConfig {
                sample_rate: 48_000,
                channels: 2,
                asc: Bytes::from_static(&[0x11, 0x90]),
            }),
        }
    }

    fn unit(track: Track, pts: i64, key: bool) -> AccessUnit {
        AccessUnit { track, pts: Ticks90k(pts), key, data: Bytes::from_static(b"data") }
    }

    fn run(units: &[AccessUnit], end: i64) -> Run<std::slice::Iter<'_, AccessUnit>> {
        Run { track: units[0].track, origin: Ticks90k::ZERO, units: units.iter(), end: Ticks90k(end) }
    }

    fn write<const N: usize>(runs: [Run<std::slice::Iter<'_, AccessUnit>>; N]) -> Result<BytesMut, Error> {
        let mut out = BytesMut::new();
        let fragment = Fragment { config: &config(), sequence: 9, segment: None, captured: None, runs };
        fragment.write(&mut out).map(|()| out)
    }

    #[test]
    fn a_picture_alone_costs_100_bytes_of_boxes() {
        let mut out = BytesMut::new();
        Fragment::single(&config(), 9, &unit(Track::Video, 90_000, false)).unwrap().write(&mut out).unwrap();
        assert_eq!(
            out.escape_ascii().to_string(),
            concat!(
                r"\x00\x00\x00\\moof",
                r"\x00\x00\x00\x10mfhd\x00\x00\x00\x00\x00\x00\x00\t",
                r"\x00\x00\x00Dtraf",
                r"\x00\x00\x00\x10tfhd\x00\x02\x00\x00\x00\x00\x00\x01",
                r"\x00\x00\x00\x14tfdt\x01\x00\x00\x00\x00\x00\x00\x00\x00\x01_\x90",
                r"\x00\x00\x00\x18trun\x00\x00\x02\x01\x00\x00\x00\x01\x00\x00\x00d\x00\x00\x00\x04",
                r"\x00\x00\x00\x0cmdatdata",
            )
        );
    }

    #[test]
    fn an_idr_is_marked_in_its_first_sample_flags() {
        let key = [unit(Track::Video, 0, true), unit(Track::Video, 3000, false)];
        let out = write([run(&key, 6000)]).unwrap();
        let trun = r"trun\x00\x00\x02\x05\x00\x00\x00\x02\x00\x00\x00l\x02\x00\x00\x00\x00\x00\x00\x04\x00\x00\x00\x04";
        assert!(out.escape_ascii().to_string().contains(trun), "{}", out.escape_ascii());
    }

    #[test]
    fn durations_follow_the_clock_and_the_end_that_was_given() {
        let units =
            [unit(Track::Audio, 0, true), unit(Track::Audio, 1921, true), unit(Track::Audio, 3840, true)];
        let out = write([run(&units, 3840 + 1935)]).unwrap();
        let trun = concat!(
            r"trun\x00\x00\x03\x01\x00\x00\x00\x03\x00\x00\x00x",
            r"\x00\x00\x04\x01\x00\x00\x00\x04\x00\x00\x03\xff\x00\x00\x00\x04\x00\x00\x04\x08\x00\x00\x00\x04"
        );
        assert!(out.escape_ascii().to_string().contains(trun), "{}", out.escape_ascii());
    }

    #[test]
    fn styp_and_prft_stand_in_front_where_they_are_asked_for() {
        let config = config();
        let unit = unit(Track::Video, 3, true);
        let mut fragment = Fragment::single(&config, 1, &unit).unwrap();
        fragment.segment = Some(SegmentType::Segment);
        fragment.captured = Some(WallTime(500_000));
        let mut out = BytesMut::new();
        fragment.write_header(&mut out).unwrap();
        assert_eq!(
            out[..56].escape_ascii().to_string(),
            concat!(
                r"\x00\x00\x00\x18stypmsdh\x00\x00\x00\x00msdhcmfs",
                r"\x00\x00\x00 prft\x01\x00\x00\x18\x00\x00\x00\x01",
                r"\x83\xaa~\x80\x80\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x03"
            )
        );
    }

    #[test]
    fn what_boxes_cannot_say_is_refused() {
        let back = [unit(Track::Video, 3000, true), unit(Track::Video, 3000, false)];
        let early = [unit(Track::Video, -1, true)];
        let long = [unit(Track::Video, 0, true)];
        let refused = |units: &[AccessUnit], end| write([run(units, end)]).unwrap_err().to_string();
        assert_eq!(refused(&back, 9000), "Video access unit at 0.033s does not follow the one at 0.033s");
        assert_eq!(refused(&early, 9000), "Video access unit at -0.000s does not follow the one at 0.000s");
        assert_eq!(
            refused(&long, 1 << 32),
            "Video access unit at 47721.859s comes too long after the one before"
        );

        let silent = StreamConfig { audio: None, ..config() };
        let sound = unit(Track::Audio, 0, true);
        let single = Fragment::single(&silent, 1, &sound);
        assert_eq!(single.unwrap_err(), Error::NoSuchTrack(Track::Audio));
    }
}

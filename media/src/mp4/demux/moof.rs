//! A movie fragment unrolled: one entry a sample (ISO/IEC 14496-12, 8.8).

use super::source::{Fields, ReadError};
use super::{Budget, Sample};

/// Defaults of a fragmented track (8.8.3).
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::mp4) struct Trex {
    pub(in crate::mp4) track_id: u32,
    pub(in crate::mp4) duration: u32,
    size: u32,
    flags: u32,
}

/// A `moof`.
#[derive(Debug)]
pub(in crate::mp4) struct Moof {
    pub(in crate::mp4) sequence: u32,
    pub(in crate::mp4) trafs: Vec<Traf>,
}

/// The samples that a `moof` adds to a track.
#[derive(Debug)]
pub(in crate::mp4) struct Traf {
    pub(in crate::mp4) track_id: u32,
    pub(in crate::mp4) samples: Vec<Sample>,
    /// Media time at which the last one ends.
    pub(in crate::mp4) end: u64,
    /// Offset in the file behind the last byte of data.
    pub(in crate::mp4) data_end: u64,
}

impl Trex {
    pub(super) fn parse(mut trex: Fields<'_>) -> Result<Self, ReadError> {
        trex.version_flags()?;
        let track_id = trex.u32()?;
        trex.u32()?; // sample description
        Ok(Self { track_id, duration: trex.u32()?, size: trex.u32()?, flags: trex.u32()? })
    }
}

impl Moof {
    /// Reads a `moof`. `track_end` tells where a track ends so far, for a fragment that does not say where it begins.
    pub(in crate::mp4) fn parse(
        moof: &Fields<'_>,
        trex: &[Trex],
        budget: &mut Budget,
        track_end: impl Fn(u32) -> u64,
    ) -> Result<Self, ReadError> {
        let mut mfhd = moof.child(b"mfhd")?;
        mfhd.version_flags()?;
        let sequence = mfhd.u32()?;
        let mut trafs = Vec::new();
        let mut data_end = moof.offset;
        for child in moof.children() {
            let child = child?;
            if child.name.0 == *b"traf" {
                let defaults = Defaults::parse(&child, trex, moof.offset, data_end)?;
                let traf = traf(&child, &defaults, budget, &track_end)?;
                data_end = traf.data_end;
                trafs.push(traf);
            }
        }
        Ok(Self { sequence, trafs })
    }
}

/// What `tfhd` (8.8.7) says, on top of `trex`.
struct Defaults {
    trex: Trex,
    base_data_offset: u64,
}

impl Defaults {
    fn parse(traf: &Fields<'_>, trex: &[Trex], moof: u64, data_end: u64) -> Result<Self, ReadError> {
        let mut tfhd = traf.child(b"tfhd")?;
        let (_, flags) = tfhd.version_flags()?;
        let track_id = tfhd.u32()?;
        let known = trex.iter().find(|trex| trex.track_id == track_id);
        let mut trex = *known.ok_or_else(|| tfhd.malformed("its track has no trex"))?;
        // Without either flag, data follow on from the track fragment before.
        let mut base_data_offset = if flags & 0x02_0000 != 0 { moof } else { data_end };
        if flags & 0x01 != 0 {
            base_data_offset = tfhd.u64()?;
        }
        if flags & 0x02 != 0 && tfhd.u32()? != 1 {
            return Err(tfhd.unsupported("more than one sample description"));
        }
        for (flag, field) in [(0x08, &mut trex.duration), (0x10, &mut trex.size), (0x20, &mut trex.flags)] {
            if flags & flag != 0 {
                *field = tfhd.u32()?;
            }
        }
        Ok(Self { trex, base_data_offset })
    }
}

fn traf(
    traf: &Fields<'_>,
    defaults: &Defaults,
    budget: &mut Budget,
    track_end: impl Fn(u32) -> u64,
) -> Result<Traf, ReadError> {
    let track_id = defaults.trex.track_id;
    let dts = match traf.find(b"tfdt")? {
        None => track_end(track_id),
        Some(mut tfdt) => {
            let (version, _) = tfdt.version_flags()?;
            tfdt.sized(version)?
        }
    };
    let data_end = defaults.base_data_offset;
    let mut out = Traf { track_id, samples: Vec::new(), end: dts, data_end };
    for child in traf.children() {
        let child = child?;
        if child.name.0 == *b"trun" {
            trun(child, defaults, budget, &mut out)?;
        }
    }
    Ok(out)
}

/// Appends the samples of a `trun` (8.8.8).
fn trun(
    mut trun: Fields<'_>,
    defaults: &Defaults,
    budget: &mut Budget,
    out: &mut Traf,
) -> Result<(), ReadError> {
    let (_, flags) = trun.version_flags()?;
    let count = trun.u32()?;
    budget.take(&trun, count)?;
    if flags & 0x001 != 0 {
        let data_offset = i64::from(trun.u32()? as i32);
        let start = defaults.base_data_offset.checked_add_signed(data_offset);
        out.data_end = start.ok_or_else(|| trun.malformed("its data begin before the file"))?;
    }
    let first_flags = if flags & 0x004 != 0 { Some(trun.u32()?) } else { None };
    let fields = (flags >> 8 & 0xF).count_ones() as usize;
    let entries = trun.entries(count, 4 * fields)?;
    out.samples.reserve_exact(count as usize);
    let mut words = entries.as_chunks::<4>().0.iter().map(|word| u32::from_be_bytes(*word));
    let mut field = |flag: u32, default: u32| {
        if flags & flag != 0 { words.next().unwrap_or(default) } else { default }
    };
    for index in 0..count {
        let duration = field(0x100, defaults.trex.duration);
        let size = field(0x200, defaults.trex.size);
        let first = first_flags.filter(|_| index == 0);
        let sample_flags = field(0x400, first.unwrap_or(defaults.trex.flags));
        let composition_offset = field(0x800, 0) as i32;
        let sync = sample_flags & 0x0001_0000 == 0;
        let sample = Sample { offset: out.data_end, dts: out.end, size, composition_offset, sync };
        out.samples.push(sample);
        let end = out.data_end.checked_add(size.into()).zip(out.end.checked_add(duration.into()));
        (out.data_end, out.end) = end.ok_or_else(|| trun.malformed("a sum beyond 2^64"))?;
    }
    Ok(())
}

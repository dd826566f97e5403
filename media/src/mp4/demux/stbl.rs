//! The sample tables of a track (ISO/IEC 14496-12, 8.6 and 8.7) unrolled: one entry a sample.

use super::source::{Fields, ReadError};
use super::{Budget, Sample};

/// Reads all samples of an `stbl`, and the media time at which the last one ends.
pub(super) fn samples(stbl: &Fields<'_>, budget: &mut Budget) -> Result<(Vec<Sample>, u64), ReadError> {
    if let Some(stz2) = stbl.find(b"stz2")? {
        return Err(stz2.unsupported("a compact table of sizes"));
    }
    let mut samples = sizes(stbl.child(b"stsz")?, budget)?;
    let end = set_times(&mut samples, stbl.child(b"stts")?)?;
    if let Some(ctts) = stbl.find(b"ctts")? {
        set_composition_offsets(&mut samples, ctts)?;
    }
    if let Some(stss) = stbl.find(b"stss")? {
        set_sync(&mut samples, stss)?;
    }
    let chunk_offsets = match stbl.find(b"co64")? {
        Some(co64) => offsets::<8>(co64)?,
        None => offsets::<4>(stbl.child(b"stco")?)?,
    };
    set_offsets(&mut samples, stbl.child(b"stsc")?, &chunk_offsets)?;
    Ok((samples, end))
}

fn sizes(mut stsz: Fields<'_>, budget: &mut Budget) -> Result<Vec<Sample>, ReadError> {
    stsz.version_flags()?;
    let common = stsz.u32()?;
    let count = stsz.u32()?;
    budget.take(&stsz, count)?;
    let sample = |size| Sample { size, sync: true, ..Sample::default() };
    if common != 0 {
        return Ok(vec![sample(common); count as usize]);
    }
    Ok(words::<4>(stsz.entries(count, 4)?).map(|size| sample(size as u32)).collect())
}

fn set_times(samples: &mut [Sample], mut stts: Fields<'_>) -> Result<u64, ReadError> {
    let mut left = samples.iter_mut();
    let mut dts = 0u64;
    for (count, delta) in runs(&mut stts)? {
        for sample in left.by_ref().take(count as usize) {
            sample.dts = dts;
            dts += u64::from(delta);
        }
    }
    if left.next().is_some() {
        return Err(stts.malformed("has times for fewer samples than stsz has sizes"));
    }
    Ok(dts)
}

fn set_composition_offsets(samples: &mut [Sample], mut ctts: Fields<'_>) -> Result<(), ReadError> {
    let mut left = samples.iter_mut();
    for (count, offset) in runs(&mut ctts)? {
        for sample in left.by_ref().take(count as usize) {
            // Signed in version 1; nobody needs the upper half of what version 0 could say.
            sample.composition_offset = offset as i32;
        }
    }
    Ok(())
}

/// A table of (count, value), each 32 bits.
fn runs<'a>(table: &mut Fields<'a>) -> Result<impl Iterator<Item = (u32, u32)> + use<'a>, ReadError> {
    table.version_flags()?;
    let count = table.u32()?;
    Ok(words::<8>(table.entries(count, 8)?).map(|pair| ((pair >> 32) as u32, pair as u32)))
}

fn set_sync(samples: &mut [Sample], mut stss: Fields<'_>) -> Result<(), ReadError> {
    stss.version_flags()?;
    let count = stss.u32()?;
    let numbers = stss.entries(count, 4)?;
    samples.iter_mut().for_each(|sample| sample.sync = false);
    for number in words::<4>(numbers) {
        let sample = number.checked_sub(1).and_then(|index| samples.get_mut(index as usize));
        sample.ok_or_else(|| stss.malformed("names a sample that is not there"))?.sync = true;
    }
    Ok(())
}

/// `stco` (N = 4) or `co64` (N = 8).
fn offsets<const N: usize>(mut table: Fields<'_>) -> Result<Vec<u64>, ReadError> {
    table.version_flags()?;
    let count = table.u32()?;
    Ok(words::<N>(table.entries(count, N)?).collect())
}

/// Gives every sample its place: `stsc` says how many of them stand in each chunk.
fn set_offsets(samples: &mut [Sample], mut stsc: Fields<'_>, chunks: &[u64]) -> Result<(), ReadError> {
    stsc.version_flags()?;
    let count = stsc.u32()?;
    let table = stsc.entries(count, 12)?;
    let (entries, _) = table.as_chunks::<12>();
    let first_chunk = |entry: &[u8; 12]| words::<4>(entry).next().unwrap_or(0) as usize;
    let mut left = samples.iter_mut();
    for (index, entry) in entries.iter().enumerate() {
        let first = first_chunk(entry);
        let next = entries.get(index + 1).map_or(chunks.len() + 1, first_chunk);
        let in_order = first > 0 && first <= next && (index > 0 || first == 1);
        let run = if in_order { chunks.get(first - 1..next - 1) } else { None };
        let run = run.ok_or_else(|| stsc.malformed("its chunks are not those of stco"))?;
        let per_chunk = words::<4>(entry).nth(1).unwrap_or(0) as usize;
        if words::<4>(entry).nth(2) != Some(1) {
            return Err(stsc.unsupported("more than one sample description"));
        }
        for &chunk in run {
            let mut offset = chunk;
            for sample in left.by_ref().take(per_chunk) {
                sample.offset = offset;
                let end = offset.checked_add(sample.size.into());
                offset = end.ok_or_else(|| stsc.malformed("a chunk reaches beyond 2^64"))?;
            }
        }
    }
    if left.next().is_some() {
        return Err(stsc.malformed("has chunks for fewer samples than stsz has sizes"));
    }
    Ok(())
}

/// Big-endian numbers of N bytes, at most 8.
fn words<const N: usize>(table: &[u8]) -> impl Iterator<Item = u64> {
    table
        .as_chunks::<N>()
        .0
        .iter()
        .map(|word| word.iter().fold(0, |value, &byte| value << 8 | u64::from(byte)))
}

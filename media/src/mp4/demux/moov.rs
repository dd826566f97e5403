//! The `moov` of a file: what it says of the movie and of each track (ISO/IEC 14496-12, 8.2 to 8.6).

use super::source::{BoxName, Fields, ReadError};
use super::{Budget, MAX_SECONDS, MovieTrack, Skipped, TrackConfig, Trex, is_sane, stbl};
use crate::aac::AudioSpecificConfig;
use crate::h264::avcc;
use crate::mp4::seal::{ANCHOR_UUID, Anchor};
use crate::mp4::track::SECONDS_1904_TO_1970;
use crate::{AudioConfig, Ticks90k, VideoConfig, WallTime};
use bytes::Bytes;

/// Longest title that is kept, in bytes.
const MAX_TITLE: usize = 1024;

/// What a `moov` says.
#[derive(Debug)]
pub(in crate::mp4) struct MovieHeader {
    pub(in crate::mp4) tracks: Vec<MovieTrack>,
    pub(in crate::mp4) skipped: Vec<Skipped>,
    pub(in crate::mp4) created: Option<WallTime>,
    pub(in crate::mp4) title: Option<String>,
    pub(in crate::mp4) anchor: Option<Anchor>,
    pub(in crate::mp4) trex: Vec<Trex>,
}

impl MovieHeader {
    pub(in crate::mp4) fn parse(moov: &Fields<'_>, budget: &mut Budget) -> Result<Self, ReadError> {
        let mut mvhd = moov.child(b"mvhd")?;
        let (version, _) = mvhd.version_flags()?;
        let created = mvhd.sized(version)?;
        mvhd.sized(version)?;
        let timescale = positive_timescale(&mut mvhd)?;
        let created =
            i64::try_from(created).ok().filter(|&created| created != 0 && created < MAX_SECONDS as i64);
        let mut header = Self {
            tracks: Vec::new(),
            skipped: Vec::new(),
            created: created.map(|created| WallTime((created - SECONDS_1904_TO_1970) * 1_000_000)),
            title: title(moov),
            anchor: None,
            trex: Vec::new(),
        };
        for child in moov.children() {
            let mut child = child?;
            match &{ child.name.0 } {
                b"trak" => header.add_track(&child, timescale, budget)?,
                b"mvex" => {
                    for trex in child.children() {
                        let trex = trex?;
                        if trex.name.0 == *b"trex" {
                            header.trex.push(Trex::parse(trex)?);
                        }
                    }
                }
                b"uuid" if child.array::<16>()? == ANCHOR_UUID => header.anchor = Anchor::parse(child.rest()),
                _ => {}
            }
        }
        Ok(header)
    }

    fn add_track(
        &mut self,
        trak: &Fields<'_>,
        movie_timescale: u32,
        budget: &mut Budget,
    ) -> Result<(), ReadError> {
        let mut tkhd = trak.child(b"tkhd")?;
        let (version, _) = tkhd.version_flags()?;
        tkhd.sized(version)?;
        tkhd.sized(version)?;
        let id = tkhd.u32()?;
        match track(trak, id, movie_timescale, budget) {
            Ok(track) => self.tracks.push(track),
            Err(error @ ReadError::Unsupported { .. }) => {
                self.skipped.push(Skipped { id, handler: handler(trak)?, error });
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }
}

fn track(
    trak: &Fields<'_>,
    id: u32,
    movie_timescale: u32,
    budget: &mut Budget,
) -> Result<MovieTrack, ReadError> {
    let mdia = trak.child(b"mdia")?;
    let mut mdhd = mdia.child(b"mdhd")?;
    let (version, _) = mdhd.version_flags()?;
    mdhd.sized(version)?;
    mdhd.sized(version)?;
    let timescale = positive_timescale(&mut mdhd)?;
    let stbl = mdia.child(b"minf")?.child(b"stbl")?;
    let (config, nal_length_size) = sample_description(stbl.child(b"stsd")?)?;
    let (edit_start, presented_at) = match trak.find(b"edts")? {
        None => (0, Ticks90k::ZERO),
        Some(edts) => edit_list(edts.child(b"elst")?, timescale, movie_timescale)?,
    };
    let (samples, end) = stbl::samples(&stbl, budget)?;
    if !is_sane(end, timescale) {
        return Err(mdhd.malformed("it lasts too long"));
    }
    Ok(MovieTrack { id, config, timescale, samples, end, edit_start, presented_at, nal_length_size })
}

/// `handler_type` of `hdlr` (8.4.3).
fn handler(trak: &Fields<'_>) -> Result<BoxName, ReadError> {
    let mut hdlr = trak.child(b"mdia")?.child(b"hdlr")?;
    hdlr.take(8)?;
    Ok(BoxName(hdlr.array()?))
}

fn positive_timescale(fields: &mut Fields<'_>) -> Result<u32, ReadError> {
    match fields.u32()? {
        0 => Err(fields.malformed("the time scale is 0")),
        timescale => Ok(timescale),
    }
}

/// `elst` (8.6.6): empty edits, then one edit that begins anywhere in the media. Returns that media time, and when it is
/// presented.
fn edit_list(
    mut elst: Fields<'_>,
    timescale: u32,
    movie_timescale: u32,
) -> Result<(u64, Ticks90k), ReadError> {
    let (version, _) = elst.version_flags()?;
    let count = elst.u32()?;
    let mut edits = elst;
    elst.entries(count, if version == 0 { 12 } else { 20 })?;
    let mut empty = 0u64;
    let mut start = None;
    for _ in 0..count {
        let duration = edits.sized(version)?;
        let media_time = match edits.sized(version)? {
            time if version == 0 => i64::from(time as u32 as i32),
            time => time as i64,
        };
        if edits.u32()? != 0x0001_0000 {
            return Err(elst.unsupported("an edit at another speed"));
        }
        if start.is_some() {
            return Err(elst.unsupported("a second edit"));
        }
        match u64::try_from(media_time) {
            Ok(time) if is_sane(time, timescale) => start = Some(time),
            Err(_) if media_time == -1 && is_sane(duration, movie_timescale) => {
                empty = empty.saturating_add(duration);
            }
            _ => return Err(elst.malformed("an edit outside of time")),
        }
    }
    if !is_sane(empty, movie_timescale) {
        return Err(elst.malformed("an edit outside of time"));
    }
    Ok((start.unwrap_or(0), Ticks90k::from_scale(empty as i64, movie_timescale)))
}

/// The one entry of `stsd` (8.5.2), and how long the lengths of NAL units are.
fn sample_description(mut stsd: Fields<'_>) -> Result<(TrackConfig, u8), ReadError> {
    stsd.version_flags()?;
    let count = stsd.u32()?;
    let entry = stsd.children().next().ok_or_else(|| stsd.malformed("no sample description"))??;
    if count != 1 {
        return Err(stsd.unsupported("more than one sample description"));
    }
    match &entry.name.0 {
        b"avc1" | b"avc3" => avc(entry),
        b"mp4a" => Ok((TrackConfig::Audio(aac(entry)?), 4)),
        _ => Err(entry.unsupported("this kind of media")),
    }
}

fn avc(mut entry: Fields<'_>) -> Result<(TrackConfig, u8), ReadError> {
    entry.take(24)?;
    let width = entry.u16()?;
    let height = entry.u16()?;
    entry.take(50)?;
    let avcc_box = entry.child(b"avcC")?;
    let record = avcc::parse(avcc_box.rest()).map_err(|_| avcc_box.malformed("cannot be read"))?;
    let (&[sps], &[pps]) = (record.sps.as_slice(), record.pps.as_slice()) else {
        return Err(avcc_box.unsupported("any number of parameter sets but one of each"));
    };
    let (sps, pps) = (Bytes::copy_from_slice(sps), Bytes::copy_from_slice(pps));
    let video = VideoConfig { width, height, frame_duration: Ticks90k::ZERO, sps, pps };
    Ok((TrackConfig::Video(video), record.length_size))
}

fn aac(mut entry: Fields<'_>) -> Result<AudioConfig, ReadError> {
    entry.take(8)?;
    // QuickTime's versions 1 and 2 of the entry have more fields.
    let more = match entry.u16()? {
        0 => 0,
        1 => 16,
        _ => return Err(entry.unsupported("this version of the entry")),
    };
    entry.take(18 + more)?;
    // QuickTime wraps it once more.
    let around = entry.find(b"wave")?.unwrap_or(entry);
    let mut esds = around.find(b"esds")?.ok_or_else(|| entry.unsupported("sound without esds"))?;
    let asc = audio_specific_config(&mut esds)?;
    let parsed = AudioSpecificConfig::parse(asc).map_err(|_| esds.unsupported("this AudioSpecificConfig"))?;
    let asc = Bytes::copy_from_slice(asc);
    Ok(AudioConfig { sample_rate: parsed.sample_rate, channels: parsed.channels, asc })
}

/// Descends the descriptors of ISO/IEC 14496-1, 7.2.6: ES, decoder configuration, decoder specific information.
fn audio_specific_config<'a>(esds: &mut Fields<'a>) -> Result<&'a [u8], ReadError> {
    esds.version_flags()?;
    descriptor(esds, 3)?;
    esds.take(2)?;
    let flags = esds.u8()?;
    if flags & 0x80 != 0 {
        esds.take(2)?;
    }
    if flags & 0x40 != 0 {
        let url = esds.u8()?;
        esds.take(url.into())?;
    }
    if flags & 0x20 != 0 {
        esds.take(2)?;
    }
    descriptor(esds, 4)?;
    if esds.u8()? != 0x40 {
        return Err(esds.unsupported("sound other than MPEG-4 audio"));
    }
    esds.take(12)?;
    let length = descriptor(esds, 5)?;
    esds.take(length)
}

/// The header of a descriptor with a tag; returns its length.
fn descriptor(esds: &mut Fields<'_>, tag: u8) -> Result<usize, ReadError> {
    if esds.u8()? != tag {
        return Err(esds.malformed("a descriptor that does not belong there"));
    }
    let mut length = 0;
    for _ in 0..4 {
        let byte = esds.u8()?;
        length = length << 7 | usize::from(byte & 0x7F);
        if byte & 0x80 == 0 {
            return Ok(length);
        }
    }
    Err(esds.malformed("the length of a descriptor does not end"))
}

/// The title in `udta/meta/ilst/©nam/data`. A file without one, or with one that cannot be read, has none.
fn title(moov: &Fields<'_>) -> Option<String> {
    let mut meta = moov.find(b"udta").ok()??.find(b"meta").ok()??;
    meta.version_flags().ok()?;
    let mut data = meta.find(b"ilst").ok()??.find(b"\xA9nam").ok()??.find(b"data").ok()??;
    data.take(8).ok()?;
    let text = data.rest().get(..MAX_TITLE).unwrap_or(data.rest());
    Some(String::from_utf8_lossy(text).into_owned())
}

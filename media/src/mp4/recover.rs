//! What a crash left of a recording, made into one that can be sealed. docs/design/mp4.md has the cases.
//!
//! ```text
//! ftyp | (anything) | 1 MiB: moov (mvex) | moof mdat | moof mdat | free mdat, half a box, half a seal ...
//!                                                                ^ everything from here on is cut off
//! ```
//!
//! A seal that was not finished changes nothing in front of that, but for the room that is reserved in every growing file:
//! so the answer is always "it is sealed" or "cut it here and seal it again".

use super::demux::{
    BoxName, Budget, MAX_MOOF, Moof, Movie, MovieHeader, ReadAt, ReadError, TopBox, TrackConfig, Trex,
    is_sane, read,
};
use super::growing::{Chunk, FTYP, Growing, HEAD, MAX_MOOV, MEDIA_AT, Step, head};
use super::moov::About;
use super::seal::Seal;
use super::tables::Sample;
use super::track::Codec;
use crate::{StreamConfig, Ticks90k, Track, VideoConfig};
use std::sync::Arc;

/// Most samples that a recording can have: the table of their sizes would fill the reserved room.
const MAX_SAMPLES: u64 = MAX_MOOV / 4;
/// The `moov` of a recording that grows is smaller: two tracks without tables.
const MAX_GROWING_MOOV: u64 = 64 << 10;
/// Most that is read at once.
const PIECE: u64 = 1 << 20;

/// What is left of a recording.
#[derive(Debug)]
pub enum Recovered {
    /// It is sealed; nothing is to be done.
    Sealed(Seal),
    /// It is whole up to [`Growing::size`].
    Torn(Box<Torn>),
    /// Not one GOP was finished: there is nothing to keep.
    Empty,
}

/// A recording that was not sealed. Cut the file to the size of `growing`, carry `repair` out, then seal it or let it grow on.
#[derive(Debug)]
pub struct Torn {
    /// The recording up to its last whole GOP.
    pub growing: Growing,
    /// What it says of itself.
    pub about: About,
    /// Restores what half a seal may have left in front of the first GOP; mostly empty.
    pub repair: Vec<Step>,
}

/// Looks at a file that should be a recording, and reads it up to its last whole GOP.
///
/// A file that never was a recording is an error, and so is one that was damaged otherwise than by a crash: neither is to be
/// deleted.
pub fn recover(source: &(impl ReadAt + ?Sized)) -> Result<Recovered, ReadError> {
    let mut found = read(source, 0, source.size().min(HEAD as u64) as usize)?;
    found.resize(HEAD, 0);
    if found.iter().zip(FTYP).any(|(&found, &ours)| found != ours && found != 0) {
        let what = "any file but a recording";
        return Err(ReadError::Unsupported { name: BoxName(*b"ftyp"), offset: 0, what });
    }
    if found.ends_with(b"moov")
        && let Some(seal) = sealed(source)?
    {
        return Ok(Recovered::Sealed(seal));
    }
    let Some(mut walk) = Walk::begin(source)? else {
        return if holds_fragment(source)? { Err(no_moov()) } else { Ok(Recovered::Empty) };
    };
    while walk.add_fragment()? {}
    let Walk { growing, about, .. } = walk;
    if growing.is_empty() {
        return Ok(Recovered::Empty);
    }
    let intact = head();
    let repair =
        if found == intact { Vec::new() } else { vec![Step::Write { offset: 0, bytes: intact }, Step::Sync] };
    Ok(Recovered::Torn(Box::new(Torn { growing, about, repair })))
}

/// The seal of a recording that is sealed. Its access units are not read: they were on the disk before the seal was.
fn sealed(source: &(impl ReadAt + ?Sized)) -> Result<Option<Seal>, ReadError> {
    let movie = unless_damaged(Movie::open(source))?.filter(|movie| movie.torn.is_none());
    Ok(movie.and_then(|movie| movie.seal).filter(|seal| seal.size == source.size()))
}

/// What a torn write may have caused is `None`; that the file cannot be read remains an error.
fn unless_damaged<T>(result: Result<T, ReadError>) -> Result<Option<T>, ReadError> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error @ ReadError::Io { .. }) => Err(error),
        Err(_) => Ok(None),
    }
}

fn no_moov() -> ReadError {
    let what = "finished GOPs, but nothing that says how to decode them";
    ReadError::Malformed { name: BoxName(*b"moov"), offset: MEDIA_AT, what }
}

/// Whether a finished GOP stands anywhere in the file: then it is too precious for [`Recovered::Empty`].
fn holds_fragment(source: &(impl ReadAt + ?Sized)) -> Result<bool, ReadError> {
    let is_start = |bytes: &[u8]| bytes.starts_with(b"moof") && bytes.ends_with(b"mfhd");
    let mut at = MEDIA_AT;
    while at < source.size() {
        let piece = read(source, at, (source.size() - at).min(PIECE) as usize)?;
        if piece.windows(12).any(is_start) {
            return Ok(true);
        }
        // The next piece begins with the end of this one, where a start may be cut in two.
        at += if piece.len() as u64 == PIECE { PIECE - 11 } else { PIECE };
    }
    Ok(false)
}

/// The way along the fragments.
struct Walk<'a, S: ?Sized> {
    source: &'a S,
    trex: Vec<Trex>,
    budget: Budget,
    growing: Growing,
    about: About,
}

impl<'a, S: ReadAt + ?Sized> Walk<'a, S> {
    /// Reads the `moov` of the growing file; `None` if it is not whole.
    fn begin(source: &'a S) -> Result<Option<Self>, ReadError> {
        let found = unless_damaged(TopBox::read(source, MEDIA_AT))?;
        let Some(found) = found.filter(|found| found.name.0 == *b"moov") else { return Ok(None) };
        let mut budget = Budget { samples: MAX_SAMPLES };
        let payload = unless_damaged(found.payload(source, MAX_GROWING_MOOV))?.unwrap_or_default();
        let Some(header) = unless_damaged(MovieHeader::parse(&found.fields(&payload), &mut budget))? else {
            return Ok(None);
        };
        let (Some(config), Some(anchor)) = (stream_config(&header), header.anchor) else { return Ok(None) };
        let growing = Growing::resume(Arc::new(config), anchor, found.end - found.offset);
        let about = About { camera: header.title.unwrap_or_default(), start: anchor.start };
        Ok(Some(Self { source, trex: header.trex, budget, growing, about }))
    }

    /// Adds the next fragment; false if none follows that is whole.
    fn add_fragment(&mut self) -> Result<bool, ReadError> {
        let Some((moof, mdat)) = unless_damaged(self.fragment())? else { return Ok(false) };
        let first = self.growing.anchor().first_sequence;
        let sequence = first.saturating_add(moof.sequence.into()).saturating_sub(1);
        let fits = |chunks: &Vec<Chunk>| self.growing.accepts(sequence) && self.growing.has_room_for(chunks);
        let Some(chunks) = self.chunks(&moof, &mdat).filter(fits) else { return Ok(false) };
        self.hash(&mdat)?;
        let first =
            chunks.iter().find(|chunk| chunk.track == Track::Video).and_then(|chunk| chunk.samples.first());
        // The clock was not set while the recording grew, or another would have begun: one date tells all others.
        let wall =
            self.about.start.zip(first).map(|(start, first)| start.plus(Ticks90k(first.media_time as i64)));
        chunks.into_iter().for_each(|chunk| self.growing.push_chunk(chunk));
        self.growing.push_fragment(sequence, mdat.end, wall);
        Ok(true)
    }

    /// The chunks of a fragment, if they fill its `mdat` and follow on from what the recording has.
    fn chunks(&self, moof: &Moof, mdat: &TopBox) -> Option<Vec<Chunk>> {
        let mut chunks: Vec<Chunk> = Vec::new();
        let mut offset = mdat.payload;
        for traf in moof.trafs.iter().filter(|traf| !traf.samples.is_empty()) {
            let track = if traf.track_id == 1 { Track::Video } else { Track::Audio };
            let codec = Codec::of(self.growing.config(), track).ok()?;
            let first = traf.samples.first()?;
            let repeated = chunks.iter().any(|chunk| chunk.track == track);
            if repeated || first.offset != offset || !is_sane(traf.end, codec.timescale()) {
                return None;
            }
            self.growing.follows(codec, first.dts as i64).ok()?;
            let samples = traf.samples.iter().map(|sample| Sample {
                media_time: sample.dts,
                size: sample.size,
                sync: sample.sync,
            });
            chunks.push(Chunk { track, offset, samples: samples.collect(), end: traf.end });
            offset = traf.data_end;
        }
        (offset == mdat.end).then_some(chunks)
    }

    fn fragment(&mut self) -> Result<(Moof, TopBox), ReadError> {
        let found = TopBox::read(self.source, self.growing.size())?;
        let payload = found.payload(self.source, MAX_MOOF)?;
        let fields = found.fields(&payload);
        if found.name.0 != *b"moof" {
            return Err(fields.malformed("no fragment"));
        }
        let moof = Moof::parse(&fields, &self.trex, &mut self.budget, |_| 0)?;
        let mdat = TopBox::read(self.source, found.end)?;
        if mdat.name.0 != *b"mdat" {
            return Err(fields.malformed("no mdat behind it"));
        }
        Ok((moof, mdat))
    }

    /// Takes the data of a fragment into the seal: they stand there in just that order.
    fn hash(&mut self, mdat: &TopBox) -> Result<(), ReadError> {
        let mut at = mdat.payload;
        while at < mdat.end {
            let piece = read(self.source, at, (mdat.end - at).min(PIECE) as usize)?;
            self.growing.hash(&piece);
            at += piece.len() as u64;
        }
        Ok(())
    }
}

/// The decoder configuration, with the nominal frame duration that `trex` keeps.
fn stream_config(header: &MovieHeader) -> Option<StreamConfig> {
    let mut video = None;
    let mut audio = None;
    for track in &header.tracks {
        match &track.config {
            TrackConfig::Video(config) => {
                let trex = header.trex.iter().find(|trex| trex.track_id == track.id)?;
                video =
                    Some(VideoConfig { frame_duration: Ticks90k(trex.duration.into()), ..config.clone() });
            }
            TrackConfig::Audio(config) => audio = Some(config.clone()),
        }
    }
    Some(StreamConfig { video: video?, audio })
}

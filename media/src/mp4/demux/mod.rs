//! Reading MP4 with random access: our recordings, growing and sealed, and others with H.264 and AAC.
//!
//! ```text
//! Movie::open  walks the boxes of the file: moov -> tracks and sample tables, moof -> more samples, uuid -> seal
//! Movie::read  one access unit
//! ```
//!
//! Nothing that a file says is believed: lengths and counts are bounded before memory is taken, and an error names the box
//! and its offset. A file that is cut short behind its `moov` is read up to there, and [`Movie::torn`] says why it ends.

mod moof;
mod moov;
mod source;
mod stbl;

pub use source::{BoxName, ReadAt, ReadError};

pub(super) use moof::{Moof, Trex};
pub(super) use moov::MovieHeader;
pub(super) use source::{TopBox, read};

use super::growing::MDAT_AT;
use super::seal::{Anchor, SEAL_UUID, Seal};
use crate::h264::nal::{NalType, avcc, push_avcc};
use crate::ledger::{Hash, slice::MOST_BYTES};
use crate::{AccessUnit, AudioConfig, Gop, StreamConfig, Ticks90k, Track, VideoConfig, WallTime};
use bytes::Bytes;
use sha2::{Digest, Sha256};
use std::sync::Arc;

/// Largest `moov` that is read.
const MAX_MOOV: u64 = 32 << 20;
/// Largest `moof` that is read.
pub(super) const MAX_MOOF: u64 = 4 << 20;
/// Largest access unit that is read.
const MAX_ACCESS_UNIT: u64 = 16 << 20;
/// Most samples in all tracks of a file: seven hours of picture and sound.
const MAX_SAMPLES: u64 = 1 << 21;
/// Most boxes at the top level of a file.
const MAX_BOXES: u64 = 1 << 20;
/// Most seconds that a time in a file may be: two thousand years, so that no sum overflows.
const MAX_SECONDS: u64 = 1 << 36;

/// Whether a time is one that can be calculated with.
pub(super) fn is_sane(time: u64, timescale: u32) -> bool {
    time < 1 << 62 && time / u64::from(timescale) < MAX_SECONDS
}

/// A movie that can be read.
#[derive(Debug)]
pub struct Movie {
    /// The tracks that can be read: H.264 and AAC.
    pub tracks: Vec<MovieTrack>,
    /// The tracks that are of another kind.
    pub skipped: Vec<Skipped>,
    /// `creation_time`.
    pub created: Option<WallTime>,
    /// The title: in a recording the camera's name.
    pub title: Option<String>,
    /// In a recording: what ties its time to the media clock.
    pub anchor: Option<Anchor>,
    /// In a sealed recording: what it says of itself.
    pub seal: Option<Seal>,
    /// Whether samples come in fragments (`mvex`): a recording that grows, or a live stream that was saved.
    pub fragmented: bool,
    /// Where the last box ends that could be read.
    pub end: u64,
    /// Why the file could not be read beyond `end`.
    pub torn: Option<ReadError>,
}

/// A track that cannot be read.
#[derive(Debug)]
pub struct Skipped {
    /// `track_ID`.
    pub id: u32,
    /// `handler_type`: `vide` and `soun` are pictures and sound of another kind.
    pub handler: BoxName,
    /// Why.
    pub error: ReadError,
}

/// What a decoder must know of a track.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TrackConfig {
    /// H.264. Where the file does not say how long a picture lasts, `frame_duration` is the average.
    Video(VideoConfig),
    /// AAC.
    Audio(AudioConfig),
}

/// One track and its samples.
#[derive(Debug)]
pub struct MovieTrack {
    /// `track_ID`.
    pub id: u32,
    /// What a decoder must know.
    pub config: TrackConfig,
    /// Units a second of the samples' times.
    pub timescale: u32,
    /// In decoding order.
    pub samples: Vec<Sample>,
    /// Media time at which the last sample ends, in `timescale`.
    pub end: u64,
    /// What the edit list says: the media time that is presented at `presented_at`.
    edit_start: u64,
    presented_at: Ticks90k,
    /// Bytes of the length before each NAL unit; 4 where that means nothing.
    nal_length_size: u8,
}

/// One access unit in the file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sample {
    /// Where its data stands.
    pub offset: u64,
    /// Decoding time in the track's time scale.
    pub dts: u64,
    /// Bytes of data.
    pub size: u32,
    /// What presentation time is later than decoding time.
    pub composition_offset: i32,
    /// Decoding can begin here.
    pub sync: bool,
}

/// How many samples may still be read of a file.
#[derive(Debug)]
pub(super) struct Budget {
    pub(super) samples: u64,
}

impl Budget {
    /// Takes `count` samples, before memory is.
    fn take(&mut self, fields: &source::Fields<'_>, count: u32) -> Result<(), ReadError> {
        let left = self.samples.checked_sub(count.into());
        self.samples = left.ok_or_else(|| fields.too_much("samples", count.into(), self.samples))?;
        Ok(())
    }
}

impl Movie {
    /// Reads everything but the access units.
    pub fn open(source: &(impl ReadAt + ?Sized)) -> Result<Self, ReadError> {
        let mut budget = Budget { samples: MAX_SAMPLES };
        let mut opened = None;
        let mut at = 0;
        for _ in 0..MAX_BOXES {
            if at >= source.size() {
                break;
            }
            let result = TopBox::read(source, at).and_then(|found| {
                match (&found.name.0, &mut opened) {
                    (b"moov", None) => {
                        let payload = found.payload(source, MAX_MOOV)?;
                        opened = Some(Opened::new(MovieHeader::parse(&found.fields(&payload), &mut budget)?));
                    }
                    (b"moof", Some(opened)) => opened.add_fragment(source, &found, &mut budget)?,
                    (b"uuid", Some(opened)) => opened.movie.seal = read_seal(source, &found)?,
                    _ => {}
                }
                Ok(found.end)
            });
            match (result, &mut opened) {
                (Ok(end), _) => at = end,
                (Err(error @ (ReadError::Malformed { .. } | ReadError::Missing { .. })), Some(opened)) => {
                    opened.movie.torn = Some(error);
                    break;
                }
                (Err(error), _) => return Err(error),
            }
        }
        let mut movie = opened.ok_or(ReadError::NoMovie { size: source.size() })?.finish();
        movie.end = at;
        Ok(movie)
    }

    /// The first track of a kind.
    pub fn track(&self, track: Track) -> Option<&MovieTrack> {
        self.tracks.iter().find(|found| found.kind() == track)
    }

    /// The decoder configuration of the first picture and the first sound track; `None` without a picture.
    pub fn stream_config(&self) -> Option<StreamConfig> {
        let TrackConfig::Video(video) = self.track(Track::Video)?.config.clone() else { return None };
        let audio = self.track(Track::Audio).and_then(|track| match &track.config {
            TrackConfig::Audio(audio) => Some(audio.clone()),
            TrackConfig::Video(_) => None,
        });
        Some(StreamConfig { video, audio })
    }

    /// When the last access unit ends, counted from the movie's time 0.
    pub fn duration(&self) -> Ticks90k {
        self.tracks.iter().map(MovieTrack::presented_end).max().unwrap_or(Ticks90k::ZERO)
    }

    /// What is left of a recording when it is thinned: each IDR picture as a GOP of its own, without sound. `None`: there is no
    /// picture, or it is no recording.
    pub fn idrs<'a>(
        &'a self,
        source: &'a (impl ReadAt + ?Sized),
    ) -> Option<impl Iterator<Item = Result<Gop, ReadError>> + 'a> {
        let (track, anchor) = (self.track(Track::Video)?, self.anchor?);
        let config = Arc::new(StreamConfig { audio: None, ..self.stream_config()? });
        let pictures = track.samples.iter().filter(|sample| sample.sync).zip(anchor.first_sequence..);
        Some(pictures.map(move |(sample, sequence)| {
            let mut unit = track.read(source, sample)?;
            unit.pts += anchor.origin;
            let (start, config) = (unit.pts, Arc::clone(&config));
            let (wall, discontinuity, end) = (None, false, None);
            Ok(Gop { sequence, start, wall, discontinuity, config, units: vec![unit], end })
        }))
    }
}

impl MovieTrack {
    /// Whether it is picture or sound.
    pub fn kind(&self) -> Track {
        match self.config {
            TrackConfig::Video(_) => Track::Video,
            TrackConfig::Audio(_) => Track::Audio,
        }
    }

    /// Presentation time of a sample, counted from the movie's time 0. Negative is what the edit list cuts off at the start:
    /// to be decoded, not to be presented.
    pub fn pts(&self, sample: &Sample) -> Ticks90k {
        self.presented(sample.dts, sample.composition_offset)
    }

    /// When a sample is decoded, counted like [`Self::pts`].
    pub fn dts(&self, sample: &Sample) -> Ticks90k {
        self.presented(sample.dts, 0)
    }

    /// When the access unit that is presented last ends. It is not before the last sync sample.
    pub fn presented_end(&self) -> Ticks90k {
        let gop = self.samples.iter().rposition(|sample| sample.sync).unwrap_or(0);
        let last = self.samples.get(gop..).unwrap_or_default().iter();
        let last = last.map(|sample| sample.dts as i64 + i64::from(sample.composition_offset)).max();
        let (Some(last), Some(decoded)) = (last, self.samples.last()) else { return self.presented_at };
        // It lasts as long as what is decoded last: the table of times knows no other end.
        self.presented_media(last + (self.end - decoded.dts) as i64)
    }

    /// Index of the last sync sample that is not decoded after `at`; the first sync sample if all are later.
    pub fn sync_before(&self, at: Ticks90k) -> Option<usize> {
        let later = self.samples.partition_point(|sample| self.presented(sample.dts, 0) <= at);
        let (before, after) = self.samples.split_at(later);
        let index = before.iter().rposition(|sample| sample.sync);
        index.or_else(|| after.iter().position(|sample| sample.sync).map(|index| later + index))
    }

    /// Reads one access unit, in the form that [`AccessUnit`] promises. Its `pts` is that of [`Self::pts`].
    pub fn read(&self, source: &(impl ReadAt + ?Sized), sample: &Sample) -> Result<AccessUnit, ReadError> {
        let malformed = |what| ReadError::Malformed { name: BoxName(*b"mdat"), offset: sample.offset, what };
        if u64::from(sample.size) > MAX_ACCESS_UNIT {
            return Err(malformed("an access unit of more than 16 MiB"));
        }
        if sample.offset.checked_add(sample.size.into()).is_none_or(|end| end > source.size()) {
            return Err(malformed("an access unit reaches beyond the end of the file"));
        }
        let mut data = read(source, sample.offset, sample.size as usize)?;
        if let TrackConfig::Video(config) = &self.config {
            data = normalized(data, self.nal_length_size)
                .ok_or_else(|| malformed("lengths of NAL units contradict that of the access unit"))?;
            data = without_parameter_sets(data, config).ok_or(ReadError::Unsupported {
                name: BoxName(*b"mdat"),
                offset: sample.offset,
                what: "a parameter set that is not the track's",
            })?;
        }
        Ok(AccessUnit {
            track: self.kind(),
            pts: self.pts(sample),
            key: sample.sync,
            data: Bytes::from(data),
        })
    }

    fn presented(&self, dts: u64, composition_offset: i32) -> Ticks90k {
        self.presented_media(dts as i64 + i64::from(composition_offset))
    }

    fn presented_media(&self, time: i64) -> Ticks90k {
        self.presented_at + Ticks90k::from_scale(time - self.edit_start as i64, self.timescale)
    }
}

/// NAL units with lengths of 4 bytes; `None` if the lengths do not fit.
fn normalized(data: Vec<u8>, length_size: u8) -> Option<Vec<u8>> {
    let data = if length_size == 4 { data } else { with_long_lengths(&data, length_size)? };
    avcc(&data).all(|nal| nal.is_ok()).then_some(data)
}

/// Without parameter sets and delimiters; `None` if there is a parameter set that `config` does not have.
fn without_parameter_sets(data: Vec<u8>, config: &VideoConfig) -> Option<Vec<u8>> {
    let nals = || avcc(&data).filter_map(Result::ok);
    if nals().all(|nal| NalType::of(nal).belongs_in_access_unit()) {
        return Some(data);
    }
    let mut out = Vec::with_capacity(data.len());
    for nal in nals() {
        match NalType::of(nal) {
            NalType::Sps if nal != config.sps => return None,
            NalType::Pps if nal != config.pps => return None,
            other if other.belongs_in_access_unit() => push_avcc(nal, &mut out).ok()?,
            _ => {}
        }
    }
    Some(out)
}

fn with_long_lengths(mut data: &[u8], length_size: u8) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(data.len() + 64);
    while !data.is_empty() {
        let (length, rest) = data.split_at_checked(length_size.into())?;
        let length = length.iter().fold(0, |length, &byte| length << 8 | usize::from(byte));
        let (nal, rest) = rest.split_at_checked(length)?;
        push_avcc(nal, &mut out).ok()?;
        data = rest;
    }
    Some(out)
}

/// A movie while it is opened.
struct Opened {
    movie: Movie,
    trex: Vec<Trex>,
}

impl Opened {
    fn new(header: MovieHeader) -> Self {
        let MovieHeader { tracks, skipped, created, title, anchor, trex } = header;
        let fragmented = !trex.is_empty();
        let movie =
            Movie { tracks, skipped, created, title, anchor, seal: None, fragmented, end: 0, torn: None };
        Self { movie, trex }
    }

    /// Adds the samples of a `moof`, all of them or none.
    fn add_fragment(
        &mut self,
        source: &(impl ReadAt + ?Sized),
        found: &TopBox,
        budget: &mut Budget,
    ) -> Result<(), ReadError> {
        let payload = found.payload(source, MAX_MOOF)?;
        let fields = found.fields(&payload);
        let ends = |id| self.movie.tracks.iter().find(|track| track.id == id).map_or(0, |track| track.end);
        let moof = Moof::parse(&fields, &self.trex, budget, ends)?;
        let before: Vec<_> = self.movie.tracks.iter().map(|track| (track.samples.len(), track.end)).collect();
        let added = moof.trafs.into_iter().try_for_each(|traf| self.add_samples(source, &fields, traf));
        if added.is_err() {
            for (track, (samples, end)) in self.movie.tracks.iter_mut().zip(before) {
                track.samples.truncate(samples);
                track.end = end;
            }
        }
        added
    }

    /// Adds the samples of one `traf`; those of a track that is not read are left out.
    fn add_samples(
        &mut self,
        source: &(impl ReadAt + ?Sized),
        fields: &source::Fields<'_>,
        traf: moof::Traf,
    ) -> Result<(), ReadError> {
        let Some(track) = self.movie.tracks.iter_mut().find(|track| track.id == traf.track_id) else {
            return Ok(());
        };
        if traf.data_end > source.size() {
            return Err(fields.malformed("its samples reach beyond the end of the file"));
        }
        if !is_sane(traf.end, track.timescale) {
            return Err(fields.malformed("it lasts too long"));
        }
        let last = track.samples.last().map_or(0, |sample| sample.dts);
        if traf.samples.first().is_some_and(|first| first.dts < last) {
            return Err(fields.malformed("time goes back"));
        }
        track.end = track.end.max(traf.end);
        track.samples.extend(traf.samples);
        Ok(())
    }

    fn finish(mut self) -> Movie {
        for track in &mut self.movie.tracks {
            let nominal =
                self.trex.iter().find(|trex| trex.track_id == track.id).map_or(0, |trex| trex.duration);
            if let TrackConfig::Video(video) = &mut track.config {
                let first = track.samples.first().map_or(0, |sample| sample.dts);
                let average = (track.end - first).checked_div(track.samples.len() as u64).unwrap_or(0);
                let duration = if nominal > 0 { nominal.into() } else { average };
                video.frame_duration = Ticks90k::from_scale(duration as i64, track.timescale);
            }
        }
        self.movie
    }
}

fn read_seal(source: &(impl ReadAt + ?Sized), found: &TopBox) -> Result<Option<Seal>, ReadError> {
    let length = (found.end - found.payload).min(Seal::BOX_SIZE);
    let payload = read(source, found.payload, length as usize)?;
    match payload.split_first_chunk::<16>() {
        Some((&SEAL_UUID, rest)) => {
            Ok(Some(Seal::parse(rest).ok_or_else(|| found.fields(&[]).malformed("not a seal of version 0"))?))
        }
        _ => Ok(None),
    }
}

/// Checks that every box and every sample lies inside the file and, if it has a seal, that it is as long as that promises.
/// Gives the seal. It reads no footage.
pub fn structure(source: &(impl ReadAt + ?Sized)) -> Result<Option<Seal>, ReadError> {
    Ok(open_whole(source)?.seal)
}

/// A sealed recording of which every byte of footage was read.
#[derive(Clone, Debug)]
pub struct Examined {
    /// What it promises, and is.
    pub seal: Seal,
    /// The camera's name.
    pub camera: Option<String>,
    /// SHA-256 over the access units of each GOP, in the order of the file.
    pub gops: Vec<Hash>,
    /// The ledger slices that its seal carries; empty if it carries none.
    pub ledger: Bytes,
}

/// Checks that a recording is sealed, complete, and holds the very access units that its seal promises. It reads the whole
/// file.
pub fn verify(source: &(impl ReadAt + ?Sized)) -> Result<Seal, ReadError> {
    examine(source).map(|examined| examined.seal)
}

/// As [`verify`], and gives what can be held against the ledger.
pub fn examine(source: &(impl ReadAt + ?Sized)) -> Result<Examined, ReadError> {
    let movie = open_whole(source)?;
    let seal = movie.seal.ok_or_else(|| at_seal(&movie, "the recording is not sealed"))?;
    let begins_gop = |track: &MovieTrack, sample: &Sample| track.kind() == Track::Video && sample.sync;
    let samples = |track| {
        let track: &MovieTrack = track;
        track.samples.iter().map(move |sample| (sample, begins_gop(track, sample)))
    };
    let mut samples: Vec<(&Sample, bool)> = movie.tracks.iter().flat_map(samples).collect();
    samples.sort_by_key(|(sample, _)| sample.offset);
    let mut digest = Sha256::new();
    let mut gop: Option<Sha256> = None;
    let mut gops = Vec::new();
    for (sample, begins_gop) in samples {
        if u64::from(sample.size) > MAX_ACCESS_UNIT {
            return Err(at_seal(&movie, "an access unit of more than 16 MiB"));
        }
        if begins_gop {
            gops.extend(gop.take().map(|gop| Hash::from(gop.finalize())));
        }
        let data = read(source, sample.offset, sample.size as usize)?;
        digest.update(&data);
        gop.get_or_insert_default().update(&data);
    }
    gops.extend(gop.map(|gop| Hash::from(gop.finalize())));
    if Hash::from(digest.finalize()) != seal.sha256 {
        return Err(at_seal(&movie, "the seal promises other access units"));
    }
    Ok(Examined { seal, camera: movie.title, gops, ledger: ledger(source)? })
}

/// The ledger slices that the seal of a recording carries, without a look at anything else in the file. Empty: there is no seal,
/// or it carries none.
pub fn ledger(source: &(impl ReadAt + ?Sized)) -> Result<Bytes, ReadError> {
    let mut at = 0;
    for _ in 0..MAX_BOXES {
        if at >= source.size() {
            break;
        }
        let found = TopBox::read(source, at)?;
        if found.name.0 == *b"uuid" && read_seal(source, &found)?.is_some() {
            let known = found.offset + Seal::BOX_SIZE;
            let length = found.end.saturating_sub(known);
            if length > MOST_BYTES as u64 {
                return Err(found.fields(&[]).malformed("more ledger than there may be"));
            }
            return Ok(read(source, known, length as usize)?.into());
        }
        at = found.end;
    }
    Ok(Bytes::new())
}

/// Where the footage of a sealed recording of ours ends, and its seal begins.
///
/// # Errors
/// It is not sealed.
pub fn footage_end(source: &(impl ReadAt + ?Sized)) -> Result<u64, ReadError> {
    let found = TopBox::read(source, MDAT_AT)?;
    if found.name.0 == *b"mdat" { Ok(found.end) } else { Err(found.fields(&[]).malformed("no footage")) }
}

fn open_whole(source: &(impl ReadAt + ?Sized)) -> Result<Movie, ReadError> {
    let mut movie = Movie::open(source)?;
    if let Some(error) = movie.torn.take() {
        return Err(error);
    }
    if movie.seal.is_some_and(|seal| seal.size != source.size()) {
        return Err(at_seal(&movie, "the seal promises another size"));
    }
    let samples = || movie.tracks.iter().flat_map(|track| &track.samples);
    let malformed = |what| ReadError::Malformed { name: BoxName(*b"moov"), offset: 0, what };
    let ends = samples().map(|sample| sample.offset.saturating_add(sample.size.into()));
    if ends.max().is_some_and(|end| end > source.size()) {
        return Err(malformed("its samples reach beyond the end of the file"));
    }
    // A small file must not be able to ask for terabytes to be read: two million samples may all name the same megabyte.
    if samples().map(|sample| u64::from(sample.size)).sum::<u64>() > source.size() {
        return Err(malformed("its samples are larger than the file"));
    }
    Ok(movie)
}

/// An error of the seal, which ends the file.
fn at_seal(movie: &Movie, what: &'static str) -> ReadError {
    let offset = movie.end.saturating_sub(if movie.seal.is_some() { Seal::BOX_SIZE } else { 0 });
    ReadError::Malformed { name: BoxName(*b"uuid"), offset, what }
}

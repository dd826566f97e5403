//! Which access units of a recording go into its stream, and in which order.
//!
//! ```text
//! picture    . . I P P P I P P P ...        . is decoded by nobody: before the last IDR that the edit list leaves
//! sound      . . a a a a a a a a ...        the frame before the first one that is heard primes the decoder
//!                ^ time 0
//! ```
//!
//! MPEG-TS has no edit lists. All times keep their distances, so picture and sound stay together to the tick. What an edit list
//! cuts off before a picture that is no IDR is shown: without it nothing behind it could be decoded.

use media::aac::AudioSpecificConfig;
use media::mp4::Movie;
use media::mp4::demux::{MovieTrack, Sample, TrackConfig};
use media::{AudioConfig, Ticks90k, Track, VideoConfig};

/// H.264 profiles that every player has: Baseline, Main, High.
const PROFILES: [u8; 3] = [66, 77, 100];
/// AAC-LC.
const LOW_COMPLEXITY: u8 = 2;
/// Where time 0 stands in the stream: what comes before it, and the clock that runs ahead of it, need not be negative.
const ORIGIN: Ticks90k = Ticks90k(10 * Ticks90k::SECOND.0);

/// Why a recording cannot become MPEG-TS as it is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// Not an MP4, whatever its name says.
    #[error("no MP4")]
    Container,
    /// A track that is neither H.264 nor AAC, or in a form that is not handled.
    #[error("track {id}: {why}")]
    Track {
        /// `track_ID`.
        id: u32,
        /// What the demuxer says of it.
        why: String,
    },
    /// H.264 of a profile that not every player has.
    #[error("H.264 of profile {0}")]
    Profile(u8),
    /// AAC other than LC.
    #[error("AAC of object type {0}")]
    Sound(u8),
    /// The first picture is not an IDR: nobody could begin with it.
    #[error("the first picture is no IDR")]
    NoIdr,
    /// No track with anything in it.
    #[error("neither picture nor sound")]
    Empty,
    /// Something in the middle of a track that a stream cannot have.
    #[error("{0}")]
    Inside(String),
}

/// The access units of a recording, in decoding order.
#[derive(Debug)]
pub struct Plan<'a> {
    /// The picture and its configuration.
    pub video: Option<(Part<'a>, VideoConfig)>,
    /// The sound and its configuration.
    pub audio: Option<(Part<'a>, AudioConfig)>,
    /// When the first access unit that is presented begins, on the movie's clock: what only primes a decoder does not count.
    pub start: Ticks90k,
    /// When the last one ends.
    pub end: Ticks90k,
    /// What the stream's time is later than the movie's.
    pub shift: Ticks90k,
}

/// What is used of a track.
#[derive(Clone, Copy, Debug)]
pub struct Part<'a> {
    /// The track.
    pub track: &'a MovieTrack,
    /// Its samples without those that nobody needs.
    pub samples: &'a [Sample],
    /// How long most of them last.
    pub usual: Ticks90k,
}

impl<'a> Plan<'a> {
    /// Looks at everything but the access units.
    pub fn new(movie: &'a Movie) -> Result<Self, Unfit> {
        let mut strange =
            movie.skipped.iter().filter(|skipped| matches!(&skipped.handler.0, b"vide" | b"soun"));
        if let Some(skipped) = strange.next() {
            return Err(Unfit::Track { id: skipped.id, why: skipped.error.to_string() });
        }
        let video = movie.track(Track::Video).and_then(picture).map(checked_picture).transpose()?;
        let seen = video.as_ref().and_then(|(part, _)| part.first_shown());
        let from = seen.unwrap_or_default().min(Ticks90k::ZERO);
        let audio = movie.track(Track::Audio).and_then(|track| sound(track, from));
        let audio = audio.map(checked_sound).transpose()?;
        let parts = || video.iter().map(|(part, _)| part).chain(audio.iter().map(|(part, _)| part));
        let first = parts().filter_map(Part::first_decoded).min().ok_or(Unfit::Empty)?;
        let heard = audio.as_ref().and_then(|(part, _)| part.first_shown()).map(|at| at.max(from));
        let start = seen.into_iter().chain(heard).min().ok_or(Unfit::Empty)?;
        let end = parts().map(|part| part.track.presented_end()).max().ok_or(Unfit::Empty)?;
        Ok(Self { video, audio, start, end, shift: ORIGIN - first.min(Ticks90k::ZERO) })
    }

    /// All samples in the order in which they are decoded; a picture before the sound of the same time.
    pub fn samples(&self) -> impl Iterator<Item = (&'a MovieTrack, &'a Sample)> {
        let of = |part: Option<Part<'a>>| {
            let samples = part.into_iter().flat_map(|part| part.samples.iter().map(move |s| (part.track, s)));
            samples.peekable()
        };
        let mut video = of(self.video.as_ref().map(|(part, _)| *part));
        let mut audio = of(self.audio.as_ref().map(|(part, _)| *part));
        std::iter::from_fn(move || {
            let dts = |(track, sample): &(&MovieTrack, &Sample)| track.dts(sample);
            let sound_first = match (video.peek().map(dts), audio.peek().map(dts)) {
                (Some(picture), Some(sound)) => sound < picture,
                (picture, _) => picture.is_none(),
            };
            if sound_first { audio.next() } else { video.next() }
        })
    }
}

impl<'a> Part<'a> {
    fn new(track: &'a MovieTrack, samples: &'a [Sample]) -> Self {
        let ends = samples.iter().skip(1).map(|sample| sample.dts).chain([track.end]);
        let mut lasts: Vec<u64> =
            samples.iter().zip(ends).map(|(sample, end)| end.saturating_sub(sample.dts)).collect();
        let middle = lasts.len() / 2;
        let usual = if lasts.is_empty() { 0 } else { *lasts.select_nth_unstable(middle).1 };
        Self { track, samples, usual: Ticks90k::from_scale(usual as i64, track.timescale) }
    }

    fn first_decoded(&self) -> Option<Ticks90k> {
        self.samples.first().map(|sample| self.track.dts(sample).min(self.track.pts(sample)))
    }

    /// How long it is presented.
    pub fn shown(&self) -> Ticks90k {
        self.track.presented_end() - self.first_shown().unwrap_or_default()
    }

    fn first_shown(&self) -> Option<Ticks90k> {
        self.samples.first().map(|sample| self.track.pts(sample))
    }
}

/// The pictures from the sync sample on that the edit list's start needs.
fn picture(track: &MovieTrack) -> Option<Part<'_>> {
    let shown = track.samples.iter().position(|sample| track.pts(sample) >= Ticks90k::ZERO)?;
    let (before, _) = track.samples.split_at_checked(shown + 1)?;
    let first = before.iter().rposition(|sample| sample.sync)?;
    Some(Part::new(track, track.samples.get(first..)?))
}

/// The frames from the one before `start` on.
fn sound(track: &MovieTrack, start: Ticks90k) -> Option<Part<'_>> {
    let heard = track.samples.partition_point(|sample| track.pts(sample) < start);
    // The frame that `start` falls into is heard; the one before it primes the decoder.
    let begun = track.samples.get(heard).is_none_or(|frame| track.pts(frame) > start);
    let first = heard.saturating_sub(if begun { 2 } else { 1 });
    Some(Part::new(track, track.samples.get(first..).filter(|samples| !samples.is_empty())?))
}

fn checked_picture(part: Part<'_>) -> Result<(Part<'_>, VideoConfig), Unfit> {
    let TrackConfig::Video(config) = &part.track.config else { return Err(Unfit::Empty) };
    let profile = config.sps.get(1).copied().unwrap_or_default();
    if !PROFILES.contains(&profile) {
        return Err(Unfit::Profile(profile));
    }
    Ok((part, config.clone()))
}

fn checked_sound(part: Part<'_>) -> Result<(Part<'_>, AudioConfig), Unfit> {
    let TrackConfig::Audio(config) = &part.track.config else { return Err(Unfit::Empty) };
    let object_type = AudioSpecificConfig::parse(&config.asc).map_or(0, |parsed| parsed.object_type);
    if object_type != LOW_COMPLEXITY {
        return Err(Unfit::Sound(object_type));
    }
    Ok((part, config.clone()))
}

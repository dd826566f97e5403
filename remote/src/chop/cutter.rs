//! Segments, written access unit by access unit: one pass over the recording, one picture in memory.
//!
//! ```text
//! IDR ........ IDR ........ IDR .. last picture     (no footage)     IDR ...
//! |<- segment ->|<- segment ->|<-- segment -->|                      |<- segment, after a discontinuity
//! ```

use super::plan::{Plan, Unfit};
use super::source::Source;
use super::{Error, at};
use media::aac::AudioSpecificConfig;
use media::h264::NalType;
use media::h264::nal::avcc;
use media::hls::vod::{Segment, Variant};
use media::mp4::ReadError;
use media::mp4::demux::{MovieTrack, Sample};
use media::ts::Stream;
use media::{AccessUnit, Ticks90k, Track, WallTime};
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

/// A segment may end so much before its time is up: a camera's second is a picture longer or shorter than a second.
const EARLY: Ticks90k = Ticks90k::from_millis(250);
/// Sound alone does not make a segment that is shorter than this at the end.
const SHORTEST: Ticks90k = Ticks90k::SECOND;
/// A hole in all tracks that is longer than this is a gap: it is not played, but marked.
const GAP: Ticks90k = Ticks90k::SECOND;
/// How much of a segment waits in memory until it is written.
const BUFFER: usize = 1 << 20;

/// Writes the segments of a recording.
pub struct Cutter<'a> {
    plan: &'a Plan<'a>,
    folder: &'a Path,
    /// What the names of all segments begin with.
    prefix: String,
    /// Wall time of the movie's time 0.
    date: Option<WallTime>,
    target: Ticks90k,
    stream: Stream,
    buffer: Vec<u8>,
    open: Option<Open>,
    done: Vec<Segment>,
    pictures: usize,
    /// When the footage so far ends.
    reached: Ticks90k,
    /// How long all gaps were.
    gaps: Ticks90k,
}

/// The segment that is being written.
struct Open {
    path: PathBuf,
    file: File,
    start: Ticks90k,
    segment: Segment,
}

impl<'a> Cutter<'a> {
    /// Segments of about `target` for `plan`, in `folder`.
    pub fn new(
        plan: &'a Plan<'a>,
        folder: &'a Path,
        prefix: String,
        date: Option<WallTime>,
        target: Ticks90k,
    ) -> Self {
        let video = plan.video.as_ref().map(|(_, config)| config.clone());
        let audio = plan.audio.as_ref().and_then(|(_, config)| AudioSpecificConfig::parse(&config.asc).ok());
        Self {
            plan,
            folder,
            prefix,
            date,
            target,
            stream: Stream::new(video, audio),
            buffer: Vec::with_capacity(BUFFER),
            open: None,
            done: Vec::new(),
            pictures: 0,
            reached: plan.start,
            gaps: Ticks90k::ZERO,
        }
    }

    /// Writes them all, and says what a playlist must know.
    pub fn run(mut self, source: &Source) -> Result<(Vec<Segment>, Variant), Error> {
        for (track, sample) in self.plan.samples() {
            let unit = track.read(source, sample).map_err(unfit)?;
            self.add(track, sample, unit)?;
        }
        let end = self.plan.end.max(self.reached);
        self.end(end)?;
        let variant = self.variant();
        Ok((self.done, variant))
    }

    fn add(&mut self, track: &MovieTrack, sample: &Sample, mut unit: AccessUnit) -> Result<(), Error> {
        let can_begin = self.can_begin(&unit);
        let gap = unit.pts - self.reached;
        match &self.open {
            None => self.begin(self.plan.start, false)?,
            Some(_) if gap > GAP && (can_begin || self.next_is_sync()) => {
                self.gaps += gap;
                self.end(self.reached)?;
                self.begin(unit.pts, true)?;
            }
            Some(open) if can_begin && self.is_time(&unit, open.start) => {
                self.end(unit.pts)?;
                self.begin(unit.pts, false)?;
            }
            Some(_) => {}
        }
        if unit.track == Track::Video {
            if self.pictures == 0 && !can_begin {
                return Err(Unfit::NoIdr.into());
            }
            self.pictures += 1;
        }
        self.reached = self.reached.max(unit.pts + self.usual(unit.track));
        unit.pts += self.plan.shift;
        self.stream.push(&unit, track.dts(sample) + self.plan.shift, &mut self.buffer)?;
        if self.buffer.len() >= BUFFER { self.write() } else { Ok(()) }
    }

    /// Whether a player can begin with it.
    fn can_begin(&self, unit: &AccessUnit) -> bool {
        match unit.track {
            Track::Video => {
                unit.key && avcc(&unit.data).flatten().any(|nal| NalType::of(nal) == NalType::Idr)
            }
            // Where there is no picture: in all of the recording, before the first one or behind the last.
            Track::Audio => {
                let all = self.plan.video.as_ref().map_or(0, |(part, _)| part.samples.len());
                self.pictures == 0 || self.pictures == all
            }
        }
    }

    /// Whether the next picture is one to begin with: sound behind a gap goes with it.
    fn next_is_sync(&self) -> bool {
        let video = self.plan.video.as_ref();
        video.and_then(|(part, _)| part.samples.get(self.pictures)).is_some_and(|sample| sample.sync)
    }

    /// Whether a segment that began at `start` should end before this access unit.
    fn is_time(&self, unit: &AccessUnit, start: Ticks90k) -> bool {
        let since = unit.pts - start;
        match unit.track {
            Track::Video => since >= self.target - EARLY,
            Track::Audio => since >= self.target && self.plan.end - unit.pts >= SHORTEST,
        }
    }

    /// How long a picture or a frame lasts.
    fn usual(&self, track: Track) -> Ticks90k {
        let video = self.plan.video.as_ref().map(|(part, _)| part.usual);
        let audio = self.plan.audio.as_ref().map(|(part, _)| part.usual);
        if track == Track::Video { video } else { audio }.unwrap_or_default()
    }

    fn begin(&mut self, start: Ticks90k, discontinuity: bool) -> Result<(), Error> {
        let name = format!("{}-{}.ts", self.prefix, self.done.len());
        let path = self.folder.join(&name);
        let file = File::create_new(&path).map_err(at(&path))?;
        let date = self.date.map(|date| date.plus(start));
        let segment = Segment { name, duration: Ticks90k::ZERO, bytes: 0, discontinuity, date };
        self.open = Some(Open { path, file, start, segment });
        Ok(())
    }

    fn end(&mut self, end: Ticks90k) -> Result<(), Error> {
        self.stream.finish(&mut self.buffer)?;
        self.write()?;
        if let Some(mut open) = self.open.take() {
            open.segment.duration = end - open.start;
            self.done.push(open.segment);
        }
        Ok(())
    }

    fn write(&mut self) -> Result<(), Error> {
        if let Some(open) = &mut self.open {
            open.file.write_all(&self.buffer).map_err(at(&open.path))?;
            open.segment.bytes += self.buffer.len() as u64;
        }
        self.buffer.clear();
        Ok(())
    }

    fn variant(&self) -> Variant {
        let video = self.plan.video.as_ref().map(|(_, config)| config);
        let audio = self.plan.audio.as_ref().map(|(_, config)| config);
        let codecs: Vec<String> =
            video.map(|video| video.codec()).into_iter().chain(audio.map(|audio| audio.codec())).collect();
        let picture = self.plan.video.as_ref().map(|(part, config)| {
            let time = part.shown() - self.gaps;
            let rate = self.pictures as f64 / time.as_secs_f64().max(f64::MIN_POSITIVE);
            (config.width, config.height, rate)
        });
        Variant { codecs: codecs.join(","), picture }
    }
}

/// What the demuxer does not handle, a decoder may.
fn unfit(error: ReadError) -> Error {
    match error {
        ReadError::Unsupported { .. } => Unfit::Inside(error.to_string()).into(),
        error => error.into(),
    }
}

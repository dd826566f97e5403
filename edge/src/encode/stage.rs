//! The loop of the encode thread.

use super::audio::{self, Stream};
use super::cadence::{Cadence, Kind};
use super::coder::{Coded, Coder};
use super::video;
use crate::config::{Camera, Current};
use crate::frames::{FrameReceiver, Picture};
use crate::ring;
use crate::status::{CameraStatus, Status};
use crate::supervise::{Stop, clock};
use media::{AudioConfig, StreamConfig, Ticks90k, Track};
use std::sync::Arc;
use std::time::Duration;

/// How long the loop waits for a picture before it looks whether it must end.
const PATIENCE: Duration = Duration::from_millis(250);

/// How long the first picture waits for the audio thread to find its microphone, so that the sound is there from the start.
const WAIT_FOR_SOUND: Ticks90k = Ticks90k::from_millis(300);

/// Errors in a row after which the encoder is made anew.
const MOST_ERRORS: u32 = 3;

/// What the encode thread of one camera works with.
pub struct Inputs {
    /// The camera's part of the configuration.
    pub camera: Camera,
    /// How to encode: read at each IDR.
    pub current: Current,
    /// Pictures, of the camera's configured size.
    pub frames: FrameReceiver,
    /// Sound, if this camera may have some.
    pub audio: Option<audio::Receiver>,
    /// Where access units go.
    pub ring: ring::Writer,
    /// For faults.
    pub status: Arc<Status>,
    /// For the counters.
    pub own: Arc<CameraStatus>,
}

/// Encodes until `stop` is asked for.
pub fn run(inputs: Inputs, stop: Stop) {
    let mut stage = Stage::new(inputs);
    while !stop.asked() {
        let picture = stage.inputs.frames.receive(PATIENCE);
        stage.sound();
        if let Some(picture) = picture {
            stage.picture(&picture);
            stage.inputs.frames.give_back(picture);
            stage.sound();
        }
    }
}

/// The encode thread's work without its loop.
pub struct Stage {
    inputs: Inputs,
    cadence: Cadence,
    coder: Coder,
    /// Configuration of the GOP in flight.
    config: Option<Arc<StreamConfig>>,
    /// Number of the audio stream in `config`.
    stream: u32,
    /// Until when the first picture may wait for the sound; `None` when there is nothing to wait for.
    wait_until: Option<Ticks90k>,
    /// The ring takes units: its GOP has begun, and lost none.
    storing: bool,
    /// The newest picture that this process put into the ring, placeholders aside.
    stored: Option<Ticks90k>,
    /// The pictures are placeholders: the camera is gone since then.
    gone_since: Option<Ticks90k>,
    /// Where the stretch of pictures began. Sound from before it has nothing to go with, and hls.js, for which a list begins at
    /// zero and never below, would place all of the sound too late.
    sound_from: Ticks90k,
    encoder_errors: Trouble,
    ring_errors: Trouble,
}

/// Errors in a row, and the fault that shows them.
struct Trouble {
    part: String,
    errors: u32,
}

impl Trouble {
    fn met(&mut self, status: &Status, error: &dyn std::error::Error) {
        self.errors = self.errors.saturating_add(1);
        if self.errors == 1 {
            tracing::warn!(part = self.part, error = %error, "not encoded or not stored");
            status.set_fault(&self.part, Some(error.to_string()));
        }
    }

    fn over(&mut self, status: &Status) {
        if self.errors > 0 {
            tracing::info!(part = self.part, errors = self.errors, "well again");
            self.errors = 0;
            status.set_fault(&self.part, None);
        }
    }
}

impl Stage {
    /// Nothing is encoded yet; the first picture starts a GOP.
    pub fn new(inputs: Inputs) -> Self {
        let part = |stage: &str| Trouble { part: format!("{stage} {}", inputs.camera.name), errors: 0 };
        Self {
            cadence: Cadence::after(inputs.ring.last_video_pts()),
            coder: Coder::new(&inputs.camera, &inputs.current.get().video),
            config: None,
            stream: 0,
            wait_until: None,
            storing: false,
            stored: None,
            gone_since: None,
            sound_from: Ticks90k::ZERO,
            encoder_errors: part("encode"),
            ring_errors: part("ring"),
            inputs,
        }
    }

    /// Encodes one picture and stores it.
    pub fn picture(&mut self, picture: &Picture) {
        if self.config.is_none() && self.waits_for_sound(picture.pts) {
            return;
        }
        if picture.gone_since.is_some() != self.gone_since.is_some() {
            // What is footage and what is none are never in one GOP.
            self.cadence.broken();
            self.storing = false;
        }
        self.gone_since = picture.gone_since;
        let kind = self.cadence.kind(picture.pts);
        if matches!(kind, Kind::Late | Kind::Frozen) {
            self.left_out();
            return;
        }
        match self.encode(picture, kind == Kind::Idr) {
            Ok(()) => self.encoder_errors.over(&self.inputs.status),
            Err(error) => {
                self.encoder_errors.met(&self.inputs.status, &error);
                self.cadence.broken();
                if self.encoder_errors.errors.is_multiple_of(MOST_ERRORS) {
                    self.coder.reset();
                }
            }
        }
    }

    /// The sound should be there from the first GOP on, but must not hold up the picture for long.
    fn waits_for_sound(&mut self, pts: Ticks90k) -> bool {
        let opening = |audio: &audio::Receiver| matches!(audio.stream(), (_, Stream::Opening));
        self.inputs.audio.as_ref().is_some_and(opening)
            && pts < *self.wait_until.get_or_insert(pts + WAIT_FOR_SOUND)
    }

    fn encode(&mut self, picture: &Picture, idr: bool) -> Result<(), video::Error> {
        if idr {
            self.coder.retarget(&self.inputs.current.get().video);
        }
        if self.coder.encode(picture, idr)? == Coded::LeftOut {
            self.cadence.freeze();
            self.left_out();
            return Ok(());
        }
        if idr {
            self.begin_gop(picture.pts);
        }
        let unit = self.coder.unit();
        let metrics = &self.inputs.own.metrics;
        if self.gone_since.is_some() {
            metrics.placeholders_encoded.inc();
        } else {
            metrics.frames_encoded.inc();
            metrics.video_bytes.inc_by(unit.len() as u64);
        }
        if self.storing {
            let appended = self.inputs.ring.append(Track::Video, picture.pts, idr, unit);
            self.storing = stored(appended, &mut self.ring_errors, &self.inputs.status);
        }
        if self.storing && self.gone_since.is_none() {
            self.hole_before(picture);
            self.stored = Some(picture.pts);
        }
        Ok(())
    }

    /// A picture is not encoded; a placeholder is none that anybody misses.
    fn left_out(&self) {
        if self.gone_since.is_none() {
            self.inputs.own.metrics.frames_left_out.inc();
        }
    }

    /// Pictures were left out for so long that there is no footage between the one before and this one.
    fn hole_before(&self, picture: &Picture) {
        let Some(last) = self.stored.filter(|last| picture.follows_gap(*last)) else { return };
        let start = clock::mapping().map(|mapping| mapping.wall_of(last));
        self.inputs.status.gaps.hole(&self.inputs.own.name, (last, picture.pts), start);
    }

    fn begin_gop(&mut self, start: Ticks90k) {
        self.cadence.started(start);
        if !self.storing {
            self.sound_from = start;
        }
        let Some(video) = self.coder.config() else { return };
        let (stream, audio) = sound_of(&self.inputs.audio);
        self.stream = stream;
        let config = match &mut self.config {
            Some(config) if config.video == *video && config.audio == audio => config,
            config => config.insert(Arc::new(StreamConfig { video: video.clone(), audio })),
        };
        let wall = clock::mapping().map(|mapping| mapping.wall_of(start));
        let ring = &mut self.inputs.ring;
        let begun = match self.gone_since {
            None => ring.begin_gop(start, wall, config),
            Some(since) => ring.begin_placeholder(start, wall, config, since),
        };
        self.storing = stored(begun, &mut self.ring_errors, &self.inputs.status);
        if self.storing && self.gone_since.is_none() {
            self.inputs.status.gaps.begin(&self.inputs.camera.name, start);
        }
    }

    /// Stores the sound that has come.
    pub fn sound(&mut self) {
        let Some(audio) = &mut self.inputs.audio else { return };
        let metrics = &self.inputs.own.metrics;
        let mut dropped = 0;
        while let Some(frame) = audio.next(self.stream, &mut dropped) {
            if !self.storing {
                dropped += 1;
                continue;
            }
            if frame.pts < self.sound_from {
                continue;
            }
            metrics.audio_bytes.inc_by(frame.data.len() as u64);
            let appended = self.inputs.ring.append(Track::Audio, frame.pts, true, &frame.data);
            self.storing = stored(appended, &mut self.ring_errors, &self.inputs.status);
        }
        metrics.audio_dropped.inc_by(dropped);
    }
}

/// The stream that a GOP which begins now carries.
fn sound_of(audio: &Option<audio::Receiver>) -> (u32, Option<AudioConfig>) {
    match audio.as_ref().map(audio::Receiver::stream) {
        Some((number, Stream::Sound(config))) => (number, Some(config)),
        Some((number, Stream::Opening | Stream::Silent)) => (number, None),
        None => (0, None),
    }
}

/// Whether the ring took it.
fn stored(result: Result<(), ring::Error>, trouble: &mut Trouble, status: &Status) -> bool {
    match result {
        Ok(()) => {
            trouble.over(status);
            true
        }
        Err(error) => {
            trouble.met(status, &error);
            false
        }
    }
}

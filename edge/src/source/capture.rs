//! The capture thread of one camera: opens its source, keeps it open, and hands pictures to the encode thread.
//!
//! ```text
//!            opened                  first frame
//! opening ------------> quiet ----------------------> streaming
//!    ^                    |                               |
//!    |     back-off       | error, or nothing for 2 s     |  error, or nothing for 2 s
//!    +------------- gone <+-------------------------------+
//!                   (the gap "camera gone" is open from the last frame to the next)
//! ```
//! (The first frame may take 5 s: some cameras need that to start.)
//!
//! From a second after the last picture until the first one again, viewers get placeholders ([`super::placeholder`]).
//!
//! It never waits for the encoder: without a free picture the frame goes straight back to the driver, counted.

use super::ladder::{Fault, Ladder, Rung};
use super::look::Look;
use super::placeholder::Placeholder;
use super::{Captured, Error, Source};
use crate::config::Camera;
use crate::frames::{FrameSender, Picture};
use crate::status::{CameraState, CameraStatus, Cause, Gaps, Status};
use crate::supervise::{Restarts, Stop, clock, within};
use media::Ticks90k;
use media::time::TICKS_PER_SECOND;
use std::sync::Arc;
use std::time::Duration;

/// How long the loop waits for what.
#[derive(Clone, Copy)]
pub(super) struct Patience {
    /// For one frame, before it looks whether it must end.
    frame: Duration,
    /// For the first frame after an opening; never less than three frames.
    pub(super) first_frame: Ticks90k,
    /// Without any frame, until the camera counts as gone; never less than three frames.
    silence: Ticks90k,
    /// Before the first new try to open, and before any later one at most. With what a device takes to start, there are pictures again
    /// within 2 s of its return.
    back_off: (Duration, Duration),
    /// From the last picture to the first placeholder: a camera that is back at once needs none.
    placeholder: Ticks90k,
    /// Before the first look for a camera while the pattern stands in for it, and between two if there is none.
    pub(super) look: Ticks90k,
    /// Between two looks if the camera that is found delivers nothing; each time twice as long as before.
    pub(super) longest_look: Ticks90k,
}

/// What a device may take to open, before the thread counts as one that stands still; a driver that waits for its hardware (state D) may take
/// longer. With the start of a process it stays below the 10 s after which there must be pictures again.
const SLOW_DEVICE: Duration = Duration::from_secs(8);

pub(super) const PATIENCE: Patience = Patience {
    frame: Duration::from_millis(250),
    first_frame: Ticks90k::from_millis(5000),
    silence: Ticks90k::from_millis(2000),
    back_off: (Duration::from_millis(100), Duration::from_secs(1)),
    placeholder: Ticks90k::from_millis(1000),
    look: Ticks90k::from_millis(5000),
    longest_look: Ticks90k::from_millis(60_000),
};

/// Where a wait took longer than it should by so much, this thread was not run: what is missing then is not the camera's fault.
const STALL: Ticks90k = Ticks90k::SECOND;

/// What the capture thread of one camera works with.
pub struct Inputs {
    /// The camera's part of the configuration.
    pub camera: Camera,
    /// For the state and the counters.
    pub own: Arc<CameraStatus>,
    /// For the spans without the camera.
    pub status: Arc<Status>,
    /// To wish for a new process.
    pub restarts: Restarts,
    /// It was gone already when the process before this one ended, since then.
    pub gone_since: Option<Ticks90k>,
    /// Where pictures go.
    pub sender: FrameSender,
}

/// Captures until `stop` is asked for.
pub fn run(inputs: Inputs, stop: Stop) {
    let Inputs { camera, own, status, restarts, gone_since, sender } = inputs;
    let mut opener = super::Opener::new(&camera);
    let mut capture = Capture::new(&mut opener, PATIENCE, &own, &status.gaps, sender, stop);
    capture.frame_duration = Ticks90k(TICKS_PER_SECOND / i64::from(camera.fps.max(1)));
    capture.begun = gone_since.unwrap_or(capture.begun);
    let (last, own_last) = restarts.last(&own.name).unzip();
    capture.ladder = Ladder::new(PATIENCE.back_off, last, own_last.unwrap_or(false));
    capture.restarts = restarts;
    capture.run();
}

/// A source as it was opened.
pub struct Opened {
    /// The source.
    pub source: Box<dyn Source>,
    /// It stands in for a camera that was not found.
    pub stand_in: bool,
}

/// Who opens the source.
pub(super) trait Opening {
    /// Opens the source; with `stand_in`, or the pattern in its stead where that is allowed.
    fn open(&mut self, stand_in: bool) -> Result<Opened, Error>;

    /// A frame has come from what was opened last: the next opening need not look for another one.
    fn delivered(&mut self);

    /// Whether something can be done about `error` but to wait.
    fn fault(&self, error: &Error) -> Fault;

    /// Resets the device that was opened last: whether that could be done.
    fn reset(&mut self) -> bool;
}

struct Capture<'a> {
    opening: &'a mut dyn Opening,
    patience: Patience,
    own: &'a CameraStatus,
    gaps: &'a Gaps,
    sender: FrameSender,
    stop: Stop,
    /// A picture that was taken from the queue and not filled.
    spare: Option<Picture>,
    /// When the loop began: a camera that never came is missing since then.
    begun: Ticks90k,
    /// Between two pictures, as the source told it last.
    frame_duration: Ticks90k,
    /// Timestamp of the last picture of the camera.
    last: Option<Ticks90k>,
    /// When the next picture of the camera may be at the earliest: behind the last one, and where that was a placeholder, when the next one
    /// would have been due.
    free_from: Option<Ticks90k>,
    /// Stands in for the camera while that is gone.
    placeholder: Option<Placeholder>,
    /// What is tried next with a camera that fails.
    ladder: Ladder,
    restarts: Restarts,
    /// Since when the camera is there and does not work.
    broken: Option<Ticks90k>,
    /// Frames were dropped since then, because the encoder is behind.
    dropped: bool,
    /// When this thread last ran.
    awake: Ticks90k,
    /// From when to when it was last not run, for whole seconds.
    stalled: Option<(Ticks90k, Ticks90k)>,
    /// The last error that was logged: a camera that stays away is reported once.
    complaint: String,
}

/// Why the loop stopped reading a source.
enum End {
    Stopped,
    Failed(Error),
    /// A camera has come, for which the pattern stood in.
    Replaced(Opened),
}

impl<'a> Capture<'a> {
    fn new(
        opening: &'a mut dyn Opening,
        patience: Patience,
        own: &'a CameraStatus,
        gaps: &'a Gaps,
        sender: FrameSender,
        stop: Stop,
    ) -> Self {
        let now = clock::media_now();
        Self {
            opening,
            patience,
            own,
            gaps,
            sender,
            stop,
            spare: None,
            begun: now,
            frame_duration: Ticks90k::SECOND,
            last: None,
            free_from: None,
            placeholder: None,
            ladder: Ladder::new(patience.back_off, None, false),
            restarts: Restarts::default(),
            broken: None,
            dropped: false,
            awake: now,
            stalled: None,
            complaint: String::new(),
        }
    }

    fn run(&mut self) {
        let mut opens = 0_u64;
        while !self.stop.asked() {
            let begin = clock::media_now();
            let error = match within(SLOW_DEVICE, || self.opening.open(true)) {
                Ok(opened) => {
                    self.own.metrics.camera_reopened.inc_by(u64::from(opens > 0));
                    opens += 1;
                    if self.placeholder.is_some() {
                        self.broken.get_or_insert(begin);
                    }
                    match self.stream(opened) {
                        None => break,
                        Some(error) => error,
                    }
                }
                Err(error) => error,
            };
            if self.climb(&error) {
                break;
            }
        }
        self.sender.wake();
    }

    /// The camera is gone: does what is to be tried next, and waits until it can be opened again. Whether the end was asked for.
    fn climb(&mut self, error: &Error) -> bool {
        let now = clock::media_now();
        let fault = self.opening.fault(error);
        self.broken = match fault {
            Fault::Absent => None,
            // What ends the pictures began with the last one.
            Fault::Failing if self.placeholder.is_none() => Some(self.last.unwrap_or(self.begun)),
            Fault::Failing => Some(self.broken.unwrap_or(now)),
        };
        self.gone(error);
        let (rung, wait) = self.ladder.failed(fault, now);
        match rung {
            Rung::Reopen => {}
            Rung::ResetUsb => {
                let reset = within(SLOW_DEVICE, || self.opening.reset());
                self.own.metrics.camera_usb_resets.inc_by(u64::from(reset));
            }
            Rung::Restart => self.restarts.wish(&self.own.name, now),
        }
        self.rest(wait)
    }

    /// Reads the source, and what replaces it, to its end: the error, unless a stop was asked for.
    fn stream(&mut self, mut opened: Opened) -> Option<Error> {
        loop {
            match self.read(opened) {
                End::Stopped => return None,
                End::Failed(error) => return Some(error),
                End::Replaced(camera) => opened = camera,
            }
        }
    }

    fn read(&mut self, mut opened: Opened) -> End {
        let Opened { source, stand_in } = &mut opened;
        let (source, stand_in) = (source.as_mut(), *stand_in);
        tracing::info!(camera = self.own.name, mode = %source.mode(), "camera opened");
        // A source of one frame in ten seconds is not silent between two of them.
        let three_frames = Ticks90k(3 * source.mode().frame_duration.0);
        let mut patience = self.patience.first_frame.max(three_frames);
        let mut delivered = false;
        let mut heard = clock::media_now();
        self.awake = heard;
        let mut look = stand_in.then(|| Look::new(&self.patience, heard));
        while !self.stop.asked() {
            let captured = match self.next(source) {
                Ok(captured) => captured,
                Err(error) => return End::Failed(error),
            };
            let now = clock::media_now();
            if captured == Captured::Nothing {
                if now - heard >= patience {
                    return End::Failed(silent(source, patience));
                }
            } else {
                heard = now;
                if !delivered && captured == Captured::Frame {
                    delivered = true;
                    patience = self.patience.silence.max(three_frames);
                    self.found(source, stand_in);
                }
            }
            if let Some(look) = &mut look
                // Looking for a camera is opening it.
                && let Some(camera) = within(SLOW_DEVICE, || look.go_on(self.opening, &self.patience, now))
            {
                return End::Replaced(camera);
            }
        }
        End::Stopped
    }

    /// Waits before a new try, and shows placeholders meanwhile: whether the end was asked for.
    fn rest(&mut self, time: Duration) -> bool {
        let until = clock::media_now() + Ticks90k::from_duration(time);
        loop {
            let wait = self.stand_in();
            let left = (until - clock::media_now()).to_duration();
            if left.is_zero() || self.stop.wait(wait.min(left)) {
                return self.stop.asked();
            }
        }
    }

    /// Sends the placeholder that is due, if one is: how long to wait at most until the next one.
    fn stand_in(&mut self) -> Duration {
        let Some(placeholder) = &mut self.placeholder else { return self.patience.frame };
        let now = clock::media_now();
        if placeholder.due() <= now
            && let Some(mut picture) = self.spare.take().or_else(|| self.sender.take())
        {
            placeholder.draw(&mut picture, &self.own.name, now, clock::mapping());
            self.free_from = Some(placeholder.due());
            self.sender.send(picture);
        }
        // Where the encoder is behind, it is asked again a little later.
        let wait = (placeholder.due() - now).to_duration().max(Duration::from_millis(1));
        wait.min(self.patience.frame)
    }

    /// One wait for a frame, counted and, if it is good, sent.
    fn next(&mut self, source: &mut dyn Source) -> Result<Captured, Error> {
        let wait = self.stand_in();
        let mut picture = self.spare.take().or_else(|| self.sender.take());
        let mut captured = source.next(picture.as_mut(), wait);
        let metrics = &self.own.metrics;
        metrics.frames_lost_by_driver.inc_by(source.lost());
        match captured {
            Ok(Captured::Frame) => {
                metrics.frames_captured.inc();
                if let Some(picture) = picture.take_if(|picture| self.free_from <= Some(picture.pts)) {
                    self.own.set_pass(source.pass());
                    self.send(picture);
                } else if let Some(placeholder) = &mut self.placeholder {
                    // The camera is back, and its first picture older than the last placeholder, or too close to it. Another one in
                    // between would make the next picture too old as well, and so on.
                    placeholder.postpone(clock::media_now() + self.patience.placeholder);
                    metrics.frames_dropped.inc();
                    captured = Ok(Captured::Dropped);
                } else {
                    metrics.frames_damaged.inc();
                    tracing::debug!(camera = self.own.name, "timestamp goes back");
                }
            }
            Ok(Captured::Dropped) => {
                metrics.frames_captured.inc();
                metrics.frames_dropped.inc();
                self.dropped = true;
            }
            Ok(Captured::Damaged(how)) => {
                metrics.frames_captured.inc();
                metrics.frames_damaged.inc();
                tracing::debug!(camera = self.own.name, how, "damaged frame");
            }
            Ok(Captured::Nothing) | Err(_) => {}
        }
        self.spare = picture;
        let now = clock::media_now();
        if now - self.awake >= Ticks90k::from_duration(self.patience.frame) + STALL {
            self.stalled = Some((self.awake, now));
        }
        self.awake = now;
        captured
    }

    /// Hands a good picture of the camera to the encoder.
    fn send(&mut self, mut picture: Picture) {
        self.gap_before(&picture);
        self.last = Some(picture.pts);
        self.free_from = Some(picture.pts + Ticks90k(1));
        self.frame_duration = picture.frame_duration;
        self.placeholder = None;
        picture.gone_since = None;
        self.sender.send(picture);
    }

    /// Pictures that are far apart have a gap between them, although the camera never counted as gone.
    fn gap_before(&mut self, picture: &Picture) {
        let dropped = std::mem::take(&mut self.dropped);
        let Some(last) = self.last else { return };
        // Of a camera that was gone the gap is open already.
        if self.placeholder.is_none() && picture.follows_gap(last) {
            let stalled = self.stalled.is_some_and(|(from, to)| from < picture.pts && last < to);
            let cause = if dropped || stalled { Cause::Overload } else { Cause::CameraGone };
            let start = clock::mapping().map(|mapping| mapping.wall_of(last));
            self.gaps.open(&self.own.name, cause, last, start);
            self.gaps.close(&self.own.name, cause, picture.pts);
        }
    }

    /// The first picture after an opening was sent.
    fn found(&mut self, source: &dyn Source, stand_in: bool) {
        self.opening.delivered();
        self.ladder.delivered();
        let since = self.last.unwrap_or(self.begun);
        self.gaps.close(&self.own.name, Cause::CameraGone, since);
        if let Some(broken) = self.broken.take() {
            self.own.metrics.camera_repairs.inc();
            self.own.metrics.camera_repair_seconds.inc_by((since - broken).to_duration().as_secs_f64());
        }
        self.own.set_state(CameraState::streaming(source.mode(), stand_in, since));
        self.complaint.clear();
    }

    fn gone(&mut self, error: &Error) {
        let error = error.to_string();
        self.dropped = false;
        // The footage ends with the last picture, not when its absence was noticed.
        let since = self.last.unwrap_or(self.begun);
        let start = clock::mapping().map(|mapping| mapping.wall_of(since));
        self.gaps.open(&self.own.name, Cause::CameraGone, since, start);
        if self.placeholder.is_none() {
            let from = clock::media_now().max(since + self.patience.placeholder);
            self.placeholder = Some(Placeholder::new(since, self.frame_duration, from));
        }
        if self.complaint != error {
            tracing::warn!(camera = self.own.name, error, "camera gone");
            self.complaint.clone_from(&error);
        }
        self.own.set_state(CameraState::Gone { error, since });
    }
}

fn silent(source: &dyn Source, span: Ticks90k) -> Error {
    Error::Silent { device: source.mode().device.clone(), span }
}

#[cfg(test)]
mod tests;

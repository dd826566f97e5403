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
//! It never waits for the encoder: without a free picture the frame goes straight back to the driver, counted.

use super::look::Look;
use super::{Captured, Error, Source};
use crate::config::Camera;
use crate::frames::{FrameSender, Picture};
use crate::status::{CameraState, CameraStatus, Cause, Gaps};
use crate::supervise::{Stop, clock, within};
use media::Ticks90k;
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
    /// Before the first new try to open.
    shortest_back_off: Duration,
    /// Before any later one; each waits twice as long as the one before.
    longest_back_off: Duration,
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
    shortest_back_off: Duration::from_millis(100),
    longest_back_off: Duration::from_secs(5),
    look: Ticks90k::from_millis(5000),
    longest_look: Ticks90k::from_millis(60_000),
};

/// Where a wait took longer than it should by so much, this thread was not run: what is missing then is not the camera's fault.
const STALL: Ticks90k = Ticks90k::SECOND;

/// Captures until `stop` is asked for.
///
/// `own` gets the state and the counters, `gaps` the spans without the camera.
pub fn run(camera: &Camera, own: &CameraStatus, gaps: &Gaps, sender: FrameSender, stop: Stop) {
    let mut opener = super::Opener::new(camera);
    Capture {
        opening: &mut opener,
        patience: PATIENCE,
        own,
        gaps,
        sender,
        stop,
        spare: None,
        begun: clock::media_now(),
        last: None,
        dropped: false,
        awake: clock::media_now(),
        stalled: None,
        complaint: String::new(),
    }
    .run();
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
    /// Timestamp of the last picture that was sent: none may go back behind it.
    last: Option<Ticks90k>,
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

impl Capture<'_> {
    fn run(&mut self) {
        let mut back_off = self.patience.shortest_back_off;
        let mut opens = 0_u64;
        while !self.stop.asked() {
            let error = match within(SLOW_DEVICE, || self.opening.open(true)) {
                Ok(opened) => {
                    self.own.metrics.camera_reopened.inc_by(u64::from(opens > 0));
                    opens += 1;
                    let (delivered, end) = self.stream(opened);
                    if delivered {
                        back_off = self.patience.shortest_back_off;
                    }
                    match end {
                        None => break,
                        Some(error) => error,
                    }
                }
                Err(error) => error,
            };
            self.gone(&error);
            if self.stop.wait(back_off) {
                break;
            }
            back_off = (back_off * 2).min(self.patience.longest_back_off);
        }
        self.sender.wake();
    }

    /// Reads the source, and what replaces it, to its end: whether it delivered, and the error unless a stop was asked.
    fn stream(&mut self, mut opened: Opened) -> (bool, Option<Error>) {
        let mut delivered = false;
        loop {
            let (frames, end) = self.read(opened);
            delivered |= frames;
            match end {
                End::Stopped => return (delivered, None),
                End::Failed(error) => return (delivered, Some(error)),
                End::Replaced(camera) => opened = camera,
            }
        }
    }

    fn read(&mut self, mut opened: Opened) -> (bool, End) {
        let source = opened.source.as_mut();
        tracing::info!(camera = self.own.name, mode = %source.mode(), "camera opened");
        // A source of one frame in ten seconds is not silent between two of them.
        let three_frames = Ticks90k(3 * source.mode().frame_duration.0);
        let mut patience = self.patience.first_frame.max(three_frames);
        let mut delivered = false;
        let mut heard = clock::media_now();
        self.awake = heard;
        let mut look = opened.stand_in.then(|| Look::new(&self.patience, heard));
        while !self.stop.asked() {
            let captured = match self.next(source) {
                Ok(captured) => captured,
                Err(error) => return (delivered, End::Failed(error)),
            };
            let now = clock::media_now();
            if captured == Captured::Nothing {
                if now - heard >= patience {
                    return (delivered, End::Failed(silent(source, patience)));
                }
            } else {
                heard = now;
                if !delivered && captured == Captured::Frame {
                    delivered = true;
                    patience = self.patience.silence.max(three_frames);
                    self.found(source);
                }
            }
            if let Some(look) = &mut look
                // Looking for a camera is opening it.
                && let Some(camera) = within(SLOW_DEVICE, || look.go_on(self.opening, &self.patience, now))
            {
                return (delivered, End::Replaced(camera));
            }
        }
        (delivered, End::Stopped)
    }

    /// One wait for a frame, counted and, if it is good, sent.
    fn next(&mut self, source: &mut dyn Source) -> Result<Captured, Error> {
        let mut picture = self.spare.take().or_else(|| self.sender.take());
        let captured = source.next(picture.as_mut(), self.patience.frame);
        let metrics = &self.own.metrics;
        metrics.frames_lost_by_driver.inc_by(source.lost());
        match captured {
            Ok(Captured::Frame) => {
                metrics.frames_captured.inc();
                if let Some(picture) = picture.take_if(|picture| self.last < Some(picture.pts)) {
                    self.gap_before(&picture);
                    self.last = Some(picture.pts);
                    self.own.set_pass(source.pass());
                    self.sender.send(picture);
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

    /// Pictures that are far apart have a gap between them, although the camera never counted as gone.
    fn gap_before(&mut self, picture: &Picture) {
        let dropped = std::mem::take(&mut self.dropped);
        let Some(last) = self.last else { return };
        if picture.follows_gap(last) {
            let stalled = self.stalled.is_some_and(|(from, to)| from < picture.pts && last < to);
            let cause = if dropped || stalled { Cause::Overload } else { Cause::CameraGone };
            let start = clock::mapping().map(|mapping| mapping.wall_of(last));
            self.gaps.open(&self.own.name, cause, last, start);
            self.gaps.close(&self.own.name, cause, picture.pts);
        }
    }

    /// The first picture after an opening was sent.
    fn found(&mut self, source: &dyn Source) {
        self.opening.delivered();
        let since = self.last.unwrap_or(self.begun);
        self.gaps.close(&self.own.name, Cause::CameraGone, since);
        self.own.set_state(CameraState::streaming(source.mode(), since));
        self.complaint.clear();
    }

    fn gone(&mut self, error: &Error) {
        let error = error.to_string();
        self.dropped = false;
        // The footage ends with the last picture, not when its absence was noticed.
        let since = self.last.unwrap_or(self.begun);
        let start = clock::mapping().map(|mapping| mapping.wall_of(since));
        self.gaps.open(&self.own.name, Cause::CameraGone, since, start);
        if self.complaint != error {
            tracing::warn!(camera = self.own.name, error, "camera gone");
            self.complaint.clone_from(&error);
        }
        self.own.set_state(CameraState::Gone { error, since });
    }
}

fn silent(source: &dyn Source, span: Ticks90k) -> Error {
    let reason = format!("delivered no frame for {:.1} s", span.as_secs_f64());
    Error::Unusable { device: source.mode().device.clone(), reason }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::frames::{self, FrameReceiver};
    use crate::source::Mode;
    use crate::status::Status;
    use crate::supervise::{Pulses, Threads, monotonic};
    use std::collections::VecDeque;

    const SHORT: Patience = Patience {
        frame: Duration::from_millis(1),
        first_frame: Ticks90k::from_millis(20),
        silence: Ticks90k::from_millis(20),
        shortest_back_off: Duration::from_millis(1),
        longest_back_off: Duration::from_millis(2),
        look: Ticks90k::ZERO,
        longest_look: Ticks90k::ZERO,
    };

    /// What a scripted source does at one call of `next`.
    #[derive(Clone, Copy)]
    enum Act {
        Frame(i64),
        Damaged,
        Dropped,
        Lost(u64),
        Silent,
        Unplugged,
    }

    struct Script {
        mode: Mode,
        acts: VecDeque<Act>,
        lost: u64,
        stop: Stop,
    }

    impl Source for Script {
        fn mode(&self) -> &Mode {
            &self.mode
        }

        fn next(&mut self, picture: Option<&mut Picture>, timeout: Duration) -> Result<Captured, Error> {
            match self.acts.pop_front() {
                None => self.stop.ask(),
                Some(Act::Frame(pts)) => {
                    let Some(picture) = picture else { return Ok(Captured::Dropped) };
                    picture.pts = Ticks90k(pts);
                    return Ok(Captured::Frame);
                }
                Some(Act::Dropped) => return Ok(Captured::Dropped),
                Some(Act::Damaged) => return Ok(Captured::Damaged("half a JPEG")),
                Some(Act::Lost(lost)) => self.lost = lost,
                Some(Act::Silent) => {
                    self.acts.push_front(Act::Silent);
                    std::thread::sleep(timeout);
                }
                Some(Act::Unplugged) => return Err(unplugged()),
            }
            Ok(Captured::Nothing)
        }

        fn lost(&mut self) -> u64 {
            std::mem::take(&mut self.lost)
        }
    }

    fn unplugged() -> Error {
        Error::Io {
            device: "/dev/video0".to_owned(),
            source: std::io::Error::from(std::io::ErrorKind::NotConnected),
        }
    }

    /// One script an opening (`None` fails to open), and whether it stands in for a camera.
    struct Scripts {
        scripts: VecDeque<(Option<Vec<Act>>, bool)>,
        stop: Stop,
    }

    impl Opening for Scripts {
        fn open(&mut self, _: bool) -> Result<Opened, Error> {
            let Some((Some(acts), stand_in)) = self.scripts.pop_front() else { return Err(unplugged()) };
            let mode = Mode {
                device: "/dev/video0".to_owned(),
                format: "YUYV".to_owned(),
                width: 16,
                height: 16,
                frame_duration: Ticks90k(3000),
            };
            let source = Box::new(Script { mode, acts: acts.into(), lost: 0, stop: self.stop.clone() });
            Ok(Opened { source, stand_in })
        }

        fn delivered(&mut self) {}
    }

    struct Bench {
        status: Status,
        stop: Stop,
        receiver: FrameReceiver,
    }

    impl Bench {
        /// Plays one script an opening (`None` fails to open) until the last one has ended.
        fn play(scripts: Vec<Option<Vec<Act>>>) -> Self {
            Self::play_with(scripts.into_iter().map(|acts| (acts, false)).collect())
        }

        /// The same with sources that may stand in for a camera.
        fn play_with(scripts: Vec<(Option<Vec<Act>>, bool)>) -> Self {
            let status = Status::new(&Config::default(), Pulses::default(), Ticks90k::ZERO);
            let stop = Stop::default();
            let (sender, receiver) = frames::queue(16, 16);
            let mut opening = Scripts { scripts: scripts.into(), stop: stop.clone() };
            Capture {
                opening: &mut opening,
                patience: SHORT,
                own: status.camera("front").expect("the default camera"),
                gaps: &status.gaps,
                sender,
                stop: stop.clone(),
                spare: None,
                begun: Ticks90k(7),
                last: None,
                dropped: false,
                awake: clock::media_now(),
                stalled: None,
                complaint: String::new(),
            }
            .run();
            Self { status, stop, receiver }
        }

        fn received(&mut self) -> Vec<i64> {
            std::iter::from_fn(|| self.receiver.receive(Duration::ZERO))
                .map(|picture| picture.pts.0)
                .collect()
        }

        /// Captured, dropped, damaged, lost, reopened.
        fn counts(&self) -> [u64; 5] {
            let metrics = &self.status.cameras[0].metrics;
            [
                metrics.frames_captured.get(),
                metrics.frames_dropped.get(),
                metrics.frames_damaged.get(),
                metrics.frames_lost_by_driver.get(),
                metrics.camera_reopened.get(),
            ]
        }

        fn gap(&self) -> (i64, Option<i64>) {
            let gaps = self.status.gaps.list();
            assert_eq!(gaps.len(), 1, "{gaps:?}");
            (gaps[0].from.0, gaps[0].to.map(|to| to.0))
        }
    }

    #[test]
    fn a_camera_that_is_unplugged_comes_back_behind_a_gap() {
        let mut bench = Bench::play(vec![
            Some(vec![Act::Frame(3000), Act::Unplugged]),
            None,
            None,
            Some(vec![Act::Frame(90_000)]),
        ]);
        assert_eq!(bench.received(), [3000, 90_000]);
        assert_eq!(bench.gap(), (3000, Some(90_000)));
        assert_eq!(bench.counts(), [2, 0, 0, 0, 1]);
        assert!(matches!(bench.status.cameras[0].state(), CameraState::Streaming { .. }));
    }

    #[test]
    fn a_silent_camera_is_closed_and_opened_again() {
        let mut bench =
            Bench::play(vec![Some(vec![Act::Frame(3000), Act::Silent]), Some(vec![Act::Frame(6000)])]);
        assert_eq!(bench.received(), [3000, 6000]);
        assert_eq!(bench.gap(), (3000, Some(6000)));
    }

    #[test]
    fn a_camera_that_stays_away_is_told_with_its_name() {
        let bench = Bench::play(vec![Some(vec![Act::Frame(3000), Act::Unplugged]), None, Some(vec![])]);
        assert_eq!(bench.gap(), (3000, None));
        let CameraState::Gone { error, .. } = bench.status.cameras[0].state() else { panic!("must be gone") };
        assert_eq!(error, "/dev/video0: not connected");
        assert!(bench.stop.asked());
    }

    #[test]
    fn a_camera_that_never_came_is_missing_since_the_start() {
        let mut bench = Bench::play(vec![None, None, Some(vec![Act::Frame(3000)])]);
        assert_eq!(bench.received(), [3000]);
        assert_eq!(bench.gap(), (7, Some(3000)));
        assert_eq!(bench.counts(), [1, 0, 0, 0, 0]);
    }

    /// Looks from the future at how long an opening may take.
    struct Slow(Pulses, Stop);

    impl Opening for Slow {
        fn open(&mut self, _: bool) -> Result<Opened, Error> {
            let moves = |seconds| self.0.health(monotonic() + Duration::from_secs(seconds))[0].moving;
            assert!(moves(6), "a device takes long to open");
            assert!(!moves(9), "there would be no pictures for 10 s");
            self.1.ask();
            Err(unplugged())
        }

        fn delivered(&mut self) {}
    }

    #[test]
    fn a_thread_that_stands_still_while_it_opens_a_camera_is_missed_before_ten_seconds_are_over() {
        let (stop, pulses) = (Stop::default(), Pulses::default());
        let mut threads = Threads::new(stop.clone(), pulses.clone());
        let seen = pulses.clone();
        let work = move |stop: Stop| {
            let status = Status::new(&Config::default(), Pulses::default(), Ticks90k::ZERO);
            let own = status.camera("front").expect("the default camera");
            let (sender, _receiver) = frames::queue(16, 16);
            let mut opening = Slow(seen, stop.clone());
            let (spare, last, stalled) = (None, None, None);
            let (opening, gaps, begun) = (&mut opening, &status.gaps, Ticks90k::ZERO);
            let (patience, dropped, awake, complaint) = (SHORT, false, begun, String::new());
            Capture {
                opening,
                patience,
                own,
                gaps,
                sender,
                stop,
                spare,
                begun,
                last,
                dropped,
                awake,
                stalled,
                complaint,
            }
            .run();
        };
        threads.spawn("capture", work).expect("starts");
        threads.join();
        assert!(pulses.health(monotonic())[0].moving, "nothing above failed");
    }

    #[test]
    fn a_fifth_frame_is_dropped_and_counted_while_the_encoder_is_behind() {
        let frames = (1..=6).map(|n| Act::Frame(n * 3000)).collect();
        let mut bench = Bench::play(vec![Some(frames)]);
        assert_eq!(bench.received(), [3000, 6000, 9000, 12_000]);
        assert_eq!(bench.counts(), [6, 2, 0, 0, 0]);
    }

    #[test]
    fn pictures_that_are_far_apart_have_a_gap_between_them() {
        for (between, cause) in [(Act::Dropped, Cause::Overload), (Act::Damaged, Cause::CameraGone)] {
            let bench = Bench::play(vec![Some(vec![Act::Frame(3000), between, Act::Frame(48_000)])]);
            assert_eq!((bench.gap(), bench.status.gaps.list()[0].cause), ((3000, Some(48_000)), cause));
            let bench = Bench::play(vec![Some(vec![Act::Frame(3000), between, Act::Frame(47_999)])]);
            assert_eq!(bench.status.gaps.list(), []);
        }
    }

    #[test]
    fn damaged_frames_and_the_drivers_losses_are_counted_and_not_shown() {
        let mut bench = Bench::play(vec![Some(vec![Act::Damaged, Act::Lost(3), Act::Frame(3000)])]);
        assert_eq!(bench.received(), [3000]);
        assert_eq!(bench.counts(), [2, 0, 1, 3, 0]);
    }

    #[test]
    fn time_never_goes_back() {
        let mut bench = Bench::play(vec![Some(vec![
            Act::Frame(6000),
            Act::Frame(6000),
            Act::Frame(3000),
            Act::Frame(9000),
        ])]);
        assert_eq!(bench.received(), [6000, 9000]);
        assert_eq!(bench.counts(), [4, 0, 2, 0, 0]);
    }

    #[test]
    fn a_camera_that_comes_replaces_the_pattern_without_a_gap() {
        let mut bench = Bench::play_with(vec![
            (Some(vec![Act::Frame(3000), Act::Silent]), true),
            (Some(vec![Act::Frame(5000), Act::Frame(6000)]), false),
        ]);
        assert_eq!(bench.received(), [3000, 6000]);
        assert_eq!(bench.status.gaps.list(), []);
    }
}

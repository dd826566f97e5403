//! What the capture loop promises, with scripted sources.

use super::*;
use crate::config::Config;
use crate::frames::{self, FrameReceiver};
use crate::source::Mode;
use crate::status::Status;
use crate::supervise::{Pulses, Threads, monotonic};
use std::collections::VecDeque;

/// No placeholder is shown.
const NEVER: Ticks90k = Ticks90k(i64::MAX / 4);

const SHORT: Patience = Patience {
    frame: Duration::from_millis(1),
    first_frame: Ticks90k::from_millis(20),
    silence: Ticks90k::from_millis(20),
    back_off: (Duration::from_millis(1), Duration::from_millis(2)),
    placeholder: NEVER,
    look: Ticks90k::ZERO,
    longest_look: Ticks90k::ZERO,
};

/// What a scripted source does at one call of `next`.
#[derive(Clone, Copy)]
enum Act {
    Frame(i64),
    /// Of a camera with one frame a second.
    Slow(i64),
    /// Taken so many milliseconds before it comes, with the next one due just then.
    Late(i64),
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
            Some(act @ (Act::Frame(pts) | Act::Slow(pts))) => {
                let Some(picture) = picture else { return Ok(Captured::Dropped) };
                picture.pts = Ticks90k(pts);
                picture.frame_duration =
                    if let Act::Slow(_) = act { Ticks90k::SECOND } else { Ticks90k(3000) };
                return Ok(Captured::Frame);
            }
            Some(Act::Late(ago)) => {
                std::thread::sleep(timeout);
                let Some(picture) = picture else { return Ok(Captured::Dropped) };
                picture.pts = clock::media_now() - Ticks90k::from_millis(ago);
                picture.frame_duration = Ticks90k(3000);
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

    fn fault(&self, _: &Error) -> Fault {
        Fault::Failing
    }

    fn reset(&mut self) -> bool {
        true
    }
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
        Self::play_within(SHORT, scripts)
    }

    fn play_within(patience: Patience, scripts: Vec<(Option<Vec<Act>>, bool)>) -> Self {
        let status = Status::new(&Config::default(), Pulses::default(), Ticks90k::ZERO);
        let stop = Stop::default();
        let (sender, receiver) = frames::queue(16, 16);
        let mut opening = Scripts { scripts: scripts.into(), stop: stop.clone() };
        let own = status.camera("front").expect("the default camera");
        let mut capture = Capture::new(&mut opening, patience, own, &status.gaps, sender, stop.clone());
        capture.begun = Ticks90k(7);
        capture.run();
        Self { status, stop, receiver }
    }

    fn received(&mut self) -> Vec<i64> {
        std::iter::from_fn(|| self.receiver.receive(Duration::ZERO)).map(|picture| picture.pts.0).collect()
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

    fn fault(&self, _: &Error) -> Fault {
        Fault::Failing
    }

    fn reset(&mut self) -> bool {
        true
    }
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
        Capture::new(&mut opening, SHORT, own, &status.gaps, sender, stop).run();
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
    let mut bench =
        Bench::play(vec![Some(vec![Act::Frame(6000), Act::Frame(6000), Act::Frame(3000), Act::Frame(9000)])]);
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

#[test]
fn while_the_camera_is_gone_placeholders_are_sent_and_its_first_picture_ends_them() {
    let now = clock::media_now().0;
    let mut bench = Bench::play_within(
        Patience { placeholder: Ticks90k::ZERO, ..SHORT },
        vec![
            (Some(vec![Act::Slow(now - 9), Act::Unplugged]), false),
            // The first frame was taken before the placeholder was shown.
            (Some(vec![Act::Slow(now - 5), Act::Slow(now + 900_000)]), false),
        ],
    );
    let sent: Vec<_> = std::iter::from_fn(|| bench.receiver.receive(Duration::ZERO)).collect();
    let gone: Vec<_> = sent.iter().map(|picture| picture.gone_since.map(|since| since.0)).collect();
    assert_eq!(gone, [None, Some(now - 9), None]);
    assert!(sent.windows(2).all(|pair| pair[0].pts < pair[1].pts), "time goes on");
    assert!(
        sent.iter().all(|picture| picture.frame_duration == Ticks90k::SECOND),
        "the stream stays the same"
    );
    assert_eq!(bench.gap(), (now - 9, Some(now + 900_000)));
    assert_eq!(bench.counts(), [3, 1, 0, 0, 1], "what came too late is counted");
}

#[test]
fn a_camera_that_keeps_failing_is_reset_and_its_return_is_counted_as_a_repair() {
    let now = clock::media_now().0;
    let frame = |pts| Some(vec![Act::Frame(pts), Act::Unplugged]);
    let bench = Bench::play(vec![frame(now), None, None, Some(vec![Act::Frame(now + 180_000)])]);
    let metrics = &bench.status.cameras[0].metrics;
    assert_eq!((metrics.camera_usb_resets.get(), metrics.camera_repairs.get()), (1, 1));
    assert_eq!(metrics.camera_repair_seconds.get(), 2.0, "from the last picture to the first one");
}

#[test]
fn a_camera_whose_pictures_arrive_late_catches_up_with_the_placeholders() {
    let now = clock::media_now().0;
    let patience = Patience {
        placeholder: Ticks90k::from_millis(10_000),
        frame: Duration::from_millis(30),
        first_frame: Ticks90k::SECOND,
        ..SHORT
    };
    // Its last picture is twenty seconds old: placeholders are due at once. Nobody takes them, and there are but four pictures.
    let scripts = vec![
        (Some(vec![Act::Frame(now - 1_800_000), Act::Unplugged]), false),
        (Some(vec![Act::Late(200); 30]), false),
    ];
    let bench = Bench::play_within(patience, scripts);
    assert!(matches!(bench.status.cameras[0].state(), CameraState::Streaming { .. }));
}

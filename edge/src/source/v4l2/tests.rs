//! The camera's logic over a scripted device.

use super::negotiate::{Offer, Rates};
use super::*;
use crate::source::grid::Rate;
use crate::source::pixels::Range;
use service::config::from_toml;
use std::collections::VecDeque;

/// What the device does at one wait and take.
#[derive(Clone, Copy)]
enum Act {
    /// A buffer of this grey, with this sequence number.
    Frame(u8, u32),
    /// A buffer with the driver's error flag.
    Marked(u32),
    /// A buffer of so many bytes.
    Bytes(usize, u32),
    /// Nothing within the time-out.
    Silence,
    /// Poll says that there is a buffer, and there is none.
    FalseAlarm,
    /// Poll fails.
    Poll(Errno),
    /// Taking fails.
    Take(Errno),
    /// A frame comes, giving it back fails.
    Back(Errno),
}

struct Fake {
    identity: Identity,
    offers: Offers,
    granted: Granted,
    fails: Option<(&'static str, Errno)>,
    acts: VecDeque<Act>,
    frame: Vec<u8>,
    /// Buffers that are with the driver.
    queued: usize,
    monotonic: Option<Ticks90k>,
    /// Numbers, ranges and values.
    controls: Vec<(u32, controls::Range, i32)>,
}

const WIDTH: u32 = 32;

fn fake(acts: &[Act]) -> Fake {
    let rate = Rate::new(25, 1).expect("a rate");
    let rates = Rates::Listed(vec![rate]);
    Fake {
        identity: Identity {
            card: "Test Cam".to_owned(),
            captures: true,
            streams: true,
            ..Identity::default()
        },
        offers: Offers {
            modes: vec![Offer { format: PixelFormat::Yuyv, width: WIDTH, height: WIDTH, rates }],
            other_formats: Vec::new(),
        },
        granted: Granted {
            fourcc: *b"YUYV",
            width: WIDTH,
            height: WIDTH,
            stride: WIDTH * 2,
            progressive: true,
            range: Range::Limited,
            rate: Some(rate),
        },
        fails: None,
        acts: acts.iter().copied().collect(),
        frame: Vec::new(),
        queued: 0,
        monotonic: None,
        controls: Vec::new(),
    }
}

impl Fake {
    fn failing(call: &'static str, errno: Errno) -> Self {
        Self { fails: Some((call, errno)), ..fake(&[]) }
    }

    fn call(&self, call: &str) -> io::Result<()> {
        match self.fails {
            Some((failing, errno)) if failing == call => Err(errno.into()),
            _ => Ok(()),
        }
    }
}

impl Device for Fake {
    fn identity(&self) -> io::Result<Identity> {
        self.call("identity").map(|()| self.identity.clone())
    }

    fn follow_signal(&mut self) -> io::Result<()> {
        self.call("follow_signal")
    }

    fn control(&self, id: u32) -> Option<controls::Range> {
        self.controls.iter().find(|(control, ..)| *control == id).map(|(_, range, _)| *range)
    }

    fn set_control(&mut self, id: u32, value: i32) -> io::Result<()> {
        let known = self.controls.iter_mut().find(|(control, ..)| *control == id);
        let (_, controls::Range { least, most }, now) = known.ok_or(Errno::EINVAL)?;
        if !(*least..=*most).contains(&value) {
            return Err(Errno::ERANGE.into());
        }
        *now = value;
        Ok(())
    }

    fn offers(&self, _: &Wish) -> io::Result<Offers> {
        self.call("offers").map(|()| self.offers.clone())
    }

    fn set_mode(&mut self, _: &Choice) -> io::Result<Granted> {
        self.call("set_mode").map(|()| self.granted.clone())
    }

    fn start(&mut self) -> io::Result<()> {
        self.queued = 4;
        self.call("start")
    }

    fn wait(&mut self, _: Duration) -> io::Result<bool> {
        match self.acts.front() {
            Some(Act::Poll(errno)) => Err((*errno).into()),
            Some(Act::Silence) => {
                self.acts.pop_front();
                Ok(false)
            }
            Some(_) => Ok(true),
            None => Ok(false),
        }
    }

    fn take(&mut self) -> io::Result<Option<Taken>> {
        let (length, grey, sequence) = match self.acts.pop_front() {
            Some(Act::Frame(grey, sequence)) => {
                (self.granted.stride as usize * WIDTH as usize, grey, sequence)
            }
            Some(Act::Bytes(length, sequence)) => (length, 0, sequence),
            Some(Act::Marked(sequence)) => {
                self.queued -= 1;
                let monotonic = self.monotonic;
                return Ok(Some(Taken { index: 0, length: 9, damaged: true, sequence, monotonic }));
            }
            Some(Act::Back(errno)) => {
                self.fails = Some(("give_back", errno));
                (self.granted.stride as usize * WIDTH as usize, 0, 0)
            }
            Some(Act::Take(errno)) => return Err(errno.into()),
            _ => return Ok(None),
        };
        self.frame = vec![grey; length];
        self.queued -= 1;
        Ok(Some(Taken { index: 0, length, damaged: false, sequence, monotonic: self.monotonic }))
    }

    fn bytes(&self, taken: &Taken) -> &[u8] {
        &self.frame[..taken.length]
    }

    fn give_back(&mut self, _: Taken) -> io::Result<()> {
        self.queued += 1;
        self.call("give_back")
    }
}

fn camera() -> Camera {
    Camera { width: WIDTH as u16, height: WIDTH as u16, ..Camera::default() }
}

fn open(device: Fake) -> Result<V4l2<Fake>, String> {
    V4l2::over(device, "/dev/video9", &camera()).map_err(|error| error.to_string())
}

fn refused(device: Fake) -> String {
    open(device).err().expect("must be refused")
}

/// Plays the script to its end: what each wait brought.
fn play(acts: &[Act]) -> (Vec<Captured>, V4l2<Fake>) {
    let mut source = open(fake(acts)).expect("opens");
    let mut picture = Picture::new(WIDTH as usize, WIDTH as usize);
    let captured =
        acts.iter().map(|_| source.next(Some(&mut picture), Duration::ZERO).expect("no error")).collect();
    (captured, source)
}

fn error_after(act: Act) -> String {
    let mut source = open(fake(&[act])).expect("opens");
    let mut picture = Picture::new(WIDTH as usize, WIDTH as usize);
    source.next(Some(&mut picture), Duration::ZERO).expect_err("must fail").to_string()
}

#[test]
fn a_frame_is_converted_with_the_rate_of_the_driver() {
    let mut source = open(fake(&[Act::Frame(77, 0)])).expect("opens");
    assert_eq!(source.mode().to_string(), "/dev/video9 YUYV 32x32 at 25.00 fps");
    let mut picture = Picture::new(WIDTH as usize, WIDTH as usize);
    assert_eq!(source.next(Some(&mut picture), Duration::ZERO).expect("no error"), Captured::Frame);
    assert!(picture.as_bytes().iter().all(|&sample| sample == 77));
    assert_eq!(picture.frame_duration, Ticks90k(3600));
}

#[test]
fn every_buffer_goes_back_to_the_driver_whatever_was_in_it() {
    let short = WIDTH as usize;
    let (captured, source) = play(&[
        Act::Frame(1, 0),
        Act::Silence,
        Act::FalseAlarm,
        Act::Marked(1),
        Act::Bytes(0, 2),
        Act::Bytes(short, 3),
        Act::Frame(2, 4),
    ]);
    let expected = [
        Captured::Frame,
        Captured::Nothing,
        Captured::Nothing,
        Captured::Damaged("marked as damaged by the driver"),
        Captured::Damaged("empty buffer"),
        Captured::Damaged("frame is too short"),
        Captured::Frame,
    ];
    assert_eq!(captured, expected);
    assert_eq!(source.device.queued, 4);
}

#[test]
fn a_frame_without_a_picture_is_dropped_and_its_buffer_goes_back() {
    let mut source = open(fake(&[Act::Frame(1, 0)])).expect("opens");
    assert_eq!(source.next(None, Duration::ZERO).expect("no error"), Captured::Dropped);
    assert_eq!(source.device.queued, 4);
}

#[test]
fn gaps_in_the_drivers_count_are_lost_frames() {
    let frames = |numbers: &[u32]| numbers.iter().map(|&n| Act::Frame(0, n)).collect::<Vec<_>>();
    for (numbers, lost) in
        [(&[0, 1, 2][..], 0), (&[7, 9, 13], 4), (&[u32::MAX - 1, 1], 2), (&[5, 5, 5], 0), (&[900, 0, 1], 0)]
    {
        let (_, mut source) = play(&frames(numbers));
        assert_eq!((source.lost(), source.lost()), (lost, 0), "{numbers:?}");
    }
}

#[test]
fn a_device_that_goes_away_is_named() {
    let gone = "/dev/video9 (Test Cam): is not there";
    assert_eq!(error_after(Act::Poll(Errno::ENODEV)), gone);
    assert_eq!(error_after(Act::Take(Errno::ENODEV)), gone);
    assert_eq!(error_after(Act::Back(Errno::ENODEV)), gone);
    let broken = "/dev/video9 (Test Cam): Input/output error (os error 5)";
    assert_eq!(error_after(Act::Poll(Errno::EIO)), broken);
    assert_eq!(error_after(Act::Take(Errno::EIO)), broken);
}

#[test]
fn what_is_no_usable_camera_says_what_it_is_instead() {
    let with = |change: fn(&mut Fake)| {
        let mut device = fake(&[]);
        change(&mut device);
        refused(device)
    };
    let busy = "/dev/video9 (Test Cam): is in use by another program";
    assert_eq!(refused(Fake::failing("set_mode", Errno::EBUSY)), busy);
    assert_eq!(refused(Fake::failing("start", Errno::EBUSY)), busy);
    assert_eq!(refused(Fake::failing("identity", Errno::ENOTTY)), "/dev/video9: is no V4L2 device");
    assert_eq!(with(|d| d.identity.captures = false), "/dev/video9 (Test Cam): does not capture video");
    assert_eq!(
        with(|d| {
            d.identity.captures = false;
            d.identity.captures_multiplanar = true;
        }),
        "/dev/video9 (Test Cam): captures with several planes a buffer only, which is not supported"
    );
    assert_eq!(
        with(|d| d.identity.streams = false),
        "/dev/video9 (Test Cam): has no buffers that can be mapped"
    );
    assert_eq!(
        with(|d| d.offers = Offers { modes: Vec::new(), other_formats: vec![*b"H264", *b"HEVC"] }),
        "/dev/video9 (Test Cam): offers H264, HEVC only; understood are YUYV, UYVY, NV12, I420, MJPEG"
    );
    assert_eq!(with(|d| d.offers = Offers::default()), "/dev/video9 (Test Cam): offers no format");
    assert_eq!(
        with(|d| d.granted.progressive = false),
        "/dev/video9 (Test Cam): delivers interlaced fields, which is not supported"
    );
    assert_eq!(with(|d| d.granted.fourcc = *b"RGB3"), "/dev/video9 (Test Cam): insists on the format RGB3");
    assert_eq!(
        with(|d| d.granted.width = 100_000),
        "/dev/video9 (Test Cam): 100000x32 with lines of 64 bytes cannot be YUYV"
    );
}

#[test]
fn a_missing_or_wrong_node_is_named() {
    let error = |path: &str| V4l2::open(Path::new(path), &camera()).err().expect("no camera").to_string();
    assert_eq!(error("/dev/video99"), "/dev/video99: is not there");
    assert_eq!(error("/dev/null"), "/dev/null: is no V4L2 device");
    assert_eq!(error("/dev"), "/dev: is no V4L2 device");
}

#[test]
fn the_drivers_time_is_believed_only_where_it_can_be() {
    let (now, offset) = (Ticks90k(100 * TICKS_PER_SECOND), Ticks90k(7));
    let at = |monotonic| on_media_clock(now, offset, monotonic);
    assert_eq!(at(Some(Ticks90k(now.0 - 3000))), Ticks90k(now.0 - 2993));
    assert_eq!(at(None), now, "another clock");
    assert_eq!(at(Some(Ticks90k::ZERO)), now, "a driver that does not stamp");
    assert_eq!(at(Some(Ticks90k(i64::MAX))), now, "a broken clock in the camera");
    assert_eq!(at(Some(Ticks90k(now.0 + TICKS_PER_SECOND))), now, "the future");
}

#[test]
fn a_rate_that_is_not_told_is_measured() {
    let mut device = fake(&[Act::Frame(0, 0), Act::Frame(0, 1)]);
    device.granted.rate = None;
    let mut source = open(device).expect("opens");
    let mut picture = Picture::new(WIDTH as usize, WIDTH as usize);
    let base = clock::media_now() - clock::monotonic_to_media() - Ticks90k::SECOND;
    let durations = [Ticks90k::ZERO, Ticks90k(6000)].map(|since| {
        source.device.monotonic = Some(base + since);
        source.next(Some(&mut picture), Duration::ZERO).expect("no error");
        picture.frame_duration
    });
    assert_eq!(durations[0], Ticks90k(3000), "what was wished for, until there is more to go by");
    assert!((durations[1] - Ticks90k(6000)).0.abs() <= 1, "{durations:?}");
}

/// A device with a manual exposure from 3 to 2047, without a switch for it that knows aperture priority.
fn with_controls() -> Fake {
    let range = |least, most| controls::Range { least, most };
    let controls = vec![
        (v4l::v4l_sys::V4L2_CID_EXPOSURE_AUTO, range(0, 1), -1),
        (v4l::v4l_sys::V4L2_CID_EXPOSURE_ABSOLUTE, range(3, 2047), -1),
        (v4l::v4l_sys::V4L2_CID_GAIN, range(0, 255), -1),
    ];
    Fake { controls, ..fake(&[]) }
}

fn applied(controls: &str) -> (Vec<i32>, Vec<String>) {
    let mut device = with_controls();
    let controls: controls::Controls = from_toml(controls).expect("controls");
    let complaints = controls.apply(&mut device);
    (device.controls.iter().map(|(_, _, value)| *value).collect(), complaints)
}

#[test]
fn controls_are_set_in_the_order_that_makes_them_count() {
    assert_eq!(applied("exposure = 100"), (vec![1, 100, -1], vec![]), "manual first");
    assert_eq!(
        applied("exposure = \"auto\""),
        (vec![0, -1, -1], vec![]),
        "auto where there is no aperture priority"
    );
    assert_eq!(applied("gain = 7"), (vec![-1, -1, 7], vec![]), "nothing to switch off");
    assert_eq!(applied(""), (vec![-1, -1, -1], vec![]), "left as they are");
}

#[test]
fn a_control_that_cannot_be_had_is_named_with_what_can() {
    let (values, complaints) = applied("exposure = 5000\nfocus = 3\ngain = 9");
    assert_eq!(values, [1, -1, 9], "the others are set");
    let expected = [
        "controls.exposure = 5000: the camera takes 3 to 2047",
        "controls.focus = 3: the camera has no such control",
    ];
    assert_eq!(complaints, expected);
}

#[test]
fn a_setting_is_a_number_or_auto() {
    let parse = |text: &str| from_toml::<controls::Controls>(text).map_err(|error| error.to_string());
    let mains = parse("power_line = \"50Hz\"").expect("a frequency").power_line;
    assert_eq!(mains, Some(controls::PowerLine::Hz50));
    let error = parse("focus = \"near\"").expect_err("no number");
    assert!(error.contains("invalid value: string \"near\", expected \"auto\" or a whole number"), "{error}");
    assert!(parse("zoom = 3").expect_err("no key").contains("unknown field `zoom`"));
}

#[test]
fn an_input_without_a_signal_says_so() {
    let error = open(Fake::failing("follow_signal", Errno::ENOLINK)).err();
    let expected =
        "/dev/video9 (Test Cam): gets no signal; is something plugged into its input, and switched on?";
    assert_eq!(error.as_deref(), Some(expected));
}

//! A webcam on USB, as the USB Video Class 1.0 describes it: Motion JPEG of 320x240 at 30 fps, with controls of lens and picture. Its firmware can
//! get stuck: then it delivers nothing, and refuses to start, until the host resets it.
//!
//! ```text
//! interface 0, control:    camera terminal 1 --> processing unit 2 --> output terminal 3
//! interface 1, streaming:  endpoint 1, bulk: header of 2 bytes | JPEG
//! ```

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::usb::{Device, Kind, Setup};

/// Between two pictures.
const FRAME: Duration = Duration::from_nanos(1_000_000_000 / 30);
/// The same in units of 100 ns, as descriptors have it.
const INTERVAL: u32 = 333_333;
/// One picture, its header included, is not longer.
const MOST_PAYLOAD: u32 = 16 << 10;

const GET_DESCRIPTOR: u8 = 6;
/// Requests of the class (A.8): `GET_` and what is asked for.
const SET_CUR: u8 = 0x01;
const CUR: u8 = 0x81;
const MIN: u8 = 0x82;
const MAX: u8 = 0x83;
const RES: u8 = 0x84;
const LEN: u8 = 0x85;
const INFO: u8 = 0x86;
const DEF: u8 = 0x87;
/// `VS_PROBE_CONTROL` and `VS_COMMIT_CONTROL` of interface 1, and their length.
const PROBE: u8 = 1;
const COMMIT: u8 = 2;
const STREAMING: u16 = 1;
const PROBE_BYTES: usize = 26;

/// A control of a terminal or a unit (A.9.4, A.9.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Control {
    /// `CT_AE_MODE_CONTROL`: 1 manual, 8 aperture priority.
    ExposureMode,
    /// `CT_EXPOSURE_TIME_ABSOLUTE_CONTROL`, in 100 µs.
    ExposureTime,
    /// `CT_FOCUS_ABSOLUTE_CONTROL`, in mm.
    Focus,
    /// `CT_FOCUS_AUTO_CONTROL`
    FocusAuto,
    /// `PU_BRIGHTNESS_CONTROL`
    Brightness,
    /// `PU_GAIN_CONTROL`
    Gain,
    /// `PU_WHITE_BALANCE_TEMPERATURE_CONTROL`, in kelvin.
    WhiteBalance,
    /// `PU_WHITE_BALANCE_TEMPERATURE_AUTO_CONTROL`
    WhiteBalanceAuto,
    /// `PU_POWER_LINE_FREQUENCY_CONTROL`
    PowerLine,
}

/// What there is of a control.
struct Row {
    control: Control,
    /// The unit, and its `CS` number there.
    place: (u8, u8),
    bytes: usize,
    /// Least, most, step, and after a reset.
    values: [u32; 4],
}

/// The camera terminal's bits 1, 3, 5, 17 and the processing unit's 0, 6, 9, 10, 12.
const CONTROLS: [Row; 9] = {
    use Control::*;
    const fn row(control: Control, place: (u8, u8), bytes: usize, values: [u32; 4]) -> Row {
        Row { control, place, bytes, values }
    }
    [
        // Of the mode the step says which bits there are.
        row(ExposureMode, (1, 0x02), 1, [1, 8, 0b1001, 8]),
        row(ExposureTime, (1, 0x04), 4, [1, 10_000, 1, 156]),
        row(Focus, (1, 0x06), 2, [0, 250, 5, 0]),
        row(FocusAuto, (1, 0x08), 1, [0, 1, 1, 1]),
        row(Brightness, (2, 0x02), 2, [0, 255, 1, 128]),
        row(Gain, (2, 0x04), 2, [0, 255, 1, 0]),
        row(WhiteBalance, (2, 0x0A), 2, [2000, 6500, 1, 4000]),
        row(WhiteBalanceAuto, (2, 0x0B), 1, [0, 1, 1, 1]),
        row(PowerLine, (2, 0x05), 1, [0, 2, 1, 2]),
    ]
};

const DEVICE: [u8; 18] = [
    18, 1, 0x00, 0x02, 0xEF, 2, 1, 64, // USB 2.0, of several interfaces
    0x09, 0x12, 0x01, 0x00, 0x00, 0x01, 0, 1, 0, 1, // 1209:0001, a number for tests; string 1
];
const VIDEO_CONTROL: [u8; 3] = [0x0E, 1, 0];
const VIDEO_STREAMING: [u8; 3] = [0x0E, 2, 0];

/// The camera.
pub struct Webcam {
    jpeg: Vec<u8>,
    values: BTreeMap<Control, u32>,
    due: Instant,
    /// The picture that is sent now is an odd one.
    odd: bool,
    stuck: bool,
    resets: u32,
}

impl Webcam {
    /// One that shows this picture. It is shorter than 16 KiB.
    pub fn new(jpeg: Vec<u8>) -> Self {
        assert!(jpeg.len() + 2 < MOST_PAYLOAD as usize, "a picture of {} bytes", jpeg.len());
        Self { jpeg, values: factory(), due: Instant::now(), odd: false, stuck: false, resets: 0 }
    }

    /// What a control is set to.
    pub fn value(&self, control: Control) -> u32 {
        self.values.get(&control).copied().unwrap_or_default()
    }

    /// From now on nothing helps but a reset.
    pub fn get_stuck(&mut self) {
        self.stuck = true;
        self.resets = 0;
    }

    /// Resets by the host since it got stuck.
    pub fn resets(&self) -> u32 {
        self.resets
    }

    fn descriptor(value: u16) -> Option<Vec<u8>> {
        match value.to_be_bytes() {
            [1, _] => Some(DEVICE.to_vec()),
            [2, _] => Some(configuration()),
            [3, 0] => Some(vec![4, 3, 0x09, 0x04]),
            [3, _] => {
                let name: Vec<u8> = "Film".encode_utf16().flat_map(u16::to_le_bytes).collect();
                Some([&[name.len() as u8 + 2, 3], &name[..]].concat())
            }
            _ => None,
        }
    }

    /// A request of the class to a control.
    fn adjust(&mut self, row: &Row, request: u8, data: &[u8]) -> Option<Vec<u8>> {
        let [least, most, step, factory] = row.values;
        let value = match request {
            SET_CUR => {
                let mut value = [0; 4];
                value.get_mut(..row.bytes)?.copy_from_slice(data.get(..row.bytes)?);
                self.values.insert(row.control, u32::from_le_bytes(value));
                return Some(Vec::new());
            }
            CUR => self.value(row.control),
            MIN => least,
            MAX => most,
            RES => step,
            DEF => factory,
            INFO => return Some(vec![3]),
            LEN => return Some(vec![row.bytes as u8, 0]),
            _ => return None,
        };
        value.to_le_bytes().get(..row.bytes).map(<[u8]>::to_vec)
    }

    /// A request of the class to the stream: there is one mode.
    fn stream(&self, selector: u8, request: u8) -> Option<Vec<u8>> {
        match (selector, request) {
            (COMMIT, SET_CUR) if self.stuck => None,
            (PROBE | COMMIT, SET_CUR) => Some(Vec::new()),
            (PROBE | COMMIT, INFO) => Some(vec![3]),
            (PROBE | COMMIT, LEN) => Some(vec![PROBE_BYTES as u8, 0]),
            (PROBE | COMMIT, CUR | MIN | MAX | DEF) => {
                let mut mode = [0; PROBE_BYTES];
                (mode[2], mode[3]) = (1, 1);
                mode[4..8].copy_from_slice(&INTERVAL.to_le_bytes());
                mode[18..22].copy_from_slice(&MOST_PAYLOAD.to_le_bytes());
                mode[22..26].copy_from_slice(&MOST_PAYLOAD.to_le_bytes());
                Some(mode.to_vec())
            }
            _ => None,
        }
    }
}

impl Device for Webcam {
    fn kind(&self) -> Kind {
        Kind {
            class: [0xEF, 2, 1],
            ids: [0x1209, 1, 0x100],
            interfaces: vec![VIDEO_CONTROL, VIDEO_STREAMING],
            endpoint: (1, 1, 512),
        }
    }

    fn control(&mut self, setup: Setup, data: &[u8]) -> Option<Vec<u8>> {
        let [selector, _] = setup.value.to_be_bytes();
        let [unit, interface] = setup.index.to_be_bytes();
        match (setup.request_type & 0x7F, setup.request) {
            (0x00, GET_DESCRIPTOR) => Self::descriptor(setup.value),
            // What else the standard asks of a device, an interface or an endpoint changes nothing here.
            (0x00..=0x02, _) => Some(vec![0; setup.length.into()]),
            (0x21, request) if u16::from(interface) == STREAMING => self.stream(selector, request),
            (0x21, request) => {
                let row = CONTROLS.iter().find(|row| row.place == (unit, selector))?;
                self.adjust(row, request, data)
            }
            _ => None,
        }
    }

    fn reset(&mut self) {
        self.stuck = false;
        self.resets += 1;
        self.values = factory();
    }

    fn due(&self) -> Instant {
        self.due
    }

    fn take(&mut self) -> Option<Vec<u8>> {
        self.due = Instant::now().max(self.due + FRAME);
        if self.stuck {
            return None;
        }
        self.odd = !self.odd;
        // Header: its length; its end, the picture's end, and which picture it is.
        Some([&[2, 0x82 | u8::from(self.odd)], &self.jpeg[..]].concat())
    }
}

/// What all controls are set to after a reset.
fn factory() -> BTreeMap<Control, u32> {
    CONTROLS.iter().map(|row| (row.control, row.values[3])).collect()
}

/// The descriptors of the configuration (USB Video Class 1.0, chapter 3).
fn configuration() -> Vec<u8> {
    let control: &[&[u8]] = &[
        &[18, 0x24, 2, 1, 0x01, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 3, 0x2A, 0x00, 0x02],
        &[11, 0x24, 5, 2, 1, 0, 0, 2, 0x41, 0x16, 0],
        &[9, 0x24, 3, 3, 0x01, 0x01, 0, 2, 0],
    ];
    let control = control.concat();
    let [low, high] = (13 + control.len() as u16).to_le_bytes();
    let clock = 48_000_000_u32.to_le_bytes();
    let control_head = [&[13, 0x24, 1, 0x00, 0x01, low, high], &clock[..], &[1, 1]].concat();

    let rate = (MOST_PAYLOAD * 8 * 30).to_le_bytes();
    let (most, interval) = (MOST_PAYLOAD.to_le_bytes(), INTERVAL.to_le_bytes());
    let frame =
        [&[30, 0x24, 7, 1, 0, 0x40, 0x01, 240, 0][..], &rate, &rate, &most, &interval, &[1], &interval];
    let stream =
        [&[11, 0x24, 6, 1, 1, 1, 1, 0, 0, 0, 0][..], &frame.concat(), &[6, 0x24, 13, 1, 1, 4]].concat();
    let [low, high] = (14 + stream.len() as u16).to_le_bytes();

    let interfaces = [
        &[8, 11, 0, 2, 0x0E, 3, 0, 0][..],
        &[9, 4, 0, 0, 0, VIDEO_CONTROL[0], VIDEO_CONTROL[1], 0, 0],
        &control_head,
        &control,
        &[9, 4, 1, 0, 1, VIDEO_STREAMING[0], VIDEO_STREAMING[1], 0, 0],
        &[14, 0x24, 1, 1, low, high, 0x81, 0, 3, 0, 0, 0, 1, 0],
        &stream,
        &[7, 5, 0x81, 2, 0, 2, 0],
    ];
    let interfaces = interfaces.concat();
    let [low, high] = (9 + interfaces.len() as u16).to_le_bytes();
    [&[9, 2, low, high, 2, 1, 0, 0x80, 50], &interfaces[..]].concat()
}

//! What the camera's logic needs of a capture device; [`super::kernel`] is the real one, tests script their own.

use super::negotiate::{Choice, Offer, Wish};
use crate::source::grid::Rate;
use crate::source::pixels::Range;
use media::Ticks90k;
use std::io;
use std::time::Duration;

/// Who the device is and what it can do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// Name of the product.
    pub card: String,
    /// Name of the driver.
    pub driver: String,
    /// Where it is plugged in.
    pub bus: String,
    /// It captures video, one plane a buffer.
    pub captures: bool,
    /// It captures video, but only with several planes a buffer.
    pub captures_multiplanar: bool,
    /// Its buffers can be mapped.
    pub streams: bool,
}

/// What the device can deliver.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Offers {
    /// In formats that are understood.
    pub modes: Vec<Offer>,
    /// Codes of the formats that are not.
    pub other_formats: Vec<[u8; 4]>,
}

/// What the driver made of a choice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Granted {
    /// Four-character code of the format.
    pub fourcc: [u8; 4],
    /// Luma samples a line.
    pub width: u32,
    /// Luma lines.
    pub height: u32,
    /// Bytes from a line to the next; 0 if not told.
    pub stride: u32,
    /// Whole frames, not fields.
    pub progressive: bool,
    /// Range of the samples.
    pub range: Range,
    /// The frame rate, if the driver tells it.
    pub rate: Option<Rate>,
}

/// A filled buffer, taken from the driver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Taken {
    /// Number of the buffer.
    pub index: usize,
    /// Bytes in it.
    pub length: usize,
    /// The driver marks it as damaged.
    pub damaged: bool,
    /// The driver's count of frames, lost ones included.
    pub sequence: u32,
    /// Capture time on `CLOCK_MONOTONIC`, if that is the driver's clock.
    pub monotonic: Option<Ticks90k>,
}

/// A capture device. Dropping it stops the stream and closes it.
pub trait Device: Send {
    /// Who it is.
    fn identity(&self) -> io::Result<Identity>;

    /// Sets an input for digital video (HDMI, SDI) to the timings of what is plugged into it; any other is left as it is.
    fn follow_signal(&mut self) -> io::Result<()>;

    /// What values a control takes; `None` if the device has none of that number.
    fn control(&self, id: u32) -> Option<super::controls::Range>;

    /// Sets a control.
    fn set_control(&mut self, id: u32, value: i32) -> io::Result<()>;

    /// What it delivers; a size with limits and steps is offered nearest to the wish.
    fn offers(&self, wish: &Wish) -> io::Result<Offers>;

    /// Sets format, size and rate. Drivers take what is nearest: the answer counts.
    fn set_mode(&mut self, choice: &Choice) -> io::Result<Granted>;

    /// Gives all buffers to the driver and starts the stream.
    fn start(&mut self) -> io::Result<()>;

    /// Waits for a filled buffer: whether there is one.
    fn wait(&mut self, timeout: Duration) -> io::Result<bool>;

    /// Takes a filled buffer; `None` if there is none after all.
    fn take(&mut self) -> io::Result<Option<Taken>>;

    /// What is in a buffer that was taken.
    fn bytes(&self, taken: &Taken) -> &[u8];

    /// Gives a buffer back to the driver.
    fn give_back(&mut self, taken: Taken) -> io::Result<()>;
}

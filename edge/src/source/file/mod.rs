//! A file played in a loop as if it were a camera: at its own rate, with timestamps that go on over the loop's seam.
//!
//! ```text
//! file:PATH                                            Y4M, or AVI with Motion-JPEG
//! file:PATH?format=nv12&width=640&height=480&fps=25    frames one after another (yuyv, uyvy, nv12, i420, mjpeg)
//! file:PATH?stamp=1                                    the wall clock's block code is drawn into the frames
//! file:PATH?audio=NAME.wav                             its sound; a relative name is looked for beside the file
//! ```
//!
//! Frames are read one at a time; nothing of the file stays in memory.

mod avi;
mod params;
mod raw;
mod y4m;

pub use params::{ALLOWED, Params};

use super::convert::{Converter, Target};
use super::grid::{Grid, Rate};
use super::{Captured, Error, Mode, Source, stamp};
use crate::config::Camera;
use crate::frames::Picture;
use crate::supervise::clock;
use media::Ticks90k;
use std::fs::File;
use std::io::{self, BufReader, Read, Seek};
use std::time::Duration;

/// Largest coded frame that is taken.
const MOST_FRAME_BYTES: u32 = 16 << 20;
/// A file that is read later than this leaves slots out instead of hurrying after the clock.
const MOST_LATE: Ticks90k = Ticks90k(5 * Ticks90k::SECOND.0);

/// Reads the frames of one file, one after another.
trait Frames: Send {
    /// The next frame into `frame`, which is reused; `false` at the end of the file. An empty frame repeats the last.
    fn next(&mut self, frame: &mut Vec<u8>) -> io::Result<bool>;

    /// Goes back to the first frame.
    fn rewind(&mut self) -> io::Result<()>;
}

/// What a file's header or the parameters tell.
struct Opened {
    frames: Box<dyn Frames>,
    /// Pixel format, as the page shows it.
    format: &'static str,
    width: usize,
    height: usize,
    rate: Rate,
    converter: Converter,
}

/// The file of one camera.
pub struct FileSource {
    mode: Mode,
    frames: Box<dyn Frames>,
    converter: Converter,
    grid: Grid,
    stamp: bool,
    frame: Vec<u8>,
    /// `frame` holds the frame of the slot that the grid stands at.
    loaded: bool,
    /// Media time of the file's first frame in this pass.
    pass: Option<Ticks90k>,
}

impl FileSource {
    /// Opens the file that `text` (what follows `file:`) names.
    ///
    /// # Errors
    /// `Io` if it cannot be read, `Unusable` if it is not one of the formats above or damaged in its header.
    pub fn open(text: &str, camera: &Camera) -> Result<Self, Error> {
        let params = Params::parse(text)?;
        let device = params.path.display().to_string();
        let io = |source| Error::Io { device: device.clone(), source };
        let file = File::open(&params.path).map_err(io)?;
        let mut reader = BufReader::new(file);
        let mut magic = [0; 12];
        let length = fill(&mut reader, &mut magic).map_err(io)?;
        reader.rewind().map_err(io)?;
        let target = Target::of(camera);
        let magic = magic.get(..length).unwrap_or_default();
        let opened = if let Some(raw) = &params.raw {
            raw::open(reader, raw, target)
        } else if magic.starts_with(b"YUV4MPEG2 ") {
            y4m::open(reader, target)
        } else if magic.starts_with(b"RIFF") && magic.ends_with(b"AVI ") {
            avi::open(reader, target)
        } else {
            Err(Refused::because(
                "is neither Y4M nor AVI; a raw file needs format=, width=, height= and fps=",
            ))
        };
        let Opened { frames, format, width, height, rate, converter } =
            opened.map_err(|refused| refused.of(&device))?;
        let mode = Mode {
            device,
            format: format.to_owned(),
            width: width as u32,
            height: height as u32,
            frame_duration: rate.frame_duration(),
        };
        let grid = Grid::starting_at(rate, clock::media_now());
        let stamp = params.stamp;
        Ok(Self { mode, frames, converter, grid, stamp, frame: Vec::new(), loaded: false, pass: None })
    }

    /// Reads the next frame, beginning again at the end of the file.
    fn load(&mut self) -> Result<(), Error> {
        let io = |source| Error::Io { device: self.mode.device.clone(), source };
        self.pass.get_or_insert(self.grid.due());
        if self.frames.next(&mut self.frame).map_err(io)? {
            return Ok(());
        }
        self.frames.rewind().map_err(io)?;
        self.pass = Some(self.grid.due());
        if self.frames.next(&mut self.frame).map_err(io)? {
            return Ok(());
        }
        Err(Refused::because("holds no whole frame").of(&self.mode.device))
    }

    /// Leaves slots out if the file is far behind; the pass moves with them, so that the sound stays with its picture.
    fn catch_up(&mut self, now: Ticks90k) {
        let due = self.grid.due();
        self.grid.catch_up(now, MOST_LATE);
        if let Some(pass) = &mut self.pass {
            *pass += self.grid.due() - due;
        }
    }

    /// Puts the loaded frame into the picture and hands it over when it is due.
    fn show(&mut self, picture: &mut Picture, due: Ticks90k) -> Captured {
        if self.frame.is_empty() {
            return Captured::Nothing;
        }
        if let Err(how) = self.converter.convert(&self.frame, picture) {
            return Captured::Damaged(how);
        }
        picture.pts = due;
        picture.frame_duration = self.mode.frame_duration;
        clock::sleep_until(due);
        if self.stamp {
            stamp::draw_code(picture, clock::wall_millis_code());
        }
        Captured::Frame
    }
}

impl Source for FileSource {
    fn mode(&self) -> &Mode {
        &self.mode
    }

    fn pass(&self) -> Option<Ticks90k> {
        self.pass
    }

    fn next(&mut self, picture: Option<&mut Picture>, timeout: Duration) -> Result<Captured, Error> {
        let now = clock::media_now();
        self.catch_up(now);
        let due = self.grid.due();
        let deadline = now + Ticks90k::from_duration(timeout);
        if due > deadline {
            clock::sleep_until(deadline);
            return Ok(Captured::Nothing);
        }
        if !self.loaded {
            self.load()?;
            self.loaded = true;
        }
        let captured = match picture {
            None => Captured::Dropped,
            Some(picture) => self.show(picture, due),
        };
        clock::sleep_until(due);
        self.grid.advance();
        self.loaded = false;
        Ok(captured)
    }
}

/// Why a file cannot be played, without its name.
enum Refused {
    Io(io::Error),
    Because(String),
}

impl Refused {
    fn because(reason: impl Into<String>) -> Self {
        Self::Because(reason.into())
    }

    fn of(self, device: &str) -> Error {
        let device = device.to_owned();
        match self {
            Self::Io(source) => Error::Io { device, source },
            Self::Because(reason) => Error::Unusable { device, reason },
        }
    }
}

impl From<io::Error> for Refused {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// Reads until `buffer` is full or the file ends; how many bytes were read.
fn fill(reader: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match reader.read(rest) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// Reads a frame of `bytes` bytes; `false` if the file ends before.
fn read_frame(reader: &mut impl Read, frame: &mut Vec<u8>, bytes: usize) -> io::Result<bool> {
    frame.resize(bytes, 0);
    Ok(fill(reader, frame)? == bytes)
}

#[cfg(test)]
mod tests;

//! Bare frames one after another: samples of a known size, or JPEGs that each end with EOI.

use super::params::Raw;
use super::{Frames, MOST_FRAME_BYTES, Opened, Refused, read_frame};
use crate::source::convert::{Converter, Target};
use crate::source::pixels::{Layout, PixelFormat, Range};
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek};

pub fn open(reader: BufReader<File>, raw: &Raw, target: Target) -> Result<Opened, Refused> {
    let Raw { format, width, height, rate } = *raw;
    let impossible = || Refused::because(format!("there is no {} frame of {width}x{height}", format.name()));
    let converter =
        Converter::new(format, (width, height, 0), Range::Limited, target).ok_or_else(impossible)?;
    let frames: Box<dyn Frames> = if format == PixelFormat::Mjpeg {
        Box::new(Jpegs { reader })
    } else {
        let bytes = Layout::new(format, width, height, 0).ok_or_else(impossible)?.bytes();
        Box::new(Samples { reader, bytes })
    };
    Ok(Opened { frames, format: format.name(), width, height, rate, converter })
}

struct Samples {
    reader: BufReader<File>,
    bytes: usize,
}

impl Frames for Samples {
    fn next(&mut self, frame: &mut Vec<u8>) -> io::Result<bool> {
        read_frame(&mut self.reader, frame, self.bytes)
    }

    fn rewind(&mut self) -> io::Result<()> {
        self.reader.rewind()
    }
}

struct Jpegs {
    reader: BufReader<File>,
}

impl Frames for Jpegs {
    /// Entropy-coded data never holds EOI (ISO/IEC 10918-1, B.1.1.5): the first one ends the frame.
    fn next(&mut self, frame: &mut Vec<u8>) -> io::Result<bool> {
        frame.clear();
        let mut bounded = (&mut self.reader).take(u64::from(MOST_FRAME_BYTES));
        while !frame.ends_with(b"\xFF\xD9") {
            if bounded.read_until(0xD9, frame)? == 0 {
                // The end of the file, or no end of a frame within the bound: a frame that will not decode.
                return Ok(!frame.is_empty());
            }
        }
        Ok(true)
    }

    fn rewind(&mut self) -> io::Result<()> {
        self.reader.rewind()
    }
}

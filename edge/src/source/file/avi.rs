//! AVI with Motion-JPEG (Microsoft AVI RIFF file reference; OpenDML's further `RIFF AVIX` parts are simply read on).
//!
//! ```text
//! RIFF "AVI "                                    chunk: fourcc | size, little endian | data | pad to even
//!   LIST "hdrl"  avih
//!     LIST "strl"  strh ("vids", scale, rate)  strf (width, height, "MJPG")
//!   LIST "movi"  00dc JPEG | 01wb sound | 00dc JPEG ...
//!   idx1 ...
//! ```
//!
//! The file is a flat walk over chunks: lists are stepped into, what is not wanted is stepped over without being read.

use super::{Frames, MOST_FRAME_BYTES, Opened, Refused, fill, read_frame};
use crate::source::convert::{Converter, Target};
use crate::source::grid::Rate;
use crate::source::pixels::{PixelFormat, Range};
use std::fs::File;
use std::io::{self, BufReader, Seek, SeekFrom};

/// The header of a chunk.
struct Chunk {
    id: [u8; 4],
    size: u32,
}

impl Chunk {
    /// The next chunk that is not a list; lists that can hold frames are stepped into. `None` at the end of the file.
    fn next(reader: &mut BufReader<File>) -> io::Result<Option<Self>> {
        loop {
            let mut header = [0; 8];
            if fill(reader, &mut header)? < header.len() {
                return Ok(None);
            }
            let [a, b, c, d, size @ ..] = header;
            let chunk = Self { id: [a, b, c, d], size: u32::from_le_bytes(size) };
            if !matches!(&chunk.id, b"RIFF" | b"LIST") {
                return Ok(Some(chunk));
            }
            let mut kind = [0; 4];
            if fill(reader, &mut kind)? < kind.len() {
                return Ok(None);
            }
            match &kind {
                b"movi" => return Ok(Some(Self { id: kind, size: 0 })),
                b"AVI " | b"AVIX" | b"hdrl" | b"strl" | b"rec " => {}
                _ => chunk.skip_rest(reader, 4)?,
            }
        }
    }

    /// Steps over what follows the first `read` bytes of the data.
    fn skip_rest(&self, reader: &mut BufReader<File>, read: u32) -> io::Result<()> {
        let padded = i64::from(self.size) + i64::from(self.size % 2);
        reader.seek_relative((padded - i64::from(read)).max(0))
    }

    /// Reads the first bytes of the data and steps over the rest; zeros stand for what is not there.
    fn first_bytes<const N: usize>(&self, reader: &mut BufReader<File>) -> io::Result<[u8; N]> {
        let mut data = [0; N];
        let wanted = N.min(self.size as usize);
        fill(reader, data.get_mut(..wanted).unwrap_or_default())?;
        self.skip_rest(reader, wanted as u32)?;
        Ok(data)
    }
}

/// What the first video stream says of itself.
#[derive(Debug, PartialEq, Eq)]
struct Video {
    /// Its number, counted over all streams.
    stream: u8,
    rate: Rate,
    width: u32,
    height: u32,
}

pub fn open(mut reader: BufReader<File>, target: Target) -> Result<Opened, Refused> {
    let Video { stream, rate, width, height } = read_header(&mut reader)?;
    let first_frame = reader.stream_position()?;
    let chunk_id = [b'0' + stream / 10, b'0' + stream % 10, b'd'];
    let converter = Converter::new(PixelFormat::Mjpeg, (0, 0, 0), Range::Full, target)
        .ok_or_else(|| Refused::because("cannot be decoded"))?;
    let frames = Box::new(Avi { reader, first_frame, chunk_id });
    let format = PixelFormat::Mjpeg.name();
    Ok(Opened { frames, format, width: width as usize, height: height as usize, rate, converter })
}

/// Reads up to the begin of the frames.
fn read_header(reader: &mut BufReader<File>) -> Result<Video, Refused> {
    let mut streams = 0;
    let mut rate = None;
    let mut video = None;
    while let Some(chunk) = Chunk::next(reader)? {
        match &chunk.id {
            b"movi" => return video.ok_or_else(|| Refused::because("AVI without a video stream")),
            b"strh" => {
                let header: [u8; 28] = chunk.first_bytes(reader)?;
                if header.starts_with(b"vids") && video.is_none() {
                    let wrong = || Refused::because("AVI with an impossible frame rate");
                    rate = Some(Rate::new(u32_at(&header, 24), u32_at(&header, 20)).ok_or_else(wrong)?);
                }
                streams += 1;
            }
            b"strf" => {
                let format: [u8; 20] = chunk.first_bytes(reader)?;
                if let Some(rate) = rate.take() {
                    video = Some(video_format(&format, streams, rate)?);
                }
            }
            _ => chunk.skip_rest(reader, 0)?,
        }
        if streams > 99 {
            return Err(Refused::because("AVI with more than 99 streams"));
        }
    }
    Err(Refused::because("AVI ends within its header"))
}

/// From a BITMAPINFOHEADER.
fn video_format(format: &[u8; 20], streams: u8, rate: Rate) -> Result<Video, Refused> {
    let codec = format.get(16..).unwrap_or_default();
    if !codec.eq_ignore_ascii_case(b"MJPG") {
        let codec = codec.escape_ascii();
        return Err(Refused::because(format!("AVI holds {codec}; only MJPG is played")));
    }
    let height = u32_at(format, 8).cast_signed().unsigned_abs();
    Ok(Video { stream: streams.saturating_sub(1), rate, width: u32_at(format, 4), height })
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..).and_then(|bytes| bytes.first_chunk()).map_or(0, |bytes| u32::from_le_bytes(*bytes))
}

struct Avi {
    reader: BufReader<File>,
    first_frame: u64,
    /// Begin of the identifier of a frame: `00d`, with `c` or `b` behind it.
    chunk_id: [u8; 3],
}

impl Frames for Avi {
    fn next(&mut self, frame: &mut Vec<u8>) -> io::Result<bool> {
        while let Some(chunk) = Chunk::next(&mut self.reader)? {
            if !chunk.id.starts_with(&self.chunk_id) {
                chunk.skip_rest(&mut self.reader, 0)?;
                continue;
            }
            if chunk.size > MOST_FRAME_BYTES {
                let text = format!("AVI frame of {} bytes", chunk.size);
                return Err(io::Error::new(io::ErrorKind::InvalidData, text));
            }
            let whole = read_frame(&mut self.reader, frame, chunk.size as usize)?;
            chunk.skip_rest(&mut self.reader, chunk.size)?;
            return Ok(whole);
        }
        Ok(false)
    }

    fn rewind(&mut self) -> io::Result<()> {
        self.reader.seek(SeekFrom::Start(self.first_frame)).map(|_| ())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::geometry::Turn;
    use std::io::Write;

    /// Reads a file to its end: how many frames it had, `None` if it was refused.
    fn frames_of(bytes: &[u8]) -> Option<usize> {
        let mut file = tempfile::tempfile().expect("a file");
        file.write_all(bytes).expect("written");
        file.rewind().expect("rewound");
        let target = Target { width: 32, height: 32, turn: Turn::None };
        let mut opened = open(BufReader::new(file), target).ok()?;
        let mut frame = Vec::new();
        let mut count = 0;
        while opened.frames.next(&mut frame).ok()? {
            count += 1;
        }
        Some(count)
    }

    fn chunk(id: &[u8], data: &[u8]) -> Vec<u8> {
        [id, &(data.len() as u32).to_le_bytes(), data].concat()
    }

    fn list(kind: &[u8], chunks: &[Vec<u8>]) -> Vec<u8> {
        chunk(b"LIST", &[kind, &chunks.concat()].concat())
    }

    fn small() -> Vec<u8> {
        let header = [b"vids", &[0; 16][..], &[1, 0, 0, 0, 30, 0, 0, 0], &[0; 20]].concat();
        let format = [&[40, 0, 0, 0, 32, 0, 0, 0, 32, 0, 0, 0, 1, 0, 24, 0][..], b"MJPG", &[0; 20]].concat();
        let stream = list(b"strl", &[chunk(b"strh", &header), chunk(b"strf", &format)]);
        let movi = list(b"movi", &[chunk(b"00dc", &[1; 10]), chunk(b"00dc", &[2; 12])]);
        chunk(b"RIFF", &[&b"AVI "[..], &list(b"hdrl", &[stream]), &movi, &chunk(b"idx1", &[0; 32])].concat())
    }

    #[test]
    fn whole_frames_are_read_from_whatever_is_left_of_a_file() {
        let whole = small();
        assert_eq!(frames_of(&whole), Some(2));
        let movi = whole.windows(4).position(|bytes| bytes == b"movi").expect("frames");
        for length in 0..=whole.len() {
            let rest = length.checked_sub(movi + 4);
            let expected = rest.map(|rest| usize::from(rest >= 18) + usize::from(rest >= 38));
            assert_eq!(frames_of(&whole[..length]), expected, "{length} of {}", whole.len());
        }
    }

    #[test]
    fn no_changed_byte_makes_it_panic_or_read_for_ever() {
        let whole = small();
        for at in 0..whole.len() {
            for value in [0, 1, 0x7F, 0x80, 0xFF] {
                let mut changed = whole.clone();
                changed[at] = value;
                let frames = frames_of(&changed);
                assert!(frames.is_none_or(|count| count <= 2), "byte {at} is {value}: {frames:?}");
            }
        }
    }
}

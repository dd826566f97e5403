//! YUV4MPEG2, the uncompressed format of mjpegtools (yuv4mpeg(5)).
//!
//! ```text
//! YUV4MPEG2 W320 H240 F30000:1001 Ip A1:1 C420jpeg XCOLORRANGE=LIMITED\n
//! FRAME\n  Y plane, U plane, V plane
//! FRAME\n  ...
//! ```

use super::{Frames, Opened, Refused, read_frame};
use crate::source::convert::{Converter, Raw, Target};
use crate::source::grid::Rate;
use crate::source::pixels::{Layout, Range};
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};

/// Longest header line that is read.
const MOST_LINE: u64 = 1024;

/// The fields of the stream header.
struct Header {
    layout: Layout,
    rate: Rate,
    range: Range,
    format: &'static str,
}

pub fn open(mut reader: BufReader<File>, target: Target) -> Result<Opened, Refused> {
    let mut line = Vec::new();
    read_line(&mut reader, &mut line)?;
    let text = str::from_utf8(&line).map_err(|_| Refused::because("Y4M header is not text"))?;
    let Header { layout, rate, range, format } = header(text)?;
    let (width, height) = (layout.width, layout.height);
    let first_frame = reader.stream_position()?;
    let frames = Box::new(Y4m { reader, first_frame, bytes: layout.bytes(), line });
    let converter = Converter::Raw(Box::new(Raw::new(layout, range, target)));
    Ok(Opened { frames, format, width, height, rate, converter })
}

fn header(line: &str) -> Result<Header, Refused> {
    let (mut width, mut height, mut rate, mut colour, mut range) = (None, None, None, "420", Range::Limited);
    for field in line.split_ascii_whitespace().skip(1) {
        let wrong = || Refused::because(format!("Y4M header field {field} cannot be"));
        let (tag, value) = field.split_at_checked(1).ok_or_else(wrong)?;
        match tag {
            "W" => width = Some(value.parse::<usize>().map_err(|_| wrong())?),
            "H" => height = Some(value.parse::<usize>().map_err(|_| wrong())?),
            "F" => {
                let (num, den) = value.split_once(':').ok_or_else(wrong)?;
                let (num, den) = (num.parse().map_err(|_| wrong())?, den.parse().map_err(|_| wrong())?);
                rate = Some(Rate::new(num, den).ok_or_else(wrong)?);
            }
            "I" if !matches!(value, "p" | "?") => {
                return Err(Refused::because("is interlaced; only progressive Y4M is played"));
            }
            "C" => colour = value,
            "X" if value == "COLORRANGE=FULL" => range = Range::Full,
            _ => {}
        }
    }
    let (Some(width), Some(height), Some(rate)) = (width, height, rate) else {
        return Err(Refused::because("Y4M header lacks W, H or F"));
    };
    let (subsampling, format) = match colour {
        // The three differ in where chroma is sited, by a quarter of a sample.
        "420" | "420jpeg" | "420mpeg2" | "420paldv" => (Some((2, 2)), "I420"),
        "411" => (Some((4, 1)), "I411"),
        "422" => (Some((2, 1)), "I422"),
        "444" => (Some((1, 1)), "I444"),
        "mono" => (None, "GREY"),
        other => {
            let reason =
                format!("Y4M colour space C{other} is not played; 8-bit 420, 411, 422, 444 and mono are");
            return Err(Refused::because(reason));
        }
    };
    let layout = Layout::planar(width, height, 0, subsampling).ok_or_else(|| {
        Refused::because(format!("Y4M size {width}x{height} cannot be; sides are 1 to 4096"))
    })?;
    Ok(Header { layout, rate, range, format })
}

/// Reads a line of at most [`MOST_LINE`] bytes; empty at the end of the file.
fn read_line(reader: &mut BufReader<File>, line: &mut Vec<u8>) -> io::Result<()> {
    line.clear();
    reader.take(MOST_LINE).read_until(b'\n', line)?;
    Ok(())
}

struct Y4m {
    reader: BufReader<File>,
    first_frame: u64,
    bytes: usize,
    line: Vec<u8>,
}

impl Frames for Y4m {
    fn next(&mut self, frame: &mut Vec<u8>) -> io::Result<bool> {
        read_line(&mut self.reader, &mut self.line)?;
        if self.line.is_empty() {
            return Ok(false);
        }
        if !(self.line.starts_with(b"FRAME") && self.line.ends_with(b"\n")) {
            let at = self.reader.stream_position()?;
            return Err(io::Error::new(io::ErrorKind::InvalidData, format!("no FRAME before byte {at}")));
        }
        read_frame(&mut self.reader, frame, self.bytes)
    }

    fn rewind(&mut self) -> io::Result<()> {
        self.reader.seek(SeekFrom::Start(self.first_frame)).map(|_| ())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(line: &str) -> String {
        match header(line) {
            Err(refused) => refused.of("a.y4m").to_string(),
            Ok(_) => panic!("{line} must be refused"),
        }
    }

    #[test]
    fn the_header_of_ffmpeg_is_understood() {
        let line = "YUV4MPEG2 W320 H240 F30000:1001 Ip A1:1 C420jpeg XYSCSS=420JPEG XCOLORRANGE=FULL\n";
        let Ok(Header { layout, rate, range, format }) = header(line) else { panic!("must be understood") };
        assert_eq!((layout.width, layout.height, layout.bytes()), (320, 240, 115_200));
        assert_eq!((Some(rate), range, format), (Rate::new(30_000, 1001), Range::Full, "I420"));
    }

    #[test]
    fn every_colour_space_has_its_frame_size() {
        for (colour, bytes) in
            [("", 27), ("C420mpeg2", 27), ("C411", 27), ("C422", 33), ("C444", 45), ("Cmono", 15)]
        {
            let Ok(Header { layout, .. }) = header(&format!("YUV4MPEG2 W5 H3 F25:1 {colour}")) else {
                panic!("{colour} must be understood")
            };
            assert_eq!(layout.bytes(), bytes, "{colour}");
        }
    }

    #[test]
    fn what_is_not_played_is_said() {
        assert_eq!(refused("YUV4MPEG2 W4 H4"), "a.y4m: Y4M header lacks W, H or F");
        assert_eq!(refused("YUV4MPEG2 W4 H4 F0:0"), "a.y4m: Y4M header field F0:0 cannot be");
        assert_eq!(refused("YUV4MPEG2 W-4 H4 F1:1"), "a.y4m: Y4M header field W-4 cannot be");
        assert_eq!(
            refused("YUV4MPEG2 W4 H4 F25:1 It"),
            "a.y4m: is interlaced; only progressive Y4M is played"
        );
        assert_eq!(
            refused("YUV4MPEG2 W4 H4 F25:1 C420p10"),
            "a.y4m: Y4M colour space C420p10 is not played; 8-bit 420, 411, 422, 444 and mono are"
        );
        assert_eq!(
            refused("YUV4MPEG2 W99999999 H4 F25:1"),
            "a.y4m: Y4M size 99999999x4 cannot be; sides are 1 to 4096"
        );
    }
}

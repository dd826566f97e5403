//! Pixel formats: where the samples of each component lie in a raw frame, and which range they use.
//!
//! ```text
//! YUYV  Y0 U0 Y1 V0 | Y2 U1 Y3 V1 ...          4:2:2, packed, 2 bytes a pixel
//! UYVY  U0 Y0 V0 Y1 | U1 Y2 V1 Y3 ...
//! NV12  Y plane, then a plane of U0 V0 U1 V1   4:2:0
//! I420  Y plane, U plane, V plane              4:2:0 (V4L2 calls it YU12)
//! ```

use super::geometry::Samples;
use serde::{Deserialize, Serialize};

/// Longest side of a frame that is taken: bounds the memory of every buffer.
pub const MOST_SIDE: usize = 4096;
/// Longest line in bytes: four bytes a pixel, and as much again for a driver's padding.
const MOST_STRIDE: usize = 8 * MOST_SIDE;

/// The formats that are understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PixelFormat {
    /// Packed 4:2:2.
    Yuyv,
    /// Packed 4:2:2, chroma first.
    Uyvy,
    /// Two planes, 4:2:0.
    Nv12,
    /// Three planes, 4:2:0.
    I420,
    /// Each frame is a JPEG.
    Mjpeg,
}

impl PixelFormat {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Yuyv, Self::Uyvy, Self::Nv12, Self::I420, Self::Mjpeg];

    /// The four-character code of V4L2.
    pub fn fourcc(self) -> [u8; 4] {
        match self {
            Self::Yuyv => *b"YUYV",
            Self::Uyvy => *b"UYVY",
            Self::Nv12 => *b"NV12",
            Self::I420 => *b"YU12",
            Self::Mjpeg => *b"MJPG",
        }
    }

    /// From the code of V4L2. JPEG is the older name of Motion-JPEG there.
    pub fn from_fourcc(code: [u8; 4]) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|format| format.fourcc() == code)
            .or((code == *b"JPEG").then_some(Self::Mjpeg))
    }

    /// From the name in a file's parameters.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|format| format.name().eq_ignore_ascii_case(name))
    }

    /// As logs and pages show it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Yuyv => "YUYV",
            Self::Uyvy => "UYVY",
            Self::Nv12 => "NV12",
            Self::I420 => "I420",
            Self::Mjpeg => "MJPEG",
        }
    }
}

/// Where one component lies in a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Component {
    /// Byte of the first sample.
    offset: usize,
    /// Bytes from a line to the next.
    stride: usize,
    /// Bytes from a sample to the next.
    step: usize,
    /// Luma samples to one of this component, across and down.
    pub subsampling: (usize, usize),
}

impl Component {
    /// Its samples in `frame`.
    pub fn samples<'a>(&self, frame: &'a [u8]) -> Samples<'a> {
        Samples { data: frame.get(self.offset..).unwrap_or_default(), stride: self.stride, step: self.step }
    }
}

/// Where everything lies in a frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Luma samples a line.
    pub width: usize,
    /// Luma lines.
    pub height: usize,
    /// Y.
    pub luma: Component,
    /// U and V; a grey picture has none.
    pub chroma: Option<[Component; 2]>,
}

impl Layout {
    /// Of a raw format; `stride` is what the driver says, 0 for lines without padding. `None` for MJPEG, for a side of 0
    /// or above [`MOST_SIDE`], and for a stride that cannot be.
    pub fn new(format: PixelFormat, width: usize, height: usize, stride: usize) -> Option<Self> {
        let packed = |y, u, v| {
            let stride = line_bytes(width.next_multiple_of(2) * 2, stride)?;
            let chroma = |offset| Component { offset, stride, step: 4, subsampling: (2, 1) };
            let luma = Component { offset: y, stride, step: 2, subsampling: (1, 1) };
            Self::checked(width, height, luma, Some([chroma(u), chroma(v)]))
        };
        match format {
            PixelFormat::Yuyv => packed(0, 1, 3),
            PixelFormat::Uyvy => packed(1, 0, 2),
            PixelFormat::Nv12 => {
                let stride = line_bytes(width.next_multiple_of(2), stride)?;
                let chroma =
                    |n| Component { offset: stride * height + n, stride, step: 2, subsampling: (2, 2) };
                let luma = Component { offset: 0, stride, step: 1, subsampling: (1, 1) };
                Self::checked(width, height, luma, Some([chroma(0), chroma(1)]))
            }
            PixelFormat::I420 => Self::planar(width, height, stride, Some((2, 2))),
            PixelFormat::Mjpeg => None,
        }
    }

    /// Three planes one after another, or one of grey.
    pub fn planar(
        width: usize,
        height: usize,
        stride: usize,
        subsampling: Option<(usize, usize)>,
    ) -> Option<Self> {
        let stride = line_bytes(width, stride)?;
        let plane = |offset, stride, subsampling| Component { offset, stride, step: 1, subsampling };
        let chroma = subsampling.map(|(across, down)| {
            let (line, lines) = (stride.div_ceil(across), height.div_ceil(down));
            let u = stride * height;
            [plane(u, line, (across, down)), plane(u + line * lines, line, (across, down))]
        });
        Self::checked(width, height, plane(0, stride, (1, 1)), chroma)
    }

    /// Three components a pixel, interleaved: what a JPEG decoder gives.
    pub fn interleaved(width: usize, height: usize) -> Option<Self> {
        let stride = line_bytes(width * 3, 0)?;
        let component = |offset| Component { offset, stride, step: 3, subsampling: (1, 1) };
        Self::checked(width, height, component(0), Some([component(1), component(2)]))
    }

    fn checked(width: usize, height: usize, luma: Component, chroma: Option<[Component; 2]>) -> Option<Self> {
        let good = |side| (1..=MOST_SIDE).contains(&side);
        (good(width) && good(height)).then_some(Self { width, height, luma, chroma })
    }

    /// Bytes that a frame must have at least.
    pub fn bytes(&self) -> usize {
        let components = std::iter::once(&self.luma).chain(self.chroma.iter().flatten());
        let end = |component: &Component| {
            let (across, down) = component.subsampling;
            let (width, height) = (self.width.div_ceil(across), self.height.div_ceil(down));
            component.offset + (height - 1) * component.stride + (width - 1) * component.step + 1
        };
        components.map(end).max().unwrap_or(0)
    }
}

/// Bytes of a line: at least `least`, `stride` if the driver says one.
fn line_bytes(least: usize, stride: usize) -> Option<usize> {
    let line = if stride == 0 { least } else { stride };
    (least..=MOST_STRIDE).contains(&line).then_some(line)
}

/// Which sample values mean black and white (BT.601).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Range {
    /// Luma 16 to 235, chroma 16 to 240: what is encoded.
    Limited,
    /// 0 to 255: JPEG.
    Full,
}

/// Tables from full to limited range, luma and chroma.
pub const FULL_TO_LIMITED: ([u8; 256], [u8; 256]) = (to_limited(0, 16, 219), to_limited(128, 128, 224));

/// Maps 255 steps to `span` steps so that `from` becomes `to`.
const fn to_limited(from: i32, to: i32, span: i32) -> [u8; 256] {
    let mut table = [0; 256];
    let mut value = 0;
    while value < 256 {
        // Rounded to nearest: floor division of twice the product plus the divisor.
        table[value] = (to + (2 * (value as i32 - from) * span + 255).div_euclid(2 * 255)) as u8;
        value += 1;
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_has_the_bytes_of_its_format() {
        let bytes = |format, stride| Layout::new(format, 320, 240, stride).expect("a layout").bytes();
        assert_eq!(bytes(PixelFormat::Yuyv, 0), 153_600);
        assert_eq!(bytes(PixelFormat::Uyvy, 0), 153_600);
        assert_eq!(bytes(PixelFormat::Nv12, 0), 115_200);
        assert_eq!(bytes(PixelFormat::I420, 0), 115_200);
        // The padding behind the last line need not be there.
        assert_eq!(bytes(PixelFormat::I420, 384), 384 * 240 + 192 * 239 + 160);
    }

    #[test]
    fn odd_sides_have_a_chroma_sample_for_the_last_column_and_line() {
        let layout = Layout::new(PixelFormat::I420, 5, 3, 0).expect("a layout");
        assert_eq!(layout.bytes(), 15 + 6 + 6);
        assert_eq!(Layout::new(PixelFormat::Yuyv, 5, 1, 0).expect("a layout").bytes(), 12);
    }

    #[test]
    fn impossible_layouts_are_refused() {
        for (width, height, stride) in
            [(0, 8, 0), (8, 0, 0), (4097, 8, 0), (8, 4097, 0), (8, 8, 7), (8, 8, 40_000)]
        {
            assert_eq!(
                Layout::new(PixelFormat::I420, width, height, stride),
                None,
                "{width} {height} {stride}"
            );
        }
        assert_eq!(Layout::new(PixelFormat::Mjpeg, 8, 8, 0), None);
    }

    #[test]
    fn full_range_ends_where_limited_range_does() {
        let (luma, chroma) = FULL_TO_LIMITED;
        assert_eq!((luma[0], luma[255], chroma[0], chroma[128], chroma[255]), (16, 235, 16, 128, 240));
    }

    #[test]
    fn formats_are_known_by_code_and_name() {
        assert_eq!(PixelFormat::from_fourcc(*b"YU12"), Some(PixelFormat::I420));
        assert_eq!(PixelFormat::from_fourcc(*b"JPEG"), Some(PixelFormat::Mjpeg));
        assert_eq!(PixelFormat::from_fourcc(*b"H264"), None);
        assert_eq!(PixelFormat::from_name("nv12"), Some(PixelFormat::Nv12));
    }
}

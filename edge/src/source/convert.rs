//! From a frame as the device delivers it to the picture that is encoded: I420, limited range, the configured size.
//!
//! Raw formats are read in place, one component after another ([`super::pixels`] says where it lies,
//! [`super::geometry`] scales and turns it); a JPEG is decoded first ([`super::jpeg`]). Nothing is allocated for a raw
//! frame.

use super::geometry::{Crop, Scaler, Turn};
use super::jpeg::Jpeg;
use super::pixels::{FULL_TO_LIMITED, Layout, PixelFormat, Range};
use crate::config::Camera;
use crate::frames::Picture;

/// Size and turn of the picture that is encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target {
    /// Luma samples a line, behind the turn.
    pub width: usize,
    /// Luma lines, behind the turn.
    pub height: usize,
    /// The turn.
    pub turn: Turn,
}

impl Target {
    /// As it is configured.
    pub fn of(camera: &Camera) -> Self {
        Self {
            width: camera.width.into(),
            height: camera.height.into(),
            turn: Turn::from_degrees(camera.rotate),
        }
    }
}

/// Converts the frames of one opened source.
pub enum Converter {
    /// Samples.
    Raw(Box<Raw>),
    /// Motion-JPEG.
    Jpeg(Box<Jpeg>),
}

impl Converter {
    /// For frames of `format`; `stride` is the driver's bytes a line or 0. `None` if there can be no such frame.
    pub fn new(
        format: PixelFormat,
        (width, height, stride): (usize, usize, usize),
        range: Range,
        target: Target,
    ) -> Option<Self> {
        if format == PixelFormat::Mjpeg {
            return Some(Self::Jpeg(Box::new(Jpeg::new(target))));
        }
        let layout = Layout::new(format, width, height, stride)?;
        Some(Self::Raw(Box::new(Raw::new(layout, range, target))))
    }

    /// Fills the planes of `picture`, which has the target's size.
    ///
    /// # Errors
    /// What is wrong with the frame. The picture holds nothing of use then.
    pub fn convert(&mut self, frame: &[u8], picture: &mut Picture) -> Result<(), &'static str> {
        match self {
            Self::Raw(raw) => raw.convert(frame, picture),
            Self::Jpeg(jpeg) => jpeg.convert(frame, picture),
        }
    }
}

/// Converts frames of samples.
pub struct Raw {
    layout: Layout,
    bytes: usize,
    range: Range,
    luma: Scaler,
    chroma: Option<Scaler>,
}

impl Raw {
    /// For frames of this layout.
    pub fn new(layout: Layout, range: Range, Target { width, height, turn }: Target) -> Self {
        let (upright_width, upright_height) = turn.before(width, height);
        let crop = Crop::to_aspect(layout.width, layout.height, upright_width, upright_height);
        let chroma = layout
            .chroma
            .map(|[u, _]| Scaler::new(crop.subsampled(u.subsampling), turn, width / 2, height / 2));
        let luma = Scaler::new(crop, turn, width, height);
        Self { bytes: layout.bytes(), layout, range, luma, chroma }
    }

    /// The layout that it was made for.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// As [`Converter::convert`].
    pub fn convert(&mut self, frame: &[u8], picture: &mut Picture) -> Result<(), &'static str> {
        if frame.len() < self.bytes {
            return Err("frame is too short");
        }
        let (luma_table, chroma_table) = match self.range {
            Range::Full => (Some(&FULL_TO_LIMITED.0), Some(&FULL_TO_LIMITED.1)),
            Range::Limited => (None, None),
        };
        let (y, u, v) = picture.planes_mut();
        self.luma.scale(self.layout.luma.samples(frame), luma_table, y);
        if let (Some(components), Some(scaler)) = (&self.layout.chroma, &mut self.chroma) {
            for (component, plane) in components.iter().zip([u, v]) {
                scaler.scale(component.samples(frame), chroma_table, plane);
            }
        } else {
            u.fill(128);
            v.fill(128);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A 4 x 2 picture of two colours, left and right, in every raw format.
    fn halves(format: PixelFormat) -> Vec<u8> {
        match format {
            PixelFormat::Yuyv => [50, 90, 50, 110, 200, 160, 200, 180].repeat(2),
            PixelFormat::Uyvy => [90, 50, 110, 50, 160, 200, 180, 200].repeat(2),
            PixelFormat::Nv12 => [[50, 50, 200, 200], [50, 50, 200, 200], [90, 110, 160, 180]].concat(),
            PixelFormat::I420 => {
                [&[50, 50, 200, 200, 50, 50, 200, 200][..], &[90, 160], &[110, 180]].concat()
            }
            PixelFormat::Mjpeg => unreachable!("not a raw format"),
        }
    }

    fn converted(format: PixelFormat, target: Target, range: Range) -> (Vec<u8>, Vec<u8>, Vec<u8>) {
        let mut converter = Converter::new(format, (4, 2, 0), range, target).expect("a converter");
        let mut picture = Picture::new(target.width, target.height);
        converter.convert(&halves(format), &mut picture).expect("a whole frame");
        let (y, u, v) = picture.planes();
        (y.to_vec(), u.to_vec(), v.to_vec())
    }

    const RAW: [PixelFormat; 4] =
        [PixelFormat::Yuyv, PixelFormat::Uyvy, PixelFormat::Nv12, PixelFormat::I420];

    #[test]
    fn every_raw_format_gives_the_same_picture() {
        for format in RAW {
            let (y, u, v) =
                converted(format, Target { width: 4, height: 2, turn: Turn::None }, Range::Limited);
            assert_eq!(y, [50, 50, 200, 200, 50, 50, 200, 200], "{format:?}");
            assert_eq!((u, v), (vec![90, 160], vec![110, 180]), "{format:?}");
        }
    }

    #[test]
    fn chroma_turns_with_luma() {
        for format in RAW {
            let target = Target { width: 2, height: 4, turn: Turn::Quarter };
            let (y, u, v) = converted(format, target, Range::Limited);
            assert_eq!(y, [50, 50, 50, 50, 200, 200, 200, 200], "{format:?}");
            assert_eq!((u, v), (vec![90, 160], vec![110, 180]), "{format:?}");
            let (_, u, _) = converted(format, Target { turn: Turn::ThreeQuarters, ..target }, Range::Limited);
            assert_eq!(u, [160, 90], "{format:?}");
        }
    }

    #[test]
    fn full_range_is_brought_into_limited_range() {
        let target = Target { width: 4, height: 2, turn: Turn::None };
        let (y, u, _) = converted(PixelFormat::I420, target, Range::Full);
        assert_eq!((&y[..4], &u[..]), (&[59, 59, 188, 188][..], &[95, 156][..]));
    }

    #[test]
    fn lines_with_padding_are_read_by_their_stride() {
        let target = Target { width: 2, height: 2, turn: Turn::None };
        let mut converter =
            Converter::new(PixelFormat::I420, (2, 2, 4), Range::Limited, target).expect("a converter");
        let mut picture = Picture::new(2, 2);
        converter.convert(&[1, 2, 99, 99, 3, 4, 99, 99, 5, 99, 6, 99], &mut picture).expect("a whole frame");
        assert_eq!(picture.as_bytes(), [1, 2, 3, 4, 5, 6]);
    }

    #[test]
    fn a_short_frame_is_damaged() {
        let target = Target { width: 4, height: 2, turn: Turn::None };
        for format in RAW {
            let mut converter =
                Converter::new(format, (4, 2, 0), Range::Limited, target).expect("a converter");
            let frame = halves(format);
            let mut picture = Picture::new(4, 2);
            for length in 0..frame.len() {
                assert_eq!(converter.convert(&frame[..length], &mut picture), Err("frame is too short"));
            }
        }
    }

    #[test]
    fn a_grey_picture_has_no_colour() {
        let layout = Layout::planar(2, 2, 0, None).expect("a layout");
        let target = Target { width: 2, height: 2, turn: Turn::None };
        let mut picture = Picture::new(2, 2);
        Raw::new(layout, Range::Limited, target).convert(&[9; 4], &mut picture).expect("a whole frame");
        assert_eq!(picture.as_bytes(), [9, 9, 9, 9, 128, 128]);
    }
}

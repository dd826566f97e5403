//! Motion-JPEG frames (ISO/IEC 10918-1) as cameras and AVI files carry them.
//!
//! ```text
//! FFD8 | FFE0 "AVI1" | FFDB | FFC4 | FFC0 | FFDA entropy-coded data FFD9 | padding
//! SOI    APP0          DQT    DHT    SOF    SOS                     EOI
//!                             often left out
//! ```
//!
//! A decoder that meets EOI too early fills the rest of the picture with grey and calls it good. So it is never shown the
//! EOI: it must find every block in the data before, else the frame is damaged.

use super::convert::{Raw, Target};
use super::pixels::{Layout, MOST_SIDE, Range};
use crate::frames::Picture;
use std::io::Cursor;
use zune_jpeg::JpegDecoder;
use zune_jpeg::zune_core::colorspace::ColorSpace;
use zune_jpeg::zune_core::options::DecoderOptions;

const SOI: [u8; 2] = [0xFF, 0xD8];
const EOI: [u8; 2] = [0xFF, 0xD9];
const DHT: u8 = 0xC4;
const SOS: u8 = 0xDA;
/// An APP0 segment that tells the decoder to use the tables of Annex K where there are none.
const AVI1: [u8; 9] = *b"\xFF\xE0\x00\x07AVI1\x00";
/// What follows the data instead of EOI: ones (with their stuffed zeros, B.1.1.5), which no Huffman code consists of
/// (Annex C). A whole frame never reads them but ahead; a truncated one meets an invalid code.
const ONES: [u8; 32] =
    *b"\xFF\0\xFF\0\xFF\0\xFF\0\xFF\0\xFF\0\xFF\0\xFF\0\xFF\0\xFF\0\xFF\0\xFF\0\xFF\0\xFF\0\xFF\0\xFF\0";

/// Decodes and converts JPEG frames.
pub struct Jpeg {
    target: Target,
    /// The frame as the decoder gets it.
    data: Vec<u8>,
    /// What the decoder made of it: interleaved Y, Cb, Cr at full size, or luma alone.
    samples: Vec<u8>,
    /// For pictures of the size and kind of the last one.
    raw: Option<Raw>,
}

impl Jpeg {
    /// Learns the size of the frames from the frames.
    pub fn new(target: Target) -> Self {
        Self { target, data: Vec::new(), samples: Vec::new(), raw: None }
    }

    /// As [`super::convert::Converter::convert`].
    pub fn convert(&mut self, frame: &[u8], picture: &mut Picture) -> Result<(), &'static str> {
        let scan = Scan::find(frame)?;
        self.data.clear();
        self.data.extend_from_slice(&SOI);
        if !scan.has_tables {
            self.data.extend_from_slice(&AVI1);
        }
        self.data.extend_from_slice(frame.get(SOI.len()..scan.end).unwrap_or_default());
        self.data.extend_from_slice(&ONES);
        let layout = self.decode()?;
        if self.raw.as_ref().is_none_or(|raw| *raw.layout() != layout) {
            self.raw = Some(Raw::new(layout, Range::Full, self.target));
        }
        match &mut self.raw {
            Some(raw) => raw.convert(&self.samples, picture),
            None => Ok(()),
        }
    }

    fn decode(&mut self) -> Result<Layout, &'static str> {
        let options = DecoderOptions::default()
            .set_strict_mode(true)
            .set_max_width(MOST_SIDE)
            .set_max_height(MOST_SIDE)
            .jpeg_set_out_colorspace(ColorSpace::YCbCr);
        let mut decoder = JpegDecoder::new_with_options(Cursor::new(&self.data), options);
        decoder.decode_headers().map_err(|_| "JPEG header is damaged")?;
        let (width, height) = decoder.dimensions().ok_or("JPEG header is damaged")?;
        let layout = match decoder.input_colorspace() {
            Some(ColorSpace::YCbCr) => Layout::interleaved(width, height),
            Some(ColorSpace::Luma) => {
                decoder.set_options(options.jpeg_set_out_colorspace(ColorSpace::Luma));
                Layout::planar(width, height, 0, None)
            }
            _ => return Err("JPEG is neither YCbCr nor grey"),
        };
        let layout = layout.ok_or("JPEG is too large")?;
        self.samples.resize(decoder.output_buffer_size().ok_or("JPEG header is damaged")?, 0);
        decoder.decode_into(&mut self.samples).map_err(|_| "JPEG is truncated or damaged")?;
        Ok(layout)
    }
}

/// What must be known of a frame before it is decoded.
#[derive(Debug, PartialEq, Eq)]
struct Scan {
    /// It brings Huffman tables.
    has_tables: bool,
    /// Where the entropy-coded data ends, without EOI and padding.
    end: usize,
}

impl Scan {
    /// Walks over the segments up to SOS.
    fn find(frame: &[u8]) -> Result<Self, &'static str> {
        const TRUNCATED: &str = "JPEG ends within its header";
        if !frame.starts_with(&SOI) {
            return Err("not a JPEG");
        }
        let mut has_tables = false;
        let mut at = SOI.len();
        loop {
            let segment = frame.get(at..).ok_or(TRUNCATED)?;
            let &[marker_start, marker, high, low, ..] = segment else { return Err(TRUNCATED) };
            if marker_start != 0xFF {
                return Err("JPEG header is damaged");
            }
            if marker == 0xFF {
                // A fill byte (B.1.1.2).
                at += 1;
                continue;
            }
            if marker == SOS {
                break;
            }
            has_tables |= marker == DHT;
            at += 2 + usize::from(u16::from_be_bytes([high, low]));
        }
        let coded = frame.get(at..).unwrap_or_default();
        let end = coded.windows(EOI.len()).rposition(|bytes| bytes == EOI).unwrap_or_else(|| {
            // Some cameras leave EOI out, some pad with zeros.
            coded.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1)
        });
        Ok(Self { has_tables, end: at + end })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::geometry::Turn;
    use jpeg_encoder::{ColorType, Encoder, SamplingFactor};

    const WIDTH: usize = 64;
    const HEIGHT: usize = 48;

    /// Noise, so that there is no flat end which a decoder could guess.
    fn noise(bytes: usize) -> Vec<u8> {
        let mut state = 1_u32;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        };
        (0..bytes).map(|_| next()).collect()
    }

    fn jpeg(samples: &[u8], color: ColorType, sampling: SamplingFactor) -> Vec<u8> {
        let mut file = Vec::new();
        let mut encoder = Encoder::new(&mut file, 95);
        encoder.set_sampling_factor(sampling);
        encoder.encode(samples, WIDTH as u16, HEIGHT as u16, color).expect("encodes");
        file
    }

    fn decode(frame: &[u8]) -> Result<Picture, &'static str> {
        let mut picture = Picture::new(WIDTH, HEIGHT);
        let target = Target { width: WIDTH, height: HEIGHT, turn: Turn::None };
        Jpeg::new(target).convert(frame, &mut picture).map(|()| picture)
    }

    /// Removes the Huffman tables, as webcams do that use those of Annex K.
    fn without_tables(jpeg: &[u8]) -> Vec<u8> {
        let mut out = jpeg[..2].to_vec();
        let mut at = 2;
        while jpeg[at + 1] != SOS {
            let next = at + 2 + usize::from(u16::from_be_bytes([jpeg[at + 2], jpeg[at + 3]]));
            if jpeg[at + 1] != DHT {
                out.extend_from_slice(&jpeg[at..next]);
            }
            at = next;
        }
        out.extend_from_slice(&jpeg[at..]);
        out
    }

    #[test]
    fn every_subsampling_becomes_the_same_limited_range() {
        let colour: Vec<u8> = [255, 90, 160].repeat(WIDTH * HEIGHT);
        for sampling in [SamplingFactor::R_4_4_4, SamplingFactor::R_4_2_2, SamplingFactor::R_4_2_0] {
            let picture = decode(&jpeg(&colour, ColorType::Ycbcr, sampling)).expect("whole");
            let (y, u, v) = picture.planes();
            let near = |plane: &[u8], value: u8| plane.iter().all(|s| s.abs_diff(value) <= 1);
            assert!(near(y, 235) && near(u, 95) && near(v, 156), "{sampling:?} {} {} {}", y[0], u[0], v[0]);
        }
        let grey =
            decode(&jpeg(&[0; WIDTH * HEIGHT], ColorType::Luma, SamplingFactor::R_4_4_4)).expect("whole");
        assert_eq!((grey.planes().0[0], grey.planes().1[0]), (16, 128));
    }

    #[test]
    fn a_truncated_frame_is_damaged_wherever_it_ends() {
        for sampling in [SamplingFactor::R_4_2_2, SamplingFactor::R_4_2_0] {
            let whole = jpeg(&noise(WIDTH * HEIGHT * 3), ColorType::Ycbcr, sampling);
            assert!(decode(&whole).is_ok());
            for length in (0..whole.len() - 4).rev().step_by(41) {
                let cut = &whole[..length];
                assert!(decode(cut).is_err(), "{sampling:?} {length} of {}", whole.len());
                let ended = [cut, &EOI].concat();
                assert!(decode(&ended).is_err(), "{sampling:?} {length} of {}, with EOI", whole.len());
                let padded = [cut, &[0; 512]].concat();
                assert!(decode(&padded).is_err(), "{sampling:?} {length} of {}, padded", whole.len());
            }
        }
    }

    #[test]
    fn padding_and_a_missing_end_do_no_harm() {
        let whole = jpeg(&noise(WIDTH * HEIGHT * 3), ColorType::Ycbcr, SamplingFactor::R_4_2_2);
        let picture = decode(&whole).expect("whole");
        for frame in
            [&whole[..whole.len() - 2], &[&whole[..], &[0; 100]].concat(), &[&whole[..], &[7; 9]].concat()]
        {
            assert_eq!(decode(frame).expect("whole").as_bytes(), picture.as_bytes());
        }
    }

    #[test]
    fn a_frame_without_huffman_tables_uses_those_of_annex_k() {
        let whole = jpeg(&noise(WIDTH * HEIGHT * 3), ColorType::Ycbcr, SamplingFactor::R_4_2_2);
        let bare = without_tables(&whole);
        assert!(bare.len() < whole.len());
        assert_eq!(decode(&bare).expect("whole").as_bytes(), decode(&whole).expect("whole").as_bytes());
    }

    #[test]
    fn what_is_not_a_jpeg_is_said_to_be_none() {
        assert_eq!(decode(b"").err(), Some("not a JPEG"));
        assert_eq!(decode(b"\xFF\xD8").err(), Some("JPEG ends within its header"));
        assert_eq!(decode(b"\xFF\xD8\xFF\xDB\x00\x00\x01\x02\x03").err(), Some("JPEG header is damaged"));
        assert_eq!(decode(&noise(1000)).err(), Some("not a JPEG"));
    }
}

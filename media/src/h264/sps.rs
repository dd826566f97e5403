//! Sequence parameter sets: what one says, and the same one with the VUI that players need.
//!
//! An SPS without `bitstream_restriction` (ISO/IEC 14496-10 E.1.1) lets a decoder assume that pictures are reordered, and
//! browsers then hold back as many pictures as the level allows: half a second. [`with_vui`] says that there is no
//! reordering, how long a picture lasts, and what its colours mean. Bits and exp-Golomb codes are the `h264-reader` crate's.

use super::{Error, NalType};
use crate::Ticks90k;
use crate::time::TICKS_PER_SECOND;
use bytes::Bytes;
use h264_reader::nal::sps::{
    BitstreamRestrictions, ColourDescription, SeqParameterSet, TimingInfo, VideoFormat, VideoSignalType,
};
use h264_reader::nal::{Nal, NalHeader, RefNal, WritableNal};

/// What the sample values mean: ISO/IEC 14496-10 E.2.1, with the code points of ISO/IEC 23091-2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Colour {
    /// `colour_primaries`.
    pub primaries: u8,
    /// `transfer_characteristics`.
    pub transfer: u8,
    /// `matrix_coefficients`.
    pub matrix: u8,
    /// `video_full_range_flag`.
    pub full_range: bool,
}

impl Colour {
    /// ITU-R BT.601, 525 lines (SMPTE 170M), limited range: what webcams deliver.
    pub const BT601: Self = Self { primaries: 6, transfer: 6, matrix: 6, full_range: false };
}

/// What an SPS says, as far as Porthole asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpsInfo {
    /// Luma samples a line, cropping applied.
    pub width: u16,
    /// Luma lines, cropping applied.
    pub height: u16,
    /// `profile_idc`.
    pub profile_idc: u8,
    /// The byte with `constraint_set0_flag` (0x80) to `constraint_set5_flag`.
    pub constraint_flags: u8,
    /// `level_idc`: ten times the level.
    pub level_idc: u8,
    /// `max_num_ref_frames`.
    pub max_num_ref_frames: u32,
    /// How long a frame lasts by the VUI's timing information.
    pub frame_duration: Option<Ticks90k>,
    /// The VUI's colour description.
    pub colour: Option<Colour>,
    /// `max_num_reorder_frames`; absent, a decoder must assume the worst.
    pub max_num_reorder_frames: Option<u32>,
    /// `max_dec_frame_buffering`.
    pub max_dec_frame_buffering: Option<u32>,
}

/// Reads an SPS NAL unit, header byte included.
pub fn parse(sps: &[u8]) -> Result<SpsInfo, Error> {
    let parsed = read(sps)?;
    let (width, height) = parsed.pixel_dimensions().map_err(wrong)?;
    let size =
        |value: u32| u16::try_from(value).map_err(|_| Error::Sps(format!("a side of {value} samples")));
    let vui = parsed.vui_parameters.as_ref();
    let restrictions = vui.and_then(|vui| vui.bitstream_restrictions.as_ref());
    Ok(SpsInfo {
        width: size(width)?,
        height: size(height)?,
        profile_idc: parsed.profile_idc.into(),
        constraint_flags: parsed.constraint_flags.into(),
        level_idc: parsed.level_idc,
        max_num_ref_frames: parsed.max_num_ref_frames,
        frame_duration: vui.and_then(|vui| vui.timing_info.as_ref()).and_then(frame_duration),
        colour: vui.and_then(|vui| vui.video_signal_type.as_ref()).and_then(colour),
        max_num_reorder_frames: restrictions.map(|restrictions| restrictions.max_num_reorder_frames),
        max_dec_frame_buffering: restrictions.map(|restrictions| restrictions.max_dec_frame_buffering),
    })
}

/// The same SPS NAL unit with this timing and colour in its VUI, and the promise that pictures are never reordered.
/// Everything else stays as it was. `frame_duration` is the nominal one; the frame rate is not declared as fixed.
pub fn with_vui(sps: &[u8], frame_duration: Ticks90k, colour: Colour) -> Result<Bytes, Error> {
    let mut parsed = read(sps)?;
    let num_units_in_tick = u32::try_from(frame_duration.0)
        .ok()
        .filter(|&ticks| ticks > 0)
        .ok_or_else(|| Error::Sps(format!("a frame duration of {frame_duration}")))?;
    let max_dec_frame_buffering = parsed.max_num_ref_frames;
    let vui = parsed.vui_parameters.get_or_insert_default();
    vui.video_signal_type = Some(VideoSignalType {
        video_format: VideoFormat::Unspecified,
        video_full_range_flag: colour.full_range,
        colour_description: Some(ColourDescription {
            colour_primaries: colour.primaries,
            transfer_characteristics: colour.transfer,
            matrix_coefficients: colour.matrix,
        }),
    });
    vui.timing_info =
        Some(TimingInfo { num_units_in_tick, time_scale: FIELDS_TIME_SCALE, fixed_frame_rate_flag: false });
    // All but the last two are what E.2.1 infers when they are absent.
    vui.bitstream_restrictions = Some(BitstreamRestrictions {
        motion_vectors_over_pic_boundaries_flag: true,
        max_bytes_per_pic_denom: 2,
        max_bits_per_mb_denom: 1,
        log2_max_mv_length_horizontal: 15,
        log2_max_mv_length_vertical: 15,
        max_num_reorder_frames: 0,
        max_dec_frame_buffering,
    });
    let header = sps.first().copied().unwrap_or_default();
    let header = NalHeader::new(header).map_err(wrong)?;
    let mut out = Vec::with_capacity(sps.len() + 32);
    parsed.write_with_header(header, &mut out).map_err(wrong)?;
    Ok(out.into())
}

/// `time_scale` for a `num_units_in_tick` in 90 kHz ticks: a tick of the VUI is a field, so a frame is two.
const FIELDS_TIME_SCALE: u32 = 2 * TICKS_PER_SECOND as u32;

/// What `avcC` repeats of the SPS for the High profiles.
pub(super) struct SampleFormat {
    pub chroma_format_idc: u8,
    pub bit_depth_luma_minus8: u8,
    pub bit_depth_chroma_minus8: u8,
}

pub(super) fn sample_format(sps: &[u8]) -> Result<SampleFormat, Error> {
    let chroma = read(sps)?.chroma_info;
    Ok(SampleFormat {
        chroma_format_idc: chroma.chroma_format.to_u32() as u8 & 3,
        bit_depth_luma_minus8: chroma.bit_depth_luma_minus8 & 7,
        bit_depth_chroma_minus8: chroma.bit_depth_chroma_minus8 & 7,
    })
}

fn read(sps: &[u8]) -> Result<SeqParameterSet, Error> {
    if NalType::of(sps) != NalType::Sps {
        return Err(Error::Sps("not an SPS NAL unit".to_owned()));
    }
    SeqParameterSet::from_bits(RefNal::new(sps, &[], true).rbsp_bits()).map_err(wrong)
}

fn wrong(error: impl std::fmt::Debug) -> Error {
    Error::Sps(format!("{error:?}"))
}

fn frame_duration(timing: &TimingInfo) -> Option<Ticks90k> {
    let scale = timing.time_scale;
    (scale > 0).then(|| Ticks90k::from_scale(2 * i64::from(timing.num_units_in_tick), scale))
}

fn colour(signal: &VideoSignalType) -> Option<Colour> {
    signal.colour_description.as_ref().map(|description| Colour {
        primaries: description.colour_primaries,
        transfer: description.transfer_characteristics,
        matrix: description.matrix_coefficients,
        full_range: signal.video_full_range_flag,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 320x240, Constrained Baseline, from openh264.
    const OPENH264: &[u8] =
        &[0x67, 0x42, 0xC0, 0x0D, 0x8C, 0x8D, 0x40, 0xA0, 0xF9, 0x00, 0xF0, 0x88, 0x46, 0xA0];
    /// The same without VUI.
    const PLAIN: &[u8] = &[0x67, 0x42, 0xC0, 0x0D, 0x8C, 0x8D, 0x40, 0xA0, 0xF8, 0x80];
    /// 640x480, Main, from x264, with a VUI and emulation prevention bytes.
    const X264: &[u8] = &[
        0x67, 0x4D, 0x40, 0x1E, 0xD9, 0x00, 0xA0, 0x3D, 0xB0, 0x11, 0x00, 0x00, 0x03, 0x00, 0x01, 0x00, 0x00,
        0x03, 0x00, 0x32, 0x0F, 0x16, 0x2E, 0x48,
    ];

    #[test]
    fn a_bare_sps_tells_its_size_profile_and_level() {
        let info = parse(PLAIN).unwrap();
        assert_eq!((info.width, info.height), (320, 240));
        assert_eq!((info.profile_idc, info.constraint_flags, info.level_idc), (0x42, 0xC0, 13));
        assert_eq!((info.frame_duration, info.colour, info.max_num_reorder_frames), (None, None, None));
    }

    #[test]
    fn the_rewritten_sps_differs_in_its_vui_alone() {
        for original in [PLAIN, OPENH264, X264] {
            let before = parse(original).unwrap();
            let rewritten = with_vui(original, Ticks90k(3000), Colour::BT601).unwrap();
            assert_eq!(
                parse(&rewritten).unwrap(),
                SpsInfo {
                    frame_duration: Some(Ticks90k(3000)),
                    colour: Some(Colour::BT601),
                    max_num_reorder_frames: Some(0),
                    max_dec_frame_buffering: Some(before.max_num_ref_frames),
                    ..before
                }
            );
            assert_eq!(
                with_vui(&rewritten, Ticks90k(3000), Colour::BT601).unwrap(),
                rewritten,
                "rewriting twice changes nothing"
            );
        }
    }

    #[test]
    fn emulation_prevention_survives() {
        let rewritten = with_vui(PLAIN, Ticks90k(1), Colour::BT601).unwrap();
        let forbidden = |bytes: &[u8]| matches!(bytes, [0, 0, 0..=2]);
        assert!(!rewritten.windows(3).any(forbidden), "{rewritten:02X?}");
        assert!(rewritten.windows(4).any(|bytes| matches!(bytes, [0, 0, 3, 0..=3])), "{rewritten:02X?}");
        assert_eq!(parse(&rewritten).unwrap().frame_duration, Some(Ticks90k(1)));
    }

    #[test]
    fn garbage_and_every_cut_is_an_error_and_never_a_panic() {
        for sps in [PLAIN, OPENH264, X264] {
            for length in 0..sps.len() {
                assert!(with_vui(&sps[..length], Ticks90k(3000), Colour::BT601).is_err(), "{length} bytes");
            }
            for bit in 8..sps.len() * 8 {
                let mut broken = sps.to_vec();
                broken[bit / 8] ^= 0x80 >> (bit % 8);
                let _ = with_vui(&broken, Ticks90k(3000), Colour::BT601);
            }
        }
        assert!(parse(&[0x68, 0xCE]).is_err(), "a PPS");
        assert!(with_vui(PLAIN, Ticks90k(0), Colour::BT601).is_err());
    }
}

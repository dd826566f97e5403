//! The openh264 library with what its safe Rust interface leaves out: CABAC, and a QP of its own for every picture.
//!
//! The library's rate control, scene-change detection and frame skipping are off: it codes what it is told, as an IDR or
//! as a P picture that refers to the one before, at the QP it is told.
//!
//! ```text
//! EncodeFrame -> layer 0 (IDR only): 00 00 00 01 SPS, 00 00 00 01 PPS
//!                layer 1:            00 00 00 01 slice              one slice a picture
//! ```

// The library is C++ behind a table of function pointers; there is no safe way to it.
#![allow(unsafe_code)]

use crate::config::Profile;
use crate::frames::Picture;
use openh264_sys2 as sys;
use std::ffi::{c_int, c_void};
use std::ptr::{NonNull, from_mut};
use sys::source::APILoader;

/// A call that the library refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("openh264 {call}: error {code}")]
pub struct Error {
    /// Which function.
    pub call: &'static str,
    /// `CM_RETURN` of the library's `codec_def.h`; -1 if the function is missing.
    pub code: c_int,
}

/// What does not change while an encoder lives.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Settings {
    /// Luma samples a line; even.
    pub width: u16,
    /// Luma lines; even.
    pub height: u16,
    /// Nominal pictures a second, for the choice of the level.
    pub frame_rate: f32,
    /// The most bits in a second, for the choice of the level.
    pub peak_bitrate: u32,
    /// Main means CABAC.
    pub profile: Profile,
}

/// One encoder of the library.
pub struct Encoder {
    /// From `WelsCreateSVCEncoder`, never null, freed in `drop`.
    raw: NonNull<sys::ISVCEncoder>,
    table: Table,
    parameters: Box<sys::SEncParamExt>,
    /// Written by each call of `EncodeFrame`; its pointers lead into `raw`.
    output: Box<sys::SFrameBSInfo>,
}

/// The functions of the library that are used.
#[derive(Clone, Copy)]
struct Table {
    initialize: unsafe extern "C" fn(*mut sys::ISVCEncoder, *const sys::SEncParamExt) -> c_int,
    default_parameters: unsafe extern "C" fn(*mut sys::ISVCEncoder, *mut sys::SEncParamExt) -> c_int,
    encode: unsafe extern "C" fn(
        *mut sys::ISVCEncoder,
        *const sys::SSourcePicture,
        *mut sys::SFrameBSInfo,
    ) -> c_int,
    force_idr: unsafe extern "C" fn(*mut sys::ISVCEncoder, bool) -> c_int,
    parameter_sets: unsafe extern "C" fn(*mut sys::ISVCEncoder, *mut sys::SFrameBSInfo) -> c_int,
    set_option: unsafe extern "C" fn(*mut sys::ISVCEncoder, sys::ENCODER_OPTION, *mut c_void) -> c_int,
}

impl Table {
    fn of(table: &sys::ISVCEncoderVtbl) -> Option<Self> {
        Some(Self {
            initialize: table.InitializeExt?,
            default_parameters: table.GetDefaultParams?,
            encode: table.EncodeFrame?,
            force_idr: table.ForceIntraFrame?,
            parameter_sets: table.EncodeParameterSets?,
            set_option: table.SetOption?,
        })
    }
}

// SAFETY: the library keeps no thread-local state, and everything behind the pointers belongs to this encoder alone.
unsafe impl Send for Encoder {}

impl Encoder {
    /// Makes an encoder whose first picture will be an IDR.
    pub fn new(settings: &Settings) -> Result<Self, Error> {
        let mut raw = std::ptr::null_mut();
        // SAFETY: the library writes a valid encoder to the pointer, or leaves it null and says so.
        let code = unsafe { APILoader::WelsCreateSVCEncoder(from_mut(&mut raw)) };
        let missing = Error { call: "WelsCreateSVCEncoder", code: if code == 0 { -1 } else { code } };
        let raw = NonNull::new(raw).ok_or(missing)?;
        // SAFETY: an encoder is a pointer to its table, which is static.
        let table = unsafe { raw.read().as_ref() }.and_then(Table::of);
        let Some(table) = table else {
            // SAFETY: created above, and not used again.
            unsafe { APILoader::WelsDestroySVCEncoder(raw.as_ptr()) };
            return Err(missing);
        };
        let mut encoder = Self { raw, table, parameters: Box::default(), output: Box::default() };
        encoder.initialize(settings)?;
        Ok(encoder)
    }

    fn initialize(&mut self, settings: &Settings) -> Result<(), Error> {
        let raw = self.raw.as_ptr();
        let mut level: c_int = sys::WELS_LOG_QUIET;
        // SAFETY: the option is an int, which the call reads.
        let code = unsafe {
            (self.table.set_option)(raw, sys::ENCODER_OPTION_TRACE_LEVEL, from_mut(&mut level).cast())
        };
        check("SetOption(TRACE_LEVEL)", code)?;
        // SAFETY: the parameters are a whole struct, which the call fills in.
        let code = unsafe { (self.table.default_parameters)(raw, &raw mut *self.parameters) };
        check("GetDefaultParams", code)?;
        set(&mut self.parameters, settings);
        // SAFETY: the parameters are whole, and are only read.
        let code = unsafe { (self.table.initialize)(raw, &raw const *self.parameters) };
        check("InitializeExt", code)
    }

    /// SPS and PPS as every IDR repeats them.
    pub fn parameter_sets(&mut self) -> Result<Coded<'_>, Error> {
        // SAFETY: an initialised encoder, and a whole struct for the output.
        let code = unsafe { (self.table.parameter_sets)(self.raw.as_ptr(), &raw mut *self.output) };
        check("EncodeParameterSets", code)?;
        Ok(Coded { output: &self.output })
    }

    /// Codes one picture at `qp` (0 to 51), as an IDR if asked for. Its size must be that of the settings.
    pub fn encode(&mut self, picture: &Picture, qp: u8, idr: bool) -> Result<Coded<'_>, Error> {
        self.set_qp(qp)?;
        if idr {
            // SAFETY: an initialised encoder; the call only sets a flag.
            let code = unsafe { (self.table.force_idr)(self.raw.as_ptr(), true) };
            check("ForceIntraFrame", code)?;
        }
        let (width, height) = (self.parameters.iPicWidth, self.parameters.iPicHeight);
        if (picture.width(), picture.height()) != (width as usize, height as usize) {
            return Err(Error { call: "EncodeFrame", code: sys::cmInitParaError });
        }
        let (y, u, v) = picture.planes();
        let source = sys::SSourcePicture {
            iColorFormat: sys::videoFormatI420,
            iStride: [width, width / 2, width / 2, 0],
            pData: [
                y.as_ptr().cast_mut(),
                u.as_ptr().cast_mut(),
                v.as_ptr().cast_mut(),
                std::ptr::null_mut(),
            ],
            iPicWidth: width,
            iPicHeight: height,
            ..Default::default()
        };
        // SAFETY: the planes have the size that the settings promise (checked above) and are only read, despite the
        // mutable pointers; the output is a whole struct.
        let code =
            unsafe { (self.table.encode)(self.raw.as_ptr(), &raw const source, &raw mut *self.output) };
        check("EncodeFrame", code)?;
        Ok(Coded { output: &self.output })
    }

    fn set_qp(&mut self, qp: u8) -> Result<(), Error> {
        let qp = c_int::from(qp.min(51));
        let layer = &mut self.parameters.sSpatialLayers[0];
        if layer.iDLayerQp == qp {
            return Ok(());
        }
        layer.iDLayerQp = qp;
        let parameters = (&raw mut *self.parameters).cast();
        // SAFETY: the option is a whole SEncParamExt, which the call reads.
        let code = unsafe {
            (self.table.set_option)(self.raw.as_ptr(), sys::ENCODER_OPTION_SVC_ENCODE_PARAM_EXT, parameters)
        };
        check("SetOption(SVC_ENCODE_PARAM_EXT)", code)
    }
}

impl Drop for Encoder {
    fn drop(&mut self) {
        // SAFETY: created by this library, destroyed once; destroying also uninitialises.
        unsafe { APILoader::WelsDestroySVCEncoder(self.raw.as_ptr()) };
    }
}

/// The settings of the library. docs/design/encode.md has the measurements behind each choice.
fn set(parameters: &mut sys::SEncParamExt, settings: &Settings) {
    let (width, height) = (c_int::from(settings.width), c_int::from(settings.height));
    let bitrate = c_int::try_from(settings.peak_bitrate).unwrap_or(c_int::MAX);
    parameters.iUsageType = sys::CAMERA_VIDEO_REAL_TIME;
    parameters.iPicWidth = width;
    parameters.iPicHeight = height;
    parameters.fMaxFrameRate = settings.frame_rate;
    parameters.iRCMode = sys::RC_OFF_MODE;
    parameters.iTargetBitrate = bitrate;
    parameters.iMaxBitrate = bitrate;
    parameters.iComplexityMode = sys::LOW_COMPLEXITY;
    parameters.uiIntraPeriod = 0;
    parameters.iNumRefFrame = 1;
    parameters.eSpsPpsIdStrategy = sys::CONSTANT_ID;
    parameters.iEntropyCodingModeFlag = c_int::from(settings.profile == Profile::Main);
    parameters.bEnableFrameSkip = false;
    parameters.bEnableLongTermReference = false;
    parameters.iMultipleThreadIdc = 1;
    parameters.bEnableDenoise = false;
    parameters.bEnableBackgroundDetection = true;
    parameters.bEnableAdaptiveQuant = false;
    parameters.bEnableSceneChangeDetect = false;
    parameters.iSpatialLayerNum = 1;
    parameters.iTemporalLayerNum = 1;
    let layer = &mut parameters.sSpatialLayers[0];
    layer.iVideoWidth = width;
    layer.iVideoHeight = height;
    layer.fFrameRate = settings.frame_rate;
    layer.iSpatialBitrate = bitrate;
    layer.iMaxSpatialBitrate = bitrate;
    layer.uiProfileIdc = match settings.profile {
        Profile::ConstrainedBaseline => sys::PRO_BASELINE,
        Profile::Main => sys::PRO_MAIN,
    };
    layer.sSliceArgument.uiSliceMode = sys::SM_SINGLE_SLICE;
    layer.sSliceArgument.uiSliceNum = 1;
}

fn check(call: &'static str, code: c_int) -> Result<(), Error> {
    if code == 0 { Ok(()) } else { Err(Error { call, code }) }
}

/// One coded picture, inside the encoder until the next call.
pub struct Coded<'a> {
    output: &'a sys::SFrameBSInfo,
}

impl<'a> Coded<'a> {
    /// Whether the picture became an IDR.
    pub fn is_idr(&self) -> bool {
        self.output.eFrameType == sys::videoFrameTypeIDR
    }

    /// The picture's layers, each a piece of Annex B byte stream; the parameter sets of an IDR come first.
    pub fn annex_b(&self) -> impl Iterator<Item = &'a [u8]> {
        let count = usize::try_from(self.output.iLayerNum).unwrap_or(0);
        self.output.sLayerInfo.iter().take(count).map(|layer| {
            let nals = usize::try_from(layer.iNalCount).unwrap_or(0);
            if layer.pBsBuf.is_null() || layer.pNalLengthInByte.is_null() {
                return [].as_slice();
            }
            // SAFETY: the library promises `iNalCount` lengths, and as many bytes at `pBsBuf` as they sum up to, valid
            // until the next call, which the borrow of the encoder holds off.
            unsafe {
                let lengths = std::slice::from_raw_parts(layer.pNalLengthInByte, nals);
                let bytes = lengths.iter().map(|&length| usize::try_from(length).unwrap_or(0)).sum();
                std::slice::from_raw_parts(layer.pBsBuf, bytes)
            }
        })
    }
}

//! H.264 as bytes: NAL units, their two framings, parameter sets (ISO/IEC 14496-10, 14496-15).
//!
//! ```text
//! Annex B   00 00 00 01 | NAL unit | 00 00 01 | NAL unit ...      a start code of 3 or 4 bytes before each
//! AVCC      len len len len | NAL unit | len len len len | ...    its length in 4 bytes, big-endian, before each
//! NAL unit  forbidden_zero_bit(1) nal_ref_idc(2) nal_unit_type(5) | RBSP with emulation prevention bytes
//! ```
//!
//! Encoders and MPEG-TS speak Annex B; MP4 and an [`AccessUnit`](crate::AccessUnit) hold AVCC. [`nal`] converts between the two,
//! [`sps`] reads and rewrites sequence parameter sets, [`avcc`] is the `avcC` record of MP4.

pub mod avcc;
pub mod nal;
pub mod sps;

pub use nal::{NalType, annex_b_to_avcc, avcc_to_annex_b};
pub use sps::{Colour, SpsInfo};

/// What can be wrong with H.264 bytes. Offsets count from the start of the buffer that was given.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum Error {
    /// An AVCC length points past the end, or the length itself is cut off.
    #[error("NAL unit at byte {offset} claims {length} bytes, {left} are there")]
    Truncated {
        /// Where the length field stands.
        offset: usize,
        /// What it says; 4 if the length field itself is cut off.
        length: usize,
        /// Bytes that follow it, or that are left of it.
        left: usize,
    },
    /// A NAL unit of no bytes: not even a header.
    #[error("empty NAL unit at byte {0}")]
    Empty(usize),
    /// A NAL unit longer than its length field can say (4 bytes in AVCC, 2 in `avcC`).
    #[error("NAL unit of {0} bytes is too long")]
    TooLong(usize),
    /// The SPS breaks a rule of 14496-10 7.3.2.1.1 or annex E.
    #[error("sequence parameter set: {0}")]
    Sps(String),
    /// The `avcC` record breaks a rule of 14496-15 5.3.3.1.
    #[error("avcC: {0}")]
    Avcc(&'static str),
}

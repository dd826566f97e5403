//! MPEG transport stream: ISO/IEC 13818-1, with H.264 (2.14) and AAC in ADTS.
//!
//! ```text
//! packet   47 | error(1) start(1) priority(1) PID(13) | scrambling(2) adaptation(1) payload(1) counter(4) | 184 bytes
//! PES      00 00 01 | stream_id | length16 | flags | 05 | PTS in 5 bytes | access unit(s)
//! segment  PAT PMT PES(IDR, PCR) PES PES ... PAT PMT ... PES       every PID a multiple of 16 packets
//! ```
//!
//! [`mux()`] makes a segment of a GOP without knowing any other: each continuity counter starts at 0, and as each PID has a multiple
//! of 16 packets, the next segment follows on whichever it is. So segments are made on demand, by anyone, in any order.
//! [`Stream`] makes the segments of a whole recording, one after the other. [`Demuxer`] reads streams back.

mod demux;
mod mux;
mod packets;
mod stream;

pub use demux::{Demuxer, Pes, demux};
pub use mux::mux;
pub use stream::Stream;

use crate::{aac, h264};

/// Bytes of a packet.
pub const PACKET: usize = 188;
/// First byte of each packet.
const SYNC_BYTE: u8 = 0x47;
const PAT_PID: u16 = 0;
const PMT_PID: u16 = 0x1000;
const VIDEO_PID: u16 = 0x100;
const AUDIO_PID: u16 = 0x101;
const PROGRAM: u16 = 1;

/// PTS and the base of PCR count modulo 2^33 (2.4.3.7): they come round after 26.5 hours.
const WRAP: i64 = 1 << 33;

/// What can be wrong with a transport stream, or with what shall become one.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A GOP without a picture.
    #[error("GOP {0} has no picture")]
    NoPicture(u64),
    /// An access unit that is not what it claims to be.
    #[error("MPEG-TS: {0}")]
    H264(#[from] h264::Error),
    /// An AAC frame or configuration that ADTS cannot carry.
    #[error("MPEG-TS: {0}")]
    Aac(#[from] aac::Error),
    /// The packet writer refused a packet.
    #[error("MPEG-TS: {0}")]
    Packet(#[from] mpeg2ts::Error),
    /// Bytes that are not a transport stream.
    #[error("MPEG-TS packet {packet}: {what}")]
    Malformed {
        /// Which one, counted from 0.
        packet: u64,
        /// What is wrong with it.
        what: &'static str,
    },
}

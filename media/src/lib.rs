//! Formats and protocols of Porthole: bytes and a time in, values out.
//!
//! Nothing here opens a socket or a file, starts a thread or reads a clock; `now` is always an argument.
//!
//! | module | what | standard |
//! |---|---|---|
//! | [`time`] | 90 kHz media time, the wall-clock mapping | ISO/IEC 13818-1 2.4.2 |
//! | [`access_unit`] | what flows: one coded picture or one AAC frame | ISO/IEC 14496-10, 14496-3 |
//! | [`h264`] | NAL units, SPS/PPS, Annex B and AVCC | ISO/IEC 14496-10, 14496-15 |
//! | [`aac`] | ADTS, AudioSpecificConfig | ISO/IEC 14496-3 |
//! | [`mp4`] | boxes, fragments, sealed files, recovery | ISO/IEC 14496-12, 14496-14, 14496-15 |
//! | [`ts`] | MPEG transport stream | ISO/IEC 13818-1 |
//! | [`timeline`] | segments and parts of the live view, from GOPs | - |
//! | [`hls`] | playlists | RFC 8216bis |
//! | [`dash`] | media presentation description | ISO/IEC 23009-1 |
//! | [`http`] | ranges and entity tags | RFC 9110 |
//! | [`names`] | names of recordings and lock tokens | - |
//! | [`ledger`] | the chain over every GOP and gap, signed | RFC 8032 |
//! | [`update`] | the bundle of an update, the state of a board's slots | RFC 8032, SSHSIG |
//! | [`handshake`] | the upload as a pure state machine | - |

pub mod aac;
pub mod access_unit;
pub mod dash;
pub mod h264;
pub mod handshake;
pub mod hls;
pub mod http;
pub mod ledger;
pub mod mp4;
pub mod names;
pub mod time;
pub mod timeline;
pub mod ts;
pub mod update;

pub use access_unit::{AccessUnit, AudioConfig, Gop, StreamConfig, Track, VideoConfig};
pub use time::{Ticks90k, WallTime};

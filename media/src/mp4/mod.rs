//! MP4: init segments and fragments for the live views, the recording while it grows and when it is sealed
//! (ISO/IEC 14496-12, 14496-14, 14496-15; CMAF, ISO/IEC 23000-19).
//!
//! | module | what |
//! |---|---|
//! | [`init`] | `ftyp` and `moov` of a fragmented stream |
//! | [`fragment`] | access units -> `moof` `mdat` |
//! | [`growing`] | a recording as an ordered list of writes, from its first byte to the seal |
//! | [`spare`](mod@spare) | the seal once more, where nothing that is sent late can reach it |
//! | [`recover`](mod@recover) | what a crash left of a recording -> one that can be sealed |
//! | [`demux`] | files -> access units, with random access |
//!
//! Track 1 is the picture, in 90 kHz; track 2 is the sound, in its sample rate. That never changes, also where a file
//! or a stream carries one of the two alone.

mod boxes;
pub mod demux;
pub mod fragment;
pub mod growing;
pub mod init;
mod moov;
pub mod recover;
pub mod seal;
pub mod spare;
mod tables;
mod track;

pub use demux::{Movie, ReadAt, ReadError};
pub use fragment::{Fragment, Run};
pub use growing::{FLIP_AT, Growing, HEAD, MEDIA_AT, Step, head};
pub use init::{Tracks, init_segment};
pub use moov::About;
pub use recover::{Recovered, Torn, recover};
pub use seal::{Anchor, SEAL_TYPE, Seal};
pub use spare::{Restored, Spare, spare};

use crate::{Ticks90k, Track};

/// Why access units cannot become an MP4.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// An access unit of a track that the stream configuration does not have.
    #[error("the stream has no {0:?} track")]
    NoSuchTrack(Track),
    /// Time went back, or stood still: each access unit must be later than the one before in its track.
    #[error("{track:?} access unit at {at} does not follow the one at {after}")]
    TimeWentBack {
        /// The track.
        track: Track,
        /// Presentation time of the access unit that came too late.
        at: Ticks90k,
        /// What it had to follow: the access unit before it, or the zero of the track's time line.
        after: Ticks90k,
    },
    /// More time from one access unit to the next than a sample duration can say (2^32 in the track's time scale).
    #[error("{track:?} access unit at {at} comes too long after the one before")]
    GapTooLong {
        /// The track.
        track: Track,
        /// Presentation time of the later access unit.
        at: Ticks90k,
    },
    /// More payload than one `mdat` with a 32-bit size holds.
    #[error("{bytes} bytes of payload do not fit into one fragment")]
    TooLarge {
        /// The payload's size.
        bytes: u64,
    },
    /// With the GOP, the sealed `moov` and the spare of the seal would be larger than the room reserved for them: close the
    /// recording, begin another.
    #[error("the sealed moov would need {needed} bytes, {reserved} are reserved")]
    Full {
        /// Size of the two with the GOP.
        needed: u64,
        /// What the file has room for.
        reserved: u64,
    },
    /// A recording has one decoder configuration: close it and begin another.
    #[error("the decoder configuration changed at GOP {sequence}")]
    ConfigChanged {
        /// The first GOP with the new configuration.
        sequence: u64,
    },
    /// GOP sequence numbers must rise, by less than 2^32 within one recording.
    #[error("GOP {sequence} does not belong after GOP {last}")]
    SequenceWentBack {
        /// The GOP that was offered.
        sequence: u64,
        /// The last one in the recording.
        last: u64,
    },
}

//! The init segment of a fragmented stream (ISO/IEC 14496-12, 8.8; CMAF header, ISO/IEC 23000-19, 7.3.1).
//!
//! ```text
//! ftyp  brands
//! moov  mvhd (duration 0)  trak...  mvex [trex...]
//! ```

use super::boxes::{boxed, full_box};
use super::track::{Codec, Header, mvhd, trak};
use crate::{StreamConfig, Track};
use bytes::{BufMut, Bytes, BytesMut};

/// Which tracks a stream carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Tracks {
    /// The picture alone.
    Video,
    /// The sound alone.
    Audio,
    /// Picture and, where the camera has it, sound.
    Both,
}

impl Tracks {
    /// Whether a stream of these tracks carries `track`.
    pub fn contains(self, track: Track) -> bool {
        match self {
            Self::Video => track == Track::Video,
            Self::Audio => track == Track::Audio,
            Self::Both => true,
        }
    }

    /// The tracks that a camera has, of these.
    pub(super) fn codecs(self, config: &StreamConfig) -> impl Iterator<Item = Codec<'_>> + Clone {
        [Track::Video, Track::Audio]
            .into_iter()
            .filter(move |&track| self.contains(track))
            .filter_map(move |track| Codec::of(config, track).ok())
    }
}

/// The init segment of a stream: `ftyp` and `moov`. A stream of one track is a CMAF track.
///
/// The tables of a fragmented track are empty; what its samples have in common is in `trex`, so that a fragment of one
/// access unit stays small.
pub fn init_segment(config: &StreamConfig, tracks: Tracks) -> Bytes {
    let mut out = BytesMut::with_capacity(1536);
    boxed(&mut out, b"ftyp", |out| {
        out.put_slice(b"iso6\0\0\0\0iso6mp41");
        if tracks.codecs(config).count() == 1 {
            out.put_slice(b"cmfc");
        }
    });
    boxed(&mut out, b"moov", |out| {
        mvhd(out, None, 0);
        for codec in tracks.codecs(config) {
            let name = if matches!(codec, Codec::Video(_)) { "video" } else { "audio" };
            let header = Header { created: None, name, movie_duration: 0, media_duration: 0, edits: &[] };
            trak(out, codec, &header, empty_tables);
        }
        mvex(out, tracks.codecs(config));
    });
    out.freeze()
}

/// The sample tables of a track of which all samples are in fragments.
pub(super) fn empty_tables(out: &mut BytesMut) {
    full_box(out, b"stts", 0, 0, |out| out.put_u32(0));
    full_box(out, b"stsc", 0, 0, |out| out.put_u32(0));
    full_box(out, b"stsz", 0, 0, |out| out.put_u64(0));
    full_box(out, b"stco", 0, 0, |out| out.put_u32(0));
}

/// `mvex` with one `trex` a track (8.8.3).
pub(super) fn mvex<'a>(out: &mut BytesMut, codecs: impl Iterator<Item = Codec<'a>>) {
    boxed(out, b"mvex", |out| {
        for codec in codecs {
            full_box(out, b"trex", 0, 0, |out| {
                out.put_u32(codec.id());
                out.put_u32(1); // sample description
                out.put_u32(codec.default_duration());
                out.put_u32(0); // sizes are in trun
                out.put_u32(codec.default_flags());
            });
        }
    });
}

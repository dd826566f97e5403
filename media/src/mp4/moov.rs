//! The `moov` of a recording: the small one while it grows, and the one with all sample tables that seals it.
//!
//! ```text
//! moov  mvhd  trak (edts)...  [mvex, while it grows]  udta (camera)  uuid (anchor)
//! ```
//!
//! Movie time 0 is the first picture. Each track's media time has a zero of its own, so that an edit list (8.6.6) can
//! say to the tick where its samples stand: the sound that comes before the first picture lies before the edit, where
//! it primes the decoder and is not heard; sound that begins later follows an empty edit.

use super::boxes::{boxed, full_box};
use super::growing::Written;
use super::init::{Tracks, empty_tables, mvex};
use super::seal::Anchor;
use super::track::{Codec, Edit, Header, hdlr, mvhd, trak};
use crate::{StreamConfig, Ticks90k, Track, WallTime};
use bytes::{BufMut, BytesMut};

/// Longest name of a camera that is written, in bytes; longer ones are cut.
pub(super) const MAX_NAME: usize = 128;

/// What a recording says about itself in words and dates.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct About {
    /// The camera's name: title of the movie and name of its tracks. At most 128 bytes of it are kept.
    pub camera: String,
    /// Wall time of the first picture, if known.
    pub start: Option<WallTime>,
}

impl About {
    fn name(&self) -> &str {
        let end = (0..=MAX_NAME.min(self.camera.len())).rev().find(|&end| self.camera.is_char_boundary(end));
        self.camera.get(..end.unwrap_or(0)).unwrap_or_default().trim_end_matches('\0')
    }
}

/// Edits that put media time `first` of a track where it belongs in the movie; what is before time 0 is cut off. `first`
/// becomes 0 in the file. The samples last until `end`; `None`: more will come.
fn edits(anchor: &Anchor, codec: Codec<'_>, first: u64, end: Option<u64>) -> Vec<Edit> {
    let ticks = |time: u64| Ticks90k::from_scale(time as i64, codec.timescale());
    let lead = anchor.zero(codec.track()) - anchor.origin;
    let start = (lead + ticks(first)).0;
    let until = end.map_or(0, |end| (lead + ticks(end)).0.max(0) as u64);
    if start > 0 {
        let empty = start as u64;
        let duration = until.saturating_sub(empty);
        vec![Edit { duration: empty, media_time: None }, Edit { duration, media_time: Some(0) }]
    } else {
        let before = (-lead).to_scale(codec.timescale()).max(0) as u64;
        vec![Edit { duration: until, media_time: Some(before.saturating_sub(first)) }]
    }
}

/// Appends the `moov` of a recording that grows.
pub(super) fn growing(out: &mut BytesMut, config: &StreamConfig, about: &About, anchor: &Anchor) {
    boxed(out, b"moov", |out| {
        mvhd(out, about.start, 0);
        for codec in Tracks::Both.codecs(config) {
            let edits = edits(anchor, codec, 0, None);
            let header = Header {
                created: about.start,
                name: about.name(),
                movie_duration: 0,
                media_duration: 0,
                edits: &edits,
            };
            trak(out, codec, &header, empty_tables);
        }
        mvex(out, Tracks::Both.codecs(config));
        udta(out, about);
        anchor.write(out);
    });
}

/// Appends the `moov` of a sealed recording. A track without samples is left out.
pub(super) fn sealed<'a>(
    out: &mut BytesMut,
    config: &StreamConfig,
    about: &About,
    anchor: &Anchor,
    written: impl Fn(Track) -> &'a Written,
) {
    let tracks: Vec<_> = Tracks::Both
        .codecs(config)
        .filter_map(|codec| {
            let samples = written(codec.track());
            let first = samples.tables.first_time()?;
            let edits = edits(anchor, codec, first, Some(samples.end));
            Some((codec, samples, first, edits))
        })
        .collect();
    let duration = |edits: &[Edit]| edits.iter().map(|edit| edit.duration).sum::<u64>();
    let longest = tracks.iter().map(|(.., edits)| duration(edits)).max().unwrap_or(0);
    boxed(out, b"moov", |out| {
        mvhd(out, about.start, longest);
        for (codec, samples, first, edits) in &tracks {
            let header = Header {
                created: about.start,
                name: about.name(),
                movie_duration: duration(edits),
                media_duration: samples.end - first,
                edits,
            };
            trak(out, *codec, &header, |out| samples.tables.write(out, samples.end));
        }
        udta(out, about);
        anchor.write(out);
    });
}

/// The camera's name where players look for a title: `udta/meta/ilst/©nam/data`.
fn udta(out: &mut BytesMut, about: &About) {
    if about.name().is_empty() {
        return;
    }
    boxed(out, b"udta", |out| {
        full_box(out, b"meta", 0, 0, |out| {
            hdlr(out, b"mdir", "");
            boxed(out, b"ilst", |out| {
                boxed(out, b"\xA9nam", |out| {
                    // Type indicator 1: UTF-8.
                    full_box(out, b"data", 0, 1, |out| {
                        out.put_u32(0);
                        out.put_slice(about.name().as_bytes());
                    });
                });
            });
        });
    });
}

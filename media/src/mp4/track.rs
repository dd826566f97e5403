//! One `trak` (ISO/IEC 14496-12, 8.3) and what tells the two tracks apart.

use super::Error;
use super::boxes::{boxed, full_box};
use crate::access_unit::AAC_FRAME_SAMPLES;
use crate::h264::avcc;
use crate::time::TICKS_PER_SECOND;
use crate::{AudioConfig, StreamConfig, Ticks90k, Track, VideoConfig, WallTime};
use bytes::{BufMut, BytesMut};

/// `sample_flags` (8.8.3.1) of an IDR picture and of every AAC frame: it depends on no other.
pub(super) const SYNC: u32 = 0x0200_0000;
/// `sample_flags` of every other picture: it depends on others, and is no sync sample.
pub(super) const NON_SYNC: u32 = 0x0101_0000;

/// Time scale of the movie: an edit list is exact to the tick.
pub(super) const MOVIE_TIMESCALE: u32 = TICKS_PER_SECOND as u32;

/// Seconds from 1904-01-01, where MP4 counts from, to 1970-01-01.
pub(super) const SECONDS_1904_TO_1970: i64 = 2_082_844_800;

/// Language "und", in three packed 5-bit letters (8.4.2.3).
const UNDETERMINED: u16 = 0x55C4;

/// A track as boxes need it.
#[derive(Clone, Copy, Debug)]
pub(super) enum Codec<'a> {
    Video(&'a VideoConfig),
    Audio(&'a AudioConfig),
}

impl<'a> Codec<'a> {
    pub(super) fn of(config: &'a StreamConfig, track: Track) -> Result<Self, Error> {
        match track {
            Track::Video => Ok(Self::Video(&config.video)),
            Track::Audio => config.audio.as_ref().map(Self::Audio).ok_or(Error::NoSuchTrack(track)),
        }
    }

    pub(super) fn track(self) -> Track {
        match self {
            Self::Video(_) => Track::Video,
            Self::Audio(_) => Track::Audio,
        }
    }

    pub(super) fn id(self) -> u32 {
        match self {
            Self::Video(_) => 1,
            Self::Audio(_) => 2,
        }
    }

    pub(super) fn timescale(self) -> u32 {
        match self {
            Self::Video(_) => TICKS_PER_SECOND as u32,
            Self::Audio(audio) => audio.sample_rate,
        }
    }

    /// `default_sample_duration` of `trex`, in the track's time scale.
    pub(super) fn default_duration(self) -> u32 {
        match self {
            Self::Video(video) => u32::try_from(video.frame_duration.0).unwrap_or(0),
            Self::Audio(_) => AAC_FRAME_SAMPLES,
        }
    }

    /// `default_sample_flags` of `trex`.
    pub(super) fn default_flags(self) -> u32 {
        match self {
            Self::Video(_) => NON_SYNC,
            Self::Audio(_) => SYNC,
        }
    }

    /// Nominal time that one access unit lasts.
    pub(super) fn unit_duration(self) -> Ticks90k {
        match self {
            Self::Video(video) => video.frame_duration,
            Self::Audio(audio) => audio.frame_duration(),
        }
    }
}

/// One entry of an edit list (8.6.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Edit {
    /// How long, in the movie's time scale. Zero in a fragmented file: all that comes.
    pub(super) duration: u64,
    /// Where in the track's media time; `None` is an empty edit.
    pub(super) media_time: Option<u64>,
}

/// What a `trak` says beside its sample tables.
pub(super) struct Header<'a> {
    pub(super) created: Option<WallTime>,
    /// Shown by players as the name of the track (`hdlr`).
    pub(super) name: &'a str,
    /// Duration of the edits, in the movie's time scale; 0 in a fragmented file.
    pub(super) movie_duration: u64,
    /// Duration of the samples, in the track's time scale; 0 in a fragmented file.
    pub(super) media_duration: u64,
    /// Empty: the track starts with the movie.
    pub(super) edits: &'a [Edit],
}

/// Seconds since 1904; 0 is unknown.
pub(super) fn mp4_time(wall: Option<WallTime>) -> u64 {
    wall.map_or(0, |wall| u64::try_from(wall.as_secs().saturating_add(SECONDS_1904_TO_1970)).unwrap_or(0))
}

/// `mvhd` (8.2.2), version 1.
pub(super) fn mvhd(out: &mut BytesMut, created: Option<WallTime>, duration: u64) {
    full_box(out, b"mvhd", 1, 0, |out| {
        out.put_u64(mp4_time(created));
        out.put_u64(mp4_time(created));
        out.put_u32(MOVIE_TIMESCALE);
        out.put_u64(duration);
        out.put_u32(0x0001_0000); // rate 1.0
        out.put_u16(0x0100); // volume 1.0
        out.put_bytes(0, 10);
        put_matrix(out);
        out.put_bytes(0, 24);
        out.put_u32(3); // next_track_ID
    });
}

/// `trak`; `tables` appends the sample tables behind `stsd`.
pub(super) fn trak(
    out: &mut BytesMut,
    codec: Codec<'_>,
    header: &Header<'_>,
    tables: impl FnOnce(&mut BytesMut),
) {
    boxed(out, b"trak", |out| {
        tkhd(out, codec, header);
        if !header.edits.is_empty() {
            boxed(out, b"edts", |out| elst(out, header.edits));
        }
        boxed(out, b"mdia", |out| {
            mdhd(out, codec, header);
            hdlr(out, if matches!(codec, Codec::Video(_)) { b"vide" } else { b"soun" }, header.name);
            boxed(out, b"minf", |out| {
                match codec {
                    Codec::Video(_) => full_box(out, b"vmhd", 0, 1, |out| out.put_u64(0)),
                    Codec::Audio(_) => full_box(out, b"smhd", 0, 0, |out| out.put_u32(0)),
                }
                boxed(out, b"dinf", |out| {
                    full_box(out, b"dref", 0, 0, |out| {
                        out.put_u32(1);
                        full_box(out, b"url ", 0, 1, |_| {}); // the media is in this file
                    });
                });
                boxed(out, b"stbl", |out| {
                    full_box(out, b"stsd", 0, 0, |out| {
                        out.put_u32(1);
                        match codec {
                            Codec::Video(video) => avc1(out, video),
                            Codec::Audio(audio) => mp4a(out, audio),
                        }
                    });
                    tables(out);
                });
            });
        });
    });
}

fn put_matrix(out: &mut BytesMut) {
    for value in [0x0001_0000, 0, 0, 0, 0x0001_0000, 0, 0, 0, 0x4000_0000] {
        out.put_u32(value);
    }
}

fn tkhd(out: &mut BytesMut, codec: Codec<'_>, header: &Header<'_>) {
    let (volume, width, height) = match codec {
        Codec::Video(video) => (0, video.width, video.height),
        Codec::Audio(_) => (0x0100, 0, 0),
    };
    // Flags: enabled, and in the movie.
    full_box(out, b"tkhd", 1, 3, |out| {
        out.put_u64(mp4_time(header.created));
        out.put_u64(mp4_time(header.created));
        out.put_u32(codec.id());
        out.put_u32(0);
        out.put_u64(header.movie_duration);
        out.put_u64(0);
        out.put_u16(0); // layer
        out.put_u16(0); // alternate group
        out.put_u16(volume);
        out.put_u16(0);
        put_matrix(out);
        out.put_u32(u32::from(width) << 16);
        out.put_u32(u32::from(height) << 16);
    });
}

fn elst(out: &mut BytesMut, edits: &[Edit]) {
    full_box(out, b"elst", 1, 0, |out| {
        out.put_u32(edits.len() as u32);
        for edit in edits {
            out.put_u64(edit.duration);
            out.put_i64(edit.media_time.map_or(-1, |time| time as i64));
            out.put_u32(0x0001_0000); // rate 1.0
        }
    });
}

fn mdhd(out: &mut BytesMut, codec: Codec<'_>, header: &Header<'_>) {
    full_box(out, b"mdhd", 1, 0, |out| {
        out.put_u64(mp4_time(header.created));
        out.put_u64(mp4_time(header.created));
        out.put_u32(codec.timescale());
        out.put_u64(header.media_duration);
        out.put_u16(UNDETERMINED);
        out.put_u16(0);
    });
}

/// `hdlr` (8.4.3).
pub(super) fn hdlr(out: &mut BytesMut, handler: &[u8; 4], name: &str) {
    full_box(out, b"hdlr", 0, 0, |out| {
        out.put_u32(0);
        out.put_slice(handler);
        out.put_bytes(0, 12);
        out.put_slice(name.as_bytes());
        out.put_u8(0);
    });
}

/// AVCSampleEntry (14496-15, 5.4.2.1).
fn avc1(out: &mut BytesMut, video: &VideoConfig) {
    boxed(out, b"avc1", |out| {
        out.put_bytes(0, 6);
        out.put_u16(1); // data_reference_index
        out.put_bytes(0, 16);
        out.put_u16(video.width);
        out.put_u16(video.height);
        out.put_u32(0x0048_0000); // 72 dpi
        out.put_u32(0x0048_0000);
        out.put_u32(0);
        out.put_u16(1); // frames a sample
        out.put_bytes(0, 32); // compressor name
        out.put_u16(0x0018); // depth
        out.put_u16(0xFFFF);
        boxed(out, b"avcC", |out| {
            // Parameter sets that cannot be read leave a record that players refuse; the access units are kept all the same.
            let mut record = Vec::new();
            let _ = avcc::write(&video.sps, &video.pps, &mut record);
            out.put_slice(&record);
        });
    });
}

/// MP4AudioSampleEntry (14496-14, 6.7.2).
fn mp4a(out: &mut BytesMut, audio: &AudioConfig) {
    boxed(out, b"mp4a", |out| {
        out.put_bytes(0, 6);
        out.put_u16(1); // data_reference_index
        out.put_u64(0);
        out.put_u16(u16::from(audio.channels));
        out.put_u16(16); // bits a sample
        out.put_u32(0);
        out.put_u32(audio.sample_rate << 16);
        full_box(out, b"esds", 0, 0, |out| es_descriptor(out, audio));
    });
}

/// ES_Descriptor (14496-1, 7.2.6.5) with the AudioSpecificConfig.
fn es_descriptor(out: &mut BytesMut, audio: &AudioConfig) {
    // A descriptor's length is one byte below 128; an AudioSpecificConfig has two to seven bytes.
    let asc = audio.asc.get(..64).unwrap_or(&audio.asc);
    let asc_len = asc.len() as u8;
    out.put_slice(&[0x03, 3 + 2 + 13 + 2 + asc_len + 3, 0, 0, 0]);
    // Object type: MPEG-4 audio; stream type: audio; no buffer size, no bit rates.
    out.put_slice(&[0x04, 13 + 2 + asc_len, 0x40, 0x15]);
    out.put_bytes(0, 11);
    out.put_slice(&[0x05, asc_len]);
    out.put_slice(asc);
    out.put_slice(&[0x06, 1, 0x02]);
}

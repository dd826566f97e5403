//! A recording while it grows, and its sealing, as writes for the caller to carry out. docs/design/mp4.md has the
//! invariants.
//!
//! ```text
//!           0      36                                1 MiB - 16     1 MiB
//! growing   ftyp | free ................................................ | moov (mvex) | moof mdat | moof mdat ...
//! sealed    ftyp | moov with all tables | free ..... | mdat (64-bit size, over all that was there) ... | uuid (seal)
//! ```
//!
//! The `free` of a sealed file ends with its seal once more ([`spare`](super::spare)).
//!
//! A GOP is appended as `free` `mdat`; once that is on the disk, the eight bytes in front become `moof` of the same size.
//! A seal writes everything behind offset 44; once that is on the disk, the eight bytes at 36 become `moov`.

use super::Error;
use super::boxes::header;
use super::fragment::{Fragment, Run};
use super::moov::{self, About, MAX_NAME};
use super::seal::{Anchor, Seal};
use super::spare;
use super::tables::{Sample, Tables};
use super::track::Codec;
use crate::{AccessUnit, Gop, StreamConfig, Ticks90k, Track, WallTime, ledger};
use bytes::{BufMut, Bytes, BytesMut};
use sha2::{Digest, Sha256};
use std::sync::Arc;

/// Where the box stands that is `free` while the file grows and `moov` when it is sealed: right behind `ftyp`.
pub const FLIP_AT: u64 = 36;
/// Where what grows begins. Until then everything is reserved for the sealed `moov`.
pub const MEDIA_AT: u64 = 1 << 20;
/// Where the header of the sealed file's `mdat` stands: version with a 64-bit size, 16 bytes.
pub(super) const MDAT_AT: u64 = MEDIA_AT - 16;
/// Largest sealed `moov`: behind it stands a `free` of at least eight bytes.
pub(super) const MAX_MOOV: u64 = MDAT_AT - 8 - FLIP_AT;
/// The most by which the fixed part of a sealed `moov` exceeds the growing one's: the edits, and a longer name three times.
const MOOV_SLACK: u64 = 2 * (8 + 16 + 2 * 20) + 3 * MAX_NAME as u64 + 128;
/// The most that the spare of the seal takes beside the GOPs: what is signed around them, and a few hundred gaps in front of them.
const SPARE_SLACK: u64 = 16 << 10;
/// Zero of the audio track before the origin where the first GOP has no sound that would tell: room for what comes late.
const AUDIO_LEAD: Ticks90k = Ticks90k::SECOND;

/// `ftyp` of a recording, 36 bytes: it needs readers that know `default-base-is-moof` while it grows.
pub(super) const FTYP: &[u8; 36] = b"\0\0\0\x24ftypisom\0\0\x02\0isomiso6mp42mp41avc1";

/// Bytes of a growing recording that are written first: `ftyp` and the header of the reserved `free`.
pub const HEAD: usize = FTYP.len() + 8;

/// These bytes.
pub fn head() -> Bytes {
    let mut head = BytesMut::from(&FTYP[..]);
    head.put_slice(&header((MEDIA_AT - FLIP_AT) as u32, b"free"));
    head.freeze()
}

/// One thing to do to the file. Steps are carried out in their order; writes between two syncs may reach the disk in any.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Write `bytes` at `offset` of the file, growing it where they reach beyond its end.
    Write {
        /// From the start of the file.
        offset: u64,
        /// What to write there.
        bytes: Bytes,
    },
    /// Go on only when everything written before is on the disk (fdatasync; over SFTP: when the replies are there).
    Sync,
}

/// A recording that grows.
///
/// Its memory is that of the sample tables, and they are bounded by the room that the file has for them.
#[derive(Clone, Debug)]
pub struct Growing {
    config: Arc<StreamConfig>,
    anchor: Anchor,
    last_sequence: u64,
    /// Length of the file: where the next GOP goes.
    end: u64,
    /// Size of the sealed `moov` but for the sample tables, at most.
    moov_fixed: u64,
    video: Written,
    audio: Written,
    digest: Sha256,
    /// Over the GOP that is being added, and its place on the media clock.
    gop_digest: Sha256,
    gop_span: (Ticks90k, Ticks90k),
    gops: Vec<ledger::Gop>,
    /// What the seal carries behind its own fields.
    ledger: Bytes,
}

/// What is in the file of one track.
#[derive(Clone, Debug, Default)]
pub(super) struct Written {
    pub(super) tables: Tables,
    /// Media time at which the last sample ends, as far as is known.
    pub(super) end: u64,
}

impl Growing {
    /// Begins a recording with its first GOP in an empty file. The reserved megabyte stays a hole; a caller that wants a
    /// seal never to fail for want of space allocates it (`fallocate`).
    pub fn begin(gop: &Gop, about: &About) -> Result<(Self, Vec<Step>), Error> {
        let first_audio = gop.track(Track::Audio).next().map(|unit| unit.pts);
        let anchor = Anchor {
            first_sequence: gop.sequence,
            origin: gop.start,
            audio_zero: first_audio.unwrap_or(gop.start - AUDIO_LEAD),
            start: about.start,
        };
        let mut init = BytesMut::new();
        moov::growing(&mut init, &gop.config, about, &anchor);
        let mut growing = Self::resume(Arc::clone(&gop.config), anchor, init.len() as u64);
        let mut steps = vec![
            Step::Write { offset: 0, bytes: head() },
            Step::Write { offset: MEDIA_AT, bytes: init.freeze() },
        ];
        steps.extend(growing.append(gop)?);
        Ok((growing, steps))
    }

    /// A recording without any GOP yet, of which the growing `moov` takes `init_size` bytes.
    pub(super) fn resume(config: Arc<StreamConfig>, anchor: Anchor, init_size: u64) -> Self {
        Self {
            config,
            anchor,
            last_sequence: anchor.first_sequence,
            end: MEDIA_AT + init_size,
            moov_fixed: init_size + MOOV_SLACK,
            video: Written::default(),
            audio: Written::default(),
            digest: Sha256::new(),
            gop_digest: Sha256::new(),
            gop_span: (anchor.origin, anchor.origin),
            gops: Vec::new(),
            ledger: Bytes::new(),
        }
    }

    /// Appends a GOP. After an error the recording is as it was before: it can grow on or be sealed.
    pub fn append(&mut self, gop: &Gop) -> Result<Vec<Step>, Error> {
        self.check(gop)?;
        let payload: usize = gop.units.iter().map(|unit| unit.data.len()).sum();
        let mut bytes = BytesMut::with_capacity(payload + 256 + 12 * gop.units.len());
        self.fragment(gop).write(&mut bytes)?;
        let moof = Bytes::copy_from_slice(&bytes[..8]);
        bytes[4..8].copy_from_slice(b"free");

        let offset = self.end;
        let mut chunk_at = offset + (bytes.len() - payload) as u64;
        for track in [Track::Video, Track::Audio] {
            let chunk = self.chunk(gop, track, chunk_at);
            chunk_at += chunk.samples.iter().map(|sample| u64::from(sample.size)).sum::<u64>();
            self.push_chunk(chunk);
            gop.track(track).for_each(|unit| self.hash(&unit.data));
        }
        self.push_fragment(gop.sequence, offset + bytes.len() as u64, gop.wall);
        Ok(vec![
            Step::Write { offset, bytes: bytes.freeze() },
            Step::Sync,
            Step::Write { offset, bytes: moof },
        ])
    }

    /// Seals the recording: carried out whole, the file is a progressive MP4 and [`Seal::size`] long. It may be asked for
    /// again, say when a write failed; `about` may know more than when the recording began.
    pub fn seal(&self, about: &About) -> Vec<Step> {
        let anchor = Anchor { start: about.start, ..self.anchor };
        let mut moov = BytesMut::new();
        moov::sealed(&mut moov, &self.config, about, &anchor, |track| self.written(track));
        let free_at = FLIP_AT + moov.len() as u64;
        let flip = moov.split_to(8).freeze();
        moov.put_slice(&header((MDAT_AT - free_at) as u32, b"free"));

        let mut seal = BytesMut::new();
        self.seal_box().write(&mut seal, &self.ledger);
        let mut room_end = BytesMut::from(&spare::write(free_at, &seal)[..]);
        let spare_at = MDAT_AT - room_end.len() as u64;
        room_end.put_slice(&header(1, b"mdat"));
        room_end.put_u64(self.end - MDAT_AT);
        vec![
            Step::Write { offset: FLIP_AT + flip.len() as u64, bytes: moov.freeze() },
            Step::Write { offset: spare_at, bytes: room_end.freeze() },
            Step::Write { offset: self.end, bytes: seal.freeze() },
            Step::Sync,
            Step::Write { offset: FLIP_AT, bytes: flip },
            Step::Sync,
        ]
    }

    /// What the sealed file will say of itself.
    pub fn seal_box(&self) -> Seal {
        Seal {
            size: self.end + Seal::BOX_SIZE + self.ledger.len() as u64,
            first_sequence: self.anchor.first_sequence,
            last_sequence: self.last_sequence,
            sha256: self.digest.clone().finalize().into(),
        }
    }

    /// Length of the file once all steps so far are carried out.
    pub fn size(&self) -> u64 {
        self.end
    }

    /// Media time of the first picture.
    pub fn start(&self) -> Ticks90k {
        self.anchor.origin
    }

    /// Media time at which the last picture ends.
    pub fn end(&self) -> Ticks90k {
        self.anchor.origin + Ticks90k(self.video.end as i64)
    }

    /// What ties the file's time to the media clock.
    pub fn anchor(&self) -> Anchor {
        self.anchor
    }

    /// Refuses what would make the tables lie or outgrow their room.
    fn check(&self, gop: &Gop) -> Result<(), Error> {
        if gop.config != self.config {
            return Err(Error::ConfigChanged { sequence: gop.sequence });
        }
        if !self.accepts(gop.sequence) {
            return Err(Error::SequenceWentBack { sequence: gop.sequence, last: self.last_sequence });
        }
        for track in [Track::Video, Track::Audio] {
            if let (Some(unit), Ok(codec)) = (gop.track(track).next(), Codec::of(&self.config, track)) {
                self.follows(codec, self.media_time(unit.pts, codec))?;
            }
        }
        let spare = SPARE_SLACK + ((self.gops.len() + 1) * ledger::MOST_ENTRY_BYTES) as u64;
        let needed = spare
            + self.moov_with(|track| {
                let keys = gop.track(track).map(|unit| usize::from(unit.key));
                keys.fold((0, 0), |(count, sync), key| (count + 1, sync + key))
            });
        if needed > MAX_MOOV {
            return Err(Error::Full { needed, reserved: MAX_MOOV });
        }
        Ok(())
    }

    /// Size of the sealed `moov`, at most, with this many samples more in each track, and sync samples among them.
    fn moov_with(&self, more: impl Fn(Track) -> (usize, usize)) -> u64 {
        let tables = [Track::Video, Track::Audio].map(|track| {
            let (samples, sync) = more(track);
            self.written(track).tables.size_with(samples, sync)
        });
        self.moov_fixed + tables.iter().sum::<u64>()
    }

    /// Whether the sealed `moov` has room for these chunks too.
    pub(super) fn has_room_for(&self, chunks: &[Chunk]) -> bool {
        let needed = self.moov_with(|track| {
            let samples = chunks.iter().filter(|chunk| chunk.track == track).flat_map(|chunk| &chunk.samples);
            samples.fold((0, 0), |(count, sync), sample| (count + 1, sync + usize::from(sample.sync)))
        });
        needed <= MAX_MOOV
    }

    /// Whether GOP `sequence` may be the next one.
    pub(super) fn accepts(&self, sequence: u64) -> bool {
        let rises =
            if self.is_empty() { sequence == self.last_sequence } else { sequence > self.last_sequence };
        rises && sequence - self.anchor.first_sequence < u64::from(u32::MAX)
    }

    fn fragment<'a>(&'a self, gop: &'a Gop) -> Fragment<'a, impl Iterator<Item = &'a AccessUnit> + Clone, 2> {
        let run = |track| Run {
            track,
            origin: self.anchor.zero(track),
            units: gop.track(track),
            end: end_of(gop, track),
        };
        Fragment {
            config: &self.config,
            sequence: (gop.sequence - self.anchor.first_sequence) as u32 + 1,
            segment: None,
            captured: None,
            runs: [run(Track::Video), run(Track::Audio)],
        }
    }

    fn chunk(&self, gop: &Gop, track: Track, offset: u64) -> Chunk {
        // A track that is not configured has no access units, or the fragment would have been refused.
        let Ok(codec) = Codec::of(&self.config, track) else {
            return Chunk { track, offset, samples: Vec::new(), end: 0 };
        };
        let samples = gop.track(track).map(|unit| Sample {
            media_time: self.media_time(unit.pts, codec) as u64,
            size: unit.data.len() as u32,
            sync: unit.key,
        });
        Chunk {
            track,
            offset,
            samples: samples.collect(),
            end: self.media_time(end_of(gop, track), codec) as u64,
        }
    }

    /// Adds samples that lie in the file to the tables.
    pub(super) fn push_chunk(&mut self, chunk: Chunk) {
        let written = match chunk.track {
            Track::Video => &mut self.video,
            Track::Audio => &mut self.audio,
        };
        if chunk.track == Track::Video
            && let Some(first) = chunk.samples.first()
        {
            let at = |time: u64| self.anchor.origin + Ticks90k(time as i64);
            self.gop_span = (at(first.media_time), at(chunk.end));
        }
        if !chunk.samples.is_empty() {
            written.tables.push_chunk(chunk.offset, &chunk.samples);
            written.end = chunk.end;
        }
    }

    /// Takes the data of the access units into the seal, in the order of the file.
    pub(super) fn hash(&mut self, data: &[u8]) {
        self.digest.update(data);
        self.gop_digest.update(data);
    }

    /// The fragment of GOP `sequence`, which began at `wall`, is whole; the file now ends at `end`.
    pub(super) fn push_fragment(&mut self, sequence: u64, end: u64, wall: Option<WallTime>) {
        self.last_sequence = sequence;
        self.end = end;
        let (start, video_end) = self.gop_span;
        let sha256 = std::mem::take(&mut self.gop_digest).finalize().into();
        self.gops.push(ledger::Gop { sequence, start, duration: video_end - start, wall, sha256 });
    }

    /// What the ledger says of each GOP.
    pub fn gops(&self) -> &[ledger::Gop] {
        &self.gops
    }

    /// Gives the seal its ledger slices; they stand behind its own fields.
    pub fn carry(&mut self, ledger: Bytes) {
        self.ledger = ledger;
    }

    /// The decoder configuration of every GOP in it.
    pub fn config(&self) -> &Arc<StreamConfig> {
        &self.config
    }

    /// Whether there is no GOP yet; only a recording that is being recovered is.
    pub(super) fn is_empty(&self) -> bool {
        self.video.tables.is_empty() && self.audio.tables.is_empty()
    }

    /// A sample at `media_time` must come after the last one of its track, and not too late.
    pub(super) fn follows(&self, codec: Codec<'_>, media_time: i64) -> Result<(), Error> {
        let track = codec.track();
        let Some(last) = self.written(track).tables.last_time() else { return Ok(()) };
        let pts = |time| self.anchor.zero(track) + Ticks90k::from_scale(time, codec.timescale());
        let last = last as i64;
        match media_time - last {
            ..=0 => Err(Error::TimeWentBack { track, at: pts(media_time), after: pts(last) }),
            delta if delta > i64::from(u32::MAX) => Err(Error::GapTooLong { track, at: pts(media_time) }),
            _ => Ok(()),
        }
    }

    fn media_time(&self, pts: Ticks90k, codec: Codec<'_>) -> i64 {
        (pts - self.anchor.zero(codec.track())).to_scale(codec.timescale())
    }

    fn written(&self, track: Track) -> &Written {
        match track {
            Track::Video => &self.video,
            Track::Audio => &self.audio,
        }
    }
}

/// When the last access unit of a track in `gop` ends.
fn end_of(gop: &Gop, track: Track) -> Ticks90k {
    match track {
        Track::Video => gop.video_end(),
        Track::Audio => {
            let frame = gop.config.audio.as_ref().map_or(Ticks90k::ZERO, |audio| audio.frame_duration());
            gop.track(track).last().map_or(gop.start, |unit| unit.pts + frame)
        }
    }
}

/// Samples of one track that lie in the file one after the other.
pub(super) struct Chunk {
    pub(super) track: Track,
    pub(super) offset: u64,
    pub(super) samples: Vec<Sample>,
    /// Media time at which the last one ends.
    pub(super) end: u64,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::VideoConfig;
    use crate::mp4::demux::verify;

    /// A GOP of `count` pictures that are never equally far apart, which takes the most room in the tables.
    fn gop(sequence: u64, count: i64) -> Gop {
        let video = VideoConfig {
            width: 320,
            height: 240,
            frame_duration: Ticks90k(3000),
            sps: Bytes::from_static(&[0x67, 0x42, 0xC0, 0x0D, 0x8C]),
            pps: Bytes::from_static(&[0x68, 0xCE]),
        };
        let start = Ticks90k(sequence as i64 * 4000 * count);
        let unit = |index: i64| AccessUnit {
            track: Track::Video,
            pts: start + Ticks90k(3000 * index + index % 2),
            key: index == 0,
            data: Bytes::from_static(&[0, 0, 0, 1, 0x41]),
        };
        let config = Arc::new(StreamConfig { video, audio: None });
        let units = (0..count).map(unit).collect();
        Gop { sequence, start, wall: None, discontinuity: false, config, units, end: None }
    }

    fn begin(count: i64) -> (Growing, Vec<Step>) {
        Growing::begin(&gop(1, count), &About { camera: "é".repeat(500), start: None }).unwrap()
    }

    #[test]
    fn a_recording_is_full_before_its_moov_outgrows_the_reserved_room() {
        let (mut growing, mut steps) = begin(3000);
        let error = (2..)
            .find_map(|sequence| match growing.append(&gop(sequence, 3000)) {
                Ok(more) => {
                    steps.extend(more);
                    None
                }
                Err(error) => Some(error),
            })
            .unwrap();
        assert!(
            matches!(error, Error::Full { needed, reserved: 1_048_516 } if needed > 1_048_516),
            "{error}"
        );

        steps.extend(growing.seal(&About { camera: "ü".repeat(500), start: Some(crate::WallTime(1)) }));
        let mut file = Vec::new();
        for step in &steps {
            if let Step::Write { offset, bytes } = step {
                let range = *offset as usize..*offset as usize + bytes.len();
                file.resize(file.len().max(range.end), 0);
                file[range].copy_from_slice(bytes);
            }
        }
        assert_eq!(verify(&file).unwrap(), growing.seal_box());
        // The bound is close: little of the room stays unused.
        let moov = u32::from_be_bytes(file[36..40].try_into().unwrap());
        assert!(u64::from(moov) > MAX_MOOV - SPARE_SLACK - 50_000, "{moov}");
    }

    #[test]
    fn what_does_not_belong_into_the_recording_is_refused_and_changes_nothing() {
        let (mut growing, _) = begin(3);
        let refused = |growing: &mut Growing, gop: Gop| growing.append(&gop).unwrap_err().to_string();
        let mut other = gop(2, 3);
        Arc::make_mut(&mut other.config).video.width = 640;
        assert_eq!(refused(&mut growing, other), "the decoder configuration changed at GOP 2");
        assert_eq!(refused(&mut growing, gop(1, 3)), "GOP 1 does not belong after GOP 1");
        let late = Gop { units: gop(1, 3).units, ..gop(2, 3) };
        assert_eq!(
            refused(&mut growing, late),
            "Video access unit at 0.133s does not follow the one at 0.200s"
        );
        let far = gop(1 << 20, 3);
        assert_eq!(
            refused(&mut growing, far),
            "Video access unit at 139810.133s comes too long after the one before"
        );
        let next = gop(2, 3);
        assert_eq!(growing.append(&next).unwrap(), begin(3).0.append(&next).unwrap());
    }

    #[test]
    fn steps_are_written_and_synced_in_the_order_that_keeps_the_file_whole() {
        let (mut growing, begun) = begin(3);
        let shape = |steps: &[Step]| -> Vec<String> {
            let end = growing.size();
            steps
                .iter()
                .map(|step| match step {
                    Step::Write { offset, bytes } => {
                        let name = bytes.get(4..8).map(|name| name.escape_ascii().to_string());
                        let place = if *offset == end { "end".to_owned() } else { offset.to_string() };
                        format!("{place}: {}", name.unwrap_or_default())
                    }
                    Step::Sync => "sync".to_owned(),
                })
                .collect()
        };
        assert_eq!(shape(&begun)[..2], ["0: ftyp", "1048576: moov"]);
        assert_eq!(shape(&begun)[3], "sync");
        let sealed = shape(&growing.seal(&About::default()));
        assert_eq!(sealed, ["44: mvhd", "1048472: uuid", "end: uuid", "sync", "36: moov", "sync"]);
        let end = growing.size();
        let steps = growing.append(&gop(2, 3)).unwrap();
        let [Step::Write { offset, bytes }, Step::Sync, Step::Write { offset: flipped, bytes: flip }] =
            &steps[..]
        else {
            panic!("{steps:?}")
        };
        assert_eq!((*offset, *flipped), (end, end));
        assert_eq!((&bytes[..4], &bytes[4..8], &flip[4..]), (&flip[..4], &b"free"[..], &b"moof"[..]));
    }
}

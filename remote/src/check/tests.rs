//! What `check` promises, over the files of an edge: silence about what is right, and a name for every hand on them.

use super::*;
use bytes::Bytes;
use media::ledger::slice::write_all;
use media::ledger::{Boot, Cause, Entry, SigningKey, Tail, slice::ssh_blob};
use media::mp4::{About, Growing, Step};
use media::{AccessUnit, Gop, StreamConfig, Ticks90k, Track, VideoConfig, WallTime};
use std::sync::Arc;
use tempfile::TempDir;

/// 2026-11-21T06:15:00Z.
pub(crate) const MARK: WallTime = WallTime(1_795_241_700_000_000);

/// One edge with one camera, whose recordings are put into a folder.
pub(crate) struct Edge {
    pub(crate) dir: TempDir,
    key: SigningKey,
    pub(crate) tail: Tail,
    pub(crate) names: Vec<RecordingName>,
}

fn id_of(key: &SigningKey) -> CameraId {
    CameraId::new(&ssh_blob(&key.verifying_key().to_bytes()), "front")
}

pub(crate) fn seconds(n: i64) -> Ticks90k {
    Ticks90k(n * media::time::TICKS_PER_SECOND)
}

/// One second: two pictures, of which the second one tells which second it is.
fn gop(second: i64) -> Gop {
    let video = VideoConfig {
        width: 320,
        height: 240,
        frame_duration: Ticks90k(45_000),
        sps: Bytes::from_static(&[0x67, 0x42, 0xc0, 0x1e, 1]),
        pps: Bytes::from_static(&[0x68, 1]),
    };
    let unit = |half: i64| AccessUnit {
        track: Track::Video,
        pts: seconds(second) + Ticks90k(half * 45_000),
        key: half == 0,
        data: [&b"\0\0\0\x09"[..], &[if half == 0 { 0x65 } else { 0x41 }], &second.to_be_bytes()]
            .concat()
            .into(),
    };
    Gop {
        sequence: second as u64,
        start: seconds(second),
        wall: Some(MARK.plus(seconds(second))),
        discontinuity: false,
        config: Arc::new(StreamConfig { video, audio: None }),
        units: vec![unit(0), unit(1)],
        end: None,
    }
}

fn write(path: &Path, steps: &[Step]) {
    let mut file = Vec::new();
    for step in steps {
        if let Step::Write { offset, bytes } = step {
            let end = *offset as usize + bytes.len();
            file.resize(end.max(file.len()), 0);
            file[*offset as usize..end].copy_from_slice(bytes);
        }
    }
    std::fs::write(path, file).unwrap();
}

impl Edge {
    pub(crate) fn new() -> Self {
        Self::with_key(7)
    }

    pub(crate) fn with_key(key: u8) -> Self {
        let key = SigningKey::from_bytes(&[key; 32]);
        let tail = Tail::begin(id_of(&key), [1; 32]);
        Self { dir: tempfile::tempdir().unwrap(), key, tail, names: Vec::new() }
    }

    /// Three recordings of four seconds that follow on.
    pub(crate) fn with_three() -> Self {
        let mut edge = Self::new();
        for range in [0..4, 4..8, 8..12] {
            edge.record(range);
        }
        edge
    }

    pub(crate) fn record(&mut self, range: std::ops::Range<i64>) {
        let first = gop(range.start);
        let name = RecordingName::new(first.wall, id_of(&self.key), 100 + self.names.len() as u64);
        self.names.push(name);
        self.seal(name, range, &[]);
    }

    /// Puts what no recording carries into a file of its own, which has the next number.
    pub(crate) fn cut(&mut self) {
        let slices = self.tail.cut(&self.key);
        self.tail.advance(&slices);
        let name = RecordingName::new(None, id_of(&self.key), 100 + self.names.len() as u64);
        self.names.push(name);
        std::fs::write(self.dir.path().join(format!("{name}.ledger")), write_all(&slices)).unwrap();
    }

    /// Writes the file of a recording; `ledger` in the place of what its seal should carry.
    fn seal(&mut self, name: RecordingName, range: std::ops::Range<i64>, ledger: &[u8]) {
        let about = About { camera: "front".to_owned(), start: None };
        let (mut growing, mut steps) = Growing::begin(&gop(range.start), &about).unwrap();
        for second in range.start + 1..range.end {
            steps.extend(growing.append(&gop(second)).unwrap());
        }
        if ledger.is_empty() {
            let slices = self.tail.seal(&self.key, name.sequence, Boot::of("one"), growing.gops());
            self.tail.advance(&slices);
            growing.carry(write_all(&slices));
        } else {
            growing.carry(Bytes::copy_from_slice(ledger));
        }
        steps.extend(growing.seal(&about));
        write(&self.dir.path().join(format!("{name}.mp4")), &steps);
    }

    fn path(&self, n: usize) -> PathBuf {
        self.dir.path().join(format!("{}.mp4", self.names[n]))
    }

    fn report(&self) -> Report {
        check(&[self.dir.path().to_owned()], &Keys::Enrolled(Vec::new())).unwrap()
    }

    /// Kind and file of each problem: the file as the number of its recording.
    fn problems(&self) -> Vec<(Kind, usize)> {
        let number =
            |file: &str| self.names.iter().position(|name| file.contains(&name.to_string())).unwrap_or(99);
        self.report().problems.iter().map(|problem| (problem.kind, number(&problem.file))).collect()
    }

    /// What the seal of a recording carries.
    fn ledger(&self, n: usize) -> Vec<u8> {
        media::mp4::demux::ledger(&std::fs::read(self.path(n)).unwrap()).unwrap().to_vec()
    }

    /// A gap for each: cause, begin in seconds behind the mark, length.
    fn gaps(&self) -> Vec<(&'static str, String, Option<f64>)> {
        let camera = self.report().cameras.remove(0);
        camera.gaps.into_iter().map(|gap| (gap.cause, gap.start.unwrap_or_default(), gap.seconds)).collect()
    }
}

#[test]
fn recordings_that_follow_on_are_clean_in_any_number_of_folders() {
    let edge = Edge::with_three();
    let other = tempfile::tempdir().unwrap();
    std::fs::create_dir(other.path().join("archive")).unwrap();
    std::fs::rename(edge.path(1), other.path().join("archive").join(edge.path(1).file_name().unwrap()))
        .unwrap();
    let keys = [edge.key.verifying_key().to_bytes()];
    let report =
        check(&[edge.dir.path().to_owned(), other.path().to_owned()], &Keys::Expected(keys.to_vec()))
            .unwrap();
    assert!(report.is_clean() && report.notes.is_empty(), "{report}");
    let expected = format!(
        "camera {} (front): 12.000 s of footage\n  key {}, as expected\n3 recordings, 0 problems\n",
        id_of(&edge.key),
        report::key_text(&keys[0])
    );
    assert_eq!(report.to_string(), expected);
    assert_eq!(edge.report().cameras[0].trust, Trust::FirstUse);
}

#[test]
fn a_dropped_file_is_missing_with_its_seconds() {
    let edge = Edge::with_three();
    std::fs::remove_file(edge.path(1)).unwrap();
    assert_eq!(edge.problems(), [(Kind::Absent, 2)]);
    assert_eq!(edge.gaps(), [("absent", "2026-11-21T06:15:04.000Z".to_owned(), Some(4.0))]);
}

#[test]
fn what_had_a_receipt_was_taken_away_and_what_had_none_may_be_on_its_way() {
    let mut edge = Edge::with_three();
    std::fs::remove_file(edge.path(1)).unwrap();
    let part =
        edge.path(1).with_file_name(format!("{}.part", RecordingName { sequence: 200, ..edge.names[0] }));
    std::fs::write(&part, "").unwrap();
    std::fs::write(part.with_extension("lockfile"), "v1 upload abcdefgh boot nonce").unwrap();
    let note = |edge: &Edge| edge.report().notes.into_iter().map(|note| note.kind).collect::<Vec<_>>();
    assert_eq!((edge.problems(), note(&edge)), (vec![], vec![Kind::Arriving; 3]));

    for name in &edge.names {
        edge.tail.note(Boot::of("one"), Entry::Receipt { at: seconds(11), recording: name.sequence });
    }
    edge.record(12..14);
    assert_eq!(edge.problems(), [(Kind::Removed, 2)]);
    assert_eq!(edge.gaps(), [("removed", "2026-11-21T06:15:04.000Z".to_owned(), Some(4.0))]);
    assert!(edge.report().to_string().contains("\nTAMPERED "), "{}", edge.report());
    std::fs::remove_file(edge.path(0)).unwrap();
    assert_eq!(edge.problems(), [], "retention takes the oldest");

    // On the edge, where the end of the ledger is, recordings leave once they have their receipts.
    let mut edge = Edge { names: Vec::new(), dir: tempfile::tempdir().unwrap(), ..edge };
    for range in [14..16, 16..18] {
        edge.record(range);
    }
    edge.tail.note(Boot::of("one"), Entry::Receipt { at: seconds(18), recording: edge.names[1].sequence });
    edge.record(18..19);
    std::fs::remove_file(edge.path(1)).unwrap();
    assert_eq!(edge.problems(), [(Kind::Removed, 2)]);
    let end = edge.dir.path().join(format!("{}.ledger", id_of(&edge.key)));
    std::fs::write(end, edge.tail.to_bytes()).unwrap();
    assert_eq!((edge.problems(), note(&edge)), (vec![], vec![Kind::Receipted]));
}

#[test]
fn enrolled_keys_are_believed_before_the_first_one_and_a_key_that_is_not_enrolled_is_told_of() {
    let edge = Edge::with_three();
    let check = |keys: Vec<[u8; 32]>| check(&[edge.dir.path().to_owned()], &Keys::Enrolled(keys)).unwrap();
    let own = edge.key.verifying_key().to_bytes();
    let report = check(vec![[9; 32], own]);
    assert!(report.is_clean() && report.notes.is_empty(), "{report}");
    assert_eq!(report.cameras[0].trust, Trust::Enrolled);
    let report = check(vec![[9; 32]]);
    assert_eq!((report.is_clean(), report.cameras[0].trust), (true, Trust::FirstUse));
    assert_eq!(report.notes.iter().map(|note| note.kind).collect::<Vec<_>>(), [Kind::NotEnrolled]);

    // A ledger of another key for the same camera, which comes first: without a recording nothing tells its camera's name.
    let thief = SigningKey::from_bytes(&[8; 32]);
    let slice = Slice::parse_all(&edge.ledger(0)).unwrap().remove(0);
    let Slice { camera, boot, before, entries, .. } = slice;
    let forged = Slice::sign(&thief, camera, None, boot, before, entries);
    let name = RecordingName { sequence: 1, ..edge.names[0] };
    std::fs::write(edge.dir.path().join(format!("{name}.ledger")), write_all([&forged])).unwrap();
    let report = check(vec![own]);
    assert_eq!(
        report.problems.iter().map(|problem| problem.kind).collect::<Vec<_>>(),
        [Kind::Key],
        "{report}"
    );
}

#[test]
fn a_recording_of_which_the_hls_alone_was_kept_keeps_its_place_by_its_ledger() {
    let edge = Edge::with_three();
    let name = edge.names[1];
    let hls = edge.dir.path().join("hls");
    std::fs::create_dir_all(hls.join(name.to_string())).unwrap();
    let archive = edge.dir.path().join("archive");
    std::fs::create_dir(&archive).unwrap();
    std::fs::write(archive.join(format!("{name}.ledger")), edge.ledger(1)).unwrap();
    std::fs::write(archive.join(format!("{name}.sha256")), "").unwrap();
    std::fs::remove_file(edge.path(1)).unwrap();
    assert_eq!(edge.problems(), [(Kind::Absent, 1)], "neither MP4 nor HLS");
    hls::tests::make(&hls, &name.to_string());
    let report = edge.report();
    assert!(report.is_clean() && report.cameras[0].gaps.is_empty(), "{report}");
    assert_eq!(report.notes.iter().map(|note| note.kind).collect::<Vec<_>>(), [Kind::HlsAlone]);
    std::fs::remove_file(hls.join(format!("{name}/{name}-front-1.ts"))).unwrap();
    assert_eq!(edge.problems(), [(Kind::BrokenHls, 1)]);
}

#[test]
fn what_is_in_quarantine_is_told_of_and_is_not_taken_for_absent() {
    let edge = Edge::with_three();
    let aside = edge.dir.path().join("quarantine/front");
    std::fs::create_dir_all(&aside).unwrap();
    std::fs::rename(edge.path(1), aside.join(edge.path(1).file_name().unwrap())).unwrap();
    std::fs::write(aside.join("junk.mp4"), "junk").unwrap();
    assert_eq!(edge.problems(), [(Kind::PutAside, 1)]);
    assert_eq!(edge.gaps(), []);
}

#[test]
fn two_files_that_were_swapped_are_named() {
    let edge = Edge::with_three();
    let aside = edge.dir.path().join("aside");
    std::fs::rename(edge.path(0), &aside).unwrap();
    std::fs::rename(edge.path(1), edge.path(0)).unwrap();
    std::fs::rename(&aside, edge.path(1)).unwrap();
    assert_eq!(edge.problems(), [(Kind::Name, 0), (Kind::Name, 1)]);
}

#[test]
fn a_flipped_byte_is_damage_and_with_its_hash_put_right_tampering() {
    let mut edge = Edge::with_three();
    let mut bytes = std::fs::read(edge.path(1)).unwrap();
    let place = bytes.windows(9).position(|w| w[0] == 0x41 && w[1..] == 5_i64.to_be_bytes()).unwrap() + 8;
    bytes[place] ^= 0x40;
    std::fs::write(edge.path(1), bytes).unwrap();
    assert_eq!(edge.problems(), [(Kind::Damaged, 1)]);
    // A whole recording of other footage, which carries the very ledger of the true one.
    let (name, ledger) = (edge.names[1], edge.ledger(1));
    edge.seal(name, 14..18, &ledger);
    assert_eq!(edge.problems(), [(Kind::Altered, 1)]);
    assert!(edge.report().to_string().contains("GOP 4 was altered"), "{}", edge.report());
}

#[test]
fn gops_that_were_cut_out_are_counted() {
    let mut edge = Edge::with_three();
    let (name, ledger) = (edge.names[1], edge.ledger(1));
    edge.seal(name, 4..7, &ledger);
    assert_eq!(edge.problems(), [(Kind::Count, 1)]);
}

#[test]
fn entries_that_were_cut_out_of_a_slice_break_its_signature() {
    let mut edge = Edge::with_three();
    let mut slices = Slice::parse_all(&edge.ledger(1)).unwrap();
    slices[0].entries.pop();
    let name = edge.names[1];
    edge.seal(name, 4..7, &write_all(&slices));
    assert_eq!(edge.problems(), [(Kind::Signature, 1), (Kind::Absent, 2)]);
}

#[test]
fn a_slice_that_another_key_signed_is_named() {
    let mut edge = Edge::with_three();
    let slice = Slice::parse_all(&edge.ledger(1)).unwrap().remove(0);
    let thief = SigningKey::from_bytes(&[8; 32]);
    let Slice { camera, recording, boot, before, entries, .. } = slice;
    let forged = Slice::sign(&thief, camera, recording, boot, before, entries);
    let name = edge.names[1];
    edge.seal(name, 4..8, &write_all([&forged]));
    assert_eq!(edge.problems(), [(Kind::Key, 1), (Kind::Absent, 2)]);
    let keys = [thief.verifying_key().to_bytes()];
    let report = check(&[edge.dir.path().to_owned()], &Keys::Expected(keys.to_vec())).unwrap();
    assert_eq!(report.problems.len(), 3, "{report}");
}

#[test]
fn a_recording_without_a_slice_is_named() {
    let mut edge = Edge::with_three();
    let name = edge.names[1];
    let other = edge.ledger(0);
    edge.seal(name, 4..8, &other);
    assert_eq!(edge.problems(), [(Kind::Name, 1), (Kind::Absent, 2)]);
}

#[test]
fn every_missing_second_has_its_cause() {
    let mut edge = Edge::new();
    edge.record(0..4);
    let gap = Entry::Gap { cause: Cause::CameraGone, from: seconds(4), to: seconds(6) };
    edge.tail.note(Boot::of("one"), gap);
    edge.record(6..8);
    let gap = Entry::Gap { cause: Cause::Overload, from: seconds(8), to: seconds(9) };
    edge.tail.note(Boot::of("one"), gap);
    let alone = edge.tail.cut(&edge.key);
    edge.tail.advance(&alone);
    let name = RecordingName { sequence: 999, ..edge.names[0] };
    std::fs::write(edge.dir.path().join(format!("{name}.ledger")), write_all(&alone)).unwrap();
    edge.record(9..10);
    assert_eq!(edge.problems(), []);
    let at = |second: i64| MARK.plus(seconds(second)).rfc3339();
    assert_eq!(edge.gaps(), [("camera_gone", at(4), Some(2.0)), ("overload", at(8), Some(1.0))]);
    edge.record(13..14);
    assert_eq!(edge.problems(), [(Kind::Unexplained, 3)]);
}

#[test]
fn a_recording_from_before_the_clock_was_set_has_its_date_once_it_is() {
    let mut edge = Edge::new();
    let undated = RecordingName::new(None, id_of(&edge.key), 100);
    edge.names.push(undated);
    edge.seal(undated, 0..4, &[]);
    let clock = Entry::Clock { media: seconds(4), wall: MARK.plus(seconds(4)) };
    edge.tail.note(Boot::of("one"), clock);
    edge.record(4..8);
    let report = edge.report();
    assert!(report.is_clean(), "{report}");
    let notes: Vec<_> = report.notes.iter().map(|note| (note.kind, note.detail.as_str())).collect();
    assert_eq!(notes, [(Kind::Dated, "began at 2026-11-21T06:15:00.000Z")]);
}

#[test]
fn names_tell_what_is_on_its_way_and_what_should_be_gone() {
    let edge = Edge::with_three();
    let beside = |n: usize, extension: &str| edge.path(n).with_extension(extension);
    let token = "v1 upload abcdefgh boot nonce";
    std::fs::write(beside(0, "lockfile"), token).unwrap();
    std::fs::write(beside(1, "lockfile"), "v1 chop host boot 7").unwrap();
    std::fs::write(beside(2, "lockfile"), "").unwrap();
    std::fs::write(beside(1, "mp4.tmp"), "").unwrap();
    let other = |n: u64, extension: &str| {
        let name = RecordingName { sequence: n, ..edge.names[0] };
        edge.dir.path().join(format!("{name}.{extension}"))
    };
    std::fs::write(other(1, "part"), "").unwrap();
    std::fs::write(other(2, "part"), "").unwrap();
    std::fs::write(other(2, "lockfile"), token).unwrap();
    let lost = |name: &str| edge.dir.path().join(format!("{name}-lost.part"));
    std::fs::write(lost(&edge.names[0].to_string()), "").unwrap();
    std::fs::write(lost("somebody"), "").unwrap();
    std::fs::write(edge.dir.path().join("notes.txt"), "").unwrap();
    let report = edge.report();
    let kinds = |list: &[Problem]| list.iter().map(|problem| problem.kind).collect::<Vec<_>>();
    let expected =
        [Kind::PartWithoutLock, Kind::PartWithoutLock, Kind::Locked, Kind::StaleLock, Kind::Superfluous];
    assert_eq!(kinds(&report.problems), expected, "{report}");
    let expected = [Kind::Arriving, Kind::EdgeLost, Kind::Arriving, Kind::InWork];
    assert_eq!(kinds(&report.notes), expected, "{report}");
}

#[test]
fn what_is_no_recording_is_refused_quickly_and_a_scripts_file_is_only_noted() {
    let edge = Edge::new();
    let path = |name: &str| edge.dir.path().join(name);
    std::fs::write(path("short.mp4"), b"\0\0\0\x18ftyp").unwrap();
    std::fs::write(path("giant.mp4"), b"\xff\xff\xff\xffmoov").unwrap();
    std::os::unix::fs::symlink("/etc/passwd", path("link.mp4")).unwrap();
    nix::unistd::mkfifo(&path("fifo.mp4"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    std::fs::write(path("lies.ledger"), b"PLG1\xff\xff\xff\xff").unwrap();
    let mut kinds: Vec<_> = edge.report().problems.iter().map(|problem| problem.kind).collect();
    kinds.sort_unstable();
    let expected = [Kind::Damaged, Kind::Damaged, Kind::Unreadable, Kind::Unreadable, Kind::Signature];
    assert_eq!(kinds, expected);
}

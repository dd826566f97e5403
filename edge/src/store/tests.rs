//! What the store promises: bounds, what leaves first, and that a crash costs nothing that was whole.

use super::fixture::{MARK, Shelf, grow, seal};
use super::*;
use crate::status::{Cause, RecordingState};
use media::Track;
use media::handshake::Content;
use media::mp4::{Movie, demux};
use media::names::LockToken;
use nix::fcntl::{FcntlArg, SealFlag, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// Room for three recordings of [`PICTURES`] and what is kept free for one that begins.
const SMALL: u64 = 32 << 20;
/// Each recording has four GOPs of two pictures this large: 8 MiB, and 1 MiB for its tables.
const PICTURE: u32 = 1 << 20;

fn token(name: &RecordingName) -> LockToken {
    LockToken::Upload { camera: name.camera, boot: "b".to_owned(), nonce: "n".to_owned() }
}

/// Seals the `n`th recording of a test.
fn nth(store: &Store, n: u64) -> RecordingName {
    seal(store, (n * 4, n * 4 + 4), PICTURE).expect("room")
}

fn names(shelf: &Shelf) -> Vec<String> {
    shelf.shown().into_iter().map(|(name, _)| name).collect()
}

fn bytes_on_disk(shelf: &Shelf) -> u64 {
    let size = |name: &String| std::fs::metadata(shelf.folder().join(name)).expect("file").len();
    shelf.files().iter().filter(|name| name.ends_with(".mp4")).map(size).sum()
}

/// Pictures and sounds of a sealed recording.
fn units(path: &std::path::Path) -> (usize, usize) {
    let bytes = std::fs::read(path).expect("read");
    demux::verify(&bytes).expect("whole");
    let movie = Movie::open(&bytes).expect("movie");
    let count = |track| movie.track(track).map_or(0, |track| track.samples.len());
    (count(Track::Video), count(Track::Audio))
}

#[test]
fn without_an_upload_host_the_oldest_leaves_and_nobody_is_alarmed() {
    let shelf = Shelf::new(|config| {
        config.upload = None;
        config.record.bytes = SMALL;
        config.record.days = 3650;
    });
    let store = shelf.store();
    let all: Vec<String> = (0..6).map(|n| nth(&store, n).to_string()).collect();
    assert_eq!(names(&shelf), all[3..]);
    assert!(bytes_on_disk(&shelf) <= SMALL, "{}", bytes_on_disk(&shelf));
    assert_eq!(shelf.status.gaps.list(), []);
    assert_eq!(shelf.status.cameras[0].metrics.recordings_dropped.get(), 0);
}

#[test]
fn with_an_upload_host_a_receipt_leaves_first() {
    let shelf = Shelf::new(|config| config.record.bytes = SMALL);
    let store = shelf.store();
    let kept = nth(&store, 0);
    let receipted = nth(&store, 1);
    store.begin_upload(&receipted, &token(&receipted)).expect("kept");
    store.advance(&receipted, Stage::Committing).expect("kept");
    store.advance(&receipted, Stage::Acknowledged).expect("kept");
    let later = [nth(&store, 2), nth(&store, 3)];
    assert_eq!(names(&shelf), [kept, later[0], later[1]].map(|name| name.to_string()));
    assert_eq!(shelf.status.gaps.list(), []);
    assert!(!shelf.path(&receipted).exists());
}

#[test]
fn without_a_receipt_recordings_are_thinned_and_then_dropped_as_a_gap() {
    let shelf = Shelf::new(|config| config.record.bytes = SMALL);
    let store = shelf.store();
    let first = nth(&store, 0);
    let begun = nth(&store, 1);
    store.begin_upload(&begun, &token(&begun)).expect("kept");
    assert_eq!(units(&shelf.path(&first)), (8, 4));
    let second = nth(&store, 2);
    nth(&store, 3);
    assert_eq!(units(&shelf.path(&first)), (4, 0), "its IDRs are left");
    assert_eq!(units(&shelf.path(&begun)), (8, 4), "what is on its way stays");
    for n in 4..10 {
        nth(&store, n);
    }
    assert!(bytes_on_disk(&shelf) <= SMALL);
    assert_eq!(shelf.shown()[0], (begun.to_string(), RecordingState::Uploading));
    let list = shelf.status.gaps.list();
    let (gaps, thinned): (Vec<_>, Vec<_>) = list.iter().partition(|gap| gap.cause == Cause::DiskFull);
    let dropped = shelf.status.cameras[0].metrics.recordings_dropped.get();
    assert_eq!(gaps.len() as u64, dropped);
    assert!(!thinned.is_empty() && thinned.iter().all(|gap| gap.cause == Cause::Thinned), "{thinned:?}");
    assert_eq!((gaps[0].cause, gaps[0].start, gaps[0].seconds), (Cause::DiskFull, first.start, Some(4.0)));
    assert_eq!(gaps[1].start, second.start, "the oldest first");
}

#[test]
fn an_upload_begins_with_what_is_left_of_a_recording_that_was_thinned_since_it_was_looked_at() {
    let shelf = Shelf::new(|config| config.record.bytes = SMALL);
    let store = shelf.store();
    let first = nth(&store, 0);
    let seen = store.pending(&first).expect("it waits");
    let begun = nth(&store, 1);
    store.begin_upload(&begun, &token(&begun)).expect("kept");
    nth(&store, 2);
    nth(&store, 3);
    let given = store.begin_upload(&first, &token(&first)).expect("kept").content.bytes();
    assert!(given < seen.content.bytes());
    assert_eq!(given, std::fs::metadata(shelf.path(&first)).expect("it is there").len());
}

#[test]
fn a_store_that_may_let_nothing_go_says_that_it_is_full() {
    let shelf = Shelf::new(|config| config.record.bytes = 16 << 20);
    let store = shelf.store();
    let name = nth(&store, 0);
    store.begin_upload(&name, &token(&name)).expect("kept");
    let error = grow(&store, (4, 20), PICTURE).expect_err("no room");
    assert!(error.is_disk_full(), "{error}");
    assert!(!shelf.path(&name).exists(), "the last resort, also if its upload has begun");
    assert_eq!(shelf.status.gaps.list().len(), 1);
    assert_eq!(shelf.shown().len(), 1, "what grows stays");
    assert!(error.to_string().contains(&shelf.folder().display().to_string()), "{error}");
}

#[test]
fn a_torn_recording_is_cut_to_its_last_whole_gop_and_sealed() {
    let shelf = Shelf::new(|_| {});
    let store = shelf.store();
    let sealed = seal(&store, (0, 3), 10).expect("room");
    let (torn, _) = grow(&store, (3, 7), 10).expect("room");
    drop(store);
    let file = std::fs::File::options().append(true).open(shelf.path(&torn)).expect("file");
    std::io::Write::write_all(&mut &file, b"\0\0\x10\0freehalf a fragment").expect("written");
    let store = shelf.store();
    store.open().expect("opens");
    assert_eq!(units(&shelf.path(&torn)), (8, 4));
    let shown = [sealed, torn].map(|name| (name.to_string(), RecordingState::Sealed));
    assert_eq!(shelf.shown(), shown);
    assert_eq!(store.resume("front").expect("resumes"), Some(6), "the newest GOP that is in a recording");
    assert_eq!(store.resume("back").expect("resumes"), None);
}

#[test]
fn a_recording_that_was_sealed_where_it_is_to_be_cut_is_sealed_there_once_more_with_the_same_slices() {
    let shelf = Shelf::new(|_| {});
    let store = shelf.store();
    let (torn, growing) = grow(&store, (0, 3), 10).expect("room");
    drop(store);
    let path = shelf.path(&torn);
    let seal = |slices: &'static str| repair::seal(&path, Some(growing.size()), |_, _| Ok(slices.into()));
    let first = seal("what the chain holds behind the recording before").expect("sealed");
    let bytes = std::fs::read(&path).expect("there");
    let again = seal("what it holds behind this one, once its journal could not be written").expect("sealed");
    assert_eq!(again, first);
    assert!(std::fs::read(&path).expect("there") == bytes);
}

#[test]
fn a_seal_that_stands_is_not_taken_away_before_it_is_written_once_more() {
    let shelf = Shelf::new(|_| {});
    let store = shelf.store();
    let by_recorder = seal(&store, (0, 3), 10).expect("room");
    let (by_repair, _) = grow(&store, (3, 6), 10).expect("room");
    drop(store);
    let repair = |path: &Path, cut, slices: &'static str| {
        repair::seal(path, cut, |_, _| Ok(slices.into())).map(|_| ())
    };
    repair(&shelf.path(&by_repair), None, "slices that the ledger knows no more").expect("sealed");
    for name in [by_recorder, by_repair] {
        let bytes = std::fs::read(shelf.path(&name)).expect("there");
        let cut = demux::footage_end(&bytes[..]).expect("sealed");
        // A file that cannot become shorter.
        let copy = memfd_create(c"recording", MFdFlags::MFD_ALLOW_SEALING).expect("memory");
        let copy = std::fs::File::from(copy);
        copy.write_all_at(&bytes, 0).expect("written");
        fcntl(&copy, FcntlArg::F_ADD_SEALS(SealFlag::F_SEAL_SHRINK)).expect("sealed");
        let path = format!("/proc/self/fd/{}", copy.as_raw_fd());
        repair(Path::new(&path), Some(cut), "others").expect("it stands");
        assert!(std::fs::read(&path).expect("there") == bytes);
    }
}

#[test]
fn a_recording_without_one_gop_is_removed() {
    let shelf = Shelf::new(|_| {});
    let store = shelf.store();
    store.begin("front", Ticks90k(5), Some(MARK)).expect("begins");
    assert_eq!(shelf.shown()[0].1, RecordingState::Growing);
    drop(store);
    shelf.store().open().expect("opens");
    assert_eq!(shelf.shown(), []);
    assert!(
        shelf.files().iter().all(|name| name == ".lock" || name.ends_with(".camera")),
        "{:?}",
        shelf.files()
    );
}

#[test]
fn files_that_are_not_the_stores_are_left_alone() {
    let shelf = Shelf::new(|config| config.record.bytes = SMALL);
    std::fs::create_dir_all(shelf.folder()).expect("folder");
    let foreign = ["holiday.mp4", "notes.txt", "2026-11-21-06-15-00-abcdefgh-0000000001.mp4", "x.journal"];
    for name in foreign {
        std::fs::write(shelf.folder().join(name), name).expect("written");
    }
    let store = shelf.store();
    for n in 0..6 {
        nth(&store, n);
    }
    for name in foreign {
        assert_eq!(std::fs::read(shelf.folder().join(name)).expect("there"), name.as_bytes());
    }
    assert!(names(&shelf).iter().all(|name| !name.contains("abcdefgh")), "no recording by its content");
}

#[test]
fn a_recording_without_its_journal_is_adopted_and_leftovers_go() {
    let shelf = Shelf::new(|_| {});
    let store = shelf.store();
    let name = seal(&store, (0, 3), 10).expect("room");
    drop(store);
    let journal = files::beside(&shelf.path(&name), "journal");
    let orphan = shelf.folder().join(format!("{}.mp4.journal", RecordingName { sequence: 7, ..name }));
    std::fs::rename(&journal, &orphan).expect("renamed");
    let unfinished = files::beside(&shelf.path(&name), files::UNFINISHED);
    std::fs::write(&unfinished, "half").expect("written");
    shelf.store().open().expect("opens");
    let recording = shelf.status.recordings()[0].clone();
    assert_eq!((recording.camera.as_str(), recording.seconds), ("front", 3.0));
    assert_eq!(recording.state, RecordingState::Sealed);
    assert!(!orphan.exists() && !unfinished.exists() && journal.exists());
}

#[test]
fn names_go_on_after_a_restart_and_are_not_repeated_when_the_counter_is_lost() {
    let shelf = Shelf::new(|_| {});
    let first = seal(&shelf.store(), (0, 1), 10).expect("room");
    let second = seal(&shelf.store(), (1, 2), 10).expect("room");
    assert_eq!(second.sequence, (first.sequence + 1) % media::names::SEQUENCES);
    let counter = shelf.folder().join(format!("{}.camera", first.camera));
    std::fs::remove_file(counter).expect("lost");
    let third = seal(&shelf.store(), (2, 3), 10).expect("room");
    assert!(third.sequence != first.sequence && third.sequence != second.sequence);
    assert_eq!(third.camera, first.camera);
}

#[test]
fn the_newest_without_a_receipt_is_uploaded_next_and_what_grows_beside_it() {
    let shelf = Shelf::new(|_| {});
    let store = shelf.store();
    let both = [seal(&store, (0, 1), 10).expect("room"), seal(&store, (1, 2), 10).expect("room")];
    let news = store.news();
    let (third, growing) = grow(&store, (2, 4), 10).expect("room");
    assert!(store.news() > news, "the bell has rung");
    let grows = store.growing();
    assert_eq!((grows.len(), grows[0].name, grows[0].end), (1, third, growing.end()));
    assert_eq!(grows[0].content, Content::Growing(growing.size()));
    store.begin_upload(&both[1], &token(&both[1])).expect("kept");
    store.advance(&both[1], Stage::Committing).expect("kept");
    store.release(&third);
    assert_eq!((store.growing(), store.pending(&third)), (Vec::new(), None), "it may be cut");
    drop(store);

    let store = shelf.store();
    store.open().expect("opens");
    let next = store.newest_sealed(|name| *name == third).expect("waits");
    assert_eq!((next.name, next.stage, next.token), (both[1], Stage::Committing, Some(token(&both[1]))));
    assert_eq!((store.backlog().sealed, &store.backlog().seconds[..]), (3, &[("front".to_owned(), 4.0)][..]));
    let older = store.newest_sealed(|name| *name != both[0]).expect("waits");
    assert_eq!((older.name, older.stage, older.token), (both[0], Stage::Sealed, None));
    store.advance(&both[1], Stage::Acknowledged).expect("kept");
    assert_eq!(store.backlog().sealed, 2);
}

#[test]
fn a_folder_that_another_process_uses_is_a_fault() {
    let shelf = Shelf::new(|_| {});
    let store = shelf.store();
    store.open().expect("opens");
    let error = shelf.store().open().expect_err("in use").to_string();
    assert_eq!(error, format!("{}: another process uses it", shelf.folder().display()));
    assert_eq!(shelf.status.faults()[0].part, "store");
    assert!(recover_dir(&shelf.folder(), None).is_err());
}

#[test]
fn any_folder_of_recordings_can_be_recovered() {
    let shelf = Shelf::new(|_| {});
    let store = shelf.store();
    let good = seal(&store, (0, 3), 10).expect("room");
    let (torn, _) = grow(&store, (3, 7), 10).expect("room");
    drop(store);
    let card = tempfile::tempdir().expect("folder");
    for (name, to) in [(good, "a.mp4"), (torn, "b.mp4")] {
        std::fs::copy(shelf.path(&name), card.path().join(to)).expect("copied");
    }
    std::fs::write(card.path().join("c.mp4"), "not a recording").expect("written");
    let found = recover_dir(card.path(), None).expect("listed");
    let short = |(path, what): &recovery::Recovered| {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
        (name, what.as_ref().ok().and_then(Option::as_ref).map(|sealed| (sealed.repaired, sealed.last_gop)))
    };
    let found: Vec<_> = found.iter().map(short).collect();
    let expected = [("a.mp4", Some((false, 2))), ("b.mp4", Some((true, 6))), ("c.mp4", None)];
    assert_eq!(found, expected.map(|(name, what)| (name.to_owned(), what)));
    assert_eq!(units(&card.path().join("b.mp4")), (8, 4));
    let again = recover_dir(card.path(), None).expect("listed");
    assert_eq!(again[1].1.as_ref().ok().and_then(Option::as_ref).map(|sealed| sealed.repaired), Some(false));
}

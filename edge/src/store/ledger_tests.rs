//! What the store promises of the ledger: what leaves, leaves its place in the chain and its cause.

use super::fixture::{MARK, Shelf, finish, grow, seal};
use super::*;
use media::ledger::{Entry, Finding, Missing, Slice, stitch};
use media::mp4::demux::examine;

/// Room for three recordings of [`PICTURE`] and what is kept free for one that begins.
const SMALL: u64 = 32 << 20;
/// Each recording has four GOPs of two pictures this large.
const PICTURE: u32 = 1 << 20;

/// The slices of all recordings and files in the folder.
fn slices(shelf: &Shelf) -> Vec<Slice> {
    let mut slices = Vec::new();
    for name in shelf.files() {
        let path = shelf.folder().join(&name);
        let bytes = std::fs::read(&path).expect("read");
        if name.ends_with(".mp4") {
            let examined = examine(&bytes).expect("whole");
            let carried = Slice::parse_all(&examined.ledger).expect("slices");
            let own = carried.last().expect("its own slice");
            own.verify_footage(&examined.gops).expect("its footage");
            slices.extend(carried);
        } else if ledgers::name_of(&path).is_some() {
            slices.extend(Slice::parse_all(&bytes).expect("slices"));
        }
    }
    assert!(slices.iter().all(|slice| slice.verify().is_ok()));
    slices
}

/// Cause, begin in seconds behind the mark, and length of each gap; the chain must be whole.
fn gaps(shelf: &Shelf) -> Vec<(&'static str, i64, i64)> {
    let told = |finding| match finding {
        Finding::Missing {
            missing: Missing { cause: Some(cause), from, length: Some(length), .. }, ..
        } => (cause.name(), from.second(), length.second()),
        other => panic!("{other:?}"),
    };
    stitch(&slices(shelf)).findings.into_iter().map(told).collect()
}

#[test]
fn what_was_thinned_or_dropped_keeps_its_place_in_the_chain_and_its_cause() {
    let shelf = Shelf::new(|config| config.record.bytes = SMALL);
    let store = shelf.store();
    for n in 0..10 {
        seal(&store, (n * 4, n * 4 + 4), PICTURE).expect("room");
    }
    let dropped = shelf.status.cameras[0].metrics.recordings_dropped.get() as i64;
    assert!(dropped > 1, "{dropped}");
    let told = gaps(&shelf);
    let lost: Vec<_> = told.iter().filter(|gap| gap.0 == "disk_full").copied().collect();
    // Pieces of one gap are one.
    assert_eq!(lost, [("disk_full", 0, 4 * dropped)]);
    assert!(told.iter().any(|gap| gap.0 == "thinned"), "{told:?}");
    let shown: Vec<_> =
        shelf.status.gaps.list().iter().map(|gap| (gap.cause.name(), gap.from.second())).collect();
    assert_eq!(shown.iter().filter(|gap| gap.0 == "disk_full").count() as i64, dropped);
    assert!(
        shown.iter().any(|gap| *gap == ("thinned", 4 * dropped)),
        "at once, without a restart: {shown:?}"
    );
    assert!(!shown.contains(&("thinned", 0)), "it was dropped since: {shown:?}");
}

#[test]
fn entries_that_no_recording_takes_along_get_a_file_of_their_own_and_the_next_recording_follows_on() {
    let shelf = Shelf::new(|_| {});
    let store = shelf.store();
    seal(&store, (0, 2), 10).expect("room");
    store.cut_ledger("front", true).expect("nothing waits");
    assert_eq!(store.ledger_files(), []);
    let gap = |from: i64, to: i64| Entry::Gap {
        cause: Cause::CameraGone,
        from: Ticks90k(from * 90_000),
        to: Ticks90k(to * 90_000),
    };
    store.note("front", &[gap(2, 5)]).expect("kept");
    store.cut_ledger("front", false).expect("it may wait");
    assert_eq!(store.ledger_files(), []);
    store.cut_ledger("front", true).expect("cut");
    let files = store.ledger_files();
    assert_eq!(files.len(), 1);
    store.note("front", &[gap(5, 6)]).expect("kept");
    drop(store);
    let store = shelf.store();
    seal(&store, (6, 8), 10).expect("room");
    assert_eq!(gaps(&shelf), [("camera_gone", 2, 4)]);
    assert_eq!(store.ledger_files(), files);
    let next = store.newest_sealed(|_| false).expect("waits");
    assert_eq!((next.name, next.extension), (files[0].0, "ledger"), "it goes before recordings");
    store.advance(&next.name, Stage::Committing).expect("nothing to keep");
    store.advance(&next.name, Stage::Acknowledged).expect("removed");
    assert_eq!((store.ledger_files(), files[0].1.exists()), (vec![], false));
}

#[test]
fn a_camera_that_comes_and_goes_for_ever_takes_a_bounded_file() {
    let shelf = Shelf::new(|_| {});
    let store = shelf.store();
    seal(&store, (0, 1), 10).expect("room");
    let id = store.camera_id("front").expect("id");
    let most = || std::fs::metadata(shelf.folder().join(format!("{id}.ledger"))).expect("there").len();
    for n in 0..600 {
        let (from, to) = (Ticks90k(90_000 + n * 1000), Ticks90k(90_000 + n * 1000 + 1000));
        store.note("front", &[Entry::Gap { cause: Cause::CameraGone, from, to }]).expect("kept");
        assert!(most() < 16 << 10, "{}", most());
    }
    assert_eq!(store.ledger_files().len(), 2);
    seal(&store, (8, 9), 10).expect("room");
    assert_eq!(gaps(&shelf), [("camera_gone", 1, 6)]);
}

#[test]
fn nothing_gets_a_file_of_its_own_while_a_seal_is_drafted_that_follows_the_same_head() {
    let shelf = Shelf::new(|_| {});
    let store = shelf.store();
    let (name, mut growing) = grow(&store, (0, 2), 10).expect("room");
    growing.carry(store.draft(&name, growing.gops()).expect("drafted"));
    let note = |n: i64| {
        let (from, to) = (Ticks90k(180_000 + n * 1196), Ticks90k(180_000 + n * 1196 + 1196));
        store.note("front", &[Entry::Gap { cause: Cause::CameraGone, from, to }]).expect("kept");
    };
    (0..300).for_each(note);
    assert_eq!(store.ledger_files(), []);
    finish(&store, name, growing).expect("sealed");
    note(300);
    assert_eq!(store.ledger_files().len(), 1);
    seal(&store, (6, 8), 10).expect("room");
    assert!(gaps(&shelf).contains(&("camera_gone", 2, 3)), "{:?}", gaps(&shelf));
}

#[test]
fn a_ledger_that_cannot_be_read_is_begun_anew_and_recording_goes_on() {
    let shelf = Shelf::new(|_| {});
    let first = seal(&shelf.store(), (0, 2), 10).expect("room");
    let alone = RecordingName { sequence: 7, ..first };
    for name in [format!("{}.ledger", first.camera), format!("{alone}.ledger")] {
        std::fs::write(shelf.folder().join(name), "damaged").expect("written");
    }
    let store = shelf.store();
    seal(&store, (2, 4), 10).expect("room");
    std::fs::write(shelf.folder().join(format!("{alone}.ledger")), "").expect("written");
    let findings = stitch(&slices(&shelf)).findings;
    assert!(matches!(findings[..], [Finding::BegunAnew { after: 0, before: 1, .. }]), "{findings:?}");
}

#[test]
fn a_crash_behind_a_file_of_its_own_tells_nothing_twice() {
    let shelf = Shelf::new(|_| {});
    let store = shelf.store();
    seal(&store, (0, 2), 10).expect("room");
    store.note("front", &[Entry::Clock { media: Ticks90k(1), wall: MARK }]).expect("kept");
    let id = store.camera_id("front").expect("id");
    let end = shelf.folder().join(format!("{id}.ledger"));
    let before = std::fs::read(&end).expect("there");
    store.cut_ledger("front", true).expect("cut");
    drop(store);
    std::fs::write(&end, before).expect("written");
    let store = shelf.store();
    seal(&store, (2, 4), 10).expect("room");
    let clocks =
        |slice: &Slice| slice.entries.iter().filter(|entry| matches!(entry, Entry::Clock { .. })).count();
    assert_eq!((gaps(&shelf), slices(&shelf).iter().map(clocks).sum::<usize>()), (vec![], 1));
}

#[test]
fn a_receipt_is_in_the_ledger_and_shows_that_its_recording_was_taken_away() {
    let shelf = Shelf::new(|_| {});
    let store = shelf.store();
    let names = [(0, 2), (2, 4), (4, 6)].map(|gops| seal(&store, gops, 10).expect("room"));
    for stage in [Stage::Committing, Stage::Acknowledged] {
        store.advance(&names[1], stage).expect("kept");
    }
    seal(&store, (6, 8), 10).expect("room");
    assert_eq!(gaps(&shelf), []);
    std::fs::remove_file(shelf.path(&names[1])).expect("removed");
    let findings = stitch(&slices(&shelf)).findings;
    assert!(matches!(findings[..], [Finding::Absent { entries: 2, receipts: 1, .. }]), "{findings:?}");
}

#[test]
fn what_is_recovered_with_the_device_key_is_signed_and_the_appliance_follows_on() {
    let shelf = Shelf::new(|_| {});
    let store = shelf.store();
    seal(&store, (0, 2), 10).expect("room");
    grow(&store, (2, 5), 10).expect("room");
    drop(store);
    let key = DeviceKey::load_or_make(&shelf.dir.path().join("id_ed25519")).expect("there");
    let found = recover_dir(&shelf.folder(), Some(&key)).expect("listed");
    assert!(found.iter().all(|(_, what)| what.is_ok()), "{found:?}");
    let signed = slices(&shelf);
    assert_eq!((signed.len(), gaps(&shelf)), (2, vec![]));
    let store = shelf.store();
    store.resume("front").expect("opens");
    seal(&store, (5, 6), 10).expect("room");
    assert_eq!((slices(&shelf)[..2].to_vec(), gaps(&shelf)), (signed, vec![]));
}

//! What recording promises of a card that fails: it goes on in RAM, and in the end the card has everything, once.

use super::*;
use nix::errno::Errno;

/// Later than the card is tried again, whatever happened before.
const LATER: Ticks90k = Ticks90k(3600 * SECOND);

impl Camera {
    fn ram(&self) -> std::path::PathBuf {
        self.current.get().ring.dir.join("recordings")
    }

    /// From now on no file can be made on the card that tells whether it works.
    fn break_card(&self) {
        std::fs::create_dir(self.folder().join(".probe")).expect("in the way");
    }

    fn repair_card(&self) {
        std::fs::remove_dir(self.folder().join(".probe")).expect("out of the way");
    }

    fn faults(&self) -> Vec<String> {
        self.status.faults().into_iter().map(|fault| format!("{}: {}", fault.part, fault.message)).collect()
    }

    fn in_ram(&self) -> usize {
        self.status.recordings().iter().filter(|recording| recording.path.starts_with(self.ram())).count()
    }
}

/// A sync of the open recording fails.
fn fail_sync(recorder: &mut Recorder) {
    let path = recorder.inputs.current.get().record.dir.join("recording");
    let source = std::io::Error::from_raw_os_error(Errno::EIO as i32);
    recorder.fail(&Error::Store(store::Error::Io { action: "sync", path, source }));
}

/// Tries the card, and brings everything to it.
fn come_home(recorder: &Recorder) {
    let now = clock::media_now() + LATER;
    (0..9).for_each(|_| recorder.inputs.store.tend(now));
}

fn record(camera: &mut Camera, recorder: &mut Recorder, seconds: std::ops::Range<i64>) {
    for second in seconds {
        camera.encode(second);
        recorder.follow().expect("records");
    }
}

#[test]
fn recording_goes_on_in_ram_and_comes_home_when_the_card_works_again() {
    let mut camera = Camera::new(600);
    let mut recorder = camera.recorder();
    record(&mut camera, &mut recorder, 1..5);
    camera.break_card();
    fail_sync(&mut recorder);
    record(&mut camera, &mut recorder, 5..150);
    recorder.well();
    let folder = camera.folder().display().to_string();
    assert_eq!(
        camera.faults(),
        [format!(
            "disk_failed: recordings go to RAM: cannot sync {folder}/recording: Input/output error (os error 5)"
        )]
    );
    assert_eq!(camera.in_ram(), 3, "to the end of each minute");
    assert!(camera.status.storage().expect("told").ram);
    let in_ram = recorder.inputs.store.in_ram("front");
    assert!((143.0..149.0).contains(&in_ram), "{in_ram} s would be lost in a power cut");

    camera.repair_card();
    come_home(&recorder);
    record(&mut camera, &mut recorder, 150..155);
    recorder.finish().expect("seals");
    come_home(&recorder);
    assert_eq!((camera.in_ram(), camera.ram().exists()), (0, false));
    assert_eq!(camera.recorded().1, camera.encoded, "nothing lost, nothing doubled");
    assert_eq!(camera.faults(), Vec::<String>::new());
    assert_eq!(super::ledger::account(&camera), (Vec::new(), camera.encoded.len() / 3));
}

#[test]
fn a_process_that_ends_while_the_card_does_not_work_goes_on_in_ram() {
    let mut camera = Camera::new(600);
    let mut recorder = camera.recorder();
    record(&mut camera, &mut recorder, 1..5);
    camera.break_card();
    fail_sync(&mut recorder);
    for start in [5, 10, 15] {
        record(&mut camera, &mut recorder, start..start + 5);
        recorder = camera.recorder();
    }
    camera.repair_card();
    record(&mut camera, &mut recorder, 20..25);
    recorder.finish().expect("seals");
    come_home(&recorder);
    drop(recorder);
    camera.recorder().finish().expect("nothing to do");
    assert_eq!(camera.recorded().1, camera.encoded, "nothing lost, nothing doubled");
    assert_eq!(camera.in_ram(), 0);
    assert_eq!(super::ledger::account(&camera).1, camera.encoded.len() / 3);
}

#[test]
fn a_card_whose_syncs_fail_only_once_is_used_again() {
    let mut camera = Camera::new(600);
    let mut recorder = camera.recorder();
    record(&mut camera, &mut recorder, 1..5);
    fail_sync(&mut recorder);
    come_home(&recorder);
    assert_eq!(
        camera.faults(),
        ["disk_failed front: cannot sync ".to_owned()
            + &camera.folder().display().to_string()
            + "/recording: Input/output error (os error 5)"]
    );
    record(&mut camera, &mut recorder, 5..9);
    recorder.finish().expect("seals");
    assert_eq!(camera.recorded().1, camera.encoded);
    assert!(!camera.ram().exists());
}

/// Numbers of the recordings, and whether they are in RAM.
fn numbers(camera: &Camera) -> Vec<(u64, bool)> {
    let number = |name: &str| name.parse::<RecordingName>().expect("a name").sequence;
    let recordings = camera.status.recordings();
    recordings.iter().map(|one| (number(&one.name), one.path.starts_with(camera.ram()))).collect()
}

#[test]
fn numbers_that_were_given_in_ram_are_not_given_again_after_a_power_cut() {
    let mut camera = Camera::new(600);
    let mut recorder = camera.recorder();
    record(&mut camera, &mut recorder, 1..5);
    camera.break_card();
    fail_sync(&mut recorder);
    record(&mut camera, &mut recorder, 5..70);
    let lost = numbers(&camera).into_iter().filter_map(|(number, in_ram)| in_ram.then_some(number));
    let lost: Vec<u64> = lost.collect();
    assert_eq!(lost.len(), 2);

    drop(recorder);
    std::fs::remove_dir_all(camera.ram()).expect("the power is gone");
    camera.repair_card();
    let mut recorder = camera.recorder();
    record(&mut camera, &mut recorder, 70..75);
    recorder.finish().expect("seals");
    let numbers = numbers(&camera);
    assert!(numbers.len() > 1 && numbers.iter().all(|(number, _)| !lost.contains(number)), "{numbers:?}");
}

#[test]
fn without_an_upload_host_the_oldest_leaves_ram_when_it_is_full() {
    let mut camera = Camera::new(1200);
    let mut config = (*camera.current.get()).clone();
    (config.record.ram_bytes, config.upload) = (8 << 20, None);
    camera.current = Current::new(config);
    let mut recorder = camera.recorder();
    record(&mut camera, &mut recorder, 1..3);
    camera.break_card();
    fail_sync(&mut recorder);
    // Each recording reserves 1 MiB.
    record(&mut camera, &mut recorder, 3..900);
    recorder.finish().expect("seals");
    let recordings = camera.status.recordings();
    let in_ram: Vec<_> = recordings.iter().filter(|one| one.path.starts_with(camera.ram())).collect();
    let bytes: u64 = in_ram.iter().map(|one| one.bytes).sum();
    assert!(in_ram.len() > 3 && bytes <= 8 << 20, "{bytes} bytes in {} recordings", in_ram.len());
    let (_, newest) = pictures_of(&in_ram[in_ram.len() - 1].path);
    assert_eq!(newest.last(), camera.encoded.last());
}

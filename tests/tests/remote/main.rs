//! `porthole-remote serve` as a process: what cameras and scripts put into an inbox, whoever dies.

mod dates;
mod hostile;
mod leaving;
mod recordings;

use std::fs;
use std::io::{Seek, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::process::Command;

use media::Ticks90k;
use media::ledger::slice::write_all;
use media::ledger::{Boot, Entry, SigningKey, Tail};
use media::names::CameraId;
use recordings::{half, put, sealed, verified};
use tests::edge::{Edge, Settings};
use tests::remote::Remote;
use tests::sshd::Sshd;
use tests::wait::{PATIENCE, wait_until};
use tests::work::rounds;

/// Nobody is waited for: what has no writer counts as given up.
const IMPATIENT: &str = "[inbox]\nabandoned_minutes = 0";

fn serve(more: &str) -> Remote {
    let mut remote = Remote::prepare(more).unwrap();
    remote.start().unwrap();
    remote
}

#[test]
fn what_an_edge_uploads_through_sshd_is_archived_byte_for_byte_and_chopped() {
    let mut remote = Remote::prepare("").unwrap();
    // Everything below `home` of the server is one account's chroot.
    let sshd = Sshd::start_at(&remote.file("inbox")).unwrap();
    let mut edge = Edge::prepare(Settings::default().upload_to(&sshd).unwrap()).unwrap();
    sshd.authorize(&edge.public_key().unwrap()).unwrap();
    edge.start_again().unwrap();
    edge.wait_for_recording("growing", 2.0).unwrap();
    edge.terminate().unwrap();
    edge.start_again().unwrap();
    edge.wait_for_receipts(1).unwrap();
    remote.start().unwrap();
    remote.wait_until("a recording in the archive", |remote| !remote.files("archive").is_empty()).unwrap();

    let file = remote.files("archive").remove(0);
    let archived = fs::read(remote.file("archive").join(&file)).unwrap();
    assert!(archived == fs::read(edge.file("recordings").join(&file)).unwrap(), "{file}");
    let name = file.strip_suffix(".mp4").unwrap();
    let hls = remote.files("hls");
    assert!(hls.contains(&format!("{name}/{name}.m3u8")), "{hls:?}");
    edge.terminate().unwrap();
    remote.terminate().unwrap();
}

#[test]
fn a_camera_that_keeps_its_file_open_cannot_change_what_was_accepted() {
    let mut remote = serve("");
    let expected = sealed(1);
    let part = remote.inbox().join("a.part");
    fs::write(&part, &expected).unwrap();
    let mut held = fs::OpenOptions::new().write(true).open(&part).unwrap();
    let inode = held.metadata().unwrap().ino();
    fs::rename(part, remote.inbox().join("a.mp4")).unwrap();
    remote.wait_until_settled(1).unwrap();

    held.rewind().unwrap();
    held.write_all(b"something else entirely").unwrap();
    held.set_len(23).unwrap();
    held.sync_all().unwrap();
    let archived = remote.file("archive/a.mp4");
    assert!(fs::read(&archived).unwrap() == expected);
    let metadata = fs::metadata(&archived).unwrap();
    assert_ne!(metadata.ino(), inode);
    assert_eq!((metadata.mode() & 0o777, metadata.nlink()), (0o440, 1));
}

#[test]
fn two_services_on_one_inbox_accept_every_recording_once() {
    let mut remote = Remote::prepare("[inbox]\nworkers = 8").unwrap();
    let count = 100;
    (0..count).for_each(|n| drop(put(&remote.inbox(), &format!("n{n}"), &sealed(n))));
    remote.start().unwrap();
    remote.start().unwrap();
    remote.wait_until_settled(count as usize).unwrap();
    let log = remote.log();
    assert_eq!(log.matches(" accepted name=").count(), count as usize, "{log}");
    remote.terminate().unwrap();
    assert_eq!(remote.files("quarantine"), [""; 0]);
    assert_eq!(remote.files("tmp"), [""; 0]);
}

#[test]
fn services_that_are_killed_at_random_leave_nothing_undone_and_no_lock() {
    let mut remote = Remote::prepare("[inbox]\nworkers = 4").unwrap();
    let count = 60;
    (0..count).for_each(|n| drop(put(&remote.inbox(), &format!("n{n}"), &sealed(n))));
    let mut wait = 7_u64;
    for round in 0..rounds(15) {
        remote.start().unwrap();
        remote.start().unwrap();
        // Any instant will do, from before the first lock to the last of the work.
        wait = wait.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(u64::from(round));
        std::thread::sleep(std::time::Duration::from_millis(wait >> 33 & 0xFF));
        remote.kill();
    }
    remote.start().unwrap();
    remote.wait_until_settled(count as usize).unwrap();
    for n in 0..count {
        let archived = fs::read(remote.file(&format!("archive/n{n}.mp4"))).unwrap();
        assert!(archived == sealed(n), "n{n}");
        assert!(remote.file(&format!("hls/n{n}/n{n}.m3u8")).exists());
    }
    assert_eq!(remote.files("quarantine"), [""; 0]);
    remote.terminate().unwrap();
    assert_eq!(remote.files("tmp"), [""; 0]);
}

#[test]
fn what_a_script_left_locked_is_synced_and_claimed_once_nobody_writes_it() {
    let mut remote = serve(IMPATIENT);
    let writing = fs::File::create(remote.inbox().join("b.mp4"));
    fs::write(remote.inbox().join("b.lockfile"), "").unwrap();
    fs::write(remote.inbox().join("a.lockfile"), "").unwrap();
    fs::write(remote.inbox().join("a.mp4"), sealed(1)).unwrap();
    remote
        .wait_until("the recording in the archive", |remote| remote.file("archive/a.mp4").exists())
        .unwrap();
    remote.wait_until("its lock to go", |remote| !remote.inbox().join("a.lockfile").exists()).unwrap();
    let log = remote.log();
    let steps: Vec<&str> = log
        .lines()
        .filter_map(|line| line.split_once("name=a step=").map(|(_, step)| step))
        .take(3)
        .collect();
    assert_eq!(steps, ["Check", "SyncInbox", "Take"], "{log}");
    assert!(remote.inbox().join("b.mp4").exists() && remote.inbox().join("b.lockfile").exists());

    // Half of a recording, and its script is gone for good.
    drop(writing);
    remote
        .wait_until("half a file to be put aside", |remote| {
            remote.files("quarantine") == ["camera/b.mp4", "camera/b.mp4.reason"]
                && remote.files("inbox").is_empty()
        })
        .unwrap();
}

#[test]
fn half_a_part_of_an_edge_that_was_heard_with_a_newer_boot_becomes_a_partial_recording() {
    let mut remote = Remote::prepare(IMPATIENT).unwrap();
    let token = |boot: &str| format!("v1 upload abcdefgh {boot} 0011223344556677");
    let inbox = remote.inbox();
    fs::write(inbox.join("old.lockfile"), token("first")).unwrap();
    fs::write(inbox.join("old.part"), half(1)).unwrap();
    remote.start().unwrap();
    fs::write(inbox.join("new.lockfile"), token("second")).unwrap();
    let growing = fs::File::create(inbox.join("new.part")).unwrap();
    remote
        .wait_until("the footage in the archive", |remote| {
            remote.files("archive") == ["old-partial.mp4"] && remote.files("claim").is_empty()
        })
        .unwrap();
    let seal = verified(&remote.file("archive/old-partial.mp4"));
    assert_eq!((seal.first_sequence, seal.last_sequence), (1, 2));
    remote.wait_until("its lock to go", |remote| !remote.inbox().join("old.lockfile").exists()).unwrap();
    assert_eq!(remote.files("inbox"), ["camera/new.lockfile", "camera/new.part"]);
    drop(growing);
}

#[test]
fn a_part_of_the_ledger_that_was_given_up_reaches_the_archive_and_half_a_slice_does_not() {
    let mut tail = Tail::begin(CameraId::new(b"key", "front"), [1; 32]);
    tail.note(Boot::of("first"), Entry::Start { at: Ticks90k(0) });
    let ledger = write_all(&tail.cut(&SigningKey::from_bytes(&[7; 32])));
    let mut remote = Remote::prepare(IMPATIENT).unwrap();
    let inbox = remote.inbox();
    for (name, part) in [("whole", &ledger[..]), ("half", &ledger[..ledger.len() - 1])] {
        fs::write(inbox.join(format!("{name}.lockfile")), "v1 upload abcdefgh first 0011223344556677")
            .unwrap();
        fs::write(inbox.join(format!("{name}.part")), part).unwrap();
    }
    fs::write(inbox.join("new.lockfile"), "v1 upload abcdefgh second 0011223344556677").unwrap();
    let growing = fs::File::create(inbox.join("new.part")).unwrap();
    remote.start().unwrap();
    remote
        .wait_until("both to be taken", |remote| {
            remote.files("inbox") == ["camera/new.lockfile", "camera/new.part"]
                && remote.files("claim").is_empty()
        })
        .unwrap();
    assert_eq!(remote.files("archive"), ["whole.ledger"]);
    assert_eq!(fs::read(remote.file("archive/whole.ledger")).unwrap(), ledger);
    assert_eq!(remote.files("quarantine"), ["camera/half.part", "camera/half.part.reason"]);
    drop(growing);
}

#[test]
fn a_recording_whose_name_is_claimed_as_a_part_waits_until_that_is_done() {
    let mut remote = Remote::prepare("").unwrap();
    let claims = remote.file("claim");
    fs::create_dir(&claims).unwrap();
    fs::write(claims.join("a.part"), sealed(1)).unwrap();
    fs::write(claims.join("a.tries"), "camera 3 0\n").unwrap();
    // As a worker of another service would, for as long as it is at it.
    let held = fs::File::open(claims.join("a.part")).unwrap();
    held.lock().unwrap();
    put(&remote.inbox(), "a", &sealed(1));
    remote.start().unwrap();
    let left = |remote: &Remote| remote.log().contains("another worker was first");
    remote
        .wait_until("a worker to have looked", |remote| left(remote) || !remote.files("archive").is_empty())
        .unwrap();
    assert_eq!(remote.files("claim"), ["a.part", "a.tries"], "{}", remote.log());
    assert_eq!(fs::read_to_string(claims.join("a.tries")).unwrap(), "camera 3 0\n");

    drop(held);
    remote.wait_until_settled(1).unwrap();
    let log = remote.log();
    assert_eq!(log.matches(" accepted name=a ").count(), 1, "{log}");
    remote.wait_until("the other one to be known", |remote| remote.log().contains("known already")).unwrap();
    assert!(fs::read(remote.file("archive/a.mp4")).unwrap() == sealed(1));
}

#[test]
fn the_same_recording_again_is_dropped_and_another_of_its_name_put_aside() {
    let mut remote = serve("");
    put(&remote.inbox(), "a", &sealed(1));
    remote.wait_until_settled(1).unwrap();
    put(&remote.inbox(), "a", &sealed(1));
    remote.wait_until("the second one to be known", |remote| remote.log().contains("known already")).unwrap();
    put(&remote.inbox(), "a", &sealed(2));
    remote
        .wait_until("the third one to be put aside", |remote| {
            remote.files("quarantine") == ["camera/a.mp4", "camera/a.mp4.reason"]
        })
        .unwrap();
    remote.wait_until_settled(1).unwrap();
    assert!(fs::read(remote.file("archive/a.mp4")).unwrap() == sealed(1));
    let reason = fs::read_to_string(remote.file("quarantine/camera/a.mp4.reason")).unwrap();
    assert_eq!(reason, "another recording of that name was accepted before\n");
}

#[test]
fn where_only_the_hls_is_kept_a_digest_guards_the_name() {
    let mut remote = serve("[chop]\nkeep_mp4 = false");
    put(&remote.inbox(), "a", &sealed(1));
    remote.wait_until_settled(1).unwrap();
    assert_eq!(remote.files("archive"), ["a.sha256"]);
    let playlist = || fs::read(remote.file("hls/a/a.m3u8")).unwrap();
    let made = playlist();
    put(&remote.inbox(), "a", &sealed(2));
    wait_until("the other one to be put aside", PATIENCE, || !remote.files("quarantine").is_empty()).unwrap();
    assert!(playlist() == made);
    put(&remote.inbox(), "a", &sealed(1));
    remote.wait_until("the same one to be known", |remote| remote.log().contains("known already")).unwrap();
    remote.wait_until_settled(1).unwrap();
    remote.terminate().unwrap();

    let check = |form: &[&str]| {
        let mut check = Command::new(tests::built("porthole-remote"));
        let output =
            check.arg("check").args(form).args(["archive", "hls"].map(|dir| remote.file(dir))).output();
        let output = output.unwrap();
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    };
    let (status, text) = check(&[]);
    assert_eq!(status, Some(0), "{text}");
    let segment = remote.file("hls/a/a-camera-0.ts");
    fs::remove_file(&segment).unwrap();
    let named = format!("PROBLEM  {}: this segment is not here\n", segment.display());
    let (status, text) = check(&[]);
    assert!(status == Some(1) && text.contains(&named), "{text}");
    let (status, json) = check(&["--json"]);
    let problems = serde_json::from_str::<serde_json::Value>(&json).unwrap()["problems"].take();
    assert_eq!((status, &problems[0]["kind"]), (Some(1), &"broken_hls".into()), "{problems}");
    assert_eq!(problems[0]["file"], segment.display().to_string());
    fs::remove_dir_all(remote.file("hls/a")).unwrap();
    assert_eq!(check(&[]).0, Some(1), "nothing is left of it");
}

#[test]
fn a_service_that_is_asked_to_end_in_the_middle_of_its_work_leaves_no_lock() {
    let mut remote = Remote::prepare("[inbox]\nworkers = 8").unwrap();
    let count = 200;
    (0..count).for_each(|n| drop(put(&remote.inbox(), &format!("n{n}"), &sealed(n))));
    remote.start().unwrap();
    remote.wait_until("the work to begin", |remote| remote.files("archive").len() > 3).unwrap();
    let took = remote.terminate().unwrap();
    eprintln!("ended within {took:?}");
    let left = remote.files("inbox");
    assert!(!left.is_empty(), "the work was over before the end was asked for");
    assert_eq!(left.iter().find(|file| file.ends_with(".lockfile")), None);
    assert_eq!(remote.files("tmp"), [""; 0]);
    remote.start().unwrap();
    remote.wait_until_settled(count as usize).unwrap();
}

#[test]
fn each_account_and_the_service_have_a_user_of_their_own() {
    if !nix::unistd::Uid::current().is_root() {
        eprintln!("only root can be several users");
        return;
    }
    const SERVICE: u32 = 5001;
    const CAMERA: u32 = 6001;
    let mut remote = Remote::prepare(IMPATIENT).unwrap();
    remote.give_to(SERVICE).unwrap();
    // The chroot is root's, as sshd insists; the folder in it is the camera's, and its files are the service's group's.
    let chroot = remote.file("inbox/chroot");
    let inbox = chroot.join("inbox");
    fs::create_dir_all(&inbox).unwrap();
    fs::set_permissions(&chroot, fs::Permissions::from_mode(0o755)).unwrap();
    chown(&inbox, Some(CAMERA), Some(SERVICE)).unwrap();
    fs::set_permissions(&inbox, fs::Permissions::from_mode(0o2770)).unwrap();
    let owned = |name: &str, mode: u32| {
        let path = put(&inbox, name, &sealed(1));
        chown(&path, Some(CAMERA), None).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    };
    owned("shared", 0o660);
    owned("private", 0o600);
    fs::write(inbox.join("locked.lockfile"), "").unwrap();
    owned("locked", 0o660);
    remote.start_as(SERVICE).unwrap();
    remote.wait_until_settled(2).unwrap();
    assert_eq!(remote.files("archive"), ["locked.mp4", "shared.mp4"]);
    let metadata = fs::metadata(remote.file("archive/shared.mp4")).unwrap();
    assert_eq!((metadata.uid(), metadata.mode() & 0o777), (SERVICE, 0o440));
    let aside = remote.files("quarantine");
    assert_eq!(aside, ["chroot/private.mp4", "chroot/private.mp4.reason"]);
    remote.terminate().unwrap();
}

//! Each kind of trouble has a name, and an end: when it is over, everything arrives.

use std::fs::{self, File};
use std::io::{Seek, SeekFrom, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use edge::status::UploadFailureKind as Kind;
use tests::proxy::{Proxy, Way};
use tests::sshd::{Sshd, View};
use tests::wait::PATIENCE;

use crate::outbox::{Outbox, Uploader, inbox};

impl Uploader {
    /// Waits until the failure that is shown is of `kind`; gives its message.
    fn wait_for_failure(&self, kind: Kind) -> String {
        self.wait_until(&format!("{kind:?}"), |status| {
            status.failure.as_ref().is_some_and(|f| f.kind == kind)
        });
        self.status().failure.map(|failure| failure.message).unwrap_or_default()
    }
}

#[test]
fn a_host_that_is_not_there_is_unreachable_until_it_is() {
    let mut sshd = Sshd::start(View::Whole).unwrap();
    let outbox = Outbox::new(&sshd, sshd.port());
    let name = outbox.seal(100);
    sshd.stop();
    let uploader = outbox.upload();
    let message = uploader.wait_for_failure(Kind::Unreachable);
    assert!(message.contains(&format!("@127.0.0.1:{}", sshd.port())), "{message}");
    sshd.start_again().unwrap();
    uploader.wait_for_receipts(1);
    assert_eq!(uploader.status().failure, None);
    outbox.assert_arrived(&sshd, &[name]);
}

#[test]
fn a_host_that_was_away_for_long_is_found_again_as_soon_as_after_a_moment() {
    let mut sshd = Sshd::start(View::Whole).unwrap();
    let mut outbox = Outbox::new(&sshd, sshd.port());
    outbox.patience.longest = PATIENCE * 60;
    let name = outbox.seal(100);
    sshd.stop();
    let uploader = outbox.upload();
    // Doubled by each of them, the next wait would be longer than anybody here waits.
    uploader
        .wait_until("many tries", |status| status.failure.as_ref().is_some_and(|failure| failure.tries > 14));
    sshd.start_again().unwrap();
    uploader.wait_for_receipts(1);
    outbox.assert_arrived(&sshd, &[name]);
}

#[test]
fn a_server_that_is_killed_again_and_again_gets_everything_in_the_end() {
    let mut sshd = Sshd::start(View::Whole).unwrap();
    let outbox = Outbox::new(&sshd, sshd.port());
    let names: Vec<String> = (0..6).map(|_| outbox.seal(3 << 20)).collect();
    let uploader = outbox.upload();
    for receipts in 0..6 {
        uploader.wait_until("progress", |status| status.receipts >= receipts);
        sshd.stop();
        sshd.start_again().unwrap();
    }
    uploader.wait_for_receipts(6);
    outbox.assert_arrived(&sshd, &names);
}

#[test]
fn a_key_that_is_not_enrolled_is_refused() {
    let sshd = Sshd::start(View::Whole).unwrap();
    let outbox = Outbox::new(&sshd, sshd.port());
    let name = outbox.seal(100);
    let enrolled = fs::read_to_string(sshd.inbox().join("../../authorized_keys")).unwrap();
    sshd.authorize("").unwrap();
    let uploader = outbox.upload();
    let message = uploader.wait_for_failure(Kind::KeyRefused);
    assert!(message.contains("porthole-edge key"), "{message}");
    sshd.authorize(enrolled.trim_start_matches("restrict ")).unwrap();
    uploader.wait_for_receipts(1);
    outbox.assert_arrived(&sshd, &[name]);
}

#[test]
fn a_key_that_is_refused_by_ending_the_connection_is_told_as_refused_too() {
    let mut sshd = Sshd::start(View::Whole).unwrap();
    sshd.stop();
    sshd.limit_tries(1);
    sshd.start_again().unwrap();
    let outbox = Outbox::new(&sshd, sshd.port());
    let name = outbox.seal(100);
    let enrolled = fs::read_to_string(sshd.inbox().join("../../authorized_keys")).unwrap();
    sshd.authorize("").unwrap();
    let uploader = outbox.upload();
    // Its message and the end of the connection arrive together, or apart.
    uploader.wait_until("ten tries", |status| {
        let failure = status.failure.as_ref();
        failure.iter().for_each(|failure| assert_eq!(failure.kind, Kind::KeyRefused, "{failure:?}"));
        failure.is_some_and(|failure| failure.tries > 10)
    });
    sshd.authorize(enrolled.trim_start_matches("restrict ")).unwrap();
    uploader.wait_for_receipts(1);
    outbox.assert_arrived(&sshd, &[name]);
}

#[test]
fn a_key_that_is_revoked_is_told_once_its_session_is_over_and_nothing_is_lost() {
    let sshd = Sshd::start(View::Whole).unwrap();
    let outbox = Outbox::new(&sshd, sshd.port());
    let uploader = outbox.upload();
    let mut names = vec![outbox.seal(100)];
    uploader.wait_for_receipts(1);
    let enrolled = fs::read_to_string(sshd.inbox().join("../../authorized_keys")).unwrap();
    sshd.authorize("").unwrap();
    // With nothing left to do the session ended; the next one is refused.
    names.push(outbox.seal(200));
    uploader.wait_for_failure(Kind::KeyRefused);
    assert_eq!(uploader.status().receipts, 1);
    sshd.authorize(enrolled.trim_start_matches("restrict ")).unwrap();
    uploader.wait_for_receipts(2);
    outbox.assert_arrived(&sshd, &names);
}

#[test]
fn a_changed_host_key_stops_the_upload_and_loses_nothing() {
    let mut sshd = Sshd::start(View::Whole).unwrap();
    let outbox = Outbox::new(&sshd, sshd.port());
    let names = vec![outbox.seal(100), outbox.seal(200)];
    sshd.stop();
    sshd.make_host_key().unwrap();
    sshd.start_again().unwrap();
    let uploader = outbox.upload();
    let message = uploader.wait_for_failure(Kind::HostKey);
    assert!(message.contains("HOST KEY") && message.matches("SHA256:").count() == 2, "{message}");
    uploader
        .wait_until("more tries", |status| status.failure.as_ref().is_some_and(|failure| failure.tries > 3));
    assert_eq!(inbox(&sshd), Vec::<String>::new());
    assert!(!sshd.log().contains("Accepted publickey"), "it must not have logged in: {}", sshd.log());
    outbox.change(|upload| upload.host_key = sshd.host_key().unwrap());
    uploader.wait_for_receipts(2);
    outbox.assert_arrived(&sshd, &names);
}

#[test]
fn a_host_with_another_kind_of_key_is_no_better() {
    let sshd = Sshd::start(View::Whole).unwrap();
    let outbox = Outbox::new(&sshd, sshd.port());
    outbox.seal(100);
    let key = outbox.folder.path().join("ecdsa");
    let mut keygen = Command::new("ssh-keygen");
    assert!(keygen.args(["-q", "-t", "ecdsa", "-N", "", "-f"]).arg(&key).status().unwrap().success());
    let line = fs::read_to_string(key.with_extension("pub")).unwrap();
    outbox.change(|upload| upload.host_key = line);
    let message = outbox.upload().wait_for_failure(Kind::HostKey);
    assert!(message.contains("HOST KEY") && message.matches("SHA256:").count() == 2, "{message}");
}

#[test]
fn a_folder_that_may_not_be_written_is_named() {
    let sshd = Sshd::start(View::Whole).unwrap();
    let outbox = Outbox::new(&sshd, sshd.port());
    let name = outbox.seal(100);
    let permit = |mode| fs::set_permissions(sshd.inbox(), fs::Permissions::from_mode(mode)).unwrap();
    if nix::unistd::Uid::current().is_root() {
        // Root may write everywhere.
        outbox.change(|upload| upload.user = "nobody".to_owned());
    }
    permit(0o555);
    let uploader = outbox.upload();
    let message = uploader.wait_for_failure(Kind::NoPermission);
    assert!(message.contains("not allowed to create") && message.contains(&name), "{message}");
    permit(0o777);
    uploader.wait_for_receipts(1);
    outbox.assert_arrived(&sshd, &[name]);
}

#[test]
fn a_permission_that_is_lost_in_the_middle_is_told_and_its_return_loses_nothing() {
    let sshd = Sshd::start(View::Whole).unwrap();
    let outbox = Outbox::new(&sshd, sshd.port());
    let permit = |mode| fs::set_permissions(sshd.inbox(), fs::Permissions::from_mode(mode)).unwrap();
    if nix::unistd::Uid::current().is_root() {
        outbox.change(|upload| upload.user = "nobody".to_owned());
    }
    permit(0o777);
    let uploader = outbox.upload();
    let mut recording = outbox.begin("front", 100);
    let name = recording.name();
    let part = sshd.inbox().join(format!("{name}.part"));
    uploader.wait_until("the first GOP", |_| part.metadata().is_ok_and(|part| part.len() > 1 << 20));
    permit(0o555);
    recording.grow(100);
    recording.seal();
    // What is open stays so; the lock cannot be removed.
    let message = uploader.wait_for_failure(Kind::NoPermission);
    assert!(message.contains("not allowed to") && message.contains(&name), "{message}");
    assert_eq!(uploader.status().receipts, 0);
    permit(0o777);
    uploader.wait_for_receipts(1);
    outbox.assert_arrived(&sshd, &[name]);
}

#[test]
fn a_folder_that_is_not_there_is_named() {
    let sshd = Sshd::start(View::Whole).unwrap();
    let outbox = Outbox::new(&sshd, sshd.port());
    outbox.seal(100);
    outbox.change(|upload| upload.dir = "no/such/inbox".to_owned());
    let message = outbox.upload().wait_for_failure(Kind::NoPermission);
    assert!(message.contains("no/such/inbox"), "{message}");
}

/// A small disk as inbox; taken away when dropped.
struct SmallDisk<'a>(&'a Sshd);

impl SmallDisk<'_> {
    fn mount(sshd: &Sshd) -> SmallDisk<'_> {
        let mut mount = Command::new("mount");
        let mounted = mount.args(["-t", "tmpfs", "-o", "size=3m", "tmpfs"]).arg(sshd.inbox()).status();
        assert!(mounted.unwrap().success());
        SmallDisk(sshd)
    }
}

impl Drop for SmallDisk<'_> {
    fn drop(&mut self) {
        // Lazily: a session may still have it open.
        let _unmounted = Command::new("umount").arg("-l").arg(self.0.inbox()).status();
    }
}

#[test]
fn a_full_disk_is_called_so_and_the_upload_goes_on_when_there_is_room() {
    if !nix::unistd::Uid::current().is_root() {
        eprintln!("only root can mount a small disk");
        return;
    }
    let sshd = Sshd::start(View::Whole).unwrap();
    let _disk = SmallDisk::mount(&sshd);
    let outbox = Outbox::new(&sshd, sshd.port());
    let filler = sshd.inbox().join("filler");
    fs::write(&filler, vec![1; 2 << 20]).unwrap();
    let name = outbox.seal(2 << 20);
    let uploader = outbox.upload();
    let message = uploader.wait_for_failure(Kind::DiskFull);
    assert!(message.contains("no room to write"), "{message}");
    fs::remove_file(filler).unwrap();
    uploader.wait_for_receipts(1);
    outbox.assert_arrived(&sshd, &[name]);
}

#[test]
fn a_name_clash_holds_back_one_recording_alone() {
    let sshd = Sshd::start(View::Whole).unwrap();
    let outbox = Outbox::new(&sshd, sshd.port());
    let names = [outbox.seal(100), outbox.seal(200)];
    let clash = sshd.inbox().join(format!("{}.mp4", names[0]));
    fs::write(&clash, "somebody else's").unwrap();
    let uploader = outbox.upload();
    uploader.wait_until("the other one", |status| status.receipts == 1);
    let message = uploader.wait_for_failure(Kind::NameClash);
    assert!(message.contains(&names[0]), "{message}");
    assert_eq!(fs::read(&clash).unwrap(), b"somebody else's");
    fs::remove_file(clash).unwrap();
    uploader.wait_for_receipts(2);
    assert_eq!(uploader.status().failure, None);
    outbox.assert_arrived(&sshd, &names);
}

#[test]
fn a_lock_of_a_script_is_waited_for() {
    let sshd = Sshd::start(View::Whole).unwrap();
    let outbox = Outbox::new(&sshd, sshd.port());
    let name = outbox.seal(100);
    let lock = sshd.inbox().join(format!("{name}.lockfile"));
    fs::write(&lock, "").unwrap();
    let uploader = outbox.upload();
    uploader.wait_for_failure(Kind::NameClash);
    assert_eq!(inbox(&sshd), [format!("{name}.lockfile")]);
    fs::remove_file(lock).unwrap();
    uploader.wait_for_receipts(1);
    outbox.assert_arrived(&sshd, &[name]);
}

/// Breaks an upload of 20 MiB in its middle, lets `meddle` at the part (with the recording, and the size of the part), and goes
/// on; gives the bytes that were sent then, and how many were left to be sent.
fn go_on_after(meddle: impl FnOnce(File, &Path, u64)) -> (u64, u64) {
    let sshd = Sshd::start(View::Whole).unwrap();
    let proxy = Proxy::start(sshd.port()).unwrap();
    let outbox = Outbox::new(&sshd, proxy.port());
    let name = outbox.seal(20 << 20);
    let whole = fs::metadata(outbox.path(&name)).unwrap().len();
    proxy.cut_next(Way::Requests, 12 << 20);
    let patience = outbox.patience;
    let outbox = Outbox { patience: edge::upload::Patience { shortest: PATIENCE, ..patience }, ..outbox };
    let uploader = outbox.upload();
    uploader.wait_for_failure(Kind::Unreachable);
    uploader.end();
    let part = sshd.inbox().join(format!("{name}.part"));
    let part = File::options().read(true).write(true).open(part).unwrap();
    let size = part.metadata().unwrap().len();
    assert!(size > 8 << 20, "{size}");
    meddle(part, &outbox.path(&name), size);
    let sent = proxy.passed(Way::Requests);
    outbox.upload().wait_for_receipts(1);
    outbox.assert_arrived(&sshd, &[name]);
    (proxy.passed(Way::Requests) - sent, whole - size)
}

/// The most that is sent again, which is what a session that ended may not have synced, and what a session takes besides:
/// logging in, and the headers of its requests.
const AGAIN: u64 = media::handshake::upload::PIECE + (100 << 10);

#[test]
fn a_broken_upload_goes_on_where_it_was() {
    let (sent, left) = go_on_after(|_, _, _| {});
    assert!(sent >= left && sent < left + AGAIN, "{sent} of {left}");
}

#[test]
fn of_a_part_whose_tail_was_damaged_only_the_tail_is_sent_again() {
    let (sent, left) = go_on_after(|mut part, _, size| {
        part.seek(SeekFrom::Start(size - 900_000)).unwrap();
        part.write_all(&[0xEE; 500]).unwrap();
    });
    assert!(sent > left + 900_000 && sent < left + AGAIN, "{sent} of {left}");
}

#[test]
fn a_part_with_more_than_the_recording_is_cut() {
    let (sent, _) = go_on_after(|mut part, recording, _| {
        part.write_all(&fs::read(recording).unwrap()).unwrap();
        part.write_all(&[0xEE; 500]).unwrap();
    });
    assert!(sent < AGAIN, "everything was there: {sent}");
}

#[test]
fn a_host_that_stands_still_is_slow_and_does_not_hold_up_the_end() {
    let sshd = Sshd::start(View::Whole).unwrap();
    let mut outbox = Outbox::new(&sshd, sshd.port());
    let name = outbox.seal(100);
    outbox.patience.call = Duration::from_millis(300);
    sshd.freeze();
    let uploader = outbox.upload();
    let message = uploader.wait_for_failure(Kind::Slow);
    assert!(message.contains("nothing went on"), "{message}");
    drop(uploader);

    outbox.patience.call = PATIENCE;
    let uploader = outbox.upload();
    uploader.wait_until("a call", |status| status.state == edge::status::UploadState::Connecting);
    assert!(uploader.end() < PATIENCE / 2, "the end waited for the call");
    sshd.thaw();
    outbox.upload().wait_for_receipts(1);
    outbox.assert_arrived(&sshd, &[name]);
}

#[test]
fn a_recording_that_the_remote_host_refuses_does_not_keep_the_older_ones_back() {
    let sshd = Sshd::start(View::Whole).unwrap();
    let outbox = Outbox::new(&sshd, sshd.port());
    let older = outbox.seal(100);
    let refused = outbox.seal(100);
    // The newest comes first, and nobody can write into this.
    let part = sshd.inbox().join(format!("{refused}.part"));
    fs::create_dir(&part).unwrap();
    let uploader = outbox.upload();
    uploader.wait_until("the older one", |status| status.receipts == 1);
    assert!(sshd.inbox().join(format!("{older}.mp4")).exists(), "{:?}", inbox(&sshd));
    let failure = uploader.status().failure.expect("it is said");
    assert!(failure.message.contains(&format!("{refused}.part")), "{failure:?}");
    fs::remove_dir(&part).unwrap();
    uploader.wait_for_receipts(2);
    outbox.assert_arrived(&sshd, &[older, refused]);
}

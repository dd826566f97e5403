//! The upload of recordings to a real OpenSSH server, with every kind of trouble between.

mod growing;
mod outbox;
mod trouble;

use edge::status::UploadFailureKind;
use outbox::Outbox;
use tests::proxy::{Proxy, Way};
use tests::sshd::{Sshd, View};
use tests::wait::PATIENCE;
use tests::work::rounds;

#[test]
fn recordings_arrive_whole_the_newest_first_and_nothing_else_is_left() {
    let mut sshd = Sshd::start(View::Whole).unwrap();
    sshd.stop();
    sshd.log_requests();
    sshd.start_again().unwrap();
    let outbox = Outbox::new(&sshd, sshd.port());
    let names: Vec<String> = [1, 5 << 20, 20 << 20].into_iter().map(|bytes| outbox.seal(bytes)).collect();
    let uploader = outbox.upload();
    uploader.wait_for_receipts(3);
    outbox.assert_arrived(&sshd, &names);

    let log = sshd.log();
    let committed =
        log.lines().filter_map(|line| line.split_once("posix-rename old").map(|(_, names)| names));
    let order: Vec<bool> =
        committed.zip(names.iter().rev()).map(|(line, name)| line.contains(&format!("{name}.mp4"))).collect();
    assert_eq!(order, [true; 3], "{log}");
    assert!(!log.contains("rename old") || !log.contains(" rename old"), "a rename in two steps: {log}");
    // Lock, the part before and after its flip, and the folder four times, for each recording; and once or twice a megabyte.
    let syncs = log.matches("fsync ").count() - 3 * 7;
    assert!((25..=2 * 25).contains(&syncs), "{syncs} syncs of 25 MiB: {log}");
    assert_eq!(uploader.status().failure, None);
}

#[test]
fn a_chroot_is_no_different() {
    if !nix::unistd::Uid::current().is_root() {
        eprintln!("only root can start a server with a chroot");
        return;
    }
    let sshd = Sshd::start(View::Chroot).unwrap();
    let outbox = Outbox::new(&sshd, sshd.port());
    let name = outbox.seal(100);
    outbox.upload().wait_for_receipts(1);
    outbox.assert_arrived(&sshd, &[name]);
}

/// `count` places from `from` to just before `to`.
fn evenly(from: u64, to: u64, count: u32) -> impl Iterator<Item = u64> {
    (0..u64::from(count)).map(move |n| from + (to - from) * n / u64::from(count))
}

/// Uploads one small recording through a wire that is cut after `at` bytes, and again until it has arrived.
fn survives_a_cut(sshd: &Sshd, proxy: &Proxy, way: Way, at: u64) {
    let outbox = Outbox::new(sshd, proxy.port());
    let name = outbox.seal(1000);
    proxy.cut_next(way, at);
    outbox.upload().wait_for_receipts(1);
    outbox.assert_arrived(sshd, &[name]);
    outbox.clear_inbox(sshd);
}

/// Bytes that an undisturbed upload of the same recording sends one way.
fn length(sshd: &Sshd, proxy: &Proxy, way: Way) -> u64 {
    let before = proxy.passed(way);
    survives_a_cut(sshd, proxy, way, u64::MAX);
    proxy.passed(way) - before
}

#[test]
fn every_request_may_be_the_last_one() {
    let sshd = Sshd::start(View::Whole).unwrap();
    let proxy = Proxy::start(sshd.port()).unwrap();
    let length = length(&sshd, &proxy, Way::Requests);
    // The part itself is most of the length; what is before and behind it is cut more finely.
    let middle = [length / 3, length / 2];
    for at in evenly(1000, 6000, rounds(7)).chain(middle).chain(evenly(length - 3500, length, rounds(20))) {
        survives_a_cut(&sshd, &proxy, Way::Requests, at);
    }
}

#[test]
fn every_reply_may_be_lost() {
    let sshd = Sshd::start(View::Whole).unwrap();
    let proxy = Proxy::start(sshd.port()).unwrap();
    let length = length(&sshd, &proxy, Way::Replies);
    for at in evenly(length / 2, length, rounds(20)) {
        survives_a_cut(&sshd, &proxy, Way::Replies, at);
    }
}

#[test]
fn a_connection_that_breaks_in_the_middle_of_a_login_is_no_refused_key() {
    let sshd = Sshd::start(View::Whole).unwrap();
    let proxy = Proxy::start(sshd.port()).unwrap();
    let length = length(&sshd, &proxy, Way::Replies);
    for at in evenly(length / 4, length, rounds(20)) {
        let mut outbox = Outbox::new(&sshd, proxy.port());
        // What the first try has come to stays to be seen.
        (outbox.patience.shortest, outbox.patience.longest) = (PATIENCE, PATIENCE);
        outbox.seal(1000);
        proxy.cut_next(Way::Replies, at);
        let uploader = outbox.upload();
        uploader.wait_until("a failure", |status| status.failure.is_some());
        let failure = uploader.status().failure.unwrap();
        assert_eq!(failure.kind, UploadFailureKind::Unreachable, "after {at} bytes of {length}: {failure:?}");
        drop(uploader);
        outbox.clear_inbox(&sshd);
    }
}

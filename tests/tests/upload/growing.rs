//! The upload follows recordings that grow.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use media::mp4::{Recovered, recover};
use tests::proxy::{Proxy, Way};
use tests::remote::Remote;
use tests::sshd::{Sshd, View};
use tests::wait::{PATIENCE, wait_until};
use tests::work::rounds;

use crate::outbox::{Outbox, Recording};

fn part(sshd: &Sshd, name: &str) -> PathBuf {
    sshd.inbox().join(format!("{name}.part"))
}

/// GOPs that can be played of what was set aside of the recording, which leaves the inbox then.
fn take_lost(sshd: &Sshd, name: &str) -> usize {
    let aside = format!("{name}-lost");
    let count = gops(sshd, &aside);
    fs::remove_file(part(sshd, &aside)).unwrap();
    count
}

/// GOPs that can be played of a part, as it is now.
fn gops(sshd: &Sshd, name: &str) -> usize {
    let Ok(bytes) = fs::read(part(sshd, name)) else { return 0 };
    match recover(bytes.as_slice()) {
        Ok(Recovered::Torn(torn)) => torn.growing.gops().len(),
        Ok(Recovered::Empty) => 0,
        other => panic!("a part that grows is no growing recording: {other:?}"),
    }
}

/// Waits until so many GOPs of the recording can be played at the remote host.
fn wait_for_gops(sshd: &Sshd, recording: &Recording, count: usize) {
    let name = recording.name();
    wait_until("a GOP", PATIENCE, || gops(sshd, &name) == count).unwrap();
}

#[test]
fn every_gop_is_there_while_its_recording_grows() {
    let sshd = Sshd::start(View::Whole).unwrap();
    let outbox = Outbox::new(&sshd, sshd.port());
    let uploader = outbox.upload();
    let mut recordings = [outbox.begin("front", 40_000), outbox.begin("yard", 50_000)];
    for count in 1..5 {
        for recording in &mut recordings {
            wait_for_gops(&sshd, recording, count);
            recording.grow(60_000);
        }
    }
    assert_eq!(sshd.log().matches("Accepted publickey").count(), 1, "all cameras share a session");
    let names = recordings.map(Recording::seal);
    uploader.wait_for_receipts(2);
    outbox.assert_arrived(&sshd, &names);
    assert_eq!(uploader.status().pending_bytes, 0);
}

#[test]
fn what_grows_comes_before_the_backlog() {
    let sshd = Sshd::start(View::Whole).unwrap();
    let proxy = Proxy::start(sshd.port()).unwrap();
    let outbox = Outbox::new(&sshd, proxy.port());
    let backlog = [outbox.seal(3 << 20), outbox.seal(3 << 20)];
    proxy.slow_down(2 << 20);
    let uploader = outbox.upload();
    wait_until("the backlog to begin", PATIENCE, || part(&sshd, &backlog[1]).exists()).unwrap();
    let mut recording = outbox.begin("front", 20_000);
    for count in 1..4 {
        wait_for_gops(&sshd, &recording, count);
        recording.grow(20_000);
    }
    assert!(uploader.status().receipts < 2, "the backlog was not in the way");
    proxy.slow_down(0);
    let last = recording.seal();
    uploader.wait_for_receipts(3);
    let [old, new] = backlog;
    outbox.assert_arrived(&sshd, &[old, new, last]);
}

#[test]
fn a_link_that_is_slower_than_the_stream_is_told_with_the_time_until_the_disk_is_full() {
    let sshd = Sshd::start(View::Whole).unwrap();
    let proxy = Proxy::start(sshd.port()).unwrap();
    let outbox = Outbox::new(&sshd, proxy.port());
    // 64 kb/s; each second of footage has 200 KB.
    proxy.slow_down(8_000);
    let uploader = outbox.upload();
    let mut recording = outbox.begin("front", 200_000);
    (0..9).for_each(|_| recording.grow(200_000));
    uploader.wait_until("a forecast", |status| {
        status.seconds_to_full.is_some_and(|seconds| seconds > 0.0) && status.bytes_per_second.is_some()
    });
    let status = uploader.status();
    assert!(status.pending_bytes > 1 << 20, "{status:?}");
    assert_eq!((status.seconds_to_finish, &status.failure), (None, &None), "slow is no failure: {status:?}");
    assert!(status.at_risk.iter().any(|risk| risk.camera == "front" && risk.seconds > 0.0), "{status:?}");
    proxy.slow_down(0);
    let name = recording.seal();
    uploader.wait_for_receipts(1);
    outbox.assert_arrived(&sshd, &[name]);
    let status = uploader.status();
    assert_eq!((status.seconds_to_full, status.pending_bytes), (None, 0));
}

/// Records five GOPs over a wire that is cut after `at` bytes, and seals; gives the bytes that were sent in all.
fn grow_over_a_cut(sshd: &Sshd, proxy: &Proxy, way: Way, at: u64) -> u64 {
    let outbox = Outbox::new(sshd, proxy.port());
    let before = proxy.passed(Way::Requests);
    proxy.cut_next(way, at);
    let uploader = outbox.upload();
    let mut recording = outbox.begin("front", 50_000);
    for count in 1..6 {
        wait_for_gops(sshd, &recording, count);
        recording.grow(50_000);
    }
    let name = recording.seal();
    uploader.wait_for_receipts(1);
    outbox.assert_arrived(sshd, &[name]);
    outbox.clear_inbox(sshd);
    proxy.passed(Way::Requests) - before
}

#[test]
fn a_link_may_be_cut_at_any_byte_of_the_live_append() {
    let sshd = Sshd::start(View::Whole).unwrap();
    let proxy = Proxy::start(sshd.port()).unwrap();
    let undisturbed = grow_over_a_cut(&sshd, &proxy, Way::Requests, u64::MAX);
    for cut in crate::evenly(3000, undisturbed, rounds(12)) {
        let sent = grow_over_a_cut(&sshd, &proxy, Way::Requests, cut);
        // A GOP may have been on its way, and there was one more session.
        assert!(sent < undisturbed + 100_000, "{sent} instead of {undisturbed} after a cut at {cut}");
    }
    for cut in crate::evenly(2000, 6000, rounds(8)) {
        grow_over_a_cut(&sshd, &proxy, Way::Replies, cut);
    }
}

#[test]
fn the_remote_host_keeps_the_gops_that_the_edge_has_lost() {
    let sshd = Sshd::start(View::Whole).unwrap();
    // The part is longer than what is left on the edge; and it is not, because a small GOP is shorter than a seal.
    for lost in [&[300_000, 400_000][..], &[40]] {
        let outbox = Outbox::new(&sshd, sshd.port());
        let uploader = outbox.upload();
        let mut recording = outbox.begin("front", 50_000);
        recording.grow(60_000);
        recording.sync();
        lost.iter().for_each(|bytes| recording.grow(*bytes));
        wait_for_gops(&sshd, &recording, 2 + lost.len());
        uploader.end();
        let name = recording.tear();
        let outbox = outbox.reboot();
        outbox.upload().wait_for_receipts(1);
        assert_eq!(take_lost(&sshd, &name), 2 + lost.len());
        outbox.assert_arrived(&sshd, &[name]);
        outbox.clear_inbox(&sshd);
    }
}

#[test]
fn a_gop_that_the_edge_has_lost_and_that_arrives_after_the_receipt_costs_nothing() {
    let mut remote = Remote::prepare("").unwrap();
    let sshd = Sshd::start_at(&remote.file("inbox")).unwrap();
    let proxy = Proxy::start(sshd.port()).unwrap();
    let outbox = Outbox::new(&sshd, proxy.port());
    let uploader = outbox.upload();
    let mut recording = outbox.begin("front", 50_000);
    for count in 1.. {
        wait_for_gops(&sshd, &recording, count);
        recording.sync();
        proxy.stall(true);
        recording.grow(20_000);
        if wait_until("the GOP to be on its way", Duration::from_secs(5), || proxy.held() > 20_000).is_ok() {
            break;
        }
        // A sync was on its way, and its answer is waited for.
        proxy.stall(false);
    }
    uploader.end();
    let name = recording.tear();
    let outbox = outbox.reboot();
    outbox.change(|upload| upload.port = sshd.port());
    outbox.upload().wait_for_receipts(1);
    outbox.assert_arrived(&sshd, std::slice::from_ref(&name));

    let sent = fs::read(outbox.path(&name)).unwrap();
    let arrived = sshd.inbox().join(format!("{name}.mp4"));
    proxy.stall(false);
    wait_until("the late GOP", PATIENCE, || fs::read(&arrived).unwrap() != sent).unwrap();
    remote.start().unwrap();
    // A picture of such bytes is no work for anybody; what was accepted stays until that is known.
    let accepted = |remote: &Remote| {
        fs::read(remote.file(&format!("claim/{name}.mp4"))).is_ok_and(|claim| claim == sent)
    };
    remote.wait_until("the recording to be accepted as it was", accepted).unwrap();
}

#[test]
fn what_a_process_has_lost_and_its_ring_has_is_cut_from_the_part() {
    let sshd = Sshd::start(View::Whole).unwrap();
    let outbox = Outbox::new(&sshd, sshd.port());
    let uploader = outbox.upload();
    let mut recording = outbox.begin("front", 50_000);
    recording.grow(60_000);
    recording.sync();
    recording.grow(300_000);
    wait_for_gops(&sshd, &recording, 3);
    uploader.end();
    let name = recording.tear();
    outbox.upload().wait_for_receipts(1);
    outbox.assert_arrived(&sshd, &[name]);
}

#[test]
fn a_recorder_that_fails_under_the_uploader_is_followed() {
    let sshd = Sshd::start(View::Whole).unwrap();
    let outbox = Outbox::new(&sshd, sshd.port());
    let uploader = outbox.upload();
    let mut recording = outbox.begin("front", 50_000);
    recording.sync();
    recording.grow(60_000);
    wait_for_gops(&sshd, &recording, 2);
    let name = recording.tear();
    uploader.wait_for_receipts(1);
    outbox.assert_arrived(&sshd, &[name]);
}

#[test]
fn a_server_that_is_killed_again_and_again_has_what_grew_in_the_end() {
    let mut sshd = Sshd::start(View::Whole).unwrap();
    let outbox = Outbox::new(&sshd, sshd.port());
    let uploader = outbox.upload();
    let mut recording = outbox.begin("front", 50_000);
    for count in 1..8 {
        wait_for_gops(&sshd, &recording, count);
        recording.grow(50_000);
        sshd.stop();
        sshd.start_again().unwrap();
    }
    let name = recording.seal();
    sshd.stop();
    sshd.start_again().unwrap();
    uploader.wait_for_receipts(1);
    outbox.assert_arrived(&sshd, &[name]);
}

//! The disk of the remote host fails under its recordings: it says so, gives no receipt for what is not durable, and takes everything in
//! once the disk works.

use std::fs;

use tests::disk::{Disk, with_own_mounts};
use tests::edge::Edge;
use tests::footage;
use tests::remote::Remote;
use tests::strace::Strace;

use super::remote_full::{archived, failure, receipts, sender};
use super::{assert_accounted_for, assert_every_gop, assert_live, records, some_of};

/// What keeps the remote host from its work, as its status says it.
fn faults(remote: &Remote) -> String {
    remote.json("/api/status").map(|status| status["faults"].to_string()).unwrap_or_default()
}

fn has_fault(remote: &Remote, message: &str) -> bool {
    faults(remote).contains(message)
}

/// Ends a recording, so that it is sealed and wants a receipt, and begins another one.
fn restart(edge: &mut Edge) -> anyhow::Result<()> {
    assert!(edge.terminate()?.success(), "{}", edge.log());
    edge.start_again()?;
    edge.wait_until("footage", |edge| records(edge, 1.0))
}

#[test]
fn a_remote_host_whose_disk_turns_read_only_says_so_and_has_everything_once_it_works() {
    with_own_mounts(|| {
        let mut remote = Remote::prepare("")?;
        let mut card = Disk::card(&remote.dir(), 64 << 20)?;
        let (_folder, _sshd, mut edge) = sender(&mut remote)?;
        restart(&mut edge)?;
        edge.wait_for_receipts(1)?;
        remote.wait_until("a recording", |remote| archived(remote) > 0)?;

        card.fail()?;
        remote.wait_until("the fault", |remote| has_fault(remote, "Read-only file system"))?;
        edge.wait_until("the upload to fail", |edge| !failure(edge).is_empty())?;
        let count = receipts(&edge);
        restart(&mut edge)?;
        edge.wait_until("the upload to fail", |edge| !failure(edge).is_empty())?;
        assert_live(&edge);
        assert_eq!(receipts(&edge), count, "{}", edge.log());

        card.repair()?;
        remote.terminate()?;
        remote.serve()?;
        edge.wait_for_receipts(count + 1)?;
        restart(&mut edge)?;
        edge.wait_for_receipts(count + 2)?;
        let count = receipts(&edge);
        edge.kill();
        remote.wait_until("the archive", |remote| archived(remote) >= count && faults(remote) == "[]")?;
        remote.terminate()?;
        let gops = assert_every_gop(&[remote.file("archive")]);
        assert_accounted_for(&remote.file("archive"));
        println!(
            "a remote host whose disk turned read-only: {gops} GOPs in its archive, none lost or doubled"
        );
        Ok(())
    });
}

/// The call that reads a folder.
const NAMES: &str = "getdents64";

/// One recording comes while these calls of the service fail, from the `nth` of each thread on; it is taken in once they work.
fn fails(remote: &mut Remote, round: u32, calls: &str, nth: u32) -> anyhow::Result<()> {
    let (name, expected) = (format!("recording-{round}"), footage::recording(round)?);
    let hindered = |remote: &Remote| {
        let page = remote.get("/metrics").map(|reply| reply.text()).unwrap_or_default();
        tests::web::metric(&page, "porthole_remote_hindrances_total")
    };
    let (archived, times) = (remote.files("archive").len(), hindered(remote));
    let strace =
        Strace::fail_from(calls, "EIO", nth).attach(remote.ids()[0], &remote.dir().join("../strace.log"))?;
    let part = remote.inbox().join(format!("{name}.part"));
    fs::write(&part, &expected)?;
    fs::rename(&part, part.with_extension("mp4"))?;
    remote.wait_until(&format!("{calls} to fail"), |remote| {
        // Without names no worker gets anything.
        let by_worker = calls == NAMES || hindered(remote) > times;
        by_worker && has_fault(remote, "Input/output error") || remote.files("archive").len() > archived
    })?;
    drop(strace);
    remote.wait_until_settled(archived + 1)?;
    remote.wait_until("the end of the fault", |remote| faults(remote) == "[]")?;
    assert!(fs::read(remote.file(&format!("archive/{name}.mp4")))? == expected, "{calls} {nth}");
    assert!(remote.files("hls").contains(&format!("{name}/{name}.m3u8")), "{calls} {nth}");
    assert_eq!(remote.files("quarantine"), [""; 0], "{calls} {nth}");
    Ok(())
}

/// Syncs of one recording on its way to the archive, and some.
const SYNCS: u64 = 16;

#[test]
fn a_remote_host_whose_disk_fails_calls_says_so_and_takes_everything_in_once_it_works() -> anyhow::Result<()>
{
    let mut remote = Remote::prepare("inbox.workers = 1")?;
    remote.serve()?;
    let others = [NAMES, "linkat", "pread64", "copy_file_range", "renameat2"].map(|calls| (calls, 1));
    let syncs = some_of(SYNCS).map(|nth| ("fsync", nth as u32 + 1));
    let all: Vec<_> = others.into_iter().chain(syncs).collect();
    for (round, (calls, nth)) in (0..).zip(&all) {
        fails(&mut remote, round, calls, *nth)?;
    }
    remote.terminate()?;
    println!("{} kinds of failed calls: everything is in the archive", all.len());
    Ok(())
}

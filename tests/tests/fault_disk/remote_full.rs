//! The remote host's disk is full, at every page that an upload or a worker may have needed next.

use anyhow::Result;
use std::fs;
use tempfile::TempDir;
use tests::disk::{Disk, with_own_mounts};
use tests::edge::{Edge, Settings};
use tests::footage;
use tests::remote::Remote;
use tests::sshd::Sshd;

use super::{assert_accounted_for, assert_every_gop, assert_live, records, some_of};

/// Pages of a few seconds of footage, with its lock.
const PAGES: u64 = 48;

/// What the edge says of its upload: `disk_full`, ...; empty while it is well.
pub fn failure(edge: &Edge) -> String {
    let status = edge.json("/api/status").unwrap_or_default();
    status["upload"]["failure"]["kind"].as_str().unwrap_or_default().to_owned()
}

/// Recordings that the remote host has taken in.
pub fn archived(remote: &Remote) -> usize {
    remote.files("archive").iter().filter(|file| file.ends_with(".mp4")).count()
}

/// Recordings with a receipt.
pub fn receipts(edge: &Edge) -> usize {
    let recordings = edge.recordings().unwrap_or_default();
    recordings.iter().filter(|recording| recording["state"] == "receipted").count()
}

/// Starts the remote host, and an edge that records and sends to it, through a server with files in a folder of its own.
pub fn sender(remote: &mut Remote) -> Result<(TempDir, Sshd, Edge)> {
    fs::create_dir_all(remote.inbox())?;
    let folder = tempfile::tempdir()?;
    let sshd = Sshd::start_for(folder.path(), &remote.inbox())?;
    let mut edge = Edge::prepare(Settings::default().upload_to(&sshd)?)?;
    sshd.authorize(&edge.public_key()?)?;
    remote.serve()?;
    edge.start_again()?;
    edge.wait_until("footage", |edge| records(edge, 1.0))?;
    Ok((folder, sshd, edge))
}

/// Room for so many rounds, each of which leaves recordings and their segments.
fn room_for(rounds: usize) -> u64 {
    (64 + 8 * rounds as u64) << 20
}

/// Leaves so many pages until the upload has failed in a recording, and at the beginning of the next one; then makes room.
fn fill(edge: &mut Edge, disk: &Disk, pages: u64, receipts: usize) -> Result<()> {
    disk.leave(pages)?;
    edge.wait_until("a full disk there", |edge| failure(edge) == "disk_full")?;
    assert_live(edge);
    assert!(edge.terminate()?.success(), "{}", edge.log());
    edge.start_again()?;
    edge.wait_until("a full disk there", |edge| failure(edge) == "disk_full")?;
    assert_live(edge);
    disk.make_room()?;
    edge.wait_for_receipts(receipts)
}

#[test]
fn a_remote_host_whose_disk_is_full_has_everything_once_there_is_room() {
    with_own_mounts(|| {
        let mut remote = Remote::prepare("")?;
        let disk = Disk::ram(&remote.dir(), room_for(some_of(PAGES).count()))?;
        let (_folder, _sshd, mut edge) = sender(&mut remote)?;
        for (round, pages) in some_of(PAGES).enumerate() {
            fill(&mut edge, &disk, pages, round + 1)?;
        }
        let rounds = some_of(PAGES).count();
        assert!(edge.terminate()?.success(), "{}", edge.log());
        edge.start_again()?;
        edge.wait_for_receipts(rounds + 1)?;
        // More than one a round, where the clock has cut a recording meanwhile.
        let count = receipts(&edge);
        edge.kill();
        remote.wait_until("the archive", |remote| archived(remote) >= count)?;
        remote.terminate()?;
        let gops = assert_every_gop(&[remote.file("archive")]);
        assert_accounted_for(&remote.file("archive"));
        println!(
            "a full remote host at {rounds} of {PAGES} pages: {gops} GOPs in its archive, none lost or doubled"
        );
        Ok(())
    });
}

#[test]
fn workers_whose_disk_is_full_finish_once_there_is_room() {
    with_own_mounts(|| {
        let mut remote = Remote::prepare("")?;
        // The copy of a recording, and the segments that are made of it.
        let all = 3 * footage::recording(0)?.len() as u64 / tests::disk::PAGE;
        let disk = Disk::ram(&remote.dir(), room_for(some_of(all).count()))?;
        fs::create_dir_all(remote.inbox())?;
        remote.serve()?;
        for (round, pages) in some_of(all).enumerate() {
            let expected = footage::recording(u32::try_from(round)?)?;
            let hindered = |remote: &Remote| {
                let page = remote.get("/metrics").map(|reply| reply.text()).unwrap_or_default();
                tests::web::metric(&page, "porthole_remote_hindrances_total")
            };
            let before = hindered(&remote);
            let name = format!("recording-{round}");
            let file = remote.inbox().join(format!("{name}.part"));
            fs::write(&file, &expected)?;
            disk.leave(pages)?;
            fs::rename(&file, file.with_extension("mp4"))?;
            remote.wait_until("a full disk, or the end", |remote| {
                hindered(remote) > before || remote.files("archive").len() > round
            })?;
            disk.make_room()?;
            remote.wait_until_settled(round + 1)?;
            assert!(fs::read(remote.file(&format!("archive/{name}.mp4")))? == expected, "{pages} pages");
            assert!(remote.files("hls").contains(&format!("{name}/{name}.m3u8")), "{pages} pages");
            assert_eq!(remote.files("quarantine"), [""; 0], "{pages} pages");
        }
        remote.terminate()?;
        println!(
            "workers on a full disk at {} of {all} pages: everything is in the archive",
            some_of(all).count()
        );
        Ok(())
    });
}

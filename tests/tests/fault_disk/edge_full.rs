//! The edge's disk is full, at every page that a recording may have needed next.

use anyhow::Result;
use tests::disk::{Disk, with_own_mounts};
use tests::edge::{Edge, Settings};
use tests::sshd::{Sshd, View};

use super::{assert_accounted_for, assert_live, errors, gops, has_fault, records, some_of};

/// Pages of a few seconds of footage, with all that is written beside it.
const PAGES: u64 = 64;
/// Below this the store lets go what has a receipt.
const NARROW: u64 = 256;

/// Leaves so many pages, until the recorder has failed and has tried once more; then makes room.
fn fill(edge: &mut Edge, disk: &Disk, pages: u64) -> Result<()> {
    edge.wait_for_receipts(0)?;
    disk.leave(NARROW)?;
    edge.wait_until("what has a receipt to leave", |edge| {
        edge.recordings().is_ok_and(|recordings| recordings.len() == 1)
    })?;
    let before = errors(edge);
    disk.leave(pages)?;
    edge.wait_until("a full disk", |edge| errors(edge) > before)?;
    assert!(has_fault(edge, "disk_full front") || records(edge, 0.0), "{}", edge.log());
    assert_live(edge);
    disk.make_room()?;
    edge.wait_until("the end of it", |edge| !has_fault(edge, "disk_full front") && records(edge, 1.0))
}

#[test]
fn an_edge_whose_disk_is_full_goes_on_and_accounts_for_every_second() {
    with_own_mounts(|| {
        let sshd = Sshd::start(View::Whole)?;
        let mut edge = Edge::prepare(Settings::default().upload_to(&sshd)?)?;
        sshd.authorize(&edge.public_key()?)?;
        let disk = Disk::ram(&edge.file("recordings"), 32 << 20)?;
        edge.start_again()?;
        edge.wait_until("footage", |edge| records(edge, 1.0))?;
        for pages in some_of(PAGES) {
            fill(&mut edge, &disk, pages)?;
        }
        assert!(edge.terminate()?.success(), "{}", edge.log());
        edge.start_again()?;
        edge.wait_for_receipts(1)?;
        edge.kill();
        let gops = gops(&[sshd.inbox()]).len();
        assert_accounted_for(&sshd.inbox());
        println!(
            "a full disk at {} of {PAGES} pages: {gops} GOPs on the remote host",
            some_of(PAGES).count()
        );
        Ok(())
    });
}

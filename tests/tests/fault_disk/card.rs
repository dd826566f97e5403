//! A card that fails under a recording: it goes on in RAM, from there to the remote host, and to the card when that works again.

use tests::disk::{Disk, with_own_mounts};
use tests::edge::{Edge, Settings};
use tests::sshd::{Sshd, View};
use tests::strace::Strace;
use tests::work::rounds;

use super::{assert_accounted_for, assert_every_gop, assert_live, errors, has_fault, records};

/// Seconds of footage that are on the edge alone.
fn at_risk(edge: &Edge) -> f64 {
    edge.metric("porthole_edge_at_risk_seconds{camera=\"front\"}")
}

/// Restarts it, so that what grew is sealed and arrives. What has a receipt before it is moved from RAM to the card leaves the edge,
/// so one recording at least is left.
fn restart(edge: &mut Edge) -> anyhow::Result<()> {
    assert!(edge.terminate()?.success(), "{}", edge.log());
    edge.start_again()?;
    edge.wait_for_receipts(1)
}

#[test]
fn a_card_that_turns_read_only_costs_nothing_and_has_everything_once_it_works() {
    with_own_mounts(|| {
        let sshd = Sshd::start(View::Whole)?;
        let mut edge = Edge::prepare(Settings::default().upload_to(&sshd)?)?;
        sshd.authorize(&edge.public_key()?)?;
        let mut card = Disk::card(&edge.file("recordings"), 64 << 20)?;
        edge.start_again()?;
        edge.wait_until("footage on the card", |edge| records(edge, 3.0))?;

        card.fail()?;
        edge.wait_until("the fault", |edge| has_fault(edge, "disk_failed"))?;
        assert_live(&edge);
        edge.wait_until("footage in RAM", |edge| records(edge, 2.0))?;
        assert_eq!(edge.json("/api/status")?["storage"]["ram"], true);
        edge.wait_until("the remote host to follow", |edge| at_risk(edge) < 4.0)?;
        // The next process finds the card as it is, and what is in RAM.
        restart(&mut edge)?;
        assert!(has_fault(&edge, "disk_failed"), "{}", edge.log());

        card.repair()?;
        edge.wait_until("the end of the fault", |edge| !has_fault(edge, "disk_failed"))?;
        edge.wait_until("footage", |edge| records(edge, 2.0))?;
        assert_live(&edge);
        restart(&mut edge)?;
        edge.wait_until("RAM to be left", |edge| !edge.ring().join("recordings").exists())?;
        assert_eq!(edge.json("/api/status")?["storage"]["ram"], false);
        let gops = assert_every_gop(&[sshd.inbox()]);
        edge.kill();
        assert_accounted_for(&sshd.inbox());
        println!("a card that turned read-only: {gops} GOPs on the remote host, none lost or doubled");
        Ok(())
    });
}

#[test]
fn without_room_in_ram_the_ring_bridges_a_card_that_fails() {
    with_own_mounts(|| {
        let sshd = Sshd::start(View::Whole)?;
        let settings = Settings::default().set("ring.bytes", 8 << 20).upload_to(&sshd)?;
        let mut edge = Edge::prepare(settings)?;
        sshd.authorize(&edge.public_key()?)?;
        let mut card = Disk::card(&edge.file("recordings"), 64 << 20)?;
        let ram = Disk::ram(edge.ring(), 32 << 20)?;
        edge.start_again()?;
        edge.wait_until("footage on the card", |edge| records(edge, 2.0))?;
        ram.leave(0)?;
        assert_live(&edge);
        card.fail()?;
        edge.wait_until("the fault", |edge| has_fault(edge, "disk_failed"))?;
        edge.wait_until("the other fault", |edge| has_fault(edge, "disk_full front"))?;
        assert_live(&edge);
        ram.make_room()?;
        edge.wait_until("footage in RAM", |edge| records(edge, 2.0))?;
        card.repair()?;
        edge.wait_until("the end of the fault", |edge| !has_fault(edge, "disk_failed"))?;
        restart(&mut edge)?;
        let gops = assert_every_gop(&[sshd.inbox()]);
        edge.kill();
        assert_accounted_for(&sshd.inbox());
        println!(
            "a card that failed beside a full RAM disk: {gops} GOPs on the remote host, none lost or doubled"
        );
        Ok(())
    });
}

#[test]
fn a_sync_that_fails_costs_nothing_and_makes_nothing_twice() {
    with_own_mounts(|| {
        let sshd = Sshd::start(View::Whole)?;
        let mut edge = Edge::prepare(Settings::default().upload_to(&sshd)?)?;
        sshd.authorize(&edge.public_key()?)?;
        edge.start_again()?;
        let failures = rounds(4);
        for _ in 0..failures {
            edge.wait_until("footage", |edge| records(edge, 2.0))?;
            let before = errors(&edge);
            let next_sync = Strace::fail_at("fdatasync", "EIO", 1);
            let strace = next_sync.attach(edge.id().unwrap_or_default(), &edge.file("strace.log"))?;
            edge.wait_until("a sync to fail", |edge| errors(edge) > before)?;
            drop(strace);
            assert_live(&edge);
            edge.wait_until("the card to be used again", |edge| !has_fault(edge, "disk_failed"))?;
        }
        restart(&mut edge)?;
        let gops = assert_every_gop(&[sshd.inbox()]);
        edge.kill();
        assert_accounted_for(&sshd.inbox());
        println!("{failures} failed syncs: {gops} GOPs on the remote host, none lost or doubled");
        Ok(())
    });
}

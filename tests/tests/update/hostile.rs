//! Bundles that must not be taken: each is refused with its reason, and nothing can be started that could not before.

use std::fs::{self, File};
use std::path::Path;
use std::thread;

use anyhow::{Context, Result, ensure};
use tests::client::said;
use tests::edge::Settings;
use tests::wait::{PATIENCE, wait_until};

use crate::board::Board;

/// Sends it; gives what was said. The card must be as safe as before.
fn refused(board: &Board, bundle: &Path) -> Result<String> {
    let output = board.update(bundle)?;
    let said = said(&output);
    ensure!(!output.status.success(), "taken: {said}");
    let state = board.slots()?.state;
    ensure!(state.trial.is_none() && board.would_boot()? == "1.0.0+0", "{said}: {state:?}");
    let line = said.lines().find_map(|line| line.strip_prefix("Error: "));
    Ok(line.with_context(|| said.clone())?.to_owned())
}

/// The bundle with other bytes.
fn changed(board: &Board, bundle: &Path, change: impl FnOnce(&mut Vec<u8>)) -> Result<String> {
    let mut bytes = fs::read(bundle)?;
    change(&mut bytes);
    let other = board.edge.file("changed.update");
    fs::write(&other, bytes)?;
    refused(board, &other)
}

#[test]
fn what_the_builder_did_not_sign_for_this_board_as_a_newer_version_is_refused_before_anything_is_written()
-> Result<()> {
    let mut board = Board::new(Settings::default())?;
    let untouched = board.slot_b()?;
    let good = board.bundle("1.1.0+0")?;
    let stranger = board.make_key("stranger")?;
    let foreign = board.bundle_of("1.2.0+0", "orangepi-pc-plus", &stranger)?;
    assert_eq!(refused(&board, &foreign)?, "the signature is not by the key of this image");
    let other = board.bundle_of("1.3.0+0", "raspberry", &board.edge.file("builder"))?;
    assert_eq!(
        refused(&board, &other)?,
        "the bundle is for the board raspberry, and this is orangepi-pc-plus"
    );
    for version in ["0.9.9+7", "1.0.0+0"] {
        let old = board.bundle(version)?;
        let said = refused(&board, &old)?;
        assert_eq!(
            said,
            format!("the bundle has version {version}, and 1.0.0+0 runs: a version must be newer")
        );
    }
    // Every field of the header is signed, and the signature too must be right.
    for at in [50, 60, 72, 300, 447, 448, 511] {
        let said = changed(&board, &good, |bytes| bytes[at] ^= 1)?;
        assert!(
            said.starts_with("the signature is not")
                || said.starts_with("the header of the bundle is damaged"),
            "{at}: {said}"
        );
    }
    assert_eq!(changed(&board, &good, |bytes| bytes.clear())?, "the bundle is cut off: 0 of 512 bytes came");
    assert_eq!(
        changed(&board, &good, |bytes| bytes.truncate(511))?,
        "the bundle is cut off: 511 of 512 bytes came"
    );
    assert_eq!(changed(&board, &good, |bytes| bytes.fill(b'x'))?, "this is no bundle");
    assert!(board.slot_b()? == untouched, "something was written");
    let key = board.edge.file("builder.pub");
    fs::rename(&key, board.edge.file("hidden.pub"))?;
    let keyless = format!(
        "{}: this image was made without an update key, so it cannot tell whose an update is",
        key.display()
    );
    assert_eq!(refused(&board, &good)?, keyless);
    fs::write(&key, "ssh-rsa AAAA")?;
    assert!(refused(&board, &good)?.contains("no ed25519 public key"));
    Ok(())
}

#[test]
fn a_card_that_udev_looks_at_is_waited_for_and_one_that_stays_in_use_is_refused() -> Result<()> {
    let mut board = Board::new(Settings::default())?;
    let bundle = board.bundle("1.1.0+0")?;
    let udev = File::open(board.card())?;
    udev.lock_shared()?;
    assert_eq!(refused(&board, &bundle)?, "another update is under way");
    board.started.recv_timeout(PATIENCE)?;
    let mut update = board.updating(&bundle);
    let update = thread::spawn(move || update.output());
    let id = board.started.recv_timeout(PATIENCE)?;
    let card = fs::canonicalize(board.card())?;
    let has_opened = || {
        let files = fs::read_dir(format!("/proc/{id}/fd")).into_iter().flatten().flatten();
        files.filter_map(|file| fs::read_link(file.path()).ok()).any(|file| file == card)
    };
    wait_until("the card to be opened", PATIENCE, || has_opened() || update.is_finished())?;
    udev.unlock()?;
    let output = update.join().expect("porthole-edge update")?;
    assert!(said(&output).contains("1.1.0+0 is written"), "{output:?}");
    Ok(())
}

#[test]
fn what_turns_out_wrong_while_it_is_written_leaves_nothing_to_start() -> Result<()> {
    let mut board = Board::new(Settings::default())?;
    let good = board.bundle("1.1.0+0")?;
    let length = fs::metadata(&good)?.len() as usize;
    for left in [512, 513, 4607, 4608, length / 2, length - 1] {
        let said = changed(&board, &good, |bytes| bytes.truncate(left))?;
        assert_eq!(said, format!("the bundle is cut off: {} of {} bytes came", left - 512, length - 512));
        assert_eq!(board.slot_b()?[..4096], [0; 4096], "no file system");
    }
    let damaged = "the bundle is damaged: it is not what was signed";
    for at in [512, 4608, length / 2, length - 1] {
        assert_eq!(changed(&board, &good, |bytes| bytes[at] ^= 0x10)?, damaged);
        assert_eq!(board.slot_b()?[..4096], [0; 4096], "no file system");
    }
    assert_eq!(changed(&board, &good, |bytes| bytes.push(0))?, damaged);
    // After all of this a good one is taken, and none while that is being tried.
    let output = board.update(&good)?;
    assert!(said(&output).contains("1.1.0+0 is written"), "{output:?}");
    assert_eq!(board.boot()?, "1.1.0+0");
    let next = board.bundle("1.2.0+0")?;
    let said = said(&board.update(&next)?);
    assert!(said.contains("the version that runs is being tried itself; wait until it is kept"), "{said}");
    Ok(())
}

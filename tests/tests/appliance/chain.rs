//! The whole chain of the board itself, as far as QEMU knows it: the processor's own program, SPL, U-Boot, the device tree, the card reader.

use std::process::Command;

use tests::appliance::{PATIENCE, flash};
use tests::board::alone;
use tests::process::Process;
use tests::wait::wait_until;

#[test]
fn the_board_itself_starts_from_its_card_and_shows_its_claim_code() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let card = folder.path().join("card");
    flash(&card).unwrap();
    let mut qemu = Command::new("qemu-system-arm");
    qemu.args([
        "-machine",
        "orangepi-pc",
        "-display",
        "none",
        "-monitor",
        "none",
        "-serial",
        "stdio",
        "-nic",
        "none",
        // The device tree says 24 MHz; with QEMU's own 62.5 the board's time would run away from what it does.
        "-global",
        "cortex-a7-arm-cpu.cntfrq=24000000",
    ]);
    qemu.arg("-drive").arg(format!("if=sd,format=raw,file={}", card.display()));
    let qemu = Process::start(qemu, &folder.path().join("console")).unwrap();
    for what in ["U-Boot SPL 20", "\nU-Boot 20", "Starting kernel", "NOBODY'S YET"] {
        let said = || qemu.log().contains(what);
        wait_until(what, PATIENCE, said).unwrap_or_else(|error| panic!("{error}:\n{}", qemu.log()));
    }
}

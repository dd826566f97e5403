//! `cargo xtask boot`: the image on a board that QEMU plays, from U-Boot on. Its serial console is the terminal.
//!
//! The card is a copy of the image, as large as a small card; it keeps what the appliance writes until the image is made anew.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, Result};

use super::folder;
use super::image::{self, Wishes};
use crate::command;

/// Bytes of the card.
const CARD: u64 = 1 << 30;

/// Makes the image, puts it on a card if it is not there, and boots it. Returns when QEMU ends (Ctrl-A X).
pub fn run() -> Result<()> {
    let image = image::make(&Wishes::default())?;
    let card = card(&image)?;
    let [secure, plain] = [command::free_port()?, command::free_port()?];
    println!("\nhttps://127.0.0.1:{secure}/   the appliance; the claim code is on its console below");
    println!("http://127.0.0.1:{plain}/    without TLS, if that was allowed on the set-up page");
    println!("Ctrl-A X ends it. Its card is {}\n", card.display());
    let mut qemu = command::command("qemu-system-arm");
    qemu.args(["-machine", "virt,highmem=off", "-cpu", "cortex-a7", "-smp", "2", "-m", "512", "-nographic"]);
    qemu.arg("-bios").arg(image::loader_of_qemu()?);
    qemu.arg("-drive").arg(format!("if=none,id=card,format=raw,file={}", card.display()));
    qemu.args(["-device", "virtio-blk-pci,drive=card", "-device", "virtio-rng-pci"]);
    let forwards =
        format!("user,id=net,hostfwd=tcp:127.0.0.1:{secure}-:443,hostfwd=tcp:127.0.0.1:{plain}-:80");
    qemu.args(["-netdev", &forwards, "-device", "virtio-net-pci,netdev=net,romfile="]);
    command::run(qemu.stdin(Stdio::inherit()))
}

/// The card with this image; one that was made from an older image is written anew.
fn card(image: &Path) -> Result<PathBuf> {
    let card = folder("card.img");
    let made = |path: &Path| fs::metadata(path).and_then(|about| about.modified()).ok();
    if made(&card).is_none() || made(&card) < made(image) {
        fs::copy(image, &card).with_context(|| card.display().to_string())?;
        let file = File::options().write(true).open(&card).with_context(|| card.display().to_string())?;
        file.set_len(CARD).with_context(|| card.display().to_string())?;
    }
    Ok(card)
}

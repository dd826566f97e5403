//! The testbed: a bare board on which cameras, sound and Wi-Fi are tested. Debian's kernel, and a RAM disk with the drivers, the tools
//! that misuse them, the edge and a shell for the test (`board/testbed/init`). QEMU boots it in a few seconds; `tests/src/board.rs` does so.
//!
//! ```text
//! target/boards/testbed/  kernel  initrd  u-boot.bin  boot.scr         passenger.cpio, for the image that is tested
//! ```

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use super::kernel::Kernel;
use super::{folder, image, initrd, loopback, packages, passenger};
use crate::cross::{self, Target};
use crate::{command, deps, workspace};

/// What tests have at hand; v4l-utils and alsa-utils bring the libraries that the edge needs, but for OpenSSL's.
const PACKAGES: [&str; 6] =
    ["busybox-static", "v4l-utils", "alsa-utils", "kmod", "libssl3t64", "wpasupplicant"];

/// Cameras, sound, USB, the network of QEMU, a watchdog, and radios that hear each other.
const MODULES: [&str; 8] =
    ["vivid", "uvcvideo", "snd-aloop", "xhci-pci", "virtio_net", "virtio_rng", "softdog", "mac80211_hwsim"];

/// Makes it anew; the packages and the kernel are fetched once.
pub fn make() -> Result<()> {
    deps::install(deps::Purpose::Board)?;
    let root = folder("testbed.root");
    let kernel = Kernel::fetch()?;
    command::empty(&root)?;
    let tools = packages::unpack("testbed.tools", &PACKAGES)?;
    packages::copy(&tools, &root)?;
    kernel.install(&MODULES, &root)?;
    loopback::install(&kernel, &root)?;
    kernel.index(&root)?;
    let edge = cross::build(Target::Armv7)?;
    for program in ["init", "agent"] {
        let from = workspace::root().join("board/testbed").join(program);
        fs::copy(&from, root.join(program)).with_context(|| from.display().to_string())?;
    }
    compile("clapper.c", &["-static", "-lm"], &root.join("usr/bin/clapper"))?;
    fs::copy(&edge, root.join("usr/bin/porthole-edge")).with_context(|| edge.display().to_string())?;
    for mount in ["proc", "sys", "dev", "run", "tmp", "root"] {
        fs::create_dir_all(root.join(mount)).context(mount)?;
    }
    let testbed = folder("testbed");
    fs::create_dir_all(&testbed).with_context(|| testbed.display().to_string())?;
    fs::copy(kernel.image(), testbed.join("kernel")).context("the kernel")?;
    fs::copy(image::loader_of_qemu()?, testbed.join("u-boot.bin")).context("U-Boot")?;
    image::script(&testbed.join("boot.scr"))?;
    initrd::pack(&root, &testbed.join("initrd"))?;
    passenger::make(&kernel, &tools)
}

/// Builds a program of `board/testbed` with these arguments beside the usual ones.
pub(super) fn compile(source: &str, arguments: &[&str], program: &Path) -> Result<()> {
    let mut gcc = command::command("arm-linux-gnueabihf-gcc");
    gcc.args(["-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror"]);
    gcc.arg(workspace::root().join("board/testbed").join(source)).args(arguments).arg("-o");
    command::run(gcc.arg(program))
}

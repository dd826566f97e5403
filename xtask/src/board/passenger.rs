//! What comes along where an image is tested: a second archive behind the initrd, which the kernel unpacks over the first one. So the image is
//! what is flashed, to the byte, and has a camera (vivid), one that a test plays
//! (v4l2loopback), a shell for the test, and a way to take flushes away from the edge (`board/testbed/switch_root`).
//!
//! ```text
//! target/boards/passenger.cpio       bin/switch_root  usr/lib/modules/  test/{agent, start, bin/, lib/}
//!               passenger.more.cpio  the same with more drivers
//! ```

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use super::kernel::Kernel;
use super::{folder, image, initrd, loopback, testbed};
use crate::{command, workspace};

/// The camera.
const CAMERA: &str = "vivid";
/// The controller of QEMU's USB, and radios that hear each other: for those who need them, and large.
const MORE: [&str; 2] = ["xhci-pci", "mac80211_hwsim"];
/// The program that sets it, and the libraries of that which are not in the image.
const PROGRAM: &str = "usr/bin/v4l2-ctl";
const LIBRARIES: &str = "usr/lib/arm-linux-gnueabihf";
const ITS_OWN: [&str; 3] = ["libv4l2.so.0", "libv4lconvert.so.0", "libjpeg.so.62"];

/// Makes both from the testbed's tools.
pub fn make(kernel: &Kernel, tools: &Path) -> Result<()> {
    pack("passenger", &[CAMERA], kernel, tools)?;
    pack("passenger.more", &[&[CAMERA], &MORE[..]].concat(), kernel, tools)
}

fn pack(name: &str, drivers: &[&str], kernel: &Kernel, tools: &Path) -> Result<()> {
    let root = folder(&format!("{name}.root"));
    command::empty(&root)?;
    for place in ["bin", "test/bin", "test/lib"] {
        fs::create_dir_all(root.join(place)).context(place)?;
    }
    // The tables of modules take the place of the initrd's, and so must name its modules too.
    let mut modules = image::words("initrd/modules")?;
    modules.extend(drivers.iter().map(|&driver| driver.to_owned()));
    kernel.install(&modules.iter().map(String::as_str).collect::<Vec<_>>(), &root)?;
    loopback::install(kernel, &root)?;
    kernel.index(&root)?;
    let put =
        |from: &Path, to: &str| fs::copy(from, root.join(to)).with_context(|| from.display().to_string());
    let sources = workspace::root().join("board/testbed");
    put(&sources.join("switch_root"), "bin/switch_root")?;
    put(&sources.join("agent"), "test/agent")?;
    put(&sources.join("start"), "test/start")?;
    testbed::compile(
        "unflushed.c",
        &["-shared", "-fPIC", "-D_GNU_SOURCE"],
        &root.join("test/lib/unflushed.so"),
    )?;
    put(&tools.join("usr/bin/busybox"), "test/bin/busybox")?;
    put(&tools.join(PROGRAM), "test/bin/v4l2-ctl")?;
    for library in ITS_OWN {
        put(&tools.join(LIBRARIES).join(library), &format!("test/lib/{library}"))?;
    }
    command::run(command::command("chmod").arg("0755").arg(root.join("bin/switch_root")))?;
    initrd::pack(&root, &folder(&format!("{name}.cpio")))
}

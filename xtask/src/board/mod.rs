//! What a board runs besides the edge: Debian's kernel, and the machines that QEMU boots it on.
//!
//! ```text
//! kernel, packages -> testbed   a kernel, a RAM disk with tools, drivers and the edge    for the tests of cameras and sound
//!                     loopback  the driver that delivers what a program writes
//!                     passenger what comes along where an image is tested
//!                  -> image     the file that goes on a card    disk, initrd, contents
//!                     boot      the same on a board that QEMU plays
//!                     bundle    what is in its slot, signed: an update
//! ```

pub mod boot;
pub mod bundle;
mod contents;
pub mod disk;
pub mod image;
mod initrd;
mod kernel;
mod loopback;
mod packages;
mod passenger;
pub mod testbed;

use std::path::PathBuf;

use crate::workspace;

/// The suite of Debian that boards run.
const SUITE: &str = "trixie";
/// It, and what has changed in it since: time zones, and faults that can be attacked.
const SUITES: [&str; 3] = [SUITE, "trixie-updates", "trixie-security"];
/// Its name for the boards' architecture.
const ARCHITECTURE: &str = "armhf";

/// A file below the folder of everything that is made for boards.
fn folder(name: &str) -> PathBuf {
    workspace::target().join("boards").join(name)
}

//! A RAM disk for the kernel: a cpio archive (Documentation/driver-api/early-userspace/buffer-format.rst of Linux).

use std::fs::File;
use std::path::Path;
use std::process::Stdio;

use anyhow::{Context, Result};

use crate::command;

/// Packs the folder `root` into `archive`: all of it root's, in the order of its names, so that the same folder gives the same bytes.
pub fn pack(root: &Path, archive: &Path) -> Result<()> {
    let mut find = command::command("find");
    let list = command::output(find.current_dir(root).args([".", "-mindepth", "1", "-printf", "%P\\n"]))?;
    let mut names: Vec<&str> = list.lines().collect();
    names.sort_unstable();
    let names = names.join("\n") + "\n";
    let out = File::create(archive).with_context(|| archive.display().to_string())?;
    let mut cpio = command::command("cpio");
    cpio.current_dir(root).args(["--create", "--format=newc", "--owner=0:0", "--reproducible", "--quiet"]);
    command::feed(cpio.stdout(Stdio::from(out)), names.as_bytes())
}

//! The browser driver and the players of the browser tests, at the versions of `tests/browser/package-lock.json`.

use std::fs;

use anyhow::{Context, Result};

use crate::{command, workspace};

/// Installs them into `tests/browser/node_modules`, unless that was made from the same lock file.
pub fn install() -> Result<()> {
    let folder = workspace::root().join("tests/browser");
    let lock = fs::read(folder.join("package-lock.json")).context("tests/browser/package-lock.json")?;
    let stamp = folder.join("node_modules/.made-from");
    if fs::read(&stamp).is_ok_and(|made_from| made_from == lock) {
        return Ok(());
    }
    println!("Installing the players of the browser tests");
    command::run(
        command::command("npm").args(["ci", "--no-progress", "--loglevel=error"]).current_dir(&folder),
    )?;
    fs::write(&stamp, lock).with_context(|| stamp.display().to_string())
}

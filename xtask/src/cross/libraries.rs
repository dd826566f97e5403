//! The libraries of the target that the edge is linked with and a board brings: ALSA, OpenSSL, and the C library
//! below them.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};

use super::{Target, finish, remove};
use crate::debian::Archive;

const PACKAGES: [&str; 3] = ["libasound2-dev", "libssl-dev", "libstdc++6"];

/// Unpacks them, unless that was done before. They are of this machine's suite, as its cross compiler is.
pub fn unpack(target: Target) -> Result<PathBuf> {
    let libraries = target.folder("libraries");
    if libraries.is_dir() {
        return Ok(libraries);
    }
    let made = target.folder("libraries.new");
    remove(&made)?;
    println!("Fetching the libraries of {}", target.debian());
    Archive::open(&suite()?, target.debian())?.unpack(&PACKAGES, &made)?;
    finish(&made, &libraries)?;
    Ok(libraries)
}

/// The suite of Debian that this machine is.
fn suite() -> Result<String> {
    let path = "/etc/os-release";
    let release = fs::read_to_string(path).context(path)?;
    let name = release.lines().find_map(|line| line.strip_prefix("VERSION_CODENAME="));
    name.map(str::to_owned).with_context(|| format!("{path} names no suite of Debian"))
}

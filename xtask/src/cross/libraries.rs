//! What is Debian's for a target, unpacked: the libraries that the edge is linked with and a board brings (ALSA, OpenSSL, and the C library
//! below them), and the program that its encoder is compared with.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::{Target, finish, remove};
use crate::debian::Archive;

const PACKAGES: [&str; 3] = ["libasound2-dev", "libssl-dev", "libstdc++6"];

/// openh264 reads here whether there is NEON. To a program that it runs, qemu-user shows this machine's own, unless there is one
/// below the libraries.
const PROCESSOR: &str =
    "processor\t: 0\nFeatures\t: half thumb fastmult vfp edsp neon vfpv3 tls vfpv4 idiva idivt\n";

/// Unpacks the libraries, unless that was done before.
pub fn unpack(target: Target) -> Result<PathBuf> {
    let libraries = fetch(target, "libraries", &PACKAGES)?;
    if target == Target::Armv7 {
        show_processor(&libraries)?;
    }
    Ok(libraries)
}

/// Unpacks ffmpeg with all that it needs, unless that was done before.
pub fn peer(target: Target) -> Result<PathBuf> {
    fetch(target, "ffmpeg", &["ffmpeg"])
}

/// Unpacks packages below `name`. They are of this machine's suite, as its cross compiler is.
fn fetch(target: Target, name: &str, packages: &[&str]) -> Result<PathBuf> {
    let folder = target.folder(name);
    if folder.is_dir() {
        return Ok(folder);
    }
    let made = target.folder(&format!("{name}.new"));
    remove(&made)?;
    println!("Fetching {} for {}", packages.join(", "), target.debian());
    Archive::open(&[&suite()?], target.debian())?.unpack(packages, &made)?;
    finish(&made, &folder)?;
    Ok(folder)
}

/// Says below `root` what a board's processor can do.
fn show_processor(root: &Path) -> Result<()> {
    let proc = root.join("proc");
    fs::create_dir_all(&proc).with_context(|| proc.display().to_string())?;
    fs::write(proc.join("cpuinfo"), PROCESSOR).with_context(|| proc.display().to_string())
}

/// The suite of Debian that this machine is.
fn suite() -> Result<String> {
    let path = "/etc/os-release";
    let release = fs::read_to_string(path).context(path)?;
    let name = release.lines().find_map(|line| line.strip_prefix("VERSION_CODENAME="));
    name.map(str::to_owned).with_context(|| format!("{path} names no suite of Debian"))
}

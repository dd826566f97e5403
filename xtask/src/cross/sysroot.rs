//! Rust's standard library for a board.
//!
//! The one that rustup fetches is made for speed alone, in instructions of four bytes, with all it takes to name the frames of a backtrace:
//! a tenth of the edge. So it is made here, once, as the compiler's own build does it, of the source of the compiler's very version,
//! into a sysroot that `--sysroot` names. The source is rustup's `rust-src`; where rustup cannot fetch it, Debian's. Which of Debian's suites
//! have that version changes with the years; all of them are asked.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use super::{Target, finish, remove};
use crate::command;
use crate::debian::Archive;

/// Suites that had a Rust of the last year, newest last.
const SUITES: [&str; 4] = ["trixie-backports", "forky", "forky-backports", "sid"];

/// The sysroot for `target`, made if it is not there.
pub fn find(target: Target) -> Result<PathBuf> {
    let version = about("release: ")?;
    let sysroot = target.folder(&format!("sysroot-{version}"));
    if !sysroot.is_dir() {
        make(target, &version, &sysroot)?;
    }
    Ok(sysroot)
}

/// Where the toolchain is.
pub fn toolchain() -> Result<PathBuf> {
    Ok(command::output(command::command("rustc").args(["--print", "sysroot"]))?.trim().into())
}

/// What the toolchain runs on, by Rust's name.
pub fn host() -> Result<String> {
    about("host: ")
}

/// Where a sysroot has its libraries.
fn library(sysroot: &Path, target: Target) -> PathBuf {
    sysroot.join("lib/rustlib").join(target.triple()).join("lib")
}

/// What the compiler says of itself, as `1.95.0` for `release: `.
fn about(what: &str) -> Result<String> {
    let about = command::output(command::command("rustc").arg("-vV"))?;
    let line = about.lines().find_map(|line| line.strip_prefix(what));
    line.map(str::to_owned).with_context(|| format!("rustc -vV tells no {what}"))
}

fn make(target: Target, version: &str, sysroot: &Path) -> Result<()> {
    println!("Building Rust's standard library {version} for {} (a few minutes, once)", target.triple());
    let source = source(target, version)?;
    let (build, made) = (target.folder("std"), target.folder("sysroot.new"));
    // What was left half made, or with other flags, must not be taken along.
    remove(&build)?;
    remove(&made)?;
    let mut cargo = command::cargo();
    cargo.current_dir(&source).args([
        "build",
        "--quiet",
        "--locked",
        "--release",
        "--manifest-path",
        "sysroot/Cargo.toml",
    ]);
    // Without what names the frames of a backtrace: a stripped binary has no names, and it is a quarter of a megabyte.
    let features = "panic-unwind,optimize_for_size";
    cargo.args(["--features", features, "--target", target.triple(), "--target-dir"]).arg(&build);
    cargo.env("RUSTC_BOOTSTRAP", "1").env("__CARGO_DEFAULT_LIB_METADATA", "porthole");
    cargo.env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "s");
    cargo.env("RUSTFLAGS", format!("-Zforce-unstable-if-unmarked -Cembed-bitcode=yes {}", target.flags()));
    cargo.env(target.variable("LINKER"), format!("{}-gcc", target.tools()));
    command::run(&mut cargo)?;

    let into = library(&made, target);
    fs::create_dir_all(&into).with_context(|| into.display().to_string())?;
    let deps = build.join(target.triple()).join("release/deps");
    for file in fs::read_dir(&deps).with_context(|| deps.display().to_string())?.flatten() {
        if file.path().extension().is_some_and(|end| end == "rlib") {
            fs::copy(file.path(), into.join(file.file_name()))
                .with_context(|| file.path().display().to_string())?;
        }
    }
    remove(&build)?;
    finish(&made, sysroot)
}

/// The folder `library/` of the compiler's source.
fn source(target: Target, version: &str) -> Result<PathBuf> {
    let whole = |library: &Path| library.join("sysroot/Cargo.toml").is_file();
    let rustup = toolchain()?.join("lib/rustlib/src/rust/library");
    let folder = target.folder("rust-src");
    let debian = folder.join(format!("usr/src/rustc-{version}/library"));
    if let Some(there) = [&rustup, &debian].into_iter().find(|library| whole(library)) {
        return Ok(there.clone());
    }
    if rustup_fetches() && whole(&rustup) {
        return Ok(rustup);
    }
    for suite in SUITES {
        // Not every suite exists at all times.
        let Ok(archive) = Archive::open(&[suite], "amd64") else { continue };
        let versions = archive.versions("rust-src")?;
        let Some(found) = versions.iter().find(|found| found.starts_with(&format!("{version}+"))) else {
            continue;
        };
        archive.unpack(&[&format!("rust-src={found}")], &folder)?;
        return Ok(debian);
    }
    bail!(
        "there is no source of Rust {version}'s standard library: rustup could not fetch it, and none of Debian's suites {} has \
         rust-src of that version",
        SUITES.join(", ")
    )
}

/// Whether rustup could fetch the source.
fn rustup_fetches() -> bool {
    let Some(rustup) = command::find("rustup") else { return false };
    let output = command::command(rustup).args(["component", "add", "rust-src"]).output();
    output.is_ok_and(|output| output.status.success())
}

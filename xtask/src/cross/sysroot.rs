//! Rust's standard library for a target that the toolchain has none for.
//!
//! Where `rustup target add` can fetch it, it does. Where it cannot, Debian's `rust-src` of the very version of the compiler is built
//! once, as the compiler's own build does it, into a sysroot that `--sysroot` names. Which suites have that version changes with the
//! years; all of them are asked.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use super::{Target, finish};
use crate::command;
use crate::debian::Archive;

/// Suites that had a Rust of the last year, newest last.
const SUITES: [&str; 4] = ["trixie-backports", "forky", "forky-backports", "sid"];

/// The sysroot for `target`; `None`: the toolchain has one.
pub fn find(target: Target) -> Result<Option<PathBuf>> {
    let toolchain = command::output(command::command("rustc").args(["--print", "sysroot"]))?;
    if has_std(Path::new(toolchain.trim()), target) {
        return Ok(None);
    }
    let version = version()?;
    let sysroot = target.folder(&format!("rust-{version}"));
    if has_std(&sysroot, target) {
        return Ok(Some(sysroot));
    }
    if command::find("rustup").is_some_and(|rustup| fetched(&rustup, target)) {
        return Ok(None);
    }
    make(target, &version, &sysroot)?;
    Ok(Some(sysroot))
}

/// Where a sysroot has its libraries.
fn library(sysroot: &Path, target: Target) -> PathBuf {
    sysroot.join("lib/rustlib").join(target.triple()).join("lib")
}

fn has_std(sysroot: &Path, target: Target) -> bool {
    let files = fs::read_dir(library(sysroot, target)).into_iter().flatten().flatten();
    files.map(|file| file.file_name()).any(|name| name.to_string_lossy().starts_with("libstd-"))
}

/// The version of the compiler, as `1.95.0`.
fn version() -> Result<String> {
    let about = command::output(command::command("rustc").arg("-vV"))?;
    let release = about.lines().find_map(|line| line.strip_prefix("release: "));
    release.map(str::to_owned).context("rustc -vV tells no release")
}

/// Whether rustup could fetch it.
fn fetched(rustup: &Path, target: Target) -> bool {
    let mut add = command::command(rustup);
    add.args(["target", "add", target.triple()]);
    add.output().is_ok_and(|output| output.status.success())
}

fn make(target: Target, version: &str, sysroot: &Path) -> Result<()> {
    println!("Building Rust's standard library {version} for {} (a few minutes, once)", target.triple());
    let source = source(target, version)?;
    let build = target.folder("std");
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
    cargo.args(["--features", "panic-unwind", "--target", target.triple(), "--target-dir"]).arg(&build);
    cargo.env("RUSTC_BOOTSTRAP", "1").env("__CARGO_DEFAULT_LIB_METADATA", "porthole");
    cargo.env("RUSTFLAGS", "-Zforce-unstable-if-unmarked -Cembed-bitcode=yes");
    cargo.env(target.variable("LINKER"), format!("{}-gcc", target.tools()));
    command::run(&mut cargo)?;

    let made = sysroot.with_extension("new");
    let into = library(&made, target);
    fs::create_dir_all(&into).with_context(|| into.display().to_string())?;
    let deps = build.join(target.triple()).join("release/deps");
    for file in fs::read_dir(&deps).with_context(|| deps.display().to_string())?.flatten() {
        if file.path().extension().is_some_and(|end| end == "rlib") {
            fs::copy(file.path(), into.join(file.file_name()))
                .with_context(|| file.path().display().to_string())?;
        }
    }
    finish(&made, sysroot)
}

/// The folder `library/` of the compiler's source.
fn source(target: Target, version: &str) -> Result<PathBuf> {
    let folder = target.folder("rust-src");
    let library = folder.join(format!("usr/src/rustc-{version}/library"));
    if library.join("sysroot/Cargo.toml").is_file() {
        return Ok(library);
    }
    for suite in SUITES {
        // Not every suite exists at all times.
        let Ok(archive) = Archive::open(suite, "amd64") else { continue };
        let versions = archive.versions("rust-src")?;
        let Some(found) = versions.iter().find(|found| found.starts_with(&format!("{version}+"))) else {
            continue;
        };
        archive.unpack(&[&format!("rust-src={found}")], &folder)?;
        return Ok(library);
    }
    bail!(
        "there is no standard library of Rust {version} for {}: rustup could not fetch it, and none of Debian's suites {} has \
         rust-src of that version",
        target.triple(),
        SUITES.join(", ")
    )
}

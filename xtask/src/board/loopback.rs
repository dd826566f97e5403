//! v4l2loopback, the driver of a camera that delivers what a program writes into it. Debian has its source; it is built for the kernel
//! of the boards with the cross compiler.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::kernel::Kernel;
use super::{ARCHITECTURE, SUITES, folder};
use crate::command;
use crate::cross::Target;
use crate::debian::Archive;

const SOURCE: &str = "v4l2loopback-dkms";
const MODULE: &str = "v4l2loopback.ko";

/// Puts the driver for `kernel` into the root file system `root`; it is built once.
pub fn install(kernel: &Kernel, root: &Path) -> Result<()> {
    let built = folder(&format!("v4l2loopback-{}.ko", kernel.release));
    if !built.is_file() {
        println!("Building v4l2loopback for {}", kernel.release);
        let module = build(kernel)?;
        fs::rename(&module, &built).with_context(|| built.display().to_string())?;
    }
    let there = kernel.modules(root).join("updates");
    fs::create_dir_all(&there).with_context(|| there.display().to_string())?;
    fs::copy(&built, there.join(MODULE)).with_context(|| there.display().to_string())?;
    Ok(())
}

/// Builds the driver as kbuild does it, with Debian's headers and the programs that belong to them.
fn build(kernel: &Kernel) -> Result<PathBuf> {
    let tree = folder("v4l2loopback.new");
    command::empty(&tree)?;
    let version = kernel.release.trim_end_matches("-armmp");
    let headers = format!("linux-headers-{}", kernel.release);
    let common = format!("linux-headers-{version}-common");
    Archive::open(&SUITES, ARCHITECTURE)?.unpack_alone(&[&headers, &common, SOURCE], &tree)?;
    let kbuild = format!("linux-kbuild-{version}");
    Archive::open(&SUITES, Target::here().debian())?.unpack(&[&kbuild], &tree)?;
    for program in files(&tree.join("usr/lib").join(&kbuild))? {
        at_home(&program, &tree)?;
    }
    let sources = tree.join("usr/src");
    let headers = sources.join(&headers);
    let makefile = headers.join("Makefile");
    fs::write(&makefile, format!("include {}/Makefile\n", sources.join(&common).display()))
        .with_context(|| makefile.display().to_string())?;
    let source = only(&sources, "v4l2loopback-")?;
    let mut make = command::command("make");
    make.args(["ARCH=arm", "CROSS_COMPILE=arm-linux-gnueabihf-", "CC=arm-linux-gnueabihf-gcc", "--silent"]);
    command::run(make.arg("-C").arg(&headers).arg(format!("M={}", source.display())).arg("modules"))?;
    Ok(source.join(MODULE))
}

/// Lets a program of the suite find the suite's C library in `tree`: this machine's own is older.
fn at_home(program: &Path, tree: &Path) -> Result<()> {
    let mut start = [0; 4];
    let read = fs::File::open(program).and_then(|mut file| file.read_exact(&mut start));
    if read.is_err() || &start != b"\x7fELF" {
        return Ok(());
    }
    let libraries = only(&tree.join("usr/lib"), std::env::consts::ARCH)?;
    let loader = only(&libraries, "ld-linux")?;
    let mut patchelf = command::command("patchelf");
    patchelf.arg("--set-interpreter").arg(&loader).arg("--set-rpath").arg(&libraries);
    command::run(patchelf.arg(program))
}

/// The one entry of a folder whose name starts like that.
fn only(folder: &Path, start: &str) -> Result<PathBuf> {
    let entries = fs::read_dir(folder).with_context(|| folder.display().to_string())?;
    let mut paths = entries.flatten().map(|entry| entry.path());
    let begins =
        |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(start));
    paths.find(begins).with_context(|| format!("{} has no {start}*", folder.display()))
}

/// All programs below a folder.
fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let find = command::output(command::command("find").arg(folder).args(["-type", "f", "-perm", "-1"]))?;
    Ok(find.lines().map(PathBuf::from).collect())
}

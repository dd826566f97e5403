//! Debian's packages as files: unpacked, not installed. What their scripts would have done is in `board/`.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::{ARCHITECTURE, SUITE, folder};
use crate::command;
use crate::debian::Archive;

/// What nobody reads on a board.
const LEFT_OUT: [&str; 15] = [
    "usr/share/bash-completion",
    "usr/share/bug",
    "usr/share/dbus-1/interfaces",
    "usr/share/doc",
    "usr/share/doc-base",
    "usr/share/info",
    "usr/share/lintian",
    "usr/share/locale",
    "usr/share/man",
    "usr/share/polkit-1",
    "usr/share/sounds",
    "usr/share/zsh",
    "usr/lib/systemd/catalog",
    // Names of devices for people: 13 MB.
    "usr/lib/udev/hwdb.d",
    "var",
];

/// Unpacks packages and what they need, once, below the name `name`: a root file system with one tree of folders, `/usr`.
pub fn unpack(name: &str, packages: &[&str]) -> Result<PathBuf> {
    let list = packages.join("\n");
    let done = folder(name);
    let listed = folder(&format!("{name}.packages"));
    if done.is_dir() && fs::read_to_string(&listed).is_ok_and(|before| before == list) {
        return Ok(done);
    }
    let made = folder(&format!("{name}.new"));
    command::empty(&made)?;
    for folder in ["bin", "sbin", "lib"] {
        fs::create_dir_all(made.join("usr").join(folder)).context(folder)?;
        symlink(Path::new("usr").join(folder), made.join(folder)).context(folder)?;
    }
    println!("Fetching {}", packages.join(", "));
    Archive::open(SUITE, ARCHITECTURE)?.unpack(packages, &made)?;
    for folder in LEFT_OUT {
        if made.join(folder).exists() {
            fs::remove_dir_all(made.join(folder)).context(folder)?;
        }
    }
    command::empty(&done)?;
    fs::rename(&made, &done).with_context(|| done.display().to_string())?;
    fs::write(&listed, list).with_context(|| listed.display().to_string())?;
    Ok(done)
}

/// Copies a tree as it is: links, rights and all.
pub fn copy(tree: &Path, into: &Path) -> Result<()> {
    command::run(command::command("cp").arg("--archive").arg(tree.join(".")).arg(into))
}

//! Debian's packages as files: unpacked, not installed. What their scripts would have done is in `board/`.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::{ARCHITECTURE, SUITES, folder};
use crate::command;
use crate::debian::{self, Archive};

/// What nobody reads on a board.
const LEFT_OUT: [&str; 15] = [
    // Character sets beside UTF-8: 19 MB.
    "usr/lib/arm-linux-gnueabihf/gconv",
    "usr/share/bash-completion",
    "usr/share/bug",
    "usr/share/dbus-1/interfaces",
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

/// Where packages say whose they are.
pub const DOC: &str = "usr/share/doc";

/// Unpacks packages and what they need, below the name `name`: a root file system with one tree of folders, `/usr`. That is done again
/// once Debian has a newer version of one of them.
pub fn unpack(name: &str, packages: &[&str]) -> Result<PathBuf> {
    let archive = Archive::open(&SUITES, ARCHITECTURE)?;
    let list = archive.newest(packages)?;
    let done = folder(name);
    let listed = folder(&format!("{name}.packages"));
    if is_done(&done, &listed, &list) {
        return Ok(done);
    }
    let made = folder(&format!("{name}.new"));
    command::empty(&made)?;
    for folder in ["bin", "sbin", "lib"] {
        fs::create_dir_all(made.join("usr").join(folder)).context(folder)?;
        symlink(Path::new("usr").join(folder), made.join(folder)).context(folder)?;
    }
    println!("Fetching {}", packages.join(", "));
    archive.unpack(packages, &made)?;
    for folder in LEFT_OUT {
        if made.join(folder).exists() {
            fs::remove_dir_all(made.join(folder)).context(folder)?;
        }
    }
    keep_copyrights(&made.join(DOC))?;
    command::empty(&done)?;
    fs::rename(&made, &done).with_context(|| done.display().to_string())?;
    fs::write(&listed, list).with_context(|| listed.display().to_string())?;
    Ok(done)
}

/// Unpacks a package without what it needs, below the name `name`, and again once Debian has a newer version of it.
pub fn unpack_alone(name: &str, package: &str) -> Result<PathBuf> {
    let archive = Archive::open(&SUITES, ARCHITECTURE)?;
    let newest = archive.versions(package)?.into_iter().next();
    let newest = newest.with_context(|| format!("there is no package {package}"))?;
    let done = folder(name);
    let listed = folder(&format!("{name}.packages"));
    if is_done(&done, &listed, &newest) {
        return Ok(done);
    }
    let made = folder(&format!("{name}.new"));
    command::empty(&made)?;
    println!("Fetching {package}");
    archive.unpack_alone(&[package], &made)?;
    command::empty(&done)?;
    fs::rename(&made, &done).with_context(|| done.display().to_string())?;
    fs::write(&listed, newest).with_context(|| listed.display().to_string())?;
    Ok(done)
}

/// Whether these very versions were unpacked before, all of them.
fn is_done(tree: &Path, listed: &Path, versions: &str) -> bool {
    debian::is_whole(tree) && fs::read_to_string(listed).is_ok_and(|before| before == versions)
}

/// Removes what packages have to read, but for whose they are and under which licences.
fn keep_copyrights(doc: &Path) -> Result<()> {
    let mut find = command::command("find");
    find.arg(doc).args(["-mindepth", "2", "!", "-name", "copyright", "!", "-type", "d", "-delete"]);
    command::run(&mut find)?;
    let mut find = command::command("find");
    command::run(find.arg(doc).args(["-mindepth", "1", "-type", "d", "-empty", "-delete"]))
}

/// What the copyright file in `tree` says of a package's licences.
pub fn licences(tree: &Path, package: &str) -> Result<BTreeSet<String>> {
    let path = tree.join(DOC).join(package).join("copyright");
    let text = fs::read(&path).with_context(|| path.display().to_string())?;
    Ok(names_of_licences(&String::from_utf8_lossy(&text)))
}

/// The short names in a copyright file that machines can read (copyright-format 1.0); in any other, the texts of Debian's that it refers to.
fn names_of_licences(text: &str) -> BTreeSet<String> {
    if text.trim_start().starts_with("Format") {
        let names = text.lines().filter_map(|line| line.strip_prefix("License:"));
        return names.map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect();
    }
    let referred = text.split("/usr/share/common-licenses/").skip(1);
    let names =
        referred.filter_map(|rest| rest.split(|c: char| !(c.is_alphanumeric() || "-.".contains(c))).next());
    names.map(|name| name.trim_end_matches('.').to_owned()).filter(|name| !name.is_empty()).collect()
}

/// Copies a tree as it is: links, rights and all.
pub fn copy(tree: &Path, into: &Path) -> Result<()> {
    command::run(command::command("cp").arg("--archive").arg(tree.join(".")).arg(into))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn licences_are_what_the_copyright_file_says() {
        let names = |text: &str| names_of_licences(text).into_iter().collect::<Vec<_>>();
        let format = "Format: https://debian.example/1.0/\n\nFiles: *\nCopyright: A\nLicense: GPL-2+\n text\n\nFiles: b\nLicense: Expat\n\nLicense: GPL-2+\n On Debian systems\n";
        assert_eq!(names(format), ["Expat", "GPL-2+"]);
        let prose = "It may be found in\n`/usr/share/common-licenses/LGPL-2.1', or /usr/share/common-licenses/GPL-2.\n";
        assert_eq!(names(prose), ["GPL-2", "LGPL-2.1"]);
        assert_eq!(names("Public domain."), [""; 0]);
    }

    #[test]
    fn whose_packages_are_stays_and_the_rest_goes() {
        let folder = tempfile::tempdir().unwrap();
        let doc = folder.path().join("doc");
        for path in ["a/copyright", "a/README", "b/examples/x", "packages"] {
            let path = doc.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "x").unwrap();
        }
        symlink("a", doc.join("c")).unwrap();
        keep_copyrights(&doc).unwrap();
        let mut left = command::output(command::command("find").arg(&doc).args(["-printf", "%P\n"])).unwrap();
        left.make_ascii_lowercase();
        let mut left: Vec<&str> = left.lines().collect();
        left.sort_unstable();
        assert_eq!(left, ["", "a", "a/copyright", "c", "packages"]);
    }
}

//! `cargo xtask deb`: a Debian package of the edge, for hosts that run systemd.
//!
//! ```text
//! porthole-edge ----------> /usr/bin                what it is linked with -> Depends
//! edge/systemd, edge/debian -> unit, user, conffile, scripts
//! docs, licences ---------> /usr/share/doc/porthole-edge
//! ```
//!
//! Nothing here needs root, and the same sources give the same bytes: everything is as old as the last entry of edge/debian/changelog.

mod depends;
#[cfg(test)]
mod trial;

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use crate::cross::{self, Target};
use crate::{command, licences, workspace};

const NAME: &str = "porthole-edge";
const VERSION: &str = env!("CARGO_PKG_VERSION");
/// The file of an administrator, which an upgrade leaves as it is.
const CONFFILE: &str = "etc/porthole/edge.toml";
const SCRIPTS: [&str; 3] = ["postinst", "prerm", "postrm"];

/// Files of the repository in the package: where they are, and where they go.
const FILES: [(&str, &str); 4] = [
    ("edge/debian/edge.toml", CONFFILE),
    ("edge/debian/sysusers.conf", "usr/lib/sysusers.d/porthole-edge.conf"),
    ("edge/systemd/porthole-edge.service", "usr/lib/systemd/system/porthole-edge.service"),
    ("edge/systemd/60-porthole.rules", "usr/lib/udev/rules.d/60-porthole.rules"),
];

/// What its service takes: a user is made, and a signal sent.
const SERVICE: &str = "systemd | systemd-standalone-sysusers, procps";

/// What there is to read; their links lead to each other.
const PAGES: [(&str, &str); 6] = [
    ("docs/guide/debian.md", "README.md"),
    ("docs/guide/access.md", "access.md"),
    ("docs/guide/live-view.md", "live-view.md"),
    ("docs/guide/operations.md", "operations.md"),
    ("docs/ref/config.md", "config.md"),
    ("docs/ref/metrics.md", "metrics.md"),
];

/// Makes the package for `target` of the program `edge`, which is built if none is named. Says where it is.
pub fn make(target: Target, edge: Option<PathBuf>) -> Result<PathBuf> {
    let edge = match edge {
        Some(edge) => std::path::absolute(&edge).with_context(|| edge.display().to_string())?,
        None => cross::build(target)?,
    };
    let folder = workspace::target().join("deb");
    let root = folder.join(target.debian());
    command::empty(&root)?;
    fill(&root, &edge, target)?;
    describe(&root, &edge, target)?;
    let package = folder.join(format!("{NAME}_{VERSION}_{}.deb", target.debian()));
    let mut build = command::command("dpkg-deb");
    build.env("SOURCE_DATE_EPOCH", epoch()?).args(["--root-owner-group", "-Zxz", "--build"]);
    command::run(build.arg(&root).arg(&package).stdout(std::process::Stdio::null()))?;
    println!("{:>12} bytes  {}", fs::metadata(&package)?.len(), package.display());
    Ok(package)
}

/// What the package installs.
fn fill(root: &Path, edge: &Path, target: Target) -> Result<()> {
    install(
        &fs::read(edge).with_context(|| edge.display().to_string())?,
        root,
        "usr/bin/porthole-edge",
        0o755,
    )?;
    for (from, to) in FILES {
        install(&read(from)?, root, to, 0o644)?;
    }
    let doc = |name: &str| format!("usr/share/doc/{NAME}/{name}");
    for (from, to) in PAGES {
        let page = String::from_utf8(read(from)?).with_context(|| from.to_owned())?;
        let page = page.replace("](../ref/", "](").replace("](../guide/", "](");
        install(page.as_bytes(), root, &doc(to), 0o644)?;
    }
    let licences = licences::file(&licences::parts(target)?)?;
    install(licences.as_bytes(), root, &doc("copyright"), 0o644)?;
    install(&read("edge/debian/changelog")?, root, &doc("changelog"), 0o644)?;
    let changelog = root.join(doc("changelog"));
    command::run(command::command("gzip").args(["-9", "--no-name"]).arg(changelog))
}

/// What dpkg is told of the package.
fn describe(root: &Path, edge: &Path, target: Target) -> Result<()> {
    let mut find = command::command("find");
    let files = command::output(find.current_dir(root).args([".", "-type", "f", "-printf", "%P\\n"]))?;
    let mut files: Vec<&str> = files.lines().collect();
    files.sort_unstable();
    let mut bytes = 0;
    for file in &files {
        bytes += fs::metadata(root.join(file)).with_context(|| (*file).to_owned())?.len();
    }
    let mut sums = command::command("md5sum");
    let sums = command::output(sums.current_dir(root).args(&files))?;
    install(control(&depends::of(edge)?, target, bytes).as_bytes(), root, "DEBIAN/control", 0o644)?;
    install(sums.as_bytes(), root, "DEBIAN/md5sums", 0o644)?;
    install(format!("/{CONFFILE}\n").as_bytes(), root, "DEBIAN/conffiles", 0o644)?;
    for script in SCRIPTS {
        install(&read(&format!("edge/debian/{script}"))?, root, &format!("DEBIAN/{script}"), 0o755)?;
    }
    Ok(())
}

/// The package's own paragraph.
fn control(depends: &str, target: Target, bytes: u64) -> String {
    format!(
        "Package: {NAME}\nVersion: {VERSION}\nArchitecture: {}\nMaintainer: Porthole <porthole@localhost>\n\
         Installed-Size: {}\nDepends: {depends}, {SERVICE}\nSection: video\nPriority: optional\n\
         Description: camera with a live view on the LAN and recordings that are not lost\n \
         Shows the picture and sound of a camera to browsers and players with\n \
         little delay, records them all the time, and sends the recordings to a\n \
         host with an SSH server.\n",
        target.debian(),
        bytes.div_ceil(1024)
    )
}

/// The second of the changelog's last entry.
fn epoch() -> Result<String> {
    let changelog = String::from_utf8(read("edge/debian/changelog")?).context("edge/debian/changelog")?;
    let head = format!("{NAME} ({VERSION}) ");
    ensure!(changelog.starts_with(&head), "edge/debian/changelog does not begin with {head}");
    let date = changelog.lines().find_map(|line| line.strip_prefix(" -- ")?.split_once("  "));
    let (_, date) = date.context("edge/debian/changelog has no date")?;
    let seconds = command::output(command::command("date").arg(format!("--date={date}")).arg("+%s"))?;
    Ok(seconds.trim().to_owned())
}

/// A file of the repository.
fn read(path: &str) -> Result<Vec<u8>> {
    fs::read(workspace::root().join(path)).with_context(|| path.to_owned())
}

/// Writes a file below `root`, and the folders above it.
fn install(bytes: &[u8], root: &Path, path: &str, mode: u32) -> Result<()> {
    let path = root.join(path);
    let folder = path.parent().unwrap_or(root);
    let mut all = folder.ancestors().take_while(|folder| folder.starts_with(root));
    fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    all.try_for_each(|folder| fs::set_permissions(folder, Permissions::from_mode(0o755)))
        .with_context(|| folder.display().to_string())?;
    fs::write(&path, bytes).with_context(|| path.display().to_string())?;
    fs::set_permissions(&path, Permissions::from_mode(mode)).with_context(|| path.display().to_string())
}

//! The package in root file systems of Debian: installed in one of this machine's kind, unpacked in one for boards.

use std::fs;
use std::path::{Path, PathBuf};

use super::*;
use crate::debian;

/// Where a root file system has the unit, the configuration, and what an appliance keeps.
const UNIT: &str = "/usr/lib/systemd/system/porthole-edge.service";
const CONFIGURATION: &str = "/etc/porthole/edge.toml";
const KEPT: &str = "/var/lib/porthole/recordings/kept";

/// A program that was built before, or else nothing but a word about it.
fn built(path: &str, by: &str) -> Option<PathBuf> {
    let program = workspace::target().join(path);
    let there = program.is_file() && nix::unistd::geteuid().is_root();
    if !there {
        eprintln!("not run: it takes root, and {} ({by})", program.display());
    }
    there.then_some(program)
}

/// What a program prints in a root file system.
fn inside(root: &Path, words: &[&str]) -> Result<String> {
    let mut enter = debian::alone();
    enter.args(["sh", "-ec", "mount -t proc proc \"$1/proc\"; exec chroot \"$@\"", "sh"]).arg(root);
    command::output(enter.args(words))
}

/// Makes a root file system with `package`, and what it needs.
fn install(package: &Path, suite: &str, architecture: &str, root: &Path, more: &[&str]) {
    let include = format!("--include={}", package.display());
    let hooks = ["merged-usr", "file-mirror-automount"];
    let hooks = hooks.map(|hook| format!("--hook-dir=/usr/share/mmdebstrap/hooks/{hook}"));
    debian::bootstrap(suite, architecture, root, &[&[&*hooks[0], &hooks[1], &include], more].concat())
        .unwrap();
}

#[test]
fn two_builds_are_the_same_bytes() {
    let program = || Some("/usr/bin/true".into());
    let first = fs::read(make(Target::Aarch64, program()).unwrap()).unwrap();
    assert!(first == fs::read(make(Target::Aarch64, program()).unwrap()).unwrap());
}

#[test]
fn it_installs_on_debian_and_leaves_what_was_recorded() {
    let Some(edge) = built("debug/porthole-edge", "cargo build --package edge") else { return };
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("root");
    let stripped = folder.path().join("porthole-edge");
    command::run(command::command("strip").arg("-o").arg(&stripped).arg(edge)).unwrap();
    let package = make(Target::here(), Some(stripped)).unwrap();
    install(
        &package,
        "bookworm",
        Target::here().debian(),
        &root,
        &["--variant=minbase", "--include=systemd"],
    );
    let inside = |words: &[&str]| inside(&root, words).unwrap();
    assert_eq!(inside(&["porthole-edge", "--version"]), format!("porthole-edge {VERSION}\n"));
    inside(&["systemd-analyze", "verify", "--man=no", UNIT]);
    assert_eq!(inside(&["systemctl", "is-enabled", "porthole-edge.service"]), "enabled\n");
    inside(&[
        "setpriv",
        "--reuid=porthole",
        "--clear-groups",
        "porthole-edge",
        "check-config",
        CONFIGURATION,
    ]);
    let licences = fs::read_to_string(root.join("usr/share/doc/porthole-edge/copyright")).unwrap();
    assert!(licences.contains("Software License for The Fraunhofer FDK AAC Codec Library"));

    let kept = root.join(KEPT.trim_start_matches('/'));
    fs::create_dir_all(kept.parent().unwrap()).unwrap();
    fs::write(&kept, "footage").unwrap();
    let configuration = root.join(CONFIGURATION.trim_start_matches('/'));
    fs::write(&configuration, "# an administrator's\n").unwrap();
    inside(&["dpkg", "--remove", "porthole-edge"]);
    assert_eq!(fs::read_to_string(&configuration).unwrap(), "# an administrator's\n");
    inside(&["dpkg", "--purge", "porthole-edge"]);
    assert!(!configuration.exists());
    assert_eq!(fs::read_to_string(&kept).unwrap(), "footage");
}

#[test]
fn what_a_board_gets_with_it_is_all_that_it_needs() {
    let program = format!("{}/board/porthole-edge", Target::Armv7.triple());
    let Some(edge) = built(&program, "cargo xtask arm") else { return };
    let package = make(Target::Armv7, Some(edge)).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("root");
    install(&package, "trixie", "armhf", &root, &["--variant=extract"]);
    let mut start = command::command("qemu-arm-static");
    start.arg("-L").arg(&root).arg(root.join("usr/bin/porthole-edge")).arg("--version");
    assert_eq!(command::output(&mut start).unwrap(), format!("porthole-edge {VERSION}\n"));
}

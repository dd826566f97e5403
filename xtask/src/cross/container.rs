//! What `cross build` does with `Cross.toml`, without Docker.
//!
//! ```text
//! image = "debian:SUITE"   a root file system by mmdebstrap, of the packages that Docker's image has
//! pre-build                each line by its shell
//! cargo build              by this machine's toolchain, which cross mounts there too
//!
//! /rust     the toolchain              /project  the workspace
//! /cargo    the folder of crates       /target   what is built
//! /sysroot  the target's standard library: cross's users have rustup's in their toolchain
//! ```

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};
use serde::Deserialize;

use super::{Target, sysroot};
use crate::{command, debian, workspace};

/// Mounts folders below `$1`, each a pair of words up to `--`, and becomes the command behind that there.
const ENTER: &str = r#"
root=$1; shift
while [ "$1" != -- ]; do mount --rbind "$1" "$root/$2"; shift 2; done
shift
exec chroot "$root" env --ignore-environment "$@""#;

/// `Cross.toml`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Configuration {
    target: BTreeMap<String, Recipe>,
}

/// What it says of one target.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Recipe {
    image: String,
    pre_build: Vec<String>,
    env: Environment,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Environment {
    /// `NAME=VALUE`.
    passthrough: Vec<String>,
}

/// Builds the edge as `cross build --release` does, or only checks that it would.
pub fn build(target: Target, check: bool) -> Result<()> {
    let recipe = recipe(target)?;
    let container = Container::make(target, &recipe)?;
    for line in &recipe.pre_build {
        println!("{line}");
        command::run(container.enter(&[]).args(["sh", "-c", line]))?;
    }
    let what: &[&str] = if check { &["check"] } else { &["build", "--release"] };
    let flags = format!("{}=--sysroot=/sysroot", target.variable("RUSTFLAGS"));
    let mut cargo = container.enter(&recipe.env.passthrough);
    cargo.args([&flags, "cargo"]).args(what).args(["--locked", "--target", target.triple()]);
    cargo.args(["--manifest-path", "/project/Cargo.toml"]);
    command::run(&mut cargo)?;
    if check { Ok(()) } else { container.try_edge() }
}

fn recipe(target: Target) -> Result<Recipe> {
    let path = workspace::root().join("Cross.toml");
    let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    let mut all: Configuration = toml::from_str(&text).with_context(|| path.display().to_string())?;
    all.target
        .remove(target.triple())
        .with_context(|| format!("{} says nothing of {}", path.display(), target.triple()))
}

/// The root file system, and what is mounted there.
struct Container {
    target: Target,
    root: PathBuf,
    /// Folders of this machine, and their names below the root.
    mounts: Vec<(PathBuf, &'static str)>,
}

impl Container {
    fn make(target: Target, recipe: &Recipe) -> Result<Self> {
        let suite = recipe.image.strip_prefix("debian:");
        let suite = suite.with_context(|| format!("the image {} is not Debian's", recipe.image))?;
        let root = target.folder("container");
        super::remove(&root)?;
        fs::create_dir_all(target.folder("")).with_context(|| root.display().to_string())?;
        debian::bootstrap(suite, Target::here().debian(), &root, &["--variant=minbase"])?;
        fs::copy("/etc/resolv.conf", root.join("etc/resolv.conf")).context("/etc/resolv.conf")?;

        let mounts = vec![
            ("/dev".into(), "dev"),
            ("/proc".into(), "proc"),
            (sysroot::toolchain()?, "rust"),
            (sysroot::find(target)?, "sysroot"),
            (super::cargo_home(), "cargo"),
            (workspace::root().to_owned(), "project"),
            (target.folder("container-target"), "target"),
        ];
        for (from, name) in &mounts {
            for folder in [from, &root.join(name)] {
                fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
            }
        }
        Ok(Self { target, root, mounts })
    }

    /// What starts a command there, with variables beside those that cross sets.
    fn enter(&self, variables: &[String]) -> Command {
        let mut enter = debian::alone();
        enter.args(["sh", "-ec", ENTER, "sh"]).arg(&self.root);
        for (from, name) in &self.mounts {
            enter.arg(from).arg(name);
        }
        enter.args(["--", "PATH=/usr/sbin:/usr/bin:/sbin:/bin:/rust/bin", "HOME=/root"]);
        enter.args(["CARGO_HOME=/cargo", "CARGO_TARGET_DIR=/target", "DEBIAN_FRONTEND=noninteractive"]);
        enter.arg(format!("CROSS_DEB_ARCH={}", self.target.debian())).args(variables);
        enter
    }

    /// Starts what was built, in an emulator, with the libraries that are there.
    fn try_edge(&self) -> Result<()> {
        let edge = self.target.folder("container-target").join(self.target.triple());
        let edge = edge.join("release/porthole-edge");
        let emulator = self.target.emulator().map(|emulator| format!("{emulator}-static"));
        let mut start = command::command(emulator.as_deref().unwrap_or("env"));
        start.env("QEMU_LD_PREFIX", &self.root).arg(edge).arg("--version");
        command::run(&mut start)
    }
}

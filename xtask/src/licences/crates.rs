//! The crates that are linked into the edge, as cargo knows them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::Deserialize;

use super::Part;
use crate::command;
use crate::cross::Target;

/// The part of `cargo metadata` that is of interest here.
#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    version: String,
    license: Option<String>,
    manifest_path: PathBuf,
}

/// The crates that end up in the edge: neither those that build others, nor those that other targets need.
pub fn linked(target: Target) -> Result<Vec<Part>> {
    let mut tree = command::cargo();
    tree.args(["tree", "--locked", "--package", "edge", "--edges", "normal,no-proc-macro"]);
    tree.args(["--target", target.triple(), "--prefix", "none", "--format", "{p}"]);
    let linked = names(&command::output(&mut tree)?);
    let mut metadata = command::cargo();
    metadata.args(["metadata", "--locked", "--format-version", "1", "--filter-platform", target.triple()]);
    let metadata: Metadata =
        serde_json::from_str(&command::output(&mut metadata)?).context("what cargo metadata printed")?;
    let mut known: BTreeMap<(String, String), Package> = BTreeMap::new();
    for package in metadata.packages {
        known.insert((package.name.clone(), package.version.clone()), package);
    }
    let part = |key: (String, String)| {
        let package = known.remove(&key);
        package.with_context(|| format!("cargo metadata knows no {} {}", key.0, key.1))?.into_part()
    };
    linked.into_iter().map(part).collect()
}

/// Names and versions in `NAME vVERSION` or `NAME vVERSION (…)`, each once.
fn names(tree: &str) -> BTreeSet<(String, String)> {
    let words = tree.lines().filter_map(|line| {
        let mut words = line.split(' ');
        Some((words.next()?, words.next()?.strip_prefix('v')?))
    });
    words.map(|(name, version)| (name.to_owned(), version.to_owned())).collect()
}

impl Package {
    fn into_part(self) -> Result<Part> {
        let licence = self.license.with_context(|| format!("{} names no licence", self.name))?;
        Ok(Part {
            // Older manifests write a bar for an "or".
            licence: licence.split('/').map(str::trim).collect::<Vec<_>>().join(" OR "),
            purl: Some(format!("pkg:cargo/{}@{}", self.name, self.version.replace('+', "%2B"))),
            folder: self.manifest_path.parent().map(Path::to_owned).unwrap_or_default(),
            name: self.name,
            version: self.version,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crate_of_the_tree_is_named_once() {
        let tree = "edge v0.1.0 (/w/edge)\ntoml v1.2.1+spec-1.1.0\ntoml v1.2.1+spec-1.1.0 (*)\n\n";
        let expected = [("edge", "0.1.0"), ("toml", "1.2.1+spec-1.1.0")];
        assert_eq!(names(tree), expected.map(|(a, b)| (a.to_owned(), b.to_owned())).into());
    }

    #[test]
    fn the_edge_for_boards_has_its_codecs_and_no_compiler() {
        let crates = linked(Target::Armv7).unwrap();
        let of = |name: &str| crates.iter().find(|part| part.name == name);
        let sha2 = of("sha2").unwrap();
        assert_eq!(sha2.licence, "MIT OR Apache-2.0");
        assert_eq!(sha2.purl, Some(format!("pkg:cargo/sha2@{}", sha2.version)));
        for name in ["edge", "media", "service", "openh264-sys2", "fdk-aac-sys", "v4l", "rustls"] {
            assert!(of(name).is_some(), "{name}");
        }
        for name in ["cc", "bindgen", "serde_derive", "tempfile", "remote", "axum"] {
            assert!(of(name).is_none(), "{name}");
        }
    }
}

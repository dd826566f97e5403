//! What is in the image, and under which licences: a list for programs beside it (CycloneDX 1.6, ECMA-424), and the texts in it.
//!
//! ```text
//! packages, kernel, U-Boot, first programs   Debian's lists and copyright files -+-> .img.cdx.json
//! edge                                       crates, and C and C++ in them -------+
//!
//! /usr/share/doc/PACKAGE/copyright           each package's own
//! /usr/share/doc/porthole-edge/copyright     the edge's, and of all that is linked into it
//! /usr/share/common-licenses                 what those refer to
//! ```

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::{SUITE, packages};
use crate::command;
use crate::cross::Target;
use crate::debian::{self, Package};
use crate::licences::{self, Part};

/// Puts the texts of licences into the root file system `root`.
pub fn install_licences(root: &Path) -> Result<()> {
    let common = Path::new("usr/share/common-licenses");
    let texts = packages::unpack_alone("licences", "base-files")?;
    fs::create_dir_all(root.join(common)).with_context(|| common.display().to_string())?;
    packages::copy(&texts.join(common), &root.join(common))?;
    let ours = root.join(packages::DOC).join("porthole-edge");
    fs::create_dir_all(&ours).with_context(|| ours.display().to_string())?;
    let text = licences::file(&licences::parts(Target::Armv7)?)?;
    fs::write(ours.join("copyright"), text).with_context(|| ours.display().to_string())
}

/// Writes the list of what is in `image` beside it: the packages that are in `trees`, and the edge.
pub fn list(image: &Path, trees: &[&Path]) -> Result<()> {
    let mut components = Vec::new();
    for tree in trees {
        for package in debian::unpacked(tree)? {
            components.push(of_package(&package, tree)?);
        }
    }
    let parts = licences::parts(Target::Armv7)?;
    components.extend(parts.iter().map(of_part));
    components.sort_by_key(|component| component["bom-ref"].to_string());
    components.dedup();
    let list = image.with_extension("img.cdx.json");
    let text = serde_json::to_string_pretty(&document(image, components)?).context("the list")?;
    fs::write(&list, text + "\n").with_context(|| list.display().to_string())?;
    println!("{:>12} bytes  {}", fs::metadata(&list)?.len(), list.display());
    Ok(())
}

/// The list itself. It has no time and no number of its own: the same image has the same list.
fn document(image: &Path, components: Vec<Value>) -> Result<Value> {
    let name = image.file_stem().unwrap_or_default().to_string_lossy();
    let sum = command::output(command::command("sha256sum").arg(image))?;
    let sum = sum.split(' ').next().unwrap_or_default();
    let version = env!("CARGO_PKG_VERSION");
    Ok(json!({
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "component": {
                "type": "firmware",
                "bom-ref": name,
                "name": name,
                "version": version,
                "hashes": [{ "alg": "SHA-256", "content": sum }],
            },
        },
        "components": components,
    }))
}

/// A package of Debian. Its licences are told by Debian's names; where its copyright file names none, by where that is.
fn of_package(package: &Package, tree: &Path) -> Result<Value> {
    let Package { name, version, architecture } = package;
    let mut names: Vec<String> = packages::licences(tree, name)?.into_iter().collect();
    if names.is_empty() {
        names.push(format!("see /{}/{name}/copyright", packages::DOC));
    }
    let licences = names.iter().map(|name| json!({ "license": { "name": name } }));
    let purl =
        format!("pkg:deb/debian/{}@{}?arch={architecture}&distro={SUITE}", escaped(name), escaped(version));
    Ok(json!({
        "type": if name.starts_with("linux-image-") { "operating-system" } else { "application" },
        "bom-ref": purl,
        "name": name,
        "version": version,
        "licenses": licences.collect::<Vec<Value>>(),
        "purl": purl,
    }))
}

/// A crate, or a library in one.
fn of_part(part: &Part) -> Value {
    let mut component = json!({
        "type": "library",
        "bom-ref": part.purl.clone().unwrap_or_else(|| format!("{}@{}", part.name, part.version)),
        "name": part.name,
        "version": part.version,
        "licenses": [{ "expression": part.licence }],
    });
    if let Some(purl) = &part.purl {
        component["purl"] = json!(purl);
    }
    component
}

/// What a package URL may hold of a name or a version as it is.
fn escaped(text: &str) -> String {
    let escape = |c: char| match c {
        'a'..='z' | 'A'..='Z' | '0'..='9' | '.' | '-' | '_' | '~' => c.to_string(),
        other => other.to_string().bytes().map(|byte| format!("%{byte:02X}")).collect(),
    };
    text.chars().map(escape).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// A tree with two packages, one of which says nothing of its licence.
    fn tree() -> tempfile::TempDir {
        let tree = tempfile::tempdir().unwrap();
        let doc = tree.path().join(packages::DOC);
        for (package, text) in [("g++", "Format: 1\nLicense: GPL-3+\n"), ("odd", "Nobody knows.\n")] {
            fs::create_dir_all(doc.join(package)).unwrap();
            fs::write(doc.join(package).join("copyright"), text).unwrap();
        }
        fs::write(doc.join("packages"), "odd 1 all\ng++ 4:14.2.0-1 armhf\n").unwrap();
        tree
    }

    #[test]
    fn the_list_has_packages_and_crates_with_versions_and_licences() {
        let tree = tree();
        let image = tree.path().join("porthole.img");
        fs::write(&image, "abc").unwrap();
        list(&image, &[tree.path(), tree.path()]).unwrap();
        let written = fs::read(tree.path().join("porthole.img.cdx.json")).unwrap();
        let document: Value = serde_json::from_slice(&written).unwrap();
        assert_eq!((&document["bomFormat"], &document["specVersion"]), (&json!("CycloneDX"), &json!("1.6")));
        let sum = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(document["metadata"]["component"]["hashes"][0]["content"], sum);

        let components = document["components"].as_array().unwrap();
        let of = |name: &str| components.iter().filter(|one| one["name"] == name).collect::<Vec<_>>();
        let purl = "pkg:deb/debian/g%2B%2B@4%3A14.2.0-1?arch=armhf&distro=trixie";
        assert_eq!(of("g++").len(), 1);
        assert_eq!(of("g++")[0]["purl"], purl);
        assert_eq!(of("g++")[0]["licenses"], json!([{ "license": { "name": "GPL-3+" } }]));
        assert_eq!(
            of("odd")[0]["licenses"],
            json!([{ "license": { "name": "see /usr/share/doc/odd/copyright" } }])
        );
        assert_eq!(of("fdk-aac").len(), 2, "the crate, and the library in fdk-aac-sys");
        assert!(of("fdk-aac").iter().any(|one| one["licenses"] == json!([{ "expression": "FDK-AAC" }])));
        assert!(of("edge").len() == 1 && of("tempfile").is_empty());

        list(&image, &[tree.path(), tree.path()]).unwrap();
        assert!(fs::read(tree.path().join("porthole.img.cdx.json")).unwrap() == written);
    }

    /// What the schema of CycloneDX 1.6 asks of what is written here.
    #[test]
    fn every_component_is_as_the_schema_wants_it() {
        let tree = tree();
        let parts = licences::parts(Target::Armv7).unwrap();
        let packages = debian::unpacked(tree.path()).unwrap();
        let packages = packages.iter().map(|package| of_package(package, tree.path()).unwrap());
        let mut references = BTreeSet::new();
        for component in packages.chain(parts.iter().map(of_part)) {
            let fields: Vec<&str> = component.as_object().unwrap().keys().map(String::as_str).collect();
            let known = ["bom-ref", "licenses", "name", "purl", "type", "version"];
            assert!(fields.iter().all(|field| known.contains(field)), "{fields:?}");
            let text = |field: &str| component[field].as_str().unwrap_or_default().to_owned();
            assert!(["application", "library", "operating-system"].contains(&text("type").as_str()));
            assert!(!text("name").is_empty() && !text("version").is_empty(), "{component}");
            assert!(references.insert(text("bom-ref")), "{} is there twice", text("bom-ref"));
            let licences = component["licenses"].as_array().unwrap();
            assert!(!licences.is_empty(), "{component}");
            let expressions = licences.iter().filter(|one| one["expression"].is_string()).count();
            let named = licences.iter().filter(|one| one["license"]["name"].is_string()).count();
            assert!(
                (expressions, named) == (1, 0) || (expressions, named) == (0, licences.len()),
                "{component}"
            );
        }
    }
}

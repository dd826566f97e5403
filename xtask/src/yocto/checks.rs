//! What holds of the layer: its lists are those of `Cargo.lock`, its files lie and read as bitbake wants them, and what it installs is
//! what our own image has.

use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::board::disk::{BOOT, DATA, SLOT, SLOT_B};
use crate::board::image::SERVICES;

/// The files of the layer, by their paths in it.
fn layer() -> BTreeMap<String, String> {
    let mut git = command::command("git");
    let list =
        command::output(git.args(["ls-files", "--cached", "--others", "--exclude-standard", "yocto-layer"]))
            .unwrap();
    let read = |path: &str| fs::read_to_string(workspace::root().join(path)).unwrap();
    list.lines().map(|path| (path.trim_start_matches("yocto-layer/").to_owned(), read(path))).collect()
}

/// Recipes, and what they include.
fn recipes() -> BTreeMap<String, String> {
    let of_bitbake = |path: &str| path.ends_with(".bb") || path.ends_with(".inc");
    layer().into_iter().filter(|(path, _)| of_bitbake(path)).collect()
}

/// What a recipe assigns to a variable, without the line ends that it escapes.
fn value(recipe: &str, variable: &str) -> Option<String> {
    let joined = recipe.replace("\\\n", " ");
    let line = joined.lines().find_map(|line| {
        let rest = line.strip_prefix(variable)?.trim_start();
        ["??=", "?=", "+=", ":=", "="].iter().find_map(|sign| rest.strip_prefix(sign))
    })?;
    Some(line.trim().trim_matches('"').split_whitespace().collect::<Vec<_>>().join(" "))
}

fn read(path: &str) -> String {
    fs::read_to_string(workspace::root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

#[test]
fn the_lists_are_those_of_the_lock() {
    for (name, text) in lists().unwrap() {
        assert!(read(&format!("{RECIPE}/{name}")) == text, "{name} is out of date: cargo xtask yocto");
    }
}

#[test]
fn every_crate_is_fetched_with_its_checksum() {
    let lock = "[[package]]\nname = \"edge\"\nversion = \"0.1.0\"\n\n[[package]]\nname = \"toml\"\nversion = \"1.2.1+spec-1.1.0\"\nchecksum = \"ab\"\n";
    let expected = "\
# Made by `cargo xtask yocto`.
SRC_URI += \" \\
    crate://${PORTHOLE_CRATES}/toml/1.2.1+spec-1.1.0;name=toml-1.2.1+spec-1.1.0 \\
\"

SRC_URI[toml-1.2.1+spec-1.1.0.sha256sum] = \"ab\"
";
    assert_eq!(crates(lock).unwrap(), expected);
}

#[test]
fn the_edge_is_under_every_licence_of_its_parts() {
    let text = read(&format!("{RECIPE}/porthole-edge-licences.inc"));
    let names = value(&text, "LICENSE").unwrap();
    let names: Vec<&str> = names.split(" & ").collect();
    for licence in ["Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "FDK-AAC", "IJG", "ISC", "MIT", "Zlib"] {
        assert!(names.contains(&licence), "{licence}");
    }
    for file in ["/aac/NOTICE;", "/upstream/LICENSE;", "/libssh2/COPYING;", "/LICENSE-IJG;", "//LICENSE-MIT;"]
    {
        assert!(text.contains(file), "{file}");
    }
    assert!(!text.contains(&workspace::root().display().to_string()));
}

/// The file names and variables that bitbake's own checks, and `yocto-check-layer`, ask for.
#[test]
fn the_layer_has_what_bitbake_asks_for() {
    let layer = layer();
    let conf = &layer["conf/layer.conf"];
    for variable in [
        "BBFILE_PATTERN_porthole",
        "BBFILE_PRIORITY_porthole",
        "LAYERVERSION_porthole",
        "LAYERDEPENDS_porthole",
    ] {
        assert!(value(conf, variable).is_some(), "{variable}");
    }
    assert_eq!(value(conf, "BBFILE_COLLECTIONS").unwrap(), "porthole");
    assert_eq!(value(conf, "LAYERSERIES_COMPAT_porthole").unwrap(), "scarthgap wrynose");
    assert_eq!(value(conf, "BBFILES").unwrap(), "${LAYERDIR}/recipes-*/*/*.bb");
    assert!(layer.contains_key("README.md"));

    for (path, text) in layer.iter().filter(|(path, _)| path.ends_with(".bb")) {
        let parts: Vec<&str> = path.split('/').collect();
        assert!(parts.len() == 3 && parts[0].starts_with("recipes-"), "{path}: BBFILES does not find it");
        let name = parts[2].trim_end_matches(".bb");
        if let Some((_, version)) = name.split_once('_') {
            assert_eq!(version, env!("CARGO_PKG_VERSION"), "{path}");
        }
        assert!(value(text, "SUMMARY").is_some_and(|summary| !summary.is_empty()), "{path}: no SUMMARY");
        assert!(!text.contains('\t'), "{path}: a tab");
        let old = ["_append", "_prepend", "_remove", "RDEPENDS_$", "FILES_$"];
        assert!(!old.iter().any(|word| text.contains(word)), "{path}: an override of before honister");
        let mut whole = text.clone();
        for line in text.lines().filter_map(|line| line.strip_prefix("require ")) {
            let beside = format!("{}/{}/{line}", parts[0], parts[1]);
            let included = layer.get(line).or_else(|| layer.get(&beside));
            whole.push_str(included.unwrap_or_else(|| panic!("{path}: there is no {line}")));
        }
        let licence = value(&whole, "LICENSE");
        assert!(licence.is_some(), "{path}: no LICENSE");
        let image = text.contains("inherit core-image");
        assert!(image || value(&whole, "LIC_FILES_CHKSUM").is_some(), "{path}: no LIC_FILES_CHKSUM");
    }
}

#[test]
fn checksums_of_our_own_licences_are_right() {
    let text = &recipes()["recipes-porthole/porthole.inc"];
    for name in ["LICENSE-MIT", "LICENSE-APACHE"] {
        let sum = command::output(command::command("md5sum").arg(name)).unwrap();
        let sum = sum.split(' ').next().unwrap();
        assert!(text.contains(&format!("file://{name};md5={sum} ")), "{name}");
    }
}

#[test]
fn every_file_that_a_recipe_takes_is_there() {
    let mut taken = 0;
    for (path, text) in recipes() {
        let uris = text.split("file://").skip(1).filter_map(|rest| rest.split([' ', '"', ';']).next());
        for uri in uris.filter(|uri| !uri.starts_with("${CARGO")) {
            assert!(workspace::root().join(uri).exists(), "{path}: {uri}");
            taken += 1;
        }
        let sources = ["${S}/", "${PORTHOLE_SOURCE}/", "${PORTHOLE_LAYER}/"];
        for source in sources {
            let named = text.split(source).skip(1).filter_map(|rest| rest.split([' ', '"', '\n']).next());
            for file in named.filter(|file| !file.contains('$')) {
                let top = if source.contains("LAYER") { "yocto-layer" } else { "." };
                let file = workspace::root().join(top).join(file);
                assert!(fs::symlink_metadata(&file).is_ok(), "{path}: {}", file.display());
                taken += 1;
            }
        }
    }
    assert!(taken > 12, "{taken}");
}

#[test]
fn users_services_and_files_are_those_of_our_image() {
    let recipes = recipes();
    let edge = &recipes["recipes-porthole/porthole-edge/porthole-edge_0.1.0.bb"];
    let board = &recipes["recipes-porthole/porthole-board/porthole-board_0.1.0.bb"];
    let user = value(edge, "USERADD_PARAM:${PN}").unwrap();
    let passwd = read("board/rootfs/etc/passwd");
    for (name, recipe) in [("porthole", edge), ("porthole-update", board)] {
        let user = value(recipe, "USERADD_PARAM:${PN}").unwrap();
        let line = passwd.lines().find(|line| line.starts_with(&format!("{name}:"))).unwrap();
        let fields: Vec<&str> = line.split(':').collect();
        assert!(user.contains(&format!("--home-dir {} ", fields[5])), "{user}");
        assert!(user.contains(&format!("--shell {} ", fields[6])), "{user}");
        assert!(user.ends_with(&format!(" {name}")), "{user}");
    }
    let mut groups: Vec<String> = Vec::new();
    for line in read("board/rootfs/etc/group").lines().filter(|line| line.ends_with(":porthole")) {
        groups.push(line.split(':').next().unwrap().to_owned());
    }
    assert!(user.contains(&format!("--groups {} porthole", groups.join(","))), "{user}");
    let started = [edge, board].map(|recipe| value(recipe, "SYSTEMD_SERVICE:${PN}").unwrap());
    let started: BTreeSet<&str> = started.iter().flat_map(|units| units.split(' ')).collect();
    let ours = SERVICES.into_iter().filter(|service| service.starts_with("porthole-"));
    assert_eq!(started, ours.collect());

    let unit = read("edge/systemd/porthole-edge.service");
    for line in [
        "User=porthole",
        "ExecStart=/usr/bin/porthole-edge run",
        "RuntimeDirectory=porthole",
        "StateDirectory=porthole",
    ] {
        assert!(unit.contains(line), "{line}");
    }
    assert!(unit.contains("WatchdogSec=") && unit.contains("ProtectSystem=strict"));

    // Who knows users, names and hosts is Yocto's base; the image takes the table of mounts, and the time zone.
    let own = [
        "fstab",
        "group",
        "hostname",
        "hosts",
        "localtime",
        "machine-id",
        "nsswitch.conf",
        "passwd",
        "resolv.conf",
        "shadow",
    ];
    let taken = board.split("for folder in ").nth(1).unwrap().split(';').next().unwrap();
    let taken: Vec<&str> = taken.split(' ').collect();
    for entry in fs::read_dir(workspace::root().join("board/rootfs/etc")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(
            own.contains(&name.as_str()) || taken.contains(&name.as_str()),
            "board/rootfs/etc/{name} is left out"
        );
    }
    let image = &recipes["recipes-porthole/images/porthole-image.bb"];
    assert!(image.contains("board/rootfs/etc/fstab") && image.contains("board/rootfs/etc/localtime"));
    assert_eq!(value(image, "PORTHOLE_VERSION").unwrap(), env!("CARGO_PKG_VERSION"));
    for package in ["porthole-edge", "porthole-board", "wpa-supplicant"] {
        assert!(value(image, "IMAGE_INSTALL").unwrap().split(' ').any(|one| one == package), "{package}");
    }
    let first = &recipes["recipes-porthole/porthole-initramfs/porthole-initramfs_0.1.0.bb"];
    for module in read("board/initrd/modules").lines() {
        assert!(first.contains(&format!(" kernel-module-{} ", module.replace('_', "-"))), "{module}");
    }
}

#[test]
fn the_card_is_laid_out_as_ours() {
    let wks = &layer()["files/wic/porthole.wks.in"];
    let parts: Vec<&str> = wks.lines().filter(|line| line.starts_with("part ")).collect();
    let mib = |bytes: u64| format!("{}M", bytes >> 20);
    assert_eq!(parts.len(), 4);
    for (line, partition) in parts.iter().zip([&BOOT, &SLOT, &SLOT_B, &DATA]) {
        assert!(line.contains(&format!("--offset {} ", mib(partition.start))), "{line}");
        assert!(line.contains(&format!("--system-id 0x{:02X}", partition.kind)), "{line}");
    }
    for (line, partition) in parts.iter().zip([&BOOT, &SLOT, &SLOT_B]) {
        assert!(line.contains(&format!("--fixed-size {} ", mib(partition.size))), "{line}");
    }
    let image = &recipes()["recipes-porthole/images/porthole-image.bb"];
    assert!(image.contains(&format!("truncate --size={}", mib(SLOT.size))));
    let signature = u32::from_le_bytes(*b"PRTH");
    assert!(image.contains("printf PRTH") && read("board/initrd/init").contains(&format!("{signature:08x}")));
}

/// bitbake's own parser, and its list of what is to be done; `xtask/tools.txt` has the package. Stand-ins take the place of OpenEmbedded's recipes.
#[test]
fn bitbake_reads_the_layer_and_finds_every_task() {
    let library = workspace::target().join("tools");
    if !library.join("bb").is_dir() {
        eprintln!("not run: there is no bitbake in {} (cargo xtask deps test)", library.display());
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let here = workspace::root().join("xtask/src/yocto/bitbake");
    let mut python = command::command("python3");
    python.env("PYTHONPATH", &library).arg(here.join("tasks.py")).arg(folder.path().join("build"));
    python.arg(here.join("core")).arg(workspace::root().join("yocto-layer")).arg("porthole-image");
    let printed = command::output(&mut python).unwrap();
    let tasks: Vec<&str> = printed.lines().filter_map(|line| line.strip_prefix("task ")).collect();
    for task in [
        "porthole-edge_0.1.0.bb:do_compile",
        "porthole-board_0.1.0.bb:do_install",
        "porthole-boot_0.1.0.bb:do_deploy",
        "porthole-initramfs-image.bb:do_image_complete",
        "porthole-image.bb:do_image_slot",
        "porthole-image.bb:do_image_wic",
        "stand-ins_1.0.bb:do_deploy",
    ] {
        assert!(tasks.contains(&task), "no {task} in {tasks:?}");
    }
}

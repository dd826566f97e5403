//! Who may import whom, and who may do what: the arrows and the list of "never" in docs/adr/0001-crates.md and docs/adr/0004-service.md.

use std::collections::BTreeMap;

use crate::code::names;
use crate::{Source, assert_tidy};

/// Something that may not be named in a part of the code.
struct Border {
    /// Where: the start of a path.
    within: &'static str,
    /// Where it is allowed: starts of paths, each with its reason if that is not plain.
    except: &'static [&'static str],
    /// The start of a name.
    never: &'static [&'static str],
    why: &'static str,
}

const BORDERS: &[Border] = &[
    Border {
        within: "media/src/",
        except: &[],
        never: &[
            "std::fs",
            "std::net",
            "std::thread",
            "std::process",
            "std::env",
            "std::time::Instant",
            "std::time::SystemTime",
            "tokio",
            "nix",
        ],
        why: "media does no I/O and has no clock: `now` is an argument",
    },
    Border {
        within: "service/src/",
        except: &["service/src/supervise/"],
        never: &[
            "std::thread::spawn",
            "std::thread::scope",
            "std::thread::Builder",
            "tokio::task::spawn_blocking",
            "std::time::Instant",
            "std::time::SystemTime",
            "nix::time::clock_gettime",
        ],
        why: "only supervise starts threads and reads the clock",
    },
    Border {
        within: "service/src/",
        except: &[],
        never: &["std::fs::remove_file", "std::fs::remove_dir_all", "nix::unistd::unlink"],
        why: "what is deleted is for edge and remote to say",
    },
    Border {
        within: "edge/src/live/",
        except: &[],
        never: &["crate::record", "crate::store", "crate::upload"],
        why: "live meets them at the ring and at status",
    },
    Border {
        within: "edge/src/",
        except: &["edge/src/supervise/"],
        never: &[
            "std::thread::spawn",
            "std::thread::scope",
            "std::thread::Builder",
            "tokio::task::spawn_blocking",
            "std::time::SystemTime",
            "nix::time::clock_gettime",
            "jiff::Timestamp::now",
            "jiff::Zoned::now",
        ],
        why: "only supervise starts threads and reads the clock",
    },
    Border {
        within: "edge/src/",
        // The control socket of a dead process is no recording.
        except: &["edge/src/store", "edge/src/live/control.rs"],
        never: &["std::fs::remove_file", "std::fs::remove_dir_all", "nix::unistd::unlink"],
        why: "only store deletes recordings",
    },
    Border {
        within: "remote/src/",
        except: &["remote/src/supervise.rs"],
        never: &[
            "std::thread::spawn",
            "std::thread::scope",
            "std::thread::Builder",
            "std::time::Instant",
            "std::time::SystemTime",
            "nix::time::clock_gettime",
            "jiff::Timestamp::now",
            "jiff::Zoned::now",
        ],
        why: "only supervise starts threads and reads the clock",
    },
    Border {
        within: "remote/src/",
        except: &[
            "remote/src/inbox/",
            "remote/src/sweep/",
            // What the three above remove with.
            "remote/src/folder.rs",
            // Their own unfinished work: the folder that HLS is made in, and files that an account is made of.
            "remote/src/chop/",
            "remote/src/enroll/perform.rs",
        ],
        never: &[
            "std::fs::remove_file",
            "std::fs::remove_dir",
            "std::fs::remove_dir_all",
            "nix::unistd::unlink",
            "nix::unistd::unlinkat",
        ],
        why: "only inbox and sweep delete recordings",
    },
];

/// The crates of this workspace that each may depend on. What is not in its manifest, a crate cannot import.
const ARROWS: &[(&str, &[&str])] = &[
    ("media", &[]),
    ("service", &[]),
    ("edge", &["media", "service"]),
    ("remote", &["media", "service"]),
    ("fuzz", &["media"]),
    ("xtask", &["media"]),
    ("tests", &["media", "edge", "remote"]),
];

fn trespasses(source: &Source) -> Vec<String> {
    if !source.ends_with(".rs") {
        return Vec::new();
    }
    let borders: Vec<&Border> = BORDERS.iter().filter(|border| border.holds_in(&source.path)).collect();
    if borders.is_empty() {
        return Vec::new();
    }
    let mut findings = Vec::new();
    for name in names(source) {
        for border in borders.iter().filter(|border| border.forbids(&name.path)) {
            findings.push(format!("{}:{}: {}: {}", source.path, name.line, name.path, border.why));
        }
    }
    findings
}

impl Border {
    fn holds_in(&self, path: &str) -> bool {
        path.starts_with(self.within) && !self.except.iter().any(|except| path.starts_with(except))
    }

    fn forbids(&self, name: &str) -> bool {
        self.never.iter().any(|never| {
            name.strip_prefix(never).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
        })
    }
}

/// The names of the crates that a manifest asks for.
fn dependencies(source: &Source) -> Vec<String> {
    let manifest: BTreeMap<String, toml::Value> = toml::from_str(&source.text).expect("a manifest");
    let tables = ["dependencies", "dev-dependencies", "build-dependencies"];
    let tables = tables.iter().filter_map(|table| manifest.get(*table)?.as_table());
    tables.flat_map(|table| table.keys().cloned()).collect()
}

fn is_ours(name: &str) -> bool {
    ARROWS.iter().any(|(package, _)| *package == name)
}

/// Dependencies without a row in the list of `docs/adr/0002-dependencies.md`.
fn unexplained(source: &Source, list: &str) -> Vec<String> {
    if !source.ends_with("/Cargo.toml") {
        return Vec::new();
    }
    let rows = list.lines().filter_map(|line| line.strip_prefix("| ")?.split('|').next());
    let explained: Vec<&str> = rows.flat_map(|names| names.split(',')).map(str::trim).collect();
    let names =
        dependencies(source).into_iter().filter(|name| !is_ours(name) && !explained.contains(&name.as_str()));
    names.map(|name| format!("{}: {name} has no row in {DECISIONS}", source.path)).collect()
}

const DECISIONS: &str = "docs/adr/0002-dependencies.md";

fn wrong_dependencies(source: &Source) -> Vec<String> {
    let Some((package, allowed)) =
        ARROWS.iter().find(|(package, _)| source.path == format!("{package}/Cargo.toml"))
    else {
        return Vec::new();
    };
    let wrong =
        dependencies(source).into_iter().filter(|name| is_ours(name) && !allowed.contains(&name.as_str()));
    wrong.map(|name| format!("{package} must not depend on {name}")).collect()
}

#[test]
fn no_code_crosses_a_border() {
    assert_tidy(trespasses);
}

#[test]
fn crates_depend_on_each_other_in_one_direction() {
    assert_tidy(wrong_dependencies);
}

#[test]
fn every_dependency_is_explained() {
    let list = std::fs::read_to_string(tests::workspace().join(DECISIONS)).expect(DECISIONS);
    assert_tidy(|source| unexplained(source, &list));
    let manifest = Source::new("media/Cargo.toml", "[dependencies]\nbytes = \"1\"\nleft-pad = \"1\"");
    assert_eq!(
        unexplained(&manifest, "| a, bytes | for |\n| b | c |"),
        ["media/Cargo.toml: left-pad has no row in docs/adr/0002-dependencies.md"]
    );
}

#[test]
fn each_border_can_be_crossed() {
    let crossed = |path: &str, text: &str| trespasses(&Source::new(path, text));
    assert_eq!(
        crossed("media/src/a.rs", "use std::time::{Duration, Instant};"),
        ["media/src/a.rs:1: std::time::Instant: media does no I/O and has no clock: `now` is an argument"]
    );
    assert_eq!(crossed("service/src/files.rs", "fn f() { std::thread::spawn(g); }").len(), 1);
    assert_eq!(crossed("edge/src/live/a.rs", "use crate::{record, ring};").len(), 1);
    assert_eq!(crossed("edge/src/ring/a.rs", "use std::thread; fn f() { thread::spawn(g); }").len(), 1);
    assert_eq!(crossed("edge/src/main.rs", "fn f() -> bool { std::fs::remove_file(p).is_ok() }").len(), 1);
    assert_eq!(crossed("remote/src/web/a.rs", "use std::fs; fn f() { fs::remove_file(p).ok(); }").len(), 1);
    assert_eq!(crossed("edge/src/supervise/a.rs", "fn f() { std::thread::spawn(g); }"), [""; 0]);
    assert_eq!(crossed("media/src/a.rs", "use std::time::Duration; fn tokio_like() {}"), [""; 0]);

    let manifest = Source::new(
        "media/Cargo.toml",
        "[dependencies]\nbytes = \"1\"\n[dev-dependencies]\nedge = { path = \"../edge\" }",
    );
    assert_eq!(wrong_dependencies(&manifest), ["media must not depend on edge"]);
}

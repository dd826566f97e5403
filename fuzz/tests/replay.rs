//! Every input that was ever kept goes through its target: what our writers make, what the engine found worth keeping in
//! `corpus/TARGET`, and what once failed in `regressions/TARGET`.
#![allow(clippy::unwrap_used)]

use fuzz::{TARGETS, Target};
use std::fs;
use std::path::{Path, PathBuf};

/// Bytes of all corpora together.
const MOST_BYTES: usize = 200_000;

fn folder(kind: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(kind)
}

/// The files of a target, by name; none if there is no such folder.
fn inputs(kind: &str, target: &Target) -> Vec<(PathBuf, Vec<u8>)> {
    let Ok(entries) = fs::read_dir(folder(kind).join(target.name)) else { return Vec::new() };
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.into_iter().map(|path| (path.clone(), fs::read(path).unwrap())).collect()
}

#[test]
fn every_kept_input_holds() {
    for target in TARGETS {
        let kept = inputs("corpus", target);
        assert!(!kept.is_empty(), "{} has no corpus", target.name);
        for (path, input) in kept.iter().chain(&inputs("regressions", target)) {
            println!("{}", path.display()); // shown if it fails
            target.check(input);
        }
    }
}

/// `BLESS=1` writes them anew.
#[test]
fn the_corpora_begin_with_what_our_writers_make() {
    for target in TARGETS {
        for (index, seed) in (target.seeds)().into_iter().enumerate() {
            let path = folder("corpus").join(target.name).join(format!("seed-{index}"));
            if std::env::var_os("BLESS").is_some() {
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(&path, &seed).unwrap();
            }
            assert!(fs::read(&path).is_ok_and(|kept| kept == seed), "{} is another", path.display());
        }
    }
}

#[test]
fn corpora_stay_small_and_belong_to_a_target() {
    let kept = TARGETS.iter().flat_map(|target| inputs("corpus", target));
    let bytes: usize = kept.map(|(_, input)| input.len()).sum();
    assert!(bytes <= MOST_BYTES, "{bytes} bytes");
    for kind in ["corpus", "regressions"] {
        for entry in fs::read_dir(folder(kind)).into_iter().flatten() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            assert!(Target::named(&name).is_some(), "{kind}/{name} belongs to no target");
        }
    }
}

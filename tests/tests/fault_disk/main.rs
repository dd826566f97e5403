//! Disks that are full to the page, cards that turn read-only, and syncs that fail: nothing crashes, the live view goes on, the fault has a
//! name, and when it is over the remote host has every GOP once, or the ledger says why not.
//!
//! `PORTHOLE_ROUNDS` pages of each disk, evenly spread; each page once if there are not more. Takes root.

mod card;
mod edge_full;
#[path = "../upload/outbox.rs"]
#[allow(dead_code, reason = "some of it is for recordings that grow")]
mod outbox;
mod policy;
mod remote_account;
mod remote_card;
mod remote_full;
mod remote_sync;

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Command;

use media::mp4::demux::examine;
use tests::edge::Edge;
use tests::http;
use tests::wait::PATIENCE;
use tests::work::rounds;

/// So many of `0..all` as are to be tried.
fn some_of(all: u64) -> impl Iterator<Item = u64> {
    let count = u64::from(rounds(4)).min(all);
    (0..count).map(move |n| n * all / count)
}

/// Whether a fault of that name is shown.
fn has_fault(edge: &Edge, part: &str) -> bool {
    let status = edge.json("/api/status").unwrap_or_default();
    status["faults"].as_array().into_iter().flatten().any(|fault| fault["part"] == part)
}

/// How often recording has failed.
fn errors(edge: &Edge) -> f64 {
    edge.metric("porthole_edge_record_errors_total{camera=\"front\"}")
}

/// Whether a recording grows and has `seconds` of footage.
fn records(edge: &Edge, seconds: f64) -> bool {
    edge.recording("growing", seconds).is_some()
}

/// A viewer who comes now gets pictures for longer than the second that may be there already.
fn assert_live(edge: &Edge) {
    let mut stream = http::open(&edge.url("/live/front/stream.mp4"), PATIENCE).unwrap();
    let (mut seen, mut piece) = (Vec::new(), [0; 4096]);
    while seen.windows(4).filter(|name| name == b"moof").count() < 45 {
        let length = stream.read(&mut piece).unwrap();
        assert!(length > 0, "the live view ended: {}", edge.log());
        seen.extend_from_slice(&piece[..length]);
    }
}

/// The recordings below a folder.
fn recordings(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(recordings(&path));
        } else if path.extension().is_some_and(|extension| extension == "mp4") {
            found.push(path);
        }
    }
    found
}

/// Every recording below these folders is whole, and none of the GOPs is there twice; gives their numbers, each with its file.
fn gops(folders: &[PathBuf]) -> BTreeMap<u64, PathBuf> {
    let mut all = BTreeMap::new();
    for file in folders.iter().flat_map(|folder| recordings(folder)) {
        let whole =
            examine(&fs::read(&file).unwrap()).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        for sequence in whole.seal.first_sequence..=whole.seal.last_sequence {
            if let Some(other) = all.insert(sequence, file.clone()) {
                panic!("GOP {sequence} is in {} and in {}", other.display(), file.display());
            }
        }
    }
    all
}

/// The same, and none is missing between the first and the last.
fn assert_every_gop(folders: &[PathBuf]) -> usize {
    let all = gops(folders);
    let (first, last) = (*all.keys().next().unwrap(), *all.keys().next_back().unwrap());
    let missing: Vec<u64> = (first..=last).filter(|n| !all.contains_key(n)).collect();
    assert_eq!(missing, [0; 0], "of {} GOPs", all.len());
    all.len()
}

/// The remote host's check has nothing to object to, so that what is missing has a cause.
fn assert_accounted_for(folder: &Path) {
    let check = Command::new(tests::built("porthole-remote")).arg("check").arg(folder).output().unwrap();
    assert!(check.status.success(), "{}", String::from_utf8_lossy(&check.stdout));
}

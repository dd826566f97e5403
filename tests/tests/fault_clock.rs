//! The wall clock of the appliance is set while it records and uploads: from 1970 to now, back by an hour, ahead by a year, over midnight. No
//! second is lost, no name is given twice, and in the end every date is right.
//!
//! `PORTHOLE_ROUNDS` times, on one edge.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use media::WallTime;
use serde_json::Value;
use tests::clock::Clock;
use tests::edge::{Edge, Settings};
use tests::remote::checked;
use tests::sshd::{Sshd, View};
use tests::work::{rounds, saw};

/// Whole seconds of footage for each setting of the clock.
const SECONDS: u64 = 3;
const DAY: i64 = 24 * 3600;

fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() as i64
}

/// So many seconds since 1970, as the edge shows them.
fn date(seconds: i64) -> String {
    WallTime(seconds * 1_000_000).rfc3339()
}

/// How far the clock is ahead, one setting after the other.
fn settings() -> [(&'static str, i64); 7] {
    let midnight = DAY - now().rem_euclid(DAY);
    [
        ("1970", 10 - now()),
        ("now", 0),
        ("an hour ago", -3600),
        ("in a year", 365 * DAY),
        ("before midnight", midnight - 2),
        ("the midnight before", midnight - DAY),
        ("now", 0),
    ]
}

/// Waits until so many more GOPs are in recordings.
fn record(edge: &mut Edge, seconds: u64) {
    let recorded = |edge: &Edge| {
        let recordings = edge.recordings().unwrap_or_default();
        recordings.iter().filter_map(|recording| recording["seconds"].as_f64()).sum::<f64>()
    };
    let enough = recorded(edge) + seconds as f64;
    edge.wait_until("footage", |edge| recorded(edge) >= enough).unwrap();
}

/// The recordings of a folder: their names.
fn names(folder: &Path) -> BTreeSet<String> {
    let files = fs::read_dir(folder).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap());
    files.filter_map(|file| file.strip_suffix(".mp4").map(str::to_owned)).collect()
}

/// The number in a name, which no two of a camera have alike.
fn number(name: &str) -> &str {
    name.rsplit('-').next().unwrap()
}

#[test]
fn a_clock_that_is_set_costs_no_second_and_no_name() {
    let clock = Clock::new().unwrap();
    let sshd = Sshd::start(View::Whole).unwrap();
    let mut edge = Edge::prepare(Settings::default().upload_to(&sshd).unwrap()).unwrap();
    let key = edge.public_key().unwrap();
    sshd.authorize(&key).unwrap();
    let keys = edge.file("authorized_keys");
    fs::write(&keys, format!("restrict {key}\n")).unwrap();
    edge.environment(clock.environment());
    let begun = now();
    for round in 0..rounds(1) {
        for (what, ahead) in settings() {
            clock.set(ahead).unwrap();
            if !edge.is_running() {
                edge.start_again().unwrap();
            }
            record(&mut edge, SECONDS);
            println!("round {round}: {what}");
        }
    }
    // What grows is sealed by the end, and sent after the next start.
    assert!(edge.terminate().unwrap().success());
    let recorded = names(&edge.file("recordings"));
    edge.start_again().unwrap();
    edge.wait_for_receipts(recorded.len()).unwrap();
    let shown = edge.recordings().unwrap();
    assert!(edge.terminate().unwrap().success());

    let numbers: BTreeSet<&str> = recorded.iter().map(|name| number(name)).collect();
    assert_eq!(numbers.len(), recorded.len(), "{recorded:?}");
    assert!(names(&sshd.inbox()).is_superset(&recorded), "{recorded:?}");
    let unknown = recorded.iter().filter(|name| name.starts_with("0000-00-00-00-00-00-")).count();
    assert!(unknown >= 1, "recorded before the clock was set: {recorded:?}");

    let report = checked(&sshd.inbox(), &keys).unwrap();
    let camera = &report["cameras"][0];
    let causes: Vec<&Value> = camera["gaps"].as_array().unwrap().iter().map(|gap| &gap["cause"]).collect();
    saw(format!(
        "{} recordings, {} s of footage, gaps {causes:?}",
        recorded.len(),
        camera["footage_seconds"]
    ));
    assert!(causes.iter().all(|cause| *cause == "no_power"), "{camera:#}");
    assert!(causes.len() <= 1, "only between two processes: {camera:#}");
    let least = f64::from(rounds(1)) * (settings().len() as u64 * SECONDS) as f64;
    assert!(camera["footage_seconds"].as_f64().unwrap() >= least, "{camera:#}");
    for recording in &shown {
        let start = recording["start"].as_str().unwrap_or_default();
        assert!(date(begun - 2).as_str() <= start && start <= date(now() + 2).as_str(), "{recording}");
    }
}

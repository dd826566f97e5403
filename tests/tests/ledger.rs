//! Every second of a real edge is accounted for, over restarts, and every hand on its recordings is named by the remote host's
//! check.

use nix::sys::signal::Signal;
use serde_json::Value;
use std::path::Path;
use std::process::Command;
use std::time::Duration;
use tests::edge::{Edge, Settings};

/// The edge is down for longer than the shortest gap.
const DOWN: Duration = Duration::from_millis(600);

/// The edge is not run for longer than its capture waits for a frame, what its camera still holds then, and a second.
const STALLED: Duration = Duration::from_secs(5);

/// What `porthole-remote check --json` says of a folder, and whether it is satisfied.
fn check(folder: &Path, keys: &Path) -> (bool, Value) {
    let mut check = Command::new(tests::built("porthole-remote"));
    let output = check.args(["check", "--json", "--keys"]).args([keys, folder]).output().unwrap();
    let report = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"));
    (output.status.success(), report)
}

/// The values of one field of a list.
fn each<'a>(list: &'a Value, field: &str) -> Vec<&'a str> {
    list.as_array().unwrap().iter().map(|item| item[field].as_str().unwrap()).collect()
}

/// Runs the edge until `seconds` of footage of this run are in a recording.
fn record(edge: &mut Edge, seconds: f64) {
    edge.start_again().unwrap();
    edge.wait_for_recording("growing", seconds).unwrap();
}

/// Cause and seconds of each gap of the first camera.
fn gaps(report: &Value) -> Vec<(&str, f64)> {
    let gaps = report["cameras"][0]["gaps"].as_array().unwrap().iter();
    gaps.map(|gap| (gap["cause"].as_str().unwrap(), gap["seconds"].as_f64().unwrap())).collect()
}

#[test]
fn a_camera_that_is_gone_and_a_host_that_is_overloaded_are_told_apart() {
    let footage = tests::footage::y4m(1).unwrap();
    let whole = std::fs::read(&footage).unwrap();
    let mut edge = Edge::prepare(Settings::default()).unwrap();
    let source = edge.file("camera.y4m");
    std::fs::write(&source, &whole).unwrap();
    edge.configure(Settings::default().camera("front", &format!("file:{}", source.display()))).unwrap();
    record(&mut edge, 2.0);
    let any = |edge: &Edge, cause: &str, like: &dyn Fn(&Value) -> bool| {
        let gaps = edge.json("/api/gaps").unwrap();
        gaps["gaps"].as_array().unwrap().iter().any(|gap| gap["cause"] == cause && like(gap))
    };
    let lasts = |gap: &Value| gap["lasts"] == true;
    let over = |gap: &Value| gap["lasts"] == false;
    // A busy machine makes short gaps of its own.
    let long = |seconds: f64| seconds > 1.0;

    // A file that ends in the middle of its header is a camera that cannot be opened.
    std::fs::File::options().write(true).open(&source).unwrap().set_len(10).unwrap();
    edge.wait_until("the camera to be gone", |edge| any(edge, "camera_gone", &lasts)).unwrap();
    std::thread::sleep(DOWN);
    std::fs::write(&source, &whole).unwrap();
    edge.wait_until("the camera to be back", |edge| any(edge, "camera_gone", &over)).unwrap();

    edge.signal(Signal::SIGSTOP).unwrap();
    std::thread::sleep(STALLED);
    edge.signal(Signal::SIGCONT).unwrap();
    let stalled = |gap: &Value| over(gap) && gap["seconds"].as_f64().is_some_and(long);
    edge.wait_until("the host's fault to be told", |edge| any(edge, "overload", &stalled)).unwrap();
    assert!(edge.terminate().unwrap().success());

    let keys = edge.file("authorized_keys");
    std::fs::write(&keys, edge.public_key().unwrap()).unwrap();
    let (clean, report) = check(&edge.file("recordings"), &keys);
    assert!(clean, "{report:#}");
    let gaps = gaps(&report);
    println!("{gaps:?}");
    // The frames that the camera still held come out of the time that the host did not run; a busy host may not run more often.
    let (gone, overload): (Vec<(&str, f64)>, Vec<_>) =
        gaps.into_iter().partition(|(cause, _)| *cause == "camera_gone");
    assert!(gone.len() == 1 && gone[0].1 >= DOWN.as_secs_f64(), "{report:#}");
    assert!(overload.iter().all(|(cause, _)| *cause == "overload"), "{report:#}");
    assert!(overload.iter().any(|(_, seconds)| long(*seconds)), "{report:#}");
}

#[test]
fn every_second_is_accounted_for_and_every_hand_on_the_files_is_named() {
    let mut edge = Edge::prepare(Settings::default()).unwrap();
    let keys = edge.file("authorized_keys");
    std::fs::write(&keys, format!("restrict {}\n", edge.public_key().unwrap())).unwrap();
    record(&mut edge, 3.0);
    assert!(edge.terminate().unwrap().success());
    std::thread::sleep(DOWN);
    // A crash: what was torn is signed by the next process, with the gap behind it.
    record(&mut edge, 3.0);
    edge.kill();
    std::fs::remove_dir_all(edge.ring()).unwrap();
    std::fs::create_dir(edge.ring()).unwrap();
    std::thread::sleep(DOWN);
    record(&mut edge, 2.0);
    let gaps = edge.json("/api/gaps").unwrap();
    assert_eq!(
        each(&gaps["gaps"], "cause"),
        ["no_power", "no_power"],
        "before the kill, and since then, which the ring cannot tell: {gaps}"
    );
    let since = &gaps["gaps"][1];
    assert!(
        since["lasts"] == false && since["start"].is_string() && since["seconds"].as_f64() > Some(0.5),
        "{gaps}"
    );
    assert!(edge.terminate().unwrap().success());

    let folder = edge.file("recordings");
    let (clean, report) = check(&folder, &keys);
    let camera = &report["cameras"][0];
    assert!(clean, "{report:#}");
    assert_eq!((&camera["name"], &camera["trust"]), (&"front".into(), &"expected".into()));
    assert!(camera["footage_seconds"].as_f64().unwrap() >= 7.0, "{camera:#}");
    assert_eq!(each(&camera["gaps"], "cause"), ["no_power", "no_power"], "{camera:#}");
    assert!(
        camera["gaps"][0]["start"].is_string() && camera["gaps"][0]["seconds"].as_f64() > Some(0.5),
        "{camera:#}"
    );

    let files = edge.recordings_on_disk().unwrap();
    let problems = || {
        let (clean, report) = check(&folder, &keys);
        assert!(!clean);
        each(&report["problems"], "kind").into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    let mut blind = Command::new(tests::built("porthole-remote"));
    let blind = blind.arg("check").arg(edge.file("nowhere")).output().unwrap();
    assert_eq!(blind.status.code(), Some(2), "it cannot look: {blind:?}");

    let aside = edge.file("aside.mp4");
    std::fs::rename(&files[1], &aside).unwrap();
    assert_eq!(problems(), ["absent"], "one was dropped");
    std::fs::rename(&files[0], &files[1]).unwrap();
    std::fs::rename(&aside, &files[0]).unwrap();
    assert_eq!(problems(), ["name", "name"], "two were swapped");
}

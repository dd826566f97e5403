//! SIGHUP: the configuration is read again while somebody watches.

use std::fs;
use std::io::Read;

use nix::sys::signal::Signal;
use tests::edge::{Edge, Settings};
use tests::http;
use tests::wait::PATIENCE;

/// Bytes of a stream that must come after each change: some seconds of the pattern.
const GOES_ON: u64 = 50_000;

fn reread(edge: &mut Edge, said: &str) {
    edge.signal(Signal::SIGHUP).unwrap();
    edge.wait_until(said, |edge| edge.log().contains(said)).unwrap();
}

#[test]
fn what_can_change_changes_and_the_rest_is_named_and_no_viewer_is_dropped() {
    let mut edge = Edge::start(Settings::default()).unwrap();
    let mut viewer = http::open(&edge.url("/live/front/stream.mp4"), PATIENCE).unwrap();
    let mut goes_on = |when: &str| {
        let read = std::io::copy(&mut viewer.by_ref().take(GOES_ON), &mut std::io::sink());
        assert_eq!(read.unwrap(), GOES_ON, "{when}");
    };
    goes_on("at first");
    assert_eq!(edge.get("/healthz").unwrap().status, 200);

    // The viewer has the only connection that its address may have now.
    edge.configure(Settings::default().set("live.max_per_address", 1).set("ring.seconds", 60)).unwrap();
    reread(&mut edge, "these keys wait for a restart");
    assert!(edge.log().contains("ring"), "{}", edge.log());
    assert!(!edge.log().contains("max_per_address"), "{}", edge.log());
    assert_eq!(edge.get("/healthz").unwrap().status, 503);
    goes_on("after a change");

    fs::write(edge.file("edge.toml"), "[live]\nmax_per_adress = 16\n").unwrap();
    reread(&mut edge, "configuration kept as it was");
    assert!(edge.log().contains("max_per_adress"), "the culprit: {}", edge.log());
    assert_eq!(edge.get("/healthz").unwrap().status, 503);
    goes_on("after a bad file");
}

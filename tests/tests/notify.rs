//! What systemd hears of the edge: that it is ready, then signs of life, and none from a process that stands still.

use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::time::Duration;

use tests::edge::{Edge, Settings};
use tests::frozen::Frozen;
use tests::wait::PATIENCE;

/// The edge is asked for four signs of life in this time: without one it counts as dead.
const WATCHDOG: Duration = Duration::from_secs(2);

/// The end of systemd.
struct Systemd {
    socket: UnixDatagram,
}

impl Systemd {
    /// Starts an edge that was told of it.
    fn start(edge: &mut Edge) -> Self {
        let path = edge.file("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        let micros = PathBuf::from(WATCHDOG.as_micros().to_string());
        edge.environment(vec![("NOTIFY_SOCKET", path), ("WATCHDOG_USEC", micros)]);
        edge.launch().unwrap();
        Self { socket }
    }

    /// What comes next, if anything does in time.
    fn hears(&self, patience: Duration) -> Option<String> {
        self.socket.set_read_timeout(Some(patience)).unwrap();
        let mut text = [0; 64];
        let length = self.socket.recv(&mut text).ok()?;
        Some(String::from_utf8_lossy(&text[..length]).into_owned())
    }

    /// Waits for `word`, whatever comes before.
    fn waits_for(&self, word: &str) {
        while self.hears(PATIENCE).unwrap_or_else(|| panic!("no {word}")) != word {}
    }
}

#[test]
fn systemd_hears_that_the_edge_is_ready_and_lives_and_ends_while_its_camera_is_absent() {
    let settings = Settings::default().camera("front", "v4l2:/dev/video-that-is-not-there");
    let mut edge = Edge::prepare(settings).unwrap();
    let systemd = Systemd::start(&mut edge);
    systemd.waits_for("READY=1");
    // Two watchers, twice a second each: ten seconds, longer than any stage may stand still.
    for _ in 0..40 {
        assert_eq!(systemd.hears(PATIENCE).as_deref(), Some("WATCHDOG=1"));
    }
    assert!(edge.terminate().unwrap().success());
    systemd.waits_for("STOPPING=1");
}

#[test]
fn a_process_whose_watchers_stand_still_gives_no_sign_of_life() {
    let mut edge = Edge::prepare(Settings::default()).unwrap();
    let systemd = Systemd::start(&mut edge);
    systemd.waits_for("WATCHDOG=1");
    let id = edge.id().unwrap();
    let _frozen = ["watchdog", "porthole-edge"].map(|thread| Frozen::freeze(id, thread).unwrap());
    // What was sent by then is still heard.
    while systemd.hears(WATCHDOG).is_some() {}
}

#[test]
fn a_stage_that_stands_still_makes_the_process_begin_anew_and_be_ready_again() {
    let mut edge = Edge::prepare(Settings::default()).unwrap();
    let systemd = Systemd::start(&mut edge);
    systemd.waits_for("WATCHDOG=1");
    let _frozen = Frozen::freeze(edge.id().unwrap(), "encode front").unwrap();
    systemd.waits_for("READY=1");
    systemd.waits_for("WATCHDOG=1");
}

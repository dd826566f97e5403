//! GStreamer on every view of a running edge, picture and sound, and on its recordings, sealed and growing.

use tests::edge::{Edge, Settings};
use tests::proxy::Proxy;
use tests::{footage, players};

const VIEWS: [&str; 4] = ["stream.mp4", "master.m3u8", "ts.m3u8", "manifest.mpd"];

/// Begins the media data of a fragment, and the IDR of a GOP in MPEG-TS.
const MEDIA: &[&[u8]] = &[b"mdat", &[0, 0, 1, 0x65]];

/// An edge with a few seconds in its ring and in its recording.
fn edge() -> Edge {
    let settings =
        Settings::default().camera("front", &footage::source().unwrap()).text("audio.device", "auto");
    let mut edge = Edge::start(settings).unwrap();
    let has_footage = |edge: &Edge| edge.metric("porthole_edge_ring_seconds{camera=\"front\"}") >= 6.0;
    edge.wait_until("footage in the ring", has_footage).unwrap();
    edge
}

/// Five seconds of a view, behind `port`.
fn play(view: &str, port: u16) -> anyhow::Result<()> {
    players::gstreamer_live(&format!("http://127.0.0.1:{port}/live/front/{view}"), 150, 230)
}

#[test]
fn every_view_plays_without_complaint() {
    let edge = edge();
    for view in VIEWS {
        play(view, edge.port()).unwrap();
    }
}

#[test]
fn damage_is_noticed_on_every_view() {
    let edge = edge();
    let proxy = Proxy::start_damaging(edge.port(), MEDIA).unwrap();
    for view in VIEWS {
        let complaint = play(view, proxy.port()).expect_err(view);
        println!("{complaint}");
    }
}

#[test]
fn a_recording_plays_while_it_grows_and_when_it_is_sealed() {
    let mut edge = edge();
    for state in ["growing", "sealed"] {
        let name = edge.wait_for_recording(state, 2.0).unwrap();
        players::gstreamer(&edge.url(&format!("/recordings/{name}.mp4"))).unwrap();
        assert!(edge.terminate().unwrap().success());
        edge.start_again().unwrap();
    }
}

//! Real players on the live view, picture and sound: our page, hls.js, dash.js, shaka-player, the browser itself, ffmpeg.
//!
//! Each watches for `PORTHOLE_SECONDS`; one minute by command, less on every change. One browser at a time: a machine with
//! two cores that decodes for six of them would show its own stalls.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tests::browser::{self, Player, Watched};
use tests::edge::{Edge, Settings};
use tests::{footage, players, work};

static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// An edge with some footage in its ring, and the right to use the browser.
fn edge() -> (Edge, MutexGuard<'static, ()>) {
    let turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let settings =
        Settings::default().camera("front", &footage::source().unwrap()).text("audio.device", "auto");
    let mut edge = Edge::start(settings).unwrap();
    let has_footage = |edge: &Edge| edge.metric("porthole_edge_ring_seconds{camera=\"front\"}") >= 6.0;
    edge.wait_until("footage in the ring", has_footage).unwrap();
    (edge, turn)
}

fn plays(player: Player, path: &str) -> Watched {
    let (edge, _turn) = edge();
    let watched = browser::watch(player, &edge.url(path), work::watch(10)).unwrap();
    assert!(watched.is_smooth(), "{player:?} on {path}: {:#}", watched.figures);
    watched
}

/// The same player on the same address, when segments arrive damaged: this must not pass for smooth.
fn stumbles(player: Player, path: &str) {
    let (edge, _turn) = edge();
    let segments = r"/live/front/.*\.(m4s|mp4|ts)";
    let watched = browser::watch_corrupted(player, &edge.url(path), work::watch(10), segments, 30).unwrap();
    assert!(!watched.is_smooth(), "{player:?} noticed nothing on {path}: {:#}", watched.figures);
}

#[test]
fn our_page_plays() {
    plays(Player::Page, "/");
}

#[test]
fn hls_js_plays_and_notices_damage() {
    plays(Player::Hls, "/live/front/master.m3u8");
    stumbles(Player::Hls, "/live/front/master.m3u8");
}

#[test]
fn hls_js_plays_with_low_latency_and_notices_damage() {
    plays(Player::HlsLowLatency, "/live/front/master.m3u8");
    stumbles(Player::HlsLowLatency, "/live/front/master.m3u8");
}

#[test]
fn hls_js_plays_mpeg_ts() {
    plays(Player::Hls, "/live/front/ts.m3u8");
}

#[test]
fn dash_js_plays_and_notices_damage() {
    plays(Player::Dash, "/live/front/manifest.mpd");
    stumbles(Player::Dash, "/live/front/manifest.mpd");
}

#[test]
fn shaka_player_plays_dash_and_hls_and_notices_damage() {
    plays(Player::Shaka, "/live/front/manifest.mpd");
    plays(Player::Shaka, "/live/front/master.m3u8");
    stumbles(Player::Shaka, "/live/front/manifest.mpd");
}

#[test]
fn the_browser_itself_plays_the_stream() {
    plays(Player::Native, "/live/front/stream.mp4");
}

#[test]
fn ffmpeg_reads_every_view_in_silence() {
    let (edge, _turn) = edge();
    for path in ["stream.mp4", "master.m3u8", "ts.m3u8", "manifest.mpd"] {
        players::decode(&edge.url(&format!("/live/front/{path}")), Some(5)).unwrap();
    }
}

//! A camera goes and comes back: viewers keep their connection and are told so, and no recording holds what told them.

use std::fs;
use std::io::Read;
use std::path::Path;
use std::thread::{JoinHandle, spawn};
use std::time::Duration;

use tests::edge::{Edge, Settings};
use tests::{http, players};

/// Longer than the whole test: the stream must not end by itself.
const LONG: Duration = Duration::from_secs(300);

/// Puts a camera that shows nothing but white there.
fn plug_in(camera: &Path) {
    let mut film = b"YUV4MPEG2 W320 H240 F30:1\nFRAME\n".to_vec();
    film.resize(film.len() + 320 * 240, 235);
    film.resize(film.len() + 320 * 240 / 2, 128);
    let new = camera.with_extension("new");
    fs::write(&new, film).unwrap();
    fs::rename(new, camera).unwrap();
}

/// The file is open: only without content it is a camera that delivers no more.
fn unplug(camera: &Path) {
    fs::File::options().write(true).open(camera).unwrap().set_len(0).unwrap();
}

fn wait_for_state(edge: &mut Edge, state: &str) {
    let is = |edge: &Edge| edge.json("/api/cameras").is_ok_and(|said| said["cameras"][0]["state"] == state);
    edge.wait_until(state, is).unwrap();
}

fn wait_for_more(edge: &mut Edge, metric: &str, more: f64) {
    let name = format!("porthole_edge_{metric}_total{{camera=\"front\"}}");
    let enough = edge.metric(&name) + more;
    edge.wait_until(metric, |edge| edge.metric(&name) >= enough).unwrap();
}

/// All that a viewer gets on one connection, until the edge ends.
fn watch(edge: &Edge) -> JoinHandle<Vec<u8>> {
    let mut stream = http::open(&edge.url("/live/front/stream.mp4"), LONG).unwrap();
    spawn(move || {
        let mut seen = Vec::new();
        // The end of the edge may come in the middle of a fragment.
        let _ended = stream.read_to_end(&mut seen);
        seen.truncate(whole_fragments(&seen));
        seen
    })
}

/// Bytes up to the end of the last whole `mdat` (ISO/IEC 14496-12, 4.2).
fn whole_fragments(mp4: &[u8]) -> usize {
    let (mut at, mut whole) = (0, 0);
    while let Some((head, _)) = mp4.get(at..).and_then(|rest| rest.split_first_chunk::<8>()) {
        let [a, b, c, d, kind @ ..] = *head;
        at += u32::from_be_bytes([a, b, c, d]) as usize;
        if at <= mp4.len() && kind == *b"mdat" {
            whole = at;
        }
    }
    whole
}

/// Stretches of bright and of dark pictures, as `true` and `false`.
fn stretches(file: &Path) -> Vec<bool> {
    let brightness = players::brightness(file.to_str().unwrap()).unwrap();
    let mut bright: Vec<bool> = brightness.into_iter().map(|luma| luma > 128).collect();
    bright.dedup();
    bright
}

#[test]
fn viewers_see_a_placeholder_while_the_camera_is_gone_and_recordings_hold_none_of_it() {
    let mut edge = Edge::prepare(Settings::default()).unwrap();
    let camera = edge.file("camera.y4m");
    plug_in(&camera);
    edge.configure(Settings::default().camera("front", &format!("file:{}", camera.display()))).unwrap();
    edge.start_again().unwrap();
    wait_for_more(&mut edge, "frames_encoded", 40.0);
    let viewer = watch(&edge);
    wait_for_more(&mut edge, "frames_encoded", 40.0);

    unplug(&camera);
    wait_for_state(&mut edge, "gone");
    wait_for_more(&mut edge, "placeholders_encoded", 1.0);
    let encoded = |edge: &Edge| edge.metric("porthole_edge_frames_encoded_total{camera=\"front\"}");
    let before = encoded(&edge);
    wait_for_more(&mut edge, "placeholders_encoded", 40.0);
    for path in ["stream.mp4", "master.m3u8", "ts.m3u8", "manifest.mpd"] {
        players::decode(&edge.url(&format!("/live/front/{path}")), Some(2)).unwrap();
    }
    let snapshot = edge.file("snapshot.jpg");
    fs::write(&snapshot, edge.get("/live/front/snapshot.jpg").unwrap().body).unwrap();
    assert_eq!(stretches(&snapshot), [false]);
    assert_eq!(encoded(&edge), before, "a placeholder is no frame of the camera");

    plug_in(&camera);
    wait_for_state(&mut edge, "streaming");
    wait_for_more(&mut edge, "frames_encoded", 40.0);
    let gaps = edge.json("/api/gaps").unwrap();
    let told = gaps["gaps"].as_array().unwrap().iter().filter(|gap| gap["cause"] == "camera_gone");
    let lasts: Vec<_> = told.map(|gap| gap["lasts"] == true).collect();
    assert_eq!(lasts, [false], "{gaps}");
    let spans = edge.json("/live/front/timeline").unwrap();
    let mut placeholders: Vec<_> =
        spans["spans"].as_array().unwrap().iter().map(|span| span["placeholder"] == true).collect();
    // A machine that is late makes holes of its own.
    placeholders.dedup();
    assert_eq!(placeholders, [false, true, false], "{spans}");

    assert!(edge.terminate().unwrap().success());
    let seen = edge.file("seen.mp4");
    fs::write(&seen, viewer.join().unwrap()).unwrap();
    assert_eq!(stretches(&seen), [true, false, true], "one connection shows all of it");
    let sealed = edge.recordings_on_disk().unwrap();
    assert!(!sealed.is_empty());
    for recording in sealed {
        assert_eq!(stretches(&recording), [true], "{}", recording.display());
    }
}

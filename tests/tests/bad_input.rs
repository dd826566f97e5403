//! Things that go wrong outside of the edge: each is named, and everything else keeps running.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::unistd::Uid;
use serde_json::Value;
use tests::edge::{Edge, Settings};
use tests::footage;
use tests::http;
use tests::sshd::{Sshd, View};

/// A camera called `back` that works, whatever becomes of `front`.
fn with_a_good_camera(front: &str) -> Settings {
    Settings::default().camera("front", front).camera("back", "pattern")
}

fn camera(edge: &Edge, name: &str) -> Value {
    let status = edge.json("/api/status").unwrap_or_default();
    let cameras = status["cameras"].as_array().cloned().unwrap_or_default();
    cameras.into_iter().find(|camera| camera["name"] == name).unwrap_or_default()
}

fn streams(edge: &Edge, name: &str) -> bool {
    camera(edge, name)["state"] == "streaming" && camera(edge, name)["newest"] != Value::Null
}

/// Waits until `front` is gone for a reason that names `culprit`, and `back` streams.
fn front_is_gone_and_back_streams(edge: &mut Edge, culprit: &str) {
    let named =
        |edge: &Edge| camera(edge, "front")["error"].as_str().is_some_and(|error| error.contains(culprit));
    edge.wait_until(&format!("an error that names {culprit}"), |edge| named(edge) && streams(edge, "back"))
        .unwrap();
}

/// What the edge says when it refuses to start.
fn refusal(settings: Settings) -> String {
    let mut edge = Edge::prepare(settings).unwrap();
    edge.launch().unwrap();
    assert!(!edge.wait().unwrap().success(), "the edge started: {}", edge.log());
    edge.log()
}

/// A RAM disk that is too small or cannot be written; gone when dropped.
struct Mount(PathBuf);

impl Mount {
    fn new(folder: &Path, options: &str) -> Self {
        fs::create_dir_all(folder).unwrap();
        let mut mount = Command::new("mount");
        assert!(
            mount.args(["-t", "tmpfs", "-o", options, "porthole"]).arg(folder).status().unwrap().success()
        );
        Self(folder.to_owned())
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

fn cannot_mount() -> bool {
    let cannot = !Uid::current().is_root();
    if cannot {
        eprintln!("not root: nothing can be mounted, and this is not tried");
    }
    cannot
}

#[test]
fn a_missing_camera_is_named() {
    let mut edge = Edge::start(with_a_good_camera("v4l2:/dev/video99")).unwrap();
    front_is_gone_and_back_streams(&mut edge, "/dev/video99");
}

#[test]
fn a_device_that_is_no_camera_is_named() {
    let mut edge = Edge::start(with_a_good_camera("v4l2:/dev/null")).unwrap();
    front_is_gone_and_back_streams(&mut edge, "/dev/null");
}

#[test]
fn a_file_that_is_no_film_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let film = folder.path().join("film.y4m");
    fs::write(&film, "no film").unwrap();
    let mut edge = Edge::start(with_a_good_camera(&format!("file:{}", film.display()))).unwrap();
    front_is_gone_and_back_streams(&mut edge, "film.y4m");
}

#[test]
fn a_truncated_jpeg_costs_one_picture() {
    let folder = tempfile::tempdir().unwrap();
    let film = folder.path().join("film.avi");
    let mut bytes = fs::read(footage::mjpeg_avi(2).unwrap()).unwrap();
    // Half a second in, from the middle of a picture to its end marker: as if the cable had been pulled.
    let middle = bytes.len() / 4;
    let end = middle + bytes[middle..].windows(2).position(|marker| marker == [0xff, 0xd9]).unwrap();
    bytes[middle..end + 2].fill(0);
    fs::write(&film, bytes).unwrap();
    let mut edge =
        Edge::start(Settings::default().camera("front", &format!("file:{}", film.display()))).unwrap();
    let counter =
        |edge: &Edge, name: &str| edge.metric(&format!("porthole_edge_{name}_total{{camera=\"front\"}}"));
    let goes_on =
        |edge: &Edge| counter(edge, "frames_damaged") >= 1.0 && counter(edge, "frames_encoded") >= 90.0;
    edge.wait_until("a damaged picture and many good ones", goes_on).unwrap();
}

#[test]
fn an_impossible_mode_is_refused_with_its_key() {
    let said = refusal(Settings::default().camera("front", "webcam"));
    assert!(said.contains("camera.front.source") && said.contains("v4l2:/dev/videoN"), "{said}");
    let said = refusal(Settings::default().set("video.gop", 2));
    assert!(said.contains("video.gop = 2: always 1 second"), "{said}");
}

#[test]
fn an_unknown_key_is_refused_with_its_line() {
    let said = refusal(Settings::default().set("video.bitrte", 1));
    assert!(said.contains("edge.toml") && said.contains("bitrte"), "{said}");
}

#[test]
fn an_occupied_port_is_refused_with_its_number() {
    let occupied = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = occupied.local_addr().unwrap().port();
    let folder = tempfile::tempdir().unwrap();
    let mut edge = Edge::prepare_at(folder.path(), port, Settings::default()).unwrap();
    edge.launch().unwrap();
    assert!(!edge.wait().unwrap().success());
    assert!(edge.log().contains(&port.to_string()), "{}", edge.log());
}

#[test]
fn a_ram_disk_without_room_is_named_and_costs_no_other_camera() {
    if cannot_mount() {
        return;
    }
    let mut edge = Edge::prepare(Settings::default()).unwrap();
    let _small = Mount::new(edge.ring(), "size=2m");
    // Asked for 32 MiB, it makes do with what is there.
    edge.start_again().unwrap();
    edge.wait_until("the live view", |edge| streams(edge, "front")).unwrap();
    let ring = edge.ring().display().to_string();
    assert!(edge.log().contains(&ring), "{}", edge.log());
}

#[test]
fn a_folder_that_cannot_be_written_is_a_fault_and_the_live_view_goes_on() {
    if cannot_mount() {
        return;
    }
    let mut edge = Edge::prepare(Settings::default()).unwrap();
    let folder = edge.file("recordings");
    let _read_only = Mount::new(&folder, "ro,size=1m");
    edge.start_again().unwrap();
    let fault = |edge: &Edge| {
        let faults = edge.json("/api/status").unwrap_or_default()["faults"].to_string();
        faults.contains(&folder.display().to_string())
    };
    edge.wait_until("a fault that names the folder", |edge| fault(edge) && streams(edge, "front")).unwrap();
}

fn upload_failure(edge: &Edge) -> String {
    let status = edge.json("/api/status").unwrap_or_default();
    status["upload"]["failure"]["kind"].as_str().unwrap_or_default().to_owned()
}

/// Waits until the upload fails in that way. The live view goes on, and nothing leaves the edge.
fn fails_to_upload(edge: &mut Edge, kind: &str) {
    edge.wait_until(kind, |edge| upload_failure(edge) == kind && streams(edge, "front")).unwrap();
    assert!(!edge.recordings().unwrap().is_empty());
}

/// An edge that has a sealed recording to upload.
fn with_a_recording(sshd: &Sshd) -> Edge {
    let mut edge = Edge::start(Settings::default().upload_to(sshd).unwrap()).unwrap();
    edge.wait_until("a recording", |edge| edge.metric("porthole_edge_ring_seconds{camera=\"front\"}") >= 3.0)
        .unwrap();
    assert!(edge.terminate().unwrap().success());
    edge
}

#[test]
fn a_key_that_is_not_enrolled_is_told_apart_and_enrolling_it_helps() {
    let sshd = Sshd::start(View::Whole).unwrap();
    let mut edge = with_a_recording(&sshd);
    edge.start_again().unwrap();
    fails_to_upload(&mut edge, "key_refused");
    sshd.authorize(&edge.public_key().unwrap()).unwrap();
    edge.wait_for_receipts(1).unwrap();
}

#[test]
fn a_changed_host_key_stops_the_upload_and_loses_nothing() {
    let mut sshd = Sshd::start(View::Whole).unwrap();
    let mut edge = with_a_recording(&sshd);
    sshd.authorize(&edge.public_key().unwrap()).unwrap();
    sshd.stop();
    sshd.make_host_key().unwrap();
    sshd.start_again().unwrap();
    edge.start_again().unwrap();
    fails_to_upload(&mut edge, "host_key");
    assert_eq!(fs::read_dir(sshd.inbox()).unwrap().count(), 0);
}

#[test]
fn a_host_that_is_away_and_one_that_hangs_are_told_apart() {
    let mut sshd = Sshd::start(View::Whole).unwrap();
    let mut edge = with_a_recording(&sshd);
    sshd.authorize(&edge.public_key().unwrap()).unwrap();
    sshd.stop();
    edge.start_again().unwrap();
    fails_to_upload(&mut edge, "unreachable");
    sshd.start_again().unwrap();
    sshd.freeze();
    fails_to_upload(&mut edge, "slow");
    sshd.thaw();
    edge.wait_for_receipts(1).unwrap();
}

#[test]
fn a_segment_that_has_left_the_ring_is_gone_and_the_playlist_goes_on() {
    let mut edge = Edge::start(Settings::default().set("ring.seconds", 10)).unwrap();
    let segment = |edge: &Edge| {
        let playlist = edge.get("/live/front/video.m3u8").ok()?.text();
        playlist.lines().find(|line| line.starts_with("video-")).map(|name| format!("/live/front/{name}"))
    };
    edge.wait_until("a segment", |edge| segment(edge).is_some()).unwrap();
    let first = segment(&edge).unwrap();
    let number = first.trim_start_matches("/live/front/video-").split('.').next();
    let sequence: u64 = number.unwrap().parse().unwrap();
    let oldest =
        |edge: &Edge| edge.json("/api/status").ok()?["cameras"][0]["ring"]["first_sequence"].as_u64();
    edge.wait_until("the segment to leave", |edge| oldest(edge) > Some(sequence)).unwrap();
    let reply = edge.get(&first).unwrap();
    assert_eq!(reply.status, 404, "{first}: {}", reply.text());
    assert_eq!(edge.get(&segment(&edge).unwrap()).unwrap().status, 200);
}

#[test]
fn malformed_queries_and_ranges_are_refused() {
    let mut edge = Edge::start(Settings::default()).unwrap();
    edge.wait_until("a playlist", |edge| {
        edge.get("/live/front/video.m3u8").is_ok_and(|reply| reply.status == 200)
    })
    .unwrap();
    for query in
        ["_HLS_msn=abc", "_HLS_msn=-1", "_HLS_part=1", "_HLS_msn=99999999999999999999", "_HLS_msn=1000000"]
    {
        let reply = edge.get(&format!("/live/front/video.m3u8?{query}")).unwrap();
        assert_eq!(reply.status, 400, "{query}: {}", reply.text());
    }
    assert_eq!(edge.get("/live/nobody/video.m3u8").unwrap().status, 404);
    assert_eq!(edge.get("/recordings/../edge.toml").unwrap().status, 404);

    let grows =
        |edge: &Edge| edge.recordings().is_ok_and(|all| all.iter().any(|recording| recording["bytes"] != 0));
    edge.wait_until("a recording that grows", grows).unwrap();
    let name = edge.recordings().unwrap()[0]["name"].as_str().unwrap().to_owned();
    let url = edge.url(&format!("/recordings/{name}.mp4"));
    let status = |range: &str| http::get_with(&url, &[("range", range)]).unwrap().status;
    assert_eq!(status("bytes=0-99"), 206);
    assert_eq!(status("bytes=99999999999-"), 416);
    assert_eq!(status("bytes=7-3"), 400);
    // RFC 9110, 14.2: a range in another unit is as if it were not there.
    assert_eq!(status("pictures=1-2"), 200);
}

#[test]
fn a_reader_that_has_left_is_no_error() {
    let folder = tempfile::tempdir().unwrap();
    let empty = folder.path().join("empty.toml");
    fs::write(&empty, "").unwrap();
    for program in ["porthole-edge", "porthole-remote"] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut command = Command::new(tests::built(program));
        let output = command.arg("check-config").arg(&empty).stdout(writer).output().unwrap();
        assert!(output.status.success() && output.stderr.is_empty(), "{program}: {output:?}");
    }
}

//! HLS and DASH: playlists, blocking reload, segments, parts.

use crate::client::{Reply, connect, get, head, next_box, open};
use crate::fixture::{House, wait_until};
use media::Track;
use std::io::{Read, Write};
use std::process::Command;
use std::thread::JoinHandle;

fn live(house: &House, resource: &str) -> Reply {
    get(house.address, &format!("/live/front/{resource}"))
}

/// Asks on a thread of its own.
fn ask_meanwhile(house: &House, resource: &str) -> JoinHandle<Reply> {
    let (address, path) = (house.address, format!("/live/front/{resource}"));
    std::thread::spawn(move || get(address, &path))
}

#[test]
fn the_master_playlist_names_what_is_measured() {
    let (house, mut camera) = House::with_camera("");
    camera.gops(4);
    let reply = live(&house, "master.m3u8");
    assert_eq!(reply.header("content-type"), Some("application/vnd.apple.mpegurl"));
    assert_eq!(reply.header("access-control-allow-origin"), Some("*"));
    assert_eq!(reply.header("cache-control"), Some("no-cache"));
    let text = reply.text();
    let variant = text.lines().find(|line| line.starts_with("#EXT-X-STREAM-INF")).expect("a variant");
    assert!(
        variant.contains("CODECS=\"avc1.42C014,mp4a.40.2\",RESOLUTION=320x240,FRAME-RATE=30.000"),
        "{variant}"
    );
    assert!(text.contains("URI=\"audio.m3u8\"") && text.contains("\nvideo.m3u8\n"), "{text}");
    let tag = reply.header("etag").expect("entity tag");
    let again =
        crate::client::ask(house.address, "GET", "/live/front/master.m3u8", &[("if-none-match", tag)]);
    assert_eq!(again.status, 304);
}

#[test]
fn a_segment_is_its_parts_and_holds_the_access_units_of_the_ring() {
    let (house, mut camera) = House::with_camera("");
    camera.gops(3);
    for (track, kind) in [("video", media::Track::Video), ("audio", media::Track::Audio)] {
        let playlist = live(&house, &format!("{track}.m3u8")).text();
        assert!(playlist.contains(&format!("\n{track}-1.m4s\n")), "{playlist}");
        let parts: Vec<u8> = playlist
            .lines()
            .filter_map(|line| line.split_once(&format!("URI=\"{track}-1.")))
            .map(|(_, rest)| format!("{track}-1.{}", rest.split('"').next().expect("a name")))
            .flat_map(|part| live(&house, &part).body)
            .collect();
        let segment = live(&house, &format!("{track}-1.m4s"));
        assert_eq!(segment.header("cache-control"), Some("max-age=30"));
        assert_eq!(segment.body, parts);
        let gop = house.rings[0].read(1).expect("in the ring");
        let units: Vec<u8> = gop.track(kind).flat_map(|unit| unit.data.to_vec()).collect();
        assert_eq!(payload(&segment.body), units);
    }
}

/// What is in the `mdat` boxes.
fn payload(mut segment: &[u8]) -> Vec<u8> {
    let mut payload = Vec::new();
    while !segment.is_empty() {
        let (kind, content) = next_box(&mut segment).expect("a whole box");
        if kind == "mdat" {
            payload.extend(content);
        }
    }
    payload
}

#[test]
fn a_blocking_reload_is_answered_with_the_part_it_waits_for() {
    let (house, mut camera) = House::with_camera("");
    camera.gops(4);
    (0..10).for_each(|_| camera.picture());
    let now = live(&house, "video.m3u8").text();
    let hint = "#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"video-4.2.m4s\"";
    assert!(now.contains(hint), "{now}");
    let playlist = ask_meanwhile(&house, "video.m3u8?_HLS_msn=4&_HLS_part=2");
    let delta = ask_meanwhile(&house, "video.m3u8?_HLS_msn=4&_HLS_part=2&_HLS_skip=YES");
    let hinted = ask_meanwhile(&house, "video-4.2.m4s");
    wait_until("all three wait", || house.status.metrics.connections_accepted.get() == 4);
    (0..7).for_each(|_| camera.picture());
    let playlist = playlist.join().expect("answered").text();
    assert!(playlist.contains("#EXT-X-PART:DURATION=0.23333,URI=\"video-4.2.m4s\""), "{playlist}");
    assert_eq!(delta.join().expect("answered").status, 200);
    let hinted = hinted.join().expect("answered");
    let gop = house.rings[0].read(4).expect("in the ring");
    let pictures = gop.track(media::Track::Video);
    let tenth_to_sixteenth: Vec<u8> = pictures.skip(9).take(7).flat_map(|unit| unit.data.to_vec()).collect();
    assert_eq!((hinted.status, payload(&hinted.body)), (200, tenth_to_sixteenth));
}

#[test]
fn a_camera_that_stands_still_makes_a_blocking_reload_end_with_503() {
    let (house, mut camera) = House::with_camera("");
    let nothing = ask_meanwhile(&house, "master.m3u8");
    let reply = nothing.join().expect("answered");
    assert_eq!(reply.text(), "The camera has delivered nothing new for 3 seconds.\n");
    camera.gops(3);
    wait_until("the timeline has them", || live(&house, "video.m3u8").text().contains("\"video-2.0.m4s\""));
    let reply = live(&house, "video.m3u8?_HLS_msn=3");
    assert_eq!((reply.status, reply.header("retry-after")), (503, Some("1")));
}

#[test]
fn as_many_requests_wait_as_may_and_more_are_told_at_once() {
    let (house, _camera) = House::with_camera("[live]\nmax_connections = 400\nmax_per_address = 400");
    let ask = |_| {
        let mut stream = connect(house.address);
        let request = b"GET /live/front/master.m3u8 HTTP/1.1\r\nhost: porthole\r\nconnection: close\r\n\r\n";
        stream.write_all(request).expect("asks");
        stream
    };
    let asked: Vec<_> = (0..300).map(ask).collect();
    let answer = |stream| {
        let (mut reply, mut text) = (head(stream), String::new());
        reply.read_to_string(&mut text).expect("a text");
        assert_eq!(reply.status, 503, "{text}");
        text
    };
    let answers: Vec<String> = asked.into_iter().map(answer).collect();
    let count = |text| answers.iter().filter(|answer| *answer == text).count();
    assert_eq!(count("The camera has delivered nothing new for 3 seconds.\n"), 256);
    assert_eq!(count("Too many requests wait for this camera.\n"), 44);
    assert_eq!(house.status.cameras[0].metrics.requests_turned_away.get(), 44);
}

#[test]
fn wrong_directives_get_400_with_the_culprit() {
    let (house, mut camera) = House::with_camera("");
    camera.gops(4);
    for (query, text) in [
        ("_HLS_msn=x", "_HLS_msn has a value that it cannot have"),
        ("_HLS_msn=-1", "_HLS_msn has a value that it cannot have"),
        ("_HLS_part=2", "_HLS_part without _HLS_msn"),
        ("_HLS_msn=3&_HLS_msn=3", "_HLS_msn is given twice"),
        ("_HLS_skip=NO", "_HLS_skip has a value that it cannot have"),
        ("_HLS_msn=9", "_HLS_msn or _HLS_part is too far in the future: the last segment is 2"),
    ] {
        let reply = live(&house, &format!("video.m3u8?{query}"));
        assert_eq!((reply.status, reply.text()), (400, format!("{text}\n")), "{query}");
    }
}

#[test]
fn a_segment_that_left_the_ring_is_named() {
    let (house, mut camera) = House::with_camera("[ring]\nseconds = 10");
    camera.gops(30);
    let playlist = live(&house, "video.m3u8").text();
    let reply = live(&house, "video-3.m4s");
    assert_eq!(
        (reply.status, reply.text().as_str()),
        (404, "video-3.m4s: GOP 3 has left the ring of camera front.\n"),
        "{playlist}"
    );
    assert_eq!(live(&house, "video-99.m4s").text(), "video-99.m4s does not exist yet.\n");
    assert_eq!(live(&house, "video-28.9.m4s").text(), "video-28.9.m4s: the segment has no such part.\n");
    assert_eq!(live(&house, "video-00000000.mp4").status, 404);
}

#[test]
fn a_hole_in_the_footage_is_a_discontinuity_and_a_new_configuration_a_new_map() {
    let (house, mut camera) = House::with_camera("");
    camera.gops(2);
    camera.pause(5);
    camera.gops(2);
    camera.set_sound(false);
    camera.gops(2);
    let playlist = live(&house, "video.m3u8").text();
    assert_eq!(playlist.matches("#EXT-X-DISCONTINUITY\n").count(), 3, "{playlist}");
    assert_eq!(playlist.matches("#EXT-X-MAP:").count(), 2, "{playlist}");
    assert_eq!(live(&house, "audio.m3u8").text(), "Camera \"front\" has no sound.\n");
    let map =
        playlist.split("#EXT-X-MAP:URI=\"").nth(1).and_then(|rest| rest.split('"').next()).expect("a map");
    let init = live(&house, map);
    assert_eq!(init.header("cache-control"), Some("max-age=31536000, immutable"));
    assert_eq!(next_box(&mut init.body.as_slice()).expect("box").0, "ftyp");
}

#[test]
fn the_segment_that_grows_comes_in_chunks_as_they_are_made() {
    let (house, mut camera) = House::with_camera("");
    camera.gops(3);
    (0..10).for_each(|_| camera.picture());
    let mut segment = open(connect(house.address), "GET", "/live/front/video-3.m4s", &[]);
    assert_eq!(next_box(&mut segment).expect("box").0, "styp");
    (0..21).for_each(|_| camera.picture());
    let mut rest = Vec::new();
    segment.read_to_end(&mut rest).expect("the segment ends with its GOP");
    let whole = live(&house, "video-3.m4s").body;
    assert_eq!(whole[whole.len() - rest.len()..], rest);
}

#[test]
fn the_mpd_points_to_the_same_segments_and_to_a_clock() {
    let (house, mut camera) = House::with_camera("");
    camera.gops(3);
    let mpd = live(&house, "manifest.mpd");
    assert_eq!(mpd.header("content-type"), Some("application/dash+xml"));
    assert!(mpd.text().contains("startNumber=\"0\" presentationTimeOffset=\"0\""), "{}", mpd.text());
    assert!(mpd.text().contains("media=\"video-s$Number$.m4s\""), "{}", mpd.text());
    let second = camera.first_second();
    let by_second = |second: i64| live(&house, &format!("video-s{second}.m4s"));
    assert_eq!(by_second(second + 1).body, live(&house, "video-1.m4s").body);
    assert_eq!((by_second(second - 1).status, by_second(second + 9).status), (404, 404));
    assert!(mpd.text().contains("<Title>front</Title>"), "{}", mpd.text());
    let clock = live(&house, "utc").text();
    assert_eq!((clock.len(), clock.ends_with('Z')), ("2026-11-21T05:40:00.000Z".len(), true), "{clock}");
}

#[test]
fn a_gop_comes_as_a_transport_stream_once_it_has_ended() {
    let (house, mut camera) = House::with_camera("");
    camera.gops(3);
    let segment = live(&house, "1.ts");
    assert_eq!((segment.status, segment.header("content-type")), (200, Some("video/mp2t")));
    let packets = media::ts::demux(&segment.body).expect("a whole stream");
    let pictures = packets.iter().filter(|pes| pes.track == Track::Video).count();
    assert_eq!((pictures, segment.body.len() % media::ts::PACKET), (30, 0));
    assert_eq!(live(&house, "9.ts").status, 404);
}

#[test]
fn two_cameras_keep_apart() {
    let (house, mut cameras) = House::start("[[camera]]\nname = \"a\"\n[[camera]]\nname = \"b\"");
    cameras[0].gops(2);
    cameras[1].gops(5);
    for (name, last) in [("a", "video-0.m4s"), ("b", "video-3.m4s")] {
        let playlist = get(house.address, &format!("/live/{name}/video.m3u8")).text();
        let segments: Vec<&str> = playlist.lines().filter(|line| line.ends_with(".m4s")).collect();
        assert_eq!(segments.last(), Some(&last), "{playlist}");
    }
}

#[test]
fn ffmpeg_plays_hls_and_dash_without_a_complaint() {
    let (house, camera) = House::with_camera("");
    let _filming = camera.film();
    for manifest in ["master.m3u8", "ts.m3u8", "manifest.mpd"] {
        let output = Command::new("ffmpeg")
            .args(["-v", "error", "-xerror", "-i", &house.url(&format!("/live/front/{manifest}"))])
            .args(["-t", "3", "-f", "null", "-"])
            .output()
            .expect("ffmpeg");
        assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{manifest}");
        assert!(output.status.success());
    }
}

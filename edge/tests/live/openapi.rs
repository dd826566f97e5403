//! docs/ref/openapi.json and docs/ref/http.md say what the server does.

use crate::client::{connect, get, open};
use crate::fixture::House;
use crate::schema::misfits;
use edge::status::{
    AtRisk, CameraState, Cause, Recording, RecordingState, StorageStatus, UploadFailure, UploadFailureKind,
    UploadState, UploadStatus,
};
use media::{Ticks90k, WallTime};
use serde_json::{Value, json};
use std::io::Read;

const NAME: &str = "2026-11-21-06-00-00-0badcafe-0000000001";

fn document() -> Value {
    serde_json::from_str(include_str!("../../../docs/ref/openapi.json")).expect("JSON")
}

/// A server that has one of everything to tell.
fn house() -> House {
    let (house, mut cameras) = House::start("[[camera]]\nname = \"front\"\n[[camera]]\nname = \"back\"");
    cameras[0].gops(4);
    let status = &house.status;
    let since = Ticks90k::ZERO;
    let (device, format) = ("/dev/video0".to_owned(), "YUYV".to_owned());
    status.cameras[0].set_state(CameraState::Streaming {
        device,
        format,
        width: 640,
        height: 480,
        stand_in: false,
        fps: 30.0,
        since,
    });
    status.cameras[1].set_state(CameraState::Gone { error: "/dev/video1: gone".to_owned(), since });
    let path = house.folder.path().join("recording");
    std::fs::write(&path, [0; 1000]).expect("recording");
    let recording = Recording {
        name: NAME.to_owned(),
        camera: "front".to_owned(),
        path,
        bytes: 1000,
        seconds: 4.0,
        start: Some(WallTime(0)),
        state: RecordingState::Sealed,
    };
    status.set_recordings([recording].into());
    status.gaps.open("back", Cause::CameraGone, since, Some(WallTime(0)));
    let failure = UploadFailure { kind: UploadFailureKind::Slow, message: "slow".to_owned(), tries: 2 };
    status.set_upload(UploadStatus {
        remote: "a@b:22".to_owned(),
        state: UploadState::Sending { recording: NAME.to_owned(), sent: 1, bytes: 1000 },
        pending: 1,
        pending_bytes: 999,
        bytes_per_second: Some(100_000),
        seconds_to_finish: Some(0.1),
        seconds_to_full: None,
        at_risk: vec![AtRisk { camera: "front".to_owned(), seconds: 4.0 }],
        receipts: 0,
        failure: Some(failure),
    });
    status.set_storage(StorageStatus { ram: true, written_bytes_per_day: Some(5_200_000_000) });
    status.set_fault("store", Some("full".to_owned()));
    house
}

/// A path of the document with values in place of its parameters.
fn filled(path: &str, version: &str, config: &str, second: &str) -> String {
    [
        ("{version}", version),
        ("{second}", second),
        ("{camera}", "front"),
        ("{file}", "style.css"),
        ("{config}", config),
        ("{sequence}", "1"),
        ("{part}", "0"),
        ("{name}", NAME),
    ]
    .iter()
    .fold(path.to_owned(), |path, (name, value)| path.replace(name, value))
}

#[test]
fn every_path_answers_as_described() {
    let (document, house) = (document(), house());
    let page = get(house.address, "/").text();
    let version = page.split("/page/").nth(1).and_then(|rest| rest.split('/').next()).expect("a version");
    let playlist = get(house.address, "/live/front/video.m3u8").text();
    let second = house.rings[0].read(1).expect("in the ring").start.second().to_string();
    let map = playlist.split("URI=\"video-").nth(1).and_then(|rest| rest.split('.').next()).expect("a map");
    for (path, item) in document["paths"].as_object().expect("paths") {
        let response = &item["get"]["responses"]["200"];
        let mut reply = open(connect(house.address), "GET", &filled(path, version, map, &second), &[]);
        assert_eq!(reply.status, 200, "{path}");
        let Some((kind, content)) = response["content"].as_object().and_then(|content| content.iter().next())
        else {
            continue;
        };
        let told = reply.headers.iter().find(|(name, _)| name == "content-type").map(|(_, kind)| kind);
        assert_eq!(told, Some(kind), "{path}");
        if let Some(schema) = content.get("schema") {
            let mut body = Vec::new();
            reply.read_to_end(&mut body).expect("an answer");
            let answer = serde_json::from_slice(&body).expect("JSON");
            assert_eq!(misfits(&document, schema, &answer, path), [""; 0], "{answer:#}");
        }
    }
}

#[test]
fn an_unknown_camera_recording_or_segment_is_a_text_that_says_so() {
    let (document, house) = (document(), house());
    for (path, item) in document["paths"].as_object().expect("paths") {
        if item["get"]["responses"].get("404").is_some() {
            let unknown = filled(path, "0000000000000000", "ffffffff", "1")
                .replace("front", "nobody")
                .replace(NAME, "none")
                .replace("style", "no");
            let reply = get(house.address, &unknown);
            assert_eq!(
                (reply.status, reply.header("content-type")),
                (404, Some("text/plain; charset=utf-8")),
                "{path}"
            );
        }
    }
}

#[test]
fn a_field_that_is_not_described_would_be_noticed() {
    let document = document();
    let schema = json!({ "$ref": "#/components/schemas/Now" });
    let found = |value| misfits(&document, &schema, &value, "now");
    assert_eq!(found(json!({ "media": 1.5, "wall": null })), [""; 0]);
    assert_eq!(
        found(json!({ "media": "1.5", "more": 1 })),
        ["now has more, which is not described", "now.media is not \"number\"", "now lacks \"wall\""]
    );
}

#[test]
fn the_reference_page_has_every_path() {
    let page = include_str!("../../../docs/ref/http.md");
    let setup: Value =
        serde_json::from_str(include_str!("../../../docs/ref/setup-openapi.json")).expect("JSON");
    for document in [document(), setup] {
        for path in document["paths"].as_object().expect("paths").keys() {
            assert!(page.contains(&format!("`{path}`")), "docs/ref/http.md lacks {path}");
        }
    }
}

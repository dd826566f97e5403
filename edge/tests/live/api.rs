//! `/api`, `/metrics`, `/healthz`, `/live/<camera>/timeline`.

use crate::client::get;
use crate::fixture::{House, wait_until};
use edge::status::{CameraState, Cause};
use edge::supervise::clock;
use media::Ticks90k;
use serde_json::json;

#[test]
fn a_camera_reports_what_is_measured() {
    let (house, mut camera) = House::with_camera("");
    let error = "/dev/video0: no such device".to_owned();
    house.status.cameras[0].set_state(CameraState::Gone { error, since: Ticks90k::ZERO });
    let empty = get(house.address, "/api/cameras").json();
    assert_eq!(empty["cameras"][0]["state"], "gone");
    assert_eq!(empty["cameras"][0]["ring"], json!(null));
    camera.gops(3);
    let reply = get(house.address, "/api/cameras");
    assert_eq!(reply.header("content-type"), Some("application/json"));
    assert_eq!(reply.header("cache-control"), Some("no-store"));
    assert_eq!(reply.header("access-control-allow-origin"), None);
    let camera = &reply.json()["cameras"][0];
    assert_eq!(camera["codecs"], "avc1.42C014,mp4a.40.2");
    assert_eq!((&camera["video"]["width"], &camera["video"]["fps"]), (&json!(320), &json!(30.0)));
    assert_eq!(camera["audio"], json!({ "codec": "mp4a.40.2", "sample_rate": 48000, "channels": 1 }));
    let ring = &camera["ring"];
    assert_eq!((&ring["first_sequence"], &ring["last_sequence"]), (&json!(0), &json!(2)));
    let seconds = ring["end"].as_f64().expect("end") - ring["start"].as_f64().expect("start");
    assert_eq!(format!("{seconds:.3}"), "3.000");
    let rate = camera["video"]["bits_per_second"].as_u64().expect("bit rate");
    assert!((300_000..700_000).contains(&rate), "{rate}");
    let wall = camera["newest"]["wall"].as_i64().expect("wall");
    let media = camera["newest"]["media"].as_f64().expect("media");
    let mapping = clock::mapping().expect("the clock is set");
    let apart = mapping.wall_of(Ticks90k((media * 90_000.0) as i64)).as_millis() - wall;
    assert!(apart.abs() <= 5, "{apart} ms between the two clocks");
}

#[test]
fn health_names_the_stage_that_does_not_move() {
    let (house, _camera) = House::with_camera("");
    assert_eq!(get(house.address, "/healthz").status, 200);
    let _never_beats = house.status.pulses.register("encode front");
    house.status.set_fault("store", Some("/data: read-only file system".to_owned()));
    wait_until("the silence shows", || get(house.address, "/healthz").status == 503);
    let reply = get(house.address, "/healthz");
    assert_eq!(
        reply.json(),
        json!({
            "healthy": false,
            "stages": [
                { "stage": "live-io", "moving": true },
                { "stage": "live", "moving": true },
                { "stage": "encode front", "moving": false },
            ],
            "faults": [{ "part": "store", "message": "/data: read-only file system" }],
        })
    );
}

#[test]
fn gaps_and_status_and_metrics_are_there() {
    let (house, mut camera) = House::with_camera("");
    camera.gops(1);
    house.status.gaps.open("front", Cause::CameraGone, Ticks90k(0), None);
    house.status.gaps.close("front", Cause::CameraGone, Ticks90k(45_000));
    assert_eq!(
        get(house.address, "/api/gaps").json()["gaps"],
        json!([{ "camera": "front", "cause": "camera_gone", "start": null, "seconds": 0.5, "lasts": false }])
    );
    let status = get(house.address, "/api/status").json();
    assert_eq!(
        (&status["healthy"], &status["viewers"], &status["upload"]),
        (&json!(true), &json!(0), &json!(null))
    );
    assert_eq!(status["recordings"], json!({ "count": 0, "bytes": 0, "seconds": 0.0 }));
    let metrics = get(house.address, "/metrics");
    assert!(metrics.text().contains("porthole_edge_connections_accepted_total 3\n"), "{}", metrics.text());
    assert!(metrics.text().ends_with("# EOF\n"));
}

#[test]
fn the_timeline_has_a_span_for_each_stretch_of_footage() {
    let (house, mut camera) = House::with_camera("");
    camera.gops(2);
    camera.pause(10);
    camera.gops(3);
    let reply = get(house.address, "/live/front/timeline");
    assert_eq!(reply.header("access-control-allow-origin"), Some("*"));
    let timeline = reply.json();
    let spans = timeline["spans"].as_array().expect("spans");
    let numbers: Vec<_> =
        spans.iter().map(|span| (&span["first_sequence"], &span["last_sequence"])).collect();
    assert_eq!(numbers, [(&json!(0), &json!(1)), (&json!(2), &json!(4))]);
    let hole = spans[1]["start"].as_f64().expect("start") - spans[0]["end"].as_f64().expect("end");
    assert_eq!(format!("{hole:.3}"), "10.000");
}

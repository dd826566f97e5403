//! `/recordings/NAME.mp4`.

use crate::client::{Reply, ask, get};
use crate::fixture::House;
use edge::status::{Recording, RecordingState};

const NAME: &str = "2026-11-21-06-00-00-0badcafe-0000000001";

/// A server with one recording of 200,000 bytes, of which `bytes` are told.
fn house(state: RecordingState, bytes: u64) -> (House, Vec<u8>) {
    let (house, _camera) = House::with_camera("");
    let content: Vec<u8> = (0..200_000_u32).map(|n| (n % 251) as u8).collect();
    let path = house.folder.path().join("recording");
    std::fs::write(&path, &content).expect("recording");
    let camera = "front".to_owned();
    let recording =
        Recording { name: NAME.to_owned(), camera, path, bytes, seconds: 4.0, start: None, state };
    house.status.set_recordings([recording].into());
    (house, content)
}

fn fetch(house: &House, headers: &[(&str, &str)]) -> Reply {
    ask(house.address, "GET", &format!("/recordings/{NAME}.mp4"), headers)
}

#[test]
fn a_sealed_recording_comes_whole_or_in_ranges() {
    let (house, content) = house(RecordingState::Sealed, 200_000);
    let whole = fetch(&house, &[]);
    assert_eq!((whole.status, whole.body == content), (200, true));
    assert_eq!(whole.header("accept-ranges"), Some("bytes"));
    let tag = whole.header("etag").expect("entity tag").to_owned();
    let part = fetch(&house, &[("range", "bytes=100000-199999")]);
    assert_eq!((part.status, part.body == content[100_000..]), (206, true));
    assert_eq!(part.header("content-range"), Some("bytes 100000-199999/200000"));
    assert_eq!(fetch(&house, &[("range", "bytes=-1"), ("if-range", &tag)]).body, content[199_999..]);
    assert_eq!(fetch(&house, &[("range", "bytes=-1"), ("if-range", "\"other\"")]).status, 200);
    assert_eq!(fetch(&house, &[("if-none-match", &tag)]).status, 304);
    let head = ask(house.address, "HEAD", &format!("/recordings/{NAME}.mp4?download=1"), &[]);
    assert_eq!((head.status, head.header("content-length")), (200, Some("200000")));
    let name = format!("attachment; filename=\"{NAME}.mp4\"");
    assert_eq!(head.header("content-disposition"), Some(name.as_str()));
}

#[test]
fn a_growing_recording_ends_at_its_last_whole_gop() {
    let (house, content) = house(RecordingState::Growing, 150_000);
    let whole = fetch(&house, &[]);
    assert_eq!(whole.body, content[..150_000]);
    assert_eq!(fetch(&house, &[("range", "bytes=149999-160000")]).body, content[149_999..150_000]);
}

#[test]
fn a_bad_range_is_named() {
    let (house, _content) = house(RecordingState::Sealed, 200_000);
    let outside = fetch(&house, &[("range", "bytes=200000-")]);
    assert_eq!((outside.status, outside.header("content-range")), (416, Some("bytes */200000")));
    let malformed = fetch(&house, &[("range", "bytes=9-1")]);
    assert_eq!(
        (malformed.status, malformed.text().as_str()),
        (400, "The range \"bytes=9-1\" cannot be understood.\n")
    );
}

#[test]
fn nothing_but_a_listed_name_is_served() {
    let (house, _content) = house(RecordingState::Sealed, 200_000);
    for path in ["../recording", "%2e%2e%2frecording", "recording", "", "x.mp4", NAME] {
        let reply = get(house.address, &format!("/recordings/{path}"));
        assert_eq!(reply.status, 404, "{path}: {}", reply.text());
    }
    std::fs::remove_file(house.folder.path().join("recording")).expect("removed");
    let gone = fetch(&house, &[]);
    assert_eq!(gone.text(), format!("The recording \"{NAME}.mp4\" has just left this edge.\n"));
}

//! `snapshot.jpg` and `mjpeg`.

use crate::client::{ask, connect, get, open};
use crate::fixture::House;
use std::io::{Read, Write};
use std::process::{Command, Stdio};

/// The middle pixel of a JPEG and its size, by ffmpeg.
fn probe(jpeg: &[u8]) -> String {
    let mut ffprobe = Command::new("ffprobe")
        .args([
            "-v",
            "error",
            "-show_entries",
            "stream=codec_name,width,height,pix_fmt",
            "-of",
            "csv=p=0",
            "-",
        ])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("ffprobe");
    ffprobe.stdin.take().expect("stdin").write_all(jpeg).expect("JPEG");
    String::from_utf8_lossy(&ffprobe.wait_with_output().expect("ffprobe").stdout).into_owned()
}

#[test]
fn a_snapshot_is_the_idr_of_the_newest_gop() {
    let (house, mut camera) = House::with_camera("");
    let nothing = get(house.address, "/live/front/snapshot.jpg");
    assert_eq!(
        (nothing.status, nothing.text().as_str()),
        (503, "Camera \"front\": the camera has delivered nothing yet.\n")
    );
    camera.gops(1);
    let first = get(house.address, "/live/front/snapshot.jpg");
    assert_eq!((first.status, first.header("content-type")), (200, Some("image/jpeg")));
    assert_eq!(probe(&first.body), "mjpeg,320,240,yuvj420p\n");
    let tag = first.header("etag").expect("entity tag");
    let again = || ask(house.address, "GET", "/live/front/snapshot.jpg", &[("if-none-match", tag)]);
    assert_eq!(again().status, 304);
    camera.gops(1);
    let second = again();
    assert_eq!((second.status, second.body != first.body), (200, true));
}

#[test]
fn mjpeg_shows_each_new_gop_once_and_has_few_viewers() {
    let (house, mut camera) = House::with_camera("");
    camera.gops(1);
    let mut viewers: Vec<_> =
        (0..8).map(|_| open(connect(house.address), "GET", "/live/front/mjpeg", &[])).collect();
    let ninth = get(house.address, "/live/front/mjpeg");
    assert_eq!(
        (ninth.status, ninth.text().as_str()),
        (503, "Camera \"front\" has 8 viewers of mjpeg already.\n")
    );
    assert_eq!(house.status.cameras[0].metrics.requests_turned_away.get(), 1);
    let mut viewer = viewers.remove(0);
    let first = picture(&mut viewer, "--picture\r\n");
    assert_eq!(probe(&first), "mjpeg,320,240,yuvj420p\n");
    camera.gops(1);
    assert_ne!(picture(&mut viewer, "--picture\r\n"), first);
}

/// The next picture of a multipart stream, which `before` precedes; the boundary behind it stays unread.
fn picture(stream: &mut impl Read, before: &str) -> Vec<u8> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).expect("a part");
        head.push(char::from(byte[0]));
    }
    assert!(head.trim_start().starts_with(before.trim_end()), "{head}");
    let length =
        head.split("content-length: ").nth(1).and_then(|rest| rest.trim().parse().ok()).expect("length");
    let mut jpeg = vec![0; length];
    stream.read_exact(&mut jpeg).expect("a picture");
    jpeg
}

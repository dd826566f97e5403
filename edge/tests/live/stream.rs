//! `stream.mp4`.

use crate::client::{boxes_until_mdat, connect, get, next_box, open};
use crate::fixture::{House, wait_until};
use std::io::Read;
use std::process::Command;

const PATH: &str = "/live/front/stream.mp4";

#[test]
fn a_viewer_gets_init_segment_and_newest_idr_first() {
    let (house, mut camera) = House::with_camera("");
    camera.gops(2);
    camera.picture();
    let mut stream = open(connect(house.address), "GET", PATH, &[]);
    assert_eq!(stream.status, 200);
    // The IDR with its capture time, and the sound that goes with it.
    let types = boxes_until_mdat(&mut stream, 3);
    assert_eq!(types, ["ftyp", "moov", "prft", "moof", "mdat", "moof", "mdat", "moof", "mdat"]);
    camera.picture();
    assert_eq!(boxes_until_mdat(&mut stream, 1), ["moof", "mdat"]);
}

#[test]
fn without_sound_the_stream_has_pictures_alone() {
    let (house, mut camera) = House::with_camera("");
    camera.gops(1);
    let mut stream = open(connect(house.address), "GET", &format!("{PATH}?audio=0"), &[]);
    assert_eq!(boxes_until_mdat(&mut stream, 30).len(), 2 + 1 + 30 * 2);
}

#[test]
fn a_camera_without_footage_yet_keeps_its_viewer_waiting_for_the_first_picture() {
    let (house, mut camera) = House::with_camera("");
    let mut stream = open(connect(house.address), "GET", PATH, &[]);
    assert_eq!(stream.status, 200);
    camera.picture();
    assert_eq!(boxes_until_mdat(&mut stream, 1)[..2], ["ftyp", "moov"]);
}

#[test]
fn a_new_decoder_configuration_ends_the_answer() {
    let (house, mut camera) = House::with_camera("");
    camera.gops(1);
    let mut stream = open(connect(house.address), "GET", PATH, &[]);
    boxes_until_mdat(&mut stream, 30);
    camera.set_sound(false);
    camera.gops(1);
    stream.read_to_end(&mut Vec::new()).expect("an answer that ends well");
    let mut again = open(connect(house.address), "GET", PATH, &[]);
    assert_eq!(next_box(&mut again).expect("box").0, "ftyp");
}

#[test]
fn sixty_four_viewers_who_come_at_once_all_get_their_stream() {
    let (house, camera) = House::with_camera("[live]\nmax_per_address = 64");
    let _filming = camera.film();
    let viewers: Vec<_> = (0..64)
        .map(|_| {
            let address = house.address;
            std::thread::spawn(move || {
                let mut stream = open(connect(address), "GET", PATH, &[]);
                boxes_until_mdat(&mut stream, 100).len()
            })
        })
        .collect();
    for viewer in viewers {
        assert!(viewer.join().expect("a viewer's stream") > 200);
    }
    assert_eq!(house.status.cameras[0].metrics.reader_lapped.get(), 0);
    wait_until("all have left", || house.status.cameras[0].metrics.viewers.get() == 0);
}

#[test]
fn ffprobe_reads_picture_and_sound() {
    let (house, camera) = House::with_camera("");
    let _filming = camera.film();
    let output = Command::new("ffprobe")
        .args([
            "-v",
            "error",
            "-read_intervals",
            "%+2",
            "-show_entries",
            "stream=codec_name,width,sample_rate",
        ])
        .args(["-of", "compact=p=0", &house.url(PATH)])
        .output()
        .expect("ffprobe");
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(text, "codec_name=h264|width=320\ncodec_name=aac|sample_rate=48000\n");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}

#[test]
fn an_unknown_camera_and_an_unknown_path_are_named() {
    let (house, _camera) = House::with_camera("");
    let reply = get(house.address, "/live/back/stream.mp4");
    assert_eq!((reply.status, reply.text().as_str()), (404, "There is no camera \"back\".\n"));
    let reply = get(house.address, "/live/front/stream.avi");
    assert_eq!((reply.status, reply.text().as_str()), (404, "Camera \"front\" has no \"stream.avi\".\n"));
}

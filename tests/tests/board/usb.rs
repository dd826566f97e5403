//! A webcam on USB, behind the driver that people's webcams have.

use super::*;
use std::sync::{Arc, Mutex};
use tests::footage::jpeg;
use tests::usb::{Plugged, lock};
use tests::wait::wait_until;
use tests::webcam::{Control, Webcam};
use tests::work::saw;

/// Plugs it in, and waits until it has its node.
fn plug(board: &mut Board) -> Result<(Plugged, Arc<Mutex<Webcam>>)> {
    let webcam = Arc::new(Mutex::new(Webcam::new(std::fs::read(jpeg()?)?)));
    board.run("modprobe -a xhci_pci uvcvideo")?;
    let plugged = board.plug(&webcam)?;
    board.run("until [ -e /dev/video0 ]; do sleep 0.1; done").with_context(|| board.console())?;
    Ok((plugged, webcam))
}

#[test]
fn a_webcam_whose_firmware_is_stuck_is_reset_and_has_its_controls_again() {
    use Control::{ExposureMode, ExposureTime, Focus, FocusAuto, PowerLine, WhiteBalance, WhiteBalanceAuto};
    let mut board = Board::boot().unwrap();
    let (_plugged, webcam) = plug(&mut board).unwrap();
    let picture = [WhiteBalanceAuto, WhiteBalance, PowerLine];
    let set = || {
        let lens = [ExposureMode, ExposureTime, FocusAuto, Focus].map(|control| lock(&webcam).value(control));
        (lens, picture.map(|control| lock(&webcam).value(control)))
    };
    let controls =
        "[camera.controls]\nexposure = 250\nfocus = 40\nwhite_balance = 5200\npower_line = \"50Hz\"";
    let configured = ([1, 250, 0, 40], [0, 5200, 1]);
    board.start_edge(&looking_at("v4l2:/dev/video0", controls)).unwrap();
    assert_eq!(wait_for_pictures(&mut board).unwrap(), "MJPEG 320x240");
    assert_eq!(set(), configured, "manual, and what is configured");

    lock(&webcam).get_stuck();
    wait_until("a reset", PATIENCE, || count(&board, "camera_usb_resets") > 0).unwrap_or_else(|error| {
        panic!("{error}: {:?}\n{}\n{}", camera(&board), board.edge_log(), board.console())
    });
    let repaired = || camera(&board).is_ok_and(|camera| camera["repairs"]["made"] == 1);
    wait_until("a repair", PATIENCE, repaired)
        .unwrap_or_else(|error| panic!("{error}: {:?}\n{}", camera(&board), board.edge_log()));
    wait_for_pictures(&mut board).unwrap();
    assert_eq!(set(), configured, "a reset has taken that from the camera");

    let repairs = camera(&board).unwrap()["repairs"].clone();
    assert!(lock(&webcam).resets() > 0);
    assert_eq!(repairs["usb_resets"], 1, "{repairs}");
    assert_eq!(repairs["restarts"], 0, "{repairs}");
    assert!(repairs["mean_seconds"].as_f64().is_some_and(|seconds| seconds > 0.0), "{repairs}");
    let status = board.run("porthole-edge status").unwrap();
    assert!(status.contains("1 USB reset"), "{status}");
    saw(format!("{repairs}"));
}

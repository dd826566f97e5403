//! Cameras that misbehave, as the driver of the kernel's own tests can.

use super::*;
use tests::wait::wait_until;
use tests::work::{rounds, saw};

/// A board whose edge shows what the grabber delivers.
fn streaming() -> Board {
    let mut board = Board::boot().unwrap();
    grabber(&mut board).unwrap();
    board.start_edge(&looking_at("v4l2:/dev/video0", "")).unwrap();
    wait_for_pictures(&mut board).unwrap();
    board
}

/// Sets a control of the driver.
fn control(board: &mut Board, name: &str, value: u32) {
    board.run(&format!("v4l2-ctl -d /dev/video0 -c {name}={value}")).unwrap();
}

/// Waits until more pictures than now were encoded.
fn wait_for_more(board: &Board) {
    let now = count(board, "frames_encoded");
    wait_until("more pictures", PATIENCE, || count(board, "frames_encoded") > now + 2)
        .unwrap_or_else(|error| panic!("{error}: {:?}", camera(board)));
}

/// How often the camera was opened again.
fn reopened(board: &Board) -> u64 {
    count(board, "camera_reopened")
}

/// The gaps that have ended, newest last: their causes.
fn ended_gaps(board: &Board) -> Vec<String> {
    let gaps = board.web.list("/api/gaps", "gaps").unwrap();
    let ended = gaps.iter().filter(|gap| gap["lasts"] == false);
    ended.map(|gap| gap["cause"].as_str().unwrap_or_default().to_owned()).collect()
}

/// What the process holds: descriptors, threads, and resident memory in KiB.
fn holds(board: &mut Board) -> [u64; 3] {
    let held = board
        .run("cd /proc/$(cat /run/edge.pid); ls fd | wc -l; ls task | wc -l; sed -n 's/VmRSS:[^0-9]*\\([0-9]*\\) kB/\\1/p' status")
        .unwrap();
    let held: Vec<u64> = held.lines().map(|number| number.trim().parse().unwrap()).collect();
    held.try_into().unwrap()
}

#[test]
fn damaged_and_lost_buffers_are_counted_and_the_picture_goes_on() {
    let mut board = streaming();
    control(&mut board, "inject_v4l2_buf_flag_error", 1);
    wait_until("a damaged frame", PATIENCE, || count(&board, "frames_damaged") == 1).unwrap();
    control(&mut board, "percentage_of_dropped_buffers", 50);
    wait_until("lost frames", PATIENCE, || count(&board, "frames_lost_by_driver") > 10).unwrap();
    control(&mut board, "percentage_of_dropped_buffers", 0);
    wait_for_more(&board);
    assert_eq!(reopened(&board), 0, "nothing of this is a reason to open it again");
}

#[test]
fn a_camera_that_fails_again_and_again_comes_back_and_leaves_nothing_behind() {
    let mut board = streaming();
    let rounds = u64::from(rounds(10));
    let mut before = [0; 3];
    for round in 1..=rounds {
        // Every second time the stream does not start at the first try.
        if round % 2 == 0 {
            control(&mut board, "inject_vidioc_streamon_error", 1);
        }
        control(&mut board, "inject_fatal_streaming_error", 1);
        wait_until("a reopened camera", PATIENCE, || reopened(&board) >= round).unwrap();
        wait_for_more(&board);
        if round == rounds.div_ceil(2) {
            before = holds(&mut board);
        }
    }
    let after = holds(&mut board);
    let gaps = ended_gaps(&board);
    assert!(gaps.iter().all(|cause| cause == "camera_gone"), "{gaps:?}");
    assert!(!gaps.is_empty());
    saw(format!(
        "{rounds} failures; descriptors, threads and KiB in the middle {before:?}, at the end {after:?}"
    ));
    assert_eq!(before[..2], after[..2], "descriptors and threads");
    assert!(after[2] < before[2] + 2048, "memory: {before:?} {after:?}");
}

#[test]
fn a_camera_that_was_unplugged_is_known_again_under_another_number() {
    let mut board = streaming();
    board.run("echo vivid.0 > /sys/bus/platform/drivers/vivid/unbind").unwrap();
    let gone = |board: &Board| camera(board).is_ok_and(|camera| camera["state"] == "gone");
    wait_until("its absence", PATIENCE, || gone(&board)).unwrap();
    board.run("rmmod vivid").unwrap();
    board.run("modprobe vivid n_devs=1 node_types=1 num_inputs=1 input_types=0x3 vid_cap_nr=7").unwrap();
    wait_for_pictures(&mut board).unwrap();
    assert_eq!(camera(&board).unwrap()["device"], "/dev/video7");
    assert_eq!(ended_gaps(&board), ["camera_gone"]);
}

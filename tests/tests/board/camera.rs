//! Modes of cameras, and that no frame is unaccounted for.

use super::*;
use std::time::Instant;
use tests::wait::wait_until;
use tests::work;

/// Averages of Y, U and V in the middle of each of eight upright bars.
fn bars(picture: &[u8]) -> Vec<[i32; 3]> {
    let average = |plane: &[u8], width: usize, bar: usize| {
        let (left, right) = (width * (4 * bar + 1) / 32, width * (4 * bar + 3) / 32);
        let lines = plane.chunks(width);
        let samples: Vec<i32> =
            lines.flat_map(|line| line[left..right].iter().map(|sample| i32::from(*sample))).collect();
        samples.iter().sum::<i32>() / samples.len() as i32
    };
    let (luma, chroma) = picture.split_at(320 * 240);
    let (blue, red) = chroma.split_at(160 * 120);
    (0..8).map(|bar| [average(luma, 320, bar), average(blue, 160, bar), average(red, 160, bar)]).collect()
}

#[test]
fn every_format_of_a_driver_shows_the_same_colours() {
    let mut board = Board::boot().unwrap();
    grabber(&mut board).unwrap();
    let mut seen = Vec::new();
    for format in ["yuyv", "uyvy", "nv12", "i420"] {
        let more = format!("format = \"{format}\"");
        board.start_edge(&looking_at("v4l2:/dev/video0", &more)).unwrap();
        let mode = wait_for_pictures(&mut board).unwrap();
        assert_eq!(mode, format!("{} 320x240", format.to_uppercase()));
        seen.push((format, bars(&picture(&board).unwrap())));
        board.stop_edge().unwrap();
    }
    let (_, first) = &seen[0];
    // White, yellow, cyan, green, magenta, red, blue, black: each darker than the one before.
    assert!(first.windows(2).all(|bars| bars[0][0] > bars[1][0] + 4), "{first:?}");
    let [_, yellow, cyan, _, _, red, blue, _] = first[..] else { panic!("{first:?}") };
    assert!(yellow[1] < 90 && cyan[2] < 90 && red[2] > 160 && blue[1] > 160, "{first:?}");
    for (format, bars) in &seen {
        let near = |a: &[i32; 3], b: &[i32; 3]| a.iter().zip(b).all(|(a, b)| (a - b).abs() <= 6);
        assert!(bars.iter().zip(first).all(|(a, b)| near(a, b)), "{format}: {bars:?} not {first:?}");
    }
}

#[test]
fn every_frame_of_a_driver_is_encoded_or_counted() {
    let mut board = Board::boot().unwrap();
    grabber(&mut board).unwrap();
    board.start_edge(&looking_at("v4l2:/dev/video0", "")).unwrap();
    assert_eq!(wait_for_pictures(&mut board).unwrap(), "I420 320x240");
    let (begun, before) = (Instant::now(), count(&board, "frames_captured"));
    let span = work::watch(10);
    wait_until("the time", PATIENCE + span, || begun.elapsed() >= span).unwrap();
    let frames = count(&board, "frames_captured") - before;
    println!(
        "{:.2} fps over {:.1} s",
        frames as f64 / begun.elapsed().as_secs_f64(),
        begun.elapsed().as_secs_f64()
    );
    // Once the camera is gone nothing is under way any more.
    board.run("v4l2-ctl -d /dev/video0 -c disconnect=1").unwrap();
    wait_until("the end", PATIENCE, || camera(&board).is_ok_and(|camera| camera["state"] == "gone")).unwrap();
    let counts = || {
        ["captured", "encoded", "dropped", "damaged", "left_out", "lost_by_driver"]
            .map(|name| count(&board, &format!("frames_{name}")))
    };
    let accounted = || {
        let [captured, encoded, dropped, damaged, left_out, _] = counts();
        captured == encoded + dropped + damaged + left_out
    };
    wait_until("every frame to be accounted for", PATIENCE, accounted).unwrap_or_else(|error| {
        panic!("{error}: captured, encoded, dropped, damaged, left out, lost: {:?}", counts())
    });
    let [captured, encoded, dropped, damaged, left_out, lost] = counts();
    println!(
        "captured {captured}, encoded {encoded}, dropped {dropped}, damaged {damaged}, left out {left_out}, lost by the driver {lost}"
    );
    assert!(frames > 0 && damaged == 0, "{captured} {damaged}");
}

#[test]
fn a_webcam_without_the_size_is_opened_in_the_next_larger_one() {
    let mut board = Board::boot().unwrap();
    board.run("modprobe vivid n_devs=1 node_types=1 num_inputs=1 input_types=0x0").unwrap();
    board.start_edge(&looking_at("auto", "")).unwrap();
    assert_eq!(wait_for_pictures(&mut board).unwrap(), "I420 640x360");
    assert!(board.run("porthole-edge probe").unwrap().contains("would be opened as I420 640x360 at 30 fps"));
}

#[test]
fn an_interlaced_input_is_refused_in_plain_words() {
    let mut board = Board::boot().unwrap();
    board.run("modprobe vivid n_devs=1 node_types=1 num_inputs=1 input_types=0x1").unwrap();
    board.start_edge(&looking_at("v4l2:/dev/video0", "")).unwrap();
    let error = || camera(&board).ok()?["error"].as_str().map(str::to_owned);
    let error = wait_for("a refusal", PATIENCE, error).unwrap();
    assert_eq!(error, "/dev/video0 (vivid): delivers interlaced fields, which is not supported");
}

#[test]
fn controls_reach_the_driver_and_what_it_lacks_is_named() {
    let mut board = Board::boot().unwrap();
    grabber(&mut board).unwrap();
    let controls = "[camera.controls]\nbrightness = 99\ngain = 17\ncontrast = 1000\nfocus = 3";
    board.start_edge(&looking_at("v4l2:/dev/video0", controls)).unwrap();
    wait_for_pictures(&mut board).unwrap();
    let values = board.run("v4l2-ctl -d /dev/video0 -C brightness,gain,gain_automatic").unwrap();
    assert_eq!(values, "brightness: 99\ngain: 17\ngain_automatic: 0\n");
    let log = board.edge_log();
    assert!(log.contains("controls.focus = 3: the camera has no such control"), "{log}");
    assert!(log.contains("controls.contrast = 1000: the camera takes 0 to 255"), "{log}");
}

#[test]
fn an_input_that_gets_no_signal_says_so_until_it_does() {
    let mut board = Board::boot().unwrap();
    grabber(&mut board).unwrap();
    signal(&mut board, "No Signal").unwrap();
    board.start_edge(&looking_at("v4l2:/dev/video0", "")).unwrap();
    let error = || camera(&board).ok()?["error"].as_str().map(str::to_owned);
    let error = wait_for("a complaint", PATIENCE, error).unwrap();
    assert!(error.starts_with("/dev/video0 (vivid): gets no signal"), "{error}");
    signal(&mut board, "Selected DV Timings").unwrap();
    assert_eq!(wait_for_pictures(&mut board).unwrap(), "I420 320x240");
}

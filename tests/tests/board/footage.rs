//! Footage through a driver: the test plays the camera, and looks at what comes out.

use super::*;
use std::io::Write;
use std::net::TcpStream;
use tests::footage::still;
use tests::wait::wait_until;

/// A program of the test that delivers frames to the driver, in time, until it is dropped.
struct Player {
    ffmpeg: std::process::Child,
    pump: Option<std::thread::JoinHandle<()>>,
}

impl Drop for Player {
    fn drop(&mut self) {
        let _ = self.ffmpeg.kill();
        let _ = self.ffmpeg.wait();
        if let Some(pump) = self.pump.take() {
            let _ = pump.join();
        }
    }
}

/// A camera at /dev/video9 that shows `film` (I420) over and over at 30 fps: pictures of 320x240, raw or as JPEGs that are filled up to one size with
/// zeros, as some webcams do. Once there is a file /run/short, a picture of one byte comes between two others.
fn play(board: &mut Board, film: &std::path::Path, format: &str) -> Result<Player> {
    let (code, output, size) = match format {
        "i420" => ("YU12", ["-f", "rawvideo", "-pix_fmt", "yuv420p"], 320 * 240 * 3 / 2),
        "mjpeg" => ("MJPG", ["-f", "mjpeg", "-pix_fmt", "yuvj420p"], 64 << 10),
        other => bail!("{other}"),
    };
    board.run("modprobe v4l2loopback video_nr=9 exclusive_caps=1 card_label=Film")?;
    board.run(&format!(
        "v4l2-ctl -d /dev/video9 --set-fmt-video-out=width=320,height=240,pixelformat={code}"
    ))?;
    let second = format!("dd bs={size} count=30 iflag=fullblock");
    let short = "if [ -e /run/short ]; then rm /run/short; printf x; fi";
    board
        .run(&format!("(nc -l -p 9000 | while {second}; do {short}; done > /dev/video9) 2> /run/player &"))?;
    board.run("until netstat -ltn | grep -q ':9000 '; do sleep 0.1; done")?;
    let mut ffmpeg = Command::new("ffmpeg");
    ffmpeg.args(["-loglevel", "error", "-re", "-stream_loop", "-1", "-f", "rawvideo", "-s", "320x240"]);
    ffmpeg.args(["-pix_fmt", "yuv420p", "-r", "30", "-i"]).arg(film);
    ffmpeg.args(["-q:v", "3"]).args(output).arg("-");
    let mut ffmpeg = ffmpeg.stdout(Stdio::piped()).spawn()?;
    let frames = ffmpeg.stdout.take().context("ffmpeg's output")?;
    let to_board = TcpStream::connect(("127.0.0.1", board.feed()))?;
    let jpegs = format == "mjpeg";
    let pump = std::thread::spawn(move || {
        let _ = if jpegs { pad_jpegs(frames, to_board, size) } else { copy(frames, to_board) };
    });
    Ok(Player { ffmpeg, pump: Some(pump) })
}

fn copy(mut from: impl std::io::Read, mut to: TcpStream) -> std::io::Result<()> {
    std::io::copy(&mut from, &mut to).map(drop)
}

/// JPEGs one after another, each filled up with zeros.
fn pad_jpegs(mut from: impl std::io::Read, mut to: TcpStream, size: usize) -> std::io::Result<()> {
    let mut read = Vec::new();
    let mut more = [0; 16 << 10];
    loop {
        let n = from.read(&mut more)?;
        if n == 0 {
            return Ok(());
        }
        read.extend_from_slice(&more[..n]);
        // ffmpeg's JPEGs have no thumbnail: the first end of an image is theirs.
        while let Some(end) = read.windows(2).position(|bytes| bytes == [0xFF, 0xD9]) {
            let mut frame: Vec<u8> = read.drain(..end + 2).collect();
            frame.resize(size, 0);
            to.write_all(&frame)?;
        }
    }
}

/// How much two pictures differ: the mean of the absolute differences of their luma.
fn difference(a: &[u8], b: &[u8]) -> f64 {
    let luma = a.iter().zip(b).take(320 * 240);
    luma.map(|(a, b)| f64::from(a.abs_diff(*b))).sum::<f64>() / f64::from(320 * 240)
}

fn footage_comes_through(format: &str) {
    let mut board = Board::boot().unwrap();
    let film = still().unwrap();
    let _player = play(&mut board, &film, format).unwrap();
    board.start_edge(&looking_at("v4l2:/dev/video9", "")).unwrap();
    let mode = wait_for_pictures(&mut board).unwrap();
    assert_eq!(mode, format!("{} 320x240", format.to_uppercase()), "{}", board.edge_log());
    let shown = picture(&board).unwrap();
    let difference = difference(&shown, &std::fs::read(film).unwrap());
    println!("{format}: mean difference of luma {difference:.2}");
    assert!(difference < 4.0, "{difference}");
}

#[test]
fn raw_footage_comes_through() {
    footage_comes_through("i420");
}

#[test]
fn motion_jpeg_comes_through() {
    footage_comes_through("mjpeg");
}

#[test]
fn a_picture_without_content_is_counted_and_a_camera_that_stands_still_is_back_as_soon_as_it_moves() {
    let mut board = Board::boot().unwrap();
    let _player = play(&mut board, &still().unwrap(), "i420").unwrap();
    board.start_edge(&looking_at("v4l2:/dev/video9", "")).unwrap();
    wait_for_pictures(&mut board).unwrap();
    // The driver has room for two pictures: a reader that is late passes over the older one, and another one is sent.
    let counted = |board: &mut Board| {
        board.run("touch /run/short").unwrap();
        count(board, "frames_damaged") > 0
    };
    wait_until("the picture of one byte", PATIENCE, || counted(&mut board)).unwrap();

    // On a busy machine there may have been others before.
    let gaps = |board: &Board, lasts: bool| {
        let gaps = board.web.list("/api/gaps", "gaps").unwrap_or_default();
        gaps.iter().filter(|gap| gap["cause"] == "camera_gone" && gap["lasts"] == lasts).count()
    };
    let before = gaps(&board, false);
    // The driver is asked for a picture and has none: whoever waited for it without an end would wait for ever.
    board.run("until pid=$(pidof dd) && kill -STOP $pid; do :; done").unwrap();
    wait_until("a gap", PATIENCE, || gaps(&board, true) > 0).unwrap();
    let placeholders = || count(&board, "placeholders_encoded");
    let drawn = placeholders();
    wait_until("the placeholder", PATIENCE, || placeholders() > drawn).unwrap();
    board.run("kill -CONT $(pidof dd)").unwrap();
    wait_until("its end", PATIENCE, || gaps(&board, false) > before && gaps(&board, true) == 0).unwrap();
    wait_for_pictures(&mut board).unwrap();
}

//! SIGKILL at any instant: what is visible is complete, and the next try makes what the first would have made.

use std::fs;
use std::process::Stdio;
use std::time::{Duration, Instant};

use tests::work;

use crate::Bench;

#[test]
fn a_killed_chop_leaves_nothing_half_and_the_next_one_makes_the_same() {
    let bench = Bench::new();
    let x264 = "-c:v libx264 -preset ultrafast -pix_fmt yuv420p -g 25";
    let mp4 = bench.ffmpeg("a", &format!("-f lavfi -i testsrc2=s=320x240:r=25:d=60 {x264}"));
    let begun = Instant::now();
    let hls = bench.chop(&mp4);
    let whole = begun.elapsed();
    let files = hls.files();
    assert_eq!(files.len(), 10 + 2);

    let rounds = work::rounds(20);
    let mut unfinished = 0;
    for round in 0..rounds {
        fs::remove_dir_all(&hls.folder).unwrap();
        let mut chop = bench.command(&mp4);
        let mut chop = chop.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        std::thread::sleep(whole * round / rounds.max(1));
        chop.kill().unwrap();
        chop.wait().unwrap();
        if hls.folder.exists() {
            assert!(hls.files() == files, "visible and not complete in round {round}");
        } else {
            unfinished += 1;
        }
        assert!(bench.chop(&mp4).files() == files, "other bytes after round {round}");
        assert_eq!(fs::read_dir(bench.path("hls/.chop")).unwrap().count(), 0, "left behind in round {round}");
    }
    assert!(unfinished > 0, "no round came in time: {:?}", Duration::max(whole, Duration::ZERO));
}

#[test]
fn a_second_product_takes_the_place_of_the_first() {
    let bench = Bench::new();
    let x264 = "-c:v libx264 -preset ultrafast -pix_fmt yuv420p -g 25";
    let make =
        |seconds| bench.ffmpeg("a", &format!("-f lavfi -i testsrc2=s=160x120:r=25:d={seconds} {x264}"));
    assert_eq!(bench.chop(&make(20)).segments().len(), 4);
    let hls = bench.chop(&make(2));
    assert_eq!((hls.segments().len(), hls.files().len()), (1, 3));
}

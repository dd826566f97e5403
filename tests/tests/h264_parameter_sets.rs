//! What FFmpeg reads in a rewritten sequence parameter set is what was asked for, and the pictures stay the same.

#[path = "../../media/tests/common/mod.rs"]
mod common;

use common::{TempDir, gops};
use media::h264::{Colour, avcc_to_annex_b, nal::push_annex_b, sps};
use media::{Gop, Ticks90k, Track};
use std::fs;
use std::path::Path;
use std::process::Command;

/// An Annex B stream with this SPS.
fn stream(gop: &Gop, sps: &[u8], path: &Path) {
    let mut bytes = Vec::new();
    push_annex_b(sps, &mut bytes);
    push_annex_b(&gop.config.video.pps, &mut bytes);
    for unit in gop.track(Track::Video) {
        avcc_to_annex_b(&unit.data, &mut bytes).unwrap();
    }
    fs::write(path, bytes).unwrap();
}

fn ffmpeg(args: &[&str]) -> (String, String) {
    let output = Command::new("ffmpeg").args(["-nostdin", "-hide_banner"]).args(args).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{}", text(&output.stderr));
    (text(&output.stdout), text(&output.stderr))
}

/// A field of the SPS as `trace_headers` reads it: its last column is the value.
fn field(trace: &str, name: &str) -> Option<i64> {
    let line = trace.lines().find(|line| line.contains(&format!(" {name} ")))?;
    line.rsplit("= ").next()?.trim().parse().ok()
}

#[test]
fn ffmpeg_reads_timing_colour_and_the_bound_on_reordering() {
    let dir = TempDir::new();
    let (before, after) = (dir.path("before.h264"), dir.path("after.h264"));
    let gop = &gops(1, None)[0];
    let rewritten = sps::with_vui(&gop.config.video.sps, Ticks90k(3003), Colour::BT601).unwrap();
    stream(gop, &gop.config.video.sps, &before);
    stream(gop, &rewritten, &after);

    let path = after.to_str().unwrap();
    let (_, trace) = ffmpeg(&["-i", path, "-c", "copy", "-bsf:v", "trace_headers", "-f", "null", "-"]);
    let references = field(&trace, "max_num_ref_frames").unwrap();
    for (name, value) in [
        ("vui_parameters_present_flag", 1),
        ("video_full_range_flag", 0),
        ("colour_primaries", 6),
        ("transfer_characteristics", 6),
        ("matrix_coefficients", 6),
        ("num_units_in_tick", 3003),
        ("time_scale", 180_000),
        ("fixed_frame_rate_flag", 0),
        ("bitstream_restriction_flag", 1),
        ("max_num_reorder_frames", 0),
        ("max_dec_frame_buffering", references),
    ] {
        assert_eq!(field(&trace, name), Some(value), "{name}");
    }
    let pictures =
        |path: &Path| ffmpeg(&["-v", "error", "-i", path.to_str().unwrap(), "-f", "framehash", "-"]);
    let hashes = |text: &str| -> Vec<String> {
        let frames = text.lines().filter(|line| !line.starts_with('#'));
        frames.filter_map(|line| line.rsplit(',').next().map(str::to_owned)).collect()
    };
    let ((first, _), (second, complaints)) = (pictures(&before), pictures(&after));
    assert_eq!(complaints, "");
    assert_eq!(hashes(&first).len(), 30);
    assert_eq!(hashes(&first), hashes(&second));
}

//! FFmpeg reads what the encoder makes: parameter sets, picture types, and every sample of it without an error.

#![allow(clippy::expect_used)] // helpers of tests, outside #[test]

use edge::config::{Camera, Profile, Video};
use edge::encode::cadence::{Cadence, Kind};
use edge::encode::coder::{Coded, Coder};
use edge::frames::Picture;
use media::{Ticks90k, h264};
use std::path::Path;
use std::process::Command;

/// Three seconds of a moving slope, as an Annex B byte stream.
fn stream(profile: Profile) -> Vec<u8> {
    let video = Video { profile, ..Video::default() };
    let mut coder = Coder::new(&Camera::default(), &video);
    let mut cadence = Cadence::default();
    let mut picture = Picture::new(320, 240);
    picture.frame_duration = Ticks90k(3000);
    let mut out = Vec::new();
    for n in 0..90_usize {
        for (at, sample) in picture.planes_mut().0.iter_mut().enumerate() {
            *sample = 16 + ((at % 320 + at / 320 * 3 + n * 4) % 200) as u8;
        }
        picture.pts = Ticks90k(n as i64 * 3000);
        let idr = cadence.kind(picture.pts) == Kind::Idr;
        assert!(matches!(coder.encode(&picture, idr).expect("encodes"), Coded::Unit { .. }));
        if idr {
            cadence.started(picture.pts);
            let config = coder.config().expect("an encoder");
            h264::nal::push_annex_b(&config.sps, &mut out);
            h264::nal::push_annex_b(&config.pps, &mut out);
        }
        h264::avcc_to_annex_b(coder.unit(), &mut out).expect("whole NAL units");
    }
    out
}

/// What a program printed, on both of its outputs.
fn output(program: &str, arguments: &[&str], path: &Path) -> String {
    let path = path.display().to_string();
    let arguments =
        arguments.iter().map(|&argument| if argument == "FILE" { path.as_str() } else { argument });
    let run = Command::new(program).args(arguments).output().expect("cargo xtask test installs ffmpeg");
    let text = [run.stdout, run.stderr].concat();
    let text = String::from_utf8_lossy(&text).into_owned();
    assert!(run.status.success(), "{program}: {text}");
    text
}

/// The value of a syntax element as `trace_headers` prints it.
fn element<'a>(trace: &'a str, name: &str) -> &'a str {
    let line = trace.lines().find(|line| line.split_whitespace().any(|word| word == name));
    line.and_then(|line| line.rsplit(' ').next()).unwrap_or_else(|| panic!("{name} is not there"))
}

#[test]
fn ffmpeg_reads_what_players_need_to_know() {
    for (profile, profile_idc, cabac) in
        [(Profile::ConstrainedBaseline, "66", "0"), (Profile::Main, "77", "1")]
    {
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), stream(profile)).expect("written");
        let arguments = ["-v", "verbose", "-f", "h264", "-i", "FILE", "-c", "copy"];
        let trace = ["-bsf:v", "trace_headers", "-f", "null", "-"];
        let trace = output("ffmpeg", &[&arguments[..], &trace[..]].concat(), file.path());
        let expected = [
            ("profile_idc", profile_idc),
            ("constraint_set1_flag", "1"),
            ("entropy_coding_mode_flag", cabac),
            ("time_scale", "180000"),
            ("num_units_in_tick", "3000"),
            ("colour_primaries", "6"),
            ("transfer_characteristics", "6"),
            ("matrix_coefficients", "6"),
            ("video_full_range_flag", "0"),
            ("bitstream_restriction_flag", "1"),
            ("max_num_reorder_frames", "0"),
        ];
        for (name, value) in expected {
            assert_eq!(element(&trace, name), value, "{name} of {profile:?}");
        }
    }
}

#[test]
fn ffmpeg_decodes_every_picture_and_finds_no_b_picture() {
    for profile in [Profile::ConstrainedBaseline, Profile::Main] {
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), stream(profile)).expect("written");
        let strict = ["-v", "error", "-xerror", "-f", "h264", "-i", "FILE", "-f", "null", "-"];
        assert_eq!(output("ffmpeg", &strict, file.path()), "");
        let types =
            ["-v", "error", "-f", "h264", "-show_entries", "frame=pict_type", "-of", "csv=p=0", "FILE"];
        let types: String = output("ffprobe", &types, file.path()).split_whitespace().collect();
        let gop = format!("I{}", "P".repeat(29));
        assert_eq!(types.replace(',', ""), gop.repeat(3), "{profile:?}");
    }
}

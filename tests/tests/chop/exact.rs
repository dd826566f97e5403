//! Nothing is lost, changed or moved: not a picture, not a frame of sound, not a tick between the two.

use std::fs;
use std::path::Path;
use std::process::Command;

use media::{Gop, Ticks90k, Track, WallTime};
use tests::{players, ts_rules};

use crate::common::gops;
use crate::{Bench, Hls};

/// A camera's picture and a tone, `seconds` long.
fn source(seconds: u32) -> String {
    format!("-f lavfi -i testsrc2=s=160x120:r=25:d={seconds} -f lavfi -i sine=440:d={seconds}")
}

/// What ffmpeg prints of each decoded frame of a stream: its hash.
fn decoded(input: &str, stream: &str, options: &[&str]) -> Vec<String> {
    let mut ffmpeg = Command::new("ffmpeg");
    ffmpeg.args(["-v", "error", "-nostdin", "-xerror", "-i", input, "-map", stream]).args(options);
    let output = ffmpeg.args(["-f", "framemd5", "-"]).output().unwrap();
    assert!(
        output.status.success() && output.stderr.is_empty(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let text = String::from_utf8(output.stdout).unwrap();
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines.filter_map(|line| line.rsplit(',').next()).map(|hash| hash.trim().to_owned()).collect()
}

/// Presentation times of all packets of a kind, in ticks.
fn times(input: &str, kind: &str) -> Vec<i64> {
    let packets = players::packets(input).unwrap();
    let of_kind = packets.iter().filter(|packet| packet["codec_type"] == kind);
    let seconds = of_kind.map(|packet| packet["pts_time"].as_str().unwrap().parse::<f64>().unwrap());
    seconds.map(|seconds| (seconds * 90_000.0).round() as i64).collect()
}

/// How much later packets are in the HLS: the same for all. The HLS may begin with fewer (sound that nobody hears). ffmpeg counts on
/// from the first of the frames that share a time stamp, in whole ticks: the others come out up to three early.
fn shift(mp4: &str, hls: &str, kind: &str) -> Option<i64> {
    let (before, after) = (times(mp4, kind), times(hls, kind));
    assert!(
        after.len() <= before.len() && before.len() - after.len() <= 3,
        "{kind}: {} of {}",
        after.len(),
        before.len()
    );
    let pairs = before.iter().rev().zip(after.iter().rev());
    let shifts: Vec<i64> = pairs.map(|(before, after)| after - before).collect();
    let (least, most) = (*shifts.iter().min()?, *shifts.iter().max()?);
    assert!(most - least <= if kind == "audio" { 3 } else { 1 }, "{kind} moved by {least} to {most} ticks");
    Some(most)
}

/// Everything that must hold of any recording that was not encoded again.
fn assert_exact(mp4: &Path, hls: &Hls) {
    let (mp4, playlist) = (mp4.to_str().unwrap(), hls.playlist());
    players::decode(&playlist, None).unwrap();
    for segment in hls.segments() {
        players::decode(segment.to_str().unwrap(), None).unwrap();
    }
    let streams = players::ffprobe(mp4).unwrap();
    let has =
        |kind: &str| streams["streams"].as_array().unwrap().iter().any(|stream| stream["codec_type"] == kind);
    if has("video") {
        let pictures = decoded(mp4, "0:v:0", &["-fps_mode", "passthrough"]);
        assert!(
            !pictures.is_empty() && decoded(&playlist, "0:v:0", &["-fps_mode", "passthrough"]) == pictures
        );
    }
    if has("audio") {
        // The frame that primes the decoder is heard here; the recording's edit list cuts it off.
        let (before, after) = (decoded(mp4, "0:a:0", &[]), decoded(&playlist, "0:a:0", &[]));
        let common =
            before.iter().rev().zip(after.iter().rev()).take_while(|(before, after)| before == after).count();
        assert!(
            before.len() - common <= 1 && after.len() - common <= 2,
            "{common} of {} frames",
            before.len()
        );
    }
    let joined = hls.joined();
    let shifts = [shift(mp4, &joined, "video"), shift(mp4, &joined, "audio")];
    if let [Some(video), Some(audio)] = shifts {
        assert!((video - audio).abs() <= 1, "sound moved by {} ticks against the picture", audio - video);
    }
    let (durations, rules) = (hls.durations(), hls.media());
    assert!(
        rules.starts_with("#EXTM3U\n#EXT-X-VERSION:6\n#EXT-X-TARGETDURATION:")
            && rules.ends_with("#EXT-X-ENDLIST\n")
    );
    let longest = durations.iter().copied().fold(0.0, f64::max).round();
    assert!(rules.contains(&format!("#EXT-X-TARGETDURATION:{longest}\n")), "{rules}");
    assert_eq!(durations.len(), hls.segments().len());
}

#[test]
fn a_sealed_and_a_growing_recording_become_the_same_hls() {
    let bench = Bench::new();
    let gops = gops(5, Some(Ticks90k(1000)));
    let start = Some(WallTime(1_795_241_700_250_000));
    let name = "2026-11-21-06-15-00-k3vq7x2a-0000004711";
    let sealed = bench.recording(name, &gops, start, true);
    let hls = bench.chop(&sealed);
    assert_exact(&sealed, &hls);
    let segment = hls.segments().remove(0);
    assert_eq!(segment.file_name().unwrap().to_str(), Some(format!("{name}-k3vq7x2a-0.ts").as_str()));
    assert!(
        hls.media().contains("#EXT-X-PROGRAM-DATE-TIME:2026-11-21T06:15:00.250Z\n#EXTINF:5.0"),
        "{}",
        hls.media()
    );
    let variant = hls.multivariant();
    assert!(variant.contains("mp4a.40.2\",RESOLUTION=320x240,FRAME-RATE=30.000\n"), "{variant}");

    let before = hls.files();
    let growing = bench.recording(name, &gops, start, false);
    assert!(bench.chop(&growing).files() == before, "a growing recording gave other bytes");
}

#[test]
fn segments_are_six_seconds_and_obey_the_standard() {
    let bench = Bench::new();
    let options =
        "-c:v libx264 -preset ultrafast -bf 0 -g 25 -sc_threshold 0 -pix_fmt yuv420p -c:a aac -ar 48000";
    let mp4 = bench.ffmpeg("plain", &format!("{} {options}", source(20)));
    let hls = bench.chop(&mp4);
    assert_exact(&mp4, &hls);
    let durations = hls.durations();
    assert_eq!(durations[..3], [6.0; 3]);
    assert!((durations[3] - 2.0).abs() < 0.03, "{durations:?}");
    let stream: Vec<u8> = hls.segments().iter().flat_map(|segment| fs::read(segment).unwrap()).collect();
    let violations = ts_rules::check(&stream);
    // Tables stand before each IDR and nowhere else: a file is not joined in between.
    let known: Vec<_> = violations.iter().filter(|violation| violation.clause != "2.4.4").collect();
    assert!(known.is_empty(), "{known:?}");
    for segment in hls.segments() {
        let bytes = fs::read(&segment).unwrap();
        let pes = media::ts::demux(&bytes).unwrap();
        let first = pes.iter().find(|pes| pes.track == Track::Video).unwrap();
        assert!(first.random_access, "{} does not begin with an IDR", segment.display());
    }
}

#[test]
fn what_others_write_is_kept_to_the_tick() {
    let bench = Bench::new();
    let x264 = "-c:v libx264 -preset ultrafast -pix_fmt yuv420p -sc_threshold 0";
    let (both, picture) = (source(9), "-f lavfi -i testsrc2=s=160x120:r=25:d=9");
    let cases = [
        ("b-frames", format!("{both} {x264} -bf 3 -b_strategy 0 -g 50 -c:a aac -ar 44100")),
        (
            "b-pyramid",
            format!("{both} {x264} -bf 4 -g 25 -x264-params b-pyramid=normal -c:a aac -ar 8000 -ac 1"),
        ),
        ("ntsc", format!("{both} -r 30000/1001 {x264} -g 30 -c:a aac -ar 48000")),
        ("one-gop", format!("{both} {x264} -g 1000 -c:a aac")),
        (
            "fragmented",
            format!(
                "{both} {x264} -bf 2 -g 25 -c:a aac -movflags +frag_keyframe+empty_moov+default_base_moof"
            ),
        ),
        (
            "late-picture",
            format!("-itsoffset 0.5 {picture} -f lavfi -i sine=440:d=9 {x264} -bf 2 -g 25 -c:a aac"),
        ),
        ("longer-sound", format!("{picture} -f lavfi -i sine=440:d=20 {x264} -g 25 -c:a aac")),
        ("picture-alone", format!("{picture} {x264} -bf 2 -g 25")),
        ("sound-alone", "-f lavfi -i sine=440:d=14 -c:a aac".to_owned()),
        (
            "slow",
            format!(
                "-f lavfi -i testsrc2=s=160x120:r=1/2:d=40 -f lavfi -i sine=440:d=40 {x264} -g 3 -c:a aac"
            ),
        ),
        ("sets-inside", format!("{both} {x264} -g 25 -c:a aac -bsf:v dump_extra")),
    ];
    for (name, options) in cases {
        println!("{name}");
        let mp4 = bench.ffmpeg(name, &options);
        let hls = bench.chop(&mp4);
        assert_exact(&mp4, &hls);
        let first = hls.segments().remove(0);
        assert_eq!(first.file_name().unwrap().to_str(), Some(format!("{name}-local-0.ts").as_str()));
    }
}

#[test]
fn sound_that_begins_late_is_as_late_as_before() {
    // (Decoding this to nowhere, ffmpeg complains of its own time stamps, with its own HLS too.)
    let bench = Bench::new();
    let options = "-f lavfi -i testsrc2=s=160x120:r=25:d=9 -itsoffset 0.7 -f lavfi -i sine=440:d=8 \
                   -c:v libx264 -preset ultrafast -pix_fmt yuv420p -bf 2 -g 25 -c:a aac -ar 48000";
    let mp4 = bench.ffmpeg("late", options);
    let joined = bench.chop(&mp4).joined();
    let mp4 = mp4.to_str().unwrap();
    let [video, audio] = ["video", "audio"].map(|kind| shift(mp4, &joined, kind).unwrap());
    assert!((video - audio).abs() <= 1, "{video} and {audio} ticks");
    let [seen, heard] = ["video", "audio"].map(|kind| *times(&joined, kind).iter().min().unwrap());
    // The frame that primes the decoder lasts 1920 ticks; the edit list counts in milliseconds.
    assert!((heard - seen - 63_000 + 1920).abs() <= 90, "{} ticks", heard - seen);
}

#[test]
fn durations_add_up_to_the_footage() {
    let bench = Bench::new();
    let x264 = "-c:v libx264 -preset ultrafast -pix_fmt yuv420p";
    let mp4 = bench.ffmpeg(
        "odd",
        &format!("-f lavfi -i testsrc2=s=160x120:r=30000/1001 -frames:v 431 {x264} -bf 2 -g 30"),
    );
    let sum: f64 = bench.chop(&mp4).durations().iter().sum();
    assert!((sum - 431.0 * 1001.0 / 30_000.0).abs() < 0.001, "{sum}");
}

#[test]
fn a_gap_is_marked_and_not_played() {
    let bench = Bench::new();
    let mut gops = gops(4, Some(Ticks90k(0)));
    let later = Ticks90k(60 * 90_000);
    let gap = |gop: &mut Gop| {
        gop.start += later;
        gop.end = gop.end.map(|end| end + later);
        gop.units.iter_mut().for_each(|unit| unit.pts += later);
    };
    gops[2..].iter_mut().for_each(gap);
    gops[1].end = None;
    gops[2].discontinuity = true;
    let mp4 = bench.recording("gap", &gops, Some(WallTime(1_795_241_700_000_000)), true);
    let hls = bench.chop(&mp4);
    players::decode(&hls.playlist(), None).unwrap();
    let media = hls.media();
    assert!(
        media.contains("#EXT-X-DISCONTINUITY\n#EXT-X-PROGRAM-DATE-TIME:2026-11-21T06:16:01.984Z\n"),
        "{media}"
    );
    let durations = hls.durations();
    assert!(
        durations.len() == 2 && durations.iter().all(|seconds| (seconds - 2.0).abs() < 0.05),
        "{durations:?}"
    );
    assert_eq!(
        players::pictures(&hls.playlist(), None).unwrap(),
        players::pictures(mp4.to_str().unwrap(), None).unwrap()
    );
}

#[test]
fn the_clock_comes_round_in_the_middle_of_a_long_recording() {
    let bench = Bench::new();
    let x264 = "-c:v libx264 -preset ultrafast -pix_fmt yuv420p";
    // 2^33 ticks are 26.5 hours: a picture every 100 s for 28 hours.
    let mp4 =
        bench.ffmpeg("long", &format!("-f lavfi -i testsrc2=s=64x64:r=1/100 -frames:v 1008 {x264} -g 1"));
    let hls = bench.chop(&mp4);
    let pes: Vec<_> =
        hls.segments().iter().flat_map(|file| media::ts::demux(&fs::read(file).unwrap()).unwrap()).collect();
    let steps: Vec<i64> =
        pes.windows(2).map(|pair| (pair[1].pts as i64 - pair[0].pts as i64).rem_euclid(1 << 33)).collect();
    assert!(pes.len() == 1008 && steps.iter().all(|&step| step == 9_000_000));
    assert!(pes.windows(2).any(|pair| pair[1].pts < pair[0].pts), "it never came round");
}

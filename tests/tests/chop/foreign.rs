//! What is not H.264 and AAC is encoded again; what is nothing at all is refused with its reason, and harms nobody.

use std::fs;
use std::time::{Duration, Instant};

use tests::players;

use crate::Bench;

const PICTURE: &str = "-f lavfi -i testsrc2=s=320x240:r=25:d=4";
const SOUND: &str = "-f lavfi -i sine=440:d=4";

#[test]
fn other_codecs_and_containers_become_main_and_aac() {
    let bench = Bench::new();
    let cases = [
        ("mjpeg", "-c:v mjpeg -q:v 5 -pix_fmt yuvj420p -c:a libmp3lame"),
        ("part2", "-c:v mpeg4 -c:a aac"),
        ("hevc", "-c:v libx265 -preset ultrafast -x265-params log-level=none -c:a aac"),
        ("webm", "-c:v libvpx -deadline realtime -cpu-used 8 -c:a libvorbis -f webm"),
        ("mp3-sound", "-c:v libx264 -preset ultrafast -pix_fmt yuv420p -c:a libmp3lame"),
        ("chroma", "-c:v libx264 -preset ultrafast -pix_fmt yuv444p -c:a aac"),
    ];
    for (name, options) in cases {
        println!("{name}");
        let hls = bench.chop(&bench.ffmpeg(name, &format!("{PICTURE} {SOUND} {options}")));
        players::decode(&hls.playlist(), None).unwrap();
        let variant = hls.multivariant();
        let expected = ",CODECS=\"avc1.4D401F,mp4a.40.2\",RESOLUTION=320x240,FRAME-RATE=25.000\n";
        assert!(variant.contains(expected), "{variant}");
        let streams = players::ffprobe(hls.segments()[0].to_str().unwrap()).unwrap();
        let [video, audio] = ["video", "audio"].map(|kind| {
            let streams = streams["streams"].as_array().unwrap().iter();
            streams.clone().find(|stream| stream["codec_type"] == kind).unwrap().clone()
        });
        assert_eq!((&video["profile"], &video["level"]), (&"Main".into(), &31.into()));
        assert_eq!((&audio["sample_rate"], &audio["channels"]), (&"48000".into(), &2.into()));
        let seconds: f64 = hls.durations().iter().sum();
        assert!((seconds - 4.0).abs() < 0.1, "{seconds}");
    }
}

#[test]
fn a_picture_too_large_for_the_level_is_made_smaller() {
    let bench = Bench::new();
    let large = bench.ffmpeg("large", "-f lavfi -i testsrc2=s=1920x1080:r=60:d=1 -c:v mpeg4 -q:v 5");
    let variant = bench.chop(&large).multivariant();
    assert!(variant.contains("RESOLUTION=1280x720,FRAME-RATE=30.000\n"), "{variant}");
}

#[test]
fn what_cannot_be_played_is_refused_with_its_reason() {
    let bench = Bench::new();
    let good =
        fs::read(bench.ffmpeg("good", &format!("{PICTURE} -c:v libx264 -preset ultrafast -pix_fmt yuv420p")))
            .unwrap();
    let zero_timescale = {
        let mut file = good.clone();
        let at = file.windows(4).position(|name| name == b"mdhd").unwrap() + 4 + 12;
        file[at..at + 4].fill(0);
        file
    };
    let giant_box = {
        let mut file = good.clone();
        let at = file.windows(4).position(|name| name == b"mdat").unwrap() - 4;
        file[at..at + 4].copy_from_slice(&u32::MAX.to_be_bytes());
        file
    };
    let cases: [(&str, &[u8], &str); 8] = [
        ("empty", b"", "Error: cannot be opened: Invalid data found when processing input"),
        ("noise", &[0x55; 100_000], "Error: cannot be opened: Invalid data found when processing input"),
        (
            "playlist",
            b"#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\n/etc/passwd\n#EXT-X-ENDLIST\n",
            "Error: cannot be opened: Invalid argument",
        ),
        ("concat", b"ffconcat version 1.0\nfile good.mp4\n", "Error: cannot be opened: Invalid argument"),
        ("cut", &good[..good.len() / 2], "Error: mdat at 40: reaches beyond the end of the file"),
        ("timescale", &zero_timescale, "the time scale is 0"),
        ("giant", &giant_box, "Error: mdat at 40: reaches beyond the end of the file"),
        ("boxes", b"\0\0\0\x08ftyp\0\0\0\x08moov", "Error: moov at 8: there is no mvhd in it"),
    ];
    for (name, bytes, reason) in cases {
        let path = bench.path(&format!("{name}.mp4"));
        fs::write(&path, bytes).unwrap();
        let begun = Instant::now();
        let refusal = bench.refusal(&path);
        assert!(refusal.ends_with(reason), "{name}: {refusal}");
        assert!(begun.elapsed() < Duration::from_secs(60));
    }
    let path = bench.path(".hidden.mp4");
    fs::write(&path, &good).unwrap();
    assert!(bench.refusal(&path).contains("is not a name"));
    assert!(bench.refusal(&bench.dir.path().join("absent.mp4")).contains("No such file"));
}

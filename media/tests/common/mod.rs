//! Real access units for tests: a moving picture and a tone, encoded by FFmpeg into a temporary directory.

#![allow(dead_code)] // each test file uses a part

use bytes::Bytes;
use media::mp4::Step;
use media::{AccessUnit, AudioConfig, Gop, StreamConfig, Ticks90k, Track, VideoConfig};
use media::{aac, h264};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};

/// Media time of the first picture in every sample: a board that has been up for an hour and a bit.
pub const START: Ticks90k = Ticks90k(90_000 * 4_000 + 77);

/// A directory that goes away with the test.
pub struct TempDir(pub PathBuf);

impl TempDir {
    pub fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("porthole-mp4-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Runs a program and returns what it printed; its failure is the test's.
pub fn run(program: &str, args: &[&str]) -> String {
    let output =
        Command::new(program).args(args).output().unwrap_or_else(|error| panic!("{program}: {error}"));
    let stderr: String = String::from_utf8_lossy(&output.stderr).chars().take(400).collect();
    assert!(output.status.success(), "{program} {args:?}: {stderr}");
    assert_eq!(stderr, "", "{program} {args:?} complained");
    String::from_utf8(output.stdout).unwrap()
}

/// The longest sample that can be had.
const SECONDS: u32 = 5;

/// Both elementary streams, sound and picture beginning together at [`START`]; encoded once.
struct Streams {
    video: (VideoConfig, Vec<AccessUnit>),
    audio: (AudioConfig, Vec<AccessUnit>),
}

fn streams() -> &'static Streams {
    static STREAMS: OnceLock<Streams> = OnceLock::new();
    STREAMS.get_or_init(|| {
        let dir = TempDir::new();
        Streams { video: encode_video(&dir), audio: encode_audio(&dir) }
    })
}

/// `seconds` of picture (30 fps, one IDR a second) and, if asked for, 48 kHz sound that begins `audio_lead` before it.
pub fn gops(seconds: u32, audio_lead: Option<Ticks90k>) -> Vec<Gop> {
    assert!(seconds <= SECONDS);
    let streams = streams();
    let (video, audio) = (&streams.video, audio_lead.map(|_| &streams.audio));
    let config = Arc::new(StreamConfig { video: video.0.clone(), audio: audio.map(|audio| audio.0.clone()) });
    let mut units = video.1.clone();
    units.truncate(seconds as usize * 30);
    let shifted =
        |unit: &AccessUnit| AccessUnit { pts: unit.pts - audio_lead.unwrap_or_default(), ..unit.clone() };
    let frames = seconds as usize * 48_000 / 1024;
    units.extend(audio.into_iter().flat_map(|audio| audio.1.iter().take(frames)).map(shifted));
    into_gops(&config, units)
}

/// Cuts access units into GOPs; sound goes with the pictures among which it ends, as an encoder delivers it.
pub fn into_gops(config: &Arc<StreamConfig>, mut units: Vec<AccessUnit>) -> Vec<Gop> {
    let delivered = |unit: &AccessUnit| match unit.track {
        Track::Video => unit.pts,
        Track::Audio => unit.pts + Ticks90k(1920),
    };
    units.sort_by_key(|unit| (delivered(unit), unit.track == Track::Audio));
    let mut gops: Vec<Gop> = Vec::new();
    let mut early = Vec::new();
    for unit in units {
        if unit.track == Track::Video && unit.key {
            let sequence = 100 + gops.len() as u64;
            if let Some(last) = gops.last_mut() {
                last.end = Some(unit.pts);
            }
            let (start, config) = (unit.pts, Arc::clone(config));
            let units = std::mem::take(&mut early);
            gops.push(Gop { sequence, start, wall: None, discontinuity: false, config, units, end: None });
        }
        match gops.last_mut() {
            Some(gop) => gop.units.push(unit),
            None => early.push(unit),
        }
    }
    gops
}

fn encode_video(dir: &TempDir) -> (VideoConfig, Vec<AccessUnit>) {
    let path = dir.path("video.h264");
    let source = format!("testsrc2=size=320x240:rate=30:duration={SECONDS}");
    let x264 = "keyint=30:min-keyint=30:scenecut=0:bframes=0:sliced-threads=0";
    let mut args =
        vec!["-v", "error", "-f", "lavfi", "-i", &source, "-c:v", "libx264", "-preset", "ultrafast"];
    args.extend(["-profile:v", "main", "-pix_fmt", "yuv420p", "-x264-params", x264, "-b:v", "300k"]);
    run("ffmpeg", &[args, vec![path.to_str().unwrap()]].concat());

    let stream = std::fs::read(path).unwrap();
    let (mut sps, mut pps, mut units) = (Bytes::new(), Bytes::new(), Vec::new());
    for nal in h264::nal::annex_b(&stream) {
        match h264::NalType::of(nal) {
            h264::NalType::Sps => sps = Bytes::copy_from_slice(nal),
            h264::NalType::Pps => pps = Bytes::copy_from_slice(nal),
            kind @ (h264::NalType::Slice | h264::NalType::Idr) => {
                let mut data = Vec::new();
                h264::nal::push_avcc(nal, &mut data).unwrap();
                let pts = START + Ticks90k(3000 * units.len() as i64);
                let key = kind == h264::NalType::Idr;
                units.push(AccessUnit { track: Track::Video, pts, key, data: data.into() });
            }
            _ => {}
        }
    }
    assert_eq!(units.len(), SECONDS as usize * 30, "one slice a picture");
    (VideoConfig { width: 320, height: 240, frame_duration: Ticks90k(3000), sps, pps }, units)
}

fn encode_audio(dir: &TempDir) -> (AudioConfig, Vec<AccessUnit>) {
    let path = dir.path("audio.aac");
    let source = format!("sine=frequency=440:sample_rate=48000:duration={SECONDS}");
    let args = ["-v", "error", "-f", "lavfi", "-i", &source, "-c:a", "aac", "-b:a", "64k"];
    run("ffmpeg", &[&args[..], &["-ac", "1", "-f", "adts", path.to_str().unwrap()]].concat());

    let stream = std::fs::read(path).unwrap();
    let frames = aac::adts(&stream).map(|frame| frame.unwrap().data);
    let unit = |(index, data)| {
        let pts = START + Ticks90k(1920 * index as i64);
        AccessUnit { track: Track::Audio, pts, key: true, data: Bytes::copy_from_slice(data) }
    };
    let units = frames.enumerate().map(unit).collect();
    let asc = aac::AudioSpecificConfig::lc(48_000, 1).unwrap().to_bytes().unwrap();
    (AudioConfig { sample_rate: 48_000, channels: 1, asc: Bytes::copy_from_slice(&asc) }, units)
}

/// Carries steps out on a file in memory.
pub fn apply(file: &mut Vec<u8>, steps: &[Step]) {
    for step in steps {
        if let Step::Write { offset, bytes } = step {
            write_at(file, *offset, bytes);
        }
    }
}

pub fn write_at(file: &mut Vec<u8>, offset: u64, bytes: &[u8]) {
    let range = offset as usize..offset as usize + bytes.len();
    if file.len() < range.end {
        file.resize(range.end, 0);
    }
    file[range].copy_from_slice(bytes);
}

/// The data of the access units of a track in some GOPs.
pub fn data_of(gops: &[Gop], track: Track) -> Vec<Bytes> {
    gops.iter().flat_map(|gop| gop.track(track)).map(|unit| unit.data.clone()).collect()
}

/// One packet as ffprobe sees it.
#[derive(Debug, Clone, PartialEq)]
pub struct Packet {
    pub pts: i64,
    pub duration: i64,
    pub key: bool,
    pub hash: String,
}

/// All packets of a track, with their SHA-256.
pub fn packets(path: &Path, track: Track) -> Vec<Packet> {
    let stream = if track == Track::Video { "v:0" } else { "a:0" };
    let entries = "packet=pts,duration,flags,data_hash";
    let args =
        ["-v", "error", "-select_streams", stream, "-show_data_hash", "sha256", "-show_entries", entries];
    let listing = run("ffprobe", &[&args[..], &[path.to_str().unwrap()]].concat());
    listing.split("[PACKET]").skip(1).map(packet).collect()
}

/// Reads the lines `name=value` of one packet; ffprobe says `N/A` where it does not know.
fn packet(text: &str) -> Packet {
    let field = |name| text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
    Packet {
        pts: field("pts=").parse().unwrap_or(i64::MIN),
        duration: field("duration=").parse().unwrap_or(0),
        key: field("flags=").starts_with('K'),
        hash: field("data_hash=SHA256:").to_owned(),
    }
}

pub fn sha256(data: &[u8]) -> String {
    use sha2::Digest;
    sha2::Sha256::digest(data).iter().map(|byte| format!("{byte:02x}")).collect()
}

pub fn hashes(data: &[Bytes]) -> Vec<String> {
    data.iter().map(|data| sha256(data)).collect()
}

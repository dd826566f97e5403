//! A camera without a camera: real H.264 and AAC from ffmpeg, put into a ring, and a server that shows it.

use bytes::Bytes;
use edge::config::{Config, Current};
use edge::live::{Server, Sources};
use edge::ring::{self, Limits, Ring, Writer};
use edge::status::Status;
use edge::supervise::{Pulses, Stop, Threads, clock};
use media::h264::nal::annex_b;
use media::h264::{NalType, annex_b_to_avcc};
use media::time::TICKS_PER_SECOND;
use media::{AudioConfig, StreamConfig, Ticks90k, Track, VideoConfig};
use std::net::SocketAddr;
use std::process::Command;
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;
use std::time::Duration;
use tempfile::TempDir;

/// Seconds of the clip: the shortest after which pictures and AAC frames of 1024 samples end together.
pub const CLIP_SECONDS: i64 = 8;
const PICTURE: Ticks90k = Ticks90k(3000);
const AAC_FRAME: Ticks90k = Ticks90k(1920);

/// Eight seconds that can be repeated without a seam.
pub struct Clip {
    pub config: Arc<StreamConfig>,
    pub pictures: Vec<Bytes>,
    pub sounds: Vec<Bytes>,
}

/// The clip, encoded once.
pub fn clip() -> &'static Clip {
    static CLIP: OnceLock<Clip> = OnceLock::new();
    CLIP.get_or_init(|| {
        let video = ffmpeg(
            "-f lavfi -i testsrc2=size=320x240:rate=30 -t 8 -c:v libx264 -profile:v baseline -preset veryfast -b:v 400k \
             -g 30 -keyint_min 30 -sc_threshold 0 -bf 0 -threads 1 -pix_fmt yuv420p -f h264 pipe:1",
        );
        let audio =
            ffmpeg("-f lavfi -i sine=frequency=440:sample_rate=48000 -t 8 -ac 1 -c:a aac -b:a 64k -f adts pipe:1");
        let nals: Vec<&[u8]> = annex_b(&video).collect();
        let first = |kind| nals.iter().find(|nal| NalType::of(nal) == kind).expect("parameter set");
        let pictures = nals.iter().filter(|nal| matches!(nal[0] & 0x1F, 1 | 5)).map(|nal| {
            let mut annex_b = vec![0, 0, 1];
            annex_b.extend_from_slice(nal);
            let mut avcc = Vec::new();
            annex_b_to_avcc(&annex_b, &mut avcc).expect("a picture");
            Bytes::from(avcc)
        });
        let sounds: Vec<_> = media::aac::adts(&audio).map(|frame| frame.expect("ADTS")).collect();
        let config = sounds[0].config;
        Clip {
            config: Arc::new(StreamConfig {
                video: VideoConfig {
                    width: 320,
                    height: 240,
                    frame_duration: PICTURE,
                    sps: Bytes::copy_from_slice(first(NalType::Sps)),
                    pps: Bytes::copy_from_slice(first(NalType::Pps)),
                },
                audio: Some(AudioConfig {
                    sample_rate: config.sample_rate,
                    channels: config.channels,
                    asc: Bytes::copy_from_slice(&config.to_bytes().expect("AAC-LC")),
                }),
            }),
            pictures: pictures.collect(),
            sounds: sounds.iter().take(375).map(|frame| Bytes::copy_from_slice(frame.data)).collect(),
        }
    })
}

fn ffmpeg(arguments: &str) -> Vec<u8> {
    let output = Command::new("ffmpeg")
        .args(["-v", "error"])
        .args(arguments.split_whitespace())
        .output()
        .expect("ffmpeg is installed");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

/// A ring that is filled from the clip.
pub struct Camera {
    writer: Writer,
    config: Arc<StreamConfig>,
    /// Media time of the first picture.
    origin: Ticks90k,
    /// Pictures and AAC frames so far.
    pictures: i64,
    sounds: i64,
}

impl Camera {
    fn new(writer: Writer) -> Self {
        let now = clock::media_now();
        let origin = Ticks90k(now.0 - now.0.rem_euclid(TICKS_PER_SECOND));
        Self { writer, config: Arc::clone(&clip().config), origin, pictures: 0, sounds: 0 }
    }

    /// Without a microphone from now on, or with one again.
    pub fn set_sound(&mut self, sound: bool) {
        let mut config = StreamConfig::clone(&clip().config);
        if !sound {
            config.audio = None;
        }
        self.config = Arc::new(config);
    }

    /// No footage for this many seconds.
    pub fn pause(&mut self, seconds: i64) {
        self.pictures += 30 * seconds;
        while self.sound_pts() < self.picture_pts() {
            self.sounds += 1;
        }
    }

    /// The whole second of media time with which its footage begins.
    pub fn first_second(&self) -> i64 {
        self.origin.second()
    }

    fn picture_pts(&self) -> Ticks90k {
        self.origin + Ticks90k(self.pictures * PICTURE.0)
    }

    fn sound_pts(&self) -> Ticks90k {
        self.origin + Ticks90k(self.sounds * AAC_FRAME.0)
    }

    /// Appends the next picture and the sound until the one behind it.
    pub fn picture(&mut self) {
        let pts = self.picture_pts();
        if self.pictures % 30 == 0 {
            let wall = clock::mapping().map(|mapping| mapping.wall_of(pts));
            self.writer.begin_gop(pts, wall, &self.config).expect("ring");
        }
        let picture = &clip().pictures[(self.pictures % (30 * CLIP_SECONDS)) as usize];
        self.writer.append(Track::Video, pts, self.pictures % 30 == 0, picture).expect("ring");
        self.pictures += 1;
        while self.config.audio.is_some() && self.sound_pts() < self.picture_pts() {
            let sound = &clip().sounds[self.sounds as usize % clip().sounds.len()];
            self.writer.append(Track::Audio, self.sound_pts(), true, sound).expect("ring");
            self.sounds += 1;
        }
    }

    /// Appends this many whole GOPs at once.
    pub fn gops(&mut self, count: i64) {
        (0..30 * count).for_each(|_| self.picture());
    }

    /// Goes on at 30 pictures a second, like a camera, until the guard is dropped.
    pub fn film(mut self) -> Filming {
        let stop = Stop::default();
        let asked = stop.clone();
        let thread = std::thread::spawn(move || {
            self.origin += clock::media_now() - self.picture_pts();
            while !asked.wait((self.picture_pts() - clock::media_now()).to_duration()) {
                self.picture();
            }
        });
        Filming { stop, thread: Some(thread) }
    }
}

/// A camera that films.
pub struct Filming {
    stop: Stop,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Filming {
    fn drop(&mut self) {
        self.stop.ask();
        self.thread.take().map(JoinHandle::join);
    }
}

/// A running server.
pub struct House {
    pub address: SocketAddr,
    pub status: Arc<Status>,
    pub rings: Vec<Ring>,
    pub folder: TempDir,
    live: Option<Threads>,
}

impl House {
    /// A server with one camera called `front`; `text` is more configuration.
    pub fn with_camera(text: &str) -> (Self, Camera) {
        let (house, mut cameras) = Self::start(&format!("[[camera]]\nname = \"front\"\n{text}"));
        (house, cameras.remove(0))
    }

    /// A server with the cameras and settings of `text`.
    pub fn start(text: &str) -> (Self, Vec<Camera>) {
        let mut config = Config::parse(text).expect("configuration");
        config.live.listen = SocketAddr::from(([127, 0, 0, 1], 0));
        let folder = tempfile::tempdir().expect("temporary folder");
        let status = Arc::new(Status::new(&config, Pulses::default(), clock::media_now()));
        let limits = Limits { seconds: config.ring.seconds, bytes: config.ring.bytes };
        let (mut cameras, mut rings) = (Vec::new(), Vec::new());
        for camera in &status.cameras {
            let metrics = camera.metrics.clone();
            let (writer, ring) =
                ring::open(folder.path(), &camera.name, limits, "boot", metrics).expect("ring");
            cameras.push(Camera::new(writer));
            rings.push(ring);
        }
        let server = Server::bind(&config, &status.pulses).expect("a free port");
        let address = server.address();
        let mut live = Threads::new(Stop::default(), status.pulses.clone());
        let sources =
            Sources { config: Current::new(config), status: Arc::clone(&status), rings: rings.clone() };
        live.spawn("live", |stop| server.run(sources, stop)).expect("a thread");
        (Self { address, status, rings, folder, live: Some(live) }, cameras)
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }
}

impl Drop for House {
    fn drop(&mut self) {
        if let Some(live) = self.live.take() {
            live.stop();
            live.join();
        }
    }
}

/// Waits until `condition` holds; panics with `what` after 20 seconds.
pub fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = clock::media_now() + Ticks90k::from_millis(20_000);
    while clock::media_now() < deadline {
        if condition() {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("waited in vain until {what}");
}

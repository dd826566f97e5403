//! The process that transcodes: confines itself, then reads, decodes, encodes and writes.

use super::track::{Error, Target, Track};
use ffmpeg::{Dictionary, Packet, format, log, media};
use ffmpeg_next as ffmpeg;
use nix::sys::prctl;
use nix::sys::resource::{Resource, setrlimit};
use nix::sys::signal::Signal;
use std::path::Path;

/// Address space: a 4K decoder and an encoder fit well.
const MOST_MEMORY: u64 = 2 << 30;
/// Seconds of CPU time: twice what the slowest recording may take by the clock.
const MOST_CPU: u64 = 4 * 3600;
/// The largest output: seven hours of both streams.
const MOST_OUTPUT: u64 = 2 << 30;
const MOST_FILES: u64 = 32;
/// Streams of the input.
const MOST_STREAMS: &str = "16";
/// Containers that cameras, phones and browsers write. None of them can name another file or host.
const FORMATS: &str =
    "mov,matroska,avi,mpegts,mpeg,flv,asf,ogg,wav,mp3,aac,h264,hevc,m4v,mpegvideo,ivf,mjpeg,mpjpeg";
/// Packets that cannot be read before the input counts as ended.
const MOST_FAULTS: u32 = 1000;

/// Takes from this process what it does not need, for good.
fn confine() -> Result<(), nix::Error> {
    let limits = [
        (Resource::RLIMIT_AS, MOST_MEMORY),
        (Resource::RLIMIT_CPU, MOST_CPU),
        (Resource::RLIMIT_FSIZE, MOST_OUTPUT),
        (Resource::RLIMIT_NOFILE, MOST_FILES),
        (Resource::RLIMIT_CORE, 0),
    ];
    for (resource, limit) in limits {
        setrlimit(resource, limit, limit)?;
    }
    prctl::set_no_new_privs()?;
    prctl::set_pdeathsig(Signal::SIGKILL)
}

/// Makes an MP4 with H.264 and AAC at `output` of whatever `input` is. For a process of its own: it gives up its rights.
pub fn transcode(input: &Path, output: &Path) -> Result<(), Error> {
    confine()?;
    ffmpeg::init()?;
    log::set_level(log::Level::Quiet);
    let mut options = Dictionary::new();
    options.set("format_whitelist", FORMATS);
    options.set("protocol_whitelist", "file");
    options.set("max_streams", MOST_STREAMS);
    let mut source = format::input_with_dictionary(input, options).map_err(Error::Unreadable)?;
    let mut target = Target::create(output)?;
    let mut tracks = Vec::new();
    for kind in [media::Type::Video, media::Type::Audio] {
        if let Some(stream) = source.streams().best(kind) {
            tracks.push(Track::open(&stream, &mut target)?);
        }
    }
    if tracks.is_empty() {
        return Err(Error::Empty);
    }
    target.begin()?;
    let mut faults = 0;
    while faults < MOST_FAULTS {
        let mut packet = Packet::empty();
        match packet.read(&mut source) {
            Ok(()) => {}
            Err(ffmpeg::Error::Eof) => break,
            Err(_) => {
                faults += 1;
                continue;
            }
        }
        if let Some(track) = tracks.iter_mut().find(|track| track.input == packet.stream()) {
            track.push(&packet, &mut target)?;
        }
    }
    for track in &mut tracks {
        track.finish(&mut target)?;
    }
    if tracks.iter().all(Track::is_empty) {
        return Err(Error::Empty);
    }
    target.end()
}

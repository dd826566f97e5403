//! What the tests of store and record build on.

use super::{Growth, Sealed, Store, files};
use crate::config::{Config, Current, Upload, UploadMode};
use crate::status::Status;
use crate::supervise::Pulses;
use bytes::Bytes;
use media::mp4::{About, Growing};
use media::names::RecordingName;
use media::{AccessUnit, AudioConfig, Gop, StreamConfig, Ticks90k, Track, VideoConfig, WallTime};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tempfile::TempDir;

/// 2026-11-21T06:15:00Z.
pub const MARK: WallTime = WallTime(1_795_241_700_000_000);

/// A configuration with an upload host, and with every file below `dir`.
pub fn config_in(dir: &Path) -> Config {
    let mut config = Config::default();
    config.record.dir = dir.join("recordings");
    config.ring.dir = dir.join("ring");
    config.upload = Some(Upload {
        host: "vault".to_owned(),
        port: 22,
        user: "edge".to_owned(),
        key: dir.join("id_ed25519"),
        host_key: "ssh-ed25519 AAAA".to_owned(),
        dir: "inbox".to_owned(),
        mode: UploadMode::Growing,
    });
    config
}

/// A stream without sound.
pub fn stream(width: u16) -> Arc<StreamConfig> {
    let video = VideoConfig {
        width,
        height: 240,
        frame_duration: Ticks90k(3000),
        sps: Bytes::from_static(&[0x67, 0x42, 0xC0, 0x0A, 0x8C]),
        pps: Bytes::from_static(&[0x68, 0xCE, 0x3C, 0x80]),
    };
    Arc::new(StreamConfig { video, audio: None })
}

/// A GOP of one second: an IDR and a P picture of `bytes` each, and one AAC frame.
pub fn gop(sequence: u64, bytes: u32) -> Gop {
    let start = Ticks90k(sequence as i64 * 90_000);
    let asc = Bytes::from_static(&[0x11, 0x88]);
    let audio = AudioConfig { sample_rate: 48_000, channels: 1, asc };
    let picture = |after, key| {
        let mut data = bytes.to_be_bytes().to_vec();
        data.push(if key { 0x65 } else { 0x41 });
        data.resize(bytes as usize + 4, sequence as u8);
        AccessUnit { track: Track::Video, pts: start + Ticks90k(after), key, data: data.into() }
    };
    let sound = AccessUnit { track: Track::Audio, pts: start, key: true, data: vec![0x21; 64].into() };
    Gop {
        sequence,
        start,
        wall: Some(MARK.plus(start)),
        discontinuity: false,
        config: Arc::new(StreamConfig { audio: Some(audio), ..StreamConfig::clone(&stream(320)) }),
        units: vec![picture(0, true), picture(45_000, false), sound],
        end: Some(start + Ticks90k::SECOND),
    }
}

/// A store with its folder; a new one on the same folder is a restart.
pub struct Shelf {
    pub dir: TempDir,
    pub current: Current,
    pub status: Arc<Status>,
}

impl Shelf {
    pub fn new(change: impl FnOnce(&mut Config)) -> Self {
        let dir = tempfile::tempdir().expect("folder");
        let mut config = config_in(dir.path());
        change(&mut config);
        let status = Arc::new(Status::new(&config, Pulses::default(), Ticks90k::ZERO));
        Self { dir, current: Current::new(config), status }
    }

    pub fn store(&self) -> Store {
        Store::new(self.current.clone(), Arc::clone(&self.status), self.dir.path().join("id_ed25519"))
    }

    pub fn folder(&self) -> PathBuf {
        self.current.get().record.dir.clone()
    }

    pub fn path(&self, name: &RecordingName) -> PathBuf {
        self.folder().join(format!("{name}.mp4"))
    }

    /// Names and states of what the store shows, oldest first.
    pub fn shown(&self) -> Vec<(String, crate::status::RecordingState)> {
        self.status.recordings().iter().map(|recording| (recording.name.clone(), recording.state)).collect()
    }

    /// Names of the files in the folder.
    pub fn files(&self) -> Vec<String> {
        let list = std::fs::read_dir(self.folder()).expect("folder");
        let mut names: Vec<String> =
            list.map(|file| file.expect("file").file_name().into_string().expect("text")).collect();
        names.sort();
        names
    }
}

/// Writes a recording of GOPs `from..to` with pictures of `bytes`, and leaves it growing.
pub fn grow(
    store: &Store,
    (from, to): (u64, u64),
    bytes: u32,
) -> Result<(RecordingName, Growing), super::Error> {
    let first = gop(from, bytes);
    let about = About { camera: "front".to_owned(), start: first.wall };
    let (mut growing, steps) = Growing::begin(&first, &about).expect("begins");
    let begun = store.begin("front", first.start, first.wall)?;
    files::apply(&begun.file, &steps).expect("written");
    for sequence in from + 1..to {
        files::apply(&begun.file, &growing.append(&gop(sequence, bytes)).expect("grows")).expect("written");
        let (bytes, duration) = (growing.size(), growing.end() - growing.start());
        store.grow(&begun.name, Growth { bytes, duration, unsynced: Vec::new(), counting: None })?;
    }
    Ok((begun.name, growing))
}

/// As [`grow`], and seals it.
pub fn seal(store: &Store, gops: (u64, u64), bytes: u32) -> Result<RecordingName, super::Error> {
    let (name, mut growing) = grow(store, gops, bytes)?;
    growing.carry(store.draft(&name, growing.gops())?);
    finish(store, name, growing)
}

/// Seals what was drafted.
pub fn finish(store: &Store, name: RecordingName, growing: Growing) -> Result<RecordingName, super::Error> {
    let list = store.shared.status.recordings();
    let path =
        list.iter().find(|one| one.name == name.to_string()).map(|one| one.path.clone()).expect("shown");
    let about = About { camera: "front".to_owned(), start: name.start };
    let file = std::fs::File::options().write(true).open(path).expect("opened");
    files::apply(&file, &growing.seal(&about)).expect("sealed");
    let sealed = Sealed {
        repaired: false,
        bytes: growing.seal_box().size,
        duration: growing.end() - growing.start(),
        origin: growing.start(),
        last_gop: growing.seal_box().last_sequence,
        camera: None,
    };
    store.seal(&name, &sealed)?;
    Ok(name)
}

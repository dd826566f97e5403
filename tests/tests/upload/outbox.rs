//! An edge without cameras: a store with sealed recordings, and its uploader.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use edge::config::{Config, Current, Upload, UploadMode};
use edge::status::{RecordingState, Status, UploadState, UploadStatus};
use edge::store::{Begun, Growth, Sealed, Store, files};
use edge::supervise::{Pulses, Stop, clock};
use edge::upload::key::DeviceKey;
use edge::upload::{Inputs, Patience, run};
use media::mp4::{About, Growing, Step};
use media::{AccessUnit, Gop, Ticks90k, Track, WallTime};
use sha2::{Digest, Sha256};
use tempfile::TempDir;
use tests::footage;
use tests::sshd::Sshd;
use tests::wait::{PATIENCE, wait_until};

/// Tries come quickly; a single answer may take as long as a busy machine needs.
const QUICK: Patience = Patience {
    call: PATIENCE,
    shortest: Duration::from_millis(10),
    away: Duration::from_millis(100),
    longest: Duration::from_millis(100),
};

/// A store, and what it needs.
pub struct Outbox {
    pub folder: TempDir,
    pub current: Current,
    pub status: Arc<Status>,
    pub store: Store,
    pub patience: Patience,
}

/// A running uploader; asked to end when dropped.
pub struct Uploader {
    status: Arc<Status>,
    stop: Stop,
    thread: Option<JoinHandle<()>>,
}

impl Outbox {
    /// A store whose uploads go to `sshd`, which knows its key, by way of `port`.
    pub fn new(sshd: &Sshd, port: u16) -> Self {
        let folder = TempDir::with_prefix("outbox-").unwrap();
        let mut config = Config::default();
        config.record.dir = folder.path().join("recordings");
        config.ring.dir = folder.path().join("ring");
        let key = folder.path().join("id_ed25519");
        sshd.authorize(&DeviceKey::load_or_make(&key).unwrap().public_line().unwrap()).unwrap();
        config.upload = Some(Upload {
            host: "127.0.0.1".to_owned(),
            port,
            user: sshd.user().to_owned(),
            key: key.clone(),
            host_key: sshd.host_key().unwrap(),
            dir: sshd.inbox_over_sftp(),
            mode: UploadMode::Growing,
        });
        let status = Arc::new(Status::new(&config, Pulses::default(), Ticks90k::ZERO));
        let current = Current::new(config);
        let store = Store::new(current.clone(), Arc::clone(&status), key);
        Self { folder, current, status, store, patience: QUICK }
    }

    /// The board begins anew: with it the ring is gone.
    pub fn reboot(self) -> Self {
        let Self { folder, current, status, store, patience } = self;
        drop(store);
        for file in fs::read_dir(&current.get().record.dir).unwrap() {
            let path = file.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "journal") {
                let journal = fs::read_to_string(&path).unwrap();
                fs::write(&path, journal.replace(&clock::boot_id(), "another-boot")).unwrap();
            }
        }
        let store = Store::new(current.clone(), Arc::clone(&status), folder.path().join("id_ed25519"));
        Self { folder, current, status, store, patience }
    }

    /// Changes the `[upload]` in force.
    pub fn change(&self, change: impl FnOnce(&mut Upload)) {
        let mut config = (*self.current.get()).clone();
        change(config.upload.as_mut().unwrap());
        self.current.replace(config);
    }

    /// Seals a recording with one picture of `bytes` bytes; gives its name.
    pub fn seal(&self, bytes: usize) -> String {
        self.begin("front", bytes).seal()
    }

    /// Begins a recording of a camera, with a first GOP of `bytes` bytes.
    pub fn begin(&self, camera: &str, bytes: usize) -> Recording {
        let first = gop(1, bytes);
        let about = About { camera: camera.to_owned(), start: first.wall };
        let (growing, steps) = Growing::begin(&first, &about).unwrap();
        let begun = self.store.begin(camera, first.start, first.wall).unwrap();
        let store = self.store.clone();
        let mut recording = Recording { store, begun, growing, about, flips: Vec::new() };
        recording.write(steps);
        recording
    }

    /// Starts the uploader.
    pub fn upload(&self) -> Uploader {
        let inputs = Inputs {
            store: self.store.clone(),
            current: self.current.clone(),
            status: Arc::clone(&self.status),
            patience: self.patience,
        };
        let stop = Stop::default();
        let ends = stop.clone();
        let thread = Some(std::thread::spawn(move || run(inputs, ends)));
        Uploader { status: Arc::clone(&self.status), stop, thread }
    }

    /// The recording on the edge.
    pub fn path(&self, name: &str) -> PathBuf {
        self.current.get().record.dir.join(format!("{name}.mp4"))
    }

    /// The inbox holds these recordings, whole, and nothing else; and the edge knows it, also after a restart.
    pub fn assert_arrived(&self, sshd: &Sshd, names: &[String]) {
        let mut there: Vec<String> = inbox(sshd);
        let mut expected: Vec<String> = names.iter().map(|name| format!("{name}.mp4")).collect();
        there.sort();
        expected.sort();
        assert_eq!(there, expected);
        for name in names {
            let [sent, arrived] = [self.path(name), sshd.inbox().join(format!("{name}.mp4"))]
                .map(|path| Sha256::digest(fs::read(path).unwrap()));
            assert_eq!(sent, arrived, "{name}");
            let journal = fs::read_to_string(self.path(name).with_extension("mp4.journal")).unwrap();
            assert!(journal.contains("\"stage\":\"acknowledged\""), "{journal}");
        }
        let receipted = |state| state == RecordingState::Receipted;
        let list = self.status.recordings();
        assert_eq!(list.iter().filter(|recording| receipted(recording.state)).count(), names.len());
    }

    /// Empties the inbox.
    pub fn clear_inbox(&self, sshd: &Sshd) {
        for name in inbox(sshd) {
            fs::remove_file(sshd.inbox().join(name)).unwrap();
        }
    }
}

/// One GOP of a second: one picture of `bytes` bytes of which no two windows are the same, so that bytes in the wrong place
/// show.
fn gop(sequence: u64, bytes: usize) -> Gop {
    let mut data: Vec<u8> = Vec::with_capacity(bytes + 64);
    data.extend(((bytes.max(1)) as u32).to_be_bytes());
    let mut block = sequence << 32;
    while data.len() < bytes + 5 {
        data.extend(Sha256::digest(block.to_be_bytes()));
        block += 1;
    }
    data.truncate(bytes.max(1) + 4);
    let start = Ticks90k(90_000 * sequence as i64);
    let unit = AccessUnit { track: Track::Video, pts: start, key: true, data: data.into() };
    let wall = Some(WallTime(1_795_241_700_000_000).plus(start));
    let config = footage::silent_stream(Ticks90k::SECOND);
    Gop { sequence, start, wall, discontinuity: false, config, units: vec![unit], end: None }
}

/// A recording that grows, as a recorder writes it whose next sync is always still to come.
pub struct Recording {
    store: Store,
    begun: Begun,
    growing: Growing,
    about: About,
    /// What makes the GOPs count that are not synced.
    flips: Vec<Step>,
}

impl Recording {
    /// Appends a GOP of `bytes` bytes.
    pub fn grow(&mut self, bytes: usize) {
        let sequence = self.growing.seal_box().last_sequence + 1;
        let steps = self.growing.append(&gop(sequence, bytes)).unwrap();
        self.write(steps);
    }

    fn write(&mut self, steps: Vec<Step>) {
        let sync = steps.iter().position(|step| *step == Step::Sync).unwrap();
        let (bytes, flip) = steps.split_at(sync);
        files::apply(&self.begun.file, bytes).unwrap();
        self.flips.extend_from_slice(flip);
        let offset = |step: &Step| match step {
            Step::Write { offset, .. } => Some(*offset),
            Step::Sync => None,
        };
        let unsynced = self.flips.iter().filter_map(offset).collect();
        let (bytes, duration) = (self.growing.size(), self.growing.end() - self.growing.start());
        self.store.grow(&self.begun.name, Growth { bytes, duration, unsynced, counting: None }).unwrap();
    }

    /// Its name.
    pub fn name(&self) -> String {
        self.begun.name.to_string()
    }

    /// The sync: its GOPs count.
    pub fn sync(&mut self) {
        files::apply(&self.begun.file, &std::mem::take(&mut self.flips)).unwrap();
    }

    /// Seals it; gives its name.
    pub fn seal(mut self) -> String {
        self.sync();
        files::apply(&self.begun.file, &self.growing.seal(&self.about)).unwrap();
        let seal = self.growing.seal_box();
        let sealed = Sealed {
            repaired: false,
            bytes: seal.size,
            duration: self.growing.end() - self.growing.start(),
            origin: self.growing.start(),
            last_gop: seal.last_sequence,
            camera: None,
        };
        self.store.seal(&self.begun.name, &sealed).unwrap();
        self.name()
    }

    /// The edge loses what it has not synced, as in a power cut, and seals what is left; gives its name.
    pub fn tear(self) -> String {
        self.store.release(&self.begun.name);
        self.store.resume(&self.about.camera).unwrap();
        self.name()
    }
}

/// What is in the inbox.
pub fn inbox(sshd: &Sshd) -> Vec<String> {
    let list = fs::read_dir(sshd.inbox()).unwrap();
    list.map(|file| file.unwrap().file_name().into_string().unwrap()).collect()
}

impl Uploader {
    /// What it tells of itself; before its first word, that it is idle.
    pub fn status(&self) -> UploadStatus {
        self.status.upload().unwrap_or_default()
    }

    /// Waits until its status satisfies `condition`.
    pub fn wait_until(&self, what: &str, condition: impl Fn(&UploadStatus) -> bool) {
        let waited = wait_until(what, PATIENCE, || condition(&self.status()));
        waited.unwrap_or_else(|error| panic!("{error}: {:?}", self.status()));
    }

    /// Waits until it has so many receipts and nothing more to do.
    pub fn wait_for_receipts(&self, count: u64) {
        self.wait_until("receipts", |status| status.receipts == count && status.state == UploadState::Idle);
    }

    /// Ends it; gives how long that took.
    pub fn end(mut self) -> Duration {
        let begun = clock::media_now();
        self.stop.ask();
        self.thread.take().unwrap().join().unwrap();
        (clock::media_now() - begun).to_duration()
    }
}

impl Drop for Uploader {
    fn drop(&mut self) {
        self.stop.ask();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
            && !std::thread::panicking()
        {
            panic!("the uploader panicked");
        }
    }
}

//! The opened folder: its list of recordings, and every write and removal in it.

use super::journal::{Counter, Journal, Stage, load, save};
use super::repair::Sealed;
use super::{Begun, Error, files, repair};
use media::names::{CameraId, RecordingName, SEQUENCES};
use media::{Ticks90k, WallTime};
use nix::fcntl::{Flock, FlockArg};
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};

/// Where a camera without a name is counted under: a recording that does not say whose it is.
const UNKNOWN_CAMERA: &str = "unknown";

/// One recording.
#[derive(Clone, Debug)]
pub struct Entry {
    pub name: RecordingName,
    pub journal: Journal,
    pub bytes: u64,
    /// A recorder is writing it.
    pub held: bool,
}

impl Entry {
    pub fn waits_for_receipt(&self) -> bool {
        matches!(self.journal.stage, Stage::Sealed | Stage::Committing)
    }
}

/// The folder, locked against other processes.
pub struct Folder {
    dir: PathBuf,
    /// The device's public key: names depend on it.
    device: Vec<u8>,
    boot: String,
    /// By `journal.order`: oldest first.
    entries: BTreeMap<u64, Entry>,
    /// When the list was last shown.
    pub shown: Ticks90k,
    _lock: Flock<File>,
}

impl Folder {
    /// Opens the folder, makes it if it is missing, and finishes what a crash left.
    pub fn open(dir: &Path, device: Vec<u8>, boot: &str) -> Result<Self, Error> {
        std::fs::create_dir_all(dir).map_err(Error::io("make", dir))?;
        let lock = lock(dir)?;
        let entries = BTreeMap::new();
        let mut folder = Self {
            dir: dir.to_owned(),
            device,
            boot: boot.to_owned(),
            entries,
            shown: Ticks90k::ZERO,
            _lock: lock,
        };
        folder.scan()?;
        for order in folder.torn(|_| true) {
            // Without room a recording cannot be sealed, and without an open folder no room can be made.
            if let Err(error) = folder.repair(order) {
                tracing::error!(%error, "stays torn for now");
            }
        }
        Ok(folder)
    }

    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// All recordings, oldest first.
    pub fn entries(&self) -> impl Iterator<Item = &Entry> + Clone {
        self.entries.values()
    }

    pub fn entry_mut(&mut self, name: &RecordingName) -> Option<&mut Entry> {
        self.entries.values_mut().find(|entry| entry.name == *name)
    }

    pub fn recording(&self, name: &RecordingName) -> PathBuf {
        self.dir.join(format!("{name}.mp4"))
    }

    pub fn camera_id(&self, camera: &str) -> CameraId {
        CameraId::new(&self.device, camera)
    }

    fn journal(&self, name: &RecordingName) -> PathBuf {
        files::beside(&self.recording(name), "journal")
    }

    fn counter_path(&self, id: CameraId) -> PathBuf {
        self.dir.join(format!("{id}.camera"))
    }

    /// Reads the names in the folder. What is not ours is left alone.
    fn scan(&mut self) -> Result<(), Error> {
        let mut without_journal = Vec::new();
        let list = std::fs::read_dir(&self.dir).map_err(Error::io("list", &self.dir))?;
        for file in list {
            let path = file.map_err(Error::io("list", &self.dir))?.path();
            let Some(file_name) = path.file_name().and_then(|name| name.to_str()) else { continue };
            let Some((name, rest)) = file_name.split_once('.') else { continue };
            let Ok(name) = name.parse::<RecordingName>() else { continue };
            match rest {
                "mp4" => {
                    let bytes = std::fs::metadata(&path).map_err(Error::io("look at", &path))?.len();
                    let journal_path = self.journal(&name);
                    match load::<Journal>(&journal_path).map_err(Error::io("read", &journal_path))? {
                        Some(journal) if !self.entries.contains_key(&journal.order) => {
                            self.entries.insert(journal.order, Entry { name, journal, bytes, held: false });
                        }
                        _ => without_journal.push((name, bytes)),
                    }
                }
                // A journal without its recording: the recording was being removed, or was never written.
                "mp4.journal" if !self.recording(&name).exists() => {
                    files::remove(&path).map_err(Error::io("remove", &path))?;
                }
                "mp4.tmp" | "mp4.journal.tmp" => files::remove(&path).map_err(Error::io("remove", &path))?,
                _ => {}
            }
        }
        without_journal.sort_unstable();
        for (name, bytes) in without_journal {
            self.adopt(name, bytes);
        }
        Ok(())
    }

    /// Takes a recording without a journal for a torn one; whether it is, its repair finds out.
    fn adopt(&mut self, name: RecordingName, bytes: u64) {
        let journal = Journal {
            camera: UNKNOWN_CAMERA.to_owned(),
            order: self.next_order(),
            boot: String::new(),
            origin: 0,
            seconds: 0.0,
            stage: Stage::Growing,
            thinned: false,
            token: None,
        };
        self.entries.insert(journal.order, Entry { name, journal, bytes, held: false });
    }

    fn next_order(&self) -> u64 {
        self.entries.last_key_value().map_or(0, |(order, _)| order + 1)
    }

    fn torn(&self, which: impl Fn(&Entry) -> bool) -> Vec<u64> {
        let torn = |entry: &&Entry| entry.journal.stage == Stage::Growing && !entry.held && which(entry);
        self.entries().filter(torn).map(|entry| entry.journal.order).collect()
    }

    /// Seals a torn recording. One without a whole GOP is removed; one that cannot be read is left to people.
    fn repair(&mut self, order: u64) -> Result<(), Error> {
        let Some(entry) = self.entries.get(&order) else { return Ok(()) };
        let (name, camera) = (entry.name, entry.journal.camera.clone());
        match repair::seal(&self.recording(&name)) {
            Ok(Some(sealed)) => {
                tracing::info!(recording = %name, seconds = sealed.duration.as_secs_f64(), "a torn recording was sealed");
                if let (true, Some(of)) = (camera == UNKNOWN_CAMERA, &sealed.camera)
                    && let Some(entry) = self.entries.get_mut(&order)
                {
                    entry.journal.camera.clone_from(of);
                }
                self.seal(&name, &sealed)
            }
            Ok(None) => self.remove(order).map(|_| ()),
            Err(error) if error.is_damage() => {
                tracing::error!(%error, "left as it is");
                self.entries.remove(&order);
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    /// Seals what the recorder of `camera` left torn; gives the newest GOP of this boot that is in a recording.
    pub fn resume(&mut self, camera: &str) -> Result<Option<u64>, Error> {
        for order in self.torn(|entry| entry.journal.camera == camera) {
            self.repair(order)?;
        }
        let counter = self.counter(camera)?;
        Ok(counter.filter(|counter| counter.boot == self.boot).and_then(|counter| counter.last_gop))
    }

    fn counter(&self, camera: &str) -> Result<Option<Counter>, Error> {
        let path = self.counter_path(self.camera_id(camera));
        load(&path).map_err(Error::io("read", &path))
    }

    /// Takes the next sequence number, then writes the journal, then makes the file: each durable before the next.
    pub fn begin(&mut self, camera: &str, origin: Ticks90k, start: Option<WallTime>) -> Result<Begun, Error> {
        let id = self.camera_id(camera);
        let counter = match self.counter(camera)? {
            Some(counter) => counter,
            // Counting from 0 again would give names that were given before.
            None => {
                Counter { camera: camera.to_owned(), next: random()?, boot: String::new(), last_gop: None }
            }
        };
        let name = RecordingName::new(start, id, counter.next);
        let path = self.counter_path(id);
        save(&path, &Counter { next: (counter.next + 1) % SEQUENCES, ..counter })
            .map_err(Error::io("write", &path))?;

        let journal = Journal {
            camera: camera.to_owned(),
            order: self.next_order(),
            boot: self.boot.clone(),
            origin: origin.0,
            seconds: 0.0,
            stage: Stage::Growing,
            thinned: false,
            token: None,
        };
        self.save(&name, &journal)?;
        let path = self.recording(&name);
        let file = OpenOptions::new().read(true).write(true).create_new(true).open(&path);
        let file = file.map_err(Error::io("create", &path))?;
        files::sync_dir(&self.dir).map_err(Error::io("sync", &self.dir))?;
        self.entries.insert(journal.order, Entry { name, journal, bytes: 0, held: true });
        Ok(Begun { name, file, path })
    }

    pub fn grow(&mut self, name: &RecordingName, bytes: u64, duration: Ticks90k) {
        if let Some(entry) = self.entry_mut(name) {
            entry.bytes = bytes;
            entry.journal.seconds = duration.as_secs_f64();
        }
    }

    /// The recording is sealed on the disk. Which GOPs it holds is kept first: a crash between the two writes finds a torn
    /// recording, and repeats both.
    pub fn seal(&mut self, name: &RecordingName, sealed: &Sealed) -> Result<(), Error> {
        let Some(entry) = self.entry_mut(name) else { return Err(self.gone(name)) };
        entry.held = false;
        entry.bytes = sealed.bytes;
        let journal = Journal {
            origin: sealed.origin.0,
            seconds: sealed.duration.as_secs_f64(),
            stage: Stage::Sealed,
            ..entry.journal.clone()
        };
        if journal.boot == self.boot
            && let Some(counter) = self.counter(&journal.camera)?
        {
            let path = self.counter_path(self.camera_id(&journal.camera));
            let counter = Counter { boot: self.boot.clone(), last_gop: Some(sealed.last_gop), ..counter };
            save(&path, &counter).map_err(Error::io("write", &path))?;
        }
        self.change(name, |kept| *kept = journal)
    }

    /// Changes a journal, on the disk first.
    pub fn change(&mut self, name: &RecordingName, change: impl FnOnce(&mut Journal)) -> Result<(), Error> {
        let Some(entry) = self.entry_mut(name) else { return Err(self.gone(name)) };
        let mut journal = entry.journal.clone();
        change(&mut journal);
        self.save(name, &journal)?;
        if let Some(entry) = self.entry_mut(name) {
            entry.journal = journal;
        }
        Ok(())
    }

    fn save(&self, name: &RecordingName, journal: &Journal) -> Result<(), Error> {
        let path = self.journal(name);
        save(&path, journal).map_err(Error::io("write", &path))
    }

    fn gone(&self, name: &RecordingName) -> Error {
        Error::Gone { dir: self.dir.clone(), name: name.to_string() }
    }

    /// Removes a recording: first the file, then its journal, so that a crash leaves nothing that looks like a recording.
    pub fn remove(&mut self, order: u64) -> Result<Entry, Error> {
        let Some(entry) = self.entries.get(&order).cloned() else {
            return Err(Error::Gone { dir: self.dir.clone(), name: order.to_string() });
        };
        for path in [self.recording(&entry.name), self.journal(&entry.name)] {
            files::remove(&path).map_err(Error::io("remove", &path))?;
        }
        self.entries.remove(&order);
        Ok(entry)
    }

    /// Keeps nothing but the IDRs of a sealed recording.
    pub fn thin(&mut self, order: u64) -> Result<(), Error> {
        let Some(entry) = self.entries.get(&order) else { return Ok(()) };
        let name = entry.name;
        let bytes = repair::thin(&self.recording(&name))?;
        tracing::warn!(recording = %name, bytes, "thinned to its IDR pictures: the disk is full");
        self.change(&name, |journal| journal.thinned = true)?;
        if let Some(entry) = self.entry_mut(&name) {
            entry.bytes = bytes;
        }
        Ok(())
    }
}

/// Locks the folder for this process.
fn lock(dir: &Path) -> Result<Flock<File>, Error> {
    let path = dir.join(".lock");
    let file = OpenOptions::new().write(true).create(true).truncate(false).open(&path);
    let file = file.map_err(Error::io("create", &path))?;
    Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(|_| Error::Busy { dir: dir.to_owned() })
}

/// A sequence number to start from.
fn random() -> Result<u64, Error> {
    let number = getrandom::u64().map_err(|error| std::io::Error::other(error.to_string()));
    number.map(|number| number % SEQUENCES).map_err(Error::io("read", Path::new("/dev/urandom")))
}

/// What became of one file of a folder.
pub type Recovered = (PathBuf, Result<Option<Sealed>, Error>);

/// Seals every torn recording in `dir`, whatever its name, with or without a journal; gives what was found. Nothing is
/// removed, and files that are no recordings are reported and left alone.
///
/// # Errors
/// The folder cannot be listed, or an appliance is using it.
pub fn recover_dir(dir: &Path) -> Result<Vec<Recovered>, Error> {
    let _lock = lock(dir)?;
    let list = std::fs::read_dir(dir).map_err(Error::io("list", dir))?;
    let paths = list.map(|file| file.map(|file| file.path())).collect::<Result<Vec<_>, _>>();
    let mut paths = paths.map_err(Error::io("list", dir))?;
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "mp4"));
    paths.sort_unstable();
    Ok(paths.into_iter().map(|path| (path.clone(), repair::seal(&path))).collect())
}

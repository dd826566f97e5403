//! The opened folder: its list of recordings, and every write and removal in it.

use super::disk::Disk;
use super::fallback::Away;
use super::journal::{Counter, Journal, Stage, load, save};
use super::ledgers::Ledgers;
use super::places::Places;
use super::repair::Sealed;
use super::{Begun, Error, Growth, files, repair};
use crate::supervise::clock;
use crate::upload::key::DeviceKey;
use bytes::Bytes;
use media::ledger::{self, Boot, Dates, Gop, Stitched};
use media::mp4::{About, Growing};
use media::names::{CameraId, RecordingName, SEQUENCES};
use media::{Ticks90k, WallTime};
use nix::fcntl::{Flock, FlockArg};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Where a camera without a name is counted under: a recording that does not say whose it is.
const UNKNOWN_CAMERA: &str = "unknown";

/// Recordings of a camera whose ledger slices are read at the start: a day of quarters.
const MOST_REMEMBERED: usize = 96;
/// Files with ledger entries that no recording carries; the oldest leaves. Each holds an hour at least.
const MOST_LEDGER_FILES: usize = 1024;
/// Numbers that are left out at most where those given in RAM may be forgotten.
const MOST_SKIPPED: u64 = 1 << 24;
/// A clock is believed about the age of recordings once it has not been set for so long.
const SETTLED: Ticks90k = Ticks90k(3600 * media::time::TICKS_PER_SECOND);
/// A name is wrong by more than the second that it shows, and the drift of a clock: 3 s in microseconds.
const SET_ANEW: i64 = 3_000_000;

/// One recording.
#[derive(Clone, Debug)]
pub struct Entry {
    pub name: RecordingName,
    pub journal: Journal,
    pub bytes: u64,
    /// A recorder is writing it.
    pub held: bool,
    /// Rises when what is in the file may have been cut: what was read of it before counts no more.
    pub epoch: u32,
    /// GOPs of it that do not count in the file until its next sync: where their headers stand.
    pub unsynced: Vec<u64>,
    /// It is on the RAM disk.
    pub in_ram: bool,
    /// What counted before its last sync, and cannot be lost by a sync that fails; `None`: another process wrote it.
    pub safe: Option<Counting>,
    /// What counts since its last sync.
    counting: Counting,
}

/// How much of a growing recording counts.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Counting {
    /// Where it ends.
    pub bytes: u64,
    /// Its newest GOP.
    pub gop: Option<u64>,
}

impl Entry {
    fn new(name: RecordingName, journal: Journal, bytes: u64, in_ram: bool) -> Self {
        let (held, unsynced) = (false, Vec::new());
        Self {
            name,
            journal,
            bytes,
            held,
            epoch: 0,
            unsynced,
            in_ram,
            safe: None,
            counting: Counting::default(),
        }
    }

    pub fn waits_for_receipt(&self) -> bool {
        matches!(self.journal.stage, Stage::Sealed | Stage::Committing)
    }
}

/// The folder, locked against other processes, and the one in RAM that stands in for it.
pub struct Folder {
    pub(super) places: Arc<Places>,
    /// The device's public key: names depend on it.
    device: Vec<u8>,
    ledgers: Ledgers,
    /// From media time to dates, as far as the ledgers tell.
    dates: Dates,
    /// When the clock was last set, or found to have drifted, in this process.
    clock_set: Option<Ticks90k>,
    /// Entries that no recording carries, on their way.
    ledger_files: BTreeSet<RecordingName>,
    /// The ledgers that have been told that this process began.
    begun: HashSet<CameraId>,
    /// As they were written last.
    counters: HashMap<CameraId, Counter>,
    pub(super) boot: String,
    /// By `journal.order`: oldest first.
    pub(super) entries: BTreeMap<u64, Entry>,
    /// What it is on.
    pub disk: Disk,
    /// When the list was last shown.
    pub shown: Ticks90k,
    /// `None` until the card works for the first time.
    pub(super) lock: Option<Flock<File>>,
    /// What is known of a card that does not work.
    pub away: Away,
}

impl Folder {
    /// Opens the folder `dir`, makes it if it is missing, and finishes what a crash left. Where it does not work and there may be
    /// recordings in RAM, `ram` stands in for it.
    pub fn open(dir: &Path, ram: Option<&Path>, key: &DeviceKey, boot: &str) -> Result<Self, Error> {
        let places = Arc::new(Places::new(dir, ram));
        let mut folder = Self {
            device: key.public_blob()?,
            ledgers: Ledgers::new(Arc::clone(&places), boot, key),
            places,
            dates: Dates::default(),
            clock_set: None,
            ledger_files: BTreeSet::new(),
            begun: HashSet::new(),
            counters: HashMap::new(),
            boot: boot.to_owned(),
            entries: BTreeMap::new(),
            disk: Disk::default(),
            shown: Ticks90k::ZERO,
            lock: None,
            away: Away::default(),
        };
        folder.enter()?;
        folder.mend();
        Ok(folder)
    }

    /// The folder that new files go to.
    pub fn dir(&self) -> &Path {
        self.places.writing()
    }

    /// All recordings, oldest first.
    pub fn entries(&self) -> impl DoubleEndedIterator<Item = &Entry> + Clone {
        self.entries.values()
    }

    /// Whether everything is written to RAM.
    pub fn is_in_ram(&self) -> bool {
        self.places.in_ram()
    }

    /// The recordings that are where new ones go, oldest first.
    pub fn here(&self) -> impl Iterator<Item = &Entry> + Clone {
        let in_ram = self.is_in_ram();
        self.entries().filter(move |entry| entry.in_ram == in_ram)
    }

    pub fn entry_mut(&mut self, name: &RecordingName) -> Option<&mut Entry> {
        self.entries.values_mut().find(|entry| entry.name == *name)
    }

    pub fn recording(&self, name: &RecordingName) -> PathBuf {
        self.places.at(&format!("{name}.mp4"))
    }

    pub fn camera_id(&self, camera: &str) -> CameraId {
        CameraId::new(&self.device, camera)
    }

    /// Reads the names in one of the two folders. What is not ours is left alone, and so is what is known already: of two files of
    /// one name that in RAM counts.
    pub(super) fn scan(&mut self, dir: &Path) -> Result<(), Error> {
        let in_ram = self.places.ram() == Some(dir);
        let mut without_journal = Vec::new();
        let list = std::fs::read_dir(dir).map_err(Error::io("list", dir))?;
        for file in list {
            let path = file.map_err(Error::io("list", dir))?.path();
            let Some(file_name) = path.file_name().and_then(|name| name.to_str()) else { continue };
            let Some((name, rest)) = file_name.split_once('.') else { continue };
            let Ok(name) = name.parse::<RecordingName>() else { continue };
            match rest {
                "mp4" if self.entries().any(|entry| entry.name == name) => {}
                "mp4" => {
                    let bytes = std::fs::metadata(&path).map_err(Error::io("look at", &path))?.len();
                    let journal_path = self.places.at(&journal_of(&name));
                    match load::<Journal>(&journal_path).map_err(Error::io("read", &journal_path))? {
                        Some(journal) if !self.entries.contains_key(&journal.order) => {
                            self.entries.insert(journal.order, Entry::new(name, journal, bytes, in_ram));
                        }
                        _ => without_journal.push((name, bytes)),
                    }
                }
                // A journal without its recording: the recording was being removed, or was never written.
                "mp4.journal" if !self.recording(&name).exists() => self.tidy(&path)?,
                "ledger" => {
                    self.ledger_files.insert(name);
                }
                "mp4.tmp" | "ledger.tmp" | "mp4.journal.tmp" => self.tidy(&path)?,
                _ => {}
            }
        }
        without_journal.sort_unstable();
        for (name, bytes) in without_journal {
            self.adopt(name, bytes, in_ram);
        }
        Ok(())
    }

    /// Removes what is of no account; on a card that does not work it stays.
    fn tidy(&self, path: &Path) -> Result<(), Error> {
        match files::remove(path) {
            Err(_) if self.places.in_ram() => Ok(()),
            removed => removed.map_err(Error::io("remove", path)),
        }
    }

    /// Takes a recording without a journal for a torn one; whether it is, its repair finds out.
    fn adopt(&mut self, name: RecordingName, bytes: u64, in_ram: bool) {
        let journal = Journal {
            camera: UNKNOWN_CAMERA.to_owned(),
            order: self.next_order(),
            boot: String::new(),
            origin: 0,
            seconds: 0.0,
            stage: Stage::Growing,
            thinned: false,
            cut: None,
            token: None,
            long: false,
        };
        self.entries.insert(journal.order, Entry::new(name, journal, bytes, in_ram));
    }

    fn next_order(&self) -> u64 {
        self.entries.last_key_value().map_or(0, |(order, _)| order + 1)
    }

    pub(super) fn torn(&self, which: impl Fn(&Entry) -> bool) -> Vec<u64> {
        let torn = |entry: &&Entry| entry.journal.stage == Stage::Growing && !entry.held && which(entry);
        self.entries().filter(torn).map(|entry| entry.journal.order).collect()
    }

    /// Seals a torn recording. One without a whole GOP is removed; one that cannot be read is left to people.
    pub(super) fn repair(&mut self, order: u64) -> Result<(), Error> {
        let Some(entry) = self.entries.get(&order) else { return Ok(()) };
        if self.places.in_ram() && !entry.in_ram {
            return self.look(order);
        }
        let (name, camera, boot) = (entry.name, entry.journal.camera.clone(), entry.journal.boot.clone());
        let cut = entry.journal.cut;
        let (path, device) = (self.recording(&name), self.device.clone());
        let sign = |growing: &Growing, about: &About| {
            // A recording of another device belongs into another chain.
            let own = CameraId::new(&device, &about.camera) == name.camera;
            if own { self.ledgers.draft(&name, &boot, growing.gops()) } else { Ok(Bytes::new()) }
        };
        match repair::seal(&path, cut, sign) {
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

    /// Seals what the recorder of `camera` left torn; gives the newest GOP of this boot that is in a recording. The process began
    /// at `started`: its ledger is told so once.
    pub fn resume(&mut self, camera: &str, started: Ticks90k) -> Result<Option<u64>, Error> {
        for order in self.torn(|entry| entry.journal.camera == camera) {
            self.repair(order)?;
        }
        let id = self.camera_id(camera);
        self.ledgers.settled(id);
        if !self.begun.contains(&id) {
            self.ledgers.note(id, &[ledger::Entry::Start { at: started }])?;
            self.begun.insert(id);
        }
        let counter = self.counter(camera)?;
        Ok(counter.filter(|counter| counter.boot == self.boot).and_then(|counter| counter.last_gop))
    }

    fn counter(&mut self, camera: &str) -> Result<Option<Counter>, Error> {
        let id = self.camera_id(camera);
        if let Some(counter) = self.counters.get(&id) {
            return Ok(Some(counter.clone()));
        }
        let path = self.places.at(&counter_of(id));
        let counter = match load::<Counter>(&path) {
            // What a card that does not work cannot tell is taken for lost.
            Err(_) if self.places.in_ram() => None,
            counter => counter.map_err(Error::io("read", &path))?,
        };
        let ahead = self.places.is_first_in_ram(&counter_of(id));
        Ok(if ahead { counter.map(skip) } else { counter })
    }

    /// What comes is counted in RAM from now on: behind numbers and heads that the card will not give again after a power cut.
    pub(super) fn branch(&mut self) {
        self.ledgers.branch();
        let counters = std::mem::take(&mut self.counters);
        self.counters = counters.into_iter().map(|(id, counter)| (id, skip(counter))).collect();
    }

    fn keep_counter(&mut self, counter: Counter) -> Result<(), Error> {
        let id = self.camera_id(&counter.camera);
        let path = self.places.to(&counter_of(id));
        save(&path, &counter).map_err(Error::io("write", &path))?;
        self.counters.insert(id, counter);
        Ok(())
    }

    /// GOPs of this boot up to `last_gop` are in a recording that begins at `origin`; durably, unless a later recording says more.
    pub(super) fn keep_last_gop(
        &mut self,
        camera: &str,
        origin: Ticks90k,
        last_gop: u64,
    ) -> Result<(), Error> {
        let Some(counter) = self.counter(camera)? else { return Ok(()) };
        if counter.boot == self.boot && counter.origin > origin.0 {
            return Ok(());
        }
        let boot = self.boot.clone();
        self.keep_counter(Counter { boot, last_gop: Some(last_gop), origin: origin.0, ..counter })
    }

    /// Takes the next sequence number, durably, and gives the name with it.
    fn next_name(&mut self, camera: &str, start: Option<WallTime>) -> Result<RecordingName, Error> {
        let id = self.camera_id(camera);
        let counter = match self.counter(camera)? {
            Some(counter) => counter,
            // Counting from 0 again would give names that were given before.
            None => {
                let (camera, boot) = (camera.to_owned(), String::new());
                Counter { camera, next: random()?, boot, last_gop: None, origin: 0 }
            }
        };
        let name = RecordingName::new(start, id, counter.next);
        self.keep_counter(Counter { next: (counter.next + 1) % SEQUENCES, ..counter })?;
        Ok(name)
    }

    /// Takes the next name, then writes the journal, then makes the file: each durable before the next.
    pub fn begin(&mut self, camera: &str, origin: Ticks90k, start: Option<WallTime>) -> Result<Begun, Error> {
        let name = self.next_name(camera, start)?;
        let journal = Journal {
            camera: camera.to_owned(),
            order: self.next_order(),
            boot: self.boot.clone(),
            origin: origin.0,
            seconds: 0.0,
            stage: Stage::Growing,
            thinned: false,
            cut: None,
            token: None,
            long: false,
        };
        self.save(&name, &journal)?;
        let in_ram = self.places.in_ram();
        let path = self.places.to(&format!("{name}.mp4"));
        let file = OpenOptions::new().read(true).write(true).create_new(true).open(&path);
        let file = file.map_err(Error::io("create", &path))?;
        files::sync_dir(self.dir()).map_err(Error::io("sync", self.dir()))?;
        let entry =
            Entry { held: true, safe: Some(Counting::default()), ..Entry::new(name, journal, 0, in_ram) };
        self.entries.insert(entry.journal.order, entry);
        Ok(Begun { name, file, path, in_ram })
    }

    /// Tells the ledger of a camera what its GOPs do not say.
    pub fn note(&mut self, camera: &str, entries: &[ledger::Entry]) -> Result<(), Error> {
        self.ledgers.note(self.camera_id(camera), entries)?;
        let boot = Boot::of(&self.boot);
        for entry in entries {
            self.dates.add(boot, entry);
            if let ledger::Entry::Clock { media, .. } = entry {
                self.clock_set = Some(*media);
            }
        }
        Ok(())
    }

    /// Tells the ledger of its camera that the remote host holds a recording: if it is not there later, it was taken away.
    pub fn note_receipt(&mut self, name: &RecordingName, date: Option<WallTime>) -> Result<(), Error> {
        let entry = self.entries.values().find(|entry| entry.name == *name);
        let camera = entry.map(|entry| entry.journal.camera.clone()).unwrap_or_default();
        // A recording of another device belongs into another chain.
        if self.camera_id(&camera) != name.camera {
            return Ok(());
        }
        let receipt = ledger::Entry::Receipt { at: clock::media_now(), recording: name.sequence };
        self.ledgers.note(name.camera, &[receipt])?;
        self.cut(&camera, date, false)
    }

    /// The ledger slices that the seal of a recording of this boot carries.
    pub fn draft(&mut self, name: &RecordingName, gops: &[Gop]) -> Result<Bytes, Error> {
        self.ledgers.draft(name, &self.boot, gops)
    }

    /// Puts what waits in a camera's ledger into a file of its own: if it must, or if `now` and anything waits.
    pub fn cut(&mut self, camera: &str, date: Option<WallTime>, now: bool) -> Result<(), Error> {
        let (waits, full) = self.ledgers.waits(self.camera_id(camera))?;
        if full || (now && waits) {
            let name = self.next_name(camera, date)?;
            self.ledgers.cut(&name)?;
            self.ledger_files.insert(name);
            if self.ledger_files.len() > MOST_LEDGER_FILES
                && let Some(oldest) = self.ledger_files.first().copied()
            {
                self.remove_ledger_file(&oldest)?;
            }
            tracing::info!(%name, "ledger entries that no recording carries have a file of their own");
        }
        Ok(())
    }

    /// The files with ledger entries that no recording carries, oldest first.
    pub fn ledger_files(&self) -> Vec<(RecordingName, PathBuf)> {
        self.ledger_files.iter().map(|name| (*name, self.ledgers.file(name))).collect()
    }

    /// Removes such a file.
    pub fn remove_ledger_file(&mut self, name: &RecordingName) -> Result<(), Error> {
        let path = self.ledgers.file(name);
        files::remove(&path).map_err(Error::io("remove", &path))?;
        self.ledger_files.remove(name);
        Ok(())
    }

    /// What the ledger of a camera knows of the recordings that are here, and their dates.
    pub fn history(&mut self, camera: &str) -> Stitched {
        let id = self.camera_id(camera);
        let sealed = |entry: &&Entry| entry.name.camera == id && entry.journal.stage > Stage::Growing;
        let mut paths: Vec<PathBuf> = self
            .entries
            .values()
            .rev()
            .filter(sealed)
            .take(MOST_REMEMBERED)
            .map(|entry| self.recording(&entry.name))
            .collect();
        paths.reverse();
        self.ledgers.history(id, &paths, &mut self.dates)
    }

    /// The date of a media time of this boot, if it is known.
    pub fn date(&self, media: Ticks90k) -> Option<WallTime> {
        self.dates.wall_of(Boot::of(&self.boot), media)
    }

    /// When a recording began, by the clock as it was set last.
    pub fn start_of(&self, entry: &Entry) -> Option<WallTime> {
        let by_ledger = self.dates.wall_of(Boot::of(&entry.journal.boot), Ticks90k(entry.journal.origin));
        match (entry.name.start, by_ledger) {
            (Some(named), Some(date)) if (date.0 - named.0).abs() > SET_ANEW => Some(date),
            (named, date) => named.or(date),
        }
    }

    /// How old a recording is, in days. A jump of the wall clock makes none old: within this boot media time counts, and beyond
    /// it only a clock that was not set within the hour.
    pub fn days(&self, entry: &Entry, now: Ticks90k, wall: Option<WallTime>) -> Option<f64> {
        let seconds = if entry.journal.boot == self.boot {
            (now - Ticks90k(entry.journal.origin)).as_secs_f64()
        } else {
            let wall = wall.filter(|_| self.clock_set.is_some_and(|set| now - set >= SETTLED))?;
            (wall.0 - self.start_of(entry)?.0) as f64 / 1e6
        };
        Some(seconds / 86_400.0)
    }

    pub fn grow(&mut self, name: &RecordingName, growth: Growth) {
        if let Some(entry) = self.entry_mut(name) {
            entry.bytes = growth.bytes;
            entry.journal.seconds = growth.duration.as_secs_f64();
            let bytes = growth.unsynced.first().copied().unwrap_or(growth.bytes);
            let counting = Counting { bytes, gop: growth.counting };
            if counting.bytes > entry.counting.bytes {
                // The sync that these wait for no more was one of what counted until then.
                (entry.safe, entry.counting) = (Some(entry.counting), counting);
            }
            entry.unsynced = growth.unsynced;
        }
    }

    /// Its recorder has given up: it is torn, and will be cut.
    pub fn release(&mut self, name: &RecordingName) {
        if let Some(entry) = self.entry_mut(name) {
            entry.held = false;
            entry.epoch += 1;
        }
    }

    /// The recording is sealed on the disk. Which GOPs it holds is kept first: a crash between the two writes finds a torn
    /// recording, and repeats both.
    pub fn seal(&mut self, name: &RecordingName, sealed: &Sealed) -> Result<(), Error> {
        self.ledgers.sealed(name.camera, &self.recording(name))?;
        let Some(entry) = self.entry_mut(name) else { return Err(self.gone(name)) };
        entry.held = false;
        entry.bytes = sealed.bytes;
        entry.unsynced.clear();
        let journal = Journal {
            origin: sealed.origin.0,
            seconds: sealed.duration.as_secs_f64(),
            stage: Stage::Sealed,
            cut: None,
            ..entry.journal.clone()
        };
        if journal.boot == self.boot {
            self.keep_last_gop(&journal.camera, sealed.origin, sealed.last_gop)?;
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
        let path = self.places.to(&journal_of(name));
        save(&path, journal).map_err(Error::io("write", &path))
    }

    /// There is no such recording any more.
    pub fn gone(&self, name: &RecordingName) -> Error {
        Error::Gone { dir: self.dir().to_owned(), name: name.to_string() }
    }

    /// Removes a recording: first the file, then its journal, so that a crash leaves nothing that looks like a recording.
    pub fn remove(&mut self, order: u64) -> Result<Entry, Error> {
        let Some(entry) = self.entries.get(&order).cloned() else {
            return Err(Error::Gone { dir: self.dir().to_owned(), name: order.to_string() });
        };
        for path in [self.recording(&entry.name), self.places.at(&journal_of(&entry.name))] {
            files::remove(&path).map_err(Error::io("remove", &path))?;
        }
        self.entries.remove(&order);
        Ok(entry)
    }

    /// Removes a recording that nobody else has; its place in the ledger stays.
    pub fn drop(&mut self, order: u64) -> Result<Entry, Error> {
        let Some(name) = self.entries.get(&order).map(|entry| entry.name) else {
            return Err(Error::Gone { dir: self.dir().to_owned(), name: order.to_string() });
        };
        let place = self.ledgers.dropped(&self.recording(&name));
        let kept = self.ledgers.keep(name.camera, &place);
        let entry = self.remove(order)?;
        if kept.is_err() {
            // On a full disk only the removal makes room for it.
            self.ledgers.keep(name.camera, &place)?;
        }
        Ok(entry)
    }

    /// Keeps nothing but the IDRs of a sealed recording; gives what it is then.
    pub fn thin(&mut self, order: u64) -> Result<Entry, Error> {
        let gone = |order: u64| Error::Gone { dir: self.dir().to_owned(), name: order.to_string() };
        let name = self.entries.get(&order).ok_or_else(|| gone(order))?.name;
        let sign = |ledger: &[u8], left| self.ledgers.thinned(&name, ledger, left);
        let bytes = repair::thin(&self.recording(&name), sign)?;
        tracing::warn!(recording = %name, bytes, "thinned to its IDR pictures: the disk is full");
        self.change(&name, |journal| journal.thinned = true)?;
        let entry = self.entry_mut(&name).map(|entry| {
            entry.bytes = bytes;
            entry.clone()
        });
        entry.ok_or_else(|| self.gone(&name))
    }
}

pub(super) fn journal_of(name: &RecordingName) -> String {
    format!("{name}.mp4.journal")
}

fn counter_of(camera: CameraId) -> String {
    format!("{camera}.camera")
}

fn skip(counter: Counter) -> Counter {
    // Where the system has no random numbers yet, always as many.
    let skipped = getrandom::u64().map_or(1, |number| 1 + number % MOST_SKIPPED);
    Counter { next: (counter.next + skipped) % SEQUENCES, ..counter }
}

/// Locks the folder for this process.
pub(super) fn lock(dir: &Path) -> Result<Flock<File>, Error> {
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

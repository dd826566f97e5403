//! The edge's store: recordings with a journal each, as docs/design/store.md has them, on a virtual disk.
//!
//! ```text
//! rec/NAME.mp4   rec/NAME.mp4.journal: STAGE TOKEN ORDER THINNED BOOT   rec/CAMERA8.camera: the next sequence number
//! rec/NAME.ledger: what no recording takes along; it has no journal
//! ```

use super::disk::{Errno, View};
use super::host::{File, Host};
use super::ledgers::Ledgers;
use super::pages::Pages;
use super::variant::Flaw;
use bytes::Bytes;
use media::WallTime;
use media::handshake::room::{Item, Victim, next_victim};
use media::handshake::{Content, Journal};
use media::ledger::Gop;
use media::mp4::demux::{footage_end, ledger, verify};
use media::mp4::{About, Growing, Movie, Recovered, Step, Torn, recover};
use media::names::{CameraId, LockToken, RecordingName};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

/// How far a recording has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Being written, or torn.
    Growing,
    /// Whole; how far its upload has come.
    Sealed(Journal),
}

/// What the process knows of one recording.
#[derive(Clone, Debug)]
pub struct Entry {
    /// How far it has come.
    pub stage: Stage,
    /// Whole GOPs, or the sealed file.
    pub bytes: u64,
    /// Where headers of GOPs stand that still say `free`.
    pub unsynced: Vec<u64>,
    /// The token of its upload, once that has begun.
    pub token: Option<LockToken>,
    /// More of it can be there without being on the disk there than over a short path.
    pub long: bool,
    /// A recorder is writing it.
    pub held: bool,
    /// Another number when what was there may have been cut.
    pub epoch: u64,
    /// Rises from the oldest to the newest.
    pub order: u64,
    /// Only its IDRs are left.
    pub thinned: bool,
    /// The boot in which it was begun.
    pub boot: String,
    /// It is no recording, but a file of the ledger.
    pub ledger: bool,
    /// This process has left it torn, and so many bytes of it count.
    pub torn: Option<u64>,
}

impl Entry {
    /// What there is to send; `None` while there is nothing.
    pub fn content(&self) -> Option<Content> {
        match self.stage {
            _ if self.ledger => Some(Content::Plain(self.bytes)),
            Stage::Growing if self.held && self.bytes > 0 => Some(Content::Growing(self.bytes)),
            Stage::Growing => self.torn.map(Content::Torn),
            Stage::Sealed(_) => Some(Content::Sealed(self.bytes)),
        }
    }

    /// Whether its upload has not begun.
    pub fn waits(&self) -> bool {
        self.stage == Stage::Sealed(Journal::Sealed) && self.token.is_none()
    }

    /// A file of the ledger. Its upload begins anew with each process.
    fn of_ledger(camera: CameraId, bytes: u64, boot: String) -> Self {
        let token = LockToken::Upload { camera, boot: boot.clone(), nonce: "ledger".to_owned() };
        let stage = Stage::Sealed(Journal::Sealed);
        Self { stage, bytes, token: Some(token), boot, ledger: true, ..parse("") }
    }

    fn item(&self) -> Item {
        let sealed = if let Stage::Sealed(journal) = self.stage { Some(journal) } else { None };
        Item { order: self.order, sealed, begun: self.token.is_some(), thinned: self.thinned, days: None }
    }

    /// `j` of the handshake.
    pub fn journal(&self) -> Journal {
        match self.stage {
            Stage::Growing => Journal::Sealed,
            Stage::Sealed(journal) => journal,
        }
    }
}

/// All recordings of an edge.
pub struct Store {
    host: Rc<Host>,
    entries: RefCell<BTreeMap<RecordingName, Entry>>,
    busy: Cell<bool>,
    /// Pages of all recordings, beyond which some must leave; `None`: as many as there are.
    most_pages: Option<u64>,
    /// What vouches for them.
    ledgers: Rc<Ledgers>,
}

/// Who holds it writes a journal.
struct Busy<'a>(&'a Cell<bool>);

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.0.set(false);
    }
}

/// Where a recording is.
pub fn path(name: &RecordingName) -> String {
    format!("rec/{name}.mp4")
}

/// Where a file of a ledger is.
pub fn ledger_path(name: &RecordingName) -> String {
    format!("rec/{name}.ledger")
}

fn journal_path(name: &RecordingName) -> String {
    format!("rec/{name}.mp4.journal")
}

impl Store {
    /// A store that was not opened yet.
    pub fn new(ledgers: &Rc<Ledgers>, host: &Rc<Host>, most_pages: Option<u64>) -> Self {
        let (host, ledgers) = (Rc::clone(host), Rc::clone(ledgers));
        Self { host, entries: RefCell::default(), busy: Cell::default(), most_pages, ledgers }
    }

    /// Finishes what a crash left. What it cannot finish now is tried again by whoever records.
    pub async fn open(&self) -> Result<(), Errno> {
        self.entries.borrow_mut().clear();
        self.ledgers.forget();
        for file in self.host.names("rec").await? {
            let Some((name, extension)) = file.split_once('.') else { continue };
            let Ok(name) = name.parse::<RecordingName>() else { continue };
            if extension == "ledger" {
                let bytes = self.host.look(&ledger_path(&name)).await?.map_or(0, |meta| meta.size);
                let entry = Entry::of_ledger(name.camera, bytes, self.host.boot_id());
                self.entries.borrow_mut().insert(name, entry);
            }
            if extension != "mp4" {
                continue;
            }
            let text = self.host.read(&journal_path(&name)).await?.unwrap_or_default();
            let entry = parse(&String::from_utf8_lossy(&text));
            let sealed = matches!(entry.stage, Stage::Sealed(_));
            let bytes = self.host.look(&path(&name)).await?.map_or(0, |meta| meta.size);
            if self.most_pages.is_some() && entry.waits() {
                self.look_again(&name).await?;
            }
            self.entries.borrow_mut().insert(name, Entry { bytes: if sealed { bytes } else { 0 }, ..entry });
        }
        self.mend(|_| true).await
    }

    /// A power cut decides whether a recording is thinned.
    async fn look_again(&self, name: &RecordingName) -> Result<(), Errno> {
        let file = self.host.open(&path(name)).await?;
        let seal = file.and_then(|file| verify(&file.bytes()).ok());
        seal.into_iter().for_each(|seal| self.host.world.judge.borrow_mut().sealed(name, seal));
        Ok(())
    }

    /// Seals what is torn, of the recordings that are `chosen`; one without a whole GOP is removed.
    pub async fn mend(&self, chosen: impl Fn(&RecordingName) -> bool) -> Result<(), Errno> {
        let torn = |(name, entry): (&RecordingName, &Entry)| {
            (entry.stage == Stage::Growing && !entry.held && chosen(name)).then_some(*name)
        };
        let torn: Vec<RecordingName> = self.entries.borrow().iter().filter_map(torn).collect();
        for name in torn {
            let Some(file) = self.host.open_writing(&path(&name)).await? else {
                self.free(&name).await?;
                continue;
            };
            let torn = self.entry(&name).and_then(|entry| entry.torn);
            let standing = torn.and_then(|torn| standing(&file.bytes(), torn));
            let mut pages = file.bytes();
            torn.into_iter().for_each(|torn| pages.set_len(torn));
            match recover(&pages) {
                Ok(Recovered::Empty) => self.free(&name).await?,
                Ok(Recovered::Sealed(seal)) => {
                    self.host.world.judge.borrow_mut().sealed(&name, seal);
                    self.sealed(&name, seal.size).await?;
                }
                Ok(Recovered::Torn(torn)) => {
                    let Torn { mut growing, about, repair } = *torn;
                    self.host.world.tell(|| format!("{name}: {} GOPs are left", growing.gops().len()));
                    let lost = self.host.world.judge.borrow().lost(&name, growing.gops().len());
                    lost.into_iter().for_each(|lost| self.host.world.fail(lost));
                    let stands = standing.is_some();
                    let (slices, about) = match standing {
                        Some(standing) => standing,
                        None => (self.draft(&name, growing.gops()).await?, about),
                    };
                    growing.carry(slices);
                    let seal = growing.seal(&about);
                    if !(stands && is_there(&file.bytes(), &seal)) {
                        file.set_len(growing.size()).await?;
                        apply(&file, &repair).await?;
                    }
                    apply(&file, &seal).await?;
                    self.host.world.judge.borrow_mut().sealed(&name, growing.seal_box());
                    self.sealed(&name, growing.seal_box().size).await?;
                }
                Err(error) => self.host.world.fail(format!("{name} cannot be recovered: {error}")),
            }
        }
        Ok(())
    }

    /// Begins a recording: its number is taken for good, its journal written, its file there.
    pub async fn begin(
        &self,
        camera: CameraId,
        start: Option<WallTime>,
    ) -> Result<(RecordingName, File), Errno> {
        let _busy = self.lock().await;
        self.make_room().await?;
        let name = self.new_name(camera, start).await?;
        let newest = self.entries.borrow().values().map(|entry| entry.order).max().unwrap_or(0);
        let entry = Entry { held: true, order: newest + 1, boot: self.host.boot_id(), ..parse("") };
        self.host.replace(&journal_path(&name), write(&entry).as_bytes()).await?;
        let file = self.host.create(&path(&name)).await?;
        self.host.sync_folder("rec").await?;
        self.entries.borrow_mut().insert(name, entry);
        Ok((name, file))
    }

    /// The next number of a camera is taken for good.
    async fn new_name(&self, camera: CameraId, start: Option<WallTime>) -> Result<RecordingName, Errno> {
        let counter = format!("rec/{camera}.camera");
        let text = self.host.read(&counter).await?.unwrap_or_default();
        let sequence = String::from_utf8_lossy(&text).parse().unwrap_or(0);
        self.host.replace(&counter, (sequence + 1).to_string().as_bytes()).await?;
        Ok(RecordingName::new(start, camera, sequence))
    }

    /// What waits in the ledger of a camera travels by itself, in a file of its own.
    pub async fn cut_ledger(&self, camera: CameraId, date: Option<WallTime>) -> Result<(), Errno> {
        let _busy = self.lock().await;
        if !self.ledgers.waits(camera).await? {
            return Ok(());
        }
        let name = self.new_name(camera, date).await?;
        let bytes = self.ledgers.cut(camera, &ledger_path(&name)).await?;
        if self.ledgers.flaw == Flaw::Files {
            return self.host.remove(&ledger_path(&name)).await.map(drop);
        }
        // What it holds waits nowhere else now: between the cut and this nothing may fail, as in the product.
        let entry = Entry::of_ledger(camera, bytes, self.host.boot_id());
        self.entries.borrow_mut().insert(name, entry);
        Ok(())
    }

    /// Lets recordings leave until all fit, by the choice of the product. The lock is held: none begins to travel meanwhile.
    async fn make_room(&self) -> Result<(), Errno> {
        let Some(most) = self.most_pages else { return Ok(()) };
        while self.pages() > most {
            let entries = self.by_order();
            let items = entries.iter().map(|(_, entry)| entry.item());
            let victim = next_victim(items, true, 0, true).ok_or(Errno::NoSpace)?;
            let (Victim::Leave(order) | Victim::Thin(order) | Victim::Drop(order)) = victim;
            let chosen = entries.iter().find(|(_, entry)| entry.order == order);
            let name = chosen.map(|(name, _)| *name).ok_or(Errno::Absent)?;
            self.host.world.tell(|| format!("{name}: {victim:?}"));
            let wrong = self.host.world.judge.borrow_mut().leaves(&name, victim, &entries);
            wrong.into_iter().for_each(|wrong| self.host.world.fail(wrong));
            match victim {
                Victim::Thin(_) => self.thin(&name).await?,
                Victim::Leave(_) => self.free(&name).await?,
                Victim::Drop(_) => {
                    if let Some(file) = self.host.open(&path(&name)).await? {
                        self.ledgers.dropped(&name, &file.bytes()).await?;
                    }
                    self.free(&name).await?;
                }
            }
        }
        Ok(())
    }

    /// What all recordings take.
    fn pages(&self) -> u64 {
        let used = |name: &RecordingName| self.host.judged(&path(name), View::Now, |pages, _| pages.used());
        self.names().iter().filter_map(used).sum()
    }

    /// Keeps nothing of a recording but its IDRs.
    async fn thin(&self, name: &RecordingName) -> Result<(), Errno> {
        let Some(file) = self.host.open(&path(name)).await? else { return self.free(name).await };
        let source = file.bytes();
        let (mut growing, steps, about) = thinned(&source).ok_or(Errno::Io)?;
        let left = growing.gops().iter().map(|gop| gop.sha256).collect();
        growing.carry(self.ledgers.thinned(name, &source, left)?);
        let unfinished = format!("{}.tmp", path(name));
        let new = self.host.create_or_empty(&unfinished).await?;
        apply(&new, &steps).await?;
        apply(&new, &growing.seal(&about)).await?;
        new.sync().await?;
        self.host.rename(&unfinished, &path(name), true).await?;
        self.host.world.judge.borrow_mut().sealed(name, growing.seal_box());
        self.host.sync_folder("rec").await?;
        self.change_locked(name, |entry| (entry.thinned, entry.bytes) = (true, growing.seal_box().size)).await
    }

    /// A recording has grown.
    pub fn grow(&self, name: &RecordingName, bytes: u64, unsynced: Vec<u64>) {
        if let Some(entry) = self.entries.borrow_mut().get_mut(name) {
            (entry.bytes, entry.unsynced) = (bytes, unsynced);
        }
    }

    /// Its recorder has failed: it is torn.
    pub fn let_go(&self, name: &RecordingName) {
        if let Some(entry) = self.entries.borrow_mut().get_mut(name) {
            entry.held = false;
            entry.epoch += 1;
        }
    }

    /// What it has up to here counts, and no more; so far it travels until it is sealed.
    pub fn tear(&self, name: &RecordingName, bytes: u64) {
        self.host.world.judge.borrow_mut().torn(name, bytes);
        if let Some(entry) = self.entries.borrow_mut().get_mut(name) {
            entry.torn = Some(bytes);
            entry.unsynced.clear();
        }
    }

    /// What the seal of a recording carries.
    pub async fn draft(&self, name: &RecordingName, gops: &[Gop]) -> Result<Bytes, Errno> {
        let boot = self.entry(name).map(|entry| entry.boot).unwrap_or_default();
        self.ledgers.draft(name, &boot, gops).await
    }

    /// It is sealed, and so long.
    pub async fn sealed(&self, name: &RecordingName, bytes: u64) -> Result<(), Errno> {
        if let Some(file) = self.host.open(&path(name)).await? {
            self.ledgers.sealed(name, &file.bytes()).await?;
        }
        self.change(name, |entry| {
            entry.stage = Stage::Sealed(Journal::Sealed);
            entry.unsynced.clear();
            (entry.bytes, entry.held) = (bytes, false);
        })
        .await
    }

    /// Changes what is known of it, durably and then here.
    pub async fn change(&self, name: &RecordingName, change: impl Fn(&mut Entry)) -> Result<(), Errno> {
        let _busy = self.lock().await;
        self.change_locked(name, change).await
    }

    async fn change_locked(&self, name: &RecordingName, change: impl Fn(&mut Entry)) -> Result<(), Errno> {
        let Some(mut entry) = self.entry(name) else { return Ok(()) };
        change(&mut entry);
        if entry.ledger {
            self.entries.borrow_mut().insert(*name, entry);
            return Ok(());
        }
        self.host.replace(&journal_path(name), write(&entry).as_bytes()).await?;
        // A recorder may have written on meanwhile.
        self.entries.borrow_mut().get_mut(name).into_iter().for_each(&change);
        Ok(())
    }

    /// Nobody else writes a journal meanwhile.
    async fn lock(&self) -> Busy<'_> {
        while self.busy.replace(true) {
            self.host.world.tasks.sleep(Duration::from_micros(100)).await;
        }
        Busy(&self.busy)
    }

    /// Frees a recording: the journal leaves last, so that nobody takes the file for a torn one.
    pub async fn free(&self, name: &RecordingName) -> Result<(), Errno> {
        let file = if self.is_ledger(name) { ledger_path(name) } else { path(name) };
        self.host.remove(&file).await?;
        self.host.sync_folder("rec").await?;
        self.entries.borrow_mut().remove(name);
        self.host.remove(&journal_path(name)).await.map(drop)
    }

    /// One recording.
    pub fn entry(&self, name: &RecordingName) -> Option<Entry> {
        self.entries.borrow().get(name).cloned()
    }

    /// Whether this is a file of the ledger.
    pub fn is_ledger(&self, name: &RecordingName) -> bool {
        self.entry(name).is_some_and(|entry| entry.ledger)
    }

    /// The recordings that are there, and the files of the ledgers.
    pub fn names(&self) -> Vec<RecordingName> {
        self.entries.borrow().keys().copied().collect()
    }

    /// All recordings, the oldest first.
    pub fn by_order(&self) -> Vec<(RecordingName, Entry)> {
        let entries = self.entries.borrow();
        let recordings = entries.iter().filter(|(_, entry)| !entry.ledger);
        let mut entries: Vec<(RecordingName, Entry)> =
            recordings.map(|(name, entry)| (*name, entry.clone())).collect();
        entries.sort_by_key(|(_, entry)| entry.order);
        entries
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.entries.borrow().is_empty()
    }
}

/// The ledger slices of a recording whose seal stands at `end`, and what that says.
fn standing(source: &Pages, end: u64) -> Option<(Bytes, About)> {
    verify(source).ok().filter(|_| footage_end(source).ok() == Some(end))?;
    let movie = Movie::open(source).ok()?;
    let about = About { camera: movie.title.unwrap_or_default(), start: movie.anchor?.start };
    Some((ledger(source).ok()?, about))
}

/// Whether all that `steps` write stands there already.
fn is_there(source: &Pages, steps: &[Step]) -> bool {
    let stands = |step: &Step| {
        let Step::Write { offset, bytes } = step else { return true };
        let mut there = vec![0; bytes.len()];
        source.read(*offset, &mut there) == bytes.len() && there == *bytes
    };
    steps.iter().all(stands)
}

/// The IDRs of a recording as one that grows, what writes it, and what it is about; `None`: it cannot be read.
fn thinned(source: &Pages) -> Option<(Growing, Vec<Step>, About)> {
    let movie = Movie::open(source).ok()?;
    let about = About { camera: movie.title.clone()?, start: movie.anchor?.start };
    let mut gops = movie.idrs(source)?;
    let (mut growing, mut steps) = Growing::begin(&gops.next()?.ok()?, &about).ok()?;
    for gop in gops {
        steps.extend(growing.append(&gop.ok()?).ok()?);
    }
    Some((growing, steps, about))
}

/// Carries out the steps of a recording.
pub async fn apply(file: &File, steps: &[Step]) -> Result<(), Errno> {
    for step in steps {
        match step {
            Step::Write { offset, bytes } => file.write(*offset, bytes).await?,
            Step::Sync => file.sync().await?,
        }
    }
    Ok(())
}

fn write(entry: &Entry) -> String {
    let stage = match entry.stage {
        Stage::Growing => "growing",
        Stage::Sealed(Journal::Sealed) => "sealed",
        Stage::Sealed(Journal::Committing) => "committing",
        Stage::Sealed(Journal::Acknowledged) => "acknowledged",
    };
    let token = entry.token.as_ref().map(LockToken::to_string).unwrap_or_default();
    let Entry { order, thinned, boot, long, .. } = entry;
    format!("{stage}\n{token}\n{order}\n{thinned}\n{boot}\n{long}\n")
}

/// Reads a journal; one that is missing is that of a torn recording.
fn parse(text: &str) -> Entry {
    let mut lines = text.lines();
    let stage = match lines.next() {
        Some("sealed") => Stage::Sealed(Journal::Sealed),
        Some("committing") => Stage::Sealed(Journal::Committing),
        Some("acknowledged") => Stage::Sealed(Journal::Acknowledged),
        _ => Stage::Growing,
    };
    let token = lines.next().and_then(|token| LockToken::parse(token.as_bytes()).ok());
    let order = lines.next().and_then(|order| order.parse().ok()).unwrap_or(0);
    let thinned = lines.next() == Some("true");
    let boot = lines.next().unwrap_or_default().to_owned();
    let long = lines.next() == Some("true");
    let (unsynced, ledger, torn) = (Vec::new(), false, None);
    Entry {
        stage,
        bytes: 0,
        unsynced,
        token,
        long,
        held: false,
        epoch: 0,
        order,
        thinned,
        boot,
        ledger,
        torn,
    }
}

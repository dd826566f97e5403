//! The edge's store: recordings with a journal each, as docs/design/store.md has them, on a virtual disk.
//!
//! ```text
//! rec/NAME.mp4   rec/NAME.mp4.journal: STAGE TOKEN   rec/CAMERA8.camera: the next sequence number
//! ```

use super::disk::Errno;
use super::host::{File, Host};
use media::WallTime;
use media::handshake::{Content, Journal};
use media::mp4::{Recovered, Step, Torn, recover};
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
    /// A recorder is writing it.
    pub held: bool,
    /// Another number when what was there may have been cut.
    pub epoch: u64,
}

impl Entry {
    /// What there is to send; `None` while there is nothing.
    pub fn content(&self) -> Option<Content> {
        match self.stage {
            Stage::Growing if self.held && self.bytes > 0 => Some(Content::Growing(self.bytes)),
            Stage::Growing => None,
            Stage::Sealed(_) => Some(Content::Sealed(self.bytes)),
        }
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

fn journal_path(name: &RecordingName) -> String {
    format!("rec/{name}.mp4.journal")
}

impl Store {
    /// A store that was not opened yet.
    pub fn new(host: &Rc<Host>) -> Self {
        Self { host: Rc::clone(host), entries: RefCell::default(), busy: Cell::default() }
    }

    /// Finishes what a crash left. What it cannot finish now is tried again by whoever records.
    pub async fn open(&self) -> Result<(), Errno> {
        self.entries.borrow_mut().clear();
        for file in self.host.names("rec").await? {
            let Some((name, "mp4")) = file.split_once('.') else { continue };
            let Ok(name) = name.parse::<RecordingName>() else { continue };
            let text = self.host.read(&journal_path(&name)).await?.unwrap_or_default();
            let entry = parse(&String::from_utf8_lossy(&text));
            let sealed = matches!(entry.stage, Stage::Sealed(_));
            let bytes = self.host.look(&path(&name)).await?.map_or(0, |meta| meta.size);
            self.entries.borrow_mut().insert(name, Entry { bytes: if sealed { bytes } else { 0 }, ..entry });
        }
        self.mend(|_| true).await
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
            match recover(&file.bytes()) {
                Ok(Recovered::Empty) => self.free(&name).await?,
                Ok(Recovered::Sealed(seal)) => {
                    self.host.world.judge.borrow_mut().sealed(&name, seal);
                    self.sealed(&name, seal.size).await?;
                }
                Ok(Recovered::Torn(torn)) => {
                    let Torn { growing, about, repair } = *torn;
                    self.host.world.tell(|| format!("{name}: {} GOPs are left", growing.gops().len()));
                    let lost = self.host.world.judge.borrow().lost(&name, growing.gops().len());
                    lost.into_iter().for_each(|lost| self.host.world.fail(lost));
                    file.set_len(growing.size()).await?;
                    apply(&file, &repair).await?;
                    apply(&file, &growing.seal(&about)).await?;
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
        let counter = format!("rec/{camera}.camera");
        let text = self.host.read(&counter).await?.unwrap_or_default();
        let sequence = String::from_utf8_lossy(&text).parse().unwrap_or(0);
        self.host.replace(&counter, (sequence + 1).to_string().as_bytes()).await?;
        let name = RecordingName::new(start, camera, sequence);
        let entry = Entry { held: true, ..parse("") };
        self.host.replace(&journal_path(&name), write(&entry).as_bytes()).await?;
        let file = self.host.create(&path(&name)).await?;
        self.host.sync_folder("rec").await?;
        self.entries.borrow_mut().insert(name, entry);
        Ok((name, file))
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

    /// It is sealed, and so long.
    pub async fn sealed(&self, name: &RecordingName, bytes: u64) -> Result<(), Errno> {
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
        let Some(mut entry) = self.entry(name) else { return Ok(()) };
        change(&mut entry);
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
        self.host.remove(&path(name)).await?;
        self.host.sync_folder("rec").await?;
        self.entries.borrow_mut().remove(name);
        self.host.remove(&journal_path(name)).await.map(drop)
    }

    /// One recording.
    pub fn entry(&self, name: &RecordingName) -> Option<Entry> {
        self.entries.borrow().get(name).cloned()
    }

    /// The recordings that are there.
    pub fn names(&self) -> Vec<RecordingName> {
        self.entries.borrow().keys().copied().collect()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.entries.borrow().is_empty()
    }
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
    format!("{stage}\n{token}\n")
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
    Entry { stage, bytes: 0, unsynced: Vec::new(), token, held: false, epoch: 0 }
}

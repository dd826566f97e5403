//! An edge: its host, its cameras, and the process that records and uploads.

use super::camera::Camera;
use super::disk::Errno;
use super::host::Host;
use super::ledgers::Ledgers;
use super::network::Network;
use super::random::Random;
use super::remote::{Remote, inbox_of};
use super::store::Store;
use super::tasks::Process;
use super::variant::{Turns, Uploader, Variant, Workers};
use super::{recorder, scripts, uploader};
use media::names::RecordingName;
use media::{Ticks90k, WallTime};
use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::rc::Rc;
use std::time::Duration;

/// One edge.
pub struct Edge {
    /// Its host.
    pub host: Rc<Host>,
    /// Its recordings, as the process knows them.
    pub store: Store,
    /// The ledgers of its cameras.
    pub ledgers: Rc<Ledgers>,
    /// Its cameras.
    pub cameras: Vec<Camera>,
    /// The way to the remote host.
    pub network: Rc<Network>,
    /// Where its recordings go.
    pub remote: Rc<Remote>,
    /// The folder of its account there.
    pub inbox: String,
    /// Who uploads.
    pub uploader: Uploader,
    /// What is sent next.
    pub turns: Turns,
    /// Recordings are sent without the spare of their seal.
    pub bare: bool,
    /// What a recorder leaves torn travels.
    pub torn: bool,
    /// The part of such a recording is cut.
    pub cuts_parts: bool,
    /// Seconds between two syncs of a growing recording.
    pub sync_seconds: u64,
    /// What waits in the ledgers travels by itself now and then. Scripts know nothing of such files.
    pub cuts: bool,
    /// Stolen, or burnt: it does not come back.
    pub gone: Cell<bool>,
    /// Recordings that a script has tried.
    pub tried: RefCell<BTreeSet<RecordingName>>,
    process: Cell<Option<Process>>,
    /// When the wall clock of this boot is set.
    dated_from: Cell<Duration>,
}

impl Edge {
    /// An edge that is off.
    pub fn new(
        host: &Rc<Host>,
        cameras: Vec<Camera>,
        (network, remote): (&Rc<Network>, &Rc<Remote>),
        variant: &Variant,
    ) -> Rc<Self> {
        let random = &host.world.random;
        let most_pages = variant.day.then(|| random.from_to(60, 600));
        let ledgers = Ledgers::new(host, variant.flaw);
        let sync_seconds = random.pick(&[1, 1, 2, 3, 60]).copied().unwrap_or(1);
        let is_ours = (variant.uploader, variant.workers) == (Uploader::Ours, Workers::Ours);
        let cuts = is_ours && random.once_in(2);
        Rc::new(Self {
            host: Rc::clone(host),
            store: Store::new(&ledgers, host, most_pages),
            ledgers,
            cameras,
            network: Rc::clone(network),
            remote: Rc::clone(remote),
            inbox: inbox_of(host.name),
            uploader: variant.uploader,
            turns: variant.turns,
            bare: variant.bare,
            torn: variant.torn,
            cuts_parts: variant.cuts,
            sync_seconds,
            cuts,
            gone: Cell::default(),
            tried: RefCell::default(),
            process: Cell::default(),
            dated_from: Cell::new(clock_comes(random)),
        })
    }

    /// Starts the process, if it does not run.
    pub fn start(self: &Rc<Self>) {
        if self.gone.get() || self.process.get().is_some() {
            return;
        }
        let tasks = &self.host.world.tasks;
        let process = Process(tasks.id());
        self.process.set(Some(process));
        self.host.world.tell(|| format!("{} starts", self.host.name));
        let edge = Rc::clone(self);
        tasks.spawn(process, "edge", async move { edge.run(process).await });
    }

    async fn open(&self) -> Result<(), Errno> {
        self.store.open().await?;
        let cameras: Vec<_> = self.cameras.iter().map(|camera| (camera.id, camera.now())).collect();
        self.ledgers.open(&cameras).await
    }

    async fn run(self: &Rc<Self>, process: Process) {
        let tasks = &self.host.world.tasks;
        while let Err(errno) = self.open().await {
            self.host.world.tell(|| format!("the store cannot be opened: {errno:?}"));
            tasks.sleep(Duration::from_secs(1)).await;
        }
        for number in 0..self.cameras.len() {
            let edge = Rc::clone(self);
            let name = format!("record {}", self.cameras[number].name);
            tasks.spawn(process, &name, async move { recorder::run(&edge, number).await });
        }
        let edge = Rc::clone(self);
        match self.uploader {
            Uploader::Ours => tasks.spawn(process, "upload", async move { uploader::run(&edge).await }),
            Uploader::Script { .. } => {
                tasks.spawn(process, "script", async move { scripts::upload(&edge).await })
            }
        }
    }

    /// The process dies. Its kernel closes its connections.
    pub fn kill(&self) {
        if let Some(process) = self.process.take() {
            self.host.world.tell(|| format!("*** {} dies", self.host.name));
            self.host.world.tasks.kill(process);
        }
    }

    /// The power fails; nobody hears of it.
    pub fn cut_power(&self) {
        self.host.world.tell(|| format!("*** {} has no power", self.host.name));
        self.network.vanish();
        self.kill();
        self.host.disk.borrow_mut().cut_power(&self.host.world.random);
        self.host.boot.set(self.host.boot.get() + 1);
        let tasks = &self.host.world.tasks;
        self.dated_from.set(tasks.now() + clock_comes(&self.host.world.random));
    }

    /// The date of a media time, once the clock is set. Media time is the only time that cameras have here.
    pub fn date(&self, media: Ticks90k) -> Option<WallTime> {
        let is_set = self.host.world.tasks.now() >= self.dated_from.get();
        let ahead = WallTime(i64::try_from(self.host.ahead.get().as_micros()).unwrap_or(0));
        is_set.then(|| ahead.plus(media))
    }

    /// Whether there is nothing left to do here.
    pub fn is_done(&self) -> bool {
        self.gone.get() || self.cameras.iter().all(Camera::is_done) && self.store.is_empty()
    }
}

/// How long a boot is without a date: a board with a battery for its clock, or one that waits for the network.
fn clock_comes(random: &Random) -> Duration {
    if random.once_in(2) { Duration::ZERO } else { random.span(Duration::from_secs(30)) }
}

/// A call that failed for want of something that may come back.
pub fn told(edge: &Edge, doing: &str, errno: Errno) {
    edge.host.world.tell(|| format!("{doing}: {errno:?}"));
}

//! The remote host: an inbox that SFTP may touch, and processes that take from it.
//!
//! ```text
//! inbox-EDGE/NAME.{lockfile,part,mp4}  claim/NAME.{mp4,part,tries}  tmp/WORKER.{alive,lock,copy,output}  archive/NAME.mp4  hls/NAME
//! ```
//!
//! `hls/NAME` stands for a folder with what chop makes, and holds the hash of what it was made of.

use super::host::Host;
use super::network::Network;
use super::queue::Queue;
use super::tasks::Process;
use super::variant::Workers;
use super::{janitor, scripts, worker};
use media::handshake::claim::Patience;
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

/// The remote host.
pub struct Remote {
    /// The host.
    pub host: Rc<Host>,
    /// The folders where SFTP may write: one an account.
    pub inboxes: Vec<String>,
    /// How long the janitor waits for whoever does not come back.
    pub patience: Patience,
    networks: Vec<Rc<Network>>,
    up: Cell<bool>,
    workers: Workers,
    /// Workers of each process of ours.
    threads: Vec<u64>,
    running: RefCell<Vec<Option<Process>>>,
}

/// What the threads of one process share.
pub struct Service {
    /// The host it runs on.
    pub remote: Rc<Remote>,
    /// Its pid.
    pub pid: u32,
    /// What its janitor has found.
    pub queue: Queue,
}

/// The inbox of an edge's account.
pub fn inbox_of(edge: &str) -> String {
    format!("inbox-{edge}")
}

impl Remote {
    /// A host that is off, with an account for each of the edges and so many workers in each of its processes.
    pub fn new(
        host: &Rc<Host>,
        edges: &[(&str, Rc<Network>)],
        workers: Workers,
        threads: Vec<u64>,
    ) -> Rc<Self> {
        let random = &host.world.random;
        let seconds = |from, to| Duration::from_secs(random.from_to(from, to));
        Rc::new(Self {
            host: Rc::clone(host),
            inboxes: edges.iter().map(|(edge, _)| inbox_of(edge)).collect(),
            patience: Patience { abandoned: seconds(60, 600), lost: seconds(600, 3600) },
            networks: edges.iter().map(|(_, network)| Rc::clone(network)).collect(),
            up: Cell::new(true),
            workers,
            running: RefCell::new(vec![None; threads.len()]),
            threads,
        })
    }

    /// Whether sshd takes connections.
    pub fn is_up(&self) -> bool {
        self.up.get()
    }

    /// Starts what does not run.
    pub fn start(self: &Rc<Self>) {
        self.up.set(true);
        for number in 0..self.threads.len() {
            if self.running.borrow()[number].is_none() {
                let process = Process(self.host.world.tasks.id());
                self.running.borrow_mut()[number] = Some(process);
                self.start_process(number, process);
            }
        }
    }

    fn start_process(self: &Rc<Self>, number: usize, process: Process) {
        let tasks = &self.host.world.tasks;
        self.host.world.tell(|| format!("process {number} starts"));
        let is_script = match self.workers {
            Workers::Ours => false,
            Workers::Script => true,
            Workers::Both => number % 2 == 1,
        };
        if is_script {
            let remote = Rc::clone(self);
            return tasks.spawn(process, "shell", async move { scripts::work(&remote).await });
        }
        let service =
            Rc::new(Service { remote: Rc::clone(self), pid: process.0 as u32, queue: Queue::default() });
        let janitor = Rc::clone(&service);
        tasks.spawn(process, "janitor", async move { janitor::run(&janitor).await });
        for thread in 0..self.threads[number] {
            let service = Rc::clone(&service);
            let name = format!("worker {}-{thread}", process.0);
            tasks.spawn(process, &name, async move { worker::run(&service, thread).await });
        }
    }

    /// One of its processes dies.
    pub fn kill(&self, number: usize) {
        let process = self.running.borrow_mut().get_mut(number).and_then(Option::take);
        if let Some(process) = process {
            self.host.world.tell(|| format!("*** process {number} of {} dies", self.host.name));
            self.host.world.tasks.kill(process);
        }
    }

    /// Processes that it has when all run.
    pub fn processes(&self) -> usize {
        self.threads.len()
    }

    /// The power fails.
    pub fn cut_power(&self) {
        self.host.world.tell(|| format!("*** {} has no power", self.host.name));
        self.up.set(false);
        self.networks.iter().for_each(|network| network.kill_servers());
        (0..self.threads.len()).for_each(|number| self.kill(number));
        self.host.disk.borrow_mut().cut_power(&self.host.world.random);
        self.host.boot.set(self.host.boot.get() + 1);
    }
}

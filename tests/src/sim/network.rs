//! The network between the edge and the remote host: connections that keep their order, and nothing else.
//!
//! ```text
//! Session (edge) --requests--> Wire --requests--> server (remote host, a process a connection)
//!                <--replies---      <--replies---
//! ```
//!
//! A request that has arrived is done, also long after its client has given up: the server works off what it was sent before it
//! sees the end. In the dark nothing arrives; what was sent arrives after it, if it does not last longer than TCP's patience.

use super::host::Host;
use super::sftp::{Reply, Request, serve};
use super::tasks::{Process, TaskId};
use super::world::World;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::{Rc, Weak};
use std::time::Duration;

/// How long an edge waits for one answer.
pub const CALL: Duration = Duration::from_secs(30);
/// A message takes that long at most, as a rule.
pub const DELAY: Duration = Duration::from_millis(20);
/// A cut is done so much later at most than its client has given up.
const LATE: Duration = Duration::from_secs(5);
/// What was sent is sent again for so long.
const TCP: Duration = Duration::from_secs(900);

/// The connection is of no use any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Broken;

/// One direction: what is on its way, each with its arrival.
struct Way<T> {
    messages: VecDeque<(Duration, T)>,
    /// No message overtakes another.
    last: Duration,
    reader: Option<TaskId>,
}

impl<T> Default for Way<T> {
    fn default() -> Self {
        Self { messages: VecDeque::new(), last: Duration::ZERO, reader: None }
    }
}

/// One connection.
#[derive(Default)]
pub struct Wire {
    requests: RefCell<Way<(u64, Request)>>,
    replies: RefCell<Way<(u64, Reply)>>,
    /// The client knows that it is over.
    broken: Cell<bool>,
    /// When the server sees the end.
    ends: Cell<Option<Duration>>,
    /// Until when the server does nothing.
    stopped_until: Cell<Duration>,
    process: Cell<Option<Process>>,
}

/// The network.
pub struct Network {
    world: Rc<World>,
    /// A message takes that long at most.
    pub delay: Cell<Duration>,
    /// Until when nothing arrives.
    pub dark_until: Cell<Duration>,
    /// The next cut of a file is done late.
    pub late_cut: Cell<bool>,
    wires: RefCell<Vec<Weak<Wire>>>,
}

/// The edge's end of a connection.
pub struct Session {
    network: Rc<Network>,
    wire: Rc<Wire>,
    sent: Cell<u64>,
}

impl Network {
    /// A network that works.
    pub fn new(world: &Rc<World>) -> Rc<Self> {
        let delay = Cell::new(DELAY);
        let (dark_until, late_cut, wires) = (Cell::default(), Cell::default(), RefCell::default());
        Rc::new(Self { world: Rc::clone(world), delay, dark_until, late_cut, wires })
    }

    /// Connects to the host, if it is there.
    pub async fn connect(self: &Rc<Self>, host: &Rc<Host>, up: bool) -> Result<Session, Broken> {
        let tasks = &self.world.tasks;
        let dark = self.dark_until.get() > tasks.now();
        tasks.sleep(if dark { CALL } else { self.world.random.span(self.delay.get() * 4) }).await;
        if dark || !up {
            return Err(Broken);
        }
        let wire = Rc::new(Wire::default());
        let process = Process(tasks.id());
        wire.process.set(Some(process));
        tasks.spawn(process, "sftp-server", serve(Rc::clone(host), Rc::clone(self), Rc::clone(&wire)));
        let mut wires = self.wires.borrow_mut();
        wires.retain(|wire| wire.strong_count() > 0);
        wires.push(Rc::downgrade(&wire));
        Ok(Session { network: Rc::clone(self), wire, sent: Cell::new(0) })
    }

    /// Puts a message on its way; `false` if it will never arrive.
    fn send<T>(&self, way: &RefCell<Way<T>>, message: T) -> bool {
        let tasks = &self.world.tasks;
        let (now, dark) = (tasks.now(), self.dark_until.get());
        if dark > now + TCP {
            return false;
        }
        let arrival = dark.max(now) + self.world.random.span(self.delay.get());
        let mut way = way.borrow_mut();
        way.last = way.last.max(arrival);
        let arrival = way.last;
        way.messages.push_back((arrival, message));
        if let Some(reader) = way.reader {
            tasks.wake(reader, arrival);
        }
        true
    }

    /// Every connection breaks, and both sides see it; what is on its way may arrive or not.
    pub fn reset(&self) {
        for wire in self.living() {
            wire.broken.set(true);
            let mut requests = wire.requests.borrow_mut();
            let arrive = self.world.random.from_to(0, requests.messages.len() as u64) as usize;
            requests.messages.truncate(arrive);
            drop(requests);
            self.end(&wire, self.world.random.span(Duration::from_secs(1)));
            self.wake_client(&wire);
        }
    }

    /// The edge is gone without a word: the servers notice late.
    pub fn vanish(&self) {
        for wire in self.living() {
            self.end(&wire, self.world.random.span(TCP));
        }
    }

    /// The servers stop, and go on after a time of up to `most` each: with what they were asked for until then.
    pub fn stop_servers(&self, most: Duration) {
        for wire in self.living() {
            wire.stopped_until.set(self.world.tasks.now() + self.world.random.span(most));
        }
    }

    /// The servers die: of sshd alone, or with their host.
    pub fn kill_servers(&self) {
        for wire in self.living() {
            wire.process.take().into_iter().for_each(|process| self.world.tasks.kill(process));
            wire.broken.set(true);
            self.wake_client(&wire);
        }
    }

    /// Whether no server runs.
    pub fn is_quiet(&self) -> bool {
        self.living().is_empty()
    }

    /// Whether the bytes of a file are on their way.
    pub fn is_written_to(&self) -> bool {
        let writes = |(_, (_, request)): &(Duration, (u64, Request))| matches!(request, Request::Write(..));
        self.living().iter().any(|wire| wire.requests.borrow().messages.iter().any(writes))
    }

    fn living(&self) -> Vec<Rc<Wire>> {
        self.wires.borrow().iter().filter_map(Weak::upgrade).collect()
    }

    fn end(&self, wire: &Wire, after: Duration) {
        let tasks = &self.world.tasks;
        let at = tasks.now() + after;
        wire.ends.set(Some(wire.ends.get().map_or(at, |known| known.min(at))));
        if let Some(reader) = wire.requests.borrow().reader {
            tasks.wake(reader, at);
        }
    }

    fn wake_client(&self, wire: &Wire) {
        if let Some(reader) = wire.replies.borrow().reader {
            self.world.tasks.wake(reader, self.world.tasks.now());
        }
    }
}

impl Wire {
    /// The next request, for the server; `None` at the end.
    pub async fn request(&self, network: &Network) -> Option<(u64, Request)> {
        let tasks = &network.world.tasks;
        loop {
            tasks.sleep(self.stopped_until.get().saturating_sub(tasks.now())).await;
            let deadline = {
                let mut requests = self.requests.borrow_mut();
                requests.reader = tasks.current();
                match requests.messages.front() {
                    Some((at, (_, request)))
                        if *at <= tasks.now() && network.late_cut.get() && request.is_cut() =>
                    {
                        network.late_cut.set(false);
                        self.stopped_until.set(tasks.now() + CALL + network.world.random.span(LATE));
                        continue;
                    }
                    Some((at, _)) if *at <= tasks.now() => {
                        return requests.messages.pop_front().map(|(_, message)| message);
                    }
                    next => {
                        let next = next.map(|(at, _)| *at);
                        let ends = self.ends.get();
                        if ends.is_some_and(|ends| ends <= tasks.now()) {
                            return None;
                        }
                        next.into_iter().chain(ends).min()
                    }
                }
            };
            tasks.park(deadline).await;
        }
    }

    /// Sends a reply.
    pub fn reply(&self, network: &Network, id: u64, reply: Reply) {
        network.send(&self.replies, (id, reply));
    }
}

impl Session {
    /// Sends a request; its reply is to be waited for.
    pub fn send(&self, request: Request) -> u64 {
        self.sent.set(self.sent.get() + 1);
        if !self.network.send(&self.wire.requests, (self.sent.get(), request)) {
            self.network.end(&self.wire, self.network.world.random.span(TCP));
        }
        self.sent.get()
    }

    /// Waits for the reply to a request; replies come in the order of requests.
    pub async fn reply(&self, id: u64) -> Result<Reply, Broken> {
        let tasks = &self.network.world.tasks;
        let deadline = tasks.now() + CALL;
        loop {
            let arrival = {
                let mut replies = self.wire.replies.borrow_mut();
                replies.reader = tasks.current();
                while replies.messages.front().is_some_and(|(at, (of, _))| *at <= tasks.now() && *of < id) {
                    replies.messages.pop_front();
                }
                match replies.messages.front() {
                    Some((at, (of, _))) if *at <= tasks.now() && *of == id => {
                        return replies.messages.pop_front().map(|(_, (_, reply))| reply).ok_or(Broken);
                    }
                    next => next.map(|(at, _)| *at),
                }
            };
            if self.wire.broken.get() || tasks.now() >= deadline {
                return Err(Broken);
            }
            tasks.park(Some(arrival.map_or(deadline, |arrival| arrival.min(deadline)))).await;
        }
    }

    /// Sends a request and waits for its reply.
    pub async fn ask(&self, request: Request) -> Result<Reply, Broken> {
        let id = self.send(request);
        self.reply(id).await
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // The end of the stream arrives behind all that was sent before.
        let network = &self.network;
        let dark = self.network.dark_until.get().saturating_sub(network.world.tasks.now()).min(TCP);
        network.end(&self.wire, dark + network.world.random.span(network.delay.get() * 4));
    }
}

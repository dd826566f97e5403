//! Faults: what, and when. They come after a number of turns, not of seconds, because that is where the delicate moments are.

use super::edge::Edge;
use super::host::{Host, Trouble};
use super::network::DELAY;
use super::remote::Remote;
use super::tasks::Process;
use super::world::World;
use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

/// A kind of fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The edge's process dies and is started again.
    EdgeDies,
    /// The edge's power fails, and comes back.
    EdgePower,
    /// The edge is stolen.
    EdgeGone,
    /// A process of the remote host dies.
    WorkerDies,
    /// The remote host's power fails, and comes back.
    RemotePower,
    /// sshd and its children die.
    SshdDies,
    /// Servers stop, and go on much later with what they were asked for.
    ServerStops,
    /// Servers stop, and the edge's power fails: they do much later what it was asking for and has lost.
    LostAndLate,
    /// The edge's disk has errors, and what is cut for that is done when its client has given up.
    TornAndLate,
    /// Every connection breaks.
    Reset,
    /// Nothing arrives for a while: seconds, minutes, or a day.
    Dark,
    /// Everything takes long to arrive.
    Slow,
    /// The remote host's disk stalls, for longer than the edge waits.
    RemoteStalls,
    /// The remote host's disk is full, for a while.
    RemoteFull,
    /// The edge's disk is full, for a while.
    EdgeFull,
    /// The remote host's disk has errors.
    RemoteIo,
    /// The edge's disk has errors.
    EdgeIo,
    /// The remote host's disk cannot be written.
    RemoteReadOnly,
    /// The edge's disk cannot be written.
    EdgeReadOnly,
    /// A wall clock jumps: an hour back, a year ahead, or to 1970 and back later.
    Clock,
    /// For a day nothing arrives; once in a run.
    Day,
}

use Kind::*;

impl Kind {
    /// All but those that have a row of their own.
    pub const ALL: [Self; 19] = [
        EdgeDies,
        EdgePower,
        EdgeGone,
        WorkerDies,
        RemotePower,
        SshdDies,
        ServerStops,
        LostAndLate,
        Reset,
        Dark,
        Slow,
        RemoteStalls,
        RemoteFull,
        EdgeFull,
        RemoteIo,
        EdgeIo,
        RemoteReadOnly,
        EdgeReadOnly,
        Clock,
    ];
    /// Those that scripts on the remote host survive.
    pub const NETWORK: [Self; 9] =
        [EdgeDies, EdgePower, SshdDies, ServerStops, LostAndLate, Reset, Dark, Slow, EdgeFull];
    /// Those that a script beside our worker survives.
    pub const NO_POWER_CUT: [Self; 8] =
        [EdgeDies, EdgePower, SshdDies, Reset, Dark, Slow, EdgeFull, WorkerDies];
    /// What meets a recording that is torn.
    pub const CARD: [Self; 11] = [
        EdgeIo,
        EdgeReadOnly,
        TornAndLate,
        ServerStops,
        LostAndLate,
        EdgeDies,
        EdgePower,
        EdgeGone,
        RemotePower,
        SshdDies,
        Reset,
    ];
    /// Crashes of everybody.
    pub const CRASHES: [Self; 6] = [EdgeDies, WorkerDies, RemotePower, SshdDies, Reset, Slow];
}

/// The faults of a run.
pub struct Weather {
    world: Rc<World>,
    edges: Vec<Rc<Edge>>,
    remote: Rc<Remote>,
    kinds: Vec<Kind>,
    left: Cell<u64>,
    /// Turns until the next one.
    wait: Cell<u64>,
    /// Until when the day without a network lasts.
    lasts_until: Cell<Duration>,
}

/// How long a server that is stopped stands still at most.
const STOP: Duration = Duration::from_secs(1000);
/// Whoever brings things back belongs to no host.
const NOBODY: Process = Process(0);

impl Weather {
    /// The weather of a run: some of these kinds of faults, a dozen of them at most.
    pub fn new(remote: &Rc<Remote>, edges: &[Rc<Edge>], kinds: &[Kind]) -> Rc<Self> {
        let world = Rc::clone(&remote.host.world);
        let likes: Vec<Kind> = kinds.iter().copied().filter(|_| world.random.once_in(2)).collect();
        let kinds = if likes.is_empty() { kinds.to_vec() } else { likes };
        let left = Cell::new(if kinds == [Day] { 1 } else { world.random.below(13) });
        let weather = Rc::new(Self {
            world,
            edges: edges.to_vec(),
            remote: Rc::clone(remote),
            kinds,
            left,
            wait: Cell::default(),
            lasts_until: Cell::default(),
        });
        weather.wait.set(weather.turns());
        weather
    }

    /// Turns until the next fault: each order of magnitude is as likely as the others.
    fn turns(&self) -> u64 {
        let random = &self.world.random;
        random.from_to(1, 1 << random.from_to(3, 11))
    }

    /// Whether no fault will come, and the long one is over.
    pub fn is_over(&self) -> bool {
        self.left.get() == 0 && self.lasts_until.get() <= self.world.tasks.now()
    }

    /// After each turn: perhaps a fault, perhaps the kernel writes something.
    pub fn turn(self: &Rc<Self>) {
        let random = &self.world.random;
        if random.once_in(40) {
            let hosts: Vec<&Rc<Host>> = self.hosts();
            random.pick(&hosts).into_iter().for_each(|host| host.disk.borrow_mut().write_some(random));
        }
        self.wait.set(self.wait.get().saturating_sub(1));
        if self.wait.get() == 0 && self.left.get() > 0 {
            let Some(kind) = random.pick(&self.kinds) else { return };
            let is_missed = match kind {
                Reset | SshdDies | ServerStops => self.edges.iter().all(|edge| edge.network.is_quiet()),
                LostAndLate => !self.edges.iter().any(|edge| edge.network.is_written_to()),
                _ => false,
            };
            if is_missed && !random.once_in(64) {
                // Nobody would notice: a little later, perhaps.
                return self.wait.set(random.from_to(1, 24));
            }
            self.left.set(self.left.get() - 1);
            self.wait.set(self.turns());
            self.strike(*kind);
        }
    }

    fn hosts(&self) -> Vec<&Rc<Host>> {
        self.edges.iter().map(|edge| &edge.host).chain([&self.remote.host]).collect()
    }

    /// Ends whatever is wrong.
    pub fn clear_up(&self) {
        self.left.set(0);
        self.world.calm.set(true);
        self.world.tell(|| "*** no more faults".to_owned());
        for host in self.hosts() {
            host.trouble.set(Trouble::default());
            host.disk.borrow_mut().room = None;
        }
        for edge in &self.edges {
            edge.network.dark_until.set(self.world.tasks.now());
            edge.network.delay.set(DELAY);
            edge.start();
        }
        self.remote.start();
    }

    fn strike(self: &Rc<Self>, kind: Kind) {
        self.world.tell(|| format!("*** {kind:?}"));
        let random = &self.world.random;
        let Some(edge) = random.pick(&self.edges) else { return };
        match kind {
            EdgeDies => {
                edge.kill();
                self.later(60, |weather| weather.edges.iter().for_each(|edge| edge.start()));
            }
            EdgePower => {
                edge.cut_power();
                self.later(300, |weather| weather.edges.iter().for_each(|edge| edge.start()));
            }
            EdgeGone => {
                // Only one of them, and seldom: else little would be seen of all others.
                if random.once_in(4) && self.edges.iter().all(|edge| !edge.gone.get()) {
                    edge.cut_power();
                    edge.gone.set(true);
                }
            }
            WorkerDies => {
                self.remote.kill(random.below(self.remote.processes() as u64) as usize);
                self.later(60, |weather| {
                    if weather.remote.is_up() {
                        weather.remote.start()
                    }
                });
            }
            RemotePower => {
                self.remote.cut_power();
                self.later(300, |weather| weather.remote.start());
            }
            SshdDies => self.edges.iter().for_each(|edge| edge.network.kill_servers()),
            ServerStops => edge.network.stop_servers(STOP),
            LostAndLate => {
                let edge = self.edges.iter().find(|edge| edge.network.is_written_to()).unwrap_or(edge);
                edge.network.stop_servers(STOP);
                edge.cut_power();
                self.later(60, |weather| weather.edges.iter().for_each(|edge| edge.start()));
            }
            Reset => edge.network.reset(),
            Dark => {
                let span = random.pick(&[5, 40, 120, 1000, 86_400]).copied().unwrap_or(5);
                edge.network.dark_until.set(self.world.tasks.now() + Duration::from_secs(span));
            }
            Day => self.go_dark_for_a_day(),
            Slow => {
                edge.network.delay.set(random.span(Duration::from_secs(20)));
                let network = Rc::clone(&edge.network);
                self.later(600, move |_| network.delay.set(DELAY));
            }
            RemoteStalls => {
                let stall = random.span(Duration::from_secs(120));
                self.trouble(&self.remote.host, |trouble| trouble.stall = stall);
            }
            RemoteFull => self.fill(&self.remote.host),
            EdgeFull => self.fill(&edge.host),
            RemoteIo => self.fail(&self.remote.host),
            EdgeIo => self.fail(&edge.host),
            TornAndLate => {
                edge.network.late_cut.set(true);
                self.fail(&edge.host);
            }
            RemoteReadOnly => self.trouble(&self.remote.host, |trouble| trouble.read_only = true),
            EdgeReadOnly => self.trouble(&edge.host, |trouble| trouble.read_only = true),
            Clock => self.set_a_clock(),
        }
    }

    fn set_a_clock(&self) {
        let (hosts, random) = (self.hosts(), &self.world.random);
        let Some(host) = random.pick(&hosts) else { return };
        let ahead = host.ahead.get();
        let hour = Duration::from_secs(3600);
        let jump = [ahead.saturating_sub(hour), ahead + hour * 8766, Duration::ZERO];
        random.pick(&jump).into_iter().for_each(|jump| host.ahead.set(*jump));
    }

    /// The judge sees what waits when the network is back.
    fn go_dark_for_a_day(self: &Rc<Self>) {
        let day = Duration::from_secs(86_400);
        let until = self.world.tasks.now() + day;
        self.edges.iter().for_each(|edge| edge.network.dark_until.set(until));
        // And for a minute more, so that what waits then is seen.
        self.lasts_until.set(until + Duration::from_secs(60));
        let weather = Rc::clone(self);
        self.world.tasks.spawn(NOBODY, "weather", async move {
            weather.world.tasks.sleep(day).await;
            for edge in &weather.edges {
                let mut waiting = edge.store.by_order();
                waiting.retain(|(_, entry)| entry.waits());
                let waiting = waiting.into_iter().map(|(name, _)| name).collect();
                weather.world.judge.borrow_mut().waits(waiting);
            }
        });
    }

    fn trouble(self: &Rc<Self>, host: &Rc<Host>, change: impl FnOnce(&mut Trouble)) {
        let mut trouble = host.trouble.get();
        change(&mut trouble);
        host.trouble.set(trouble);
        let host = Rc::clone(host);
        self.later(300, move |_| host.trouble.set(Trouble::default()));
    }

    /// Some calls fail.
    fn fail(self: &Rc<Self>, host: &Rc<Host>) {
        let once_in = self.world.random.from_to(1, 30);
        self.trouble(host, |trouble| trouble.io_once_in = once_in);
    }

    /// Somebody else takes all room but a few pages.
    fn fill(self: &Rc<Self>, host: &Rc<Host>) {
        host.disk.borrow_mut().room = Some(self.world.random.below(12));
        let host = Rc::clone(host);
        self.later(300, move |_| host.disk.borrow_mut().room = None);
    }

    /// Does something within so many seconds.
    fn later(self: &Rc<Self>, seconds: u64, act: impl FnOnce(&Self) + 'static) {
        let weather = Rc::clone(self);
        let span = self.world.random.span(Duration::from_secs(seconds));
        self.world.tasks.spawn(NOBODY, "weather", async move {
            weather.world.tasks.sleep(span).await;
            act(&weather);
        });
    }
}

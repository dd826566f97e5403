//! The simulator: edges, network and remote host in one thread, with virtual disks, clocks and connections.
//! docs/design/simulator.md says what is real in it, what is not, and what it checks.
//!
//! ```text
//! seed --> who is there, what goes wrong and when, how long everything takes
//!
//! camera -> recorder -> store -> uploader ==network==> sftp server -> inbox -> janitor -> workers -> archive, hls
//!                                    \________________ judge: I1 to I4 ________________/
//! ```
//!
//! | module | what |
//! |---|---|
//! | [`tasks`], [`random`], [`world`] | virtual time, chance, and what all share |
//! | [`disk`], [`pages`], [`host`] | a machine: page cache, power cuts, flocks, errors |
//! | [`network`], [`sftp`] | connections, and the server at their end |
//! | [`edge`], [`camera`], [`recorder`], [`store`], [`ledgers`], [`uploader`] | the edge |
//! | [`remote`], [`janitor`], [`queue`], [`worker`] | the remote host |
//! | [`scripts`] | plain shell scripts on either side |
//! | [`variant`], [`weather`] | who is there, and what goes wrong |
//! | [`judge`] | what must hold |

pub mod camera;
pub mod disk;
pub mod edge;
pub mod host;
pub mod janitor;
pub mod judge;
pub mod ledgers;
pub mod network;
pub mod pages;
pub mod queue;
pub mod random;
pub mod recorder;
pub mod remote;
pub mod scripts;
pub mod sftp;
pub mod store;
pub mod tasks;
pub mod uploader;
pub mod variant;
pub mod weather;
pub mod worker;
pub mod world;

use camera::Camera;
use edge::Edge;
use host::Host;
use media::names::CameraId;
use network::Network;
use remote::Remote;
use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;
use variant::{Flaw, Variant, Workers};
use weather::{Kind, Weather};
use world::World;

/// 2026-11-21T06:15:00Z
const START: Duration = Duration::from_secs(1_795_241_700);
/// Turns after which a run does not end by itself.
const MOST_TURNS: u64 = 400_000;
/// When faults stop although some are left.
const LONGEST: Duration = Duration::from_secs(3 * 86_400);
/// What is left then must be done in this time: the janitor's patience, and some.
const CONVERGES_IN: Duration = Duration::from_secs(4 * 3600);

/// What came of a run.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// What did not hold.
    pub broken: Option<String>,
    /// Turns that were taken.
    pub turns: u64,
    /// Virtual time that went by.
    pub time: Duration,
    /// Recordings with a receipt.
    pub receipts: usize,
    /// Recordings that were thinned, and that were dropped, for want of room on an edge.
    pub losses: [usize; 2],
    /// What happened, line by line, if that was asked for.
    pub trace: Vec<String>,
}

/// Runs a seed of a variant.
pub fn run(seed: u64, variant: &Variant, traced: bool) -> Outcome {
    let run = Run::new(seed, variant, traced);
    let turns = run.go();
    let Run { world, .. } = &run;
    let (broken, time) = (world.broken(), world.tasks.now());
    let (receipts, losses) = (world.judge.borrow().receipts(), world.judge.borrow().losses());
    Outcome { broken, turns, time, receipts, losses, trace: world.trace() }
}

struct Run<'a> {
    variant: &'a Variant,
    world: Rc<World>,
    edges: Vec<Rc<Edge>>,
    remote: Rc<Remote>,
    weather: Rc<Weather>,
}

impl<'a> Run<'a> {
    fn new(seed: u64, variant: &'a Variant, traced: bool) -> Self {
        let world = World::new(seed, traced);
        let host = Host::new("remote", &world, START);
        host.disk.borrow_mut().lies = variant.lies;
        let random = &world.random;
        let threads = (0..random.from_to(1, 2) + 1).map(|_| random.from_to(1, 2)).collect();
        let names: &[(&str, &[&str])] = &[("edge-1", &["front", "yard"]), ("edge-2", &["gate", "door"])];
        let names = &names[..random.from_to(1, 2) as usize];
        let networks: Vec<(&str, Rc<Network>)> =
            names.iter().map(|(name, _)| (*name, Network::new(&world))).collect();
        let remote = Remote::new(&host, &networks, variant.workers, threads);
        let edges: Vec<Rc<Edge>> = names
            .iter()
            .zip(&networks)
            .map(|((name, cameras), (_, network))| {
                let host = Host::new(name, &world, START);
                let cameras = cameras[..random.from_to(1, 2) as usize].iter();
                let camera = |camera| new_camera(&world, name, camera);
                let cameras = cameras.map(|name| match camera(name) {
                    camera if variant.day => for_a_day(&world, camera),
                    camera => camera,
                });
                Edge::new(&host, cameras.collect(), (network, &remote), variant)
            })
            .collect();
        let weather = Weather::new(&remote, &edges, variant.faults);
        if !variant.faults.contains(&Kind::RemotePower) {
            world.judge.borrow_mut().trust_in_power();
        }
        edges.iter().for_each(|edge| edge.start());
        remote.start();
        Self { variant, world, edges, remote, weather }
    }

    /// Gives everybody their turns until all is done; gives how many there were.
    fn go(&self) -> u64 {
        let deadline = Cell::new(None);
        for turn in 1..MOST_TURNS {
            self.world.tasks.step();
            let judged = self.world.judge.borrow_mut().look(&self.remote.host, &self.remote.inboxes);
            judged.into_iter().for_each(|broken| self.world.fail(broken));
            if self.world.broken().is_some() {
                return turn;
            }
            self.weather.turn();
            if turn % 32 != 0 {
                continue;
            }
            let now = self.world.tasks.now();
            let is_over = self.weather.is_over() || now > LONGEST;
            if !self.world.calm.get() && is_over && self.edges.iter().all(has_recorded) {
                self.weather.clear_up();
                deadline.set(Some(now + CONVERGES_IN));
            }
            if !self.world.calm.get() {
                continue;
            }
            let left = self.left();
            let late = deadline.get().is_some_and(|deadline| now > deadline);
            if left.is_empty() && self.variant.converges && self.variant.workers == Workers::Ours {
                if self.variant.flaw == Flaw::Theft {
                    ledgers::rob(&self.edges, &self.remote);
                }
                let wrong = ledgers::account(&self.edges, &self.remote);
                wrong.into_iter().for_each(|wrong| self.world.fail(wrong));
            }
            if left.is_empty() || late {
                if late && self.variant.converges {
                    self.world.fail(format!(
                        "I4: after {CONVERGES_IN:?} without faults there is left: {}",
                        left.join(", ")
                    ));
                }
                return turn;
            }
        }
        self.world
            .fail(format!("no end after {MOST_TURNS} turns; there is left: {}", self.left().join(", ")));
        MOST_TURNS
    }

    fn left(&self) -> Vec<String> {
        let mut left = self.world.judge.borrow_mut().left(&self.edges, &self.remote, self.variant.workers);
        let busy = self.edges.iter().any(|edge| !edge.network.is_quiet());
        left.extend(busy.then(|| "a connection".to_owned()));
        left
    }
}

fn has_recorded(edge: &Rc<Edge>) -> bool {
    edge.gone.get() || edge.cameras.iter().all(Camera::is_done)
}

fn new_camera(world: &World, edge: &str, name: &'static str) -> Camera {
    let random = &world.random;
    // Mostly tiny, so that much happens; also some pages each, and more than is sent or synced at once.
    let picture = match random.below(10) {
        0 => random.from_to(20_000, 150_000),
        1..4 => random.from_to(2_000, 12_000),
        _ => random.from_to(20, 600),
    };
    Camera {
        name,
        id: CameraId::new(edge.as_bytes(), name),
        made: Cell::default(),
        every: Duration::from_secs(1),
        makes: random.from_to(2, 12),
        length: random.from_to(2, 6),
        picture: picture as usize,
    }
}

/// A camera that makes a GOP every quarter of an hour or so, for more than a day.
fn for_a_day(world: &World, camera: Camera) -> Camera {
    let random = &world.random;
    let every = random.from_to(600, 1800);
    let picture = random.from_to(2_000, 12_000) as usize;
    Camera { every: Duration::from_secs(every), makes: 90_000 / every + 12, picture, ..camera }
}

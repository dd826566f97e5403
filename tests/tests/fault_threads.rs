//! One thread of the appliance stands still, each in turn, wherever it is at that instant: the process notices, the live view goes on
//! within seconds, and no second is missing without its cause. The same on the remote host: whoever starts it again finds it with
//! nothing held.
//!
//! `PORTHOLE_ROUNDS` times each.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::Value;
use tests::edge::{Edge, Settings};
use tests::footage::small;
use tests::frozen::{Frozen, threads};
use tests::http;
use tests::remote::{Remote, checked};
use tests::sshd::{Sshd, View};
use tests::wait::{PATIENCE, wait_until};
use tests::work::{rounds, saw};

/// An edge that uploads, a viewer, and whoever starts it again when it ends.
struct House {
    edge: Edge,
    sshd: Sshd,
    _viewer: Viewer,
    /// How often it ended, rather than began anew by itself.
    ended: u32,
}

/// Somebody who asks for a page again and again, so that there is a thread that reads it.
struct Viewer {
    leaves: Arc<AtomicBool>,
    asking: Option<JoinHandle<()>>,
}

impl Viewer {
    /// How long an answer is looked at.
    const LOOK: Duration = Duration::from_millis(50);

    fn of(url: String) -> Self {
        let leaves = Arc::new(AtomicBool::new(false));
        let left = Arc::clone(&leaves);
        let asking = std::thread::spawn(move || {
            while !left.load(Ordering::Relaxed) {
                drop(http::open(&url, PATIENCE));
                std::thread::sleep(Self::LOOK);
            }
        });
        Self { leaves, asking: Some(asking) }
    }
}

impl Drop for Viewer {
    fn drop(&mut self) {
        self.leaves.store(true, Ordering::Relaxed);
        self.asking.take().map(JoinHandle::join);
    }
}

/// Whether the process has a thread of that name.
fn has(id: u32, name: &str) -> bool {
    threads(id).iter().any(|thread| thread == name)
}

/// What was seen of one frozen thread.
struct Seen {
    /// From the freeze until everything moved again.
    whole: Duration,
    /// The longest that the newest picture stayed the same.
    pause: Duration,
}

impl House {
    fn start() -> Self {
        let sshd = Sshd::start(View::Whole).unwrap();
        let settings = Settings::default().text("audio.device", "beep").upload_to(&sshd).unwrap();
        let mut edge = Edge::prepare(settings).unwrap();
        let key = edge.public_key().unwrap();
        sshd.authorize(&key).unwrap();
        std::fs::write(edge.file("authorized_keys"), format!("restrict {key}\n")).unwrap();
        edge.start_again().unwrap();
        let _viewer = Viewer::of(edge.url("/live/front/snapshot.jpg"));
        let mut house = Self { edge, sshd, _viewer, ended: 0 };
        house.settle();
        house
    }

    /// Waits until this process has made and recorded something, and something of it is on the remote host: every thread has done its work.
    fn settle(&mut self) {
        let (newest, inbox) = (last_gop(&self.edge), self.sshd.inbox());
        self.edge
            .wait_until("new footage and a session", |edge| {
                let upload = edge.json("/api/status").unwrap_or_default()["upload"].take();
                let state = &upload["state"]["state"];
                let open = (state == "sending" || state == "idle") && upload["failure"].is_null();
                let viewed = edge.id().is_some_and(|id| has(id, "live-io"));
                let sent = std::fs::read_dir(&inbox).unwrap().count() > 0;
                open && viewed && sent && last_gop(edge) >= newest + 2
            })
            .unwrap();
    }

    /// Freezes `name`, and waits until everything moves again.
    fn freeze(&mut self, name: &str) -> Seen {
        let id = self.edge.id().unwrap();
        let anew = self.edge.metric("porthole_edge_watchdog_restarts_total");
        let frozen = match name {
            ACCEPTS => vec![Frozen::freeze_nth(id, "porthole-edge", 1).unwrap()],
            name @ "live-io" => Frozen::freeze_all(id, name).unwrap(),
            name => vec![Frozen::freeze(id, name).unwrap()],
        };
        let begun = Instant::now();
        let (mut newest, mut moved, mut pause) = (0.0, begun, Duration::ZERO);
        let mut gone = false;
        wait_until(&format!("{name} to be noticed"), 2 * PATIENCE, || {
            if !self.edge.is_running() {
                self.ended += 1;
                gone = true;
                self.edge.launch().unwrap();
            }
            let picture = newest_picture(&self.edge);
            if picture > newest {
                (newest, moved) = (picture, Instant::now());
            }
            pause = pause.max(moved.elapsed());
            gone |= self.edge.metric("porthole_edge_watchdog_restarts_total") > anew;
            gone && picture > 0.0 && self.edge.get("/healthz").is_ok_and(|reply| reply.status == 200)
        })
        .unwrap_or_else(|error| panic!("{error}: {}", self.edge.log()));
        drop(frozen);
        Seen { whole: begun.elapsed(), pause }
    }

    /// Each of these threads in turn, and what is left of it all.
    fn freeze_each(mut self, names: &[&str]) {
        let mut slowest = Duration::ZERO;
        for _ in 0..rounds(1) {
            for name in names {
                let Seen { whole, pause } = self.freeze(name);
                println!("{name}: everything moves after {whole:.1?}; the live view stood for {pause:.1?}");
                slowest = slowest.max(whole);
                self.settle();
            }
        }
        let ended = self.ended;
        saw(format!(
            "everything moves after {slowest:.1?} at most; {ended} ends that took somebody else to start it again"
        ));
        let gaps = self.edge.json("/api/gaps").unwrap();
        assert!(self.edge.terminate().unwrap().success());
        self.edge.start_again().unwrap();
        self.edge.wait_for_receipts(1).unwrap();
        assert!(self.edge.terminate().unwrap().success());
        let without = names.iter().filter(|name| PICTURES.contains(*name)).count() * rounds(1) as usize;
        self.judge(&gaps, without);
    }

    /// Every second is there, on the remote host as on the edge, or is missing because a thread stood still: so at least `without` times.
    fn judge(&self, shown: &Value, without: usize) {
        let (keys, recordings) = (self.edge.file("authorized_keys"), self.edge.file("recordings"));
        let report = checked(&recordings, &keys).unwrap();
        let camera = &report["cameras"][0];
        let gaps = camera["gaps"].as_array().unwrap();
        let of = |cause: &str| gaps.iter().filter(|gap| gap["cause"] == cause).count();
        let seconds: f64 = gaps.iter().filter_map(|gap| gap["seconds"].as_f64()).sum();
        saw(format!(
            "{} s of footage; {} gaps of {seconds:.1} s: {} overload, {} no_power",
            camera["footage_seconds"],
            gaps.len(),
            of("overload"),
            of("no_power")
        ));
        assert_eq!(of("overload") + of("no_power"), gaps.len(), "{camera:#}");
        // The last start is the test's own.
        assert!(of("no_power") <= self.ended as usize + 1, "{camera:#}");
        assert!(of("overload") + self.ended as usize >= without, "{camera:#}");
        let shown = shown["gaps"].as_array().unwrap();
        assert!(self.ended > 0 || shown.iter().any(|gap| gap["cause"] == "overload"), "{shown:?}");
        checked(&self.sshd.inbox(), &keys).unwrap();
    }
}

/// Media time of the newest picture that viewers can have, 0 if there is none.
fn newest_picture(edge: &Edge) -> f64 {
    let status = edge.json("/api/status").unwrap_or_default();
    status["cameras"][0]["ring"]["end"].as_f64().unwrap_or(0.0)
}

/// The number of the GOP in flight, 0 if there is none.
fn last_gop(edge: &Edge) -> u64 {
    let status = edge.json("/api/status").unwrap_or_default();
    status["cameras"][0]["ring"]["last_sequence"].as_u64().unwrap_or(0)
}

#[test]
fn every_thread_of_the_appliance_is_known_here() {
    let house = House::start();
    let mut names = threads(house.edge.id().unwrap());
    // Whoever dials lives for one connection, and is waited for no longer. The control socket has its own, with the name of the main thread:
    // the first of them accepts, and has a test of its own.
    names.retain(|name| name != "dial");
    names.sort();
    names.dedup();
    let mut known: Vec<&str> = LIVE.iter().chain(OTHERS).copied().collect();
    known.sort_unstable();
    assert_eq!(names, known);
}

/// The threads between camera and viewer.
const LIVE: &[&str] = &["capture front", "audio front", "encode front", "live", "live-io"];
/// Those without which there are no pictures.
const PICTURES: &[&str] = &["capture front", "encode front"];
/// All others.
const OTHERS: &[&str] = &["porthole-edge", "watchdog", "control", "record front", "upload"];

/// Who accepts for the control socket.
const ACCEPTS: &str = "control-http";

#[test]
fn a_frozen_thread_of_the_control_socket_is_missed() {
    House::start().freeze_each(&[ACCEPTS]);
}

#[test]
fn a_frozen_thread_between_camera_and_viewer_is_replaced() {
    House::start().freeze_each(LIVE);
}

#[test]
fn any_other_frozen_thread_is_replaced() {
    House::start().freeze_each(OTHERS);
}

/// Recordings that wait for each service.
const WAITING: u32 = 50;

/// The threads of a service with one worker.
const REMOTE: [&str; 8] =
    ["porthole-remote", "watchdog", "worker 1", "janitor", "web", "web-io", "sweep", "library"];

/// A service with one worker and more to do than it has done, and somebody who watches.
struct Busy {
    remote: Remote,
    _viewer: Viewer,
}

impl Busy {
    fn start() -> Self {
        let mut remote = Remote::prepare("[inbox]\nworkers = 1").unwrap();
        remote.serve().unwrap();
        for n in 0..WAITING {
            let unfinished = remote.inbox().join("unfinished");
            std::fs::write(&unfinished, small(n).unwrap()).unwrap();
            std::fs::rename(unfinished, remote.inbox().join(format!("n{n}.mp4"))).unwrap();
        }
        remote.wait_until("the work to begin", |remote| !remote.files("archive").is_empty()).unwrap();
        let archived = remote.files("archive").remove(0);
        let done = archived.trim_end_matches(".mp4");
        let _viewer = Viewer::of(remote.url(&format!("/hls/{done}/{done}-out.m3u8")));
        let id = remote.ids()[0];
        remote.wait_until("somebody to watch", |_| has(id, "web-io")).unwrap();
        Self { remote, _viewer }
    }

    fn id(&self) -> u32 {
        self.remote.ids()[0]
    }
}

#[test]
fn every_thread_of_the_remote_host_is_known_here() {
    let mut names = threads(Busy::start().id());
    names.sort();
    names.dedup();
    let mut known = REMOTE;
    known.sort_unstable();
    assert_eq!(names, known);
}

#[test]
fn a_service_of_the_remote_host_with_a_frozen_thread_ends_and_the_next_one_does_all_the_work() {
    let mut busy = REMOTE.map(|name| {
        let busy = Busy::start();
        let frozen = Frozen::freeze_all(busy.id(), name).unwrap();
        (name, busy, frozen, Instant::now())
    });
    let mut ended = BTreeMap::new();
    wait_until("their ends", 2 * PATIENCE, || {
        for (name, busy, frozen, since) in &mut busy {
            if busy.remote.is_running() {
                // It may be no more by now.
                let _gone = Frozen::freeze_others(busy.id(), name, frozen);
            } else {
                ended.entry(*name).or_insert_with(|| since.elapsed());
            }
        }
        ended.len() == REMOTE.len()
    })
    .unwrap_or_else(|error| panic!("{error}: only {ended:?}"));
    for (name, Busy { mut remote, .. }, frozen, _) in busy {
        drop(frozen);
        assert!(remote.log().contains("stands still: the process ends"), "{}", remote.log());
        let begun = Instant::now();
        remote.kill();
        remote.serve().unwrap();
        remote.wait_until_settled(WAITING as usize).unwrap();
        assert_eq!(remote.files("quarantine"), [""; 0]);
        let (ended, done) = (ended[name], begun.elapsed());
        saw(format!(
            "{name}: the service ended within {ended:.1?}; the next one had done all after {done:.1?}"
        ));
    }
}

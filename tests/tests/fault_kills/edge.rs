//! The edge: six GOPs that wait in its ring become two recordings, and both go to the remote host. No camera is there, so that a job
//! takes no longer than its calls do, and the same files come of it each time.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::time::Instant;

use media::ledger::Hash;
use media::mp4::demux::examine;
use media::mp4::{Recovered, recover};
use nix::sys::signal::Signal;
use std::os::unix::process::ExitStatusExt;
use tempfile::TempDir;
use tests::disk::{Disk, PAGE, with_own_mounts};
use tests::edge::{Edge, Settings};
use tests::port::free_port;
use tests::sshd::{Sshd, View};
use tests::strace::{CHANGES, Strace};
use tests::wait::{PATIENCE, wait_until};

use crate::places::{Place, Round, kill_at_each};
use crate::tree;

/// GOPs of each configuration.
const GOPS: u64 = 3;

fn settings() -> Settings {
    Settings::default().set("ring.bytes", 2 << 20).set("video.bitrate", 100_000).set("record.minutes", 60)
}

/// An edge whose camera was taken away.
fn blind() -> Settings {
    settings().camera("front", "file:/nowhere/at/all.y4m")
}

/// An edge whose camera films and whose recorder is off.
fn filming(profile: &str) -> Settings {
    settings().set("record.enabled", false).text("video.profile", profile)
}

/// Films until there are so many GOPs.
fn film(edge: &mut Edge, profile: &str, until: u64) {
    edge.configure(filming(profile)).unwrap();
    edge.start_again().unwrap();
    edge.wait_until("GOPs", |edge| newest_gop(edge) + 1 >= until).unwrap();
    edge.terminate().unwrap();
}

/// Everything that an edge keeps, as it was at some moment, and what the remote host had of it.
struct State {
    folder: TempDir,
}

impl State {
    fn of(edge: &Edge) -> Self {
        let folder = TempDir::with_prefix("state-").unwrap();
        tree::copy(&edge.file(""), &folder.path().join("edge"));
        tree::copy(edge.ring(), &folder.path().join("ring"));
        fs::create_dir(folder.path().join("inbox")).unwrap();
        Self { folder }
    }

    /// An edge in this state that does not run yet; its recordings are on a disk with so many pages left, if that is given.
    fn revive(&self, settings: Settings, pages: Option<u64>) -> Revived {
        let edge = Edge::prepare(settings.clone()).unwrap();
        let disk = pages.map(|_| Disk::ram(&edge.file("recordings"), DISK).unwrap());
        tree::copy(&self.folder.path().join("edge"), &edge.file(""));
        tree::copy(&self.folder.path().join("ring"), edge.ring());
        edge.configure(settings).unwrap();
        disk.iter().zip(pages).for_each(|(disk, pages)| disk.leave(pages).unwrap());
        Revived { _disk: disk, edge }
    }

    /// Six GOPs in the ring, three of each configuration; nothing is recorded.
    fn filmed() -> Self {
        let mut edge = Edge::prepare(filming("constrained-baseline")).unwrap();
        edge.public_key().unwrap();
        // Without an upload the key is where the service keeps its state.
        fs::copy(edge.file("state/id_ed25519"), edge.file("id_ed25519")).unwrap();
        film(&mut edge, "constrained-baseline", GOPS);
        film(&mut edge, "main", 2 * GOPS);
        Self::of(&edge)
    }

    /// The first recording is sealed, the second one torn; nothing is uploaded.
    fn torn(&self) -> Self {
        let Revived { mut edge, .. } = self.revive(blind(), None);
        edge.launch().unwrap();
        let states = ["sealed", "growing"];
        edge.wait_until("a recording that grows", |edge| shown_states(edge) == states).unwrap();
        edge.kill();
        Self::of(&edge)
    }

    /// Both recordings are sealed; nothing is uploaded.
    fn sealed(&self) -> Self {
        let Revived { mut edge, .. } = self.revive(blind(), None);
        edge.launch().unwrap();
        edge.wait_until("two recordings", |edge| shown_states(edge).len() == 2).unwrap();
        assert!(edge.terminate().unwrap().success());
        Self::of(&edge)
    }

    /// Both recordings have a receipt.
    fn receipted(&self) -> Self {
        let bench = Bench::new(self);
        let Revived { mut edge, .. } = self.revive(bench.settings.clone(), None);
        edge.launch().unwrap();
        edge.wait_for_receipts(2).unwrap();
        assert!(edge.terminate().unwrap().success(), "{}", edge.log());
        let state = Self::of(&edge);
        tree::copy(&bench.sshd.inbox(), &state.inbox());
        state
    }

    /// Three more GOPs in the ring, which will need room.
    fn filmed_more(&self) -> Self {
        let Revived { mut edge, .. } = self.revive(filming("constrained-baseline"), None);
        film(&mut edge, "constrained-baseline", 3 * GOPS);
        let state = Self::of(&edge);
        tree::copy(&self.inbox(), &state.inbox());
        state
    }

    fn inbox(&self) -> PathBuf {
        self.folder.path().join("inbox")
    }
}

/// An edge, and what its recordings are on; that goes first.
struct Revived {
    _disk: Option<Disk>,
    edge: Edge,
}

/// The number of the GOP that is being made, 0 if there is none yet.
fn newest_gop(edge: &Edge) -> u64 {
    let status = edge.json("/api/status").unwrap_or_default();
    status["cameras"][0]["ring"]["last_sequence"].as_u64().unwrap_or(0)
}

/// `growing`, `sealed`, ... of all recordings, oldest first.
fn shown_states(edge: &Edge) -> Vec<String> {
    let recordings = edge.recordings().unwrap_or_default();
    recordings.iter().filter_map(|recording| recording["state"].as_str().map(str::to_owned)).collect()
}

/// Whether so many recordings have a receipt, and the remote host has all that there is of the others.
fn is_uploaded(edge: &Edge, receipts: usize) -> bool {
    let status = edge.json("/api/status").unwrap_or_default();
    let receipted = shown_states(edge).iter().filter(|state| *state == "receipted").count();
    receipted >= receipts && status["upload"]["pending_bytes"] == 0
}

/// Whether room was made for a recording.
fn is_growing(edge: &Edge) -> bool {
    shown_states(edge).last().is_some_and(|state| state == "growing")
}

/// What `state` leaves an edge to do.
struct Job<'a> {
    what: &'a str,
    state: &'a State,
    /// Where it is killed.
    calls: &'a str,
    /// When it has done all that it can.
    is_done: &'a (dyn Fn(&Edge) -> bool + Sync),
    /// Pages that are left on its disk.
    pages: Option<u64>,
    /// The remote host is away until everything is recorded: what makes room loses footage, and the ledger tells which.
    away: bool,
}

impl Job<'_> {
    /// The edge before it begins.
    fn edge(&self, bench: &Bench) -> Revived {
        bench.clear();
        tree::copy(&self.state.inbox(), &bench.sshd.inbox());
        self.state.revive(self.settings(bench), self.pages)
    }

    fn settings(&self, bench: &Bench) -> Settings {
        let settings = bench.settings.clone();
        if self.away { settings.set("upload.port", bench.nowhere) } else { settings }
    }
}

/// A remote host, and the settings to reach it.
struct Bench {
    sshd: Sshd,
    settings: Settings,
    /// A port at which nobody answers.
    nowhere: u16,
}

impl Bench {
    fn new(state: &State) -> Self {
        let sshd = Sshd::start(View::Whole).unwrap();
        let settings = blind().upload_to(&sshd).unwrap();
        let key = state.revive(settings.clone(), None).edge.public_key().unwrap();
        sshd.authorize(&key).unwrap();
        Self { sshd, settings, nowhere: free_port().unwrap() }
    }

    /// Starts the edge under `strace`, asks it to end once it has done what it can, and waits for its end.
    fn run(&self, job: &Job<'_>, edge: &mut Edge, strace: &Strace) -> ExitStatus {
        edge.launch_under(strace).unwrap();
        let what = "the end of the job";
        wait_until(what, PATIENCE, || !edge.is_running() || (job.is_done)(edge)).unwrap();
        if edge.is_running() {
            edge.signal(Signal::SIGTERM).unwrap();
        }
        edge.wait().unwrap()
    }

    /// Two more starts: one that puts its recordings in order, takes what the ring still holds and ends, and one that uploads
    /// everything. Gives what the first start took until its recordings were in order.
    fn recover(&self, edge: &mut Edge) -> std::time::Duration {
        let begun = Instant::now();
        edge.launch().unwrap();
        let in_order = |edge: &Edge| {
            edge.recordings().is_ok() && edge.json("/api/status").is_ok_and(|status| no_fault(&status))
        };
        edge.wait_until("its recordings to be in order", in_order).unwrap();
        let took = begun.elapsed();
        assert!(edge.terminate().unwrap().success(), "{}", edge.log());
        edge.configure(self.settings.clone()).unwrap();
        edge.launch().unwrap();
        edge.wait_for_receipts(recordings(&edge.file("recordings")).len()).unwrap();
        assert!(edge.terminate().unwrap().success(), "{}", edge.log());
        took
    }

    /// Checks that the remote host has every recording as the edge has it, and no lock or part, and that what is missing has a cause;
    /// gives all GOPs.
    fn judge(&self, edge: &Edge) -> BTreeMap<u64, Hash> {
        let inbox = self.sshd.inbox();
        let (there, here) = (tree::files(&inbox), tree::files(&edge.file("recordings")));
        let is_sent = |file: &String| file.ends_with(".mp4");
        let sent: BTreeMap<_, _> = here.into_iter().filter(|(file, _)| is_sent(file)).collect();
        let (arrived, others): (BTreeMap<_, _>, BTreeMap<_, _>) =
            there.into_iter().partition(|(file, _)| is_sent(file));
        let differ: Vec<_> = sent.iter().filter(|(file, hash)| arrived.get(*file) != Some(hash)).collect();
        assert!(differ.is_empty(), "I2: {differ:?} of {arrived:?}: {}", edge.log());
        let left: Vec<&String> = others.keys().filter(|file| !file.ends_with(".ledger")).collect();
        assert_eq!(left, [""; 0], "I4: {}", edge.log());
        let mut check = Command::new(tests::built("porthole-remote"));
        let check = check.arg("check").arg(&inbox).output().unwrap();
        assert!(check.status.success(), "{}", String::from_utf8_lossy(&check.stdout));
        let mut gops = BTreeMap::new();
        for file in arrived.keys() {
            let whole = examine(&fs::read(inbox.join(file)).unwrap()).unwrap();
            for (sequence, hash) in (whole.seal.first_sequence..).zip(whole.gops) {
                assert!(gops.insert(sequence, hash).is_none(), "GOP {sequence} is there twice");
            }
        }
        gops
    }

    fn clear(&self) {
        for file in tree::files(&self.sshd.inbox()).keys() {
            fs::remove_file(self.sshd.inbox().join(file)).unwrap();
        }
    }
}

/// Whether the recorder is well.
fn no_fault(status: &serde_json::Value) -> bool {
    !status["faults"].to_string().contains("record")
}

/// The files of all recordings.
fn recordings(folder: &Path) -> Vec<String> {
    tree::files(folder).into_keys().filter(|file| file.ends_with(".mp4")).collect()
}

/// What is visible is whole, and no lock stands beside it; what is on its way opens as a recording.
fn look(inbox: &Path) {
    let files = tree::files(inbox);
    for file in files.keys() {
        let bytes = || fs::read(inbox.join(file)).unwrap();
        match file.rsplit_once('.') {
            Some((name, "mp4")) => {
                assert!(!files.contains_key(&format!("{name}.lockfile")), "a lock beside {file}");
                examine(&bytes()).unwrap_or_else(|error| panic!("I1: {file}: {error}"));
            }
            Some((_, "part")) if bytes().len() > 44 => {
                let opens = recover(&bytes()).map(|found| matches!(found, Recovered::Empty));
                assert!(opens.is_ok(), "I5: {file}: {opens:?}");
            }
            _ => {}
        }
    }
}

/// Kills the edge at its calls while it does its job.
fn survives(job: &Job<'_>) {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("calls");
    let bench = Bench::new(job.state);
    let Revived { mut edge, _disk } = job.edge(&bench);
    let ended = bench.run(job, &mut edge, &Strace::record(job.calls, &log));
    assert!(ended.success(), "{}", edge.log());
    assert_eq!(edge.log().contains("thinned to its IDR"), job.away, "{}", edge.log());
    bench.recover(&mut edge);
    let expected = bench.judge(&edge);
    let is_all = expected.keys().copied().eq(0..=*expected.keys().last().unwrap());
    assert_eq!(is_all, !job.away, "{:?}: {}", expected.keys(), edge.log());
    kill_at_each(job.what, &log, || Bench::new(job.state), |bench, place| kill(bench, job, place, &expected));
}

fn kill(bench: &Bench, job: &Job<'_>, place: &Place, expected: &BTreeMap<u64, Hash>) -> Round {
    let Revived { mut edge, _disk } = job.edge(bench);
    let ended = bench.run(job, &mut edge, &place.kill());
    assert!(ended.success() || ended.signal() == Some(9), "{ended}: {}", edge.log());
    look(&bench.sshd.inbox());
    let recovery = bench.recover(&mut edge);
    let found = bench.judge(&edge);
    if job.away {
        // What is recorded anew in two pieces needs more room than in one; what was recorded last never leaves.
        assert_eq!(found.last_key_value(), expected.last_key_value(), "{}", edge.log());
    } else {
        assert_eq!(found, *expected, "GOPs are missing: {}", edge.log());
    }
    Round { killed: !ended.success(), recovery }
}

/// Kills the edge at each kind of call while it uploads until so many recordings have a receipt.
fn survives_uploading(what: &str, state: &State, receipts: usize) {
    let (calls, is_done) = (format!("{CHANGES},sendto"), |edge: &Edge| is_uploaded(edge, receipts));
    survives(&Job { what, state, calls: &calls, is_done: &is_done, pages: None, away: false });
}

#[test]
fn an_edge_that_is_killed_while_it_records_and_uploads_loses_nothing() {
    survives_uploading("records and uploads", &State::filmed(), 1);
}

#[test]
fn an_edge_that_is_killed_while_it_recovers_loses_nothing() {
    survives_uploading("recovers", &State::filmed().torn(), 2);
}

#[test]
fn an_edge_that_is_killed_while_it_uploads_its_backlog_loses_nothing() {
    survives_uploading("uploads", &State::filmed().sealed(), 2);
}

/// A disk with all recordings of an edge.
const DISK: u64 = 8 << 20;
/// Pages below which the store makes room.
const ROOM: u64 = (2 << 20) / PAGE;

#[test]
fn an_edge_that_is_killed_while_what_has_a_receipt_leaves_loses_nothing() {
    with_own_mounts(|| {
        let state = State::filmed().sealed().receipted().filmed_more();
        let is_done = |edge: &Edge| is_growing(edge) && is_uploaded(edge, 0);
        let (what, calls) = ("lets receipts leave", "?unlink,unlinkat");
        // What a recording takes when it begins leaves too little, and there is room again once another has left. The second one
        // leaves if it is recorded in two pieces; nothing is thinned.
        survives(&Job { what, state: &state, calls, is_done: &is_done, pages: Some(ROOM + 32), away: false });
        Ok(())
    });
}

#[test]
fn an_edge_that_is_killed_while_it_thins_and_drops_accounts_for_every_second() {
    with_own_mounts(|| {
        let state = State::filmed().sealed().filmed_more();
        let (what, calls) = ("thins and drops", CHANGES);
        // However much leaves, there is no room.
        let pages = Some(ROOM / 2);
        survives(&Job { what, state: &state, calls, is_done: &is_growing, pages, away: true });
        Ok(())
    });
}

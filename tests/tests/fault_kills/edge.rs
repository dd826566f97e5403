//! The edge: six GOPs that wait in its ring become two recordings, and both go to the remote host. No camera is there, so that a job
//! takes no longer than its calls do, and the same files come of it each time.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, ExitStatus};
use std::time::Instant;

use media::ledger::Hash;
use media::mp4::demux::examine;
use media::mp4::{Recovered, recover};
use nix::sys::signal::Signal;
use std::os::unix::process::ExitStatusExt;
use tempfile::TempDir;
use tests::edge::{Edge, Settings};
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

/// Everything that an edge keeps, as it was at some moment.
struct State {
    folder: TempDir,
}

impl State {
    fn of(edge: &Edge) -> Self {
        let folder = TempDir::with_prefix("state-").unwrap();
        tree::copy(&edge.file(""), &folder.path().join("edge"));
        tree::copy(edge.ring(), &folder.path().join("ring"));
        Self { folder }
    }

    /// An edge in this state that does not run yet.
    fn revive(&self, settings: Settings) -> Edge {
        let edge = Edge::prepare(settings.clone()).unwrap();
        tree::copy(&self.folder.path().join("edge"), &edge.file(""));
        tree::copy(&self.folder.path().join("ring"), edge.ring());
        edge.configure(settings).unwrap();
        edge
    }

    /// Six GOPs in the ring, three of each configuration; nothing is recorded.
    fn filmed() -> Self {
        let film = |profile| settings().set("record.enabled", false).text("video.profile", profile);
        let mut edge = Edge::prepare(film("constrained-baseline")).unwrap();
        edge.public_key().unwrap();
        // Without an upload the key is where the service keeps its state.
        fs::copy(edge.file("state/id_ed25519"), edge.file("id_ed25519")).unwrap();
        for (profile, until) in [("constrained-baseline", GOPS), ("main", 2 * GOPS)] {
            edge.configure(film(profile)).unwrap();
            edge.start_again().unwrap();
            edge.wait_until("GOPs", |edge| newest_gop(edge) + 1 >= until).unwrap();
            edge.terminate().unwrap();
        }
        Self::of(&edge)
    }

    /// The first recording is sealed, the second one torn; nothing is uploaded.
    fn torn(&self) -> Self {
        let mut edge = self.revive(blind());
        edge.launch().unwrap();
        let states = ["sealed", "growing"];
        edge.wait_until("a recording that grows", |edge| shown_states(edge) == states).unwrap();
        edge.kill();
        Self::of(&edge)
    }

    /// Both recordings are sealed; nothing is uploaded.
    fn sealed(&self) -> Self {
        let mut edge = self.revive(blind());
        edge.launch().unwrap();
        edge.wait_until("two recordings", |edge| shown_states(edge).len() == 2).unwrap();
        assert!(edge.terminate().unwrap().success());
        Self::of(&edge)
    }
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

/// A remote host, and the settings to reach it.
struct Bench {
    sshd: Sshd,
    settings: Settings,
}

impl Bench {
    fn new(state: &State) -> Self {
        let sshd = Sshd::start(View::Whole).unwrap();
        let settings = blind().upload_to(&sshd).unwrap();
        sshd.authorize(&state.revive(settings.clone()).public_key().unwrap()).unwrap();
        Self { sshd, settings }
    }

    /// Starts the edge under `strace`, asks it to end once it has uploaded what it can, and waits for its end.
    fn run(&self, edge: &mut Edge, strace: &Strace, receipts: usize) -> ExitStatus {
        edge.launch_under(strace).unwrap();
        let what = "the end of the job";
        wait_until(what, PATIENCE, || !edge.is_running() || is_uploaded(edge, receipts)).unwrap();
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
        edge.launch().unwrap();
        edge.wait_for_receipts(recordings(&edge.file("recordings")).len()).unwrap();
        assert!(edge.terminate().unwrap().success(), "{}", edge.log());
        took
    }

    /// Checks that the remote host has every recording as the edge has it, and no lock or part; gives all GOPs, and clears the
    /// inbox.
    fn judge(&self, edge: &Edge) -> BTreeMap<u64, Hash> {
        let inbox = self.sshd.inbox();
        let (there, here) = (tree::files(&inbox), tree::files(&edge.file("recordings")));
        let is_sent = |file: &String| file.ends_with(".mp4");
        let sent: BTreeMap<_, _> = here.into_iter().filter(|(file, _)| is_sent(file)).collect();
        let (arrived, others): (BTreeMap<_, _>, BTreeMap<_, _>) =
            there.into_iter().partition(|(file, _)| is_sent(file));
        assert_eq!(arrived, sent, "I2: {}", edge.log());
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
        self.clear();
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

/// Kills the edge at its calls while it does what `state` leaves it to do: to upload until so many recordings have a receipt.
fn survives(what: &str, state: &State, receipts: usize) {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("calls");
    let bench = Bench::new(state);
    let mut edge = state.revive(bench.settings.clone());
    let ended = bench.run(&mut edge, &Strace::record(&format!("{CHANGES},sendto"), &log), receipts);
    assert!(ended.success(), "{}", edge.log());
    bench.recover(&mut edge);
    let expected = bench.judge(&edge);
    assert_eq!(expected.len() as u64, expected.keys().last().unwrap() - expected.keys().next().unwrap() + 1);
    kill_at_each(
        what,
        &log,
        || Bench::new(state),
        |bench, place| kill(bench, state, place, receipts, &expected),
    );
}

fn kill(
    bench: &Bench,
    state: &State,
    place: &Place,
    receipts: usize,
    expected: &BTreeMap<u64, Hash>,
) -> Round {
    let mut edge = state.revive(bench.settings.clone());
    let ended = bench.run(&mut edge, &place.kill(), receipts);
    assert!(ended.success() || ended.signal() == Some(9), "{ended}: {}", edge.log());
    look(&bench.sshd.inbox());
    let recovery = bench.recover(&mut edge);
    assert_eq!(bench.judge(&edge), *expected, "GOPs are missing: {}", edge.log());
    Round { killed: !ended.success(), recovery }
}

#[test]
fn an_edge_that_is_killed_while_it_records_and_uploads_loses_nothing() {
    survives("records and uploads", &State::filmed(), 1);
}

#[test]
fn an_edge_that_is_killed_while_it_recovers_loses_nothing() {
    survives("recovers", &State::filmed().torn(), 2);
}

#[test]
fn an_edge_that_is_killed_while_it_uploads_its_backlog_loses_nothing() {
    survives("uploads", &State::filmed().sealed(), 2);
}

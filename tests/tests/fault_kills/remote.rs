//! The remote host: one inbox in which something waits for each thing that its worker and its janitor do, and the sweep of what they
//! made. Whatever was killed where, the folders are in the end as if nothing had happened.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::Command;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use tests::remote::Remote;
use tests::strace::{CHANGES, Strace};
use tests::wait::{PATIENCE, wait_until};
use tests::work::saw;

use crate::places::{Place, Round, kill_at_each};
use crate::recordings::{half, put, sealed};
use crate::tree;

/// One worker, who waits for nobody; and room for nothing when the sweep comes.
const CONFIG: &str = "[inbox]\nworkers = 1\nabandoned_minutes = 0\nlost_hours = 0\n[sweep]\nbytes = 1";
/// What is in the archive in the end.
const ACCEPTED: [&str; 6] =
    ["half-partial.mp4", "locked.mp4", "one.mp4", "script.mp4", "two.mp4", "whole.mp4"];

/// What cameras, scripts and a worker that died have left.
fn fill(inbox: &Path) {
    let lock = |name: &str, token: &str| fs::write(inbox.join(format!("{name}.lockfile")), token).unwrap();
    put(inbox, "one", &sealed(1));
    put(inbox, "two", &sealed(2));
    lock("locked", "v1 chop elsewhere 00000000-0000-0000-0000-000000000000 7");
    put(inbox, "locked", &sealed(3));
    lock("script", "");
    put(inbox, "script", &sealed(4));
    lock("half", "v1 upload abcdefgh first 0011223344556677");
    fs::write(inbox.join("half.part"), half(5)).unwrap();
    lock("whole", "v1 upload abcdefgh first 0011223344556677");
    fs::write(inbox.join("whole.part"), sealed(7)).unwrap();
    put(inbox, "broken", &sealed(6)[..1_000_000]);
    lock("nothing", "");
}

/// What the remote host holds, by its files.
#[derive(Debug, PartialEq)]
struct Held(BTreeMap<String, String>);

impl Held {
    fn of(remote: &Remote) -> Self {
        Self(tree::files(&remote.dir()))
    }

    /// The names alone: marks and stamps hold the time.
    fn names(&self) -> Vec<&String> {
        self.0.keys().collect()
    }
}

fn is_settled(remote: &Remote) -> bool {
    let is_empty = |folder| remote.files(folder).is_empty();
    remote.files("archive") == ACCEPTED && ["inbox", "claim", "tmp"].into_iter().all(is_empty)
}

/// Starts the service under `strace`, and waits until everything is done or it has died; gives whether it died.
fn serve(remote: &mut Remote, strace: &Strace) -> bool {
    remote.start_under(strace).unwrap();
    wait_until("the end of the job", PATIENCE, || !remote.is_running() || is_settled(remote)).unwrap();
    // Settled, but about to die at its last call, perhaps.
    let killed = remote.terminate().is_err();
    remote.kill();
    killed
}

/// How long the service took until it served, and until it had done everything.
struct Took {
    serving: Duration,
    done: Duration,
}

/// Starts the service, waits until everything is done, and ends it.
fn serve_well(remote: &mut Remote) -> Took {
    let starts = |remote: &Remote| remote.log().matches(" serving ").count();
    let (before, begun) = (starts(remote), Instant::now());
    remote.start().unwrap();
    remote.wait_until("the service", |remote| starts(remote) > before).unwrap();
    let serving = begun.elapsed();
    remote.wait_until("everything to be done", is_settled).unwrap();
    let done = begun.elapsed();
    remote.terminate().unwrap();
    Took { serving, done }
}

fn killed_while_serving(inbox: &Path, place: &Place, expected: &Held) -> (bool, Took) {
    let mut remote = Remote::prepare(CONFIG).unwrap();
    tree::copy(inbox, &remote.inbox());
    let killed = serve(&mut remote, &place.kill());
    look(&remote);
    let took = serve_well(&mut remote);
    assert_eq!(Held::of(&remote), *expected, "{}", remote.log());
    (killed, took)
}

/// What is in the archive and in the HLS is whole at every moment, and no NAME has two claims.
fn look(remote: &Remote) {
    let claims = remote.files("claim");
    let mut parts = claims.iter().filter_map(|file| file.strip_suffix(".part"));
    assert!(!parts.any(|name| claims.contains(&format!("{name}.mp4"))), "{claims:?}");
    for file in remote.files("archive") {
        crate::recordings::verified(&remote.file("archive").join(file));
    }
    let hls = remote.files("hls");
    for playlist in hls.iter().filter(|file| file.ends_with("-out.m3u8")) {
        let text = fs::read_to_string(remote.file("hls").join(playlist)).unwrap();
        let (folder, _) = playlist.rsplit_once('/').unwrap();
        for segment in text.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
            assert!(hls.contains(&format!("{folder}/{segment}")), "{playlist} names {segment}: {hls:?}");
        }
        assert!(text.ends_with("#EXT-X-ENDLIST\n"), "{playlist}: {text}");
    }
}

#[test]
fn a_remote_host_that_is_killed_while_it_takes_recordings_in_ends_as_if_nothing_had_happened() {
    let folder = tempfile::tempdir().unwrap();
    let (log, inbox) = (folder.path().join("calls"), folder.path().join("inbox"));
    fs::create_dir(&inbox).unwrap();
    fill(&inbox);
    let mut undisturbed = Remote::prepare(CONFIG).unwrap();
    tree::copy(&inbox, &undisturbed.inbox());
    assert!(!serve(&mut undisturbed, &Strace::record(CHANGES, &log)), "{}", undisturbed.log());
    let expected = Held::of(&undisturbed);
    look(&undisturbed);
    let mut another = Remote::prepare(CONFIG).unwrap();
    tree::copy(&inbox, &another.inbox());
    let usual = serve_well(&mut another).done;
    let slowest = Mutex::new(Duration::ZERO);
    kill_at_each(
        "serves",
        &log,
        || (),
        |(), place| {
            let (killed, Took { serving, done }) = killed_while_serving(&inbox, place, &expected);
            let mut slowest = slowest.lock().unwrap();
            *slowest = done.max(*slowest);
            Round { killed, recovery: serving }
        },
    );
    let slowest = slowest.into_inner().unwrap();
    saw(format!(
        "serves: all that was left to do took {slowest:.2?} at most, all of it undisturbed {usual:.2?}"
    ));
}

/// Sweeps once, under `strace`; gives whether that was killed.
fn sweep(remote: &Remote, strace: Option<&Strace>) -> bool {
    let mut sweep = Command::new(tests::built("porthole-remote"));
    sweep.args(["sweep", "--config"]).arg(remote.dir().with_file_name("remote.toml"));
    if let Some(strace) = strace {
        sweep = strace.around(&sweep).unwrap();
    }
    let output = sweep.output().unwrap();
    let killed = output.status.signal() == Some(9);
    assert!(output.status.success() || killed, "{output:?}");
    killed
}

/// A remote host that holds what is in `dir`.
fn revive(dir: &Path) -> Remote {
    let remote = Remote::prepare(CONFIG).unwrap();
    tree::copy(dir, &remote.dir());
    remote
}

fn killed_while_sweeping(dir: &Path, place: &Place, expected: &Held) -> Round {
    let remote = revive(dir);
    let killed = sweep(&remote, Some(&place.kill()));
    look(&remote);
    let begun = Instant::now();
    sweep(&remote, None);
    assert_eq!(Held::of(&remote).names(), expected.names());
    Round { killed, recovery: begun.elapsed() }
}

/// Kills sweeps of what is in `dir`; gives a remote host that was swept undisturbed.
fn survives_sweeps(what: &str, dir: &Path) -> Remote {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("calls");
    let undisturbed = revive(dir);
    sweep(&undisturbed, Some(&Strace::record(CHANGES, &log)));
    let expected = Held::of(&undisturbed);
    kill_at_each(what, &log, || (), |(), place| killed_while_sweeping(dir, place, &expected));
    undisturbed
}

#[test]
fn a_sweep_that_is_killed_leaves_no_playlist_without_its_segments_and_is_gone_on_with() {
    let mut full = Remote::prepare(CONFIG).unwrap();
    fill(&full.inbox());
    full.start().unwrap();
    full.wait_until("everything to be done", is_settled).unwrap();
    full.terminate().unwrap();
    let withdrawn = survives_sweeps("withdraws", &full.dir());
    let marks: Vec<String> =
        withdrawn.files("hls").into_iter().filter(|file| file.ends_with(".leaving")).collect();
    assert_eq!(marks.len(), ACCEPTED.len());
    // Whoever was playing has finished.
    marks.iter().for_each(|mark| fs::write(withdrawn.file("hls").join(mark), "v1 1000 9\n").unwrap());
    let swept = survives_sweeps("removes", &withdrawn.dir());
    assert_eq!((swept.files("hls"), swept.files("archive")), (Vec::new(), Vec::new()));
}

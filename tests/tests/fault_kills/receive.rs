//! `porthole-remote receive`: a script sends a recording through a real sshd, in three sessions. In each of them the program that sshd
//! runs is killed at each of its calls; the script runs again, as scripts do.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;
use std::time::Instant;

use tempfile::TempDir;
use tests::client::Client;
use tests::footage::recording;
use tests::sshd::Sshd;
use tests::strace::{CHANGES, Strace};

use crate::places::{Place, Round, kill_at_each};
use crate::tree;

/// What the script sends.
const NAME: &str = "n";

/// What sshd runs: session `$1` under the command of the file `strace`, all others as they are.
const SESSION: &str = r#"#!/bin/sh
cd "$(dirname "$0")" || exit 1
session=$(($(cat sessions) + 1))
echo $session > sessions
[ $session = "$1" ] && . ./strace
exec PROGRAM receive --inbox "$PWD/inbox"
"#;

/// A server, a script with its outbox, and the inbox.
struct Bench {
    _sshd: Sshd,
    client: Client,
    folder: TempDir,
    whole: Vec<u8>,
}

impl Bench {
    /// Session `session` of the script is the one to be met.
    fn new(session: u32) -> Self {
        let folder = TempDir::with_prefix("receive-").unwrap();
        let program = tests::built("porthole-remote");
        let path = folder.path().join("session");
        fs::write(&path, SESSION.replace("PROGRAM", &program.display().to_string())).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        let (sshd, client) = Client::forced(format!("{} {session}", path.display())).unwrap();
        Self { _sshd: sshd, client, folder, whole: recording(1).unwrap() }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// An empty inbox, a recording to send, and what meets the session.
    fn prepare(&self, strace: &Strace) {
        for folder in ["inbox", "outbox"] {
            let _absent = fs::remove_dir_all(self.file(folder));
            fs::create_dir(self.file(folder)).unwrap();
        }
        fs::write(self.file("outbox").join(format!("{NAME}.mp4")), &self.whole).unwrap();
        fs::write(self.file("sessions"), "0\n").unwrap();
        let program = Command::new(tests::built("porthole-remote"));
        let mut met = strace.around(&program).unwrap();
        met.args(["receive", "--inbox"]).arg(self.file("inbox"));
        fs::write(self.file("strace"), format!("exec {}\n", in_words(&met))).unwrap();
    }

    /// Runs the script once; gives whether it sent everything.
    fn send(&self) -> bool {
        let mut uploader = Command::new(tests::workspace().join("tests/scripts/uploader.sh"));
        uploader.arg(self.file("outbox")).args(["host", "-F"]).arg(self.client.config());
        uploader.stderr(fs::File::create(self.file("said")).unwrap());
        uploader.status().unwrap().success()
    }

    /// What stands without a lock is whole, and what is not there to be seen is still with the script.
    fn look(&self) {
        let is_there = |extension: &str| self.file("inbox").join(format!("{NAME}.{extension}")).exists();
        let is_received = is_there("mp4") && !is_there("lockfile");
        if is_received {
            self.assert_whole();
        }
        let is_kept = self.file("outbox").join(format!("{NAME}.mp4")).exists();
        assert!(is_received || is_kept, "lost: {:?}", tree::files(&self.file("inbox")));
    }

    fn assert_whole(&self) {
        let there = fs::read(self.file("inbox").join(format!("{NAME}.mp4"))).unwrap();
        assert!(there == self.whole, "{} bytes of {}", there.len(), self.whole.len());
    }

    /// Everything has arrived, and nothing else is there.
    fn assert_received(&self) {
        let said = fs::read_to_string(self.file("said")).unwrap();
        let there: Vec<String> = tree::files(&self.file("inbox")).into_keys().collect();
        assert_eq!(there, [format!("{NAME}.mp4")], "{said}");
        self.assert_whole();
        assert!(tree::files(&self.file("outbox")).is_empty(), "{said}");
    }
}

/// A command line for a shell.
fn in_words(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| format!("'{}' ", word.to_str().unwrap())).collect()
}

fn kill(bench: &Bench, place: &Place) -> Round {
    bench.prepare(&place.kill());
    let killed = !bench.send();
    bench.look();
    let begun = Instant::now();
    if killed {
        assert!(bench.send(), "{}", fs::read_to_string(bench.file("said")).unwrap());
    }
    bench.assert_received();
    Round { killed, recovery: begun.elapsed() }
}

/// Kills what sshd runs in one session of the script.
fn survives(what: &str, session: u32) {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("calls");
    let bench = Bench::new(session);
    bench.prepare(&Strace::record(CHANGES, &log));
    assert!(bench.send(), "{}", fs::read_to_string(bench.file("said")).unwrap());
    bench.assert_received();
    kill_at_each(what, &log, || Bench::new(session), |bench, place| kill(bench, place));
}

#[test]
fn a_script_whose_session_dies_while_it_makes_its_lock_loses_nothing() {
    survives("receives a lock", 1);
}

#[test]
fn a_script_whose_session_dies_while_its_recording_comes_in_loses_nothing() {
    survives("receives a recording", 2);
}

#[test]
fn a_script_whose_session_dies_while_its_lock_is_removed_loses_nothing() {
    survives("vouches", 3);
}

//! Plain scripts that know only `NAME.mp4` and `NAME.lockfile` (`tests/scripts/`), on either side of our own programs: nothing
//! is lost, and nothing is there twice in effect.

#[allow(dead_code)] // another suite needs the rest of it
#[path = "../upload/outbox.rs"]
mod outbox;
mod receive;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use outbox::Outbox;
use sha2::{Digest, Sha256};
use tempfile::TempDir;
use tests::client::Client;
use tests::footage::recording;
use tests::players;
use tests::process::Process;
use tests::remote::Remote;
use tests::sshd::{Sshd, View};
use tests::wait::{PATIENCE, wait_until};
use tests::work::rounds;

/// Files each way on every change.
const USUAL: u32 = 20;

fn script(name: &str) -> Command {
    Command::new(tests::workspace().join("tests/scripts").join(name))
}

/// A server whose sessions are `porthole-remote receive` for `inbox`, and a client that it lets in.
fn server(inbox: &Path) -> (Sshd, Client) {
    let program = tests::built("porthole-remote");
    Client::forced(format!("{} receive --inbox {}", program.display(), inbox.display())).unwrap()
}

/// A folder with `count` recordings that wait to be sent.
fn outbox(count: u32) -> TempDir {
    let folder = TempDir::with_prefix("outbox-").unwrap();
    (0..count)
        .for_each(|n| fs::write(folder.path().join(format!("n{n}.mp4")), recording(n).unwrap()).unwrap());
    folder
}

/// Starts the script worker, whose output goes to `output`.
fn worker(inbox: &Path, output: &Path, work: &str, n: u32) -> Process {
    let mut worker = script("worker.sh");
    worker.arg(inbox).arg(output).arg(work);
    Process::start(worker, &output.join(format!("worker{n}.log"))).unwrap()
}

/// The recordings of a folder: name and sha256.
fn recordings(folder: &Path) -> BTreeSet<(String, Vec<u8>)> {
    let files = fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
    let recordings = files.filter(|file| file.extension().is_some_and(|extension| extension == "mp4"));
    let digest = |file: PathBuf| {
        let name = file.file_stem().unwrap().to_string_lossy().into_owned();
        (name, Sha256::digest(fs::read(file).unwrap()).to_vec())
    };
    recordings.map(digest).collect()
}

/// What [`recordings`] must find of the first `count`.
fn expected(count: u32) -> BTreeSet<(String, Vec<u8>)> {
    (0..count).map(|n| (format!("n{n}"), Sha256::digest(recording(n).unwrap()).to_vec())).collect()
}

fn files(folder: &Path) -> Vec<String> {
    fs::read_dir(folder)
        .unwrap()
        .map(|file| file.unwrap().file_name().to_string_lossy().into_owned())
        .collect()
}

#[test]
fn a_script_loses_nothing_to_our_remote() {
    let count = rounds(USUAL);
    let mut remote = Remote::prepare("").unwrap();
    let (_sshd, client) = server(&remote.inbox());
    remote.start().unwrap();
    let outbox = outbox(count);
    let mut uploader = script("uploader.sh");
    uploader.arg(outbox.path()).arg("host").arg("-F").arg(client.config());
    let mut uploader = Process::start(uploader, &client.file("uploader.log")).unwrap();
    let ended = uploader.wait(PATIENCE * (1 + count / 20)).unwrap();
    assert!(ended.success(), "{}", uploader.log());
    assert_eq!(files(outbox.path()), [""; 0], "the script deletes its own copy");
    remote.wait_until_settled(count as usize).unwrap();
    assert_eq!(recordings(&remote.file("archive")), expected(count));
    let hls = (0..count).filter(|n| remote.file(&format!("hls/n{n}/n{n}.m3u8")).exists()).count();
    assert_eq!(hls, count as usize);
    assert_eq!(remote.files("quarantine"), [""; 0]);
}

#[test]
fn what_a_script_sends_of_another_format_can_be_played() {
    let mut remote = Remote::prepare("").unwrap();
    let (_sshd, client) = server(&remote.inbox());
    remote.start().unwrap();
    let outbox = TempDir::with_prefix("outbox-").unwrap();
    let webm = outbox.path().join("webm.mp4");
    let mut ffmpeg = Command::new("ffmpeg");
    ffmpeg.args([
        "-hide_banner",
        "-loglevel",
        "error",
        "-nostdin",
        "-f",
        "lavfi",
        "-i",
        "testsrc2=s=320x240:r=25:d=4",
    ]);
    ffmpeg.args([
        "-f",
        "lavfi",
        "-i",
        "sine=440:d=4",
        "-c:v",
        "libvpx",
        "-deadline",
        "realtime",
        "-cpu-used",
        "8",
    ]);
    assert!(ffmpeg.args(["-c:a", "libopus", "-f", "webm"]).arg(&webm).status().unwrap().success());
    let sent = fs::read(&webm).unwrap();
    let sending =
        script("uploader.sh").arg(outbox.path()).arg("host").arg("-F").arg(client.config()).status();
    assert!(sending.unwrap().success());
    remote.wait_until_settled(1).unwrap();
    assert!(fs::read(remote.file("archive/webm.mp4")).unwrap() == sent, "as it came");
    let playlist = remote.file("hls/webm/webm.m3u8");
    let text = fs::read_to_string(&playlist).unwrap();
    assert!(text.contains("CODECS=\"avc1.4D401F,mp4a.40.2\""), "{text}");
    players::decode(playlist.to_str().unwrap(), None).unwrap();
    assert_eq!(remote.files("quarantine"), [""; 0]);
}

#[test]
fn an_edge_loses_nothing_to_a_script() {
    let count = rounds(USUAL);
    let sshd = Sshd::start(View::Whole).unwrap();
    let output = TempDir::with_prefix("output-").unwrap();
    let _worker = worker(&sshd.inbox(), output.path(), "copy", 1);
    let edge = Outbox::new(&sshd, sshd.port());
    let names: Vec<String> = (0..count).map(|n| edge.seal(1000 + n as usize)).collect();
    let uploader = edge.upload();
    let patience = PATIENCE * (1 + count / 20);
    wait_until("receipts", patience, || uploader.status().receipts >= u64::from(count)).unwrap();
    // Of its ledger it knows nothing.
    let is_ledger = |file: &String| file.ends_with(".ledger");
    wait_until("the script to have worked", patience, || files(&sshd.inbox()).iter().all(is_ledger)).unwrap();
    let sent: BTreeSet<_> = recordings(&edge.current.get().record.dir);
    assert_eq!(sent.len(), names.len());
    assert_eq!(recordings(output.path()), sent);
}

#[test]
fn our_workers_and_scripts_share_an_inbox() {
    let count = rounds(USUAL);
    let mut remote = Remote::prepare("").unwrap();
    let output = TempDir::with_prefix("output-").unwrap();
    let _workers = [1, 2].map(|n| worker(&remote.inbox(), output.path(), "copy", n));
    remote.start().unwrap();
    for n in 0..count {
        let unfinished = remote.inbox().join("unfinished");
        fs::write(&unfinished, recording(n).unwrap()).unwrap();
        fs::rename(unfinished, remote.inbox().join(format!("n{n}.mp4"))).unwrap();
    }
    let patience = PATIENCE * (1 + count / 20);
    let is_done = || remote.files("inbox").is_empty() && remote.files("claim").is_empty();
    wait_until("inbox and claims to be empty", patience, is_done).unwrap_or_else(|error| {
        panic!("{error}: {:?} {:?}\n{}", remote.files("inbox"), remote.files("claim"), remote.log())
    });
    // Who took a name made all of it; where both did, they made the same.
    let (ours, theirs) = (recordings(&remote.file("archive")), recordings(output.path()));
    println!("{} by our workers, {} by scripts", ours.len(), theirs.len());
    assert_eq!(ours.union(&theirs).cloned().collect::<BTreeSet<_>>(), expected(count));
    assert_eq!(remote.files("quarantine"), [""; 0]);
    remote.terminate().unwrap();
}

#[test]
fn scripts_on_both_sides_make_hls_that_a_third_one_sweeps() {
    let folder = TempDir::with_prefix("scripts-").unwrap();
    let [inbox, output] = ["inbox", "output"].map(|name| folder.path().join(name));
    fs::create_dir(&inbox).unwrap();
    fs::create_dir(&output).unwrap();
    let (_sshd, client) = server(&inbox);
    let mut worker = worker(&inbox, &output, "hls", 1);
    let outbox = outbox(2);
    let mut uploader = script("uploader.sh");
    assert!(
        uploader.arg(outbox.path()).arg("host").arg("-F").arg(client.config()).status().unwrap().success()
    );
    wait_until("the script to have worked", PATIENCE, || files(&inbox).is_empty()).unwrap();
    worker.kill();
    for n in 0..2 {
        let segment = fs::metadata(output.join(format!("n{n}/n{n}0.ts"))).unwrap();
        assert!(segment.len() > 1000, "{}", worker.log());
    }

    let old = fs::File::options().write(true).open(output.join("n0/n0.m3u8")).unwrap();
    let eight_days_ago = std::time::SystemTime::now() - Duration::from_secs(8 * 24 * 3600);
    old.set_modified(eight_days_ago).unwrap();
    assert!(script("sweeper.sh").arg(&output).status().unwrap().success());
    assert!(!output.join("n0/n0.m3u8").exists() && output.join("n1/n1.m3u8").exists());
}

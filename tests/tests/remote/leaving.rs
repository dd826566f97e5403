//! How recordings leave a real host: in the order in which no player is left with a playlist of nothing, and a half once all of it
//! has come.

use std::fs;
use std::process::Command;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tempfile::TempDir;
use tests::clock::Clock;
use tests::remote::Remote;
use tests::wait::{PATIENCE, wait_until};
use tests::web::metric;

use crate::IMPATIENT;
use crate::recordings::{half, put, sealed};

/// Waits until the playing time of a recording that was withdrawn is over.
fn play_out(remote: &Remote, name: &str) {
    let mark = fs::read_to_string(remote.file(&format!("hls/{name}/{name}.leaving"))).unwrap();
    let numbers: Vec<u64> = mark.split_whitespace().skip(1).map(|number| number.parse().unwrap()).collect();
    let over = Duration::from_secs(numbers.iter().sum());
    let is_over = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap() >= over;
    wait_until("whoever plays it to have finished", PATIENCE, is_over).unwrap();
}

fn sweep(remote: &Remote) {
    let mut sweep = Command::new(tests::built("porthole-remote"));
    let swept = sweep.arg("sweep").arg("--dir").arg(remote.dir()).output().unwrap();
    assert!(swept.status.success(), "{swept:?}");
}

/// The files of a recording in `hls/` and `archive/`.
fn of(remote: &Remote, name: &str) -> Vec<String> {
    let files = [remote.files("hls"), remote.files("archive")].concat();
    files
        .into_iter()
        .filter(|file| file.starts_with(&format!("{name}/")) || *file == format!("{name}.mp4"))
        .collect()
}

#[test]
fn what_there_is_no_room_for_leaves_the_service_in_the_safe_order() {
    let folder = TempDir::with_prefix("remote-").unwrap();
    let mut remote = Remote::prepare_at(folder.path(), "").unwrap();
    fs::create_dir_all(remote.inbox()).unwrap();
    remote.start().unwrap();
    for (count, name) in ["a", "b"].into_iter().enumerate() {
        put(&remote.inbox(), name, &sealed(count as u64));
        remote.wait_until_settled(count + 1).unwrap();
    }
    remote.terminate().unwrap();
    let (first, second) = (of(&remote, "a"), of(&remote, "b"));
    assert_eq!(first, ["a/a-camera-0.ts", "a/a-out.m3u8", "a/a.m3u8", "a.mp4"]);
    let size = |file: &str| {
        let folders = ["hls", "archive"].map(|folder| remote.file(folder).join(file));
        folders.iter().find_map(|file| fs::metadata(file).ok()).unwrap().len()
    };
    let bytes: u64 = first.iter().chain(&second).map(|file| size(file)).sum();

    // The sweep of the service comes with its start, and every ten minutes.
    let mut remote = Remote::prepare_at(folder.path(), &format!("[sweep]\nbytes = {}", bytes - 1)).unwrap();
    remote.serve().unwrap();
    let withdrawn = ["a/a-camera-0.ts", "a/a.leaving", "a.mp4"];
    remote.wait_until("the playlists to go first", |remote| of(remote, "a") == withdrawn).unwrap();
    assert_eq!(remote.get("/hls/a/a-camera-0.ts").unwrap().status, 200, "whoever plays it may finish");
    assert_eq!(remote.get("/hls/a/a.m3u8").unwrap().status, 404);
    let stamp = |remote: &Remote| fs::read_to_string(remote.file("cache/sweep.stamp")).unwrap_or_default();
    remote.wait_until("the stamp", |remote| stamp(remote).ends_with(" 1 0 0 0\n")).unwrap();
    remote
        .wait_until("the metric", |remote| {
            let page = remote.get("/metrics").map(|reply| reply.text()).unwrap_or_default();
            metric(&page, "porthole_remote_sweep_last_run") > 1.7e9
        })
        .unwrap();
    remote.terminate().unwrap();

    play_out(&remote, "a");
    remote.serve().unwrap();
    remote.wait_until("all of it to be gone", |remote| of(remote, "a").is_empty()).unwrap();
    remote
        .wait_until("the stamp", |remote| {
            stamp(remote).starts_with("v1 ") && !stamp(remote).ends_with(" 1 0 0 0\n")
        })
        .unwrap();
    assert_eq!(of(&remote, "b"), second);
    remote.terminate().unwrap();
}

#[test]
fn a_host_that_starts_with_its_clock_a_year_ahead_lets_nothing_go_for_its_age() {
    let clock = Clock::new().unwrap();
    let mut remote = Remote::prepare("").unwrap();
    fs::create_dir_all(remote.inbox()).unwrap();
    remote.start().unwrap();
    put(&remote.inbox(), "a", &sealed(1));
    remote.wait_until_settled(1).unwrap();
    remote.terminate().unwrap();
    let all = of(&remote, "a");
    let sweep_by = |clock: &Clock| {
        let mut sweep = Command::new(tests::built("porthole-remote"));
        sweep.arg("sweep").arg("--dir").arg(remote.dir()).envs(clock.environment());
        let output = sweep.output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stderr).unwrap()
    };
    clock.set(365 * 24 * 3600).unwrap();
    assert!(sweep_by(&clock).starts_with("The clock may have jumped: for 1440 more minutes"));
    assert_eq!(of(&remote, "a"), all);

    // What the last sweep wrote down is all that the next one knows: its day is over, so the clock has been right.
    let notes = remote.file("cache/sweep.clock");
    let text = fs::read_to_string(&notes).unwrap();
    let (known, left) = text.trim_end().rsplit_once(' ').unwrap();
    assert_eq!(left, "86400");
    fs::write(&notes, format!("{known} 0\n")).unwrap();
    assert_eq!(sweep_by(&clock), "");
    assert!(!of(&remote, "a").contains(&"a/a.m3u8".to_owned()), "a year is over");
    clock.set(0).unwrap();
    assert!(sweep_by(&clock).starts_with("The clock may have jumped: for 1440 more minutes"), "and back");
}

#[test]
fn a_half_leaves_once_all_of_it_has_come_and_stays_where_it_is_another() {
    let mut remote = Remote::prepare(IMPATIENT).unwrap();
    let inbox = remote.inbox();
    let token = |boot: &str| format!("v1 upload abcdefgh {boot} 0011223344556677");
    for name in ["begun", "other"] {
        fs::write(inbox.join(format!("{name}.lockfile")), token("first")).unwrap();
        fs::write(inbox.join(format!("{name}.part")), half(1)).unwrap();
    }
    remote.start().unwrap();
    fs::write(inbox.join("new.lockfile"), token("second")).unwrap();
    remote
        .wait_until("the halves in the archive", |remote| {
            remote.files("archive") == ["begun-partial.mp4", "other-partial.mp4"]
                && remote.files("claim").is_empty()
                && remote.files("inbox") == ["camera/new.lockfile"]
        })
        .unwrap();

    fs::remove_file(inbox.join("new.lockfile")).unwrap();
    put(&inbox, "begun", &sealed(1));
    put(&inbox, "other", &sealed(2));
    remote.wait_until_settled(4).unwrap();
    assert!(remote.file("hls/begun-partial/begun-partial.leaving").exists());
    assert!(!remote.file("hls/other-partial/other-partial.leaving").exists());
    sweep(&remote);
    assert_eq!(
        of(&remote, "begun-partial").len(),
        3,
        "without its playlists: {:?}",
        of(&remote, "begun-partial")
    );
    play_out(&remote, "begun-partial");
    sweep(&remote);
    assert_eq!(of(&remote, "begun-partial"), [""; 0]);
    assert_eq!(remote.files("archive"), ["begun.mp4", "other-partial.mp4", "other.mp4"]);
    remote.terminate().unwrap();
}

//! Sixty-four workers of four services race over one inbox, and services are killed at random instants: each recording is done exactly once
//! in effect, no file is lost, and locks of the dead are gone within seconds.
//!
//! `PORTHOLE_ROUNDS` recordings; `PORTHOLE_SEED` repeats the order of a run.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use tests::dice::Dice;
use tests::footage::small;
use tests::remote::Remote;
use tests::wait::{PATIENCE, wait_until};
use tests::work::{rounds, saw};

/// Services at a time.
const SERVICES: usize = 4;
/// Workers of each.
const WORKERS: usize = 16;
/// Recordings for each kill.
const EACH_KILL: u32 = 12;
/// The longest time from one kill to the next.
const LONGEST: Duration = Duration::from_millis(200);

fn name(n: u32) -> String {
    format!("n{n}")
}

/// Puts recordings into the inbox as an uploader does: whole before they have their names.
fn put(remote: &Remote, count: u32) {
    for n in 0..count {
        let unfinished = remote.inbox().join("unfinished");
        fs::write(&unfinished, small(n).unwrap()).unwrap();
        fs::rename(unfinished, remote.inbox().join(format!("{}.mp4", name(n)))).unwrap();
    }
}

/// The locks in the inbox whose process does not live.
fn stale_locks(remote: &Remote) -> usize {
    let living = remote.ids();
    let locks = remote.files("inbox").into_iter().filter(|file| file.ends_with(".lockfile"));
    let owner = |file: String| {
        let token = fs::read_to_string(remote.file("inbox").join(file)).ok()?;
        token.rsplit(' ').next()?.parse::<u32>().ok()
    };
    locks.filter_map(owner).filter(|owner| !living.contains(owner)).count()
}

/// Kills one service after the other, each at a random instant, and starts another in its place.
fn kill_at_random(remote: &mut Remote, count: u32) {
    let mut dice = Dice::from_environment();
    let kills = count / EACH_KILL;
    for kill in 0..kills {
        std::thread::sleep(LONGEST.mul_f64(dice.roll()));
        remote.kill_one((dice.roll() * SERVICES as f64) as usize);
        remote.start().unwrap();
        if remote.files("archive").len() >= count as usize * 3 / 4 {
            saw(format!("three quarters are done after {} kills", kill + 1));
            return;
        }
    }
    saw(format!("{kills} kills"));
}

/// Everything is done, once, and nothing else is there.
fn judge(remote: &Remote, count: u32) {
    let archived: BTreeSet<String> = remote.files("archive").into_iter().collect();
    assert_eq!(archived, (0..count).map(|n| format!("{}.mp4", name(n))).collect());
    for n in 0..count {
        let name = name(n);
        assert!(
            fs::read(remote.file(&format!("archive/{name}.mp4"))).unwrap() == small(n).unwrap(),
            "{name}"
        );
        let mut made = remote.files(&format!("hls/{name}"));
        made.sort();
        let expected = [format!("{name}-camera-0.ts"), format!("{name}-out.m3u8"), format!("{name}.m3u8")];
        assert_eq!(made, expected);
    }
    for folder in ["inbox", "claim", "quarantine", "tmp"] {
        assert_eq!(remote.files(folder), [""; 0], "{folder}");
    }
    let folders = fs::read_dir(remote.file("tmp")).unwrap().count();
    assert_eq!(folders, 0, "folders of dead workers");
}

#[test]
fn sixty_four_workers_do_each_recording_once_whoever_is_killed() {
    let count = rounds(200);
    let mut remote = Remote::prepare(&format!("[inbox]\nworkers = {WORKERS}")).unwrap();
    put(&remote, count);
    let begun = Instant::now();
    (0..SERVICES).for_each(|_| remote.start().unwrap());
    kill_at_random(&mut remote, count);

    let last = Instant::now();
    wait_until("locks of the dead to go", PATIENCE, || stale_locks(&remote) == 0).unwrap();
    saw(format!("no lock of a dead worker {:.1?} after the last kill", last.elapsed()));
    let left = || remote.files("archive").len() < count as usize || !remote.files("claim").is_empty();
    let done = wait_until("every recording in the archive", PATIENCE * (1 + count / 100), || !left());
    done.unwrap_or_else(|error| panic!("{error}: {:?} {}", remote.files("claim"), remote.log()));
    let took = begun.elapsed();
    saw(format!("{count} recordings in {took:.1?}, {:.3} s each", took.as_secs_f64() / f64::from(count)));
    wait_until("the inbox to be empty", PATIENCE, || remote.files("inbox").is_empty()).unwrap();
    remote.terminate().unwrap();
    judge(&remote, count);
    let mut check = Command::new(tests::built("porthole-remote"));
    let checked = check.arg("check").arg(remote.file("archive")).output().unwrap();
    assert!(checked.status.success(), "{checked:?}");

    remote.serve().unwrap();
    remote
        .wait_until("the whole catalogue", |remote| {
            remote.json("/api/status").unwrap_or_default()["recordings"]["count"] == count
        })
        .unwrap();
}

//! What a sweep promises: only what is ours leaves, in an order that no player notices, and again after each crash.

use super::*;
use crate::check::tests::{Edge, seconds};
use crate::check::{Keys, check};
use media::ledger::{Boot, Cause, Entry};
use std::cell::Cell;
use std::fs;
use tempfile::TempDir;

const WEEK: Duration = Duration::from_secs(7 * 24 * 3600);
const DAY: Duration = Duration::from_secs(24 * 3600);
const SECOND: Duration = Duration::from_secs(1);
const POLICY: Policy = Policy { keep: WEEK, bytes: None };
/// 6 + 6 + 3.5 s, and a target duration.
const PLAYLIST: &str = "#EXTM3U\n#EXT-X-TARGETDURATION:6\n#EXTINF:6.00000,\na-front-0.ts\n#EXTINF:6.00000,\na-front-1.ts\n\
                        #EXTINF:3.50000,\na-front-2.ts\n#EXT-X-ENDLIST\n";
const PLAYING: Duration = Duration::from_secs(22);

/// A remote host with these recordings, and what the clock says.
fn host(names: &[&str]) -> (TempDir, Duration) {
    let dir = tempfile::tempdir().expect("dir");
    for folder in ["hls", "archive", "inbox", "claim", "quarantine"] {
        fs::create_dir(dir.path().join(folder)).expect("makes");
    }
    for name in names {
        let hls = dir.path().join("hls").join(name);
        fs::create_dir(&hls).expect("makes");
        for n in 0..3 {
            fs::write(hls.join(format!("{name}-front-{n}.ts")), [0; 188]).expect("writes");
        }
        fs::write(hls.join(format!("{name}.m3u8")), "#EXTM3U\n").expect("writes");
        fs::write(hls.join(format!("{name}-out.m3u8")), PLAYLIST).expect("writes");
        fs::write(dir.path().join(format!("archive/{name}.mp4")), [0; 1000]).expect("writes");
    }
    (dir, crate::supervise::wall_now() + SECOND)
}

/// Everything below `dir` but the notes of the sweep.
fn files(dir: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![dir.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("reads") {
            let path = entry.expect("reads").path();
            if path.is_dir() {
                folders.push(path);
            } else {
                found.push(path.strip_prefix(dir).expect("inside").display().to_string());
            }
        }
    }
    found.retain(|file| !file.starts_with("cache/"));
    found.sort();
    found
}

fn swept(dir: &TempDir, policy: &Policy, now: Duration) -> Report {
    sweep(dir.path(), policy, now, false, &|| false).expect("sweeps")
}

/// What an edge with these receipts and gaps has cut: a recording of a second for each letter, and a file with a gap for each dot.
fn chain(plan: &str) -> Edge {
    let mut edge = Edge::new();
    let boot = Boot::of("one");
    for (n, kind) in plan.chars().enumerate() {
        let at = seconds(n as i64);
        if kind == '.' {
            edge.tail
                .note(boot, Entry::Gap { cause: Cause::CameraGone, from: at, to: seconds(n as i64 + 1) });
            edge.cut();
        } else {
            edge.record(n as i64..n as i64 + 1);
            edge.tail.note(boot, Entry::Receipt { at, recording: 100 + n as u64 });
        }
    }
    edge
}

/// The files of an edge arrive in the archive, in this order.
fn arrive(dir: &TempDir, edge: &Edge, order: impl IntoIterator<Item = usize>) {
    for n in order {
        for kind in ["mp4", "ledger"] {
            let file = format!("{}.{kind}", edge.names[n]);
            if edge.dir.path().join(&file).exists() {
                // The times of files are no finer than this.
                std::thread::sleep(Duration::from_millis(10));
                fs::copy(edge.dir.path().join(&file), dir.path().join("archive").join(&file))
                    .expect("copies");
            }
        }
    }
}

/// What `check` has against the archive.
fn problems(dir: &TempDir) -> Vec<String> {
    let report = check(&[dir.path().to_owned()], &Keys::Enrolled(Vec::new())).expect("checks");
    report.problems.iter().map(|problem| format!("{}: {}", problem.file, problem.detail)).collect()
}

#[test]
fn ledger_files_leave_with_the_recordings_of_their_time() {
    let (dir, now) = host(&[]);
    let ledger = dir.path().join("archive/a.ledger");
    fs::write(&ledger, "ledger").expect("writes");
    fs::write(dir.path().join("archive/notes"), "others").expect("writes");
    assert_eq!(swept(&dir, &POLICY, now + WEEK - DAY), Report::default());
    assert!(ledger.exists());
    assert_eq!(swept(&dir, &POLICY, now + WEEK), Report::default());
    assert_eq!(files(dir.path()), ["archive/notes"]);
}

#[test]
fn a_ledger_file_stays_as_long_as_anything_in_front_of_it_whenever_it_came() {
    // Two recordings arrive; after an outage the ledger file comes first, and the newest recordings before the others.
    let edge = chain("RRRR.RRRR");
    let outage = [0, 1, 4, 8, 7, 6, 5, 3, 2];
    let (dir, _) = host(&[]);
    arrive(&dir, &edge, outage);
    assert_eq!(problems(&dir), [""; 0]);
    let ledger = dir.path().join(format!("archive/{}.ledger", edge.names[4]));
    let now = crate::supervise::wall_now();
    for left in (0..8).rev() {
        let recordings = files(dir.path()).into_iter().filter(|file| file.ends_with(".mp4"));
        let bytes: u64 =
            recordings.map(|file| fs::metadata(dir.path().join(file)).expect("there").len()).sum();
        let report = swept(&dir, &Policy { keep: WEEK, bytes: Some(bytes - 1) }, now);
        assert_eq!((report.removed.len(), report.kept), (1, left));
        assert_eq!(problems(&dir), [""; 0], "{left} are left");
        assert_eq!(ledger.exists(), left >= 4, "{left} are left");
    }
    assert!(files(dir.path()).is_empty(), "{:?}", files(dir.path()));

    // The same by age.
    arrive(&dir, &edge, outage);
    let arrived = |n: usize| {
        let meta = Folder::open(&dir.path().join("archive")).expect("opens");
        meta.look(recordings::mp4(&edge.names[n].to_string())).expect("looks").expect("there").changed
    };
    let (second, last) = (arrived(1), arrived(2));
    assert_eq!(swept(&dir, &POLICY, second + WEEK).kept, 6);
    assert_eq!(problems(&dir), [""; 0]);
    assert!(ledger.exists());
    assert_eq!(swept(&dir, &POLICY, last + WEEK).kept, 0);
    assert!(files(dir.path()).is_empty(), "{:?}", files(dir.path()));
}

#[test]
fn a_ledger_file_waits_for_what_has_not_come_and_leaves_a_host_without_recordings_by_its_age() {
    let edge = chain("RR.RR");
    let (dir, _) = host(&[]);
    arrive(&dir, &edge, [2, 4]);
    let ledger = dir.path().join(format!("archive/{}.ledger", edge.names[2]));
    let now = crate::supervise::wall_now();
    assert_eq!(swept(&dir, &POLICY, now).kept, 1);
    assert!(ledger.exists(), "what lies in front of it is on its way");
    fs::remove_file(dir.path().join(format!("archive/{}.mp4", edge.names[4]))).expect("removes");
    swept(&dir, &POLICY, now + WEEK - SECOND);
    assert!(ledger.exists());
    swept(&dir, &POLICY, now + WEEK);
    assert!(files(dir.path()).is_empty());
}

#[test]
fn the_ledger_of_a_recording_whose_hls_alone_is_kept_stays_and_leaves_with_it() {
    let edge = chain("RR");
    let names: Vec<String> = edge.names.iter().map(ToString::to_string).collect();
    let (dir, _) = host(&[&names[0], &names[1]]);
    for name in &names {
        fs::remove_file(dir.path().join(format!("archive/{name}.mp4"))).expect("removes");
        fs::write(dir.path().join(format!("archive/{name}.ledger")), "ledger").expect("writes");
        fs::write(dir.path().join(format!("archive/{name}.sha256")), "digest").expect("writes");
    }
    let of = |name: &str| files(dir.path()).into_iter().filter(|file| file.contains(name)).count();
    let now = crate::supervise::wall_now() + SECOND;
    let each = (files(dir.path()).iter().filter(|file| file.contains(&format!("hls/{}/", names[0]))))
        .map(|file| fs::metadata(dir.path().join(file)).expect("there").len())
        .sum::<u64>();
    let policy = Policy { keep: WEEK, bytes: Some(each) };
    assert_eq!(swept(&dir, &policy, now).withdrawn, names[..1]);
    assert!(dir.path().join(format!("archive/{}.ledger", names[0])).exists());
    assert_eq!(swept(&dir, &policy, now + PLAYING).removed, names[..1]);
    assert_eq!((of(&names[0]), of(&names[1])), (0, 7));
    swept(&dir, &POLICY, now + WEEK);
    assert!(dir.path().join(format!("archive/{}.ledger", names[1])).exists(), "somebody may play it");
    swept(&dir, &POLICY, now + WEEK + PLAYING);
    assert!(files(dir.path()).is_empty());
}

#[test]
fn a_short_recording_does_not_leave_before_a_long_one_in_front_of_it() {
    let edge = chain("RR");
    let names: Vec<String> = edge.names.iter().map(ToString::to_string).collect();
    let (dir, now) = host(&[&names[0], &names[1]]);
    let long = PLAYLIST.replacen("6.00000", "60.00000", 1);
    fs::write(dir.path().join(format!("hls/{0}/{0}-out.m3u8", names[0])), long).expect("writes");
    assert_eq!(swept(&dir, &POLICY, now + WEEK).withdrawn, names);
    assert_eq!(swept(&dir, &POLICY, now + WEEK + PLAYING).waiting, 2);
    assert_eq!(swept(&dir, &POLICY, now + WEEK + PLAYING * 4).removed, names);
}

#[test]
fn playlists_go_first_and_the_rest_when_nobody_can_be_playing_any_more() {
    let (dir, now) = host(&["a"]);
    let all = files(dir.path());
    assert_eq!(swept(&dir, &POLICY, now + WEEK - DAY).kept, 1);
    assert_eq!(files(dir.path()), all);

    assert_eq!(swept(&dir, &POLICY, now + WEEK).withdrawn, ["a"]);
    let left = [
        "archive/a.mp4",
        "hls/a/a-front-0.ts",
        "hls/a/a-front-1.ts",
        "hls/a/a-front-2.ts",
        "hls/a/a.leaving",
    ];
    assert_eq!(files(dir.path()), left);
    assert_eq!(swept(&dir, &POLICY, now + WEEK + PLAYING - SECOND).waiting, 1);
    assert_eq!(files(dir.path()), left);

    let report = swept(&dir, &POLICY, now + WEEK + PLAYING);
    assert_eq!((report.removed.as_slice(), report.waiting), (&["a".to_owned()][..], 0));
    assert_eq!(report.freed, 1000 + 3 * 188 + 17, "recording, segments, mark");
    assert!(!dir.path().join("hls/a").exists() && files(dir.path()).is_empty());
    let beside = fs::read_dir(dir.path()).expect("lists").map(|entry| entry.expect("reads").path());
    assert!(beside.into_iter().all(|path| path.is_dir()), "only root may write there");
    let stamp = fs::read_to_string(dir.path().join(leaving::NOTES).join(leaving::STAMP)).expect("stamp");
    assert_eq!(stamp, format!("v1 {} 0 1 0 {}\n", (now + WEEK + PLAYING).as_secs(), report.freed));
}

#[test]
fn nothing_leaves_out_of_the_middle_of_a_ledger_whenever_it_came() {
    let name = |n: u64| {
        media::names::RecordingName::new(None, media::names::CameraId::new(b"key", "front"), n).to_string()
    };
    let recording = |name: String, since: u64| {
        let since = Duration::from_secs(since);
        Recording { name, since, bytes: 0, mp4: None, hls: None }
    };
    // After an outage: what was recorded last has come before what was recorded in it.
    let mut all = vec![
        recording(name(3), 200),
        recording("of-a-script".to_owned(), 250),
        recording(name(1), 100),
        recording(name(2), 300),
    ];
    recordings::in_order(&mut all);
    let order: Vec<_> = all.iter().map(|one| (one.name.as_str(), one.since.as_secs())).collect();
    assert_eq!(order, [(&*name(1), 100), ("of-a-script", 250), (&*name(2), 300), (&*name(3), 300)]);
}

#[test]
fn a_dry_run_says_what_would_leave_and_changes_nothing() {
    let (dir, now) = host(&["a", "b"]);
    let all = files(dir.path());
    let report = sweep(dir.path(), &POLICY, now + WEEK, true, &|| false).expect("sweeps");
    assert_eq!(
        report.to_string(),
        "withdrawn  a\nwithdrawn  b\n2 withdrawn, 0 removed, 0 waiting, 0 kept, 0 failed, 0 bytes freed"
    );
    assert_eq!(files(dir.path()), all);
    assert!(!dir.path().join(leaving::NOTES).exists());
}

#[test]
fn beyond_the_bytes_the_oldest_leave_and_no_more_than_need_to() {
    let (dir, now) = host(&["a", "b", "c"]);
    let each = (files(dir.path()).iter().filter(|file| file.contains("b")))
        .map(|file| fs::metadata(dir.path().join(file)).expect("there").len())
        .sum::<u64>();
    let policy = Policy { keep: WEEK, bytes: Some(2 * each) };
    assert_eq!(swept(&dir, &policy, now).withdrawn, ["a"]);
    let report = swept(&dir, &policy, now);
    assert_eq!((report.waiting, report.kept), (1, 2), "what leaves already does not count");
}

#[test]
fn what_is_not_ours_is_never_touched() {
    let (dir, now) = host(&["a"]);
    let strange = [
        "inbox/old.mp4",
        "claim/old.mp4",
        "quarantine/old.mp4",
        "hls/readme.txt",
        "hls/a/notes.txt",
        "hls/a/a-front-x.ts",
        "hls/a/b-front-0.ts",
        "hls/a/a-0.ts",
        "hls/.hidden.m3u8",
        "archive/notes.txt",
        "archive/a.mp4.bak",
        "archive/.x.mp4",
    ];
    for file in strange {
        fs::write(dir.path().join(file), b"mine").expect("writes");
    }
    fs::create_dir_all(dir.path().join("hls/others/films")).expect("makes");
    std::os::unix::fs::symlink(dir.path().join("inbox/old.mp4"), dir.path().join("archive/link.mp4"))
        .expect("links");
    std::os::unix::fs::symlink(dir.path().join("inbox"), dir.path().join("hls/link")).expect("links");
    for later in [WEEK, WEEK + DAY, WEEK * 2, WEEK * 3] {
        assert_eq!(swept(&dir, &POLICY, now + later).failures, []);
    }
    let mut expected: Vec<_> = strange.into_iter().chain(["archive/link.mp4"]).map(str::to_owned).collect();
    expected.sort();
    let mut found = files(dir.path());
    found.retain(|file| !file.starts_with("hls/link/"));
    assert_eq!(found, expected);
    assert!(dir.path().join("hls/others/films").exists());
}

#[test]
fn cut_off_at_any_step_the_order_holds_and_nothing_stays_for_ever() {
    for steps in 0_u32.. {
        let (dir, now) = host(&["a"]);
        let left = Cell::new(steps);
        let stop = || left.replace(left.get().saturating_sub(1)) == 0;
        let mut at = now + WEEK;
        let mut cut = false;
        for _ in 0..4 {
            match sweep(dir.path(), &POLICY, at, false, &stop) {
                Err(Error::Stopped) => cut = true,
                other => drop(other.expect("sweeps")),
            }
            let found = files(dir.path());
            let has = |part: &str| found.iter().any(|file| file.ends_with(part));
            let playable = (0..3).all(|n| has(&format!("a-front-{n}.ts")));
            assert!(
                playable || !has(".m3u8"),
                "after {steps} steps a playlist names what is gone: {found:?}"
            );
            assert!(playable || at >= now + WEEK + PLAYING, "after {steps} steps too early");
            at += PLAYING;
        }
        for _ in 0..3 {
            swept(&dir, &POLICY, at);
            at += WEEK;
        }
        assert!(files(dir.path()).is_empty() && !dir.path().join("hls/a").exists(), "after {steps} steps");
        if !cut {
            assert!(steps > 8, "only {steps} steps were cut");
            return;
        }
    }
}

#[test]
fn a_clock_that_went_back_makes_nobody_wait_for_ever_and_nothing_leave_early() {
    let (dir, now) = host(&["a"]);
    swept(&dir, &POLICY, now + WEEK);
    assert_eq!(swept(&dir, &POLICY, now).withdrawn, ["a"], "withdrawn anew, by the clock as it is");
    assert_eq!(swept(&dir, &POLICY, now + PLAYING - SECOND).waiting, 1);
    assert_eq!(swept(&dir, &POLICY, now + PLAYING).removed, ["a"]);
}

#[test]
fn segments_without_a_playlist_leave_too() {
    let (dir, now) = host(&["a"]);
    for file in ["hls/a/a.m3u8", "hls/a/a-out.m3u8", "archive/a.mp4"] {
        fs::remove_file(dir.path().join(file)).expect("removes");
    }
    assert_eq!(swept(&dir, &POLICY, now).kept, 1);
    assert_eq!(swept(&dir, &POLICY, now + WEEK).withdrawn, ["a"]);
    assert_eq!(swept(&dir, &POLICY, now + WEEK + DAY).removed, ["a"]);
    assert!(files(dir.path()).is_empty());
}

//! What a network can do to an upload: stalls, two seconds of delay, cuts at any byte, half-open connections, resets, 64 kb/s.
//! Nothing is lost or doubled, the status names what is wrong, and camera and recording go on.
//!
//! A real edge, a real OpenSSH server, and a wire of the test's own between them. `PORTHOLE_ROUNDS` rounds; `PORTHOLE_SEED`
//! repeats one.

mod plan;
mod round;

use plan::{Plan, Spell};
use round::{Rig, play};
use std::sync::atomic::{AtomicU64, Ordering};
use tests::edge::Settings;
use tests::footage;
use tests::work::{rounds, saw, seed};

/// Rounds at a time: most of a round is waiting.
const AT_A_TIME: usize = 4;

fn play_seed(seed: u64) {
    let plan = Plan::new(seed);
    if let Err(error) = play(&plan) {
        panic!("{error:?}\n{plan:?}\nrepeat it with PORTHOLE_SEED={seed}");
    }
}

#[test]
fn whatever_the_network_does_nothing_is_lost_or_doubled() {
    if let Some(seed) = seed() {
        return play_seed(seed);
    }
    let (next, last) = (AtomicU64::new(0), u64::from(rounds(8)));
    saw(format!("seeds 0 to {}", last.saturating_sub(1)));
    std::thread::scope(|scope| {
        for _ in 0..AT_A_TIME {
            scope.spawn(|| {
                while let Some(seed) = Some(next.fetch_add(1, Ordering::Relaxed)).filter(|seed| *seed < last)
                {
                    play_seed(seed);
                }
            });
        }
    });
}

#[test]
fn a_link_below_the_bitrate_and_one_that_is_dead_are_told_and_disturb_nothing() {
    let settings = Settings::default().camera("front", &footage::source().unwrap());
    let mut rig = Rig::new(settings, 0, (0, 0)).unwrap();
    Spell::Slow.begin(&rig.proxy);
    rig.edge.start_again().unwrap();
    let grows = |rig: &Rig| {
        let upload = rig.upload();
        upload["seconds_to_full"].as_f64().is_some_and(|seconds| seconds > 0.0)
            && upload["seconds_to_finish"].is_null()
            && upload["bytes_per_second"].as_u64().is_some_and(|rate| rate < 10_000)
    };
    rig.wait_until("the status to say that the backlog grows", grows).unwrap();
    assert!(rig.upload()["failure"].is_null(), "slow is no failure: {}", rig.upload());
    rig.goes_on().unwrap();

    Spell::Stalled.begin(&rig.proxy);
    rig.wait_until("the status to say so", |rig| rig.upload()["failure"]["kind"] == "slow").unwrap();
    rig.goes_on().unwrap();
    let gaps = rig.edge.json("/api/gaps").unwrap();
    // A machine that is too slow for its camera is no matter of the link.
    let of_the_link = |gap: &serde_json::Value| gap["cause"] != "overload";
    assert!(!gaps["gaps"].as_array().unwrap().iter().any(of_the_link), "{gaps}");
    rig.finish(1).unwrap();
}

/// The most that the camera adds in a second.
const PEAK: f64 = 150_000.0;

/// Whether the status says when all is sent, and that follows from what is left, at the rate that it says, beside a camera.
fn says_when(rig: &Rig) -> bool {
    let upload = rig.upload();
    let number = |name: &str| upload[name].as_f64();
    let (Some(seconds), Some(left), Some(rate)) =
        (number("seconds_to_finish"), number("pending_bytes"), number("bytes_per_second"))
    else {
        return false;
    };
    assert!(seconds >= left / (rate + 1.0), "{upload}");
    assert!(rate <= PEAK || seconds <= left / (rate - PEAK), "{upload}");
    true
}

#[test]
fn a_backlog_arrives_and_what_grows_before_it() {
    const RECORDINGS: u64 = 4;
    const GOPS: u64 = 60;
    let mut rig = Rig::new(Settings::default(), RECORDINGS, (GOPS, 25_000)).unwrap();
    // Sixteen times the bitrate of the backlog.
    rig.proxy.slow_down(400_000);
    rig.edge.start_again().unwrap();
    rig.wait_until("a time to finish", says_when).unwrap();
    rig.wait_until("the second receipt", |rig| rig.upload()["receipts"].as_u64() >= Some(2)).unwrap();
    let part = std::fs::read_dir(rig.sshd.inbox()).unwrap().flatten().map(|file| file.path());
    let live = part.filter(|path| path.extension().is_some_and(|end| end == "part"));
    assert!(live.count() >= 1, "nothing of what grows is there");
    rig.wait_until("the backlog to arrive", |rig| rig.upload()["receipts"] == RECORDINGS).unwrap();
    let footage = (RECORDINGS * GOPS) as f64;
    // What the camera has recorded since the start.
    let meanwhile = rig.recorded() - footage;
    saw(format!("a backlog arrived {:.1} times as fast as it was recorded", footage / meanwhile));
    rig.finish(RECORDINGS as usize + 1).unwrap();
}

//! The remote host's server dies during each step of the handshake, E1 to E6: every recording arrives, whole and once.
//!
//! ```text
//! an upload, written down by strace:  E1 openat write fsync | E2 ... | E3 ... | E4 ... | E5 newfstatat rename | E6 openat fsync
//! for each call of a step: another recording, and before that call the session is killed, or it stands still and then
//!                          the whole server is killed and started again  -->  a receipt, with nobody's help
//! ```
//!
//! `PORTHOLE_ROUNDS` deaths in each step, spread over its calls. The uploader waits between its tries as long as it always does.

#[path = "../upload/outbox.rs"]
#[allow(dead_code, reason = "some of it is for recordings that grow")]
mod outbox;
mod trap;

use std::ops::Range;
use std::time::{Duration, Instant};

use edge::upload::Patience;
use outbox::{Outbox, Uploader};
use tests::sshd::{Sshd, View};
use tests::strace::{Call, Strace};
use tests::wait::{PATIENCE, wait_for, wait_until};
use tests::work::{rounds, saw};
use trap::Trap;

/// Bytes of a recording's picture: few, so that each recording takes the very same calls.
const PICTURE: usize = 1000;

/// Where a part has what only sealing changes.
const ROOM: Range<u64> = 44..1 << 20;

/// Who dies.
#[derive(Clone, Copy, PartialEq)]
enum Victim {
    /// What serves the session.
    Session,
    /// The server with all its sessions; it is started again.
    Server,
}

/// A server with a trap, and an edge that uploads to it.
struct Bench {
    sshd: Sshd,
    trap: Trap,
    outbox: Outbox,
    uploader: Uploader,
    /// What was uploaded.
    names: Vec<String>,
}

impl Bench {
    fn new() -> Self {
        let mut sshd = Sshd::start(View::Whole).unwrap();
        let trap = Trap::new();
        sshd.stop();
        sshd.force(trap.session());
        sshd.start_again().unwrap();
        let mut outbox = Outbox::new(&sshd, sshd.port());
        outbox.patience = Patience::default();
        let uploader = outbox.upload();
        Self { sshd, trap, outbox, uploader, names: Vec::new() }
    }

    /// Uploads one more recording.
    fn upload(&mut self) {
        self.names.push(self.outbox.seal(PICTURE));
    }

    fn wait_for_receipt(&self) {
        self.uploader.wait_for_receipts(self.names.len() as u64);
    }

    /// The calls of one upload on each of its channels.
    fn calls(&mut self) -> [Vec<Call>; 3] {
        let logs = trap::CHANNELS.map(|channel| self.trap.file(&format!("{channel}.calls")));
        let straces = logs.each_ref().map(|log| Strace::record(trap::CALLS, log));
        self.trap.set(straces.each_ref().map(Some));
        self.upload();
        self.wait_for_receipt();
        logs.map(|log| tests::strace::calls(&log).unwrap())
    }

    /// Uploads one more recording, during which `victim` dies in front of a call; gives how long it took from the return of what
    /// died until the recording was there. `None`: the edge had its receipt before that call.
    fn dies_at(&mut self, place: &Place, victim: Victim) -> Option<Duration> {
        let strace = match victim {
            Victim::Session => Strace::kill_at(&place.call, place.nth),
            Victim::Server => Strace::stop_at(&place.call, place.nth),
        };
        let mut straces = [None; 3];
        straces[place.channel] = Some(&strace);
        self.trap.set(straces);
        self.upload();
        let status = || self.uploader.status();
        let has_arrived = || status().receipts == self.names.len() as u64;
        match victim {
            // At its very last answer nobody misses it.
            Victim::Session => {
                let died = || status().failure.is_some() || has_arrived();
                wait_until("a session to die", PATIENCE, died).unwrap();
            }
            Victim::Server => {
                let ending = || match self.sshd.stands_still() {
                    true => Some(true),
                    false => has_arrived().then_some(false),
                };
                if !wait_for("a session to stand still", PATIENCE, ending).unwrap() {
                    self.wait_for_receipt();
                    return None;
                }
                self.sshd.stop();
                self.sshd.start_again().unwrap();
            }
        }
        let back = Instant::now();
        self.wait_for_receipt();
        Some(back.elapsed())
    }
}

/// A call of an upload.
#[derive(Debug)]
struct Place {
    /// On which of the channels.
    channel: usize,
    call: String,
    /// Which of its kind on the channel.
    nth: u32,
}

/// The calls of step E1, E2, ... of an upload.
fn places_of(step: usize, [everything, parts, renames]: &[Vec<Call>; 3]) -> Vec<Place> {
    let mut now = 0;
    let mut found = Vec::new();
    for (at, call) in everything.iter().enumerate() {
        now = match now {
            0 if call.arguments.contains(".lockfile") => 1,
            1 if call.arguments.contains(".part") => 2,
            // The size of the part, once more.
            2 if call.name.contains("stat") && call.arguments.contains(".part") => 3,
            3 if call.arguments.contains(".lockfile") => 4,
            4 if call.arguments.contains(".mp4") => 5,
            5 if call.name == "openat" => 6,
            same => same,
        };
        if now == step {
            found.push(place(0, everything, at));
        }
    }
    let room = |call: &Call| seeks_to(call).is_some_and(|offset| ROOM.contains(&offset));
    let sealing = parts.iter().position(room).unwrap();
    let rename = renames.iter().position(|call| call.name.starts_with("rename")).unwrap();
    match step {
        2 => found.extend((0..sealing).map(|at| place(1, parts, at))),
        3 => found.extend((sealing..parts.len()).map(|at| place(1, parts, at))),
        5 => found.extend((rename..renames.len()).map(|at| place(2, renames, at))),
        _ => {}
    }
    found
}

fn place(channel: usize, calls: &[Call], at: usize) -> Place {
    let call = calls[at].name.clone();
    let nth = calls[..=at].iter().filter(|other| other.name == call).count() as u32;
    Place { channel, call, nth }
}

/// Where the next write goes: `3</a/b.part>, 47, SEEK_SET`.
fn seeks_to(call: &Call) -> Option<u64> {
    let (_, offset) = call.arguments.strip_suffix(", SEEK_SET")?.rsplit_once(", ")?;
    offset.parse().ok().filter(|_| call.name == "lseek")
}

/// Lets the server die in one step, at call after call.
fn converges(step: usize) {
    let mut bench = Bench::new();
    let all = bench.calls();
    let places = places_of(step, &all);
    assert!(places.len() >= 4, "E{step}: {places:?} of {all:?}");
    let rounds = rounds(4) as usize;
    let mut arrivals = Vec::new();
    for round in 0..rounds {
        let place = &places[round * places.len().max(rounds) / rounds % places.len()];
        // Each call meets both, in turn.
        let even = (round / places.len() + round % places.len()).is_multiple_of(2);
        let victim = if even { Victim::Session } else { Victim::Server };
        arrivals.extend(bench.dies_at(place, victim));
    }
    bench.outbox.assert_arrived(&bench.sshd, &bench.names);
    let slowest = arrivals.iter().max().expect("no call was ever reached");
    saw(format!(
        "E{step}: {} deaths at {} calls, half of them of the whole server; the slowest recording arrived {slowest:.1?} after its return",
        arrivals.len(),
        places.len()
    ));
}

#[test]
fn a_server_that_dies_while_the_lock_is_made() {
    converges(1);
}

#[test]
fn a_server_that_dies_while_the_part_is_written() {
    converges(2);
}

#[test]
fn a_server_that_dies_while_the_part_is_sealed() {
    converges(3);
}

#[test]
fn a_server_that_dies_while_the_lock_is_removed() {
    converges(4);
}

#[test]
fn a_server_that_dies_while_the_part_is_renamed() {
    converges(5);
}

#[test]
fn a_server_that_dies_while_the_folder_is_synced() {
    converges(6);
}

//! Where a job is killed.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use tests::strace::{self, Strace};
use tests::work::{rounds, saw};

/// Rounds at a time: as many as the least machine has cores.
const AT_ONCE: usize = 2;

/// The `nth` call of a kind, in the first thread that gets so far.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    call: String,
    nth: u32,
}

impl Place {
    /// What kills a program there.
    pub fn kill(&self) -> Strace {
        Strace::kill_at(&self.call, self.nth)
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.call, self.nth)
    }
}

/// What came of a round.
#[derive(Clone, Copy, Debug)]
pub struct Round {
    /// Whether the program died. In another order of its threads a place may not be reached.
    pub killed: bool,
    /// How long the next start took until it was in order.
    pub recovery: Duration,
}

/// All places of a job that strace wrote down.
fn all(log: &Path) -> Vec<Place> {
    let mut counts: BTreeMap<(String, u32), u32> = BTreeMap::new();
    for call in strace::calls(log).unwrap() {
        *counts.entry((call.name, call.thread)).or_default() += 1;
    }
    let mut most: BTreeMap<String, u32> = BTreeMap::new();
    for ((call, _), count) in counts {
        let known = most.entry(call).or_default();
        *known = count.max(*known);
    }
    let places = |(call, most): (String, u32)| (1..=most).map(move |nth| Place { call: call.clone(), nth });
    most.into_iter().flat_map(places).collect()
}

/// `count` of `places`, or all, evenly spread from one that `seed` chooses.
fn choose(places: &[Place], count: usize, seed: usize) -> Vec<Place> {
    let count = count.min(places.len());
    (0..count).map(|n| places[(seed + n * places.len() / count) % places.len()].clone()).collect()
}

fn seed() -> usize {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs() as usize;
    std::env::var("PORTHOLE_SEED").map_or(now, |seed| seed.parse().unwrap())
}

/// Runs `round` at places of the job `what` that the file `log` holds, with a `bench` for each of those that run at a time, and
/// tells what was seen.
pub fn kill_at_each<B>(
    what: &str,
    log: &Path,
    bench: impl Fn() -> B + Sync,
    round: impl Fn(&mut B, &Place) -> Round + Sync,
) {
    let (all, seed) = (all(log), seed());
    let chosen = choose(&all, rounds(6) as usize, seed);
    println!("{what}: {} of {} places, PORTHOLE_SEED={seed}", chosen.len(), all.len());
    let (next, done) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                let mut bench = bench();
                while let Some(place) = chosen.get(next.fetch_add(1, Ordering::Relaxed)) {
                    println!("{what}: killed at {place}");
                    let round = round(&mut bench, place);
                    done.lock().unwrap().push(round);
                }
            });
        }
    });
    let done = done.into_inner().unwrap();
    let killed = done.iter().filter(|round| round.killed).count();
    let slowest = done.iter().map(|round| round.recovery).max().unwrap_or_default();
    assert!(killed > 0, "{what}: nothing was ever killed");
    saw(format!(
        "{what}: {killed} kills at {} of {} places, the slowest recovery took {slowest:.2?}",
        chosen.len(),
        all.len()
    ));
}

#[test]
fn places_are_spread_evenly_over_all_calls() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let text = "1 fsync(3</a>) = 0\n2 fsync(3</a>) = 0\n1 fsync(3</a>) = 0\n2 rename(\"a\", \"b\") = 0\n";
    std::fs::write(&log, text).unwrap();
    let all = all(&log);
    let shown = |places: &[Place]| places.iter().map(Place::to_string).collect::<Vec<_>>().join(", ");
    assert_eq!(shown(&all), "fsync 1, fsync 2, rename 1", "threads are counted one by one");
    assert_eq!(shown(&choose(&all, 10, 4)), "fsync 2, rename 1, fsync 1");
    assert_eq!(shown(&choose(&all, 2, 1)), "fsync 2, rename 1");
}

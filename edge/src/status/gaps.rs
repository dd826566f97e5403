//! Spans of time without footage, each with its cause.
//!
//! ```text
//! capture, encode, record --open, close--> GAPS --news--> record --note--> ledger
//!                                           ^                                |
//!                                           +--------- remember, at the start of the next process
//! ```

use media::ledger::{Boot, Finding, Missing, SHORTEST_GAP, Stitched};
use media::{Ticks90k, WallTime};
use serde::Serialize;
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

pub use media::ledger::Cause;

/// Gaps that are kept; the oldest leaves.
pub const MOST_GAPS: usize = 1024;
/// A gap that lasts is told to the ledger piece by piece, so that a power cut in it costs no more of its cause.
const PIECE: Ticks90k = Ticks90k(3600 * media::time::TICKS_PER_SECOND);

/// A span of one camera without footage.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Gap {
    /// The camera's name.
    pub camera: String,
    /// Why.
    #[serde(serialize_with = "by_name")]
    pub cause: Cause,
    /// Media time of its begin.
    #[serde(skip)]
    pub from: Ticks90k,
    /// Media time of its end; `None` while it lasts.
    #[serde(skip)]
    pub to: Option<Ticks90k>,
    /// Wall time of its begin, if known.
    #[serde(serialize_with = "super::rfc3339")]
    pub start: Option<WallTime>,
    /// How long it lasted, in seconds; `None` while it lasts, and where that would take a clock that was not set.
    pub seconds: Option<f64>,
    /// It is not over.
    pub lasts: bool,
}

fn by_name<S: serde::Serializer>(cause: &Cause, serializer: S) -> Result<S::Ok, S::Error> {
    cause.name().serialize(serializer)
}

/// A gap, and how much of it is in the ledger.
struct Known {
    gap: Gap,
    /// Until when it was told; `None`: nobody tells it, because the ledger says so itself.
    told: Option<Ticks90k>,
    times: Times,
}

/// Which boot the times of a gap are of.
#[derive(Clone, Copy, PartialEq)]
enum Times {
    /// This one: its date follows from how the clock is set.
    Here,
    /// It began in an earlier one and ends in this one: how long it was takes the dates of both.
    Across,
    /// They are what the ledger says.
    Earlier,
}

/// What is known of all cameras.
#[derive(Default)]
struct State {
    /// Oldest first, at most [`MOST_GAPS`].
    gaps: VecDeque<Known>,
    /// Where the footage of this process began, by camera.
    begun: BTreeMap<String, Ticks90k>,
}

/// The gaps of all cameras.
#[derive(Default)]
pub struct Gaps(Mutex<State>);

impl Gaps {
    /// A gap begins at `from`. Does nothing if one of this camera and cause is open already.
    pub fn open(&self, camera: &str, cause: Cause, from: Ticks90k, start: Option<WallTime>) {
        let gaps = &mut self.lock().gaps;
        if gaps.iter().any(|known| known.is(camera, cause)) {
            return;
        }
        let gap = Gap { camera: camera.to_owned(), cause, from, to: None, start, seconds: None, lasts: true };
        // That nothing ran follows from where the process began.
        let told = (cause != Cause::NoPower).then_some(from);
        push(gaps, Known { gap, told, times: Times::Here });
    }

    /// The open gap of this camera and cause ends at `to`.
    pub fn close(&self, camera: &str, cause: Cause, to: Ticks90k) {
        if let Some(known) = self.lock().gaps.iter_mut().find(|known| known.is(camera, cause)) {
            known.end(to);
        }
    }

    /// Footage begins at `start`: the gap is over that the end of the process before this one left. After the first time it does nothing.
    pub fn begin(&self, camera: &str, start: Ticks90k) {
        let mut state = self.lock();
        if !state.begun.contains_key(camera) {
            state.begun.insert(camera.to_owned(), start);
            state.begin(camera, start);
        }
    }

    /// Footage that never came although the camera was there: what no gap of this process covers of it is a gap `overload`. A camera that stood
    /// still covers its own part; pictures that were left out in front of it or behind it are missing besides.
    pub fn hole(&self, camera: &str, (from, to): (Ticks90k, Ticks90k), start: Option<WallTime>) {
        let gaps = &mut self.lock().gaps;
        let here = |known: &&Known| known.times == Times::Here && known.gap.camera == camera;
        let known = gaps.iter().filter(here).map(|known| (known.gap.from, known.gap.to.unwrap_or(to)));
        let mut covered: Vec<_> = known.filter(|(begin, end)| *begin < to && *end > from).collect();
        covered.sort_unstable();
        let mut end = from;
        for (next, until) in covered.into_iter().chain([(to, to)]) {
            if next - end >= SHORTEST_GAP {
                let start = start.map(|start| start.plus(end - from));
                let gap = Gap::over(camera, Cause::Overload, (end, next), start);
                push(gaps, Known { gap, told: Some(end), times: Times::Here });
            }
            end = end.max(until);
        }
    }

    /// A gap that is over, and in the ledger already. It takes the place of one of the same span: what was thinned may be dropped.
    pub fn add(&self, camera: &str, cause: Cause, span: (Ticks90k, Ticks90k), start: Option<WallTime>) {
        let gap = Gap::over(camera, cause, span, start);
        let gaps = &mut self.lock().gaps;
        gaps.retain(|known| {
            (known.times, &known.gap.camera, known.gap.from, known.gap.to)
                != (Times::Earlier, &gap.camera, gap.from, gap.to)
        });
        push(gaps, Known { gap, told: None, times: Times::Earlier });
    }

    /// Whether one gap of this process lasts from one moment of a camera to another.
    pub fn covers(&self, camera: &str, from: Ticks90k, to: Ticks90k) -> bool {
        let lasts = |gap: &Gap| gap.from <= from && gap.to.is_none_or(|end| end >= to);
        self.lock()
            .gaps
            .iter()
            .any(|known| known.times == Times::Here && known.gap.camera == camera && lasts(&known.gap))
    }

    /// What the ledger of a camera tells of earlier processes, to the one that began at a moment of a boot. Where the ring knew nothing of them, as
    /// after a power cut, the gap since then is open.
    pub fn remember(&self, camera: &str, history: &Stitched, (boot, started): (Boot, Ticks90k)) {
        let mut state = self.lock();
        let missing = history.findings.iter().filter_map(|finding| match finding {
            Finding::Missing { missing, .. } => Some((missing.cause?, missing)),
            _ => None,
        });
        for (cause, missing) in missing.rev() {
            if state.gaps.len() == MOST_GAPS {
                break;
            }
            let seconds = missing.length.map(Ticks90k::as_secs_f64);
            let to = Some(missing.from + missing.length.unwrap_or(Ticks90k::ZERO));
            let (camera, from, start) = (camera.to_owned(), missing.from, missing.start);
            let gap = Gap { camera, cause, from, to, start, seconds, lasts: false };
            state.gaps.push_front(Known { gap, told: None, times: Times::Earlier });
        }
        if let Some(open) = history.open.as_ref().filter(|_| !state.opened(camera, started)) {
            state.since(camera, open, boot);
        }
    }

    /// Cause, begin and end of what the ledger of `camera` does not have yet. It is not told twice.
    pub fn news(&self, camera: &str, now: Ticks90k) -> Vec<(Cause, Ticks90k, Ticks90k)> {
        let piece = |known: &mut Known| {
            let from = known.told.filter(|_| known.gap.camera == camera)?;
            let to = known.gap.to.or((now - from >= PIECE).then_some(now))?;
            known.told = known.gap.lasts.then_some(to);
            (to > from).then_some((known.gap.cause, from, to))
        };
        self.lock().gaps.iter_mut().filter_map(piece).collect()
    }

    /// The clock was set: gaps of this process that have no date get one.
    pub fn date(&self, wall_of: impl Fn(Ticks90k) -> Option<WallTime>) {
        for known in &mut self.lock().gaps {
            match known.times {
                Times::Here => known.gap.start = wall_of(known.gap.from).or(known.gap.start),
                Times::Across => known.measure(&wall_of),
                Times::Earlier => {}
            }
        }
    }

    /// All gaps, oldest first.
    pub fn list(&self) -> Vec<Gap> {
        self.lock().gaps.iter().map(|known| known.gap.clone()).collect()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Each change is one assignment: a panic elsewhere leaves the list usable.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn push(gaps: &mut VecDeque<Known>, known: Known) {
    if gaps.len() == MOST_GAPS {
        gaps.pop_front();
    }
    gaps.push_back(known);
}

/// Why there may be no footage from the end of one process to the first picture of the next.
const BETWEEN: [Cause; 2] = [Cause::NoPower, Cause::Overload];

impl State {
    /// Whether the gap in front of the process that began at `started` is known.
    fn opened(&self, camera: &str, started: Ticks90k) -> bool {
        let opened = |gap: &Gap| gap.camera == camera && gap.from <= started && BETWEEN.contains(&gap.cause);
        self.gaps.iter().any(|known| known.times == Times::Here && opened(&known.gap))
    }

    /// Nothing ran since `open`; until now, or until footage began.
    fn since(&mut self, camera: &str, open: &Missing, boot: Boot) {
        let times = if open.boot == boot { Times::Here } else { Times::Across };
        let (from, start) = (open.from, open.start);
        let camera = camera.to_owned();
        let begun = self.begun.get(&camera).copied();
        let gap = Gap { camera, cause: Cause::NoPower, from, to: None, start, seconds: None, lasts: true };
        let mut known = Known { gap, told: None, times };
        if let Some(begun) = begun {
            known.end(begun);
        }
        push(&mut self.gaps, known);
    }

    fn begin(&mut self, camera: &str, start: Ticks90k) {
        for cause in BETWEEN {
            if let Some(known) = self.gaps.iter_mut().find(|known| known.is(camera, cause)) {
                known.end(start);
            }
        }
    }
}

impl Known {
    /// Whether it is the open gap of this camera and cause.
    fn is(&self, camera: &str, cause: Cause) -> bool {
        self.gap.lasts && self.gap.camera == camera && self.gap.cause == cause
    }

    fn end(&mut self, to: Ticks90k) {
        self.gap.end(to);
        if self.times == Times::Across {
            self.gap.seconds = None;
        }
    }

    /// How long it was, by the clocks of two boots.
    fn measure(&mut self, wall_of: impl Fn(Ticks90k) -> Option<WallTime>) {
        let end = self.gap.to.and_then(wall_of);
        let length = self.gap.start.zip(end).map(|(start, end)| Ticks90k::from_micros(end.0 - start.0));
        self.gap.seconds = length.map(|length| length.max(Ticks90k::ZERO).as_secs_f64());
    }
}

impl Gap {
    /// One that is over.
    fn over(camera: &str, cause: Cause, (from, to): (Ticks90k, Ticks90k), start: Option<WallTime>) -> Self {
        let camera = camera.to_owned();
        let mut gap = Self { camera, cause, from, to: None, start, seconds: None, lasts: true };
        gap.end(to);
        gap
    }

    fn end(&mut self, to: Ticks90k) {
        self.to = Some(to);
        self.seconds = Some((to - self.from).as_secs_f64());
        self.lasts = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = PIECE.0;
    /// Boot and begin of the process.
    const PROCESS: (Boot, Ticks90k) = (Boot([1; 16]), Ticks90k(50));

    /// The end of footage at tick 5 of another boot.
    fn ended(boot: u8, start: Option<WallTime>) -> Stitched {
        let boot = Boot([boot; 16]);
        let open = Missing { cause: None, boot, from: Ticks90k(5), start, length: None };
        Stitched { open: Some(open), ..Stitched::default() }
    }

    #[test]
    fn after_a_power_cut_the_gap_since_the_boot_before_is_known_and_its_length_once_the_clock_is() {
        for footage_is_first in [true, false] {
            let gaps = Gaps::default();
            let known = || {
                let gap = gaps.list().remove(0);
                (gap.cause, gap.start, gap.seconds, gap.lasts)
            };
            if footage_is_first {
                gaps.begin("front", Ticks90k(90));
            }
            gaps.remember("front", &ended(0, Some(WallTime(7))), PROCESS);
            if !footage_is_first {
                assert_eq!(known(), (Cause::NoPower, Some(WallTime(7)), None, true));
                gaps.begin("front", Ticks90k(90));
            }
            gaps.begin("front", Ticks90k(900));
            assert_eq!(known(), (Cause::NoPower, Some(WallTime(7)), None, false));
            gaps.date(|media| Some(WallTime(2_000_007 + media.0 - 90)));
            assert_eq!(known(), (Cause::NoPower, Some(WallTime(7)), Some(2.0), false));
            assert_eq!(gaps.news("front", Ticks90k(99)), [], "the ledger says so itself");
        }
    }

    #[test]
    fn a_boot_without_a_clock_leaves_a_gap_of_unknown_length() {
        let gaps = Gaps::default();
        gaps.remember("front", &ended(0, None), PROCESS);
        gaps.begin("front", Ticks90k(90));
        gaps.date(|media| Some(WallTime(media.0)));
        let gap = gaps.list().remove(0);
        assert_eq!((gap.start, gap.seconds, gap.lasts), (None, None, false));
    }

    #[test]
    fn what_the_ring_knew_of_the_process_before_is_not_listed_twice() {
        let gaps = Gaps::default();
        gaps.open("front", Cause::Overload, Ticks90k(6), None);
        gaps.begin("front", Ticks90k(90));
        gaps.remember("front", &ended(1, None), PROCESS);
        assert_eq!(gaps.list().len(), 1);
        // The ring was lost, but not the boot.
        gaps.remember("back", &ended(1, None), PROCESS);
        gaps.begin("back", Ticks90k(5 + 90_000));
        assert_eq!(gaps.list()[1].seconds, Some(1.0));
    }

    #[test]
    fn of_a_hole_only_what_no_other_gap_covers_is_a_gap_of_its_own() {
        let tenths = |n: i64| Ticks90k(9_000 * n);
        let gaps = Gaps::default();
        gaps.open("front", Cause::CameraGone, tenths(20), None);
        gaps.close("front", Cause::CameraGone, tenths(40));
        gaps.open("front", Cause::Overload, tenths(42), None);
        gaps.close("front", Cause::Overload, tenths(90));
        // Another camera, and one that lasts but began later.
        gaps.open("back", Cause::Overload, tenths(0), None);
        gaps.open("front", Cause::Overload, tenths(200), None);
        gaps.hole("front", (tenths(0), tenths(100)), Some(WallTime(7)));
        let found: Vec<_> =
            gaps.list().into_iter().skip(4).map(|gap| (gap.cause, gap.from, gap.to)).collect();
        let expected =
            [(0, 20), (90, 100)].map(|(from, to)| (Cause::Overload, tenths(from), Some(tenths(to))));
        assert_eq!(found, expected);
        assert_eq!(gaps.list()[5].start, Some(WallTime(9_000_007)));
        assert!(gaps.list()[3].lasts, "the one that began later is not over");
        assert_eq!(gaps.news("front", tenths(201)).len(), 4, "all of them but the one that lasts are told");
        gaps.hole("front", (tenths(0), tenths(100)), None);
        assert_eq!(gaps.list().len(), 6, "once");
    }

    #[test]
    fn a_gap_has_a_begin_an_end_and_a_cause() {
        let gaps = Gaps::default();
        gaps.open("front", Cause::CameraGone, Ticks90k(0), None);
        gaps.open("front", Cause::CameraGone, Ticks90k(9), None);
        gaps.close("front", Cause::CameraGone, Ticks90k(135_000));
        let list = gaps.list();
        assert_eq!(list.len(), 1);
        assert_eq!(list[0].seconds, Some(1.5));
    }

    #[test]
    fn the_oldest_gap_leaves_when_there_are_too_many() {
        let gaps = Gaps::default();
        for n in 0..=MOST_GAPS as i64 {
            gaps.open("front", Cause::Overload, Ticks90k(n), None);
            gaps.close("front", Cause::Overload, Ticks90k(n));
        }
        let list = gaps.list();
        assert_eq!((list.len(), list[0].from), (MOST_GAPS, Ticks90k(1)));
    }

    #[test]
    fn the_ledger_is_told_each_gap_once_and_a_long_one_by_the_hour() {
        let gaps = Gaps::default();
        gaps.open("front", Cause::NoPower, Ticks90k(0), None);
        gaps.open("front", Cause::CameraGone, Ticks90k(10), None);
        gaps.open("back", Cause::CameraGone, Ticks90k(11), None);
        let news = |now| gaps.news("front", Ticks90k(now));
        assert_eq!(news(HOUR), []);
        assert_eq!(news(10 + HOUR), [(Cause::CameraGone, Ticks90k(10), Ticks90k(10 + HOUR))]);
        gaps.close("front", Cause::CameraGone, Ticks90k(20 + HOUR));
        assert_eq!(news(0), [(Cause::CameraGone, Ticks90k(10 + HOUR), Ticks90k(20 + HOUR))]);
        assert_eq!(news(3 * HOUR), []);
    }

    #[test]
    fn gaps_of_earlier_processes_come_from_the_ledger_and_have_the_dates_that_it_knows() {
        let gaps = Gaps::default();
        let missing = Missing {
            cause: Some(Cause::Thinned),
            boot: Boot([0; 16]),
            from: Ticks90k(5),
            start: Some(WallTime(7)),
            length: Some(Ticks90k::SECOND),
        };
        let unexplained = Missing { cause: None, ..missing.clone() };
        let findings = [missing, unexplained].map(|missing| Finding::Missing { slice: 0, missing });
        gaps.remember("front", &Stitched { findings: findings.into(), ..Stitched::default() }, PROCESS);
        gaps.open("front", Cause::Overload, Ticks90k(9), None);
        gaps.date(|media| Some(WallTime(media.0)));
        let list = gaps.list();
        let shown: Vec<_> = list.iter().map(|gap| (gap.cause, gap.start, gap.seconds, gap.lasts)).collect();
        let remembered = (Cause::Thinned, Some(WallTime(7)), Some(1.0), false);
        assert_eq!(shown, [remembered, (Cause::Overload, Some(WallTime(9)), None, true)]);
        assert_eq!(gaps.news("front", Ticks90k(99)), []);
    }
}

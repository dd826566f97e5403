//! Many slices of one camera, in any order -> one account: is the chain whole, and where is there no footage, and why.
//!
//! ```text
//! slices    C  A  E  B                       by their heads
//! runs      A=B=C        E                   a head that nobody continues ends a run: between runs entries are absent
//! branch    B ~ D=F                          a run behind the branch of a head: goes on from there, or is cut off with the power and lies aside
//! account   GOP GOP ....... GOP GOP          of one boot: what no GOP covers is missing,
//!                  Gap cause                 for the cause that an entry names,
//!                       Start                for want of power if the process began in it, or without any cause
//! ```
//!
//! Whoever writes a slice chooses its entries: no list of them, however it is made up, takes more than O(n log n).

use super::slice::{Form, Slice};
use super::{Boot, Cause, Dates, Entry, Hash, Head, SHORTEST_GAP};
use crate::{Ticks90k, WallTime};
use std::cmp::Reverse;
use std::collections::hash_map::Entry as Place;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::iter;

/// Heads and boots that are tried to find where a branch leaves: there is one head at each position, unless somebody makes them up.
const MOST_TRIES: usize = 1 << 12;

/// Branches of a branch that are followed: a card that fails, works and fails again before anything is signed leaves one more each time.
const MOST_NESTED: usize = 16;

/// What the slices of one camera say together. Slices are named by their index in what was given.
#[derive(Clone, Debug, Default)]
pub struct Stitched {
    /// In the order of the chain.
    pub findings: Vec<Finding>,
    /// Seconds of footage that the slices vouch for.
    pub footage: Ticks90k,
    /// From media time to dates.
    pub dates: Dates,
    /// What follows the newest that is known here: a span without an end, and without a cause.
    pub open: Option<Missing>,
}

/// What is not simply footage.
#[derive(Clone, Debug, PartialEq)]
pub enum Finding {
    /// Between two slices others are not here: on their way, or removed.
    Absent {
        /// The last slice in front of them.
        after: usize,
        /// The first one behind them.
        before: usize,
        /// How many entries of the chain.
        entries: u64,
        /// How many of the recordings that carry them had a receipt: those were taken away.
        receipts: usize,
        /// From the end of the footage in front to the beginning of that behind.
        missing: Option<Missing>,
    },
    /// Another chain begins: the edge has lost its own, and with it what would tell that nothing is missing in between.
    BegunAnew {
        /// The last slice of the chain in front.
        after: usize,
        /// The first one of the other.
        before: usize,
        /// From the end of the footage in front to the beginning of that behind.
        missing: Option<Missing>,
    },
    /// Two different slices follow the same head, or lead to it: one of them was made up later.
    Forked {
        /// One of them, which the account goes on with.
        one: usize,
        /// The other.
        other: usize,
    },
    /// No footage, by what the ledger itself says.
    Missing {
        /// The slice that says so, or the first one with footage behind it.
        slice: usize,
        /// What is missing.
        missing: Missing,
    },
}

/// A span without footage.
#[derive(Clone, Debug, PartialEq)]
pub struct Missing {
    /// Why; `None`: the ledger does not say.
    pub cause: Option<Cause>,
    /// What `from` is of.
    pub boot: Boot,
    /// Media time at which the footage ends.
    pub from: Ticks90k,
    /// The date of that, if it is known.
    pub start: Option<WallTime>,
    /// How long it lasts; `None` where that would take two clocks of which one was never set.
    pub length: Option<Ticks90k>,
}

/// Puts the slices of one camera in order, and accounts for every second. They must have been verified one by one.
pub fn stitch(slices: &[Slice]) -> Stitched {
    let mut stitched = Stitched::default();
    let (runs, aside) = runs(slices, &mut stitched.findings);
    for slice in runs.iter().flatten().filter_map(|&index| slices.get(index)) {
        slice.entries.iter().for_each(|entry| stitched.dates.add(slice.boot, entry));
    }
    let receipts = Receipts::of(slices, &runs);
    let (mut last, mut end): (Option<usize>, Option<Edge>) = (None, None);
    // Whether footage of the runs so far is here.
    let mut kept = false;
    for (n, run) in runs.iter().enumerate() {
        let groups = run.chunk_by(|&one, &next| boot_of(slices, one) == boot_of(slices, next));
        let accounts: Vec<Account> = groups.map(|group| Account::of(slices, group)).collect();
        if run.first().is_some_and(|first| aside.contains(first)) {
            end = None;
        } else if let (Some(after), Some(&before)) = (last, run.first()) {
            let begin = accounts.iter().find_map(Account::begin);
            let missing = end.zip(begin).map(|(end, begin)| stitched.span(None, end, begin));
            let finding = join(slices, (after, before), receipts.before(n), missing);
            // In front of all footage is only what newer files have taken along: retention has swept what followed it.
            if kept || !matches!(finding, Finding::Absent { .. }) {
                stitched.findings.push(finding);
            }
            end = None;
        }
        kept |= run.iter().filter_map(|&index| slices.get(index)).any(Slice::is_own);
        for (n, account) in accounts.iter().enumerate() {
            if let (Some(from), Some(to)) = (end, account.begin()) {
                // The board was off from the last footage of one boot to the first sign of life in the next.
                let missing = stitched.span(Some(Cause::NoPower), from, to);
                stitched.findings.push(Finding::Missing { slice: to.slice, missing });
            }
            stitched.add(account, n + 1 < accounts.len());
            end = account.end().or(end);
        }
        last = run.last().copied();
    }
    stitched.open = end.map(|end| Missing { length: None, ..stitched.span(None, end, end) });
    stitched
}

fn boot_of(slices: &[Slice], index: usize) -> Option<Boot> {
    slices.get(index).map(|slice| slice.boot)
}

/// What it means that a run does not continue the one in front of it.
fn join(
    slices: &[Slice],
    (after, before): (usize, usize),
    receipts: usize,
    missing: Option<Missing>,
) -> Finding {
    let position =
        |index: usize, head: fn(&Slice) -> Head| slices.get(index).map(|slice| head(slice).position);
    let last = position(after, |slice| slice.after);
    let next = position(before, |slice| slice.before);
    match next.zip(last).and_then(|(next, last)| next.checked_sub(last)) {
        Some(entries) if entries > 0 => Finding::Absent { after, before, entries, receipts, missing },
        _ => Finding::BegunAnew { after, before, missing },
    }
}

/// Where footage begins or ends.
#[derive(Clone, Copy, Debug)]
struct Edge {
    slice: usize,
    boot: Boot,
    at: Ticks90k,
}

impl Stitched {
    fn span(&self, cause: Option<Cause>, from: Edge, to: Edge) -> Missing {
        let start = self.dates.wall_of(from.boot, from.at);
        let length = if from.boot == to.boot {
            Some(to.at - from.at)
        } else {
            let end = self.dates.wall_of(to.boot, to.at);
            start.zip(end).map(|(start, end)| Ticks90k::from_micros(end.0 - start.0))
        };
        let length = length.map(|length| length.max(Ticks90k::ZERO));
        Missing { cause, boot: from.boot, from: from.at, start, length }
    }

    /// `over`: the chain goes on in another boot.
    fn add(&mut self, account: &Account, over: bool) {
        for span in &account.footage {
            self.footage += span.to - span.from;
        }
        for span in account.missing(over) {
            let edge = |at| Edge { slice: span.slice, boot: account.boot, at };
            let missing = self.span(span.cause, edge(span.from), edge(span.to));
            self.findings.push(Finding::Missing { slice: span.slice, missing });
        }
    }
}

/// Slices that follow on, each run in the order of the chain; and those of them that begin a branch which was cut off.
fn runs(slices: &[Slice], findings: &mut Vec<Finding>) -> (Vec<Vec<usize>>, HashSet<usize>) {
    let mut following: HashMap<Hash, usize> = HashMap::new();
    let mut order: Vec<usize> = (0..slices.len()).collect();
    // Of the same slice in several forms the one that says most counts.
    order.sort_by_key(|&index| slices.get(index).map(|slice| rank(&slice.form)));
    for index in order {
        let Some(slice) = slices.get(index) else { continue };
        let known = *following.entry(slice.before.hash).or_insert(index);
        if slices.get(known).is_some_and(|known| known.after != slice.after) {
            findings.push(Finding::Forked { one: known, other: index });
        }
    }
    let mut continued: HashSet<Hash> =
        following.values().filter_map(|&index| Some(slices.get(index)?.after.hash)).collect();
    let mut firsts: Vec<usize> = following
        .iter()
        .filter(|(before, _)| !continued.contains(*before))
        .map(|(_, &first)| first)
        .collect();
    firsts.sort_unstable();
    let mut aside = HashSet::new();
    for (from, first) in branches(slices, &firsts) {
        match following.entry(from) {
            Place::Occupied(_) => _ = aside.insert(first),
            Place::Vacant(place) => {
                place.insert(first);
                continued.extend(slices.get(first).map(|first| first.before.hash));
            }
        }
    }
    firsts.retain(|&first| slices.get(first).is_some_and(|first| !continued.contains(&first.before.hash)));
    let mut taken = HashSet::new();
    let mut runs: Vec<Vec<usize>> = Vec::new();
    for first in firsts {
        let mut run: Vec<usize> = Vec::new();
        let mut next = Some(first);
        while let Some(index) = next {
            if !taken.insert(index) {
                findings.extend(run.last().map(|&other| Finding::Forked { one: index, other }));
                break;
            }
            run.push(index);
            next = slices.get(index).and_then(|slice| following.get(&slice.after.hash)).copied();
        }
        runs.push(run);
    }
    in_order(slices, &mut runs);
    (runs, aside)
}

/// The heads that a branch leaves, with the first slice of each.
fn branches(slices: &[Slice], firsts: &[usize]) -> Vec<(Hash, usize)> {
    let boots: BTreeSet<Boot> = slices.iter().map(|slice| slice.boot).collect();
    let mut heads: HashMap<u64, Vec<Head>> = HashMap::new();
    for slice in slices {
        heads.entry(slice.after.position).or_default().push(slice.after);
    }
    let leaves = |&first: &usize| {
        let before = slices.get(first)?.before;
        let heads = heads.get(&before.position)?.iter();
        heads
            .flat_map(|&head| boots.iter().map(move |&boot| (head, boot)))
            .take(MOST_TRIES)
            .find_map(|(head, boot)| leads(head, boot, before).then_some((head.hash, first)))
    };
    firsts.iter().filter_map(leaves).collect()
}

/// Whether a branch of `head`, or a branch of that, and so on, is `before`.
fn leads(head: Head, boot: Boot, before: Head) -> bool {
    let branches = iter::successors(Some(head), |head| Some(head.branch(boot)));
    branches.skip(1).take(MOST_NESTED).any(|branch| branch == before)
}

/// Recordings that had a receipt and are not here, and where they belong by their numbers.
struct Receipts {
    /// Ascending.
    absent: Vec<u64>,
    /// For each run: the newest recording before it, and the oldest one in and behind it.
    around: Vec<(Option<u64>, Option<u64>)>,
}

impl Receipts {
    fn of(slices: &[Slice], runs: &[Vec<usize>]) -> Self {
        let here: HashSet<u64> = slices.iter().filter_map(|slice| slice.recording).collect();
        let receipt = |entry: &Entry| match entry {
            Entry::Receipt { recording, .. } => Some(*recording),
            _ => None,
        };
        let receipts = slices.iter().flat_map(|slice| slice.entries.iter().filter_map(receipt));
        let mut absent: Vec<u64> = receipts.filter(|recording| !here.contains(recording)).collect();
        absent.sort_unstable();
        absent.dedup();
        let numbers = |run: &Vec<usize>| {
            let of_run = || run.iter().filter_map(|&index| slices.get(index)?.recording);
            (of_run().min(), of_run().max())
        };
        let ranges: Vec<_> = runs.iter().map(numbers).collect();
        let mut around = vec![(None, None); runs.len()];
        let mut newest = None;
        for (around, (_, last)) in around.iter_mut().zip(&ranges) {
            around.0 = newest;
            newest = newest.max(*last);
        }
        let mut oldest: Option<u64> = None;
        for (around, (first, _)) in around.iter_mut().zip(&ranges).rev() {
            oldest = oldest.into_iter().chain(*first).min();
            around.1 = oldest;
        }
        Self { absent, around }
    }

    /// How many belong between a run and the one in front of it. What is older than all that is here may have been swept.
    fn before(&self, run: usize) -> usize {
        let Some((Some(newest), Some(oldest))) = self.around.get(run) else { return 0 };
        let from = self.absent.partition_point(|recording| recording <= newest);
        self.absent.partition_point(|recording| recording < oldest).saturating_sub(from)
    }
}

fn rank(form: &Form) -> u8 {
    match form {
        Form::Whole => 0,
        Form::Thinned(_) => 1,
        Form::Dropped => 2,
    }
}

/// Runs of one chain never overlap, and their positions order them. Those of several chains are ordered by the numbers of the
/// recordings, which go on when a chain is begun anew.
fn in_order(slices: &[Slice], runs: &mut [Vec<usize>]) {
    let slice = |index: Option<&usize>| index.and_then(|&index| slices.get(index));
    let range = |run: &Vec<usize>| {
        let (first, last) = (slice(run.first())?, slice(run.last())?);
        Some((first.before.position, last.after.position))
    };
    runs.sort_by_key(|run| range(run));
    let disjoint = runs.windows(2).all(|pair| match pair {
        [one, next] => range(one).zip(range(next)).is_some_and(|(one, next)| one.1 <= next.0),
        _ => true,
    });
    if !disjoint {
        let number = |run: &Vec<usize>| run.iter().filter_map(|&index| slices.get(index)?.recording).min();
        runs.sort_by_key(|run| (number(run).is_none(), number(run), range(run)));
    }
}

/// What the entries of one boot say, sorted by time.
struct Account {
    boot: Boot,
    footage: Vec<Span>,
    gaps: Vec<Span>,
    starts: Vec<Ticks90k>,
}

#[derive(Clone, Copy, Debug)]
struct Span {
    slice: usize,
    cause: Option<Cause>,
    from: Ticks90k,
    to: Ticks90k,
}

impl Account {
    fn of(slices: &[Slice], group: &[usize]) -> Self {
        let boot = group.first().and_then(|&first| boot_of(slices, first)).unwrap_or(Boot([0; 16]));
        let mut account = Self { boot, footage: Vec::new(), gaps: Vec::new(), starts: Vec::new() };
        for &index in group {
            let Some(slice) = slices.get(index) else { continue };
            for entry in &slice.entries {
                account.take(index, entry);
            }
            if let (Form::Thinned(_), Some((from, to))) = (&slice.form, slice.span()) {
                account.gaps.push(Span { slice: index, cause: Some(Cause::Thinned), from, to });
            }
        }
        account.footage.sort_by_key(|span| span.from);
        account.gaps.sort_by_key(|span| (span.from, Reverse(span.to)));
        account.starts.sort_unstable();
        account
    }

    fn take(&mut self, slice: usize, entry: &Entry) {
        match *entry {
            Entry::Gop(gop) => {
                let to = gop.start + gop.duration;
                self.footage.push(Span { slice, cause: None, from: gop.start, to });
            }
            Entry::Gap { cause, from, to } => self.gaps.push(Span { slice, cause: Some(cause), from, to }),
            Entry::Start { at } => self.starts.push(at),
            Entry::Clock { .. } | Entry::Receipt { .. } => {}
        }
    }

    /// The first sign of footage, or of what there is instead.
    fn begin(&self) -> Option<Edge> {
        let first = self.footage.iter().chain(&self.gaps).min_by_key(|span| span.from)?;
        Some(Edge { slice: first.slice, boot: self.boot, at: first.from })
    }

    fn end(&self) -> Option<Edge> {
        let last = self.footage.iter().chain(&self.gaps).max_by_key(|span| span.to)?;
        Some(Edge { slice: last.slice, boot: self.boot, at: last.to })
    }

    /// Every span without footage, by time: those that entries name, and what else no GOP covers. `over`: the boot is.
    fn missing(&self, over: bool) -> Vec<Span> {
        let mut missing: Vec<Span> = Vec::new();
        // Of each cause the newest: it ends last, because those of one cause that touch are one.
        let mut newest: HashMap<Option<Cause>, usize> = HashMap::new();
        for gap in &self.gaps {
            let known = newest.get(&gap.cause).and_then(|&known| missing.get_mut(known));
            match known.filter(|known| known.to >= gap.from) {
                // A gap that lasts is noted piece by piece.
                Some(known) => known.to = known.to.max(gap.to),
                None => {
                    newest.insert(gap.cause, missing.len());
                    missing.push(*gap);
                }
            }
        }
        let mut covered = self.footage.iter().chain(&self.gaps).copied().collect::<Vec<_>>();
        covered.sort_by_key(|span| span.from);
        let mut end = covered.first().map(|first| first.from);
        for span in covered {
            if let Some(end) = end
                && span.from - end >= SHORTEST_GAP
                && let Some(cause) = self.cause_of(end, over)
            {
                missing.push(Span { slice: span.slice, cause, from: end, to: span.from });
            }
            end = end.max(Some(span.to));
        }
        missing.sort_by_key(|span| span.from);
        missing
    }

    /// Why there is a hole at `from` that no entry names. A gap is noted when it is over, and a GOP once it is whole: what was in flight when the
    /// process ended is missing in front of gaps that it has noted. While the process may run, its footage is on its way: `None`.
    fn cause_of(&self, from: Ticks90k, over: bool) -> Option<Option<Cause>> {
        let start = self.starts.get(self.starts.partition_point(|start| *start < from));
        let footage = self.footage.get(self.footage.partition_point(|span| span.from < from));
        match (start, footage) {
            (Some(start), Some(footage)) => Some((*start <= footage.from).then_some(Cause::NoPower)),
            (None, Some(_)) => Some(None),
            (Some(_), None) => Some(Some(Cause::NoPower)),
            (None, None) => over.then_some(Some(Cause::NoPower)),
        }
    }
}

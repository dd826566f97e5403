//! The power goes between any two system calls of the program that writes to the card, and of what was not flushed the card keeps what
//! it likes: what is started then is whole. Without any one kind of flush it would not be.
//!
//! ```text
//! porthole-edge card --strace--> writes and flushes, in their order --replayed up to an instant--> card --cut--> judged
//!                                               \--less one kind of flush, up to an instant--> card --cut--> noticed
//! ```

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use media::update::Slot;
use media::update::slots::COPIES;
use tests::card::{Card, write_image};
use tests::dice::Dice;
use tests::edge::Settings;
use tests::strace::{self, Call, Strace};
use tests::work::{rounds, saw};

use crate::board::Board;

/// Bytes of a version at least: a few flushes of its rest.
const PAYLOAD: usize = 1 << 20;
/// No call of the program writes more.
const MOST_BYTES: usize = 1 << 20;
const CALLS: &str = "write,writev,pwrite64,pwritev,pwritev2,fsync,fdatasync";
const OLD: &str = "1.0.0+0";
const WAITING: &str = "1.1.0+0";
const NEW: &str = "1.2.0+0";
/// Cuts of an update at least.
const CUTS: usize = 200;
/// And of one without some flushes: so many, or more until one is noticed.
const FEW: usize = 100;
const MOST: usize = 5000;

/// What a flush makes durable, in the order of an update.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flush {
    /// The state says that nothing is tried.
    Idle,
    /// The head is zeros.
    Zeros,
    /// Some of the rest.
    Piece,
    /// The end of the rest.
    Rest,
    /// The head.
    Head,
    /// The state says what is to be tried.
    Trial,
}

const ALL: [Flush; 6] = [Flush::Idle, Flush::Zeros, Flush::Piece, Flush::Rest, Flush::Head, Flush::Trial];

/// What the program did.
enum Event {
    Write {
        at: u64,
        bytes: Vec<u8>,
    },
    Flush(Flush),
    /// It said that the bundle is written.
    Answer,
}

/// An update that was written down, of a card whose other slot has a version that waits to be tried.
struct Update {
    board: Board,
    before: PathBuf,
    events: Vec<Event>,
}

/// What came of some cuts.
#[derive(Debug, Default)]
struct Tally {
    cuts: usize,
    /// How often which version was started.
    started: BTreeMap<String, usize>,
    /// How often what was wrong.
    wrong: BTreeMap<String, usize>,
    /// Where that was first.
    first: Option<String>,
}

impl Update {
    fn record() -> Result<Self> {
        let mut board = Board::with_payload(PAYLOAD, Settings::default())?;
        let [before, log] = ["before", "calls"].map(|name| board.edge.file(name));
        for version in [WAITING, NEW] {
            let bundle = board.bundle(version)?;
            copy(&board.card(), &before)?;
            let answer = run(&board, &bundle, &log)?;
            ensure!(answer == format!("{{\"ready\":\"{version}\"}}\n"), "{answer}");
        }
        let events = events(&strace::calls(&log)?, &board.card())?;
        let after = board.edge.file("after");
        fs::rename(board.card(), &after)?;
        let update = Self { board, before, events };
        drop(update.replay(update.events.len(), &[])?);
        let same = Command::new("cmp").arg(&after).arg(update.board.card()).output()?;
        ensure!(same.status.success(), "the calls are not all that the program did: {same:?}");
        Ok(update)
    }

    /// The card on which it was done up to an instant, `without` some flushes.
    fn replay(&self, instant: usize, without: &[Flush]) -> Result<Card> {
        copy(&self.before, &self.board.card())?;
        let mut card = Card::open(&self.board.card())?;
        for event in &self.events[..instant] {
            match event {
                Event::Write { at, bytes } => card.write(*at, bytes.clone(), false)?,
                Event::Flush(what) if !without.contains(what) => card.flush()?,
                Event::Flush(_) | Event::Answer => {}
            }
        }
        Ok(card)
    }

    /// The version that is started after what a cut at an instant left.
    fn judge(&self, instant: usize) -> Result<String> {
        let version = self.board.would_boot()?;
        self.board.last_resort_is_whole()?;
        if self.events[..instant].iter().any(|event| matches!(event, Event::Answer)) {
            let state = self.board.slots()?.state;
            ensure!(
                state.trial == Some(Slot::B) && version == NEW,
                "{NEW} is promised, {version} is started"
            );
        }
        Ok(version)
    }

    /// The instants at which a cut can take more than it could if no flush were missing.
    fn instants(&self, without: &[Flush]) -> Vec<usize> {
        let mut is_missing = without.is_empty();
        let mut instants = Vec::new();
        for instant in 0..=self.events.len() {
            if let Some(Event::Flush(what)) = instant.checked_sub(1).map(|before| &self.events[before]) {
                is_missing = without.is_empty() || without.contains(what);
            }
            if is_missing {
                instants.push(instant);
            }
        }
        instants
    }

    /// Cuts at each of the instants by turns, `least` times, and until something is wrong or there were `most` cuts.
    fn cut(&self, without: &[Flush], least: usize, most: usize) -> Result<Tally> {
        let instants = self.instants(without);
        let mut tally = Tally::default();
        while tally.cuts < least || (tally.cuts < most && tally.wrong.is_empty()) {
            let (instant, seed) = (instants[tally.cuts % instants.len()], tally.cuts as u64);
            self.replay(instant, without)?.cut(&mut Dice::seeded(seed))?;
            match self.judge(instant) {
                Ok(version) => *tally.started.entry(version).or_default() += 1,
                Err(error) => {
                    let place = || format!("seed {seed}, after {instant} events: {error:#}");
                    tally.first.get_or_insert_with(place);
                    *tally.wrong.entry(error.to_string()).or_default() += 1;
                }
            }
            tally.cuts += 1;
        }
        Ok(tally)
    }
}

/// Into a new file: what is unlinked need not be written to the disk any more.
fn copy(card: &Path, to: &Path) -> Result<()> {
    let _may_not_be_there = fs::remove_file(to);
    write_image(card, to, fs::metadata(card)?.len())
}

/// `porthole-edge card`, which takes a bundle; gives its answer.
fn run(board: &Board, bundle: &Path, log: &Path) -> Result<String> {
    let request = board.edge.file("request");
    fs::write(&request, [b"install\n", &fs::read(bundle)?[..]].concat())?;
    let mut card = Command::new(tests::built("porthole-edge"));
    card.arg("card").arg("--config").arg(board.edge.file("edge.toml"));
    let mut traced = Strace::record_bytes(CALLS, MOST_BYTES, log).around(&card)?;
    let output = traced.stdin(File::open(&request)?).stderr(Stdio::inherit()).output()?;
    ensure!(output.status.success(), "{output:?}");
    Ok(String::from_utf8(output.stdout)?)
}

/// What the calls did to the card, and the answer.
fn events(calls: &[Call], card: &Path) -> Result<Vec<Event>> {
    let card = card.canonicalize()?;
    let mut events: Vec<Event> = Vec::new();
    let mut threads = Vec::new();
    for call in calls {
        let is_answer = call.arguments.starts_with("1<");
        if !is_answer && call.path().as_ref() != Some(&card) {
            continue;
        }
        threads.push(call.thread);
        events.push(match (call.name.as_str(), is_answer) {
            ("write", true) => {
                ensure!(call.bytes().is_some_and(|line| line.ends_with(b"}\n")), "no answer: {call:?}");
                Event::Answer
            }
            ("pwrite64", false) => Event::Write {
                at: call.offset().context("no offset")?,
                bytes: call.bytes().context("not all bytes")?,
            },
            ("fdatasync" | "fsync", false) => Event::Flush(what(&events)?),
            _ => bail!("nobody knows what {} does here", call.name),
        });
    }
    threads.dedup();
    ensure!(threads.len() == 1, "the order of threads is by chance: {threads:?}");
    in_order(events)
}

/// What is flushed: what was written last.
fn what(events: &[Event]) -> Result<Flush> {
    let writes = events.iter().filter_map(|event| match event {
        Event::Write { at, bytes } => Some((*at, bytes)),
        _ => None,
    });
    let (at, bytes) = writes.clone().next_back().context("a flush of nothing")?;
    let head = Board::at(Slot::B);
    Ok(match at {
        at if COPIES.contains(&at) && writes.clone().all(|(at, _)| at < head) => Flush::Idle,
        at if COPIES.contains(&at) => Flush::Trial,
        at if at == head && bytes.iter().all(|byte| *byte == 0) => Flush::Zeros,
        at if at == head => Flush::Head,
        _ => Flush::Piece,
    })
}

/// Tells the end of the rest from its pieces. All kinds of flush must be there, in the order in which they are thought of.
fn in_order(mut events: Vec<Event>) -> Result<Vec<Event>> {
    let piece = |event: &Event| matches!(event, Event::Flush(Flush::Piece));
    let last = events.iter().rposition(piece).context("no rest")?;
    events[last] = Event::Flush(Flush::Rest);
    let flushes = events.iter().filter_map(|event| match event {
        Event::Flush(what) => Some(*what),
        _ => None,
    });
    let mut flushes: Vec<Flush> = flushes.collect();
    flushes.dedup();
    ensure!(flushes == ALL, "{flushes:?}");
    ensure!(matches!(events.last(), Some(Event::Answer)), "something comes after the answer");
    Ok(events)
}

#[test]
fn a_power_cut_between_any_two_calls_of_an_update_leaves_a_whole_version() -> Result<()> {
    let update = Update::record()?;
    let instants = update.events.len() + 1;
    let least = CUTS.max(rounds(3) as usize * instants);
    let Tally { cuts, started, wrong, first } = update.cut(&[], least, least)?;
    assert_eq!(first, None, "{wrong:?}");
    assert!(started.contains_key(OLD) && started.contains_key(NEW), "{started:?}");
    saw(format!("{cuts} cuts at {instants} instants of an update, started was {started:?}"));
    Ok(())
}

#[test]
fn a_power_cut_is_noticed_where_any_one_kind_of_flush_is_missing() -> Result<()> {
    let update = Update::record()?;
    let cut = |without: &[Flush], most| -> Result<Tally> {
        let tally = update.cut(without, FEW, most)?;
        let wrong: usize = tally.wrong.values().sum();
        saw(format!("without {without:?}: {wrong} of {} cuts noticed, {:?}", tally.cuts, tally.wrong));
        Ok(tally)
    };
    let each = [
        &[Flush::Idle][..],
        &[Flush::Zeros],
        &[Flush::Rest],
        &[Flush::Piece, Flush::Rest],
        &[Flush::Head],
        &[Flush::Trial],
        &ALL,
    ];
    // Without the zeros or the end of the rest it is the last resort that is torn: the state still says the old slot.
    for without in each {
        let tally = cut(without, MOST)?;
        assert!(tally.first.is_some(), "{without:?}: {tally:?}");
    }
    // Those of the pieces are not needed for that: the one at the end of the rest makes all of it durable before there is a head.
    cut(&[Flush::Piece], FEW)?;
    Ok(())
}

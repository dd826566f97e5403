//! The power of an appliance is cut while it records, takes an update, tries one, or starts, on a card that loses or tears whatever was not
//! flushed: the live view comes back, the file systems are whole after their repair, what is lost on the card is one finished GOP at most, and
//! the version that runs is the old one or the new one. The remote host has all but the last two seconds.
//!
//! `PORTHOLE_ROUNDS` cuts, and some more of the starts that follow; `PORTHOLE_SEED` repeats their writes and instants,
//! as far as the machine is as fast, and what they do to the card.

mod left;
mod update;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tests::appliance::{Appliance, HOST, PATIENCE, ask_until};
use tests::card::Cut;
use tests::dice::Dice;
use tests::sshd::{Sshd, View};
use tests::usb::lock;
use tests::wait::wait_until;
use tests::work::{rounds, saw};
use tests::{players, remote, web};

use left::Left;
use update::{Sent, Took};

/// Finished GOPs that a cut may take from the card. The one in flight is not finished. More only if the edge has said just before that it
/// has more than these on its hands: a processor that stands still for a second keeps none of its threads.
const MAY_LOSE: i64 = 1;
/// Finished GOPs that the remote host may not have yet: two seconds. More only if the edge has just said so.
const MAY_BE_ALONE: i64 = 2;
/// While it records, the power goes with one of so many writes: half a minute. Recordings end at the minute.
const RECORDING: u64 = 400;
/// Writes of a start, before one was counted.
const STARTING: u64 = 30;
/// Between two questions of what is finished and where it is: many for each GOP.
const ASKED: Duration = Duration::from_millis(100);

/// What an edge says of its GOPs.
#[derive(Clone, Copy, Debug)]
struct Told {
    /// So many were finished since the board has started; the next one is in flight.
    finished: i64,
    /// So many of them are not on the card yet.
    late: i64,
    /// So many of them the remote host has not confirmed.
    alone: i64,
}

impl Told {
    fn by(appliance: &Appliance) -> Result<Self> {
        let status = appliance.json("/api/status")?;
        let camera = &status["cameras"][0];
        let (newest, unsynced) = (&camera["ring"]["last_sequence"], &camera["unsynced_seconds"]);
        let finished = newest.as_i64().with_context(|| status.to_string())?;
        // A GOP lasts a second, or as much longer as a picture came late.
        let late = unsynced.as_f64().with_context(|| status.to_string())? as i64;
        let alone = &status["upload"]["at_risk"][0]["seconds"];
        let alone = alone.as_f64().with_context(|| status.to_string())? as i64;
        Ok(Self { finished, late, alone })
    }

    fn may_lose(self) -> i64 {
        self.late.max(MAY_LOSE)
    }

    /// Of what the remote host should have.
    fn may_be_alone(self) -> i64 {
        self.alone.max(MAY_BE_ALONE)
    }
}

/// When the power goes.
#[derive(Clone, Copy, Debug)]
enum When {
    Now,
    /// After a while, in which the board may start again.
    After(Duration),
    /// With a write to the card, after so many others.
    Write(u64),
}

/// Lets the appliance go on until the power goes, and cuts it. Gives what that did, and what the edge has said just before, unless the board
/// has started again since.
fn cut_when(
    when: When,
    appliance: &mut Appliance,
    cut: impl FnOnce(&mut Appliance) -> Result<Cut>,
) -> Result<(Cut, Option<Told>)> {
    let starts = appliance.starts();
    let told = match when {
        When::Now => Some(Told::by(appliance)?),
        When::After(instant) => Some(told_until(appliance, || {
            sleep(instant);
            Ok(())
        })?),
        When::Write(writes) => Some(told_until(appliance, || {
            appliance.go_dark_after(writes);
            wait_until("the power to go with a write", PATIENCE, || appliance.is_dark())
        })?),
    };
    let cut = cut(appliance)?;
    println!("cut {when:?}, {told:?}: {cut:?}");
    Ok((cut, told.filter(|_| appliance.starts() == starts)))
}

/// Ends what plays the board once the power is `gone`, and gives what the edge has said last.
fn told_until(appliance: &Appliance, gone: impl FnOnce() -> Result<()>) -> Result<Told> {
    let (told, over) = (Mutex::new(Told::by(appliance)?), AtomicBool::new(false));
    let ask = || {
        while !over.load(Ordering::Relaxed) {
            // What it says once the power is gone does not count.
            if let Some(now) = Told::by(appliance).ok().filter(|_| !appliance.is_dark()) {
                *lock(&told) = now;
            }
            sleep(ASKED);
        }
    };
    std::thread::scope(|scope| {
        scope.spawn(ask);
        let gone = gone();
        over.store(true, Ordering::Relaxed);
        // Else it would go on in the dark until it has answered.
        gone.and(appliance.kill())
    })?;
    Ok(*lock(&told))
}

/// Cuts the power of a start, with one of as many writes as the start before has made.
fn cut_start(appliance: &mut Appliance, writes: u64, dice: &mut Dice) -> Result<Cut> {
    let roll = dice.roll();
    // Early ones more often: the state of the slots, repairs, the journal.
    let at = (roll * roll * writes as f64) as u64;
    appliance.go_dark_after(at);
    appliance.power_on()?;
    wait_until("the power to go in a start", PATIENCE, || appliance.is_dark())
        .with_context(|| appliance.console())?;
    let cut = appliance.cut(dice)?;
    println!("cut of a start with write {at} of {writes}: {cut:?}");
    Ok(cut)
}

/// Waits until all that is finished but for the newest GOP is on the card: an edge that is always late would never get there.
fn wait_until_on_card(appliance: &Appliance) -> Result<()> {
    ask_until("footage to be on the card", || Told::by(appliance).is_ok_and(|told| told.late <= MAY_LOSE))
}

/// Two seconds of the live view, as a player sees them.
fn live_view_answers(appliance: &Appliance) -> Result<()> {
    let pictures = players::pictures(&appliance.url("/live/front/stream.mp4"), Some(2))?;
    ensure!(pictures.len() > 10, "{} pictures in 2 s", pictures.len());
    Ok(())
}

/// Waits for the camera, and for the live view of it. A version that does not prove itself leaves in the middle of it: a live view that
/// ends is one whose board starts again by itself, and then it comes back.
fn wait_for_live_view(appliance: &Appliance) -> Result<()> {
    loop {
        let starts = appliance.starts();
        appliance.wait_for_pictures()?;
        let Err(ended) = live_view_answers(appliance) else { return Ok(()) };
        println!("{ended}");
        appliance.wait_for_start(starts).context(ended)?;
    }
}

/// A device that is told by its boot partition where its recordings go; it runs, and may send.
fn first_boot(sshd: &Sshd) -> Result<Appliance> {
    let mut appliance = Appliance::flash()?;
    let upload = format!(
        "\n[upload]\nhost = \"{HOST}\"\nport = {}\nuser = \"{}\"\nhost_key = \"{}\"\ndir = \"{}\"\n",
        sshd.port(),
        sshd.user(),
        sshd.host_key()?,
        sshd.inbox_over_sftp()
    );
    appliance.put("porthole.toml", &Appliance::owner_says("barn-7", &upload))?;
    appliance.trust_a_builder()?;
    appliance.flush_all()?;
    appliance.power_on()?;
    appliance.wait_for_pictures()?;
    let setup = appliance.json("/api/setup")?;
    ensure!(setup["device"]["name"] == "barn-7", "{setup}");
    sshd.authorize(setup["public_key"].as_str().context("no key")?)?;
    Ok(appliance)
}

/// Recordings that the remote host does not have yet, but for the one that grows.
fn waiting(appliance: &Appliance) -> Result<usize> {
    let recordings = appliance.json("/api/recordings")?;
    let all = recordings["recordings"].as_array().context("no list")?;
    let here = |recording: &&Value| recording["state"] != "growing" && recording["state"] != "receipted";
    Ok(all.iter().filter(here).count())
}

/// Waits until the remote host has all that was recorded, and one recording that ended by itself: at the minute.
fn wait_for_receipts(appliance: &Appliance) -> Result<()> {
    let sealed = || {
        let page = appliance.get("/metrics").map(|page| page.body).unwrap_or_default();
        web::metric(&page, "porthole_edge_recordings_sealed_total{camera=\"front\"}")
    };
    ask_until("a sealed minute, and receipts", || {
        sealed() >= 1.0 && waiting(appliance).is_ok_and(|waiting| waiting == 0)
    })
    .with_context(|| format!("{:?}", appliance.get("/api/recordings")))
}

/// What the power is cut in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum During {
    Recording,
    /// An update is written.
    Writing,
    /// It is started, and proves itself.
    Trying,
}

impl During {
    /// Eight of ten rounds are of a device that does nothing but record, as it is nearly always.
    fn of(round: u32) -> Self {
        match round % 10 {
            2 => Self::Writing,
            3 => Self::Trying,
            _ => Self::Recording,
        }
    }

    fn when(self, took: Took, dice: &mut Dice) -> When {
        match self {
            Self::Recording => When::Write((dice.roll() * RECORDING as f64) as u64),
            Self::Writing => When::Write((dice.roll() * took.writes as f64) as u64),
            Self::Trying => When::After(took.written + (took.kept - took.written).mul_f64(dice.roll())),
        }
    }
}

/// A board whose power is cut, and what was found after the cuts.
struct Campaign {
    dice: Dice,
    sshd: Sshd,
    appliance: Appliance,
    took: Took,
    card: Left,
    remote_host: Left,
    /// Writes of the last start, until the live view.
    start: u64,
    seen: Seen,
}

/// What a campaign has seen.
#[derive(Debug, Default)]
struct Seen {
    cuts: u32,
    of_starts: u32,
    updates: u32,
    kept: u32,
    /// Cuts of which the edge had just said what it has.
    looked: u32,
    /// GOPs lost by one of those.
    worst: i64,
    /// Cuts by the number of GOPs that the remote host did not have.
    alone: BTreeMap<i64, u32>,
    /// What happened to the writes that were not flushed.
    writes: Cut,
}

impl Campaign {
    fn begin() -> Result<Self> {
        let dice = Dice::from_environment();
        let sshd = Sshd::start(View::Whole)?;
        let mut appliance = first_boot(&sshd)?;
        live_view_answers(&appliance)?;
        let took = update::whole(&mut appliance, 1)?;
        println!("{took:?}");
        let (card, remote_host) = (Left::default(), Left::default());
        Ok(Self { dice, sshd, appliance, took, card, remote_host, start: STARTING, seen: Seen::default() })
    }

    /// Cuts the power in what the device does, and perhaps once more in the start after, and looks at what is left.
    fn round(&mut self, round: u32) -> Result<()> {
        let during = During::of(round);
        self.appliance.commit_only_when_told()?;
        wait_until_on_card(&self.appliance)?;
        let sent = match during {
            During::Recording => None,
            During::Writing | During::Trying => Some(Sent::begin(&mut self.appliance, round + 1)?),
        };
        let when = during.when(self.took, &mut self.dice);
        let (cut, told) = cut_when(when, &mut self.appliance, |board| board.cut(&mut self.dice))?;
        self.seen.cuts += 1;
        self.seen.writes += cut;
        self.look(told)?;
        // The first start is one of them.
        if self.dice.roll() < 0.5 || round == 1 {
            self.seen.writes += cut_start(&mut self.appliance, self.start, &mut self.dice)?;
            self.seen.of_starts += 1;
            self.look(None)?;
        }
        let before = self.appliance.writes();
        self.appliance.power_on()?;
        wait_for_live_view(&self.appliance)?;
        self.start = self.appliance.writes() - before;
        if let Some(sent) = sent {
            self.seen.updates += 1;
            self.seen.kept += u32::from(sent.end(&mut self.appliance)?);
        }
        Ok(())
    }

    /// Looks at the card and the remote host after a cut, and holds them against what the edge had `told`.
    fn look(&mut self, told: Option<Told>) -> Result<()> {
        let finished = told.map_or(0, |told| told.finished);
        let lost = self.card.lost_on_card(&self.appliance, &self.sshd.inbox(), finished)?;
        let not_there = self.remote_host.lost_off_board(&self.sshd.inbox(), finished)?;
        ensure!(!self.appliance.betrays_its_secret()?, "the password is still on the card");
        let Some(told) = told else { return Ok(()) };
        ensure!(lost <= told.may_lose(), "{lost} finished GOPs are lost: {told:?}");
        ensure!(not_there <= told.may_be_alone(), "{not_there} are not off board: {told:?}");
        self.seen.looked += 1;
        self.seen.worst = self.seen.worst.max(lost);
        *self.seen.alone.entry(not_there.max(0)).or_default() += 1;
        Ok(())
    }

    /// What `porthole-remote check` says in the end.
    fn report(&self) -> Result<Value> {
        wait_for_receipts(&self.appliance)?;
        let keys = tempfile::NamedTempFile::new()?;
        let setup = self.appliance.json("/api/setup")?;
        std::fs::write(keys.path(), setup["public_key"].as_str().context("no key")?)?;
        remote::checked(&self.sshd.inbox(), keys.path())
    }
}

#[test]
fn a_power_cut_costs_one_gop_at_most_leaves_one_of_two_versions_and_the_live_view_comes_back() {
    let mut campaign = Campaign::begin().unwrap();
    for round in 1..=rounds(3) {
        campaign.round(round).with_context(|| format!("round {round}")).unwrap();
    }
    let report = campaign.report().unwrap();
    let Campaign { mut appliance, mut card, seen, sshd, .. } = campaign;
    saw(format!(
        "{} cuts, {} in an update, after which the new version ran {} times, and {} more of a start; of the writes that were not flushed {} \
         kept, {} lost, {} torn; at most {} finished GOPs lost by one of {}; not on the remote host at the cut: {:?} (GOPs: cuts); {} s in {} \
         recordings there, {} gaps",
        seen.cuts,
        seen.updates,
        seen.kept,
        seen.of_starts,
        seen.writes.kept,
        seen.writes.dropped,
        seen.writes.torn,
        seen.worst,
        seen.looked,
        seen.alone,
        report["cameras"][0]["footage_seconds"],
        report["recordings"],
        report["cameras"][0]["gaps"].as_array().map_or(0, Vec::len)
    ));
    let (_, told) = cut_when(When::Now, &mut appliance, Appliance::cut_all).unwrap();
    card.lost_on_card(&appliance, &sshd.inbox(), told.map_or(0, |told| told.finished)).unwrap();
    missing_flushes_are_noticed(&mut appliance, &mut card, &sshd.inbox());
}

/// The same on a card that says it has flushed and has not, and with an edge that flushes no recording: all of this must be able to fail.
fn missing_flushes_are_noticed(appliance: &mut Appliance, card: &mut Left, inbox: &Path) {
    let mut lost = |appliance: &mut Appliance, what| {
        appliance.commit_only_when_told().unwrap();
        let before = Told::by(appliance).unwrap().finished;
        let more = || Told::by(appliance).is_ok_and(|told| told.finished > before + 5);
        ask_until("more footage", more).unwrap();
        wait_until_on_card(appliance).unwrap();
        let (_, told) = cut_when(When::Now, appliance, Appliance::cut_all).unwrap();
        let told = told.expect("it has not started again");
        let lost = card.lost_on_card(appliance, inbox, told.finished);
        println!("{what}: {lost:?}");
        assert!(lost.is_err() || lost.is_ok_and(|lost| lost > told.may_lose()), "nobody has noticed {what}");
    };
    appliance.flush_no("/recordings/").unwrap();
    appliance.power_on().unwrap();
    appliance.wait_for_pictures().unwrap();
    lost(appliance, "an edge that flushes no recording");
    appliance.flush_all().unwrap();
    appliance.power_on().unwrap();
    appliance.wait_for_pictures().unwrap();
    appliance.let_the_card_lie();
    lost(appliance, "a card that lies");
}

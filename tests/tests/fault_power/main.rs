//! The power of an appliance is cut at random instants while it records and takes an update, on a card that loses or tears whatever was not
//! flushed: the live view comes back, the file systems are whole after their repair, what is lost on the card is one finished GOP at most, and
//! the version that runs is the old one or the new one. The remote host has all but the last two seconds.
//!
//! `PORTHOLE_ROUNDS` cuts; `PORTHOLE_SEED` repeats their instants and what they do to the card.

mod left;
mod update;

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tests::appliance::{Appliance, HOST, PATIENCE};
use tests::card::Cut;
use tests::dice::Dice;
use tests::sshd::{Sshd, View};
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

/// Lets the appliance record until an instant, and cuts its power; gives what it said last, if it has not started again meanwhile.
fn record_until(
    instant: Duration,
    appliance: &mut Appliance,
    cut: impl FnOnce(&mut Appliance) -> Result<Cut>,
) -> Result<Option<Told>> {
    let (begun, starts) = (Instant::now(), appliance.starts());
    let mut told = Told::by(appliance)?;
    while begun.elapsed() < instant {
        // Nobody answers while the board starts again.
        told = Told::by(appliance).unwrap_or(told);
    }
    let cut = cut(appliance)?;
    println!("cut after {instant:?}, {told:?}: {cut:?}");
    Ok((appliance.starts() == starts).then_some(told))
}

/// Waits until all that is finished but for the newest GOP is on the card: an edge that is always late would never get there.
fn wait_until_on_card(appliance: &Appliance) -> Result<()> {
    wait_until("footage to be on the card", PATIENCE, || {
        Told::by(appliance).is_ok_and(|told| told.late <= MAY_LOSE)
    })
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
    wait_until("a sealed minute, and receipts", PATIENCE, || {
        sealed() >= 1.0 && waiting(appliance).is_ok_and(|waiting| waiting == 0)
    })
    .with_context(|| format!("{:?}", appliance.get("/api/recordings")))
}

/// Instants of which the odd ones are while an update is written, and the even ones while it is started and proves itself.
fn instant(round: u32, took: Took, dice: &mut Dice) -> Duration {
    let roll = dice.roll();
    if round % 2 == 1 {
        took.written.mul_f64(roll)
    } else {
        took.written + (took.kept - took.written).mul_f64(roll)
    }
}

#[test]
fn a_power_cut_costs_one_gop_at_most_leaves_one_of_two_versions_and_the_live_view_comes_back() {
    let mut dice = Dice::from_environment();
    let sshd = Sshd::start(View::Whole).unwrap();
    let mut appliance = first_boot(&sshd).unwrap();
    live_view_answers(&appliance).unwrap();
    let took = update::whole(&mut appliance, 1).unwrap();
    println!("{took:?}");
    let (mut card, mut remote_host) = (Left::default(), Left::default());
    let (mut looked, mut worst, mut alone, mut kept) = (0, 0, Vec::new(), 0);
    let rounds = rounds(3);
    for round in 1..=rounds {
        appliance.commit_only_when_told().unwrap();
        wait_until_on_card(&appliance).unwrap();
        let sent = Sent::begin(&mut appliance, round + 1).unwrap();
        let instant = instant(round, took, &mut dice);
        let told = record_until(instant, &mut appliance, |appliance| appliance.cut(&mut dice)).unwrap();
        let finished = told.map_or(0, |told| told.finished);
        let lost = card.lost_on_card(&appliance, finished).unwrap();
        let not_there = remote_host.lost(&sshd.inbox(), finished).unwrap();
        if let Some(told) = told {
            assert!(lost <= told.may_lose(), "cut {round} has cost {lost} finished GOPs: {told:?}");
            assert!(not_there <= told.may_be_alone(), "cut {round}: {not_there} are not off board: {told:?}");
            looked += 1;
            worst = worst.max(lost);
            alone.push(not_there);
        }
        assert!(!appliance.betrays_its_secret().unwrap(), "the password is still on the card");
        appliance.power_on().unwrap();
        wait_for_live_view(&appliance).unwrap();
        kept += u32::from(sent.end(&mut appliance).unwrap());
    }
    wait_for_receipts(&appliance).unwrap();
    let keys = tempfile::NamedTempFile::new().unwrap();
    let setup = appliance.json("/api/setup").unwrap();
    std::fs::write(keys.path(), setup["public_key"].as_str().unwrap()).unwrap();
    let report = remote::checked(&sshd.inbox(), keys.path()).unwrap();
    saw(format!(
        "{rounds} cuts in an update: the new version ran after {kept}; at most {worst} finished GOPs lost by one of {looked}, and {alone:?} not on the \
         remote host at the cut; {} s in {} recordings there, {} gaps",
        report["cameras"][0]["footage_seconds"],
        report["recordings"],
        report["cameras"][0]["gaps"].as_array().map_or(0, Vec::len)
    ));
    let told = record_until(Duration::ZERO, &mut appliance, Appliance::cut_all).unwrap();
    card.lost_on_card(&appliance, told.map_or(0, |told| told.finished)).unwrap();
    missing_flushes_are_noticed(&mut appliance, &mut card);
}

/// The same on a card that says it has flushed and has not, and with an edge that flushes no recording: all of this must be able to fail.
fn missing_flushes_are_noticed(appliance: &mut Appliance, card: &mut Left) {
    let mut lost = |appliance: &mut Appliance, what| {
        appliance.commit_only_when_told().unwrap();
        let before = Told::by(appliance).unwrap().finished;
        let more = || Told::by(appliance).is_ok_and(|told| told.finished > before + 5);
        wait_until("more footage", PATIENCE, more).unwrap();
        wait_until_on_card(appliance).unwrap();
        let told = record_until(Duration::ZERO, appliance, Appliance::cut_all).unwrap();
        let told = told.expect("it has not started again");
        let lost = card.lost_on_card(appliance, told.finished);
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

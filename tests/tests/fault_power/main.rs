//! The power of an appliance is cut at random instants while it records and takes an update, on a card that loses or tears whatever was not
//! flushed: the live view comes back, the file systems are whole after their repair, what is lost on the card is one finished GOP at most, and
//! the version that runs is the old one or the new one.
//!
//! `PORTHOLE_ROUNDS` cuts; `PORTHOLE_SEED` repeats their instants and what they do to the card.

mod left;
mod update;

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tests::appliance::{Appliance, HOST, PATIENCE};
use tests::dice::Dice;
use tests::sshd::{Sshd, View};
use tests::wait::wait_until;
use tests::work::{rounds, saw};
use tests::{players, remote, web};
use update::{Sent, Took};

/// Finished GOPs that a cut may take from the card. The one in flight is not finished.
const MAY_LOSE: i64 = 1;
/// By this seed a card that lies loses most of what it was told to keep.
const HEAVY_LOSS: u64 = 3;

/// The newest GOP of the live view, which is in flight; so many were finished since the board has started.
fn newest_gop(appliance: &Appliance) -> Result<i64> {
    let status = appliance.json("/api/status")?;
    let newest = status["cameras"][0]["ring"]["last_sequence"].as_i64();
    newest.with_context(|| status.to_string())
}

/// Lets the appliance record until an instant, and cuts its power; so many GOPs were finished at least, if it has not started again meanwhile.
fn record_until(instant: Duration, appliance: &mut Appliance, dice: &mut Dice) -> Result<Option<i64>> {
    let (begun, starts) = (Instant::now(), appliance.starts());
    let mut finished = newest_gop(appliance)?;
    while begun.elapsed() < instant {
        // Nobody answers while the board starts again.
        finished = newest_gop(appliance).unwrap_or(finished);
    }
    let cut = appliance.cut(dice)?;
    println!("cut after {instant:?}, {finished} GOPs were finished: {cut:?}");
    Ok((appliance.starts() == starts).then_some(finished))
}

/// One minute of the live view, as a player sees it.
fn live_view_answers(appliance: &Appliance) -> Result<()> {
    let pictures = players::pictures(&appliance.url("/live/front/stream.mp4"), Some(2))?;
    ensure!(pictures.len() > 10, "{} pictures in 2 s", pictures.len());
    Ok(())
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
    let mut card = left::OnCard::default();
    let (mut looked, mut worst, mut kept) = (0, 0, 0);
    let rounds = rounds(3);
    for round in 1..=rounds {
        let sent = Sent::begin(&mut appliance, round + 1).unwrap();
        let finished = record_until(instant(round, took, &mut dice), &mut appliance, &mut dice).unwrap();
        let lost = card.lost(&appliance, finished.unwrap_or(0)).unwrap();
        if finished.is_some() {
            assert!(lost <= MAY_LOSE, "cut {round} has cost {lost} finished GOPs");
            looked += 1;
            worst = worst.max(lost);
        }
        assert!(!appliance.betrays_its_secret().unwrap(), "the password is still on the card");
        appliance.power_on().unwrap();
        appliance.wait_for_pictures().unwrap();
        kept += u32::from(sent.end(&mut appliance).unwrap());
    }
    live_view_answers(&appliance).unwrap();
    wait_for_receipts(&appliance).unwrap();
    let keys = tempfile::NamedTempFile::new().unwrap();
    let setup = appliance.json("/api/setup").unwrap();
    std::fs::write(keys.path(), setup["public_key"].as_str().unwrap()).unwrap();
    let report = remote::checked(&sshd.inbox(), keys.path()).unwrap();
    saw(format!(
        "{rounds} cuts in an update: the new version ran after {kept}; at most {worst} finished GOPs lost by one of {looked}; {} s in {} recordings on the \
         remote host, {} gaps",
        report["cameras"][0]["footage_seconds"],
        report["recordings"],
        report["cameras"][0]["gaps"].as_array().map_or(0, Vec::len)
    ));
    let finished = record_until(Duration::ZERO, &mut appliance, &mut dice).unwrap();
    card.lost(&appliance, finished.unwrap_or(0)).unwrap();
    missing_flushes_are_noticed(&mut appliance, &mut card);
}

/// The same on a card that says it has flushed and has not, and with an edge that flushes no recording: all of this must be able to fail.
fn missing_flushes_are_noticed(appliance: &mut Appliance, card: &mut left::OnCard) {
    let mut lost = |appliance: &mut Appliance, what| {
        let finished = newest_gop(appliance).unwrap();
        wait_until("more footage", PATIENCE, || newest_gop(appliance).is_ok_and(|now| now > finished + 5))
            .unwrap();
        let finished = record_until(Duration::ZERO, appliance, &mut Dice::seeded(HEAVY_LOSS)).unwrap();
        let lost = card.lost(appliance, finished.expect("it has not started again"));
        println!("{what}: {lost:?}");
        assert!(lost.is_err() || lost.is_ok_and(|lost| lost > MAY_LOSE), "nobody has noticed {what}");
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

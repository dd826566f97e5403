//! The power goes at random instants while an update arrives, is written, is started and proves itself.

use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use tests::appliance::Appliance;
use tests::board::PATIENCE;
use tests::dice::Dice;
use tests::wait::wait_for;
use tests::work::{rounds, saw};

const ROUTE: &str = "/api/setup/update";

/// What the board says of updates once nothing goes on with one.
fn settled(appliance: &Appliance) -> Result<Value> {
    let idle =
        || appliance.json(ROUTE).ok().filter(|told| told["phase"] == "idle" && told["version"].is_string());
    wait_for("an update to be over", PATIENCE, idle)
        .with_context(|| format!("{:?}\n{}", appliance.get(ROUTE), appliance.console()))
}

/// The version that runs, and the slot that it runs from.
fn running(appliance: &mut Appliance) -> Result<(String, String)> {
    let version = settled(appliance)?["version"].as_str().unwrap_or_default().to_owned();
    Ok((version, appliance.slot()?))
}

/// An update that nobody disturbs: it is kept. Gives how long that takes.
fn whole(appliance: &mut Appliance) -> Result<Duration> {
    let (_, slot) = running(appliance)?;
    let (bundle, version) = appliance.bundle(1)?;
    let (began, starts) = (Instant::now(), appliance.starts());
    let answer = appliance.sending(&bundle, ROUTE)?.output().context("curl")?;
    ensure!(answer.stdout == b"200", "{answer:?} {:?}\n{}", appliance.get(ROUTE), appliance.console());
    println!("written after {:?}", began.elapsed());
    appliance.wait_for_start(starts)?;
    appliance.wait_for_pictures()?;
    let told = settled(appliance)?;
    ensure!(told["last"]["kept"] == true && told["version"] == *version, "{told}");
    ensure!(appliance.slot()? != slot, "the slot is the same");
    Ok(began.elapsed())
}

/// An update that a cut ends after `instant`; whether the new version runs.
fn cut(appliance: &mut Appliance, release: u32, instant: Duration, dice: &mut Dice) -> Result<bool> {
    let (old, slot) = running(appliance)?;
    let (bundle, new) = appliance.bundle(release)?;
    let mut sending = appliance.sending(&bundle, ROUTE)?.stdout(Stdio::null()).spawn().context("curl")?;
    // The instant is what is being tried; nothing is waited for.
    thread::sleep(instant);
    let cut = appliance.cut(dice)?;
    sending.kill()?;
    sending.wait()?;
    println!("cut {instant:?} after it began: {cut:?}");
    appliance.power_on()?;
    appliance.wait_for_pictures()?;
    let now = running(appliance)?;
    let same = now.1 == slot;
    match (now.0 == old, now.0 == new, same) {
        (true, false, true) => Ok(false),
        (false, true, false) => Ok(true),
        _ => bail!("{now:?} runs; {old} ran from {slot}, {new} was given"),
    }
}

#[test]
fn a_power_cut_in_the_middle_of_an_update_leaves_one_of_the_two_versions() {
    let mut dice = Dice::from_environment();
    let mut appliance = Appliance::flash().unwrap();
    appliance.trust_a_builder().unwrap();
    appliance.put("porthole.toml", &Appliance::owner_says("barn-7", "")).unwrap();
    appliance.power_on().unwrap();
    appliance.wait_for_pictures().unwrap();
    let took = whole(&mut appliance).unwrap();
    let (mut old, mut new) = (0, 0);
    for round in 0..rounds(3) {
        let instant = took.mul_f64(dice.roll());
        let kept = cut(&mut appliance, round + 2, instant, &mut dice);
        if kept.unwrap_or_else(|error| panic!("cut {round}: {error:?}")) { new += 1 } else { old += 1 }
    }
    saw(format!("{old} cuts left the old version, {new} the new one; undisturbed an update took {took:?}"));
}

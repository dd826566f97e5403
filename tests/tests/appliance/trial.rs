//! An update that was signed, written and read back, and does not do what the version before it did.

use anyhow::{Result, ensure};
use tests::appliance::Appliance;
use tests::work::saw;

/// Seconds that the new version has: its start takes most of them.
const PROOF: u32 = 60;

fn blind() -> Result<()> {
    let mut appliance = Appliance::flash()?;
    appliance.put("porthole.toml", &Appliance::owner_says("barn-7", ""))?;
    appliance.trust_a_builder()?;
    appliance.blind_trials(PROOF)?;
    appliance.power_on()?;
    appliance.wait_for_pictures()?;
    let before = (appliance.settled()?["version"].clone(), appliance.slot()?);
    let (bundle, version) = appliance.bundle(1)?;
    let starts = appliance.starts();
    appliance.update(&bundle)?;
    appliance.wait_for_start(starts)?;
    ensure!(appliance.slot()? != before.1, "the new version is not tried");
    // It finds no camera, and has the board start again.
    appliance.wait_for_start(starts + 1)?;
    appliance.wait_for_pictures()?;
    let told = appliance.settled()?;
    ensure!((told["version"].clone(), appliance.slot()?) == before, "{told}");
    ensure!(told["last"]["version"] == *version && told["last"]["kept"] == false, "{told}");
    ensure!(told["last"]["why"].as_str().is_some_and(|why| why.contains("front")), "{told}");
    saw(&told["last"]);
    Ok(())
}

#[test]
fn a_new_version_without_pictures_goes_away_by_itself_and_the_page_says_why() {
    blind().unwrap_or_else(|error| panic!("{error:?}"));
}

//! A flashed board on a LAN of which it knows nothing: DHCP gives it an address and names who knows the time, and it is found by its name.

use std::net::Ipv4Addr;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use tests::appliance::{Appliance, ask_until};
use tests::curl::curl;
use tests::lan::Lan;

/// Milliseconds since 1970, as the live view dates its newest picture.
fn date(appliance: &Appliance) -> Option<u128> {
    let camera = appliance.json("/api/cameras").ok()?["cameras"][0]["name"].as_str()?.to_owned();
    let timeline = appliance.json(&format!("/live/{camera}/timeline")).ok()?;
    timeline["now"]["wall"].as_u64().map(u128::from)
}

/// Its page is at an address.
fn shows_its_page(address: Ipv4Addr) -> Result<()> {
    let page = || curl(&[], &format!("https://{address}/login"));
    let shown = || page().is_ok_and(|page| page.status == 200 && page.body.contains("Porthole"));
    ask_until("its page", shown).with_context(|| format!("{:?}", page()))
}

fn found(lan: &Lan) -> Result<()> {
    let mut appliance = Appliance::flash_on_lan()?;
    let owner = Appliance::owner_says("", "");
    let (_name, nameless) = owner.split_once('\n').context("no name")?;
    appliance.put("porthole.toml", nameless)?;
    let begun = SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis();
    appliance.power_on()?;
    let address = lan.find("porthole")?;
    shows_its_page(address)?;
    ask_until("the date", || date(&appliance).is_some_and(|date| date >= begun)).with_context(|| {
        format!("{:?}\n{}", appliance.run("journalctl -b -u systemd-timesyncd"), lan.log())
    })?;
    appliance.post("/api/setup/device", r#"{ "name": "barn-8", "time_zone": "Asia/Tokyo" }"#)?;
    let named = lan.find("barn-8")?;
    ensure!(named == address, "it was at {address} and is at {named}");
    Ok(())
}

#[test]
fn a_flashed_board_has_address_and_time_from_its_lan_and_is_found_by_its_name() {
    Lan::with(found);
}

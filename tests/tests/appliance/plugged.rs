//! What people plug into a flashed board: a radio, for which `porthole.toml` names the network, and a webcam, whose firmware gets stuck. The
//! image's own rules and services deal with them, with no more rights than they have there.

use std::fs;
use std::sync::{Arc, Mutex};

use anyhow::{Context, Result};
use serde_json::Value;
use tests::appliance::{Appliance, ask_until};
use tests::footage::jpeg;
use tests::usb::lock;
use tests::webcam::Webcam;

const OWNER: &str = "\n[wifi]\nssid = \"barn\"\npassword = 'what the owner wrote'\ncountry = \"DE\"\n";
/// One of the two radios is taken from the image, and is an access point.
const ACCESS_POINT: &str = "systemctl stop wpa_supplicant@wlan0 && printf 'network={\\n ssid=\"barn\"\\n mode=2\\n frequency=2412\\n \
    key_mgmt=WPA-PSK\\n proto=RSN\\n pairwise=CCMP\\n psk=\"what the owner wrote\"\\n}\\n' > /run/access-point.conf && \
    wpa_supplicant -B -i wlan0 -c /run/access-point.conf -f /run/access-point.log";
const SUPPLICANT: &str =
    "systemctl status wpa_supplicant@wlan1; cat /run/access-point.log; journalctl -b -u 'wpa_supplicant@*'";

/// What the live view says of its camera.
fn camera(appliance: &Appliance) -> Result<Value> {
    Ok(appliance.json("/api/cameras")?["cameras"][0].clone())
}

/// The other radio joins at the very first start, whatever it is called.
fn joins(appliance: &mut Appliance) -> Result<()> {
    appliance.run(ACCESS_POINT)?;
    let mut up = || appliance.run("cat /sys/class/net/wlan1/operstate").is_ok_and(|state| state == "up\n");
    ask_until("the radio", &mut up).with_context(|| format!("{:?}", appliance.run(SUPPLICANT)))
}

fn is_reset(appliance: &mut Appliance) -> Result<()> {
    let webcam = Arc::new(Mutex::new(Webcam::new(fs::read(jpeg()?)?)));
    appliance.run("echo vivid.0 > /sys/bus/platform/drivers/vivid/unbind")?;
    let _plugged = appliance.plug(&webcam)?;
    let told = |appliance: &Appliance| format!("{:?}\n{}", camera(appliance), appliance.console());
    let delivers = |appliance: &Appliance| {
        camera(appliance).is_ok_and(|camera| camera["state"] == "streaming" && camera["format"] == "MJPEG")
    };
    ask_until("the webcam", || delivers(appliance)).with_context(|| told(appliance))?;
    let before = camera(appliance)?["repairs"]["made"].as_u64();
    lock(&webcam).get_stuck();
    let is_reset =
        || camera(appliance).is_ok_and(|camera| camera["repairs"]["usb_resets"].as_u64() > Some(0));
    ask_until("a reset", is_reset).with_context(|| told(appliance))?;
    let repaired = || camera(appliance).is_ok_and(|camera| camera["repairs"]["made"].as_u64() > before);
    ask_until("a repair", repaired).with_context(|| told(appliance))?;
    ask_until("its pictures", || delivers(appliance)).with_context(|| told(appliance))
}

fn plugged() -> Result<()> {
    let mut appliance = Appliance::flash_with_more()?;
    appliance.put("porthole.toml", &Appliance::owner_says("barn-7", OWNER))?;
    appliance.power_on()?;
    appliance.wait_for_pictures()?;
    joins(&mut appliance)?;
    is_reset(&mut appliance)
}

#[test]
fn a_flashed_board_joins_its_owners_wifi_at_its_first_start_and_resets_a_webcam_that_is_stuck() {
    plugged().unwrap_or_else(|error| panic!("{error:?}"));
}

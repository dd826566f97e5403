//! Wi-Fi: two radios that hear each other (mac80211_hwsim). One is an access point, the other one joins it as the board does.

use super::*;
use tests::wait::wait_until;

const AUTH: &str = "live.listen = \"0.0.0.0:8080\"\n[auth]\ndir = \"/run/auth\"\n";
const ACCESS_POINT: &str = "network={\n    ssid=\"barn\"\n    mode=2\n    frequency=2412\n    key_mgmt=WPA-PSK\n    proto=RSN\n    \
                            pairwise=CCMP\n    psk=\"what the owner wrote\"\n}\n";
const OWNER: &str = "[wifi]\nssid = \"barn\"\npassword = 'what the owner wrote'\ncountry = \"DE\"\n";

#[test]
fn a_board_joins_the_wifi_that_its_owner_wrote_onto_the_card() {
    let mut board = Board::boot().unwrap();
    board.run("modprobe mac80211_hwsim radios=2").unwrap();
    board.put("/run/access-point.conf", ACCESS_POINT).unwrap();
    board.run("wpa_supplicant -B -i wlan1 -c /run/access-point.conf -f /run/access-point.log").unwrap();
    board.run("ip address add 10.77.0.1/24 dev wlan1").unwrap();

    board.put("/etc/edge.toml", AUTH).unwrap();
    board.put("/run/porthole.toml", OWNER).unwrap();
    let provision = "porthole-edge provision /run/porthole.toml --config /etc/edge.toml";
    board.run(provision).unwrap();
    assert!(!board.run("cat /run/porthole.toml").unwrap().contains("what the owner wrote"));
    board.run("wpa_supplicant -B -c /run/auth/wpa_supplicant.conf -i wlan0 -f /run/wifi.log").unwrap();
    // The radio is up once both sides have proved that they know the passphrase.
    let joined = |board: &mut Board| {
        board.run("cat /sys/class/net/wlan0/operstate").is_ok_and(|state| state.trim() == "up")
    };
    wait_until("the radio", PATIENCE, || joined(&mut board)).unwrap_or_else(|error| {
        panic!("{error}: {:?}", board.run("cat /run/wifi.log /run/access-point.log"))
    });
    // Whoever asks through the radio who has that address is answered: it is taken.
    board.run("! arping -D -q -w 10 -I wlan0 10.77.0.1").unwrap();
}

//! The Wi-Fi as wpa_supplicant.conf(5) has it.
//!
//! Nothing from outside stands in the file as it came: the name of the network goes in as hexadecimal digits, which need no escaping, and a
//! passphrase is 8 to 63 printable ASCII characters (IEEE 802.11, J.4) between quotes. wpa_supplicant reads up to the last quote
//! of the line, so one inside is fine, and a line feed is not printable.

use crate::auth::hex;
use crate::config::Error;
use serde::Deserialize;
use service::config::require;
use toml::Spanned;

/// `[wifi]`
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wifi {
    /// Name of the network, 1 to 32 bytes.
    ssid: String,
    /// Its passphrase, or its key as 64 hexadecimal digits; none for an open network.
    pub password: Option<Spanned<String>>,
    /// Two letters (ISO 3166-1); which channels may be used.
    #[serde(default)]
    country: Option<String>,
}

impl Wifi {
    /// Finds the first value that cannot be.
    pub fn check(&self) -> Result<(), Error> {
        let Self { ssid, country, password } = self;
        require((1..=32).contains(&ssid.len()), "wifi.ssid", format!("{ssid:?}"), "1 to 32 bytes")?;
        if let Some(country) = country {
            let good = country.len() == 2 && country.bytes().all(|byte| byte.is_ascii_uppercase());
            require(good, "wifi.country", format!("{country:?}"), "two capital letters, such as DE")?;
        }
        let good = password
            .as_ref()
            .is_none_or(|password| is_key(password.get_ref()) || is_passphrase(password.get_ref()));
        // The value itself stays out of logs.
        require(good, "wifi.password", "...", "8 to 63 printable ASCII characters, or 64 hexadecimal digits")
    }

    /// The whole file.
    pub fn file(&self) -> String {
        let country = self.country.iter().map(|country| format!("country={country}\n")).collect::<String>();
        let key = match self.password.as_ref().map(Spanned::get_ref) {
            None => "    key_mgmt=NONE\n".to_owned(),
            Some(key) if is_key(key) => format!("    key_mgmt=WPA-PSK\n    psk={key}\n"),
            Some(phrase) => format!("    key_mgmt=WPA-PSK SAE\n    ieee80211w=1\n    psk=\"{phrase}\"\n"),
        };
        format!("{country}network={{\n    ssid={}\n    scan_ssid=1\n{key}}}\n", hex(self.ssid.as_bytes()))
    }
}

fn is_key(password: &str) -> bool {
    password.len() == 64 && password.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn is_passphrase(password: &str) -> bool {
    (8..=63).contains(&password.len()) && password.bytes().all(|byte| (b' '..=b'~').contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wifi(text: &str) -> Wifi {
        toml::from_str(text).expect("TOML")
    }

    #[test]
    fn no_name_and_no_passphrase_can_say_more_than_itself() {
        let wifi = wifi("ssid = \"a\\\"}\\nnetwork={\"\npassword = 'pass\"#word}'\ncountry = \"DE\"");
        wifi.check().expect("good");
        assert_eq!(
            wifi.file(),
            "country=DE\nnetwork={\n    ssid=61227d0a6e6574776f726b3d7b\n    scan_ssid=1\n    key_mgmt=WPA-PSK SAE\n    ieee80211w=1\n    \
             psk=\"pass\"#word}\"\n}\n"
        );
    }

    #[test]
    fn a_key_is_not_quoted_and_an_open_network_has_none() {
        let key = "0123456789abcdef".repeat(4);
        let file = wifi(&format!("ssid = \"n\"\npassword = \"{key}\"")).file();
        assert!(file.contains(&format!("key_mgmt=WPA-PSK\n    psk={key}\n")), "{file}");
        assert!(wifi("ssid = \"n\"").file().contains("key_mgmt=NONE\n"));
    }

    #[test]
    fn what_cannot_be_is_named_and_a_password_is_not_told() {
        for (text, said) in [
            ("ssid = \"\"", "wifi.ssid = \"\": 1 to 32 bytes"),
            ("ssid = \"n\"\ncountry = \"de\"", "wifi.country = \"de\": two capital letters, such as DE"),
            (
                "ssid = \"n\"\npassword = \"secret\"",
                "wifi.password = ...: 8 to 63 printable ASCII characters, or 64 hexadecimal digits",
            ),
            (
                "ssid = \"n\"\npassword = \"long enough\\nbut\"",
                "wifi.password = ...: 8 to 63 printable ASCII characters, or 64 hexadecimal digits",
            ),
        ] {
            assert_eq!(wifi(text).check().expect_err("refused").to_string(), said);
        }
    }
}

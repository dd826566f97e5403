//! `settings.json`: what was set on the page or by `porthole.toml`. It is read after the configuration file, and goes before it.

use super::Error;
use crate::config::{self, Config, Device, Upload};
use crate::store::files;
use crate::supervise::within;
use serde::{Deserialize, Serialize};
use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

/// The file in `auth.dir`.
const FILE: &str = "settings.json";
const MOST_BYTES: u64 = 64 << 10;

/// What was set; `None` leaves the configuration file its say.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// `[device]`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device: Option<Device>,
    /// `auth.plain_viewing`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plain_viewing: Option<bool>,
    /// `[upload]`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upload: Option<Remote>,
}

/// A remote host, as somebody names it who does not know of files on the device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Remote {
    /// Name or address.
    pub host: String,
    /// Port of its SSH server.
    #[serde(default = "config::ssh_port")]
    pub port: u16,
    /// The account there.
    pub user: String,
    /// Its public key: `ssh-ed25519 AAAA...`.
    pub host_key: String,
    /// The inbox there.
    #[serde(default = "config::default_inbox")]
    pub dir: String,
}

impl Remote {
    /// Of an upload, what is not the device's own business.
    pub fn of(upload: &Upload) -> Self {
        let Upload { host, port, user, host_key, dir, .. } = upload.clone();
        Self { host, port, user, host_key, dir }
    }

    /// With the device's key, and with the mode that is in force.
    pub fn into_upload(self, config: &Config) -> Upload {
        let mode = config.upload.as_ref().map(|upload| upload.mode).unwrap_or_default();
        let Self { host, port, user, host_key, dir } = self;
        Upload { host, port, user, key: config.device_key(), host_key, dir, mode }
    }
}

impl Settings {
    /// Reads them from `auth.dir`; none where there is no file.
    ///
    /// # Errors
    /// It cannot be read, or has a key that is not known.
    pub fn load(dir: &Path) -> Result<Self, Error> {
        let path = dir.join(FILE);
        let damaged = |message: String| Error::Damaged { path: path.clone(), message };
        match files::read_bounded(&path, MOST_BYTES) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(|error| damaged(error.to_string())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(damaged(error.to_string())),
        }
    }

    /// Writes them in the place of what was there, durably.
    ///
    /// # Errors
    /// They cannot be written; what was there still is.
    pub fn save(&self, dir: &Path) -> Result<(), Error> {
        let path = dir.join(FILE);
        let written = || {
            std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
            let text = serde_json::to_vec_pretty(self)?;
            within(files::SLOW_DISK, || files::replace(&path, &text, OpenOptions::new().mode(0o600)))
        };
        written().map_err(|source| Error::Save { path: path.clone(), source })
    }

    /// Puts them over what the configuration file says.
    pub fn over(self, config: &mut Config) {
        if let Some(device) = self.device {
            config.device = device;
        }
        if let (Some(plain), Some(auth)) = (self.plain_viewing, &mut config.auth) {
            auth.plain_viewing = plain;
        }
        if let Some(remote) = self.upload {
            config.upload = Some(remote.into_upload(config));
        }
    }

    /// The configuration with what was set; of one without `[auth]` nothing was.
    ///
    /// # Errors
    /// The settings cannot be read, or a value cannot be.
    pub fn overlay(mut config: Config) -> Result<Config, Error> {
        if let Some(auth) = &config.auth {
            Self::load(&auth.dir)?.over(&mut config);
            config.check()?;
        }
        Ok(config)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIH0XDKDZpZ89hNCaej8mrOhs+CKiEI11242Un8zWzkXJ";

    fn config(dir: &Path, more: &str) -> Config {
        Config::parse(&format!("[auth]\ndir = {dir:?}\n{more}")).expect("good")
    }

    #[test]
    fn what_was_set_goes_before_the_file_and_the_rest_stays() {
        let dir = tempfile::tempdir().expect("folder");
        let file = config(dir.path(), "[device]\nname = \"barn\"\n[video]\nbitrate = 300000");
        assert_eq!(Settings::overlay(file.clone()).expect("none"), file);
        let remote =
            Remote { host: "h".into(), port: 2222, user: "u".into(), host_key: KEY.into(), dir: "in".into() };
        let settings = Settings { plain_viewing: Some(true), upload: Some(remote), ..Settings::default() };
        settings.save(dir.path()).expect("saved");
        let over = Settings::overlay(file).expect("read");
        assert_eq!((over.device.name.as_str(), over.video.bitrate), ("barn", 300_000));
        assert!(over.auth.as_ref().expect("auth").plain_viewing);
        let upload = over.upload.as_ref().expect("upload");
        assert_eq!((upload.port, &upload.key), (2222, &over.device_key()));
        assert_eq!(Settings::load(dir.path()).expect("read"), settings);
    }

    #[test]
    fn a_damaged_file_and_an_impossible_value_are_named() {
        let dir = tempfile::tempdir().expect("folder");
        let path = dir.path().join(FILE);
        let said = |text: &str| {
            std::fs::write(&path, text).expect("written");
            let error = Settings::overlay(config(dir.path(), "")).expect_err("refused").to_string();
            error.replace(&path.display().to_string(), "FILE")
        };
        assert!(
            said("{\"plain\":true}").starts_with("FILE: unknown field `plain`"),
            "{}",
            said("{\"plain\":true}")
        );
        assert!(said("{\"plain_viewing\":tr").starts_with("FILE: "), "torn");
        assert_eq!(
            said("{\"device\":{\"name\":\"A\"}}"),
            "device.name = \"A\": 1 to 32 of a-z, 0-9 and -, not at either end"
        );
    }

    #[test]
    fn without_auth_no_settings_are_looked_for() {
        assert_eq!(Settings::overlay(Config::default()).expect("as it is"), Config::default());
    }
}

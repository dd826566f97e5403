//! `porthole.toml`: what a device is told by a file on its boot partition, for fifty of them at once. docs/design/auth.md has the steps.
//!
//! ```text
//! name = "barn"            [wifi] ssid, password, country       [upload] host, port, user, host_key, dir
//! time_zone = "..."        [admin] name, password               plain_viewing = true
//! ```
//!
//! Both passwords are secrets: each is overwritten with `*` in its place once it has arrived. A value that is all `*` is such a one.

use super::settings::{Remote, Settings};
use super::wifi::Wifi;
use super::{RESET, reset};
use crate::auth::{self, Access, Account};
use crate::config::{self, Config, Device};
use crate::store::files;
use crate::upload::key::{self, DeviceKey};
use serde::Deserialize;
use service::config::from_toml;
use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use toml::Spanned;

const MOST_BYTES: u64 = 16 << 10;
/// The file in `auth.dir` with what was applied, as it is once its secrets are erased: the first program of a board compares it. It outlives a factory reset, which would be undone by what it undoes otherwise.
pub(super) const APPLIED: &str = "provisioned";
/// The Wi-Fi, in `auth.dir`, which a factory reset empties.
const WIFI: &str = "wpa_supplicant.conf";
/// The device's public key, beside `porthole.toml`, to be enrolled.
const PUBLIC_KEY: &str = "porthole.pub";

/// Why `porthole.toml` was not applied.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It is not TOML, has a key that is not known, or a value that cannot be.
    #[error("{path}: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: config::Error,
    },
    /// A secret that could not be overwritten in its place.
    #[error(
        "{path}: {key}: write it between single quotes, on one line and without escapes, so that it can be erased"
    )]
    Escaped {
        /// The file.
        path: PathBuf,
        /// Which.
        key: &'static str,
    },
    /// A file cannot be read or written.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The settings.
    #[error(transparent)]
    Settings(#[from] super::Error),
    /// The administrator.
    #[error("admin: {0}")]
    Admin(#[from] auth::AccountError),
    /// The accounts that there are cannot be read.
    #[error(transparent)]
    Access(#[from] auth::Error),
    /// They do not take this one.
    #[error("admin: {0}")]
    Refused(#[from] auth::Refused),
    /// There is no device key.
    #[error(transparent)]
    Key(#[from] key::Error),
    /// There is no place for any of it.
    #[error("there is no [auth] in the configuration")]
    NoAuth,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wishes {
    name: Option<String>,
    time_zone: Option<String>,
    plain_viewing: Option<bool>,
    wifi: Option<Wifi>,
    upload: Option<Remote>,
    admin: Option<Admin>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Admin {
    name: String,
    password: Spanned<String>,
}

/// Applies the file, once; says whether there was anything to do. No file is nothing to do.
///
/// # Errors
/// It cannot be applied; what was applied before that is applied again the next time.
pub fn provision(file: &Path, config: &Config) -> Result<bool, Error> {
    let dir = &config.auth.as_ref().ok_or(Error::NoAuth)?.dir;
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| Error::Io { path, source }
    };
    let flag = files::parent(file).join(RESET);
    reset(dir, &flag).map_err(failed(&flag))?;
    let text = match files::read_bounded(file, MOST_BYTES) {
        Ok(bytes) => String::from_utf8(bytes).map_err(|_| failed(file)(io::ErrorKind::InvalidData.into()))?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(failed(file)(error)),
    };
    let applied = dir.join(APPLIED);
    if files::read_bounded(&applied, MOST_BYTES).is_ok_and(|known| known == text.as_bytes()) {
        return Ok(false);
    }
    let wishes = Wishes::read(file, &text)?;
    let secrets = wishes.secrets(file, &text)?;
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(failed(dir))?;
    wishes.apply(file, dir, config)?;
    let erased = erase(file, text, &secrets).map_err(failed(file))?;
    let noted = files::replace(&applied, erased.as_bytes(), OpenOptions::new().mode(0o600));
    noted.map_err(failed(&applied))?;
    tracing::info!(file = %file.display(), "applied; its secrets are erased");
    Ok(true)
}

/// Whether a secret was overwritten earlier: what it set stays.
fn is_erased(secret: &Spanned<String>) -> bool {
    !secret.get_ref().is_empty() && secret.get_ref().bytes().all(|byte| byte == b'*')
}

impl Wishes {
    fn read(file: &Path, text: &str) -> Result<Self, Error> {
        let wrong = |source| Error::File { path: file.to_owned(), source };
        let wishes: Self = from_toml(text).map_err(wrong)?;
        wishes.wifi.as_ref().map_or(Ok(()), Wifi::check).map_err(wrong)?;
        let mut device = Device::default();
        wishes.rename(&mut device);
        device.check().map_err(wrong)?;
        let upload = wishes.upload.clone().map(|remote| remote.into_upload(&Config::default()));
        upload.as_ref().map_or(Ok(()), config::Upload::check).map_err(wrong)?;
        Ok(wishes)
    }

    fn rename(&self, device: &mut Device) {
        device.name = self.name.clone().unwrap_or_else(|| device.name.clone());
        device.time_zone = self.time_zone.clone().unwrap_or_else(|| device.time_zone.clone());
    }

    /// Where the secrets stand in the text, between their quotes.
    fn secrets(&self, file: &Path, text: &str) -> Result<Vec<std::ops::Range<usize>>, Error> {
        let wifi = self
            .wifi
            .as_ref()
            .and_then(|wifi| wifi.password.as_ref())
            .map(|secret| ("wifi.password", secret));
        let admin = self.admin.as_ref().map(|admin| ("admin.password", &admin.password));
        let place = |(key, secret): (&'static str, &Spanned<String>)| {
            let span = secret.span();
            let inside = span.start + 1..span.end.saturating_sub(1);
            let plain = text.get(inside.clone()) == Some(secret.get_ref().as_str());
            plain.then_some(inside).ok_or_else(|| Error::Escaped { path: file.to_owned(), key })
        };
        wifi.into_iter().chain(admin).map(place).collect()
    }

    /// Each step replaces a whole file, by the same content however often it is done.
    fn apply(&self, file: &Path, dir: &Path, config: &Config) -> Result<(), Error> {
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| Error::Io { path, source }
        };
        let mut settings = Settings::load(dir)?;
        if self.name.is_some() || self.time_zone.is_some() {
            let mut device = settings.device.take().unwrap_or_else(|| config.device.clone());
            self.rename(&mut device);
            settings.device = Some(device);
        }
        settings.plain_viewing = self.plain_viewing.or(settings.plain_viewing);
        settings.upload = self.upload.clone().or(settings.upload);
        settings.save(dir)?;
        if let Some(wishes) = self.wifi.as_ref().filter(|wifi| !wifi.password.as_ref().is_some_and(is_erased))
        {
            let wifi = dir.join(WIFI);
            let saved = files::replace(&wifi, wishes.file().as_bytes(), OpenOptions::new().mode(0o600));
            saved.map_err(failed(&wifi))?;
        }
        if let Some(admin) = self.admin.as_ref().filter(|admin| !is_erased(&admin.password)) {
            let account = Account::new(&admin.name, admin.password.get_ref())?;
            let path = dir.join(auth::FILE);
            let access = match Access::load(&path)? {
                Some(mut access) => {
                    access.put(account, true)?;
                    access
                }
                None => Access::of(account),
            };
            access.save(&path).map_err(failed(&path))?;
        }
        let (line, public) =
            (DeviceKey::load_or_make(&config.device_key())?.public_line()?, file.with_file_name(PUBLIC_KEY));
        files::replace(&public, format!("{line}\n").as_bytes(), &OpenOptions::new()).map_err(failed(&public))
    }
}

/// Overwrites the secrets in their places, so that no other byte of the file moves; gives the text as it is then.
fn erase(file: &Path, text: String, secrets: &[std::ops::Range<usize>]) -> io::Result<String> {
    let mut bytes = text.into_bytes();
    let target = OpenOptions::new().write(true).open(file)?;
    for place in secrets {
        if let Some(secret) = bytes.get_mut(place.clone()) {
            secret.fill(b'*');
            target.write_all_at(secret, place.start as u64)?;
        }
    }
    target.sync_all()?;
    String::from_utf8(bytes).map_err(|_| io::ErrorKind::InvalidData.into())
}

#[cfg(test)]
mod tests;

//! What the set-up page works with, and what a device can be told without it: settings, the trial of a remote host, `porthole.toml`, the
//! factory reset. docs/design/auth.md has the procedures.
//!
//! ```text
//! live --quick errand--> thread `auth`:  settings.json, then the configuration in force
//!      --far errand----> thread `setup`: the remote host: its key, a trial upload
//! ```

pub mod host;
pub mod provision;
mod reset;
mod settings;
mod wifi;

pub use reset::{FILE as RESET, reset};
pub use settings::{Remote, Settings};

use crate::config::{self, Config, Current};
use crate::supervise::{Busy, Errands};
use crate::upload::key::DeviceKey;
use crate::upload::{self, key};
use ssh_key::{HashAlg, PublicKey};
use std::path::PathBuf;
use std::time::Duration;

/// What a remote host may take for one answer while somebody looks at the page.
const PATIENCE: Duration = Duration::from_secs(10);

/// Why something was not set up.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A value that cannot be.
    #[error(transparent)]
    Value(#[from] config::Error),
    /// The settings cannot be read.
    #[error("{path}: {message}")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        message: String,
    },
    /// A file cannot be written.
    #[error("{path}: {source}; nothing was changed")]
    Save {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The remote host.
    #[error(transparent)]
    Remote(#[from] upload::Error),
    /// There is no device key.
    #[error(transparent)]
    Key(#[from] key::Error),
    /// Too much is asked for at once.
    #[error(transparent)]
    Busy(#[from] Busy),
    /// There is no `[auth]`, and so no place for settings.
    #[error("there is no [auth] in the configuration")]
    NoAuth,
}

/// A remote host's key, as it shows it.
#[derive(serde::Serialize)]
pub struct HostKey {
    /// As `upload.host_key` wants it.
    pub host_key: String,
    /// `SHA256:...`, as `ssh-keygen -lf` prints it.
    pub fingerprint: String,
}

/// What the set-up page works with.
pub struct Setup {
    quick: Errands,
    far: Errands,
    /// Of the device's own certificate.
    pub certificate: Option<String>,
}

impl Setup {
    /// `quick` reads and writes files, `far` asks other hosts.
    pub fn new(quick: Errands, far: Errands, certificate: Option<String>) -> Self {
        Self { quick, far, certificate }
    }

    /// The line to enrol at a remote host.
    ///
    /// # Errors
    /// There is no key, and none can be made.
    pub async fn public_key(&self, config: &Config) -> Result<String, Error> {
        let path = config.device_key();
        let line = self.quick.run(move |_stop| DeviceKey::load_or_make(&path)?.public_line()).await?;
        Ok(line?)
    }

    /// Changes settings: on the disk first, and then in force.
    ///
    /// # Errors
    /// A value cannot be, or the disk does not take it.
    pub async fn change(
        &self,
        current: &Current,
        edit: impl FnOnce(&mut Settings) + Send + 'static,
    ) -> Result<(), Error> {
        let current = current.clone();
        self.quick.run(move |_stop| change(&current, edit)).await?
    }

    /// The key that a host shows to whoever asks.
    ///
    /// # Errors
    /// It cannot be reached, or is no SSH server.
    pub async fn host_key(&self, host: String, port: u16) -> Result<HostKey, Error> {
        let asked = self.far.run(move |stop| upload::host_key(&host, port, PATIENCE, stop)).await?;
        let key = asked?;
        let line = key.to_openssh().map_err(upload::Error::HostKeyConfig)?;
        Ok(HostKey { host_key: line, fingerprint: key.fingerprint(HashAlg::Sha256).to_string() })
    }

    /// Does at the remote host what recordings will need, with a small file.
    ///
    /// # Errors
    /// What it was that failed.
    pub async fn trial(&self, remote: Remote, config: &Config) -> Result<(), Error> {
        let upload = remote.into_upload(config);
        upload.check()?;
        Ok(self.far.run(move |stop| upload::trial(&upload, PATIENCE, stop)).await??)
    }
}

fn change(current: &Current, edit: impl FnOnce(&mut Settings)) -> Result<(), Error> {
    let now = current.get();
    let dir = &now.auth.as_ref().ok_or(Error::NoAuth)?.dir;
    let mut settings = Settings::load(dir)?;
    edit(&mut settings);
    let mut next = Config::clone(&now);
    settings.clone().over(&mut next);
    next.check()?;
    settings.save(dir)?;
    let waiting = current.replace(next);
    tracing::info!(waiting = waiting.join(", "), "settings changed on the page");
    Ok(())
}

/// `SHA256:...` of a host key in the configuration.
pub fn fingerprint(host_key: &str) -> Option<String> {
    PublicKey::from_openssh(host_key).ok().map(|key| key.fingerprint(HashAlg::Sha256).to_string())
}

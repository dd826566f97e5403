//! A remote host, before recordings are entrusted to it: which key it shows, and whether a small file arrives there.

use super::error::Error;
use super::inbox::Inbox;
use super::key::DeviceKey;
use super::link::Link;
use crate::config::{self, UploadMode};
use crate::supervise::Stop;
use ssh_key::PublicKey;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

/// The key that the SSH server at `host` shows. Whether it is the right one, whoever asks must know from elsewhere.
///
/// # Errors
/// Nobody answers there within `patience`, or it is no SSH server.
pub fn host_key(host: &str, port: u16, patience: Duration, stop: &Stop) -> Result<PublicKey, Error> {
    let config = config::Upload {
        host: host.to_owned(),
        port,
        user: String::new(),
        key: PathBuf::new(),
        host_key: String::new(),
        dir: String::new(),
        mode: UploadMode::default(),
    };
    Link::host_key(&config, patience, stop)
}

/// Logs in and does with a small file what recordings need; it is gone afterwards. `patience` bounds each single step.
///
/// # Errors
/// What it was that failed.
pub fn trial(config: &config::Upload, patience: Duration, stop: &Stop) -> Result<(), Error> {
    let key = DeviceKey::load_or_make(&config.key)?;
    let nonce = getrandom::u64().map_err(|error| Error::Recording {
        path: "/dev/urandom".into(),
        source: io::Error::other(error.to_string()),
    })?;
    let link = Link::open(config, &key, patience, stop)?;
    Inbox::open(link, &config.dir)?.try_out(&format!("porthole-{nonce:016x}"))
}

//! The configuration file: TOML, every key optional, unknown keys refused.
//!
//! A value that is impossible gives an error that names the key, the value and what is allowed. docs/ref/remote.md
//! describes every key and is tested against [`Config::default`].

use crate::sweep::Policy;
use media::Ticks90k;
use media::handshake::claim::Patience;
use serde::{Deserialize, Serialize};
pub use service::config::Error;
use service::config::{from_toml, read, require};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Everything that can be configured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The folder that everything is in; one file system.
    pub dir: PathBuf,
    /// What this process does.
    pub roles: Vec<Role>,
    /// How recordings are taken in.
    pub inbox: Inbox,
    /// What is put aside.
    pub quarantine: Quarantine,
    /// What is made of recordings.
    pub chop: Chop,
    /// How long they are kept.
    pub sweep: Sweep,
    /// Who may look at them, and where.
    pub web: Web,
}

/// Something that `porthole-remote serve` does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Take recordings in.
    Inbox,
    /// Let recordings go when their time is over.
    Sweep,
    /// Show them to viewers.
    Web,
}

/// `[inbox]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Inbox {
    /// Threads that take recordings in.
    pub workers: usize,
    /// Minutes without a change after which an upload counts as given up whose uploader has begun something else.
    pub abandoned_minutes: u32,
    /// Hours after which any upload without a writer counts as given up.
    pub lost_hours: u32,
}

/// `[quarantine]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Quarantine {
    /// Files that are kept for each account.
    pub files: usize,
    /// Bytes that are kept for each account.
    pub bytes: u64,
}

/// `[chop]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Chop {
    /// Seconds that a segment of HLS lasts; it ends at the next IDR.
    pub segment_seconds: u32,
    /// Whether the MP4 goes to the archive too.
    pub keep_mp4: bool,
}

/// `[sweep]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Sweep {
    /// Days that a recording is kept.
    pub days: u32,
    /// Bytes that all recordings may have; 0: as many as there are.
    pub bytes: u64,
}

/// `[web]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Web {
    /// Address and port that viewers connect to.
    pub listen: SocketAddr,
    /// Connections in all.
    pub max_connections: usize,
    /// Connections from one address.
    pub max_per_address: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            dir: PathBuf::from("/var/lib/porthole"),
            roles: vec![Role::Inbox, Role::Sweep, Role::Web],
            inbox: Inbox::default(),
            quarantine: Quarantine::default(),
            chop: Chop::default(),
            sweep: Sweep::default(),
            web: Web::default(),
        }
    }
}

impl Default for Inbox {
    fn default() -> Self {
        Self { workers: 3, abandoned_minutes: 60, lost_hours: 24 }
    }
}

impl Default for Quarantine {
    fn default() -> Self {
        Self { files: 1_000, bytes: 4 << 30 }
    }
}

impl Default for Chop {
    fn default() -> Self {
        Self { segment_seconds: 6, keep_mp4: true }
    }
}

impl Default for Sweep {
    fn default() -> Self {
        Self { days: 7, bytes: 0 }
    }
}

impl Default for Web {
    fn default() -> Self {
        let listen = SocketAddr::from(([127, 0, 0, 1], 8090));
        Self { listen, max_connections: 256, max_per_address: 32 }
    }
}

impl Chop {
    /// How long a segment lasts.
    pub fn segment(&self) -> Ticks90k {
        Ticks90k(i64::from(self.segment_seconds) * Ticks90k::SECOND.0)
    }
}

impl Sweep {
    /// What has to leave.
    pub fn policy(&self) -> Policy {
        Policy {
            keep: Duration::from_secs(24 * 3600 * u64::from(self.days)),
            bytes: Some(self.bytes).filter(|&bytes| bytes > 0),
        }
    }
}

impl Inbox {
    /// How long to wait for uploaders.
    pub fn patience(&self) -> Patience {
        Patience {
            abandoned: Duration::from_secs(60 * u64::from(self.abandoned_minutes)),
            lost: Duration::from_secs(3600 * u64::from(self.lost_hours)),
        }
    }
}

impl Config {
    /// Reads and checks a file.
    ///
    /// # Errors
    /// It cannot be read, or says what cannot be.
    pub fn load(path: &Path) -> Result<Self, Error> {
        Self::parse(&read(path)?)
    }

    /// Reads and checks the text of a configuration file.
    ///
    /// # Errors
    /// It says what cannot be.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let config: Self = from_toml(text)?;
        config.check()?;
        Ok(config)
    }

    /// Finds the first value that cannot be.
    ///
    /// # Errors
    /// That value.
    pub fn check(&self) -> Result<(), Error> {
        require(self.dir.is_absolute(), "dir", self.dir.display(), "an absolute path")?;
        require(!self.roles.is_empty(), "roles", "[]", "at least one of \"inbox\", \"sweep\", \"web\"")?;
        let Inbox { workers, abandoned_minutes, lost_hours } = self.inbox;
        require((1..=64).contains(&workers), "inbox.workers", workers, "1 to 64 threads")?;
        require(
            abandoned_minutes <= 10_080,
            "inbox.abandoned_minutes",
            abandoned_minutes,
            "0 to 10080 minutes (a week)",
        )?;
        require(lost_hours <= 8_760, "inbox.lost_hours", lost_hours, "0 to 8760 hours (a year)")?;
        let Quarantine { files, bytes } = self.quarantine;
        require((1..=100_000).contains(&files), "quarantine.files", files, "1 to 100000 files")?;
        require(bytes >= 1 << 20, "quarantine.bytes", bytes, "at least 1048576 (1 MiB)")?;
        let Chop { segment_seconds, .. } = self.chop;
        require(
            (1..=60).contains(&segment_seconds),
            "chop.segment_seconds",
            segment_seconds,
            "1 to 60 seconds",
        )?;
        let Sweep { days, .. } = self.sweep;
        require((1..=36_500).contains(&days), "sweep.days", days, "1 to 36500 days")?;
        let Web { max_connections, max_per_address, .. } = self.web;
        require(
            (1..=10_000).contains(&max_connections),
            "web.max_connections",
            max_connections,
            "1 to 10000",
        )?;
        let each = (1..=max_connections).contains(&max_per_address);
        require(each, "web.max_per_address", max_per_address, "1 to web.max_connections")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> String {
        Config::parse(text).expect_err("must be refused").to_string()
    }

    #[test]
    fn an_empty_file_is_the_default() {
        assert_eq!(Config::parse("").expect("empty"), Config::default());
    }

    #[test]
    fn the_page_about_it_shows_every_key_with_its_default() {
        let page = include_str!("../../docs/ref/remote.md");
        let shown = page.split("```toml").nth(1).and_then(|rest| rest.split("```").next()).expect("a block");
        assert_eq!(Config::parse(shown).expect("good"), Config::default());
        let keys = |table: &toml::Table| -> Vec<String> {
            let inner = |(key, value): (&String, &toml::Value)| match value.as_table() {
                Some(table) => table.keys().map(|inner| format!("{key}.{inner}")).collect(),
                None => vec![key.clone()],
            };
            table.iter().flat_map(inner).collect()
        };
        let known = toml::Table::try_from(Config::default()).expect("a table");
        assert_eq!(keys(&toml::from_str(shown).expect("good")), keys(&known));
    }

    #[test]
    fn an_impossible_value_names_key_value_and_what_is_allowed() {
        assert_eq!(error("[inbox]\nworkers = 65"), "inbox.workers = 65: 1 to 64 threads");
        assert_eq!(error("dir = \"inbox\""), "dir = inbox: an absolute path");
        assert_eq!(error("roles = []"), "roles = []: at least one of \"inbox\", \"sweep\", \"web\"");
        assert_eq!(error("[quarantine]\nfiles = 0"), "quarantine.files = 0: 1 to 100000 files");
    }

    #[test]
    fn an_unknown_key_is_shown_with_its_line() {
        let text = error("[inbox]\nworker = 1");
        assert!(text.contains("line 2") && text.contains("unknown field `worker`"), "{text}");
    }
}

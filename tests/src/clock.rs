//! A wall clock for one program alone, which is set as one likes: libfaketime in front of the C library. Media time goes on as it does.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use tempfile::TempDir;

/// Where Debian has it, below the folder of the architecture.
const LIBRARY: &str = "faketime/libfaketimeMT.so.1";

/// The clock of the programs that are started with its [`Clock::environment`].
#[derive(Debug)]
pub struct Clock {
    library: PathBuf,
    folder: TempDir,
}

impl Clock {
    /// A clock that shows the time.
    pub fn new() -> Result<Self> {
        let folders = fs::read_dir("/usr/lib").into_iter().flatten().flatten();
        let library = folders.map(|folder| folder.path().join(LIBRARY)).find(|library| library.exists());
        let library = library.context("libfaketime is not there: apt-get install libfaketime")?;
        let clock = Self { library, folder: TempDir::with_prefix("clock-")? };
        clock.set(0)?;
        Ok(clock)
    }

    /// From now on it is so many seconds ahead of the time; behind, if less than 0.
    pub fn set(&self, ahead: i64) -> Result<()> {
        let next = self.folder.path().join("next");
        fs::write(&next, format!("{ahead:+}\n"))?;
        Ok(fs::rename(next, self.file())?)
    }

    /// What a program must be started with.
    pub fn environment(&self) -> Vec<(&'static str, PathBuf)> {
        let plain = |text: &str| Path::new(text).to_owned();
        vec![
            ("LD_PRELOAD", self.library.clone()),
            ("FAKETIME_TIMESTAMP_FILE", self.file()),
            ("FAKETIME_NO_CACHE", plain("1")),
            ("FAKETIME_DONT_FAKE_MONOTONIC", plain("1")),
            ("NO_FAKE_STAT", plain("1")),
        ]
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("ahead")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;
    use std::time::{Duration, SystemTime};

    #[test]
    fn a_program_sees_the_time_that_was_set_and_boot_time_as_it_is() {
        let clock = Clock::new().unwrap();
        clock.set(-3600).unwrap();
        let mut date = Command::new("date");
        let shown = date.arg("+%s").envs(clock.environment()).output().unwrap();
        let shown: u64 = String::from_utf8(shown.stdout).unwrap().trim().parse().unwrap();
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
        assert!(now.abs_diff(Duration::from_secs(shown + 3600)) < Duration::from_secs(60), "{shown} {now:?}");
    }
}

//! Where files go that are no recordings, each with its reason beside it, until a person looks.
//!
//! ```text
//! quarantine/ACCOUNT/NAME.mp4      as it was
//! quarantine/ACCOUNT/NAME.mp4.reason
//! ```
//!
//! Every account has its own bounds; beyond them its oldest files leave, so no camera can push out what another one sent.

use super::name::escaped;
use crate::config;
use crate::folder::{Error, Folder, Kind, Moved};
use crate::status::Metrics;
use nix::fcntl::RenameFlags;
use std::ffi::{OsStr, OsString};
use std::io::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The account of files of which nobody knows any more whose they were.
pub const NOBODY: &str = "nobody";
/// Files of one name that are kept beside each other.
const MOST_NAMESAKES: u32 = 10_000;
/// Small files are only counted after so many.
const COUNT_EVERY: u64 = 32;
/// What is larger is counted at once.
const SMALL: u64 = 64 << 10;

/// Puts files aside.
pub struct Quarantine<'a> {
    /// The folder of all accounts' folders.
    pub folder: &'a Folder,
    /// The bounds.
    pub bounds: &'a config::Quarantine,
    /// Counts what comes and what leaves.
    pub metrics: &'a Metrics,
}

impl Quarantine<'_> {
    /// Renames `file` of `from` here; its reason is there before it. False if the file is gone.
    ///
    /// # Errors
    /// The system refuses; the file is where it was.
    pub fn put(&self, from: &Folder, file: &OsStr, account: &str, reason: &str) -> Result<bool, Error> {
        let Some(meta) = from.look(file)? else { return Ok(false) };
        let folder = self.folder.make_folder(account)?;
        for n in 1..=MOST_NAMESAKES {
            let name = if n == 1 { escaped(file) } else { format!("{}~{n}", escaped(file)) };
            let reason_name = format!("{name}.reason");
            if folder.look(&name)?.is_some() {
                continue;
            }
            folder.remove(&reason_name)?;
            let written = folder.create(&reason_name, 0o640)?.write_all(format!("{reason}\n").as_bytes());
            written.map_err(|source| Error::new("write", &folder.path().join(&reason_name), source))?;
            match from.rename(file, &folder, &name, RenameFlags::RENAME_NOREPLACE)? {
                Moved::Exists => continue,
                Moved::Absent => {
                    folder.remove(&reason_name)?;
                    return Ok(false);
                }
                Moved::Done => {}
            }
            folder.sync()?;
            self.metrics.quarantined.inc();
            if meta.size > SMALL || self.is_time_to_count() {
                self.make_room(&folder)?;
            }
            return Ok(true);
        }
        Err(Error::new("put aside", &folder.path().join(escaped(file)), nix::errno::Errno::EEXIST))
    }

    fn is_time_to_count(&self) -> bool {
        static PUT: AtomicU64 = AtomicU64::new(0);
        PUT.fetch_add(1, Ordering::Relaxed).is_multiple_of(COUNT_EVERY)
    }

    /// The oldest leave until the account's bounds hold.
    fn make_room(&self, folder: &Folder) -> Result<(), Error> {
        let mut files: Vec<(Duration, u64, OsString)> = Vec::new();
        for name in folder.names()? {
            let name = name?;
            let is_reason = name.as_encoded_bytes().ends_with(b".reason");
            if let Some(meta) = folder.look(&name)?.filter(|meta| !is_reason && meta.kind != Kind::Folder) {
                files.push((meta.changed, meta.size, name));
            }
        }
        files.sort();
        let mut bytes: u64 = files.iter().map(|(_, size, _)| size).sum();
        let mut left = files.len();
        for (_, size, name) in files {
            if left <= self.bounds.files && bytes <= self.bounds.bytes {
                break;
            }
            folder.remove(&name)?;
            let mut reason = name.clone();
            reason.push(".reason");
            folder.remove(&reason)?;
            (left, bytes) = (left - 1, bytes - size);
            self.metrics.quarantine_dropped.inc();
            tracing::error!(file = %folder.path().join(name).display(), "LEFT THE QUARANTINE: it is full");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::path::Path;

    fn put(dir: &Path, bounds: &config::Quarantine, metrics: &Metrics, file: &str) -> bool {
        let folder = Folder::open(dir).expect("opens").make_folder("quarantine").expect("makes");
        let from = Folder::open(dir).expect("opens");
        let quarantine = Quarantine { folder: &folder, bounds, metrics };
        quarantine.put(&from, OsStr::new(file), "front", "half a box").expect("is put aside")
    }

    #[test]
    fn a_file_is_put_aside_with_its_reason_and_its_namesake_beside_it() {
        let dir = tempfile::tempdir().expect("dir");
        let (bounds, metrics) = (config::Quarantine::default(), Metrics::default());
        for text in ["one", "two"] {
            fs::write(dir.path().join("a b.mp4"), text).expect("writes");
            assert!(put(dir.path(), &bounds, &metrics, "a b.mp4"));
        }
        assert!(!put(dir.path(), &bounds, &metrics, "a b.mp4"));
        let read = |name: &str| fs::read_to_string(dir.path().join("quarantine/front").join(name));
        assert_eq!(read("a%20b.mp4").expect("is there"), "one");
        assert_eq!(read("a%20b.mp4~2").expect("is there"), "two");
        assert_eq!(read("a%20b.mp4~2.reason").expect("is there"), "half a box\n");
        assert_eq!(metrics.quarantined.get(), 2);
    }

    #[test]
    fn the_oldest_of_the_account_leave_when_there_are_too_many() {
        let dir = tempfile::tempdir().expect("dir");
        let bounds = config::Quarantine { files: 3, bytes: 1 << 30 };
        let metrics = Metrics::default();
        let large = vec![0; SMALL as usize + 1];
        for n in 0..8 {
            let name = format!("{n}.mp4");
            fs::write(dir.path().join(&name), &large).expect("writes");
            assert!(put(dir.path(), &bounds, &metrics, &name));
        }
        let mut left: Vec<_> = fs::read_dir(dir.path().join("quarantine/front"))
            .expect("reads")
            .map(|entry| entry.expect("reads").file_name().into_string().expect("text"))
            .filter(|name| !name.ends_with(".reason"))
            .collect();
        left.sort();
        assert_eq!(left, ["5.mp4", "6.mp4", "7.mp4"]);
        assert_eq!(metrics.quarantine_dropped.get(), 5);
    }
}

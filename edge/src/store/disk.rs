//! The disk under the recordings: whether it outlives a power cut, and how much is written to it.

use crate::ring::on_ram_disk;
use crate::status::StorageStatus;
use media::Ticks90k;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Bytes of a sector in `/sys/dev/block/*/stat`, whatever the disk's own are.
const SECTOR: u64 = 512;
/// Where the sectors written stand there (Linux, Documentation/block/stat.rst).
const SECTORS_WRITTEN: usize = 6;
/// A shorter time says nothing of a day.
const LEAST_MEASURED: Ticks90k = Ticks90k(60 * Ticks90k::SECOND.0);

/// The disk of a folder, as it was when the folder was opened; by default nothing is known of it.
#[derive(Default)]
pub struct Disk {
    ram: bool,
    /// What the kernel counts of it; `None` where nothing is counted, as of a RAM disk.
    stat: Option<PathBuf>,
    /// Bytes that had been written then.
    written: u64,
    since: Ticks90k,
}

impl Disk {
    /// The disk of `dir`.
    pub fn of(dir: &Path, now: Ticks90k) -> Self {
        let device = std::fs::metadata(dir).map(|dir| dir.dev()).unwrap_or(0);
        let (major, minor) = (nix::sys::stat::major(device), nix::sys::stat::minor(device));
        let stat = PathBuf::from(format!("/sys/dev/block/{major}:{minor}/stat"));
        let (ram, written) = (on_ram_disk(dir), written(&stat));
        if ram {
            tracing::warn!(dir = %dir.display(),
                "RECORDINGS ARE ON A RAM DISK: a power cut takes all that is not on the remote host; set record.dir to a disk");
        }
        Self { ram, stat: written.map(|_| stat), written: written.unwrap_or(0), since: now }
    }

    /// Whether a power cut takes what is on it.
    pub fn is_ram(&self) -> bool {
        self.ram
    }

    /// What the status says of it.
    pub fn status(&self, now: Ticks90k) -> StorageStatus {
        let gone = now - self.since;
        let written = self.stat.as_ref().filter(|_| gone >= LEAST_MEASURED).and_then(|stat| written(stat));
        let a_day = |bytes: u64| (bytes as f64 * 86_400.0 / gone.as_secs_f64()) as u64;
        StorageStatus {
            ram: self.ram,
            written_bytes_per_day: written.map(|now| a_day(now.saturating_sub(self.written))),
        }
    }
}

/// Bytes written to a disk since its start.
fn written(stat: &Path) -> Option<u64> {
    let text = std::fs::read_to_string(stat).ok()?;
    let sectors: u64 = text.split_whitespace().nth(SECTORS_WRITTEN)?.parse().ok()?;
    Some(sectors.saturating_mul(SECTOR))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_kernel_counts_is_told_for_a_day() {
        let dir = tempfile::tempdir().expect("folder");
        let stat = dir.path().join("stat");
        std::fs::write(&stat, "  10 0 80 5  20 3 1000 9 0 4 14 0 0 0 0 0 0\n").expect("written");
        let disk = Disk { ram: false, stat: Some(stat), written: 500 * 512, since: Ticks90k::ZERO };
        let status = |minutes: i64| disk.status(Ticks90k(minutes * 60 * 90_000));
        assert_eq!(status(0).written_bytes_per_day, None);
        assert_eq!(status(144).written_bytes_per_day, Some(500 * 512 * 10));
        let ram = Disk { ram: true, stat: None, written: 0, since: Ticks90k::ZERO };
        let expected = StorageStatus { ram: true, written_bytes_per_day: None };
        assert_eq!(ram.status(Ticks90k(90_000 * 600)), expected);
    }
}

//! What the store does to the files of recordings.

use crate::supervise::within;
use media::mp4::Step;
pub use service::files::{UNFINISHED, beside, make, parent, read_bounded, replace, sync as sync_dir};
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::Duration;

/// What a worn card may take for a sync, and what comes with it.
pub const SLOW_DISK: Duration = Duration::from_secs(20);

/// Puts what is in the file `from` at `path` as [`replace`] puts bytes there.
pub fn copy(from: &Path, path: &Path) -> io::Result<()> {
    let unfinished = beside(path, UNFINISHED);
    let copied = File::open(from).and_then(|mut from| {
        let mut file = File::create(&unfinished)?;
        io::copy(&mut from, &mut file)?;
        file.sync_all()
    });
    if let Err(error) = copied {
        remove(&unfinished)?;
        return Err(error);
    }
    std::fs::rename(&unfinished, path)?;
    sync_dir(parent(path))
}

/// Finds out whether files can be written and synced in a folder.
pub fn probe(dir: &Path) -> io::Result<()> {
    let path = dir.join(".probe");
    let mut file = File::create(&path)?;
    file.write_all(b"probe")?;
    file.sync_data()?;
    remove(&path)?;
    sync_dir(dir)
}

/// Bytes that are left on the disk of a folder.
pub fn free(dir: &Path) -> io::Result<u64> {
    let disk = nix::sys::statvfs::statvfs(dir)?;
    // The widths of these differ from one architecture to the other.
    #[allow(clippy::useless_conversion)]
    Ok(u64::from(disk.blocks_available()).saturating_mul(u64::from(disk.fragment_size())))
}

/// Removes a file; that it is not there is fine.
pub fn remove(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Makes what was written into a recording durable (fdatasync).
pub fn sync_data(file: &File) -> io::Result<()> {
    within(SLOW_DISK, || file.sync_data())
}

/// Carries out the steps of a recording, each sync as fdatasync.
pub fn apply(file: &File, steps: &[Step]) -> io::Result<()> {
    for step in steps {
        match step {
            Step::Write { offset, bytes } => file.write_all_at(bytes, *offset)?,
            Step::Sync => sync_data(file)?,
        }
    }
    Ok(())
}

//! Files that are there whole or not at all, also after a power cut.

use media::mp4::Step;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// Ends the name of a file that is being made and does not count yet.
pub const UNFINISHED: &str = "tmp";

/// Puts `bytes` at `path` in the place of what was there: write beside it, fsync, rename, fsync of the folder.
pub fn replace(path: &Path, bytes: &[u8], options: &OpenOptions) -> io::Result<()> {
    let unfinished = beside(path, UNFINISHED);
    let mut file = options.clone().write(true).create(true).truncate(true).open(&unfinished)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(&unfinished, path)?;
    sync_dir(parent(path))
}

/// Puts what is in the file `from` at `path` in the same way.
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

/// Reads a file of at most `most` bytes.
pub fn read_bounded(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(most + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("larger than {most} bytes")));
    }
    Ok(bytes)
}

/// Makes what was created, renamed or removed in a folder durable.
pub fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
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

/// Carries out the steps of a recording, each sync as fdatasync.
pub fn apply(file: &File, steps: &[Step]) -> io::Result<()> {
    for step in steps {
        match step {
            Step::Write { offset, bytes } => file.write_all_at(bytes, *offset)?,
            Step::Sync => file.sync_data()?,
        }
    }
    Ok(())
}

/// `path` with another extension behind its whole name.
pub fn beside(path: &Path, extension: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(extension);
    PathBuf::from(name)
}

/// The folder of a file.
pub fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(dir) if !dir.as_os_str().is_empty() => dir,
        _ => Path::new("."),
    }
}

//! Files that are there whole or not at all, also after a power cut.
//!
//! ```text
//! write NAME.tmp -> fsync of it -> rename to NAME -> fsync of the folder
//!               power cut: the old NAME stands   |   the new one does
//! ```

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

/// Ends the name of a file that is being made and does not count yet.
pub const UNFINISHED: &str = "tmp";

/// Puts `bytes` at `path` in the place of what was there, durably. `options` can give a new file its mode.
///
/// # Errors
/// It cannot be written; what was there still is.
pub fn replace(path: &Path, bytes: &[u8], options: &OpenOptions) -> io::Result<()> {
    let unfinished = beside(path, UNFINISHED);
    let mut file = options.clone().write(true).create(true).truncate(true).open(&unfinished)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(&unfinished, path)?;
    sync(parent(path))
}

/// As [`replace`], unless something is there: whether it was done. Of several that try at once, in whatever processes, one does; the others wait for
/// it, by a lock on the folder.
///
/// # Errors
/// It cannot be written.
pub fn make(path: &Path, bytes: &[u8], options: &OpenOptions) -> io::Result<bool> {
    let folder = File::open(parent(path))?;
    folder.lock()?;
    if path.try_exists()? { Ok(false) } else { replace(path, bytes, options).map(|()| true) }
}

/// Reads a file of at most `most` bytes.
///
/// # Errors
/// It cannot be read, or is larger.
pub fn read_bounded(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(most + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("larger than {most} bytes")));
    }
    Ok(bytes)
}

/// Makes a file durable, or what was created, renamed or removed in a folder.
///
/// # Errors
/// It is not.
pub fn sync(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_whole_and_nothing_is_left_beside_it() {
        let dir = tempfile::tempdir().expect("dir");
        let path = dir.path().join("name.json");
        // What a power cut left of an earlier try.
        std::fs::write(beside(&path, UNFINISHED), "a longer text than the new one").expect("writes");
        replace(&path, b"first", &OpenOptions::new()).expect("replaces");
        replace(&path, b"next", &OpenOptions::new()).expect("replaces");
        assert_eq!(read_bounded(&path, 4).expect("reads"), b"next");
        assert_eq!(std::fs::read_dir(dir.path()).expect("lists").count(), 1);
    }

    #[test]
    fn a_file_that_is_too_large_is_not_read() {
        let dir = tempfile::tempdir().expect("dir");
        let path = dir.path().join("large");
        std::fs::write(&path, "12345").expect("writes");
        assert_eq!(read_bounded(&path, 4).expect_err("is refused").to_string(), "larger than 4 bytes");
    }

    #[test]
    fn the_folder_of_a_bare_name_is_the_working_folder() {
        assert_eq!(parent(Path::new("name")), Path::new("."));
        assert_eq!(parent(Path::new("a/name")), Path::new("a"));
    }
}

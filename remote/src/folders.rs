//! Where everything is: the folders below `dir`, all on one file system. docs/design/inbox.md says who owns them.

use crate::folder::{self, Folder};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// The folders of the remote host, open.
#[derive(Debug)]
pub struct Folders {
    /// What SFTP may touch: a folder for each account.
    pub inbox: Folder,
    /// Recordings that a worker has, or had when it died.
    pub claim: Folder,
    /// A folder for each living worker, for what is not finished.
    pub tmp: Folder,
    /// What was accepted.
    pub archive: Folder,
    /// What was made of it: a folder for each recording.
    pub hls: Folder,
    /// What was put aside: a folder for each account.
    pub quarantine: Folder,
}

impl Folders {
    /// Opens the folders below `dir`; those that are missing are made.
    ///
    /// # Errors
    /// One can be neither opened nor made.
    pub fn open(dir: &Path) -> Result<Self, folder::Error> {
        let open = |name: &str, mode| {
            let path = dir.join(name);
            make(&path, mode)?;
            Folder::open(&path)
        };
        Ok(Self {
            inbox: open("inbox", 0o755)?,
            claim: open("claim", 0o700)?,
            tmp: open("tmp", 0o700)?,
            archive: open("archive", 0o750)?,
            hls: open("hls", 0o750)?,
            quarantine: open("quarantine", 0o700)?,
        })
    }
}

fn make(path: &PathBuf, mode: u32) -> Result<(), folder::Error> {
    let made = std::fs::DirBuilder::new().recursive(true).mode(mode).create(path);
    made.map_err(|source| folder::Error::new("make", path, source))
}

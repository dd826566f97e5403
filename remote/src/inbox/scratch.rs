//! A worker's own folder below `tmp/`, for what is not finished. Its flock says that the worker lives; what a dead one
//! left is removed.

use super::claim::try_hold;
use crate::folder::{Error, Folder, Kind, id};
use std::fs::File;

/// A living worker's folder; removed when dropped.
#[derive(Debug)]
pub struct Scratch<'a> {
    /// The folder.
    pub folder: Folder,
    name: String,
    tmp: &'a Folder,
    _flock: File,
}

impl<'a> Scratch<'a> {
    /// Makes an empty folder called `name`, which no other living worker of this host has.
    ///
    /// # Errors
    /// The system refuses.
    pub fn new(tmp: &'a Folder, name: &str) -> Result<Self, Error> {
        loop {
            let folder = tmp.make_folder(name)?;
            let flock = folder.handle()?;
            // Before the flock was taken, somebody who cleans up may have taken the folder for a dead worker's.
            let held = try_hold(&flock)?;
            let here = id(&flock).map_err(|source| Error::new("look at", folder.path(), source))?;
            if held && tmp.look(name)?.is_some_and(|meta| meta.id == here) {
                return Ok(Self { folder, name: name.to_owned(), tmp, _flock: flock });
            }
        }
    }
}

impl Drop for Scratch<'_> {
    fn drop(&mut self) {
        if let Err(error) = self.tmp.remove_folder(&self.name) {
            tracing::warn!(%error, "left in tmp");
        }
    }
}

/// Removes what dead workers left.
///
/// # Errors
/// The system refuses.
pub fn clean(tmp: &Folder) -> Result<(), Error> {
    for name in tmp.names()? {
        let name = name?;
        let Some(name) = name.to_str() else { continue };
        let is_folder = tmp.look(name)?.is_some_and(|meta| meta.kind == Kind::Folder);
        let Some(folder) = tmp.folder(name)?.filter(|_| is_folder) else { continue };
        let flock = folder.handle()?;
        if try_hold(&flock)? {
            tmp.remove_folder(name)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_living_workers_folder_stays_and_a_dead_ones_goes() {
        let dir = tempfile::tempdir().expect("dir");
        let tmp = Folder::open(dir.path()).expect("opens");
        let alive = Scratch::new(&tmp, "1-1").expect("makes");
        alive.folder.create("copy", 0o600).expect("creates");
        std::fs::create_dir_all(dir.path().join("2-1/output/deep")).expect("makes");
        clean(&tmp).expect("cleans");
        assert!(dir.path().join("1-1/copy").exists());
        assert!(!dir.path().join("2-1").exists());
        drop(alive);
        assert!(!dir.path().join("1-1").exists());
    }
}

//! A script's `NAME.lockfile`: made, and removed only once its recording is whole and durable.

use super::Error;
use crate::folder::{self, Folder};
use crate::inbox::name::Name;
use crate::inbox::whole::{Problem, read_through};
use media::names::{LockToken, MOST_TOKEN_BYTES};
use std::fs::{File, Permissions};
use std::os::unix::fs::PermissionsExt;

/// So that the service, which is in the group of the folder, can read what a script sent with any mode.
const MODE: u32 = 0o660;

/// Makes the lock of `name`; one that is there and no worker's or edge's is fine. It is durable.
///
/// # Errors
/// Somebody else has it, or the system refuses.
pub fn make(inbox: &Folder, name: &Name) -> Result<(), Error> {
    if !is_there(inbox, name)? {
        inbox.create(name.lock(), MODE)?;
    }
    inbox.sync()?;
    Ok(())
}

/// Vouches for the recording of `name`, and removes its lock: 1. look whose the lock is; 2. check every box, and all footage
/// that the seal promises; 3. let the service read it; 4. fsync of the file, then of the folder; 5. remove the lock, fsync of the
/// folder. That there is no lock any more is fine.
///
/// # Errors
/// Whatever goes wrong, the lock stays.
pub fn vouch_and_remove(inbox: &Folder, name: &Name) -> Result<(), Error> {
    is_there(inbox, name)?;
    let recording = name.recording();
    let file = inbox.open_file(&recording)?.ok_or_else(|| Error::Absent { recording: recording.clone() })?;
    match read_through(&file, false) {
        Ok(()) => {}
        Err(Problem::Broken(reason)) => return Err(Error::Damaged { recording, lock: name.lock(), reason }),
        Err(Problem::Host(source)) => return Err(host("read", inbox, name, source)),
    }
    publish(&file).map_err(|source| host("sync", inbox, name, source))?;
    inbox.sync()?;
    inbox.remove(name.lock())?;
    inbox.sync()?;
    Ok(())
}

fn publish(file: &File) -> std::io::Result<()> {
    file.set_permissions(Permissions::from_mode(MODE))?;
    file.sync_all()
}

fn host(doing: &'static str, inbox: &Folder, name: &Name, source: std::io::Error) -> Error {
    folder::Error::new(doing, &inbox.path().join(name.recording()), source).into()
}

/// Whether there is a lock, and a script's: a worker's and an edge's say whose they are.
fn is_there(inbox: &Folder, name: &Name) -> Result<bool, Error> {
    let lock = name.lock();
    let Some(content) = inbox.read(&lock, MOST_TOKEN_BYTES as u64)? else { return Ok(false) };
    match LockToken::parse(&content) {
        Ok(owner) => Err(Error::Held { lock, owner: owner.to_string() }),
        Err(_) => Ok(true),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::path::Path;

    const WORKER: &str = "v1 chop host 6d8fe8a5-0b5f-4d5c-8a0e-0d3f5a1c2b3d 77";

    fn unlock(dir: &Path) -> Result<(), String> {
        let inbox = Folder::open(dir).expect("opens");
        vouch_and_remove(&inbox, &Name::new("a").expect("a name")).map_err(|error| error.to_string())
    }

    fn lock(dir: &Path) -> Result<(), String> {
        let inbox = Folder::open(dir).expect("opens");
        make(&inbox, &Name::new("a").expect("a name")).map_err(|error| error.to_string())
    }

    #[test]
    fn a_lock_stays_beside_what_is_no_recording() {
        let dir = tempfile::tempdir().expect("dir");
        lock(dir.path()).expect("is made");
        lock(dir.path()).expect("is there");
        let absent = "a.mp4 is not here; keep your copy. (It never came, or was taken over already.)";
        assert_eq!(unlock(dir.path()).expect_err("nothing came"), absent);
        fs::write(dir.path().join("b.mp4"), "not read").expect("writes");
        std::os::unix::fs::symlink("b.mp4", dir.path().join("a.mp4")).expect("links");
        assert_eq!(unlock(dir.path()).expect_err("a link came"), absent);
        fs::remove_file(dir.path().join("a.mp4")).expect("removes");
        fs::write(dir.path().join("a.mp4"), "letters").expect("writes");
        let error = unlock(dir.path()).expect_err("letters came");
        assert!(error.starts_with("a.mp4 is damaged: "), "{error}");
        assert!(error.ends_with("; a.lockfile stays, send it again"), "{error}");
        assert!(dir.path().join("a.lockfile").exists());
    }

    #[test]
    fn a_workers_lock_is_left_alone() {
        let dir = tempfile::tempdir().expect("dir");
        fs::write(dir.path().join("a.lockfile"), WORKER).expect("writes");
        for refused in [lock(dir.path()), unlock(dir.path())] {
            assert_eq!(refused.expect_err("is held"), format!("a.lockfile: not yours: {WORKER}"));
        }
        assert_eq!(fs::read_to_string(dir.path().join("a.lockfile")).expect("is there"), WORKER);
    }
}

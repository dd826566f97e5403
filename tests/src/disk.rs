//! A small disk that only its test sees: filled to the page, or broken as the kernel breaks one.
//!
//! It takes a mount namespace, so nothing of it is left behind, tmpfs and loop devices.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use nix::fcntl::{FallocateFlags, fallocate};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::CloneFlags;
use nix::sys::statvfs::statvfs;
use tempfile::TempDir;

use crate::namespace::with_own;
use crate::wait::{PATIENCE, wait_for};

/// What a file system gives out at once.
pub const PAGE: u64 = 4096;
/// A file of ours that takes the room of others.
const BALLAST: &str = "ballast";

/// Runs `test` with mounts of its own; without root, says that it was not run.
pub fn with_own_mounts(test: impl FnOnce() -> Result<()> + Send) {
    let none = None::<&str>;
    let private = || mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none);
    with_own(CloneFlags::CLONE_NEWNS, || {
        private()?;
        test()
    });
}

/// A mounted disk; gone when dropped.
#[derive(Debug)]
pub struct Disk {
    folder: PathBuf,
    /// What a card is in, and how often it was put in.
    image: Option<(TempDir, u32)>,
}

impl Disk {
    /// An empty RAM disk of `bytes` in the place of what was in `folder`.
    pub fn ram(folder: &Path, bytes: u64) -> Result<Self> {
        fs::create_dir_all(folder)?;
        let options = format!("size={bytes},mode=0755");
        mount(Some("disk"), folder, Some("tmpfs"), MsFlags::empty(), Some(options.as_str()))
            .context("a RAM disk")?;
        Ok(Self { folder: folder.to_owned(), image: None })
    }

    /// An empty card of `bytes` in the place of what was in `folder`: ext4, which turns read-only when something is wrong.
    pub fn card(folder: &Path, bytes: u64) -> Result<Self> {
        fs::create_dir_all(folder)?;
        let image = TempDir::with_prefix("card-")?;
        let disk = Self { folder: folder.to_owned(), image: Some((image, 0)) };
        File::create(disk.image()?)?.set_len(bytes)?;
        run(Command::new("mkfs.ext4").args(["-q", "-F"]).arg(disk.image()?))?;
        disk.insert()?;
        Ok(disk)
    }

    /// The kernel finds something wrong with the card, and turns it read-only for good.
    pub fn fail(&self) -> Result<()> {
        mount(None::<&str>, &self.folder, None::<&str>, MsFlags::MS_REMOUNT, Some("abort"))
            .context("the end of an ext4")
    }

    /// The card is put in order, with what had been synced, and takes the place of the one that failed; whoever has files of that one
    /// open keeps them as they were.
    pub fn repair(&mut self) -> Result<()> {
        let failed = self.image()?;
        if let Some((_, times)) = &mut self.image {
            *times += 1;
        }
        // mount(8) would take the failed one again, as long as anybody has files of it open.
        fs::copy(failed, self.image()?)?;
        let mut check = Command::new("e2fsck");
        let code = check.arg("-fy").arg(self.image()?).output()?.status.code();
        ensure!(code.is_some_and(|code| code < 2), "e2fsck ended with {code:?}");
        self.insert()
    }

    fn insert(&self) -> Result<()> {
        run(Command::new("mount").args(["-o", "loop,errors=remount-ro"]).arg(self.image()?).arg(&self.folder))
    }

    fn image(&self) -> Result<PathBuf> {
        let (folder, times) = self.image.as_ref().context("a RAM disk cannot fail")?;
        Ok(folder.path().join(format!("image-{times}")))
    }

    /// Pages that are free.
    pub fn free(&self) -> Result<u64> {
        let disk = statvfs(&self.folder)?;
        Ok(disk.blocks_available() as u64 * disk.fragment_size() as u64 / PAGE)
    }

    /// Takes all room but so many pages; whoever writes meanwhile takes of those.
    pub fn leave(&self, pages: u64) -> Result<()> {
        let ballast = File::options().create(true).append(true).open(self.folder.join(BALLAST))?;
        wait_for("the rest of a small disk", PATIENCE, || {
            let (taken, free) = (ballast.metadata().ok()?.len(), self.free().ok()?);
            if free <= pages {
                return ballast.set_len(taken.saturating_sub((pages - free) * PAGE)).ok();
            }
            let more = i64::try_from((free - pages) * PAGE).ok()?;
            // Somebody else may have been faster.
            fallocate(&ballast, FallocateFlags::empty(), i64::try_from(taken).ok()?, more).ok()
        })
    }

    /// Gives the room back.
    pub fn make_room(&self) -> Result<()> {
        give_back(&self.folder.join(BALLAST))
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        while umount2(&self.folder, MntFlags::MNT_DETACH).is_ok() {}
    }
}

/// Removes a file whose room is free at once: a process that is about to be started may have it open for a moment yet.
fn give_back(path: &Path) -> Result<()> {
    File::options().write(true).truncate(true).open(path)?;
    Ok(fs::remove_file(path)?)
}

fn run(command: &mut Command) -> Result<()> {
    let output = command.output().with_context(|| format!("{command:?}"))?;
    ensure!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{ErrorKind, Write};

    #[test]
    fn a_disk_has_as_many_pages_as_it_is_left() {
        let folder = tempfile::tempdir().unwrap();
        with_own_mounts(|| {
            let disk = Disk::ram(folder.path(), 1 << 20)?;
            for pages in [7, 0, 3] {
                disk.leave(pages)?;
                let mut file = File::create(folder.path().join("file"))?;
                let error = file.write_all(&vec![0; (pages * PAGE + 1) as usize]).unwrap_err();
                assert_eq!(error.kind(), ErrorKind::StorageFull);
                assert_eq!(file.metadata()?.len(), pages * PAGE);
                give_back(&folder.path().join("file"))?;
            }
            disk.make_room()?;
            assert_eq!(disk.free()?, 256);
            Ok(())
        });
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "nobody else has seen it");
    }

    #[test]
    fn a_card_that_fails_is_read_only_until_it_is_repaired() {
        let folder = tempfile::tempdir().unwrap();
        with_own_mounts(|| {
            let mut card = Disk::card(folder.path(), 16 << 20)?;
            let file = folder.path().join("file");
            fs::write(&file, "kept")?;
            let open = File::open(&file)?;
            open.sync_all()?;
            card.fail()?;
            assert_eq!(fs::write(&file, "lost").unwrap_err().kind(), ErrorKind::ReadOnlyFilesystem);
            card.repair()?;
            assert_eq!(fs::read_to_string(&file)?, "kept");
            Ok(fs::write(&file, "written")?)
        });
    }
}

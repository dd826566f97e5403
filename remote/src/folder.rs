//! A folder that is held open: its files are reached through its descriptor, links are never followed, and opening never
//! waits (for the other end of a FIFO).

use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, AtFlags, OFlag, RenameFlags, openat, renameat2};
use nix::sys::stat::{FileStat, Mode, SFlag, fstatat, mkdirat};
use nix::sys::statvfs::{FsFlags, fstatvfs};
use nix::unistd::{UnlinkatFlags, linkat, unlinkat};
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What the system refused, and where.
#[derive(Debug, thiserror::Error)]
#[error("cannot {doing} {path}: {source}")]
pub struct Error {
    /// What was tried: `open`, `rename`.
    doing: &'static str,
    path: PathBuf,
    source: io::Error,
}

impl Error {
    /// `doing` (`open`, `rename`) failed on `path`.
    pub fn new(doing: &'static str, path: &Path, source: impl Into<io::Error>) -> Self {
        Self { doing, path: path.to_owned(), source: source.into() }
    }

    /// The host lacks something that every file needs: room, memory, descriptors, a disk that works and can be written.
    pub fn is_scarcity(&self) -> bool {
        use Errno::{EBADMSG, EIO, ENODEV, ENOMEDIUM, ENXIO, EREMOTEIO, EROFS, ESHUTDOWN, EUCLEAN};
        use Errno::{EDQUOT, EMFILE, ENFILE, ENOMEM, ENOSPC};
        const SCARCE: [Errno; 5] = [EDQUOT, EMFILE, ENFILE, ENOMEM, ENOSPC];
        const FAILED: [Errno; 9] =
            [EBADMSG, EIO, ENODEV, ENOMEDIUM, ENXIO, EREMOTEIO, EROFS, ESHUTDOWN, EUCLEAN];
        let errno = self.source.raw_os_error().map(Errno::from_raw);
        errno.is_some_and(|errno| SCARCE.contains(&errno) || FAILED.contains(&errno))
    }

    /// Not allowed to: the file's owner keeps us out.
    pub fn is_denied(&self) -> bool {
        self.source.kind() == io::ErrorKind::PermissionDenied
    }
}

/// What stands under a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Meta {
    /// What kind of file it is.
    pub kind: Kind,
    /// Bytes.
    pub size: u64,
    /// Device and inode: which file it is.
    pub id: (u64, u64),
    /// When its bytes, owner, mode or names last changed, since 1970; whoever may write it cannot set this.
    pub changed: Duration,
}

/// A kind of file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A regular file.
    File,
    /// A folder.
    Folder,
    /// A link, FIFO, socket or device.
    Other(&'static str),
}

/// Whether a file could be moved or made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moved {
    /// It was.
    Done,
    /// There is no such file.
    Absent,
    /// There is one of the new name.
    Exists,
}

/// An open folder.
#[derive(Debug)]
pub struct Folder {
    fd: OwnedFd,
    path: PathBuf,
}

/// Names of a folder, one after the other, however many there are.
pub type Names = Box<dyn Iterator<Item = Result<OsString, Error>> + Send>;

const OPEN: OFlag = OFlag::O_CLOEXEC.union(OFlag::O_NOFOLLOW).union(OFlag::O_NONBLOCK);

impl Folder {
    /// Opens a folder by its path. What is above its last component is ours, and links there are fine.
    ///
    /// # Errors
    /// There is none, or it is not for us.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let fd = openat(AT_FDCWD, path, OPEN | OFlag::O_DIRECTORY, Mode::empty());
        Ok(Self { fd: fd.map_err(|errno| Error::new("open", path, errno))?, path: path.to_owned() })
    }

    /// A folder in it; `None` if there is none of that name.
    ///
    /// # Errors
    /// It is not for us.
    pub fn folder(&self, name: &str) -> Result<Option<Self>, Error> {
        match openat(&self.fd, name, OPEN | OFlag::O_DIRECTORY, Mode::empty()) {
            Ok(fd) => Ok(Some(Self { fd, path: self.path.join(name) })),
            Err(Errno::ENOENT | Errno::ENOTDIR | Errno::ELOOP) => Ok(None),
            Err(errno) => Err(self.error("open", name, errno)),
        }
    }

    /// Makes a folder in it and opens that; one that is there is fine.
    ///
    /// # Errors
    /// It can be neither made nor opened.
    pub fn make_folder(&self, name: &str) -> Result<Self, Error> {
        match mkdirat(&self.fd, name, Mode::from_bits_truncate(0o700)) {
            Ok(()) | Err(Errno::EEXIST) => {}
            Err(errno) => return Err(self.error("make", name, errno)),
        }
        self.folder(name)?.ok_or_else(|| self.error("open", name, Errno::ENOTDIR))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What stands under `name`.
    ///
    /// # Errors
    /// The system refuses.
    pub fn look(&self, name: impl AsRef<Path>) -> Result<Option<Meta>, Error> {
        match fstatat(&self.fd, name.as_ref(), AtFlags::AT_SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some(meta(&stat))),
            Err(Errno::ENOENT) => Ok(None),
            Err(errno) => Err(self.error("look at", name, errno)),
        }
    }

    /// Opens the regular file `name` for reading; `None` if there is no regular file of that name.
    ///
    /// # Errors
    /// It is not for us.
    pub fn open_file(&self, name: impl AsRef<Path>) -> Result<Option<File>, Error> {
        let file = match openat(&self.fd, name.as_ref(), OPEN, Mode::empty()) {
            Ok(fd) => File::from(fd),
            Err(Errno::ENOENT | Errno::ELOOP | Errno::ENXIO) => return Ok(None),
            Err(errno) => return Err(self.error("open", name, errno)),
        };
        let metadata = file.metadata().map_err(|source| self.error("look at", name, source))?;
        Ok(metadata.is_file().then_some(file))
    }

    /// Makes the file `name`, which must not be there, for reading and writing; later openings are bound by `mode`.
    ///
    /// # Errors
    /// It is there, or cannot be made.
    pub fn create(&self, name: impl AsRef<Path>, mode: u32) -> Result<File, Error> {
        let flags = OPEN | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_RDWR;
        let made = openat(&self.fd, name.as_ref(), flags, Mode::from_bits_truncate(mode));
        made.map(File::from).map_err(|errno| self.error("create", name, errno))
    }

    /// Reads a small file; of a larger one `most` bytes and one more. `None` if there is no such regular file.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn read(&self, name: impl AsRef<Path>, most: u64) -> Result<Option<Vec<u8>>, Error> {
        let Some(file) = self.open_file(&name)? else { return Ok(None) };
        let mut bytes = Vec::new();
        file.take(most + 1).read_to_end(&mut bytes).map_err(|source| self.error("read", name, source))?;
        Ok(Some(bytes))
    }

    /// Puts a small file in the place of what was there, durably.
    ///
    /// # Errors
    /// It cannot be written; what was there still is.
    pub fn replace(&self, name: &str, bytes: &[u8]) -> Result<(), Error> {
        let unfinished = format!("{name}.tmp");
        self.remove(&unfinished)?;
        let mut file = self.create(&unfinished, 0o640)?;
        let written = file.write_all(bytes).and_then(|()| file.sync_all());
        written.map_err(|source| self.error("write", &unfinished, source))?;
        self.rename(&unfinished, self, name, RenameFlags::empty())?;
        self.sync()
    }

    /// Gives a file one more name; both folders are on one file system.
    ///
    /// # Errors
    /// The system refuses.
    pub fn link(&self, name: &str, to: &Self, new: &str) -> Result<Moved, Error> {
        match linkat(&self.fd, name, &to.fd, new, AtFlags::empty()) {
            Ok(()) => Ok(Moved::Done),
            Err(Errno::EEXIST) => Ok(Moved::Exists),
            Err(errno) => Err(to.error("link", new, errno)),
        }
    }

    /// Renames a file; with `RENAME_NOREPLACE` an existing one stays.
    ///
    /// # Errors
    /// The system refuses.
    pub fn rename(
        &self,
        name: impl AsRef<Path>,
        to: &Self,
        new: impl AsRef<Path>,
        flags: RenameFlags,
    ) -> Result<Moved, Error> {
        match renameat2(&self.fd, name.as_ref(), &to.fd, new.as_ref(), flags) {
            Ok(()) => Ok(Moved::Done),
            Err(Errno::ENOENT) => Ok(Moved::Absent),
            Err(Errno::EEXIST) => Ok(Moved::Exists),
            Err(errno) => Err(self.error("rename", name, errno)),
        }
    }

    /// Removes a file; that it is not there is fine.
    ///
    /// # Errors
    /// The system refuses.
    pub fn remove(&self, name: impl AsRef<Path>) -> Result<(), Error> {
        self.unlink(name, UnlinkatFlags::NoRemoveDir)
    }

    /// Removes a folder if nothing is in it; that it is not there is fine.
    ///
    /// # Errors
    /// The system refuses.
    pub fn remove_empty(&self, name: &str) -> Result<(), Error> {
        match unlinkat(&self.fd, name, UnlinkatFlags::RemoveDir) {
            Ok(()) | Err(Errno::ENOENT | Errno::ENOTEMPTY) => Ok(()),
            Err(errno) => Err(self.error("remove", name, errno)),
        }
    }

    /// Removes a folder with all that is in it; that it is not there is fine.
    ///
    /// # Errors
    /// The system refuses; some of it may be gone.
    pub fn remove_folder(&self, name: &str) -> Result<(), Error> {
        if let Some(folder) = self.folder(name)? {
            for entry in folder.names()? {
                let entry = entry?;
                match (folder.look(&entry)?, entry.to_str()) {
                    (Some(Meta { kind: Kind::Folder, .. }), Some(inner)) => folder.remove_folder(inner)?,
                    _ => folder.remove(&entry)?,
                }
            }
        }
        self.unlink(name, UnlinkatFlags::RemoveDir)
    }

    /// Whether its disk can be written, as far as the kernel knows: one that fails is turned read-only. Writes nothing.
    ///
    /// # Errors
    /// It cannot, or the system refuses.
    pub fn writable(&self) -> Result<(), Error> {
        let disk = fstatvfs(&self.fd).map_err(|errno| Error::new("look at", &self.path, errno))?;
        if disk.flags().contains(FsFlags::ST_RDONLY) {
            return Err(Error::new("write in", &self.path, Errno::EROFS));
        }
        // An ext4 that has met an error does not say so there.
        self.sync()
    }

    /// Makes what was created, renamed or removed in it durable.
    ///
    /// # Errors
    /// It is not.
    pub fn sync(&self) -> Result<(), Error> {
        nix::unistd::fsync(&self.fd).map_err(|errno| Error::new("sync", &self.path, errno))
    }

    /// A descriptor of its own, for flocks.
    ///
    /// # Errors
    /// There is none left.
    pub fn handle(&self) -> Result<File, Error> {
        let copy = openat(&self.fd, ".", OPEN | OFlag::O_DIRECTORY, Mode::empty());
        copy.map(File::from).map_err(|errno| Error::new("open", &self.path, errno))
    }

    /// The names in it, read piece by piece. What is added or removed meanwhile may be among them or not.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn names(&self) -> Result<Names, Error> {
        let path = self.path.clone();
        let read = move |errno| Error::new("read", &path, errno);
        let dir = Dir::from_fd(OwnedFd::from(self.handle()?)).map_err(&read)?;
        let names = dir.into_iter().map(move |entry| {
            let entry = entry.map_err(&read)?;
            Ok(OsString::from_vec(entry.file_name().to_bytes().to_vec()))
        });
        let is_entry = |name: &OsString| name != "." && name != "..";
        Ok(Box::new(names.filter(move |name| name.as_ref().map_or(true, is_entry))))
    }

    fn unlink(&self, name: impl AsRef<Path>, flags: UnlinkatFlags) -> Result<(), Error> {
        match unlinkat(&self.fd, name.as_ref(), flags) {
            Ok(()) | Err(Errno::ENOENT) => Ok(()),
            Err(errno) => Err(self.error("remove", name, errno)),
        }
    }

    fn error(&self, doing: &'static str, name: impl AsRef<Path>, source: impl Into<io::Error>) -> Error {
        Error::new(doing, &self.path.join(name), source)
    }
}

/// Which file an open one is.
///
/// # Errors
/// The system refuses.
pub fn id(file: &File) -> io::Result<(u64, u64)> {
    use std::os::unix::fs::MetadataExt;
    let metadata = file.metadata()?;
    Ok((metadata.dev(), metadata.ino()))
}

fn meta(stat: &FileStat) -> Meta {
    let kind = match SFlag::from_bits_truncate(stat.st_mode & SFlag::S_IFMT.bits()) {
        SFlag::S_IFREG => Kind::File,
        SFlag::S_IFDIR => Kind::Folder,
        SFlag::S_IFLNK => Kind::Other("a symbolic link"),
        SFlag::S_IFIFO => Kind::Other("a FIFO"),
        SFlag::S_IFSOCK => Kind::Other("a socket"),
        _ => Kind::Other("a device"),
    };
    // The widths of these differ from one architecture to the other.
    #[allow(clippy::unnecessary_cast)]
    Meta {
        kind,
        size: stat.st_size as u64,
        id: (stat.st_dev as u64, stat.st_ino as u64),
        changed: Duration::new(stat.st_ctime as u64, stat.st_ctime_nsec as u32),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_not_followed_and_a_fifo_does_not_hold_anybody_up() {
        let dir = tempfile::tempdir().expect("dir");
        let folder = Folder::open(dir.path()).expect("opens");
        std::fs::write(dir.path().join("file"), b"bytes").expect("writes");
        std::os::unix::fs::symlink("file", dir.path().join("link")).expect("links");
        nix::unistd::mkfifo(&dir.path().join("fifo"), Mode::S_IRWXU).expect("makes");
        std::fs::create_dir(dir.path().join("inner")).expect("makes");
        std::os::unix::fs::symlink("inner", dir.path().join("inner-link")).expect("links");

        assert_eq!(folder.read("file", 3).expect("reads").as_deref(), Some(&b"byte"[..]));
        for name in ["link", "fifo", "inner", "absent"] {
            assert!(folder.open_file(name).expect("answers").is_none(), "{name}");
        }
        assert!(folder.folder("inner").expect("opens").is_some());
        assert!(folder.folder("inner-link").expect("answers").is_none());
        let kind = |name: &str| folder.look(name).expect("answers").map(|meta| meta.kind);
        assert_eq!(kind("link"), Some(Kind::Other("a symbolic link")));
        assert_eq!(kind("fifo"), Some(Kind::Other("a FIFO")));
        assert_eq!((kind("inner"), kind("absent")), (Some(Kind::Folder), None));
    }

    #[test]
    fn a_folder_is_removed_with_all_that_is_in_it_and_nothing_behind_its_links() {
        let dir = tempfile::tempdir().expect("dir");
        let folder = Folder::open(dir.path()).expect("opens");
        std::fs::write(dir.path().join("kept"), b"").expect("writes");
        let inner = folder.make_folder("a").expect("makes").make_folder("b").expect("makes");
        std::os::unix::fs::symlink(dir.path(), inner.path().join("up")).expect("links");
        folder.remove_folder("a").expect("removes");
        let names: Vec<_> = folder.names().expect("reads").map(|name| name.expect("reads")).collect();
        assert_eq!(names, ["kept"]);
    }
}

//! The inbox on the remote host: carries out the steps of the handshake over SFTP.

use super::error::Error;
use super::link::Link;
use super::posix_rename::Renamer;
use libssh2_sys::{
    LIBSSH2_ERROR_EAGAIN, LIBSSH2_ERROR_SFTP_PROTOCOL, LIBSSH2_FX_FAILURE, LIBSSH2_FX_FILE_ALREADY_EXISTS,
    LIBSSH2_FX_NO_SUCH_FILE, LIBSSH2_FX_NO_SUCH_PATH, LIBSSH2_FX_PERMISSION_DENIED,
};
use media::handshake::{Reply, Step};
use media::names::{LockToken, MOST_TOKEN_BYTES, RecordingName};
use ssh2::{ErrorCode, File, FileStat, OpenFlags, OpenType, Session, Sftp};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// Bytes that may be on their way without an answer: enough for 20 Mbit/s over 100 ms, and held in memory twice.
const WINDOW: usize = 256 << 10;
/// With less room than this on the remote host, a write that fails has failed for want of room.
const FULL_BELOW: u64 = 1 << 20;

/// A recording on the edge, opened for its upload.
pub struct Local {
    pub name: RecordingName,
    pub path: PathBuf,
    pub file: std::fs::File,
}

impl Local {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> Result<(), Error> {
        let failed = |source| Error::Recording { path: self.path.clone(), source };
        self.file.read_exact_at(buf, offset).map_err(failed)
    }
}

/// The inbox. Fields are let go in their order: files, channels, then the session.
pub struct Inbox {
    /// `NAME.part`, open for writing, and whose it is.
    part: Option<(RecordingName, File)>,
    renamer: Option<Renamer>,
    sftp: Sftp,
    link: Link,
    dir: String,
}

impl Drop for Inbox {
    fn drop(&mut self) {
        // Before the files are let go: each would wait for the answer to its close.
        self.link.hang_up();
    }
}

impl Inbox {
    /// Begins SFTP in the folder `dir`, relative to where the account lands.
    pub fn open(link: Link, dir: &str) -> Result<Self, Error> {
        let sftp = link.ask("begin SFTP", || link.session.sftp())?;
        let sftp = sftp.map_err(|source| refused(&link, "begin", "SFTP", source))?;
        Ok(Self { part: None, renamer: None, sftp, link, dir: dir.to_owned() })
    }

    /// Carries out one step for `local`. `confirmed` hears how far the part is confirmed.
    pub fn perform(
        &mut self,
        step: &Step,
        local: &Local,
        token: &LockToken,
        confirmed: &mut dyn FnMut(u64),
    ) -> Result<Reply, Error> {
        let path = |extension: &str| format!("{}/{}.{extension}", self.dir, local.name);
        let (lock, part, mp4) = (path("lockfile"), path("part"), path("mp4"));
        match step {
            Step::CreateLock => self.create_lock(&lock, token),
            Step::ReadLock => self.read_lock(&lock),
            Step::WriteLock => self.write_lock(&lock, token),
            Step::RemoveLock => self.absent_or("remove", &lock, || self.sftp.unlink(Path::new(&lock))),
            Step::SizePart => self.size(&part),
            Step::CreatePart => {
                self.part = None;
                let flags = OpenFlags::WRITE | OpenFlags::TRUNCATE;
                self.part = Some((local.name, self.open_file("create", &part, flags)?));
                Ok(Reply::Done)
            }
            Step::VerifyPart { from, to } => self.verify(&part, local, *from, *to),
            Step::WritePart { from, to } => self.write(&part, local, (*from, *to), confirmed),
            Step::SyncPart => {
                self.open_part(&part, local)?;
                let Self { part: Some((_, file)), link, .. } = self else { return Ok(Reply::Absent) };
                let synced = link.ask("sync", || file.fsync())?;
                synced.map(|()| Reply::Done).map_err(|source| self.why("sync", &part, source))
            }
            Step::SizeRecording => self.size(&mp4),
            Step::Rename => {
                // The handle would keep the old name's inode open.
                self.part = None;
                self.rename(&part, &mp4)
            }
            Step::SyncDir => self.sync_dir(),
            Step::WriteJournal(_) | Step::Free => Ok(Reply::Done),
        }
    }

    /// Why the lockfile could not be created although there is none: `true` if for want of room.
    pub fn is_full(&self) -> Result<bool, Error> {
        let mut dir = self.open_file("open", &self.dir, OpenFlags::READ)?;
        let Ok(room) = self.link.ask("ask for the room in", || dir.statvfs())? else { return Ok(false) };
        Ok(room.f_favail == 0 && room.f_files > 0 || room.f_bavail.saturating_mul(room.f_frsize) < FULL_BELOW)
    }

    fn create_lock(&self, path: &str, token: &LockToken) -> Result<Reply, Error> {
        let flags = OpenFlags::WRITE | OpenFlags::EXCLUSIVE;
        let created =
            self.link.ask("create", || self.sftp.open_mode(Path::new(path), flags, 0o644, OpenType::File))?;
        match created {
            Ok(file) => self.fill_lock(file, path, token),
            Err(error) if is(&error, &[LIBSSH2_FX_FAILURE, LIBSSH2_FX_FILE_ALREADY_EXISTS]) => {
                Ok(Reply::Refused)
            }
            Err(source) => Err(refused(&self.link, "create", path, source)),
        }
    }

    fn write_lock(&self, path: &str, token: &LockToken) -> Result<Reply, Error> {
        let opened = self
            .link
            .ask("open", || self.sftp.open_mode(Path::new(path), OpenFlags::WRITE, 0o644, OpenType::File))?;
        match opened {
            Ok(mut file) => {
                let empty =
                    FileStat { size: Some(0), uid: None, gid: None, perm: None, atime: None, mtime: None };
                let emptied = self.link.ask("empty", || file.setstat(empty.clone()))?;
                emptied.map_err(|source| refused(&self.link, "empty", path, source))?;
                self.fill_lock(file, path, token)
            }
            Err(error) if is_absent(&error) => Ok(Reply::Absent),
            Err(source) => Err(refused(&self.link, "open", path, source)),
        }
    }

    fn fill_lock(&self, mut file: File, path: &str, token: &LockToken) -> Result<Reply, Error> {
        let text = token.to_string();
        let mut rest = text.as_bytes();
        while !rest.is_empty() {
            let session = &self.link.session;
            let written =
                self.link.ask("write", || file.write(rest).map_err(|error| ssh_error(session, &error)))?;
            let written = written.map_err(|source| self.why("write", path, source))?;
            rest = rest.get(written..).unwrap_or_default();
        }
        let synced = self.link.ask("sync", || file.fsync())?;
        synced.map(|()| Reply::Done).map_err(|source| self.why("sync", path, source))
    }

    fn read_lock(&self, path: &str) -> Result<Reply, Error> {
        let opened = self.link.ask("open", || self.sftp.open(path))?;
        match opened {
            Ok(mut file) => {
                let mut content = vec![0; MOST_TOKEN_BYTES + 1];
                let length = self.fill(&mut file, path, &mut content)?;
                content.truncate(length);
                Ok(Reply::Lock(content))
            }
            Err(error) if is_absent(&error) => Ok(Reply::Absent),
            Err(source) => Err(refused(&self.link, "open", path, source)),
        }
    }

    fn size(&self, path: &str) -> Result<Reply, Error> {
        match self.link.ask("look at", || self.sftp.lstat(Path::new(path)))? {
            Ok(stat) => Ok(Reply::Size(stat.size.unwrap_or(0))),
            Err(error) if is_absent(&error) => Ok(Reply::Absent),
            Err(source) => Err(refused(&self.link, "look at", path, source)),
        }
    }

    /// Reads back what is there, and compares.
    fn verify(&self, path: &str, local: &Local, from: u64, to: u64) -> Result<Reply, Error> {
        let mut file = self.open_file("open", path, OpenFlags::READ)?;
        // Only the handle's own offset: no request is on its way yet.
        let _at = file.seek(SeekFrom::Start(from));
        let (mut theirs, mut ours) = (vec![0; WINDOW], vec![0; WINDOW]);
        let mut at = from;
        while at < to {
            let length = WINDOW.min(usize::try_from(to - at).unwrap_or(WINDOW));
            let (theirs, ours) = (&mut theirs[..length], &mut ours[..length]);
            local.read_at(ours, at)?;
            if self.fill(&mut file, path, theirs)? < length || theirs != ours {
                tracing::warn!(recording = %local.name, from = at, "the part there is not what was sent; it is sent again");
                return Ok(Reply::Same(false));
            }
            at += length as u64;
        }
        Ok(Reply::Same(true))
    }

    /// Reads until `buf` is full or the file ends; gives how much there was.
    fn fill(&self, file: &mut File, path: &str, buf: &mut [u8]) -> Result<usize, Error> {
        let session = &self.link.session;
        let mut length = 0;
        while length < buf.len() {
            let rest = &mut buf[length..];
            let read =
                self.link.ask("read", || file.read(rest).map_err(|error| ssh_error(session, &error)))?;
            match read.map_err(|source| refused(&self.link, "read", path, source))? {
                0 => break,
                read => length += read,
            }
        }
        Ok(length)
    }

    /// Sends the bytes `from..to`. The window slides: new bytes are sent while earlier ones are not confirmed yet.
    fn write(
        &mut self,
        path: &str,
        local: &Local,
        (from, to): (u64, u64),
        confirmed: &mut dyn FnMut(u64),
    ) -> Result<Reply, Error> {
        self.open_part(path, local)?;
        let Self { part: Some((_, file)), link, .. } = &mut *self else { return Ok(Reply::Absent) };
        // Only the handle's own offset: whatever was sent over this handle is confirmed.
        let _at = file.seek(SeekFrom::Start(from));
        let mut window = Vec::with_capacity(WINDOW);
        let mut at = from;
        while at < to {
            let begun = window.len();
            if begun <= WINDOW / 2 {
                let left = usize::try_from(to - at).unwrap_or(WINDOW).min(WINDOW);
                window.resize(left, 0);
                local.read_at(window.get_mut(begun..).unwrap_or_default(), at + begun as u64)?;
                confirmed(at);
            }
            let written =
                link.ask("write", || file.write(&window).map_err(|error| ssh_error(&link.session, &error)))?;
            match written {
                Ok(written) => {
                    let written = written.min(window.len());
                    window.drain(..written);
                    at += written as u64;
                }
                Err(source) => return Err(self.why("write", path, source)),
            }
        }
        confirmed(to);
        Ok(Reply::Done)
    }

    fn open_part(&mut self, path: &str, local: &Local) -> Result<(), Error> {
        if self.part.as_ref().is_none_or(|(name, _)| *name != local.name) {
            self.part = None;
            self.part = Some((local.name, self.open_file("open", path, OpenFlags::WRITE)?));
        }
        Ok(())
    }

    fn rename(&mut self, from: &str, to: &str) -> Result<Reply, Error> {
        let renamer = match self.renamer.take() {
            Some(renamer) => renamer,
            None => {
                let opened = self.link.ask("begin SFTP", || Renamer::open(&self.link.session))?;
                opened.map_err(|source| refused(&self.link, "begin", "SFTP", source))?
            }
        };
        let renamer = self.renamer.insert(renamer);
        let (sftp, link) = (&*renamer, &self.link);
        match link.ask("rename", || sftp.rename(from, to))? {
            Ok(()) => Ok(Reply::Done),
            Err(error) if is_absent(&error) => Ok(Reply::Absent),
            Err(source) => Err(refused(link, "rename", from, source)),
        }
    }

    /// OpenSSH lets a folder be opened like a file, and synced.
    fn sync_dir(&self) -> Result<Reply, Error> {
        let mut dir = self.open_file("open", &self.dir, OpenFlags::READ)?;
        let synced = self.link.ask("sync", || dir.fsync())?;
        synced.map(|()| Reply::Done).map_err(|source| refused(&self.link, "sync", &self.dir, source))
    }

    /// Asks for something that may be gone already.
    fn absent_or(
        &self,
        doing: &'static str,
        path: &str,
        request: impl FnMut() -> Result<(), ssh2::Error>,
    ) -> Result<Reply, Error> {
        match self.link.ask(doing, request)? {
            Ok(()) => Ok(Reply::Done),
            Err(error) if is_absent(&error) => Ok(Reply::Absent),
            Err(source) => Err(refused(&self.link, doing, path, source)),
        }
    }

    fn open_file(&self, doing: &'static str, path: &str, flags: OpenFlags) -> Result<File, Error> {
        let opened =
            self.link.ask(doing, || self.sftp.open_mode(Path::new(path), flags, 0o644, OpenType::File))?;
        opened.map_err(|source| refused(&self.link, doing, path, source))
    }

    /// SFTP says only "failure" when there is no room: asks how much there is.
    fn why(&self, doing: &'static str, path: &str, source: ssh2::Error) -> Error {
        match self.is_full() {
            Ok(true) => Error::DiskFull { remote: self.link.remote.clone(), doing, path: path.to_owned() },
            Ok(false) => refused(&self.link, doing, path, source),
            Err(error) => error,
        }
    }
}

fn refused(link: &Link, doing: &'static str, path: &str, source: ssh2::Error) -> Error {
    let (remote, path) = (link.remote.clone(), path.to_owned());
    if is_absent(&source) || is(&source, &[LIBSSH2_FX_PERMISSION_DENIED]) {
        Error::NoPermission { remote, doing, path }
    } else {
        Error::Refused { remote, doing, path, source }
    }
}

fn is(error: &ssh2::Error, codes: &[i32]) -> bool {
    codes.iter().any(|code| error.code() == ErrorCode::SFTP(*code))
}

fn is_absent(error: &ssh2::Error) -> bool {
    is(error, &[LIBSSH2_FX_NO_SUCH_FILE, LIBSSH2_FX_NO_SUCH_PATH])
}

/// ssh2 hides the code of a failed read or write; the session still knows whether it broke.
fn ssh_error(session: &Session, error: &io::Error) -> ssh2::Error {
    let code = match error.kind() {
        io::ErrorKind::WouldBlock => ErrorCode::Session(LIBSSH2_ERROR_EAGAIN),
        _ => match ssh2::Error::last_session_error(session).map(|error| error.code()) {
            Some(ErrorCode::Session(LIBSSH2_ERROR_SFTP_PROTOCOL)) | None => {
                ErrorCode::SFTP(LIBSSH2_FX_FAILURE)
            }
            Some(code) => code,
        },
    };
    ssh2::Error::from_errno(code)
}

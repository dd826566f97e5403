//! The inbox on the remote host: carries out the steps of the handshake over SFTP.

use super::error::Error;
use super::link::Link;
use super::local::Local;
use super::pace::Pace;
use super::posix_rename::Renamer;
use super::syncs::Syncs;
use libssh2_sys::{
    LIBSSH2_ERROR_EAGAIN, LIBSSH2_ERROR_SFTP_PROTOCOL, LIBSSH2_FX_FAILURE, LIBSSH2_FX_FILE_ALREADY_EXISTS,
    LIBSSH2_FX_NO_SUCH_FILE, LIBSSH2_FX_NO_SUCH_PATH, LIBSSH2_FX_PERMISSION_DENIED, LIBSSH2_SFTP_STATVFS,
};
use media::handshake::{Reply, Step};
use media::mp4::{self, MEDIA_AT, SEAL_TYPE};
use media::names::{LockToken, MOST_TOKEN_BYTES, RecordingName};
use ssh2::{ErrorCode, File, FileStat, OpenFlags, OpenType, Session, Sftp};
use std::collections::HashMap;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;

/// Bytes that are read back at once.
const READ_BACK: usize = 256 << 10;
/// With less room than this on the remote host, a write that fails has failed for want of room.
const FULL_BELOW: u64 = 1 << 20;
/// `SSH_FXE_STATVFS_ST_RDONLY` of OpenSSH's statvfs extension.
const READ_ONLY: u64 = 1;

/// Where it flows this much is confirmed at a time: half a piece.
const ENOUGH: usize = 256 << 10;
/// Zeros that are worth a request of their own behind them.
const LONG_RUN: usize = 4 << 10;

/// The inbox. Fields are let go in their order: files, channels, then the session.
pub struct Inbox {
    /// What is under way, open for writing.
    parts: HashMap<RecordingName, Part>,
    /// The part of which more is on its way than is confirmed.
    flowing: Option<RecordingName>,
    syncs: Syncs,
    renamer: Option<Renamer>,
    sftp: Sftp,
    link: Link,
    dir: String,
    /// What is being sent or compared; kept so that it need not be made anew for each GOP.
    buf: Vec<u8>,
}

/// `NAME.part`.
struct Part {
    file: File,
    /// What is told as confirmed ends here.
    told: u64,
    /// What is confirmed behind that, since another recording came between.
    ahead: u64,
    /// Bytes that are on their way; while there are any the library takes each write for their continuation.
    on_its_way: usize,
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
        let (parts, dir) = (HashMap::new(), dir.to_owned());
        Ok(Self {
            parts,
            flowing: None,
            syncs: Syncs::default(),
            renamer: None,
            sftp,
            link,
            dir,
            buf: Vec::new(),
        })
    }

    /// Carries out one step for `local`; of a [`Step::WritePart`] as much at once as `pace` says.
    pub fn perform(
        &mut self,
        step: &Step,
        local: &Local,
        token: &LockToken,
        pace: &Pace,
    ) -> Result<Reply, Error> {
        let most = pace.piece();
        let goes_on = matches!(step, Step::WritePart { .. } | Step::BeginSync | Step::EndSync);
        if !goes_on || self.flowing != Some(local.name) {
            self.settle()?;
        }
        let path = |extension: &str| format!("{}/{}.{extension}", self.dir, local.name);
        let (lock, part, whole) = (path("lockfile"), path("part"), path(local.extension));
        match step {
            Step::CreateLock => self.create_lock(&lock, token),
            Step::ReadLock => self.read_lock(&lock),
            Step::WriteLock => self.write_lock(&lock, token),
            Step::RemoveLock => self.absent_or("remove", &lock, || self.sftp.unlink(Path::new(&lock))),
            Step::SizePart => self.size(&part),
            Step::CreatePart => self.create_part(&part, local),
            Step::CutPart(to) => self.cut(&part, local, *to),
            Step::EndPart(at) => self.end(&part, local, *at),
            Step::PeekPart => self.peek(&part, local),
            Step::SetAside => {
                self.forget(&local.name)?;
                self.set_aside(&part, &format!("{}/{}-lost.part", self.dir, local.name))
            }
            Step::VerifyPart { from, to } => self.verify(&part, local, *from, *to),
            Step::WriteHead => self.write_head(&part, local),
            Step::WritePart { from, to } => {
                self.write(&part, local, *from, (*to).min(from.saturating_add(most)), pace.flows())
            }
            Step::WriteRoom { from } => {
                self.write_room(&part, local, *from, MEDIA_AT.min(from.saturating_add(most)))
            }
            Step::SyncPart => self.sync_part(&part, local),
            Step::BeginSync => self.begin_sync(&part, local),
            Step::EndSync => self.end_sync(&part, local),
            Step::SizeRecording => self.size(&whole),
            Step::Rename => {
                // The handle would keep the old name's inode open.
                self.forget(&local.name)?;
                self.rename(&part, &whole)
            }
            Step::SyncDir => self.sync_dir(),
            Step::WriteJournal(_) | Step::Wait | Step::Free => Ok(Reply::Done),
        }
    }

    /// The part of this recording is no longer written.
    pub fn forget(&mut self, name: &RecordingName) -> Result<(), Error> {
        self.settle()?;
        self.syncs.forget(&self.link, name)?;
        self.parts.remove(name).map_or(Ok(()), |part| self.link.close(part.file))
    }

    /// Closes the parts of all recordings that are not to be kept.
    pub fn keep(&mut self, keep: impl Fn(&RecordingName) -> bool) -> Result<(), Error> {
        let gone: Vec<RecordingName> = self.parts.keys().filter(|name| !keep(name)).copied().collect();
        gone.iter().try_for_each(|name| self.forget(name))
    }

    /// SFTP says only "failure" when there is no room for what was to be created or written: `None` if it was not that.
    ///
    /// What an account may take is nowhere to be asked for. That it has reached its limit is concluded: the disk has room, may
    /// be written, and syncs.
    pub fn want_of_room(&self, doing: &'static str, path: &str) -> Result<Option<Error>, Error> {
        let mut dir = self.open_file("open", &self.dir, OpenFlags::READ)?;
        let room = self.link.ask("ask for the room in", || dir.statvfs())?;
        let synced = self.link.ask("sync", || dir.fsync())?;
        self.link.close(dir)?;
        let (remote, path) = (self.link.remote.clone(), path.to_owned());
        Ok(match room {
            Ok(room) if is_full(&room) => Some(Error::DiskFull { remote, doing, path }),
            Ok(room) if room.f_flag & READ_ONLY == 0 && synced.is_ok() => {
                Some(Error::AccountFull { remote, doing, path })
            }
            _ => None,
        })
    }

    fn create_lock(&self, path: &str, token: &LockToken) -> Result<Reply, Error> {
        match self.create(path)? {
            Some(file) => self.fill_lock(file, path, token),
            None => Ok(Reply::Refused),
        }
    }

    fn create_part(&mut self, path: &str, local: &Local) -> Result<Reply, Error> {
        self.forget(&local.name)?;
        let Some(file) = self.create(path)? else { return Ok(Reply::Refused) };
        self.parts.insert(local.name, Part::new(file));
        Ok(Reply::Done)
    }

    /// Creates a file that must not be there; `None`: it could not be created.
    fn create(&self, path: &str) -> Result<Option<File>, Error> {
        let flags = OpenFlags::WRITE | OpenFlags::EXCLUSIVE;
        let created =
            self.link.ask("create", || self.sftp.open_mode(Path::new(path), flags, 0o644, OpenType::File))?;
        match created {
            Ok(file) => Ok(Some(file)),
            Err(error) if is_refusal(&error) => Ok(None),
            Err(source) => Err(refused(&self.link, "create", path, source)),
        }
    }

    /// Plain RENAME replaces nothing: OpenSSH makes it link and unlink.
    fn set_aside(&self, path: &str, aside: &str) -> Result<Reply, Error> {
        tracing::warn!(path, aside, "the part there holds what is not of this recording; it is set aside");
        match self.link.ask("rename", || self.sftp.rename(Path::new(path), Path::new(aside), None))? {
            Ok(()) => Ok(Reply::Done),
            Err(error) if is_absent(&error) => Ok(Reply::Absent),
            Err(error) if is_refusal(&error) => Ok(Reply::Refused),
            Err(source) => Err(refused(&self.link, "rename", path, source)),
        }
    }

    fn write_lock(&self, path: &str, token: &LockToken) -> Result<Reply, Error> {
        let opened = self
            .link
            .ask("open", || self.sftp.open_mode(Path::new(path), OpenFlags::WRITE, 0o644, OpenType::File))?;
        match opened {
            Ok(mut file) => {
                let emptied = self.link.ask("empty", || file.setstat(of_size(0)))?;
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
            let written = written.map_err(|source| self.why_unwritten(path, source))?;
            rest = rest.get(written..).unwrap_or_default();
        }
        let synced = self.link.ask("sync", || file.fsync())?;
        synced.map_err(|source| self.why_unsynced(path, source))?;
        self.link.close(file).map(|()| Reply::Done)
    }

    fn read_lock(&self, path: &str) -> Result<Reply, Error> {
        let opened = self.link.ask("open", || self.sftp.open(path))?;
        match opened {
            Ok(mut file) => {
                let mut content = vec![0; MOST_TOKEN_BYTES + 1];
                let length = self.fill(&mut file, path, &mut content)?;
                content.truncate(length);
                self.link.close(file)?;
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

    /// Whether a GOP stands there where the footage ends.
    fn peek(&self, path: &str, local: &Local) -> Result<Reply, Error> {
        let mut header = [0; 8];
        self.read(path, local.footage_end()?, &mut header)?;
        Ok(Reply::More(header.ends_with(b"moof")))
    }

    fn write_head(&mut self, path: &str, local: &Local) -> Result<Reply, Error> {
        let mut there = [0; mp4::HEAD];
        self.read(path, 0, &mut there)?;
        let head = mp4::head();
        if head != there.as_slice() {
            self.buf.clear();
            self.buf.extend_from_slice(&head);
            self.put(path, local, 0, mp4::HEAD)?;
        }
        Ok(Reply::Done)
    }

    /// Reads the bytes at `offset`, as far as there are any; gives how many there were.
    fn read(&self, path: &str, offset: u64, buf: &mut [u8]) -> Result<usize, Error> {
        let mut file = self.open_file("open", path, OpenFlags::READ)?;
        // Only the handle's own offset: no request is on its way yet.
        let _at = file.seek(SeekFrom::Start(offset));
        let length = self.fill(&mut file, path, buf)?;
        self.link.close(file)?;
        Ok(length)
    }

    /// Reads back what is there, and compares.
    fn verify(&mut self, path: &str, local: &Local, from: u64, to: u64) -> Result<Reply, Error> {
        let mut file = self.open_file("open", path, OpenFlags::READ)?;
        // Only the handle's own offset: no request is on its way yet.
        let _at = file.seek(SeekFrom::Start(from));
        let mut theirs = vec![0; READ_BACK];
        let mut at = from;
        while at < to {
            let length = READ_BACK.min(usize::try_from(to - at).unwrap_or(READ_BACK));
            let theirs = theirs.get_mut(..length).unwrap_or_default();
            self.buf.resize(length, 0);
            local.read_at(&mut self.buf, at)?;
            let read = self.fill(&mut file, path, theirs)?;
            let same =
                self.buf.iter().zip(&*theirs).take(read).take_while(|(ours, theirs)| ours == theirs).count();
            at += same as u64;
            if same < length {
                break;
            }
        }
        self.link.close(file)?;
        Ok(Reply::SameUpTo(at))
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

    /// Sends the bytes `from..to`; where it `flows`, half of them may still be on their way in the end.
    fn write(&mut self, path: &str, local: &Local, from: u64, to: u64, flows: bool) -> Result<Reply, Error> {
        if self.parts.get(&local.name).is_some_and(|part| part.told != from) {
            self.settle()?;
        }
        self.open_part(path, local)?;
        let (mut at, mut known) = (from, 0);
        if let Some(part) = self.parts.get_mut(&local.name).filter(|part| part.told == from) {
            at += std::mem::take(&mut part.ahead);
            known = part.on_its_way;
        }
        if at >= to {
            return Ok(Reply::Written(to));
        }
        self.buf.resize(usize::try_from(to - at).unwrap_or(0), 0);
        if let Some(rest) = self.buf.get_mut(known..) {
            // What is on its way was copied; of what is given for it now only the length counts.
            local.read_at(rest, at + known as u64)?;
        }
        let enough = if flows { self.buf.len().min(ENOUGH) } else { self.buf.len() };
        let confirmed = self.put(path, local, at, enough)?;
        Ok(Reply::Written(at + confirmed as u64))
    }

    /// Sends the bytes `from..to` without the zeros in front of them, up to the next long run of zeros.
    fn write_room(&mut self, path: &str, local: &Local, from: u64, to: u64) -> Result<Reply, Error> {
        self.buf.resize(usize::try_from(to - from).unwrap_or(0), 0);
        local.read_at(&mut self.buf, from)?;
        let (zeros, end) = dense(&self.buf);
        self.buf.truncate(end);
        self.buf.drain(..zeros);
        self.put(path, local, from + zeros as u64, self.buf.len())?;
        Ok(Reply::Written(from + end as u64))
    }

    /// Writes `buf` at `offset` of the part; all of it is on its way before the first answer is waited for, and `enough` of it
    /// is waited for. Gives how much is confirmed.
    fn put(&mut self, path: &str, local: &Local, offset: u64, enough: usize) -> Result<usize, Error> {
        self.open_part(path, local)?;
        let Self { parts, link, buf, flowing, .. } = &mut *self;
        let Some(part) = parts.get_mut(&local.name) else { return Ok(0) };
        if part.on_its_way == 0 {
            // Only the handle's own offset: whatever was sent over this handle is confirmed.
            let _at = part.file.seek(SeekFrom::Start(offset));
        }
        let all = part.on_its_way.max(buf.len());
        let mut confirmed = 0;
        while confirmed < enough {
            match part.send(link, buf.get(confirmed..).unwrap_or_default())? {
                Ok(written) => confirmed += written,
                Err(source) => return Err(self.why_unwritten(path, source)),
            }
        }
        (part.told, part.ahead, part.on_its_way) = (offset + confirmed as u64, 0, all - confirmed);
        *flowing = (part.on_its_way > 0).then_some(local.name);
        Ok(confirmed)
    }

    /// Waits until nothing is on its way: on one channel the library cannot tell the requests of two files apart that it has
    /// sent in part.
    fn settle(&mut self) -> Result<(), Error> {
        let Some(name) = self.flowing.take() else { return Ok(()) };
        let Some(part) = self.parts.get_mut(&name) else { return Ok(()) };
        self.buf.resize(part.on_its_way, 0);
        while part.on_its_way > 0 {
            let rest = self.buf.get(..part.on_its_way).unwrap_or_default();
            match part.send(&self.link, rest)? {
                Ok(written) => {
                    part.on_its_way -= written;
                    part.ahead += written as u64;
                }
                Err(source) => {
                    let path = format!("{}/{name}.part", self.dir);
                    return Err(self.why_unwritten(&path, source));
                }
            }
        }
        Ok(())
    }

    fn sync_part(&mut self, path: &str, local: &Local) -> Result<Reply, Error> {
        self.open_part(path, local)?;
        let Self { parts, link, .. } = &mut *self;
        let Some(part) = parts.get_mut(&local.name) else { return Ok(Reply::Done) };
        let synced = link.ask("sync", || part.file.fsync())?;
        synced.map(|()| Reply::Done).map_err(|source| self.why_unsynced(path, source))
    }

    fn begin_sync(&mut self, path: &str, local: &Local) -> Result<Reply, Error> {
        let opened = self.syncs.open(&self.link, &local.name, path)?;
        if opened.map_err(|source| refused(&self.link, "open", path, source))? {
            // A handle is not told of what failed before it was opened; that of the writes is.
            self.settle()?;
            self.sync_part(path, local)?;
        }
        let begun = self.syncs.begin(&self.link, &local.name)?;
        begun.map(|()| Reply::Done).map_err(|source| refused(&self.link, "sync", path, source))
    }

    fn end_sync(&mut self, path: &str, local: &Local) -> Result<Reply, Error> {
        let synced = self.syncs.end(&self.link, &local.name)?;
        if synced.is_err() {
            self.settle()?;
        }
        synced.map(|()| Reply::Done).map_err(|source| self.why_unsynced(path, source))
    }

    fn cut(&mut self, path: &str, local: &Local, to: u64) -> Result<Reply, Error> {
        self.open_part(path, local)?;
        let Self { parts, link, .. } = &mut *self;
        let Some(part) = parts.get_mut(&local.name) else { return Ok(Reply::Done) };
        tracing::warn!(recording = %local.name, to, "the part there is longer than the recording; it is cut");
        let cut = link.ask("cut", || part.file.setstat(of_size(to)))?;
        cut.map(|()| Reply::Done).map_err(|source| refused(&self.link, "cut", path, source))
    }

    /// What stands there from `at` on counts no more.
    fn end(&mut self, path: &str, local: &Local, at: u64) -> Result<Reply, Error> {
        tracing::warn!(recording = %local.name, at, "the part there is longer than the torn recording; it is ended there");
        self.buf.clear();
        self.buf.extend_from_slice(&SEAL_TYPE);
        // Behind its size.
        self.put(path, local, at + 4, SEAL_TYPE.len()).map(|_| Reply::Done)
    }

    fn open_part(&mut self, path: &str, local: &Local) -> Result<(), Error> {
        if !self.parts.contains_key(&local.name) {
            let file = self.open_file("open", path, OpenFlags::WRITE)?;
            self.parts.insert(local.name, Part::new(file));
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
        synced.map_err(|source| refused(&self.link, "sync", &self.dir, source))?;
        self.link.close(dir).map(|()| Reply::Done)
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

    /// Why a write failed.
    fn why_unwritten(&self, path: &str, source: ssh2::Error) -> Error {
        match self.want_of_room("write", path) {
            Ok(wanting) => wanting.unwrap_or_else(|| refused(&self.link, "write", path, source)),
            Err(error) => error,
        }
    }

    /// Why a sync failed. A file whose sync fails on a disk that else works is damaged: no limit does that.
    fn why_unsynced(&self, path: &str, source: ssh2::Error) -> Error {
        match self.want_of_room("sync", path) {
            Ok(Some(full @ Error::DiskFull { .. })) | Err(full) => full,
            Ok(_) => refused(&self.link, "sync", path, source),
        }
    }
}

impl Part {
    fn new(file: File) -> Self {
        Self { file, told: 0, ahead: 0, on_its_way: 0 }
    }

    /// Sends bytes from the handle's offset on, or goes on with them; gives how many are newly confirmed.
    fn send(&mut self, link: &Link, bytes: &[u8]) -> Result<Result<usize, ssh2::Error>, Error> {
        link.ask("write", || self.file.write(bytes).map_err(|error| ssh_error(&link.session, &error)))
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

/// Whether neither bytes nor files are left.
fn is_full(room: &LIBSSH2_SFTP_STATVFS) -> bool {
    room.f_favail == 0 && room.f_files > 0 || room.f_bavail.saturating_mul(room.f_frsize) < FULL_BELOW
}

/// Where the zeros end that `bytes` begins with, and where the next long run of them begins.
fn dense(bytes: &[u8]) -> (usize, usize) {
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    let mut end = zeros;
    for run in bytes.get(zeros..).unwrap_or_default().chunks(LONG_RUN) {
        if run.iter().all(|byte| *byte == 0) {
            break;
        }
        end += run.len();
    }
    (zeros, end)
}

/// Sets the size of a file and nothing else.
fn of_size(size: u64) -> FileStat {
    FileStat { size: Some(size), uid: None, gid: None, perm: None, atime: None, mtime: None }
}

fn is(error: &ssh2::Error, codes: &[i32]) -> bool {
    codes.iter().any(|code| error.code() == ErrorCode::SFTP(*code))
}

/// It is there already, or SFTP does not say why.
fn is_refusal(error: &ssh2::Error) -> bool {
    is(error, &[LIBSSH2_FX_FAILURE, LIBSSH2_FX_FILE_ALREADY_EXISTS])
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

#[cfg(test)]
mod tests {
    use super::dense;

    #[test]
    fn zeros_in_front_and_long_runs_of_them_are_left_out() {
        let bytes =
            [vec![0; 100], vec![7; 10], vec![0; 10], vec![7; 5000], vec![0; 20_000], vec![7; 16]].concat();
        let (zeros, end) = dense(&bytes);
        assert_eq!(zeros, 100);
        assert!((5120..5120 + 4096).contains(&end), "{end}");
        let (zeros, rest) = dense(&bytes[end..]);
        assert_eq!(end + zeros, bytes.len() - 16);
        assert_eq!(end + rest, bytes.len());
        assert_eq!(dense(&[0; 10]), (10, 10));
        assert_eq!(dense(&[]), (0, 0));
    }
}

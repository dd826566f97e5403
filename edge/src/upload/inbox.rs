//! The inbox on the remote host: carries out the steps of the handshake over SFTP.

use super::error::Error;
use super::link::Link;
use super::local::Local;
use super::pace::Pace;
use super::parts::{Failure, Most, Parts};
use super::posix_rename::Renamer;
use libssh2_sys::{
    LIBSSH2_FX_FAILURE, LIBSSH2_FX_FILE_ALREADY_EXISTS, LIBSSH2_FX_NO_SUCH_FILE, LIBSSH2_FX_NO_SUCH_PATH,
    LIBSSH2_SFTP_STATVFS,
};
use media::handshake::{Reply, Step};
use media::mp4::{self, MEDIA_AT, SEAL_TYPE};
use media::names::{LOST, LockToken, MOST_TOKEN_BYTES, RecordingName};
use ssh2::{ErrorCode, File, FileStat, OpenFlags, OpenType, Sftp};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;

/// Bytes that are read back at once.
const READ_BACK: usize = 256 << 10;
/// With less room than this on the remote host, a write that fails has failed for want of room.
const FULL_BELOW: u64 = 1 << 20;
/// `SSH_FXE_STATVFS_ST_RDONLY` of OpenSSH's statvfs extension.
const READ_ONLY: u64 = 1;

/// Zeros that are worth a request of their own behind them.
const LONG_RUN: usize = 4 << 10;

/// The inbox. Fields are let go in their order: files, channels, then the session.
pub struct Inbox {
    /// What is under way.
    parts: Parts,
    renamer: Option<Renamer>,
    sftp: Sftp,
    link: Link,
    dir: String,
    /// What is being compared, or looked through for zeros; kept so that it need not be made anew.
    buf: Vec<u8>,
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
        let sftp = sftp.map_err(|source| link.refused("begin", "SFTP", source))?;
        let (parts, dir) = (Parts::default(), dir.to_owned());
        Ok(Self { parts, renamer: None, sftp, link, dir, buf: Vec::new() })
    }

    /// Carries out one step for `local`; of a [`Step::WritePart`] as much at once as `pace` says.
    pub fn perform(
        &mut self,
        step: &Step,
        local: &Local,
        token: &LockToken,
        pace: &Pace,
    ) -> Result<Reply, Error> {
        if !matches!(step, Step::WritePart { .. } | Step::SyncPart | Step::EndSync) {
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
                self.set_aside(&part, &format!("{}/{}{LOST}.part", self.dir, local.name))
            }
            Step::VerifyPart { from, to } => self.verify(&part, local, *from, *to),
            Step::WriteHead => self.write_head(&part, local),
            Step::WritePart { from, to } => {
                let most = Most { on_its_way: pace.piece(), flows: pace.flows() };
                self.open_part(&part, local)?;
                let written = self.parts.write(&self.link, local, (*from, *to), most);
                written.map_err(|failure| self.why(failure))
            }
            Step::WriteRoom { from } => {
                self.write_room(&part, local, *from, MEDIA_AT.min(from.saturating_add(pace.piece())))
            }
            Step::SyncPart => {
                self.open_part(&part, local)?;
                let synced = self.parts.sync(&self.link, &local.name);
                synced.map(|()| Reply::Done).map_err(|failure| self.why(failure))
            }
            Step::EndSync => {
                let synced = self.parts.synced(&self.link, &local.name);
                synced.map_err(|failure| self.why(failure))
            }
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
        let forgotten = self.parts.forget(&self.link, name);
        forgotten.map_err(|failure| self.why(failure))
    }

    /// Closes the parts of all recordings that are not to be kept.
    pub fn keep(&mut self, keep: impl Fn(&RecordingName) -> bool) -> Result<(), Error> {
        let gone: Vec<RecordingName> = self.parts.names().filter(|name| !keep(name)).copied().collect();
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
        match self.parts.open(&self.link, (&local.name, path), true).map_err(|failure| self.why(failure))? {
            Ok(()) => Ok(Reply::Done),
            Err(error) if is_refusal(&error) => Ok(Reply::Refused),
            Err(source) => Err(self.link.refused("create", path, source)),
        }
    }

    /// Creates a file that must not be there; `None`: it could not be created.
    fn create(&self, path: &str) -> Result<Option<File>, Error> {
        let flags = OpenFlags::WRITE | OpenFlags::EXCLUSIVE;
        let created =
            self.link.ask("create", || self.sftp.open_mode(Path::new(path), flags, 0o644, OpenType::File))?;
        match created {
            Ok(file) => Ok(Some(file)),
            Err(error) if is_refusal(&error) => Ok(None),
            Err(source) => Err(self.link.refused("create", path, source)),
        }
    }

    /// Plain RENAME replaces nothing: OpenSSH makes it link and unlink.
    fn set_aside(&self, path: &str, aside: &str) -> Result<Reply, Error> {
        tracing::warn!(path, aside, "the part there holds what is not of this recording; it is set aside");
        match self.link.ask("rename", || self.sftp.rename(Path::new(path), Path::new(aside), None))? {
            Ok(()) => Ok(Reply::Done),
            Err(error) if is_absent(&error) => Ok(Reply::Absent),
            Err(error) if is_refusal(&error) => Ok(Reply::Refused),
            Err(source) => Err(self.link.refused("rename", path, source)),
        }
    }

    fn write_lock(&self, path: &str, token: &LockToken) -> Result<Reply, Error> {
        let opened = self
            .link
            .ask("open", || self.sftp.open_mode(Path::new(path), OpenFlags::WRITE, 0o644, OpenType::File))?;
        match opened {
            Ok(mut file) => {
                let emptied = self.link.ask("empty", || file.setstat(of_size(0)))?;
                emptied.map_err(|source| self.link.refused("empty", path, source))?;
                self.fill_lock(file, path, token)
            }
            Err(error) if is_absent(&error) => Ok(Reply::Absent),
            Err(source) => Err(self.link.refused("open", path, source)),
        }
    }

    fn fill_lock(&self, file: File, path: &str, token: &LockToken) -> Result<Reply, Error> {
        self.write_whole(file, path, token.to_string().as_bytes()).map(|()| Reply::Done)
    }

    /// Writes a small file and makes it durable.
    fn write_whole(&self, mut file: File, path: &str, text: &[u8]) -> Result<(), Error> {
        let mut rest = text;
        while !rest.is_empty() {
            let link = &self.link;
            let written = link.ask("write", || file.write(rest).map_err(|error| link.error(&error)))?;
            let written = written.map_err(|source| self.why_unwritten(path, source))?;
            rest = rest.get(written..).unwrap_or_default();
        }
        let synced = self.link.ask("sync", || file.fsync())?;
        synced.map_err(|source| self.why_unsynced(path, source))?;
        self.link.close(file)
    }

    /// Does with a small file called `name` what every recording needs: creates it, writes, syncs, renames and removes it.
    pub fn try_out(&mut self, name: &str) -> Result<(), Error> {
        let (first, then) = (format!("{}/{name}.part", self.dir), format!("{}/{name}.trial", self.dir));
        let Some(file) = self.create(&first)? else {
            let (remote, doing, path) = (self.link.remote.clone(), "create", first.clone());
            let full = self.want_of_room("create", &first)?;
            return Err(full.unwrap_or(Error::NoPermission { remote, doing, path }));
        };
        self.write_whole(file, &first, b"trial\n")?;
        self.rename(&first, &then)?;
        self.sync_dir()?;
        self.absent_or("remove", &then, || self.sftp.unlink(Path::new(&then)))?;
        Ok(())
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
            Err(source) => Err(self.link.refused("open", path, source)),
        }
    }

    fn size(&self, path: &str) -> Result<Reply, Error> {
        match self.link.ask("look at", || self.sftp.lstat(Path::new(path)))? {
            Ok(stat) => Ok(Reply::Size(stat.size.unwrap_or(0))),
            Err(error) if is_absent(&error) => Ok(Reply::Absent),
            Err(source) => Err(self.link.refused("look at", path, source)),
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
            self.put(path, local, 0)?;
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
        let link = &self.link;
        let mut length = 0;
        while length < buf.len() {
            let rest = &mut buf[length..];
            let read = self.link.ask("read", || file.read(rest).map_err(|error| link.error(&error)))?;
            match read.map_err(|source| self.link.refused("read", path, source))? {
                0 => break,
                read => length += read,
            }
        }
        Ok(length)
    }

    /// Sends the bytes `from..to` without the zeros in front of them, up to the next long run of zeros.
    fn write_room(&mut self, path: &str, local: &Local, from: u64, to: u64) -> Result<Reply, Error> {
        self.buf.resize(usize::try_from(to - from).unwrap_or(0), 0);
        local.read_at(&mut self.buf, from)?;
        let (zeros, end) = dense(&self.buf);
        self.buf.truncate(end);
        self.buf.drain(..zeros);
        self.put(path, local, from + zeros as u64)?;
        Ok(Reply::Written(from + end as u64))
    }

    /// Writes `buf` at `offset` of the part.
    fn put(&mut self, path: &str, local: &Local, offset: u64) -> Result<(), Error> {
        self.open_part(path, local)?;
        let put = self.parts.put(&self.link, &local.name, offset, &self.buf);
        put.map_err(|failure| self.why(failure))
    }

    /// Waits until everything that was sent has its answer.
    fn settle(&mut self) -> Result<(), Error> {
        let settled = self.parts.settle(&self.link);
        settled.map_err(|failure| self.why(failure))
    }

    fn cut(&self, path: &str, local: &Local, to: u64) -> Result<Reply, Error> {
        tracing::warn!(recording = %local.name, to, "the part there is longer than the recording; it is cut");
        let mut file = self.open_file("open", path, OpenFlags::WRITE)?;
        let cut = self.link.ask("cut", || file.setstat(of_size(to)))?;
        cut.map_err(|source| self.link.refused("cut", path, source))?;
        self.link.close(file).map(|()| Reply::Done)
    }

    /// What stands there from `at` on counts no more.
    fn end(&mut self, path: &str, local: &Local, at: u64) -> Result<Reply, Error> {
        tracing::warn!(recording = %local.name, at, "the part there is longer than the torn recording; it is ended there");
        self.buf.clear();
        self.buf.extend_from_slice(&SEAL_TYPE);
        // Behind its size.
        self.put(path, local, at + 4).map(|()| Reply::Done)
    }

    fn open_part(&mut self, path: &str, local: &Local) -> Result<(), Error> {
        if self.parts.holds(&local.name) {
            return Ok(());
        }
        let opened = self.parts.open(&self.link, (&local.name, path), false);
        let opened = opened.map_err(|failure| self.why(failure))?;
        opened.map_err(|source| self.link.refused("open", path, source))
    }

    fn rename(&mut self, from: &str, to: &str) -> Result<Reply, Error> {
        let renamer = match self.renamer.take() {
            Some(renamer) => renamer,
            None => {
                let opened = self.link.ask("begin SFTP", || Renamer::open(&self.link.session))?;
                opened.map_err(|source| self.link.refused("begin", "SFTP", source))?
            }
        };
        let renamer = self.renamer.insert(renamer);
        let (sftp, link) = (&*renamer, &self.link);
        match link.ask("rename", || sftp.rename(from, to))? {
            Ok(()) => Ok(Reply::Done),
            Err(error) if is_absent(&error) => Ok(Reply::Absent),
            Err(source) => Err(link.refused("rename", from, source)),
        }
    }

    /// OpenSSH lets a folder be opened like a file, and synced.
    fn sync_dir(&self) -> Result<Reply, Error> {
        let mut dir = self.open_file("open", &self.dir, OpenFlags::READ)?;
        let synced = self.link.ask("sync", || dir.fsync())?;
        synced.map_err(|source| self.link.refused("sync", &self.dir, source))?;
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
            Err(source) => Err(self.link.refused(doing, path, source)),
        }
    }

    fn open_file(&self, doing: &'static str, path: &str, flags: OpenFlags) -> Result<File, Error> {
        let opened =
            self.link.ask(doing, || self.sftp.open_mode(Path::new(path), flags, 0o644, OpenType::File))?;
        opened.map_err(|source| self.link.refused(doing, path, source))
    }

    /// Why a part did not go on.
    fn why(&self, failure: Failure) -> Error {
        let path = |name: &RecordingName| format!("{}/{name}.part", self.dir);
        match failure {
            Failure::Ours(error) => error,
            Failure::Write(name, source) => self.why_unwritten(&path(&name), source),
            Failure::Sync(name, source) => self.why_unsynced(&path(&name), source),
        }
    }

    /// Why a write failed.
    fn why_unwritten(&self, path: &str, source: ssh2::Error) -> Error {
        match self.want_of_room("write", path) {
            Ok(wanting) => wanting.unwrap_or_else(|| self.link.refused("write", path, source)),
            Err(error) => error,
        }
    }

    /// Why a sync failed. A file whose sync fails on a disk that else works is damaged: no limit does that.
    fn why_unsynced(&self, path: &str, source: ssh2::Error) -> Error {
        match self.want_of_room("sync", path) {
            Ok(Some(full @ Error::DiskFull { .. })) | Err(full) => full,
            Ok(_) => self.link.refused("sync", path, source),
        }
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

//! Syncs beside the writes, on a channel of their own: they run on the remote host while more is written over the other one.
//!
//! ```text
//! writes   |  512 KiB  |  512 KiB  |  512 KiB  |
//! syncs                |-- of the first --| |-- of the second --|
//! ```
//!
//! OpenSSH gives each channel a server process of its own, which does one request after the other: on the channel of the
//! writes a sync would hold up what comes behind it.

use super::error::Error;
use super::link::Link;
use libssh2_sys::LIBSSH2_FX_FAILURE;
use media::names::RecordingName;
use ssh2::{ErrorCode, File, Sftp};
use std::collections::HashMap;
use std::path::Path;

/// What the remote host says to a request; the errors around it are those of the session.
type Answer<T> = Result<Result<T, ssh2::Error>, Error>;

/// The channel, and what is under way over it. It is opened with the first sync.
#[derive(Default)]
pub struct Syncs {
    /// `NAME.part` of what was synced.
    files: HashMap<RecordingName, File>,
    /// The library keeps the state of one sync a channel.
    under_way: Option<RecordingName>,
    /// What the remote host said to syncs whose end nobody has waited for yet.
    answers: HashMap<RecordingName, Result<(), ssh2::Error>>,
    sftp: Option<Sftp>,
}

impl Syncs {
    /// Asks for a sync of a file that is open, and does not wait for it; [`Syncs::end`] does.
    pub fn begin(&mut self, link: &Link, name: &RecordingName) -> Answer<()> {
        self.settle(link)?;
        let Some(file) = self.files.get_mut(name) else { return Ok(Ok(())) };
        match link.send("sync", || file.fsync())? {
            Some(answer) => self.answers.insert(*name, answer).map_or((), drop),
            None => self.under_way = Some(*name),
        }
        Ok(Ok(()))
    }

    /// Waits until the sync that was asked for is done.
    pub fn end(&mut self, link: &Link, name: &RecordingName) -> Answer<()> {
        if self.under_way.as_ref() == Some(name) {
            self.settle(link)?;
        }
        let never_begun = || Err(ssh2::Error::from_errno(ErrorCode::SFTP(LIBSSH2_FX_FAILURE)));
        Ok(self.answers.remove(name).unwrap_or_else(never_begun))
    }

    /// The part of this recording is no longer synced.
    pub fn forget(&mut self, link: &Link, name: &RecordingName) -> Result<(), Error> {
        if self.under_way.as_ref() == Some(name) {
            self.settle(link)?;
        }
        self.answers.remove(name);
        self.files.remove(name).map_or(Ok(()), |file| link.close(file))
    }

    /// Waits for what is under way.
    fn settle(&mut self, link: &Link) -> Result<(), Error> {
        if let Some(name) = self.under_way.take()
            && let Some(file) = self.files.get_mut(&name)
        {
            let answer = link.ask("sync", || file.fsync())?;
            self.answers.insert(name, answer);
        }
        Ok(())
    }

    /// Opens the file `path`, if that is not done yet; gives whether it was not.
    pub fn open(&mut self, link: &Link, name: &RecordingName, path: &str) -> Answer<bool> {
        if self.files.contains_key(name) {
            return Ok(Ok(false));
        }
        let sftp = match self.sftp.take() {
            Some(sftp) => sftp,
            None => match link.ask("begin SFTP", || link.session.sftp())? {
                Ok(sftp) => sftp,
                Err(refused) => return Ok(Err(refused)),
            },
        };
        let sftp = self.sftp.insert(sftp);
        let opened = link.ask("open", || sftp.open(Path::new(path)))?;
        Ok(opened.map(|file| self.files.insert(*name, file).is_none()))
    }
}

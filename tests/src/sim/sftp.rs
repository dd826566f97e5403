//! An SFTP server: one process a connection, one request after the other, each a call of its host's system.

use super::disk::{Errno, folder};
use super::host::{File, Host};
use super::network::{Network, Wire};
use media::mp4::demux::verify;
use std::collections::BTreeMap;
use std::rc::Rc;

/// What a client may ask for. It numbers its own handles.
#[derive(Clone, Debug)]
pub enum Request {
    /// Opens a file.
    Open {
        /// The file.
        name: String,
        /// The number of the handle.
        handle: u64,
        /// How.
        mode: Mode,
    },
    /// Writes at an offset.
    Write(u64, u64, Vec<u8>),
    /// Reads from an offset, at most so many bytes.
    Read(u64, u64, usize),
    /// Sets the length.
    SetLen(u64, u64),
    /// `fsync@openssh.com`
    Sync(u64),
    /// The same, of a folder that is opened and closed for it.
    SyncFolder(String),
    /// LSTAT
    Size(String),
    /// REMOVE
    Remove(String),
    /// `posix-rename@openssh.com`
    Rename(String, String),
    /// RENAME: a link and an unlink, which replaces nothing.
    Move(String, String),
    /// CLOSE
    Close(u64),
    /// `rm NAME.lockfile` as the forced command answers it: check, fsync of the file and the folder, then remove.
    Receive {
        /// The lockfile.
        lock: String,
        /// The recording.
        recording: String,
    },
}

impl Request {
    /// Whether it cuts a file; a lock is emptied, and written anew.
    pub fn is_cut(&self) -> bool {
        matches!(self, Self::SetLen(_, len) if *len > 0)
    }
}

/// How a file is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// For reading.
    Read,
    /// For writing; it must be there.
    Write,
    /// For writing; it must not be there.
    Create,
    /// For writing; it is made, or made empty.
    CreateOrEmpty,
}

/// What a server answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// SSH_FX_OK
    Done,
    /// What was read.
    Data(Vec<u8>),
    /// Bytes of a file.
    Size(u64),
    /// SSH_FX_NO_SUCH_FILE
    Absent,
    /// SSH_FX_FAILURE, which does not say why.
    Failure,
}

/// Serves one connection until its end.
pub async fn serve(host: Rc<Host>, network: Rc<Network>, wire: Rc<Wire>) {
    let mut files = BTreeMap::new();
    while let Some((id, request)) = wire.request(&network).await {
        let reply = match perform(&host, &mut files, request).await {
            Ok(reply) => reply,
            Err(Errno::Absent) => Reply::Absent,
            Err(_) => Reply::Failure,
        };
        wire.reply(&network, id, reply);
    }
}

async fn perform(host: &Rc<Host>, files: &mut BTreeMap<u64, File>, request: Request) -> Result<Reply, Errno> {
    match request {
        Request::Open { name, handle, mode } => {
            let file = match mode {
                Mode::Read => host.open(&name).await?.ok_or(Errno::Absent)?,
                Mode::Write => host.open_writing(&name).await?.ok_or(Errno::Absent)?,
                Mode::Create => {
                    let file = host.create(&name).await?;
                    host.world.judge.borrow_mut().created(&name);
                    file
                }
                Mode::CreateOrEmpty => host.create_or_empty(&name).await?,
            };
            files.insert(handle, file);
        }
        Request::Write(handle, at, bytes) => files.get(&handle).ok_or(Errno::Io)?.write(at, &bytes).await?,
        Request::Read(handle, at, most) => {
            let mut bytes = vec![0; most];
            let length = files.get(&handle).ok_or(Errno::Io)?.bytes().read(at, &mut bytes);
            bytes.truncate(length);
            return Ok(Reply::Data(bytes));
        }
        Request::SetLen(handle, len) => files.get(&handle).ok_or(Errno::Io)?.set_len(len).await?,
        Request::Sync(handle) => files.get(&handle).ok_or(Errno::Io)?.sync().await?,
        Request::SyncFolder(name) => host.sync_folder(&name).await?,
        Request::Size(name) => {
            return Ok(Reply::Size(host.look(&name).await?.ok_or(Errno::Absent)?.size));
        }
        Request::Remove(name) => {
            if !host.remove(&name).await? {
                return Ok(Reply::Absent);
            }
        }
        Request::Rename(name, new) => host.rename(&name, &new, true).await?,
        Request::Move(name, new) => {
            host.link(&name, &new).await?;
            host.remove(&name).await?;
        }
        Request::Close(handle) => drop(files.remove(&handle)),
        Request::Receive { lock, recording } => {
            let file = host.open(&recording).await?.ok_or(Errno::Absent)?;
            verify(&file.bytes()).map_err(|_| Errno::Io)?;
            file.sync().await?;
            host.sync_folder(folder(&recording)).await?;
            host.remove(&lock).await?;
        }
    }
    Ok(Reply::Done)
}

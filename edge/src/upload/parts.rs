//! What is under way to the remote host, open for writing: how much of each part is sent, confirmed, and on the disk there.
//!
//! ```text
//! requests  | 512 KiB ... | sync | 512 KiB ... | sync | ...     as many as the path holds
//! answers                            | confirmed ... | synced | ...
//! ```

use super::error::Error;
use super::lane::{Lane, MOST_DATA, Said};
use super::link::Link;
use super::local::Local;
use super::pace::CONFIRMED;
use libssh2_sys::{LIBSSH2_FX_BAD_MESSAGE, LIBSSH2_FX_FAILURE};
use media::handshake::{Flow, Reply};
use media::names::RecordingName;
use ssh2::ErrorCode;
use std::collections::{HashMap, VecDeque};
use std::ops::Range;

/// Why a part did not go on.
pub enum Failure {
    /// The session broke, or the recording cannot be read.
    Ours(Error),
    /// The part of this recording cannot be written.
    Write(RecordingName, ssh2::Error),
    /// It cannot be synced.
    Sync(RecordingName, ssh2::Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Ours(error)
    }
}

/// How much goes at once.
#[derive(Clone, Copy)]
pub struct Most {
    /// Bytes that may be on their way.
    pub on_its_way: u64,
    /// Whether more may follow while some are on their way.
    pub flows: bool,
}

/// A request without an answer.
enum Asked {
    Open(RecordingName),
    Close,
    /// A write of so many bytes, and where it ends.
    Write(RecordingName, u64, u64),
    /// A sync of all before this.
    Sync(RecordingName, u64),
}

/// `NAME.part`.
struct Part {
    handle: Vec<u8>,
    flow: Flow,
}

/// The parts, and the channel that they share. It is opened with the first of them.
#[derive(Default)]
pub struct Parts {
    lane: Option<Lane>,
    files: HashMap<RecordingName, Part>,
    asked: VecDeque<Asked>,
    /// Bytes that are sent and not confirmed.
    on_its_way: u64,
}

impl Parts {
    pub fn holds(&self, name: &RecordingName) -> bool {
        self.files.contains_key(name)
    }

    pub fn names(&self) -> impl Iterator<Item = &RecordingName> {
        self.files.keys()
    }

    /// Opens `path`, the part of this recording, or creates it. What the remote host says to it is the inner result.
    pub fn open(
        &mut self,
        link: &Link,
        (name, path): (&RecordingName, &str),
        create: bool,
    ) -> Result<Result<(), ssh2::Error>, Failure> {
        self.settle(link)?;
        let lane = match self.lane.take() {
            Some(lane) => lane,
            None => Lane::open(link)?,
        };
        self.lane.insert(lane).ask_open(link, path, create)?;
        self.asked.push_back(Asked::Open(*name));
        match self.hear(link) {
            Err(Failure::Write(_, refused)) => Ok(Err(refused)),
            heard => heard.map(Ok),
        }
    }

    /// Sends the bytes `from..to` of a recording, as many as `most` says, with a sync where one is due; gives how far they are
    /// confirmed or synced as soon as enough is.
    pub fn write(
        &mut self,
        link: &Link,
        local: &Local,
        (from, to): (u64, u64),
        most: Most,
    ) -> Result<Reply, Failure> {
        let to = if most.flows { to } else { to.min(from.saturating_add(most.on_its_way)) };
        let enough = from + (to - from).min(if most.flows { CONFIRMED } else { u64::MAX });
        if self.files.get(&local.name).is_some_and(|part| !part.flow.goes_on_at(from)) {
            self.settle(link)?;
            self.go_to(&local.name, from);
        }
        loop {
            while self.on_its_way < most.on_its_way && self.send_one(link, local, to)? {}
            let Some(part) = self.files.get_mut(&local.name) else { return Ok(Reply::Written(from)) };
            if let Some(news) = part.flow.news(enough) {
                return Ok(news);
            }
            self.hear(link)?;
        }
    }

    /// Writes `bytes` at `offset`, and waits until they are confirmed.
    pub fn put(
        &mut self,
        link: &Link,
        name: &RecordingName,
        offset: u64,
        bytes: &[u8],
    ) -> Result<(), Failure> {
        self.settle(link)?;
        self.go_to(name, offset);
        for (piece, at) in bytes.chunks(MOST_DATA).zip((offset..).step_by(MOST_DATA)) {
            self.send(link, name, (at, piece.len()), |data| {
                data.copy_from_slice(piece);
                Ok(())
            })?;
        }
        self.settle(link)?;
        self.tell_all(name);
        Ok(())
    }

    /// Syncs a part, with all that was sent.
    pub fn sync(&mut self, link: &Link, name: &RecordingName) -> Result<(), Failure> {
        self.ask_sync(link, name)?;
        self.settle(link)?;
        self.tell_all(name);
        Ok(())
    }

    /// Waits for the end of the next sync that was asked for behind a write.
    pub fn synced(&mut self, link: &Link, name: &RecordingName) -> Result<Reply, Failure> {
        while let Some(part) = self.files.get_mut(name) {
            if let Some(news) = part.flow.newly_synced() {
                return Ok(news);
            }
            if self.asked.is_empty() {
                break;
            }
            self.hear(link)?;
        }
        Err(Failure::Sync(*name, ssh2::Error::from_errno(ErrorCode::SFTP(LIBSSH2_FX_FAILURE))))
    }

    /// The part of this recording is no longer written.
    pub fn forget(&mut self, link: &Link, name: &RecordingName) -> Result<(), Failure> {
        self.settle(link)?;
        if let (Some(part), Some(lane)) = (self.files.remove(name), &mut self.lane) {
            lane.ask_close(link, &part.handle)?;
            self.asked.push_back(Asked::Close);
        }
        self.settle(link)
    }

    /// Waits until everything has its answer.
    pub fn settle(&mut self, link: &Link) -> Result<(), Failure> {
        while !self.asked.is_empty() {
            self.hear(link)?;
        }
        Ok(())
    }

    /// The next byte to be sent of this part is the one at `offset`.
    fn go_to(&mut self, name: &RecordingName, offset: u64) {
        if let Some(part) = self.files.get_mut(name) {
            part.flow = Flow::begin(offset);
        }
    }

    fn tell_all(&mut self, name: &RecordingName) {
        if let Some(part) = self.files.get_mut(name) {
            part.flow.tell_all();
        }
    }

    /// Sends as much as one request takes, and the sync that is due behind it; gives whether there was something to send.
    fn send_one(&mut self, link: &Link, local: &Local, to: u64) -> Result<bool, Failure> {
        let bytes = self.files.get(&local.name).and_then(|part| part.flow.next(to, MOST_DATA as u64));
        let Some(Range { start, end }) = bytes else { return Ok(false) };
        let length = usize::try_from(end - start).unwrap_or(MOST_DATA);
        self.send(link, &local.name, (start, length), |data| local.read_at(data, start))?;
        if self.files.get(&local.name).is_some_and(|part| part.flow.is_sync_due()) {
            self.ask_sync(link, &local.name)?;
        }
        Ok(true)
    }

    fn send(
        &mut self,
        link: &Link,
        name: &RecordingName,
        (at, length): (u64, usize),
        fill: impl FnOnce(&mut [u8]) -> Result<(), Error>,
    ) -> Result<(), Failure> {
        let (Some(part), Some(lane)) = (self.files.get_mut(name), &mut self.lane) else { return Ok(()) };
        lane.ask_write(link, &part.handle, (at, length), fill)?;
        let (bytes, end) = (length as u64, at + length as u64);
        part.flow.send(end);
        self.on_its_way += bytes;
        self.asked.push_back(Asked::Write(*name, bytes, end));
        Ok(())
    }

    fn ask_sync(&mut self, link: &Link, name: &RecordingName) -> Result<(), Failure> {
        let (Some(part), Some(lane)) = (self.files.get(name), &mut self.lane) else { return Ok(()) };
        lane.ask_sync(link, &part.handle)?;
        self.asked.push_back(Asked::Sync(*name, part.flow.sent()));
        Ok(())
    }

    /// Waits for the next answer.
    fn hear(&mut self, link: &Link) -> Result<(), Failure> {
        let (Some(asked), Some(lane)) = (self.asked.pop_front(), &mut self.lane) else { return Ok(()) };
        let answer = lane.answer(link)?;
        match asked {
            Asked::Open(name) => match answer.map_err(|source| Failure::Write(name, source))? {
                Said::Handle(handle) => {
                    self.files.insert(name, Part { handle, flow: Flow::default() });
                }
                Said::Done => {
                    let garbled = ssh2::Error::from_errno(ErrorCode::SFTP(LIBSSH2_FX_BAD_MESSAGE));
                    return Err(Failure::Write(name, garbled));
                }
            },
            // What it says to a close does not matter.
            Asked::Close => {}
            Asked::Write(name, bytes, end) => {
                self.on_its_way -= bytes;
                answer.map_err(|source| Failure::Write(name, source))?;
                if let Some(part) = self.files.get_mut(&name) {
                    part.flow.confirm(end);
                }
            }
            Asked::Sync(name, end) => {
                answer.map_err(|source| Failure::Sync(name, source))?;
                if let Some(part) = self.files.get_mut(&name) {
                    part.flow.sync(end);
                }
            }
        }
        Ok(())
    }
}

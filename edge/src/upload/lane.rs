//! An SFTP channel for what flows: writes and syncs, of which as many are on their way as a path holds
//! (draft-ietf-secsh-filexfer-02; `fsync@openssh.com` is 4.6 of OpenSSH's PROTOCOL).
//!
//! ```text
//! requests  length | WRITE | id | handle | offset | data ...        length | EXTENDED | id | "fsync@openssh.com" | handle
//! answers   length | STATUS | id | code ...                         in the order of the requests
//! ```
//!
//! The SSH library's own SFTP keeps a copy of every byte that is not confirmed, and knows one sync at a time, behind which
//! nothing can be sent. One process of an OpenSSH server serves a channel, and does one request after the other: so the answer to
//! a sync is about every write that was sent before it, also where the path is long and none of them was confirmed by then.

use super::error::Error;
use super::link::Link;
use libssh2_sys::{LIBSSH2_ERROR_CHANNEL_CLOSED, LIBSSH2_FX_BAD_MESSAGE};
use ssh2::{Channel, ErrorCode};
use std::collections::VecDeque;
use std::io::{Read, Write};

/// `SSH_FXP_*`.
mod kind {
    pub const INIT: u8 = 1;
    pub const VERSION: u8 = 2;
    pub const OPEN: u8 = 3;
    pub const CLOSE: u8 = 4;
    pub const WRITE: u8 = 6;
    pub const STATUS: u8 = 101;
    pub const HANDLE: u8 = 102;
    pub const EXTENDED: u8 = 200;
}

/// The version that OpenSSH speaks.
const VERSION: u32 = 3;
/// `SSH_FXF_WRITE`, and with `CREAT | EXCL`.
const FLAGS: (u32, u32) = (0x02, 0x02 | 0x08 | 0x20);
/// `SSH_FILEXFER_ATTR_PERMISSIONS`, and what follows it: a regular file, mode 0644.
const PERMISSIONS: (u32, u32) = (4, 0o100_644);
/// The most of a write: seven pages, which with their header fit into one packet of SSH.
pub const MOST_DATA: usize = 28 << 10;
/// The most of what a request has besides data: a path or a handle, and numbers.
const MOST_HEADER: usize = 4 << 10;
/// A longer answer is not one to what is asked here.
const MOST_ANSWER: usize = 16 << 10;
/// What is read from the channel at once.
const READ: usize = 1 << 10;

/// What the remote host says to a request; the errors around it are those of the session.
pub type Answer = Result<Said, ssh2::Error>;

/// What it says where it does not refuse.
#[derive(Debug, PartialEq, Eq)]
pub enum Said {
    /// It is done.
    Done,
    /// The file is open under this handle.
    Handle(Vec<u8>),
}

/// The channel.
pub struct Lane {
    channel: Channel,
    /// Of the next request.
    id: u32,
    /// The requests without an answer.
    under_way: VecDeque<u32>,
    /// The request that is being sent, and how long it is.
    request: Box<[u8]>,
    length: usize,
    /// What has come of answers.
    heard: Vec<u8>,
}

impl Lane {
    /// Opens the channel, and begins SFTP in it.
    pub fn open(link: &Link) -> Result<Self, Error> {
        let refused = |source| link.refused("begin", "SFTP", source);
        let mut channel = link.ask("begin SFTP", || link.session.channel_session())?.map_err(refused)?;
        link.ask("begin SFTP", || channel.subsystem("sftp"))?.map_err(refused)?;
        let request = vec![0; MOST_HEADER + MOST_DATA].into_boxed_slice();
        let (under_way, heard) = (VecDeque::new(), Vec::with_capacity(READ));
        let mut lane = Self { channel, id: 0, under_way, request, length: 0, heard };
        lane.begin(kind::INIT);
        lane.number(VERSION);
        lane.send(link)?;
        match lane.packet(link)?.first() {
            Some(&kind::VERSION) => Ok(lane),
            _ => Err(garbled(link)),
        }
    }

    /// Asks for a file to be opened for writing, which is to be created and must not be there, or must.
    pub fn ask_open(&mut self, link: &Link, path: &str, create: bool) -> Result<(), Error> {
        self.ask(kind::OPEN);
        self.text(path.as_bytes());
        self.number(if create { FLAGS.1 } else { FLAGS.0 });
        self.number(if create { PERMISSIONS.0 } else { 0 });
        if create {
            self.number(PERMISSIONS.1);
        }
        self.send(link)
    }

    /// Asks for a file to be closed.
    pub fn ask_close(&mut self, link: &Link, handle: &[u8]) -> Result<(), Error> {
        self.ask(kind::CLOSE);
        self.text(handle);
        self.send(link)
    }

    /// Asks for `length` bytes, which `fill` gives, to be written at `offset`; at most [`MOST_DATA`].
    pub fn ask_write(
        &mut self,
        link: &Link,
        handle: &[u8],
        (offset, length): (u64, usize),
        fill: impl FnOnce(&mut [u8]) -> Result<(), Error>,
    ) -> Result<(), Error> {
        self.begin(kind::WRITE);
        let id = self.id;
        self.number(id);
        self.text(handle);
        self.bytes(&offset.to_be_bytes());
        self.number(u32::try_from(length).unwrap_or(u32::MAX));
        fill(self.space(length))?;
        self.asked();
        self.send(link)
    }

    /// Asks for an fsync.
    pub fn ask_sync(&mut self, link: &Link, handle: &[u8]) -> Result<(), Error> {
        self.ask(kind::EXTENDED);
        self.text(b"fsync@openssh.com");
        self.text(handle);
        self.send(link)
    }

    /// Waits for the answer to the oldest request that has none.
    pub fn answer(&mut self, link: &Link) -> Result<Answer, Error> {
        let packet = self.packet(link)?;
        let id = self.under_way.pop_front();
        parse(&packet)
            .filter(|(of, _)| Some(*of) == id)
            .map(|(_, answer)| answer)
            .ok_or_else(|| garbled(link))
    }

    fn ask(&mut self, kind: u8) {
        self.begin(kind);
        self.number(self.id);
        self.asked();
    }

    /// The request that is being made will have an answer.
    fn asked(&mut self) {
        self.under_way.push_back(self.id);
        self.id = self.id.wrapping_add(1);
    }

    fn begin(&mut self, kind: u8) {
        // The length stands in front, and is known when it is sent.
        self.length = 4;
        self.bytes(&[kind]);
    }

    fn number(&mut self, number: u32) {
        self.bytes(&number.to_be_bytes());
    }

    fn text(&mut self, text: &[u8]) {
        self.number(u32::try_from(text.len()).unwrap_or(u32::MAX));
        self.bytes(text);
    }

    fn bytes(&mut self, bytes: &[u8]) {
        // What does not fit would not be understood there.
        self.space(bytes.len()).iter_mut().zip(bytes).for_each(|(place, byte)| *place = *byte);
    }

    /// The next bytes of the request.
    fn space(&mut self, length: usize) -> &mut [u8] {
        let from = self.length;
        self.length = self.request.len().min(from + length);
        self.request.get_mut(from..self.length).unwrap_or_default()
    }

    /// Sends the request, to its last byte: the library can begin nothing else before.
    fn send(&mut self, link: &Link) -> Result<(), Error> {
        let behind = u32::try_from(self.length - 4).unwrap_or(u32::MAX).to_be_bytes();
        self.request.iter_mut().zip(behind).for_each(|(place, byte)| *place = byte);
        let Self { channel, request, length, .. } = self;
        let mut rest = request.get(..*length).unwrap_or_default();
        while !rest.is_empty() {
            let sent = link.ask("write", || channel.write(rest).map_err(|error| link.error(&error)))?;
            let sent = sent.map_err(|source| link.refused("write", "SFTP", source))?;
            rest = rest.get(sent..).unwrap_or_default();
        }
        Ok(())
    }

    /// Waits for the next packet; gives it without its length.
    fn packet(&mut self, link: &Link) -> Result<Vec<u8>, Error> {
        let mut buf = [0; READ];
        loop {
            if let Some(length) = self.heard.first_chunk().map(|length| u32::from_be_bytes(*length) as usize)
            {
                if length > MOST_ANSWER {
                    return Err(garbled(link));
                }
                if self.heard.len() >= 4 + length {
                    let packet = self.heard.get(4..4 + length).unwrap_or_default().to_vec();
                    self.heard.drain(..4 + length);
                    return Ok(packet);
                }
            }
            let channel = &mut self.channel;
            let read = link.ask("write", || channel.read(&mut buf).map_err(|error| link.error(&error)))?;
            match read.map_err(|source| link.refused("write", "SFTP", source))? {
                0 => return Err(closed(link)),
                read => self.heard.extend_from_slice(buf.get(..read).unwrap_or_default()),
            }
        }
    }
}

/// The request that an answer is to, and what it says.
fn parse(packet: &[u8]) -> Option<(u32, Answer)> {
    let (kind, rest) = packet.split_first()?;
    let (id, rest) = rest.split_first_chunk()?;
    let (number, rest) = rest.split_first_chunk()?;
    let number = u32::from_be_bytes(*number);
    let answer = match (*kind, number) {
        (kind::STATUS, 0) => Ok(Said::Done),
        (kind::STATUS, code) => Err(ssh2::Error::from_errno(ErrorCode::SFTP(i32::try_from(code).ok()?))),
        (kind::HANDLE, length) => Ok(Said::Handle(rest.get(..usize::try_from(length).ok()?)?.to_vec())),
        _ => return None,
    };
    Some((u32::from_be_bytes(*id), answer))
}

/// What the remote host says is no SFTP.
fn garbled(link: &Link) -> Error {
    link.refused("understand", "SFTP", ssh2::Error::from_errno(ErrorCode::SFTP(LIBSSH2_FX_BAD_MESSAGE)))
}

/// The server's process has ended.
fn closed(link: &Link) -> Error {
    let source = ssh2::Error::from_errno(ErrorCode::Session(LIBSSH2_ERROR_CHANNEL_CLOSED));
    Error::Broken { remote: link.remote.clone(), doing: "write", source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_read_with_the_request_that_they_are_to() {
        let said = |bytes: &[u8]| parse(bytes).map(|(id, answer)| (id, answer.map_err(|error| error.code())));
        let status =
            |code| [&[kind::STATUS, 0, 0, 1, 2, 0, 0, 0, code], b"\0\0\0\x02no\0\0\0\0".as_slice()].concat();
        assert_eq!(said(&status(0)), Some((258, Ok(Said::Done))));
        assert_eq!(said(&status(4)), Some((258, Err(ErrorCode::SFTP(4)))));
        let handle = [kind::HANDLE, 0, 0, 0, 7, 0, 0, 0, 2, 8, 9];
        assert_eq!(said(&handle), Some((7, Ok(Said::Handle(vec![8, 9])))));
        for cut in 0..handle.len() {
            assert_eq!(said(&handle[..cut]), None);
        }
        assert_eq!(said(&[kind::VERSION, 0, 0, 0, 3, 0, 0, 0, 0]), None);
    }
}

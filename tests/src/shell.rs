//! A shell on a board, over a virtio port that is a unix socket here.
//!
//! A line goes there; back come its exit status, the length of what it printed, and that. `board/testbed/agent` is the other end.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::wait::wait_for;

/// The test's end.
#[derive(Debug)]
pub struct Shell(BufReader<UnixStream>);

impl Shell {
    /// Waits until QEMU has made its socket. An answer may take as long as `patience`.
    pub fn connect(socket: &Path, patience: Duration) -> Result<Self> {
        let stream = wait_for("QEMU's socket", patience, || UnixStream::connect(socket).ok())?;
        stream.set_read_timeout(Some(patience))?;
        Ok(Self(BufReader::new(stream)))
    }

    /// Runs a line to its end: its exit status, and what it printed.
    pub fn ask(&mut self, line: &str) -> Result<(u8, String)> {
        self.send(line)?;
        let mut head = String::new();
        self.0.read_line(&mut head)?;
        let (status, length) = head.trim().split_once(' ').with_context(|| format!("{head:?}"))?;
        let mut printed = vec![0; length.trim().parse().with_context(|| format!("{head:?}"))?];
        self.0.read_exact(&mut printed)?;
        Ok((status.parse()?, String::from_utf8_lossy(&printed).into_owned()))
    }

    /// Runs a line that nothing comes back of. It waits until there is a shell that reads it.
    pub fn send(&mut self, line: &str) -> Result<()> {
        ensure!(!line.contains('\n'), "more than a line: {line}");
        Ok(self.0.get_mut().write_all(format!("{line}\n").as_bytes())?)
    }
}

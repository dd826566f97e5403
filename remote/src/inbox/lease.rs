//! Whether anybody has a file open for writing: the kernel grants a read lease only if nobody has (fcntl(2), `F_SETLEASE`).
//!
//! The lease is given back at once. It takes a file of our own or `CAP_LEASE`; SIGIO, which the kernel sends when somebody
//! opens the file in between, is held back by [`crate::supervise::hold_signals`].
#![allow(unsafe_code)] // no safe crate offers leases

use media::handshake::claim::Writer;
use nix::errno::Errno;
use nix::libc;
use std::fs::File;
use std::os::fd::AsRawFd;

/// Looks whether `file`, which was opened for reading alone, is open for writing anywhere.
pub fn writer(file: &File) -> Writer {
    match set(file, libc::F_RDLCK) {
        Ok(()) => {
            // Giving back what was granted cannot fail; closing the file would do it too.
            let _ = set(file, libc::F_UNLCK);
            Writer::Closed
        }
        Err(Errno::EAGAIN) => Writer::Open,
        Err(_) => Writer::Unknown,
    }
}

fn set(file: &File, lease: libc::c_int) -> Result<(), Errno> {
    // SAFETY: the descriptor is open as long as `file` is, and F_SETLEASE takes a plain number.
    Errno::result(unsafe { libc::fcntl(file.as_raw_fd(), libc::F_SETLEASE, lease) }).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::OpenOptions;

    #[test]
    fn a_file_that_is_open_for_writing_is_seen() {
        let dir = tempfile::tempdir().expect("dir");
        let path = dir.path().join("file");
        let writing = File::create(&path).expect("creates");
        let reading = File::open(&path).expect("opens");
        assert_eq!(writer(&reading), Writer::Open);
        drop(writing);
        assert_eq!(writer(&reading), Writer::Closed);
        let appending = OpenOptions::new().append(true).open(&path).expect("opens");
        assert_eq!(writer(&reading), Writer::Open);
        drop(appending);
        assert_eq!(writer(&reading), Writer::Closed);
    }
}

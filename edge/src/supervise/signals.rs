//! Signals, taken one by one by the main thread.

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use std::os::fd::AsFd;
use std::time::Duration;

/// What the outside wants of the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    /// SIGTERM or SIGINT: seal the open recordings and leave.
    End,
    /// SIGHUP: read the configuration again.
    Reload,
}

/// The signals that this process takes.
pub struct Signals(SignalFd);

impl Signals {
    /// Holds the signals back from all threads; call it before the first thread starts.
    pub fn hold() -> Result<Self, Errno> {
        let set = SigSet::from_iter([Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP]);
        set.thread_block()?;
        Ok(Self(SignalFd::with_flags(&set, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)?))
    }

    /// Waits for the next one, at most `timeout`.
    pub fn next_wish(&self, timeout: Duration) -> Result<Option<Wish>, Errno> {
        let timeout = PollTimeout::try_from(timeout).unwrap_or(PollTimeout::MAX);
        match poll(&mut [PollFd::new(self.0.as_fd(), PollFlags::POLLIN)], timeout) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno),
        }
        let hangup = |number| number == Signal::SIGHUP as u32;
        let wish = |number| if hangup(number) { Wish::Reload } else { Wish::End };
        Ok(self.0.read_signal()?.map(|signal| wish(signal.ssi_signo)))
    }
}

//! Signals, taken one by one by the main thread.

use nix::errno::Errno;
use nix::sys::signal::{SigSet, Signal};

/// What the outside wants of the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    /// SIGTERM or SIGINT: seal the open recordings and leave.
    End,
    /// SIGHUP: read the configuration again.
    Reload,
}

/// The signals that this process takes.
pub struct Signals(SigSet);

impl Signals {
    /// Holds the signals back from all threads; call it before the first thread starts.
    pub fn hold() -> Result<Self, Errno> {
        let set = SigSet::from_iter([Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP]);
        set.thread_block()?;
        Ok(Self(set))
    }

    /// Waits for the next one.
    pub fn next_wish(&self) -> Result<Wish, Errno> {
        loop {
            match self.0.wait() {
                Ok(Signal::SIGHUP) => return Ok(Wish::Reload),
                Ok(_) => return Ok(Wish::End),
                Err(Errno::EINTR) => {}
                Err(errno) => return Err(errno),
            }
        }
    }
}

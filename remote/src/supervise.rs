//! The one place that starts threads, takes signals and reads clocks ([`service::supervise`]); what is special about this host's is here.

use nix::errno::Errno;
use nix::sys::signal::{SigSet, Signal};
use nix::time::{ClockId, clock_gettime};
pub use service::supervise::{
    EVERY, Pulses, STUCK_AFTER, Signals, Stop, ThreadHealth, Threads, Watch, aside, beat, boot_id, monotonic,
    within,
};
use std::time::Duration;

/// Holds back the signals that end the process; call it before the first thread starts. SIGIO too: the kernel sends it when somebody opens a
/// file while we look whether it is open, and its default is to end the process.
///
/// # Errors
/// The system refuses.
pub fn hold_signals() -> Result<Signals, Errno> {
    SigSet::from_iter([Signal::SIGIO]).thread_block()?;
    Signals::hold(&[Signal::SIGTERM, Signal::SIGINT])
}

/// Time since 1970 by the wall clock, for comparison with the times of files.
pub fn wall_now() -> Duration {
    // The clock exists on every Linux: the call cannot fail.
    clock_gettime(ClockId::CLOCK_REALTIME).map_or(Duration::ZERO, Duration::from)
}

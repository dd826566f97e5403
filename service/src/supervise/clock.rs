//! Time that goes on whatever happens to the wall clock.

use nix::time::{ClockId, clock_gettime};
use std::time::Duration;

/// Time since some fixed instant, without the time that the machine was suspended.
pub fn monotonic() -> Duration {
    // The clock exists on every Linux: the call cannot fail.
    clock_gettime(ClockId::CLOCK_MONOTONIC).map_or(Duration::ZERO, Duration::from)
}

/// Identifies this boot of the machine; `unknown` where the kernel does not tell.
pub fn boot_id() -> String {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id")
        .map_or_else(|_| "unknown".to_owned(), |id| id.trim().to_owned())
}

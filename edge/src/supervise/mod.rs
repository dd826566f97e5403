//! The one place that starts threads and reads clocks.
//!
//! Every pipeline thread has a name, a pulse that health and the two watchers ([`Watchdog`]) feel, and a [`Stop`] that ends it
//! ([`service::supervise`]).

mod backoff;
mod bell;
pub mod clock;
mod dial;
mod errands;
mod restarts;
mod watchdog;

pub use backoff::Backoff;
pub use bell::Bell;
pub use dial::dial;
pub use errands::{Busy, Errands, Runner};
pub use restarts::Restarts;
pub use service::supervise::{
    EVERY, Pulse, Pulses, STUCK_AFTER, Signals, Stop, ThreadHealth, Threads, aside, beat, monotonic, within,
};
pub use watchdog::{Stalled, Watchdog};

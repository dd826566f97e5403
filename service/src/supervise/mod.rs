//! Threads that can be asked to end, and whose pulse can be felt; the clock that this takes. What is special about the threads and the
//! clocks of a program is in its own `supervise`.
//!
//! ```text
//! Threads --spawn--> thread: looks at Stop, and so has a Pulse ----+
//!                    its Crew, for what blocks: a Pulse together --+--> Watch, by two threads of which each has a pulse itself
//! ```
//!
//! A thread's pulse is the thread's own, as its name is: nobody hands it on. So whatever takes long can say so where it takes long, however
//! deep that is. docs/design/service.md has the rules.

mod clock;
mod crew;
mod pulse;
mod signals;
mod stop;
mod threads;
mod watch;

pub use clock::{boot_id, monotonic};
pub use crew::{Crew, aside};
pub use pulse::{Pulse, Pulses, STUCK_AFTER, ThreadHealth, beat, within};
pub use signals::Signals;
pub use stop::Stop;
pub use threads::Threads;
pub use watch::{EVERY, Watch};

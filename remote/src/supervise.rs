//! The one place that starts threads, takes signals and reads clocks.

mod pulse;

use nix::errno::Errno;
use nix::sys::signal::{SigSet, Signal};
use nix::time::{ClockId, clock_gettime};
use pulse::Sign;
pub use pulse::{Pulse, Pulses, STUCK_AFTER, ThreadHealth};
use std::io;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

/// From one look at the wish to end to the next, while waiting.
const TURN: Duration = Duration::from_secs(1);

/// The wish to end, shared by everything that must end with the process. A thread has its own: whoever looks at it shows with that that it
/// moves, because whatever takes long has to look at it.
#[derive(Clone, Debug, Default)]
pub struct Stop {
    wish: Arc<(Mutex<bool>, Condvar)>,
    pulse: Option<Sign>,
}

impl Stop {
    /// The same wish for the thread of `pulse`.
    fn of(&self, pulse: &Pulse) -> Self {
        Self { wish: Arc::clone(&self.wish), pulse: Some(pulse.sign()) }
    }

    /// Asks everything to end.
    pub fn ask(&self) {
        let (asked, changed) = &*self.wish;
        *asked.lock().unwrap_or_else(PoisonError::into_inner) = true;
        changed.notify_all();
    }

    /// Whether the end was asked for.
    pub fn asked(&self) -> bool {
        self.pulse.iter().for_each(Sign::give);
        *self.wish.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until the end is asked for, at most `timeout`; says whether it was.
    pub fn wait(&self, timeout: Duration) -> bool {
        let (asked, changed) = &*self.wish;
        let mut left = timeout;
        while !self.asked() && !left.is_zero() {
            let turn = left.min(TURN);
            left -= turn;
            let asked = asked.lock().unwrap_or_else(PoisonError::into_inner);
            let _waited = changed.wait_timeout_while(asked, turn, |asked| !*asked);
        }
        self.asked()
    }
}

/// The threads of the process.
pub struct Threads {
    stop: Stop,
    pulses: Pulses,
    running: Vec<JoinHandle<()>>,
}

impl Threads {
    /// No thread yet.
    pub fn new(stop: Stop) -> Self {
        Self { stop, pulses: Pulses::default(), running: Vec::new() }
    }

    /// Starts a thread called `name` (cut to 15 bytes by the kernel) that runs until the stop is asked for.
    ///
    /// # Errors
    /// The system has no thread left.
    pub fn spawn(&mut self, name: &str, stage: impl FnOnce(Stop, Pulse) + Send + 'static) -> io::Result<()> {
        let pulse = self.pulses.register(name);
        let stop = self.stop.of(&pulse);
        self.running.push(Builder::new().name(name.to_owned()).spawn(move || stage(stop, pulse))?);
        Ok(())
    }

    /// What tells which of them move.
    pub fn pulses(&self) -> Pulses {
        self.pulses.clone()
    }

    /// Asks all threads to end.
    pub fn stop(&self) {
        self.stop.ask();
    }

    /// Waits for all threads to end, at most `patience`; they must have been asked to. A thread that takes longer is left to the end of the
    /// process: whatever it does may be interrupted at any instant.
    pub fn end(self, patience: Duration) {
        let begun = monotonic();
        while self.running.iter().any(|thread| !thread.is_finished()) && monotonic() - begun < patience {
            std::thread::sleep(Duration::from_millis(10));
        }
        for thread in self.running {
            let name = thread.thread().name().unwrap_or_default().to_owned();
            if !thread.is_finished() {
                tracing::warn!(thread = name, "interrupted at its work");
            } else if thread.join().is_err() {
                tracing::error!(thread = name, "ended by a panic");
            }
        }
    }
}

/// Runs a short job that blocks (a disk) beside the thread of the tokio runtime that calls this. The runtime bounds how many
/// run at once; the others wait their turn.
pub fn aside<T: Send + 'static>(job: impl FnOnce() -> T + Send + 'static) -> tokio::task::JoinHandle<T> {
    tokio::task::spawn_blocking(job)
}

/// The signals that end the process, held back from all threads.
pub struct Signals(SigSet);

impl Signals {
    /// Holds them back; call it before the first thread starts. SIGIO too: the kernel sends it when somebody opens a file
    /// while we look whether it is open, and its default is to end the process.
    ///
    /// # Errors
    /// The system refuses.
    pub fn hold() -> Result<Self, Errno> {
        SigSet::from_iter([Signal::SIGIO]).thread_block()?;
        let ending = SigSet::from_iter([Signal::SIGTERM, Signal::SIGINT]);
        ending.thread_block()?;
        Ok(Self(ending))
    }

    /// Waits for one of them.
    ///
    /// # Errors
    /// The system refuses.
    pub fn wait(&self) -> Result<(), Errno> {
        loop {
            match self.0.wait() {
                Ok(_) => return Ok(()),
                Err(Errno::EINTR) => {}
                Err(errno) => return Err(errno),
            }
        }
    }
}

/// Time since 1970 by the wall clock, for comparison with the times of files.
pub fn wall_now() -> Duration {
    now(ClockId::CLOCK_REALTIME)
}

/// Time since some fixed instant, whatever happens to the wall clock.
pub fn monotonic() -> Duration {
    now(ClockId::CLOCK_MONOTONIC)
}

/// Identifies this boot of the machine; `unknown` where the kernel does not tell.
pub fn boot_id() -> String {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id")
        .map_or_else(|_| "unknown".to_owned(), |id| id.trim().to_owned())
}

fn now(clock: ClockId) -> Duration {
    // These clocks exist on every Linux: the call cannot fail.
    clock_gettime(clock).map_or(Duration::ZERO, Duration::from)
}

//! Threads that end together.

use super::clock::monotonic;
use super::pulse::Pulses;
use super::stop::Stop;
use std::io;
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

/// Starts threads, and ends them.
pub struct Threads {
    stop: Stop,
    pulses: Pulses,
    running: Vec<JoinHandle<()>>,
}

impl Threads {
    /// No thread yet. They will end when `stop` is asked for; `pulses` may have others of the process.
    pub fn new(stop: Stop, pulses: Pulses) -> Self {
        Self { stop, pulses, running: Vec::new() }
    }

    /// Starts a thread called `name` (cut to 15 bytes by the kernel) that works until the stop is asked for.
    ///
    /// # Errors
    /// The system has no thread left.
    pub fn spawn(&mut self, name: &str, work: impl FnOnce(Stop) + Send + 'static) -> io::Result<()> {
        let (pulse, stop) = (self.pulses.register(name), self.stop.clone());
        let thread = Builder::new().name(name.to_owned()).spawn(move || {
            pulse.attach();
            work(stop);
            drop(pulse);
        })?;
        self.running.push(thread);
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

    /// Waits for all threads to end, in the order in which they were started; they must have been asked to.
    pub fn join(self) {
        self.running.into_iter().for_each(join);
    }

    /// Waits for all threads to end, at most `patience`; they must have been asked to. A thread that takes longer is left to the end of the
    /// process: whatever it does may be interrupted at any instant.
    pub fn end(self, patience: Duration) {
        let begun = monotonic();
        while self.running.iter().any(|thread| !thread.is_finished()) && monotonic() - begun < patience {
            std::thread::sleep(Duration::from_millis(10));
        }
        for thread in self.running {
            if thread.is_finished() {
                join(thread);
            } else {
                tracing::warn!(thread = name(&thread), "interrupted at its work");
            }
        }
    }
}

fn join(thread: JoinHandle<()>) {
    let name = name(&thread);
    if thread.join().is_err() {
        tracing::error!(thread = name, "ended by a panic");
    } else {
        tracing::debug!(thread = name, "ended");
    }
}

fn name(thread: &JoinHandle<()>) -> String {
    thread.thread().name().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moving(pulses: &Pulses) -> Vec<bool> {
        pulses.health(monotonic()).iter().map(|health| health.moving).collect()
    }

    #[test]
    fn a_dead_thread_is_seen_and_the_others_end_when_they_are_asked_to() {
        let mut threads = Threads::new(Stop::default(), Pulses::default());
        threads.spawn("dead", |_| panic!("as meant")).expect("starts");
        threads.spawn("well", |stop| while !stop.wait(Duration::from_secs(3600)) {}).expect("starts");
        let pulses = threads.pulses();
        while moving(&pulses) != [false, true] {
            std::thread::yield_now();
        }
        threads.stop();
        threads.end(Duration::from_secs(3600));
        assert_eq!(moving(&pulses), [false, true]);
    }
}

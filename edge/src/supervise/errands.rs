//! Work that takes long, for a thread of its own: one errand at a time, few waiting, and whoever asks on a runtime is not held up.
//!
//! ```text
//! task --run--> [waiting, bounded] --> the thread --> answer to the task          full: Busy, at once
//! ```

use super::Stop;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;
use tokio::sync::oneshot;

/// How long the thread waits for work before it shows that it moves.
const TURN: Duration = Duration::from_millis(250);

type Errand = Box<dyn FnOnce(&Stop) + Send>;

/// Where errands are handed in.
#[derive(Clone)]
pub struct Errands(SyncSender<Errand>);

/// Who does them.
pub struct Runner(Receiver<Errand>);

/// Too many wait already, or the thread has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too much is asked for at once; try again in a moment")]
pub struct Busy;

impl Errands {
    /// At most `waiting` wait while one is done.
    pub fn new(waiting: usize) -> (Self, Runner) {
        let (sender, receiver) = sync_channel(waiting);
        (Self(sender), Runner(receiver))
    }

    /// Has `work` done, and gives what comes of it. It is done also if nobody waits for it any more.
    ///
    /// # Errors
    /// Too many wait already.
    pub async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Stop) -> T + Send + 'static,
    ) -> Result<T, Busy> {
        let (sender, receiver) = oneshot::channel();
        let errand = move |stop: &Stop| {
            let _nobody_waits_any_more = sender.send(work(stop));
        };
        self.0.try_send(Box::new(errand)).map_err(|_full| Busy)?;
        receiver.await.map_err(|_ended| Busy)
    }
}

impl Runner {
    /// Does errands until `stop` is asked for.
    pub fn run(self, stop: &Stop) {
        while !stop.asked() {
            match self.0.recv_timeout(TURN) {
                Ok(errand) => errand(stop),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_comes_while_enough_wait_is_told_so_at_once() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("runtime");
        let (errands, runner) = Errands::new(1);
        runtime.block_on(async {
            let local = tokio::task::LocalSet::new();
            let waiting = errands.clone();
            let first = local.spawn_local(async move { waiting.run(|_| 7).await });
            local.run_until(tokio::task::yield_now()).await;
            assert_eq!(errands.run(|_| 8).await, Err(Busy));
            let stop = Stop::default();
            let asked = stop.clone();
            let thread = std::thread::spawn(move || runner.run(&asked));
            assert_eq!(local.run_until(first).await.expect("ran"), Ok(7));
            stop.ask();
            thread.join().expect("ended");
        });
        assert_eq!(runtime.block_on(errands.run(|_| 9)), Err(Busy));
    }
}

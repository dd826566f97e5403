//! The wish to end, seen by threads and by tasks.

use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// Shared by everything that must end when the process ends.
#[derive(Clone)]
pub struct Stop {
    asked: Arc<watch::Sender<bool>>,
    condvar: Arc<(std::sync::Mutex<bool>, std::sync::Condvar)>,
}

impl Default for Stop {
    fn default() -> Self {
        Self { asked: Arc::new(watch::Sender::new(false)), condvar: Arc::default() }
    }
}

impl Stop {
    /// Asks everything to end.
    pub fn ask(&self) {
        self.asked.send_replace(true);
        let (flag, condvar) = &*self.condvar;
        *flag.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = true;
        condvar.notify_all();
    }

    /// Whether the end was asked for.
    pub fn asked(&self) -> bool {
        *self.asked.borrow()
    }

    /// Waits until the end is asked for, at most `timeout`; says whether it was.
    pub fn wait(&self, timeout: Duration) -> bool {
        let (flag, condvar) = &*self.condvar;
        let flag = flag.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let (flag, _) = condvar
            .wait_timeout_while(flag, timeout, |asked| !*asked)
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        *flag
    }

    /// Completes when the end is asked for.
    pub async fn wait_async(&self) {
        let mut asked = self.asked.subscribe();
        // The sender lives in `self`, so the wait cannot fail.
        let _ended = asked.wait_for(|asked| *asked).await;
    }
}

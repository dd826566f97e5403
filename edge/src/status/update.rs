//! What the pages are told of updates, and what the thread `update` is told by them.

use super::lock;
use serde::Serialize;
use std::sync::Mutex;

/// Where the page, the control socket and the thread `update` meet.
#[derive(Debug, Default)]
pub struct Update {
    report: Mutex<UpdateReport>,
    /// The version of a bundle that was written since the thread last looked.
    written: Mutex<Option<String>>,
}

/// `/api/setup/update`
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct UpdateReport {
    /// What the board is called; null where updates do not come this way.
    pub board: Option<String>,
    /// What runs.
    pub version: Option<String>,
    /// Why no update can be taken.
    pub refuses: Option<String>,
    /// What goes on.
    #[serde(flatten)]
    pub phase: UpdatePhase,
    /// Why the newest bundle was not taken.
    pub refused: Option<String>,
    /// What became of the last one that was.
    pub last: Option<LastUpdate>,
}

/// What goes on with an update.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(tag = "phase", rename_all = "snake_case")]
pub enum UpdatePhase {
    /// Nothing.
    #[default]
    Idle,
    /// A bundle arrives, and is written.
    Receiving {
        /// Bytes that were taken.
        bytes: u64,
        /// Bytes in all, if the client said so.
        of: Option<u64>,
    },
    /// What was written is read back.
    Checking,
    /// The board starts again.
    Restarting {
        /// What will be tried.
        trial: String,
    },
    /// What runs must prove itself.
    Proving {
        /// What is missing still.
        missing: Vec<String>,
        /// Until the version before it returns.
        seconds_left: u64,
    },
}

/// What became of an update.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LastUpdate {
    /// The new version.
    pub version: String,
    /// It runs; if not, the one before it does.
    pub kept: bool,
    /// Why it was not kept.
    pub why: Option<String>,
}

impl Update {
    /// What is told.
    pub fn report(&self) -> UpdateReport {
        lock(&self.report).clone()
    }

    /// Changes what is told.
    pub fn tell(&self, change: impl FnOnce(&mut UpdateReport)) {
        change(&mut lock(&self.report));
    }

    /// Says that something goes on.
    pub fn set(&self, phase: UpdatePhase) {
        self.tell(|report| report.phase = phase);
    }

    /// Begins to receive a bundle, unless something goes on already.
    pub fn begin(&self, of: Option<u64>) -> bool {
        let mut report = lock(&self.report);
        let idle = report.phase == UpdatePhase::Idle;
        if idle {
            report.phase = UpdatePhase::Receiving { bytes: 0, of };
            report.refused = None;
        }
        idle
    }

    /// A bundle is on the card, and is to be tried.
    pub fn written(&self, version: String) {
        *lock(&self.written) = Some(version);
    }

    /// What was written since this was last asked.
    pub fn take_written(&self) -> Option<String> {
        lock(&self.written).take()
    }
}

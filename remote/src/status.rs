//! What goes on: counters, who works on what, and what came of it lately. For logs, metrics and pages.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use serde::Serialize;
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Endings that are remembered.
const MOST_ENDED: usize = 64;

macro_rules! metrics {
    ($($(#[doc = $doc:literal])+ $name:ident: $kind:ty,)+) => {
        /// Counters and gauges, updated without a lock.
        #[derive(Clone, Debug, Default)]
        pub struct Metrics { $($(#[doc = $doc])+ pub $name: $kind,)+ }

        impl Metrics {
            fn register(&self, registry: &mut Registry) {
                $(registry.register(stringify!($name), concat!($($doc),+).trim().trim_end_matches('.'), self.$name.clone());)+
            }
        }
    };
}

metrics! {
    /// Recordings that were accepted, worked on and archived.
    recordings_accepted: Counter,
    /// Recordings that had been accepted before, byte for byte.
    recordings_known: Counter,
    /// Halves of recordings that were cut at their last whole GOP, because their edge does not go on with them.
    recordings_partial: Counter,
    /// Bytes of accepted recordings.
    accepted_bytes: Counter,
    /// Recordings whose work failed; each is tried three times.
    work_failures: Counter,
    /// Files that were put aside.
    quarantined: Counter,
    /// Files that left the quarantine of their account because it was full.
    quarantine_dropped: Counter,
    /// Claims of dead workers that were taken over.
    claims_taken_over: Counter,
    /// Locks that were removed because their owner is dead or has given up.
    locks_removed: Counter,
    /// Times that the host kept a worker from its work: disk full, read-only, no descriptors.
    hindrances: Counter,
    /// What keeps the host from its work now: 0 if nothing does, and /api/status names it.
    faults: Gauge,
    /// When the last sweep was, in seconds since 1970.
    sweep_last_run: Gauge,
    /// Recordings that left because of their age or for want of room.
    sweep_removed: Counter,
    /// Bytes that sweeping freed.
    sweep_freed_bytes: Counter,
    /// What a sweep could not remove; the next one tries again.
    sweep_failures: Counter,
    /// Recordings that wait for a worker.
    queue: Gauge,
    /// Recordings that can be watched.
    recordings: Gauge,
    /// Bytes of recordings that can be watched.
    recording_bytes: Gauge,
    /// Open connections of viewers.
    connections: Gauge,
    /// Connections accepted.
    connections_accepted: Counter,
    /// Connections refused because there were too many.
    connections_refused: Counter,
    /// Requests whose head was too slow or too large.
    requests_refused: Counter,
    /// Times that accepting failed for want of file descriptors.
    accept_errors: Counter,
    /// Viewers dropped because they did not read.
    viewers_stalled: Counter,
    /// Bytes sent to viewers.
    sent_bytes: Counter,
}

impl Metrics {
    /// The text of `/metrics`.
    pub fn render(&self) -> String {
        let mut registry = Registry::with_prefix("porthole_remote");
        self.register(&mut registry);
        let mut text = String::new();
        // Writing into a String cannot fail.
        let _written = prometheus_client::encoding::text::encode(&mut text, &registry);
        text
    }
}

/// What goes on in the process.
#[derive(Debug, Default)]
pub struct Status {
    /// Counters and gauges.
    pub metrics: Metrics,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    working: BTreeMap<String, Working>,
    ended: VecDeque<Ended>,
    faults: BTreeMap<&'static str, String>,
}

/// What a worker has in hand.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Working {
    /// NAME of the recording.
    pub name: String,
    /// When it began, since 1970.
    pub since: Duration,
}

/// What came of a recording.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Ended {
    /// NAME of the recording.
    pub name: String,
    /// `done`, or what else became of it and why.
    pub outcome: String,
    /// When, since 1970.
    pub at: Duration,
}

/// A copy of what goes on at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Snapshot {
    /// Worker by worker.
    pub working: BTreeMap<String, Working>,
    /// The last endings, newest last.
    pub ended: Vec<Ended>,
    /// What keeps the host from its work, part by part.
    pub faults: BTreeMap<&'static str, String>,
}

impl Status {
    /// `worker` has begun with a recording.
    pub fn begin(&self, worker: &str, name: &str, now: Duration) {
        let working = Working { name: name.to_owned(), since: now };
        self.lock().working.insert(worker.to_owned(), working);
    }

    /// `worker` has come to an end with it.
    pub fn end(&self, worker: &str, outcome: &str, now: Duration) {
        let mut state = self.lock();
        let Some(Working { name, .. }) = state.working.remove(worker) else { return };
        if state.ended.len() == MOST_ENDED {
            state.ended.pop_front();
        }
        state.ended.push_back(Ended { name, outcome: outcome.to_owned(), at: now });
    }

    /// What keeps a part of the host from its work; `None` once it can work again.
    pub fn set_fault(&self, part: &'static str, fault: Option<String>) {
        let faults = &mut self.lock().faults;
        match fault {
            Some(fault) => faults.insert(part, fault),
            None => faults.remove(part),
        };
        self.metrics.faults.set(faults.len() as i64);
    }

    /// What goes on now.
    pub fn snapshot(&self) -> Snapshot {
        let state = self.lock();
        Snapshot {
            working: state.working.clone(),
            ended: state.ended.iter().cloned().collect(),
            faults: state.faults.clone(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_endings_are_remembered_and_no_more() {
        let status = Status::default();
        for n in 0..MOST_ENDED + 3 {
            status.begin("worker 1", &n.to_string(), Duration::ZERO);
            status.end("worker 1", "done", Duration::ZERO);
        }
        status.begin("worker 1", "last", Duration::ZERO);
        let snapshot = status.snapshot();
        assert_eq!(snapshot.ended.len(), MOST_ENDED);
        assert_eq!(snapshot.ended[0].name, "3");
        assert_eq!(snapshot.working["worker 1"].name, "last");
    }

    #[test]
    fn each_part_has_a_fault_of_its_own() {
        let status = Status::default();
        status.set_fault("inbox", Some("no room".to_owned()));
        status.set_fault("janitor", Some("read-only".to_owned()));
        assert_eq!(status.metrics.faults.get(), 2);
        status.set_fault("inbox", None);
        assert_eq!(status.snapshot().faults, BTreeMap::from([("janitor", "read-only".to_owned())]));
        assert_eq!(status.metrics.faults.get(), 1);
    }
}

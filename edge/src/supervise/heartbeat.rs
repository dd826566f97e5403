//! Progress of each stage, so that health can say which one is not moving.

use super::clock::media_now;
use super::stop::Stop;
use media::Ticks90k;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// A stage that has neither beaten nor said that it waits for this long is stuck.
pub const STUCK_AFTER: Ticks90k = Ticks90k(5 * media::time::TICKS_PER_SECOND);

/// From one beat to the next of a stage that rests.
const TURN: Duration = Duration::from_secs(1);

/// One stage, as health and the watchers see it.
pub(super) struct Stage {
    pub(super) name: String,
    /// Media time until which silence is fine: the last beat plus what the stage said it may take.
    quiet_until: AtomicI64,
}

impl Stage {
    /// Whether it made progress lately, or waits for something bounded, at media time `now`.
    pub(super) fn is_moving(&self, now: Ticks90k) -> bool {
        now.0 <= self.quiet_until.load(Ordering::Relaxed)
    }
}

/// Held by a stage; it calls [`Heartbeat::beat`] whenever it makes progress.
#[derive(Clone)]
pub struct Heartbeat {
    stage: Arc<Stage>,
}

impl Heartbeat {
    /// The stage made progress, or found that there is nothing to do.
    pub fn beat(&self) {
        self.quiet_for(STUCK_AFTER);
    }

    /// The stage starts a wait that is bounded by `span`.
    pub fn quiet_for(&self, span: Ticks90k) {
        let until = media_now() + span.max(STUCK_AFTER);
        self.stage.quiet_until.store(until.0, Ordering::Relaxed);
    }

    /// The stage waits for `span`, or until the end is asked for: whether it was. It beats meanwhile.
    pub fn rest(&self, stop: &Stop, span: Duration) -> bool {
        let mut left = span;
        loop {
            self.beat();
            let turn = left.min(TURN);
            left -= turn;
            if stop.wait(turn) || left.is_zero() {
                return stop.asked();
            }
        }
    }
}

/// What health shows of one stage.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct StageHealth {
    /// Name of its thread.
    pub stage: String,
    /// It made progress lately, or waits for something bounded.
    pub moving: bool,
}

/// All stages of the process.
#[derive(Clone, Default)]
pub struct Stages {
    stages: Arc<Mutex<Vec<Arc<Stage>>>>,
}

impl Stages {
    /// Adds a stage; it counts as moving for [`STUCK_AFTER`] from now.
    pub fn register(&self, name: &str) -> Heartbeat {
        let stage = Arc::new(Stage { name: name.to_owned(), quiet_until: AtomicI64::new(0) });
        let heartbeat = Heartbeat { stage: Arc::clone(&stage) };
        heartbeat.beat();
        self.stages.lock().unwrap_or_else(PoisonError::into_inner).push(stage);
        heartbeat
    }

    /// The state of every stage at media time `now`.
    pub fn health(&self, now: Ticks90k) -> Vec<StageHealth> {
        self.all()
            .iter()
            .map(|stage| StageHealth { stage: stage.name.clone(), moving: stage.is_moving(now) })
            .collect()
    }

    /// All that are registered by now.
    pub(super) fn all(&self) -> Vec<Arc<Stage>> {
        self.stages.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_silent_stage_is_named() {
        let stages = Stages::default();
        let _quiet = stages.register("encode front");
        let now = media_now();
        assert!(stages.health(now)[0].moving);
        let later = stages.health(now + STUCK_AFTER + Ticks90k::SECOND);
        assert_eq!(later, [StageHealth { stage: "encode front".to_owned(), moving: false }]);
    }
}

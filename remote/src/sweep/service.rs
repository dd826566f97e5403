//! Sweeping as a role of the service: every ten minutes.

use super::{Error, Policy, sweep};
use crate::config::Config;
use crate::status::Status;
use crate::supervise::{Stop, monotonic, wall_now};
use std::time::Duration;

const EVERY: Duration = Duration::from_secs(600);
/// The wall clock jumped when it went on by so much more or less than time did.
const JUMP: Duration = Duration::from_secs(3600);
/// How long ages are not believed after a jump: somebody may notice, or the clock be put right.
const DISTRUST: Duration = Duration::from_secs(24 * 3600);

/// When something was, by both clocks.
#[derive(Clone, Copy)]
struct Moment {
    wall: Duration,
    steady: Duration,
}

/// Whether ages can be believed.
#[derive(Default)]
struct Trust {
    last: Option<Moment>,
    jumped: Option<Duration>,
}

impl Trust {
    /// Whether the wall clock has kept pace for long enough, `now` included.
    fn holds(&mut self, now: Moment) -> bool {
        if let Some(last) = self.last.replace(now) {
            let expected = last.wall + now.steady.saturating_sub(last.steady);
            if expected.abs_diff(now.wall) > JUMP {
                self.jumped = Some(now.steady);
            }
        }
        self.jumped.is_none_or(|jumped| now.steady.saturating_sub(jumped) >= DISTRUST)
    }
}

/// Sweeps until the end is asked for.
pub fn run(config: &Config, status: &Status, stop: &Stop) {
    let metrics = &status.metrics;
    let mut trust = Trust::default();
    loop {
        let now = Moment { wall: wall_now(), steady: monotonic() };
        let mut policy = config.sweep.policy();
        if !trust.holds(now) {
            tracing::warn!("the clock has jumped: nothing leaves for its age until a day has passed");
            policy = Policy { keep: Duration::MAX, ..policy };
        }
        match sweep(&config.dir, &policy, now.wall, false, &|| stop.asked()) {
            Ok(report) => {
                metrics.sweep_last_run.set(now.wall.as_secs() as i64);
                metrics.sweep_removed.inc_by(report.removed.len() as u64);
                metrics.sweep_freed_bytes.inc_by(report.freed);
                metrics.sweep_failures.inc_by(report.failures.len() as u64);
                for (name, why) in &report.failures {
                    tracing::error!(name, why, "cannot leave");
                }
                let (withdrawn, removed) = (report.withdrawn.len(), report.removed.len());
                tracing::info!(withdrawn, removed, kept = report.kept, freed = report.freed, "swept");
            }
            Err(Error::Stopped) => return,
            Err(error) => {
                metrics.sweep_failures.inc();
                tracing::error!(%error, "the sweep failed");
            }
        }
        if stop.wait(EVERY) {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_a_jump_of_the_clock_ages_count_again_a_day_later() {
        const HOUR: u64 = 3600;
        let mut trust = Trust::default();
        let mut at = |wall, steady| {
            let hours = |count| Duration::from_secs(count * HOUR);
            trust.holds(Moment { wall: hours(wall), steady: hours(steady) })
        };
        assert!(at(1000, 10) && at(1010, 20), "it keeps pace");
        assert!(!at(9770, 21), "a year ahead");
        assert!(!at(9771, 22) && !at(9793, 44));
        assert!(at(9794, 45));
        assert!(!at(9790, 46), "back");
    }
}

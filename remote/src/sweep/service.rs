//! Sweeping as a role of the service: every ten minutes.

use super::trust::{Moment, Trust};
use super::{Error, sweep};
use crate::config::Config;
use crate::status::Status;
use crate::supervise::Stop;
use std::time::Duration;

const EVERY: Duration = Duration::from_secs(600);

/// Sweeps until the end is asked for.
pub fn run(config: &Config, status: &Status, stop: &Stop) {
    let metrics = &status.metrics;
    let mut trust = Trust::load(&config.dir);
    loop {
        let now = Moment::now();
        let wall = now.wall;
        let policy = trust.policy(config.sweep.policy(), now);
        if let Some(left) = trust.left() {
            tracing::warn!(?left, "the clock may have jumped: until then nothing leaves for its age");
        }
        // Whoever comes next believes less then, and not more.
        if let Err(error) = trust.store(&config.dir) {
            tracing::warn!(%error, "a jump of the clock would be forgotten with this process");
        }
        match sweep(&config.dir, &policy, wall, false, &|| stop.asked()) {
            Ok(report) => {
                metrics.sweep_last_run.set(wall.as_secs() as i64);
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

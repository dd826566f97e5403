//! What the status says of the upload: what is at risk, what waits, and how long that will take.

use super::{Uploader, link};
use crate::status::{AtRisk, UploadState, UploadStatus};
use crate::store::Backlog;
use crate::supervise::clock;
use media::Ticks90k;

/// With less than this to send nothing is worth a forecast.
const LITTLE: u64 = 1 << 20;

impl Uploader {
    /// Tells the status what it does now.
    pub(super) fn show(&mut self, state: UploadState) {
        let Some(config) = &self.inputs.current.get().upload else { return };
        let now = clock::media_now();
        let backlog = self.inputs.store.backlog();
        let sent: u64 = self.desk.tasks().iter().map(|task| task.sent()).sum();
        let left = backlog.bytes.saturating_sub(sent);
        let rate = self.session.as_ref().and_then(|_| self.pace.rate());
        let failure = self.failure.clone().or_else(|| {
            let latest = self.held_back.values().max_by_key(|held| held.until);
            latest.map(|held| held.failure.clone())
        });
        let forecast = Forecast::new(left, &backlog, rate);
        self.inputs.status.set_upload(UploadStatus {
            remote: link::remote_name(config),
            state,
            pending: backlog.sealed,
            pending_bytes: left,
            bytes_per_second: rate.map(|rate| rate as u64),
            seconds_to_finish: forecast.finish,
            seconds_to_full: forecast.full,
            at_risk: self.at_risk(now, &backlog),
            receipts: self.receipts,
            failure,
        });
        self.shown = now;
    }

    /// Footage of each camera that is on the edge alone.
    fn at_risk(&self, now: Ticks90k, backlog: &Backlog) -> Vec<AtRisk> {
        let growing = self.inputs.store.growing();
        let cameras = self.inputs.status.cameras.iter().map(|camera| {
            let sealed = backlog.seconds.iter().find(|(name, _)| *name == camera.name);
            let mut seconds = sealed.map_or(0.0, |(_, seconds)| *seconds);
            for task in
                self.desk.tasks().iter().filter(|task| !task.grows() && task.pending.camera == camera.name)
            {
                let share = task.sent() as f64 / task.pending.content.bytes().max(1) as f64;
                seconds -= task.pending.seconds * share.min(1.0);
            }
            for pending in growing.iter().filter(|pending| pending.camera == camera.name) {
                let task = self.desk.tasks().iter().find(|task| task.pending.name == pending.name);
                let confirmed = task.and_then(|task| task.confirmed);
                let newest = if pending.held { now } else { pending.end };
                seconds += confirmed.map_or(pending.seconds, |until| (newest - until).as_secs_f64());
            }
            let seconds = seconds.max(0.0);
            camera.metrics.at_risk_seconds.set(seconds);
            AtRisk { camera: camera.name.clone(), seconds }
        });
        cameras.collect()
    }
}

/// When the backlog is done, or the disk full.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Forecast {
    finish: Option<f64>,
    full: Option<f64>,
}

impl Forecast {
    /// `left` bytes are to be sent, at `rate` bytes a second, or not at all for now.
    fn new(left: u64, backlog: &Backlog, rate: Option<f64>) -> Self {
        let shrinks = rate.unwrap_or(0.0) - backlog.growth;
        if left < LITTLE {
            return Self::default();
        }
        if shrinks > 0.0 {
            return Self { finish: Some(left as f64 / shrinks), full: None };
        }
        let grows = -shrinks;
        Self { finish: None, full: (grows > 0.0).then(|| backlog.room as f64 / grows) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_backlog_that_shrinks_has_an_end_and_one_that_grows_fills_the_disk() {
        let backlog = Backlog { growth: 50_000.0, room: 100_000_000, ..Backlog::default() };
        let forecast = |rate| Forecast::new(10_000_000, &backlog, rate);
        assert_eq!(forecast(Some(150_000.0)), Forecast { finish: Some(100.0), full: None });
        assert_eq!(forecast(Some(30_000.0)), Forecast { finish: None, full: Some(5000.0) });
        assert_eq!(forecast(None), Forecast { finish: None, full: Some(2000.0) });
        assert_eq!(
            Forecast::new(1000, &backlog, None),
            Forecast::default(),
            "it has only just been recorded"
        );
        let still = Backlog::default();
        assert_eq!(Forecast::new(10_000_000, &still, None), Forecast::default(), "nothing moves");
    }
}

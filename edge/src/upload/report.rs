//! What the status says of the upload: what is at risk, what waits, and how long that will take.

use super::{Uploader, link};
use crate::status::{Alone, UploadState, UploadStatus};
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
        self.tell_alone(now, &backlog);
        self.inputs.status.set_upload(UploadStatus {
            remote: link::remote_name(config),
            state,
            pending: backlog.sealed,
            pending_bytes: left,
            bytes_per_second: rate.map(|rate| rate as u64),
            seconds_to_finish: forecast.finish,
            seconds_to_full: forecast.full,
            at_risk: Vec::new(),
            receipts: self.receipts,
            failure,
        });
        self.shown = now;
    }

    /// Says which footage of each camera is on the edge alone.
    fn tell_alone(&self, now: Ticks90k, backlog: &Backlog) {
        let growing = self.inputs.store.growing();
        for camera in &self.inputs.status.cameras {
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
            camera.set_alone(Alone { seconds: seconds.max(0.0), at: Some(now) });
        }
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
    use crate::upload::pace::Pace;
    use media::handshake::turn::{self, Due};
    use std::time::Duration;

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

    /// Bytes of a second of footage, and how many fit on the edge's disk.
    const SECOND: u64 = 50_000;
    const DISK: u64 = 200_000_000;

    /// A link of so many bytes a second with a camera and a backlog before it, in virtual time. Turns, pieces, rates and forecasts are those of the
    /// product.
    struct Link {
        bytes_per_second: f64,
        now: f64,
        pace: Pace,
        backlog: u64,
        sent_live: u64,
    }

    impl Link {
        const ROUND_TRIP: f64 = 0.05;

        fn new(bytes_per_second: u64, backlog: u64) -> Self {
            let mut pace = Pace::default();
            pace.answered(ticks(Self::ROUND_TRIP));
            Self { bytes_per_second: bytes_per_second as f64, now: 0.0, pace, backlog, sent_live: 0 }
        }

        /// What the camera has made and nobody has sent.
        fn live(&self) -> u64 {
            self.now as u64 * SECOND - self.sent_live
        }

        /// One piece, or the wait for the next GOP.
        fn go_on(&mut self) {
            let due = |grows| Due { grows, served: 0, order: 0 };
            let waits =
                [(true, self.live()), (false, self.backlog)].into_iter().filter(|(_, left)| *left > 0);
            let Some((live, left)) = turn::next(waits.map(|next| (next, due(next.0)))) else {
                self.now = self.now.floor() + 1.0;
                return;
            };
            let piece = left.min(self.pace.piece());
            let took = Self::ROUND_TRIP + piece as f64 / self.bytes_per_second;
            self.pace.wrote(piece, ticks(took));
            self.now += took;
            if live {
                self.sent_live += piece;
            } else {
                self.backlog -= piece;
            }
        }

        fn forecast(&self) -> Forecast {
            let left = self.backlog + self.live();
            let room = DISK.saturating_sub(left);
            let backlog = Backlog { growth: SECOND as f64, room, ..Backlog::default() };
            Forecast::new(left, &backlog, self.pace.rate())
        }

        /// Goes on until `over`; gives how wrong every forecast was that it shows after the first seconds, as a share of what was left.
        fn play(&mut self, over: impl Fn(&Self) -> bool, shown: impl Fn(Forecast) -> Option<f64>) -> f64 {
            let mut forecasts = Vec::new();
            while !over(self) {
                self.go_on();
                if self.now > 10.0 && !over(self) {
                    let forecast = self.forecast();
                    // Less than the last megabyte has none.
                    forecasts.extend(shown(forecast).map(|seconds| (self.now, seconds)));
                    assert!(shown(forecast).is_some() || self.backlog + self.live() < LITTLE, "{forecast:?}");
                }
            }
            assert!(forecasts.len() > 100, "{}", forecasts.len());
            let wrong =
                |(at, seconds): &(f64, f64)| (at + seconds - self.now).abs() / (self.now - at).max(10.0);
            forecasts.iter().map(wrong).fold(0.0, f64::max)
        }
    }

    fn ticks(seconds: f64) -> Ticks90k {
        Ticks90k::from_duration(Duration::from_secs_f64(seconds))
    }

    #[test]
    fn a_backlog_is_done_four_times_as_fast_as_it_was_recorded_when_the_status_said() {
        // An hour, over a link that takes little more than five times what the camera makes.
        let (hour, link) = (3600 * SECOND, 6 * SECOND);
        let mut link = Link::new(link, hour);
        let wrong = link.play(|link| link.backlog == 0, |forecast| forecast.finish);
        assert!(link.now <= 3600.0 / 4.0, "{} s", link.now);
        assert!(wrong < 0.15, "{wrong}");
        assert!(link.live() <= 2 * SECOND, "what grows goes first: {}", link.live());
    }

    #[test]
    fn over_a_link_below_the_bitrate_the_disk_is_full_when_the_status_said() {
        let mut link = Link::new(SECOND / 2, 2 * LITTLE);
        let wrong = link.play(|link| link.backlog + link.live() >= DISK, |forecast| forecast.full);
        assert!(wrong < 0.15, "{wrong}");
    }
}

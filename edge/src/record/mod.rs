//! One thread a camera that moves whole GOPs from the ring into recordings. docs/design/recording.md has the procedure.
//!
//! ```text
//!            resume: the newest GOP that is in a recording
//!               |
//!               v
//! RING --GOP after GOP--> grow --mark, new configuration, full--> seal --> STORE
//!               ^                                                  |
//!               +-------- anything fails: leave the file torn, back off
//! ```
//!
//! A restart of the process and a failed write take the same way: what is torn is sealed by the store, and recording goes on
//! behind the newest GOP that is in it. So no GOP that the ring still holds is lost, and none is recorded twice.

mod period;
mod writer;

use crate::config::Current;
use crate::ring::{self, GopInfo, Ring};
use crate::status::{CameraStatus, Cause, Durable, Status};
use crate::store::{self, Store};
use crate::supervise::{Backoff, Stop, clock};
use media::ledger::{Entry, SHORTEST_GAP};
use media::mp4::{About, Growing};
use media::names::RecordingName;
use media::time::WallMapping;
use media::{Gop, Ticks90k};
use period::{CLOCK_SET, Period};
use std::sync::Arc;
use std::time::Duration;
use writer::Writer;

/// How often the ring is asked for a new GOP: one comes every second.
const POLL: Duration = Duration::from_millis(200);
/// First and longest wait after a failure. The ring holds what comes meanwhile.
const BACKOFF: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));

/// With no more seconds than these on the edge alone the remote host keeps up: a GOP, and what it takes to get there.
const KEEPS_UP: f64 = 3.0;

/// Minutes of a recording in RAM, where the oldest may have to leave soon.
const MINUTES_IN_RAM: u32 = 1;

/// What the ledger must be told, while the folder cannot be written; more is forgotten.
const MOST_NEWS: usize = 1024;

/// What a recorder works with.
pub struct Inputs {
    /// Where the GOPs come from.
    pub ring: Ring,
    /// Where the recordings go.
    pub store: Store,
    /// The configuration in force.
    pub current: Current,
    /// Gaps and faults.
    pub status: Arc<Status>,
    /// The camera.
    pub own: Arc<CameraStatus>,
}

/// Why a GOP could not be recorded.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error(transparent)]
    Store(#[from] store::Error),
    #[error(transparent)]
    Ring(#[from] ring::Error),
}

/// What a recorder's fault is called, before the camera's name: the disk does not work; there is no room; anything else.
const TROUBLES: [&str; 3] = ["disk_failed", "disk_full", "record"];

impl Error {
    fn trouble(&self) -> &'static str {
        let [failed, full, other] = TROUBLES;
        match self {
            Self::Store(error) if error.is_disk_failed() => failed,
            Self::Store(error) if error.is_disk_full() => full,
            _ => other,
        }
    }
}

/// Records until the end is asked for; then seals the open recording, with the GOP in flight. The encoder must have ended by
/// then.
pub fn run(inputs: Inputs, stop: Stop) {
    let mut recorder = Recorder::new(inputs);
    let mut backoff = Backoff::new(BACKOFF.0, BACKOFF.1);
    let mut wait = POLL;
    loop {
        let ended = stop.wait(wait);
        let mut done = if ended { recorder.finish() } else { recorder.follow() };
        if let (true, Err(error)) = (ended, &done) {
            // If the card was at fault, there is RAM.
            recorder.fail(error);
            done = recorder.finish();
        }
        wait = match done {
            Ok(()) => {
                recorder.well();
                backoff.reset();
                POLL
            }
            Err(error) => {
                recorder.fail(&error);
                backoff.next_wait()
            }
        };
        if ended {
            return;
        }
    }
}

/// The recording that is being written.
struct Open {
    name: RecordingName,
    period: Period,
    writer: Writer,
    in_ram: bool,
}

struct Recorder {
    inputs: Inputs,
    /// Sequence of the GOP to record next; `None`: the store must be asked.
    next: Option<u64>,
    open: Option<Open>,
    /// Media time where the newest GOP ends that this process recorded.
    last_end: Option<Ticks90k>,
    /// When the newest GOP was recorded.
    taken: Ticks90k,
    /// Why GOPs are lost, if any are.
    cause: Cause,
    /// The wall clock as the ledger has it.
    clock: Option<WallMapping>,
    /// What the ledger must be told.
    news: Vec<Entry>,
    /// The hour of media time in which the ledger was last looked at for what no recording takes along.
    hour: Option<i64>,
}

impl Recorder {
    fn new(inputs: Inputs) -> Self {
        Self {
            inputs,
            next: None,
            open: None,
            last_end: None,
            taken: Ticks90k::ZERO,
            cause: Cause::Overload,
            clock: None,
            news: Vec::new(),
            hour: None,
        }
    }

    /// Records every GOP that is complete.
    fn follow(&mut self) -> Result<(), Error> {
        let now = clock::media_now();
        self.gaps(now);
        while let Some(next) = self.next_gop()? {
            match self.inputs.ring.info(next) {
                Ok(info) if info.complete => self.take(&info)?,
                Ok(_) | Err(ring::Error::Future { .. }) => break,
                Err(ring::Error::Gone { .. }) => self.next = self.jump(next),
                Err(error) => return Err(error.into()),
            }
        }
        let seconds = self.sync_seconds();
        if let Some(open) = &mut self.open {
            open.writer.sync_if_due(seconds, clock::media_now())?;
        }
        self.tell_durable();
        self.tell()?;
        self.inputs.store.tend(now);
        self.rest(now)
    }

    /// Says what a power cut would leave: all that was taken, if no recording is open.
    fn tell_durable(&self) {
        let Inputs { own, store, .. } = &self.inputs;
        let until = self.open.as_ref().map(|open| open.writer.synced_until()).or(self.last_end);
        own.set_durable(Durable { until, in_ram: store.in_ram(&own.name) });
    }

    /// Seconds between two syncs. A card is spared no longer than the remote host holds what is not synced.
    fn sync_seconds(&self) -> u32 {
        let Inputs { own, current, .. } = &self.inputs;
        let config = current.get();
        match config.upload {
            Some(_) if own.at_risk_seconds(clock::media_now()) > KEEPS_UP => 1,
            _ => config.record.sync_seconds,
        }
    }

    /// Takes up the gaps that the ledger does not have yet.
    fn gaps(&mut self, now: Ticks90k) {
        let Inputs { own, status, .. } = &self.inputs;
        let entry = |(cause, from, to)| Entry::Gap { cause, from, to };
        self.news.extend(status.gaps.news(&own.name, now).into_iter().map(entry));
        self.news.truncate(MOST_NEWS);
    }

    /// Footage that never came to the ring although the camera was there: the encoder did not keep up.
    fn hole_before(&self, gop: &Gop) {
        let Some(end) = self.last_end.filter(|end| gop.start - *end >= SHORTEST_GAP) else { return };
        let Inputs { own, status, .. } = &self.inputs;
        let start = gop.wall.map(|wall| wall.plus(end - gop.start));
        status.gaps.hole(&own.name, (end, gop.start), start);
    }

    /// Takes up that the clock was set, or has drifted, if it was by then.
    fn clock(&mut self, gop: &Gop) {
        let Some(wall) = gop.wall else { return };
        if self.clock.is_none_or(|clock| (wall.0 - clock.wall_of(gop.start).0).abs() > CLOCK_SET) {
            self.clock = Some(WallMapping { media: gop.start, wall });
            self.news.push(Entry::Clock { media: gop.start, wall });
        }
    }

    /// Tells the ledger, durably.
    fn tell(&mut self) -> Result<(), Error> {
        if !self.news.is_empty() {
            self.inputs.store.note(&self.inputs.own.name, &self.news)?;
            self.news.clear();
        }
        Ok(())
    }

    /// Without GOPs for as long as a recording may be, what there is of it is sealed; and once an hour, what the ledger was told
    /// without a recording that takes it along leaves by itself.
    fn rest(&mut self, now: Ticks90k) -> Result<(), Error> {
        let minutes = i64::from(self.inputs.current.get().record.minutes);
        if self.open.is_some() && (now - self.taken).second() >= 60 * minutes {
            self.seal()?;
        }
        let hour = now.second() / 3600;
        if self.hour != Some(hour) {
            let idle = self.open.is_none() && self.hour.is_some();
            self.inputs.store.cut_ledger(&self.inputs.own.name, idle)?;
            self.hour = Some(hour);
        }
        Ok(())
    }

    /// Records what is left, also of the GOP in flight, and seals.
    fn finish(&mut self) -> Result<(), Error> {
        self.follow()?;
        if let Some(next) = self.next_gop()?
            && let Ok(info) = self.inputs.ring.info(next)
        {
            self.take(&info)?;
        }
        self.seal()
    }

    /// The GOP behind the newest recorded one; `None` while the ring is empty.
    fn next_gop(&mut self) -> Result<Option<u64>, Error> {
        if self.next.is_none() {
            let recorded = self.inputs.store.resume(&self.inputs.own.name)?;
            let newest = self.inputs.ring.newest();
            // A ring that was made anew counts from 0 again: nothing in it is recorded yet.
            let recorded =
                recorded.filter(|recorded| newest.is_some_and(|newest| newest.sequence >= *recorded));
            self.next = match recorded {
                Some(recorded) => Some(recorded + 1),
                None => self.inputs.ring.index().first().map(|oldest| oldest.sequence),
            };
        }
        Ok(self.next)
    }

    /// The ring has overtaken the recorder: goes on at the oldest GOP that is there.
    fn jump(&mut self, lost: u64) -> Option<u64> {
        let oldest = self.inputs.ring.index().into_iter().find(|info| info.sequence > lost)?;
        // What left the ring before this process recorded anything is no loss of its own, and a placeholder is none at all.
        let gone = |from| self.inputs.status.gaps.covers(&self.inputs.own.name, from, oldest.start);
        if let Some(from) = self.last_end.filter(|from| !gone(*from)) {
            self.count_gap(from, &oldest);
        }
        Some(oldest.sequence)
    }

    fn count_gap(&self, from: Ticks90k, oldest: &GopInfo) {
        let Inputs { own, status, .. } = &self.inputs;
        own.metrics.reader_lapped.inc();
        let start = oldest.wall.map(|wall| wall.plus(from - oldest.start));
        status.gaps.open(&own.name, self.cause, from, start);
        status.gaps.close(&own.name, self.cause, oldest.start);
        let seconds = (oldest.start - from).as_secs_f64();
        tracing::error!(camera = own.name, seconds, "footage has left the ring before it was recorded");
    }

    /// Reads one GOP and records it, unless it is a placeholder: in the recording that is a gap.
    fn take(&mut self, info: &GopInfo) -> Result<(), Error> {
        if info.gone_since.is_some() {
            self.next = Some(info.sequence + 1);
            return Ok(());
        }
        let gop = match self.inputs.ring.read(info.sequence) {
            Ok(gop) => gop,
            // The next look finds that it is gone.
            Err(ring::Error::Gone { .. }) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        let now = clock::media_now();
        self.hole_before(&gop);
        self.gaps(now);
        self.clock(&gop);
        self.tell()?;
        self.record(&gop)?;
        self.next = Some(info.sequence + 1);
        self.last_end = Some(gop.video_end());
        self.taken = now;
        Ok(())
    }

    fn record(&mut self, gop: &Gop) -> Result<(), Error> {
        let minutes = self.inputs.current.get().record.minutes;
        let ends = |open: &Open| {
            let minutes = if open.in_ram { MINUTES_IN_RAM } else { minutes };
            open.period.ends_before(gop.start, gop.wall, minutes)
        };
        if self.open.as_ref().is_some_and(ends) || self.inputs.own.take_cut() {
            self.seal()?;
        }
        match self.open.as_mut().map(|open| open.writer.append(gop)) {
            Some(Ok(())) => {}
            // Another configuration, or nearly full: it does not belong into this recording.
            Some(Err(store::Error::Mp4 { .. })) => {
                self.seal()?;
                self.begin(gop)?;
            }
            Some(Err(error)) => return Err(error.into()),
            None => self.begin(gop)?,
        }
        if let Some(Open { name, writer, period, .. }) = &mut self.open {
            period.extend(gop.start, gop.wall);
            self.inputs.store.grow(name, writer.growth())?;
        }
        Ok(())
    }

    fn begin(&mut self, gop: &Gop) -> Result<(), Error> {
        let Inputs { own, store, status, .. } = &self.inputs;
        let about = About { camera: own.name.clone(), start: gop.wall };
        let begun = match Growing::begin(gop, &about) {
            Ok(begun) => begun,
            Err(error) => {
                own.metrics.record_errors.inc();
                status.gaps.open(&own.name, Cause::Overload, gop.start, gop.wall);
                status.gaps.close(&own.name, Cause::Overload, gop.video_end());
                tracing::error!(camera = own.name, gop = gop.sequence, %error, "a GOP that no recording can hold");
                return Ok(());
            }
        };
        let file = store.begin(&own.name, gop.start, gop.wall)?;
        let writer = Writer::begin(file.file, file.path, begun, about, clock::media_now());
        let writer = writer.inspect_err(|_| store.release(&file.name))?;
        let period = Period::begin(gop.start, gop.wall);
        self.open = Some(Open { name: file.name, period, writer, in_ram: file.in_ram });
        Ok(())
    }

    fn seal(&mut self) -> Result<(), Error> {
        if let Some(Open { name, writer, .. }) = &mut self.open {
            let store = &self.inputs.store;
            let sealed = writer.seal(clock::media_now(), |gops| store.draft(name, gops))?;
            store.seal(name, &sealed)?;
            self.inputs.own.metrics.recordings_sealed.inc();
            self.open = None;
        }
        Ok(())
    }

    /// Leaves the open recording torn; the store says where to go on.
    fn fail(&mut self, error: &Error) {
        let Inputs { own, store, status, .. } = &self.inputs;
        own.metrics.record_errors.inc();
        tracing::error!(camera = own.name, %error, "recording failed; it is tried again");
        self.well();
        status.set_fault(&format!("{} {}", error.trouble(), own.name), Some(error.to_string()));
        self.next = None;
        if let Some(open) = self.open.take() {
            store.release(&open.name);
        }
        self.cause = Cause::Overload;
        let Error::Store(error) = error else { return };
        store.failed(error);
        if error.is_disk_full() {
            self.cause = Cause::DiskFull;
            if let Err(error) = store.disk_is_full() {
                tracing::error!(camera = own.name, %error, "no room can be made");
            }
        }
    }

    fn well(&self) {
        let Inputs { own, status, .. } = &self.inputs;
        TROUBLES.iter().for_each(|trouble| status.set_fault(&format!("{trouble} {}", own.name), None));
    }
}

#[cfg(test)]
mod tests;

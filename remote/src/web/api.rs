//! What the remote host tells of itself, as JSON: `/api/...`, `/healthz`; and `/metrics`.
//!
//! docs/ref/remote-openapi.json describes every shape here. Times are milliseconds since 1970.

use super::{Site, text};
use crate::library::{Catalogue, Gap, Key, Recording, State as Progress};
use crate::status::{Ended, Working};
use crate::supervise::{ThreadHealth, monotonic, wall_now};
use axum::Json;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::time::Duration;

/// Entries of an answer unless it is asked for more.
const USUAL: usize = 100;
/// Entries of an answer at most.
const MOST: usize = 1000;

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// `/api/status`
#[derive(Serialize)]
struct StatusReport {
    version: &'static str,
    now: u64,
    /// Every thread moves.
    healthy: bool,
    /// All recordings have been looked at since the start.
    complete: bool,
    recordings: Totals,
    inbox: Inbox,
    /// Who works on what.
    working: Vec<Worker>,
    /// What came of recordings lately, newest first.
    ended: Vec<End>,
    sweep: Sweep,
    faults: Vec<Fault>,
}

#[derive(Default, Serialize)]
struct Totals {
    count: usize,
    bytes: u64,
    seconds: f64,
    quarantined: usize,
}

#[derive(Serialize)]
struct Inbox {
    arriving: usize,
    receipted: usize,
    chopping: usize,
    /// Recordings that wait for a worker.
    queue: i64,
}

#[derive(Serialize)]
struct Worker {
    worker: String,
    name: String,
    since: u64,
}

#[derive(Serialize)]
struct End {
    name: String,
    outcome: String,
    at: u64,
}

#[derive(Serialize)]
struct Sweep {
    /// When the last one was.
    last: Option<u64>,
    removed: u64,
    freed_bytes: u64,
    failures: u64,
}

#[derive(Serialize)]
struct Fault {
    part: &'static str,
    message: String,
}

/// Answers `/api/status`.
pub async fn status(State(site): State<Site>) -> Response {
    let (metrics, catalogue) = (&site.status.metrics, site.shelf.catalogue());
    let snapshot = site.status.snapshot();
    let coming = |state| catalogue.coming.iter().filter(|recording| recording.state == state).count();
    let worker = |(worker, Working { name, since })| Worker { worker, name, since: millis(since) };
    let end = |Ended { name, outcome, at }| End { name, outcome, at: millis(at) };
    let swept = u64::try_from(metrics.sweep_last_run.get()).ok().filter(|&seconds| seconds > 0);
    Json(StatusReport {
        version: env!("CARGO_PKG_VERSION"),
        now: millis(wall_now()),
        healthy: threads(&site).iter().all(|thread| thread.moving),
        complete: catalogue.complete,
        recordings: totals(&catalogue),
        inbox: Inbox {
            arriving: coming(Progress::Arriving),
            receipted: coming(Progress::Receipted),
            chopping: coming(Progress::Chopping),
            queue: metrics.queue.get(),
        },
        working: snapshot.working.into_iter().map(worker).collect(),
        ended: snapshot.ended.into_iter().rev().map(end).collect(),
        sweep: Sweep {
            last: swept.map(|seconds| seconds * 1000),
            removed: metrics.sweep_removed.get(),
            freed_bytes: metrics.sweep_freed_bytes.get(),
            failures: metrics.sweep_failures.get(),
        },
        faults: snapshot.faults.into_iter().map(|(part, message)| Fault { part, message }).collect(),
    })
    .into_response()
}

fn totals(catalogue: &Catalogue) -> Totals {
    let mut totals = Totals::default();
    for recording in catalogue.settled.iter() {
        if recording.state == Progress::Quarantined {
            totals.quarantined += 1;
            continue;
        }
        totals.count += 1;
        totals.bytes += recording.bytes;
        totals.seconds += recording.seconds.unwrap_or_default();
    }
    totals
}

/// What of a list is wanted.
#[derive(Deserialize)]
pub struct Wanted {
    /// Of this camera alone.
    camera: Option<String>,
    /// As many at most.
    limit: Option<usize>,
    /// Those behind this place: what `next` of the answer before said.
    after: Option<String>,
}

impl Wanted {
    fn limit(&self) -> Result<usize, String> {
        match self.limit.unwrap_or(USUAL) {
            limit @ 1..=MOST => Ok(limit),
            limit => Err(format!("limit = {limit}: 1 to {MOST}")),
        }
    }

    fn is_of(&self, camera: &str) -> bool {
        self.camera.as_ref().is_none_or(|wanted| wanted == camera)
    }

    fn bad_place(&self) -> Response {
        let after = self.after.as_deref().unwrap_or_default();
        text(StatusCode::BAD_REQUEST, format!("after = {after:?}: what `next` of an answer says"))
    }
}

/// `/api/recordings`
#[derive(Serialize)]
struct Recordings<'a> {
    now: u64,
    /// All recordings have been looked at since the start.
    complete: bool,
    /// The cameras of all recordings.
    cameras: BTreeSet<&'a str>,
    /// How many there are of what was asked for, whatever `limit` and `after`, and their bytes.
    count: usize,
    bytes: u64,
    /// Newest first.
    recordings: Vec<&'a Recording>,
    /// Where the list goes on, if it does.
    next: Option<String>,
}

/// Answers `/api/recordings`.
pub async fn recordings(State(site): State<Site>, Query(wanted): Query<Wanted>) -> Response {
    let limit = match wanted.limit() {
        Ok(limit) => limit,
        Err(why) => return text(StatusCode::BAD_REQUEST, why),
    };
    let after = match wanted.after.as_deref().map(place) {
        Some(None) => return wanted.bad_place(),
        Some(after) => after,
        None => None,
    };
    let catalogue = site.shelf.catalogue();
    let all = || catalogue.recordings().filter(|recording| wanted.is_of(&recording.camera));
    let (count, bytes) = all().fold((0, 0), |(count, bytes), recording| (count + 1, bytes + recording.bytes));
    let mut behind = all().filter(|recording| after.is_none_or(|after| recording.key() < after));
    let recordings: Vec<&Recording> = behind.by_ref().take(limit).collect();
    let next = behind.next().and(recordings.last()).map(|last| {
        let (time, name) = last.key();
        format!("{time}.{name}")
    });
    let cameras = catalogue.recordings().map(|recording| recording.camera.as_str()).collect();
    let now = millis(wall_now());
    Json(Recordings { now, complete: catalogue.complete, cameras, count, bytes, recordings, next })
        .into_response()
}

/// The place that `next` names: a time, and a NAME.
fn place(text: &str) -> Option<Key<'_>> {
    let (time, name) = text.split_once('.')?;
    Some((time.parse().ok()?, name))
}

/// `/api/gaps`
#[derive(Serialize)]
struct Gaps<'a> {
    now: u64,
    /// Newest first.
    gaps: Vec<&'a Gap>,
    /// Where the list goes on, if it does.
    next: Option<String>,
}

/// Answers `/api/gaps`.
pub async fn gaps(State(site): State<Site>, Query(wanted): Query<Wanted>) -> Response {
    let limit = match wanted.limit() {
        Ok(limit) => limit,
        Err(why) => return text(StatusCode::BAD_REQUEST, why),
    };
    let Ok(from) = wanted.after.as_deref().map_or(Ok(0), str::parse::<usize>) else {
        return wanted.bad_place();
    };
    let catalogue = site.shelf.catalogue();
    let mut behind = catalogue.gaps.iter().filter(|gap| wanted.is_of(&gap.camera)).skip(from);
    let gaps: Vec<&Gap> = behind.by_ref().take(limit).collect();
    let next = behind.next().map(|_| (from + gaps.len()).to_string());
    Json(Gaps { now: millis(wall_now()), gaps, next }).into_response()
}

/// `/healthz`
#[derive(Serialize)]
struct Health {
    /// Every thread moves.
    healthy: bool,
    threads: Vec<ThreadHealth>,
}

/// Answers `/healthz`: 503 while a thread does not move.
pub async fn health(State(site): State<Site>) -> Response {
    let threads = threads(&site);
    let healthy = threads.iter().all(|thread| thread.moving);
    let code = if healthy { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (code, Json(Health { healthy, threads })).into_response()
}

fn threads(site: &Site) -> Vec<ThreadHealth> {
    site.pulses.health(monotonic())
}

/// Answers `/metrics`.
pub async fn metrics(State(site): State<Site>) -> Response {
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(CONTENT_TYPE, kind)], site.status.metrics.render()).into_response()
}

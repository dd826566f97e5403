//! What the edge tells of itself, as JSON: `/api/...`, `/healthz`, and the same on the control socket.
//!
//! docs/ref/openapi.json describes every shape here. Media times are seconds on the media clock, which is also what the time
//! stamps of `stream.mp4` and of HLS segments count; wall times are milliseconds since 1970, or null while the clock is not set.

use super::Sources;
use crate::ring::{GopInfo, Ring};
use crate::status::{
    CameraMetrics, CameraState, CameraStatus, Fault, Gap, Recording, StorageStatus, UploadStatus,
};
use crate::supervise::clock::{mapping, media_now, wall_now};
use crate::supervise::{ThreadHealth, monotonic};
use media::{StreamConfig, Ticks90k, Track, WallTime};
use serde::Serialize;
use std::sync::Arc;

/// The moment of the answer, on both clocks.
#[derive(Serialize)]
pub(super) struct Now {
    media: f64,
    wall: Option<i64>,
}

fn now() -> Now {
    Now { media: media_now().as_secs_f64(), wall: wall_now().map(|wall| wall.as_millis()) }
}

/// `/api/status`
#[derive(Serialize)]
pub(super) struct StatusReport {
    version: &'static str,
    now: Now,
    /// Seconds since the process started.
    uptime: f64,
    /// Every stage moves.
    healthy: bool,
    connections: i64,
    viewers: i64,
    cameras: Vec<CameraReport>,
    recordings: RecordingTotals,
    storage: Option<StorageStatus>,
    upload: Option<UploadStatus>,
    faults: Vec<Fault>,
}

#[derive(Serialize)]
struct RecordingTotals {
    count: usize,
    bytes: u64,
    seconds: f64,
}

/// One camera, in `/api/status` and `/api/cameras`.
#[derive(Serialize)]
struct CameraReport {
    name: String,
    #[serde(flatten)]
    state: CameraState,
    viewers: i64,
    repairs: RepairReport,
    /// Seconds of footage that a power cut would take.
    unsynced_seconds: f64,
    /// What is encoded: the RFC 6381 `codecs` of all tracks.
    codecs: Option<String>,
    video: Option<VideoReport>,
    audio: Option<AudioReport>,
    ring: Option<RingReport>,
    newest: Option<Newest>,
}

/// What was done about a camera that was gone.
#[derive(Serialize)]
struct RepairReport {
    /// Times that it came back.
    made: u64,
    /// How long that took on average, from the failure, or from when the device was there again.
    mean_seconds: Option<f64>,
    /// Times that each rung was used.
    reopened: u64,
    usb_resets: u64,
    restarts: u64,
}

#[derive(Serialize)]
struct VideoReport {
    codec: String,
    width: u16,
    height: u16,
    /// Pictures a second, counted in the newest whole GOP.
    fps: Option<f64>,
    /// Of all tracks, measured over the ring.
    bits_per_second: Option<u64>,
}

#[derive(Serialize)]
struct AudioReport {
    codec: String,
    sample_rate: u32,
    channels: u8,
}

#[derive(Serialize)]
struct RingReport {
    first_sequence: u64,
    last_sequence: u64,
    start: f64,
    end: f64,
    bytes: u64,
    capacity: u64,
}

/// The newest picture.
#[derive(Serialize)]
struct Newest {
    media: f64,
    wall: Option<i64>,
}

/// `/api/status`
pub(super) fn status(sources: &Sources) -> StatusReport {
    let status = &sources.status;
    let cameras = cameras_of(sources);
    let recordings = status.recordings();
    StatusReport {
        version: env!("CARGO_PKG_VERSION"),
        now: now(),
        uptime: (media_now() - status.started).as_secs_f64(),
        healthy: health(sources).healthy,
        connections: status.metrics.connections.get(),
        viewers: cameras.iter().map(|camera| camera.viewers).sum(),
        cameras,
        recordings: RecordingTotals {
            count: recordings.len(),
            bytes: recordings.iter().map(|recording| recording.bytes).sum(),
            seconds: recordings.iter().map(|recording| recording.seconds).sum(),
        },
        storage: status.storage(),
        upload: status.upload(),
        faults: status.faults(),
    }
}

/// `/api/cameras`
#[derive(Serialize)]
pub(super) struct Cameras {
    now: Now,
    cameras: Vec<CameraReport>,
}

/// `/api/cameras`
pub(super) fn cameras(sources: &Sources) -> Cameras {
    Cameras { now: now(), cameras: cameras_of(sources) }
}

/// `/api/recordings`
#[derive(Serialize)]
pub(super) struct Recordings {
    now: Now,
    /// Oldest first.
    recordings: Vec<Recording>,
}

/// `/api/recordings`
pub(super) fn recordings(sources: &Sources) -> Recordings {
    Recordings { now: now(), recordings: sources.status.recordings().to_vec() }
}

/// `/api/gaps`
#[derive(Serialize)]
pub(super) struct Gaps {
    now: Now,
    /// Oldest first.
    gaps: Vec<Gap>,
}

/// `/api/gaps`
pub(super) fn gaps(sources: &Sources) -> Gaps {
    Gaps { now: now(), gaps: sources.status.gaps.list() }
}

/// `/healthz`
#[derive(Serialize)]
pub(super) struct Health {
    /// Every stage moves.
    pub(super) healthy: bool,
    stages: Vec<StageHealth>,
    /// What is wrong and stays so until somebody acts. It does not make the process unhealthy.
    faults: Vec<Fault>,
}

/// One thread.
#[derive(Serialize)]
struct StageHealth {
    /// Its name.
    stage: String,
    /// It made progress lately, or waits for something bounded.
    moving: bool,
}

/// `/healthz`
pub(super) fn health(sources: &Sources) -> Health {
    let health = sources.status.pulses.health(monotonic()).into_iter();
    let stages: Vec<_> =
        health.map(|ThreadHealth { thread, moving }| StageHealth { stage: thread, moving }).collect();
    Health { healthy: stages.iter().all(|stage| stage.moving), stages, faults: sources.status.faults() }
}

/// `/live/<camera>/timeline`: where in the ring there is footage.
#[derive(Serialize)]
pub(super) struct Timeline {
    now: Now,
    /// Oldest first; a span ends where time or configuration do not follow on, or the camera goes or comes back.
    spans: Vec<Span>,
}

#[derive(Serialize)]
struct Span {
    first_sequence: u64,
    last_sequence: u64,
    start: f64,
    end: f64,
    /// Of `start`.
    wall: Option<i64>,
    codecs: String,
    /// No footage: the camera was gone.
    placeholder: bool,
}

/// `/live/<camera>/timeline`
pub(super) fn timeline(ring: &Ring) -> Timeline {
    let mut spans: Vec<Span> = Vec::new();
    for gop in ring.index() {
        let end = end(&gop).as_secs_f64();
        match spans.last_mut() {
            Some(span) if !gop.discontinuity => {
                span.last_sequence = gop.sequence;
                span.end = end;
            }
            _ => spans.push(Span {
                first_sequence: gop.sequence,
                last_sequence: gop.sequence,
                start: gop.start.as_secs_f64(),
                end,
                wall: date(&gop, gop.start).map(WallTime::as_millis),
                codecs: gop.config.codecs(),
                placeholder: gop.gone_since.is_some(),
            }),
        }
    }
    Timeline { now: now(), spans }
}

/// The date of a moment in a GOP; of one from before the clock was set, by the clock as it is now.
fn date(gop: &GopInfo, at: Ticks90k) -> Option<WallTime> {
    let by_now = || mapping().map(|mapping| mapping.wall_of(at));
    gop.wall.map(|wall| wall.plus(at - gop.start)).or_else(by_now)
}

fn end(gop: &GopInfo) -> Ticks90k {
    gop.end.unwrap_or(gop.last_video + gop.config.video.frame_duration)
}

/// Seconds of footage that a power cut would take. A placeholder is no footage.
fn unsynced_seconds(camera: &CameraStatus, ring: Option<&Ring>) -> f64 {
    let newest = ring.and_then(Ring::newest);
    camera.unsynced_seconds(newest.map(|gop| gop.gone_since.unwrap_or_else(|| end(&gop))))
}

/// `/metrics`: with what is known only by both the ring and the recordings.
pub(super) fn metrics(sources: &Sources) -> String {
    for camera in &sources.status.cameras {
        let ring = sources.rings.iter().find(|ring| ring.camera() == camera.name);
        camera.metrics.unsynced_seconds.set(unsynced_seconds(camera, ring));
        camera.metrics.at_risk_seconds.set(camera.at_risk_seconds(media_now()));
    }
    sources.status.metrics.render()
}

fn cameras_of(sources: &Sources) -> Vec<CameraReport> {
    let report = |camera: &Arc<CameraStatus>| {
        let ring = sources.rings.iter().find(|ring| ring.camera() == camera.name);
        let index = ring.map(Ring::index).unwrap_or_default();
        let config = index.last().map(|gop| &*gop.config);
        CameraReport {
            name: camera.name.clone(),
            state: camera.state(),
            viewers: camera.metrics.viewers.get(),
            repairs: repairs(&camera.metrics),
            unsynced_seconds: unsynced_seconds(camera, ring),
            codecs: config.map(StreamConfig::codecs),
            video: config.map(|config| video(config, ring, &index)),
            audio: config.and_then(|config| config.audio.as_ref()).map(|audio| AudioReport {
                codec: audio.codec(),
                sample_rate: audio.sample_rate,
                channels: audio.channels,
            }),
            ring: ring.and_then(|ring| span(ring, &index)),
            newest: index.last().map(|gop| Newest {
                media: gop.last_video.as_secs_f64(),
                wall: date(gop, gop.last_video).map(WallTime::as_millis),
            }),
        }
    };
    sources.status.cameras.iter().map(report).collect()
}

fn repairs(metrics: &CameraMetrics) -> RepairReport {
    let made = metrics.camera_repairs.get();
    RepairReport {
        made,
        mean_seconds: (made > 0).then(|| metrics.camera_repair_seconds.get() / made as f64),
        reopened: metrics.camera_reopened.get(),
        usb_resets: metrics.camera_usb_resets.get(),
        restarts: metrics.camera_restarts.get(),
    }
}

fn video(config: &StreamConfig, ring: Option<&Ring>, index: &[GopInfo]) -> VideoReport {
    VideoReport {
        codec: config.video.codec(),
        width: config.video.width,
        height: config.video.height,
        fps: ring.and_then(|ring| fps(ring, index)),
        bits_per_second: bit_rate(index),
    }
}

/// Pictures in the newest GOP of which the end is known, by its duration.
fn fps(ring: &Ring, index: &[GopInfo]) -> Option<f64> {
    let newest = index.iter().rev().find(|gop| gop.end.is_some())?;
    let duration = newest.end? - newest.start;
    let pictures = ring.read(newest.sequence).ok()?.track(Track::Video).count();
    (duration > Ticks90k::ZERO).then(|| pictures as f64 / duration.as_secs_f64())
}

fn bit_rate(index: &[GopInfo]) -> Option<u64> {
    let ended = index.iter().filter_map(|gop| Some((gop.bytes, gop.end? - gop.start)));
    let (bytes, time) =
        ended.fold((0, Ticks90k::ZERO), |(bytes, time), (more, longer)| (bytes + more, time + longer));
    (time > Ticks90k::ZERO).then(|| bytes * 8 * Ticks90k::SECOND.0 as u64 / time.0 as u64)
}

fn span(ring: &Ring, index: &[GopInfo]) -> Option<RingReport> {
    let (first, last) = (index.first()?, index.last()?);
    Some(RingReport {
        first_sequence: first.sequence,
        last_sequence: last.sequence,
        start: first.start.as_secs_f64(),
        end: end(last).as_secs_f64(),
        bytes: index.iter().map(|gop| gop.bytes).sum(),
        capacity: ring.capacity(),
    })
}

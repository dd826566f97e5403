//! What the stages tell the outside: counters, states, gaps, recordings, the upload.
//!
//! The only meeting place of `live` with `record`, `store` and `upload` besides the ring. A stage writes its own part;
//! pages, `/api`, `/metrics` and the control socket read. No lock here is held across I/O.

mod gaps;
mod metrics;
mod update;

pub use gaps::{Cause, Gap, Gaps};
pub use metrics::{CameraMetrics, Metrics};
pub use update::{LastUpdate, Update, UpdatePhase, UpdateReport};

use crate::config::Config;
use crate::source::Mode;
use crate::supervise::Pulses;
use crate::supervise::clock::media_now;
use media::{Ticks90k, WallTime};
use serde::Serialize;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Everything the process tells of itself.
pub struct Status {
    /// In the order of the configuration.
    pub cameras: Vec<Arc<CameraStatus>>,
    /// Spans without footage.
    pub gaps: Gaps,
    /// Counters for Prometheus.
    pub metrics: Metrics,
    /// Of the appliance itself.
    pub update: Update,
    /// Progress of the threads.
    pub pulses: Pulses,
    /// When the process started, on the media clock.
    pub started: Ticks90k,
    recordings: Mutex<Arc<[Recording]>>,
    storage: Mutex<Option<StorageStatus>>,
    upload: Mutex<Option<UploadStatus>>,
    faults: Mutex<Vec<Fault>>,
}

/// One camera.
pub struct CameraStatus {
    /// As configured.
    pub name: String,
    /// Its counters.
    pub metrics: CameraMetrics,
    state: Mutex<CameraState>,
    /// [`CameraStatus::cut_recording`] was asked for.
    cut: AtomicBool,
    /// [`CameraStatus::pass`] in ticks; [`NO_PASS`] for none.
    pass: AtomicI64,
    durable: Mutex<Durable>,
    alone: Mutex<Alone>,
}

/// Footage of a camera that is on the edge alone.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Alone {
    /// Seconds of it.
    pub seconds: f64,
    /// At this media time; `None`: nothing is uploaded. From then on as much is added as time goes by while the camera delivers.
    pub at: Option<Ticks90k>,
}

/// What a power cut would leave of a camera's footage.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Durable {
    /// Media time until which it is on the disk; `None` until this process has recorded any.
    pub until: Option<Ticks90k>,
    /// Seconds of what was recorded that are in RAM, and without a receipt.
    pub in_ram: f64,
}

/// No file is being played.
const NO_PASS: i64 = i64::MIN;

/// What one camera is doing.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum CameraState {
    /// Not opened yet.
    #[default]
    Opening,
    /// Pictures flow.
    Streaming {
        /// What was opened.
        device: String,
        /// Pixel format.
        format: String,
        /// Size before scaling.
        width: u32,
        /// Size before scaling.
        height: u32,
        /// Pictures a second by the driver's word.
        fps: f64,
        /// The test pattern stands in for a camera that was not found.
        #[serde(skip)]
        stand_in: bool,
        /// Since when, on the media clock.
        #[serde(skip)]
        since: Ticks90k,
    },
    /// It cannot be opened or has stopped; opened again with a back-off.
    Gone {
        /// What went wrong, with the device's name.
        error: String,
        /// Since when, on the media clock.
        #[serde(skip)]
        since: Ticks90k,
    },
}

impl CameraState {
    /// The state of a camera that was opened in `mode`, or of what stands in for one.
    pub fn streaming(mode: &Mode, stand_in: bool, since: Ticks90k) -> Self {
        Self::Streaming {
            stand_in,
            device: mode.device.clone(),
            format: mode.format.clone(),
            width: mode.width,
            height: mode.height,
            fps: media::time::TICKS_PER_SECOND as f64 / mode.frame_duration.0.max(1) as f64,
            since,
        }
    }
}

impl CameraStatus {
    /// Media time of the first picture of this pass through a file that is played in a loop.
    pub fn pass(&self) -> Option<Ticks90k> {
        let ticks = self.pass.load(Ordering::Relaxed);
        (ticks != NO_PASS).then_some(Ticks90k(ticks))
    }

    /// Says where the file is; for the capture thread.
    pub fn set_pass(&self, pass: Option<Ticks90k>) {
        self.pass.store(pass.map_or(NO_PASS, |pass| pass.0), Ordering::Relaxed);
    }

    /// Has the growing recording end with the GOP that it has last; the next one begins a new recording.
    pub fn cut_recording(&self) {
        self.cut.store(true, Ordering::Relaxed);
    }

    /// Whether that was asked for since this was last called; for the record thread.
    pub fn take_cut(&self) -> bool {
        self.cut.swap(false, Ordering::Relaxed)
    }

    /// Says what would be left; for the record thread.
    pub fn set_durable(&self, durable: Durable) {
        *lock(&self.durable) = durable;
    }

    /// Seconds of footage that a power cut would take, of a camera whose newest picture ends at `end`. That is known also while the
    /// record thread waits for a disk.
    pub fn unsynced_seconds(&self, end: Option<Ticks90k>) -> f64 {
        let Durable { until, in_ram } = *lock(&self.durable);
        let newer = until.zip(end).map_or(0.0, |(until, end)| (end - until).as_secs_f64());
        in_ram + newer.max(0.0)
    }

    /// Says what only the edge has; for the upload.
    pub fn set_alone(&self, alone: Alone) {
        *lock(&self.alone) = alone;
    }

    /// Seconds of footage that the remote host has not confirmed at media time `now`. That is known also while the upload waits for an
    /// answer.
    pub fn at_risk_seconds(&self, now: Ticks90k) -> f64 {
        let Alone { seconds, at } = *lock(&self.alone);
        let at = at.filter(|_| matches!(self.state(), CameraState::Streaming { .. }));
        seconds + at.map_or(0.0, |at| (now - at).as_secs_f64().max(0.0))
    }

    /// What it does now.
    pub fn state(&self) -> CameraState {
        lock(&self.state).clone()
    }

    /// Says what it does now.
    pub fn set_state(&self, state: CameraState) {
        *lock(&self.state) = state;
    }
}

/// A recording that is on the edge.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Recording {
    /// File name without `.mp4`; never changes once its upload has begun.
    pub name: String,
    /// The camera's name.
    pub camera: String,
    /// Where it is; not told to the outside.
    #[serde(skip)]
    pub path: PathBuf,
    /// Bytes now.
    pub bytes: u64,
    /// Seconds of footage now.
    pub seconds: f64,
    /// Wall time of the first picture, if known.
    #[serde(serialize_with = "rfc3339")]
    pub start: Option<WallTime>,
    /// Where it stands.
    pub state: RecordingState,
}

/// The life of a recording on the edge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RecordingState {
    /// Being written.
    Growing,
    /// Complete; will never change again.
    Sealed,
    /// On its way to the remote host.
    Uploading,
    /// The remote host has it durably: the receipt is here.
    Receipted,
}

fn rfc3339<S: serde::Serializer>(wall: &Option<WallTime>, serializer: S) -> Result<S::Ok, S::Error> {
    wall.map(WallTime::rfc3339).serialize(serializer)
}

/// The disk under the recordings.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct StorageStatus {
    /// It is a RAM disk: a power cut takes all that is not on the remote host.
    pub ram: bool,
    /// Bytes written to it a day, by whomever, at the rate since the store was opened; null while that is not known.
    pub written_bytes_per_day: Option<u64>,
}

/// What the upload is doing.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct UploadStatus {
    /// `user@host:port`.
    pub remote: String,
    /// What it does now.
    pub state: UploadState,
    /// Sealed recordings without a receipt.
    pub pending: u64,
    /// Bytes that the remote host has not confirmed, also of what grows.
    pub pending_bytes: u64,
    /// What the link took lately; null without a session.
    pub bytes_per_second: Option<u64>,
    /// When the backlog is done at that rate; null if there is none, or if it grows.
    pub seconds_to_finish: Option<f64>,
    /// When a recording without a receipt must leave; null unless the backlog grows.
    pub seconds_to_full: Option<f64>,
    /// Footage of each camera that is on the edge alone.
    pub at_risk: Vec<AtRisk>,
    /// Receipts since the start.
    pub receipts: u64,
    /// The last failure, until the next success.
    pub failure: Option<UploadFailure>,
}

/// What would be lost with the edge.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AtRisk {
    /// The camera's name.
    pub camera: String,
    /// Seconds of footage that the remote host has not confirmed.
    pub seconds: f64,
}

/// What the upload does.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum UploadState {
    /// Nothing to send.
    #[default]
    Idle,
    /// Opening the connection.
    Connecting,
    /// Sending a recording.
    Sending {
        /// Its name.
        recording: String,
        /// Bytes that the remote host has confirmed.
        sent: u64,
        /// Bytes in all.
        bytes: u64,
    },
    /// Waits after a failure.
    BackingOff {
        /// Seconds until the next try.
        seconds: u64,
    },
}

/// A failed try.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct UploadFailure {
    /// What kind.
    pub kind: UploadFailureKind,
    /// The whole message, with host and file.
    pub message: String,
    /// Tries in a row that failed.
    pub tries: u32,
}

/// The kinds of failure that an operator must tell apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum UploadFailureKind {
    /// No connection: refused, no route, name unknown.
    Unreachable,
    /// Connected, but slower than the time-out allows.
    Slow,
    /// The host key is not the pinned one.
    HostKey,
    /// The remote host does not take the device's key.
    KeyRefused,
    /// Not allowed to write there.
    NoPermission,
    /// No room there.
    DiskFull,
    /// There is room, and not for the account: its quota is full.
    AccountFull,
    /// A recording of that name is already there, with another owner.
    NameClash,
    /// A recording on the edge cannot be read.
    Local,
    /// Anything else that the remote host said.
    Protocol,
}

/// Something on the edge that is wrong and stays wrong until somebody acts.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Fault {
    /// Which part: `ring front`, `record front`, `store`, ...
    pub part: String,
    /// What is wrong, with the path or device.
    pub message: String,
}

impl Status {
    /// For the cameras of `config`.
    pub fn new(config: &Config, pulses: Pulses, started: Ticks90k) -> Self {
        let metrics = Metrics::default();
        let cameras = config
            .camera
            .iter()
            .map(|camera| {
                Arc::new(CameraStatus {
                    name: camera.name.clone(),
                    metrics: metrics.camera(&camera.name),
                    state: Mutex::default(),
                    cut: AtomicBool::new(false),
                    pass: AtomicI64::new(NO_PASS),
                    durable: Mutex::default(),
                    alone: Mutex::default(),
                })
            })
            .collect();
        Self {
            cameras,
            gaps: Gaps::default(),
            metrics,
            pulses,
            started,
            recordings: Mutex::new(Arc::from([])),
            update: Update::default(),
            storage: Mutex::default(),
            upload: Mutex::default(),
            faults: Mutex::default(),
        }
    }

    /// The camera of that name.
    pub fn camera(&self, name: &str) -> Option<&Arc<CameraStatus>> {
        self.cameras.iter().find(|camera| camera.name == name)
    }

    /// The recordings on the edge, oldest first.
    pub fn recordings(&self) -> Arc<[Recording]> {
        Arc::clone(&lock(&self.recordings))
    }

    /// Replaces the list; for the store.
    pub fn set_recordings(&self, recordings: Arc<[Recording]>) {
        *lock(&self.recordings) = recordings;
    }

    /// The disk under the recordings, once the store is open.
    pub fn storage(&self) -> Option<StorageStatus> {
        lock(&self.storage).clone()
    }

    /// Says what the disk under the recordings does; for the store.
    pub fn set_storage(&self, storage: StorageStatus) {
        *lock(&self.storage) = Some(storage);
    }

    /// The upload, if a remote host is configured; what is at risk as it is now.
    pub fn upload(&self) -> Option<UploadStatus> {
        let upload = lock(&self.upload).clone()?;
        let now = media_now();
        let risk = |camera: &Arc<CameraStatus>| AtRisk {
            camera: camera.name.clone(),
            seconds: camera.at_risk_seconds(now),
        };
        Some(UploadStatus { at_risk: self.cameras.iter().map(risk).collect(), ..upload })
    }

    /// Says what the upload does; for the upload.
    pub fn set_upload(&self, upload: UploadStatus) {
        *lock(&self.upload) = Some(upload);
    }

    /// What is wrong now.
    pub fn faults(&self) -> Vec<Fault> {
        lock(&self.faults).clone()
    }

    /// Says that `part` is at fault, or (`None`) that it is well again.
    pub fn set_fault(&self, part: &str, message: Option<String>) {
        let mut faults = lock(&self.faults);
        faults.retain(|fault| fault.part != part);
        if let Some(message) = message {
            faults.push(Fault { part: part.to_owned(), message });
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What is behind these locks is replaced whole: a panic elsewhere leaves it usable.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

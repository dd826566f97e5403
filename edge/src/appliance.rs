//! The whole pipeline in one place: which threads there are, what connects them, and in which order they end.
//!
//! ```text
//! for each camera                                                          for all cameras
//! capture F --frames--> encode F ---> RING F <-- record F --> store <----- upload
//!            audio F --frames--^        ^                                     |
//!                                       +------- live (tasks)  control     status <- all
//! ```
//!
//! The end has two steps: capture and encode stop first, so that the last picture is in the ring when the record threads
//! seal their recordings.

use crate::config::{Config, Current};
use crate::encode::audio;
use crate::live::control::Control;
use crate::ring::{self, Ring};
use crate::status::{CameraStatus, Cause, Status};
use crate::store::Store;
use crate::supervise::{Pulses, Restarts, Stalled, Stop, Threads, Watchdog, clock};
use crate::{encode, frames, live, record, source, update, upload};
use anyhow::Context;
use service::notify::Notify;
use std::sync::Arc;

/// The running appliance.
pub struct Appliance {
    current: Current,
    producers: Threads,
    consumers: Threads,
    watchdog: Threads,
    notify: Arc<Notify>,
}

impl Appliance {
    /// Opens everything and starts the threads. `stalled`: the process before this one ended because a stage stood still. Whoever calls
    /// this is one of the two watchers.
    ///
    /// # Errors
    /// Something that the appliance cannot be without: its ring, its port, a thread.
    pub fn start(config: Config, stalled: Option<Stalled>) -> anyhow::Result<(Self, Watchdog)> {
        let pulses = Pulses::default();
        let status = Arc::new(Status::new(&config, pulses.clone(), clock::media_now()));
        let current = Current::new(config);
        let group = || Threads::new(Stop::default(), pulses.clone());
        let (mut producers, mut consumers, mut watchdog) = (group(), group(), group());
        let (anew, restarts) = (stalled.as_ref().map_or(0, |stalled| stalled.count), Restarts::inherited());
        status.metrics.watchdog_restarts.inc_by(anew);
        // Why there is no footage from the end of the process before this one.
        let cause = if stalled.is_some() { Cause::Overload } else { Cause::NoPower };
        let store = Store::new(current.clone(), Arc::clone(&status), current.get().device_key());
        let server = live::Server::bind(&current.get(), &pulses)?;
        let control = Control::bind(&current.get().live.control, &pulses)?;
        let mut rings = Vec::new();
        for own in &status.cameras {
            let ring = start_camera(&current, own, &status, (cause, &restarts), &mut producers)?;
            rings.push(ring.clone());
            if current.get().record.enabled {
                start_recorder(&current, own, ring, &store, &status, &mut consumers)?;
            }
        }
        if current.get().upload.is_some() || current.get().auth.is_some() {
            let (current, status) = (current.clone(), Arc::clone(&status));
            let inputs = upload::Inputs { store, current, status, patience: upload::Patience::default() };
            consumers.spawn("upload", |stop| upload::run(inputs, stop))?;
        }
        if current.get().update.is_some() {
            let ports = std::iter::once(server.address()).chain(current.get().live.plain).collect();
            let (current, status, rings) = (current.clone(), Arc::clone(&status), rings.clone());
            let inputs = update::watch::Inputs { current, status, rings, ports };
            consumers.spawn("update", |stop| update::watch::run(inputs, stop))?;
        }
        let sources = live::Sources { config: current.clone(), status, rings };
        let told = sources.clone();
        consumers.spawn("control", move |stop| control.run(&told, &stop))?;
        consumers.spawn("live", |stop| server.run(sources, stop))?;
        pulses.adopt("main");
        let notify = Arc::new(Notify::from_env());
        let watcher = {
            let (pulses, restarts, notify) = (pulses.clone(), restarts.clone(), Arc::clone(&notify));
            move || Watchdog::new(&pulses, anew, restarts.clone(), Arc::clone(&notify))
        };
        let own = watcher.clone();
        watchdog.spawn("watchdog", move |stop| watcher().run(&stop))?;
        notify.tell("READY=1");
        Ok((Self { current, producers, consumers, watchdog, notify }, own()))
    }

    /// Takes over a changed configuration and says what waits for a restart.
    pub fn reload(&self, config: Config) {
        let waiting = self.current.replace(config);
        if waiting.is_empty() {
            tracing::info!("configuration read again");
        } else {
            tracing::warn!(
                keys = waiting.join(", "),
                "configuration read again; these keys wait for a restart"
            );
        }
    }

    /// Ends all threads: the last picture is encoded, then recordings are sealed. Whoever takes long then is not watched any more.
    pub fn end(self) {
        self.notify.tell("STOPPING=1");
        for group in [self.watchdog, self.producers, self.consumers] {
            group.stop();
            group.join();
        }
    }
}

/// Starts capture, sound and encode of one camera.
fn start_camera(
    current: &Current,
    own: &Arc<CameraStatus>,
    status: &Arc<Status>,
    (cause, restarts): (Cause, &Restarts),
    threads: &mut Threads,
) -> anyhow::Result<Ring> {
    let config = current.get();
    let camera = config.camera.iter().find(|camera| camera.name == own.name).context("camera")?;
    let (writer, ring) = open_ring(&config, own, status, cause)?;
    let (sender, frames) = frames::queue(camera.width.into(), camera.height.into());
    let audio = start_audio(&config, own, status, threads)?;
    own.metrics.camera_restarts.inc_by(restarts.count(&own.name));
    let capture = source::capture::Inputs {
        camera: camera.clone(),
        own: Arc::clone(own),
        status: Arc::clone(status),
        restarts: restarts.clone(),
        gone_since: ring.newest().and_then(|newest| newest.gone_since),
        sender,
    };
    threads.spawn(&format!("capture {}", camera.name), |stop| source::capture::run(capture, stop))?;
    let inputs = encode::Inputs {
        camera: camera.clone(),
        current: current.clone(),
        frames,
        audio,
        ring: writer,
        status: Arc::clone(status),
        own: Arc::clone(own),
    };
    threads.spawn(&format!("encode {}", camera.name), |stop| encode::run(inputs, stop))?;
    Ok(ring)
}

/// Starts the sound of one camera, if it may have some.
fn start_audio(
    config: &Config,
    own: &Arc<CameraStatus>,
    status: &Arc<Status>,
    threads: &mut Threads,
) -> anyhow::Result<Option<audio::Receiver>> {
    let index = config.camera.iter().position(|camera| camera.name == own.name).context("camera")?;
    let Some(origin) = audio::Origin::of(config, index) else { return Ok(None) };
    let (frames, receiver) = audio::queue();
    let inputs = audio::Inputs {
        origin,
        audio: config.audio.clone(),
        frames,
        status: Arc::clone(status),
        own: Arc::clone(own),
    };
    threads.spawn(&format!("audio {}", own.name), |stop| audio::run(inputs, stop))?;
    Ok(Some(receiver))
}

/// Starts the recorder of one camera.
fn start_recorder(
    current: &Current,
    own: &Arc<CameraStatus>,
    ring: Ring,
    store: &Store,
    status: &Arc<Status>,
    threads: &mut Threads,
) -> std::io::Result<()> {
    let inputs = record::Inputs {
        ring,
        store: store.clone(),
        current: current.clone(),
        status: Arc::clone(status),
        own: Arc::clone(own),
    };
    threads.spawn(&format!("record {}", own.name), |stop| record::run(inputs, stop))
}

/// Opens the ring of one camera, and says loudly what is wrong with its place. Where it has footage of an earlier process, a gap begins
/// for `cause`; where that ends with placeholders, the gap of the camera goes on. What a ring that is empty does not know any more, the
/// ledger does.
fn open_ring(
    config: &Config,
    own: &CameraStatus,
    status: &Status,
    cause: Cause,
) -> anyhow::Result<(ring::Writer, Ring)> {
    let limits = ring::Limits { seconds: config.ring.seconds, bytes: config.ring.bytes };
    let opened = ring::open(&config.ring.dir, &own.name, limits, &clock::boot_id(), own.metrics.clone())?;
    let dir = config.ring.dir.display();
    if !ring::on_ram_disk(&config.ring.dir) {
        tracing::warn!(%dir, "THE RING IS NOT ON A RAM DISK: it will wear out a flash card; set ring.dir to a tmpfs");
    }
    let capacity = opened.1.capacity();
    if capacity < limits.bytes {
        let message =
            format!("{dir}: no room for {} bytes; the ring of {} has {capacity}", limits.bytes, own.name);
        tracing::error!("{message}");
        status.set_fault(&format!("ring {}", own.name), Some(message));
    }
    if let Some(newest) = opened.1.newest() {
        let end = newest.last_video + newest.config.video.frame_duration;
        let wall_of = |time| newest.wall.map(|wall| wall.plus(time - newest.start));
        status.gaps.open(&own.name, cause, end, wall_of(end));
        if let Some(since) = newest.gone_since {
            status.gaps.open(&own.name, Cause::CameraGone, since, wall_of(since));
        }
        tracing::info!(camera = own.name, until = %end, "footage of an earlier process is in the ring");
    }
    Ok(opened)
}

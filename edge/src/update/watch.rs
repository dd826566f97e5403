//! The thread `update`: remembers what works, has the board start again when there is something to try, and keeps what proved itself.

use super::ask;
use super::proof::{Before, Memory, Now, Outcome, Task, missing, task};
use super::serve::Request;
use crate::config::{self, Current};
use crate::ring::Ring;
use crate::status::{CameraState, LastUpdate, RecordingState, Status, UpdatePhase};
use crate::store::files;
use crate::supervise::{Stop, monotonic, within};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::OpenOptions;
use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

/// How often it looks.
const TURN: Duration = Duration::from_secs(1);
/// What worked within this time before an update must work after it.
const HOUR: Duration = Duration::from_secs(3600);
/// How long the process at the socket is waited for before it is asked again.
const AGAIN: Duration = Duration::from_secs(10);
/// What one answer of the live view may take.
const ANSWER: Duration = Duration::from_secs(3);
/// A camera that gave nothing new for so long gives no pictures.
const FLOWS: Duration = Duration::from_secs(5);
/// How long everything must have worked before a version is kept: one that ends soon after its start is not.
const STEADY: Duration = Duration::from_secs(20);
/// Seconds of the recording for which a receipt is asked.
const TRIAL: f64 = 10.0;
/// The board has to start again: `porthole-restart.path`.
const RESTART: &str = "restart";
/// It need not: `porthole-trial.service`.
const KEPT: &str = "kept";
/// The file in which the last update is remembered is shorter.
const MOST_MEMORY: u64 = 64 << 10;

/// What the thread works with.
pub struct Inputs {
    /// The configuration in force, with `[update]`.
    pub current: Current,
    /// What the other stages tell.
    pub status: Arc<Status>,
    /// Of each camera.
    pub rings: Vec<Ring>,
    /// Where the live view listens.
    pub ports: Vec<SocketAddr>,
}

/// Watches until the end is asked for.
pub fn run(inputs: Inputs, stop: Stop) {
    let Some(config) = inputs.current.get().update.clone() else { return };
    let memory = recall(&config);
    let mut watch = Watch {
        inputs,
        config,
        memory,
        newest: BTreeMap::new(),
        seen: BTreeMap::new(),
        remote: None,
        receipts: 0,
    };
    let Some(mut proof) = watch.begin(&stop) else { return };
    while !stop.wait(TURN) {
        let now = monotonic();
        watch.look(now);
        if let Some(version) = watch.inputs.status.update.take_written() {
            watch.written(version, now);
        }
        if let Some(open) = proof.take() {
            proof = watch.prove(open, now);
        }
    }
}

struct Watch {
    inputs: Inputs,
    config: config::Update,
    memory: Memory,
    /// The newest GOP of each camera at the last look.
    newest: BTreeMap<String, u64>,
    /// When each camera last gave pictures.
    seen: BTreeMap<String, Duration>,
    /// When the remote host last took something.
    remote: Option<Duration>,
    /// Receipts at the last look.
    receipts: u64,
}

/// A version that proves itself.
struct Proof {
    before: Before,
    /// When the version before it returns.
    until: Duration,
    /// Since when nothing is missing.
    since: Option<Duration>,
    /// The recording of which the receipt is waited for.
    recording: Option<String>,
    now: Now,
}

impl Watch {
    /// Asks what runs, until there is an answer; does what a start has to do, and gives what must be proved. `None` at the end.
    fn begin(&mut self, stop: &Stop) -> Option<Option<Proof>> {
        let told = loop {
            match ask::state(&self.config.socket) {
                Ok(told) => break told,
                Err(error) => {
                    tracing::warn!("update: {error}");
                    self.inputs.status.update.tell(|report| report.refuses = Some(error.to_string()));
                }
            }
            if stop.wait(AGAIN) {
                return None;
            }
        };
        let task = task(&told, &self.memory);
        self.inputs.status.update.tell(|report| {
            report.board = Some(told.board.clone());
            report.version = Some(told.version.clone());
            report.refuses.clone_from(&told.refuses);
            if matches!(task, Task::Prove(_)) {
                let seconds_left = self.config.proof_seconds.into();
                report.phase = UpdatePhase::Proving { missing: Vec::new(), seconds_left };
            }
        });
        self.show_last();
        match task {
            Task::None => {}
            Task::Prove(before) => {
                tracing::info!(version = told.version, ?before, "this version is being tried");
                if self.memory.version != told.version {
                    self.memory =
                        Memory { version: told.version, before: before.clone(), ..Memory::default() };
                }
                let until = monotonic() + Duration::from_secs(self.config.proof_seconds.into());
                return Some(Some(Proof {
                    before,
                    until,
                    since: None,
                    recording: None,
                    now: Now::default(),
                }));
            }
            Task::Restart => self.restart(),
            Task::Note(outcome) => self.conclude(outcome),
            Task::Fail(why) => {
                self.conclude(Outcome::Returned(why));
                self.request(Request::Return);
                self.flag(KEPT);
            }
        }
        Some(None)
    }

    /// What works at this moment.
    fn look(&mut self, now: Duration) {
        for camera in &self.inputs.status.cameras {
            let ring = self.inputs.rings.iter().find(|ring| ring.camera() == camera.name);
            let Some(newest) = ring.and_then(Ring::newest).filter(|newest| newest.gone_since.is_none())
            else {
                continue;
            };
            let before = self.newest.insert(camera.name.clone(), newest.sequence);
            // A pattern that stands in for a camera proves nothing of its driver.
            let streams = matches!(camera.state(), CameraState::Streaming { stand_in: false, .. });
            if streams && before.is_some_and(|before| before != newest.sequence) {
                self.seen.insert(camera.name.clone(), now);
            }
        }
        if let Some(upload) = self.inputs.status.upload() {
            let flows = upload.failure.is_none() && upload.bytes_per_second.is_some();
            if flows || upload.receipts > self.receipts {
                self.remote = Some(now);
            }
            self.receipts = upload.receipts;
        }
    }

    /// What worked in the hour before `now`.
    fn before(&self, now: Duration) -> Before {
        let lately = |at: Duration| now.saturating_sub(at) <= HOUR;
        let cameras = self.seen.iter().filter(|(_, at)| lately(**at)).map(|(camera, _)| camera.clone());
        Before { cameras: cameras.collect(), remote: self.remote.is_some_and(lately) }
    }

    /// A bundle is on the card: remembers what works, and has the board start again.
    fn written(&mut self, version: String, now: Duration) {
        match ask::state(&self.config.socket) {
            Ok(told) if told.trial.is_some() && !told.is_trial() => {}
            Ok(told) => {
                tracing::warn!(version, ?told, "the card has nothing to try");
                self.inputs.status.update.set(UpdatePhase::Idle);
                return;
            }
            Err(error) => {
                tracing::warn!(version, %error, "an update is written, and the card does not answer: it is asked again");
                self.inputs.status.update.written(version);
                return;
            }
        }
        let from = self.inputs.status.update.report().version.unwrap_or_default();
        let before = self.before(now);
        tracing::info!(version, from, ?before, "an update is written, and will be tried");
        self.memory = Memory { version, from, before, restarts: 0, outcome: None };
        self.restart();
    }

    fn restart(&mut self) {
        self.memory.restarts += 1;
        self.remember();
        self.inputs.status.update.set(UpdatePhase::Restarting { trial: self.memory.version.clone() });
        self.flag(RESTART);
    }

    /// Makes a file that systemd looks for.
    fn flag(&self, name: &str) {
        let flag = self.config.flags.join(name);
        if let Err(error) = std::fs::write(&flag, self.memory.version.as_bytes()) {
            let message = format!("{}: {error}; start the board again by hand", flag.display());
            tracing::error!("update: {message}");
            self.inputs.status.update.tell(|report| report.refused = Some(message));
        }
    }

    /// One look at a version that proves itself; `None` when that is decided.
    fn prove(&mut self, mut proof: Proof, now: Duration) -> Option<Proof> {
        let flows = |at: Duration| now.saturating_sub(at) <= FLOWS;
        let cameras = self.seen.iter().filter(|(_, at)| flows(**at)).map(|(camera, _)| camera.clone());
        proof.now.cameras = cameras.collect::<BTreeSet<_>>();
        proof.now.live = self.inputs.ports.iter().all(|port| answers(*port));
        if proof.before.remote && !proof.now.receipt {
            proof.now.receipt = self.has_receipt(&mut proof);
        }
        let missing = missing(&proof.before, &proof.now);
        proof.since = missing.is_empty().then(|| proof.since.unwrap_or(now));
        if proof.since.is_some_and(|since| now - since >= STEADY) {
            tracing::info!(
                version = self.memory.version,
                "what worked before works again: this version is kept"
            );
            // Not kept on the card, it is asked again in the next turn.
            if !self.request(Request::Keep) {
                return Some(proof);
            }
            self.flag(KEPT);
            self.conclude(Outcome::Kept);
            self.inputs.status.update.set(UpdatePhase::Idle);
            return None;
        }
        if now >= proof.until && proof.since.is_none() {
            self.conclude(Outcome::Returned(missing.join("; ")));
            self.request(Request::Return);
            self.restart();
            return None;
        }
        let seconds_left = proof.until.saturating_sub(now).as_secs();
        self.inputs.status.update.set(UpdatePhase::Proving { missing, seconds_left });
        Some(proof)
    }

    /// Whether a recording of this version is at the remote host: one of ten seconds, which ends for it.
    fn has_receipt(&self, proof: &mut Proof) -> bool {
        let recordings = self.inputs.status.recordings();
        if let Some(name) = &proof.recording {
            match recordings.iter().find(|recording| recording.name == *name) {
                Some(recording) => return recording.state == RecordingState::Receipted,
                None => proof.recording = None,
            }
        }
        let grown = recordings.iter().find(|recording| {
            let ours = proof.before.cameras.contains(&recording.camera);
            ours && recording.seconds >= TRIAL && recording.state == RecordingState::Growing
        });
        if let Some(recording) = grown
            && let Some(camera) = self.inputs.status.camera(&recording.camera)
        {
            camera.cut_recording();
            proof.recording = Some(recording.name.clone());
        }
        false
    }

    fn conclude(&mut self, outcome: Outcome) {
        if let Outcome::Returned(why) = &outcome {
            tracing::error!(version = self.memory.version, why, "the update is not kept");
        }
        self.memory.outcome = Some(outcome);
        self.remember();
        self.show_last();
    }

    fn show_last(&self) {
        let last = self.memory.outcome.as_ref().map(|outcome| LastUpdate {
            version: self.memory.version.clone(),
            kept: *outcome == Outcome::Kept,
            why: match outcome {
                Outcome::Kept => None,
                Outcome::Returned(why) => Some(why.clone()),
            },
        });
        self.inputs.status.update.tell(|report| report.last = last);
    }

    /// Whether it was done.
    fn request(&self, request: Request) -> bool {
        let asked = ask::ask(&self.config.socket, request);
        asked.inspect_err(|error| tracing::error!("update: {}: {error}", request.word())).is_ok()
    }

    fn remember(&self) {
        let path = &self.config.memory;
        let written = serde_json::to_vec(&self.memory)
            .map_err(io::Error::from)
            .and_then(|text| within(files::SLOW_DISK, || files::replace(path, &text, &OpenOptions::new())));
        if let Err(error) = written {
            tracing::error!(path = %path.display(), %error, "the update cannot be remembered");
        }
    }
}

/// What is remembered of the last update. What cannot be read is nothing: a version proves itself by less then.
fn recall(config: &config::Update) -> Memory {
    let text = files::read_bounded(&config.memory, MOST_MEMORY).unwrap_or_default();
    serde_json::from_slice(&text).unwrap_or_default()
}

/// Whether the web server answers at a port of this machine: an HTTP status that is no failure, or, where it speaks TLS, its refusal of
/// plain text.
fn answers(port: SocketAddr) -> bool {
    let here = match port.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    let ask = || -> io::Result<[u8; 10]> {
        let mut socket = TcpStream::connect_timeout(&SocketAddr::new(here, port.port()), ANSWER)?;
        socket.set_read_timeout(Some(ANSWER))?;
        socket.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
        let mut answer = [0; 10];
        let found = socket.read(&mut answer)?;
        answer[found..].fill(0);
        Ok(answer)
    };
    let is_well = |answer: [u8; 10]| match answer {
        [0x15, 0x03, ..] => true,
        _ => answer.starts_with(b"HTTP/1.1 ") && (b'2'..=b'4').contains(&answer[9]),
    };
    within(3 * ANSWER, ask).is_ok_and(is_well)
}

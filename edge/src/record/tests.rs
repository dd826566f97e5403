//! What recording promises: every GOP once, in files that end at the marks, over restarts and failures.

use super::*;
use crate::ring::{Limits, Writer as RingWriter};
use crate::source::Mode;
use crate::status::{Alone, CameraState, RecordingState};
use crate::store::fixture::{config_in, stream};
use crate::supervise::Pulses;
use media::mp4::{Movie, demux};
use media::{StreamConfig, Track, WallTime};
use std::path::Path;
use tempfile::TempDir;

mod card;
mod ledger;

const SECOND: i64 = media::time::TICKS_PER_SECOND;
/// 2026-11-21T06:15:00Z.
const MARK: WallTime = WallTime(1_795_241_700_000_000);

/// One camera with its ring and its folder of recordings.
struct Camera {
    dir: TempDir,
    current: Current,
    status: Arc<Status>,
    writer: RingWriter,
    ring: Ring,
    stream: Arc<StreamConfig>,
    /// `pts` of every picture that was encoded.
    encoded: Vec<i64>,
}

impl Camera {
    fn new(ring_seconds: u32) -> Self {
        let dir = tempfile::tempdir().expect("folder");
        let mut config = config_in(dir.path());
        config.record.minutes = 1;
        let status = Arc::new(Status::new(&config, Pulses::default(), Ticks90k::ZERO));
        let limits = Limits { seconds: ring_seconds, bytes: 1 << 20 };
        let metrics = status.cameras[0].metrics.clone();
        let (writer, ring) =
            ring::open(&dir.path().join("ring"), "front", limits, &clock::boot_id(), metrics).expect("ring");
        let current = Current::new(config);
        Self { dir, current, status, writer, ring, stream: stream(320), encoded: Vec::new() }
    }

    /// What a process has: dropping it is `kill -9`.
    fn recorder(&self) -> Recorder {
        let store = Store::new(self.current.clone(), Arc::clone(&self.status), self.dir.path().join("key"));
        let own = Arc::clone(&self.status.cameras[0]);
        let inputs = Inputs {
            ring: self.ring.clone(),
            store,
            current: self.current.clone(),
            status: Arc::clone(&self.status),
            own,
        };
        Recorder::new(inputs)
    }

    /// Encodes one second of three pictures that begins `second` seconds behind the mark.
    fn encode(&mut self, second: i64) {
        self.encode_at(second, Some(MARK.plus(Ticks90k(second * SECOND))));
    }

    /// The same, while the wall clock shows `wall`.
    fn encode_at(&mut self, second: i64, wall: Option<WallTime>) {
        let start = Ticks90k((1000 + second) * SECOND);
        self.writer.begin_gop(start, wall, &self.stream).expect("begins");
        for n in 0..3 {
            let pts = start + Ticks90k(n * SECOND / 3);
            let mut unit = vec![0, 0, 0, 9, if n == 0 { 0x65 } else { 0x41 }];
            unit.extend(pts.0.to_be_bytes());
            self.writer.append(Track::Video, pts, n == 0, &unit).expect("appends");
            self.encoded.push(pts.0);
        }
    }

    /// A second of placeholders: the camera is gone since the mark.
    fn stand_in(&mut self, second: i64) {
        let (start, since) = (Ticks90k((1000 + second) * SECOND), Ticks90k(1000 * SECOND));
        let wall = Some(MARK.plus(Ticks90k(second * SECOND)));
        self.writer.begin_placeholder(start, wall, &self.stream, since).expect("begins");
        self.writer.append(Track::Video, start, true, &[0, 0, 0, 1, 0x65]).expect("appends");
    }

    fn folder(&self) -> std::path::PathBuf {
        self.current.get().record.dir.clone()
    }

    /// Seconds behind the mark at which each sealed recording begins, and the pictures of all of them.
    fn recorded(&self) -> (Vec<i64>, Vec<i64>) {
        let (mut starts, mut pictures) = (Vec::new(), Vec::new());
        for recording in self.status.recordings().iter() {
            assert_eq!(recording.state, RecordingState::Sealed, "{recording:?}");
            let (start, mut own) = pictures_of(&recording.path);
            assert_eq!(recording.bytes, std::fs::metadata(&recording.path).expect("file").len());
            starts.push((start.0 - MARK.0) / 1_000_000);
            pictures.append(&mut own);
        }
        (starts, pictures)
    }
}

/// Start and pictures of one sealed recording.
fn pictures_of(path: &Path) -> (WallTime, Vec<i64>) {
    let bytes = std::fs::read(path).expect("read");
    demux::verify(&bytes).expect("whole");
    let movie = Movie::open(&bytes).expect("movie");
    let track = movie.track(Track::Video).expect("video");
    let pts = |sample| {
        let unit = track.read(&bytes, sample).expect("picture");
        i64::from_be_bytes(unit.data[5..13].try_into().expect("as encoded"))
    };
    (movie.anchor.and_then(|anchor| anchor.start).expect("dated"), track.samples.iter().map(pts).collect())
}

#[test]
fn every_gop_is_in_one_recording_and_recordings_end_at_the_marks() {
    let mut camera = Camera::new(600);
    let mut recorder = camera.recorder();
    for second in -70..70 {
        camera.encode(second);
        recorder.follow().expect("records");
    }
    recorder.finish().expect("seals");
    let (starts, pictures) = camera.recorded();
    assert_eq!(starts, [-70, -60, 0, 60]);
    assert_eq!(pictures, camera.encoded, "nothing lost, nothing doubled, the GOP in flight included");
    assert_eq!(camera.status.cameras[0].metrics.recordings_sealed.get(), 4);
}

#[test]
fn a_killed_process_loses_nothing_that_is_in_the_ring() {
    let mut camera = Camera::new(600);
    for killed_after in [3, 4, 9, 1, 20] {
        let mut recorder = camera.recorder();
        for _ in 0..killed_after {
            camera.encode(camera.encoded.len() as i64 / 3);
            recorder.follow().expect("records");
        }
        // What was encoded between the last look at the ring and the kill.
        camera.encode(camera.encoded.len() as i64 / 3);
    }
    camera.recorder().finish().expect("seals");
    assert_eq!(camera.recorded().1, camera.encoded);
}

#[test]
fn a_clean_restart_neither_loses_nor_repeats_the_gop_in_flight() {
    let mut camera = Camera::new(600);
    for second in 0..3 {
        let mut recorder = camera.recorder();
        camera.encode(second);
        recorder.follow().expect("records");
        recorder.finish().expect("seals");
    }
    camera.recorder().finish().expect("nothing to do");
    let (starts, pictures) = camera.recorded();
    assert_eq!(starts, [0, 1, 2]);
    assert_eq!(pictures, camera.encoded);
}

#[test]
fn another_configuration_begins_another_recording() {
    let mut camera = Camera::new(600);
    let mut recorder = camera.recorder();
    for second in 1..5 {
        camera.stream = stream(if second < 3 { 320 } else { 640 });
        camera.encode(second);
    }
    recorder.finish().expect("seals");
    let (starts, pictures) = camera.recorded();
    assert_eq!(starts, [1, 3]);
    assert_eq!(pictures, camera.encoded);
}

#[test]
fn footage_that_left_the_ring_unrecorded_is_a_gap() {
    let mut camera = Camera::new(10);
    let mut recorder = camera.recorder();
    for second in 1..4 {
        camera.encode(second);
    }
    recorder.follow().expect("records two seconds");
    for second in 4..40 {
        camera.encode(second);
    }
    recorder.finish().expect("seals");
    let gaps = camera.status.gaps.list();
    let oldest = camera.ring.index()[0].start;
    assert_eq!(gaps.len(), 1);
    assert_eq!(
        (gaps[0].cause, gaps[0].from, gaps[0].to),
        (Cause::Overload, Ticks90k(1003 * SECOND), Some(oldest))
    );
    assert_eq!(gaps[0].start, Some(MARK.plus(Ticks90k(3 * SECOND))));
    assert_eq!(camera.status.cameras[0].metrics.reader_lapped.get(), 1);
}

#[test]
fn a_folder_that_cannot_be_used_is_a_fault_and_costs_nothing_once_it_can() {
    let mut camera = Camera::new(600);
    let mut recorder = camera.recorder();
    std::fs::write(camera.folder(), "in the way").expect("a file");
    camera.encode(1);
    camera.encode(2);
    let error = recorder.follow().expect_err("a file is no folder");
    recorder.fail(&error);
    let faults: Vec<_> = camera.status.faults().into_iter().map(|fault| fault.part).collect();
    assert_eq!(faults, ["store", "record front"]);
    assert!(error.to_string().contains(&camera.folder().display().to_string()), "{error}");

    std::fs::remove_file(camera.folder()).expect("out of the way");
    camera.encode(3);
    recorder.finish().expect("records");
    recorder.well();
    assert_eq!(camera.recorded().1, camera.encoded);
    assert_eq!(camera.status.faults(), []);
}

#[test]
fn a_recording_whose_file_fails_is_sealed_and_recording_goes_on_behind_it() {
    let mut camera = Camera::new(600);
    let mut recorder = camera.recorder();
    for second in 1..6 {
        camera.encode(second);
    }
    recorder.follow().expect("records four seconds");
    let broken = ring::Error::Future { camera: "front".to_owned(), sequence: 9 };
    recorder.fail(&Error::Ring(broken));
    camera.encode(6);
    recorder.finish().expect("goes on");
    let (starts, pictures) = camera.recorded();
    assert_eq!(starts, [1, 2], "what was not synced yet is taken from the ring again");
    assert_eq!(pictures, camera.encoded);
}

#[test]
fn a_card_is_spared_while_the_remote_host_keeps_up_and_no_longer() {
    let camera = Camera::new(600);
    let key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIH0XDKDZpZ89hNCaej8mrOhs+CKiEI11242Un8zWzkXJ";
    let upload = format!("[upload]\nhost = \"h\"\nuser = \"u\"\nhost_key = \"{key}\"");
    let mode = Mode {
        device: "front".to_owned(),
        format: "I420".to_owned(),
        width: 320,
        height: 240,
        frame_duration: Ticks90k(3000),
    };
    for (upload, at_risk, seconds) in [("", 0.0, 30), (&upload, 1.2, 30), (&upload, 3.5, 1), ("", 3.5, 30)] {
        let text = format!("{upload}\n[record]\nsync_seconds = 30");
        let current = Current::new(crate::config::Config::parse(&text).expect("good"));
        let recorder = Recorder::new(Inputs { current, ..camera.recorder().inputs });
        let own = &recorder.inputs.own;
        own.set_alone(Alone { seconds: at_risk, at: None });
        assert_eq!(recorder.sync_seconds(), seconds, "{at_risk} s at risk, {upload}");
        // Since then the upload has waited for an answer.
        let since = Ticks90k(clock::media_now().0 - 30 * SECOND);
        own.set_alone(Alone { seconds: 0.0, at: Some(since) });
        assert_eq!(recorder.sync_seconds(), 30, "the camera delivers nothing, {upload}");
        own.set_state(CameraState::streaming(&mode, false, since));
        assert_eq!(recorder.sync_seconds(), if upload.is_empty() { 30 } else { 1 }, "{upload}");
        own.set_state(CameraState::default());
    }
}

#[test]
fn footage_that_a_power_cut_would_take_is_told_also_while_the_recorder_waits_for_a_disk() {
    let mut camera = Camera::new(600);
    let own = Arc::clone(&camera.status.cameras[0]);
    let until = |second: i64| Some(Ticks90k((1000 + second) * SECOND));
    assert_eq!(own.unsynced_seconds(until(9)), 0.0, "nothing is recorded yet");
    let mut recorder = camera.recorder();
    camera.encode(1);
    camera.encode(2);
    recorder.follow().expect("records the first second");
    assert_eq!(own.unsynced_seconds(until(3)), 1.0, "that in flight");
    camera.encode(3);
    assert_eq!(own.unsynced_seconds(until(4)), 2.0, "the recorder has not moved");
    recorder.finish().expect("seals");
    recorder.follow().expect("has nothing to do");
    assert_eq!(own.unsynced_seconds(recorder.last_end), 0.0, "all that there is is sealed");
}

#[test]
fn a_thread_records_and_seals_when_it_is_asked_to_end() {
    let mut camera = Camera::new(600);
    let inputs = camera.recorder().inputs;
    let (stop, pulses) = (Stop::default(), Pulses::default());
    let mut threads = crate::supervise::Threads::new(stop.clone(), pulses);
    camera.encode(1);
    threads.spawn("record front", |stop| run(inputs, stop)).expect("thread");
    stop.ask();
    threads.join();
    assert_eq!(camera.recorded().1, camera.encoded);
    assert!(camera.dir.path().exists());
}

#[test]
fn placeholders_are_in_no_recording_however_long_they_last() {
    let mut camera = Camera::new(20);
    let mut recorder = camera.recorder();
    camera.encode(-1);
    camera.stand_in(0);
    recorder.follow().expect("records");
    let gaps = |camera: &Camera| -> Vec<_> {
        camera.status.gaps.list().iter().map(|gap| (gap.cause, gap.from, gap.to)).collect()
    };
    let from = Ticks90k(*camera.encoded.last().expect("encoded"));
    camera.status.gaps.open("front", Cause::CameraGone, from, None);
    // The recorder comes so late that placeholders have left the ring: nothing is lost with them.
    for second in 1..60 {
        camera.stand_in(second);
    }
    recorder.follow().expect("skips");
    let back = Ticks90k(1060 * SECOND);
    camera.status.gaps.close("front", Cause::CameraGone, back);
    camera.encode(60);
    camera.encode(61);
    recorder.finish().expect("seals");
    let (starts, pictures) = camera.recorded();
    assert_eq!((starts, pictures), (vec![-1, 60], camera.encoded.clone()));
    assert_eq!(gaps(&camera), [(Cause::CameraGone, from, Some(back))]);
}

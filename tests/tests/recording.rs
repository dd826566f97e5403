//! Recording onto a disk that fills up.

use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;

use edge::config::{Config, Current};
use edge::record::{Inputs, run};
use edge::ring;
use edge::status::{RecordingState, Status};
use edge::store::Store;
use edge::supervise::{Pulses, Stop, Threads};
use media::mp4::{Movie, demux};
use media::{Ticks90k, Track, WallTime};
use tempfile::TempDir;
use tests::footage;
use tests::wait::{PATIENCE, wait_until};

/// A small disk; taken away when dropped.
struct SmallDisk(PathBuf);

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _unmounted = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

/// Writes GOP after GOP of `bytes`, each a third of a recording;.
fn encode(writer: &mut ring::Writer, gops: std::ops::Range<i64>, bytes: usize) {
    // A picture lasts as long as its GOP.
    let stream = footage::silent_stream(Ticks90k(20 * 90_000));
    for n in gops {
        let start = Ticks90k(n * 20 * 90_000);
        let mut picture = (bytes as u32).to_be_bytes().to_vec();
        picture.resize(bytes + 4, n as u8);
        writer.begin_gop(start, Some(WallTime(1_795_241_700_000_000).plus(start)), &stream).unwrap();
        writer.append(Track::Video, start, true, &picture).unwrap();
    }
}

#[test]
fn on_a_disk_that_fills_up_the_old_recordings_leave_and_the_new_ones_are_whole() {
    if !nix::unistd::Uid::current().is_root() {
        eprintln!("only root can mount a small disk");
        return;
    }
    let folder = TempDir::with_prefix("recording-").unwrap();
    let disk = SmallDisk(folder.path().join("disk"));
    std::fs::create_dir(&disk.0).unwrap();
    let mut mount = Command::new("mount");
    assert!(mount.args(["-t", "tmpfs", "-o", "size=8m", "tmpfs"]).arg(&disk.0).status().unwrap().success());

    let mut config = Config::default();
    config.record.dir = disk.0.join("recordings");
    config.record.minutes = 1;
    let status = Arc::new(Status::new(&config, Pulses::default(), Ticks90k::ZERO));
    let own = Arc::clone(&status.cameras[0]);
    let limits = ring::Limits { seconds: 900, bytes: 64 << 20 };
    let metrics = own.metrics.clone();
    let (mut writer, ring) =
        ring::open(&folder.path().join("ring"), "front", limits, "boot", metrics).unwrap();
    let current = Current::new(config);
    let store = Store::new(current.clone(), Arc::clone(&status), folder.path().join("key"));
    let inputs =
        Inputs { ring: ring.clone(), store, current, status: Arc::clone(&status), own: Arc::clone(&own) };
    let stop = Stop::default();
    let mut threads = Threads::new(stop.clone(), Pulses::default());
    threads.spawn("record", |stop| run(inputs, stop)).unwrap();

    // Three times the size of the disk, in pieces that the ring can hold.
    for round in 0..20 {
        encode(&mut writer, round * 4..round * 4 + 4, 300 << 10);
        let sealed = || own.metrics.recordings_sealed.get() >= (round as u64 * 4) / 3;
        wait_until("recordings", PATIENCE, sealed).unwrap();
    }
    stop.ask();
    threads.join();

    let recordings = status.recordings();
    assert!((2..=8).contains(&recordings.len()), "{recordings:?}");
    let mut pictures = Vec::new();
    for recording in recordings.iter() {
        assert_eq!(recording.state, RecordingState::Sealed);
        let bytes = std::fs::read(&recording.path).unwrap();
        demux::verify(&bytes).unwrap();
        let movie = Movie::open(&bytes).unwrap();
        let track = movie.track(Track::Video).unwrap();
        pictures.extend(track.samples.iter().map(|sample| bytes[sample.offset as usize + 4]));
    }
    let newest: Vec<u8> = (80 - pictures.len() as u8..80).collect();
    assert_eq!(pictures, newest, "the newest ones, none missing, none twice");
    assert_eq!((status.gaps.list(), status.faults()), (vec![], vec![]));
}

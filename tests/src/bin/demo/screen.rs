//! A snapshot as text: a whole screen on a terminal, a line elsewhere.

use std::fmt::Write;

use crate::snapshot::Snapshot;

/// Recordings that are listed on either side; a terminal has about 24 lines.
const LISTED: usize = 4;

/// Cursor to the top left; what is left of the last screen is wiped line by line, so that nothing flickers.
const TOP: &str = "\x1b[H";
const WIPE_LINE: &str = "\x1b[K";
const WIPE_BELOW: &str = "\x1b[J";

/// The whole screen, for a terminal.
pub fn full(snapshot: &Snapshot) -> String {
    let mut text = TOP.to_owned();
    for line in page(snapshot).lines() {
        let _ = writeln!(text, "{line}{WIPE_LINE}");
    }
    text + WIPE_BELOW
}

fn page(now: &Snapshot) -> String {
    let seconds = now.uptime.as_secs();
    let mut text = format!(
        "\
Porthole demo, {}:{:02}; Ctrl-C ends it

  live view   {}
  viewers     {}
  camera      {}
  picture     {:.1} fps, {:.0} kb/s
  ring        {:.0} s
  upload      {}
  remote      {}
",
        seconds / 60,
        seconds % 60,
        now.address,
        now.viewers,
        now.camera,
        now.fps,
        now.bitrate / 1000.0,
        now.ring_seconds,
        now.upload,
        now.remote,
    );
    for fault in &now.faults {
        let _ = writeln!(text, "  fault       {fault}");
    }
    let _ = writeln!(text, "\nRecordings on the edge, newest first");
    for recording in now.recordings.iter().take(LISTED) {
        let _ = writeln!(
            text,
            "  {:<40} {:<10} {:>4.0} s {:>10}",
            recording.name,
            recording.state,
            recording.seconds,
            mebibytes(recording.bytes)
        );
    }
    let _ = writeln!(text, "\nRecordings on the remote host, newest first");
    for recording in now.arrived.iter().take(LISTED) {
        let _ = writeln!(
            text,
            "  {:<40} {:<10} {:>17}",
            recording.name,
            recording.state,
            mebibytes(recording.bytes)
        );
    }
    text
}

/// One line, for a log.
pub fn line(now: &Snapshot) -> String {
    format!(
        "{} s: {:.1} fps, {:.0} kb/s, ring {:.0} s, {} viewers, {} recordings, upload {}; remote: {} arriving, {} receipted, \
         {} chopped{}\n",
        now.uptime.as_secs(),
        now.fps,
        now.bitrate / 1000.0,
        now.ring_seconds,
        now.viewers,
        now.recordings.len(),
        now.upload,
        now.in_state("arriving"),
        now.in_state("receipted") + now.in_state("chopping"),
        now.in_state("chopped"),
        now.faults.iter().map(|fault| format!(", fault: {fault}")).collect::<String>()
    )
}

fn mebibytes(bytes: f64) -> String {
    format!("{:.1} MiB", bytes / f64::from(1 << 20))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::{Arrived, Recording};
    use std::time::Duration;

    fn snapshot() -> Snapshot {
        let recording = |name: &str, state: &str, seconds, bytes| Recording {
            name: name.to_owned(),
            state: state.to_owned(),
            seconds,
            bytes,
        };
        let arrived = |name: &str, state: &str, bytes| Arrived {
            name: name.to_owned(),
            state: state.to_owned(),
            bytes,
        };
        Snapshot {
            address: "http://127.0.0.1:8080/".to_owned(),
            uptime: Duration::from_secs(83),
            camera: "320x240 I420 from pattern".to_owned(),
            fps: 29.97,
            bitrate: 398_765.0,
            ring_seconds: 82.0,
            viewers: 2.0,
            recordings: vec![
                recording("2026-11-21-06-01-00-0a1b2c3d-0000000008", "growing", 23.0, 1_300_000.0),
                recording("2026-11-21-06-00-00-0a1b2c3d-0000000007", "receipted", 60.0, 3_200_000.0),
            ],
            upload: "idle".to_owned(),
            remote: "http://127.0.0.1:15090/".to_owned(),
            arrived: vec![
                arrived("2026-11-21-06-01-00-0a1b2c3d-0000000008", "arriving", 1_250_000.0),
                arrived("2026-11-21-06-00-00-0a1b2c3d-0000000007", "chopped", 3_200_000.0),
            ],
            faults: vec!["ring front: no room".to_owned()],
        }
    }

    #[test]
    fn a_terminal_shows_everything_at_once() {
        assert_eq!(
            page(&snapshot()),
            "\
Porthole demo, 1:23; Ctrl-C ends it

  live view   http://127.0.0.1:8080/
  viewers     2
  camera      320x240 I420 from pattern
  picture     30.0 fps, 399 kb/s
  ring        82 s
  upload      idle
  remote      http://127.0.0.1:15090/
  fault       ring front: no room

Recordings on the edge, newest first
  2026-11-21-06-01-00-0a1b2c3d-0000000008  growing      23 s    1.2 MiB
  2026-11-21-06-00-00-0a1b2c3d-0000000007  receipted    60 s    3.1 MiB

Recordings on the remote host, newest first
  2026-11-21-06-01-00-0a1b2c3d-0000000008  arriving             1.2 MiB
  2026-11-21-06-00-00-0a1b2c3d-0000000007  chopped              3.1 MiB
"
        );
        assert!(full(&snapshot()).starts_with("\x1b[HPorthole demo, 1:23; Ctrl-C ends it\x1b[K\n"));
    }

    #[test]
    fn a_log_gets_one_line() {
        assert_eq!(
            line(&snapshot()),
            "83 s: 30.0 fps, 399 kb/s, ring 82 s, 2 viewers, 2 recordings, upload idle; remote: 1 arriving, 0 receipted, 1 chopped, fault: ring front: no room\n"
        );
    }
}

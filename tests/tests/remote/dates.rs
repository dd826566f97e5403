//! Dates that were learnt after a recording had been sent are right everywhere: in the lists, in its playlist, and for `check`.

use std::ops::RangeInclusive;
use std::process::Command;

use media::ledger::slice::{ssh_blob, write_all};
use media::ledger::{Boot, Cause, Entry, SigningKey, Tail};
use media::names::{CameraId, RecordingName};
use media::{Ticks90k, WallTime};
use serde_json::Value;
use tests::remote::Remote;

use crate::recordings::{about, bytes, grow, put};

/// 2026-11-21T06:15:00Z: at media time 0, as it turned out.
const BOOT: WallTime = WallTime(1_795_241_700_000_000);

/// A camera whose recordings are signed, one after the other; its clock was never set.
pub struct Camera {
    key: SigningKey,
    tail: Tail,
    sequence: u64,
}

impl Camera {
    /// The boot that all of its media times are of.
    const BOOT: &str = "one";

    pub fn new() -> Self {
        let key = SigningKey::from_bytes(&[7; 32]);
        let id = CameraId::new(&ssh_blob(&key.verifying_key().to_bytes()), "front");
        Self { key, tail: Tail::begin(id, [1; 32]), sequence: 100 }
    }

    /// Tells its ledger what GOPs do not say.
    pub fn note(&mut self, entry: Entry) {
        self.tail.note(Boot::of(Self::BOOT), entry);
    }

    /// Name and bytes of its next recording.
    pub fn seal(&mut self, seconds: RangeInclusive<u64>) -> (String, Vec<u8>) {
        self.sequence += 1;
        let (mut growing, steps) = grow(self.sequence, seconds);
        let slices = self.tail.seal(&self.key, self.sequence, Boot::of(Self::BOOT), growing.gops());
        self.tail.advance(&slices);
        growing.carry(write_all(&slices));
        let name = RecordingName::new(None, self.tail.camera(), self.sequence);
        (name.to_string(), bytes(&[steps, growing.seal(&about())].concat()))
    }
}

fn seconds(n: i64) -> Ticks90k {
    Ticks90k(n * 90_000)
}

/// What `porthole-remote check --json` says of the archive, and whether it is satisfied.
fn check(remote: &Remote) -> (bool, Value) {
    let mut check = Command::new(tests::built("porthole-remote"));
    let output = check.args(["check", "--json"]).arg(remote.file("archive")).output().unwrap();
    (output.status.success(), serde_json::from_slice(&output.stdout).unwrap())
}

/// When the recording `name` began, by the list of the page.
fn start(remote: &Remote, name: &str) -> Value {
    let list = remote.json("/api/recordings").unwrap();
    let of_name = |recording: &&Value| recording["name"] == name;
    list["recordings"]
        .as_array()
        .unwrap()
        .iter()
        .find(of_name)
        .map_or(Value::Null, |one| one["start"].clone())
}

/// `keep` is what the archive keeps of recordings.
fn a_clock_that_is_set_late_dates_what_was_sent_before(keep: &str) {
    let mut remote = Remote::prepare(&format!("[chop]\n{keep}")).unwrap();
    remote.serve().unwrap();
    let mut camera = Camera::new();
    let (first, bytes) = camera.seal(1..=3);
    put(&remote.inbox(), &first, &bytes);
    let playlist = |remote: &Remote| remote.get(&format!("/hls/{first}/{first}-out.m3u8")).unwrap().text();
    remote
        .wait_until("the first recording to be listed", |remote| {
            let list = remote.json("/api/recordings").unwrap();
            list["recordings"].as_array().unwrap().iter().any(|one| one["state"] == "chopped")
        })
        .unwrap();
    assert_eq!(start(&remote, &first), Value::Null);
    assert!(!playlist(&remote).contains("PROGRAM-DATE-TIME"), "{}", playlist(&remote));

    camera.note(Entry::Gap { cause: Cause::CameraGone, from: seconds(4), to: seconds(7) });
    camera.note(Entry::Clock { media: seconds(7), wall: BOOT.plus(seconds(7)) });
    let (second, bytes) = camera.seal(7..=9);
    put(&remote.inbox(), &second, &bytes);
    let at = |second: i64| Value::from(BOOT.plus(seconds(second)).as_millis());
    remote.wait_until("the first one to have a date", |remote| start(remote, &first) == at(1)).unwrap();
    assert_eq!(start(&remote, &second), at(7));
    let dated = "#EXT-X-PROGRAM-DATE-TIME:2026-11-21T06:15:01.000Z\n#EXTINF:";
    remote.wait_until("its playlist to have it too", |remote| playlist(remote).contains(dated)).unwrap();
    let gap = &remote.json("/api/gaps").unwrap()["gaps"][0];
    assert_eq!((&gap["cause"], &gap["start"]), (&"camera_gone".into(), &at(4)), "{gap}");

    let (clean, report) = check(&remote);
    assert!(clean, "{report:#}");
    let gap = &report["cameras"][0]["gaps"][0];
    assert_eq!((&gap["start"], &gap["seconds"]), (&"2026-11-21T06:15:04.000Z".into(), &3.0.into()));
    let notes = report["notes"].as_array().unwrap();
    let dated = notes.iter().filter(|note| note["kind"] == "dated").map(|note| &note["detail"]);
    let expected = ["began at 2026-11-21T06:15:01.000Z", "began at 2026-11-21T06:15:07.000Z"];
    assert_eq!(dated.collect::<Vec<_>>(), expected, "{report:#}");
    remote.terminate().unwrap();
}

#[test]
fn a_clock_that_is_set_late_dates_recordings_that_were_sent_before() {
    a_clock_that_is_set_late_dates_what_was_sent_before("keep_mp4 = true");
}

#[test]
fn the_ledger_is_kept_of_recordings_whose_mp4_is_not() {
    a_clock_that_is_set_late_dates_what_was_sent_before("keep_mp4 = false");
}

//! A camera whose ledger tests can write: seconds of footage, gaps, seals.

use super::*;
use crate::names::CameraId;

pub const SECOND: i64 = crate::time::TICKS_PER_SECOND;
/// 2026-11-21T06:15:00Z.
pub const NOON: WallTime = WallTime(1_795_241_700_000_000);

pub fn seconds(n: i64) -> Ticks90k {
    Ticks90k(n * SECOND)
}

/// A camera, its device's key, and the end of its chain.
pub struct Camera {
    pub key: SigningKey,
    pub tail: Tail,
    pub boot: Boot,
    recording: u64,
}

impl Camera {
    pub fn new() -> Self {
        let key = SigningKey::from_bytes(&[7; 32]);
        let camera = CameraId::new(&slice::ssh_blob(&key.verifying_key().to_bytes()), "front");
        Self { key, tail: Tail::begin(camera, [1; 32]), boot: Boot::of("one"), recording: 0 }
    }

    pub fn note(&mut self, entry: Entry) {
        self.tail.note(self.boot, entry);
    }

    pub fn gap(&mut self, cause: Cause, from: i64, to: i64) {
        self.note(Entry::Gap { cause, from: seconds(from), to: seconds(to) });
    }

    /// A recording with a GOP for each of these seconds: the slices that its seal carries.
    pub fn record(&mut self, range: std::ops::Range<i64>, wall: Option<WallTime>) -> Vec<Slice> {
        let gops: Vec<Gop> = range.map(|second| gop(second, wall)).collect();
        self.recording += 1;
        let slices = self.tail.seal(&self.key, self.recording, self.boot, &gops);
        self.tail.advance(&slices);
        slices
    }
}

/// The GOP of one second; media time 0 was `wall`.
pub fn gop(second: i64, wall: Option<WallTime>) -> Gop {
    Gop {
        sequence: second as u64,
        start: seconds(second),
        duration: seconds(1),
        wall: wall.map(|wall| wall.plus(seconds(second))),
        sha256: hash_of(second),
    }
}

/// What the footage of one second hashes to.
pub fn hash_of(second: i64) -> Hash {
    Sha256::digest(second.to_be_bytes()).into()
}

/// What `stitch` finds, a line each.
pub fn told(slices: &[Slice]) -> Vec<String> {
    let missing = |missing: &Missing| {
        let cause = missing.cause.map_or("unexplained", Cause::name);
        let start = missing.start.map_or_else(|| missing.from.to_string(), WallTime::rfc3339);
        let length = missing.length.map_or_else(|| "unknown".to_owned(), |length| length.to_string());
        format!("{cause} {start} {length}")
    };
    let or_nothing = |span: &Option<Missing>| span.as_ref().map_or_else(String::new, missing);
    let tell = |finding: &Finding| match finding {
        Finding::Absent { after, before, entries, receipts, missing } => {
            let receipts = if *receipts == 0 { String::new() } else { format!(", {receipts} receipts") };
            format!("{entries} absent between {after} and {before}{receipts}: {}", or_nothing(missing))
        }
        Finding::BegunAnew { after, before, missing } => {
            format!("begun anew between {after} and {before}: {}", or_nothing(missing))
        }
        Finding::Forked { one, other } => format!("forked: {one} {other}"),
        Finding::Missing { slice, missing: span } => format!("in {slice}: {}", missing(span)),
    };
    stitch(slices).findings.iter().map(tell).collect()
}

//! The end of a chain that no sealed recording carries yet: what the edge keeps in `CAMERA8.ledger`.
//!
//! ```text
//! "PLT1" camera(8 characters) head: position(64) hash(256)
//! count(32) { boot(128) entry } ...         gaps and clock entries behind the head, not hashed yet
//! slices to the end                         signed, in front of the head, waiting for something that takes them along
//! ```
//!
//! GOPs are not in it: until the seal they are in the growing recording, and are hashed from there, also after a crash.

use super::slice::Slice;
use super::{Boot, Entry, Error, Gop, Hash, Head, array};
use crate::names::CameraId;
use bytes::{Buf, BufMut, Bytes, BytesMut};
use ed25519_dalek::SigningKey;

const MAGIC: &[u8; 4] = b"PLT1";
/// Most entries behind the head: then [`Tail::is_full`].
pub const MOST_OPEN: usize = 256;
/// Most slices that wait: then [`Tail::is_full`].
pub const MOST_WAITING: usize = 256;

/// The end of one camera's chain. Pure: whoever keeps it writes it whole, and before it is relied on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tail {
    camera: CameraId,
    head: Head,
    open: Vec<(Boot, Entry)>,
    waiting: Vec<Slice>,
}

impl Tail {
    /// A chain without entries; `seed` is drawn at random.
    pub fn begin(camera: CameraId, seed: Hash) -> Self {
        Self { camera, head: Head::begin(seed), open: Vec::new(), waiting: Vec::new() }
    }

    /// Whose chain it is.
    pub fn camera(&self) -> CameraId {
        self.camera
    }

    /// The entries behind the head, with their boots.
    pub fn open(&self) -> &[(Boot, Entry)] {
        &self.open
    }

    /// The slices that wait for something that takes them along.
    pub fn waiting(&self) -> &[Slice] {
        &self.waiting
    }

    /// The chain goes on in another place than before, as a [branch](Head::branch).
    pub fn branch(&mut self, boot: Boot) {
        self.head = self.head.branch(boot);
    }

    /// Adds what a GOP does not say.
    pub fn note(&mut self, boot: Boot, entry: Entry) {
        self.open.push((boot, entry));
    }

    /// Whether so much waits that it must be [`cut`](Self::cut) and taken along without a recording.
    pub fn is_full(&self) -> bool {
        self.open.len() >= MOST_OPEN || self.waiting.len() >= MOST_WAITING
    }

    /// Keeps a slice for the next seal: of a recording that was dropped.
    pub fn keep(&mut self, slice: Slice) {
        if !self.waiting.iter().any(|waiting| waiting.after == slice.after) {
            self.waiting.push(slice);
        }
    }

    /// What the seal of a recording with `gops` of `boot` carries: everything that waits, and its own slice at the end. Nothing
    /// changes until [`Tail::advance`], so that it can be asked for again after a crash.
    pub fn seal(&self, key: &SigningKey, recording: u64, boot: Boot, gops: &[Gop]) -> Vec<Slice> {
        // A recording of an earlier boot, sealed late, goes in front of what this boot has noted.
        let of_boot = self.open.iter().rposition(|(noted, _)| *noted == boot).map_or(0, |last| last + 1);
        let open = &self.open[..of_boot];
        let own = open.iter().rposition(|(noted, _)| *noted != boot).map_or(0, |last| last + 1);
        let (earlier, own) = open.split_at(own);
        let mut slices = self.waiting.clone();
        let head = self.sign_open(key, earlier, &mut slices);
        let mut entries: Vec<Entry> = own.iter().map(|(_, entry)| *entry).collect();
        entries.extend(gops.iter().copied().map(Entry::Gop));
        entries.sort_by_key(Entry::at);
        slices.push(Slice::sign(key, self.camera, Some(recording), boot, head, entries));
        slices
    }

    /// Signs everything that is open: from then on it waits as slices, which are the same whatever takes them along, and
    /// however often.
    pub fn sign(&mut self, key: &SigningKey) {
        let (open, mut waiting) = (std::mem::take(&mut self.open), std::mem::take(&mut self.waiting));
        self.head = self.sign_open(key, &open, &mut waiting);
        self.waiting = waiting;
    }

    /// What [`Tail::sign`] would leave waiting.
    pub fn cut(&self, key: &SigningKey) -> Vec<Slice> {
        let mut tail = self.clone();
        tail.sign(key);
        tail.waiting
    }

    /// Signs `open`, a slice for each boot; gives the head behind them.
    fn sign_open(&self, key: &SigningKey, open: &[(Boot, Entry)], slices: &mut Vec<Slice>) -> Head {
        open.chunk_by(|(one, _), (next, _)| one == next).fold(self.head, |head, run| {
            let Some((boot, _)) = run.first() else { return head };
            let entries = run.iter().map(|(_, entry)| *entry).collect();
            let slice = Slice::sign(key, self.camera, None, *boot, head, entries);
            let after = slice.after;
            slices.push(slice);
            after
        })
    }

    /// These slices are durable elsewhere: the head moves behind them, and what they hold waits no longer. Slices that the
    /// head has passed already change nothing.
    pub fn advance(&mut self, slices: &[Slice]) {
        for slice in slices {
            self.waiting.retain(|waiting| waiting != slice);
            if slice.before == self.head && slice.camera == self.camera {
                self.head = slice.after;
                for entry in &slice.entries {
                    let noted = self.open.iter().position(|open| *open == (slice.boot, *entry));
                    noted.map(|noted| self.open.remove(noted));
                }
            }
        }
    }

    /// The bytes to keep.
    pub fn to_bytes(&self) -> Bytes {
        let mut out = BytesMut::new();
        out.put_slice(MAGIC);
        out.put_slice(self.camera.to_string().as_bytes());
        self.head.write(&mut out);
        out.put_u32(self.open.len() as u32);
        for (boot, entry) in &self.open {
            out.put_slice(&boot.0);
            entry.write(&mut out);
        }
        self.waiting.iter().for_each(|slice| slice.write(&mut out));
        out.freeze()
    }

    /// Reads what [`Tail::to_bytes`] gave.
    ///
    /// # Errors
    /// The bytes are something else.
    pub fn parse(bytes: &[u8]) -> Result<Self, Error> {
        let malformed = || Error::Malformed { at: 0, what: "not the end of a ledger" };
        let (mut tail, rest) = Self::parse_open(bytes).ok_or_else(malformed)?;
        tail.waiting = Slice::parse_all(rest)?;
        Ok(tail)
    }

    fn parse_open(bytes: &[u8]) -> Option<(Self, &[u8])> {
        let mut rest = bytes.strip_prefix(MAGIC)?;
        let camera = std::str::from_utf8(&array::<8>(&mut rest)?).ok()?.parse().ok()?;
        let head = Head::read(&mut rest)?;
        let count = usize::try_from(rest.try_get_u32().ok()?).ok()?;
        let mut open = Vec::with_capacity(count.min(rest.len() / 25));
        for _ in 0..count {
            open.push((Boot(array(&mut rest)?), Entry::read(&mut rest)?));
        }
        Some((Self { camera, head, open, waiting: Vec::new() }, rest))
    }
}

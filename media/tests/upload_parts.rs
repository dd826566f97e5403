//! What stands on the remote host while a recording is uploaded opens as a recording at every moment: at each byte of each
//! write, and when a power cut there takes what was not synced.

#![allow(clippy::unwrap_used)]

mod small;

use media::handshake::{Content, Journal, Reply, Step, Upload};
use media::mp4::{FLIP_AT, Growing, HEAD, MEDIA_AT, ReadAt, Recovered, SEAL_TYPE, head, recover};
use media::names::{CameraId, LockToken};
use small::{Disk, GOPS, about, gops};

/// The part, and what is known of it.
#[derive(Default)]
struct Part {
    disk: Disk,
    synced: Disk,
    /// Where each GOP ends.
    ends: Vec<u64>,
    /// GOPs behind those, which another recording has.
    more: usize,
}

impl Part {
    /// Writes byte by byte, and looks at what stands there after each.
    fn write(&mut self, offset: u64, bytes: &[u8]) {
        for (at, byte) in (offset..).zip(bytes) {
            self.disk.write(at, &[*byte]);
            self.check();
        }
        // After a power cut the length may be there without the bytes.
        let mut zeros = self.synced.clone();
        let (from, to) = (offset.max(zeros.size), offset + bytes.len() as u64);
        zeros.write(from, &vec![0; to.saturating_sub(from) as usize]);
        let kept = self.ends.iter().filter(|end| **end <= self.synced.size).count();
        assert!(opens(&zeros).is_some_and(|gops| gops >= kept), "a power cut during the write at {offset}");
    }

    fn check(&self) {
        let whole = self.ends.iter().filter(|end| **end <= self.disk.size).count();
        let found = opens(&self.disk);
        assert!(found == Some(whole) || found == Some(whole + self.more), "{} bytes", self.disk.size);
    }

    fn perform(&mut self, step: &Step, recording: &Disk) -> Reply {
        let read = |from: u64, to: u64| {
            let mut bytes = vec![0; (to - from) as usize];
            recording.read_exact_at(&mut bytes, from).unwrap();
            bytes
        };
        match step {
            Step::SizePart if self.disk.size == 0 => return Reply::Absent,
            Step::SizePart => return Reply::Size(self.disk.size),
            Step::ReadLock | Step::SizeRecording => return Reply::Absent,
            Step::VerifyPart { from, to } => {
                let (mut theirs, ours) = (vec![0; (to - from) as usize], read(*from, *to));
                self.disk.read_exact_at(&mut theirs, *from).unwrap();
                let same = theirs.iter().zip(&ours).take_while(|(theirs, ours)| theirs == ours).count();
                return Reply::SameUpTo(from + same as u64);
            }
            Step::EndPart(at) => {
                self.write(at + 4, &SEAL_TYPE);
                self.more = 0;
            }
            Step::CutPart(to) => self.disk.truncate(*to),
            Step::WriteHead => self.write(0, &head()),
            Step::WritePart { from, to } => {
                self.write(*from, &read(*from, *to));
                return Reply::Written(*to);
            }
            Step::WriteRoom { from } => {
                let blocks = recording.blocks.keys().map(|block| block * Disk::BLOCK as u64);
                let room = |at: u64| (at.max(*from), (at + Disk::BLOCK as u64).min(MEDIA_AT));
                for (from, to) in blocks.map(room).filter(|(from, to)| from < to) {
                    self.write(from, &read(from, to));
                }
                return Reply::Written(MEDIA_AT);
            }
            Step::SyncPart => self.synced = self.disk.clone(),
            _ => {}
        }
        Reply::Done
    }
}

/// GOPs that can be had of a file; `None` if it is no recording.
fn opens(disk: &Disk) -> Option<usize> {
    match recover(disk).ok()? {
        Recovered::Empty => Some(0),
        Recovered::Torn(torn) => Some(torn.growing.gops().len()),
        Recovered::Sealed(seal) => {
            (seal.size == disk.size).then_some((seal.last_sequence - seal.first_sequence + 1) as usize)
        }
    }
}

fn token() -> LockToken {
    LockToken::Upload { camera: CameraId::new(b"key", "door"), boot: "b".to_owned(), nonce: "n".to_owned() }
}

/// A recording that has so many GOPs, and where each of them ends.
fn grown(count: usize) -> (Growing, Disk, Vec<u64>) {
    let (mut growing, steps) = Growing::begin(&gops()[0], &about()).unwrap();
    let mut recording = Disk::default();
    recording.apply(&steps);
    let mut ends = vec![growing.size()];
    for gop in &gops()[1..count] {
        recording.apply(&growing.append(gop).unwrap());
        ends.push(growing.size());
    }
    (growing, recording, ends)
}

#[test]
fn a_part_that_goes_on_behind_a_torn_recording_ends_with_it_and_is_sealed_there() {
    for kept in 1..GOPS {
        let (mut growing, mut recording, ends) = grown(kept);
        let (_, longer, _) = grown(GOPS);
        let mut part = Part { disk: longer.clone(), synced: longer, ends, more: GOPS - kept };
        let mut upload = Upload::new(Journal::Sealed, Content::Torn(growing.size()), token(), true);
        while upload.step() != Step::Free {
            let step = upload.step();
            if step != Step::Wait {
                let reply = part.perform(&step, &recording);
                upload.reply(reply).unwrap();
                continue;
            }
            assert_eq!(opens(&part.disk), Some(kept), "what the janitor would make of it");
            growing.carry(b"slices of the ledger".as_slice().into());
            recording.apply(&growing.seal(&about()));
            upload.update(Content::Sealed(recording.size));
        }
        let [whole, there, synced] = [&recording, &part.disk, &part.synced].map(|disk| {
            let mut bytes = vec![0; disk.size as usize];
            disk.read_exact_at(&mut bytes, 0).unwrap();
            bytes
        });
        assert!(there == whole && synced == whole, "the part is the recording, and synced");
    }
}

#[test]
fn a_part_opens_at_every_byte_of_every_write() {
    let gops = gops();
    let (mut growing, mut recording, ends) = grown(1);
    let mut part = Part { ends, ..Part::default() };
    let mut upload = Upload::new(Journal::Sealed, Content::Growing(growing.size()), token(), false);
    let mut rest = gops[1..].iter();
    while upload.step() != Step::Free {
        let step = upload.step();
        if step != Step::Wait {
            let reply = part.perform(&step, &recording);
            upload.reply(reply).unwrap();
            continue;
        }
        if let Some(gop) = rest.next() {
            recording.apply(&growing.append(gop).unwrap());
            part.ends.push(growing.size());
            upload.update(Content::Growing(growing.size()));
        } else {
            growing.carry(b"slices of the ledger".as_slice().into());
            recording.apply(&growing.seal(&about()));
            upload.update(Content::Sealed(recording.size));
        }
    }
    assert_eq!(part.ends.len(), GOPS);
    assert!(part.disk == recording && part.synced == recording, "the part is the recording, and synced");
    // Torn within the eight bytes that seal it: no disk does that, and it is repaired all the same.
    for cut in FLIP_AT..HEAD as u64 {
        let mut torn = recording.clone();
        torn.write(cut, &head()[cut as usize..]);
        assert_eq!(opens(&torn), Some(GOPS), "{cut}");
    }
}

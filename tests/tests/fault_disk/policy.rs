//! The disk is full before recordings take what they may, and the remote host is away: what leaves first is what docs/design/store.md says.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use tests::disk::{Disk, with_own_mounts};
use tests::sshd::{Sshd, View};

use super::outbox::Outbox;

/// Bytes of the disk, and of a GOP; a handful of recordings fits, and what is kept free.
const DISK: u64 = 32 << 20;
const GOP: usize = 1 << 20;
const GOPS: usize = 4;
const RECORDINGS: usize = 16;

/// What was seen of the folder, again and again.
#[derive(Default)]
struct Seen {
    there: BTreeSet<String>,
    thinned: BTreeSet<String>,
    dropped: usize,
}

impl Seen {
    fn look(&mut self, folder: &Path) -> Result<()> {
        let mut there = BTreeSet::new();
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
            if name.ends_with(".mp4.journal") {
                if fs::read_to_string(&path)?.contains("\"thinned\":true") {
                    self.thinned.insert(name.clone());
                }
                there.insert(name);
            }
        }
        for gone in self.there.difference(&there) {
            ensure!(self.thinned.contains(gone), "{gone} was dropped whole; thinned were {:?}", self.thinned);
            self.dropped += 1;
        }
        self.there = there;
        Ok(())
    }
}

#[test]
fn a_full_disk_costs_no_recording_that_was_not_thinned_before() {
    with_own_mounts(|| {
        let sshd = Sshd::start(View::Whole)?;
        let outbox = Outbox::new(&sshd, sshd.port());
        // The folder of the recordings is not there yet.
        let _disk = Disk::ram(outbox.folder.path(), DISK)?;
        let folder = outbox.current.get().record.dir.clone();
        let (mut seen, mut rooms) = (Seen::default(), Vec::new());
        for _ in 0..RECORDINGS {
            let mut recording = outbox.begin("front", GOP);
            for _ in 1..GOPS {
                recording.grow(GOP);
                seen.look(&folder)?;
            }
            recording.seal();
            seen.look(&folder)?;
            rooms.push(outbox.store.backlog().room);
            let storage = outbox.status.storage().context("nothing is said of the disk")?;
            ensure!(storage.ram, "at its very first start the store does not say that it is on a RAM disk");
            ensure!(outbox.store.in_ram("front") > 0.0, "a power cut would take nothing");
        }
        ensure!(seen.dropped > 0, "{RECORDINGS} recordings have fitted");
        let falls = rooms.windows(2).take(3).all(|pair| pair[1] < pair[0]);
        ensure!(rooms[0] < DISK && falls, "until the disk is full there is that much room: {rooms:?}");
        Ok(())
    });
}

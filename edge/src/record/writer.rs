//! One growing recording as a file: carries out what [`Growing`] asks for.
//!
//! A GOP is written as `free` at once and becomes `moof` after the next sync. Syncs come every `sync_seconds`: the flips of
//! the GOPs in between wait together, so that no flip is on the disk before the bytes that it vouches for. They are synced too: a GOP
//! whose flip a power cut takes is lost with it.

use crate::store::{Error, Growth, Sealed, files};
use bytes::Bytes;
use media::mp4::{About, Growing, Step};
use media::{Gop, Ticks90k, ledger};
use std::fs::File;
use std::path::PathBuf;

/// A recording that is being written.
pub struct Writer {
    file: File,
    path: PathBuf,
    growing: Growing,
    about: About,
    /// What may be written only after the next sync.
    after_sync: Vec<Step>,
    last_sync: Ticks90k,
    /// Media time until which its footage is on the disk.
    synced_until: Ticks90k,
    /// The newest GOP that counts in the file.
    counting: Option<u64>,
}

impl Writer {
    /// Carries out the first steps of a recording in its empty file.
    pub fn begin(
        file: File,
        path: PathBuf,
        (growing, steps): (Growing, Vec<Step>),
        about: About,
        now: Ticks90k,
    ) -> Result<Self, Error> {
        let synced_until = growing.start();
        let (after_sync, counting) = (Vec::new(), None);
        let mut writer =
            Self { file, path, growing, about, after_sync, last_sync: now, synced_until, counting };
        writer.write(steps)?;
        writer.sync(now)?;
        Ok(writer)
    }

    /// Appends a GOP. An error of [`media::mp4`] leaves the recording as it was.
    pub fn append(&mut self, gop: &Gop) -> Result<(), Error> {
        let steps = self.growing.append(gop).map_err(Error::mp4(&self.path))?;
        self.write(steps)
    }

    /// Syncs if the last sync is `seconds` ago and anything waits for it.
    pub fn sync_if_due(&mut self, seconds: u32, now: Ticks90k) -> Result<(), Error> {
        let due = self.last_sync + Ticks90k(i64::from(seconds) * media::time::TICKS_PER_SECOND);
        if self.after_sync.is_empty() || now < due { Ok(()) } else { self.sync(now) }
    }

    /// Seals the recording with the ledger slices that `draft` gives for its GOPs; when this returns it is on the disk.
    pub fn seal(
        &mut self,
        now: Ticks90k,
        draft: impl FnOnce(&[ledger::Gop]) -> Result<Bytes, Error>,
    ) -> Result<Sealed, Error> {
        self.sync(now)?;
        self.growing.carry(draft(self.growing.gops())?);
        files::apply(&self.file, &self.growing.seal(&self.about)).map_err(Error::io("seal", &self.path))?;
        let seal = self.growing.seal_box();
        Ok(Sealed {
            repaired: false,
            bytes: seal.size,
            duration: self.duration(),
            origin: self.growing.start(),
            last_gop: seal.last_sequence,
            camera: Some(self.about.camera.clone()),
        })
    }

    /// Media time until which its footage would outlive a power cut.
    pub fn synced_until(&self) -> Ticks90k {
        self.synced_until
    }

    /// What is in the file.
    pub fn growth(&self) -> Growth {
        let (bytes, unsynced) = (self.growing.size(), self.unsynced());
        Growth { bytes, duration: self.duration(), unsynced, counting: self.counting }
    }

    fn duration(&self) -> Ticks90k {
        self.growing.end() - self.growing.start()
    }

    /// Where the headers of the GOPs stand that the next sync will make count.
    fn unsynced(&self) -> Vec<u64> {
        let offset = |step: &Step| match step {
            Step::Write { offset, .. } => Some(*offset),
            Step::Sync => None,
        };
        self.after_sync.iter().filter_map(offset).collect()
    }

    /// Writes what stands in front of the sync, and keeps what stands behind it.
    fn write(&mut self, steps: Vec<Step>) -> Result<(), Error> {
        let sync = steps.iter().position(|step| *step == Step::Sync).unwrap_or(steps.len());
        let (before, after) = steps.split_at(sync);
        files::apply(&self.file, before).map_err(Error::io("write", &self.path))?;
        self.after_sync.extend(after.iter().filter(|step| **step != Step::Sync).cloned());
        Ok(())
    }

    fn sync(&mut self, now: Ticks90k) -> Result<(), Error> {
        let synced = || files::sync_data(&self.file).map_err(Error::io("sync", &self.path));
        synced()?;
        if !self.after_sync.is_empty() {
            files::apply(&self.file, &self.after_sync).map_err(Error::io("write", &self.path))?;
            synced()?;
            self.after_sync.clear();
        }
        (self.last_sync, self.synced_until) = (now, self.growing.end());
        self.counting = Some(self.growing.seal_box().last_sequence);
        Ok(())
    }
}

//! Retention: what is older than it has to be kept leaves, and what is more than there is room for.
//!
//! ```text
//! hls/NAME/ NAME.m3u8 NAME-out.m3u8 NAME-*-N.ts     archive/NAME.mp4 (or .sha256)   kept
//!           NAME.leaving                  *.ts              *                 withdrawn: who plays it may finish
//!                                                                            gone
//! ```
//!
//! Only files that chop and the inbox made are known here, by their very names: nothing else is ever touched, and neither are
//! `inbox/`, `claim/`, `tmp/` and `quarantine/`. Each step is repeated after a crash; docs/design/chop.md has the table.

pub mod leaving;
pub mod recordings;
pub mod service;
#[cfg(test)]
mod tests;
pub mod trust;

use crate::folder::{self, Folder};
use leaving::Leaving;
use media::names::CameraId;
use recordings::{Hls, Ledger, Recording};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::Path;
use std::time::Duration;

/// What has to leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// How long a recording is kept, from its arrival.
    pub keep: Duration,
    /// How many bytes all recordings may have; the oldest leave first.
    pub bytes: Option<u64>,
}

/// What a sweep did, or would do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Recordings whose playlists went.
    pub withdrawn: Vec<String>,
    /// Recordings of which nothing is left.
    pub removed: Vec<String>,
    /// Withdrawn recordings that somebody may still be playing.
    pub waiting: usize,
    /// Recordings that stay.
    pub kept: usize,
    /// Bytes that were freed.
    pub freed: u64,
    /// What could not be done: the recording, and why. The next sweep tries again.
    pub failures: Vec<(String, String)>,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for name in &self.withdrawn {
            writeln!(f, "withdrawn  {name}")?;
        }
        for name in &self.removed {
            writeln!(f, "removed    {name}")?;
        }
        for (name, why) in &self.failures {
            writeln!(f, "FAILED     {name}: {why}")?;
        }
        let Self { withdrawn, removed, waiting, kept, freed, failures } = self;
        write!(
            f,
            "{} withdrawn, {} removed, {waiting} waiting, {kept} kept, {} failed, {freed} bytes freed",
            withdrawn.len(),
            removed.len(),
            failures.len()
        )
    }
}

/// Why a sweep ended early.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A folder cannot be read.
    #[error(transparent)]
    Folder(#[from] folder::Error),
    /// It was asked to end.
    #[error("asked to end")]
    Stopped,
}

/// One sweep.
pub struct Sweep<'a> {
    /// `hls/`.
    hls: Folder,
    /// `archive/`.
    archive: Folder,
    now: Duration,
    dry_run: bool,
    /// Asked before each change: between any two the process may end.
    stop: &'a dyn Fn() -> bool,
    report: Report,
}

/// Sweeps the folders below `dir` at `now` (since 1970), and writes down that it did. With `dry_run` nothing is changed, and the
/// report says what would be. `stop` is asked before each change.
pub fn sweep(
    dir: &Path,
    policy: &Policy,
    now: Duration,
    dry_run: bool,
    stop: &dyn Fn() -> bool,
) -> Result<Report, Error> {
    let (hls, archive) = (Folder::open(&dir.join("hls"))?, Folder::open(&dir.join("archive"))?);
    let mut sweep = Sweep { hls, archive, now, dry_run, stop, report: Report::default() };
    sweep.run(policy)?;
    let report = sweep.report;
    if !dry_run {
        leaving::stamp(&leaving::notes(dir)?, now, &report)?;
    }
    Ok(report)
}

/// How far a recording has left.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Left {
    /// Its files are still there, for those who play it.
    Waiting,
    /// It is gone.
    Gone,
}

/// What is left of the cameras' recordings after a sweep: by that ledger files leave.
#[derive(Default)]
struct Rest {
    /// The lowest number of each camera.
    oldest: BTreeMap<CameraId, u64>,
    /// The highest number of each camera that leaves, or has just left.
    leaving: BTreeMap<CameraId, u64>,
    /// By NAME, where that is no edge's.
    foreign: BTreeSet<String>,
}

impl Rest {
    fn add(&mut self, recording: &Recording) {
        match recording.place() {
            Some((camera, number)) => {
                let oldest = self.oldest.entry(camera).or_insert(number);
                *oldest = number.min(*oldest);
            }
            None => _ = self.foreign.insert(recording.name.clone()),
        }
    }

    fn leaves(&mut self, recording: &Recording) {
        if let Some((camera, number)) = recording.place() {
            let newest = self.leaving.entry(camera).or_insert(number);
            *newest = number.max(*newest);
        }
    }

    /// Whether no recording needs the file: what is left of its camera lies behind it, and retention has come to it, by its own age or
    /// because it takes what lies behind it.
    fn lets_go(&self, ledger: &Ledger, old: bool) -> bool {
        let Some((camera, number)) = ledger.place() else {
            return old && !self.foreign.contains(&ledger.name);
        };
        let needed = self.oldest.get(&camera).is_some_and(|oldest| *oldest <= number);
        !needed && (old || self.leaving.get(&camera).is_some_and(|newest| *newest > number))
    }
}

impl Sweep<'_> {
    fn run(&mut self, policy: &Policy) -> Result<(), Error> {
        let mut recordings = recordings::find(&self.hls, &self.archive)?;
        recordings::in_order(&mut recordings);
        let staying = recordings.iter().filter(|recording| !recording.is_leaving());
        let mut bytes: u64 = staying.map(|recording| recording.bytes).sum();
        let (mut rest, mut waiting) = (Rest::default(), BTreeSet::new());
        for recording in recordings {
            let old = self.now.saturating_sub(recording.since) >= policy.keep;
            let too_much = policy.bytes.is_some_and(|most| bytes > most);
            let leaving = recording.is_leaving();
            if !(old || too_much || leaving) {
                self.report.kept += 1;
                rest.add(&recording);
                continue;
            }
            if !leaving {
                bytes = bytes.saturating_sub(recording.bytes);
            }
            rest.leaves(&recording);
            let camera = recording.place().map(|(camera, _)| camera);
            match self.let_go(&recording, camera.is_some_and(|camera| waiting.contains(&camera))) {
                Ok(Left::Gone) => {}
                Ok(Left::Waiting) => {
                    rest.add(&recording);
                    waiting.extend(camera);
                }
                Err(Error::Folder(error)) => {
                    rest.add(&recording);
                    self.report.failures.push((recording.name, error.to_string()));
                }
                Err(stopped) => return Err(stopped),
            }
        }
        self.let_ledgers_go(policy, &rest)
    }

    fn let_ledgers_go(&mut self, policy: &Policy, rest: &Rest) -> Result<(), Error> {
        for ledger in recordings::ledgers(&self.archive)? {
            let old = self.now.saturating_sub(ledger.since) >= policy.keep;
            if rest.lets_go(&ledger, old) && !self.dry_run {
                self.step(|| self.archive.remove(recordings::ledger(&ledger.name)))?;
            }
        }
        Ok(())
    }

    /// The next step of a recording that has to leave. `behind`: one of its camera that was recorded before it has not left yet, and
    /// it must not leave out of the middle of a ledger.
    fn let_go(&mut self, recording: &Recording, behind: bool) -> Result<Left, Error> {
        let Some(hls) = &recording.hls else { return self.remove(recording, None, behind) };
        let Some(folder) = self.hls.folder(&recording.name)? else { return Ok(Left::Waiting) };
        let mark = Leaving::read(&folder, &recording.name)?;
        if hls.playlists.is_empty() {
            if hls.segments.is_empty() {
                return self.remove(recording, Some((&folder, hls)), behind);
            }
            // A mark from the future: the clock went back since.
            if let Some(Leaving { since, wait }) = mark.filter(|mark| mark.since <= self.now) {
                if self.now >= since + wait {
                    return self.remove(recording, Some((&folder, hls)), behind);
                }
                self.report.waiting += 1;
                return Ok(Left::Waiting);
            }
        }
        self.withdraw(recording, &folder, hls, mark)?;
        Ok(Left::Waiting)
    }

    /// The playlists go. Who has one may play it to its end: how long that takes is written down first.
    fn withdraw(
        &mut self,
        recording: &Recording,
        folder: &Folder,
        hls: &Hls,
        mark: Option<Leaving>,
    ) -> Result<(), Error> {
        let name = &recording.name;
        self.report.withdrawn.push(name.clone());
        if self.dry_run {
            return Ok(());
        }
        let known = mark.map_or(leaving::LONGEST, |mark| mark.wait);
        let wait = leaving::playing_time(folder, name)?.unwrap_or(known);
        let leaving = Leaving { since: self.now, wait };
        self.step(|| leaving.write(folder, name))?;
        for playlist in &hls.playlists {
            self.step(|| folder.remove(playlist))?;
        }
        self.step(|| folder.sync())
    }

    /// Everything goes: segments, recording and what the archive has of its ledger, mark, folder. Not yet if it is `behind` another.
    fn remove(
        &mut self,
        recording: &Recording,
        hls: Option<(&Folder, &Hls)>,
        behind: bool,
    ) -> Result<Left, Error> {
        if behind {
            self.report.waiting += 1;
            return Ok(Left::Waiting);
        }
        let name = &recording.name;
        if !self.dry_run {
            if let Some((folder, hls)) = hls {
                for segment in &hls.segments {
                    self.step(|| folder.remove(segment))?;
                }
                self.step(|| folder.sync())?;
            }
            self.step(|| self.archive.remove(recordings::digest(name)))?;
            self.step(|| self.archive.remove(recordings::ledger(name)))?;
            if let Some(mp4) = &recording.mp4 {
                let file = recordings::mp4(name);
                // Another one may have come under the name meanwhile.
                if self.archive.look(&file)?.is_some_and(|now| now.id == mp4.id) {
                    self.step(|| self.archive.remove(&file))?;
                }
            }
            self.step(|| self.archive.sync())?;
            if let Some((folder, _)) = hls {
                self.step(|| folder.remove(leaving::file(name)))?;
                // It stays if there is anything in it that is not ours.
                self.step(|| self.hls.remove_empty(name))?;
                self.step(|| self.hls.sync())?;
            }
        }
        self.report.freed += recording.bytes;
        self.report.removed.push(name.clone());
        Ok(Left::Gone)
    }

    /// One change; or the end, if that was asked for.
    fn step(&self, change: impl FnOnce() -> Result<(), folder::Error>) -> Result<(), Error> {
        if (self.stop)() {
            return Err(Error::Stopped);
        }
        Ok(change()?)
    }
}

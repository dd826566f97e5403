//! The janitor: looks at every NAME in every inbox and at every claim, judges, and does what needs no worker.

use super::claim::try_hold;
use super::ledger::{self, Taken};
use super::name::{FileName, Name};
use super::quarantine::NOBODY;
use super::queue::Job;
use super::scan::{Account, Scan};
use super::tries::{self, Record};
use super::{Inbox, lease, scratch};
use crate::folder::{self, Error, Kind, Meta};
use crate::supervise::{self, Pulse, Stop};
use media::handshake::claim::{Found, Lock, Seen, Sight, Verdict, Writer, judge};
use media::names::{CameraId, LockToken, MOST_TOKEN_BYTES};
use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs::File;
use std::io::Read;
use std::sync::Arc;
use std::time::Duration;

/// Why a file is put aside that ends like a recording.
const NAMELESS: &str =
    "its name is none: 1 to 128 of A-Z, a-z, 0-9, '.', '_' and '-', a letter or digit first";
/// From one look to the next.
const PAUSE: Duration = Duration::from_secs(1);
/// Cameras whose boots are remembered.
const MOST_CAMERAS: usize = 4096;
/// Claims that one look takes.
const MOST_CLAIMS: usize = 4096;

/// Looks again and again until the stop is asked for.
pub fn run(inbox: &Inbox, stop: &Stop, pulse: &Pulse) {
    let mut janitor = Janitor { inbox, scan: Scan::default(), heard: Heard::default() };
    let mut trouble = String::new();
    while !stop.asked() {
        pulse.beat();
        let now = janitor.look(stop).err().map(|error| error.to_string()).unwrap_or_default();
        if now != trouble {
            match now.as_str() {
                "" => tracing::info!("the inboxes can be read again"),
                now => tracing::error!(trouble = now, "cannot look through the inboxes"),
            }
            trouble = now;
        }
        inbox.queue.wait_for_room(PAUSE);
    }
}

struct Janitor<'a> {
    inbox: &'a Inbox,
    scan: Scan,
    heard: Heard,
}

/// The lock beside a recording.
struct SeenLock {
    lock: Lock,
    /// Open, and its flock held if it is a dead worker's.
    file: Option<File>,
    id: Option<(u64, u64)>,
}

impl Janitor<'_> {
    fn look(&mut self, stop: &Stop) -> Result<(), Error> {
        let mut trouble = Ok(());
        for account in self.scan.accounts(&self.inbox.folders.inbox)? {
            if stop.asked() {
                return Ok(());
            }
            // One camera that keeps us out of its folder must not hold up the others.
            if let Err(error) = self.look_at(&account) {
                trouble = Err(error);
            }
        }
        self.look_at_claims()?;
        scratch::clean(&self.inbox.folders.tmp)?;
        trouble
    }

    /// All names of one account. One of them that is not for us must not hold up the others.
    fn look_at(&mut self, account: &Arc<Account>) -> Result<(), Error> {
        let mut trouble = Ok(());
        for file in self.scan.names(account)? {
            trouble = trouble.and(self.look_at_file(account, &file));
        }
        trouble
    }

    fn look_at_file(&mut self, account: &Arc<Account>, file: &OsStr) -> Result<(), Error> {
        let has = |name: String| account.folder.look(name).map(|meta| meta.is_some());
        match FileName::of(file) {
            FileName::Recording(name) => self.settle(account, &name),
            FileName::Part(name) if !has(name.recording())? => self.settle(account, &name),
            FileName::Lock(name) if !has(name.recording())? && !has(name.part())? => {
                self.settle(account, &name)
            }
            FileName::Ledger(name) => self.take_ledger(account, &name),
            FileName::Nameless => self.put_aside(account, file, NAMELESS),
            FileName::Part(_) | FileName::Lock(_) | FileName::Other => Ok(()),
        }
    }

    fn take_ledger(&self, account: &Account, name: &Name) -> Result<(), Error> {
        match ledger::take(&self.inbox.folders.archive, account, name)? {
            Taken::Done => tracing::info!(%name, account = account.name, "ledger accepted"),
            Taken::Refused(reason) => self.put_aside(account, name.ledger().as_ref(), &reason)?,
            Taken::Left => {}
        }
        Ok(())
    }

    fn put_aside(&self, account: &Account, file: &OsStr, reason: &str) -> Result<(), Error> {
        // A folder cannot be renamed by who does not own it.
        if account.folder.look(file)?.is_some_and(|meta| meta.kind != Kind::Folder)
            && self.inbox.quarantine().put(&account.folder, file, &account.name, reason)?
        {
            tracing::error!(account = account.name, ?file, reason, "put aside");
        }
        Ok(())
    }

    /// Does what is to be done about one NAME.
    fn settle(&mut self, account: &Arc<Account>, name: &Name) -> Result<(), Error> {
        let now = supervise::wall_now();
        let patience = self.inbox.config.inbox.patience();
        let seen_lock = self.see_lock(account, name, now)?;
        let see = |file: String| -> Result<Option<Seen>, Error> {
            let meta = account.folder.look(&file)?.filter(|meta| meta.kind != Kind::Folder);
            let Some(meta) = meta else { return Ok(None) };
            let quiet = now.saturating_sub(meta.changed);
            // Asking for a lease is an open of the file; nobody needs the answer before.
            let writer = match quiet >= patience.abandoned.min(patience.lost) {
                true => readable(account, &file)?.map_or(Writer::Unknown, |file| lease::writer(&file)),
                false => Writer::Unknown,
            };
            Ok(Some(Seen { writer, quiet }))
        };
        let sight =
            Sight { lock: seen_lock.lock, recording: see(name.recording())?, part: see(name.part())? };
        match judge(&sight, patience) {
            Verdict::Wait => {}
            Verdict::Claim(found) => {
                let lock = seen_lock.id;
                self.inbox.queue.offer(Job {
                    account: Some(Arc::clone(account)),
                    name: name.clone(),
                    found,
                    lock,
                });
            }
            Verdict::RemoveLock => remove_lock(account, name, &seen_lock, self.inbox)?,
        }
        Ok(())
    }

    fn see_lock(&mut self, account: &Account, name: &Name, now: Duration) -> Result<SeenLock, Error> {
        let absent = SeenLock { lock: Lock::None, file: None, id: None };
        let Some(Meta { changed, id, .. }) = account.folder.look(name.lock())? else { return Ok(absent) };
        let quiet = now.saturating_sub(changed);
        let script = SeenLock { lock: Lock::Script { quiet }, file: None, id: Some(id) };
        let Some(file) = readable(account, &name.lock())? else { return Ok(script) };
        let mut content = Vec::new();
        let read = (&file).take(MOST_TOKEN_BYTES as u64 + 1).read_to_end(&mut content);
        read.map_err(|source| Error::new("read", &account.folder.path().join(name.lock()), source))?;
        Ok(match LockToken::parse(&content) {
            Ok(LockToken::Chop { .. }) => {
                let held = !try_hold(&file)?;
                SeenLock { lock: Lock::Worker { held }, file: Some(file), id: Some(id) }
            }
            Ok(LockToken::Upload { camera, boot, .. }) => {
                let newer_boot = self.heard.newer(camera, &boot, changed);
                SeenLock { lock: Lock::Edge { newer_boot, quiet }, ..script }
            }
            Err(_) => script,
        })
    }

    /// Offers the claims whose owner is dead, and removes tries without a claim.
    fn look_at_claims(&self) -> Result<(), Error> {
        let claims = &self.inbox.folders.claim;
        for file in claims.names()?.take(MOST_CLAIMS) {
            let file = file?;
            match FileName::of(&file) {
                FileName::Recording(name) => self.offer_claim(&file, name, false)?,
                FileName::Part(name) => self.offer_claim(&file, name, true)?,
                _ => {
                    let name = file.to_str().and_then(|file| file.split_once(".tries"));
                    if let Some(name) = name.and_then(|(name, _)| Name::new(name))
                        && claims.look(name.recording())?.is_none()
                        && claims.look(name.part())?.is_none()
                        // Else a worker may be about to take it.
                        && !self.inbox.queue.knows(&name)
                    {
                        claims.remove(&file)?;
                    }
                }
            }
        }
        Ok(())
    }

    fn offer_claim(&self, file: &OsStr, name: Name, part: bool) -> Result<(), Error> {
        let claims = &self.inbox.folders.claim;
        let Some(claim) = claims.open_file(file)? else {
            // Put into the place of a recording at the instant when that was taken.
            if claims.look(file)?.is_some_and(|meta| meta.kind != Kind::File) {
                self.inbox.quarantine().put(claims, file, NOBODY, "it is not a file")?;
            }
            return Ok(());
        };
        if !try_hold(&claim)? {
            return Ok(());
        }
        drop(claim);
        let tries = Record::load(claims, &name)?.tries;
        let counted = claims.look(tries::file(&name))?.map_or(Duration::ZERO, |meta| meta.changed);
        if supervise::wall_now().saturating_sub(counted) >= tries.rest() {
            self.inbox.queue.offer(Job { account: None, name, found: Found::Orphan { part }, lock: None });
        }
        Ok(())
    }
}

/// Opens a file of a camera; `None` if there is none, or if its owner keeps us out.
fn readable(account: &Account, file: &str) -> Result<Option<File>, Error> {
    match account.folder.open_file(file) {
        Err(error) if error.is_denied() => Ok(None),
        opened => opened,
    }
}

/// Removes the lock that was seen, and no other one that was put in its place.
fn remove_lock(account: &Account, name: &Name, seen: &SeenLock, inbox: &Inbox) -> Result<(), Error> {
    let id = match &seen.file {
        // While its flock is held, no other janitor can remove it.
        Some(file) => {
            Some(folder::id(file).map_err(|source| Error::new("look at", account.folder.path(), source))?)
        }
        None => seen.id,
    };
    if account.folder.look(name.lock())?.map(|meta| meta.id) == id {
        account.folder.remove(name.lock())?;
        inbox.status.metrics.locks_removed.inc();
        tracing::info!(account = account.name, %name, "lock removed: its owner is gone");
    }
    Ok(())
}

/// Which boot of each camera was heard last.
#[derive(Default)]
struct Heard(HashMap<CameraId, (Duration, String)>);

impl Heard {
    /// Hears a boot from a lock that changed at `at`; whether the camera has been heard with another boot since then.
    fn newer(&mut self, camera: CameraId, boot: &str, at: Duration) -> bool {
        match self.0.get_mut(&camera) {
            Some((last, known)) if known == boot => *last = at.max(*last),
            Some((last, _)) if *last > at => return true,
            Some(entry) => *entry = (at, boot.to_owned()),
            None => {
                if self.0.len() >= MOST_CAMERAS {
                    self.0.clear();
                }
                self.0.insert(camera, (at, boot.to_owned()));
            }
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_boot_is_old_once_another_one_was_heard_later() {
        let mut heard = Heard::default();
        let (front, back) = (CameraId::new(b"key", "front"), CameraId::new(b"key", "back"));
        let at = Duration::from_secs;
        assert!(!heard.newer(front, "first", at(10)));
        assert!(!heard.newer(front, "second", at(20)));
        assert!(heard.newer(front, "first", at(10)));
        assert!(!heard.newer(front, "second", at(15)), "an older lock of the same boot");
        assert!(heard.newer(front, "first", at(10)));
        assert!(!heard.newer(back, "first", at(10)), "another camera");
        assert!(!heard.newer(front, "third", at(30)));
        assert!(heard.newer(front, "second", at(20)));
    }

    #[test]
    fn no_number_of_cameras_fills_the_memory() {
        let mut heard = Heard::default();
        for n in 0..3 * MOST_CAMERAS {
            heard.newer(CameraId::new(b"key", &n.to_string()), "boot", Duration::ZERO);
        }
        assert!(heard.0.len() <= MOST_CAMERAS);
    }
}

//! The janitor: looks at every NAME in every inbox and at every claim, judges, and does what needs no worker.

use super::claim::{is_claimed, try_hold};
use super::ledger::{self, Taken};
use super::name::{FileName, Name};
use super::quarantine::NOBODY;
use super::queue::Job;
use super::scan::{Account, Scan};
use super::tries::{self, Record};
use super::{Inbox, WORKERS, lease, scratch};
use crate::folder::{self, Error, Kind, Meta};
use crate::supervise::{self, Stop, beat};
use media::handshake::claim::{Found, Seen, Verdict, Writer, judge};
use media::handshake::watch::{Looked, Mark, Owner, Watch};
use media::names::{LockToken, MOST_TOKEN_BYTES};
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
/// Tries without a claim are removed after this time: a worker writes them just before it takes the claim.
const FORSAKEN: Duration = Duration::from_secs(3);
/// What its fault is shown as.
const FAULT: &str = "janitor";
/// How often a disk that works is asked whether it does.
const PROBE: Duration = Duration::from_secs(10);
/// Claims that one look takes.
const MOST_CLAIMS: usize = 4096;

/// Looks again and again until the stop is asked for.
pub fn run(inbox: &Inbox, stop: &Stop) {
    let mut janitor = Janitor::new(inbox);
    let mut trouble = None;
    while !stop.asked() {
        let now = janitor.look(stop).err().map(|error| error.to_string());
        if now != trouble {
            match &now {
                None => tracing::info!("the inboxes can be looked after again"),
                Some(now) => tracing::error!(trouble = now, "cannot look after the inboxes"),
            }
            inbox.status.set_fault(FAULT, now.clone());
            trouble = now;
        }
        inbox.queue.wait_for_room(PAUSE);
    }
}

struct Janitor<'a> {
    inbox: &'a Inbox,
    scan: Scan,
    /// What it remembers of each account's inbox.
    watches: HashMap<String, Watch<Id>>,
    /// What it remembers of the claims.
    claims: Watch<Id>,
    /// When to find out again whether the disk works.
    next_probe: Duration,
    /// This look has found something for a worker.
    offered: bool,
}

/// Device and inode.
type Id = (u64, u64);

/// The lock beside a recording.
struct SeenLock {
    mark: Mark<Id>,
    owner: Owner,
    /// Open, and its flock held if it is a dead worker's.
    file: Option<File>,
}

impl<'a> Janitor<'a> {
    fn new(inbox: &'a Inbox) -> Self {
        Self {
            inbox,
            scan: Scan::default(),
            watches: HashMap::new(),
            claims: Watch::default(),
            next_probe: Duration::ZERO,
            offered: false,
        }
    }

    fn look(&mut self, stop: &Stop) -> Result<(), Error> {
        let mut trouble = self.probe();
        self.offered = false;
        let accounts = self.scan.accounts(&self.inbox.folders.inbox)?;
        self.watches.retain(|name, _| accounts.iter().any(|account| account.name == *name));
        for account in accounts {
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
        if !self.offered {
            // What held the last recording up may be over: there is none whose worker could say so.
            self.inbox.status.set_fault(WORKERS, None);
        }
        trouble
    }

    /// Notices a disk that fails before the first recording needs it.
    fn probe(&mut self) -> Result<(), Error> {
        let now = supervise::monotonic();
        if now >= self.next_probe {
            self.inbox.folders.claim.writable()?;
            self.next_probe = now + PROBE;
        }
        Ok(())
    }

    fn offer(&mut self, job: Job) {
        self.offered = true;
        self.inbox.queue.offer(job);
    }

    /// All names of one account. One of them that is not for us must not hold up the others.
    fn look_at(&mut self, account: &Arc<Account>) -> Result<(), Error> {
        let mut trouble = Ok(());
        let (files, ends) = self.scan.names(account)?;
        for file in files {
            beat();
            trouble = trouble.and(self.look_at_file(account, &file));
        }
        if ends {
            self.watch(account).end_pass();
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

    fn watch(&mut self, account: &Account) -> &mut Watch<Id> {
        self.watches.entry(account.name.clone()).or_default()
    }

    /// Does what is to be done about one NAME.
    fn settle(&mut self, account: &Arc<Account>, name: &Name) -> Result<(), Error> {
        let patience = self.inbox.config.inbox.patience();
        let lock = see_lock(account, name)?;
        let look = |file: String| -> Result<Option<Mark<Id>>, Error> {
            let meta = account.folder.look(&file)?.filter(|meta| meta.kind != Kind::Folder);
            Ok(meta.map(mark))
        };
        let looked = Looked {
            lock: lock.as_ref().map(|lock| (lock.mark, lock.owner.clone())),
            recording: look(name.recording())?,
            part: look(name.part())?,
        };
        let mut sight = self.watch(account).look(name.as_str(), &looked, supervise::monotonic());
        for (seen, file) in [(&mut sight.recording, name.recording()), (&mut sight.part, name.part())] {
            if let Some(Seen { writer, quiet }) = seen
                // Asking for a lease is an open of the file; nobody needs the answer before.
                && *quiet >= patience.abandoned.min(patience.lost)
            {
                *writer = readable(account, &file)?.map_or(Writer::Unknown, |file| lease::writer(&file));
            }
        }
        match judge(&sight, patience) {
            Verdict::Wait => {}
            Verdict::Claim(found) => {
                let (account, lock) = (Some(Arc::clone(account)), lock.map(|lock| lock.mark.id));
                self.offer(Job { account, name: name.clone(), found, lock });
            }
            Verdict::RemoveLock => {
                lock.map_or(Ok(()), |lock| remove_lock(account, name, &lock, self.inbox))?;
            }
        }
        Ok(())
    }

    /// Offers the claims whose owner is dead, and removes tries without a claim.
    fn look_at_claims(&mut self) -> Result<(), Error> {
        let inbox = self.inbox;
        let claims = &inbox.folders.claim;
        for file in claims.names()?.take(MOST_CLAIMS) {
            beat();
            let file = file?;
            match FileName::of(&file) {
                FileName::Recording(name) => self.offer_claim(&file, name, false)?,
                FileName::Part(name) => self.offer_claim(&file, name, true)?,
                _ => self.remove_forsaken(&file)?,
            }
        }
        self.claims.end_pass();
        Ok(())
    }

    /// Removes tries that have had no claim for as long as this janitor has seen them as they are.
    fn remove_forsaken(&mut self, file: &OsStr) -> Result<(), Error> {
        let claims = &self.inbox.folders.claim;
        let Some((tries, (name, _))) =
            file.to_str().and_then(|file| Some((file, file.split_once(".tries")?)))
        else {
            return Ok(());
        };
        let Some(name) = Name::new(name) else { return Ok(()) };
        // Else a worker may be about to take it, here or in another service.
        if is_claimed(claims, &name)? || self.inbox.queue.knows(&name) {
            return Ok(());
        }
        let looked = Looked { lock: None, recording: None, part: claims.look(file)?.map(mark) };
        let alone = self.claims.look(tries, &looked, supervise::monotonic()).part;
        if alone.is_some_and(|alone| alone.quiet >= FORSAKEN) {
            claims.remove(file)?;
        }
        Ok(())
    }

    fn offer_claim(&mut self, file: &OsStr, name: Name, part: bool) -> Result<(), Error> {
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
        let counted = claims.look(tries::file(&name))?.map(mark);
        let looked = Looked { lock: None, recording: counted, part: None };
        let rested = self.claims.look(name.as_str(), &looked, supervise::monotonic()).recording;
        if rested.is_none_or(|rested| rested.quiet >= tries.rest()) {
            self.offer(Job { account: None, name, found: Found::Orphan { part }, lock: None });
        }
        Ok(())
    }
}

fn mark(meta: Meta) -> Mark<Id> {
    Mark { id: meta.id, size: meta.size, changed: meta.changed }
}

fn see_lock(account: &Account, name: &Name) -> Result<Option<SeenLock>, Error> {
    let Some(meta) = account.folder.look(name.lock())? else { return Ok(None) };
    let mark = mark(meta);
    let Some(file) = readable(account, &name.lock())? else {
        return Ok(Some(SeenLock { mark, owner: Owner::Script, file: None }));
    };
    let mut content = Vec::new();
    let read = (&file).take(MOST_TOKEN_BYTES as u64 + 1).read_to_end(&mut content);
    read.map_err(|source| Error::new("read", &account.folder.path().join(name.lock()), source))?;
    let (owner, file) = match LockToken::parse(&content) {
        Ok(LockToken::Chop { .. }) => (Owner::Worker { held: !try_hold(&file)? }, Some(file)),
        Ok(LockToken::Upload { camera, boot, .. }) => (Owner::Edge { camera, boot }, None),
        Err(_) => (Owner::Script, None),
    };
    Ok(Some(SeenLock { mark, owner, file }))
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
            folder::id(file).map_err(|source| Error::new("look at", account.folder.path(), source))?
        }
        None => seen.mark.id,
    };
    if account.folder.look(name.lock())?.is_some_and(|meta| meta.id == id) {
        account.folder.remove(name.lock())?;
        inbox.status.metrics.locks_removed.inc();
        tracing::info!(account = account.name, %name, "lock removed: its owner is gone");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chop::Chop;
    use crate::config::Config;
    use crate::status::Status;
    use media::Ticks90k;

    #[test]
    fn tries_without_a_claim_go_once_they_were_seen_for_long_enough_whatever_the_wall_clock_says() {
        let dir = tempfile::tempdir().expect("dir");
        let config = Config { dir: dir.path().to_owned(), ..Config::default() };
        let work = Box::new(Chop { segment: Ticks90k::SECOND });
        let inbox = Inbox::open(config, Arc::new(Status::default()), work).expect("opens");
        let tries = |name: &str| dir.path().join("claim").join(name);
        for name in ["a.tries", "b.tries", "b.tries.tmp", "c.tries", "c.mp4", "notes"] {
            std::fs::write(tries(name), "camera 1 0\n").expect("writes");
        }
        // By its stamp it is old enough, as it would be if the clock was set ahead.
        std::thread::sleep(FORSAKEN);
        let mut janitor = Janitor::new(&inbox);
        let stop = Stop::default();
        janitor.look(&stop).expect("looks");
        assert!(tries("a.tries").exists(), "seen for the first time");
        std::thread::sleep(FORSAKEN / 2);
        std::fs::write(tries("a.tries"), "camera 2 0\n").expect("writes");
        janitor.look(&stop).expect("looks");
        std::thread::sleep(FORSAKEN / 2);
        janitor.look(&stop).expect("looks");
        let left = ["a.tries", "b.tries", "b.tries.tmp", "c.tries", "notes"].map(|name| tries(name).exists());
        assert_eq!(left, [true, false, false, true, true], "another one is waited for anew");
        std::thread::sleep(FORSAKEN / 2);
        janitor.look(&stop).expect("looks");
        assert!(!tries("a.tries").exists());
    }
}

//! A worker: takes one recording after the other from the inbox to the archive, by the steps of
//! [`media::handshake::claim`]. docs/design/inbox.md states them down to every fsync.
//!
//! ```text
//! tmp/WORKER/.lock --link--> inbox/ACCOUNT/inbox/NAME.lockfile      W1, flock held until W6
//! inbox/.../NAME.mp4 --rename--> claim/NAME.mp4                    W3 take, flock held
//! tmp/WORKER/.copy --rename--> claim/NAME.mp4                       W3 accept, the copy's flock held instead
//! tmp/WORKER/.copy --rename--> claim/NAME.part --rename--> claim/NAME.mp4      the same of a part that is whole
//! tmp/WORKER/.copy --rename--> archive/NAME.ledger                 W5 of a part that is a file of the ledger
//! tmp/WORKER/NAME/ --rename--> hls/NAME/                           W4
//! claim/NAME.mp4 --rename--> archive/NAME.mp4                      W5
//! ```

use super::name::Name;
use super::queue::Job;
use super::scratch::Scratch;
use super::tries::Record;
use super::whole::{self, Problem};
use super::{Failure, Inbox, Input, lease, ledger, partial};
use crate::folder::{self, Error, Folder, Kind, Moved};
use crate::supervise::{self, Stop};
use media::handshake::claim::{Claim, Found, Outcome, Reply, Step, Tries, Writer};
use nix::fcntl::RenameFlags;
use std::fs::{File, Permissions};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::Arc;

/// Copied between two looks at the wish to end.
const PIECE: u64 = 16 << 20;
/// Our lock, until it is linked. No NAME begins with a dot, so the output never meets these two.
const LOCK: &str = ".lock";
/// Our copy, until it is accepted.
const COPY: &str = ".copy";

/// What this worker holds of the recording in hand. Dropping a file lets its flock go.
pub struct Hand<'a> {
    inbox: &'a Inbox,
    scratch: &'a Scratch<'a>,
    stop: &'a Stop,
    job: &'a Job,
    /// Its NAME: `NAME-partial` once half a part was mended.
    name: Name,
    account: String,
    tries: Tries,
    /// Our `NAME.lockfile`.
    lock: Option<File>,
    /// `claim/NAME.mp4` or `claim/NAME.part`.
    claim: Option<File>,
    /// Which of the two.
    claimed_as: String,
    /// `tmp/WORKER/.copy`.
    copy: Option<File>,
}

impl<'a> Hand<'a> {
    /// Takes a job in hand. Touches no file of it yet.
    ///
    /// # Errors
    /// What is kept of its claim cannot be read.
    pub fn new(
        inbox: &'a Inbox,
        scratch: &'a Scratch<'a>,
        stop: &'a Stop,
        job: &'a Job,
    ) -> Result<Self, Error> {
        let Record { account: kept, tries } = Record::load(&inbox.folders.claim, &job.name)?;
        let account = job.account.as_ref().map_or(kept, |account| account.name.clone());
        // What stands beside the claim of a namesake does not count for one that is still in an inbox.
        let tries = if job.account.is_some() { Tries::default() } else { tries };
        let claimed_as = match job.found {
            Found::Part | Found::Orphan { part: true } => job.name.part(),
            _ => job.name.recording(),
        };
        let name = job.name.clone();
        let (lock, claim, copy) = (None, None, None);
        Ok(Self { inbox, scratch, stop, job, name, account, tries, lock, claim, claimed_as, copy })
    }

    /// Goes all the way, or as far as it comes.
    pub fn run(&mut self) -> (Outcome, Option<Error>) {
        let mut claim = Claim::new(self.job.found, self.tries);
        let mut trouble = None;
        loop {
            let step = claim.step();
            if let Step::End(outcome) = step {
                return (outcome, trouble);
            }
            tracing::debug!(name = %self.name, ?step);
            match self.perform(&step) {
                Ok(reply) => {
                    if let Err(unexpected) = claim.reply(reply) {
                        tracing::error!(name = %self.name, %unexpected, "defect");
                        return (Outcome::Hindered, trouble);
                    }
                }
                Err(Failure::File(reason)) => {
                    // Every step that reads the recording can have this reply.
                    if claim.reply(Reply::Broken(reason)).is_err() {
                        claim.hindered();
                    }
                }
                Err(Failure::Host(error)) => {
                    trouble = Some(error);
                    claim.hindered();
                }
                Err(Failure::Stopped) => claim.hindered(),
            }
        }
    }

    fn perform(&mut self, step: &Step) -> Result<Reply, Failure> {
        let ends = matches!(step, Step::Count(_) | Step::Unlock | Step::End(_));
        if self.stop.asked() && !ends {
            return Err(Failure::Stopped);
        }
        match step {
            Step::Lock => self.lock(),
            Step::Check => self.check(),
            Step::SyncInbox => self.sync_inbox(),
            Step::Take => self.take(),
            Step::Adopt => self.adopt(),
            Step::Copy => self.copy(),
            Step::Verify { sealed } => self.verify(*sealed),
            Step::Mend => self.mend(),
            Step::Accept => self.accept(),
            Step::Look => self.look(),
            Step::Count(tries) => self.count(*tries),
            Step::Work => self.work(),
            Step::Archive => self.archive(),
            Step::KeepLedger => self.keep_ledger(),
            Step::Drop => self.drop_claim(),
            Step::Quarantine { claimed, reason } => self.quarantine(*claimed, reason),
            Step::Unlock => self.unlock(),
            Step::End(_) => Ok(Reply::Done),
        }
    }

    /// W1. The flock is held before the lockfile can be seen.
    fn lock(&mut self) -> Result<Reply, Failure> {
        let tmp = &self.scratch.folder;
        tmp.remove(LOCK)?;
        let mut lock = tmp.create(LOCK, 0o644)?;
        let token = self.inbox.token.to_string();
        let written = lock.set_permissions(Permissions::from_mode(0o644));
        written.and_then(|()| lock.write_all(token.as_bytes())).map_err(self.failed("write the lock of"))?;
        lock.try_lock().map_err(|error| self.failed("flock the lock of")(error.into()))?;
        let moved = tmp.link(LOCK, &self.account_folder()?.folder, &self.name.lock())?;
        tmp.remove(LOCK)?;
        match moved {
            Moved::Done => self.lock = Some(lock),
            Moved::Exists | Moved::Absent => return Ok(Reply::Exists),
        }
        Ok(Reply::Done)
    }

    /// W2.
    fn check(&self) -> Result<Reply, Failure> {
        let folder = &self.account_folder()?.folder;
        let file = self.name.recording();
        match folder.look(&file)?.map(|meta| meta.kind) {
            None => return Ok(Reply::Absent),
            Some(Kind::File) => {}
            Some(Kind::Folder) => return Ok(Reply::Broken("it is a folder, not a file".to_owned())),
            Some(Kind::Other(what)) => return Ok(Reply::Broken(format!("it is {what}, not a file"))),
        }
        let file = match folder.open_file(&file) {
            Ok(Some(file)) => file,
            Ok(None) => return Ok(Reply::Absent),
            Err(error) if error.is_denied() => return Ok(Reply::Broken(error.to_string())),
            Err(error) => return Err(error.into()),
        };
        match whole::check(&file) {
            Ok(()) => Ok(Reply::Whole),
            Err(Problem::Broken(_)) if lease::writer(&file) == Writer::Open => Ok(Reply::Writing),
            Err(problem) => Err(self.failure(problem)),
        }
    }

    /// W2, for what an uploader left that may never have synced.
    fn sync_inbox(&self) -> Result<Reply, Failure> {
        let folder = &self.account_folder()?.folder;
        let Some(file) = folder.open_file(self.name.recording())? else { return Ok(Reply::Absent) };
        file.sync_all().map_err(self.failed("sync"))?;
        folder.sync()?;
        Ok(Reply::Done)
    }

    /// W3. The rename decides which of several workers has it; the flock tells everybody else that it is worked on.
    fn take(&mut self) -> Result<Reply, Failure> {
        let from = &self.account_folder()?.folder;
        let claims = &self.inbox.folders.claim;
        let file = match from.open_file(&self.claimed_as) {
            Ok(Some(file)) => file,
            Ok(None) => return Ok(Reply::Absent),
            Err(error) if error.is_denied() => return Ok(Reply::Broken(error.to_string())),
            Err(error) => return Err(error.into()),
        };
        if !try_hold(&file)? || is_claimed(claims, &self.name)? {
            return Ok(Reply::Exists);
        }
        // Whoever goes on after us must know whose it is: the names of the output may say so.
        self.count(self.tries)?;
        match from.rename(&self.claimed_as, claims, &self.claimed_as, RenameFlags::RENAME_NOREPLACE)? {
            Moved::Done => claims.sync()?,
            Moved::Absent => return Ok(Reply::Absent),
            Moved::Exists => return Ok(Reply::Exists),
        }
        // Its uploader may have put another file into the place of the one that was opened.
        if self.is_named(&file)? {
            self.claim = Some(file)
        } else {
            return self.adopt();
        }
        Ok(Reply::Done)
    }

    /// W3, of a claim whose owner is dead.
    fn adopt(&mut self) -> Result<Reply, Failure> {
        let Some(file) = self.inbox.folders.claim.open_file(&self.claimed_as)? else {
            return Ok(Reply::Absent);
        };
        if !try_hold(&file)? || !self.is_named(&file)? {
            return Ok(Reply::Exists);
        }
        self.claim = Some(file);
        Ok(Reply::Done)
    }

    /// W3. Exactly the bytes that are there now, into a file that no camera has ever had open.
    fn copy(&mut self) -> Result<Reply, Failure> {
        let tmp = &self.scratch.folder;
        tmp.remove(COPY)?;
        let copy = tmp.create(COPY, 0o440)?;
        let mut claim = self.claim()?;
        let size = claim.metadata().map_err(self.failed("look at"))?.len();
        claim.rewind().map_err(self.failed("read"))?;
        for from in (0..size).step_by(PIECE as usize) {
            if self.stop.asked() {
                return Err(Failure::Stopped);
            }
            let mut piece = claim.take(PIECE.min(size - from));
            // The kernel copies, and shares the blocks where the file system can.
            io::copy(&mut piece, &mut &copy).map_err(self.failed("copy"))?;
        }
        if whole::restore(&copy).map_err(|problem| self.failure(problem))? {
            tracing::warn!(name = %self.name, "its seal was written over, by what its edge had sent long before; it is put in place");
        }
        copy.sync_all().map_err(self.failed("sync the copy of"))?;
        copy.try_lock().map_err(|error| self.failed("flock the copy of")(error.into()))?;
        self.copy = Some(copy);
        Ok(Reply::Done)
    }

    fn verify(&self, sealed: bool) -> Result<Reply, Failure> {
        let copy = self.own_copy()?;
        match whole::read_through(copy, sealed) {
            Ok(()) => Ok(Reply::Whole),
            Err(Problem::Broken(_)) if sealed && self.ledger(copy)?.is_some() => Ok(Reply::Ledger),
            Err(problem) => Err(self.failure(problem)),
        }
    }

    fn mend(&mut self) -> Result<Reply, Failure> {
        whole::mend(self.own_copy()?).map_err(|problem| self.failure(problem))?;
        self.name = self.name.partial();
        self.inbox.status.metrics.recordings_partial.inc();
        Ok(Reply::Done)
    }

    /// W3. What the camera may still have open loses its last name.
    fn accept(&mut self) -> Result<Reply, Failure> {
        let accepted = self.name.recording();
        let is_half = self.name != self.job.name;
        let moved = if is_half { self.add_claim(&accepted)? } else { self.replace_claim(&accepted)? };
        if moved != Moved::Done {
            return Ok(Reply::Exists);
        }
        self.claimed_as = accepted;
        self.claim = self.copy.take();
        Ok(Reply::Done)
    }

    /// A NAME has one claim at every instant, whoever dies: two would be taken over by two workers, one each.
    fn replace_claim(&self, accepted: &str) -> Result<Moved, Failure> {
        let claims = &self.inbox.folders.claim;
        let mut moved = self.scratch.folder.rename(COPY, claims, &self.claimed_as, RenameFlags::empty())?;
        if moved == Moved::Done && self.claimed_as != accepted {
            moved = claims.rename(&self.claimed_as, claims, accepted, RenameFlags::RENAME_NOREPLACE)?;
        }
        claims.sync()?;
        Ok(moved)
    }

    /// Half a recording has a NAME of its own.
    fn add_claim(&self, accepted: &str) -> Result<Moved, Failure> {
        let claims = &self.inbox.folders.claim;
        if is_claimed(claims, &self.name)? {
            return Ok(Moved::Exists);
        }
        self.count(self.tries)?;
        let moved = self.scratch.folder.rename(COPY, claims, accepted, RenameFlags::RENAME_NOREPLACE)?;
        if moved == Moved::Done {
            claims.sync()?;
            claims.remove(&self.claimed_as)?;
        }
        Ok(moved)
    }

    fn look(&self) -> Result<Reply, Failure> {
        let archive = &self.inbox.folders.archive;
        let compare = self.failed("compare the archive with");
        let same = if let Some(known) = archive.open_file(self.name.recording())? {
            whole::same(self.claim()?, &known).map_err(compare)?
        } else if let Some(known) = archive.read(self.name.digest(), whole::DIGEST_BYTES)? {
            known == whole::digest(self.claim()?).map_err(compare)?.as_bytes()
        } else {
            return Ok(Reply::Absent);
        };
        Ok(if same { Reply::Same } else { Reply::Exists })
    }

    fn count(&self, tries: Tries) -> Result<Reply, Failure> {
        Record { account: self.account.clone(), tries }.store(&self.inbox.folders.claim, &self.name)?;
        Ok(Reply::Done)
    }

    /// W4.
    fn work(&self) -> Result<Reply, Failure> {
        let folders = &self.inbox.folders;
        let path = folders.claim.path().join(self.name.recording());
        let input = Input { path: &path, name: self.name.as_str(), account: &self.account };
        let tmp = &self.scratch.folder;
        let made = self.inbox.work.make(&input, tmp.path(), folders.hls.path(), self.stop);
        if made.is_err() {
            tmp.remove_folder(self.name.as_str())?;
        }
        made.map(|()| Reply::Done)
    }

    /// W5. Where the recording is not kept, its place in the ledger is, and its digest: its name stays taken, and its like is known.
    fn archive(&self) -> Result<Reply, Failure> {
        let crate::folders::Folders { claim, archive, .. } = &self.inbox.folders;
        let file = self.name.recording();
        let size = self.claim()?.metadata().map_err(self.failed("look at"))?.len();
        if partial::let_go(&self.inbox.folders, &self.name, self.claim()?, supervise::wall_now())? {
            tracing::info!(name = %self.name, "all of it has come: its half leaves");
        }
        if !self.inbox.config.chop.keep_mp4 {
            if let Some(ledger) = ledger::carried(self.claim()?) {
                archive.replace(&self.name.ledger(), &ledger)?;
            }
            let digest = whole::digest(self.claim()?).map_err(self.failed("read"))?;
            archive.replace(&self.name.digest(), digest.as_bytes())?;
            self.inbox.status.metrics.accepted_bytes.inc_by(size);
            return self.drop_claim();
        }
        match claim.rename(&file, archive, &file, RenameFlags::RENAME_NOREPLACE)? {
            Moved::Done => {}
            Moved::Absent | Moved::Exists => {
                return Err(Error::new("archive", &claim.path().join(file), nix::errno::Errno::EEXIST).into());
            }
        }
        archive.sync()?;
        claim.sync()?;
        Record::remove(claim, &self.name)?;
        self.inbox.status.metrics.accepted_bytes.inc_by(size);
        Ok(Reply::Done)
    }

    /// W5. A rename, and not a file that is written: the janitor of any service may be taking the same one in.
    fn keep_ledger(&self) -> Result<Reply, Failure> {
        let (archive, file) = (&self.inbox.folders.archive, self.name.ledger());
        let new = self.ledger(self.own_copy()?)?.ok_or_else(|| defect("it is no ledger"))?;
        let known = ledger::known(archive, &self.name)?;
        match ledger::adds(known.as_deref(), &new) {
            Some(true) => {}
            Some(false) => return Ok(Reply::Done),
            None => return Ok(Reply::Broken(ledger::ANOTHER.to_owned())),
        }
        let flags = if known.is_none() { RenameFlags::RENAME_NOREPLACE } else { RenameFlags::empty() };
        if self.scratch.folder.rename(COPY, archive, &file, flags)? != Moved::Done {
            return Err(Error::new("archive", file.as_ref(), nix::errno::Errno::EEXIST).into());
        }
        archive.sync()?;
        Ok(Reply::Done)
    }

    fn ledger(&self, copy: &File) -> Result<Option<Vec<u8>>, Failure> {
        ledger::held_in(copy).map_err(self.failed("read"))
    }

    fn drop_claim(&self) -> Result<Reply, Failure> {
        let claims = &self.inbox.folders.claim;
        claims.remove(&self.claimed_as)?;
        claims.sync()?;
        Record::remove(claims, &self.name)?;
        Ok(Reply::Done)
    }

    fn quarantine(&self, claimed: bool, reason: &str) -> Result<Reply, Failure> {
        let claims = &self.inbox.folders.claim;
        let from = if claimed { claims } else { &self.account_folder()?.folder };
        if !self.inbox.quarantine().put(from, self.claimed_as.as_ref(), &self.account, reason)? {
            return Ok(Reply::Absent);
        }
        if claimed {
            claims.sync()?;
            Record::remove(claims, &self.name)?;
        }
        Ok(Reply::Done)
    }

    /// W6. Only the very file that we linked, or that was found abandoned: a script may have made a new one meanwhile.
    fn unlock(&mut self) -> Result<Reply, Failure> {
        let folder = &self.account_folder()?.folder;
        let own =
            self.lock.as_ref().map(folder::id).transpose().map_err(self.failed("look at the lock of"))?;
        let Some(id) = own.or(self.job.lock) else { return Ok(Reply::Done) };
        if folder.look(self.name_in_inbox().lock())?.is_some_and(|meta| meta.id == id) {
            folder.remove(self.name_in_inbox().lock())?;
        }
        self.lock = None;
        Ok(Reply::Done)
    }

    /// The lock has the NAME that the recording came with.
    fn name_in_inbox(&self) -> &Name {
        &self.job.name
    }

    fn account_folder(&self) -> Result<&Arc<super::scan::Account>, Failure> {
        self.job.account.as_ref().ok_or_else(|| defect("there is no account"))
    }

    fn claim(&self) -> Result<&File, Failure> {
        self.claim.as_ref().ok_or_else(|| defect("there is no claim"))
    }

    fn own_copy(&self) -> Result<&File, Failure> {
        self.copy.as_ref().ok_or_else(|| defect("there is no copy"))
    }

    /// Whether the claim of that name is this file.
    fn is_named(&self, file: &File) -> Result<bool, Failure> {
        let id = folder::id(file).map_err(self.failed("look at"))?;
        Ok(self.inbox.folders.claim.look(&self.claimed_as)?.is_some_and(|meta| meta.id == id))
    }

    /// An error of the system, with the NAME.
    fn failed(&self, doing: &'static str) -> impl Fn(io::Error) -> Failure + use<> {
        let path = PathBuf::from(self.name.as_str());
        move |source| Error::new(doing, &path, source).into()
    }

    fn failure(&self, problem: Problem) -> Failure {
        match problem {
            Problem::Broken(reason) => Failure::File(reason),
            Problem::Host(error) => Error::new("read", self.name.recording().as_ref(), error).into(),
        }
    }
}

/// Whether there is a claim of that NAME: the tries beside it are its own. Between the two looks `NAME.part` can become
/// `NAME.mp4`, and not the other way.
pub fn is_claimed(claims: &Folder, name: &Name) -> Result<bool, Error> {
    Ok(claims.look(name.part())?.is_some() || claims.look(name.recording())?.is_some())
}

/// Takes the flock of a file, unless somebody else has it.
pub fn try_hold(file: &File) -> Result<bool, Error> {
    match file.try_lock() {
        Ok(()) => Ok(true),
        Err(std::fs::TryLockError::WouldBlock) => Ok(false),
        Err(std::fs::TryLockError::Error(error)) => Err(Error::new("flock", "a file".as_ref(), error)),
    }
}

/// The machine asked for a step before what it rests on, which cannot be.
fn defect(what: &'static str) -> Failure {
    Error::new("go on", what.as_ref(), io::Error::from(io::ErrorKind::InvalidInput)).into()
}

//! A worker: carries out the steps of [`media::handshake::claim`] over a virtual disk.

use super::disk::Errno;
use super::host::{File, Host};
use super::judge::hex;
use super::ledgers::is_signed;
use super::pages::Pages;
use super::queue::Job;
use super::remote::Service;
use super::store::apply;
use media::handshake::claim::{Claim, Found, Outcome, Reply, Step, Tries, Writer};
use media::ledger::slice::adds;
use media::mp4::demux::{structure, verify};
use media::mp4::{Recovered, Restored, Seal, recover, spare};
use media::names::LockToken;
use std::rc::Rc;
use std::time::Duration;

/// Waits of a worker that is hindered: the first, and the longest.
const HINDERED: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(60)];

/// Works as long as the process lives.
pub async fn run(service: &Service, thread: u64) {
    let host = &service.remote.host;
    let worker = format!("tmp/{}-{thread}", service.pid);
    let mut wait = HINDERED[0];
    let alive = loop {
        match host.create(&format!("{worker}.alive")).await {
            Ok(alive) if alive.flock() => break alive,
            // Somebody who cleans up may have been faster.
            _ => host.world.tasks.sleep(wait).await,
        }
    };
    loop {
        let job = service.queue.next(&host.world.tasks).await;
        let mut hand = Hand::new(service, &worker, &job);
        let (outcome, hindered) = hand.run().await;
        host.world.tell(|| format!("{} as {:?}: {outcome:?}", job.name, job.found));
        drop(hand);
        service.queue.done(&job);
        if hindered {
            host.world.tasks.sleep(wait).await;
            wait = HINDERED[1].min(wait * 2);
        } else {
            wait = HINDERED[0];
        }
        debug_assert!(alive.inode().is_some());
    }
}

/// Reads how often the work on a claim was tried.
pub async fn load_tries(host: &Rc<Host>, name: &str) -> Result<Tries, Errno> {
    let text = host.read(&format!("claim/{name}.tries")).await?.unwrap_or_default();
    let text = String::from_utf8_lossy(&text).into_owned();
    let mut numbers = text.split_whitespace().map(|word| word.parse().unwrap_or(0));
    Ok(Tries { starts: numbers.next().unwrap_or(0), failures: numbers.next().unwrap_or(0) })
}

/// Whether there is a claim of that NAME.
pub async fn is_claimed(host: &Rc<Host>, name: &str) -> Result<bool, Errno> {
    let [part, recording] = ["part", "mp4"].map(|kind| format!("claim/{name}.{kind}"));
    Ok(host.look(&part).await?.is_some() || host.look(&recording).await?.is_some())
}

/// What this worker holds of the recording in hand. Dropping a file lets its flock go.
struct Hand<'a> {
    service: &'a Service,
    worker: &'a str,
    job: &'a Job,
    /// Its NAME: `NAME-partial` once half a part was mended.
    name: String,
    lock: Option<File>,
    claim: Option<File>,
    claimed_as: String,
    copy: Option<File>,
    /// The judge knows that it works on this.
    working: bool,
}

impl Drop for Hand<'_> {
    fn drop(&mut self) {
        self.rests();
    }
}

impl<'a> Hand<'a> {
    fn new(service: &'a Service, worker: &'a str, job: &'a Job) -> Self {
        let kind =
            if matches!(job.found, Found::Part | Found::Orphan { part: true }) { "part" } else { "mp4" };
        let (name, claimed_as) = (job.name.clone(), format!("{}.{kind}", job.name));
        let (lock, claim, copy) = (None, None, None);
        Self { service, worker, job, name, lock, claim, claimed_as, copy, working: false }
    }

    fn host(&self) -> &'a Rc<Host> {
        &self.service.remote.host
    }

    fn in_inbox(&self, kind: &str) -> String {
        format!("{}/{}.{kind}", self.job.inbox, self.job.name)
    }

    /// Goes all the way, or as far as it comes; whether the host hindered it.
    async fn run(&mut self) -> (Outcome, bool) {
        let is_orphan = matches!(self.job.found, Found::Orphan { .. });
        let tries = match load_tries(self.host(), &self.job.name).await {
            Ok(tries) if is_orphan => tries,
            Ok(_) => Tries::default(),
            Err(_) => return (Outcome::Hindered, true),
        };
        let mut claim = Claim::new(self.job.found, tries);
        let mut hindered = false;
        loop {
            let step = claim.step();
            if let Step::End(outcome) = step {
                return (outcome, hindered);
            }
            self.host().world.tell(|| format!("{} {step:?}", self.name));
            match self.perform(&step).await {
                Ok(reply) => {
                    if let Err(unexpected) = claim.reply(reply) {
                        self.host().world.fail(format!("{}: {unexpected}", self.name));
                        return (Outcome::Hindered, true);
                    }
                }
                Err(errno) => {
                    self.host().world.tell(|| format!("{} hindered: {errno:?}", self.name));
                    hindered = true;
                    claim.hindered();
                }
            }
        }
    }

    async fn perform(&mut self, step: &Step) -> Result<Reply, Errno> {
        match step {
            Step::Lock => self.take_lock().await,
            Step::Check => self.check().await,
            Step::SyncInbox => self.sync_inbox().await,
            Step::Take => self.take().await,
            Step::Adopt => self.adopt().await,
            Step::Copy => self.copy().await,
            Step::Verify { sealed } => Ok(self.verify(*sealed)),
            Step::Mend => self.mend().await,
            Step::Accept => self.accept().await,
            Step::Look => self.look().await,
            Step::Count(Tries { starts, failures }) => {
                let path = format!("claim/{}.tries", self.name);
                self.host().replace(&path, format!("{starts} {failures}\n").as_bytes()).await?;
                Ok(Reply::Done)
            }
            Step::Work => self.work().await,
            Step::Archive => self.archive().await,
            Step::KeepLedger => self.keep_ledger().await,
            Step::Drop => self.drop_claim().await,
            Step::Quarantine { claimed, reason } => self.quarantine(*claimed, reason).await,
            Step::Unlock => self.unlock().await,
            Step::End(_) => Ok(Reply::Done),
        }
    }

    /// W1. The flock is held before the lockfile can be seen.
    async fn take_lock(&mut self) -> Result<Reply, Errno> {
        let tmp = format!("{}.lock", self.worker);
        self.host().remove(&tmp).await?;
        let lock = self.host().create(&tmp).await?;
        let boot = self.host().boot_id();
        let token = LockToken::Chop { host: self.host().name.to_owned(), boot, pid: self.service.pid };
        lock.write(0, token.to_string().as_bytes()).await?;
        lock.flock();
        let linked = self.host().link(&tmp, &self.in_inbox("lockfile")).await;
        self.host().remove(&tmp).await?;
        match linked {
            Ok(()) => self.lock = Some(lock),
            Err(Errno::Exists | Errno::Absent) => return Ok(Reply::Exists),
            Err(errno) => return Err(errno),
        }
        Ok(Reply::Done)
    }

    async fn check(&self) -> Result<Reply, Errno> {
        let Some(file) = self.host().open(&self.in_inbox("mp4")).await? else { return Ok(Reply::Absent) };
        let bytes = file.bytes();
        Ok(match Restored::new(&bytes).and_then(|restored| structure(&restored)) {
            Ok(_) => Reply::Whole,
            Err(_) if file.writer() == Writer::Open => Reply::Writing,
            Err(error) => Reply::Broken(error.to_string()),
        })
    }

    async fn sync_inbox(&self) -> Result<Reply, Errno> {
        let Some(file) = self.host().open(&self.in_inbox("mp4")).await? else { return Ok(Reply::Absent) };
        file.sync().await?;
        self.host().sync_folder(&self.job.inbox).await?;
        Ok(Reply::Done)
    }

    /// W3. The rename decides which of several workers has it.
    async fn take(&mut self) -> Result<Reply, Errno> {
        let from = format!("{}/{}", self.job.inbox, self.claimed_as);
        let Some(file) = self.host().open(&from).await? else { return Ok(Reply::Absent) };
        if !file.flock() || is_claimed(self.host(), &self.name).await? {
            return Ok(Reply::Exists);
        }
        match self.host().rename(&from, &self.claim_path(), false).await {
            Ok(()) => self.host().sync_folder("claim").await?,
            Err(Errno::Absent) => return Ok(Reply::Absent),
            Err(Errno::Exists) => return Ok(Reply::Exists),
            Err(errno) => return Err(errno),
        }
        if !self.is_named(&file).await? {
            return self.adopt().await;
        }
        self.works_on(file);
        Ok(Reply::Done)
    }

    /// W3, of a claim whose owner is dead.
    async fn adopt(&mut self) -> Result<Reply, Errno> {
        let Some(file) = self.host().open(&self.claim_path()).await? else { return Ok(Reply::Absent) };
        if !file.flock() || !self.is_named(&file).await? {
            return Ok(Reply::Exists);
        }
        self.works_on(file);
        Ok(Reply::Done)
    }

    fn works_on(&mut self, claim: File) {
        self.claim = Some(claim);
        self.working = true;
        let world = &self.host().world;
        let crowd = world.judge.borrow_mut().works(&self.job.name);
        crowd.into_iter().for_each(|crowd| world.fail(crowd));
    }

    /// The claim has left its name, or the worker has let go of it: another file may be claimed under that name.
    fn rests(&mut self) {
        if std::mem::take(&mut self.working) {
            self.host().world.judge.borrow_mut().rests(&self.job.name);
        }
    }

    async fn copy(&mut self) -> Result<Reply, Errno> {
        let tmp = format!("{}.copy", self.worker);
        self.host().remove(&tmp).await?;
        let copy = self.host().create(&tmp).await?;
        // In two halves: the camera may write between them.
        let size = self.claim.as_ref().map_or(0, |claim| claim.bytes().len());
        for (from, to) in [(0, size / 2), (size / 2, size)] {
            let bytes = self.claim.as_ref().map(File::bytes).unwrap_or_default();
            copy_range(&bytes, &copy, from, to).await?;
        }
        copy.set_len(size).await?;
        if let Some(seal) = spare(&copy.bytes()).map_err(|_| Errno::Io)? {
            self.host().world.tell(|| format!("{} has its seal again", self.name));
            copy.write(seal.offset, &seal.bytes).await?;
            copy.set_len(seal.end()).await?;
        }
        copy.sync().await?;
        copy.flock();
        self.copy = Some(copy);
        Ok(Reply::Done)
    }

    fn verify(&self, sealed: bool) -> Reply {
        let copy = self.own_copy();
        match whole(&copy, sealed) {
            Reply::Broken(_) if sealed && is_signed(&copy.to_vec()) => Reply::Ledger,
            reply => reply,
        }
    }

    async fn mend(&mut self) -> Result<Reply, Errno> {
        let Some(copy) = &self.copy else { return Err(Errno::Io) };
        match recover(&copy.bytes()) {
            Ok(Recovered::Sealed(_)) => {}
            Ok(Recovered::Empty) => return Ok(Reply::Broken("not one GOP was finished".to_owned())),
            Ok(Recovered::Torn(torn)) => {
                copy.set_len(torn.growing.size()).await?;
                apply(copy, &torn.repair).await?;
                apply(copy, &torn.growing.seal(&torn.about)).await?;
            }
            Err(error) => return Ok(Reply::Broken(error.to_string())),
        }
        self.name.push_str("-partial");
        Ok(Reply::Done)
    }

    /// W3. What the camera may still have open loses its last name.
    async fn accept(&mut self) -> Result<Reply, Errno> {
        let accepted = format!("{}.mp4", self.name);
        let is_half = self.name != self.job.name;
        let moved = match is_half {
            true => self.add_claim(&accepted).await,
            false => self.replace_claim(&accepted).await,
        };
        match moved {
            Ok(()) => {}
            Err(Errno::Exists) => return Ok(Reply::Exists),
            Err(errno) => return Err(errno),
        }
        self.claimed_as = accepted;
        self.claim = self.copy.take();
        Ok(Reply::Done)
    }

    /// A NAME has one claim at every instant.
    async fn replace_claim(&self, accepted: &str) -> Result<(), Errno> {
        self.host().rename(&format!("{}.copy", self.worker), &self.claim_path(), true).await?;
        if self.claimed_as != accepted {
            self.host().rename(&self.claim_path(), &format!("claim/{accepted}"), false).await?;
        }
        self.host().sync_folder("claim").await
    }

    /// Half a recording has a NAME of its own.
    async fn add_claim(&self, accepted: &str) -> Result<(), Errno> {
        let new = format!("claim/{accepted}");
        self.host().rename(&format!("{}.copy", self.worker), &new, false).await?;
        self.host().sync_folder("claim").await?;
        self.host().remove(&self.claim_path()).await.map(drop)
    }

    async fn look(&self) -> Result<Reply, Errno> {
        let Some(known) = self.host().open(&format!("archive/{}.mp4", self.name)).await? else {
            return Ok(Reply::Absent);
        };
        let same = self.claim.as_ref().is_some_and(|claim| claim.bytes() == known.bytes());
        Ok(if same { Reply::Same } else { Reply::Exists })
    }

    /// W4.
    async fn work(&self) -> Result<Reply, Errno> {
        let Some(claim) = self.host().open(&self.claim_path()).await? else {
            return Ok(Reply::Broken("the claim is gone".to_owned()));
        };
        let made = match verify(&claim.bytes()) {
            Ok(seal) => hex(&seal.sha256),
            Err(error) => return Ok(Reply::Broken(error.to_string())),
        };
        let tmp = format!("{}.output", self.worker);
        let output = self.host().create_or_empty(&tmp).await?;
        output.write(0, made.as_bytes()).await?;
        output.sync().await?;
        self.host().rename(&tmp, &format!("hls/{}", self.name), true).await?;
        self.host().sync_folder("hls").await?;
        Ok(Reply::Done)
    }

    /// W5.
    async fn archive(&mut self) -> Result<Reply, Errno> {
        self.host().rename(&self.claim_path(), &format!("archive/{}.mp4", self.name), false).await?;
        self.rests();
        self.host().sync_folder("archive").await?;
        self.host().sync_folder("claim").await?;
        self.host().remove(&format!("claim/{}.tries", self.name)).await?;
        Ok(Reply::Done)
    }

    /// W5, of a part that is a file of the ledger.
    async fn keep_ledger(&self) -> Result<Reply, Errno> {
        let kept = format!("archive/{}.ledger", self.name);
        let known = self.host().read(&kept).await?;
        match adds(known.as_deref(), &self.own_copy().to_vec()) {
            Some(true) => {}
            Some(false) => return Ok(Reply::Done),
            None => return Ok(Reply::Broken("another ledger of this name is in the archive".to_owned())),
        }
        let copy = format!("{}.copy", self.worker);
        self.host().rename(&copy, &kept, known.is_some()).await?;
        self.host().sync_folder("archive").await?;
        Ok(Reply::Done)
    }

    async fn drop_claim(&mut self) -> Result<Reply, Errno> {
        self.host().remove(&self.claim_path()).await?;
        self.rests();
        self.host().sync_folder("claim").await?;
        self.host().remove(&format!("claim/{}.tries", self.name)).await?;
        Ok(Reply::Done)
    }

    async fn quarantine(&mut self, claimed: bool, reason: &str) -> Result<Reply, Errno> {
        let from = if claimed { self.claim_path() } else { self.in_inbox("mp4") };
        self.host().world.tell(|| format!("{from} is put aside: {reason}"));
        let new = format!("quarantine/{}-{}", self.host().world.tasks.id(), self.claimed_as);
        match self.host().rename(&from, &new, false).await {
            Ok(()) => {}
            Err(Errno::Absent) => return Ok(Reply::Absent),
            Err(errno) => return Err(errno),
        }
        self.rests();
        self.host().sync_folder("quarantine").await?;
        if claimed {
            self.host().sync_folder("claim").await?;
            self.host().remove(&format!("claim/{}.tries", self.name)).await?;
        }
        Ok(Reply::Done)
    }

    /// W6. Only the very file that we linked, or that was found abandoned.
    async fn unlock(&mut self) -> Result<Reply, Errno> {
        let lock = self.in_inbox("lockfile");
        let own = self.lock.as_ref().and_then(File::inode).or(self.job.lock);
        if own.is_some() && self.host().look(&lock).await?.map(|meta| meta.inode) == own {
            self.host().remove(&lock).await?;
        }
        self.lock = None;
        Ok(Reply::Done)
    }

    fn claim_path(&self) -> String {
        format!("claim/{}", self.claimed_as)
    }

    fn own_copy(&self) -> Pages {
        self.copy.as_ref().map(File::bytes).unwrap_or_default()
    }

    /// Whether the claim of that name is this file.
    async fn is_named(&self, file: &File) -> Result<bool, Errno> {
        Ok(self.host().look(&self.claim_path()).await?.map(|meta| meta.inode) == file.inode())
    }
}

/// The structure, and where there is a seal, or must be one, all that it promises.
fn whole(pages: &Pages, sealed: bool) -> Reply {
    let promised =
        |seal: Option<Seal>| if sealed || seal.is_some() { verify(pages).map(drop) } else { Ok(()) };
    let read = structure(pages).and_then(promised);
    read.map_or_else(|error| Reply::Broken(error.to_string()), |()| Reply::Whole)
}

/// Copies what is no hole.
async fn copy_range(from: &Pages, to: &File, start: u64, end: u64) -> Result<(), Errno> {
    for (at, end) in from.runs(start, end) {
        let mut bytes = vec![0; (end - at) as usize];
        let read = from.read(at, &mut bytes);
        to.write(at, &bytes[..read]).await?;
    }
    Ok(())
}

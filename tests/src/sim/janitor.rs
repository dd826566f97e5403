//! The janitor: shows [`media::handshake::watch`] and [`media::handshake::claim::judge`] what stands in the inbox, and does what
//! they say.

use super::disk::{Errno, Inode, Meta};
use super::host::{File, Host};
use super::ledgers::is_signed;
use super::queue::Job;
use super::remote::Service;
use super::worker::{is_claimed, load_tries};
use media::handshake::claim::{Found, Seen, Verdict, Writer, judge};
use media::handshake::watch::{Looked, Mark, Owner, Watch};
use media::ledger::slice::adds;
use media::names::LockToken;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

/// From one look to the next; longer while nothing changes, up to the second one.
const PAUSES: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(120)];

/// What it remembers.
#[derive(Default)]
struct Memory {
    inboxes: BTreeMap<String, Watch<Inode>>,
    claims: Watch<Inode>,
}

/// Looks again and again.
pub async fn run(service: &Service) {
    let host = &service.remote.host;
    let mut memory = Memory::default();
    let mut pause = PAUSES[0];
    loop {
        let before = host.disk.borrow().changes();
        if let Err(errno) = look(service, &mut memory).await {
            host.world.tell(|| format!("the janitor cannot look: {errno:?}"));
        }
        let changed = host.disk.borrow().changes() != before;
        pause = if changed { PAUSES[0] } else { PAUSES[1].min(pause * 2) };
        host.world.tasks.sleep(pause).await;
    }
}

async fn look(service: &Service, memory: &mut Memory) -> Result<(), Errno> {
    for inbox in &service.remote.inboxes {
        let watch = memory.inboxes.entry(inbox.clone()).or_default();
        let names = service.remote.host.names(inbox).await?;
        for name in names.iter().filter_map(|file| file.strip_suffix(".ledger")) {
            take_ledger(&service.remote.host, (inbox, name)).await?;
        }
        let mut seen: Vec<&str> = names.iter().filter_map(|file| Some(file.split_once('.')?.0)).collect();
        seen.dedup();
        for name in seen {
            settle(service, (inbox, name), watch).await?;
        }
        watch.end_pass();
    }
    look_at_claims(service, &mut memory.claims).await?;
    memory.claims.end_pass();
    clean(service).await
}

/// Takes a file of a ledger in, once its upload is over: what was verified is written anew.
async fn take_ledger(host: &Rc<Host>, (inbox, name): (&str, &str)) -> Result<(), Errno> {
    let (file, kept) = (format!("{inbox}/{name}.ledger"), format!("archive/{name}.ledger"));
    if host.look(&format!("{inbox}/{name}.lockfile")).await?.is_some() {
        return Ok(());
    }
    // Another process may be at it.
    let Some(held) = host.open(&file).await?.filter(File::flock) else { return Ok(()) };
    let bytes = held.bytes().to_vec();
    if !is_signed(&bytes) {
        host.world.fail(format!("ledger: {file} is none that an edge has signed"));
        return Ok(());
    }
    match adds(host.read(&kept).await?.as_deref(), &bytes) {
        Some(true) => host.replace(&kept, &bytes).await?,
        Some(false) => {}
        None => host.world.fail(format!("ledger: {kept} is another one")),
    }
    host.remove(&file).await?;
    host.sync_folder(inbox).await
}

/// The lock beside a recording.
struct SeenLock {
    mark: Mark<Inode>,
    owner: Owner,
    /// Open, and its flock held if it is a dead worker's.
    file: Option<File>,
}

async fn settle(
    service: &Service,
    (inbox, name): (&str, &str),
    watch: &mut Watch<Inode>,
) -> Result<(), Errno> {
    let host = &service.remote.host;
    let patience = service.remote.patience;
    let lock = see_lock(host, &format!("{inbox}/{name}.lockfile")).await?;
    let [recording, part] = ["mp4", "part"].map(|extension| format!("{inbox}/{name}.{extension}"));
    let looked = Looked {
        lock: lock.as_ref().map(|lock| (lock.mark, lock.owner.clone())),
        recording: host.look(&recording).await?.map(mark),
        part: host.look(&part).await?.map(mark),
    };
    let mut sight = watch.look(name, &looked, host.world.tasks.now());
    for (seen, file) in [(&mut sight.recording, recording), (&mut sight.part, part)] {
        if let Some(Seen { writer, quiet }) = seen
            && *quiet >= patience.abandoned.min(patience.lost)
        {
            *writer = host.open(&file).await?.map_or(Writer::Unknown, |file| file.writer());
        }
    }
    host.world.tell(|| format!("{name} {sight:?}"));
    match judge(&sight, patience) {
        Verdict::Wait => {}
        Verdict::Claim(found) => {
            let lock = lock.map(|lock| lock.mark.id);
            let (name, inbox) = (name.to_owned(), inbox.to_owned());
            service.queue.offer(&host.world.tasks, Job { name, inbox, found, lock });
        }
        Verdict::RemoveLock => {
            let path = format!("{inbox}/{name}.lockfile");
            let Some(SeenLock { mark, file, .. }) = lock else { return Ok(()) };
            // While its flock is held, no other janitor can remove it.
            let inode = file.as_ref().and_then(File::inode).unwrap_or(mark.id);
            if host.look(&path).await?.is_some_and(|meta| meta.inode == inode) {
                host.remove(&path).await?;
            }
        }
    }
    Ok(())
}

fn mark(meta: Meta) -> Mark<Inode> {
    Mark { id: meta.inode, size: meta.size, changed: meta.changed }
}

async fn see_lock(host: &Rc<Host>, path: &str) -> Result<Option<SeenLock>, Errno> {
    let Some(meta) = host.look(path).await? else { return Ok(None) };
    let mark = mark(meta);
    let Some(file) = host.open(path).await? else {
        return Ok(Some(SeenLock { mark, owner: Owner::Script, file: None }));
    };
    let (owner, file) = match LockToken::parse(&file.bytes().to_vec()) {
        Ok(LockToken::Chop { .. }) => (Owner::Worker { held: !file.flock() }, Some(file)),
        Ok(LockToken::Upload { camera, boot, .. }) => (Owner::Edge { camera, boot }, None),
        Err(_) => (Owner::Script, None),
    };
    Ok(Some(SeenLock { mark, owner, file }))
}

/// Offers the claims whose owner is dead, and removes tries without a claim.
async fn look_at_claims(service: &Service, watch: &mut Watch<Inode>) -> Result<(), Errno> {
    let host = &service.remote.host;
    for file in host.names("claim").await? {
        let Some((name, kind)) = file.split_once('.') else { continue };
        if kind.starts_with("tries") {
            if !is_claimed(host, name).await? {
                host.remove(&format!("claim/{file}")).await?;
            }
            continue;
        }
        let Some(claim) = host.open(&format!("claim/{file}")).await? else { continue };
        if !claim.flock() {
            continue;
        }
        drop(claim);
        let tries = load_tries(host, name).await?;
        let counted = host.look(&format!("claim/{name}.tries")).await?.map(mark);
        let looked = Looked { lock: None, recording: counted, part: None };
        let rested = watch.look(name, &looked, host.world.tasks.now()).recording;
        if rested.is_none_or(|rested| rested.quiet >= tries.rest()) {
            let found = Found::Orphan { part: kind == "part" };
            let (name, inbox) = (name.to_owned(), String::new());
            service.queue.offer(&host.world.tasks, Job { name, inbox, found, lock: None });
        }
    }
    Ok(())
}

/// Removes what dead workers left.
async fn clean(service: &Service) -> Result<(), Errno> {
    let host = &service.remote.host;
    for file in host.names("tmp").await? {
        let Some((worker, kind)) = file.split_once('.') else { continue };
        let alive = host.open(&format!("tmp/{worker}.alive")).await?;
        let is_dead = alive.as_ref().is_none_or(File::flock);
        let others = host
            .names("tmp")
            .await?
            .iter()
            .any(|other| *other != file && other.starts_with(&format!("{worker}.")));
        if is_dead && (kind != "alive" || !others) {
            host.remove(&format!("tmp/{file}")).await?;
        }
    }
    Ok(())
}

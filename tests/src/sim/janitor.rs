//! The janitor: shows [`media::handshake::claim::judge`] what stands in the inbox, and does what it says.

use super::disk::{Errno, Inode};
use super::host::File;
use super::queue::Job;
use super::remote::Service;
use super::worker::load_tries;
use media::handshake::claim::{Found, Lock, Seen, Sight, Verdict, Writer, judge};
use media::names::{CameraId, LockToken};
use std::collections::BTreeMap;
use std::time::Duration;

/// From one look to the next; longer while nothing changes, up to the second one.
const PAUSES: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(120)];

/// Looks again and again.
pub async fn run(service: &Service) {
    let host = &service.remote.host;
    let mut heard = BTreeMap::new();
    let mut pause = PAUSES[0];
    loop {
        let before = host.disk.borrow().changes();
        if let Err(errno) = look(service, &mut heard).await {
            host.world.tell(|| format!("the janitor cannot look: {errno:?}"));
        }
        let changed = host.disk.borrow().changes() != before;
        pause = if changed { PAUSES[0] } else { PAUSES[1].min(pause * 2) };
        host.world.tasks.sleep(pause).await;
    }
}

/// Which boot of each camera was heard last, and when.
type Heard = BTreeMap<CameraId, (Duration, String)>;

async fn look(service: &Service, heard: &mut Heard) -> Result<(), Errno> {
    let inbox = &service.remote.inbox;
    let names = service.remote.host.names(inbox).await?;
    let mut seen: Vec<&str> = names.iter().filter_map(|file| Some(file.split_once('.')?.0)).collect();
    seen.dedup();
    for name in seen {
        settle(service, name, heard).await?;
    }
    look_at_claims(service).await?;
    clean(service).await
}

/// The lock beside a recording.
struct SeenLock {
    lock: Lock,
    /// Open, and its flock held if it is a dead worker's.
    file: Option<File>,
    inode: Option<Inode>,
}

async fn settle(service: &Service, name: &str, heard: &mut Heard) -> Result<(), Errno> {
    let (host, inbox) = (&service.remote.host, &service.remote.inbox);
    let patience = service.remote.patience;
    let lock = see_lock(service, name, heard).await?;
    let mut seen = [None, None];
    for (seen, extension) in seen.iter_mut().zip(["mp4", "part"]) {
        let file = format!("{inbox}/{name}.{extension}");
        let Some(meta) = host.look(&file).await? else { continue };
        let quiet = host.wall().saturating_sub(meta.changed);
        let writer = match quiet >= patience.abandoned.min(patience.lost) {
            true => host.open(&file).await?.map_or(Writer::Unknown, |file| file.writer()),
            false => Writer::Unknown,
        };
        *seen = Some(Seen { writer, quiet });
    }
    let [recording, part] = seen;
    let sight = Sight { lock: lock.lock, recording, part };
    host.world.tell(|| format!("{name} {sight:?}"));
    match judge(&sight, patience) {
        Verdict::Wait => {}
        Verdict::Claim(found) => {
            let job = Job { name: name.to_owned(), found, lock: lock.inode };
            service.queue.offer(&host.world.tasks, job);
        }
        Verdict::RemoveLock => {
            let path = format!("{inbox}/{name}.lockfile");
            // While its flock is held, no other janitor can remove it.
            let inode = lock.file.as_ref().and_then(File::inode).or(lock.inode);
            if host.look(&path).await?.map(|meta| meta.inode) == inode {
                host.remove(&path).await?;
            }
        }
    }
    Ok(())
}

async fn see_lock(service: &Service, name: &str, heard: &mut Heard) -> Result<SeenLock, Errno> {
    let host = &service.remote.host;
    let path = format!("{}/{name}.lockfile", service.remote.inbox);
    let Some(meta) = host.look(&path).await? else {
        return Ok(SeenLock { lock: Lock::None, file: None, inode: None });
    };
    let quiet = host.wall().saturating_sub(meta.changed);
    let script = SeenLock { lock: Lock::Script { quiet }, file: None, inode: Some(meta.inode) };
    let Some(file) = host.open(&path).await? else { return Ok(script) };
    Ok(match LockToken::parse(&file.bytes().to_vec()) {
        Ok(LockToken::Chop { .. }) => {
            let held = !file.flock();
            SeenLock { lock: Lock::Worker { held }, file: Some(file), inode: Some(meta.inode) }
        }
        Ok(LockToken::Upload { camera, boot, .. }) => {
            let (last, known) = heard.entry(camera).or_insert((meta.changed, boot.clone()));
            let newer_boot = *known != boot && *last > meta.changed;
            if !newer_boot {
                (*last, *known) = (meta.changed.max(*last), boot);
            }
            SeenLock { lock: Lock::Edge { newer_boot, quiet }, ..script }
        }
        Err(_) => script,
    })
}

/// Offers the claims whose owner is dead, and removes tries without a claim.
async fn look_at_claims(service: &Service) -> Result<(), Errno> {
    let host = &service.remote.host;
    for file in host.names("claim").await? {
        let Some((name, kind)) = file.split_once('.') else { continue };
        if kind.starts_with("tries") {
            let [claim, part] = ["mp4", "part"].map(|kind| format!("claim/{name}.{kind}"));
            if host.look(&claim).await?.is_none() && host.look(&part).await?.is_none() {
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
        let counted = host.look(&format!("claim/{name}.tries")).await?.map(|meta| meta.changed);
        if host.wall().saturating_sub(counted.unwrap_or_default()) >= tries.rest() {
            let found = Found::Orphan { part: kind == "part" };
            service.queue.offer(&host.world.tasks, Job { name: name.to_owned(), found, lock: None });
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

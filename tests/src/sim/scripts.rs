//! Plain shell scripts on either side: they know `NAME.mp4` and `NAME.lockfile`, and sync nothing.

use super::disk::Errno;
use super::edge::Edge;
use super::host::Host;
use super::judge::hex;
use super::network::Session;
use super::remote::Remote;
use super::sftp::{Mode, Reply, Request};
use super::store::{Stage, path};
use super::variant::Uploader;
use media::mp4::Restored;
use media::mp4::demux::verify;
use media::names::RecordingName;
use std::rc::Rc;
use std::time::Duration;

/// `scp NAME.lockfile; scp NAME.mp4; ssh rm NAME.lockfile && rm NAME.mp4`, for each recording once.
pub async fn upload(edge: &Edge) {
    let Uploader::Script { again, receive } = edge.uploader else { return };
    loop {
        let is_sealed = |name: &RecordingName| {
            edge.store.entry(name).is_some_and(|entry| matches!(entry.stage, Stage::Sealed(_)))
        };
        let next = edge
            .store
            .names()
            .into_iter()
            .find(|name| is_sealed(name) && (again || !edge.tried.borrow().contains(name)));
        let Some(name) = next else {
            edge.host.world.tasks.sleep(Duration::from_secs(2)).await;
            continue;
        };
        edge.tried.borrow_mut().insert(name);
        if upload_one(edge, &name, receive).await.is_some() {
            let wrong = edge.host.world.judge.borrow_mut().freed(&name);
            wrong.into_iter().for_each(|wrong| edge.host.world.fail(wrong));
            while edge.store.free(&name).await.is_err() {}
        } else {
            edge.host.world.tasks.sleep(Duration::from_millis(edge.host.world.random.below(8000))).await;
        }
    }
}

async fn upload_one(edge: &Edge, name: &RecordingName, receive: bool) -> Option<()> {
    let inbox = &edge.inbox;
    let (lock, recording) = (format!("{inbox}/{name}.lockfile"), format!("{inbox}/{name}.mp4"));
    let bytes = edge.host.open(&path(name)).await.ok()??.bytes();
    let session = edge.network.connect(&edge.remote.host, edge.remote.is_up()).await.ok()?;
    open(&session, &lock, 1).await?;
    done(&session, Request::Close(1)).await?;
    open(&session, &recording, 2).await?;
    for (at, end) in bytes.runs(0, bytes.len()) {
        let mut run = vec![0; (end - at) as usize];
        bytes.read(at, &mut run);
        done(&session, Request::Write(2, at, run)).await?;
    }
    done(&session, Request::Close(2)).await?;
    let unlock = if receive { Request::Receive { lock, recording } } else { Request::Remove(lock) };
    // rm -f: somebody else may have removed it.
    let unlocked = session.ask(unlock).await.ok()?;
    (unlocked == Reply::Done || !receive && unlocked == Reply::Absent).then_some(())
}

async fn open(session: &Session, name: &str, handle: u64) -> Option<()> {
    done(session, Request::Open { name: name.to_owned(), handle, mode: Mode::CreateOrEmpty }).await
}

async fn done(session: &Session, request: Request) -> Option<()> {
    (session.ask(request).await == Ok(Reply::Done)).then_some(())
}

/// A loop that takes any `NAME.mp4` without a `NAME.lockfile`, touches the lockfile, makes HLS, and removes both.
pub async fn work(remote: &Remote) {
    loop {
        let _hindered = work_once(remote).await;
        remote.host.world.tasks.sleep(Duration::from_secs(3)).await;
    }
}

async fn work_once(remote: &Remote) -> Result<(), Errno> {
    for inbox in &remote.inboxes {
        work_in(&remote.host, inbox).await?;
    }
    Ok(())
}

async fn work_in(host: &Rc<Host>, inbox: &str) -> Result<(), Errno> {
    for file in host.names(inbox).await? {
        let Some(name) = file.strip_suffix(".mp4") else { continue };
        let (lock, recording) = (format!("{inbox}/{name}.lockfile"), format!("{inbox}/{file}"));
        if host.look(&lock).await?.is_some() {
            continue;
        }
        // touch
        if host.open_writing(&lock).await?.is_none() {
            drop(host.create(&lock).await);
        }
        if let Some(input) = host.open(&recording).await? {
            // It takes its time to read.
            host.world.tasks.sleep(Duration::from_millis(host.world.random.below(5000))).await;
            // What makes HLS knows of no seal.
            let input = input.bytes();
            let read = Restored::new(&input).and_then(|restored| verify(&restored));
            let made = read.map_or_else(|_| "half".to_owned(), |seal| hex(&seal.sha256));
            // Other loops may make the same output: mv, not >.
            let unfinished = format!("scratch/{}", host.world.tasks.id());
            host.create(&unfinished).await?.write(0, made.as_bytes()).await?;
            host.rename(&unfinished, &format!("hls/{name}"), true).await?;
        }
        host.remove(&recording).await?;
        host.remove(&lock).await?;
    }
    Ok(())
}

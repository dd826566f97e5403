//! The recorder of one camera: each GOP into a growing recording, a seal after so many.

use super::disk::Errno;
use super::edge::{Edge, told};
use super::host::File;
use super::store::apply;
use media::Gop;
use media::mp4::{About, Growing, Step};
use media::names::RecordingName;
use std::time::Duration;

/// A recording that is being written.
struct Writer {
    name: RecordingName,
    file: File,
    growing: Growing,
    about: About,
    /// What may be written only after the next sync.
    after_sync: Vec<Step>,
    /// GOPs whose headers are in the file.
    flipped: usize,
    /// Where those end whose headers outlive everything.
    safe: u64,
    unsynced_for: u64,
}

/// Records what the camera makes until it has made all. What fails costs footage, and a new recording begins.
pub async fn run(edge: &Edge, number: usize) {
    let (camera, tasks) = (&edge.cameras[number], &edge.host.world.tasks);
    let mut writer: Option<Writer> = None;
    loop {
        tasks.sleep(camera.every).await;
        let Some(gop) = camera.next(edge.date(camera.now())) else { break };
        let name = writer.as_ref().map(|writer| writer.name);
        if let Err(errno) = record(edge, number, &mut writer, &gop).await {
            told(edge, "record", errno);
            let safe = writer.as_ref().map_or(0, |writer| writer.safe);
            let name = writer.take().map(|writer| writer.name).or(name);
            name.iter().for_each(|name| edge.store.let_go(name));
            if let Some(name) = name.filter(|_| edge.torn && safe > 0) {
                edge.store.tear(&name, safe);
            }
        }
        if writer.is_none() {
            cut_ledger(edge, number).await;
        }
    }
    let name = writer.as_ref().map(|writer| writer.name);
    if seal(edge, writer).await.is_err() {
        name.into_iter().for_each(|name| edge.store.let_go(&name));
    }
    while edge.store.mend(|name| name.camera == camera.id).await.is_err() {
        tasks.sleep(Duration::from_secs(5)).await;
    }
    cut_ledger(edge, number).await;
}

/// No recording takes along what waits in the ledger, for now.
async fn cut_ledger(edge: &Edge, number: usize) {
    let camera = &edge.cameras[number];
    if !edge.cuts || !edge.host.world.random.once_in(2) {
        return;
    }
    // A recording whose seal is on the disk follows the end of the chain as it was.
    let cut = match edge.store.mend(|name| name.camera == camera.id).await {
        Ok(()) => edge.store.cut_ledger(camera.id, edge.date(camera.now())).await,
        Err(errno) => Err(errno),
    };
    cut.unwrap_or_else(|errno| told(edge, "cut the ledger", errno));
}

async fn record(edge: &Edge, number: usize, writer: &mut Option<Writer>, gop: &Gop) -> Result<(), Errno> {
    let camera = &edge.cameras[number];
    edge.ledgers.dated(camera.id, gop).await?;
    if let Some(writer) = writer {
        let steps = writer.growing.append(gop).map_err(|_| Errno::Io)?;
        writer.write(steps).await?;
    } else {
        edge.store.mend(|name| name.camera == camera.id).await?;
        edge.ledgers.goes_on(camera.id, gop.start).await?;
        let (name, file) = edge.store.begin(camera.id, gop.wall).await?;
        let begun = begin(name, file, gop, camera.name).await;
        if begun.is_err() {
            edge.store.let_go(&name);
        }
        *writer = Some(begun?);
    }
    let Some(open) = writer else { return Ok(()) };
    open.unsynced_for += 1;
    if open.unsynced_for >= edge.sync_seconds {
        open.sync(edge).await?;
    }
    edge.store.grow(&open.name, open.growing.size(), open.unsynced());
    edge.host.world.judge.borrow_mut().grew(&open.name, open.growing.size());
    if open.growing.gops().len() as u64 >= camera.length {
        let (name, closed) = (open.name, writer.take());
        if let Err(errno) = seal(edge, closed).await {
            edge.store.let_go(&name);
            return Err(errno);
        }
    }
    Ok(())
}

async fn begin(name: RecordingName, file: File, gop: &Gop, camera: &str) -> Result<Writer, Errno> {
    let about = About { camera: camera.to_owned(), start: gop.wall };
    let (growing, steps) = Growing::begin(gop, &about).map_err(|_| Errno::Io)?;
    let (after_sync, flipped, safe, unsynced_for) = (vec![], 0, 0, 0);
    let mut writer = Writer { name, file, growing, about, after_sync, flipped, safe, unsynced_for };
    writer.write(steps).await?;
    Ok(writer)
}

async fn seal(edge: &Edge, writer: Option<Writer>) -> Result<(), Errno> {
    let Some(mut writer) = writer else { return Ok(()) };
    writer.sync(edge).await?;
    writer.growing.carry(edge.store.draft(&writer.name, writer.growing.gops()).await?);
    apply(&writer.file, &writer.growing.seal(&writer.about)).await?;
    edge.host.world.judge.borrow_mut().sealed(&writer.name, writer.growing.seal_box());
    edge.store.sealed(&writer.name, writer.growing.seal_box().size).await
}

impl Writer {
    /// Writes what stands in front of the sync, and keeps what stands behind it.
    async fn write(&mut self, steps: Vec<Step>) -> Result<(), Errno> {
        let sync = steps.iter().position(|step| *step == Step::Sync).unwrap_or(steps.len());
        let (before, after) = steps.split_at(sync);
        apply(&self.file, before).await?;
        self.after_sync.extend(after.iter().filter(|step| **step != Step::Sync).cloned());
        Ok(())
    }

    async fn sync(&mut self, edge: &Edge) -> Result<(), Errno> {
        self.file.sync().await?;
        // What is in the file as `moof` now outlives everything.
        edge.host.world.judge.borrow_mut().durable(&self.name, self.flipped);
        if self.flipped > 0 {
            self.safe = self.unsynced().first().copied().unwrap_or_else(|| self.growing.size());
        }
        apply(&self.file, &self.after_sync).await?;
        self.after_sync.clear();
        (self.flipped, self.unsynced_for) = (self.growing.gops().len(), 0);
        Ok(())
    }

    fn unsynced(&self) -> Vec<u64> {
        let offset = |step: &Step| match step {
            Step::Write { offset, .. } => Some(*offset),
            Step::Sync => None,
        };
        self.after_sync.iter().filter_map(offset).collect()
    }
}

//! An edge with a camera and a backlog behind a wire, and what must hold of it whatever the wire does.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use media::names::{CameraId, RecordingName};
use serde_json::Value;
use sha2::{Digest, Sha256};
use tests::edge::{Edge, Settings};
use tests::proxy::Proxy;
use tests::sshd::{Sshd, View};
use tests::{footage, usage};

use crate::plan::{Plan, Spell};

/// Recordings that wait when the edge starts.
const BACKLOG: u64 = 2;
/// What a bad link may cost, in threads and bytes.
const MOST_THREADS: usize = 2;
const MOST_MEMORY: u64 = 32 << 20;

/// The edge, the wire and the remote host.
pub struct Rig {
    pub edge: Edge,
    pub proxy: Proxy,
    pub sshd: Sshd,
}

impl Rig {
    /// An edge that does not run yet, with `backlog` recordings of so many GOPs of so many bytes.
    pub fn new(settings: Settings, backlog: u64, (gops, bytes): (u64, usize)) -> Result<Self> {
        let sshd = Sshd::start(View::Whole)?;
        let proxy = Proxy::start(sshd.port())?;
        let settings = settings.set("record.minutes", 15);
        let edge = Edge::prepare(settings.upload_to(&sshd)?.set("upload.port", proxy.port()))?;
        sshd.authorize(&edge.public_key()?)?;
        let folder = edge.file("recordings");
        fs::create_dir_all(&folder)?;
        for number in 0..backlog {
            let name = RecordingName::new(None, CameraId::new(b"fault", "front"), number);
            fs::write(folder.join(format!("{name}.mp4")), footage::noise(gops, bytes, number)?)?;
        }
        Ok(Self { edge, proxy, sshd })
    }

    /// What the status says of the upload.
    pub fn upload(&self) -> Value {
        self.edge.json("/api/status").map(|mut status| status["upload"].take()).unwrap_or_default()
    }

    /// Seconds of footage on the edge, in all recordings.
    pub fn recorded(&self) -> f64 {
        let status = self.edge.json("/api/status").unwrap_or_default();
        status["recordings"]["seconds"].as_f64().unwrap_or_default()
    }

    /// Waits until the camera and the recording have gone on from here.
    pub fn goes_on(&mut self) -> Result<()> {
        let frames = |edge: &Edge| edge.metric("porthole_edge_frames_encoded_total{camera=\"front\"}");
        let before = (frames(&self.edge), self.recorded());
        self.wait_until("the camera and the recording to go on", |rig| {
            frames(&rig.edge) > before.0 && rig.recorded() > before.1
        })
    }

    /// Waits until `condition` holds; what is published is looked at meanwhile.
    pub fn wait_until(&mut self, what: &str, condition: impl Fn(&Self) -> bool) -> Result<()> {
        let deadline = Instant::now() + tests::wait::PATIENCE * 2;
        while !condition(self) {
            self.look()?;
            ensure!(self.edge.is_running(), "the edge ended: {}", self.edge.log());
            ensure!(
                Instant::now() < deadline,
                "waited in vain for {what}: {}\n{}",
                self.upload(),
                self.edge.log()
            );
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    /// I1 and the status, at this moment.
    fn look(&self) -> Result<()> {
        let names = files(&self.sshd.inbox());
        for name in names.iter().filter_map(|file| file.strip_suffix(".mp4")) {
            let [here, there] = [self.edge.file("recordings"), self.sshd.inbox()]
                .map(|folder| fs::metadata(folder.join(format!("{name}.mp4"))).map(|file| file.len()).ok());
            ensure!(here == there, "{name}.mp4 has {there:?} bytes instead of {here:?}");
            ensure!(!names.contains(&format!("{name}.lockfile")), "a lock stands beside {name}.mp4");
        }
        let failure = &self.upload()["failure"];
        let kinds = ["unreachable", "slow"];
        let is_named = failure.is_null() || kinds.iter().any(|kind| failure["kind"] == **kind);
        ensure!(is_named, "the network is at fault, and the status says {failure}");
        Ok(())
    }

    /// Seals what grows, and waits until all is received but what a next start begins; at least so many recordings.
    pub fn finish(&mut self, at_least: usize) -> Result<()> {
        Spell::Clear.begin(&self.proxy);
        ensure!(self.edge.terminate()?.success());
        self.edge.start_again()?;
        self.wait_until("the receipts", |rig| {
            let [receipted, growing, all] = rig.count();
            receipted >= at_least && receipted + growing == all
        })?;
        let [receipted, ..] = self.count();
        ensure!(self.edge.terminate()?.success());
        let (here, there) = (files(&self.edge.file("recordings")), files(&self.sshd.inbox()));
        let published: Vec<&String> = there.iter().filter(|name| name.ends_with(".mp4")).collect();
        ensure!(published.len() >= receipted, "{receipted} receipts, and there is {there:?} of {here:?}");
        // The new start's recording is on its way, or two if one was sealed just now.
        ensure!(
            there.len() <= published.len() + 4,
            "more than two parts and their locks are left: {there:?}"
        );
        for name in published {
            let [sent, arrived] = [self.edge.file("recordings"), self.sshd.inbox()]
                .map(|folder| fs::read(folder.join(name)).map(Sha256::digest));
            ensure!(sent.with_context(|| name.clone())? == arrived?, "{name} is not the same there");
        }
        Ok(())
    }

    /// Recordings with a receipt, those that grow, and all.
    fn count(&self) -> [usize; 3] {
        let recordings = self.edge.recordings().unwrap_or_default();
        let in_state =
            |state: &str| recordings.iter().filter(|recording| recording["state"] == state).count();
        [in_state("receipted"), in_state("growing"), recordings.len()]
    }
}

/// The names in a folder.
fn files(folder: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().into_string().ok()).collect()
}

/// Plays a plan.
pub fn play(plan: &Plan) -> Result<()> {
    let mut rig = Rig::new(Settings::default(), BACKLOG, (20, 100_000))?;
    plan.cuts.iter().for_each(|cut| rig.proxy.end_next(*cut));
    rig.edge.start_again()?;
    let id = rig.edge.id().context("the edge does not run")?;
    let before = (usage::threads(id)?, usage::resident(id)?);
    for (spell, length) in &plan.spells {
        spell.begin(&rig.proxy);
        let end = Instant::now() + *length;
        rig.wait_until("the end of a spell", |_| Instant::now() >= end)?;
        rig.goes_on()?;
    }
    let after = (usage::threads(id)?, usage::resident(id)?);
    ensure!(after.0 <= before.0 + MOST_THREADS, "{} threads instead of {}", after.0, before.0);
    ensure!(after.1 <= before.1 + MOST_MEMORY, "{} bytes of memory instead of {}", after.1, before.1);
    rig.finish(BACKLOG as usize + 1)
}

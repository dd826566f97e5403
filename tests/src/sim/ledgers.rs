//! The ledgers of an edge's cameras, as docs/design/ledger.md has them, on a virtual disk; and the account over all of them.
//!
//! ```text
//! rec/CAMERA.ledger --draft--> seal of a recording --sealed--> rec/CAMERA.ledger, moved on
//!                   --cut--> rec/NAME.ledger, when no recording comes along
//! ```

use super::disk::{Errno, View};
use super::edge::Edge;
use super::host::Host;
use super::pages::Pages;
use super::remote::Remote;
use super::variant::Flaw;
use bytes::Bytes;
use media::ledger::slice::write_all;
use media::ledger::{
    Boot, Cause, Dates, Entry, Finding, Gop, Hash, SHORTEST_GAP, SigningKey, Slice, Tail, stitch,
};
use media::mp4::demux::{examine, ledger};
use media::names::{CameraId, RecordingName};
use media::time::WallMapping;
use media::{Ticks90k, WallTime};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

/// The ends of the chains of one edge.
pub struct Ledgers {
    host: Rc<Host>,
    key: SigningKey,
    tails: RefCell<BTreeMap<CameraId, Tail>>,
    /// Until when each camera's time is told in this process: by footage or by a gap.
    told: RefCell<BTreeMap<CameraId, Ticks90k>>,
    /// The wall clock as each ledger has it in this process.
    clocks: RefCell<BTreeMap<CameraId, WallMapping>>,
    /// What the wall clock has ever said, of each camera and boot: those who judge know it.
    said: RefCell<BTreeMap<(CameraId, Boot), Vec<WallMapping>>>,
    /// What is wrong with them.
    pub flaw: Flaw,
    busy: Cell<bool>,
}

fn path(camera: CameraId) -> String {
    format!("rec/{camera}.ledger")
}

/// 32 bytes of chance.
fn seed(host: &Host) -> Hash {
    let mut seed = [0; 32];
    seed.chunks_mut(8).for_each(|chunk| chunk.copy_from_slice(&host.world.random.number().to_be_bytes()));
    seed
}

impl Ledgers {
    /// With a key of their own.
    pub fn new(host: &Rc<Host>, flaw: Flaw) -> Rc<Self> {
        Rc::new(Self {
            host: Rc::clone(host),
            key: SigningKey::from_bytes(&seed(host)),
            tails: RefCell::default(),
            told: RefCell::default(),
            clocks: RefCell::default(),
            said: RefCell::default(),
            flaw,
            busy: Cell::default(),
        })
    }

    /// A process begins at this media time of its cameras: nothing is known but what the disk says.
    pub async fn open(&self, cameras: &[(CameraId, Ticks90k)]) -> Result<(), Errno> {
        for (camera, at) in cameras {
            self.note(*camera, Entry::Start { at: *at }).await?;
            self.told.borrow_mut().insert(*camera, *at);
        }
        Ok(())
    }

    /// The process is gone, and what it knew.
    pub fn forget(&self) {
        self.tails.borrow_mut().clear();
        self.told.borrow_mut().clear();
        self.clocks.borrow_mut().clear();
        self.busy.set(false);
    }

    /// Footage goes on at `at`: what is missing in front of it was not written.
    pub async fn goes_on(&self, camera: CameraId, at: Ticks90k) -> Result<(), Errno> {
        let told = self.told.borrow().get(&camera).copied().filter(|_| self.flaw != Flaw::Gaps);
        if let Some(from) = told.filter(|from| at - *from >= SHORTEST_GAP) {
            self.note(camera, Entry::Gap { cause: Cause::Overload, from, to: at }).await?;
            self.told.borrow_mut().insert(camera, at);
        }
        Ok(())
    }

    /// The clock is set, or set again, if it was by then.
    pub async fn dated(&self, camera: CameraId, gop: &media::Gop) -> Result<(), Errno> {
        let Some(wall) = gop.wall else { return Ok(()) };
        let now = WallMapping { media: gop.start, wall };
        let boot = Boot::of(&self.host.boot_id());
        self.said.borrow_mut().entry((camera, boot)).or_default().push(now);
        let known = self.clocks.borrow().get(&camera).copied();
        if known.is_some_and(|known| self.flaw == Flaw::Clock || is_near(known.wall_of(gop.start), wall)) {
            return Ok(());
        }
        self.note(camera, Entry::Clock { media: gop.start, wall }).await?;
        self.clocks.borrow_mut().insert(camera, now);
        Ok(())
    }

    /// The remote host has a recording.
    pub async fn received(&self, name: &RecordingName) -> Result<(), Errno> {
        let at = self.told.borrow().get(&name.camera).copied().unwrap_or_default();
        self.note(name.camera, Entry::Receipt { at, recording: name.sequence }).await
    }

    async fn note(&self, camera: CameraId, entry: Entry) -> Result<(), Errno> {
        let boot = Boot::of(&self.host.boot_id());
        self.change(camera, |tail| tail.note(boot, entry)).await
    }

    /// What the seal of a recording of this boot carries.
    pub async fn draft(&self, name: &RecordingName, boot: &str, gops: &[Gop]) -> Result<Bytes, Errno> {
        let tail = self.tail(name.camera).await?;
        Ok(write_all(&tail.seal(&self.key, name.sequence, Boot::of(boot), gops)))
    }

    /// This recording is sealed on the disk.
    pub async fn sealed(&self, name: &RecordingName, recording: &Pages) -> Result<(), Errno> {
        let slices = slices_of(recording)?;
        self.change(name.camera, |tail| tail.advance(&slices)).await?;
        let own = slices.iter().find(|slice| slice.recording == Some(name.sequence));
        if let Some((_, end)) = own.and_then(Slice::span) {
            self.told.borrow_mut().insert(name.camera, end);
        }
        Ok(())
    }

    /// What the seal of a recording carries of which these hashes are left.
    pub fn thinned(&self, name: &RecordingName, recording: &Pages, left: Vec<Hash>) -> Result<Bytes, Errno> {
        let mut slices = slices_of(recording)?;
        if let Some(own) = slices.iter_mut().find(|slice| slice.recording == Some(name.sequence)) {
            *own = own.clone().thinned(&self.key, left);
        }
        Ok(write_all(&slices))
    }

    /// A recording leaves without a receipt: its place in the chain stays.
    pub async fn dropped(&self, name: &RecordingName, recording: &Pages) -> Result<(), Errno> {
        let rest = |slice: Slice| if slice.recording.is_some() { slice.dropped(&self.key) } else { slice };
        let slices: Vec<Slice> = slices_of(recording)?.into_iter().map(rest).collect();
        self.change(name.camera, |tail| slices.iter().for_each(|slice| tail.keep(slice.clone()))).await
    }

    /// Whether something waits for a seal.
    pub async fn waits(&self, camera: CameraId) -> Result<bool, Errno> {
        let tail = self.tail(camera).await?;
        Ok(!tail.open().is_empty() || !tail.waiting().is_empty())
    }

    /// Puts everything that waits into a file of its own; how long that is.
    pub async fn cut(&self, camera: CameraId, path: &str) -> Result<u64, Errno> {
        self.change(camera, |tail| tail.sign(&self.key)).await?;
        let slices = self.tail(camera).await?.waiting().to_vec();
        let bytes = write_all(&slices);
        self.host.replace(path, &bytes).await?;
        self.change(camera, |tail| tail.advance(&slices)).await?;
        Ok(bytes.len() as u64)
    }

    /// The end of a ledger: what a crash left of a cut counts.
    async fn read(&self, camera: CameraId) -> Result<Tail, Errno> {
        let kept = self.host.read(&path(camera)).await?;
        let Some(bytes) = kept else { return Ok(Tail::begin(camera, seed(&self.host))) };
        let mut tail = Tail::parse(&bytes).map_err(|_| Errno::Io)?;
        for file in self.host.names("rec").await? {
            let name = file.strip_suffix(".ledger").and_then(|name| name.parse::<RecordingName>().ok());
            if name.is_some_and(|name| name.camera == camera)
                && let Some(bytes) = self.host.read(&format!("rec/{file}")).await?
            {
                tail.advance(&Slice::parse_all(&bytes).map_err(|_| Errno::Io)?);
            }
        }
        Ok(tail)
    }

    async fn tail(&self, camera: CameraId) -> Result<Tail, Errno> {
        if let Some(tail) = self.tails.borrow().get(&camera) {
            return Ok(tail.clone());
        }
        let tail = self.read(camera).await?;
        Ok(self.tails.borrow_mut().entry(camera).or_insert(tail).clone())
    }

    /// On the disk first.
    async fn change(&self, camera: CameraId, change: impl FnOnce(&mut Tail)) -> Result<(), Errno> {
        while self.busy.replace(true) {
            self.host.world.tasks.sleep(Duration::from_micros(100)).await;
        }
        let changed = async {
            let mut tail = self.tail(camera).await?;
            change(&mut tail);
            self.host.replace(&path(camera), &tail.to_bytes()).await?;
            self.tails.borrow_mut().insert(camera, tail);
            Ok(())
        };
        let changed = changed.await;
        self.busy.set(false);
        changed
    }
}

/// Whether two clocks say the same, but for their drift.
fn is_near(one: WallTime, other: WallTime) -> bool {
    (one.0 - other.0).abs() <= 1_000_000
}

/// Whether this is a file of a ledger, and each slice in it is signed.
pub fn is_signed(bytes: &[u8]) -> bool {
    Slice::parse_all(bytes)
        .is_ok_and(|slices| !slices.is_empty() && slices.iter().all(|slice| slice.verify().is_ok()))
}

fn slices_of(recording: &Pages) -> Result<Vec<Slice>, Errno> {
    let bytes = ledger(recording).map_err(|_| Errno::Io)?;
    Slice::parse_all(&bytes).map_err(|_| Errno::Io)
}

/// What is wrong with the ledgers over all that the remote host holds, and that the edges hold which are still there.
pub fn account(edges: &[Rc<Edge>], remote: &Remote) -> Option<String> {
    let mut cameras = edges.iter().flat_map(|edge| edge.cameras.iter().map(move |camera| (edge, camera.id)));
    cameras.find_map(|(edge, camera)| {
        let mut slices = match archived(remote, camera) {
            Ok(slices) => slices,
            Err(wrong) => return Some(wrong),
        };
        if !edge.gone.get() {
            let tail = edge.host.judged(&path(camera), View::Now, |pages, _| Tail::parse(&pages.to_vec()));
            match tail {
                Some(Ok(tail)) => slices.extend(tail.cut(&edge.ledgers.key)),
                Some(Err(error)) => return Some(format!("ledger: {camera} {error}")),
                None => {}
            }
        }
        // The end of a chain is gone with its edge, and what had not been sent.
        let is_told = |finding: &Finding| match finding {
            Finding::Missing { missing, .. } => missing.cause.is_some(),
            Finding::Absent { receipts, .. } => edge.gone.get() && *receipts == 0,
            Finding::BegunAnew { .. } | Finding::Forked { .. } => false,
        };
        let stitched = stitch(&slices);
        if !edge.gone.get()
            && let Some(wrong) = misdated(edge, camera, &slices, &stitched.dates)
        {
            return Some(wrong);
        }
        let untold = stitched.findings.into_iter().find(|finding| !is_told(finding))?;
        Some(format!("ledger: {camera} {untold:?}"))
    })
}

/// A GOP whose date is not what the clock was set to last in its boot.
fn misdated(edge: &Edge, camera: CameraId, slices: &[Slice], dates: &Dates) -> Option<String> {
    let gops = |slice: &Slice| -> Vec<(Boot, Gop)> {
        let gop = |entry: &Entry| if let Entry::Gop(gop) = entry { Some((slice.boot, *gop)) } else { None };
        slice.entries.iter().filter_map(gop).collect()
    };
    let gops: Vec<(Boot, Gop)> = slices.iter().flat_map(gops).collect();
    let said = edge.ledgers.said.borrow();
    gops.iter().find_map(|(boot, gop)| {
        let of_boot = gops.iter().filter(|(of, gop)| of == boot && gop.wall.is_some());
        let newest = of_boot.map(|(_, gop)| gop.start).max()?;
        let clock = said.get(&(camera, *boot))?;
        let date = dates.wall_of(*boot, gop.start);
        // Of what the clock said after the newest GOP only the ledger may know: that GOP was lost.
        let mut last = clock.iter().filter(|said| said.media >= newest);
        let is_right = last.any(|said| date.is_some_and(|date| is_near(said.wall_of(gop.start), date)));
        (!is_right).then(|| format!("ledger: {camera} GOP {} is dated {date:?}", gop.sequence))
    })
}

/// Of an edge that is gone somebody takes a recording out of the archive, with others in front of it and behind it.
pub fn rob(edges: &[Rc<Edge>], remote: &Remote) {
    for camera in edges.iter().filter(|edge| edge.gone.get()).flat_map(|edge| &edge.cameras) {
        let mut disk = remote.host.disk.borrow_mut();
        let mut files: Vec<(u64, String)> = disk
            .names("archive")
            .into_iter()
            .filter_map(|file| {
                let name: RecordingName = file.strip_suffix(".mp4")?.parse().ok()?;
                (name.camera == camera.id).then_some((name.sequence, file))
            })
            .collect();
        files.sort_unstable();
        if let [_, (_, taken), .., _] = files.as_slice() {
            // It is there: the judge has just listed it.
            let _removed = disk.remove(&format!("archive/{taken}"));
        }
    }
}

/// The slices of a camera's recordings in the archive, each held against its footage.
fn archived(remote: &Remote, camera: CameraId) -> Result<Vec<Slice>, String> {
    let mut slices = Vec::new();
    for file in remote.host.disk.borrow().names("archive") {
        if let Some(name) = file.strip_suffix(".ledger").and_then(|name| name.parse::<RecordingName>().ok())
            && name.camera == camera
        {
            let bytes = remote.host.judged(&format!("archive/{file}"), View::Now, |pages, _| pages.to_vec());
            let own = Slice::parse_all(&bytes.unwrap_or_default());
            slices.extend(own.map_err(|error| format!("ledger: {name} {error}"))?);
        }
        // What the edge has lost and the janitor has sealed is signed by nobody.
        let Some(name) = file.strip_suffix(".mp4").and_then(|name| name.parse::<RecordingName>().ok()) else {
            continue;
        };
        if name.camera != camera {
            continue;
        }
        let examined = remote
            .host
            .judged(&format!("archive/{file}"), View::Now, |pages, _| examine(pages))
            .and_then(Result::ok)
            .ok_or_else(|| format!("ledger: {name} cannot be read"))?;
        let own = Slice::parse_all(&examined.ledger).map_err(|error| format!("ledger: {name} {error}"))?;
        for slice in &own {
            slice.verify().map_err(|forged| format!("ledger: {name} {forged}"))?;
        }
        let vouches = own.iter().find(|slice| slice.recording == Some(name.sequence));
        let vouches = vouches.ok_or_else(|| format!("ledger: nobody vouches for {name}"))?;
        vouches.verify_footage(&examined.gops).map_err(|forged| format!("ledger: {name} {forged}"))?;
        slices.extend(own);
    }
    Ok(slices)
}

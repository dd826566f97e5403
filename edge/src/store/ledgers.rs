//! The ends of the cameras' ledgers, beside the recordings. docs/design/ledger.md has procedures and crashes.
//!
//! ```text
//! note --gaps, clock--> CAMERA8.ledger --draft--> seal of a recording --sealed--> CAMERA8.ledger, moved on
//!                            ^      |
//!                 dropped ---+      +--cut--> NAME.ledger, when no recording comes along
//! ```

use super::places::Places;
use super::{Error, files};
use crate::upload::key::DeviceKey;
use bytes::Bytes;
use media::ledger::slice::write_all;
use media::ledger::{Boot, Dates, Entry, Gop, Hash, SigningKey, Slice, Stitched, Tail, slice, stitch};
use media::mp4::{ReadAt, demux};
use media::names::{CameraId, RecordingName};
use std::collections::btree_map::Entry::{Occupied, Vacant};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Ends the names of both kinds of files.
pub const EXTENSION: &str = "ledger";

/// A file that can be read at any place.
pub struct Source {
    file: File,
    size: u64,
}

impl Source {
    pub fn open(path: &Path) -> Result<Self, Error> {
        let file = File::open(path).map_err(Error::io("open", path))?;
        Self::of(file, path)
    }

    pub fn of(file: File, path: &Path) -> Result<Self, Error> {
        let size = file.metadata().map_err(Error::io("look at", path))?.len();
        Ok(Self { file, size })
    }

    /// Nothing behind its first `bytes` counts.
    pub fn cut(self, bytes: u64) -> Self {
        Self { size: self.size.min(bytes), ..self }
    }

    pub fn file(&self) -> &File {
        &self.file
    }
}

impl ReadAt for Source {
    fn size(&self) -> u64 {
        self.size
    }

    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        self.file.read_exact_at(buf, offset)
    }
}

/// The ledgers of all cameras of a folder.
pub struct Ledgers {
    places: Arc<Places>,
    boot: Boot,
    /// `None`: the device key is of a kind that cannot sign, and there is no ledger.
    key: Option<SigningKey>,
    tails: BTreeMap<CameraId, Tail>,
    /// Cameras with a seal that is drafted, and may be on the disk: it follows the head as it is.
    sealing: BTreeSet<CameraId>,
}

impl Ledgers {
    /// Reads nothing yet.
    pub fn new(places: Arc<Places>, boot: &str, key: &DeviceKey) -> Self {
        Self {
            places,
            boot: Boot::of(boot),
            key: key.signing_key(),
            tails: BTreeMap::new(),
            sealing: BTreeSet::new(),
        }
    }

    /// What comes is kept in RAM from now on.
    pub fn branch(&mut self) {
        let boot = self.boot;
        self.tails.values_mut().for_each(|tail| tail.branch(boot));
    }

    /// Keeps entries of this boot for the next seal, durably.
    pub fn note(&mut self, camera: CameraId, entries: &[Entry]) -> Result<(), Error> {
        if self.key.is_none() || entries.is_empty() {
            return Ok(());
        }
        let boot = self.boot;
        self.change(camera, |tail| entries.iter().for_each(|entry| tail.note(boot, *entry)))
    }

    /// What the seal of a recording carries; empty if nothing can be signed.
    pub fn draft(&mut self, name: &RecordingName, boot: &str, gops: &[Gop]) -> Result<Bytes, Error> {
        let Some(key) = self.key.clone() else { return Ok(Bytes::new()) };
        let slices = self.tail(name.camera)?.seal(&key, name.sequence, Boot::of(boot), gops);
        self.sealing.insert(name.camera);
        Ok(write_all(&slices))
    }

    /// The recording at `path` is sealed on the disk: what its seal holds waits no longer.
    pub fn sealed(&mut self, camera: CameraId, path: &Path) -> Result<(), Error> {
        let slices = slices_of(path)?;
        if !slices.is_empty() {
            self.change(camera, |tail| tail.advance(&slices))?;
        }
        self.sealing.remove(&camera);
        Ok(())
    }

    /// Nothing of the camera is torn: a seal that was drafted is on the disk and known, or its recording is gone.
    pub fn settled(&mut self, camera: CameraId) {
        self.sealing.remove(&camera);
    }

    /// What the seal of a recording carries once only its IDR pictures are left, with these hashes.
    pub fn thinned(&self, name: &RecordingName, ledger: &[u8], left: Vec<Hash>) -> Bytes {
        let (Some(key), Ok(mut slices)) = (&self.key, Slice::parse_all(ledger)) else { return Bytes::new() };
        if let Some(own) = slices.iter_mut().find(|slice| slice.recording == Some(name.sequence)) {
            *own = own.clone().thinned(key, left);
        }
        write_all(&slices)
    }

    /// What remains of the slices of the recording at `path` when it leaves without a receipt: its place in the chain.
    pub fn dropped(&self, path: &Path) -> Vec<Slice> {
        let Some(key) = &self.key else { return Vec::new() };
        let slices = slices_of(path).unwrap_or_else(|error| {
            tracing::error!(%error, "its place in the ledger is lost");
            Vec::new()
        });
        let rest = |slice: Slice| if slice.recording.is_some() { slice.dropped(key) } else { slice };
        slices.into_iter().map(rest).collect()
    }

    /// Keeps slices for the next seal, durably.
    pub fn keep(&mut self, camera: CameraId, slices: &[Slice]) -> Result<(), Error> {
        if slices.is_empty() {
            return Ok(());
        }
        self.change(camera, |tail| slices.iter().for_each(|slice| tail.keep(slice.clone())))
    }

    /// Whether something waits for a seal, and whether it can wait no longer. While one is drafted everything waits.
    pub fn waits(&mut self, camera: CameraId) -> Result<(bool, bool), Error> {
        if self.sealing.contains(&camera) {
            return Ok((false, false));
        }
        let tail = self.tail(camera)?;
        Ok((!tail.open().is_empty() || !tail.waiting().is_empty(), tail.is_full()))
    }

    /// Puts everything that waits into a file of its own, under `name`.
    pub fn cut(&mut self, name: &RecordingName) -> Result<(), Error> {
        let Some(key) = self.key.clone() else { return Ok(()) };
        // Signed before there is a file: if that is not known to be there, the next seal takes the same slices along.
        self.change(name.camera, |tail| tail.sign(&key))?;
        let slices = self.tail(name.camera)?.waiting().to_vec();
        let path = self.places.to(&file_name(name));
        files::replace(&path, &write_all(&slices), &OpenOptions::new()).map_err(Error::io("write", &path))?;
        self.change(name.camera, |tail| tail.advance(&slices))
    }

    /// Where [`Ledgers::cut`] puts a file.
    pub fn file(&self, name: &RecordingName) -> PathBuf {
        self.places.at(&file_name(name))
    }

    /// What these recordings, oldest first, and the ends say of one camera: dates into `dates`, and the rest.
    pub fn history(&mut self, camera: CameraId, recordings: &[PathBuf], dates: &mut Dates) -> Stitched {
        let read = |path: &PathBuf| {
            slices_of(path).unwrap_or_else(|error| {
                tracing::warn!(%error, "its gaps are not shown");
                Vec::new()
            })
        };
        let mut slices: Vec<Slice> = recordings.iter().flat_map(read).collect();
        if let (Some(key), Ok(tail)) = (self.key.clone(), self.tail(camera)) {
            slices.extend(tail.cut(&key));
        }
        for slice in &slices {
            let clock = slice.entries.iter().filter(|entry| matches!(entry, Entry::Clock { .. }));
            clock.for_each(|entry| dates.add(slice.boot, entry));
        }
        stitch(&slices)
    }

    /// Changes the end of one ledger, on the disk first.
    fn change(&mut self, camera: CameraId, change: impl FnOnce(&mut Tail)) -> Result<(), Error> {
        let mut tail = self.tail(camera)?.clone();
        change(&mut tail);
        let path = self.places.to(&file_name(&camera));
        files::replace(&path, &tail.to_bytes(), &OpenOptions::new()).map_err(Error::io("write", &path))?;
        self.tails.insert(camera, tail);
        Ok(())
    }

    /// The end of one ledger.
    fn tail(&mut self, camera: CameraId) -> Result<&Tail, Error> {
        Ok(match self.tails.entry(camera) {
            Occupied(known) => known.into_mut(),
            Vacant(place) => {
                let mut tail = read(&self.places, camera)?;
                if self.places.is_first_in_ram(&file_name(&camera)) {
                    tail.branch(self.boot);
                }
                place.insert(tail)
            }
        })
    }

    /// Whether the end of a ledger is here; without it a chain would be begun anew.
    pub fn has_end(&self, camera: CameraId) -> bool {
        self.places.at(&file_name(&camera)).exists()
    }
}

/// Of a ledger's end by its camera, of what leaves by itself by its name.
fn file_name(of: &impl Display) -> String {
    format!("{of}.{EXTENSION}")
}

/// Reads the end of one ledger; begins a chain where there is none, or none that can be read: recording goes on in any case.
fn read(places: &Places, camera: CameraId) -> Result<Tail, Error> {
    let path = places.at(&file_name(&camera));
    let tail = match files::read_bounded(&path, slice::MOST_BYTES as u64) {
        Ok(bytes) => parse(&path, &bytes, Tail::parse),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            tracing::info!(%camera, "a ledger is begun");
            return Ok(Tail::begin(camera, seed()?));
        }
        Err(error) => Err(Error::io("read", &path)(error)),
    };
    let mut tail = match tail {
        Ok(tail) => tail,
        Err(error) => {
            tracing::error!(%camera, %error, "THE LEDGER IS BEGUN ANEW");
            return Ok(Tail::begin(camera, seed()?));
        }
    };
    for path in files_of(places, camera) {
        let bytes = files::read_bounded(&path, slice::MOST_BYTES as u64).map_err(Error::io("read", &path));
        match bytes.and_then(|bytes| parse(&path, &bytes, Slice::parse_all)) {
            Ok(slices) => tail.advance(&slices),
            Err(error) => tracing::error!(%error, "left as it is"),
        }
    }
    Ok(tail)
}

/// The `NAME.ledger` files of one camera, by name. A folder that cannot be listed has none.
fn files_of(places: &Places, camera: CameraId) -> Vec<PathBuf> {
    let list = places.all().filter_map(|dir| std::fs::read_dir(dir).ok()).flatten();
    let paths = list.filter_map(|file| Some(file.ok()?.path()));
    let mut found: Vec<PathBuf> =
        paths.filter(|path| name_of(path).is_some_and(|name| name.camera == camera)).collect();
    found.sort_unstable_by_key(|path| name_of(path));
    found
}

/// The name, if this is a `NAME.ledger`.
pub fn name_of(path: &Path) -> Option<RecordingName> {
    let is_ledger = path.extension().is_some_and(|extension| extension == EXTENSION);
    path.file_stem().filter(|_| is_ledger)?.to_str()?.parse().ok()
}

/// The slices that the seal of a recording carries.
fn slices_of(path: &Path) -> Result<Vec<Slice>, Error> {
    let ledger = demux::ledger(&Source::open(path)?).map_err(Error::unreadable(path))?;
    parse(path, &ledger, Slice::parse_all)
}

fn parse<T>(
    path: &Path,
    bytes: &[u8],
    parser: fn(&[u8]) -> Result<T, media::ledger::Error>,
) -> Result<T, Error> {
    parser(bytes).map_err(|source| Error::Ledger { path: path.to_owned(), source })
}

fn seed() -> Result<Hash, Error> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed)
        .map_err(|error| Error::io("read", Path::new("/dev/urandom"))(io::Error::other(error.to_string())))?;
    Ok(seed)
}

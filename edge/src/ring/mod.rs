//! The ring: the last seconds of one camera, on a RAM disk.
//!
//! The bytes are in one file of fixed size, which is taken whole at the start, so that a RAM disk that fills up later
//! cannot stop the camera. A log runs round in it; an index of one entry a GOP stands in front ([`log`] has the picture).
//! The same index is in memory, in a `heapless` deque behind a lock that is never held across I/O.
//!
//! - One [`Writer`], in the encode thread, allocates nothing and waits for nobody.
//! - Any number of readers, each with a [`Cursor`]. A reader that the log has overtaken is told so and goes on at the
//!   newest IDR.
//! - Bounded by seconds and by bytes: the oldest GOP leaves.
//! - It outlives the process: [`open`] finds every access unit whose [`Writer::append`] had returned.

mod cursor;
mod index;
mod log;
mod writer;

pub use cursor::{Cursor, From, Next};
pub use writer::Writer;

use crate::status::CameraMetrics;
use index::{Entry, Index};
use log::Log;
use media::{Gop, StreamConfig, Ticks90k, WallTime};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::watch;

/// Why the ring could not do what it was asked for.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file of the ring could not be made, read or written.
    #[error("ring {path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Another process has this ring open.
    #[error("ring {path}: another process uses it")]
    Busy {
        /// The file.
        path: PathBuf,
    },
    /// The GOP has left the ring.
    #[error("GOP {sequence} has left the ring of camera {camera}")]
    Gone {
        /// The camera's name.
        camera: String,
        /// The GOP that was asked for.
        sequence: u64,
    },
    /// The GOP has not begun yet.
    #[error("GOP {sequence} of camera {camera} has not begun")]
    Future {
        /// The camera's name.
        camera: String,
        /// The GOP that was asked for.
        sequence: u64,
    },
    /// The access unit does not fit: the GOP is larger than the ring, or it lost an earlier unit.
    #[error("ring {path}: an access unit of {bytes} bytes does not fit into this GOP")]
    DoesNotFit {
        /// The file.
        path: PathBuf,
        /// Size of the access unit.
        bytes: usize,
    },
}

/// What bounds a ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Seconds of footage.
    pub seconds: u32,
    /// Bytes of footage.
    pub bytes: u64,
}

/// What is known of a GOP without reading it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GopInfo {
    /// Counts the GOPs of the camera, over restarts too.
    pub sequence: u64,
    /// `pts` of the IDR.
    pub start: Ticks90k,
    /// `pts` of the first picture of the next GOP, if that has begun without a discontinuity.
    pub end: Option<Ticks90k>,
    /// `pts` of its newest picture.
    pub last_video: Ticks90k,
    /// Wall time of `start`, if it was known.
    pub wall: Option<WallTime>,
    /// Media time does not follow on from the GOP before, the configuration changed, or the camera went or came back.
    pub discontinuity: bool,
    /// It is a placeholder for viewers and no footage: the camera is gone since then.
    pub gone_since: Option<Ticks90k>,
    /// What a decoder must know.
    pub config: Arc<StreamConfig>,
    /// Bytes in the ring.
    pub bytes: u64,
    /// Nothing will be added: the next GOP has begun, or the process that wrote it has ended.
    pub complete: bool,
}

/// What the writer and all readers of one camera share.
struct Shared {
    camera: String,
    path: PathBuf,
    log: Log,
    metrics: CameraMetrics,
    index: Mutex<Index>,
    appended: Condvar,
    version: watch::Sender<u64>,
}

impl Shared {
    fn index(&self) -> MutexGuard<'_, Index> {
        // Every change of the index is a single assignment: a panic elsewhere leaves it whole.
        self.index.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn io(&self, source: std::io::Error) -> Error {
        Error::Io { path: self.path.clone(), source }
    }

    fn announce(&self) {
        self.version.send_modify(|version| *version += 1);
        self.appended.notify_all();
    }
}

/// Opens the ring of one camera under `dir` and finds the footage that an earlier process of this boot left there.
///
/// If the RAM disk has no room for `limits.bytes`, the ring is made as large as fits (halved, down to 1 MiB); see
/// [`Ring::capacity`].
///
/// # Errors
/// The file cannot be made, or another process uses it.
pub fn open(
    dir: &Path,
    camera: &str,
    limits: Limits,
    boot_id: &str,
    metrics: CameraMetrics,
) -> Result<(Writer, Ring), Error> {
    let path = dir.join(format!("{camera}.ring"));
    let log = Log::open(&path, limits.bytes, boot_id)?;
    let index = index::recover(&log).map_err(|source| Error::Io { path: path.clone(), source })?;
    let shared = Arc::new(Shared {
        camera: camera.to_owned(),
        path,
        log,
        metrics,
        index: Mutex::new(index),
        appended: Condvar::new(),
        version: watch::Sender::new(0),
    });
    Ok((Writer::new(Arc::clone(&shared), limits), Ring { shared }))
}

/// Whether `dir` is on a RAM disk.
pub fn on_ram_disk(dir: &Path) -> bool {
    nix::sys::statfs::statfs(dir).is_ok_and(|fs| {
        fs.filesystem_type() == nix::sys::statfs::TMPFS_MAGIC || fs.filesystem_type() == RAMFS_MAGIC
    })
}

/// `RAMFS_MAGIC` of linux/magic.h; nix has no name for it.
const RAMFS_MAGIC: nix::sys::statfs::FsType = nix::sys::statfs::FsType(0x8584_58f6_u32 as _);

/// The readers' side of a ring; cheap to clone.
#[derive(Clone)]
pub struct Ring {
    shared: Arc<Shared>,
}

impl Ring {
    /// The camera's name.
    pub fn camera(&self) -> &str {
        &self.shared.camera
    }

    /// Bytes that the ring can hold: less than configured if the RAM disk had no room.
    pub fn capacity(&self) -> u64 {
        self.shared.log.capacity()
    }

    /// All GOPs, oldest first.
    pub fn index(&self) -> Vec<GopInfo> {
        self.shared.index().infos().collect()
    }

    /// The newest GOP: the one in flight, while pictures flow.
    pub fn newest(&self) -> Option<GopInfo> {
        self.shared.index().newest_info()
    }

    /// What is known of one GOP.
    ///
    /// # Errors
    /// It has left the ring, or has not begun.
    pub fn info(&self, sequence: u64) -> Result<GopInfo, Error> {
        let index = self.shared.index();
        index.info(sequence).ok_or_else(|| self.absent(&index, sequence))
    }

    /// Reads one GOP whole; of the one in flight, what is there now.
    ///
    /// # Errors
    /// It has left the ring (also while it was being read), or has not begun.
    pub fn read(&self, sequence: u64) -> Result<Gop, Error> {
        let info = self.info(sequence)?;
        let entry = self.entry(sequence)?;
        let bytes = self.shared.log.read(entry.offset, entry.len).map_err(|e| self.shared.io(e))?;
        // The writer takes a GOP out of the index before it overwrites the first byte of it: what is still in the
        // index now was whole while it was read.
        self.info(sequence)?;
        let units = log::units(&bytes).map_err(|e| self.shared.io(e))?;
        Ok(Gop {
            sequence,
            start: info.start,
            wall: info.wall,
            discontinuity: info.discontinuity,
            config: info.config,
            units,
            end: info.end,
        })
    }

    /// A reader that starts at `from`.
    pub fn cursor(&self, from: From) -> Cursor {
        Cursor::new(self.clone(), from)
    }

    /// Changes with every access unit; for tasks.
    pub fn changed(&self) -> watch::Receiver<u64> {
        self.shared.version.subscribe()
    }

    /// Waits until the count of changes differs from `seen`, at most `timeout`, and gives it; for threads.
    pub fn wait(&self, seen: u64, timeout: Duration) -> u64 {
        let index = self.shared.index();
        let unchanged = |_: &mut Index| *self.shared.version.borrow() == seen;
        let _index = self.shared.appended.wait_timeout_while(index, timeout, unchanged);
        *self.shared.version.borrow()
    }

    /// Sequence of the newest GOP; of the first one to come while the ring is empty.
    fn newest_or_next(&self) -> u64 {
        let index = self.shared.index();
        index.newest().map_or(index.next_sequence(), |newest| newest.sequence)
    }

    fn entry(&self, sequence: u64) -> Result<Entry, Error> {
        let index = self.shared.index();
        index.get(sequence).cloned().ok_or_else(|| self.absent(&index, sequence))
    }

    fn absent(&self, index: &Index, sequence: u64) -> Error {
        let camera = self.shared.camera.clone();
        if sequence >= index.next_sequence() {
            Error::Future { camera, sequence }
        } else {
            Error::Gone { camera, sequence }
        }
    }
}

#[cfg(test)]
mod tests;

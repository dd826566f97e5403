//! `stream.mp4`: endless CMAF, a fragment for each access unit (ISO/IEC 23000-19, 7.3.2.3), made once for all viewers.
//!
//! ```text
//! ring -> Tap (one task a camera, while somebody watches) -> shelf: the fragments of the last one to two GOPs
//!
//!   shelf    | a  P  a  P  a  P | I  P  a  P  P  a  P  a |        I: IDR  P: picture  a: AAC frame
//!              ^ first            ^ newest IDR          ^ next
//!   viewers        slow one         newcomer starts     most wait here
//! ```
//!
//! A viewer is a place on the shelf and nothing more, so there is no queue per viewer to bound. One that the shelf has
//! left behind goes on at the newest IDR, and is counted. When the decoder configuration changes, the answer ends: the viewer
//! connects again and gets the new init segment.

use crate::ring::{Cursor, From, GopInfo, Next, Ring};
use crate::status::CameraMetrics;
use bytes::{Bytes, BytesMut};
use hyper::body::Frame;
use media::mp4::{Fragment, Tracks, init_segment};
use media::{AccessUnit, StreamConfig, Track};
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use tokio::task::spawn_local;

/// Fragments on the shelf at most, should an IDR not come.
const SHELF: usize = 1024;
/// Room for the boxes of a fragment in front of its payload: with `prft` they take 140 bytes.
const BOXES: usize = 160;
/// Pause after the ring could not be read.
const RETRY: Duration = Duration::from_secs(1);

/// The fragments of one camera, for all its viewers.
pub(super) struct Tap {
    ring: Ring,
    metrics: CameraMetrics,
    viewers: Cell<usize>,
    running: Cell<bool>,
    shelf: RefCell<Shelf>,
}

#[derive(Default)]
struct Shelf {
    fragments: VecDeque<Made>,
    /// Number of the first fragment on the shelf; they count on for ever.
    first: u64,
    newest_idr: Option<u64>,
    /// Viewers who wait for what comes next.
    waiting: Vec<Waker>,
    /// How often those were woken: tells a viewer whether it is still in the list.
    wakes: u64,
}

/// One fragment, ready to be sent.
struct Made {
    track: Track,
    config: Arc<StreamConfig>,
    bytes: Bytes,
}

impl Shelf {
    fn end(&self) -> u64 {
        self.first + self.fragments.len() as u64
    }

    fn get(&self, number: u64) -> Option<&Made> {
        self.fragments.get(usize::try_from(number.checked_sub(self.first)?).ok()?)
    }

    fn push(&mut self, made: Made, idr: bool) {
        if idr {
            // The GOP before stays, for viewers who are a little behind.
            let keep = self.newest_idr.unwrap_or(self.end());
            self.drop_before(keep);
            self.newest_idr = Some(self.end());
        }
        if self.fragments.len() == SHELF {
            self.drop_before(self.first + SHELF as u64 / 2);
        }
        self.fragments.push_back(made);
    }

    fn drop_before(&mut self, number: u64) {
        let count = number.saturating_sub(self.first).min(self.fragments.len() as u64);
        self.fragments.drain(..count as usize);
        self.first += count;
        self.newest_idr = self.newest_idr.filter(|idr| *idr >= self.first);
    }

    /// Forgets everything; numbers go on.
    fn clear(&mut self) {
        self.drop_before(self.end());
    }

    fn wake(&mut self) {
        self.wakes += 1;
        self.waiting.drain(..).for_each(Waker::wake);
    }
}

impl Tap {
    pub(super) fn new(ring: Ring, metrics: CameraMetrics) -> Self {
        Self { ring, metrics, viewers: Cell::new(0), running: Cell::new(false), shelf: RefCell::default() }
    }

    fn join(self: &Rc<Self>) {
        self.viewers.set(self.viewers.get() + 1);
        self.metrics.viewers.inc();
        if !self.running.replace(true) {
            spawn_local(Rc::clone(self).run());
        }
    }

    fn leave(&self) {
        self.viewers.set(self.viewers.get() - 1);
        self.metrics.viewers.dec();
    }

    /// Follows the ring until the last viewer has left.
    async fn run(self: Rc<Self>) {
        let mut changed = self.ring.changed();
        let mut cursor = self.ring.cursor(From::NewestIdr);
        let mut sequence = 0;
        while self.viewers.get() > 0 {
            if let Err(error) = self.fill(&mut cursor, &mut sequence) {
                tracing::warn!(camera = self.ring.camera(), %error, "the ring cannot be read");
                tokio::time::sleep(RETRY).await;
            }
            self.shelf.borrow_mut().wake();
            // The sender lives in the ring that this task holds.
            let _changed = changed.changed().await;
        }
        self.shelf.borrow_mut().clear();
        self.running.set(false);
    }

    /// Puts everything that is new in the ring on the shelf.
    fn fill(&self, cursor: &mut Cursor, sequence: &mut u32) -> Result<(), Error> {
        loop {
            match cursor.next_unit()? {
                Next::Unit { gop, unit } => {
                    *sequence = sequence.wrapping_add(1);
                    let made = make(&gop, &unit, *sequence)?;
                    self.shelf.borrow_mut().push(made, unit.track == Track::Video && unit.key);
                }
                // The viewers go on at the next IDR, which comes now.
                Next::Lapped { .. } => self.shelf.borrow_mut().clear(),
                Next::Pending => return Ok(()),
            }
        }
    }
}

#[derive(Debug, thiserror::Error)]
enum Error {
    #[error(transparent)]
    Ring(#[from] crate::ring::Error),
    #[error(transparent)]
    Fragment(#[from] media::mp4::Error),
}

fn make(gop: &GopInfo, unit: &AccessUnit, sequence: u32) -> Result<Made, media::mp4::Error> {
    let mut fragment = Fragment::single(&gop.config, sequence, unit)?;
    if unit.track == Track::Video && unit.key {
        // The page reads the latency from it.
        fragment.captured = gop.wall;
    }
    let mut bytes = BytesMut::with_capacity(BOXES + unit.data.len());
    fragment.write(&mut bytes)?;
    Ok(Made { track: unit.track, config: Arc::clone(&gop.config), bytes: bytes.freeze() })
}

/// The body of one viewer's answer.
pub(super) struct Viewer {
    tap: Rc<Tap>,
    tracks: Tracks,
    /// Number of the fragment that comes next, once it has an init segment.
    place: Option<u64>,
    config: Option<Arc<StreamConfig>>,
    /// Where its waker is, and in which round.
    waits: Option<(u64, usize)>,
}

impl Viewer {
    pub(super) fn new(tap: &Rc<Tap>, tracks: Tracks) -> Self {
        tap.join();
        Self { tap: Rc::clone(tap), tracks, place: None, config: None, waits: None }
    }

    fn wait(&mut self, shelf: &mut Shelf, waker: &Waker) {
        match self.waits {
            Some((round, index)) if round == shelf.wakes => {
                if let Some(own) = shelf.waiting.get_mut(index) {
                    own.clone_from(waker);
                }
            }
            _ => {
                self.waits = Some((shelf.wakes, shelf.waiting.len()));
                shelf.waiting.push(waker.clone());
            }
        }
    }

    /// The next bytes; `None` when the answer ends.
    fn next(&mut self, cx: &Context<'_>) -> Poll<Option<Bytes>> {
        let tap = Rc::clone(&self.tap);
        let mut shelf = tap.shelf.borrow_mut();
        loop {
            let place = match self.place {
                Some(place) if place >= shelf.first => place,
                lapped => match shelf.newest_idr {
                    Some(idr) => {
                        if lapped.is_some() {
                            tap.metrics.reader_lapped.inc();
                        }
                        self.place = Some(idr);
                        idr
                    }
                    None => {
                        self.wait(&mut shelf, cx.waker());
                        return Poll::Pending;
                    }
                },
            };
            let Some(made) = shelf.get(place) else {
                self.wait(&mut shelf, cx.waker());
                return Poll::Pending;
            };
            match &self.config {
                None => {
                    self.config = Some(Arc::clone(&made.config));
                    return Poll::Ready(Some(init_segment(&made.config, self.tracks)));
                }
                Some(config) if !Arc::ptr_eq(config, &made.config) && *config != made.config => {
                    return Poll::Ready(None);
                }
                Some(_) => {}
            }
            self.place = Some(place + 1);
            if self.tracks.contains(made.track) {
                return Poll::Ready(Some(made.bytes.clone()));
            }
        }
    }
}

impl hyper::body::Body for Viewer {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        self.next(cx).map(|bytes| bytes.map(|bytes| Ok(Frame::data(bytes))))
    }
}

impl Drop for Viewer {
    fn drop(&mut self) {
        self.tap.leave();
    }
}

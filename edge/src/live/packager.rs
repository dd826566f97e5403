//! The timeline of one camera and the pieces on it, which HLS and DASH are views of.
//!
//! ```text
//! ring -> follow (a task, while somebody asks) -> Timeline + the GOP that grows      version + 1 with every part
//!                                                       |
//!          playlists, MPD: text, once a version --------+-- wait_for: requests that are ahead of the camera wait here
//!          parts, segments: from the ring, on demand, the last ones kept
//! ```
//!
//! Nothing is kept of a GOP that has ended but its times and sizes: its bytes are in the ring.

use crate::ring::{Cursor, From, GopInfo, Next, Ring};
use bytes::{Bytes, BytesMut};
use media::hls::Resource;
use media::mp4::fragment::SegmentType;
use media::mp4::{Fragment, Run};
use media::timeline::{Part, Timeline, parts};
use media::{AccessUnit, Gop, Ticks90k, Track};
use prometheus_client::metrics::counter::Counter;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::{spawn_local, yield_now};
use tokio::time::{Instant, sleep, timeout_at};

/// Segments that are in the ring but no longer listed, so that a player gets what it has just read of (RFC 8216bis, 6.2.2).
const UNLISTED: u64 = 3;
/// A request waits for this many target durations at most (6.2.5.2); a target duration is one second.
const PATIENCE: Duration = Duration::from_secs(3);
/// Requests of one camera that wait at once.
const WAITING: usize = 256;
/// The timeline is given up when nobody has asked for this long.
const IDLE: Duration = Duration::from_secs(60);
/// Pause after the ring could not be read.
const RETRY: Duration = Duration::from_secs(1);
/// Built pieces that are kept for the next viewer who asks: how many, and bytes in all.
const KEPT: usize = 32;
const KEPT_BYTES: usize = 4 << 20;
/// `mfhd` numbers left for the parts of one segment.
const PARTS: u64 = 16;

/// Why a request that waited got nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unready {
    /// It did not come in time.
    #[error("The camera has delivered nothing new for {} seconds.", PATIENCE.as_secs())]
    Late,
    /// Too many wait already.
    #[error("Too many requests wait for this camera.")]
    Busy,
}

/// Why a piece cannot be had.
#[derive(Debug, thiserror::Error)]
pub(super) enum Absent {
    #[error(transparent)]
    Ring(#[from] crate::ring::Error),
    #[error(transparent)]
    Fragment(#[from] media::mp4::Error),
    #[error(transparent)]
    Ts(#[from] media::ts::Error),
    #[error("the segment has no such part")]
    NoPart,
}

/// The texts that are views of the timeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum View {
    /// The multivariant playlist.
    Master,
    /// The media playlist of a track, whole or as a delta update.
    Media(Track, bool),
    /// The playlist over MPEG-TS.
    Ts,
    /// The DASH MPD.
    Mpd,
}

/// The timeline of one camera.
pub(super) struct Packager {
    ring: Ring,
    window: usize,
    running: Cell<bool>,
    asked: Cell<Instant>,
    waiting: Cell<usize>,
    turned_away: Counter,
    state: RefCell<State>,
    version: watch::Sender<u64>,
}

#[derive(Default)]
struct State {
    timeline: Option<Timeline>,
    /// When the timeline was begun.
    epoch: Ticks90k,
    /// The oldest GOP that the ring had then.
    oldest: u64,
    /// The GOP that grows.
    open: Option<Gop>,
    /// What is listed: the newest sequence, whether it has ended, how many parts of each track it has.
    listed: Option<(u64, bool, usize, usize)>,
    texts: Vec<(View, Bytes)>,
    kept: VecDeque<(Resource, Bytes)>,
    kept_bytes: usize,
}

impl Packager {
    /// For a ring of `seconds` seconds. Requests that find too many waiting are counted as `turned_away`.
    pub(super) fn new(ring: Ring, seconds: u32, turned_away: Counter) -> Self {
        Self {
            ring,
            window: (u64::from(seconds).saturating_sub(UNLISTED)) as usize,
            running: Cell::default(),
            asked: Cell::new(Instant::now()),
            waiting: Cell::default(),
            turned_away,
            state: RefCell::default(),
            version: watch::Sender::new(0),
        }
    }

    /// The camera's name.
    pub(super) fn camera(&self) -> &str {
        self.ring.camera()
    }

    /// Somebody asks: the timeline is kept up for a while from now.
    fn touch(self: &Rc<Self>) {
        self.asked.set(Instant::now());
        if !self.running.replace(true) {
            spawn_local(Rc::clone(self).follow());
        }
    }

    /// Waits until `look` finds what it looks for in the timeline.
    pub(super) async fn wait_for<T>(
        self: &Rc<Self>,
        mut look: impl FnMut(&Timeline) -> Option<T>,
    ) -> Result<T, Unready> {
        self.touch();
        let mut changed = self.version.subscribe();
        let mut turn = None;
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(found) = self.state.borrow().timeline.as_ref().and_then(&mut look) {
                return Ok(found);
            }
            if turn.is_none() {
                turn = Turn::new(&self.waiting);
            }
            if turn.is_none() {
                self.turned_away.inc();
                return Err(Unready::Busy);
            }
            match timeout_at(deadline, changed.changed()).await {
                Ok(_sender_lives_in_self) => {}
                Err(_) => return Err(Unready::Late),
            }
        }
    }

    /// A view of the timeline as it is now, made once for each version. `make` gives `None` while it cannot be made.
    pub(super) fn text(&self, view: View, make: impl FnOnce(&Timeline) -> Option<String>) -> Option<Bytes> {
        let mut state = self.state.borrow_mut();
        if let Some((_, text)) = state.texts.iter().find(|(made, _)| *made == view) {
            return Some(text.clone());
        }
        let text = Bytes::from(make(state.timeline.as_ref()?)?);
        state.texts.push((view, text.clone()));
        Some(text)
    }

    /// Names the timeline, for entity tags.
    pub(super) fn epoch(&self) -> i64 {
        self.state.borrow().epoch.0
    }

    /// Counts the changes of the timeline, for entity tags.
    pub(super) fn version(&self) -> u64 {
        *self.version.borrow()
    }

    /// One part: a fragment of one track.
    pub(super) fn part(&self, track: Track, sequence: u64, index: u32) -> Result<Bytes, Absent> {
        self.kept(Resource::Part(track, sequence, index), || {
            let (gop, complete) = self.gop(sequence)?;
            let all = parts(&gop, track, complete);
            let part = all.get(index as usize).ok_or(Absent::NoPart)?;
            let mut bytes = BytesMut::new();
            fragment(&gop, track, part, u64::from(index), &mut bytes)?;
            Ok(bytes.freeze())
        })
    }

    /// One track of a GOP that has ended: its parts one after the other.
    pub(super) fn segment(&self, track: Track, sequence: u64) -> Result<Bytes, Absent> {
        self.kept(Resource::Segment(track, sequence), || {
            let gop = self.ring.read(sequence)?;
            let mut bytes = BytesMut::new();
            for (index, part) in (0..).zip(&parts(&gop, track, true)) {
                fragment(&gop, track, part, index, &mut bytes)?;
            }
            Ok(bytes.freeze())
        })
    }

    /// A GOP that has ended, in MPEG-TS.
    pub(super) fn ts(&self, sequence: u64) -> Result<Bytes, Absent> {
        self.kept(Resource::Ts(sequence), || {
            let mut bytes = Vec::new();
            media::ts::mux(&self.ring.read(sequence)?, &mut bytes)?;
            Ok(bytes.into())
        })
    }

    /// The GOP as the timeline has it, and whether it has ended.
    fn gop(&self, sequence: u64) -> Result<(Gop, bool), Absent> {
        match &self.state.borrow().open {
            Some(open) if open.sequence == sequence => Ok((open.clone(), false)),
            _ => Ok((self.ring.read(sequence)?, true)),
        }
    }

    fn kept(
        &self,
        resource: Resource,
        build: impl FnOnce() -> Result<Bytes, Absent>,
    ) -> Result<Bytes, Absent> {
        if let Some((_, bytes)) = self.state.borrow().kept.iter().find(|(kept, _)| *kept == resource) {
            return Ok(bytes.clone());
        }
        let bytes = build()?;
        let mut state = self.state.borrow_mut();
        state.kept_bytes += bytes.len();
        state.kept.push_back((resource, bytes.clone()));
        while state.kept.len() > KEPT || state.kept_bytes > KEPT_BYTES {
            let Some((_, oldest)) = state.kept.pop_front() else { break };
            state.kept_bytes -= oldest.len();
        }
        Ok(bytes)
    }

    /// Keeps the timeline up until nobody has asked for a while.
    async fn follow(self: Rc<Self>) {
        let mut changed = self.ring.changed();
        let next = self.catch_up().await;
        let mut cursor = self.ring.cursor(next.map_or(From::NewestIdr, From::Sequence));
        while self.asked.get().elapsed() < IDLE {
            if let Err(error) = self.advance(&mut cursor) {
                tracing::warn!(camera = self.camera(), %error, "the ring cannot be read");
                sleep(RETRY).await;
            }
            // The sender lives in the ring that this task holds. A camera that is gone must not keep the task.
            let _changed_or_idle = timeout_at(self.asked.get() + IDLE, changed.changed()).await;
        }
        *self.state.borrow_mut() = State::default();
        self.running.set(false);
    }

    /// Puts what the ring has on a new timeline, and gives the sequence of what comes next.
    async fn catch_up(&self) -> Option<u64> {
        self.state.borrow_mut().epoch = crate::supervise::clock::media_now();
        let mut next = None;
        let index = self.ring.index();
        self.state.borrow_mut().oldest = index.first().map_or(0, |gop| gop.sequence);
        for info in index {
            if !info.complete {
                break;
            }
            if let Ok(gop) = self.ring.read(info.sequence) {
                self.state.borrow_mut().update(&gop, true, self.window);
            }
            next = Some(info.sequence + 1);
            // Viewers of the live stream must not wait for all of the ring to be read.
            yield_now().await;
        }
        self.announce();
        next
    }

    /// Takes what is new in the ring.
    fn advance(&self, cursor: &mut Cursor) -> Result<(), crate::ring::Error> {
        loop {
            match cursor.next_unit()? {
                Next::Unit { gop, unit } => self.take(&gop, unit),
                Next::Lapped { .. } => self.state.borrow_mut().open = None,
                Next::Pending => break,
            }
        }
        let mut state = self.state.borrow_mut();
        if let Some(open) = state.open.take() {
            state.update(&open, false, self.window);
            state.open = Some(open);
        }
        drop(state);
        self.announce();
        Ok(())
    }

    fn take(&self, info: &GopInfo, unit: AccessUnit) {
        let mut state = self.state.borrow_mut();
        if state.open.as_ref().is_some_and(|open| open.sequence != info.sequence)
            && let Some(mut ended) = state.open.take()
        {
            let follows = !info.discontinuity && info.sequence == ended.sequence + 1;
            ended.end = follows.then_some(info.start);
            state.update(&ended, true, self.window);
            state.unlist(self.ring.index().first());
        }
        let open = state.open.get_or_insert_with(|| Gop {
            sequence: info.sequence,
            start: info.start,
            wall: info.wall,
            discontinuity: info.discontinuity,
            config: Arc::clone(&info.config),
            units: Vec::new(),
            end: None,
        });
        open.units.push(unit);
    }

    /// Wakes those who wait, if there is something new for them.
    fn announce(&self) {
        let mut state = self.state.borrow_mut();
        let listed = state.listed();
        if listed != state.listed {
            state.listed = listed;
            state.texts.clear();
            self.version.send_modify(|version| *version += 1);
        }
    }
}

impl State {
    fn update(&mut self, gop: &Gop, complete: bool, window: usize) {
        let timeline = self.timeline.get_or_insert_with(|| Timeline::new(&gop.config, window));
        timeline.update(gop, complete);
    }

    /// Takes what is about to leave the ring off the list, once the ring is full and `oldest` has moved on.
    fn unlist(&mut self, oldest: Option<&GopInfo>) {
        if let (Some(timeline), Some(oldest)) = (&mut self.timeline, oldest)
            && oldest.sequence > self.oldest
        {
            timeline.expire(oldest.sequence + UNLISTED);
        }
    }

    fn listed(&self) -> Option<(u64, bool, usize, usize)> {
        let newest = self.timeline.as_ref()?.segments().next_back()?;
        Some((newest.sequence, newest.complete, newest.video.parts.len(), newest.audio.parts.len()))
    }
}

/// One of the requests that wait.
struct Turn<'a>(&'a Cell<usize>);

impl<'a> Turn<'a> {
    fn new(waiting: &'a Cell<usize>) -> Option<Self> {
        let room = waiting.get() < WAITING;
        room.then(|| {
            waiting.set(waiting.get() + 1);
            Self(waiting)
        })
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

/// Appends part `index` of a track as a fragment; the first one begins the segment.
fn fragment(
    gop: &Gop,
    track: Track,
    part: &Part,
    index: u64,
    out: &mut BytesMut,
) -> Result<(), media::mp4::Error> {
    let first = index == 0;
    let run = Run { track, origin: Ticks90k::ZERO, units: part.units_of(gop, track), end: part.end() };
    Fragment {
        config: &gop.config,
        // Wraps after eight years, and only has to rise.
        sequence: (gop.sequence * PARTS + index) as u32,
        segment: first.then_some(SegmentType::Segment),
        captured: gop.wall.filter(|_| first).map(|wall| wall.plus(part.start - gop.start)),
        runs: [run],
    }
    .write(out)
}

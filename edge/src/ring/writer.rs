//! The writing side of the ring.

use super::index::Entry;
use super::log::{self, Kind, RECORD_HEADER, record_header};
use super::{Error, Limits, Shared};
use media::{StreamConfig, Ticks90k, Track, WallTime};
use std::sync::Arc;

/// What an earlier process left is kept for so long, whatever its age: nothing may have run for hours, and the last of it waits to be
/// recorded.
const SPARED: Ticks90k = Ticks90k(10 * Ticks90k::SECOND.0);

/// Appends access units; one a camera, in its encode thread. Neither waits for a reader nor allocates.
pub struct Writer {
    shared: Arc<Shared>,
    limits: Limits,
    /// Holds the head record of a GOP while it is written.
    scratch: Vec<u8>,
    /// A unit of this GOP was lost: what would follow it cannot be decoded.
    broken: bool,
    /// The first GOP of this process, and where it began.
    first: Option<(u64, Ticks90k)>,
}

impl Writer {
    pub(super) fn new(shared: Arc<Shared>, limits: Limits) -> Self {
        Self { shared, limits, scratch: Vec::with_capacity(log::MOST_HEAD * 2), broken: true, first: None }
    }

    /// `pts` of the newest picture, also of one that an earlier process wrote.
    pub fn last_video_pts(&self) -> Option<Ticks90k> {
        self.shared.index().newest().map(|entry| entry.last_video)
    }

    /// Starts a GOP; the next picture appended must be its IDR, at `start`.
    ///
    /// # Errors
    /// The RAM disk failed. Until a GOP could be started, units are refused.
    pub fn begin_gop(
        &mut self,
        start: Ticks90k,
        wall: Option<WallTime>,
        config: &Arc<StreamConfig>,
    ) -> Result<(), Error> {
        self.begin(start, wall, config, None)
    }

    /// The same for a GOP of placeholders: viewers see it, and it is no footage. The camera is gone since `gone_since`.
    ///
    /// # Errors
    /// As [`Writer::begin_gop`].
    pub fn begin_placeholder(
        &mut self,
        start: Ticks90k,
        wall: Option<WallTime>,
        config: &Arc<StreamConfig>,
        gone_since: Ticks90k,
    ) -> Result<(), Error> {
        self.begin(start, wall, config, Some(gone_since))
    }

    fn begin(
        &mut self,
        start: Ticks90k,
        wall: Option<WallTime>,
        config: &Arc<StreamConfig>,
        gone_since: Option<Ticks90k>,
    ) -> Result<(), Error> {
        self.broken = true;
        let (sequence, discontinuity) = {
            let index = self.shared.index();
            (index.next_sequence(), index.breaks(start, config, gone_since.is_none()))
        };
        self.first.get_or_insert((sequence, start));
        log::write_head(&mut self.scratch, wall, discontinuity, gone_since, config)
            .map_err(|e| self.failed(e))?;
        let bytes = (RECORD_HEADER + self.scratch.len()) as u64;
        self.make_room(start, bytes)?;
        let offset = self.shared.index().head();
        let entry = Entry {
            sequence,
            offset,
            len: bytes,
            start,
            last_video: start,
            wall,
            discontinuity,
            gone_since,
            config: Arc::clone(config),
        };
        let header = record_header(Kind::Head, false, start, self.scratch.len());
        self.write_record(offset, &header, &self.scratch)?;
        self.shared.log.write_slot(entry.slot()).map_err(|e| self.failed(e))?;
        let (span, held) = {
            let mut index = self.shared.index();
            index.push(entry);
            (index.span(), index.bytes())
        };
        self.shared.metrics.ring_seconds.set(span.second());
        self.shared.metrics.ring_bytes.set(held as i64);
        self.broken = false;
        self.shared.announce();
        Ok(())
    }

    /// Appends a picture or an AAC frame to the GOP in flight. When it returns, readers see it, and it outlives the process.
    ///
    /// # Errors
    /// The RAM disk failed, or the GOP has outgrown the ring: the rest of the GOP is refused and counted.
    pub fn append(&mut self, track: Track, pts: Ticks90k, key: bool, data: &[u8]) -> Result<(), Error> {
        let bytes = (RECORD_HEADER + data.len()) as u64;
        if self.broken || data.len() > self.shared.log.capacity() as usize / 4 {
            return Err(self.refused(data.len()));
        }
        self.make_room(pts, bytes)?;
        let Some((mut slot, offset)) =
            self.shared.index().newest().map(|entry| (entry.slot(), entry.offset + entry.len))
        else {
            return Err(self.refused(data.len()));
        };
        self.write_record(offset, &record_header(Kind::of(track), key, pts, data.len()), data)?;
        slot.len += bytes;
        self.shared.log.write_slot(slot).map_err(|e| self.failed(e))?;
        if let Some(entry) = self.shared.index().newest_mut() {
            entry.len = slot.len;
            if track == Track::Video {
                entry.last_video = pts;
            }
        }
        self.shared.announce();
        Ok(())
    }

    /// Lets the oldest GOPs leave until `bytes` fit and no more than the configured seconds lie before `now`, but for what is spared.
    fn make_room(&mut self, now: Ticks90k, bytes: u64) -> Result<(), Error> {
        let oldest_wanted = now - Ticks90k(i64::from(self.limits.seconds) * Ticks90k::SECOND.0);
        loop {
            let evicted = {
                let mut index = self.shared.index();
                let too_many = index.bytes() + bytes > self.shared.log.capacity();
                let too_old = index.oldest().is_some_and(|oldest| {
                    oldest.last_video < oldest_wanted && !self.spares(oldest.sequence, now)
                });
                // A clock that went back (a file from another boot) must not keep old footage for ever.
                let from_the_future =
                    index.oldest().is_some_and(|oldest| oldest.start > now + Ticks90k::SECOND);
                if !(too_many || too_old || from_the_future || index.is_full()) {
                    return Ok(());
                }
                if index.len() <= 1 && !self.broken {
                    // Only the GOP in flight is left.
                    return if too_many {
                        drop(index);
                        Err(self.refused(bytes as usize))
                    } else {
                        Ok(())
                    };
                }
                index.evict()
            };
            match evicted {
                Some(sequence) => self.shared.log.wipe_slot(sequence).map_err(|e| self.failed(e))?,
                None => return Ok(()),
            }
        }
    }

    /// Whether a GOP is of an earlier process, and this one has only just begun.
    fn spares(&self, sequence: u64, now: Ticks90k) -> bool {
        self.first.is_some_and(|(first, start)| sequence < first && now < start + SPARED)
    }

    fn write_record(&self, offset: u64, header: &[u8], payload: &[u8]) -> Result<(), Error> {
        let written = self.shared.log.write(offset, header);
        written.and_then(|()| self.shared.log.write(offset + header.len() as u64, payload)).map_err(|e| {
            self.shared.metrics.ring_write_errors.inc();
            self.shared.io(e)
        })
    }

    fn failed(&self, source: std::io::Error) -> Error {
        self.shared.metrics.ring_write_errors.inc();
        self.shared.io(source)
    }

    fn refused(&mut self, bytes: usize) -> Error {
        self.broken = true;
        self.shared.metrics.ring_write_errors.inc();
        Error::DoesNotFit { path: self.shared.path.clone(), bytes }
    }
}

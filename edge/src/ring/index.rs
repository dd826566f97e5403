//! The index of the ring in memory, and how it is found again after the process died.

use super::GopInfo;
use super::log::{self, Kind, Log, SLOTS, Slot};
use heapless::Deque;
use media::{StreamConfig, Ticks90k, Track, WallTime};
use std::io;
use std::sync::Arc;

/// A GOP may last this long; if the next one begins later, there is a hole, and a discontinuity. A few dropped frames are
/// none. Below it, the duration of a segment rounds to the one second that playlists promise (RFC 8216bis 4.4.3.1).
const LONGEST_GOP: Ticks90k = Ticks90k(media::time::TICKS_PER_SECOND * 3 / 2);

/// One GOP.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) sequence: u64,
    pub(super) offset: u64,
    pub(super) len: u64,
    pub(super) start: Ticks90k,
    pub(super) last_video: Ticks90k,
    pub(super) wall: Option<WallTime>,
    pub(super) discontinuity: bool,
    pub(super) gone_since: Option<Ticks90k>,
    pub(super) config: Arc<StreamConfig>,
}

impl Entry {
    pub(super) fn slot(&self) -> Slot {
        Slot { sequence: self.sequence, offset: self.offset, len: self.len }
    }
}

/// All GOPs, oldest first; sequences and offsets are contiguous.
pub(super) struct Index {
    gops: Deque<Entry, SLOTS>,
    next_sequence: u64,
    /// The newest GOP can still grow.
    in_flight: bool,
}

impl Index {
    pub(super) fn next_sequence(&self) -> u64 {
        self.next_sequence
    }

    /// Log offset behind the newest record.
    pub(super) fn head(&self) -> u64 {
        self.gops.back().map_or(0, |entry| entry.offset + entry.len)
    }

    /// Bytes of all GOPs.
    pub(super) fn bytes(&self) -> u64 {
        self.gops.front().map_or(0, |oldest| self.head() - oldest.offset)
    }

    /// Footage from the first to the last picture.
    pub(super) fn span(&self) -> Ticks90k {
        match (self.gops.front(), self.gops.back()) {
            (Some(oldest), Some(newest)) => newest.last_video - oldest.start,
            _ => Ticks90k::ZERO,
        }
    }

    pub(super) fn oldest(&self) -> Option<&Entry> {
        self.gops.front()
    }

    pub(super) fn newest(&self) -> Option<&Entry> {
        self.gops.back()
    }

    pub(super) fn newest_mut(&mut self) -> Option<&mut Entry> {
        self.gops.back_mut()
    }

    pub(super) fn len(&self) -> usize {
        self.gops.len()
    }

    pub(super) fn is_full(&self) -> bool {
        self.gops.is_full()
    }

    /// Takes out the oldest GOP; gives its sequence.
    pub(super) fn evict(&mut self) -> Option<u64> {
        self.gops.pop_front().map(|entry| entry.sequence)
    }

    /// Adds the GOP in flight. The caller has made room.
    pub(super) fn push(&mut self, entry: Entry) {
        self.next_sequence = entry.sequence + 1;
        self.in_flight = true;
        let _room_was_made = self.gops.push_back(entry);
    }

    /// Whether a GOP that starts at `start` with `config` does not follow on from the newest one. `footage`: it is no placeholder.
    pub(super) fn breaks(&self, start: Ticks90k, config: &Arc<StreamConfig>, footage: bool) -> bool {
        match self.gops.back() {
            Some(newest) if self.in_flight => {
                start - newest.start >= LONGEST_GOP
                    || start <= newest.last_video
                    || newest.config != *config
                    || newest.gone_since.is_none() != footage
            }
            _ => true,
        }
    }

    fn position(&self, sequence: u64) -> Option<usize> {
        let oldest = self.gops.front()?.sequence;
        usize::try_from(sequence.checked_sub(oldest)?).ok().filter(|n| *n < self.gops.len())
    }

    pub(super) fn get(&self, sequence: u64) -> Option<&Entry> {
        self.gops.get(self.position(sequence)?)
    }

    pub(super) fn info(&self, sequence: u64) -> Option<GopInfo> {
        self.info_at(self.position(sequence)?)
    }

    pub(super) fn newest_info(&self) -> Option<GopInfo> {
        self.info_at(self.gops.len().checked_sub(1)?)
    }

    pub(super) fn infos(&self) -> impl Iterator<Item = GopInfo> + '_ {
        (0..self.gops.len()).filter_map(|n| self.info_at(n))
    }

    fn info_at(&self, n: usize) -> Option<GopInfo> {
        let entry = self.gops.get(n)?;
        let next = self.gops.get(n + 1);
        Some(GopInfo {
            sequence: entry.sequence,
            start: entry.start,
            end: next.filter(|next| !next.discontinuity).map(|next| next.start),
            last_video: entry.last_video,
            wall: entry.wall,
            discontinuity: entry.discontinuity,
            gone_since: entry.gone_since,
            config: Arc::clone(&entry.config),
            bytes: entry.len,
            complete: next.is_some() || !self.in_flight,
        })
    }
}

/// Reads the index from the file: the longest run of whole GOPs that ends with the newest.
pub(super) fn recover(log: &Log) -> io::Result<Index> {
    let mut slots = log.slots()?;
    slots.sort_unstable_by_key(|slot| std::cmp::Reverse(slot.sequence));
    let next_sequence = slots.first().map_or(0, |slot| slot.sequence + 1);
    let head = slots.first().map_or(0, |slot| slot.offset + slot.len);
    let mut gops: Deque<Entry, SLOTS> = Deque::new();
    let mut config: Option<Arc<StreamConfig>> = None;
    for slot in slots {
        let follows = gops.front().is_none_or(|newer| {
            slot.sequence + 1 == newer.sequence && slot.offset + slot.len == newer.offset
        });
        if !follows || head - slot.offset > log.capacity() {
            break;
        }
        match read_entry(log, slot, &mut config)? {
            Some(entry) => {
                let _there_are_as_many_slots = gops.push_front(entry);
            }
            // The process died between the head record and the IDR: the newest GOP is empty.
            None if gops.is_empty() => {}
            None => break,
        }
    }
    Ok(Index { gops, next_sequence, in_flight: false })
}

/// Reads the records of one GOP; `None` if it is damaged or has no picture. GOPs of one configuration share it.
fn read_entry(log: &Log, slot: Slot, shared: &mut Option<Arc<StreamConfig>>) -> io::Result<Option<Entry>> {
    let Ok(records) = log::records(&log.read(slot.offset, slot.len)?) else { return Ok(None) };
    let Some(head) =
        records.first().filter(|r| r.kind == Kind::Head).and_then(|r| log::read_head(&r.payload))
    else {
        return Ok(None);
    };
    let pictures = || records.iter().filter(|record| record.kind == Kind::of(Track::Video));
    let (Some(idr), Some(last)) = (pictures().next().filter(|idr| idr.key), pictures().next_back()) else {
        return Ok(None);
    };
    let config = match shared {
        Some(config) if **config == head.config => Arc::clone(config),
        _ => Arc::clone(shared.insert(Arc::new(head.config))),
    };
    Ok(Some(Entry {
        sequence: slot.sequence,
        offset: slot.offset,
        len: slot.len,
        start: idr.pts,
        last_video: last.pts,
        wall: head.wall,
        discontinuity: head.discontinuity,
        gone_since: head.gone_since,
        config,
    }))
}

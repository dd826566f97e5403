//! A reader's place in the ring.

use super::{Error, GopInfo, Ring, log};
use media::AccessUnit;
use std::collections::VecDeque;
use std::sync::Arc;

/// Where a reader starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum From {
    /// At the IDR of the newest GOP, or of the first one that comes.
    NewestIdr,
    /// At a GOP by its sequence.
    Sequence(u64),
}

/// What a cursor found.
#[derive(Clone, Debug)]
pub enum Next {
    /// The next access unit, with what was known of its GOP when the cursor entered it.
    Unit {
        /// Its GOP.
        gop: Arc<GopInfo>,
        /// Itself.
        unit: AccessUnit,
    },
    /// Nothing new yet: wait with [`Ring::changed`] or [`Ring::wait`].
    Pending,
    /// The ring has overtaken the reader; it goes on at this GOP, the newest, or the next to come.
    Lapped {
        /// Sequence of the GOP that comes next.
        skipped_to: u64,
    },
}

/// Reads access units one by one. It holds nothing back: the writer does not know that it is there.
pub struct Cursor {
    ring: Ring,
    /// The GOP being read, or to be read when it begins.
    sequence: u64,
    gop: Option<Arc<GopInfo>>,
    /// Bytes of the GOP that were read.
    consumed: u64,
    ready: VecDeque<AccessUnit>,
}

impl Cursor {
    pub(super) fn new(ring: Ring, from: From) -> Self {
        let sequence = match from {
            From::NewestIdr => ring.newest_or_next(),
            From::Sequence(sequence) => sequence,
        };
        Self { ring, sequence, gop: None, consumed: 0, ready: VecDeque::new() }
    }

    /// The next access unit, if it is there.
    ///
    /// # Errors
    /// The RAM disk failed.
    pub fn next_unit(&mut self) -> Result<Next, Error> {
        loop {
            if let (Some(unit), Some(gop)) = (self.ready.pop_front(), &self.gop) {
                return Ok(Next::Unit { gop: Arc::clone(gop), unit });
            }
            let info = match self.ring.info(self.sequence) {
                Ok(info) => info,
                Err(Error::Future { .. }) => return Ok(Next::Pending),
                Err(_) => return Ok(self.lapped()),
            };
            if info.bytes > self.consumed {
                if let Err(error) = self.fetch(info) {
                    return if matches!(error, Error::Gone { .. }) { Ok(self.lapped()) } else { Err(error) };
                }
            } else if info.complete {
                self.enter(self.sequence + 1);
            } else {
                return Ok(Next::Pending);
            }
        }
    }

    /// Reads what has been added to the GOP since the last time.
    fn fetch(&mut self, info: GopInfo) -> Result<(), Error> {
        let offset = self.ring.entry(info.sequence)?.offset;
        let log = &self.ring.shared.log;
        let bytes = log.read(offset + self.consumed, info.bytes - self.consumed);
        // See Ring::read: only what is still in the index is known to be whole.
        self.ring.info(info.sequence)?;
        let units = bytes.and_then(|bytes| log::units(&bytes)).map_err(|e| self.ring.shared.io(e))?;
        self.ready.extend(units);
        self.consumed = info.bytes;
        self.gop.get_or_insert_with(|| Arc::new(info));
        Ok(())
    }

    fn enter(&mut self, sequence: u64) {
        self.sequence = sequence;
        self.gop = None;
        self.consumed = 0;
    }

    fn lapped(&mut self) -> Next {
        self.ring.shared.metrics.reader_lapped.inc();
        self.enter(self.ring.newest_or_next());
        Next::Lapped { skipped_to: self.sequence }
    }
}

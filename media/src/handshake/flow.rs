//! How much of a part is sent, confirmed, and on the remote host's disk, and what of that [`Upload`](super::Upload) knows. Pure.
//!
//! ```text
//! requests   write ... | sync | write ... | sync | write ...  >
//! answers                              < ... confirmed | synced | ... confirmed
//!
//! the part   ------------- synced ------------- confirmed ------------- sent
//! ```
//!
//! Answers come in the order of the requests, and a sync is about every write before it. Whoever drives this sends what
//! [`Flow::next`] says, a sync where one is due, and waits for an answer whenever there is no news.

use super::upload::{Reply, SYNC_EACH};
use std::ops::Range;

/// What is under way to one part. Positions are bytes of the part.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flow {
    sent: u64,
    confirmed: u64,
    /// What is told as confirmed ends here.
    told: u64,
    synced: u64,
    /// What is told as synced ends here.
    told_synced: u64,
}

impl Flow {
    /// Nothing is under way, and the next byte to be sent is the one at `at`.
    pub fn begin(at: u64) -> Self {
        Self { sent: at, confirmed: at, told: at, synced: at, told_synced: at }
    }

    /// Whether bytes from `at` on follow what is known; else the flow must begin anew there.
    pub fn goes_on_at(&self, at: u64) -> bool {
        self.told == at
    }

    /// The bytes of the next write, of those before `to` and at most `most`; none reaches beyond a place where a sync is due.
    pub fn next(&self, to: u64, most: u64) -> Option<Range<u64>> {
        let length = to.saturating_sub(self.sent).min(most).min(SYNC_EACH - self.sent % SYNC_EACH);
        (length > 0).then(|| self.sent..self.sent + length)
    }

    /// A write was sent that ends at `end`.
    pub fn send(&mut self, end: u64) {
        self.sent = end;
    }

    /// What is sent ends here.
    pub fn sent(&self) -> u64 {
        self.sent
    }

    /// Whether what is sent ends where a sync is due.
    pub fn is_sync_due(&self) -> bool {
        self.sent.is_multiple_of(SYNC_EACH)
    }

    /// The write that ends at `end` is confirmed.
    pub fn confirm(&mut self, end: u64) {
        self.confirmed = end;
    }

    /// The sync behind what ends at `end` is done.
    pub fn sync(&mut self, end: u64) {
        self.synced = end;
    }

    /// The reply to [`Step::WritePart`](super::Step::WritePart), as soon as a sync is done or `enough` is confirmed.
    pub fn news(&mut self, enough: u64) -> Option<Reply> {
        self.newly_synced().or_else(|| {
            self.told = Some(self.confirmed).filter(|confirmed| *confirmed >= enough)?;
            Some(Reply::Written(self.told))
        })
    }

    /// The reply to [`Step::EndSync`](super::Step::EndSync), as soon as a sync is done that is not told yet.
    pub fn newly_synced(&mut self) -> Option<Reply> {
        self.told_synced = Some(self.synced).filter(|synced| *synced > self.told_synced)?;
        self.told = self.told.max(self.synced);
        Some(Reply::Synced(self.synced))
    }

    /// A step is done that waited for every answer: its reply tells all.
    pub fn tell_all(&mut self) {
        (self.told, self.told_synced) = (self.confirmed, self.synced);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sends all before `to` in writes of at most `most` bytes; gives where they end, and where syncs were due.
    fn send(flow: &mut Flow, to: u64, most: u64) -> (Vec<u64>, Vec<u64>) {
        let (mut writes, mut syncs) = (Vec::new(), Vec::new());
        while let Some(bytes) = flow.next(to, most) {
            assert_eq!(bytes.start, flow.sent());
            flow.send(bytes.end);
            writes.push(bytes.end);
            syncs.extend(flow.is_sync_due().then_some(bytes.end));
        }
        (writes, syncs)
    }

    #[test]
    fn writes_end_where_a_sync_is_due() {
        let mut flow = Flow::begin(SYNC_EACH - 10);
        let sent = send(&mut flow, 2 * SYNC_EACH + 5, SYNC_EACH - 1);
        let all = vec![SYNC_EACH, 2 * SYNC_EACH - 1, 2 * SYNC_EACH, 2 * SYNC_EACH + 5];
        assert_eq!(sent, (all, vec![SYNC_EACH, 2 * SYNC_EACH]));
        assert_eq!(flow.next(2 * SYNC_EACH, 9), None, "it is sent already");
    }

    #[test]
    fn writes_are_told_once_enough_is_confirmed_and_syncs_at_once() {
        let mut flow = Flow::begin(SYNC_EACH - 20);
        send(&mut flow, SYNC_EACH + 10, 10);
        flow.confirm(SYNC_EACH - 10);
        assert_eq!(flow.news(SYNC_EACH), None);
        assert!(flow.goes_on_at(SYNC_EACH - 20));
        flow.confirm(SYNC_EACH);
        assert_eq!(flow.news(SYNC_EACH), Some(Reply::Written(SYNC_EACH)));
        assert!(flow.goes_on_at(SYNC_EACH));
        flow.sync(SYNC_EACH);
        assert_eq!(flow.news(SYNC_EACH + 10), Some(Reply::Synced(SYNC_EACH)));
        assert_eq!(flow.news(SYNC_EACH + 10), None, "each sync is told once");
        flow.confirm(SYNC_EACH + 10);
        assert_eq!(flow.news(SYNC_EACH + 10), Some(Reply::Written(SYNC_EACH + 10)));
    }

    #[test]
    fn a_sync_tells_of_the_writes_before_it_too() {
        let mut flow = Flow::begin(0);
        send(&mut flow, SYNC_EACH, SYNC_EACH);
        flow.confirm(SYNC_EACH);
        flow.sync(SYNC_EACH);
        assert_eq!(flow.newly_synced(), Some(Reply::Synced(SYNC_EACH)));
        assert!(flow.goes_on_at(SYNC_EACH));
        assert_eq!(flow.newly_synced(), None);
    }

    #[test]
    fn what_a_step_has_waited_for_is_no_news() {
        let mut flow = Flow::begin(10);
        send(&mut flow, 30, 10);
        flow.confirm(30);
        flow.sync(30);
        flow.tell_all();
        assert_eq!(flow.newly_synced(), None);
        assert!(flow.goes_on_at(30));
    }
}

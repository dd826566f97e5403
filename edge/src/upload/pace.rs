//! How much is sent at once, and how often a growing part is synced: by what the link takes.
//!
//! All cameras share one session, and what is on its way cannot be overtaken. So a piece must be small enough that a new GOP
//! which waits for its end is not late, and large enough that a long way is filled.

use media::Ticks90k;

/// Where it flows this much is confirmed at a time, in bytes.
pub const CONFIRMED: u64 = 256 << 10;
/// The smallest and the largest piece, in bytes. The largest keeps everybody at work on a fast link: the edge encrypts one part of it while the
/// server decrypts another, writes a third and syncs a fourth.
const PIECES: (u64, u64) = (32 << 10, 4 * CONFIRMED);
/// The largest one of a long path: an OpenSSH server lets 2 MiB be on their way, headers included.
const LONGEST: u64 = (2 << 20) - (32 << 10);
/// How long a piece may take beyond the round trip.
const SPAN: Ticks90k = Ticks90k(Ticks90k::SECOND.0 / 4);
/// A growing part is synced that long after its last sync.
const SYNC_EVERY: Ticks90k = Ticks90k::SECOND;
/// Where syncs take long, they may take one part in so many of the time.
const SYNC_SHARE: i64 = 8;
/// What was measured counts one part in so many.
const SMOOTHING: f64 = 8.0;

/// What is known of a session's link.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    piece: u64,
    /// The shortest time in which anything was answered.
    round_trip: Option<Ticks90k>,
    /// How long the last sync took.
    sync: Ticks90k,
    /// Bytes a second while there was something to send.
    rate: Option<f64>,
}

impl Default for Pace {
    fn default() -> Self {
        Self { piece: PIECES.0, round_trip: None, sync: Ticks90k::ZERO, rate: None }
    }
}

impl Pace {
    /// The most to send at once, in bytes.
    pub fn piece(&self) -> u64 {
        self.piece
    }

    /// Whether the link takes so much that more may be on its way behind a piece while its end is confirmed.
    pub fn flows(&self) -> bool {
        self.piece >= PIECES.1
    }

    /// Whether the path holds so much that a largest piece does not fill it.
    pub fn is_long(&self) -> bool {
        self.flows() && self.round_trip.is_some_and(|round_trip| round_trip >= SPAN)
    }

    /// Bytes a second that the link took lately.
    pub fn rate(&self) -> Option<f64> {
        self.rate
    }

    /// Something was answered after `took`.
    pub fn answered(&mut self, took: Ticks90k) {
        self.round_trip = Some(self.round_trip.map_or(took, |shortest| shortest.min(took)));
    }

    /// `bytes` were confirmed after `took`, which says nothing of the round trip: they may have been on their way before.
    pub fn wrote(&mut self, bytes: u64, took: Ticks90k) {
        let beyond = took - self.round_trip.unwrap_or(took);
        // A small write says nothing of how large a piece may be.
        if bytes >= (self.piece / 2).min(CONFIRMED) {
            if beyond < SPAN {
                let most = if self.is_long() { LONGEST } else { PIECES.1 };
                let times = if beyond < Ticks90k(SPAN.0 / 8) { 4 } else { 2 };
                self.piece = (self.piece * times).min(most);
            } else if beyond > SPAN + SPAN {
                self.piece = (self.piece / 2).max(PIECES.0);
            }
        }
        if bytes >= PIECES.0 {
            let rate = bytes as f64 / took.as_secs_f64().max(0.001);
            self.rate = Some(self.rate.map_or(rate, |known| known + (rate - known) / SMOOTHING));
        }
    }

    /// A part was synced, which took `took`.
    pub fn synced(&mut self, took: Ticks90k) {
        self.answered(took);
        self.sync = took;
    }

    /// How long after a sync the next one of a growing part is due, while `parts` grow.
    pub fn sync_every(&self, parts: usize) -> Ticks90k {
        SYNC_EVERY.max(Ticks90k(self.sync.0 * SYNC_SHARE * parts as i64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: i64 = 90;

    /// Sends pieces over a link of `rate` bytes a second and a round trip; gives the last piece and what it took.
    fn settle(rate: u64, round_trip: i64) -> (u64, Ticks90k) {
        let mut pace = Pace::default();
        pace.answered(Ticks90k(round_trip));
        let mut last = (0, Ticks90k::ZERO);
        for _ in 0..60 {
            let piece = pace.piece();
            let took = Ticks90k(round_trip + (piece * 90_000 / rate) as i64);
            pace.wrote(piece, took);
            last = (piece, took);
        }
        last
    }

    #[test]
    fn a_piece_takes_half_a_second_at_most_beyond_the_round_trip() {
        for (rate, round_trip) in
            [(200_000, MS), (200_000, 200 * MS), (2_000_000, 20 * MS), (2_000_000, 2000 * MS)]
        {
            let (piece, took) = settle(rate, round_trip);
            let beyond = took - Ticks90k(round_trip);
            assert!(beyond <= SPAN + SPAN, "{rate} B/s, {round_trip}: {piece} bytes took {took}");
            assert!(beyond >= Ticks90k(SPAN.0 / 2), "{rate} B/s, {round_trip}: {piece} bytes took {took}");
        }
        assert_eq!(settle(8_000, MS).0, PIECES.0, "slower than the smallest piece");
        assert_eq!(settle(1 << 30, MS).0, PIECES.1, "what is confirmed at once need not be on its way");
        assert_eq!(settle(1 << 30, 2000 * MS).0, LONGEST, "a long way is filled");
    }

    #[test]
    fn syncs_that_take_long_are_rarer() {
        let mut pace = Pace::default();
        assert_eq!(pace.sync_every(1), Ticks90k::SECOND);
        pace.synced(Ticks90k(100 * MS));
        assert_eq!(pace.sync_every(1), Ticks90k::SECOND);
        assert_eq!(pace.sync_every(4), Ticks90k(3200 * MS));
    }
}

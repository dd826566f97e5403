//! Which pictures are IDRs: the first one at or after each whole second of media time.
//!
//! ```text
//! media time   |7.0                         |8.0                         |9.0
//! pictures      I  p  p  p  ...  p  p  p  p   I  p  p  x  x  x  x  x  x  x   I  p      (x: lost)
//! ```
//!
//! The rule looks at the clock and never at the GOP before, so that nothing accumulates: whatever was lost, the next whole
//! second is where it always was.

use media::Ticks90k;

/// What a picture is to become.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Starts a GOP.
    Idr,
    /// Refers to the picture before it.
    P,
    /// Its timestamp does not advance: no track can hold it.
    Late,
    /// Left out, because what it would refer to was left out.
    Frozen,
}

/// Where the GOPs of one camera begin.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cadence {
    /// The whole second from which on a picture starts the next GOP; `None` when only an IDR can go on.
    due: Option<Ticks90k>,
    /// The last picture, coded or not.
    last: Option<Ticks90k>,
    /// The picture stands still until the next GOP.
    frozen: bool,
}

impl Cadence {
    /// Goes on behind the footage of an earlier process.
    pub fn after(last: Option<Ticks90k>) -> Self {
        Self { due: None, last, frozen: false }
    }

    /// What the picture at `pts` is to become.
    pub fn kind(&mut self, pts: Ticks90k) -> Kind {
        if self.last.is_some_and(|last| pts <= last) {
            return Kind::Late;
        }
        self.last = Some(pts);
        match self.due {
            Some(due) if pts < due && self.frozen => Kind::Frozen,
            Some(due) if pts < due => Kind::P,
            _ => Kind::Idr,
        }
    }

    /// The picture at `pts` started a GOP.
    pub fn started(&mut self, pts: Ticks90k) {
        self.due = Some(Ticks90k((pts.second() + 1) * Ticks90k::SECOND.0));
        self.frozen = false;
    }

    /// A coded picture was left out: no other can be sent until the next GOP starts, and that must not start early.
    pub fn freeze(&mut self) {
        self.frozen = true;
    }

    /// The next picture must start a GOP: there is nothing that it could refer to.
    pub fn broken(&mut self) {
        self.due = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The media times in milliseconds at which a GOP starts, if pictures come at `times`.
    fn starts(times: impl IntoIterator<Item = i64>) -> Vec<i64> {
        let mut cadence = Cadence::default();
        let mut idr = Vec::new();
        for ms in times {
            let pts = Ticks90k::from_millis(ms);
            if cadence.kind(pts) == Kind::Idr {
                cadence.started(pts);
                idr.push(ms);
            }
        }
        idr
    }

    #[test]
    fn a_gop_starts_with_the_first_picture_at_or_after_each_whole_second() {
        let at_25_a_second = (0..100).map(|n| 520 + 40 * n);
        assert_eq!(starts(at_25_a_second), [520, 1000, 2000, 3000, 4000]);
    }

    #[test]
    fn an_odd_frame_rate_does_not_drift_over_an_hour() {
        let at_29_97 = (0..107_892).map(|n| n * 1001 / 30);
        let starts = starts(at_29_97);
        assert_eq!(starts.len(), 3600);
        assert!(starts.iter().zip(0..).all(|(&ms, second)| (0..34).contains(&(ms - second * 1000))));
    }

    #[test]
    fn lost_and_jittered_pictures_move_no_later_border() {
        let lost = (0..200).map(|n| n * 33).filter(|ms| !(1900..3300).contains(ms) && ms % 7 != 0);
        let jittered = lost.map(|ms| ms + (ms * 31) % 17);
        let starts = starts(jittered);
        assert_eq!(starts.iter().map(|ms| ms / 1000).collect::<Vec<_>>(), [0, 1, 3, 4, 5, 6]);
        assert!(starts[3..].iter().all(|ms| ms % 1000 < 34 * 2 + 17), "{starts:?}");
    }

    #[test]
    fn a_picture_that_does_not_advance_is_late_and_changes_nothing() {
        let mut cadence = Cadence::after(Some(Ticks90k(5_000)));
        assert_eq!(cadence.kind(Ticks90k(5_000)), Kind::Late);
        assert_eq!(cadence.kind(Ticks90k(5_001)), Kind::Idr);
        cadence.started(Ticks90k(5_001));
        assert_eq!(cadence.kind(Ticks90k(5_001)), Kind::Late);
        assert_eq!(cadence.kind(Ticks90k(8_000)), Kind::P);
        cadence.broken();
        assert_eq!(cadence.kind(Ticks90k(11_000)), Kind::Idr);
    }

    #[test]
    fn a_picture_left_out_freezes_the_rest_of_its_gop_and_no_more() {
        let mut cadence = Cadence::default();
        let mut kinds = Vec::new();
        for n in 0..7 {
            let pts = Ticks90k::from_millis(400 * n);
            kinds.push(cadence.kind(pts));
            match kinds.last() {
                Some(Kind::Idr) => cadence.started(pts),
                Some(Kind::P) if n == 1 => cadence.freeze(),
                _ => {}
            }
        }
        use Kind::{Frozen, Idr, P};
        assert_eq!(kinds, [Idr, P, Frozen, Idr, P, Idr, P]);
    }
}

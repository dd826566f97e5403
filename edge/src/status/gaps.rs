//! Spans of time without footage, each with its cause.

use media::{Ticks90k, WallTime};
use serde::Serialize;
use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

/// Gaps that are kept; the oldest leaves.
pub const MOST_GAPS: usize = 1024;

/// Why there is no footage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// The camera could not be opened, or stopped delivering.
    CameraGone,
    /// The process or the board was not running.
    NoPower,
    /// The wall clock was not set.
    ClockUnset,
    /// The encoder or the disk did not keep up.
    Overload,
    /// No room on the disk.
    DiskFull,
}

/// A span of one camera without footage.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Gap {
    /// The camera's name.
    pub camera: String,
    /// Why.
    pub cause: Cause,
    /// Media time of its begin.
    #[serde(skip)]
    pub from: Ticks90k,
    /// Media time of its end; `None` while it lasts.
    #[serde(skip)]
    pub to: Option<Ticks90k>,
    /// Wall time of its begin, if known.
    #[serde(serialize_with = "super::rfc3339")]
    pub start: Option<WallTime>,
    /// How long it lasted, in seconds; `None` while it lasts.
    pub seconds: Option<f64>,
}

/// The gaps of all cameras, oldest first, at most [`MOST_GAPS`].
#[derive(Default)]
pub struct Gaps(Mutex<VecDeque<Gap>>);

impl Gaps {
    /// A gap begins at `from`. Does nothing if one of this camera and cause is open already.
    pub fn open(&self, camera: &str, cause: Cause, from: Ticks90k, start: Option<WallTime>) {
        let mut gaps = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if gaps.iter().any(|gap| gap.camera == camera && gap.cause == cause && gap.to.is_none()) {
            return;
        }
        if gaps.len() == MOST_GAPS {
            gaps.pop_front();
        }
        gaps.push_back(Gap { camera: camera.to_owned(), cause, from, to: None, start, seconds: None });
    }

    /// The open gap of this camera and cause ends at `to`.
    pub fn close(&self, camera: &str, cause: Cause, to: Ticks90k) {
        let mut gaps = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let open = gaps.iter_mut().find(|gap| gap.camera == camera && gap.cause == cause && gap.to.is_none());
        if let Some(gap) = open {
            gap.to = Some(to);
            gap.seconds = Some((to - gap.from).as_secs_f64());
        }
    }

    /// All gaps, oldest first.
    pub fn list(&self) -> Vec<Gap> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gap_has_a_begin_an_end_and_a_cause() {
        let gaps = Gaps::default();
        gaps.open("front", Cause::CameraGone, Ticks90k(0), None);
        gaps.open("front", Cause::CameraGone, Ticks90k(9), None);
        gaps.close("front", Cause::CameraGone, Ticks90k(135_000));
        let list = gaps.list();
        assert_eq!(list.len(), 1);
        assert_eq!(list[0].seconds, Some(1.5));
    }

    #[test]
    fn the_oldest_gap_leaves_when_there_are_too_many() {
        let gaps = Gaps::default();
        for n in 0..=MOST_GAPS as i64 {
            gaps.open("front", Cause::Overload, Ticks90k(n), None);
            gaps.close("front", Cause::Overload, Ticks90k(n));
        }
        let list = gaps.list();
        assert_eq!((list.len(), list[0].from), (MOST_GAPS, Ticks90k(1)));
    }
}

//! New beginnings of the process for the sake of a camera that nothing else helps: who wished for one, how often, and when. They are handed on
//! from process to process, so that the bound on them outlives each.
//!
//! ```text
//! capture F --wish--> Restarts <--wished?-- watchdog --> execve, with PORTHOLE_EDGE_RESTARTS="front 1 7033856052,yard 2 6942000000"
//! ```

use media::Ticks90k;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Tells the next process what it must know.
pub(super) const RESTARTS: &str = "PORTHOLE_EDGE_RESTARTS";

/// What is shared by the capture threads and the watchers.
#[derive(Clone, Debug, Default)]
pub struct Restarts(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    /// One a camera that ever wished.
    made: Mutex<Vec<Made>>,
    wished: AtomicBool,
}

/// The restarts for one camera.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Made {
    camera: String,
    count: u64,
    last: Ticks90k,
}

impl Restarts {
    /// What the processes before this one did.
    pub fn inherited() -> Self {
        std::env::var(RESTARTS).map_or_else(|_| Self::default(), |text| Self::parse(&text))
    }

    fn parse(text: &str) -> Self {
        let one = |text: &str| {
            let mut words = text.split(' ');
            let (camera, count, last) = (words.next()?, words.next()?, words.next()?);
            Some(Made {
                camera: camera.to_owned(),
                count: count.parse().ok()?,
                last: Ticks90k(last.parse().ok()?),
            })
        };
        let made = Mutex::new(text.split(',').filter_map(one).collect());
        Self(Arc::new(Shared { made, wished: AtomicBool::default() }))
    }

    /// How often the process began anew for `camera`.
    pub fn count(&self, camera: &str) -> u64 {
        self.made().iter().find(|made| made.camera == camera).map_or(0, |made| made.count)
    }

    /// When it last did for any camera, and whether that was for `camera`.
    pub fn last(&self, camera: &str) -> Option<(Ticks90k, bool)> {
        self.made().iter().max_by_key(|made| made.last).map(|made| (made.last, made.camera == camera))
    }

    /// Wishes for a new process, for `camera`.
    pub fn wish(&self, camera: &str, now: Ticks90k) {
        let mut all = self.made();
        match all.iter_mut().find(|made| made.camera == camera) {
            Some(made) => (made.count, made.last) = (made.count + 1, now),
            None => all.push(Made { camera: camera.to_owned(), count: 1, last: now }),
        }
        drop(all);
        self.0.wished.store(true, Ordering::Release);
    }

    /// The camera that wishes for a new process. Takes no lock unless one does.
    pub(super) fn wished(&self) -> Option<String> {
        let wished = self.0.wished.load(Ordering::Acquire);
        wished.then(|| self.made().iter().max_by_key(|made| made.last).map(|made| made.camera.clone()))?
    }

    fn made(&self) -> MutexGuard<'_, Vec<Made>> {
        // Each change is one assignment: a panic elsewhere leaves the list usable.
        self.0.made.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Display for Restarts {
    /// For [`Restarts::inherited`].
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, Made { camera, count, last }) in self.made().iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            write!(f, "{comma}{camera} {count} {}", last.0)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_process_knows_how_often_for_which_camera_and_when() {
        let restarts = Restarts::default();
        assert_eq!(
            (restarts.wished(), restarts.last("front"), restarts.to_string()),
            (None, None, String::new())
        );
        restarts.wish("front", Ticks90k(5));
        restarts.wish("yard", Ticks90k(7));
        restarts.wish("front", Ticks90k(9));
        assert_eq!(restarts.wished(), Some("front".to_owned()));
        assert_eq!(restarts.to_string(), "front 2 9,yard 1 7");
        let next = Restarts::parse(&restarts.to_string());
        assert_eq!(next.wished(), None, "it was granted");
        assert_eq!((next.count("front"), next.count("yard"), next.count("door")), (2, 1, 0));
        assert_eq!(next.last("yard"), Some((Ticks90k(9), false)));
        assert_eq!(next.last("front"), Some((Ticks90k(9), true)));
        assert_eq!(Restarts::parse("front two 9,,yard 1").to_string(), "");
    }
}

//! The look for a camera while the pattern stands in for it.
//!
//! ```text
//!           every 5 s              first frame
//! waiting ------------> opened ---------------------> it replaces the pattern
//!    ^                     |
//!    +--- waits twice as --+ error, or nothing for 5 s
//!         long, 60 s at most
//! ```
//!
//! The camera is asked between two frames of the pattern and never waited for: one that stays silent costs no picture.

use super::capture::{Opened, Opening, Patience};
use super::{Captured, Source};
use media::Ticks90k;
use std::time::Duration;

/// One look after the other.
pub(super) struct Look {
    /// Between two looks.
    pause: Ticks90k,
    /// When the last one was, or when its camera was opened.
    since: Ticks90k,
    /// Opened, and silent so far.
    camera: Option<Box<dyn Source>>,
}

impl Look {
    pub(super) fn new(patience: &Patience, now: Ticks90k) -> Self {
        Self { pause: patience.look, since: now, camera: None }
    }

    /// Goes on with the look; gives the camera from which a frame came. That frame is not shown.
    pub(super) fn go_on(
        &mut self,
        opening: &mut dyn Opening,
        patience: &Patience,
        now: Ticks90k,
    ) -> Option<Opened> {
        let Some(mut camera) = self.camera.take() else {
            if now - self.since >= self.pause {
                self.since = now;
                self.camera = opening.open(false).ok().map(|opened| opened.source);
            }
            return None;
        };
        match camera.next(None, Duration::ZERO) {
            Ok(Captured::Frame | Captured::Dropped) => {
                return Some(Opened { source: camera, stand_in: false });
            }
            Ok(_) if now - self.since < patience.first_frame => self.camera = Some(camera),
            Ok(_) | Err(_) => {
                tracing::debug!(device = camera.mode().device, "delivers no frame, the pattern stays");
                self.since = now;
                self.pause = Ticks90k(2 * self.pause.0).min(patience.longest_look);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::super::capture::PATIENCE;
    use super::super::ladder::Fault;
    use super::super::{Error, Mode};
    use super::*;
    use crate::frames::Picture;

    /// A camera that delivers, stays silent, or fails.
    struct Camera(Result<Captured, ()>, Mode);

    impl Source for Camera {
        fn mode(&self) -> &Mode {
            &self.1
        }

        fn next(&mut self, picture: Option<&mut Picture>, timeout: Duration) -> Result<Captured, Error> {
            assert!(picture.is_none() && timeout.is_zero(), "the pattern must not wait");
            self.0.map_err(|()| Error::Unusable { device: String::new(), reason: String::new() })
        }
    }

    /// Opens a camera of that kind, and remembers when.
    struct Openings(Option<Result<Captured, ()>>, Vec<i64>, Ticks90k);

    impl Opening for Openings {
        fn open(&mut self, stand_in: bool) -> Result<Opened, Error> {
            assert!(!stand_in);
            self.1.push(self.2.second());
            let none = Error::Unusable { device: String::new(), reason: String::new() };
            let mode = Mode {
                device: String::new(),
                format: String::new(),
                width: 16,
                height: 16,
                frame_duration: Ticks90k(3000),
            };
            let camera = Camera(self.0.ok_or(none)?, mode);
            Ok(Opened { source: Box::new(camera), stand_in: false })
        }

        fn delivered(&mut self) {}

        fn fault(&self, _: &Error) -> Fault {
            Fault::Absent
        }

        fn reset(&mut self) -> bool {
            false
        }
    }

    /// Looks once a second until a camera delivers, two minutes at most: when cameras were opened, and when one delivered.
    fn looks(camera: Option<Result<Captured, ()>>) -> (Vec<i64>, Option<i64>) {
        let mut openings = Openings(camera, Vec::new(), Ticks90k::ZERO);
        let mut look = Look::new(&PATIENCE, Ticks90k::ZERO);
        for second in 0..120 {
            openings.2 = Ticks90k(second * 90_000);
            let now = openings.2;
            if look.go_on(&mut openings, &PATIENCE, now).is_some() {
                return (openings.1, Some(second));
            }
        }
        (openings.1, None)
    }

    #[test]
    fn a_camera_replaces_the_pattern_when_it_delivers() {
        assert_eq!(looks(Some(Ok(Captured::Dropped))), (vec![5], Some(6)));
    }

    #[test]
    fn a_silent_or_failing_camera_leaves_the_pattern_and_is_tried_less_and_less_often() {
        assert_eq!(looks(Some(Ok(Captured::Nothing))), (vec![5, 20, 45, 90], None));
        assert_eq!(looks(Some(Err(()))), (vec![5, 16, 37, 78], None));
    }

    #[test]
    fn while_there_is_no_camera_every_look_is_as_soon_as_the_last() {
        assert_eq!(looks(None).0.len(), 23);
    }
}

//! `auto`: which of this machine's cameras is the usable one.
//!
//! A camera is usable when it has delivered a frame. One that can be opened and stays silent (a capture card without a signal,
//! a virtual device that nobody feeds) is passed over for the next one:
//!
//! ```text
//! video0, video1 --first--> video0 --silent--> video1 --silent--> none: the pattern stands in, or a gap; then from the start
//! ```

use super::Error;
use media::Ticks90k;
use std::path::{Path, PathBuf};

/// A machine that runs for less than this may still be told by its buses which cameras it has: nothing stands in for them yet.
const STARTING: Ticks90k = Ticks90k::from_millis(60_000);

/// Goes through the device nodes, from one that fails to the next.
#[derive(Debug, Default)]
pub(super) struct Auto {
    /// A camera has delivered: from then on its absence is a gap, which no pattern must hide.
    seen: bool,
    /// Opened last, and nothing has come from it yet.
    tried: Option<PathBuf>,
    /// Opened and silent since all were last to be had; no more than there are nodes.
    silent: Vec<PathBuf>,
}

impl Auto {
    /// Opens the first of `nodes` that can be opened and was not silent. When there is none, all are to be had again.
    ///
    /// # Errors
    /// `NoCamera` with the reason for each node.
    pub(super) fn first<T>(
        &mut self,
        nodes: Vec<PathBuf>,
        open: impl Fn(&Path) -> Result<T, Error>,
    ) -> Result<T, Error> {
        self.silent.extend(self.tried.take());
        let (mut reasons, mut failing) = (Vec::new(), false);
        for node in nodes {
            if self.silent.contains(&node) {
                failing = true;
                reasons.push(format!("{}: delivers no frame", node.display()));
                continue;
            }
            match open(&node) {
                Ok(source) => {
                    self.tried = Some(node);
                    return Ok(source);
                }
                Err(error) => {
                    failing |= error.is_of_a_camera_that_is_there();
                    reasons.push(error.to_string());
                }
            }
        }
        self.silent.clear();
        let reasons =
            if reasons.is_empty() { "there is no /dev/video*".to_owned() } else { reasons.join("; ") };
        Err(Error::NoCamera { reasons, failing })
    }

    /// The camera that was opened last has delivered a frame.
    pub(super) fn delivered(&mut self) {
        self.seen |= self.tried.take().is_some();
        self.silent.clear();
    }

    /// Whether the pattern may stand in for the camera, `now` after the machine's start: when its cameras are there, and as long as none
    /// has ever delivered.
    pub(super) fn may_stand_in(&self, now: Ticks90k) -> bool {
        !self.seen && now >= STARTING
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Opens `video0` and `video2`; `video1` is busy.
    fn first(auto: &mut Auto) -> Result<String, String> {
        let nodes = ["video0", "video1", "video2"].map(PathBuf::from);
        let opened = auto.first(nodes.into(), |node| match node.to_str() {
            Some("video1") => {
                Err(Error::Unusable { device: "video1".to_owned(), reason: "is in use".to_owned() })
            }
            _ => Ok(node.display().to_string()),
        });
        opened.map_err(|error| error.to_string())
    }

    #[test]
    fn a_silent_camera_is_passed_over_for_the_next_one_and_tried_again_after_all() {
        let mut auto = Auto::default();
        assert_eq!(first(&mut auto), Ok("video0".to_owned()));
        assert_eq!(first(&mut auto), Ok("video2".to_owned()));
        let none =
            "no usable camera: video0: delivers no frame; video1: is in use; video2: delivers no frame";
        assert_eq!(first(&mut auto), Err(none.to_owned()));
        assert!(auto.may_stand_in(STARTING));
        assert_eq!(first(&mut auto), Ok("video0".to_owned()));
    }

    #[test]
    fn a_camera_that_has_delivered_is_the_first_again_and_nothing_stands_in_for_it() {
        let mut auto = Auto::default();
        let _silent = first(&mut auto);
        assert_eq!(first(&mut auto), Ok("video2".to_owned()));
        auto.delivered();
        assert!(!auto.may_stand_in(STARTING));
        assert_eq!(first(&mut auto), Ok("video0".to_owned()));
    }

    #[test]
    fn nothing_stands_in_on_a_machine_that_has_only_just_started() {
        let auto = Auto::default();
        assert!(!auto.may_stand_in(STARTING - Ticks90k(1)));
        assert!(auto.may_stand_in(STARTING));
    }

    #[test]
    fn the_pattern_is_no_camera_that_was_seen() {
        let mut auto = Auto::default();
        assert!(auto.first(Vec::new(), |_| Ok(())).is_err());
        auto.delivered();
        assert!(auto.may_stand_in(STARTING));
    }
}

//! What viewers see while a camera is gone: since when, in white on black. It is no footage: the ring marks it, and no recording takes it.
//!
//! ```text
//! +--------------------+
//! |        FRONT       |     at the camera's own pace, so that for players nothing changes
//! |  CAMERA GONE SINCE |
//! |    14:03:12 UTC    |     without a clock: CAMERA GONE FOR / 0:04:31
//! +--------------------+
//! ```

use super::font::{self, BLACK, NEUTRAL};
use crate::frames::Picture;
use media::Ticks90k;
use media::time::WallMapping;
use std::fmt::Write;

/// From one picture to the next at most, however slow the camera is.
const SLOWEST: Ticks90k = Ticks90k::SECOND;

/// Characters of the longest line: the name of a camera.
const MOST: usize = 32;

type Line = heapless::String<MOST>;

/// The pictures that stand in for a camera, one after another.
pub(super) struct Placeholder {
    /// When the camera's last picture was, or since when one is missing.
    since: Ticks90k,
    /// As the camera's pictures have it: the configuration of the stream stays the same.
    frame_duration: Ticks90k,
    due: Ticks90k,
}

impl Placeholder {
    /// For a camera that is gone `since` then and had pictures every `frame_duration`; the first one is due at `from`.
    pub(super) fn new(since: Ticks90k, frame_duration: Ticks90k, from: Ticks90k) -> Self {
        Self { since, frame_duration, due: from }
    }

    /// When the next one is due.
    pub(super) fn due(&self) -> Ticks90k {
        self.due
    }

    /// None is due before `time`.
    pub(super) fn postpone(&mut self, time: Ticks90k) {
        self.due = self.due.max(time);
    }

    /// Draws the one that is due, at `now`.
    pub(super) fn draw(
        &mut self,
        picture: &mut Picture,
        camera: &str,
        now: Ticks90k,
        clock: Option<WallMapping>,
    ) {
        picture.pts = self.due;
        picture.frame_duration = self.frame_duration;
        picture.gone_since = Some(self.since);
        write(picture, &lines(camera, self.since, now, clock));
        // What was missed is left out, in whole steps: players guess the pace from the times.
        let step = self.frame_duration.clamp(Ticks90k(1), SLOWEST);
        self.due += Ticks90k(((now - self.due).0 / step.0).max(0) * step.0) + step;
    }
}

/// What is said; the date where that is another day's, the time that has passed where there is no clock.
fn lines(camera: &str, since: Ticks90k, now: Ticks90k, clock: Option<WallMapping>) -> [Line; 3] {
    let (mut name, mut what, mut when) = (Line::new(), Line::new(), Line::new());
    // What is too long for a line is cut.
    let _fits = name.push_str(camera);
    let _fits = match clock.map(|clock| (clock.wall_of(since).civil(), clock.wall_of(now).civil())) {
        Some((then, today)) => {
            let _fits = what.push_str("camera gone since");
            if (then.year, then.month, then.day) == (today.year, today.month, today.day) {
                write!(when, "{:02}:{:02}:{:02} UTC", then.hour, then.minute, then.second)
            } else {
                let (year, month, day) = (then.year, then.month, then.day);
                write!(when, "{year}-{month:02}-{day:02} {:02}:{:02} UTC", then.hour, then.minute)
            }
        }
        None => {
            let _fits = what.push_str("camera gone for");
            let seconds = (now - since).second();
            write!(when, "{}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)
        }
    };
    [name, what, when]
}

/// Writes the lines in the middle of a black picture, as large as they fit; a picture that is too small stays black.
fn write(picture: &mut Picture, lines: &[Line]) {
    let (width, height) = (picture.width(), picture.height());
    let (y, u, v) = picture.planes_mut();
    y.fill(BLACK);
    u.fill(NEUTRAL);
    v.fill(NEUTRAL);
    let (_, rows) = font::size(0);
    let longest = lines.iter().map(|line| font::size(line.len()).0).max().unwrap_or(1);
    let dot = (width / longest).min(height / (rows * lines.len().max(1)));
    let mut top = (height - rows * dot * lines.len()) / 2;
    for line in lines {
        let (columns, _) = font::size(line.len());
        font::draw(picture, line.as_bytes(), ((width - columns * dot) / 2, top), dot);
        top += rows * dot;
    }
}

#[cfg(test)]
mod tests {
    use super::super::font::tests::seen;
    use super::*;
    use media::WallTime;

    const GONE: Ticks90k = Ticks90k(90_000);
    /// 2026-11-21T14:03:12Z.
    const THEN: WallTime = WallTime(1_795_269_792_000_000);

    fn said(seconds: i64, clock: Option<WallTime>) -> String {
        let clock = clock.map(|wall| WallMapping { media: GONE, wall });
        lines("front", GONE, GONE + Ticks90k(seconds * 90_000), clock).join(" / ")
    }

    #[test]
    fn it_says_since_when_or_for_how_long_the_camera_is_gone() {
        assert_eq!(said(5, Some(THEN)), "front / camera gone since / 14:03:12 UTC");
        assert_eq!(said(86_400, Some(THEN)), "front / camera gone since / 2026-11-21 14:03 UTC");
        assert_eq!(said(3725, None), "front / camera gone for / 1:02:05");
    }

    #[test]
    fn it_can_be_read_at_320x240_and_harms_no_other_size() {
        let clock = Some(WallMapping { media: GONE, wall: THEN });
        for (width, height) in [(320, 240), (32, 32), (34, 1088), (1920, 32), (318, 238), (1920, 1080)] {
            let mut picture = Picture::new(width, height);
            let name = "a-name-of-thirty-two-characters-";
            Placeholder::new(GONE, Ticks90k(3000), GONE).draw(&mut picture, name, GONE, clock);
            Placeholder::new(GONE, Ticks90k(3000), GONE).draw(&mut picture, "front", GONE, clock);
            if (width, height) == (320, 240) {
                // Three lines of seven dots, each dot three samples high.
                assert_eq!(seen(&picture).len(), 3 * 7 * 3);
            }
        }
    }

    #[test]
    fn pictures_come_at_the_cameras_pace_and_none_is_made_up_for() {
        let mut placeholder = Placeholder::new(GONE, Ticks90k(3000), Ticks90k(100_000));
        let mut picture = Picture::new(16, 16);
        let mut draw = |now| {
            placeholder.draw(&mut picture, "front", Ticks90k(now), None);
            (picture.pts.0, picture.frame_duration.0, placeholder.due().0)
        };
        assert_eq!(draw(100_900), (100_000, 3000, 103_000));
        assert_eq!(draw(105_999), (103_000, 3000, 106_000));
        assert_eq!(draw(499_999), (106_000, 3000, 502_000));
        let mut slow = Placeholder::new(GONE, Ticks90k(900_000), GONE);
        slow.draw(&mut picture, "front", GONE, None);
        assert_eq!((picture.frame_duration.0, slow.due()), (900_000, GONE + Ticks90k::SECOND));
    }
}

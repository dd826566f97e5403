//! The test pattern: a moving picture with the time in it, for people and for machines ([`super::stamp`]).
//!
//! ```text
//! +--------------------+-----------+
//! | block code         |           |   still: two colour ramps under a grid
//! |--------------------+           |   moving: a disc on a Lissajous figure,
//! |        12:34:56.789            |           a bar that crosses the bottom once a second
//! |    o                           |
//! |####                            |
//! +--------------------------------+
//! ```
//!
//! It is paced on the media clock at the configured rate; its timestamps stand exactly on whole frames of media time.

use super::grid::{Grid, Rate};
use super::{Captured, Error, Mode, Source, stamp};
use crate::config::Camera;
use crate::frames::Picture;
use crate::supervise::clock;
use media::time::TICKS_PER_SECOND;
use media::{Ticks90k, WallTime};
use std::time::Duration;

/// The pattern of one camera.
pub struct Pattern {
    mode: Mode,
    grid: Grid,
    /// What does not move.
    still: Picture,
}

impl Pattern {
    /// In the size and at the rate of `camera`. It is drawn upright: `rotate` is for lenses.
    ///
    /// # Errors
    /// `Unusable` for a rate of zero, which the configuration does not let through.
    pub fn open(camera: &Camera) -> Result<Self, Error> {
        let rate = Rate::new(u32::from(camera.fps), 1).ok_or_else(|| Error::Unusable {
            device: "pattern".to_owned(),
            reason: format!("cannot draw {} pictures a second", camera.fps),
        })?;
        let mode = Mode {
            device: "pattern".to_owned(),
            format: "I420".to_owned(),
            width: u32::from(camera.width),
            height: u32::from(camera.height),
            frame_duration: rate.frame_duration(),
        };
        let still = still(usize::from(camera.width), usize::from(camera.height));
        Ok(Self { mode, grid: Grid::absolute(rate, clock::media_now()), still })
    }

    fn draw(&self, picture: &mut Picture) {
        let (y, u, v) = picture.planes_mut();
        let (still_y, still_u, still_v) = self.still.planes();
        y.copy_from_slice(still_y);
        u.copy_from_slice(still_u);
        v.copy_from_slice(still_v);
        let due = self.grid.due();
        draw_disc(picture, due);
        draw_bar(picture, due);
    }
}

impl Source for Pattern {
    fn mode(&self) -> &Mode {
        &self.mode
    }

    fn next(&mut self, picture: Option<&mut Picture>, timeout: Duration) -> Result<Captured, Error> {
        let now = clock::media_now();
        self.grid.catch_up(now, self.mode.frame_duration);
        let due = self.grid.due();
        let deadline = now + Ticks90k::from_duration(timeout);
        if due > deadline {
            clock::sleep_until(deadline);
            return Ok(Captured::Nothing);
        }
        let Some(picture) = picture else {
            clock::sleep_until(due);
            self.grid.advance();
            return Ok(Captured::Dropped);
        };
        self.draw(picture);
        picture.pts = due;
        picture.frame_duration = self.mode.frame_duration;
        clock::sleep_until(due);
        // A board whose clock was never set shows its time since boot.
        let time = clock::wall_now().unwrap_or(WallTime(clock::media_now().as_micros()));
        stamp::draw_clock(picture, time);
        // Last of all: the code tells when the picture was handed over.
        stamp::draw_code(picture, clock::wall_millis_code());
        self.grid.advance();
        Ok(Captured::Frame)
    }
}

/// Two colour ramps under a grid of lines.
fn still(width: usize, height: usize) -> Picture {
    let mut picture = Picture::new(width, height);
    let (y, u, v) = picture.planes_mut();
    for (row, line) in y.chunks_exact_mut(width).enumerate() {
        for (column, sample) in line.iter_mut().enumerate() {
            let on_line = row.is_multiple_of(32) || column.is_multiple_of(32);
            *sample = if on_line { 180 } else { ramp(60, 150, column + row, width + height) };
        }
    }
    for (row, (u, v)) in u.chunks_exact_mut(width / 2).zip(v.chunks_exact_mut(width / 2)).enumerate() {
        for (column, (u, v)) in u.iter_mut().zip(v.iter_mut()).enumerate() {
            *u = ramp(80, 176, column, width / 2);
            *v = ramp(176, 80, row, height / 2);
        }
    }
    picture
}

/// From `first` to `last` over `steps`.
fn ramp(first: u8, last: u8, step: usize, steps: usize) -> u8 {
    let (first, last) = (i64::from(first), i64::from(last));
    (first + (last - first) * step as i64 / steps.max(1) as i64) as u8
}

/// A disc with a tenth of the shorter side as radius, 7 s around one way and 5 s the other.
fn draw_disc(picture: &mut Picture, due: Ticks90k) {
    let (width, height) = (picture.width(), picture.height());
    let radius = (width.min(height) / 10).max(2) as i64;
    let x = swing(due, 7, width as i64 - 2 * radius) + radius;
    let y = swing(due, 5, height as i64 - 2 * radius) + radius;
    let (luma, u, v) = picture.planes_mut();
    for row in (y - radius).max(0)..(y + radius).min(height as i64) {
        let half = (radius * radius - (row - y) * (row - y)).max(0).isqrt();
        let (from, to) = ((x - half).max(0) as usize, (x + half).clamp(0, width as i64) as usize);
        let start = row as usize * width;
        luma[start + from..start + to].fill(220);
        if row % 2 == 0 {
            let start = row as usize / 2 * (width / 2);
            u[start + from / 2..start + to / 2].fill(90);
            v[start + from / 2..start + to / 2].fill(200);
        }
    }
}

/// A position from 0 to `span` and back, smoothly, once in `seconds`.
fn swing(due: Ticks90k, seconds: i64, span: i64) -> i64 {
    let period = seconds * TICKS_PER_SECOND;
    let phase = due.0.rem_euclid(period) as f64 / period as f64 * std::f64::consts::TAU;
    ((1.0 - phase.cos()) / 2.0 * span.max(0) as f64) as i64
}

/// A bar along the bottom that is as long as the second has passed.
fn draw_bar(picture: &mut Picture, due: Ticks90k) {
    let (width, height) = (picture.width(), picture.height());
    let length = due.0.rem_euclid(TICKS_PER_SECOND) as usize * width / TICKS_PER_SECOND as usize;
    let (y, _, _) = picture.planes_mut();
    for line in y.chunks_exact_mut(width).skip(height - height / 16) {
        let (passed, to_come) = line.split_at_mut(length);
        passed.fill(235);
        to_come.fill(16);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn camera(width: u16, height: u16, fps: u16) -> Camera {
        Camera { width, height, fps, ..Camera::default() }
    }

    fn next(pattern: &mut Pattern, picture: &mut Picture) -> Captured {
        pattern.next(Some(picture), Duration::from_secs(1)).expect("the pattern does not fail")
    }

    #[test]
    fn timestamps_stand_on_whole_frames_of_media_time() {
        let mut pattern = Pattern::open(&camera(320, 240, 60)).expect("opens");
        let mut picture = Picture::new(320, 240);
        for _ in 0..3 {
            assert_eq!(next(&mut pattern, &mut picture), Captured::Frame);
            assert_eq!(picture.pts.0 % 1500, 0);
            assert_eq!(picture.frame_duration, Ticks90k(1500));
            assert!(picture.pts <= clock::media_now(), "no frame comes before its time");
        }
    }

    #[test]
    fn the_code_in_the_picture_is_the_wall_clock() {
        let mut pattern = Pattern::open(&camera(320, 240, 60)).expect("opens");
        let mut picture = Picture::new(320, 240);
        let before = clock::wall_millis_code();
        next(&mut pattern, &mut picture);
        let code = stamp::read_code(picture.planes().0, 320).expect("a code");
        assert!(code.wrapping_sub(before) <= clock::wall_millis_code().wrapping_sub(before));
    }

    #[test]
    fn every_size_that_can_be_configured_is_drawn() {
        for (width, height) in [(32, 32), (34, 1088), (1920, 32), (318, 238), (640, 480)] {
            let pattern = Pattern::open(&camera(width, height, 60)).expect("opens");
            let mut picture = Picture::new(width.into(), height.into());
            pattern.draw(&mut picture);
            stamp::draw_clock(&mut picture, WallTime(0));
            stamp::draw_code(&mut picture, 1);
        }
    }

    #[test]
    fn two_pictures_differ() {
        let mut pattern = Pattern::open(&camera(64, 64, 60)).expect("opens");
        let (mut one, mut two) = (Picture::new(64, 64), Picture::new(64, 64));
        pattern.draw(&mut one);
        (0..20).for_each(|_| pattern.grid.advance());
        pattern.draw(&mut two);
        assert_ne!(one.as_bytes(), two.as_bytes());
    }

    #[test]
    fn a_frame_that_is_not_due_is_not_awaited_beyond_the_time_out() {
        let mut pattern = Pattern::open(&camera(64, 64, 1)).expect("opens");
        pattern.grid =
            Grid::starting_at(Rate::new(1, 1).expect("a rate"), clock::media_now() + Ticks90k::SECOND);
        let mut picture = Picture::new(64, 64);
        assert_eq!(pattern.next(Some(&mut picture), Duration::ZERO).expect("no error"), Captured::Nothing);
    }
}

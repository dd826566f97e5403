//! Which of a camera's modes is opened: a pure function over what the driver lists.
//!
//! The order of what matters, each decided before the next:
//!
//! 1. four fifths of the frame rate that is wished for, or as little below that as possible;
//! 2. the exact size, else a larger one (the nearest), else the largest of the smaller ones;
//! 3. the whole frame rate;
//! 4. a raw format before Motion-JPEG: no decoding, no artefacts;
//! 5. among raw formats 4:2:0 before 4:2:2: fewer bytes over the bus.

use crate::config::Camera;
use crate::source::geometry::Turn;
use crate::source::grid::Rate;
use crate::source::pixels::PixelFormat;
use std::cmp::Reverse;
use std::fmt;

/// What the configuration asks for, as the sensor sees it (before the turn).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wish {
    /// Luma samples a line.
    pub width: u32,
    /// Luma lines.
    pub height: u32,
    /// Frames a second.
    pub fps: u32,
    /// No other format will do.
    pub format: Option<PixelFormat>,
}

impl Wish {
    /// Of this camera.
    pub fn of(camera: &Camera) -> Self {
        let turn = Turn::from_degrees(camera.rotate);
        let (width, height) = turn.before(camera.width.into(), camera.height.into());
        Self { width: width as u32, height: height as u32, fps: camera.fps.into(), format: camera.format }
    }
}

/// One size in one format.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    /// The format.
    pub format: PixelFormat,
    /// Luma samples a line.
    pub width: u32,
    /// Luma lines.
    pub height: u32,
    /// Its frame rates.
    pub rates: Rates,
}

/// The frame rates of a size.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rates {
    /// These.
    Listed(Vec<Rate>),
    /// Any from the slowest to the fastest.
    Between(Rate, Rate),
    /// The driver does not tell.
    Untold,
}

impl Rates {
    /// The slowest rate that is not below `fps`, else the fastest. One per cent does not count: 29.97 is 30.
    fn nearest(&self, fps: u32) -> Option<Rate> {
        let enough = u64::from(fps) * 990;
        match self {
            Self::Untold => None,
            Self::Between(slowest, fastest) => {
                let wished = Rate::new(fps, 1)?.millihertz();
                let inside = (slowest.millihertz()..=fastest.millihertz()).contains(&wished);
                let end = if wished < slowest.millihertz() { *slowest } else { *fastest };
                if inside { Rate::new(fps, 1) } else { Some(end) }
            }
            Self::Listed(rates) => {
                let met = rates.iter().filter(|rate| rate.millihertz() >= enough);
                let slowest = met.min_by_key(|rate| rate.millihertz());
                slowest.or_else(|| rates.iter().max_by_key(|rate| rate.millihertz())).copied()
            }
        }
    }
}

impl fmt::Display for Rates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fps = |rate: &Rate| rate.millihertz() as f64 / 1000.0;
        match self {
            Self::Untold => f.write_str("frame rate not told"),
            Self::Between(slowest, fastest) => write!(f, "{} to {} fps", fps(slowest), fps(fastest)),
            Self::Listed(rates) => {
                for (n, rate) in rates.iter().enumerate() {
                    write!(f, "{}{}", if n == 0 { "" } else { ", " }, fps(rate))?;
                }
                f.write_str(" fps")
            }
        }
    }
}

/// The mode that the driver is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Choice {
    /// The format.
    pub format: PixelFormat,
    /// Luma samples a line.
    pub width: u32,
    /// Luma lines.
    pub height: u32,
    /// The frame rate, if the driver lists any.
    pub rate: Option<Rate>,
}

impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}x{}", self.format.name(), self.width, self.height)?;
        match self.rate {
            Some(rate) => write!(f, " at {} fps", rate.millihertz() as f64 / 1000.0),
            None => Ok(()),
        }
    }
}

/// The best of the offers; `None` if none is in the format that is wished for.
pub fn choose(offers: &[Offer], wish: &Wish) -> Option<Choice> {
    let fitting = offers.iter().filter(|offer| wish.format.is_none_or(|format| format == offer.format));
    let ranked = fitting.map(|offer| {
        let rate = offer.rates.nearest(wish.fps);
        let choice = Choice { format: offer.format, width: offer.width, height: offer.height, rate };
        (rank(&choice, wish), choice)
    });
    ranked.min_by_key(|(rank, _)| *rank).map(|(_, choice)| choice)
}

/// Smaller is better: the rules above, in their order.
fn rank(choice: &Choice, wish: &Wish) -> (u64, u8, u64, Reverse<u64>, u64, u8) {
    let wished = u64::from(wish.fps) * 1000;
    // A driver that does not tell its rates is taken at its word once it is asked: neither preferred nor avoided.
    let rate = choice.rate.map_or(wished, Rate::millihertz);
    let below = |share: u64| (wished * share / 100).saturating_sub(rate);
    let area = u64::from(choice.width) * u64::from(choice.height);
    let format = match choice.format {
        PixelFormat::I420 => 0,
        PixelFormat::Nv12 => 1,
        PixelFormat::Yuyv => 2,
        PixelFormat::Uyvy => 3,
        PixelFormat::Mjpeg => 4,
    };
    let (size, larger, smaller) = if (choice.width, choice.height) == (wish.width, wish.height) {
        (0, 0, 0)
    } else if choice.width >= wish.width && choice.height >= wish.height {
        (1, area, 0)
    } else {
        (2, 0, area)
    };
    (below(80), size, larger, Reverse(smaller), below(99), format)
}

/// One direction of a stepwise size.
#[derive(Clone, Copy, Debug)]
pub struct Steps {
    /// Smallest.
    pub min: u32,
    /// Largest.
    pub max: u32,
    /// From one to the next; 0 and 1 both mean every one.
    pub step: u32,
}

impl Steps {
    /// The smallest size that is not below `wished`, else the largest.
    pub fn nearest(self, wished: u32) -> u32 {
        let step = self.step.max(1);
        let steps_in = |span: u32| span / step;
        let most = steps_in(self.max.saturating_sub(self.min));
        let wanted = wished.saturating_sub(self.min).div_ceil(step);
        self.min + wanted.min(most) * step
    }
}

#[cfg(test)]
#[path = "negotiate_tests.rs"]
mod tests;

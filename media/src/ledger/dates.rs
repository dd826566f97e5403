//! From media time to dates, by the clock entries of a ledger.
//!
//! ```text
//! media time   |------ no clock ------|---- +1 year, wrong ----|--- right, drifts by seconds a day ---
//! entries                             C1                       C2            C3
//! dates by     C2                     C2                       C2            C3
//! ```
//!
//! What the clock was set to last is right, also for what was taken before. A small step is the drift of the board's clock, and
//! is believed where it stands.

use super::{Boot, Entry};
use crate::time::WallMapping;
use crate::{Ticks90k, WallTime};
use std::collections::BTreeMap;

/// Two clock entries that disagree by more were not one clock that drifts: 2 s in microseconds.
const SET: i64 = 2_000_000;
/// Clock entries that are kept of one boot; the oldest leave.
const MOST_READINGS: usize = 4096;

/// The clock entries of many boots.
#[derive(Clone, Debug, Default)]
pub struct Dates(BTreeMap<Boot, Readings>);

#[derive(Clone, Debug, Default)]
struct Readings {
    /// By media time.
    clock: Vec<WallMapping>,
    /// What the newest GOP with a date says; counts where there is no clock entry.
    footage: Option<WallMapping>,
}

impl Dates {
    /// Takes an entry into account that is of `boot`.
    pub fn add(&mut self, boot: Boot, entry: &Entry) {
        let readings = self.0.entry(boot).or_default();
        match entry {
            Entry::Clock { media, wall } => {
                let at = readings.clock.partition_point(|reading| reading.media < *media);
                let reading = WallMapping { media: *media, wall: *wall };
                if readings.clock.get(at) != Some(&reading) {
                    readings.clock.insert(at, reading);
                }
                if readings.clock.len() > MOST_READINGS {
                    readings.clock.remove(0);
                }
            }
            Entry::Gop(gop) => {
                let newer = readings.footage.is_none_or(|newest| newest.media <= gop.start);
                if let (Some(wall), true) = (gop.wall, newer) {
                    readings.footage = Some(WallMapping { media: gop.start, wall });
                }
            }
            Entry::Start { .. } | Entry::Gap { .. } | Entry::Receipt { .. } => {}
        }
    }

    /// The date of a media time, if the clock was ever set in that boot.
    pub fn wall_of(&self, boot: Boot, media: Ticks90k) -> Option<WallTime> {
        let readings = self.0.get(&boot)?;
        let Some((newest, older)) = readings.clock.split_last() else {
            return readings.footage.map(|footage| footage.wall_of(media));
        };
        let mut believed = *newest;
        for reading in older.iter().rev() {
            if believed.media <= media {
                break;
            }
            let step = reading.wall_of(media).0 - believed.wall_of(media).0;
            if step.abs() <= SET {
                believed = *reading;
            }
        }
        Some(believed.wall_of(media))
    }
}

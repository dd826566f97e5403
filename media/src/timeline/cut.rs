//! Where a second of pictures or sound is cut into parts.
//!
//! ```text
//! pictures   |oo|ooooooo|ooooooo|ooooooo|ooooooo|      30 a second
//! sound      |.........|.........|.........|.........|...........|      46 or 47 AAC frames
//! ```

use crate::{StreamConfig, Ticks90k, Track};

/// How long a part should be, about. The last one of a second must be longer: hls.js can lose one that is not
/// (docs/design/live-formats.md, "Parts").
pub(super) const PART: Ticks90k = Ticks90k::from_millis(200);

/// How a track is cut into parts.
#[derive(Clone, Copy)]
pub(super) struct Cut {
    /// Duration of an access unit.
    pub(super) unit: Ticks90k,
    /// The first part of a segment ends no earlier than this behind its start.
    opening: Ticks90k,
    /// Any other part ends no earlier than this behind its start.
    shortest: Ticks90k,
    /// What is left of a second, and is shorter than this, goes into the part before it.
    crumb: Ticks90k,
    /// No part is longer: `PART-TARGET`.
    pub(super) longest: Ticks90k,
}

impl Cut {
    pub(super) fn of(config: &StreamConfig, track: Track) -> Self {
        let unit = unit_duration(config, track).0.max(1);
        match track {
            Track::Video => Self::of_pictures(unit),
            Track::Audio => Self::of_sound(unit),
        }
    }

    /// Just more than 200 ms in whole pictures. What is left of a second goes into its first part: that one is independent.
    ///
    /// Pictures jitter, and parts that are not independent must reach 85 % of the target (RFC 8216bis 4.4.4.9): 4 % more than
    /// nominal is 9 ms above. Players keep three times the target behind the live edge, so more room is more delay.
    fn of_pictures(unit: i64) -> Self {
        let nominal = (PART.0 / unit + 1) * unit;
        let longest = tenths(nominal + nominal / 25);
        let shortest = ((longest * 85 + 99) / 100).max(nominal - unit / 2);
        let second = (Ticks90k::SECOND.0 + unit / 2) / unit * unit;
        let opening = match second % nominal {
            0 => shortest,
            rest => rest - unit / 2,
        };
        let [unit, opening, shortest, crumb, longest] = [unit, opening, shortest, 0, longest].map(Ticks90k);
        Self { unit, opening, shortest, crumb, longest }
    }

    /// About 200 ms in whole AAC frames. They do not jitter, but do not divide a second either: the last part takes the one or
    /// two that are left over.
    fn of_sound(unit: i64) -> Self {
        let nominal = ((PART.0 + unit / 2) / unit).max(1) * unit;
        let (rest, crumb) = (Ticks90k::SECOND.0 % nominal, nominal / 2);
        let more = if rest < crumb { (rest + unit - 1) / unit * unit } else { 0 };
        // Frames whose rate is corrected to follow the picture's clock are not all of one length.
        let play = unit / 8;
        let [unit, shortest, crumb, longest] =
            [unit, nominal - play, crumb, tenths(nominal + more + play)].map(Ticks90k);
        Self { unit, opening: shortest, shortest, crumb, longest }
    }

    /// Whether a part that began at `start`, in a segment that began at `first`, ends before the access unit at `next`.
    pub(super) fn ends(self, first: Ticks90k, start: Ticks90k, next: Ticks90k) -> bool {
        let length = next - start;
        let enough = if start == first { self.opening } else { self.shortest };
        let rest = first + Ticks90k::SECOND - next;
        let only_crumbs_follow = (Ticks90k::ZERO..self.crumb).contains(&rest);
        length >= enough && !(only_crumbs_follow && length + self.unit <= self.longest)
    }
}

/// Up to whole tenths of milliseconds, which playlists can say exactly.
fn tenths(ticks: i64) -> i64 {
    (ticks + 8) / 9 * 9
}

fn unit_duration(config: &StreamConfig, track: Track) -> Ticks90k {
    match (track, &config.audio) {
        (Track::Audio, Some(audio)) => audio.frame_duration(),
        _ => config.video.frame_duration,
    }
}

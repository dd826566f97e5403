//! Clocks: media time from `CLOCK_BOOTTIME`, and the wall clock, which can be unknown and can jump.

use media::time::WallMapping;
use media::{Ticks90k, WallTime};
use nix::time::{ClockId, clock_gettime};
pub use service::supervise::boot_id;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A wall clock that shows less than this was never set: 2026-01-01T00:00:00Z in seconds.
const EARLIEST_BELIEVABLE: i64 = 1_767_225_600;

/// The media clock: time since boot, suspended time included.
pub fn media_now() -> Ticks90k {
    Ticks90k::from_nanos(nanos(ClockId::CLOCK_BOOTTIME))
}

/// What to add to a `CLOCK_MONOTONIC` timestamp (as V4L2 and ALSA give it) to have media time.
pub fn monotonic_to_media() -> Ticks90k {
    // The two clocks differ only by suspended time; read close together, the error is far below a tick.
    let before = nanos(ClockId::CLOCK_MONOTONIC);
    let boot = nanos(ClockId::CLOCK_BOOTTIME);
    let after = nanos(ClockId::CLOCK_MONOTONIC);
    Ticks90k::from_nanos(boot - (before + (after - before) / 2))
}

/// The wall time, or `None` while nobody has set the clock.
pub fn wall_now() -> Option<WallTime> {
    let now = wall_nanos();
    (now / 1_000_000_000 >= EARLIEST_BELIEVABLE).then_some(WallTime(now / 1000))
}

/// How media time maps to wall time at this moment, if the wall clock is set.
pub fn mapping() -> Option<WallMapping> {
    wall_now().map(|wall| WallMapping { media: media_now(), wall })
}

/// The low 32 bits of Unix time in milliseconds, as the pattern source draws them; whatever the clock shows.
pub fn wall_millis_code() -> u32 {
    (wall_nanos() / 1_000_000) as u32
}

/// Waits until media time `due`; at once if it has passed.
pub fn sleep_until(due: Ticks90k) {
    let wait = (due - media_now()).to_duration();
    if wait > Duration::ZERO {
        std::thread::sleep(wait);
    }
}

fn nanos(clock: ClockId) -> i64 {
    // These clocks exist on every Linux since 2.6.39: the call cannot fail.
    clock_gettime(clock).map_or(0, |t| Duration::from(t).as_nanos() as i64)
}

/// The standard library asks for 64 bits of seconds also where C's `time_t` ends in 2038.
fn wall_nanos() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos() as i64)
}

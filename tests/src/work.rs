//! How much a test should do: little on every change, much by command.

use std::fmt::Display;
use std::time::Duration;

/// How often to repeat what is repeated: `PORTHOLE_ROUNDS`, or `usual`.
pub fn rounds(usual: u32) -> u32 {
    number("PORTHOLE_ROUNDS").unwrap_or(usual)
}

/// How long to watch what is watched: `PORTHOLE_SECONDS`, or `usual` seconds.
pub fn watch(usual: u32) -> Duration {
    Duration::from_secs(number("PORTHOLE_SECONDS").unwrap_or(usual).into())
}

/// Tells what a test of a fault saw: `cargo xtask faults` shows it in its table.
pub fn saw(what: impl Display) {
    println!("saw: {what}");
}

/// The one seed to repeat, if `PORTHOLE_SEED` names it.
pub fn seed() -> Option<u64> {
    std::env::var("PORTHOLE_SEED").ok()?.parse().ok()
}

fn number(variable: &str) -> Option<u32> {
    std::env::var(variable).ok()?.parse().ok()
}

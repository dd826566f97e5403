//! Chance that can be repeated.

use std::time::SystemTime;

/// xorshift64*: the same numbers for the same seed.
#[derive(Clone, Debug)]
pub struct Dice(u64);

impl Dice {
    /// Seeded by `PORTHOLE_SEED`, or else by the clock; prints the seed.
    pub fn from_environment() -> Self {
        let now =
            SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(1, |now| now.as_nanos() as u64);
        let seed = std::env::var("PORTHOLE_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(now | 1);
        println!("PORTHOLE_SEED={seed}");
        Self(seed)
    }

    /// The dice of a seed.
    pub fn seeded(seed: u64) -> Self {
        // Small seeds have few bits, and the first numbers would be small too.
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    /// At least 0 and less than 1.
    pub fn roll(&mut self) -> f64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 11) as f64 / (1_u64 << 53) as f64
    }
}

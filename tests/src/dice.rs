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
        Self::seeded(seed)
    }

    /// The dice of a seed.
    pub fn seeded(seed: u64) -> Self {
        // Small seeds have few bits, and the first numbers would be small too: SplitMix64 mixes them.
        let mut mixed = seed.wrapping_add(0x9E37_79B9_7F4A_7C15);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        Self((mixed ^ (mixed >> 31)) | 1)
    }

    /// At least 0 and less than 1.
    pub fn roll(&mut self) -> f64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 11) as f64 / (1_u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_numbers_of_small_seeds_are_spread() {
        let first = |seed| Dice::seeded(seed).roll();
        let above = |bound: f64| (0..1000).filter(|seed| first(*seed) >= bound).count();
        for (bound, expected) in [(0.1, 900), (0.5, 500), (0.9, 100)] {
            assert!(above(bound).abs_diff(expected) < 50, "{} of 1000 above {bound}", above(bound));
        }
    }
}

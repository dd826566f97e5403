//! The clock of a sound card against the media clock: a slow loop that says how much to stretch the sound.
//!
//! ```text
//!  captured, by the media clock ---->( - )-- error --> low pass --> P + I --> slew limit --> ratio
//!  promised by the timestamps -------->|                                                      |
//!            ^                                                                                |
//!            +--------------------------- resampler <-----------------------------------------+
//! ```
//!
//! A crystal is off by up to a few hundred parts per million: without correction, 200 ppm are 0.7 s an hour. The loop is slow
//! because its input is rough (a driver tells the time of a period, not of a sample) and its output must not be heard:
//! 100 ppm are a sixth of a hundredth of a semitone.

/// How fast an error is corrected: in about `1 / GAIN` seconds.
const GAIN: f64 = 0.1;

/// What makes the loop settle without swinging: a quarter of the square of the gain.
const INTEGRAL_GAIN: f64 = GAIN * GAIN / 4.0;

/// Seconds over which the error is smoothed.
const SMOOTHING: f64 = 2.0;

/// The ratio changes by no more than this in one second.
pub const MOST_CHANGE: f64 = 100e-6;

/// No sound card is further off than this.
pub const MOST_OFF: f64 = 1000e-6;

/// An error of this many seconds is a hole in the sound, and no drift.
pub const HOLE: f64 = 0.1;

/// The loop of one microphone.
#[derive(Clone, Copy, Debug, Default)]
pub struct Drift {
    error: f64,
    integral: f64,
    correction: f64,
}

impl Drift {
    /// Takes the error measured now, in seconds (positive: the sound was captured later than its timestamp says), after
    /// `elapsed` seconds. Returns by how much the ratio of output to input samples must differ from its nominal value.
    pub fn step(&mut self, error: f64, elapsed: f64) -> f64 {
        let weight = (elapsed / SMOOTHING).clamp(0.0, 1.0);
        self.error += weight * (error - self.error);
        let wanted = (GAIN * self.error + self.integral).clamp(-MOST_OFF, MOST_OFF);
        let most = MOST_CHANGE * elapsed;
        let missing = wanted - self.correction;
        self.correction += missing.clamp(-most, most);
        // While the correction is still on its way, an error says nothing about the crystal.
        if missing.abs() <= most {
            self.integral += INTEGRAL_GAIN * self.error * elapsed;
        }
        self.correction
    }

    /// The correction in force, as a share: 200e-6 makes 200 ppm more samples.
    pub fn correction(&self) -> f64 {
        self.correction
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The length of one AAC frame at 48 kHz.
    const FRAME: f64 = 1024.0 / 48_000.0;

    struct Outcome {
        worst: f64,
        last: f64,
        worst_change: f64,
        correction: f64,
    }

    /// An hour with a sound card that is `off` from the media clock, seen through timestamps that jitter by `jitter`
    /// seconds, and that starts with an error of `first`.
    fn hour(off: f64, jitter: f64, first: f64) -> Outcome {
        let mut drift = Drift::default();
        let mut outcome = Outcome { worst: 0.0, last: 0.0, worst_change: 0.0, correction: 0.0 };
        let mut chance = 12_345_u64;
        let mut error = first;
        let mut a_second_ago = std::collections::VecDeque::new();
        for _ in 0..(3600.0 / FRAME) as usize {
            chance = chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let noise = ((chance >> 33) as f64 / f64::from(1_u32 << 31) * 2.0 - 1.0) * jitter;
            let correction = drift.step(error + noise, FRAME);
            // In a frame's time a fast card captures more samples; the timestamps advance by what is made of them.
            error += FRAME - FRAME * (1.0 + off) * (1.0 + correction);
            outcome.worst = outcome.worst.max(error.abs());
            a_second_ago.push_back(correction);
            if a_second_ago.len() > 47 {
                let before: f64 = a_second_ago.pop_front().unwrap();
                outcome.worst_change = outcome.worst_change.max((correction - before).abs());
            }
        }
        (outcome.last, outcome.correction) = (error, drift.correction());
        outcome
    }

    #[test]
    fn two_hundred_ppm_stay_within_one_aac_frame_over_an_hour() {
        for off in [200e-6, -200e-6, 500e-6] {
            let outcome = hour(off, 0.005, 0.0);
            assert!(outcome.worst < FRAME, "{:.1} ms at {off}", outcome.worst * 1e3);
            assert!(outcome.last.abs() < 0.002, "{:.2} ms at the end, at {off}", outcome.last * 1e3);
            assert!((outcome.correction + off).abs() < 30e-6, "{:.0} ppm", outcome.correction * 1e6);
        }
    }

    #[test]
    fn the_pitch_never_steps() {
        for (off, first) in [(200e-6, 0.0), (0.0, 0.02), (-400e-6, -0.05)] {
            let outcome = hour(off, 0.01, first);
            assert!(outcome.worst_change <= MOST_CHANGE * 1.01, "{:.0} ppm", outcome.worst_change * 1e6);
        }
    }

    #[test]
    fn a_wrong_start_is_evened_out_within_a_minute_and_does_not_swing() {
        let mut drift = Drift::default();
        let mut error = 0.02;
        let mut least: f64 = 0.0;
        for _ in 0..(60.0 / FRAME) as usize {
            error -= FRAME * drift.step(error, FRAME);
            least = least.min(error);
        }
        assert!(error.abs() < 0.003 && least > -0.003, "{error} {least}");
    }
}

//! What makes a picture large, measured before it is coded: how much of it is texture, and how much has changed.
//!
//! Both are mean absolute differences of luma samples, on every fourth line: a hundredth of the work of coding.

use crate::frames::Picture;

/// Lines from one that is looked at to the next.
const STEP: usize = 4;

/// Mean absolute differences of luma, in sample values.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Activity {
    /// To the sample on the right.
    pub spatial: f64,
    /// To the same sample of the picture before.
    pub temporal: f64,
}

/// Measures picture after picture.
pub struct Meter {
    width: usize,
    /// Every fourth line of the picture before.
    before: Box<[u8]>,
}

impl Meter {
    /// For pictures of this size; the first one is compared with black.
    pub fn new(width: usize, height: usize) -> Self {
        Self { width, before: vec![16; width * height.div_ceil(STEP)].into_boxed_slice() }
    }

    /// Compares a picture with itself and with the one before.
    pub fn measure(&mut self, picture: &Picture) -> Activity {
        let (luma, _, _) = picture.planes();
        let lines = luma.chunks_exact(self.width).step_by(STEP);
        let (mut spatial, mut temporal) = (0_u64, 0_u64);
        for (line, before) in lines.zip(self.before.chunks_exact_mut(self.width)) {
            spatial += difference(line, &line[1..]);
            temporal += difference(line, before);
            before.copy_from_slice(line);
        }
        let samples = self.before.len().max(1) as f64;
        Activity { spatial: spatial as f64 / samples, temporal: temporal as f64 / samples }
    }
}

/// Of two lines. Summed in 32 bits, which hold that of any line: a compiler takes many samples at once then, in 64 bits each alone.
fn difference(a: &[u8], b: &[u8]) -> u64 {
    a.iter().zip(b).map(|(&a, &b)| u32::from(a.abs_diff(b))).sum::<u32>().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture(luma: impl Fn(usize, usize) -> u8) -> Picture {
        let mut picture = Picture::new(64, 32);
        for (at, sample) in picture.planes_mut().0.iter_mut().enumerate() {
            *sample = luma(at % 64, at / 64);
        }
        picture
    }

    #[test]
    fn texture_and_change_are_told_apart() {
        let mut meter = Meter::new(64, 32);
        let flat = meter.measure(&picture(|_, _| 116));
        assert_eq!(flat, Activity { spatial: 0.0, temporal: 100.0 });
        let stripes = meter.measure(&picture(|x, _| if x % 2 == 0 { 116 } else { 126 }));
        assert_eq!(stripes.temporal, 5.0);
        assert!((9.8..=10.0).contains(&stripes.spatial), "{stripes:?}");
        let same = meter.measure(&picture(|x, _| if x % 2 == 0 { 116 } else { 126 }));
        assert_eq!(same.temporal, 0.0);
    }
}

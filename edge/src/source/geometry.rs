//! From the size of a camera to the size that is encoded: crop to the aspect, scale, turn.
//!
//! ```text
//!  camera 1280 x 720          crop 960 x 720         scale 320 x 240        turn
//! +--+--------------+--+     +--------------+       +--------+             (90: the left
//! |  |              |  | --> |              |  -->  |        |   -->        becomes the top)
//! +--+--------------+--+     +--------------+       +--------+
//! ```
//!
//! Shrinking takes the mean of the area that a target sample covers, growing is bilinear; both in fixed point, one
//! component at a time, with tables that are made when the camera is opened.

use std::ops::Range;

/// Weights of the lines that make a line add up to this, so that a sum of 8-bit samples fits 16 bits.
const ROW_UNIT: u16 = 1 << 8;
/// Weights of the samples that make a sample add up to this; with [`ROW_UNIT`] a sum fits 32 bits.
const COLUMN_UNIT: u32 = 1 << 16;

/// Clockwise turn of the picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// As it comes.
    None,
    /// 90 degrees.
    Quarter,
    /// 180 degrees.
    Half,
    /// 270 degrees.
    ThreeQuarters,
}

impl Turn {
    /// From the degrees of the configuration; other angles do not turn.
    pub fn from_degrees(degrees: u16) -> Self {
        match degrees {
            90 => Self::Quarter,
            180 => Self::Half,
            270 => Self::ThreeQuarters,
            _ => Self::None,
        }
    }

    /// The size before the turn of what has `width` and `height` behind it.
    pub fn before(self, width: usize, height: usize) -> (usize, usize) {
        match self {
            Self::None | Self::Half => (width, height),
            Self::Quarter | Self::ThreeQuarters => (height, width),
        }
    }
}

/// The part of the camera's picture that is used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Crop {
    /// Luma columns.
    pub columns: Range<usize>,
    /// Luma lines.
    pub rows: Range<usize>,
}

impl Crop {
    /// The largest part in the middle of `width` x `height` that has the aspect of the target. It begins on even
    /// samples, as subsampled chroma does.
    pub fn to_aspect(width: usize, height: usize, target_width: usize, target_height: usize) -> Self {
        let fitting_width = (height * target_width / target_height.max(1)).clamp(1, width.max(1));
        let fitting_height = (width * target_height / target_width.max(1)).clamp(1, height.max(1));
        Self { columns: middle(width, fitting_width), rows: middle(height, fitting_height) }
    }

    /// The same part in a component that is subsampled by these factors.
    pub fn subsampled(&self, (across, down): (usize, usize)) -> Self {
        let part = |range: &Range<usize>, factor: usize| range.start / factor..range.end.div_ceil(factor);
        Self { columns: part(&self.columns, across), rows: part(&self.rows, down) }
    }
}

fn middle(whole: usize, part: usize) -> Range<usize> {
    // An odd sample more on one side does not show; chroma that is shifted against luma does.
    let start = ((whole - part) / 2) & !1;
    start..start + part
}

/// Which source samples make each target sample, and how much each counts.
struct Taps {
    /// First source sample of each target sample, and where its weights lie.
    taps: Vec<(usize, Range<usize>)>,
    weights: Vec<u32>,
}

impl Taps {
    /// From `source` samples to `target`; the weights of each target sample add up to `unit`.
    fn new(source: usize, target: usize, unit: u32) -> Self {
        let mut this = Self { taps: Vec::with_capacity(target), weights: Vec::new() };
        for n in 0..target {
            let begin = this.weights.len();
            let first = if source >= target {
                this.push_area(n, source, target, unit)
            } else {
                this.push_bilinear(n, source, target, unit)
            };
            this.taps.push((first, begin..this.weights.len()));
        }
        this
    }

    /// The mean over the `source / target` samples that target sample `n` covers.
    fn push_area(&mut self, n: usize, source: usize, target: usize, unit: u32) -> usize {
        // In units of 1/target of a source sample: the target covers begin..end, source sample s from s * target on.
        let (begin, end) = (n * source, (n + 1) * source);
        let first = begin / target;
        let share = |until: usize| ((until - begin) as u64 * u64::from(unit) / source as u64) as u32;
        let mut given = 0;
        for sample in first..end.div_ceil(target) {
            // Differences of a running sum, so that the weights add up exactly.
            let total = share(((sample + 1) * target).min(end));
            self.weights.push(total - given);
            given = total;
        }
        first
    }

    /// Between the two samples whose centres are nearest.
    fn push_bilinear(&mut self, n: usize, source: usize, target: usize, unit: u32) -> usize {
        // Centre of the target sample in units of 1/(2 * target) of a source sample, from the first source centre.
        let centre = ((2 * n + 1) * source).saturating_sub(target);
        let first = (centre / (2 * target)).min(source - 1);
        if first + 1 == source {
            self.weights.push(unit);
        } else {
            let second = ((centre % (2 * target)) as u64 * u64::from(unit) / (2 * target) as u64) as u32;
            self.weights.extend([unit - second, second]);
        }
        first
    }

    /// Each target sample with its first source sample and its weights.
    fn iter(&self) -> impl Iterator<Item = (usize, &[u32])> {
        self.taps.iter().map(|(first, weights)| (*first, &self.weights[weights.clone()]))
    }
}

/// Samples of one component in a raw frame: sample (x, y) is byte `y * stride + x * step` of `data`.
#[derive(Clone, Copy)]
pub struct Samples<'a> {
    /// The frame, from the first sample of the component on.
    pub data: &'a [u8],
    /// Bytes from a line to the next.
    pub stride: usize,
    /// Bytes from a sample to the next: 1 to 4.
    pub step: usize,
}

/// Scales and turns one component.
pub struct Scaler {
    crop: Crop,
    turn: Turn,
    columns: Taps,
    rows: Taps,
    /// Neither direction changes the number of samples.
    same: bool,
    /// Weighted sums of the source lines that make one target line.
    sums: Vec<u16>,
    /// One target line that is to be turned.
    line: Vec<u8>,
}

impl Scaler {
    /// From `crop` of a component to `width` x `height` behind `turn`.
    pub fn new(crop: Crop, turn: Turn, width: usize, height: usize) -> Self {
        let (width, height) = turn.before(width, height);
        let (across, down) = (crop.columns.len(), crop.rows.len());
        Self {
            columns: Taps::new(across, width, COLUMN_UNIT),
            rows: Taps::new(down, height, u32::from(ROW_UNIT)),
            same: (across, down) == (width, height),
            sums: vec![0; across],
            line: vec![0; width],
            crop,
            turn,
        }
    }

    /// Fills `target`, mapping every sample through `table` if there is one. `source` must hold the whole crop.
    pub fn scale(&mut self, source: Samples<'_>, table: Option<&[u8; 256]>, target: &mut [u8]) {
        let Self { crop, turn, columns, rows, same, sums, line } = self;
        let (width, height) = (columns.taps.len(), rows.taps.len());
        for (y, (first, weights)) in rows.iter().enumerate() {
            let source_line = |n: usize| {
                &source.data
                    [(crop.rows.start + first + n) * source.stride + crop.columns.start * source.step..]
            };
            let made = match turn {
                Turn::None => &mut target[y * width..][..width],
                _ => &mut line[..],
            };
            if *same {
                gather(source_line(0), source.step, made);
            } else {
                sums.fill(0);
                for (n, &weight) in weights.iter().enumerate() {
                    accumulate(source_line(n), source.step, weight as u16, sums);
                }
                weigh(sums, columns, made);
            }
            if let Some(table) = table {
                made.iter_mut().for_each(|sample| *sample = table[usize::from(*sample)]);
            }
            place(line, y, height, *turn, target);
        }
    }
}

/// Takes every `step`-th byte.
fn gather(source: &[u8], step: usize, line: &mut [u8]) {
    match step {
        1 => line.copy_from_slice(&source[..line.len()]),
        2 => each::<2, _>(source, line, |sample, from| *sample = from),
        3 => each::<3, _>(source, line, |sample, from| *sample = from),
        _ => each::<4, _>(source, line, |sample, from| *sample = from),
    }
}

/// Adds a source line to the sums.
fn accumulate(source: &[u8], step: usize, weight: u16, sums: &mut [u16]) {
    let add = |sum: &mut u16, from| *sum += u16::from(from) * weight;
    match step {
        1 => each::<1, _>(source, sums, add),
        2 => each::<2, _>(source, sums, add),
        3 => each::<3, _>(source, sums, add),
        _ => each::<4, _>(source, sums, add),
    }
}

/// Goes over `line` with every `STEP`-th byte of the source; a known step is what the compiler can make vector code of.
fn each<const STEP: usize, T>(source: &[u8], line: &mut [T], mut work: impl FnMut(&mut T, u8)) {
    let (whole, rest) = source.as_chunks::<STEP>();
    let count = line.len();
    for (item, chunk) in line.iter_mut().zip(whole) {
        work(item, chunk[0]);
    }
    // The last sample of a frame need not have its neighbours behind it.
    if let (Some(last), true, [from, ..]) = (line.last_mut(), whole.len() < count, rest) {
        work(last, *from);
    }
}

const HALF: u32 = 1 << 23;

/// Makes the samples of a target line from the sums.
fn weigh(sums: &[u16], columns: &Taps, line: &mut [u8]) {
    match (sums.len() / line.len(), sums.len() % line.len()) {
        (1, 0) => mean::<1>(sums, line),
        (2, 0) => mean::<2>(sums, line),
        (3, 0) => mean::<3>(sums, line),
        (4, 0) => mean::<4>(sums, line),
        _ => {
            for (sample, (first, weights)) in line.iter_mut().zip(columns.iter()) {
                let products =
                    sums[first..].iter().zip(weights).map(|(sum, weight)| u32::from(*sum) * weight);
                *sample = ((products.sum::<u32>() + HALF) >> 24) as u8;
            }
        }
    }
}

/// The same where every target sample is the mean of `N` whole ones.
fn mean<const N: usize>(sums: &[u16], line: &mut [u8]) {
    let weight = COLUMN_UNIT / N as u32;
    for (sample, sums) in line.iter_mut().zip(sums.as_chunks::<N>().0) {
        let sum: u32 = sums.iter().map(|sum| u32::from(*sum)).sum();
        *sample = ((sum * weight + HALF) >> 24) as u8;
    }
}

/// Writes line `y` of `height` lines into the target where the turn puts it; without a turn it was made there.
fn place(line: &[u8], y: usize, height: usize, turn: Turn, target: &mut [u8]) {
    let width = line.len();
    match turn {
        Turn::None => {}
        Turn::Half => {
            let turned = &mut target[(height - 1 - y) * width..][..width];
            turned.iter_mut().zip(line.iter().rev()).for_each(|(to, from)| *to = *from);
        }
        Turn::Quarter => {
            let column = target[height - 1 - y..].iter_mut().step_by(height);
            column.zip(line).for_each(|(to, from)| *to = *from);
        }
        Turn::ThreeQuarters => {
            let column = target[y..].iter_mut().step_by(height);
            column.zip(line.iter().rev()).for_each(|(to, from)| *to = *from);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scaled(source: &[u8], (w, h): (usize, usize), turn: Turn, (to_w, to_h): (usize, usize)) -> Vec<u8> {
        let mut target = vec![0; to_w * to_h];
        let mut scaler = Scaler::new(Crop { columns: 0..w, rows: 0..h }, turn, to_w, to_h);
        scaler.scale(Samples { data: source, stride: w, step: 1 }, None, &mut target);
        target
    }

    /// Every size from 1 x 1 to 7 x 7 to every size up to 9 x 9.
    fn all_sizes() -> impl Iterator<Item = ((usize, usize), (usize, usize))> {
        let sizes = |most: usize| (1..=most).flat_map(move |w| (1..=most).map(move |h| (w, h)));
        sizes(7).flat_map(move |from| sizes(9).map(move |to| (from, to)))
    }

    #[test]
    fn the_aspect_of_the_target_is_cut_out_of_the_middle() {
        let crop = |w, h, tw, th| {
            let Crop { columns, rows } = Crop::to_aspect(w, h, tw, th);
            (columns.start, rows.start, columns.len(), rows.len())
        };
        assert_eq!(crop(640, 480, 320, 240), (0, 0, 640, 480));
        assert_eq!(crop(1280, 720, 320, 240), (160, 0, 960, 720));
        assert_eq!(crop(352, 288, 320, 240), (0, 12, 352, 264));
        assert_eq!(crop(160, 120, 320, 240), (0, 0, 160, 120));
        assert_eq!(crop(640, 480, 240, 320), (140, 0, 360, 480));
        assert_eq!(crop(1, 1, 320, 240), (0, 0, 1, 1));
    }

    #[test]
    fn a_flat_picture_stays_flat_at_every_size_and_turn() {
        for (from, to) in all_sizes() {
            for turn in [Turn::None, Turn::Quarter, Turn::Half, Turn::ThreeQuarters] {
                for value in [0, 1, 127, 254, 255] {
                    let flat = scaled(&vec![value; from.0 * from.1], from, turn, to);
                    assert!(
                        flat.iter().all(|&s| s == value),
                        "{from:?} to {to:?} {turn:?} {value}: {flat:?}"
                    );
                }
            }
        }
    }

    #[test]
    fn a_ramp_stays_a_ramp_at_every_size() {
        for (from, to) in all_sizes() {
            let ramp: Vec<u8> = (0..from.1).flat_map(|_| (0..from.0).map(|x| x as u8 * 30)).collect();
            for line in scaled(&ramp, from, Turn::None, to).chunks_exact(to.0) {
                assert!(line.is_sorted(), "{from:?} to {to:?}: {line:?}");
            }
        }
    }

    #[test]
    fn four_quarter_turns_are_none_at_every_size() {
        for ((w, h), _) in all_sizes() {
            let picture: Vec<u8> = (0..w * h).map(|n| n as u8).collect();
            let once = scaled(&picture, (w, h), Turn::Quarter, (h, w));
            let twice = scaled(&once, (h, w), Turn::Quarter, (w, h));
            assert_eq!(twice, scaled(&picture, (w, h), Turn::Half, (w, h)));
            let thrice = scaled(&twice, (w, h), Turn::Quarter, (h, w));
            assert_eq!(thrice, scaled(&picture, (w, h), Turn::ThreeQuarters, (h, w)));
            assert_eq!(scaled(&thrice, (h, w), Turn::Quarter, (w, h)), picture);
        }
    }

    #[test]
    fn a_quarter_turn_is_clockwise() {
        assert_eq!(scaled(&[1, 2, 3, 4, 5, 6], (3, 2), Turn::Quarter, (2, 3)), [4, 1, 5, 2, 6, 3]);
    }

    #[test]
    fn shrinking_takes_the_mean() {
        assert_eq!(scaled(&[0, 10, 20, 30], (2, 2), Turn::None, (1, 1)), [15]);
        assert_eq!(scaled(&[0, 30, 60], (3, 1), Turn::None, (2, 1)), [10, 50]);
    }

    #[test]
    fn every_step_reads_its_own_component() {
        let packed = [1, 9, 2, 9, 3, 9, 4];
        let mut target = [0; 4];
        let mut scaler = Scaler::new(Crop { columns: 0..4, rows: 0..1 }, Turn::None, 4, 1);
        scaler.scale(Samples { data: &packed, stride: 8, step: 2 }, None, &mut target);
        assert_eq!(target, [1, 2, 3, 4]);
        let mut halved = [0; 2];
        let mut scaler = Scaler::new(Crop { columns: 0..4, rows: 0..1 }, Turn::None, 2, 1);
        scaler.scale(Samples { data: &packed, stride: 8, step: 2 }, None, &mut halved);
        assert_eq!(halved, [2, 4], "1.5 and 3.5 rounded up");
    }
}

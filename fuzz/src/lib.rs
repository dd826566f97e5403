//! Fuzz targets for every parser of `media`. docs/design/fuzzing.md says what each covers, and what it does not.
//!
//! ```text
//! cargo xtask fuzz   libFuzzer ---- bytes ---> Target::check     new ways through the code are kept and varied on
//! cargo test         corpus/, regressions/ --> Target::check     the same, for inputs that are known
//! ```
//!
//! A target holds if it neither panics nor runs for ever, what is written from what was read is the same again, and no more
//! memory is taken than the size of the input allows.
#![allow(clippy::expect_used)] // what must hold is asserted

pub mod memory;
mod sample;
mod sparse;
mod targets;

use memory::Bound;

/// One parser, or a few that read the same bytes.
pub struct Target {
    /// As `cargo xtask fuzz` and the folders of `corpus/` call it.
    pub name: &'static str,
    /// Reads the bytes and asserts what must hold.
    run: fn(&[u8]),
    /// The most memory that may be taken.
    bound: Bound,
    /// Where to begin: inputs that our own writers make.
    pub seeds: fn() -> Vec<Vec<u8>>,
}

/// Every target, in the order in which they run.
pub const TARGETS: &[Target] = &[
    targets::mp4::MOVIE,
    targets::mp4::RECORDING,
    targets::mp4::GROWING,
    targets::ts::DEMUX,
    targets::ts::MUX,
    targets::h264::NAL,
    targets::h264::PARAMETER_SETS,
    targets::aac::AAC,
    targets::text::DIRECTIVES,
    targets::text::PLAYLIST,
    targets::text::HEADERS,
    targets::text::NAMES,
    targets::ledger::SLICES,
    targets::ledger::TAIL,
    targets::ledger::STITCH,
];

impl Target {
    /// The target of that name.
    pub fn named(name: &str) -> Option<&'static Self> {
        TARGETS.iter().find(|target| target.name == name)
    }

    /// Runs the target.
    ///
    /// # Panics
    /// Something that must hold does not.
    pub fn check(&self, input: &[u8]) {
        let taken = memory::most_during(|| (self.run)(input));
        let allowed = self.bound.of(input.len());
        assert!(
            taken <= allowed,
            "{} bytes of input took {taken} bytes of memory, not {allowed}",
            input.len()
        );
    }
}

//! The encode thread of one camera: pictures and sound in, access units in the ring out.
//!
//! ```text
//! capture --pictures--> cadence: IDR or P? --> rate: which QP? --> video: H.264 --+--> ring
//! audio   --AAC frames----------------------------------------------------------+
//! ```
//!
//! docs/design/encode.md has the goals and the procedures.

pub mod activity;
pub mod audio;
pub mod cadence;
pub mod coder;
pub mod openh264;
pub mod rate;
#[cfg(test)]
mod rate_tests;
#[cfg(test)]
mod scenes;
mod stage;
#[cfg(test)]
mod tests;
pub mod video;

pub use stage::{Inputs, Stage, run};

//! Sound: from a microphone or a file to AAC-LC frames on the media clock.

pub mod queue;

pub use queue::{Receiver, Sender, Stream, queue};

//! The targets, by the module of `media` that they are about.

pub mod aac;
pub mod h264;
pub mod ledger;
pub mod mp4;
pub mod text;
pub mod ts;

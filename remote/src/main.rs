//! `porthole-remote`: the host that receives recordings.

use anyhow::Context;
use clap::{Parser, Subcommand};
use std::path::PathBuf;
use std::process::ExitCode;

/// The host that receives recordings.
#[derive(Parser)]
#[command(name = "porthole-remote", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Check that the recordings in a folder are whole and unaltered; exit status 1 if one is not.
    Check {
        /// The folder, for instance a camera's inbox.
        dir: PathBuf,
    },
}

fn main() -> anyhow::Result<ExitCode> {
    let Command::Check { dir } = Cli::parse().command;
    let checked = remote::check::check(&dir).with_context(|| dir.display().to_string())?;
    for file in &checked {
        println!("{file}");
    }
    let bad = checked.iter().filter(|file| file.verdict.is_err()).count();
    println!("{} files, {bad} bad", checked.len());
    Ok(if bad == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

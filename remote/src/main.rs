//! `porthole-remote`: the host that receives recordings.

use anyhow::Context;
use clap::{Parser, Subcommand};
use remote::chop::Options;
use std::path::{Path, PathBuf};
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
    /// Make HLS of one recording: six-second segments and playlists, in a folder with the recording's name.
    Chop {
        /// The recording, NAME.mp4.
        file: PathBuf,
        /// Where the folder NAME shall stand.
        #[arg(long)]
        out: PathBuf,
        /// The camera in the names of the segments, where NAME does not say it.
        #[arg(long, default_value = "local")]
        account: String,
    },
}

fn main() -> anyhow::Result<ExitCode> {
    match Cli::parse().command {
        Command::Check { dir } => check(&dir),
        Command::Chop { file, out, account } => chop(&file, &out, account),
    }
}

fn check(dir: &Path) -> anyhow::Result<ExitCode> {
    let checked = remote::check::check(dir).with_context(|| dir.display().to_string())?;
    for file in &checked {
        println!("{file}");
    }
    let bad = checked.iter().filter(|file| file.verdict.is_err()).count();
    println!("{} files, {bad} bad", checked.len());
    Ok(if bad == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn chop(file: &Path, out: &Path, account: String) -> anyhow::Result<ExitCode> {
    let name = file.file_stem().and_then(|name| name.to_str()).context("the file's name is not UTF-8")?;
    let chopped = remote::chop::chop(file, name, &out.join(".chop"), &Options::new(account))?;
    let folder = remote::chop::publish(&chopped, out)?;
    println!("{}: {} segments, {}", folder.display(), chopped.segments, chopped.duration);
    Ok(ExitCode::SUCCESS)
}

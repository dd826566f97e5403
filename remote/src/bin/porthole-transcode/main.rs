//! `porthole-transcode IN OUT`: makes an MP4 with H.264 and AAC of a file that is something else, with FFmpeg's libraries.
//!
//! It is a program of its own so that `porthole-remote` never has those libraries in its memory; that starts this one for a
//! recording that needs it (`remote::chop::transcode`). What went wrong is the last line on standard error.

mod child;
mod track;

use clap::Parser;
use remote::chop::transcode::NO_ROOM;
use std::path::PathBuf;
use std::process::ExitCode;

/// Make an MP4 with H.264 and AAC of a file that is something else, confined.
#[derive(Parser)]
#[command(name = "porthole-transcode", version)]
struct Cli {
    /// What to read.
    input: PathBuf,
    /// What to write.
    output: PathBuf,
}

fn main() -> ExitCode {
    let Cli { input, output } = Cli::parse();
    match child::transcode(&input, &output) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            if error.is_for_want_of_room() { ExitCode::from(NO_ROOM) } else { ExitCode::FAILURE }
        }
    }
}

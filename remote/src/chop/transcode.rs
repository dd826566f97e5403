//! What is neither H.264 nor AAC becomes both, in a process of its own.
//!
//! ```text
//! porthole-remote ── starts ──> porthole-transcode IN OUT
//!     waits, until the deadline     confines itself, then reads IN with FFmpeg's libraries, writes OUT
//! ```
//!
//! Decoders are the largest pieces of C that ever see what a stranger made. So they run where a fault of theirs costs one recording:
//! with bounded memory, CPU time and file size, without a descriptor, a variable or a child more than they need, and killed
//! when their time is over or the service ends.

use super::{Error, Options, at};
use crate::supervise::{Stop, monotonic};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

/// Exit status of a process that could not write its output: not the fault of what it reads.
pub const NO_ROOM: u8 = 3;
/// What every recording may take.
const LEAST_TIME: Duration = Duration::from_secs(300);
/// Beyond that, a recording must be read at this pace. Bytes a second.
const LEAST_PACE: u64 = 64 << 10;
/// No recording may take longer.
const MOST_TIME: Duration = Duration::from_secs(2 * 3600);
/// How often it is looked whether the process has ended.
const LOOK: Duration = Duration::from_millis(20);
/// How much of what the process says is kept.
const MOST_WORDS: u64 = 500;

/// Why a recording could not be transcoded.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The process says why.
    #[error("{0}")]
    Refused(String),
    /// A decoder made the process end.
    #[error("the decoder crashed: {0}")]
    Crashed(ExitStatus),
    /// It took too long.
    #[error("not decoded within {} s", .0.as_secs())]
    TooSlow(Duration),
}

/// How long a recording of so many bytes may take.
fn deadline(bytes: u64) -> Duration {
    (LEAST_TIME + Duration::from_secs(bytes / LEAST_PACE)).min(MOST_TIME)
}

/// Makes an MP4 with H.264 and AAC of `input`. What the process says goes to a file beside `output`.
pub(super) fn run(options: &Options, input: &Path, output: &Path) -> Result<(), Error> {
    let program = &options.program;
    let size = input.metadata().map_err(at(input))?.len();
    let words = output.with_extension("log");
    let log = File::create(&words).map_err(at(&words))?;
    let mut command = Command::new(program);
    command.arg(input).arg(output);
    command.env_clear().stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
    let child = command.spawn().map_err(at(program))?;
    let limit = deadline(size);
    let status = wait(child, limit, &options.stop).map_err(at(program))?;
    let said = read_words(&words).map_err(at(&words))?;
    std::fs::remove_file(&words).map_err(at(&words))?;
    let failure = match status {
        None if options.stop.asked() => return Err(Error::Stopped),
        None => Failure::TooSlow(limit),
        Some(status) if status.success() => return Ok(()),
        Some(status) if status.code() == Some(NO_ROOM.into()) => {
            return Err(at(output)(std::io::Error::other(said)));
        }
        Some(status) if status.code().is_none() => Failure::Crashed(status),
        Some(_) => Failure::Refused(said),
    };
    Err(failure.into())
}

/// Waits until the process ends, or ends it (`None`): at its deadline, or when everything is to end.
fn wait(mut child: Child, limit: Duration, stop: &Stop) -> std::io::Result<Option<ExitStatus>> {
    let begun = monotonic();
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if stop.wait(LOOK) || monotonic() - begun >= limit {
            child.kill()?;
            child.wait()?;
            return Ok(None);
        }
    }
}

/// The last line of what was said, without anything that could upset a terminal.
fn read_words(file: &PathBuf) -> std::io::Result<String> {
    let mut bytes = Vec::new();
    File::open(file)?.take(MOST_WORDS).read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes);
    let line = text.lines().last().unwrap_or("no reason given");
    Ok(line.chars().map(|c| if c.is_control() { ' ' } else { c }).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_larger_recording_may_take_longer_up_to_a_bound() {
        let allowed = [0, 64 << 20, 1 << 40].map(|bytes| deadline(bytes).as_secs());
        assert_eq!(allowed, [300, 300 + 1024, 7200]);
    }

    #[test]
    fn a_process_that_does_not_end_is_ended() {
        let child = Command::new("sleep").arg("1000").spawn().expect("starts");
        let id = child.id();
        assert!(wait(child, Duration::ZERO, &Stop::default()).expect("waits").is_none());
        assert!(!Path::new(&format!("/proc/{id}")).exists());
    }
}

//! Structured logs: text on a terminal, JSON on request, always to standard error.

use std::io::IsTerminal;
use tracing_subscriber::filter::{ParseError, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};
use tracing_subscriber::{Layer, fmt, registry};

/// How a log line looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// For people; coloured on a terminal.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// Why there are no logs.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The filter cannot be read.
    #[error("log level {filter:?}: {source}")]
    Filter {
        /// As it was given.
        filter: String,
        /// What is wrong with it.
        source: ParseError,
    },
    /// Logging was started before.
    #[error("logs: {0}")]
    Started(#[source] TryInitError),
}

/// Starts logging. `filter` is a level (`info`) or a list such as `info,edge::upload=debug`.
///
/// # Errors
/// The filter cannot be read, or logging was started before.
pub fn start(format: Format, filter: &str) -> Result<(), Error> {
    let parsed = filter.parse::<Targets>();
    let filter = parsed.map_err(|source| Error::Filter { filter: filter.to_owned(), source })?;
    // A line that cannot be written (the disk is full, who read them has left) is lost: to complain of it goes the same way, and panics.
    let lines = fmt::layer().log_internal_errors(false).with_writer(std::io::stderr);
    let started = match format {
        Format::Text => {
            let lines = lines.with_ansi(std::io::stderr().is_terminal());
            registry().with(lines.with_filter(filter)).try_init()
        }
        Format::Json => registry().with(lines.json().flatten_event(true).with_filter(filter)).try_init(),
    };
    started.map_err(Error::Started)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::process::{Command, Stdio};

    /// Set in the process that logs.
    const CHILD: &str = "PORTHOLE_TEST_LOGS";

    #[test]
    fn a_line_that_cannot_be_written_ends_nothing() {
        if std::env::var_os(CHILD).is_some() {
            start(Format::Text, "info").expect("logs");
            tracing::info!("lost");
            return;
        }
        let mut child = Command::new(std::env::current_exe().expect("this program"));
        child.args(["--exact", "logs::tests::a_line_that_cannot_be_written_ends_nothing", "--nocapture"]);
        let full = File::options().write(true).open("/dev/full").expect("a disk without room");
        let status = child.env(CHILD, "1").stdout(Stdio::null()).stderr(full).status().expect("a child");
        assert!(status.success(), "{status}");
    }
}

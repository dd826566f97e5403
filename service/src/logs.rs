//! Structured logs: text on a terminal, JSON on request, always to standard error.

use std::io::IsTerminal;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::ParseError;

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
    Started(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Starts logging. `filter` is a level (`info`) or a list such as `info,edge::upload=debug`.
///
/// # Errors
/// The filter cannot be read, or logging was started before.
pub fn start(format: Format, filter: &str) -> Result<(), Error> {
    let parsed = EnvFilter::try_new(filter);
    let filter = parsed.map_err(|source| Error::Filter { filter: filter.to_owned(), source })?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let started = match format {
        Format::Text => builder.with_ansi(std::io::stderr().is_terminal()).try_init(),
        Format::Json => builder.json().flatten_event(true).try_init(),
    };
    started.map_err(Error::Started)
}

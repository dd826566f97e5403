//! What a command says to whoever started it: its answer on standard output, or why there is none, in one line.

use std::error::Error;
use std::io::{ErrorKind, Write, stdout};

/// Prints an answer. Whoever has stopped reading (`porthole-edge probe | head`) is no error.
///
/// # Errors
/// Standard output cannot be written.
pub fn say(text: &str) -> std::io::Result<()> {
    let mut out = stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}

/// An error with all its causes, each told once: many already tell what is behind them.
pub fn reason(error: &(dyn Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |&error| error.source());
    causes.map(ToString::to_string).fold(String::new(), |told, cause| match cause {
        cause if told.contains(&cause) => told,
        cause if cause.starts_with(&told) => cause,
        cause => format!("{told}: {cause}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use thiserror::Error;

    #[derive(Debug, Error)]
    #[error("{0}")]
    struct Told(&'static str, #[source] Option<Box<Told>>);

    fn chain(messages: &[&'static str]) -> Told {
        let (first, rest) = messages.split_first().expect("a message");
        Told(first, (!rest.is_empty()).then(|| Box::new(chain(rest))))
    }

    #[test]
    fn each_cause_is_told_once() {
        for (messages, told) in [
            (&["no room"][..], "no room"),
            (&["edge.toml", "line 3: what?"], "edge.toml: line 3: what?"),
            (&["listen = :80: in use", "in use"], "listen = :80: in use"),
            (&["/x", "/x: no such file", "no such file"], "/x: no such file"),
        ] {
            assert_eq!(reason(&chain(messages)), told);
        }
    }
}

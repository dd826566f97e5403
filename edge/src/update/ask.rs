//! Asking the process that may write to the card, over its socket.

use super::serve::{Reply, Request, Told};
use crate::supervise::within;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What a start of that process takes at most, and some writes to a card that is slow.
const PATIENCE: Duration = Duration::from_secs(30);
/// What it takes to read a slot from the card again.
const LONG: Duration = Duration::from_secs(300);
/// An answer that is taken.
const ANSWER_BYTES: u64 = 16 << 10;
/// Bytes of a bundle that are sent at once.
const PIECE: usize = 64 << 10;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nobody answers.
    #[error("{path}: {source}")]
    Socket {
        /// The socket.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file with the bundle.
    #[error("{path}: {source}")]
    Bundle {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The answer is no.
    #[error("{0}")]
    Refused(String),
    /// The answer is none.
    #[error("{path}: {text:?} is no answer")]
    Answer {
        /// The socket.
        path: PathBuf,
        /// What came.
        text: String,
    },
}

/// Asks for anything but an installation.
///
/// # Errors
/// Nobody answers, or the answer is no.
pub fn ask(path: &Path, request: Request) -> Result<Reply, Error> {
    let asked = || -> io::Result<String> {
        let mut socket = connect(path, PATIENCE)?;
        writeln!(socket, "{}", request.word())?;
        socket.shutdown(Shutdown::Write)?;
        hear(&mut socket)
    };
    let text = within(PATIENCE, asked).map_err(|source| Error::Socket { path: path.to_owned(), source })?;
    understand(path, &text)
}

/// What the sectors say.
///
/// # Errors
/// Nobody answers, or the answer is no.
pub fn state(path: &Path) -> Result<Told, Error> {
    match ask(path, Request::State)? {
        Reply::State(told) => Ok(told),
        other => Err(Error::Answer { path: path.to_owned(), text: format!("{other:?}") }),
    }
}

/// Sends a bundle, tells how many bytes were taken, and gives the version that will be tried.
///
/// # Errors
/// It was refused, or nobody answers.
pub fn install(path: &Path, bundle: &Path, mut taken: impl FnMut(u64)) -> Result<String, Error> {
    let lost = |source| Error::Socket { path: path.to_owned(), source };
    let unread = |source| Error::Bundle { path: bundle.to_owned(), source };
    let mut file = std::fs::File::open(bundle).map_err(unread)?;
    let mut socket = connect(path, LONG).map_err(lost)?;
    let mut sent = writeln!(socket, "{}", Request::Install.word());
    let (mut piece, mut bytes) = (vec![0; PIECE], 0);
    while sent.is_ok() {
        let read = file.read(&mut piece).map_err(unread)?;
        if read == 0 {
            break;
        }
        sent = socket.write_all(&piece[..read]);
        bytes += read as u64;
        taken(bytes);
    }
    // Who has refused it listens no more, and has said why.
    let text = match sent.and_then(|()| socket.shutdown(Shutdown::Write)) {
        Ok(()) => hear(&mut socket).map_err(lost)?,
        Err(error) => hear(&mut socket).ok().filter(|text| !text.is_empty()).ok_or_else(|| lost(error))?,
    };
    match understand(path, &text)? {
        Reply::Ready(version) => Ok(version),
        other => Err(Error::Answer { path: path.to_owned(), text: format!("{other:?}") }),
    }
}

fn connect(path: &Path, patience: Duration) -> io::Result<UnixStream> {
    let socket = UnixStream::connect(path)?;
    socket.set_read_timeout(Some(patience))?;
    socket.set_write_timeout(Some(patience))?;
    Ok(socket)
}

/// The line that comes. Behind it there may be an error: who has refused a bundle leaves what is left of it.
fn hear(socket: &mut UnixStream) -> io::Result<String> {
    let mut line = Vec::new();
    BufReader::new(socket.take(ANSWER_BYTES)).read_until(b'\n', &mut line)?;
    Ok(String::from_utf8_lossy(&line).into_owned())
}

/// The answer in a text.
///
/// # Errors
/// It is no, or none.
pub fn understand(path: &Path, text: &str) -> Result<Reply, Error> {
    match serde_json::from_str(text.trim_end()) {
        Ok(Reply::Refused(why)) => Err(Error::Refused(why)),
        Ok(reply) => Ok(reply),
        Err(_) => Err(Error::Answer { path: path.to_owned(), text: text.chars().take(80).collect() }),
    }
}

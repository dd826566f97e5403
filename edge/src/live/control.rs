//! The local control socket: the same JSON as `/api/status` and `/healthz`, on a thread of its own, so that
//! `porthole-edge status` and the health check still get an answer when the web server is stuck.
//!
//! tiny_http serves it: a few requests an hour, from this machine, by whoever may open the socket. Its own threads have no pulse, so this one
//! asks its own socket now and then, over them:
//!
//! ```text
//! control --connect, "GET /pulse"--> tiny_http: accept, read --request--> control      nothing within 5 s: `control-http` stands still
//! ```

use super::{Sources, api};
use crate::supervise::{Pulse, Pulses, STUCK_AFTER, Stop, monotonic};
use std::fs::{self, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tiny_http::{Header, Request, Response};

/// How long [`ask`] waits.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often the thread looks whether it shall end.
const TURN: Duration = Duration::from_millis(250);
/// How often it asks itself.
const ASKS_ITSELF: Duration = Duration::from_secs(5);
/// What `porthole-edge update` tells: the version that it had written follows.
pub const WRITTEN: &str = "/update/";
/// What it asks itself for.
const PULSE: &str = "/pulse";
/// An answer that [`ask`] takes.
const ANSWER_BYTES: u64 = 4 << 20;

/// Why the control socket cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Another process answers there.
    #[error("control socket {path}: another process uses it")]
    Busy {
        /// The socket.
        path: PathBuf,
    },
    /// There is a file that is not a socket.
    #[error("control socket {path}: there is a file that is not a socket")]
    NotASocket {
        /// The file.
        path: PathBuf,
    },
    /// It cannot be made or reached.
    #[error("control socket {path}: {message}")]
    Io {
        /// The socket.
        path: PathBuf,
        /// What the system said.
        message: String,
    },
}

/// The socket, made and ready to answer. It is removed when this is dropped.
pub struct Control {
    path: PathBuf,
    server: tiny_http::Server,
    /// Of the threads of tiny_http, as one.
    pulse: Pulse,
    /// The request to itself that is on its way, or the last one that was answered.
    own: Option<UnixStream>,
    /// When it asks itself next.
    next: Duration,
}

impl Control {
    /// Makes the socket; one that a dead process left behind is replaced.
    pub fn bind(path: &Path, pulses: &Pulses) -> Result<Self, Error> {
        let failed = |message: String| Error::Io { path: path.to_owned(), message };
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(|error| failed(error.to_string()))?;
        }
        remove_stale(path)?;
        let server = tiny_http::Server::http_unix(path).map_err(|error| failed(error.to_string()))?;
        // Whoever is in the group may ask; nobody else.
        fs::set_permissions(path, Permissions::from_mode(0o660))
            .map_err(|error| failed(error.to_string()))?;
        let pulse = pulses.register("control-http");
        pulse.expect_by(None);
        Ok(Self { path: path.to_owned(), server, pulse, own: None, next: Duration::ZERO })
    }

    /// Answers until `stop` is asked for.
    pub fn run(mut self, sources: &Sources, stop: &Stop) {
        while !stop.asked() {
            self.ask_itself();
            match self.server.recv_timeout(TURN) {
                Ok(Some(request)) => {
                    if request.url() == PULSE {
                        self.pulse.expect_by(None);
                    }
                    answer(sources, request);
                }
                Ok(None) => {}
                Err(error) => {
                    tracing::warn!(path = %self.path.display(), %error, "control socket failed");
                    stop.wait(Duration::from_secs(1));
                }
            }
        }
    }
}

impl Control {
    /// Sends itself a request now and then, and waits for nothing: it must come by way of tiny_http.
    fn ask_itself(&mut self) {
        let now = monotonic();
        if now < self.next {
            return;
        }
        self.next = now + ASKS_ITSELF + STUCK_AFTER;
        self.own = UnixStream::connect(&self.path).ok();
        // Where the socket was taken away nothing can be asked, and nobody can ask.
        let asked = self.own.as_mut().map(|own| write!(own, "GET {PULSE} HTTP/1.0\r\n\r\n"));
        self.pulse.expect_by(asked.is_some_and(|asked| asked.is_ok()).then_some(now + STUCK_AFTER));
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        let _may_be_gone = fs::remove_file(&self.path);
    }
}

/// Removes a socket that nobody answers on.
fn remove_stale(path: &Path) -> Result<(), Error> {
    let Ok(found) = fs::symlink_metadata(path) else { return Ok(()) };
    if !found.file_type().is_socket() {
        return Err(Error::NotASocket { path: path.to_owned() });
    }
    match UnixStream::connect(path) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => fs::remove_file(path)
            .map_err(|error| Error::Io { path: path.to_owned(), message: error.to_string() }),
        Err(error) => Err(Error::Io { path: path.to_owned(), message: error.to_string() }),
        Ok(_) => Err(Error::Busy { path: path.to_owned() }),
    }
}

fn answer(sources: &Sources, request: Request) {
    let (code, body) = match request.url() {
        "/status" => (200, serde_json::to_vec(&api::status(sources))),
        "/healthz" => {
            let health = api::health(sources);
            (if health.healthy { 200 } else { 503 }, serde_json::to_vec(&health))
        }
        PULSE => (200, Ok(Vec::new())),
        url if let Some(version) = url.strip_prefix(WRITTEN) => {
            sources.status.update.written(version.to_owned());
            (200, Ok(b"{}".to_vec()))
        }
        _ => (404, Ok(b"\"/status or /healthz\"".to_vec())),
    };
    let response = Response::from_data(body.unwrap_or_default()).with_status_code(code);
    let response = match Header::from_bytes("content-type", "application/json") {
        Ok(header) => response.with_header(header),
        Err(()) => response,
    };
    let _client_may_be_gone = request.respond(response);
}

/// Asks a running edge for `/status` or `/healthz`; gives the JSON text.
pub fn ask(path: &Path, what: &str) -> Result<String, Error> {
    let failed = |error: io::Error| Error::Io { path: path.to_owned(), message: error.to_string() };
    let answer = exchange(path, what).map_err(failed)?;
    let text = String::from_utf8_lossy(&answer);
    match text.split_once("\r\n\r\n") {
        Some((_head, body)) => Ok(body.to_owned()),
        None => Err(failed(io::ErrorKind::UnexpectedEof.into())),
    }
}

fn exchange(path: &Path, what: &str) -> io::Result<Vec<u8>> {
    let mut socket = UnixStream::connect(path)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.set_write_timeout(Some(PATIENCE))?;
    // With HTTP/1.0 the answer is not chunked and ends with the connection.
    write!(socket, "GET {what} HTTP/1.0\r\n\r\n")?;
    let mut answer = Vec::new();
    socket.take(ANSWER_BYTES).read_to_end(&mut answer)?;
    Ok(answer)
}

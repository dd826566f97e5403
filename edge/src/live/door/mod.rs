//! The listener that owns the port: it lets connections in, bounds what each may take, and puts the stuck ones out.
//!
//! ```text
//! accept -> Table -> [TLS] -> hyper (HTTP/1.1, HTTP/2) -> routes
//!   |         |                 |                            |
//!   |         caps, displacing  head: 16 KiB (431), 10 s     Answered: a body that nobody takes for 10 s ends
//!   |         the waiting       (408), no request body (413) the connection
//!   EMFILE: one connection is taken with the spare descriptor and closed, then a pause
//! ```
//!
//! Everything runs on one thread. What a client can make the edge keep is its connection (a few KiB), one request head and what
//! the send buffer holds; streams are shared by all viewers.

mod table;
mod tls;
mod watched;

use super::reply::Body;
use super::routes::{self, Site};
use crate::config::{self, Current};
use crate::status::{Metrics, Status};
use crate::supervise::{Heartbeat, Stop};
use hyper::body::{Frame, Incoming, SizeHint};
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use nix::errno::Errno;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::socket::{setsockopt, sockopt};
use std::convert::Infallible;
use std::fs::File;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use table::{Answer, Connection, End, HEAD, Limits, Refused, SWEEP, Table};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{LocalSet, spawn_local};
use tokio::time::{Instant, interval, sleep, timeout};
use tokio_rustls::TlsAcceptor;
use watched::Watched;

/// A request head may be this long.
const HEAD_BYTES: usize = 16 << 10;
/// Send buffer of a connection: large enough for a segment at once, small enough that a stalled reader shows.
const SEND_BUFFER: usize = 64 << 10;
/// What hyper may hold of an answer beyond that.
const WRITE_BUFFER: usize = 64 << 10;
/// Requests at once on one HTTP/2 connection.
const STREAMS: u32 = 32;
/// Streams that a peer may open and reset without having been served.
const RESETS: usize = 20;
/// Pause after accepting failed for want of a resource.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Descriptors that the rest of the appliance needs.
const OTHER_DESCRIPTORS: u64 = 128;
/// Threads for reading recordings and decoding snapshots.
const IO_THREADS: usize = 2;

/// Why the web server cannot start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The port is taken, or the address is not this machine's.
    #[error("live.listen = {address}: {source}")]
    Listen {
        /// As configured.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The certificate or its key cannot be used.
    #[error("live.tls: {path}: {message}")]
    Certificate {
        /// The PEM file.
        path: PathBuf,
        /// What is wrong with it.
        message: String,
    },
    /// The runtime did not start.
    #[error("web server: {0}")]
    Runtime(#[source] io::Error),
}

/// A web server that owns its port and is ready to run.
pub struct Server {
    runtime: tokio::runtime::Runtime,
    listener: TcpListener,
    address: SocketAddr,
    tls: Option<TlsAcceptor>,
    /// Given up to take a connection when there is no descriptor left.
    spare: Option<File>,
}

impl Server {
    /// Takes the port and reads the certificate.
    pub fn bind(config: &config::Live) -> Result<Self, Error> {
        let tls = config.tls.as_ref().map(tls::acceptor).transpose()?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .max_blocking_threads(IO_THREADS)
            .thread_name("live-io")
            .build()
            .map_err(Error::Runtime)?;
        let failed = |source| Error::Listen { address: config.listen, source };
        let listener = {
            let _entered = runtime.enter();
            listen(config.listen).map_err(failed)?
        };
        let address = listener.local_addr().map_err(failed)?;
        tracing::info!(addr = %address, tls = tls.is_some(), "listening");
        Ok(Self { runtime, listener, address, tls, spare: open_spare() })
    }

    /// Where it listens: with the port that was chosen if the configuration says 0.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `stop` is asked for; the thread that calls this is the runtime's.
    pub fn run(self, sources: super::Sources, stop: Stop, heartbeat: Heartbeat) {
        let Self { runtime, listener, tls, spare, .. } = self;
        raise_descriptor_limit(sources.config.get().live.max_connections);
        let status = Arc::clone(&sources.status);
        let tasks = LocalSet::new();
        tasks.block_on(&runtime, async {
            let table = Rc::new(Table::default());
            let house = House {
                config: sources.config.clone(),
                site: Rc::new(Site::new(sources)),
                table: Rc::clone(&table),
                tls: tls.map(Rc::new),
                status: Arc::clone(&status),
            };
            let sweeper = spawn_local(sweep(table, status, heartbeat));
            tokio::select! {
                () = stop.wait_async() => {}
                never = house.welcome(listener, spare) => match never {},
            }
            sweeper.abort();
        });
        // A blocked read of a recording must not hold up the end.
        drop(tasks);
        runtime.shutdown_background();
    }
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let listener = std::net::TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    // Inherited by every accepted connection.
    setsockopt(&listener, sockopt::SndBuf, &SEND_BUFFER)?;
    TcpListener::from_std(listener)
}

fn open_spare() -> Option<File> {
    File::open("/dev/null").ok()
}

/// Lifts the soft limit on descriptors so that the caps of the door are what bounds connections.
fn raise_descriptor_limit(connections: usize) {
    let wanted = connections as u64 + OTHER_DESCRIPTORS;
    if let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE)
        && soft < wanted
    {
        let raised = wanted.min(hard);
        if raised < wanted || setrlimit(Resource::RLIMIT_NOFILE, raised, hard).is_err() {
            tracing::warn!(limit = raised, wanted, "fewer file descriptors than live.max_connections needs");
        }
    }
}

/// Looks after the connections, and tells health that the runtime turns.
async fn sweep(table: Rc<Table>, status: Arc<Status>, heartbeat: Heartbeat) {
    let mut ticks = interval(SWEEP);
    loop {
        ticks.tick().await;
        heartbeat.beat();
        table.sweep(Instant::now());
        status.metrics.connections.set(table.len() as i64);
    }
}

/// What every connection shares.
#[derive(Clone)]
struct House {
    config: Current,
    site: Rc<Site>,
    table: Rc<Table>,
    tls: Option<Rc<TlsAcceptor>>,
    status: Arc<Status>,
}

impl House {
    fn metrics(&self) -> &Metrics {
        &self.status.metrics
    }

    /// Accepts connections for ever.
    async fn welcome(self, listener: TcpListener, mut spare: Option<File>) -> Infallible {
        loop {
            match listener.accept().await {
                Ok((socket, peer)) => self.receive(socket, peer),
                Err(error) => self.accept_failed(&listener, &mut spare, &error).await,
            }
        }
    }

    fn receive(&self, socket: TcpStream, peer: SocketAddr) {
        let live = &self.config.get().live;
        let limits = Limits { connections: live.max_connections, per_address: live.max_per_address };
        match self.table.admit(peer.ip(), limits) {
            Ok(connection) => {
                self.metrics().connections_accepted.inc();
                // Fragments are small and must not wait for more.
                let _only_slower_without = socket.set_nodelay(true);
                let watched = Watched::new(socket, Rc::clone(&connection), self.metrics().sent_bytes.clone());
                spawn_local(self.clone().serve(watched, connection));
            }
            Err(refused) => {
                self.metrics().connections_refused.inc();
                tracing::debug!(%peer, ?refused, "connection refused");
                if self.tls.is_none() {
                    refuse(&socket, refused);
                }
            }
        }
    }

    /// The kernel has no descriptor or memory for a new connection: close one so that its client is not left hanging.
    async fn accept_failed(&self, listener: &TcpListener, spare: &mut Option<File>, error: &io::Error) {
        self.metrics().accept_errors.inc();
        let no_descriptor = [Errno::EMFILE as i32, Errno::ENFILE as i32];
        if error.raw_os_error().is_some_and(|code| no_descriptor.contains(&code)) {
            *spare = None;
            let closed = timeout(Duration::ZERO, listener.accept()).await;
            drop(closed);
            *spare = open_spare();
        }
        tracing::warn!(%error, "accepting a connection failed");
        sleep(ACCEPT_PAUSE).await;
    }

    async fn serve(self, socket: Watched, connection: Rc<Connection>) {
        match &self.tls {
            None => self.http1(socket, &connection).await,
            Some(acceptor) => {
                let shaken = tokio::select! {
                    biased;
                    _end = connection.ended() => None,
                    shaken = acceptor.accept(socket) => shaken.ok(),
                };
                match shaken {
                    Some(stream) if stream.get_ref().1.alpn_protocol() == Some(tls::H2) => {
                        self.http2(stream, &connection).await;
                    }
                    Some(stream) => self.http1(stream, &connection).await,
                    None => {}
                }
            }
        }
        self.table.leave(&connection);
    }

    async fn http1<I: AsyncRead + AsyncWrite + Unpin>(&self, io: I, connection: &Rc<Connection>) {
        let service = Service { house: self.clone(), connection: Rc::clone(connection) };
        let mut serving = hyper::server::conn::http1::Builder::new()
            .max_header_size(HEAD_BYTES)
            .max_buf_size(WRITE_BUFFER)
            .header_read_timeout(None)
            .serve_connection(TokioIo::new(io), service);
        let end = tokio::select! {
            biased;
            served = &mut serving => return self.served(served),
            end = connection.ended() => end,
        };
        self.ended(end);
        let parts = serving.into_parts();
        if end == End::Silent && !parts.read_buf.is_empty() {
            self.metrics().requests_refused.inc();
            let answer = b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
            let _client_may_be_gone = timeout(SWEEP, parts.io.into_inner().write_all(answer)).await;
        }
    }

    async fn http2<I: AsyncRead + AsyncWrite + Unpin>(&self, io: I, connection: &Rc<Connection>) {
        let service = Service { house: self.clone(), connection: Rc::clone(connection) };
        let mut serving = pin!(
            hyper::server::conn::http2::Builder::new(Local)
                .timer(TokioTimer::new())
                .keep_alive_interval(HEAD)
                .keep_alive_timeout(HEAD)
                .max_concurrent_streams(STREAMS)
                .max_header_list_size(HEAD_BYTES as u32)
                .max_send_buf_size(WRITE_BUFFER)
                .max_pending_accept_reset_streams(RESETS)
                .max_local_error_reset_streams(RESETS)
                .serve_connection(TokioIo::new(io), service)
        );
        tokio::select! {
            biased;
            served = serving.as_mut() => self.served(served),
            end = connection.ended() => self.ended(end),
        }
    }

    fn served(&self, served: hyper::Result<()>) {
        if let Err(error) = served {
            if error.is_parse() {
                self.metrics().requests_refused.inc();
            }
            tracing::debug!(%error, "connection failed");
        }
    }

    fn ended(&self, end: End) {
        if end == End::Stalled {
            self.metrics().viewers_stalled.inc();
        }
        tracing::debug!(?end, "connection ended");
    }
}

/// Says 503 without ever waiting, then closes.
fn refuse(socket: &TcpStream, refused: Refused) {
    let text = match refused {
        Refused::Full => "Too many connections.\n",
        Refused::Address => "Too many connections from your address.\n",
    };
    let answer = format!(
        "HTTP/1.1 503 Service Unavailable\r\nconnection: close\r\nretry-after: 5\r\ncontent-type: text/plain\r\n\
         content-length: {}\r\n\r\n{text}",
        text.len()
    );
    let _client_may_be_gone = socket.try_write(answer.as_bytes());
    // Closing with unread bytes would reset the connection, and the client would not see the answer.
    let mut unread = [0; 4096];
    let _nothing_to_read = socket.try_read(&mut unread);
}

/// Runs the streams of HTTP/2 connections on this thread.
#[derive(Clone, Copy)]
struct Local;

impl<F: Future<Output: 'static> + 'static> hyper::rt::Executor<F> for Local {
    fn execute(&self, future: F) {
        spawn_local(future);
    }
}

struct Service {
    house: House,
    connection: Rc<Connection>,
}

impl hyper::service::Service<Request<Incoming>> for Service {
    type Response = Response<Answered>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>>>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let answer = self.connection.answer();
        let house = self.house.clone();
        Box::pin(async move {
            let response = routes::answer(&house.site, request).await;
            Ok(response.map(|body| Answered { body, answer }))
        })
    }
}

/// The body of an answer, which tells its connection whether it is being taken.
struct Answered {
    body: Body,
    answer: Answer,
}

impl hyper::body::Body for Answered {
    type Data = bytes::Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<bytes::Bytes>>>> {
        self.answer.asked();
        let frame = Pin::new(&mut self.body).poll_frame(cx);
        if frame.is_ready() {
            self.answer.given();
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

//! The listener that owns the port: it lets connections in and bounds what each may take.
//!
//! ```text
//! accept -> Door -> hyper (HTTP/1.1) -> axum
//!   |        |       |                   body: a reader that takes nothing for 10 s is dropped
//!   |        caps    head: 16 KiB (431), 10 s, also between two requests
//!   no descriptor: a pause
//! ```
//!
//! Everything runs on one thread; reading files has two of its own. What a client can make the host keep is its connection,
//! one request head, and what its send buffer and one piece of a file hold.

use super::{Site, Sources, router};
use crate::status::Metrics;
use crate::supervise::{Pulse, Stop};
use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use nix::sys::socket::{setsockopt, sockopt};
use std::collections::HashMap;
use std::future::Future;
use std::io::{self, IoSlice};
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Sleep, interval, sleep};

/// A request head may be this long.
const HEAD_BYTES: usize = 16 << 10;
/// It has to be complete within this time of the connection, or of the answer before.
const HEAD: Duration = Duration::from_secs(10);
/// A reader that takes nothing for this long is dropped. What the two sockets buffer hides the first seconds of a stall.
const STALL: Duration = Duration::from_secs(10);
/// Send buffer of a connection, small enough that a stalled reader shows.
const SEND_BUFFER: usize = 256 << 10;
/// What hyper may hold of an answer beyond that.
const WRITE_BUFFER: usize = 64 << 10;
/// Pause after accepting failed for want of a resource.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Threads for reading files.
const IO_THREADS: usize = 2;
/// How often the end is looked for.
const TICK: Duration = Duration::from_millis(250);

/// Why the web server cannot start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The port is taken, or the address is not this machine's.
    #[error("web.listen = {address}: {source}")]
    Listen {
        /// As configured.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
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
    site: Site,
}

impl Server {
    /// Takes the port.
    ///
    /// # Errors
    /// It cannot be had.
    pub fn bind(sources: Sources) -> Result<Self, Error> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .max_blocking_threads(IO_THREADS)
            .thread_name("web-io")
            .build()
            .map_err(Error::Runtime)?;
        let wanted = sources.config.web.listen;
        let failed = |source| Error::Listen { address: wanted, source };
        let listener = {
            let _entered = runtime.enter();
            listen(wanted).map_err(failed)?
        };
        let address = listener.local_addr().map_err(failed)?;
        tracing::info!(addr = %address, "listening");
        Ok(Self { runtime, listener, address, site: Arc::new(sources) })
    }

    /// Where it listens: with the port that was chosen if the configuration says 0.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `stop` is asked for; the thread that calls this is the runtime's.
    pub fn run(self, stop: &Stop, pulse: &Pulse) {
        let Self { runtime, listener, site, .. } = self;
        runtime.block_on(async {
            tokio::select! {
                () = ended(stop, pulse) => {}
                () = welcome(listener, site) => {}
            }
        });
        // A blocked read of a file must not hold up the end.
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

/// Completes when the end is asked for; tells health until then that the runtime turns.
async fn ended(stop: &Stop, pulse: &Pulse) {
    let mut ticks = interval(TICK);
    while !stop.asked() {
        pulse.beat();
        ticks.tick().await;
    }
}

/// Accepts connections for ever.
async fn welcome(listener: TcpListener, site: Site) {
    let metrics = site.status.metrics.clone();
    let web = &site.config.web;
    let limits = Limits { connections: web.max_connections, per_address: web.max_per_address };
    let door = Door { limits, open: Arc::default(), metrics: metrics.clone() };
    let router = router(Arc::clone(&site));
    loop {
        match listener.accept().await {
            Ok((socket, peer)) => match door.admit(peer.ip()) {
                Some(pass) => drop(tokio::spawn(serve(socket, pass, router.clone(), metrics.clone()))),
                None => refuse(&socket),
            },
            Err(error) => {
                metrics.accept_errors.inc();
                tracing::warn!(%error, "accepting a connection failed");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn serve(socket: TcpStream, _pass: Pass, router: Router, metrics: Metrics) {
    let socket = Paced { socket, blocked: None, metrics };
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .max_header_size(HEAD_BYTES)
        .max_buf_size(WRITE_BUFFER)
        .serve_connection(TokioIo::new(socket), TowerToHyperService::new(router));
    if let Err(error) = served.await {
        tracing::debug!(%error, "connection ended");
    }
}

/// Says 503 without ever waiting, then closes.
fn refuse(socket: &TcpStream) {
    let text = "Too many connections.\n";
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

/// How many connections may be open.
#[derive(Clone, Copy, Debug)]
struct Limits {
    /// In all.
    connections: usize,
    /// From one address.
    per_address: usize,
}

/// Counts connections.
struct Door {
    limits: Limits,
    open: Arc<Mutex<Open>>,
    metrics: Metrics,
}

#[derive(Debug, Default)]
struct Open {
    all: usize,
    by_address: HashMap<IpAddr, usize>,
}

impl Door {
    /// Lets a newcomer in, unless there are too many.
    fn admit(&self, address: IpAddr) -> Option<Pass> {
        let address = address.to_canonical();
        let mut open = lock(&self.open);
        let own = open.by_address.get(&address).copied().unwrap_or_default();
        if open.all >= self.limits.connections || own >= self.limits.per_address {
            self.metrics.connections_refused.inc();
            return None;
        }
        open.all += 1;
        open.by_address.insert(address, own + 1);
        self.metrics.connections_accepted.inc();
        self.metrics.connections.inc();
        Some(Pass { open: Arc::clone(&self.open), address, metrics: self.metrics.clone() })
    }
}

/// An open connection's place.
struct Pass {
    open: Arc<Mutex<Open>>,
    address: IpAddr,
    metrics: Metrics,
}

impl Drop for Pass {
    fn drop(&mut self) {
        let mut open = lock(&self.open);
        open.all -= 1;
        if let Some(own) = open.by_address.get_mut(&self.address) {
            *own -= 1;
            if *own == 0 {
                open.by_address.remove(&self.address);
            }
        }
        self.metrics.connections.dec();
    }
}

fn lock(open: &Mutex<Open>) -> MutexGuard<'_, Open> {
    open.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A socket that is given up when its peer takes nothing for [`STALL`].
struct Paced {
    socket: TcpStream,
    /// While it takes nothing: until when that may last.
    blocked: Option<Pin<Box<Sleep>>>,
    metrics: Metrics,
}

impl Paced {
    fn saw(&mut self, written: Poll<io::Result<usize>>, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        match written {
            Poll::Ready(written) => {
                self.blocked = None;
                self.metrics.sent_bytes.inc_by(written.as_ref().map_or(0, |&bytes| bytes as u64));
                Poll::Ready(written)
            }
            Poll::Pending => {
                let until = self.blocked.get_or_insert_with(|| Box::pin(sleep(STALL)));
                if until.as_mut().poll(cx).is_pending() {
                    return Poll::Pending;
                }
                self.metrics.viewers_stalled.inc();
                Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
            }
        }
    }
}

impl AsyncRead for Paced {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Paced {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.socket).poll_write(cx, bytes);
        self.saw(written, cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.socket).poll_write_vectored(cx, bytes);
        self.saw(written, cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_address_and_nobody_together_get_more_than_their_share() {
        let limits = Limits { connections: 3, per_address: 2 };
        let door = Door { limits, open: Arc::default(), metrics: Metrics::default() };
        let address = |last: u8| IpAddr::from([127, 0, 0, last]);
        let first = door.admit(address(1)).expect("room");
        let _second = door.admit("::ffff:127.0.0.1".parse().expect("an address")).expect("room");
        assert!(door.admit(address(1)).is_none(), "two of one address");
        let _third = door.admit(address(2)).expect("room");
        assert!(door.admit(address(3)).is_none(), "three in all");
        drop(first);
        assert!(door.admit(address(1)).is_some());
        assert_eq!((door.metrics.connections.get(), door.metrics.connections_refused.get()), (2, 2));
        assert_eq!(lock(&door.open).by_address.len(), 2);
    }
}

//! The listener that owns a port: it lets connections in, bounds what each may take, and puts the stuck ones out.
//!
//! ```text
//! accept -> Table -> [TLS] -> hyper (HTTP/1.1, HTTP/2) -> the service behind it
//!   |         |                 |                            |
//!   |         caps, displacing  head: 16 KiB (431), 10 s     Answered: a body that nobody takes for 10 s ends
//!   |         the waiting       (408)                        the connection
//!   EMFILE: one connection is taken with the spare descriptor and closed, then a pause
//! ```
//!
//! Everything runs on one thread; reading files has two of its own. What a client can make the program keep is its connection
//! (a few KiB), one request head and what the send buffer holds.

mod answered;
mod http;
mod table;
mod watched;

use crate::supervise::{Crew, Pulses, beat};
use http::House;
use hyper::body::{Body, Incoming};
use hyper::service::Service;
use hyper::{Request, Response};
use nix::errno::Errno;
use nix::libc::rlim_t;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::socket::{setsockopt, sockopt};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use std::convert::Infallible;
use std::error::Error;
use std::fs::File;
use std::future::pending;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
pub use table::Limits;
use table::{Refused, SWEEP, Table};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{LocalSet, spawn_local};
use tokio::time::{Instant, interval, sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use watched::Watched;

/// What HTTPS offers in ALPN (RFC 7301): HTTP/2 before HTTP/1.1.
pub const PROTOCOLS: [&[u8]; 2] = [H2, b"http/1.1"];
const H2: &[u8] = b"h2";
/// Pause after accepting failed for want of a resource.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Descriptors that the rest of the program needs.
const OTHER_DESCRIPTORS: rlim_t = 128;
/// Threads for what blocks: reading files, decoding pictures.
const IO_THREADS: usize = 2;

/// How a door is opened.
pub struct Options {
    /// Address and port; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Makes it HTTPS. It should offer [`PROTOCOLS`].
    pub tls: Option<Arc<ServerConfig>>,
    /// `SO_SNDBUF` of a connection: large enough for what is sent at once, small enough that a stalled reader shows.
    pub send_buffer: usize,
    /// Name of the threads for what blocks.
    pub io_threads: &'static str,
    /// Where those are felt.
    pub pulses: Pulses,
}

/// What a door counts, in the metrics of its program.
#[derive(Clone, Debug, Default)]
pub struct Counters {
    /// Open connections.
    pub connections: Gauge,
    /// Connections accepted.
    pub accepted: Counter,
    /// Connections refused because there were too many.
    pub refused: Counter,
    /// Times that accepting failed for want of file descriptors.
    pub accept_errors: Counter,
    /// Requests refused: malformed, too large, too slow.
    pub requests_refused: Counter,
    /// Viewers dropped because they did not read.
    pub stalled: Counter,
    /// Bytes sent.
    pub sent_bytes: Counter,
}

/// What can be behind a door: whatever answers every request, on the thread of the door.
pub trait Answers:
    Service<Request<Incoming>, Response = Response<Self::Body>, Error = Infallible, Future: 'static> + 'static
{
    /// The body of an answer.
    type Body: Body<Data: 'static, Error: Into<Box<dyn Error + Send + Sync>>> + Unpin + 'static;
}

impl<S, B> Answers for S
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible, Future: 'static> + 'static,
    B: Body<Data: 'static, Error: Into<Box<dyn Error + Send + Sync>>> + Unpin + 'static,
{
    type Body = B;
}

/// A listener that owns its port and is ready to serve.
pub struct Door {
    runtime: tokio::runtime::Runtime,
    listener: Listener,
    /// Speaks plain HTTP beside HTTPS.
    plain: Option<Listener>,
    address: SocketAddr,
    send_buffer: usize,
    crew: Crew,
}

/// One port.
struct Listener {
    socket: TcpListener,
    tls: Option<TlsAcceptor>,
    /// Given up to take a connection when there is no descriptor left.
    spare: Option<File>,
}

/// Where a request comes from; an extension of each request behind a door.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Address of the client.
    pub address: IpAddr,
    /// It came by HTTPS.
    pub secure: bool,
}

impl Door {
    /// Takes the port.
    ///
    /// # Errors
    /// It is taken, the address is not this machine's, or the system has no descriptor left.
    pub fn open(options: Options) -> io::Result<Self> {
        let Options { listen, tls, send_buffer, io_threads, pulses } = options;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .max_blocking_threads(IO_THREADS)
            .thread_name(io_threads)
            .build()?;
        let (listener, address) = Listener::open(&runtime, listen, send_buffer, tls.map(TlsAcceptor::from))?;
        let crew = Crew::new(io_threads, &pulses);
        Ok(Self { runtime, listener, plain: None, address, send_buffer, crew })
    }

    /// Takes a second port, for plain HTTP to the same service.
    ///
    /// # Errors
    /// As for the first.
    pub fn and_plain(mut self, listen: SocketAddr) -> io::Result<Self> {
        let (plain, _address) = Listener::open(&self.runtime, listen, self.send_buffer, None)?;
        self.plain = Some(plain);
        Ok(self)
    }

    /// Where it listens: with the port that was chosen if port 0 was asked for.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves what `behind` makes, on the runtime, until `end` completes; the thread that calls this is the runtime's. It
    /// beats twice a second, and asks for the limits with each newcomer.
    pub fn serve<A: Answers>(
        self,
        behind: impl FnOnce() -> A,
        limits: impl Fn() -> Limits,
        counters: Counters,
        end: impl Future<Output = ()>,
    ) {
        let Self { runtime, listener, plain, crew, .. } = self;
        crew.attach();
        raise_descriptor_limit(limits().connections);
        let tasks = LocalSet::new();
        tasks.block_on(&runtime, async {
            let house = Rc::new(House { behind: behind(), table: Table::default(), counters });
            let second = async {
                match plain {
                    Some(plain) => welcome(&house, &limits, plain).await,
                    None => pending().await,
                }
            };
            tokio::select! {
                () = end => {}
                never = sweep(&house) => match never {},
                never = welcome(&house, &limits, listener) => match never {},
                never = second => match never {},
            }
        });
        // A blocked read must not hold up the end.
        drop(tasks);
        runtime.shutdown_background();
    }
}

impl Listener {
    fn open(
        runtime: &tokio::runtime::Runtime,
        listen: SocketAddr,
        send_buffer: usize,
        tls: Option<TlsAcceptor>,
    ) -> io::Result<(Self, SocketAddr)> {
        let _entered = runtime.enter();
        let socket = bind(listen, send_buffer)?;
        let address = socket.local_addr()?;
        tracing::info!(addr = %address, tls = tls.is_some(), "listening");
        Ok((Self { socket, tls, spare: open_spare() }, address))
    }

    /// The kernel has no descriptor or memory for a new connection: close one so that its client is not left hanging.
    async fn accept_failed(&mut self, error: &io::Error) {
        let no_descriptor = [Errno::EMFILE as i32, Errno::ENFILE as i32];
        if error.raw_os_error().is_some_and(|code| no_descriptor.contains(&code)) {
            self.spare = None;
            let closed = timeout(Duration::ZERO, self.socket.accept()).await;
            drop(closed);
            self.spare = open_spare();
        }
        sleep(ACCEPT_PAUSE).await;
    }
}

fn bind(address: SocketAddr, send_buffer: usize) -> io::Result<TcpListener> {
    let listener = std::net::TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    // Inherited by every accepted connection.
    setsockopt(&listener, sockopt::SndBuf, &send_buffer)?;
    TcpListener::from_std(listener)
}

fn open_spare() -> Option<File> {
    File::open("/dev/null").ok()
}

/// Lifts the soft limit on descriptors so that the caps of the door are what bounds connections.
fn raise_descriptor_limit(connections: usize) {
    // As wide as the kernel's word on this processor.
    let wanted = rlim_t::try_from(connections).unwrap_or(rlim_t::MAX).saturating_add(OTHER_DESCRIPTORS);
    if let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE)
        && soft < wanted
    {
        let raised = wanted.min(hard);
        if raised < wanted || setrlimit(Resource::RLIMIT_NOFILE, raised, hard).is_err() {
            tracing::warn!(limit = raised, wanted, "fewer file descriptors than max_connections needs");
        }
    }
}

/// Looks after the connections, and shows that the runtime turns.
async fn sweep<A>(house: &House<A>) -> Infallible {
    let mut ticks = interval(SWEEP);
    loop {
        ticks.tick().await;
        beat();
        house.table.sweep(Instant::now());
        house.counters.connections.set(house.table.len() as i64);
    }
}

/// Accepts connections for ever.
async fn welcome<A: Answers>(
    house: &Rc<House<A>>,
    limits: &impl Fn() -> Limits,
    mut listener: Listener,
) -> Infallible {
    loop {
        match listener.socket.accept().await {
            Ok((socket, peer)) => match house.table.admit(peer.ip(), limits()) {
                Ok(connection) => {
                    house.counters.accepted.inc();
                    // Small pieces must not wait for more.
                    let _only_slower_without = socket.set_nodelay(true);
                    let sent = house.counters.sent_bytes.clone();
                    let watched = Watched::new(socket, Rc::clone(&connection), sent);
                    let peer = Peer { address: peer.ip().to_canonical(), secure: listener.tls.is_some() };
                    spawn_local(Rc::clone(house).serve(watched, connection, peer, listener.tls.clone()));
                }
                Err(refused) => {
                    house.counters.refused.inc();
                    tracing::debug!(%peer, ?refused, "connection refused");
                    if listener.tls.is_none() {
                        refuse(&socket, refused);
                    }
                }
            },
            Err(error) => {
                house.counters.accept_errors.inc();
                tracing::warn!(%error, "accepting a connection failed");
                listener.accept_failed(&error).await;
            }
        }
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

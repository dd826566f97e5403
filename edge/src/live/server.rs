//! The web server of the appliance: what its configuration says of the [`Door`], and the routes behind it.

use super::Sources;
use super::routes::{self, Site};
use super::tls;
use crate::auth::{Gate, Keys, certificate};
use crate::config::{self, Config};
use crate::setup::Setup;
use crate::status::Metrics;
use crate::supervise::{Errands, Pulses, Stop, Threads};
use hyper::service::service_fn;
use service::door::{Counters, Door, Limits, Options};
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

/// Send buffer of a connection: a segment at once, and at 400 kb/s a stall shows within seconds.
const SEND_BUFFER: usize = 64 << 10;
/// Errands that wait while one is done; with more at once somebody is told to come again.
const ERRANDS: usize = 4;
/// What a password that is being hashed, or a host that is being asked, may take at the end.
const END: Duration = Duration::from_secs(1);

/// Why the web server cannot start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The port is taken, or the address is not this machine's.
    #[error("{key} = {address}: {source}")]
    Listen {
        /// Which port.
        key: &'static str,
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
    /// There is no randomness, or no thread.
    #[error("auth: {0}")]
    Auth(io::Error),
}

/// A web server that owns its port and is ready to run.
pub struct Server {
    door: Door,
    auth: Option<Auth>,
}

/// What `[auth]` takes.
struct Auth {
    keys: Keys,
    /// For hashing and writing.
    errands: Errands,
    /// Threads that do errands.
    threads: Threads,
    /// Settings, and what they must ask of others.
    setup: Setup,
}

impl Server {
    /// Takes the port, reads or makes the certificate, and with `[auth]` reads who may do what.
    ///
    /// # Errors
    /// One of them cannot be had.
    pub fn bind(config: &Config, pulses: &Pulses) -> Result<Self, Error> {
        let live = &config.live;
        let mut fingerprint = None;
        let tls = match (&live.tls, &config.auth) {
            (Some(tls), _) => Some(tls::load(tls)?),
            (None, Some(auth)) => {
                let (tls, own) = tls::own(&auth.dir.join(certificate::FILE), &config.device.name)?;
                fingerprint = Some(own);
                Some(tls)
            }
            (None, None) => None,
        };
        let options = Options {
            listen: live.listen,
            tls,
            send_buffer: SEND_BUFFER,
            io_threads: "live-io",
            pulses: pulses.clone(),
        };
        let mut door =
            Door::open(options).map_err(|source| Error::listen("live.listen", live.listen, source))?;
        if let Some(plain) = live.plain {
            door = door.and_plain(plain).map_err(|source| Error::listen("live.plain", plain, source))?;
        }
        let auth =
            config.auth.as_ref().map(|auth| Auth::new(auth, fingerprint, door.address().port(), pulses));
        Ok(Self { door, auth: auth.transpose()? })
    }

    /// Where it listens: with the port that was chosen if the configuration says 0.
    pub fn address(&self) -> SocketAddr {
        self.door.address()
    }

    /// Serves until `stop` is asked for, on the thread that calls this.
    pub fn run(self, sources: Sources, stop: Stop) {
        let (config, counters) = (sources.config.clone(), counters(&sources.status.metrics));
        let limits = || {
            let live = &config.get().live;
            Limits { connections: live.max_connections, per_address: live.max_per_address }
        };
        let (port, mut threads) = (self.door.address().port(), None);
        let behind = || {
            let (gate, setup) = match self.auth {
                Some(auth) => {
                    threads = Some(auth.threads);
                    let gate = Gate::new(auth.keys, sources.config.clone(), auth.errands);
                    (Some(gate), Some(auth.setup))
                }
                None => (None, None),
            };
            let site = Rc::new(Site::new(sources, gate, setup, port));
            service_fn(move |request| {
                let site = Rc::clone(&site);
                async move { Ok::<_, Infallible>(routes::answer(&site, request).await) }
            })
        };
        self.door.serve(behind, limits, counters, stop.wait_async());
        if let Some(threads) = threads {
            threads.stop();
            threads.end(END);
        }
    }
}

impl Auth {
    fn new(
        auth: &config::Auth,
        fingerprint: Option<String>,
        port: u16,
        pulses: &Pulses,
    ) -> Result<Self, Error> {
        let keys = Keys::open(auth).map_err(Error::Auth)?;
        if let Some(code) = keys.code() {
            let certificate = fingerprint.as_deref().unwrap_or("live.tls");
            tracing::warn!(code = %code, port, certificate, "THIS DEVICE IS NOBODY'S YET: open /claim by HTTPS and enter the code");
        }
        let mut threads = Threads::new(Stop::default(), pulses.clone());
        let (errands, hashing) = Errands::new(ERRANDS);
        threads.spawn("auth", move |stop| hashing.run(&stop)).map_err(Error::Auth)?;
        let (asking, far) = Errands::new(ERRANDS);
        threads.spawn("setup", move |stop| far.run(&stop)).map_err(Error::Auth)?;
        let setup = Setup::new(errands.clone(), asking, fingerprint);
        Ok(Self { keys, errands, threads, setup })
    }
}

impl Error {
    fn listen(key: &'static str, address: SocketAddr, source: io::Error) -> Self {
        Self::Listen { key, address, source }
    }
}

fn counters(metrics: &Metrics) -> Counters {
    Counters {
        connections: metrics.connections.clone(),
        accepted: metrics.connections_accepted.clone(),
        refused: metrics.connections_refused.clone(),
        accept_errors: metrics.accept_errors.clone(),
        requests_refused: metrics.requests_refused.clone(),
        stalled: metrics.viewers_stalled.clone(),
        sent_bytes: metrics.sent_bytes.clone(),
    }
}

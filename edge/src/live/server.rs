//! The web server of the appliance: what its configuration says of the [`Door`], and the routes behind it.

use super::Sources;
use super::routes::{self, Site};
use super::tls;
use crate::config;
use crate::status::Metrics;
use crate::supervise::{Pulses, Stop};
use hyper::service::service_fn;
use service::door::{Counters, Door, Limits, Options};
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::rc::Rc;

/// Send buffer of a connection: a segment at once, and at 400 kb/s a stall shows within seconds.
const SEND_BUFFER: usize = 64 << 10;

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
}

/// A web server that owns its port and is ready to run.
pub struct Server(Door);

impl Server {
    /// Takes the port and reads the certificate.
    ///
    /// # Errors
    /// One of the two cannot be had.
    pub fn bind(config: &config::Live, pulses: &Pulses) -> Result<Self, Error> {
        let options = Options {
            listen: config.listen,
            tls: config.tls.as_ref().map(tls::load).transpose()?,
            send_buffer: SEND_BUFFER,
            io_threads: "live-io",
            pulses: pulses.clone(),
        };
        let failed = |source| Error::Listen { address: config.listen, source };
        Door::open(options).map(Self).map_err(failed)
    }

    /// Where it listens: with the port that was chosen if the configuration says 0.
    pub fn address(&self) -> SocketAddr {
        self.0.address()
    }

    /// Serves until `stop` is asked for, on the thread that calls this.
    pub fn run(self, sources: Sources, stop: Stop) {
        let (config, counters) = (sources.config.clone(), counters(&sources.status.metrics));
        let limits = || {
            let live = &config.get().live;
            Limits { connections: live.max_connections, per_address: live.max_per_address }
        };
        let behind = || {
            let site = Rc::new(Site::new(sources));
            service_fn(move |request| {
                let site = Rc::clone(&site);
                async move { Ok::<_, Infallible>(routes::answer(&site, request).await) }
            })
        };
        self.0.serve(behind, limits, counters, stop.wait_async());
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

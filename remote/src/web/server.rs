//! The web server of the remote host: what its configuration says of the [`Door`], and the router behind it.

use super::{Site, Sources, router};
use crate::status::Metrics;
use crate::supervise::Stop;
use hyper_util::service::TowerToHyperService;
use service::door::{Counters, Door, Limits, Options};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

/// Send buffer of a connection: enough for players far away, small enough that a stalled reader shows.
const SEND_BUFFER: usize = 256 << 10;

/// The port is taken, or the address is not this machine's.
#[derive(Debug, thiserror::Error)]
#[error("web.listen = {address}: {source}")]
pub struct Error {
    /// As configured.
    address: SocketAddr,
    /// What the system said.
    source: io::Error,
}

/// A web server that owns its port and is ready to run.
pub struct Server {
    door: Door,
    site: Site,
}

impl Server {
    /// Takes the port.
    ///
    /// # Errors
    /// It cannot be had.
    pub fn bind(sources: Sources) -> Result<Self, Error> {
        let address = sources.config.web.listen;
        let pulses = sources.pulses.clone();
        let options =
            Options { listen: address, tls: None, send_buffer: SEND_BUFFER, io_threads: "web-io", pulses };
        let door = Door::open(options).map_err(|source| Error { address, source })?;
        Ok(Self { door, site: Arc::new(sources) })
    }

    /// Where it listens: with the port that was chosen if the configuration says 0.
    pub fn address(&self) -> SocketAddr {
        self.door.address()
    }

    /// Serves until `stop` is asked for, on the thread that calls this.
    pub fn run(self, stop: &Stop) {
        let web = &self.site.config.web;
        let limits = Limits { connections: web.max_connections, per_address: web.max_per_address };
        let counters = counters(&self.site.status.metrics);
        let behind = || TowerToHyperService::new(router(self.site));
        self.door.serve(behind, || limits, counters, stop.wait_async());
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

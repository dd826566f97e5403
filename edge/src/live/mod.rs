//! What viewers get: the page, the live stream, HLS, DASH, pictures, recordings, JSON, metrics.
//!
//! ```text
//!                                +-> stream.mp4        (stream: a fragment for each access unit, made once for all viewers)
//! ring --> one tap per camera ---+-> HLS, DASH, TS     (packager: the timeline; segments are read from the ring on demand)
//!                                +-> snapshot, mjpeg   (picture: the newest IDR)
//! status --------------------------> api, metrics, healthz
//! recordings on the disk ----------> recordings
//!
//! server: the port, TLS, caps, deadlines (service::door) --> [entry: who asks, with `[auth]`] --> routes --> one of the above
//! setup: what the set-up page asks and changes; update: a bundle on its way to the card
//! control: the same JSON on a local socket, on a thread of its own
//! ```
//!
//! docs/design/live.md says what holds here and why; docs/ref/http.md lists every path.

mod api;
pub mod control;
mod dash;
mod entry;
mod hls;
mod packager;
mod page;
mod picture;
mod recordings;
mod reply;
mod routes;
mod server;
mod setup;
mod stream;
mod tls;
mod update;

pub use server::{Error, Server};

use crate::config::Current;
use crate::ring::Ring;
use crate::status::Status;
use std::sync::Arc;

/// What `live` shows.
#[derive(Clone)]
pub struct Sources {
    /// The configuration in force.
    pub config: Current,
    /// What the other stages tell.
    pub status: Arc<Status>,
    /// The ring of each camera that has one.
    pub rings: Vec<Ring>,
}

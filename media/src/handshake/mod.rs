//! The two-phase handshake by which a recording travels from an edge to a remote host, as pure state machines.
//!
//! Nothing here opens a connection or a file: a machine ([`upload`] on the edge, [`claim`] on the remote host) says which
//! step comes next and is told the reply; [`flow`] is what is under way to a part, [`watch`] what the janitor there remembers. [`turn`] and
//! [`room`] are the edge's choices: what is sent next, and what leaves a full disk. The states carry the names of `tests/model/upload.pml`; docs/design/upload.md and docs/design/inbox.md state the procedures
//! down to every fsync.

pub mod claim;
pub mod flow;
pub mod room;
pub mod turn;
pub mod upload;
pub mod watch;

pub use flow::Flow;
pub use upload::{Content, Fault, Journal, Reply, Step, Upload};

//! The two-phase handshake by which a recording travels from an edge to a remote host, as pure state machines.
//!
//! Nothing here opens a connection: a machine says which [`upload::Step`] comes next and is told the reply. The states
//! carry the names of `tests/model/upload.pml`; docs/design/upload.md states the procedure down to every fsync.

pub mod upload;

pub use upload::{Fault, Journal, Reply, Step, Upload};

//! Sealed recordings travel to the remote host.

pub mod key;

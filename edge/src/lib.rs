//! The camera appliance: capture, encode, ring, live view, recordings, upload.
//!
//! ```text
//! camera -> source -> encode -> RING -> live   -> viewer
//!                                |
//!                                +----> record -> store -> upload ==SFTP==> remote host
//! ```

pub mod appliance;
pub mod auth;
pub mod config;
pub mod encode;
pub mod frames;
pub mod live;
pub mod record;
pub mod ring;
pub mod setup;
pub mod source;
pub mod status;
pub mod store;
pub mod summary;
pub mod supervise;
pub mod update;
pub mod upload;

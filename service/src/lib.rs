//! What a long-running program needs whatever it does; the appliance and the receiving host share it.
//!
//! ```text
//! edge -> service <- remote
//! ```
//!
//! | module | what |
//! |---|---|
//! | [`config`] | a TOML file, and errors that name the key, the value and what is allowed |
//! | [`logs`] | text or JSON on standard error |
//! | [`files`] | files that are there whole or not at all, also after a power cut |
//!
//! Nothing here knows of cameras, recordings or viewers: formats and protocols are in `media`.

pub mod config;
pub mod files;
pub mod logs;

//! What a long-running program needs whatever it does; the appliance and the receiving host share it.
//!
//! ```text
//! edge -> service <- remote
//! ```
//!
//! | module | what |
//! |---|---|
//! | [`answer`] | what a command prints, and how it tells an error |
//! | [`config`] | a TOML file, and errors that name the key, the value and what is allowed |
//! | [`logs`] | text or JSON on standard error |
//! | [`door`] | the listener of a web server: caps, deadlines, HTTPS |
//! | [`reading`] | files as answers |
//! | [`page`] | files that the pages of both programs have in common |
//! | [`supervise`] | threads that can be asked to end, and are missed when they stand still |
//! | [`notify`] | what systemd is told |
//! | [`files`] | files that are there whole or not at all, also after a power cut |
//!
//! Nothing here knows of cameras or recordings, but for the modules of the pages: formats and protocols are in `media`.
//! docs/design/service.md says what holds here.

pub mod answer;
pub mod config;
pub mod door;
pub mod files;
pub mod logs;
pub mod notify;
pub mod page;
pub mod reading;
pub mod supervise;

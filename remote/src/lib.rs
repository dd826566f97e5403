//! The host that receives recordings: takes in what cameras sent over SFTP, proves that it is whole, and keeps it.
//!
//! ```text
//! sshd -> inbox/ACCOUNT/inbox/ -> inbox (claims) -> archive/
//!                                      |  \-> chop -> hls/
//!                                      |  \          \-> library -> web -> viewers
//!                                      +---------> quarantine/
//! ```
//!
//! | module | what |
//! |---|---|
//! | [`inbox`] | takes recordings in: workers, janitor, quarantine |
//! | [`chop`] | recordings as HLS |
//! | [`sweep`] | what is too old or too much leaves |
//! | [`library`] | what there is to watch, and what is missing |
//! | [`web`] | it is shown: the page, HLS, files, JSON, metrics |
//! | [`check`] | whether recordings are whole and unaltered |
//! | [`receive`] | sshd's forced command for scripts |
//! | [`enroll`] | accounts of cameras and scripts |
//! | [`serve`] | the service: its roles and threads |
//! | [`folders`], [`folder`] | where everything is, and files that are reached without following links |
//! | [`supervise`], [`watchdog`] | the only place with threads and clocks; what ends the process when a thread hangs |
//! | [`config`], [`status`] | what is configured, and what is going on |

pub mod check;
pub mod chop;
pub mod config;
pub mod enroll;
pub mod folder;
pub mod folders;
pub mod inbox;
pub mod library;
pub mod receive;
pub mod serve;
pub mod status;
pub mod supervise;
pub mod sweep;
pub mod watchdog;
pub mod web;

//! The web server of the remote host, on real folders and real sockets.

#![allow(clippy::expect_used, clippy::panic)] // a fixture that fails is a failed test

#[allow(dead_code)] // some of it is for live streams
#[path = "../../../edge/tests/live/client.rs"]
mod client;
mod door;
mod files;
mod fixture;
mod openapi;
#[path = "../../../edge/tests/live/schema.rs"]
mod schema;

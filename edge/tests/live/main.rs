//! The web server of the edge, on a real ring and real sockets.

#![allow(clippy::expect_used, clippy::panic)] // a fixture that fails is a failed test

mod api;
mod client;
mod control;
mod door;
mod fixture;
mod hls;
mod openapi;
mod picture;
mod recordings;
mod schema;
mod stream;
mod tls;

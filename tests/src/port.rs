//! Free ports on loopback.

use std::net::{Ipv4Addr, TcpListener};
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context, Result};

/// Below the range that the kernel takes outgoing ports from, so that no client takes the port in between.
const FIRST: u32 = 15_000;
const COUNT: u32 = 15_000;

/// A port of 127.0.0.1 on which nobody listens. No two calls in a process get the same one; two processes start at
/// different places.
pub fn free_port() -> Result<u16> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let start = std::process::id().wrapping_mul(97);
    let candidates =
        (0..COUNT).map(|_| FIRST + start.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)) % COUNT);
    let ports = candidates.filter_map(|port| u16::try_from(port).ok());
    let free = |port: &u16| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok();
    ports.into_iter().find(free).context("no free port on 127.0.0.1")
}

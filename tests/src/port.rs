//! Free ports on loopback.

use std::collections::VecDeque;
use std::net::{Ipv4Addr, TcpListener};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result};

/// Below the range that the kernel takes outgoing ports from, so that no client takes the port in between.
const FIRST: u32 = 15_000;
const COUNT: u32 = 15_000;
/// A process that takes more gives the oldest back: what listened there has long ended.
const MOST: usize = 256;

/// What this process has taken. The name of a socket says so to all others for as long as it runs, also while nobody listens: a board
/// without power gets its port back. The kernel keeps those names as it keeps ports, for each network apart.
static TAKEN: Mutex<VecDeque<(u32, UnixDatagram)>> = Mutex::new(VecDeque::new());

/// A port of 127.0.0.1 on which nobody listens. No two calls get the same one while the process of the first runs, and has not
/// taken `MOST` others since.
pub fn free_port() -> Result<u16> {
    let mut taken = TAKEN.lock().unwrap_or_else(PoisonError::into_inner);
    let next =
        taken.back().map_or_else(|| std::process::id().wrapping_mul(97), |(last, _)| last.wrapping_add(1));
    let candidates = (0..COUNT).map(|n| FIRST + next.wrapping_sub(FIRST).wrapping_add(n) % COUNT);
    for candidate in candidates {
        let Some(name) = take(candidate) else { continue };
        let port = u16::try_from(candidate)?;
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            taken.push_back((candidate, name));
            if taken.len() > MOST {
                taken.pop_front();
            }
            return Ok(port);
        }
    }
    None.context("no free port on 127.0.0.1")
}

/// The name that says that a port is taken, if nobody has it.
fn take(port: u32) -> Option<UnixDatagram> {
    let name = SocketAddr::from_abstract_name(format!("porthole-port-{port}")).ok()?;
    UnixDatagram::bind_addr(&name).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_that_was_given_is_nobody_elses_while_nobody_listens() {
        let ports: Vec<u16> = (0..100).map(|_| free_port().unwrap()).collect();
        for (n, port) in ports.iter().enumerate() {
            assert!(!ports[..n].contains(port), "{port} twice");
            assert!(take(u32::from(*port)).is_none(), "another process can take {port}");
        }
    }
}

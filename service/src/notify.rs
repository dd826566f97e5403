//! Telling systemd how the service is (sd_notify(3)); without systemd nothing is told.
//!
//! ```text
//! $NOTIFY_SOCKET   a datagram socket, `/path` or `@abstract`:  READY=1   WATCHDOG=1   STOPPING=1
//! $WATCHDOG_USEC   a service that is silent for so long is killed and started again
//! ```
//!
//! The watchers of a program give the signs of life, after a look at all pulses ([`crate::supervise::Watch`]).

use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

/// Signs of life in the time that systemd allows.
const TIMES: u32 = 4;

/// The way to systemd.
#[derive(Debug)]
pub struct Notify {
    socket: Option<UnixDatagram>,
    /// How long the service may be silent.
    patience: Option<Duration>,
}

impl Notify {
    /// What systemd asked for in the environment.
    pub fn from_env() -> Self {
        let address = std::env::var("NOTIFY_SOCKET").ok();
        let micros = std::env::var("WATCHDOG_USEC").ok().and_then(|text| text.parse().ok());
        Self {
            socket: address.and_then(|address| connect(&address)),
            patience: micros.map(Duration::from_micros),
        }
    }

    /// Tells systemd `state`. That nobody listens is no fault of the service.
    pub fn tell(&self, state: &str) {
        if let Some(socket) = &self.socket
            && let Err(error) = socket.send(state.as_bytes())
        {
            tracing::warn!(%error, state, "systemd was not told");
        }
    }

    /// From one sign of life to the next, if systemd wants any.
    pub fn rhythm(&self) -> Option<Duration> {
        self.patience.map(|patience| patience / TIMES)
    }
}

fn connect(address: &str) -> Option<UnixDatagram> {
    let socket = UnixDatagram::unbound().ok()?;
    let address = match address.strip_prefix('@') {
        Some(name) => SocketAddr::from_abstract_name(name),
        None => SocketAddr::from_pathname(address),
    };
    socket.connect_addr(&address.ok()?).ok()?;
    Some(socket)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn systemd_hears_what_it_is_told() {
        let dir = tempfile::tempdir().expect("dir");
        let path = dir.path().join("notify");
        let systemd = UnixDatagram::bind(&path).expect("binds");
        let patience = Duration::from_millis(4);
        let notify = Notify { socket: connect(path.to_str().expect("text")), patience: Some(patience) };
        let heard = || {
            let mut text = [0; 32];
            let length = systemd.recv(&mut text).expect("hears");
            String::from_utf8_lossy(&text[..length]).into_owned()
        };
        notify.tell("READY=1");
        assert_eq!(heard(), "READY=1");
        assert_eq!(notify.rhythm(), Some(patience / TIMES));
    }
}

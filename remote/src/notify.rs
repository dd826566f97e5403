//! Telling systemd how the service is (sd_notify(3)); without systemd nothing is told.
//!
//! ```text
//! $NOTIFY_SOCKET   a datagram socket, `/path` or `@abstract`:  READY=1   WATCHDOG=1   STOPPING=1
//! $WATCHDOG_USEC   a service that is silent for so long is killed and started again
//! ```
//!
//! Signs of life are told only while every thread moves.

use crate::supervise::{Pulse, Pulses, Stop, monotonic};
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

    /// Gives signs of life until `stop` is asked for, as long as all threads give theirs.
    pub fn keep_alive(&self, pulses: &Pulses, stop: &Stop, pulse: &Pulse) {
        pulse.idle();
        let Some(patience) = self.patience else { return };
        let mut silent = false;
        while !stop.wait(patience / TIMES) {
            let still = pulses.health(monotonic()).into_iter().find(|health| !health.moving);
            match &still {
                None => self.tell("WATCHDOG=1"),
                Some(still) if !silent => {
                    tracing::error!(
                        thread = still.thread,
                        "stands still: systemd will start the service again"
                    );
                }
                Some(_) => {}
            }
            silent = still.is_some();
        }
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
    fn systemd_hears_of_life_while_there_is_some() {
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

        let pulses = Pulses::default();
        let (own, other, stop) = (pulses.register("watchdog"), pulses.register("janitor"), Stop::default());
        std::thread::scope(|scope| {
            scope.spawn(|| notify.keep_alive(&pulses, &stop, &own));
            assert_eq!(heard(), "WATCHDOG=1");
            stop.ask();
        });
        systemd.set_nonblocking(true).expect("is set");
        while systemd.recv(&mut [0; 32]).is_ok() {}

        let died = std::thread::spawn(move || {
            let _other = other;
            panic!("as meant");
        });
        assert!(died.join().is_err());
        let stop = Stop::default();
        std::thread::scope(|scope| {
            scope.spawn(|| notify.keep_alive(&pulses, &stop, &own));
            std::thread::sleep(10 * patience);
            stop.ask();
        });
        assert!(systemd.recv(&mut [0; 32]).is_err(), "no sign of life");
    }
}

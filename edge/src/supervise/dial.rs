//! Connecting to a host without being held up by it: a name server that does not answer blocks a thread for half a minute,
//! and nothing can interrupt that.

use super::Stop;
use std::io;
use std::net::{TcpStream, ToSocketAddrs};
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::thread::Builder;
use std::time::Duration;

/// How often the wish to end is looked at.
const POLL: Duration = Duration::from_millis(100);

/// Connects to `host`, trying each of its addresses for at most `patience`; `None` if the end is asked for first.
///
/// The work is done by a thread of its own, which is left behind if the end is asked for or `patience` runs out twice.
///
/// # Errors
/// The name is not known, no address answers, or it takes too long.
pub fn dial(host: &str, port: u16, patience: Duration, stop: &Stop) -> io::Result<Option<TcpStream>> {
    let (sender, receiver) = sync_channel(1);
    let host = host.to_owned();
    Builder::new().name("dial".to_owned()).spawn(move || {
        // Nobody listens any more if the caller has left.
        let _left = sender.send(connect(&host, port, patience));
    })?;
    let mut waited = Duration::ZERO;
    while !stop.asked() {
        match receiver.recv_timeout(POLL) {
            Ok(connected) => return connected.map(Some),
            Err(RecvTimeoutError::Timeout) if waited < patience * 2 => waited += POLL,
            Err(RecvTimeoutError::Timeout) => return Err(io::ErrorKind::TimedOut.into()),
            Err(RecvTimeoutError::Disconnected) => return Err(io::Error::other("the dialling thread ended")),
        }
    }
    Ok(None)
}

fn connect(host: &str, port: u16, patience: Duration) -> io::Result<TcpStream> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for address in (host, port).to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, patience) {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(last)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    const PATIENCE: Duration = Duration::from_secs(10);

    #[test]
    fn a_listener_is_reached_by_name_and_nothing_else_is() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("listens");
        let port = listener.local_addr().expect("address").port();
        let stop = Stop::default();
        assert!(dial("localhost", port, PATIENCE, &stop).expect("connects").is_some());
        drop(listener);
        let error = dial("127.0.0.1", port, PATIENCE, &stop).expect_err("nobody listens");
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
        assert!(dial("no-such-host.invalid", port, PATIENCE, &stop).is_err());
    }

    #[test]
    fn nobody_is_dialled_once_the_end_is_asked_for() {
        let stop = Stop::default();
        stop.ask();
        // TEST-NET-1 (RFC 5737): nothing ever answers from there.
        assert!(dial("192.0.2.1", 22, PATIENCE, &stop).expect("left").is_none());
    }
}

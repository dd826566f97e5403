//! A wire that can be cut after a given byte, that is slow, or that damages what it carries: a TCP proxy in front of a server.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use anyhow::Result;

/// Which way bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// From the client to the server: a request that is cut is not done.
    Requests,
    /// From the server to the client: a reply that is cut leaves the client in doubt.
    Replies,
}

/// A proxy that passes everything on, but for one cut.
#[derive(Debug)]
pub struct Proxy {
    port: u16,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    /// Where the next connection is cut; taken by it.
    cut: Mutex<Option<(Way, u64)>>,
    requests: AtomicU64,
    replies: AtomicU64,
    /// Bytes a second of requests; 0: as fast as they come.
    rate: AtomicU64,
    /// What is damaged in replies: the bytes behind each of these.
    marks: &'static [&'static [u8]],
}

impl Proxy {
    /// A proxy in front of `127.0.0.1:server`, on a free port.
    pub fn start(server: u16) -> Result<Self> {
        Self::start_damaging(server, &[])
    }

    /// The same, and of every reply some bytes behind each of `marks` arrive inverted; lengths stay.
    pub fn start_damaging(server: u16, marks: &'static [&'static [u8]]) -> Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        let port = listener.local_addr()?.port();
        let shared = Arc::new(Shared { marks, ..Shared::default() });
        let passed = Arc::clone(&shared);
        // Ends with the process: a listener cannot be interrupted, and there are few of them.
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let shared = Arc::clone(&passed);
                thread::spawn(move || shared.pass(client, server));
            }
        });
        Ok(Self { port, shared })
    }

    /// Where it listens.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The next connection breaks, both ways, when so many bytes have gone one way.
    pub fn cut_next(&self, way: Way, after: u64) {
        if let Ok(mut cut) = self.shared.cut.lock() {
            *cut = Some((way, after));
        }
    }

    /// Requests of each connection go at so many bytes a second from now on; 0: as fast as they come.
    pub fn slow_down(&self, bytes_per_second: u64) {
        self.shared.rate.store(bytes_per_second, Ordering::Relaxed);
    }

    /// Bytes that have gone one way since the start.
    pub fn passed(&self, way: Way) -> u64 {
        self.shared.passed(way).load(Ordering::Relaxed)
    }
}

impl Shared {
    fn passed(&self, way: Way) -> &AtomicU64 {
        match way {
            Way::Requests => &self.requests,
            Way::Replies => &self.replies,
        }
    }

    fn pass(self: Arc<Self>, client: TcpStream, server: u16) {
        let Ok(server) = TcpStream::connect(("127.0.0.1", server)) else { return };
        let cut = self.cut.lock().ok().and_then(|mut cut| cut.take());
        let limit = |way| cut.filter(|(cut, _)| *cut == way).map_or(u64::MAX, |(_, after)| after);
        let (up, down) = (limit(Way::Requests), limit(Way::Replies));
        if let (Ok(from), Ok(to)) = (client.try_clone(), server.try_clone()) {
            let own = Arc::clone(&self);
            thread::spawn(move || own.copy(Way::Requests, from, to, up));
            self.copy(Way::Replies, server, client, down);
        }
    }

    /// Lets pass what so many bytes take; looks again and again whether the wire is faster now.
    fn take_time(&self, bytes: u64) {
        const SLICE: Duration = Duration::from_millis(5);
        let mut left = bytes as f64;
        loop {
            match self.rate.load(Ordering::Relaxed) {
                0 => return,
                rate => left -= rate as f64 * SLICE.as_secs_f64(),
            }
            thread::sleep(SLICE);
            if left <= 0.0 {
                return;
            }
        }
    }

    /// Copies until the end, an error or the cut; then both sides are closed.
    fn copy(&self, way: Way, mut from: TcpStream, mut to: TcpStream, limit: u64) {
        let mut left = limit;
        let mut buf = [0; 16 << 10];
        while let Ok(read @ 1..) = from.read(&mut buf) {
            let whole = usize::try_from(left).map_or(read, |left| read.min(left));
            if way == Way::Replies {
                self.marks.iter().for_each(|mark| damage(&mut buf[..whole], mark));
            }
            if to.write_all(&buf[..whole]).is_err() {
                break;
            }
            self.passed(way).fetch_add(whole as u64, Ordering::Relaxed);
            if way == Way::Requests {
                self.take_time(whole as u64);
            }
            left -= whole as u64;
            if left == 0 {
                break;
            }
        }
        for side in [from, to] {
            // The other direction may have closed it.
            let _closed = side.shutdown(Shutdown::Both);
        }
    }
}

/// Inverts the bytes 16 to 64 behind each `mark`.
fn damage(bytes: &mut [u8], mark: &[u8]) {
    let found = bytes.windows(mark.len()).enumerate().filter(|(_, window)| *window == mark);
    for at in found.map(|(at, _)| at + mark.len()).collect::<Vec<_>>() {
        bytes.iter_mut().take(at + 64).skip(at + 16).for_each(|byte| *byte ^= 0xff);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_behind_a_mark_is_damaged_and_nothing_else() {
        let mut bytes = [[b'x'; 10].as_slice(), b"mdat", &[0; 100]].concat();
        let mut expected = bytes.clone();
        expected[30..78].fill(0xff);
        damage(&mut bytes, b"mdat");
        assert_eq!(bytes, expected);
        damage(&mut bytes[..20], b"mdat");
        assert_eq!(bytes, expected);
    }

    #[test]
    fn the_wire_is_cut_once_and_after_the_given_byte() {
        let server = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let proxy = Proxy::start(server.local_addr().unwrap().port()).unwrap();
        proxy.cut_next(Way::Requests, 3);
        for arrives in ["abc", "abcdef"] {
            let mut client = TcpStream::connect(("127.0.0.1", proxy.port())).unwrap();
            client.write_all(b"abcdef").unwrap();
            client.shutdown(Shutdown::Write).unwrap();
            let mut text = String::new();
            server.accept().unwrap().0.read_to_string(&mut text).unwrap();
            assert_eq!(text, arrives);
        }
        assert_eq!(proxy.passed(Way::Requests), 9);
    }
}

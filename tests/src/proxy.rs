//! A wire that can be cut after a given byte, that is late, slow or dead for a while, or that damages what it carries: a TCP
//! proxy in front of a server.
//!
//! ```text
//! client --> reader -> queue -> writer --> server      requests
//!        <-- writer <- queue <- reader <--             replies
//! ```

use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;
use nix::libc::linger;
use nix::sys::socket::{setsockopt, sockopt};

/// How long a thread waits on a socket before it looks at what has become of its connection.
const LOOK: Duration = Duration::from_millis(50);
/// How finely time is taken on a slow or late wire.
const SLICE: Duration = Duration::from_millis(5);
/// Chunks on their way at most, one way, of [`CHUNK`] bytes: what a late wire holds.
const MOST_CHUNKS: usize = 128;
const CHUNK: usize = 16 << 10;

/// Which way bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// From the client to the server: a request that is cut is not done.
    Requests,
    /// From the server to the client: a reply that is cut leaves the client in doubt.
    Replies,
}

/// Who is told that a connection is cut, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// Both sides, that the other one has finished (FIN).
    Both,
    /// Both sides, that there is no such connection (RST).
    Reset,
    /// Only the server: the client waits for ever, and what it sends is taken and lost.
    Server,
    /// Only the client: for the server the connection stands.
    Client,
}

/// The end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cut {
    /// When so many bytes have gone this way.
    pub way: Way,
    /// The bytes.
    pub after: u64,
    /// Who is told.
    pub told: Told,
}

/// A proxy that passes everything on, but for what it is told to do.
#[derive(Debug)]
pub struct Proxy {
    port: u16,
    wire: Arc<Wire>,
}

/// What all connections have in common.
#[derive(Debug, Default)]
struct Wire {
    /// Where the next connections are cut, in their order.
    cuts: Mutex<VecDeque<Cut>>,
    requests: AtomicU64,
    replies: AtomicU64,
    /// Bytes that were taken from clients.
    taken: AtomicU64,
    /// Bytes a second, each way; 0: as fast as they come.
    rate: AtomicU64,
    /// Milliseconds from one end to the other.
    delay: AtomicU64,
    /// Nothing passes.
    stalled: AtomicBool,
    /// What is damaged in replies: the bytes behind each of these.
    marks: &'static [&'static [u8]],
}

/// One connection; its sockets are closed when the last of its threads lets go of it.
#[derive(Debug)]
struct Connection {
    client: TcpStream,
    server: TcpStream,
    cut: Option<Cut>,
    /// What is still sent is taken and lost.
    dead: AtomicBool,
    /// The threads end.
    over: AtomicBool,
}

/// Bytes, and when they are there; no bytes: the sender has finished.
type Chunk = (Instant, Vec<u8>);

impl Proxy {
    /// A proxy in front of `127.0.0.1:server`, on a free port.
    pub fn start(server: u16) -> Result<Self> {
        Self::start_damaging(server, &[])
    }

    /// The same, and of every reply some bytes behind each of `marks` arrive inverted; lengths stay.
    pub fn start_damaging(server: u16, marks: &'static [&'static [u8]]) -> Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        let port = listener.local_addr()?.port();
        let wire = Arc::new(Wire { marks, ..Wire::default() });
        let passed = Arc::clone(&wire);
        // Ends with the process: a listener cannot be interrupted, and there are few of them.
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                // A server that is away refuses, and so does the wire.
                let _refused = TcpStream::connect(("127.0.0.1", server))
                    .and_then(|server| Wire::connect(&passed, client, server));
            }
        });
        Ok(Self { port, wire })
    }

    /// Where it listens.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The next connection breaks, both ways, when so many bytes have gone one way.
    pub fn cut_next(&self, way: Way, after: u64) {
        self.end_next(Cut { way, after, told: Told::Both });
    }

    /// The next connection of which that is not said yet ends like this.
    pub fn end_next(&self, cut: Cut) {
        if let Ok(mut cuts) = self.wire.cuts.lock() {
            cuts.push_back(cut);
        }
    }

    /// Bytes of each connection go at so many a second, each way, from now on; 0: as fast as they come.
    pub fn slow_down(&self, bytes_per_second: u64) {
        self.wire.rate.store(bytes_per_second, Ordering::Relaxed);
    }

    /// What is sent from now on takes so long from one end to the other.
    pub fn delay(&self, each_way: Duration) {
        let millis = u64::try_from(each_way.as_millis()).unwrap_or(u64::MAX);
        self.wire.delay.store(millis, Ordering::Relaxed);
    }

    /// Nothing passes, and nobody is told, until it is ended.
    pub fn stall(&self, stalled: bool) {
        self.wire.stalled.store(stalled, Ordering::Relaxed);
    }

    /// Bytes of requests that were sent and have not arrived yet, if no connection was cut.
    pub fn held(&self) -> u64 {
        self.wire.taken.load(Ordering::Relaxed) - self.passed(Way::Requests)
    }

    /// Bytes that have gone one way since the start.
    pub fn passed(&self, way: Way) -> u64 {
        self.wire.passed(way).load(Ordering::Relaxed)
    }
}

impl Wire {
    fn passed(&self, way: Way) -> &AtomicU64 {
        match way {
            Way::Requests => &self.requests,
            Way::Replies => &self.replies,
        }
    }

    fn connect(wire: &Arc<Self>, client: TcpStream, server: TcpStream) -> std::io::Result<()> {
        for socket in [&client, &server] {
            socket.set_nodelay(true)?;
            socket.set_read_timeout(Some(LOOK))?;
            socket.set_write_timeout(Some(LOOK))?;
        }
        let cut = wire.cuts.lock().ok().and_then(|mut cuts| cuts.pop_front());
        let (dead, over) = (AtomicBool::new(false), AtomicBool::new(false));
        let connection = Arc::new(Connection { client, server, cut, dead, over });
        for way in [Way::Requests, Way::Replies] {
            let (sender, receiver) = sync_channel(MOST_CHUNKS);
            let (wire, other) = (Arc::clone(wire), Arc::clone(wire));
            let (reads, writes) = (Arc::clone(&connection), Arc::clone(&connection));
            thread::spawn(move || wire.read(&reads, way, &sender));
            thread::spawn(move || other.write(&writes, way, &receiver));
        }
        Ok(())
    }

    /// Takes what is sent one way.
    fn read(&self, connection: &Connection, way: Way, queue: &SyncSender<Chunk>) {
        let mut from = connection.end(way, false);
        let mut buf = [0; CHUNK];
        while !connection.over.load(Ordering::Relaxed) {
            let bytes = match from.read(&mut buf) {
                Ok(read) => buf[..read].to_vec(),
                Err(error) if is_early(&error) => continue,
                Err(_) => Vec::new(),
            };
            if way == Way::Requests {
                self.taken.fetch_add(bytes.len() as u64, Ordering::Relaxed);
            }
            let last = bytes.is_empty();
            let due = Instant::now() + Duration::from_millis(self.delay.load(Ordering::Relaxed));
            if queue.send((due, bytes)).is_err() || last {
                return;
            }
        }
    }

    /// Delivers it when it is due, until the end, an error or the cut.
    fn write(&self, connection: &Connection, way: Way, queue: &Receiver<Chunk>) {
        let cut = connection.cut.filter(|cut| cut.way == way);
        let mut left = cut.map_or(u64::MAX, |cut| cut.after);
        let mut early = 0.0;
        for (due, mut bytes) in queue {
            while Instant::now() < due || self.stalled.load(Ordering::Relaxed) {
                if connection.over.load(Ordering::Relaxed) {
                    return;
                }
                thread::sleep(SLICE);
            }
            if bytes.is_empty() {
                return connection.finished(way);
            }
            if way == Way::Replies {
                self.marks.iter().for_each(|mark| damage(&mut bytes, mark));
            }
            bytes.truncate(usize::try_from(left).unwrap_or(usize::MAX));
            left -= bytes.len() as u64;
            if !self.deliver(connection, way, &bytes, &mut early) {
                return connection.finished(way);
            }
            if let Some(cut) = cut.filter(|_| left == 0) {
                connection.end_for(cut.told);
            }
        }
    }

    /// Whether all of it could be delivered. `early` are bytes whose time on the wire is not over yet.
    fn deliver(&self, connection: &Connection, way: Way, mut bytes: &[u8], early: &mut f64) -> bool {
        let mut to = connection.end(way, true);
        while !bytes.is_empty() && !connection.dead.load(Ordering::Relaxed) {
            let rate = self.rate.load(Ordering::Relaxed);
            // On a slow wire a little at a time, or what is small would wait behind what is large.
            let most =
                if rate == 0 { CHUNK } else { usize::try_from(rate / 50).unwrap_or(CHUNK).clamp(64, CHUNK) };
            match to.write(&bytes[..bytes.len().min(most)]) {
                Ok(written) => {
                    bytes = &bytes[written..];
                    self.passed(way).fetch_add(written as u64, Ordering::Relaxed);
                    *early += written as f64;
                    self.take_time(early);
                }
                Err(error) if is_early(&error) && !connection.over.load(Ordering::Relaxed) => {}
                Err(_) => return false,
            }
        }
        true
    }

    /// Lets pass what so many bytes take, but for less than a slice; looks again and again whether the wire is faster now.
    fn take_time(&self, early: &mut f64) {
        loop {
            let rate = self.rate.load(Ordering::Relaxed) as f64;
            if rate == 0.0 {
                *early = 0.0;
            }
            if *early <= rate * SLICE.as_secs_f64() {
                return;
            }
            let began = Instant::now();
            thread::sleep(SLICE);
            *early -= rate * began.elapsed().as_secs_f64();
        }
    }
}

impl Connection {
    /// The socket that bytes of this way come from, or `to` which they go.
    fn end(&self, way: Way, to: bool) -> &TcpStream {
        if (way == Way::Requests) == to { &self.server } else { &self.client }
    }

    /// Whoever sends this way has finished, or cannot be heard any more. A side that was told of the cut ends only itself.
    fn finished(&self, way: Way) {
        let told = self.cut.map(|cut| cut.told).filter(|_| self.dead.load(Ordering::Relaxed));
        match (told, way) {
            (Some(Told::Server), Way::Replies) | (Some(Told::Client), Way::Requests) => {}
            _ => self.end_for(Told::Both),
        }
    }

    /// The end of it, for those who are told.
    fn end_for(&self, told: Told) {
        self.dead.store(true, Ordering::Relaxed);
        let close = |socket: &TcpStream| {
            // The other way may have closed it before.
            let _closed = socket.shutdown(Shutdown::Both);
        };
        match told {
            Told::Server => close(&self.server),
            Told::Client => close(&self.client),
            Told::Both => {
                close(&self.server);
                close(&self.client);
            }
            Told::Reset => {
                for socket in [&self.client, &self.server] {
                    let at_once = linger { l_onoff: 1, l_linger: 0 };
                    let _set = setsockopt(socket, sockopt::Linger, &at_once);
                }
            }
        }
        if matches!(told, Told::Both | Told::Reset) {
            self.over.store(true, Ordering::Relaxed);
        }
    }
}

/// The time is over, and nothing is wrong.
fn is_early(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted)
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

    /// A connection through `proxy`, at both ends.
    fn connection(proxy: &Proxy, server: &TcpListener) -> (TcpStream, TcpStream) {
        let client = TcpStream::connect(("127.0.0.1", proxy.port())).unwrap();
        (client, server.accept().unwrap().0)
    }

    #[test]
    fn who_is_not_told_of_the_end_waits() {
        let server = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let proxy = Proxy::start(server.local_addr().unwrap().port()).unwrap();
        for told in [Told::Client, Told::Server] {
            proxy.end_next(Cut { way: Way::Requests, after: 2, told });
            let (mut client, mut behind) = connection(&proxy, &server);
            client.write_all(b"abc").unwrap();
            let (learns, waits) =
                if told == Told::Client { (&mut client, &mut behind) } else { (&mut behind, &mut client) };
            let mut rest = Vec::new();
            learns.read_to_end(&mut rest).unwrap();
            waits.set_read_timeout(Some(LOOK * 4)).unwrap();
            let mut buf = [0; 3];
            while let Ok(read) = waits.read(&mut buf) {
                assert!(read > 0, "{told:?}: it was told");
            }
            waits.write_all(b"is taken").unwrap();
        }
    }

    #[test]
    fn a_reset_is_seen_as_one_at_both_ends() {
        let server = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let proxy = Proxy::start(server.local_addr().unwrap().port()).unwrap();
        proxy.end_next(Cut { way: Way::Requests, after: 1, told: Told::Reset });
        let (mut client, mut behind) = connection(&proxy, &server);
        client.write_all(b"abc").unwrap();
        for side in [&mut client, &mut behind] {
            let error = side.read_to_end(&mut Vec::new()).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::ConnectionReset);
        }
    }

    #[test]
    fn what_is_late_or_stalled_arrives_in_the_end() {
        let server = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let proxy = Proxy::start(server.local_addr().unwrap().port()).unwrap();
        proxy.stall(true);
        proxy.delay(LOOK);
        let (mut client, mut behind) = connection(&proxy, &server);
        client.write_all(b"abc").unwrap();
        behind.set_read_timeout(Some(LOOK * 4)).unwrap();
        assert!(is_early(&behind.read(&mut [0; 3]).unwrap_err()));
        proxy.stall(false);
        proxy.slow_down(1000);
        client.write_all(b"def").unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        behind.set_read_timeout(None).unwrap();
        let mut text = String::new();
        behind.read_to_string(&mut text).unwrap();
        assert_eq!(text, "abcdef");
    }
}

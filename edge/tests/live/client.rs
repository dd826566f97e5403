//! An HTTP/1.1 client that shares no code with the server and can misbehave.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::time::Duration;

/// How long a test waits for bytes that must come.
const PATIENCE: Duration = Duration::from_secs(20);

/// An answer.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Reply {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).expect("JSON")
    }
}

/// A connection from `local`, an address of 127/8.
pub fn connect_from(local: [u8; 4], address: SocketAddr) -> TcpStream {
    use nix::sys::socket::{AddressFamily, SockFlag, SockType, SockaddrIn, bind, connect, socket};
    let fd = socket(AddressFamily::Inet, SockType::Stream, SockFlag::SOCK_CLOEXEC, None).expect("socket");
    let [a, b, c, d] = local;
    use std::os::fd::AsRawFd;
    bind(fd.as_raw_fd(), &SockaddrIn::new(a, b, c, d, 0)).expect("loopback address");
    let IpAddr::V4(ip) = address.ip() else { panic!("IPv4") };
    let [a, b, c, d] = ip.octets();
    connect(fd.as_raw_fd(), &SockaddrIn::new(a, b, c, d, address.port())).expect("connection");
    let stream = TcpStream::from(fd);
    stream.set_read_timeout(Some(PATIENCE)).expect("time-out");
    stream
}

/// A connection.
pub fn connect(address: SocketAddr) -> TcpStream {
    connect_from([127, 0, 0, 1], address)
}

/// GET, to the end of the answer.
pub fn get(address: SocketAddr, path: &str) -> Reply {
    ask(address, "GET", path, &[])
}

/// A request with more headers, to the end of its answer.
pub fn ask(address: SocketAddr, method: &str, path: &str, headers: &[(&str, &str)]) -> Reply {
    let mut opened = open(connect(address), method, path, headers);
    let mut body = Vec::new();
    if method != "HEAD" {
        opened.read_to_end(&mut body).expect("body");
    }
    Reply { status: opened.status, headers: opened.headers, body }
}

/// An answer of which the head has come.
pub struct Opened {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    reader: BufReader<TcpStream>,
    chunked: bool,
    /// Bytes of the chunk, or of the body, that are still to come.
    left: Option<usize>,
}

/// Sends a request on `stream` and reads the head of the answer.
pub fn open(mut stream: TcpStream, method: &str, path: &str, headers: &[(&str, &str)]) -> Opened {
    let mut request = format!("{method} {path} HTTP/1.1\r\nhost: porthole\r\nconnection: close\r\n");
    headers.iter().for_each(|(name, value)| request.push_str(&format!("{name}: {value}\r\n")));
    request.push_str("\r\n");
    // A server that refuses may have closed already; its answer is what counts.
    let _refused = stream.write_all(request.as_bytes());
    head(stream)
}

/// Reads the head of an answer.
pub fn head(stream: TcpStream) -> Opened {
    let mut reader = BufReader::new(stream);
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).expect("head");
        match line.trim_end() {
            "" => break,
            line => lines.push(line.to_owned()),
        }
    }
    let status = lines.first().and_then(|line| line.split(' ').nth(1)).and_then(|code| code.parse().ok());
    let headers: Vec<_> = lines
        .iter()
        .skip(1)
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
        .collect();
    let find = |name: &str| headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
    let chunked = find("transfer-encoding") == Some("chunked");
    let left = find("content-length").map(|length| length.parse().expect("length"));
    Opened {
        status: status.unwrap_or(0),
        headers,
        reader,
        chunked,
        left: if chunked { Some(0) } else { left },
    }
}

impl Opened {
    fn next_chunk(&mut self) -> std::io::Result<usize> {
        let mut line = String::new();
        self.reader.read_line(&mut line)?;
        if line.trim().is_empty() {
            line.clear();
            self.reader.read_line(&mut line)?;
        }
        usize::from_str_radix(line.trim(), 16).map_err(|_| {
            std::io::Error::new(std::io::ErrorKind::UnexpectedEof, "connection closed in a chunked body")
        })
    }
}

impl Read for Opened {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        if self.chunked && self.left == Some(0) {
            self.left = Some(self.next_chunk()?);
        }
        let most = self.left.unwrap_or(usize::MAX).min(buffer.len());
        let count = self.reader.read(&mut buffer[..most])?;
        if let Some(left) = &mut self.left {
            *left -= count;
        }
        Ok(count)
    }
}

/// The next MP4 box of a stream: its type and its content.
pub fn next_box(stream: &mut impl Read) -> std::io::Result<(String, Vec<u8>)> {
    let mut header = [0; 8];
    stream.read_exact(&mut header)?;
    let size = u32::from_be_bytes([header[0], header[1], header[2], header[3]]) as usize;
    let mut content = vec![0; size - 8];
    stream.read_exact(&mut content)?;
    Ok((String::from_utf8_lossy(&header[4..]).into_owned(), content))
}

/// Reads boxes until `count` of type `mdat` have come, and gives the types of all.
pub fn boxes_until_mdat(stream: &mut impl Read, count: usize) -> Vec<String> {
    let mut types = Vec::new();
    let mut seen = 0;
    while seen < count {
        let (kind, _) = next_box(stream).expect("a box");
        seen += usize::from(kind == "mdat");
        types.push(kind);
    }
    types
}

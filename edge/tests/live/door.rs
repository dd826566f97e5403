//! The door: caps, deadlines, bad clients.

use crate::client::{ask, boxes_until_mdat, connect, connect_from, get, head, open};
use crate::fixture::{House, wait_until};
use edge::config::Config;
use edge::supervise::Pulses;
use nix::sys::resource::{Resource, setrlimit};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

const STREAM: &str = "/live/front/stream.mp4";

#[test]
fn an_occupied_port_is_an_error_that_names_the_address() {
    let (house, _camera) = House::with_camera("");
    let mut config = Config::default();
    config.live.listen = house.address;
    let error = edge::live::Server::bind(&config, &Pulses::default()).err().expect("occupied").to_string();
    assert_eq!(error, format!("live.listen = {}: Address already in use (os error 98)", house.address));
}

#[test]
fn a_request_head_over_16_kib_gets_431_and_a_body_413() {
    let (house, _camera) = House::with_camera("");
    let long = "x".repeat(64 << 10);
    assert_eq!(ask(house.address, "GET", "/metrics", &[("x-long", &long)]).status, 431);
    let refused = ask(house.address, "GET", "/metrics", &[("content-length", "10")]);
    assert_eq!((refused.status, refused.header("connection")), (413, Some("close")));
    let refused = ask(house.address, "POST", "/metrics", &[]);
    assert_eq!((refused.status, refused.header("allow")), (405, Some("GET, HEAD, OPTIONS")));
    assert_eq!(house.status.metrics.requests_refused.get(), 2);
}

#[test]
fn pages_of_other_origins_may_ask_for_streams_with_any_header_and_for_nothing_else() {
    let (house, _camera) = House::with_camera("");
    let preflight = |path| {
        let reply = ask(house.address, "OPTIONS", path, &[("origin", "http://else")]);
        assert_eq!(reply.status, 204);
        ["origin", "methods", "headers"]
            .map(|what| reply.header(&format!("access-control-allow-{what}")).unwrap_or("-").to_owned())
    };
    assert_eq!(preflight("/live/front/video.m3u8"), ["*", "GET, HEAD, OPTIONS", "*"]);
    assert_eq!(preflight("/api/status"), ["-", "-", "-"]);
}

#[test]
fn a_head_that_does_not_end_gets_408() {
    let (house, _camera) = House::with_camera("");
    let mut slow = connect(house.address);
    slow.write_all(b"GET /metrics HTTP/1.1\r\nhost:").expect("a first piece");
    assert_eq!(head(slow).status, 408);
}

#[test]
fn one_address_too_many_gets_503_and_others_are_served() {
    let (house, mut camera) = House::with_camera("[live]\nmax_connections = 8\nmax_per_address = 2");
    camera.gops(1);
    let viewers: Vec<_> = (0..2).map(|_| open(connect(house.address), "GET", STREAM, &[])).collect();
    let refused = get(house.address, "/metrics");
    assert_eq!((refused.status, refused.header("retry-after")), (503, Some("5")));
    assert_eq!(refused.text(), "Too many connections from your address.\n");
    let other = open(connect_from([127, 0, 0, 9], house.address), "GET", "/metrics", &[]);
    assert_eq!(other.status, 200);
    assert_eq!(house.status.metrics.connections_refused.get(), 1);
    drop(viewers);
}

/// Reads until the stream has brought `count` more access units; in order, or the box reader would fail.
fn watch(stream: &mut impl Read, count: usize) {
    boxes_until_mdat(stream, count);
}

#[test]
fn a_thousand_slow_connections_and_huge_heads_harm_nobody() {
    let server = Server::in_a_process("a_thousand_slow_connections_and_huge_heads_harm_nobody", None);
    let Some(server) = server else { return };
    let mut viewer = open(connect(server.address), "GET", STREAM, &[]);
    watch(&mut viewer, 100);
    let before = server.resident();
    let slow: Vec<_> = (0..1000)
        .map(|n| {
            let mut slow = connect_from([127, 0, (n / 200) as u8 + 1, (n % 200) as u8 + 1], server.address);
            let _may_be_refused = slow.write_all(b"GET / HTTP/1.1\r\nx-slow: ");
            let _may_be_refused = slow.write_all(&[b'x'; 4 << 10]);
            slow
        })
        .collect();
    for n in 0..64 {
        let mut huge = connect_from([127, 0, 9, n + 1], server.address);
        let _may_be_refused = huge.write_all(&[b'x'; 64 << 10]);
    }
    watch(&mut viewer, 200);
    let mut newcomer = open(connect_from([127, 0, 200, 1], server.address), "GET", STREAM, &[]);
    assert_eq!(newcomer.status, 200);
    watch(&mut newcomer, 100);
    let grown = server.resident().saturating_sub(before);
    assert!(grown <= 16 << 20, "memory grew by {grown} bytes");
    drop(slow);
}

#[test]
fn a_reader_that_stalls_is_dropped_and_counted() {
    let (house, camera) = House::with_camera("");
    let _filming = camera.film();
    let mut stalled = open(connect(house.address), "GET", STREAM, &[]);
    watch(&mut stalled, 10);
    let mut reading = open(connect(house.address), "GET", STREAM, &[]);
    for _ in 0..100 {
        watch(&mut reading, 20);
        if house.status.metrics.viewers_stalled.get() == 1 {
            return;
        }
    }
    panic!("the stalled reader was kept");
}

#[test]
fn a_stop_ends_the_server_while_viewers_watch() {
    let (house, mut camera) = House::with_camera("");
    camera.gops(1);
    let mut viewer = open(connect(house.address), "GET", STREAM, &[]);
    watch(&mut viewer, 1);
    let address: SocketAddr = house.address;
    drop(house);
    wait_until("the port is free", || std::net::TcpListener::bind(address).is_ok());
}

#[test]
fn an_idle_connection_is_closed_without_a_word() {
    let (house, _camera) = House::with_camera("");
    let mut idle = connect(house.address);
    idle.set_read_timeout(Some(Duration::from_secs(20))).expect("time-out");
    let mut answer = Vec::new();
    idle.read_to_end(&mut answer).expect("a close, not a reset");
    assert_eq!(answer, b"");
}

#[test]
fn a_server_without_a_descriptor_left_serves_its_viewers_and_then_newcomers_again() {
    let name = "a_server_without_a_descriptor_left_serves_its_viewers_and_then_newcomers_again";
    let Some(server) = Server::in_a_process(name, Some(48)) else { return };
    let mut viewer = open(connect(server.address), "GET", STREAM, &[]);
    let idle: Vec<_> = (0..80).map(|n| connect_from([127, 0, 0, n + 2], server.address)).collect();
    watch(&mut viewer, 100);
    drop(idle);
    wait_until("a newcomer is served", || {
        open(connect(server.address), "GET", "/metrics", &[]).status == 200
    });
    let metrics = get(server.address, "/metrics").text();
    assert!(!metrics.contains("porthole_edge_accept_errors_total 0\n"), "{metrics}");
    watch(&mut viewer, 100);
}

/// Tells a test that it runs as the server of another one.
const CHILD: &str = "PORTHOLE_TEST_SERVER";

/// A server with a filming camera in a process of its own, so that its memory and its limits are its own.
struct Server {
    address: SocketAddr,
    process: Child,
    _said: BufReader<ChildStdout>,
}

impl Server {
    /// Starts the test called `name` again as a server that may open so many descriptors. In that process it serves until
    /// its standard input ends, and gives `None`.
    fn in_a_process(name: &str, descriptors: Option<u64>) -> Option<Self> {
        if std::env::var_os(CHILD).is_some() {
            serve(descriptors);
            return None;
        }
        let mut process = Command::new(std::env::current_exe().expect("this program"))
            .args(["--exact", &format!("door::{name}"), "--nocapture"])
            .env(CHILD, "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a process");
        let mut said = BufReader::new(process.stdout.take().expect("stdout"));
        let lines = said.by_ref().lines().map_while(Result::ok);
        let address = lines
            .filter_map(|line| line.split_once("serves at ")?.1.trim().parse().ok())
            .next()
            .expect("an address");
        Some(Self { address, process, _said: said })
    }

    /// Its resident bytes.
    fn resident(&self) -> usize {
        let statm = std::fs::read_to_string(format!("/proc/{}/statm", self.process.id())).expect("procfs");
        statm.split(' ').nth(1).and_then(|pages| pages.parse::<usize>().ok()).expect("pages") * 4096
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.process.stdin.take());
        let _ended = self.process.wait();
    }
}

fn serve(descriptors: Option<u64>) {
    crate::fixture::clip();
    if let Some(most) = descriptors {
        setrlimit(Resource::RLIMIT_NOFILE, most, most).expect("limit");
    }
    let (house, camera) = House::with_camera("");
    let _filming = camera.film();
    println!("serves at {}", house.address);
    let _parent_ends_it = std::io::stdin().read_to_end(&mut Vec::new());
}

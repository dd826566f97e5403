//! What a client can take from the host, and what it cannot.

use crate::client::{ask, connect, connect_from, get, head, open};
use crate::fixture::{Host, put};
use std::io::{Read, Write};
use std::time::Duration;

#[test]
fn one_address_and_all_together_get_no_more_connections_than_allowed() {
    let host = Host::start(&[], "max_connections = 3\nmax_per_address = 2");
    let [mut displaced, mut kept] = [(); 2].map(|()| connect_from([127, 0, 0, 2], host.address));
    let refused = open(connect_from([127, 0, 0, 2], host.address), "GET", "/healthz", &[]);
    assert_eq!(refused.status, 503);
    let _third = connect_from([127, 0, 0, 3], host.address);
    let newcomer = open(connect_from([127, 0, 0, 4], host.address), "GET", "/healthz", &[]);
    assert_eq!(newcomer.status, 200, "one that asks takes the place of one that waits");
    assert_eq!(displaced.read(&mut [0]).expect("an end"), 0);
    kept.set_nonblocking(true).expect("is set");
    assert_eq!(kept.read(&mut [0]).expect_err("it waits").kind(), std::io::ErrorKind::WouldBlock);
    assert_eq!(host.status.metrics.connections_refused.get(), 1);
}

#[test]
fn a_head_that_is_too_long_is_refused() {
    let host = Host::start(&[], "");
    let long = "x".repeat(20 << 10);
    assert_eq!(ask(host.address, "GET", "/healthz", &[("x-long", &long)]).status, 431);
    assert_eq!(ask(host.address, "POST", "/api/status", &[]).status, 405);
}

#[test]
fn who_sends_no_whole_head_is_put_out() {
    let host = Host::start(&[], "");
    let mut half = connect(host.address);
    half.write_all(b"GET / HTTP/1.1\r\nhost: porth").expect("writes");
    let mut silent = connect(host.address);
    for connection in [&mut half, &mut silent] {
        let mut rest = Vec::new();
        connection.read_to_end(&mut rest).expect("an end");
    }
}

#[test]
fn who_reads_nothing_is_put_out() {
    let host = Host::start(&[], "");
    put(host.dir.path(), "archive/large.mp4", &vec![0; 32 << 20]);
    let mut reader = connect(host.address);
    reader.write_all(b"GET /i/large.mp4 HTTP/1.1\r\nhost: porthole\r\n\r\n").expect("writes");
    let opened = head(reader);
    assert_eq!(opened.status, 200);
    let deadline = std::time::Instant::now() + Duration::from_secs(60);
    while host.status.metrics.viewers_stalled.get() == 0 {
        assert!(std::time::Instant::now() < deadline, "it is still there");
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(get(host.address, "/healthz").status, 200, "others are answered meanwhile");
}

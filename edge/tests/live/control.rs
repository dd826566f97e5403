//! The control socket.

use crate::fixture::House;
use edge::config::Current;
use edge::live::Sources;
use edge::live::control::{self, Control};
use edge::supervise::{Pulses, Stop};
use std::os::unix::net::UnixListener;
use std::sync::Arc;

#[test]
fn the_socket_answers_while_the_web_server_does_not_matter() {
    let (house, mut camera) = House::with_camera("");
    camera.gops(2);
    let path = house.folder.path().join("run/control.sock");
    let control = Control::bind(&path, &Pulses::default()).expect("socket");
    let sources = Sources {
        config: Current::new(edge::config::Config::default()),
        status: Arc::clone(&house.status),
        rings: house.rings.clone(),
    };
    let stop = Stop::default();
    let asked = stop.clone();
    let thread = std::thread::spawn(move || control.run(&sources, &asked));
    let status: serde_json::Value =
        serde_json::from_str(&control::ask(&path, "/status").expect("status")).expect("JSON");
    assert_eq!(status["cameras"][0]["video"]["fps"], 30.0);
    let health = control::ask(&path, "/healthz").expect("health");
    let says = |what: &str| health.contains(what);
    assert!(says(r#""healthy":true"#) && says(r#"{"stage":"live","moving":true}"#), "{health}");
    stop.ask();
    thread.join().expect("control thread");
    assert!(!path.exists());
    let gone = control::ask(&path, "/status").expect_err("nobody there").to_string();
    assert_eq!(gone, format!("control socket {}: No such file or directory (os error 2)", path.display()));
}

#[test]
fn a_socket_of_a_dead_process_is_replaced_and_nothing_else_is() {
    let folder = tempfile::tempdir().expect("folder");
    let path = folder.path().join("control.sock");
    drop(UnixListener::bind(&path).expect("socket"));
    let live = Control::bind(&path, &Pulses::default()).expect("the dead one is replaced");
    let busy = Control::bind(&path, &Pulses::default()).err().expect("busy").to_string();
    assert_eq!(busy, format!("control socket {}: another process uses it", path.display()));
    drop(live);
    std::fs::write(&path, "a file").expect("file");
    let refused = Control::bind(&path, &Pulses::default()).err().expect("a file").to_string();
    assert_eq!(refused, format!("control socket {}: there is a file that is not a socket", path.display()));
}

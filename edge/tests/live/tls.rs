//! HTTPS and HTTP/2.

use crate::fixture::House;
use edge::config::{Config, Tls};
use edge::live::Server;
use edge::supervise::Pulses;
use std::process::Command;
use tempfile::TempDir;

/// A folder with a certificate for loopback and its key.
fn certificate() -> TempDir {
    let folder = tempfile::tempdir().expect("folder");
    let made = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).expect("certificate");
    std::fs::write(folder.path().join("cert.pem"), made.cert.pem()).expect("file");
    std::fs::write(folder.path().join("key.pem"), made.signing_key.serialize_pem()).expect("file");
    folder
}

fn curl(arguments: &[&str], url: &str) -> String {
    let output =
        Command::new("curl").args(["-sk"]).args(arguments).arg(url).output().expect("curl is installed");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn tls_offers_http_2_and_http_1() {
    let folder = certificate();
    let tls = format!(
        "[live.tls]\ncert = {:?}\nkey = {:?}",
        folder.path().join("cert.pem"),
        folder.path().join("key.pem")
    );
    let (house, mut camera) = House::with_camera(&tls);
    camera.gops(3);
    let url = house.url("/live/front/video-1.m4s").replace("http:", "https:");
    let told = ["-o", "/dev/null", "-w", "%{http_version} %{http_code} %{size_download}"];
    let size = house.rings[0].read(1).expect("in the ring").track(media::Track::Video).count();
    assert_eq!(size, 30);
    let second = curl(&[&["--http2"], &told[..]].concat(), &url);
    let first = curl(&[&["--http1.1"], &told[..]].concat(), &url);
    assert!(second.starts_with("2 200 "), "{second}");
    assert_eq!(first.replacen("1.1 ", "2 ", 1), second);
    let stream = house.url("/live/front/stream.mp4").replace("http:", "https:");
    let begin = curl(&["--http2", "--max-time", "2"], &stream);
    assert_eq!(begin.get(4..8), Some("ftyp"));
}

#[test]
fn a_certificate_that_cannot_be_read_is_named() {
    let folder = certificate();
    let mut config = Config::default();
    let (cert, key) = (folder.path().join("cert.pem"), folder.path().join("none.pem"));
    config.live.tls = Some(Tls { cert, key: key.clone() });
    let error = Server::bind(&config, &Pulses::default()).err().expect("no key").to_string();
    assert!(error.starts_with(&format!("live.tls: {}: ", key.display())), "{error}");
}

//! A remote host with some recordings, its library and its web server.

use crate::client::get;
use remote::config::Config;
use remote::folders::Folders;
use remote::library::Library;
use remote::status::Status;
use remote::supervise::{Pulses, Stop, Threads};
use remote::web::{Server, Sources};
use serde_json::Value;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;

const PATIENCE: Duration = Duration::from_secs(20);

/// A running server; ended when dropped.
pub struct Host {
    pub dir: TempDir,
    pub address: SocketAddr,
    pub status: Arc<Status>,
    pub pulses: Pulses,
    threads: Option<Threads>,
}

/// Puts a file below `dir`.
pub fn put(dir: &Path, file: &str, bytes: &[u8]) {
    let path = dir.join(file);
    fs::create_dir_all(path.parent().expect("a folder")).expect("makes");
    fs::write(path, bytes).expect("writes");
}

/// Puts a recording of 16 s below `dir`, chopped and archived.
pub fn put_recording(dir: &Path, name: &str) {
    let hls = |file: &str, bytes: &[u8]| put(dir, &format!("hls/{name}/{file}"), bytes);
    let mut playlist = "#EXTM3U\n#EXT-X-TARGETDURATION:6\n".to_owned();
    for (n, seconds) in [6, 6, 4].iter().enumerate() {
        let segment = format!("{name}-front-{n}.ts");
        hls(&segment, &[b'0' + n as u8; 188]);
        playlist += &format!("#EXTINF:{seconds}.00000,\n{segment}\n");
    }
    hls(
        &format!("{name}.m3u8"),
        format!("#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\n{name}-out.m3u8\n").as_bytes(),
    );
    hls(&format!("{name}-out.m3u8"), (playlist + "#EXT-X-ENDLIST\n").as_bytes());
    put(dir, &format!("archive/{name}.mp4"), b"0123456789");
}

impl Host {
    /// A host with these recordings, once all of them are listed. `more` is added to the configuration.
    pub fn start(names: &[&str], more: &str) -> Self {
        let dir = tempfile::tempdir().expect("dir");
        names.iter().for_each(|name| put_recording(dir.path(), name));
        let config = format!("dir = {:?}\n[web]\nlisten = \"127.0.0.1:0\"\n{more}", dir.path());
        let config = Config::parse(&config).expect("good");
        let status: Arc<Status> = Arc::default();
        let library = Library::open(dir.path(), Arc::clone(&status)).expect("opens");
        let mut threads = Threads::new(Stop::default(), Pulses::default());
        let (shelf, pulses) = (library.shelf(), threads.pulses());
        let folders = Folders::open(dir.path()).expect("opens");
        let sources = Sources { config, status: Arc::clone(&status), shelf, pulses: pulses.clone(), folders };
        let server = Server::bind(sources).expect("a port");
        let address = server.address();
        threads.spawn("library", move |stop| library.run(&stop)).expect("a thread");
        threads.spawn("web", move |stop| server.run(&stop)).expect("a thread");
        let host = Self { dir, address, status, pulses, threads: Some(threads) };
        host.wait_for("/api/status", |status| status["complete"] == true);
        host
    }

    /// Asks until the JSON at `path` is as wanted.
    pub fn wait_for(&self, path: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let deadline = std::time::Instant::now() + PATIENCE;
        loop {
            // It may have no room for one more connection yet.
            let answer = serde_json::from_slice(&get(self.address, path).body).unwrap_or(Value::Null);
            if wanted(&answer) {
                return answer;
            }
            assert!(std::time::Instant::now() < deadline, "waited in vain at {path}: {answer:#}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        if let Some(threads) = self.threads.take() {
            threads.stop();
            threads.end(PATIENCE);
        }
    }
}

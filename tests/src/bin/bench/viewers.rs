//! Viewers of `stream.mp4` that read what comes and throw it away.

use std::io::Read;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Barrier};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use ::tests::edge::Edge;
use ::tests::http;
use ::tests::wait::{PATIENCE, wait_until};
use anyhow::Result;

/// Longer than any measurement.
const LONG: Duration = Duration::from_secs(3600);

/// Some viewers; they leave when dropped.
pub struct Viewers {
    seen: Vec<Arc<AtomicU64>>,
    leave: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Viewers {
    /// `count` viewers who connect at the same instant. Waits until everybody has got something, or in vain.
    pub fn join(edge: &Edge, count: usize) -> Result<Self> {
        let leave = Arc::new(AtomicBool::new(false));
        let together = Arc::new(Barrier::new(count));
        let mut viewers = Self { seen: Vec::new(), leave: leave.clone(), threads: Vec::new() };
        for _ in 0..count {
            let bytes = Arc::new(AtomicU64::new(0));
            viewers.seen.push(bytes.clone());
            let (leave, together) = (leave.clone(), together.clone());
            let url = edge.url("/live/front/stream.mp4?audio=0");
            // What a thread takes counts for nobody here, but 64 of them shall fit everywhere.
            let small = thread::Builder::new().stack_size(256 << 10);
            viewers.threads.push(small.spawn(move || watch(&url, &together, &bytes, &leave))?);
        }
        // Who is not served is counted by `served`.
        let _ = wait_until("all viewers to be served", PATIENCE, || viewers.served(1) == count);
        Ok(viewers)
    }

    /// How many got so many bytes or more since they were last forgotten.
    pub fn served(&self, bytes: u64) -> usize {
        self.seen.iter().filter(|seen| seen.load(Ordering::Relaxed) >= bytes).count()
    }

    /// Forgets what they got.
    pub fn forget(&self) {
        self.seen.iter().for_each(|seen| seen.store(0, Ordering::Relaxed));
    }
}

impl Drop for Viewers {
    fn drop(&mut self) {
        self.leave.store(true, Ordering::Relaxed);
        self.threads.drain(..).for_each(|thread| drop(thread.join()));
    }
}

fn watch(url: &str, together: &Barrier, seen: &AtomicU64, leave: &AtomicBool) {
    together.wait();
    let Ok(mut stream) = http::open(url, LONG) else { return };
    let mut buffer = [0; 64 << 10];
    while !leave.load(Ordering::Relaxed) {
        match stream.read(&mut buffer) {
            Ok(0) | Err(_) => return,
            Ok(bytes) => seen.fetch_add(bytes as u64, Ordering::Relaxed),
        };
    }
}

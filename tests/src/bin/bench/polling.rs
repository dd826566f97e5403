//! Clients of a playlist: each asks for it once a second, and then for the newest segment that it names.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use ::tests::http::Client;
use anyhow::{Context, Result, bail, ensure};

/// What all clients got.
#[derive(Debug, Default)]
pub struct Totals {
    bytes: AtomicU64,
    segments: AtomicU64,
    failures: AtomicU64,
}

impl Totals {
    /// Gigabytes of bodies.
    pub fn gigabytes(&self) -> f64 {
        self.bytes.load(Ordering::Relaxed) as f64 / 1e9
    }

    /// Segments that arrived whole.
    pub fn segments(&self) -> u64 {
        self.segments.load(Ordering::Relaxed)
    }
}

/// `clients` clients of `playlist` (an address up to its last `/`, and a name), spread over the second, for so long.
pub fn poll(folder: &str, playlist: &str, clients: u32, seconds: u32) -> Result<Totals> {
    let totals = Arc::new(Totals::default());
    let start = Instant::now();
    let mut threads = Vec::new();
    for number in 0..clients {
        let (totals, folder, playlist) = (totals.clone(), folder.to_owned(), playlist.to_owned());
        let offset = Duration::from_secs(1) * number / clients;
        let small = thread::Builder::new().stack_size(256 << 10);
        threads.push(small.spawn(move || client(&folder, &playlist, start + offset, seconds, &totals))?);
    }
    for thread in threads {
        if thread.join().is_err() {
            bail!("a client panicked");
        }
    }
    let failures = totals.failures.load(Ordering::Relaxed);
    ensure!(failures == 0, "{failures} requests failed");
    Arc::into_inner(totals).context("a client is still there")
}

fn client(folder: &str, playlist: &str, start: Instant, seconds: u32, totals: &Totals) {
    let client = Client::new();
    for second in 0..seconds {
        let due = start + Duration::from_secs(1) * second;
        thread::sleep(due.saturating_duration_since(Instant::now()));
        let counter = match look(&client, folder, playlist, totals) {
            Ok(()) => &totals.segments,
            Err(_) => &totals.failures,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

fn look(client: &Client, folder: &str, playlist: &str, totals: &Totals) -> Result<()> {
    let get = |name: &str| {
        let reply = client.get(&format!("{folder}{name}"))?;
        ensure!(reply.status == 200, "{name} answers {}", reply.status);
        totals.bytes.fetch_add(reply.body.len() as u64, Ordering::Relaxed);
        Ok(reply)
    };
    let text = get(playlist)?.text();
    get(newest_segment(&text).context("no segment")?)?;
    Ok(())
}

/// The last segment of a media playlist.
pub fn newest_segment(playlist: &str) -> Option<&str> {
    playlist.lines().rev().find(|line| !line.is_empty() && !line.starts_with('#'))
}

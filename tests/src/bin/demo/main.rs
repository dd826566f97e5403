//! The demo: an edge and the remote host that it uploads to, both on this machine, and one screen that shows what goes on.
//!
//! ```text
//! target/demo/edge/     configuration, key, recordings, log of the edge
//! target/demo/sshd/     keys and log of an OpenSSH server of its own
//! target/demo/remote/   configuration and log of the remote host; home/inbox/front/ is what SFTP writes into
//! ```
//!
//! Everything starts afresh each time and is gone at the end. `cargo xtask demo` builds it and installs what it needs.

mod screen;
mod snapshot;

use std::fs;
use std::io::IsTerminal;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use ::tests::edge::{Edge, Settings};
use ::tests::remote::Remote;
use ::tests::sshd::Sshd;
use anyhow::{Context, Result, bail, ensure};
use clap::Parser;

use snapshot::Snapshot;

/// A live view in the browser, recordings of one minute, and a remote host where they arrive and are watched: all on this machine.
#[derive(Parser)]
#[command(name = "cargo xtask demo", bin_name = "cargo xtask demo")]
struct Options {
    /// What to show: auto (the first camera, else the pattern), pattern, v4l2:DEV or file:PATH
    #[arg(long, default_value = "auto")]
    source: String,
    /// Port of the live view on 127.0.0.1
    #[arg(long, default_value_t = 8080)]
    port: u16,
    /// End by itself after so many seconds
    #[arg(long)]
    seconds: Option<u64>,
}

/// Between two looks at the edge on a terminal, and between two lines elsewhere.
const REFRESH: Duration = Duration::from_secs(1);
const REFRESH_PLAIN: Duration = Duration::from_secs(5);

fn main() -> Result<()> {
    let options = Options::parse();
    let interrupted = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        signal_hook::flag::register(signal, interrupted.clone()).context("cannot catch signals")?;
    }
    let folder = tests::built("").parent().context("no target folder")?.join("demo");
    clear(&folder)?;
    let outcome = demo(&options, &folder, &interrupted);
    if outcome.is_ok() {
        clear(&folder)?;
    }
    outcome
}

fn clear(folder: &Path) -> Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder).with_context(|| folder.display().to_string())?;
    }
    Ok(())
}

fn demo(options: &Options, folder: &Path, interrupted: &AtomicBool) -> Result<()> {
    ensure!(
        std::net::TcpListener::bind(("127.0.0.1", options.port)).is_ok(),
        "port {} is taken: choose another with --port",
        options.port
    );
    let mut remote = Remote::prepare_at(&folder.join("remote"), "")?;
    let sshd = Sshd::start_for(&folder.join("sshd"), &remote.file("inbox/front"))?;
    remote.serve()?;
    let settings = Settings::default().text("audio.device", "auto").camera("front", &options.source);
    let mut edge = Edge::prepare_at(&folder.join("edge"), options.port, settings.upload_to(&sshd)?)?;
    sshd.authorize(&edge.public_key()?)?;
    edge.start_again()?;

    let watched = watch(&mut edge, &mut remote, options.seconds, interrupted);
    println!("Ending: the open recording is sealed");
    if edge.is_running() {
        let status = edge.terminate()?;
        ensure!(status.success(), "the edge ended with {status}:\n{}", edge.log());
    }
    if remote.is_running() {
        remote.terminate()?;
    }
    watched
}

/// Shows what goes on until somebody or the clock ends it.
fn watch(edge: &mut Edge, remote: &mut Remote, seconds: Option<u64>, interrupted: &AtomicBool) -> Result<()> {
    let on_terminal = std::io::stdout().is_terminal();
    let refresh = if on_terminal { REFRESH } else { REFRESH_PLAIN };
    println!("The live view: {}", edge.url("/"));
    println!("The recordings on the remote host: {}", remote.url("/"));
    let started = Instant::now();
    let ended = || seconds.is_some_and(|seconds| started.elapsed().as_secs() >= seconds);
    let mut next = started + refresh;
    while !interrupted.load(Ordering::Relaxed) && !ended() {
        if Instant::now() < next {
            std::thread::sleep(Duration::from_millis(50));
            continue;
        }
        next += refresh;
        if !edge.is_running() && !interrupted.load(Ordering::Relaxed) {
            bail!("the edge ended:\n{}", edge.log());
        }
        if !remote.is_running() && !interrupted.load(Ordering::Relaxed) {
            bail!("the remote host ended:\n{}", remote.log());
        }
        // A look that fails, for instance while everything is being ended, is made up for by the next one.
        if let Ok(snapshot) = Snapshot::take(edge, remote) {
            print!("{}", if on_terminal { screen::full(&snapshot) } else { screen::line(&snapshot) });
        }
    }
    Ok(())
}

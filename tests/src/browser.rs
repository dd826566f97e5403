//! Pages and players in headless Chromium, driven by the scripts in `tests/browser/`.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::process::Process;
use crate::wait::{PATIENCE, wait_for};

/// Who plays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Player {
    /// The page at the address itself.
    Page,
    /// The browser's own `<video src>`.
    Native,
    /// hls.js as it comes.
    Hls,
    /// hls.js in low-latency mode.
    HlsLowLatency,
    /// hls.js kept one segment behind the live edge, which is as close as segments allow.
    HlsClose,
    /// dash.js in low-latency mode.
    Dash,
    /// shaka-player, DASH or HLS by the address.
    Shaka,
}

impl Player {
    fn name(self) -> &'static str {
        match self {
            Self::Page => "page",
            Self::Native => "native",
            Self::Hls => "hls",
            Self::HlsLowLatency => "hls-low-latency",
            Self::HlsClose => "hls-close",
            Self::Dash => "dash",
            Self::Shaka => "shaka",
        }
    }
}

/// What a player showed, from the frames that the browser presented.
#[derive(Clone, Debug)]
pub struct Watched {
    /// All that the script found: `first_frame_ms`, `frames`, `fps`, `stalls`, `played_s`, `watched_s`, `p50`, ...
    pub figures: Value,
    /// What the player or the page called an error.
    pub errors: Vec<String>,
}

impl Watched {
    /// A figure.
    pub fn number(&self, name: &str) -> f64 {
        self.figures[name].as_f64().unwrap_or(f64::NAN)
    }

    /// Whether it played without an error once it had started, never stood still for a second, kept up with the camera, and
    /// presented at least half of its 30 pictures a second (a busy machine drops some).
    pub fn is_smooth(&self) -> bool {
        let kept_up = self.number("played_s") >= 0.9 * self.number("watched_s") - 0.5;
        let moved = self.number("stalls") == 0.0 && self.number("fps") >= 15.0;
        self.errors.is_empty() && kept_up && moved
    }
}

fn folder() -> PathBuf {
    crate::workspace().join("tests/browser")
}

/// Opens `url` in a fresh browser and watches for as long after the first picture.
pub fn watch(player: Player, url: &str, duration: Duration) -> Result<Watched> {
    run(player, url, duration, &[])
}

/// Watches while everything whose address matches the regular expression `pattern` arrives damaged, once so many pictures
/// were seen.
pub fn watch_corrupted(
    player: Player,
    url: &str,
    duration: Duration,
    pattern: &str,
    pictures: u32,
) -> Result<Watched> {
    run(player, url, duration, &[("CORRUPT", pattern), ("INTACT", &pictures.to_string())])
}

/// Watches a page that wants to know who asks: `login` is what its login page sends.
pub fn watch_as(login: &Value, url: &str, duration: Duration) -> Result<Watched> {
    run(Player::Page, url, duration, &[("LOGIN", &login.to_string())])
}

/// Watches a recording, seeks to `last` seconds before its end, and watches those. The figures `ended` and `duration_s` say how that went.
pub fn watch_to_the_end(player: Player, url: &str, duration: Duration, last: u32) -> Result<Watched> {
    run(player, url, duration, &[("LAST", &last.to_string())])
}

fn run(player: Player, url: &str, duration: Duration, options: &[(&str, &str)]) -> Result<Watched> {
    let log = tempfile::tempdir()?;
    let mut node = Command::new("node");
    node.arg(folder().join("watch.js")).args([player.name(), url, &duration.as_secs_f64().to_string()]);
    node.envs(options.iter().copied());
    let figures = report(Process::start(node, &log.path().join("log"))?, duration + PATIENCE * 2)?;
    let errors = figures["errors"].as_array().into_iter().flatten();
    let errors = errors.map(|error| error.as_str().unwrap_or_default().to_owned()).collect();
    Ok(Watched { figures, errors })
}

/// Lets `script` use the page at `url` as a viewer does, and does `act` when it prints `cue`; what it saw. Screenshots go to the folder
/// that `PORTHOLE_SCREENSHOTS` names.
pub fn use_page(script: &str, url: &str, cue: &str, act: impl FnOnce() -> Result<()>) -> Result<Value> {
    let log = tempfile::tempdir()?;
    let mut node = Command::new("node");
    node.arg(folder().join(script)).arg(url).args(std::env::var_os("PORTHOLE_SCREENSHOTS"));
    let mut browser = Process::start(node, &log.path().join("log"))?;
    wait_for(&format!("{script} to say {cue}"), PATIENCE * 4, || {
        (browser.log().contains(cue) || !browser.is_running()).then_some(())
    })?;
    act()?;
    report(browser, PATIENCE * 2)
}

/// Lets `script` use the page at `url` with what it has to know; what it saw. Screenshots as for [`use_page`].
pub fn use_page_with(script: &str, url: &str, environment: &[(&str, &str)]) -> Result<Value> {
    let log = tempfile::tempdir()?;
    let mut node = Command::new("node");
    node.arg(folder().join(script)).arg(url).args(std::env::var_os("PORTHOLE_SCREENSHOTS"));
    node.envs(environment.iter().copied());
    report(Process::start(node, &log.path().join("log"))?, PATIENCE * 4)
}

/// The line of JSON that a script ends with.
fn report(mut browser: Process, patience: Duration) -> Result<Value> {
    let status = browser.wait(patience).with_context(|| browser.log())?;
    let text = browser.log();
    ensure!(status.success(), "the browser ended with {status}: {text}");
    let line = text.lines().rfind(|line| line.starts_with('{')).with_context(|| text.clone())?;
    Ok(serde_json::from_str(line)?)
}

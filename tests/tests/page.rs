//! The page of the appliance, used as a viewer does: live picture, scrubbing, snapshot, recordings, keyboard, a phone, and an
//! edge that goes away and comes back.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use std::process::Command;
use tests::edge::{Edge, Settings};
use tests::process::Process;
use tests::wait::{PATIENCE, wait_for};

fn node(script: &str) -> Command {
    let mut command = Command::new("node");
    command.current_dir(tests::workspace().join("tests/browser")).arg(script);
    command
}

/// Lets `page.mjs` use the page of `edge`, which is cut off when the script asks for it; what the script saw. Screenshots go
/// to the folder that `PORTHOLE_SCREENSHOTS` names.
fn use_page(edge: &mut Edge) -> Result<Value> {
    let mut command = node("page.mjs");
    command.arg(edge.url("/")).args(std::env::var_os("PORTHOLE_SCREENSHOTS"));
    let mut browser = Process::start(command, &edge.file("browser.log"))?;
    wait_for("the page to want a restart", PATIENCE * 4, || {
        (browser.log().contains("RESTART") || !browser.is_running()).then_some(())
    })?;
    edge.kill();
    edge.start_again()?;
    let status = browser.wait(PATIENCE * 2)?;
    let log = browser.log();
    ensure!(status.success(), "the browser ended with {status}: {log}");
    let line = log.lines().rfind(|line| line.starts_with('{')).with_context(|| log.clone())?;
    Ok(serde_json::from_str(line)?)
}

#[test]
fn a_viewer_sees_live_and_past_and_the_page_returns_after_a_restart() -> Result<()> {
    let mut edge = Edge::start(Settings::default())?;
    // Five seconds back must be there.
    edge.wait_until("ten seconds of ring", |edge| {
        edge.metric("porthole_edge_ring_seconds{camera=\"front\"}") >= 10.0
    })?;
    let seen = use_page(&mut edge)?;
    assert_eq!(seen["live"], json!({ "badge": "Live", "camera": "Streaming", "width": 320 }));
    let back = seen["scrub"]["back"].as_f64().context("no picture of the past")?;
    assert!((3.0..7.0).contains(&back), "5 seconds back went {back} s back");
    assert_eq!(seen["scrub"]["forward"], true, "LIVE shows what came since");
    let name = seen["snapshot"].as_str().unwrap_or_default();
    assert!(name.starts_with("front-20") && name.ends_with(".png"), "the snapshot is called {name:?}");
    assert_eq!(seen["recording"], json!({ "state": "Recording", "width": 320, "closed": true }));
    assert_eq!(seen["help"], json!(["space", "←", "→", "L", "M", "S", "F", "T", "1 … 9", "?"]));
    assert_eq!(seen["phone"], json!({ "nameless": [], "wide": 0 }));
    assert_eq!(seen["restart"]["kept"], true, "the last picture stays while the edge is away");
    assert_eq!(seen["strangers"], json!([]), "the page asks nobody but its edge");
    assert_eq!(seen["violations"], json!([]));
    Ok(())
}

#[test]
fn the_parts_of_the_page_that_compute_keep_their_promises() -> Result<()> {
    let output = node("--test").arg("page_units.mjs").output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    Ok(())
}

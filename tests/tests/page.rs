//! The page of the appliance, used as a viewer does: live picture, scrubbing, snapshot, recordings, keyboard, a phone, and an
//! edge that goes away and comes back.

use anyhow::{Context, Result, ensure};
use serde_json::json;
use std::process::Command;
use tests::browser::use_page;
use tests::edge::{Edge, Settings};

#[test]
fn a_viewer_sees_live_and_past_and_the_page_returns_after_a_restart() -> Result<()> {
    let mut edge = Edge::start(Settings::default())?;
    // Five seconds back must be there.
    edge.wait_until("ten seconds of ring", |edge| {
        edge.metric("porthole_edge_ring_seconds{camera=\"front\"}") >= 10.0
    })?;
    let seen = use_page("page.mjs", &edge.url("/"), "RESTART", || {
        edge.kill();
        edge.start_again()
    })?;
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
fn a_browser_without_media_source_extensions_plays_hls_and_returns_after_a_restart() -> Result<()> {
    let mut edge = Edge::start(Settings::default())?;
    edge.wait_until("a playlist", |edge| {
        edge.get("/live/front/master.m3u8").is_ok_and(|reply| reply.status == 200)
    })?;
    let seen = use_page("hls_page.mjs", &edge.url("/"), "RESTART", || {
        edge.kill();
        edge.start_again()
    })?;
    assert_eq!(seen["source"], "/live/front/master.m3u8");
    assert_eq!((&seen["state"], &seen["bar"]), (&json!("live"), &json!(false)), "there is no past to show");
    assert_eq!(seen["phone"], json!({ "nameless": [], "wide": 0 }));
    assert_eq!((&seen["strangers"], &seen["violations"]), (&json!([]), &json!([])));
    Ok(())
}

#[test]
fn the_parts_of_the_page_that_compute_keep_their_promises() -> Result<()> {
    let folder = tempfile::tempdir()?;
    for part in ["service/src/page", "edge/src/live/page"] {
        for entry in std::fs::read_dir(tests::workspace().join(part))? {
            let entry = entry?;
            std::fs::copy(entry.path(), folder.path().join(entry.file_name()))?;
        }
    }
    let mut node = Command::new("node");
    node.arg("--test").arg(tests::workspace().join("tests/browser/page_units.mjs"));
    let output = node.env("PAGE", folder.path()).output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    Ok(())
}

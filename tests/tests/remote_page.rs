//! The page of the remote host, used as a viewer does: the list, a click that plays, and a recording that arrives meanwhile.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::json;
use tests::browser::use_page;
use tests::remote::Remote;

/// Puts `name` into an inbox as a script does: whole before it can be seen.
fn send(remote: &Remote, name: &str, recording: &Path) -> Result<()> {
    let part = remote.inbox().join("sending");
    fs::copy(recording, &part)?;
    Ok(fs::rename(part, remote.inbox().join(format!("{name}.mp4")))?)
}

/// Eight seconds of picture and sound.
fn footage(folder: &Path) -> Result<std::path::PathBuf> {
    let file = folder.join("footage.mp4");
    let mut ffmpeg = Command::new("ffmpeg");
    ffmpeg.args([
        "-v",
        "error",
        "-f",
        "lavfi",
        "-i",
        "testsrc2=size=320x240:rate=30",
        "-f",
        "lavfi",
        "-i",
        "sine",
    ]);
    ffmpeg.args([
        "-t",
        "8",
        "-c:v",
        "libx264",
        "-profile:v",
        "main",
        "-preset",
        "ultrafast",
        "-pix_fmt",
        "yuv420p",
    ]);
    ffmpeg.args(["-g", "30", "-bf", "0", "-c:a", "aac"]).arg(&file);
    let status = ffmpeg.status().context("ffmpeg")?;
    ensure!(status.success(), "ffmpeg ended with {status}");
    Ok(file)
}

#[test]
fn a_viewer_sees_what_has_arrived_plays_it_and_sees_the_next_one_come() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let recording = footage(folder.path())?;
    let mut remote = Remote::prepare("")?;
    remote.serve()?;
    send(&remote, "first", &recording)?;
    fs::write(remote.inbox().join("broken.mp4"), b"not a recording")?;
    remote.wait_until("one recording chopped and one put aside", |remote| {
        remote.json("/api/status").is_ok_and(|status| {
            status["recordings"]["count"] == 1
                && status["recordings"]["quarantined"] == 1
                && status["inbox"]["chopping"] == 0
        })
    })?;
    let seen = use_page("remote.mjs", &remote.url("/"), "ARRIVE", || send(&remote, "second", &recording))?;
    let rows = seen["rows"].as_array().context("no rows")?;
    let state = |wanted: &str| rows.iter().find(|row| row["state"] == wanted);
    let chopped = state("Chopped").context("nothing is chopped")?;
    assert_eq!(*chopped, json!({ "state": "Chopped", "reason": "", "playable": true }));
    let aside = state("Quarantined").context("nothing is put aside")?;
    assert_eq!(aside["playable"], false);
    assert_ne!(aside["reason"], "", "a reason is shown");
    assert_eq!(seen["played"], json!({ "source": "/hls/first/first.m3u8", "width": 320 }));
    assert_eq!(seen["arrived"]["stillPlaying"], true, "what plays goes on when the list changes");
    assert_eq!(seen["phone"], json!({ "nameless": [], "wide": 0 }));
    assert_eq!(seen["strangers"], json!([]), "the page asks nobody but its host");
    assert_eq!(seen["violations"], json!([]));
    remote.terminate()?;
    Ok(())
}

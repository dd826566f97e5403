//! The updates of the set-up page, and the route behind it.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread;

use anyhow::{Context, Result, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use tests::browser::use_page_with;
use tests::edge::Settings;
use tests::port::free_port;
use tests::wait::{PATIENCE, wait_until};

use crate::board::Board;

const PASSWORD: &str = "correct horse";
const BINARY: &str = "application/octet-stream";

/// A claimed board that runs.
fn claimed() -> Result<Board> {
    let plain = format!("127.0.0.1:{}", free_port()?);
    let settings = Settings::default().set("auth.plain_viewing", false).text("live.plain", plain);
    let mut board = Board::new(settings)?;
    launch(&mut board)?;
    let key = String::from_utf8(board.edge.run("key")?.stdout)?;
    let code = key.lines().find_map(|line| line.strip_prefix("claim code: ")).context("no code")?;
    let claim = json!({ "code": code, "name": "anna", "password": PASSWORD }).to_string();
    let (status, text) = curl(&board, "/claim", "application/json", &["-d", &claim])?;
    ensure!(status == 200, "{status} {text}");
    Ok(board)
}

fn launch(board: &mut Board) -> Result<()> {
    board.edge.launch()?;
    board.edge.wait_until("HTTPS", |edge| {
        let url = format!("https://127.0.0.1:{}/login", edge.port());
        Command::new("curl")
            .args(["-sk", "-o", "/dev/null", &url])
            .status()
            .is_ok_and(|status| status.success())
    })
}

/// POST, as the page of the device sends it, with the cookie of the claim; status and body.
fn curl(board: &Board, path: &str, kind: &str, more: &[&str]) -> Result<(u16, String)> {
    curl_from(&format!("https://127.0.0.1:{}", board.edge.port()), board, path, kind, more)
}

fn curl_from(origin: &str, board: &Board, path: &str, kind: &str, more: &[&str]) -> Result<(u16, String)> {
    let cookies = board.edge.file("cookies");
    let mut curl = Command::new("curl");
    curl.args(["-sk", "--max-time", "60", "-w", "\n%{http_code}", "-b"])
        .arg(&cookies)
        .arg("-c")
        .arg(&cookies);
    curl.args(["-H", &format!("Origin: {origin}"), "-H", &format!("Content-Type: {kind}")]);
    let output = curl
        .args(more)
        .arg(format!("https://127.0.0.1:{}{path}", board.edge.port()))
        .output()
        .context("curl")?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let (body, status) = text.rsplit_once('\n').with_context(|| text.clone())?;
    Ok((status.parse()?, body.to_owned()))
}

fn upload(board: &Board, bundle: &Path, kind: &str) -> Result<(u16, String)> {
    curl(board, "/api/setup/update", kind, &["--data-binary", &format!("@{}", bundle.display())])
}

fn told(board: &Board) -> Result<Value> {
    let (status, text) = curl(board, "/api/setup/update", BINARY, &["-X", "GET"])?;
    ensure!(status == 200, "{status} {text}");
    Ok(serde_json::from_str(&text)?)
}

#[test]
fn only_an_administrator_on_the_devices_own_page_uploads_a_bundle() -> Result<()> {
    let mut board = claimed()?;
    let good = board.bundle("1.1.0+0")?;
    let stranger = board.make_key("stranger")?;
    let foreign = board.bundle_of("1.2.0+0", "orangepi-pc-plus", &stranger)?;
    let cookies = board.edge.file("cookies");
    let hidden = board.edge.file("hidden");
    fs::rename(&cookies, &hidden)?;
    assert_eq!(upload(&board, &good, BINARY)?.0, 401, "nobody knows who that is");
    fs::rename(&hidden, &cookies)?;
    let data = format!("@{}", good.display());
    let elsewhere =
        curl_from("https://evil.example", &board, "/api/setup/update", BINARY, &["--data-binary", &data])?;
    assert_eq!(elsewhere.0, 403, "{}", elsewhere.1);
    assert_eq!(upload(&board, &good, "text/plain")?.0, 403);
    assert_eq!(told(&board)?["phase"], "idle");
    let why = "the signature is not by the key of this image";
    assert_eq!(upload(&board, &foreign, BINARY)?, (422, format!("{why}\n")));
    assert_eq!(told(&board)?["refused"], why);
    assert_eq!(upload(&board, &good, BINARY)?, (200, json!({ "version": "1.1.0+0" }).to_string()));
    assert_eq!(upload(&board, &good, BINARY)?.0, 409, "it restarts");
    let flag = board.flag("restart");
    wait_until("the wish to start again", PATIENCE, || flag.exists())?;
    let document: Value = serde_json::from_str(include_str!("../../../docs/ref/setup-openapi.json"))?;
    let described =
        document["components"]["schemas"]["Update"]["properties"].as_object().context("no schema")?;
    for (name, _) in told(&board)?.as_object().context("no object")? {
        assert!(described.contains_key(name), "{name} is not described");
    }
    Ok(())
}

#[test]
fn the_page_says_what_was_refused_how_far_it_is_and_what_became_of_it() -> Result<()> {
    let mut board = claimed()?;
    let stranger = board.make_key("stranger")?;
    let foreign = board.bundle_of("1.2.0+0", "orangepi-pc-plus", &stranger)?;
    let good = board.bundle("1.1.0+0")?;
    let (length, seen) = (fs::metadata(&good)?.len(), board.edge.file("seen"));
    let paths = [&foreign, &good, &seen].map(|path| path.display().to_string());
    let environment = [("STRANGER", paths[0].as_str()), ("BUNDLE", &paths[1]), ("SEEN", &paths[2])];
    let url = format!("https://127.0.0.1:{}/", board.edge.port());
    let shown = thread::scope(|scope| -> Result<Value> {
        let browser = scope.spawn(|| use_page_with("update.mjs", &url, &environment));
        // What was started for the good bundle stands still until its progress was seen.
        while !seen.exists() {
            let Ok(id) = board.started.recv_timeout(PATIENCE) else { break };
            let id = Pid::from_raw(id.try_into()?);
            let _gone = kill(id, Signal::SIGSTOP);
            if told(&board)?["of"] == length {
                wait_until("progress to be seen", PATIENCE, || seen.exists())?;
            }
            let _gone = kill(id, Signal::SIGCONT);
        }
        let flag = board.flag("restart");
        wait_until("the wish to start again", PATIENCE, || flag.exists())?;
        assert!(board.edge.terminate()?.success());
        assert_eq!(board.boot()?, "1.1.0+0");
        launch(&mut board)?;
        browser.join().expect("the browser")
    })?;
    assert_eq!((&shown["before"], &shown["after"]), (&json!("1.0.0+0"), &json!("1.1.0+0")));
    assert_eq!(shown["refused"], "the signature is not by the key of this image");
    assert_eq!(shown["kept"], "The update to 1.1.0+0 was kept: all that worked before it works.");
    assert_eq!(shown["wide"], json!([0, 0, 0]));
    assert_eq!((&shown["strangers"], &shown["violations"]), (&json!([]), &json!([])));
    Ok(())
}

//! A device that is somebody's: the claim, log-ins, players with passwords and tokens, the factory reset, against the real program.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tests::browser::use_page_with;
use tests::curl::{Answer, curl};
use tests::edge::{Edge, Settings};
use tests::port::free_port;
use tests::process::Process;
use tests::sshd::{Sshd, View};
use tests::wait::{PATIENCE, wait_for};

const PASSWORD: &str = "correct horse";

/// A device with `[auth]`, HTTPS, and a port for plain HTTP.
struct Device {
    edge: Edge,
    plain: u16,
    cookies: PathBuf,
}

impl Device {
    fn start() -> Result<Self> {
        Self::start_with(Settings::default())
    }

    fn start_with(settings: Settings) -> Result<Self> {
        let plain = free_port()?;
        let settings =
            settings.set("auth.plain_viewing", false).text("live.plain", format!("127.0.0.1:{plain}"));
        let edge = Edge::prepare(settings)?;
        let cookies = edge.file("cookies");
        let mut device = Self { edge, plain, cookies };
        device.launch()?;
        Ok(device)
    }

    fn launch(&mut self) -> Result<()> {
        self.edge.launch()?;
        let url = self.https("/login");
        self.edge.wait_until("HTTPS", |_| curl(&[], &url).is_ok_and(|answer| answer.status != 0))
    }

    /// Claimed by `anna`, whose cookie is kept.
    fn claimed() -> Result<Self> {
        let device = Self::start()?;
        let claim = json!({ "code": device.code()?, "name": "anna", "password": PASSWORD });
        let answer = device.post("/claim", &claim)?;
        ensure!(answer.status == 200, "{} {}", answer.status, answer.body);
        Ok(device)
    }

    fn https(&self, path: &str) -> String {
        format!("https://127.0.0.1:{}{path}", self.edge.port())
    }

    fn http(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.plain)
    }

    fn code(&self) -> Result<String> {
        let output = self.edge.run("key")?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let code = text.lines().find_map(|line| line.strip_prefix("claim code: "));
        code.map(str::to_owned).with_context(|| format!("no code in {text:?}"))
    }

    /// With the cookie of the last log-in.
    fn get(&self, path: &str) -> Result<Answer> {
        curl(&["-b", &self.cookies.display().to_string()], &self.https(path))
    }

    /// As the page of the device sends it.
    fn post(&self, path: &str, body: &Value) -> Result<Answer> {
        self.post_from(&self.https(""), path, body, &[])
    }

    fn post_from(&self, origin: &str, path: &str, body: &Value, more: &[&str]) -> Result<Answer> {
        let (cookies, body) = (self.cookies.display().to_string(), body.to_string());
        let origin = format!("Origin: {origin}");
        let mut arguments = vec!["-b", &cookies, "-c", &cookies, "-H", "Content-Type: application/json"];
        arguments.extend(["-H", &origin, "-d", &body]);
        arguments.extend(more);
        curl(&arguments, &self.https(path))
    }

    fn done(&self, path: &str, body: &Value) -> Result<Value> {
        let answer = self.post(path, body)?;
        ensure!(answer.status == 200, "{path}: {} {}", answer.status, answer.body);
        answer.json()
    }

    fn token(&self) -> Result<(String, String)> {
        let made = self.done("/api/setup/token", &json!({ "name": "kitchen" }))?;
        let text = |name: &str| made[name].as_str().unwrap_or_default().to_owned();
        Ok((text("id"), text("token")))
    }
}

fn ffprobe(url: &str) -> Result<bool> {
    let mut ffprobe = Command::new("ffprobe");
    ffprobe.args(["-v", "error", "-show_entries", "stream=codec_name", "-of", "csv=p=0", url]);
    let output = ffprobe.output().context("ffprobe")?;
    Ok(String::from_utf8_lossy(&output.stdout).contains("h264"))
}

#[test]
fn an_unclaimed_device_serves_the_claim_page_alone() -> Result<()> {
    let device = Device::start()?;
    let page = ["-H", "Accept: text/html"];
    let home = curl(&page, &device.https("/"))?;
    assert_eq!((home.status, home.header("location")), (303, Some("/claim")));
    let claim = curl(&page, &device.https("/claim"))?;
    assert!(claim.status == 200 && claim.body.contains("Claim this device"), "{}", claim.body);
    for path in [
        "/live/front/stream.mp4",
        "/api/status",
        "/metrics",
        "/recordings/x.mp4",
        "/setup",
        "/t/x/live/front/ts.m3u8",
        "/healthz",
    ] {
        assert_eq!(curl(&["-u", "anna:none of those"], &device.https(path))?.status, 403, "{path}");
    }
    let plain = curl(&page, &device.http("/live/front/mjpeg?x=1"))?;
    let https = device.https("/live/front/mjpeg?x=1");
    assert_eq!((plain.status, plain.header("location")), (303, Some(https.as_str())));
    let code = device.code()?;
    assert!(device.edge.log().contains(&code), "the console shows the code: {}", device.edge.log());
    assert_eq!(curl(&["-d", "{}"], &device.http("/claim"))?.status, 403);
    Ok(())
}

#[test]
fn a_claim_needs_the_code_and_the_devices_own_page_and_makes_the_code_void() -> Result<()> {
    let device = Device::start()?;
    let claim = json!({ "code": device.code()?, "name": "anna", "password": PASSWORD });
    for origin in ["https://evil.example", "null", &device.http("")] {
        assert_eq!(device.post_from(origin, "/claim", &claim, &[])?.status, 403, "{origin}");
    }
    let rebound =
        device.post_from("https://evil.example", "/claim", &claim, &["-H", "Host: evil.example"])?;
    assert_eq!(rebound.status, 421);
    let (origin, form) = (format!("Origin: {}", device.https("")), claim.to_string());
    let form =
        curl(&["-H", &origin, "-H", "Content-Type: text/plain", "-d", &form], &device.https("/claim"))?;
    assert_eq!(form.status, 403, "{}", form.body);
    let weak = json!({ "code": device.code()?, "name": "anna", "password": "short" });
    assert_eq!(device.post("/claim", &weak)?.status, 422);
    assert_eq!(
        device.post("/claim", &json!({ "code": "x", "name": "a", "password": "b", "more": 1 }))?.status,
        400
    );
    assert_eq!(device.post("/claim", &json!({ "code": "x".repeat(10_000) }))?.status, 413);
    device.done("/claim", &claim)?;
    assert!(!String::from_utf8_lossy(&device.edge.run("key")?.stdout).contains("claim code"));
    assert_eq!(device.post("/claim", &claim)?.status, 405);
    assert_eq!(device.get("/api/status")?.status, 200);
    assert_eq!(device.get("/setup")?.status, 200);
    Ok(())
}

#[test]
fn guessing_is_limited_and_who_is_in_notices_nothing() -> Result<()> {
    let device = Device::claimed()?;
    let guess = json!({ "name": "anna", "password": "wrong password" });
    let answers: Vec<u16> =
        (0..12).map(|_| device.post("/login", &guess).map_or(0, |answer| answer.status)).collect();
    assert_eq!((answers[..8].to_vec(), answers[11]), (vec![401; 8], 429), "{answers:?}");
    let late = curl(&["-u", "anna:correct horse"], &device.https("/api/status"))?;
    assert!(late.status == 429 && late.header("retry-after").is_some(), "{}", late.headers);
    assert_eq!(device.get("/api/status")?.status, 200);
    Ok(())
}

#[test]
fn strangers_are_sent_to_the_log_in_or_asked_for_a_password() -> Result<()> {
    let device = Device::claimed()?;
    let browser = curl(&["-H", "Accept: text/html"], &device.https("/"))?;
    assert_eq!((browser.status, browser.header("location")), (303, Some("/login")));
    let player = curl(&[], &device.https("/live/front/master.m3u8"))?;
    assert!(player.status == 401 && player.header("www-authenticate").is_some(), "{}", player.headers);
    let script = curl(&["-H", "Sec-Fetch-Mode: cors"], &device.https("/api/status"))?;
    assert!(script.status == 401 && script.header("www-authenticate").is_none(), "{}", script.headers);
    for (host, status) in [("evil.example", 421), ("porthole.local", 401), ("porthole", 401)] {
        let header = format!("Host: {host}");
        assert_eq!(
            curl(&["--http1.1", "-H", &header], &device.https("/api/status"))?.status,
            status,
            "{host}"
        );
    }
    device.done("/logout", &json!({}))?;
    assert_eq!(device.get("/api/status")?.status, 401);
    device.done("/login", &json!({ "name": "anna", "password": PASSWORD }))?;
    assert_eq!(device.get("/api/status")?.status, 200);
    Ok(())
}

#[test]
fn players_watch_with_a_password_or_a_token_until_it_is_revoked() -> Result<()> {
    let mut device = Device::claimed()?;
    device
        .done("/api/setup/account", &json!({ "name": "bob", "password": "bobs password", "admin": false }))?;
    let (id, token) = device.token()?;
    let playlist = device.https(&format!("/t/{token}/live/front/ts.m3u8"));
    device
        .edge
        .wait_until("a playlist", |_| curl(&[], &playlist).is_ok_and(|answer| answer.status == 200))?;
    let basic = device.https("/live/front/stream.mp4").replace("://", "://bob:bobs%20password@");
    assert!(ffprobe(&basic)?, "Basic");
    for resource in ["stream.mp4", "master.m3u8", "ts.m3u8", "manifest.mpd"] {
        assert!(ffprobe(&device.https(&format!("/t/{token}/live/front/{resource}")))?, "{resource} by token");
    }
    for path in ["/", "/api/status", "/api/setup", "/setup", "/metrics"] {
        assert_eq!(
            curl(&[], &device.https(&format!("/t/{token}{path}")))?.status,
            403,
            "{path} is not for players"
        );
    }
    assert_eq!(curl(&["-u", "bob:bobs password"], &device.https("/api/setup"))?.status, 403);
    assert_eq!(curl(&["-u", "anna:correct horse"], &device.https("/api/setup"))?.status, 403, "not by Basic");
    let mut player = Command::new("curl");
    player.args(["-skN", "-o", "/dev/null", &device.https(&format!("/t/{token}/live/front/stream.mp4"))]);
    let mut player = Process::start(player, &device.edge.file("player.log"))?;
    wait_for("the player to be in", PATIENCE, || (device.viewers().ok()? == 1).then_some(()))?;
    device.done("/api/setup/token/revoke", &json!({ "id": id }))?;
    player.wait(PATIENCE)?;
    assert_eq!(curl(&[], &playlist)?.status, 401);
    Ok(())
}

impl Device {
    fn viewers(&self) -> Result<i64> {
        self.get("/api/status")?.json()?["viewers"].as_i64().context("viewers")
    }
}

#[test]
fn plain_http_is_for_watching_and_only_after_somebody_chose_so() -> Result<()> {
    let device = Device::claimed()?;
    let (_, token) = device.token()?;
    let path = format!("/t/{token}/live/front/timeline");
    assert_eq!(curl(&[], &device.http(&path))?.status, 303);
    device.done("/api/setup/viewing", &json!({ "plain": true }))?;
    assert_eq!(curl(&[], &device.http(&path))?.status, 200);
    assert_eq!(
        curl(&["-u", "anna:correct horse"], &device.http("/api/status"))?.status,
        401,
        "she administers"
    );
    let cookies = device.cookies.display().to_string();
    assert_eq!(curl(&["-b", &cookies], &device.http("/setup"))?.status, 401);
    device.done("/api/setup/viewing", &json!({ "plain": false }))?;
    assert_eq!(curl(&[], &device.http(&path))?.status, 303);
    Ok(())
}

#[test]
fn what_was_set_outlives_a_restart_and_a_factory_reset_ends_it_but_for_recordings() -> Result<()> {
    let mut device = Device::claimed()?;
    device.done("/api/setup/device", &json!({ "name": "barn", "time_zone": "Europe/Berlin" }))?;
    assert_eq!(device.post("/api/setup/device", &json!({ "name": "Barn", "time_zone": "UTC" }))?.status, 422);
    let key = device.edge.public_key()?;
    device
        .edge
        .wait_until("a recording", |edge| edge.recordings_on_disk().is_ok_and(|all| !all.is_empty()))?;
    device.edge.terminate()?;
    let before = device.edge.recordings_on_disk()?;
    assert!(!before.is_empty());
    device.launch()?;
    assert_eq!(device.get("/api/setup")?.status, 401, "sessions end with the process");
    device.done("/login", &json!({ "name": "anna", "password": PASSWORD }))?;
    assert_eq!(
        device.get("/api/setup")?.json()?["device"],
        json!({ "name": "barn", "time_zone": "Europe/Berlin" })
    );
    device.edge.terminate()?;
    fs::write(device.edge.file("state/auth/factory-reset"), "")?;
    device.launch()?;
    assert_eq!(curl(&["-H", "Accept: text/html"], &device.https("/"))?.header("location"), Some("/claim"));
    assert!(!device.edge.file("state/auth/factory-reset").exists());
    assert_eq!(device.edge.public_key()?, key);
    for recording in before {
        assert!(recording.exists(), "{}", recording.display());
    }
    device.done("/claim", &json!({ "code": device.code()?, "name": "eve", "password": PASSWORD }))?;
    assert_eq!(device.get("/api/setup")?.json()?["device"]["name"], "porthole");
    Ok(())
}

#[test]
fn a_trial_says_what_is_wrong_and_a_host_that_passes_gets_recordings_without_a_restart() -> Result<()> {
    let sshd = Sshd::start(View::Whole)?;
    let device = Device::claimed()?;
    let server = json!({ "host": "127.0.0.1", "port": sshd.port() });
    let shown = device.done("/api/setup/host_key", &server)?;
    let real = sshd.host_key()?;
    let words = |key: &str| key.split(' ').take(2).map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(words(shown["host_key"].as_str().unwrap_or_default()), words(&real));
    assert!(shown["fingerprint"].as_str().unwrap_or_default().starts_with("SHA256:"));
    let remote = |dir: &str, host_key: &Value| json!({ "host": "127.0.0.1", "port": sshd.port(), "user": sshd.user(), "host_key": host_key, "dir": dir });
    let good = remote(&sshd.inbox_over_sftp(), &shown["host_key"]);
    let refused = |body: &Value| -> Result<String> {
        let answer = device.post("/api/setup/trial", body)?;
        ensure!(answer.status == 502, "{} {}", answer.status, answer.body);
        Ok(answer.body)
    };
    assert!(refused(&good)?.contains("the device's key is refused"));
    sshd.authorize(&device.edge.public_key()?)?;
    device.done("/api/setup/trial", &good)?;
    assert!(refused(&remote("none", &shown["host_key"]))?.contains("not allowed to create none/porthole-"));
    let other = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIH0XDKDZpZ89hNCaej8mrOhs+CKiEI11242Un8zWzkXJ";
    assert!(refused(&remote("inbox", &json!(other)))?.contains("THE HOST KEY IS NOT THE PINNED ONE"));
    device.done("/api/setup/upload", &good)?;
    wait_for("recordings to travel", PATIENCE, || {
        let status = device.get("/api/status").ok()?.json().ok()?;
        (status["upload"]["state"] != Value::Null && status["upload"]["failure"] == Value::Null).then_some(())
    })?;
    Ok(())
}

#[test]
fn a_provisioned_device_needs_no_claim_and_keeps_no_secret_in_its_file() -> Result<()> {
    let plain = free_port()?;
    let settings = Settings::default().set("auth.plain_viewing", false);
    let edge = Edge::prepare(settings.text("live.plain", format!("127.0.0.1:{plain}")))?;
    let cookies = edge.file("cookies");
    let mut device = Device { edge, plain, cookies };
    let file = device.edge.file("porthole.toml");
    let text = format!("name = \"barn\"\n[admin]\nname = \"anna\"\npassword = '{PASSWORD}'\n");
    fs::write(&file, &text)?;
    let provision = || -> Result<String> {
        let mut command = Command::new(tests::built("porthole-edge"));
        command.arg("provision").arg(&file).arg("--config").arg(device.edge.file("edge.toml"));
        let output = command.env("STATE_DIRECTORY", device.edge.file("state")).output()?;
        ensure!(output.status.success(), "{output:?}");
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    };
    assert!(provision()?.ends_with(": applied\n"));
    assert!(provision()?.ends_with(": nothing to do\n"));
    assert_eq!(fs::read_to_string(&file)?, text.replace(PASSWORD, &"*".repeat(PASSWORD.len())));
    device.launch()?;
    device.done("/login", &json!({ "name": "anna", "password": PASSWORD }))?;
    assert_eq!(device.get("/api/setup")?.json()?["device"]["name"], "barn");
    Ok(())
}

#[test]
fn what_the_set_up_page_is_told_is_described() -> Result<()> {
    let document: Value = serde_json::from_str(include_str!("../../docs/ref/setup-openapi.json"))?;
    let told = Device::claimed()?.get("/api/setup")?.json()?;
    let names = |object: &Value| object.as_object().map(|all| all.keys().cloned().collect::<BTreeSet<_>>());
    assert_eq!(names(&told), names(&document["components"]["schemas"]["Setup"]["properties"]));
    Ok(())
}

#[test]
fn the_pages_claim_and_set_up_a_device() -> Result<()> {
    let sshd = Sshd::start(View::Whole)?;
    let device = Device::start()?;
    sshd.authorize(&device.edge.public_key()?)?;
    let (code, port, inbox) = (device.code()?, sshd.port().to_string(), sshd.inbox_over_sftp());
    let environment =
        [("CODE", code.as_str()), ("SSH_PORT", &port), ("SSH_USER", sshd.user()), ("SSH_DIR", &inbox)];
    let seen = use_page_with("setup.mjs", &device.https("/"), &environment)?;
    assert_eq!(
        seen["wrong"],
        "The code is another one: the console of the device shows it, and so does `porthole-edge key`."
    );
    assert_eq!(seen["differ"], "The two passwords differ.");
    assert_eq!(seen["saved"], json!(["Saved.", "Saved.", "Saved. Recordings go there from now on."]));
    assert_eq!(seen["untold"], "Ask for its key first.");
    assert_eq!(seen["trial"], "It arrived: recordings can go there.");
    assert!(seen["fingerprint"].as_str().unwrap_or_default().starts_with("SHA256:"), "{seen}");
    assert_eq!(seen["accounts"], json!(["anna", "bob"]));
    assert_eq!(seen["watching"], "live", "from the set-up page it goes on to the live view");
    assert_eq!(seen["phone"], json!({ "nameless": [], "wide": 0 }));
    assert_eq!((&seen["strangers"], &seen["violations"]), (&json!([]), &json!([])));
    let shown = device
        .done("/login", &json!({ "name": "anna", "password": PASSWORD }))
        .and_then(|_| device.get("/api/setup")?.json())?;
    assert_eq!((&shown["device"]["name"], &shown["plain_viewing"]), (&json!("barn"), &json!(true)));
    Ok(())
}

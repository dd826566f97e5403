//! The image on a host: its user and folders as `remote/systemd/` makes them, its options as the guide has them.

use std::fs::{self, Permissions};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::{IMAGE, LIMITS, Podman};
use crate::{command, workspace};

/// What says how the image is run.
#[cfg(test)]
pub const GUIDE: &str = "docs/guide/remote.md";
/// The rights that the guide leaves the service.
pub const OPTIONS: [&str; 7] =
    ["--read-only", "--cap-drop", "all", "--cap-add", "lease", "--security-opt", "no-new-privileges"];

/// Whom the host has beside the service. Its user is another number there than in the image.
const PASSWD: &str = "somebody:x:999:999::/nonexistent:/usr/sbin/nologin\n";
const GROUP: &str = "somebody:x:999:\n";

/// Below the service's folder: where an account puts a recording, and what a viewer asks for then.
const INBOX: &str = "inbox/front/inbox";
const PLAYLIST: &str = "hls/front/front.m3u8";
/// Three seconds that no browser plays: FFmpeg's libraries have to decode them.
const RECORDING: [&str; 8] =
    ["-f", "lavfi", "-i", "testsrc2=size=320x240:rate=10:duration=3", "-c:v", "mpeg4", "-y", "-nostdin"];

/// How long the service may take to show its page, and to take a recording in.
const PATIENCE: Duration = Duration::from_secs(120);

/// Starts the image, and shows what it does.
pub fn run(podman: &Podman) -> Result<()> {
    let host = Host::make(&podman.folder.join("host"))?;
    command::run(&mut host.podman_run(podman, &["--version"]))?;

    let mut service = Service(host.podman_run(podman, &["serve"]).spawn().context("podman run")?);
    let page = service.wait_for("its page", || get(host.port, "/").ok())?;
    println!("http://127.0.0.1:{}/ answers with {} bytes", host.port, page.len());
    host.upload()?;
    let uploaded = Instant::now();
    let playlist = host.folder().join(PLAYLIST);
    service.wait_for("its recording", || playlist.is_file().then_some(()))?;
    let served = get(host.port, "/hls/front/front.m3u8")?;
    ensure!(served.contains("#EXTM3U"), "the page's playlist is none:\n{served}");
    println!("A recording that takes FFmpeg was HLS after {:.1} s", uploaded.elapsed().as_secs_f32());
    command::run(&mut host.podman_run(podman, &["check", "/var/lib/porthole"]))?;
    service.stop()
}

/// What of a host the image sees.
struct Host {
    root: PathBuf,
    /// The numbers of the service's user and group.
    user: (u32, u32),
    /// Where the page is.
    port: u16,
}

impl Host {
    fn make(root: &Path) -> Result<Self> {
        let port = command::free_port()?;
        let etc = root.join("etc");
        fs::create_dir_all(etc.join("porthole")).with_context(|| etc.display().to_string())?;
        let listen = format!("[web]\nlisten = \"127.0.0.1:{port}\"\n");
        for (name, text) in [("passwd", PASSWD), ("group", GROUP), ("porthole/remote.toml", &listen)] {
            fs::write(etc.join(name), text).with_context(|| etc.join(name).display().to_string())?;
        }
        for (program, kind, how) in
            [("systemd-sysusers", "sysusers", None), ("systemd-tmpfiles", "tmpfiles", Some("--create"))]
        {
            let file = workspace::root().join(format!("remote/systemd/porthole-remote.{kind}"));
            let mut program = command::command(program);
            command::run(program.arg(format!("--root={}", root.display())).args(how).arg(file))?;
        }
        let mut host = Self { root: root.to_owned(), user: (0, 0), port };
        let archive = host.folder().join("archive");
        let about = fs::metadata(&archive).with_context(|| archive.display().to_string())?;
        host.user = (about.uid(), about.gid());
        Ok(host)
    }

    /// The folder of the service.
    fn folder(&self) -> PathBuf {
        self.root.join("var/lib/porthole")
    }

    /// Runs the image with these arguments.
    fn podman_run(&self, podman: &Podman, arguments: &[&str]) -> Command {
        let mut run = podman.command(&["run", "--rm", "--pull=never", "--network", "host"]);
        run.arg("--user").arg(format!("{}:{}", self.user.0, self.user.1)).args(OPTIONS).args(LIMITS);
        run.arg("-v").arg(format!("{}:/var/lib/porthole", self.folder().display()));
        run.arg("-v").arg(format!("{}:/etc/porthole:ro", self.root.join("etc/porthole").display()));
        run.arg(IMAGE).args(arguments);
        run
    }

    /// Leaves a recording in the folder of an account, as `enroll` makes it.
    fn upload(&self) -> Result<()> {
        let inbox = self.folder().join(INBOX);
        let made = self.root.join("front.mp4");
        command::run(command::command("ffmpeg").args(["-v", "error"]).args(RECORDING).arg(&made))?;
        let account = self.user.0 + 1;
        let put = || {
            fs::create_dir_all(&inbox)?;
            chown(&inbox, Some(account), Some(self.user.1))?;
            fs::set_permissions(&inbox, Permissions::from_mode(0o2770))?;
            chown(&made, Some(account), Some(self.user.1))?;
            fs::rename(&made, inbox.join("front.mp4"))
        };
        put().with_context(|| inbox.display().to_string())
    }
}

/// The service; it ends with this.
struct Service(Child);

impl Service {
    /// Waits until something is so.
    fn wait_for<T>(&mut self, what: &str, mut so: impl FnMut() -> Option<T>) -> Result<T> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(value) = so() {
                return Ok(value);
            }
            if let Some(status) = self.0.try_wait()? {
                bail!("the service did not show {what}, and ended with {status}");
            }
            ensure!(Instant::now() < deadline, "the service did not show {what} in {PATIENCE:?}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Ends it as `podman stop` does.
    fn stop(mut self) -> Result<()> {
        self.terminate();
        let status = self.0.wait()?;
        ensure!(status.success(), "the service ended with {status}");
        Ok(())
    }

    fn terminate(&self) {
        let _ = kill(Pid::from_raw(self.0.id().cast_signed()), Signal::SIGTERM);
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        if matches!(self.0.try_wait(), Ok(None)) {
            self.terminate();
            let _ = self.0.wait();
        }
    }
}

/// What a page of this machine's answers with, if that is 200.
fn get(port: u16, path: &str) -> Result<String> {
    let mut connection = TcpStream::connect(("127.0.0.1", port))?;
    connection.set_read_timeout(Some(PATIENCE))?;
    write!(connection, "GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n")?;
    let mut answer = Vec::new();
    connection.read_to_end(&mut answer)?;
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let (head, body) = answer.split_once("\r\n\r\n").context("no answer of HTTP")?;
    ensure!(head.starts_with("HTTP/1.1 200 "), "{path}: {head}");
    Ok(body.to_owned())
}

//! The appliance: the real `porthole-edge` with a configuration made for the test.
//!
//! ```text
//! folder/  edge.toml  edge.log  id_ed25519  control.sock  recordings/  state/
//! /dev/shm/porthole-…/          its ring, on the RAM disk that every Linux has
//! ```

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Output};

use anyhow::{Context, Result, bail};
use nix::sys::signal::Signal;
use serde_json::Value;
use tempfile::TempDir;

use crate::http::Reply;
use crate::port::free_port;
use crate::process::Process;
use crate::sshd::Sshd;
use crate::strace::Strace;
use crate::wait::{PATIENCE, wait_for};
use crate::web::Web;

/// A configuration: dotted keys (`record.minutes`) with their values as TOML, and the cameras.
#[derive(Clone, Debug)]
pub struct Settings {
    values: BTreeMap<String, String>,
    cameras: Vec<String>,
}

impl Default for Settings {
    /// One camera called `front` that shows the pattern, without sound. A recording ends at the full hour: hardly ever while a test looks at it.
    fn default() -> Self {
        let settings = Self { values: BTreeMap::new(), cameras: Vec::new() };
        settings.text("audio.device", "none").set("record.minutes", 60).camera("front", "pattern")
    }
}

impl Settings {
    /// Sets `key` to a number, a truth value or any other TOML.
    pub fn set(mut self, key: &str, value: impl ToString) -> Self {
        self.values.insert(key.to_owned(), value.to_string());
        self
    }

    /// Sets `key` to a text.
    pub fn text(self, key: &str, value: impl AsRef<str>) -> Self {
        self.set(key, format!("{:?}", value.as_ref()))
    }

    /// Adds a camera, or gives the one of that name another source.
    pub fn camera(mut self, name: &str, source: &str) -> Self {
        let head = format!("[[camera]]\nname = {name:?}\n");
        self.cameras.retain(|camera| !camera.starts_with(&head));
        self.cameras.push(format!("{head}source = {source:?}\n"));
        self
    }

    /// Uploads to `sshd`, whose host key is pinned. The edge's key must still be enrolled: [`Edge::public_key`].
    pub fn upload_to(self, sshd: &Sshd) -> Result<Self> {
        let host_key = sshd.host_key()?;
        let upload = self.text("upload.host", "127.0.0.1").set("upload.port", sshd.port());
        let upload = upload.text("upload.user", sshd.user()).text("upload.host_key", host_key);
        Ok(upload.text("upload.dir", sshd.inbox_over_sftp()))
    }

    /// The configuration file.
    fn toml(&self) -> String {
        let mut text = String::new();
        for (key, value) in &self.values {
            let _ = writeln!(text, "{key} = {value}");
        }
        text + &self.cameras.concat()
    }
}

/// The appliance with its folder; it may be running or not.
#[derive(Debug)]
pub struct Edge {
    folder: PathBuf,
    port: u16,
    process: Option<Process>,
    _temporary: Option<TempDir>,
    ring: TempDir,
    environment: Vec<(&'static str, PathBuf)>,
}

impl Edge {
    /// Prepares a folder, without starting anything.
    pub fn prepare(settings: Settings) -> Result<Self> {
        let folder = TempDir::with_prefix("edge-")?;
        let mut edge = Self::prepare_at(folder.path(), free_port()?, settings)?;
        edge._temporary = Some(folder);
        Ok(edge)
    }

    /// Prepares `folder`, which is made where it is missing and stays, for an edge that listens on `port`.
    pub fn prepare_at(folder: &Path, port: u16, settings: Settings) -> Result<Self> {
        fs::create_dir_all(folder.join("state")).with_context(|| folder.display().to_string())?;
        let ring = TempDir::with_prefix_in("porthole-", "/dev/shm").context("no RAM disk at /dev/shm")?;
        let edge = Self {
            folder: folder.to_owned(),
            port,
            process: None,
            _temporary: None,
            ring,
            environment: Vec::new(),
        };
        edge.configure(settings)?;
        Ok(edge)
    }

    /// Prepares a folder, starts the edge in it, and waits until it says that it is healthy.
    pub fn start(settings: Settings) -> Result<Self> {
        let mut edge = Self::prepare(settings)?;
        edge.start_again()?;
        Ok(edge)
    }

    /// Replaces the configuration file; paths and port stay. Takes effect at the next start or SIGHUP.
    pub fn configure(&self, settings: Settings) -> Result<()> {
        let path = |name: &str| self.file(name).display().to_string();
        let mut settings = settings
            .text("live.listen", format!("127.0.0.1:{}", self.port))
            .text("live.control", path("control.sock"))
            .text("ring.dir", self.ring.path().display().to_string())
            .text("record.dir", path("recordings"));
        if settings.values.contains_key("upload.host") {
            settings = settings.text("upload.key", path("id_ed25519"));
        }
        Ok(fs::write(self.file("edge.toml"), settings.toml())?)
    }

    /// What it is started with from now on, besides what the test itself has.
    pub fn environment(&mut self, environment: Vec<(&'static str, PathBuf)>) {
        self.environment = environment;
    }

    /// Starts the edge, and waits until it says that it is healthy.
    pub fn start_again(&mut self) -> Result<()> {
        self.launch()?;
        self.wait_until("the edge to be healthy", |edge| {
            edge.get("/healthz").is_ok_and(|reply| reply.status == 200)
        })
    }

    /// Starts the edge and does not wait: it may well refuse.
    pub fn launch(&mut self) -> Result<()> {
        self.process = Some(Process::start(self.command("run"), &self.file("edge.log"))?);
        Ok(())
    }

    /// The same, under strace.
    pub fn launch_under(&mut self, strace: &Strace) -> Result<()> {
        let command = strace.around(&self.command("run"))?;
        self.process = Some(Process::start(command, &self.file("edge.log"))?);
        Ok(())
    }

    /// Waits until `condition` holds; an error if the edge ends before that.
    pub fn wait_until(&mut self, what: &str, condition: impl Fn(&Self) -> bool) -> Result<()> {
        let ended = |edge: &mut Self| !edge.process.as_mut().is_some_and(Process::is_running);
        let outcome = wait_for(what, PATIENCE, || match condition(self) {
            true => Some(true),
            false => ended(self).then_some(false),
        });
        match outcome {
            Ok(true) => Ok(()),
            Ok(false) => bail!("the edge ended while a test waited for {what}; it said:\n{}", self.log()),
            Err(error) => Err(error.context(format!("the edge said:\n{}", self.log()))),
        }
    }

    /// Runs `porthole-edge SUBCOMMAND` with this configuration to its end.
    pub fn run(&self, subcommand: &str) -> Result<Output> {
        self.command(subcommand).output().with_context(|| format!("porthole-edge {subcommand}"))
    }

    fn command(&self, subcommand: &str) -> Command {
        let mut command = Command::new(crate::built("porthole-edge"));
        command.arg(subcommand).arg("--config").arg(self.file("edge.toml"));
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command.env("STATE_DIRECTORY", self.file("state")).env("RUST_BACKTRACE", "1");
        command.current_dir(&self.folder);
        command
    }

    /// The public key of the device, to be enrolled at the remote host. Made at the first call.
    pub fn public_key(&self) -> Result<String> {
        let output = self.run("key")?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let key = text.lines().find(|line| line.starts_with("ssh-ed25519 "));
        key.map(str::to_owned).with_context(|| format!("porthole-edge key printed {output:?}"))
    }

    /// Ends the edge as a power cut would: at once.
    pub fn kill(&mut self) {
        self.process = None;
    }

    /// Asks the edge to end, and waits for that.
    pub fn terminate(&mut self) -> Result<ExitStatus> {
        let process = self.process.as_mut().context("the edge is not running")?;
        let status = process.terminate(PATIENCE)?;
        self.process = None;
        Ok(status)
    }

    /// Sends a signal to the edge.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        self.process.as_ref().context("the edge is not running")?.signal(signal)
    }

    /// Waits until the edge ends by itself.
    pub fn wait(&mut self) -> Result<ExitStatus> {
        self.process.as_mut().context("the edge is not running")?.wait(PATIENCE)
    }

    /// Whether it runs.
    pub fn is_running(&mut self) -> bool {
        self.process.as_mut().is_some_and(Process::is_running)
    }

    /// The recordings in its folder, oldest first.
    pub fn recordings_on_disk(&self) -> Result<Vec<PathBuf>> {
        let mut files = fs::read_dir(self.file("recordings"))?
            .map(|file| Ok(file?.path()))
            .collect::<Result<Vec<PathBuf>>>()?;
        files.retain(|file| file.extension().is_some_and(|extension| extension == "mp4"));
        files.sort();
        Ok(files)
    }

    /// Its process id, while it runs.
    pub fn id(&self) -> Option<u32> {
        self.process.as_ref().map(Process::id)
    }

    /// All that it printed since it was prepared.
    pub fn log(&self) -> String {
        fs::read_to_string(self.file("edge.log")).unwrap_or_default()
    }

    /// A file of its folder.
    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// The folder of the ring.
    pub fn ring(&self) -> &Path {
        self.ring.path()
    }

    /// Where it listens.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// What it shows.
    pub fn web(&self) -> Web {
        Web { port: self.port }
    }

    /// The address of a page.
    pub fn url(&self, path: &str) -> String {
        self.web().url(path)
    }

    /// GET of a path.
    pub fn get(&self, path: &str) -> Result<Reply> {
        self.web().get(path)
    }

    /// A value of the metrics page: [`metric`].
    pub fn metric(&self, name: &str) -> f64 {
        self.web().metric(name)
    }

    /// The recordings on the edge, oldest first, as `/api/recordings` lists them.
    pub fn recordings(&self) -> Result<Vec<Value>> {
        self.web().list("/api/recordings", "recordings")
    }

    /// The name of the newest recording in a state (`growing`, `sealed`, ...) that has `seconds` of footage.
    pub fn recording(&self, state: &str, seconds: f64) -> Option<String> {
        let recordings = self.recordings().ok()?;
        let found = recordings.iter().rev().find(|recording| {
            recording["state"] == state && recording["seconds"].as_f64().is_some_and(|found| found >= seconds)
        });
        found?["name"].as_str().map(str::to_owned)
    }

    /// Waits for such a recording, and gives its name.
    pub fn wait_for_recording(&mut self, state: &str, seconds: f64) -> Result<String> {
        let found = RefCell::new(None);
        self.wait_until(&format!("a recording of {seconds} s, {state}"), |edge| {
            found.replace(edge.recording(state, seconds));
            found.borrow().is_some()
        })?;
        found.into_inner().context("no recording")
    }

    /// Waits until the remote host has given a receipt for every recording but the growing ones, `at_least` so many.
    pub fn wait_for_receipts(&mut self, at_least: usize) -> Result<()> {
        self.wait_until("receipts", |edge| {
            let recordings = edge.recordings().unwrap_or_default();
            let in_state =
                |state: &str| recordings.iter().filter(|recording| recording["state"] == state).count();
            let receipts = in_state("receipted");
            receipts >= at_least && receipts + in_state("growing") == recordings.len()
        })
        .with_context(|| format!("of {at_least} at least: {:?}", self.recordings()))
    }

    /// GET of a path whose answer must be JSON.
    pub fn json(&self, path: &str) -> Result<Value> {
        self.web().json(path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_become_toml_and_the_last_word_counts() {
        let settings =
            Settings::default().set("record.minutes", 15).camera("front", "auto").camera("back", "pattern");
        assert_eq!(
            settings.toml(),
            "\
audio.device = \"none\"
record.minutes = 15
[[camera]]
name = \"front\"
source = \"auto\"
[[camera]]
name = \"back\"
source = \"pattern\"
"
        );
    }
}

//! The remote host: the real `porthole-remote serve` on a folder of its own.
//!
//! ```text
//! folder/  remote.toml  remote.log  home/{inbox/camera/, claim/, tmp/, archive/, hls/, quarantine/}
//! ```

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use tempfile::TempDir;

use crate::http::Reply;
use crate::port::free_port;
use crate::process::Process;
use crate::strace::Strace;
use crate::wait::{PATIENCE, wait_for};
use crate::web::Web;

/// A remote host with its folder; any number of its services may be running.
#[derive(Debug)]
pub struct Remote {
    folder: PathBuf,
    port: u16,
    services: Vec<Process>,
    _temporary: Option<TempDir>,
}

impl Remote {
    /// Prepares a folder, without starting anything. `more` is added to the configuration.
    pub fn prepare(more: &str) -> Result<Self> {
        let folder = TempDir::with_prefix("remote-")?;
        let mut remote = Self::prepare_at(folder.path(), more)?;
        fs::create_dir_all(remote.inbox())?;
        remote._temporary = Some(folder);
        Ok(remote)
    }

    /// Prepares `folder`, which is made where it is missing and stays.
    pub fn prepare_at(folder: &Path, more: &str) -> Result<Self> {
        let remote =
            Self { folder: folder.to_owned(), port: free_port()?, services: Vec::new(), _temporary: None };
        fs::create_dir_all(remote.dir()).with_context(|| folder.display().to_string())?;
        let (dir, port) = (remote.dir(), remote.port);
        let config = format!("dir = {dir:?}\nweb.listen = \"127.0.0.1:{port}\"\n{more}\n");
        fs::write(folder.join("remote.toml"), config)?;
        Ok(remote)
    }

    /// Starts one more service, which takes recordings in and does nothing else.
    pub fn start(&mut self) -> Result<()> {
        self.launch(Command::new(crate::built("porthole-remote")), &["--role", "inbox"])
    }

    /// Starts one more service, which takes recordings in and does nothing else, under strace.
    pub fn start_under(&mut self, strace: &Strace) -> Result<()> {
        let command = strace
            .around(&self.serve_by(Command::new(crate::built("porthole-remote")), &["--role", "inbox"]))?;
        self.services.push(Process::start(command, &self.log_file())?);
        Ok(())
    }

    /// Starts one more service as the user and group `user`, who may ask for leases and nothing else. Takes root.
    pub fn start_as(&mut self, user: u32) -> Result<()> {
        let program = self.folder.join("porthole-remote");
        fs::copy(crate::built("porthole-remote"), &program)?;
        let mut command = Command::new("setpriv");
        command.arg(format!("--reuid={user}")).arg(format!("--regid={user}")).arg("--clear-groups");
        command.args(["--inh-caps=+lease", "--ambient-caps=+lease"]).arg(program);
        self.launch(command, &["--role", "inbox"])
    }

    /// Gives all folders but the inbox to the user and group `user`. Takes root.
    pub fn give_to(&self, user: u32) -> Result<()> {
        fs::set_permissions(&self.folder, fs::Permissions::from_mode(0o755))?;
        for folder in ["claim", "tmp", "archive", "hls", "quarantine"] {
            let folder = self.file(folder);
            fs::create_dir_all(&folder)?;
            chown(&folder, Some(user), Some(user))?;
            fs::set_permissions(folder, fs::Permissions::from_mode(0o700))?;
        }
        Ok(())
    }

    fn launch(&mut self, command: Command, roles: &[&str]) -> Result<()> {
        self.services.push(Process::start(self.serve_by(command, roles), &self.log_file())?);
        Ok(())
    }

    /// `command` with the arguments that make it serve.
    fn serve_by(&self, mut command: Command, roles: &[&str]) -> Command {
        command.arg("serve").args(roles).args(["--log-level", "info,remote::inbox=debug", "--config"]);
        command.arg(self.folder.join("remote.toml")).env("RUST_BACKTRACE", "1");
        command
    }

    /// Starts a service with every role, and waits until it says that it is healthy.
    pub fn serve(&mut self) -> Result<()> {
        self.launch(Command::new(crate::built("porthole-remote")), &[])?;
        self.wait_until("the remote host to be healthy", |remote| {
            remote.get("/healthz").is_ok_and(|reply| reply.status == 200)
        })
    }

    /// Ends all services at once and without a chance to tidy up.
    pub fn kill(&mut self) {
        self.services.clear();
    }

    /// Ends one service, counted in no order, at once and without a chance to tidy up.
    pub fn kill_one(&mut self, n: usize) {
        drop(self.services.swap_remove(n));
    }

    /// Asks all services to end; gives how long the slowest took.
    pub fn terminate(&mut self) -> Result<Duration> {
        let begun = std::time::Instant::now();
        for mut service in self.services.drain(..) {
            let status = service.terminate(PATIENCE)?;
            ensure!(status.success(), "the remote host ended with {status}");
        }
        Ok(begun.elapsed())
    }

    /// The process ids of the services.
    pub fn ids(&self) -> Vec<u32> {
        self.services.iter().map(Process::id).collect()
    }

    /// Waits until `condition` holds; an error if a service ends before that.
    pub fn wait_until(&mut self, what: &str, condition: impl Fn(&Self) -> bool) -> Result<()> {
        let outcome = wait_for(what, PATIENCE, || match condition(self) {
            true => Some(true),
            false => (!self.is_running()).then_some(false),
        });
        match outcome {
            Ok(true) => Ok(()),
            Ok(false) => bail!("a service ended while a test waited for {what}:\n{}", self.log()),
            Err(error) => Err(error.context(format!("the remote host said:\n{}", self.log()))),
        }
    }

    /// Waits until `count` recordings are in the archive and nothing is left in inbox, claims and locks.
    pub fn wait_until_settled(&mut self, count: usize) -> Result<()> {
        self.wait_until(&format!("{count} recordings in the archive, and nothing left"), |remote| {
            remote.files("archive").len() == count
                && remote.files("inbox").is_empty()
                && remote.files("claim").is_empty()
        })
    }

    /// The folder that everything is in.
    pub fn dir(&self) -> PathBuf {
        self.folder.join("home")
    }

    /// A file or folder in it.
    pub fn file(&self, name: &str) -> PathBuf {
        self.dir().join(name)
    }

    /// The inbox of the account `camera`.
    pub fn inbox(&self) -> PathBuf {
        self.file("inbox/camera")
    }

    /// Whether all services run.
    pub fn is_running(&mut self) -> bool {
        self.services.iter_mut().all(Process::is_running)
    }

    fn web(&self) -> Web {
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

    /// GET of a path whose answer must be JSON.
    pub fn json(&self, path: &str) -> Result<Value> {
        self.web().json(path)
    }

    /// All that the services printed.
    pub fn log(&self) -> String {
        fs::read_to_string(self.log_file()).unwrap_or_default()
    }

    fn log_file(&self) -> PathBuf {
        self.folder.join("remote.log")
    }

    /// The files below a folder, by their path in it.
    pub fn files(&self, folder: &str) -> Vec<String> {
        let mut found = Vec::new();
        collect(&self.file(folder), "", &mut found);
        found.sort();
        found
    }
}

/// What `porthole-remote check` says of a folder whose recordings were signed with `keys`. An error if it is not satisfied.
pub fn checked(folder: &Path, keys: &Path) -> Result<Value> {
    let mut check = Command::new(crate::built("porthole-remote"));
    let output = check.args(["check", "--json", "--keys"]).args([keys, folder]).output()?;
    let report: Value = serde_json::from_slice(&output.stdout).with_context(|| format!("{output:?}"))?;
    ensure!(output.status.success(), "{report:#}");
    Ok(report)
}

fn collect(folder: &Path, prefix: &str, found: &mut Vec<String>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => collect(&entry.path(), &format!("{name}/"), found),
            _ => found.push(name),
        }
    }
}

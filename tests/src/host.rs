//! A host of the test's own: this machine as it is, but with a `/etc`, `/var/lib`, `/var/log` and `/usr/local` that nobody else
//! sees.
//!
//! A mount namespace belongs to a thread and what it starts, so accounts can be made and sshd be configured without a trace. It takes
//! root, an overlay and tmpfs, all of which every Linux has.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use anyhow::{Context, Result, ensure};
use nix::mount::{MsFlags, mount};
use tempfile::TempDir;

use crate::disk::with_own_mounts;
use crate::port::free_port;
use crate::process::Process;
use crate::wait::{PATIENCE, wait_until};

/// Folders that begin empty.
const EMPTY: [&str; 3] = ["/var/lib", "/var/log", "/usr/local"];
/// Where an operator puts our program.
pub const PROGRAM: &str = "/usr/local/bin/porthole-remote";

/// The host, for the thread that it was made in.
#[derive(Debug)]
pub struct Host {
    port: u16,
    folder: TempDir,
    sshd: Option<Process>,
}

/// Runs `test` on a host of its own; without root, says that it was not run.
pub fn on_a_host(test: impl FnOnce(&mut Host) -> Result<()> + Send) {
    with_own_mounts(|| test(&mut Host::make()?));
}

impl Host {
    /// From here on this thread, which has mounts of its own, lives on another host, on which our program and the service's user and folders are installed.
    fn make() -> Result<Self> {
        let folder = TempDir::with_prefix("host-")?;
        mount(Some("etc"), folder.path(), Some("tmpfs"), MsFlags::empty(), None::<&str>)?;
        let [upper, work] = ["upper", "work"].map(|name| folder.path().join(name));
        fs::create_dir(&upper)?;
        fs::create_dir(&work)?;
        let layers = format!("lowerdir=/etc,upperdir={},workdir={}", upper.display(), work.display());
        mount(Some("etc"), "/etc", Some("overlay"), MsFlags::empty(), Some(layers.as_str()))
            .context("an overlay")?;
        for empty in EMPTY {
            mount(Some("empty"), empty, Some("tmpfs"), MsFlags::empty(), Some("mode=0755"))?;
        }
        fs::create_dir_all("/usr/local/bin")?;
        fs::create_dir_all("/run/sshd")?;
        fs::copy(crate::built("porthole-remote"), PROGRAM)?;
        Ok(Self { port: free_port()?, folder, sshd: None })
    }

    /// Its SSH port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Runs a program on it to its end.
    pub fn run(&self, program: &str, arguments: &[&str]) -> Result<Output> {
        Command::new(program).args(arguments).output().with_context(|| program.to_owned())
    }

    /// Starts a program on it.
    pub fn start(&self, program: &str, arguments: &[&str]) -> Result<Process> {
        let mut command = Command::new(program);
        command.args(arguments);
        let name = Path::new(program).file_name().unwrap_or_default().to_string_lossy().into_owned();
        Process::start(command, &self.folder.path().join(name + ".log"))
    }

    /// Starts sshd with the configuration of the host, or has it read that again.
    pub fn start_sshd(&mut self) -> Result<()> {
        self.sshd = None;
        let port = self.port.to_string();
        let mut sshd =
            self.start("/usr/sbin/sshd", &["-D", "-e", "-p", &port, "-o", "ListenAddress=127.0.0.1"])?;
        let address = ("127.0.0.1", self.port);
        let listens = || !sshd.is_running() || std::net::TcpStream::connect(address).is_ok();
        wait_until("sshd to listen", PATIENCE, listens)?;
        ensure!(sshd.is_running(), "sshd ended: {}", sshd.log());
        self.sshd = Some(sshd);
        Ok(())
    }

    /// What sshd printed.
    pub fn sshd_log(&self) -> String {
        self.sshd.as_ref().map(Process::log).unwrap_or_default()
    }
}

//! A board in QEMU: Debian's kernel for armv7 with real drivers of cameras and sound, and the edge as it is built for boards.
//!
//! ```text
//! test -> unix socket -> virtio port -> shell on the board        run, put
//!      -> unix socket -> QEMU's USB -> xHCI                          plug
//!      -> port on loopback -> QEMU's network -> 8080 on the board   web, a browser
//! ```
//! `cargo xtask testbed` makes what is booted (`board/testbed/init` is its first program).

use std::process::Command;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use tempfile::TempDir;

use crate::port::free_port;
use crate::process::Process;
use crate::shell::Shell;
use crate::usb::{self, Device, Plugged};
use crate::wait::wait_until;
use crate::web::Web;

/// Long enough for anything on a board: the processor is a program.
pub const PATIENCE: Duration = Duration::from_secs(180);

/// Where QEMU waits for what is plugged into the board's USB.
pub const PLUG: &str = "usb";

/// The processor is enough for one board at a time.
static ONE: Mutex<()> = Mutex::new(());

/// Waits until no other board runs in this process.
pub fn alone() -> MutexGuard<'static, ()> {
    ONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A running board.
pub struct Board {
    qemu: Process,
    shell: Shell,
    /// What the edge shows.
    pub web: Web,
    feed: u16,
    folder: TempDir,
    _alone: MutexGuard<'static, ()>,
}

impl Board {
    /// Boots the testbed, and waits for its shell.
    pub fn boot() -> Result<Self> {
        let testbed = crate::built("../boards/testbed");
        let kernel = testbed.join("kernel");
        ensure!(kernel.is_file(), "there is no {}: cargo xtask testbed makes it", kernel.display());
        let alone = alone();
        let folder = TempDir::with_prefix("board-")?;
        let (web, feed) = (Web { port: free_port()? }, free_port()?);
        let (socket, plug) = (folder.path().join("shell"), folder.path().join(PLUG));
        let forwards = format!(
            "user,id=net,hostfwd=tcp:127.0.0.1:{}-:8080,hostfwd=tcp:127.0.0.1:{feed}-:9000",
            web.port
        );
        let mut qemu = Command::new("qemu-system-arm");
        qemu.args(["-machine", "virt,highmem=off", "-cpu", "cortex-a7", "-smp", "2", "-m", "512"]);
        qemu.args(["-display", "none", "-monitor", "none", "-serial", "stdio", "-no-reboot"]);
        qemu.arg("-kernel").arg(kernel).arg("-initrd").arg(testbed.join("initrd"));
        qemu.args(["-append", "console=ttyAMA0 quiet panic=-1"]);
        qemu.args([
            "-netdev",
            &forwards,
            "-device",
            "virtio-net-pci,netdev=net,romfile=",
            "-device",
            "virtio-rng-pci",
        ]);
        qemu.arg("-chardev").arg(format!("socket,id=shell,path={},server=on,wait=off", socket.display()));
        qemu.args(["-device", "virtio-serial-pci", "-device", "virtserialport,chardev=shell"]);
        usb::port(&mut qemu, &plug);
        let qemu = Process::start(qemu, &folder.path().join("console"))?;
        let shell = Shell::connect(&socket, PATIENCE)?;
        let mut board = Self { qemu, shell, web, feed, folder, _alone: alone };
        board.run("true").context("the board does not boot")?;
        Ok(board)
    }

    /// Runs a line of shell on the board to its end and gives what it printed; an error, with that, if its exit status is not 0.
    pub fn run(&mut self, line: &str) -> Result<String> {
        let answer = self.shell.ask(line);
        let (status, printed) =
            answer.with_context(|| format!("{line}\nthe console:\n{}", self.console()))?;
        if status != 0 {
            bail!("{line} ended with {status}: {printed}");
        }
        Ok(printed)
    }

    /// Puts a text into a file of the board.
    pub fn put(&mut self, file: &str, text: &str) -> Result<()> {
        let quoted =
            text.replace('\\', "\\\\").replace('\n', "\\n").replace('\'', "'\\''").replace('%', "%%");
        self.run(&format!("printf '{quoted}' > {file}")).map(drop)
    }

    /// Starts the edge with this configuration, and waits until it shows something.
    pub fn start_edge(&mut self, configuration: &str) -> Result<()> {
        self.put("/etc/edge.toml", configuration)?;
        self.run("porthole-edge run --config /etc/edge.toml > /run/edge.log 2>&1 & echo $! > /run/edge.pid")?;
        wait_until("the edge on the board", PATIENCE, || self.web.get("/api/status").is_ok())
            .with_context(|| self.edge_log())
    }

    /// Ends the edge as a service is ended, and waits for that.
    pub fn stop_edge(&mut self) -> Result<()> {
        self.run("kill $(cat /run/edge.pid); while [ -d /proc/$(cat /run/edge.pid) ]; do sleep 0.1; done")
            .map(drop)
    }

    /// Plugs a device into the board's USB until what is returned is dropped.
    pub fn plug<D: Device>(&self, device: &Arc<Mutex<D>>) -> Result<Plugged> {
        Plugged::into(&self.folder.path().join(PLUG), device)
    }

    /// All that the edge printed.
    pub fn edge_log(&mut self) -> String {
        self.run("cat /run/edge.log").unwrap_or_default()
    }

    /// What the kernel printed on the board's console.
    pub fn console(&self) -> String {
        self.qemu.log()
    }

    /// The port on loopback that leads to port 9000 on the board.
    pub fn feed(&self) -> u16 {
        self.feed
    }
}

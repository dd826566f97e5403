//! A network that only its test sees, for a board that QEMU plays: an address from a real DHCP server, which names a real time server, and
//! questions for names by multicast DNS.
//!
//! ```text
//! board -> virtio-net -> QEMU -> tap "wire", 10.77.0.1: dnsmasq, chronyd; questions
//! ```

use std::fs::{self, File};
use std::net::{Ipv4Addr, UdpSocket};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use nix::sched::CloneFlags;
use tempfile::TempDir;

use crate::appliance::PATIENCE;
use crate::namespace;
use crate::process::Process;
use crate::wait::wait_for;

/// The interface into which QEMU plugs the board.
pub const WIRE: &str = "wire";
/// Where the kernel makes one.
const TAPS: &str = "/dev/net/tun";
/// This end of it.
const HERE: &str = "10.77.0.1";
/// Whom everybody asks who has a name to look for (RFC 6762, 3).
const MDNS: (Ipv4Addr, u16) = (Ipv4Addr::new(224, 0, 0, 251), 5353);
/// Type A, class IN.
const ADDRESS: [u8; 4] = [0, 1, 0, 1];
const LINKS: [&str; 5] = [
    "link set lo up",
    "tuntap add dev wire mode tap",
    "address add 10.77.0.1/24 dev wire",
    "link set wire up",
    "route add 224.0.0.0/4 dev wire",
];
/// It serves the time of this machine, and sets no clock.
const TIME: &str = "local stratum 3\nallow\nbindaddress 10.77.0.1\ncmdport 0\n";

/// The servers of the network.
#[derive(Debug)]
pub struct Lan {
    dhcp: Process,
    time: Process,
    _folder: TempDir,
}

impl Lan {
    /// Runs `test` in a network of its own, with its servers; without root or taps, says that it was not run.
    pub fn with(test: impl FnOnce(&Lan) -> Result<()> + Send) {
        if let Err(error) = File::options().read(true).write(true).open(TAPS) {
            eprintln!("{TAPS}: {error}: not run");
            return;
        }
        namespace::with_own(CloneFlags::CLONE_NEWNET, || test(&Self::start()?));
    }

    fn start() -> Result<Self> {
        for link in LINKS {
            let output = Command::new("ip").args(link.split(' ')).output().context("ip")?;
            ensure!(output.status.success(), "ip {link}: {}", String::from_utf8_lossy(&output.stderr));
        }
        let folder = TempDir::with_prefix("lan-")?;
        let file = |name: &str| folder.path().join(name);
        // No gateway and no names: it is a wire to this machine and nothing else.
        let mut dhcp = Command::new("dnsmasq");
        dhcp.args([
            "--keep-in-foreground",
            "--log-facility=-",
            "--conf-file=/dev/null",
            "--user=root",
            "--port=0",
        ]);
        dhcp.args(["--interface=wire", "--dhcp-range=10.77.0.10,10.77.0.99,1h"]);
        dhcp.args(["--dhcp-option=option:router", "--dhcp-option=option:dns-server"]);
        dhcp.arg(format!("--dhcp-option=option:ntp-server,{HERE}"));
        dhcp.arg(format!("--dhcp-leasefile={}", file("leases").display())).arg("--pid-file");
        fs::write(file("time.conf"), format!("{TIME}pidfile {}\n", file("time.pid").display()))?;
        let mut time = Command::new("chronyd");
        time.args(["-d", "-x", "-u", "root", "-f"]).arg(file("time.conf"));
        let [dhcp, time] = [(dhcp, "dhcp.log"), (time, "time.log")]
            .map(|(command, log)| Process::start(command, &file(log)));
        Ok(Self { dhcp: dhcp?, time: time?, _folder: folder })
    }

    /// The address of who answers to a name of the domain `local` by multicast DNS.
    pub fn find(&self, name: &str) -> Result<Ipv4Addr> {
        let question = question(name);
        let socket = UdpSocket::bind((HERE, 0))?;
        socket.set_read_timeout(Some(Duration::from_millis(500)))?;
        let ask = || {
            socket.send_to(&question, MDNS).ok()?;
            let mut reply = [0; 512];
            let length = socket.recv(&mut reply).ok()?;
            address(&question, &reply[..length])
        };
        wait_for(&format!("{name}.local"), PATIENCE, ask).with_context(|| self.log())
    }

    /// What its servers say.
    pub fn log(&self) -> String {
        format!("{}\n{}", self.dhcp.log(), self.time.log())
    }
}

/// A question for an address that is asked once, from a port of its own (RFC 6762, 6.7; RFC 1035, 4.1).
fn question(name: &str) -> Vec<u8> {
    let mut question = vec![0x70, 0x68, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in [name, "local", ""] {
        question.push(label.len() as u8);
        question.extend(label.as_bytes());
    }
    question.extend(ADDRESS);
    question
}

/// The address in the answer to a question. It repeats that, and its first record refers to the name there.
fn address(question: &[u8], reply: &[u8]) -> Option<Ipv4Addr> {
    let (head, reply) = reply.split_at_checked(12)?;
    let record = reply.strip_prefix(&question[12..])?.strip_prefix(&[0xc0, 12])?;
    // Time to live, length.
    let (_, address) = record.strip_prefix(&ADDRESS)?.split_at_checked(6)?;
    let address: [u8; 4] = address.get(..4)?.try_into().ok()?;
    (head[..2] == question[..2] && head[6..8] != [0, 0]).then(|| address.into())
}

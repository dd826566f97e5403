//! Row: the image on a board that QEMU plays: how long it takes to start, and the memory of the edge.

use std::fmt::{self, Display, Formatter};
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use ::tests::appliance::{Appliance, ask_for};
use ::tests::board::PATIENCE;
use ::tests::built;
use ::tests::dice::Dice;
use ::tests::process::Process;
use anyhow::{Context, Result, ensure};

use crate::table::{Figure, Unit};
use crate::{Bench, median};

/// How it is measured.
pub const HOW: &str = "The image of `cargo xtask image` on QEMU's `virt` with two Cortex-A7, from U-Boot on, with vivid as its camera. All times are \
    the board's own since the kernel's start. The first picture: when the camera took the oldest one that the live view has, placeholders aside; what went by before systemd \
    and before the edge is systemd's own account of it, and what came along for the test says how long it loaded its drivers before that. The bare kernel: the same one, with busybox as all that it starts, when that runs. Starts after a power cut and bare ones by turns, \
    three each; the medians. The first start also makes the data partition, keys and certificate. Memory: RssAnon and RssFile of \
    `/proc/PID/status` after 75 s with a viewer of `stream.mp4` over HTTPS, in which a recording was sealed; the ring is on a RAM disk \
    and so not among them.";

/// Where the time of a start goes.
const START: &str = "an emulated processor is slow: what systemd takes before it begins any service is more than the limit on it, and the initrd, \
    the edge until it listens, and udev until it says who may open a camera come on top. The edge is the board's first \
    service: the initrd has its disk ready, it waits for nothing else, and meanwhile viewers see a placeholder. Until then it was begun after \
    24 s of systemd, and the whole took 39 s. Before that the root file system packed with zstd instead of xz took systemd's part from 50 s to \
    35 s, and asking udev for devices alone instead of for drivers and modules too, to 30 s; that units and generators without work are not \
    started is lost in the noise.";

const ROUNDS: u64 = 3;
/// A recording of one minute ends in it.
const SPAN: Duration = Duration::from_secs(75);
const MIB: f64 = 1024.0 * 1024.0;

/// Waits on the board until the edge is there, and not by asking it: it has a start to get on with.
const STARTED: &str = "until [ -S /run/porthole/control.sock ]; do sleep 1; done; sleep 5";
/// Microseconds from the start of the kernel until systemd was begun, and the edge.
const SINCE: &str = "systemctl show --property UserspaceTimestampMonotonic --value; \
    systemctl show --property ExecMainStartTimestampMonotonic --value porthole-edge";
/// Seconds from the start of the kernel until what came along for the test began, and until it was done.
const TOOK: &str = "cat /run/test/took";
/// Memory of the edge on the board.
const STATUS: &str = "cat /proc/$(systemctl show --property MainPID --value porthole-edge)/status";

/// Measures it.
pub fn measure(_: &Bench) -> Result<Vec<Figure>> {
    let folder = tempfile::tempdir()?;
    let mut board = Appliance::flash()?;
    board.put("porthole.toml", &Appliance::owner_says("bench", ""))?;
    let mut dice = Dice::seeded(1);
    board.power_on()?;
    let first = start(&mut board)?;
    let (mut bare, mut starts) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        board.cut(&mut dice)?;
        bare.push(bare_kernel(folder.path())?);
        board.power_on()?;
        starts.push(start(&mut board)?);
    }
    let memory = memory(&mut board)?;
    let bare = median(bare);
    let of = |part: fn(&Start) -> f64| median(starts.iter().map(part).collect());
    let usual = Start {
        testing: of(|start| start.testing),
        systemd: of(|start| start.systemd),
        edge: of(|start| start.edge),
        picture: of(|start| start.picture),
    };
    let overhead = |what, start: &Start| {
        let figure = Figure::new(what, Unit::Seconds, start.picture - bare);
        figure.detail(start.to_string()).peer(format!("bare kernel {bare:.2} s"))
    };
    Ok(vec![
        overhead("start of a board to the first picture, over a bare kernel", &usual)
            .at_most(2.5)
            .tried(START),
        overhead("its very first start", &first),
        Figure::new("resident memory of the edge on a board, 1 viewer", Unit::MiB, memory)
            .at_most(12.0 * MIB),
    ])
}

/// When what of a start had come, in seconds since the kernel's.
struct Start {
    /// For so long the test's own drivers were loaded; no moment, and before systemd.
    testing: f64,
    /// systemd was begun, by the initrd.
    systemd: f64,
    /// The edge was begun, by systemd.
    edge: f64,
    /// The camera took the first picture.
    picture: f64,
}

impl Display for Start {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { testing, systemd, edge, picture } = self;
        write!(
            f,
            "kernel and initrd {:.2} s, the test's own drivers {testing:.2} s, systemd until it begins the edge {:.2} s, edge {:.2} s",
            systemd - testing,
            edge - systemd,
            picture - edge
        )
    }
}

/// Waits for the first picture after a start.
fn start(board: &mut Appliance) -> Result<Start> {
    let picture = first_picture(board)?;
    let systemd = numbers::<2>(&board.run(SINCE)?)?.map(|microseconds| microseconds / 1e6);
    let [begun, done] = numbers(&board.run(TOOK)?)?;
    Ok(Start { testing: done - begun, systemd: systemd[0], edge: systemd[1], picture })
}

/// The numbers that the board has said.
fn numbers<const N: usize>(said: &str) -> Result<[f64; N]> {
    let numbers: Result<Vec<f64>, _> = said.split_whitespace().map(str::parse).collect();
    numbers.ok().and_then(|numbers| numbers.try_into().ok()).with_context(|| format!("the board says {said}"))
}

/// Seconds from the start of the kernel until the camera took the first picture.
fn first_picture(board: &mut Appliance) -> Result<f64> {
    board.run(STARTED)?;
    let camera = board.json("/api/cameras")?["cameras"][0]["name"].as_str().context("no camera")?.to_owned();
    let oldest = || {
        let timeline = board.json(&format!("/live/{camera}/timeline")).ok()?;
        let spans = timeline["spans"].as_array()?;
        // The live view has lost nothing yet.
        (spans.first()?["first_sequence"] == 0).then_some(())?;
        spans.iter().find(|span| span["placeholder"] == false)?["start"].as_f64()
    };
    ask_for("a picture of the camera", oldest).with_context(|| board.console())
}

/// Bytes of memory of the edge, which records, and has a viewer.
fn memory(board: &mut Appliance) -> Result<f64> {
    let camera = board.json("/api/cameras")?["cameras"][0]["name"].as_str().context("no camera")?.to_owned();
    let mut viewer = Command::new("curl");
    viewer.args(["-sk", "-o", "/dev/null", &board.url(&format!("/live/{camera}/stream.mp4"))]);
    let mut viewer = viewer.stdin(Stdio::null()).spawn().context("curl")?;
    sleep(SPAN);
    let watching = viewer.try_wait()?.is_none();
    let status = board.run(STATUS);
    viewer.kill()?;
    viewer.wait()?;
    ensure!(watching, "the viewer has lost the stream");
    let recordings = &board.json("/api/status")?["recordings"]["count"];
    ensure!(recordings.as_u64().is_some_and(|count| count > 0), "{recordings} recordings");
    let status = status?;
    let bytes = |key: &str| -> Option<f64> {
        let line = status.lines().find_map(|line| line.strip_prefix(key))?;
        line.trim().strip_suffix(" kB")?.parse::<f64>().ok().map(|kibibytes| kibibytes * 1024.0)
    };
    let parts = bytes("RssAnon:").zip(bytes("RssFile:"));
    parts.map(|(own, files)| own + files).with_context(|| status.clone())
}

/// The first program of a bare board.
const INIT: &str = "#!/bin/busybox sh
/bin/busybox mount -t proc proc /proc
/bin/busybox cat /proc/uptime
/bin/busybox poweroff -f
";

/// Seconds from the start of the kernel until a program runs, where there is nothing else.
fn bare_kernel(folder: &Path) -> Result<f64> {
    let root = folder.join("root");
    fs::create_dir_all(root.join("bin"))?;
    fs::create_dir_all(root.join("proc"))?;
    fs::copy(built("../boards/testbed.tools/usr/bin/busybox"), root.join("bin/busybox"))?;
    fs::write(root.join("init"), INIT)?;
    let mut pack = Command::new("sh");
    let pack = pack
        .args(["-c", "chmod 755 init && find . | cpio --quiet -o -H newc > ../initrd"])
        .current_dir(&root);
    ensure!(pack.status()?.success(), "cpio");
    let mut qemu = Command::new("qemu-system-arm");
    qemu.args(["-machine", "virt,highmem=off", "-cpu", "cortex-a7", "-smp", "2", "-m", "512"]);
    qemu.args(["-no-reboot", "-nic", "none"]);
    qemu.args(["-display", "none", "-monitor", "none", "-serial", "stdio"]);
    qemu.args(["-append", "console=ttyAMA0 quiet panic=-1"]);
    qemu.arg("-kernel").arg(built("../boards/testbed/kernel")).arg("-initrd").arg(folder.join("initrd"));
    let mut qemu = Process::start(qemu, &folder.join("console"))?;
    qemu.wait(PATIENCE)?;
    let said = qemu.log();
    let uptime = said.lines().rev().find_map(|line| line.split_whitespace().next()?.parse().ok());
    uptime.with_context(|| format!("a bare board says no time: {said}"))
}

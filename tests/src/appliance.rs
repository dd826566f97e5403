//! The appliance as somebody flashes it: the image on a card, on a board that QEMU plays from U-Boot on, and power that can be cut.
//!
//! ```text
//! image -> card -> NBD server -> QEMU: U-Boot, kernel, initrd (+ passenger), the appliance
//! test -> shell on the board (virtio port)         run
//!      -> port on loopback -> 443 on the board     get, a player
//! board -> 10.0.2.2 -> loopback of this machine    an sshd
//! ```
//! `cargo xtask image` makes the image, `cargo xtask testbed` what comes along: a camera, and the shell. Neither is changed on the card but for
//! the initrd, which the passenger follows.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use tempfile::{NamedTempFile, TempDir};

use crate::board;
use crate::browser::{self, Watched};
use crate::card::{self, Card, Cut, SECTOR};
use crate::curl::{Answer, curl};
use crate::dice::Dice;
use crate::lan;
use crate::nbd::Server;
use crate::port::free_port;
use crate::process::Process;
use crate::shell::Shell;
use crate::usb::{self, Device, Plugged};
use crate::wait::wait_with;

/// Long enough for anything on a board that starts a whole system: the processor is a program, and its machine has other things to do.
pub const PATIENCE: Duration = Duration::from_secs(600);

/// Between two questions of a wait. Each costs the emulated processor a TLS handshake; without a pause they are most of what it does.
pub const PAUSE: Duration = Duration::from_millis(500);

/// The image.
const IMAGE: &str = "../boards/porthole-orangepi-pc-plus.img";
/// What comes along.
const PASSENGER: &str = "../boards/passenger.cpio";
/// The one with drivers for what can be plugged in.
const WITH_MORE: &str = "../boards/passenger.more.cpio";
/// U-Boot for QEMU's board.
const LOADER: &str = "../boards/testbed/u-boot.bin";
/// Bytes of the card.
const SIZE: u64 = 1 << 30;
/// The host on which QEMU runs, as the board reaches it.
pub const HOST: &str = "10.0.2.2";
/// Memory in which a kernel unpacks itself: where it begins, and how many bytes. QEMU writes zeros there at each reset. Without that, code of the
/// system before stays translated; QEMU 7.2 looks through all of a page's translated code at each write to that page, and where one page of it
/// was that of the unpacker's variables, a start took minutes.
const BLANK: (u64, u64) = (0x4020_0000, 40 << 20);
/// A file for the passenger: if it is there, the kernel writes only what it is told to; which files are not flushed.
const UNFLUSHED: &str = "unflushed";
/// Where updates are taken.
pub const UPDATE: &str = "/api/setup/update";
/// Who administers the device.
const ADMIN: &str = "anna";
const PASSWORD: &str = "correct horse battery";

/// Partitions of the card, counted from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Partition {
    /// What the owner writes.
    Boot,
    /// The first version.
    SlotA,
    /// The second one.
    SlotB,
    /// What the appliance keeps.
    Data,
}

/// A board with its card; it may have power or not.
pub struct Appliance {
    folder: TempDir,
    server: Server,
    secure: u16,
    /// What is around the board itself.
    around: Around,
    running: Option<Running>,
    _alone: MutexGuard<'static, ()>,
}

enum Around {
    Nothing,
    /// A controller for USB.
    Usb,
    /// A network; its clock has stopped, as that of a board without a battery does.
    Lan,
}

struct Running {
    qemu: Process,
    shell: Shell,
}

impl Appliance {
    /// Writes the image to a card, with a passenger.
    pub fn flash() -> Result<Self> {
        Self::flash_with(PASSENGER)
    }

    fn flash_with(passenger: &str) -> Result<Self> {
        let alone = board::alone();
        let folder = TempDir::with_prefix("appliance-")?;
        let file = folder.path().join("card");
        flash(&file)?;
        take_along(&file, passenger)?;
        let server = Server::start(Card::open(&file)?, &folder.path().join("nbd"))?;
        Ok(Self {
            folder,
            server,
            secure: free_port()?,
            around: Around::Nothing,
            running: None,
            _alone: alone,
        })
    }

    /// The same with a controller for USB and radios that hear each other, and drivers for them from the beginning.
    pub fn flash_with_more() -> Result<Self> {
        let appliance = Self { around: Around::Usb, ..Self::flash_with(WITH_MORE)? };
        appliance.put("modules", "xhci-pci\nmac80211_hwsim radios=2\n")?;
        Ok(appliance)
    }

    /// The same on a LAN of which it knows nothing, at a time that it does not know.
    pub fn flash_on_lan() -> Result<Self> {
        Ok(Self { around: Around::Lan, ..Self::flash()? })
    }

    /// Puts a text into a file of the boot partition, as its owner does before the card is put in.
    pub fn put(&self, name: &str, text: &str) -> Result<()> {
        ensure!(self.running.is_none(), "the card is in use");
        put(&self.file("card"), Partition::Boot, name, text.as_bytes())
    }

    /// Has a builder, whose updates are taken from the next start on.
    pub fn trust_a_builder(&self) -> Result<()> {
        let key = self.file("builder");
        done(Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(&key))?;
        self.put("update.pub", &fs::read_to_string(key.with_extension("pub"))?)
    }

    /// An update by that builder: what was flashed, as another release of the same version; gives the name of that, too.
    pub fn bundle(&self, release: u32) -> Result<(PathBuf, String)> {
        let [card, bundle, key] = ["next", "bundle", "builder"].map(|name| self.file(name));
        flash(&card)?;
        take_along(&card, PASSENGER)?;
        let said = String::from_utf8(get(&card, Partition::SlotA, "release")?)?;
        let (before, version) = said.trim_end().rsplit_once("version=").with_context(|| said.clone())?;
        let (version, _) = version.rsplit_once('+').with_context(|| said.clone())?;
        let version = format!("{version}+{release}");
        put(&card, Partition::SlotA, "release", format!("{before}version={version}\n").as_bytes())?;
        let mut xtask = Command::new(crate::built("xtask"));
        xtask.args(["bundle", "--key"]).arg(key).arg("--image").arg(&card).arg("--output").arg(&bundle);
        done(&mut xtask)?;
        fs::remove_file(&card)?;
        Ok((bundle, version))
    }

    /// From the next start on the edge flushes no file whose path contains a text, and does not know it.
    pub fn flush_no(&self, text: &str) -> Result<()> {
        self.put(UNFLUSHED, &format!("{text}\n"))
    }

    /// From the next start on it flushes all that it should, and nobody else does: what is forgotten is not written half a minute later all
    /// the same.
    pub fn flush_all(&self) -> Result<()> {
        self.put(UNFLUSHED, "")
    }

    /// Whatever version is tried from the next start on sees no camera, and has so many seconds to prove itself.
    pub fn blind_trials(&self, seconds: u32) -> Result<()> {
        self.put("blind", &format!("{seconds}\n"))
    }

    /// Plugs a device into the board's USB until what is returned is dropped.
    pub fn plug<D: Device>(&self, device: &Arc<Mutex<D>>) -> Result<Plugged> {
        Plugged::into(&self.file(board::PLUG), device)
    }

    /// `porthole.toml` for a device called `name`, with an administrator, and `more`.
    pub fn owner_says(name: &str, more: &str) -> String {
        format!(
            "name = \"{name}\"\ntime_zone = \"Europe/Berlin\"\n\n[admin]\nname = \"{ADMIN}\"\npassword = '{PASSWORD}'\n{more}"
        )
    }

    /// Whether any of the administrator's password is left on the boot partition, durably.
    pub fn betrays_its_secret(&self) -> Result<bool> {
        let start = self.start_of(Partition::Boot)?;
        let bytes = self.read(start, self.start_of(Partition::SlotA)? - start)?;
        Ok(bytes.windows(PASSWORD.len()).any(|window| window == PASSWORD.as_bytes()))
    }

    /// Switches the power on; the board starts.
    pub fn power_on(&mut self) -> Result<()> {
        let socket = self.file("shell");
        let mut qemu = Command::new("qemu-system-arm");
        qemu.args(["-machine", "virt,highmem=off", "-cpu", "cortex-a7", "-smp", "2", "-m", "512"]);
        qemu.args(["-display", "none", "-monitor", "none", "-serial", "stdio"]);
        qemu.arg("-bios").arg(crate::built(LOADER));
        qemu.arg("-blockdev").arg(format!(
            "driver=nbd,node-name=card,discard=unmap,server.type=unix,server.path={}",
            self.server.socket().display()
        ));
        qemu.args(["-device", "virtio-blk-pci,drive=card", "-device", "virtio-rng-pci"]);
        // What the board sends to all on one wire must not come out of the other.
        let alone = if matches!(self.around, Around::Lan) { "on" } else { "off" };
        let net = format!("user,id=net,restrict={alone},hostfwd=tcp:127.0.0.1:{}-:443", self.secure);
        qemu.args(["-netdev", &net]);
        qemu.args(["-device", "virtio-net-pci,netdev=net,romfile="]);
        qemu.arg("-chardev").arg(format!("socket,id=shell,path={},server=on,wait=off", socket.display()));
        qemu.args(["-device", "virtio-serial-pci", "-device", "virtserialport,chardev=shell"]);
        let blank = self.file("blank");
        File::create(&blank)?.set_len(BLANK.1)?;
        qemu.arg("-device").arg(format!("loader,addr={:#x},force-raw=on,file={}", BLANK.0, blank.display()));
        let plug = self.file(board::PLUG);
        match self.around {
            Around::Nothing => {}
            Around::Usb => usb::port(&mut qemu, &plug),
            Around::Lan => {
                let wire = format!("tap,id=lan,ifname={},script=no,downscript=no", lan::WIRE);
                qemu.args(["-netdev", &wire, "-device", "virtio-net-pci,netdev=lan,romfile="]);
                qemu.args(["-rtc", "base=2001-01-01T00:00:00"]);
            }
        }
        for socket in [&socket, &plug] {
            if socket.exists() {
                fs::remove_file(socket)?;
            }
        }
        let qemu = Process::start(qemu, &self.file("console"))?;
        self.running = Some(Running { qemu, shell: Shell::connect(&socket, PATIENCE)? });
        Ok(())
    }

    /// Cuts the power at once. Chance decides what of the writes that were not flushed is on the card.
    pub fn cut(&mut self, dice: &mut Dice) -> Result<Cut> {
        self.running = None;
        self.server.card()?.cut(dice)
    }

    /// Cuts the power at once. Nothing that was not flushed is on the card.
    pub fn cut_all(&mut self) -> Result<Cut> {
        self.running = None;
        self.server.card()?.cut_all()
    }

    /// How much was written to the card so far, in writes.
    pub fn writes(&self) -> u64 {
        self.server.card_in_use().writes()
    }

    /// The power goes with the write after so many more.
    pub fn go_dark_after(&self, writes: u64) {
        self.server.card_in_use().go_dark_after(writes);
    }

    /// Ends what plays the board, at once: what is left is to cut the power of the card.
    pub fn kill(&self) -> Result<()> {
        let running = self.running.as_ref().context("the board has no power")?;
        running.qemu.signal(Signal::SIGKILL)
    }

    /// Whether the power has gone that way.
    pub fn is_dark(&self) -> bool {
        self.server.card_in_use().is_dark()
    }

    /// From now on a flush makes nothing durable.
    pub fn let_the_card_lie(&self) {
        self.server.card_in_use().lies = true;
    }

    /// Runs a line of shell on the board to its end and gives what it printed; an error, with that, if its exit status is not 0.
    pub fn run(&mut self, line: &str) -> Result<String> {
        let running = self.running.as_mut().context("the board has no power")?;
        let answer = running.shell.ask(line);
        let (status, printed) =
            answer.with_context(|| format!("{line}\nthe console:\n{}", running.qemu.log()))?;
        if status != 0 {
            bail!("{line} ended with {status}: {printed}");
        }
        Ok(printed)
    }

    /// Runs a line of shell on the board after which the board does not answer.
    pub fn run_last(&mut self, line: &str) -> Result<()> {
        self.running.as_mut().context("the board has no power")?.shell.send(line)
    }

    /// Until it starts again, the file system of the data partition does not commit by itself either.
    pub fn commit_only_when_told(&mut self) -> Result<()> {
        self.run("mount -o remount,commit=3600 /var/lib/porthole").map(drop)
    }

    /// What the board printed on its console since it was flashed.
    pub fn console(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.file("console")).unwrap_or_default()).into_owned()
    }

    /// How often U-Boot has begun.
    pub fn starts(&self) -> usize {
        self.console().matches("\nU-Boot 20").count()
    }

    /// Waits until the board has started again by itself.
    pub fn wait_for_start(&self, starts: usize) -> Result<()> {
        ask_until("the board to start again", || self.starts() > starts).with_context(|| self.console())
    }

    /// The slot that runs: `a` or `b`.
    pub fn slot(&mut self) -> Result<String> {
        let line = self.run("cat /proc/cmdline")?;
        let slot = line.split_whitespace().find_map(|word| word.strip_prefix("porthole.slot="));
        slot.map(str::to_owned).with_context(|| line.clone())
    }

    /// The address of what a player plays, with the administrator's name and password.
    pub fn url(&self, path: &str) -> String {
        let password = PASSWORD.replace(' ', "%20");
        format!("https://{ADMIN}:{password}@127.0.0.1:{}{path}", self.secure)
    }

    /// The live view as a browser shows it to the administrator.
    pub fn watch(&self, duration: Duration) -> Result<Watched> {
        browser::watch_as(&login(), &format!("{}/", self.origin()), duration)
    }

    /// Where its pages come from.
    fn origin(&self) -> String {
        format!("https://127.0.0.1:{}", self.secure)
    }

    /// GET of a path.
    pub fn get(&self, path: &str) -> Result<Answer> {
        self.ask(&[], path)
    }

    /// POST to a path, as the device's own page does; it must be taken.
    pub fn post(&self, path: &str, body: &str) -> Result<()> {
        let answer = self.ask(&["-H", "Content-Type: application/json", "-d", body], path)?;
        ensure!(answer.status == 200, "{path} answers {}: {}", answer.status, answer.body);
        Ok(())
    }

    /// What sends a file to a path, as the device's own page does, and prints the status of the answer.
    pub fn sending(&self, file: &Path, path: &str) -> Result<Command> {
        self.json(path)?;
        let mut curl = Command::new("curl");
        curl.args(["-sk", "-o", "/dev/null", "-w", "%{http_code}", "-H", "Expect:"])
            .args(self.as_administrator());
        curl.args(["-H", "Content-Type: application/octet-stream", "--data-binary"]);
        curl.arg(format!("@{}", file.display())).arg(format!("{}{path}", self.origin()));
        Ok(curl)
    }

    /// Asks as the administrator, who logs in first where that is due: a device that has started again knows nobody.
    fn ask(&self, arguments: &[&str], path: &str) -> Result<Answer> {
        let common = self.as_administrator();
        let common: Vec<&str> = common.iter().map(String::as_str).collect();
        let ask = |arguments: &[&str], path: &str| {
            curl(&[&common, arguments].concat(), &format!("{}{path}", self.origin()))
        };
        let answer = ask(arguments, path)?;
        if answer.status != 401 {
            return Ok(answer);
        }
        let body = login().to_string();
        let entered = ask(&["-H", "Content-Type: application/json", "-d", &body], "/login")?;
        ensure!(entered.status == 200, "/login answers {}: {}", entered.status, entered.body);
        ask(arguments, path)
    }

    /// Cookies, and where the page is from that asks.
    fn as_administrator(&self) -> [String; 6] {
        let jar = self.file("cookies").display().to_string();
        [
            "-H".to_owned(),
            format!("Origin: {}", self.origin()),
            "-b".to_owned(),
            jar.clone(),
            "-c".to_owned(),
            jar,
        ]
    }

    /// GET of a path whose answer must be JSON.
    pub fn json(&self, path: &str) -> Result<Value> {
        let answer = self.get(path)?;
        ensure!(answer.status == 200, "{path} answers {}: {}", answer.status, answer.body);
        answer.json()
    }

    /// Waits until the live view shows what the camera delivers.
    pub fn wait_for_pictures(&self) -> Result<()> {
        let streams = || {
            let status = self.json("/api/cameras").ok()?;
            (status["cameras"][0]["state"] == "streaming").then_some(())
        };
        ask_for("pictures", streams)
            .with_context(|| format!("{:?}\n{}", self.get("/api/status"), self.console()))
    }

    /// Gives it a bundle, all of which it must take.
    pub fn update(&self, bundle: &Path) -> Result<()> {
        let answer = self.sending(bundle, UPDATE)?.output().context("curl")?;
        ensure!(answer.stdout == b"200", "{answer:?} {:?}\n{}", self.get(UPDATE), self.console());
        Ok(())
    }

    /// What it says of updates once nothing goes on with one.
    pub fn settled(&self) -> Result<Value> {
        let idle =
            || self.json(UPDATE).ok().filter(|told| told["phase"] == "idle" && told["version"].is_string());
        ask_for("an update to be over", idle)
            .with_context(|| format!("{:?}\n{}", self.get(UPDATE), self.console()))
    }

    /// A copy of the data partition as it is now, of what is durable alone.
    pub fn copy_data(&self, to: &Path) -> Result<()> {
        ensure!(self.running.is_none(), "the card is in use");
        let start = self.start_of(Partition::Data)?;
        let mut copy = Command::new("dd");
        copy.args(["status=none", "iflag=skip_bytes", "conv=sparse", "bs=1M", &format!("skip={start}")]);
        done(copy.arg(format!("if={}", self.file("card").display())).arg(format!("of={}", to.display())))
    }

    /// Where a partition begins, by the table on the card.
    pub fn start_of(&self, partition: Partition) -> Result<u64> {
        start_of(&self.file("card"), partition)
    }

    /// Makes slot B the same as slot A.
    pub fn fill_slot_b(&self) -> Result<()> {
        let [a, b, end] =
            [Partition::SlotA, Partition::SlotB, Partition::Data].map(|part| self.start_of(part));
        let (a, b, end) = (a?, b?, end?);
        let bytes = self.read(a, b - a)?;
        self.write(b, &bytes[..(end - b) as usize])
    }

    /// Reads from the card behind the board's back what is durable.
    pub fn read(&self, at: u64, length: u64) -> Result<Vec<u8>> {
        read(&self.file("card"), at, length)
    }

    /// Writes to the card behind the board's back, durably.
    pub fn write(&self, at: u64, bytes: &[u8]) -> Result<()> {
        let card = File::options().write(true).open(self.file("card"))?;
        Ok(card.write_all_at(bytes, at)?)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

/// What the login page sends.
fn login() -> Value {
    json!({ "name": ADMIN, "password": PASSWORD })
}

/// Asks a board again and again until `condition` gives a value. An error names `what` was waited for.
pub fn ask_for<T>(what: &str, condition: impl FnMut() -> Option<T>) -> Result<T> {
    wait_with(PAUSE, what, PATIENCE, condition)
}

/// Asks a board again and again until `condition` holds.
pub fn ask_until(what: &str, mut condition: impl FnMut() -> bool) -> Result<()> {
    ask_for(what, || condition().then_some(()))
}

/// Writes the image to a card that is a file.
pub fn flash(card: &Path) -> Result<()> {
    let image = crate::built(IMAGE);
    ensure!(image.is_file(), "there is no {}: cargo xtask image makes it", image.display());
    card::write_image(&image, card, SIZE)
}

/// Puts the passenger behind the initrd of slot A.
fn take_along(card: &Path, passenger: &str) -> Result<()> {
    let mut both = get(card, Partition::SlotA, "initrd")?;
    // Each archive begins where four divides the offset (buffer-format.rst of Linux).
    both.resize(both.len().next_multiple_of(4), 0);
    let passenger = crate::built(passenger);
    both.extend(
        fs::read(&passenger)
            .with_context(|| format!("{}: cargo xtask testbed makes it", passenger.display()))?,
    );
    put(card, Partition::SlotA, "initrd", &both)
}

/// A file of a partition.
fn get(card: &Path, partition: Partition, name: &str) -> Result<Vec<u8>> {
    let copy = NamedTempFile::new()?;
    done(
        Command::new("mcopy")
            .args(["-n", "-o", "-i", &place(card, partition)?, &format!("::{name}")])
            .arg(copy.path()),
    )?;
    Ok(fs::read(copy.path())?)
}

fn put(card: &Path, partition: Partition, name: &str, bytes: &[u8]) -> Result<()> {
    let copy = NamedTempFile::new()?;
    fs::write(copy.path(), bytes)?;
    done(
        Command::new("mcopy")
            .args(["-o", "-i", &place(card, partition)?])
            .arg(copy.path())
            .arg(format!("::{name}")),
    )
}

/// What mtools call a partition of a card.
fn place(card: &Path, partition: Partition) -> Result<String> {
    Ok(format!("{}@@{}", card.display(), start_of(card, partition)?))
}

/// Where a partition begins, by the table on the card.
fn start_of(card: &Path, partition: Partition) -> Result<u64> {
    let table = read(card, 446 + 16 * partition as u64, 16)?;
    let sector: [u8; 4] = table[8..12].try_into()?;
    Ok(u64::from(u32::from_le_bytes(sector)) * SECTOR)
}

fn read(file: &Path, at: u64, length: u64) -> Result<Vec<u8>> {
    let mut bytes = vec![0; usize::try_from(length)?];
    File::open(file)?.read_exact_at(&mut bytes, at).with_context(|| file.display().to_string())?;
    Ok(bytes)
}

/// Runs a program that must end well.
fn done(command: &mut Command) -> Result<()> {
    let output = command.output().with_context(|| format!("{command:?}"))?;
    ensure!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

//! A board without its processor: card, key, bundles, and what starts `porthole-edge card`.

use std::fs::{self, File};
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};

use anyhow::{Context, Result, bail, ensure};
use media::update::slots::{COPIES, SECTOR};
use media::update::{Slot, Slots, State};
use serde_json::Value;
use sha2::{Digest, Sha256};
use tests::edge::{Edge, Settings};

const MIB: u64 = 1 << 20;
/// Where the slots are, and what they hold: as `cargo xtask image` draws them.
const PLACES: [u64; 2] = [24 * MIB, 72 * MIB];
const ROOM: u64 = 48 * MIB;
const BOARD: &str = "orangepi-pc-plus";
/// Bytes of what a slot has at least beside its `release`; another number for each version.
const PAYLOAD: usize = 6 << 20;
/// The first bytes of a slot, without which it is no file system: an update writes them last.
const HEAD: usize = 4096;

/// A board whose slot A has version 1.0.0.
pub struct Board {
    pub edge: Edge,
    /// Process ids of what was started for connections.
    pub started: Receiver<u32>,
    payload: usize,
    known: Vec<Known>,
}

/// What is in a slot of a version that was made.
struct Known {
    version: String,
    length: u64,
    /// SHA-256 of that, and of all but the head.
    whole: [u8; 32],
    rest: [u8; 32],
}

impl Board {
    /// Ready, and not running.
    pub fn new(settings: Settings) -> Result<Self> {
        Self::with_payload(PAYLOAD, settings)
    }

    /// One whose versions have at least so many bytes.
    pub fn with_payload(payload: usize, settings: Settings) -> Result<Self> {
        let edge = Edge::prepare(settings.clone())?;
        let path = |name: &str| edge.file(name).display().to_string();
        let settings = settings
            .text("update.card", path("card"))
            .text("update.key", path("builder.pub"))
            .text("update.release", path("release"))
            .text("update.boot", path("cmdline"))
            .text("update.socket", path("update.sock"))
            .text("update.flags", path("flags"))
            .text("update.memory", path("update.json"))
            .set("update.proof_seconds", 60);
        edge.configure(settings)?;
        fs::create_dir(edge.file("flags"))?;
        let started = serve(&edge)?;
        let mut board = Self { edge, started, payload, known: Vec::new() };
        board.make_key("builder")?;
        let image = board.image("1.0.0+0", BOARD)?;
        fs::copy(&image, board.card()).context("card")?;
        let card = File::options().write(true).open(board.card())?;
        card.set_len(PLACES[1] + ROOM)?;
        card.write_all_at(&table(), 0)?;
        board.boot()?;
        Ok(board)
    }

    pub fn card(&self) -> PathBuf {
        self.edge.file("card")
    }

    /// Makes a pair of keys.
    pub fn make_key(&self, name: &str) -> Result<PathBuf> {
        let key = self.edge.file(name);
        run(Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-C", "", "-f"]).arg(&key))?;
        Ok(key)
    }

    /// An image with this version in its slot.
    pub fn image(&mut self, version: &str, board: &str) -> Result<PathBuf> {
        let [slot, release, kernel, image] =
            ["slot.fat", "new-release", "kernel", "image"].map(|name| self.edge.file(name));
        fs::write(&release, format!("board={board}\nversion={version}\n"))?;
        let length = self.payload + 8192 * usize::from(Sha256::digest(version)[0]);
        let noise: Vec<u8> =
            (0_u64..).flat_map(|n| Sha256::digest(format!("{version} {n}"))).take(length).collect();
        fs::write(&kernel, noise)?;
        File::create(&slot)?.set_len(ROOM)?;
        run(Command::new("mkfs.vfat").args(["--invariant", "-F", "16"]).arg(&slot).stdout(Stdio::null()))?;
        run(Command::new("mcopy").arg("-i").arg(&slot).arg(&release).arg("::/release"))?;
        run(Command::new("mcopy").arg("-i").arg(&slot).arg(&kernel).arg("::/kernel"))?;
        let mut slot = fs::read(&slot)?;
        let used = slot.iter().rposition(|byte| *byte != 0).context("an empty slot")? as u64 + 1;
        let used = used.next_multiple_of(4096);
        File::create(&image)?.write_all_at(&slot, PLACES[0])?;
        slot.truncate(used as usize);
        let [whole, rest] = [&slot[..], &slot[HEAD..]].map(|bytes| Sha256::digest(bytes).into());
        self.known.push(Known { version: version.to_owned(), length: used, whole, rest });
        Ok(image)
    }

    /// The bundle that the builder makes of it.
    pub fn bundle(&mut self, version: &str) -> Result<PathBuf> {
        self.bundle_of(version, BOARD, &self.edge.file("builder"))
    }

    pub fn bundle_of(&mut self, version: &str, board: &str, key: &Path) -> Result<PathBuf> {
        let image = self.image(version, board)?;
        let bundle = self.edge.file(&format!("{version}.update"));
        let mut xtask = Command::new(tests::built("xtask"));
        xtask.args(["bundle", "--key"]).arg(key).arg("--image").arg(image).arg("--output").arg(&bundle);
        run(xtask.stdout(Stdio::null()))?;
        Ok(bundle)
    }

    /// `porthole-edge update FILE`
    pub fn update(&self, bundle: &Path) -> Result<Output> {
        self.updating(bundle).output().context("porthole-edge update")
    }

    /// What does that.
    pub fn updating(&self, bundle: &Path) -> Command {
        let mut command = Command::new(tests::built("porthole-edge"));
        command.arg("update").arg(bundle).arg("--config").arg(self.edge.file("edge.toml"));
        command.env("STATE_DIRECTORY", self.edge.file("state"));
        command
    }

    /// The same; an error unless it is as it should be.
    pub fn update_well(&self, bundle: &Path) -> Result<()> {
        let output = self.update(bundle)?;
        ensure!(output.status.success(), "{output:?}");
        Ok(())
    }

    /// What the sectors say.
    pub fn slots(&self) -> Result<Slots> {
        let card = File::open(self.card())?;
        let mut copies = [[0; SECTOR]; 2];
        for (copy, at) in copies.iter_mut().zip(COPIES) {
            card.read_exact_at(copy, at)?;
        }
        Ok(Slots::of([&copies[0], &copies[1]]))
    }

    /// Starts as the boot loader does, up to the edge: that is told from where it runs. Gives the version.
    pub fn boot(&mut self) -> Result<String> {
        let boot = self.slots()?.state.boot(true);
        if let Some(state) = boot.trying {
            self.write_state(state)?;
        }
        let slots = [boot.slot, boot.slot.other()];
        let slot =
            slots.into_iter().find(|slot| self.is_readable(*slot)).context("neither slot can be read")?;
        let version = self.version_in(slot)?;
        let trying = u8::from(boot.trying.is_some());
        fs::write(
            self.edge.file("cmdline"),
            format!("quiet porthole.slot={slot} porthole.trying={trying}\n"),
        )?;
        fs::write(self.edge.file("release"), format!("board={BOARD}\nversion={version}\n"))?;
        for flag in ["restart", "kept"] {
            let _may_not_be_there = fs::remove_file(self.flag(flag));
        }
        Ok(version)
    }

    /// The version that would be started if the power went now, which must be whole. Nothing is changed by that.
    pub fn would_boot(&self) -> Result<String> {
        self.version_in(self.would_start()?)
    }

    /// What would be started if that could not be read: nothing that is torn, but for its head.
    pub fn last_resort_is_whole(&self) -> Result<()> {
        let slot = self.would_start()?.other();
        if !self.is_readable(slot) {
            return Ok(());
        }
        for known in &self.known {
            let rest = self.bytes_in(slot, known.length)?.split_off(HEAD);
            if Sha256::digest(rest)[..] == known.rest[..] {
                return Ok(());
            }
        }
        bail!("slot {slot} can be read, and is torn")
    }

    fn would_start(&self) -> Result<Slot> {
        let slot = self.slots()?.state.boot(true).slot;
        Ok(if self.is_readable(slot) { slot } else { slot.other() })
    }

    pub fn write_state(&self, state: State) -> Result<()> {
        let (copy, sector) = self.slots()?.next(state).context("too many writes")?;
        Ok(File::options().write(true).open(self.card())?.write_all_at(&sector, COPIES[copy])?)
    }

    pub fn flag(&self, name: &str) -> PathBuf {
        self.edge.file("flags").join(name)
    }

    /// What the card has in its slot B.
    pub fn slot_b(&self) -> Result<Vec<u8>> {
        self.bytes_in(Slot::B, ROOM)
    }

    /// What is remembered of the last update.
    pub fn memory(&self) -> Value {
        let text = fs::read(self.edge.file("update.json")).unwrap_or_default();
        serde_json::from_slice(&text).unwrap_or_default()
    }

    /// Where a slot begins.
    pub fn at(slot: Slot) -> u64 {
        PLACES[usize::from(slot == Slot::B)]
    }

    /// As U-Boot sees it: there is a FAT file system with a kernel.
    fn is_readable(&self, slot: Slot) -> bool {
        let mut list = Command::new("mdir");
        list.arg("-i").arg(format!("{}@@{}", self.card().display(), Self::at(slot))).arg("::/kernel");
        list.output().is_ok_and(|output| output.status.success())
    }

    /// The version in a slot, by all of its bytes.
    fn version_in(&self, slot: Slot) -> Result<String> {
        for known in &self.known {
            if Sha256::digest(self.bytes_in(slot, known.length)?)[..] == known.whole[..] {
                return Ok(known.version.clone());
            }
        }
        bail!("slot {slot} has nothing whole in it")
    }

    fn bytes_in(&self, slot: Slot, length: u64) -> Result<Vec<u8>> {
        let mut bytes = vec![0; length as usize];
        File::open(self.card())?.read_exact_at(&mut bytes, Self::at(slot))?;
        Ok(bytes)
    }
}

fn run(command: &mut Command) -> Result<()> {
    let output = command.stderr(Stdio::piped()).spawn().and_then(std::process::Child::wait_with_output);
    let output = output.with_context(|| format!("{command:?}"))?;
    ensure!(output.status.success(), "{command:?}: {output:?}");
    Ok(())
}

/// The table of partitions, as far as the slots go.
fn table() -> [u8; SECTOR] {
    let mut table = [0; SECTOR];
    table[440..444].copy_from_slice(&0x4854_5250_u32.to_le_bytes());
    for (n, place) in PLACES.iter().enumerate() {
        let entry = 446 + 16 * (n + 1);
        table[entry + 8..entry + 12].copy_from_slice(&((place / 512) as u32).to_le_bytes());
        table[entry + 12..entry + 16].copy_from_slice(&((ROOM / 512) as u32).to_le_bytes());
    }
    table[510..].copy_from_slice(&[0x55, 0xAA]);
    table
}

/// Does what `porthole-update.socket` does: a process for each connection, which is its standard input and output.
fn serve(edge: &Edge) -> Result<Receiver<u32>> {
    let listener = UnixListener::bind(edge.file("update.sock"))?;
    let (config, log) = (edge.file("edge.toml"), edge.file("card.log"));
    let (sender, started) = channel();
    // Ends with the test.
    std::thread::spawn(move || {
        for connection in listener.incoming().flatten() {
            if let Err(error) = answer(connection, &config, &log, &sender) {
                eprintln!("porthole-edge card: {error}");
            }
        }
    });
    Ok(started)
}

fn answer(connection: UnixStream, config: &Path, log: &Path, started: &Sender<u32>) -> Result<()> {
    let (input, output) = (OwnedFd::from(connection.try_clone()?), OwnedFd::from(connection));
    let mut card = Command::new(tests::built("porthole-edge"));
    card.arg("card").arg("--config").arg(config).stdin(input).stdout(output);
    let log = File::options().create(true).append(true).open(log)?;
    let mut child = card.stderr(log).spawn()?;
    let _nobody_may_listen = started.send(child.id());
    std::thread::spawn(move || child.wait());
    Ok(())
}

//! What U-Boot does with `board/boot.cmd`, against what the edge thinks that it does.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use media::update::slots::{COPIES, SECTOR};
use media::update::{Slot, Slots, State};
use tempfile::TempDir;
use tests::process::Process;
use tests::wait::PATIENCE;

const MIB: u64 = 1 << 20;
/// Where the partitions are: `boot.scr`, and both slots.
const PARTITIONS: [(u64, u64); 3] = [(8, 16), (24, 48), (72, 48)];
/// Bytes of the kernel in slot A and in slot B, by which U-Boot's words tell them apart.
const KERNELS: [usize; 2] = [1111, 2222];

type Copies = [[u8; SECTOR]; 2];

/// What U-Boot did.
#[derive(Debug, PartialEq)]
struct Booted {
    /// The slots in the order in which it tried to start them. None can be: their kernels are none.
    slots: Vec<Slot>,
    /// What the sectors say then.
    state: State,
}

/// A card with `boot.scr` and slots, and room for all of this.
struct Bench {
    folder: TempDir,
}

impl Bench {
    fn new() -> Result<Self> {
        let bench = Self { folder: TempDir::with_prefix("loader-")? };
        let card = File::create(bench.file("card"))?;
        card.set_len(120 * MIB)?;
        for (n, (start, size)) in PARTITIONS.into_iter().enumerate() {
            let mut entry = [0; 16];
            entry[0] = if n == 0 { 0x80 } else { 0 };
            entry[4] = 0x0E;
            entry[8..12].copy_from_slice(&((start * MIB / 512) as u32).to_le_bytes());
            entry[12..].copy_from_slice(&((size * MIB / 512) as u32).to_le_bytes());
            card.write_all_at(&entry, 446 + 16 * n as u64)?;
        }
        card.write_all_at(&[0x55, 0xAA], 510)?;
        let script = tests::built("../boards/testbed/boot.scr");
        let script = fs::read(&script)
            .with_context(|| format!("{}: cargo xtask testbed makes it", script.display()))?;
        bench.format(0, &[("boot.scr", &script)])?;
        for (n, bytes) in KERNELS.into_iter().enumerate() {
            bench.format(n + 1, &[("kernel", &vec![b'k'; bytes]), ("initrd", b"none")])?;
        }
        Ok(bench)
    }

    fn file(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }

    /// Makes a file system with these files in a partition.
    fn format(&self, partition: usize, files: &[(&str, &[u8])]) -> Result<()> {
        let (start, size) = PARTITIONS[partition];
        let disk = self.file("fat");
        File::create(&disk)?.set_len(size * MIB)?;
        let run = |command: &mut Command| -> Result<()> {
            ensure!(command.stdout(Stdio::null()).status()?.success(), "{command:?}");
            Ok(())
        };
        run(Command::new("mkfs.vfat").args(["--invariant", "-F", "16"]).arg(&disk))?;
        for (name, bytes) in files {
            fs::write(self.file("one"), bytes)?;
            run(Command::new("mcopy").arg("-i").arg(&disk).arg(self.file("one")).arg(format!("::/{name}")))?;
        }
        let card = File::options().write(true).open(self.file("card"))?;
        Ok(card.write_all_at(&fs::read(&disk)?, start * MIB)?)
    }

    /// Starts U-Boot with these sectors, up to where it gives up and starts again.
    fn boot(&self, copies: &Copies) -> Result<Booted> {
        let card = File::options().read(true).write(true).open(self.file("card"))?;
        for (copy, at) in copies.iter().zip(COPIES) {
            card.write_all_at(copy, at)?;
        }
        let mut qemu = Command::new("qemu-system-arm");
        qemu.args(["-machine", "virt,highmem=off", "-cpu", "cortex-a7", "-m", "256", "-display", "none"]);
        qemu.args(["-monitor", "none", "-serial", "stdio", "-no-reboot", "-nic", "none", "-bios"]);
        qemu.arg(tests::built("../boards/testbed/u-boot.bin")).arg("-drive");
        qemu.arg(format!("if=none,id=card,format=raw,file={}", self.file("card").display()));
        qemu.args(["-device", "virtio-blk-pci,drive=card"]).stdin(Stdio::null());
        let log = self.file("console");
        let _from_the_boot_before = fs::remove_file(&log);
        let mut qemu = Process::start(qemu, &log)?;
        qemu.wait(PATIENCE).with_context(|| said(&log))?;
        let said = said(&log);
        ensure!(said.contains("Porthole: neither slot can be started"), "{said}");
        let slot = |line: &str| match line.split_once(" bytes read")?.0.parse::<usize>() {
            Ok(bytes) if bytes == KERNELS[0] => Some(Slot::A),
            Ok(bytes) if bytes == KERNELS[1] => Some(Slot::B),
            _ => None,
        };
        let slots = said.lines().filter_map(slot).collect();
        let mut found: Copies = [[0; SECTOR]; 2];
        for (copy, at) in found.iter_mut().zip(COPIES) {
            card.read_exact_at(copy, at)?;
        }
        Ok(Booted { slots, state: read(&found).state })
    }
}

fn said(log: &Path) -> String {
    String::from_utf8_lossy(&fs::read(log).unwrap_or_default()).into_owned()
}

fn read(copies: &Copies) -> Slots {
    Slots::of([&copies[0], &copies[1]])
}

/// What the edge thinks.
fn expected(copies: &Copies) -> Booted {
    let state = read(copies).state;
    let boot = state.boot(true);
    Booted { slots: vec![boot.slot, boot.slot.other()], state: boot.trying.unwrap_or(state) }
}

/// Both sectors after these states were written one after the other.
fn written(states: &[State]) -> Copies {
    states.iter().fold([[0; SECTOR]; 2], |mut copies, state| {
        let (copy, sector) = read(&copies).next(*state).expect("few writes");
        copies[copy] = sector;
        copies
    })
}

#[test]
fn the_boot_loader_and_the_edge_read_the_same_in_both_sectors_and_count_alike() -> Result<()> {
    let bench = Bench::new()?;
    let kept = |active| State { active, trial: None, tries: 0 };
    let trial = |active: Slot, tries| State { active, trial: Some(active.other()), tries };
    let (a, b) = (Slot::A, Slot::B);
    let tear = |mut copies: Copies, copy: usize, from: usize, byte: u8| {
        copies[copy][from..].fill(byte);
        copies
    };
    // The twelfth write is the first one whose number has a letter in hexadecimal.
    let long: Vec<State> = (0..11).map(|_| trial(a, 2)).chain([trial(b, 3)]).collect();
    let cards = [
        written(&[]),
        written(&[kept(b)]),
        written(&[trial(a, 3)]),
        written(&[kept(a), trial(a, 1)]),
        written(&[trial(a, 1), trial(a, 0)]),
        written(&[kept(a), kept(b), trial(b, 2)]),
        written(&long),
        tear(written(&[kept(b), trial(b, 3)]), 1, 20, 0),
        tear(written(&[trial(a, 3), kept(b), trial(b, 3)]), 0, 40, 0xFF),
        tear(tear(written(&[kept(b), trial(b, 3)]), 0, 100, 0xFF), 1, 3, 0),
    ];
    for copies in cards {
        assert_eq!(bench.boot(&copies)?, expected(&copies), "{:?}", read(&copies));
    }
    // A slot without its head: the other one is started, and the try is gone.
    File::options().write(true).open(bench.file("card"))?.write_all_at(&[0; 4096], PARTITIONS[2].0 * MIB)?;
    let one = bench.boot(&written(&[trial(a, 3)]))?;
    assert_eq!(one, Booted { slots: vec![Slot::A], state: trial(a, 2) });
    Ok(())
}

//! `cargo xtask image`: the file that goes on the card of an Orange Pi PC Plus.
//!
//! ```text
//! packages, board/rootfs, kernel, edge -> root -> root.squashfs -+
//! busybox, board/initrd, kernel ------------------> initrd ----+-> slot (FAT) -+
//! kernel, device tree -----------------------------------------+               +-> disk -> .img -> .img.xz
//! board/boot.cmd -> boot.scr -> boot (FAT), U-Boot ----------------------------+
//! ```
//!
//! Nothing here needs root, and the same sources give the same bytes: everything is as old as the epoch, and everything is root's.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, Result, ensure};
use clap::Args;

use super::disk::{self, Partition};
use super::kernel::Kernel;
use super::{contents, folder, initrd, packages};
use crate::cross::{self, Target};
use crate::{command, deps, workspace};

/// The board.
const BOARD: &str = "orangepi-pc-plus";
/// What it is to U-Boot and to the kernel.
const U_BOOT: &str = "orangepi_pc_plus";
const DEVICE_TREE: &str = "sun8i-h3-orangepi-pc-plus.dtb";

/// Services that start by themselves.
pub const SERVICES: [&str; 9] = [
    "porthole-edge.service",
    "porthole-host.path",
    "porthole-host.service",
    "porthole-restart.path",
    "porthole-trial.timer",
    "porthole-update.socket",
    "systemd-networkd.service",
    "systemd-resolved.service",
    "systemd-timesyncd.service",
];

/// Units that have nothing to do on a root file system that is never written, whose journal is in RAM, where nobody logs in. Each is a program
/// that a slow processor starts before the camera's.
const MASKED: [&str; 35] = [
    "getty@.service",
    "serial-getty@.service",
    "systemd-ask-password-console.path",
    "systemd-ask-password-wall.path",
    "systemd-logind.service",
    "systemd-user-sessions.service",
    "ldconfig.service",
    "systemd-firstboot.service",
    "systemd-hwdb-update.service",
    "systemd-journal-catalog-update.service",
    "systemd-journal-flush.service",
    "systemd-machine-id-commit.service",
    "systemd-random-seed.service",
    "systemd-remount-fs.service",
    "systemd-sysusers.service",
    "systemd-update-done.service",
    // What the kernel's command line, firmware, a TPM or another disk could ask for.
    "systemd-hibernate-clear.service",
    "systemd-network-generator.service",
    "systemd-pcrmachine.service",
    "systemd-pcrphase-sysinit.service",
    "systemd-pcrphase.service",
    "systemd-tpm2-setup-early.service",
    "systemd-tpm2-setup.service",
    "systemd-udev-load-credentials.service",
    // File systems and modules of the kernel that nobody here uses.
    "dev-hugepages.mount",
    "dev-mqueue.mount",
    "kmod-static-nodes.service",
    "proc-sys-fs-binfmt_misc.automount",
    "run-lock.mount",
    "sys-fs-fuse-connections.mount",
    "sys-kernel-config.mount",
    "sys-kernel-debug.mount",
    "sys-kernel-tracing.mount",
    "systemd-binfmt.service",
    "systemd-tmpfiles-setup-dev-early.service",
];

/// Generators of units for what there is not: all but that of fstab.
const MASKED_GENERATORS: [&str; 10] = [
    "systemd-debug-generator",
    "systemd-getty-generator",
    "systemd-gpt-auto-generator",
    "systemd-hibernate-resume-generator",
    "systemd-rc-local-generator",
    "systemd-run-generator",
    "systemd-ssh-generator",
    "systemd-system-update-generator",
    "systemd-sysv-generator",
    "systemd-tpm2-generator",
];

/// What a builder says of an image.
#[derive(Clone, Debug, Default, Args)]
pub struct Wishes {
    /// Take updates that were signed with the other half of this key, as `ssh-keygen -t ed25519` makes it; without one none are taken
    #[arg(long, value_name = "PUB")]
    update_key: Option<PathBuf>,
    /// Which of the images with the same version of Porthole it is: an update must have a larger number
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    release: u32,
    /// Make it a second time, and fail unless both are the same bytes
    #[arg(long)]
    twice: bool,
}

/// What goes into an image beside the files of `board/`.
struct Parts {
    edge: PathBuf,
    kernel: Kernel,
    loader: PathBuf,
}

/// The file in a slot that says what is in it.
pub const RELEASE: &str = "release";

/// Makes the image, and says where it is and what it weighs.
pub fn make(wishes: &Wishes) -> Result<PathBuf> {
    deps::install(deps::Purpose::Board)?;
    let (edge, kernel, loaders) = (cross::build(Target::Armv7)?, Kernel::fetch()?, loaders()?);
    let loader = loaders.join(format!("usr/lib/u-boot/{U_BOOT}/u-boot-sunxi-with-spl.bin"));
    let parts = Parts { edge, kernel, loader };
    let image = place();
    build(wishes, &parts, &folder("image"), &image)?;
    if wishes.twice {
        let (work, again) = (folder("image.again"), folder("again.img"));
        build(wishes, &parts, &work, &again)?;
        command::run(command::command("cmp").args([&image, &again])).context("two images differ")?;
        println!("Made twice: the same bytes");
        fs::remove_dir_all(&work).with_context(|| work.display().to_string())?;
        fs::remove_file(&again).with_context(|| again.display().to_string())?;
    }
    let packed = folder(&format!("porthole-{BOARD}.img.xz"));
    let out = File::create(&packed).with_context(|| packed.display().to_string())?;
    command::run(command::command("xz").args(["-6", "--threads=0", "--stdout"]).arg(&image).stdout(out))?;
    for file in [&image, &packed] {
        println!("{:>12} bytes  {}", fs::metadata(file)?.len(), file.display());
    }
    contents::list(&image, &[&tree()?, &parts.kernel.tree, &loaders, &tools()?])?;
    cross::sizes::check_image(&packed)?;
    Ok(image)
}

/// Makes `image` in the folder `work`.
fn build(wishes: &Wishes, parts: &Parts, work: &Path, image: &Path) -> Result<()> {
    let Parts { edge, kernel, loader } = parts;
    command::empty(work)?;
    let slot = work.join("slot");
    fs::create_dir_all(&slot).context("slot")?;
    println!("Packing the root file system");
    let root = root(kernel, edge, work)?;
    if let Some(key) = &wishes.update_key {
        public_key(key, &root.join("etc/porthole/update.pub"))?;
    }
    squash(&root, &slot.join("root.squashfs"))?;
    let version = concat!(env!("CARGO_PKG_VERSION"), "+");
    let release = format!("board={BOARD}\nversion={version}{}\n", wishes.release);
    fs::write(slot.join(RELEASE), release).context(RELEASE)?;
    first_programs(kernel, work, &slot.join("initrd"))?;
    fs::copy(kernel.image(), slot.join("kernel")).context("the kernel")?;
    fs::copy(kernel.device_tree(DEVICE_TREE)?, slot.join(DEVICE_TREE)).context(DEVICE_TREE)?;
    let boot = work.join("boot");
    fs::create_dir_all(&boot).context("boot")?;
    script(&boot.join("boot.scr"))?;
    let (slot_disk, boot_disk) = (work.join("slot.fat"), work.join("boot.fat"));
    fat(&slot, "PORTHOLE-OS", &disk::SLOT, &slot_disk)?;
    fat(&boot, "PORTHOLE", &disk::BOOT, &boot_disk)?;
    disk::write(loader, &boot_disk, &slot_disk, image)
}

/// Where the image is.
pub fn place() -> PathBuf {
    folder(&format!("porthole-{BOARD}.img"))
}

/// Puts the builder's public key there, if it is one.
fn public_key(key: &Path, place: &Path) -> Result<()> {
    let text = fs::read_to_string(key).with_context(|| key.display().to_string())?;
    ensure!(text.starts_with("ssh-ed25519 "), "{}: no ed25519 public key of ssh-keygen", key.display());
    fs::write(place, text).with_context(|| place.display().to_string())
}

/// U-Boot for the board.
fn loaders() -> Result<PathBuf> {
    packages::unpack_alone("u-boot.board", "u-boot-sunxi")
}

/// U-Boot as QEMU's machine starts it.
pub fn loader_of_qemu() -> Result<PathBuf> {
    Ok(packages::unpack_alone("u-boot.qemu", "u-boot-qemu")?.join("usr/lib/u-boot/qemu_arm/u-boot.bin"))
}

/// Debian's packages of the root file system.
fn tree() -> Result<PathBuf> {
    let list = words("packages.txt")?;
    packages::unpack("packages", &list.iter().map(String::as_str).collect::<Vec<_>>())
}

/// Those of the first programs.
fn tools() -> Result<PathBuf> {
    packages::unpack("initrd.tools", &["busybox-static"])
}

/// Drivers that the initrd loads from the root file system.
const EARLY: &str = "rootfs/etc/modules-load.d/early.conf";

/// The root file system as a folder.
fn root(kernel: &Kernel, edge: &Path, work: &Path) -> Result<PathBuf> {
    let root = work.join("root");
    fs::create_dir_all(&root).context("root")?;
    packages::copy(&tree()?, &root)?;
    packages::copy(&board("rootfs"), &root)?;
    contents::install_licences(&root)?;
    let modules = [words("modules.txt")?, words(EARLY)?].concat();
    kernel.install(&modules.iter().map(String::as_str).collect::<Vec<_>>(), &root)?;
    kernel.keep_firmware(&root)?;
    kernel.index(&root)?;
    fs::copy(edge, root.join("usr/bin/porthole-edge")).with_context(|| edge.display().to_string())?;
    for (file, folder) in [("porthole-edge.service", "systemd/system"), ("60-porthole.rules", "udev/rules.d")]
    {
        let from = workspace::root().join("edge/systemd").join(file);
        let place = root.join("usr/lib").join(folder).join(file);
        fs::copy(&from, place).with_context(|| from.display().to_string())?;
    }
    for mount in ["proc", "sys", "dev", "run", "tmp", "var", "root", "var/lib/porthole"] {
        fs::create_dir_all(root.join(mount)).context(mount)?;
    }
    let systemctl = |what: &[&str]| {
        let mut systemctl = command::command("systemctl");
        command::run(systemctl.arg(format!("--root={}", root.display())).arg("--quiet").args(what))
    };
    systemctl(&[&["enable"], &SERVICES[..]].concat())?;
    systemctl(&[&["mask"], &MASKED[..]].concat())?;
    let generators = root.join("etc/systemd/system-generators");
    fs::create_dir_all(&generators).context("generators")?;
    for generator in MASKED_GENERATORS {
        std::os::unix::fs::symlink("/dev/null", generators.join(generator)).context(generator)?;
    }
    systemctl(&["set-default", "multi-user.target"])?;
    Ok(root)
}

/// The RAM disk that finds the root file system.
fn first_programs(kernel: &Kernel, work: &Path, archive: &Path) -> Result<()> {
    let root = work.join("initrd.root");
    for folder in ["bin", "etc", "proc", "sys", "dev", "run"] {
        fs::create_dir_all(root.join(folder)).context(folder)?;
    }
    fs::copy(tools()?.join("usr/bin/busybox"), root.join("bin/busybox")).context("busybox")?;
    fs::copy(board("initrd/init"), root.join("init")).context("init")?;
    fs::copy(board("initrd/modules"), root.join("etc/modules")).context("modules")?;
    let modules = words("initrd/modules")?;
    kernel.install(&modules.iter().map(String::as_str).collect::<Vec<_>>(), &root)?;
    kernel.index(&root)?;
    let lib = root.join("lib");
    std::os::unix::fs::symlink("usr/lib", &lib).with_context(|| lib.display().to_string())?;
    age(&root)?;
    let plain = work.join("initrd.cpio");
    initrd::pack(&root, &plain)?;
    let out = File::create(archive).with_context(|| archive.display().to_string())?;
    command::run(
        command::command("xz").args(["--check=crc32", "--stdout"]).arg(plain).stdout(Stdio::from(out)),
    )
}

/// Packs the root file system.
fn squash(root: &Path, file: &Path) -> Result<()> {
    age(root)?;
    let mut squash = command::command("mksquashfs");
    squash.arg(root).arg(file).args(["-comp", "zstd", "-Xcompression-level", "22", "-b", "256K"]);
    squash.args(["-all-root", "-no-xattrs", "-no-progress"]);
    command::run(squash.args(["-quiet", "-reproducible", "-mkfs-time", "0", "-all-time", "0"]))
}

/// U-Boot's script.
pub fn script(file: &Path) -> Result<()> {
    let mut mkimage = command::command("mkimage");
    mkimage.env("SOURCE_DATE_EPOCH", "0").args(["-A", "arm", "-T", "script", "-C", "none", "-d"]);
    command::run(mkimage.arg(board("boot.cmd")).arg(file).stdout(Stdio::null()))
}

/// A FAT file system with the files of a folder.
fn fat(files: &Path, label: &str, partition: &Partition, disk: &Path) -> Result<()> {
    age(files)?;
    File::create(disk)
        .and_then(|file| file.set_len(partition.size))
        .with_context(|| disk.display().to_string())?;
    let mut format = command::command("mkfs.vfat");
    command::run(format.args(["--invariant", "-F", "16", "-n", label]).arg(disk).stdout(Stdio::null()))?;
    let entries = fs::read_dir(files).with_context(|| files.display().to_string())?;
    let mut entries: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    entries.sort();
    command::run(
        command::command("mcopy").args(["-m", "-i"]).arg(disk).args(entries).arg("::/").env("TZ", "UTC"),
    )
}

/// Makes everything below a folder as old as FAT can say.
fn age(folder: &Path) -> Result<()> {
    let mut find = command::command("find");
    command::run(find.arg(folder).args([
        "-exec",
        "touch",
        "--no-dereference",
        "--date=1980-01-01 UTC",
        "{}",
        "+",
    ]))
}

/// A file of `board/`.
fn board(name: &str) -> PathBuf {
    workspace::root().join("board").join(name)
}

/// The words of a list in `board/`; what follows a `#` on a line is for people.
pub(super) fn words(name: &str) -> Result<Vec<String>> {
    let text = fs::read_to_string(board(name)).with_context(|| board(name).display().to_string())?;
    let lines = text.lines().map(|line| line.split('#').next().unwrap_or_default());
    Ok(lines.flat_map(str::split_whitespace).map(str::to_owned).collect())
}

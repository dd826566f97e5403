//! `cargo xtask arm`: the edge for the boards, built on this machine.
//!
//! ```text
//! deps -> sysroot     Rust's standard library for the target   made of its source, small
//!      -> libraries   what the edge is linked with             from Debian, unpacked below target/
//!      -> build       porthole-edge                            linked with the libraries that a board has
//!      -> sizes       what it weighs                           against board/sizes.toml
//!      -> test        the unit tests                           under qemu-user
//!      -> counted     its encoder, and the peer's              for the bench, under qemu-user
//!      -> container   the edge as `cross` builds it            by Cross.toml, without Docker
//! ```

mod container;
mod libraries;
pub mod sizes;
mod sysroot;

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use clap::ValueEnum;

pub use sysroot::toolchain;

use crate::{command, deps, workspace};

/// The codecs neither throw nor ask for a type.
const CXXFLAGS: &str =
    "-fstack-protector-strong -fno-exceptions -fno-rtti -fno-unwind-tables -fno-asynchronous-unwind-tables";

/// Tells Linux who runs such programs, if it does not know, in a name space of this script's own (Linux 6.7).
const RUN: &str = r#"#!/bin/sh
export QEMU_LD_PREFIX="LIBRARIES"
[ -e /proc/sys/fs/binfmt_misc/EMULATOR ] && exec "$@"
exec unshare --map-root-user --mount sh -ec '
mount -t binfmt_misc binfmt_misc /proc/sys/fs/binfmt_misc
cat /usr/lib/binfmt.d/EMULATOR.conf > /proc/sys/fs/binfmt_misc/register
exec "$@"' sh "$@"
"#;

/// Where the linker draws what is in the edge.
const EDGE_MAP: &str = "edge.map";
/// What makes the linked file small.
const SMALL: &str = "-Wl,--icf=all,-z,pack-relative-relocs";

/// What the edge is built for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Target {
    /// 32-bit boards: Orange Pi PC Plus, BeagleBone, Raspberry Pi 2 and later
    Armv7,
    /// 64-bit boards
    Aarch64,
    /// PCs
    #[value(name = "x86-64")]
    X86_64,
}

impl Target {
    /// This machine.
    pub fn here() -> Self {
        match std::env::consts::ARCH {
            "arm" => Self::Armv7,
            "aarch64" => Self::Aarch64,
            _ => Self::X86_64,
        }
    }

    /// The name that Rust has for it.
    pub fn triple(self) -> &'static str {
        match self {
            Self::Armv7 => "armv7-unknown-linux-gnueabihf",
            Self::Aarch64 => "aarch64-unknown-linux-gnu",
            Self::X86_64 => "x86_64-unknown-linux-gnu",
        }
    }

    /// What the tools of the GNU toolchain, and the folders of libraries, begin with.
    pub fn tools(self) -> &'static str {
        match self {
            Self::Armv7 => "arm-linux-gnueabihf",
            Self::Aarch64 => "aarch64-linux-gnu",
            Self::X86_64 => "x86_64-linux-gnu",
        }
    }

    /// Debian's name of its architecture.
    pub fn debian(self) -> &'static str {
        match self {
            Self::Armv7 => "armhf",
            Self::Aarch64 => "arm64",
            Self::X86_64 => "amd64",
        }
    }

    /// What runs its programs, by the name that Linux knows it by; `None` on the machine itself.
    fn emulator(self) -> Option<&'static str> {
        match self {
            Self::Armv7 => Some("qemu-arm"),
            Self::Aarch64 => Some("qemu-aarch64"),
            Self::X86_64 => None,
        }
    }

    /// What the compiler is told of all Rust for it, the standard library too. The names of functions tell the crates in a map.
    fn flags(self) -> &'static str {
        match self {
            // Instructions of two bytes where they do: a third less to load, and to keep in a small cache.
            Self::Armv7 => "-C symbol-mangling-version=v0 -C target-feature=+thumb-mode",
            Self::Aarch64 | Self::X86_64 => "-C symbol-mangling-version=v0",
        }
    }

    /// The variable by which cargo is told `name` of this target.
    fn variable(self, name: &str) -> String {
        format!("CARGO_TARGET_{}_{name}", self.triple().to_uppercase().replace('-', "_"))
    }

    /// A file below the folder of everything that is made for this target.
    fn folder(self, name: &str) -> PathBuf {
        workspace::target().join("cross").join(self.triple()).join(name)
    }
}

/// Builds the edge for `target`, weighs it, and runs the unit tests there if they are asked for.
pub fn run(target: Target, test: bool) -> Result<bool> {
    let cross = built(target)?;
    let fits = sizes::check(target, &cross.binary(), &cross.map())?;
    if test {
        let units = ["--package", "media", "--package", "service", "--package", "edge", "--lib", "--bins"];
        let mut tests = cross.cargo("test");
        if let Some(runner) = cross.runner()? {
            tests.env(target.variable("RUNNER"), runner);
        }
        command::run(tests.args(["--profile", "board-test"]).args(units))?;
    }
    Ok(fits)
}

/// Builds the edge for `target`: the stripped binary. It is weighed, and an error if it is too heavy.
pub fn build(target: Target) -> Result<PathBuf> {
    let cross = built(target)?;
    ensure!(sizes::check(target, &cross.binary(), &cross.map())?, "the edge is too heavy (board/sizes.toml)");
    Ok(cross.binary())
}

/// Builds the edge's encoder for boards as an example, and fetches Debian's ffmpeg: what the bench counts the instructions of.
pub fn counted() -> Result<()> {
    let target = Target::Armv7;
    let cross = Cross::prepare(target)?;
    println!("Building encode_clip for {}", target.triple());
    let encoder = ["--profile", "board", "--package", "edge", "--example", "encode_clip", "--"];
    command::run(cross.cargo("rustc").args(encoder).args(cross.link("encode_clip.map")?))?;
    libraries::peer(target).map(|_| ())
}

fn built(target: Target) -> Result<Cross> {
    deps::install(deps::Purpose::Cross)?;
    let cross = Cross::prepare(target)?;
    println!("Building porthole-edge for {}", target.triple());
    let edge = ["--profile", "board", "--package", "edge", "--bin", "porthole-edge", "--"];
    command::run(cross.cargo("rustc").args(edge).args(cross.link(EDGE_MAP)?))?;
    Ok(cross)
}

/// Builds the edge in a container as `Cross.toml` says, or only checks that it would be built.
pub fn contained(target: Target, check: bool) -> Result<bool> {
    deps::install(deps::Purpose::Cross)?;
    container::build(target, check)?;
    Ok(true)
}

/// Everything that a build for a target takes.
struct Cross {
    target: Target,
    /// Rust's standard library; the toolchain's, where there is none.
    sysroot: Option<PathBuf>,
    /// The target's ALSA and C library, where this machine is another.
    libraries: Option<PathBuf>,
}

impl Cross {
    fn prepare(target: Target) -> Result<Self> {
        let folder = target.folder("");
        fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
        let native = target.emulator().is_none();
        let sysroot = if native { None } else { Some(sysroot::find(target)?) };
        let libraries = if native { None } else { Some(libraries::unpack(target)?) };
        Ok(Self { target, sysroot, libraries })
    }

    /// Where the build puts the edge.
    fn binary(&self) -> PathBuf {
        workspace::target().join(self.target.triple()).join("board/porthole-edge")
    }

    /// Where the linker draws what is in it.
    fn map(&self) -> PathBuf {
        self.target.folder(EDGE_MAP)
    }

    /// A command of cargo for this target.
    fn cargo(&self, what: &str) -> Command {
        let mut cargo = command::cargo();
        cargo.args([what, "--locked", "--target", self.target.triple()]);
        let mut flags = self.target.flags().to_owned();
        let tools = self.target.tools();
        let here = self.target.triple().replace('-', "_");
        cargo.env(format!("CXXFLAGS_{here}"), CXXFLAGS);
        // fdk-aac says when it was compiled: the same sources give the same bytes.
        cargo.env("SOURCE_DATE_EPOCH", "0");
        if let Some(libraries) = &self.libraries {
            let own = libraries.join("usr/lib").join(tools);
            flags.push_str(&format!(" -L native={} -C link-arg=-Wl,-rpath-link={0}", own.display()));
            cargo.env(self.target.variable("LINKER"), format!("{tools}-gcc"));
            cargo.env("PKG_CONFIG_ALLOW_CROSS", "1").env("PKG_CONFIG_SYSROOT_DIR", libraries);
            cargo.env("PKG_CONFIG_LIBDIR", own.join("pkgconfig"));
            cargo.env(format!("CFLAGS_{here}"), format!("-I{}/usr/include/{tools}", libraries.display()));
            let clang = format!("--sysroot=/usr/{tools} -I/usr/{tools}/include");
            cargo.env(format!("BINDGEN_EXTRA_CLANG_ARGS_{here}"), clang);
        }
        flags.push_str(&unnamed_folders());
        if let Some(sysroot) = &self.sysroot {
            flags.push_str(&format!(" --sysroot={}", sysroot.display()));
        }
        cargo.env(self.target.variable("RUSTFLAGS"), flags);
        cargo
    }

    /// What starts a program for another machine, and lets it start others: a script. `None` on the machine itself.
    fn runner(&self) -> Result<Option<PathBuf>> {
        let (Some(emulator), Some(libraries)) = (self.target.emulator(), &self.libraries) else {
            return Ok(None);
        };
        let script = self.target.folder("run");
        let text = RUN.replace("LIBRARIES", &libraries.display().to_string()).replace("EMULATOR", emulator);
        fs::write(&script, text).with_context(|| script.display().to_string())?;
        fs::set_permissions(&script, Permissions::from_mode(0o755))
            .with_context(|| script.display().to_string())?;
        Ok(Some(script))
    }

    /// How the edge is linked: small, with a map of that name. Of the linkers, the one that comes with Rust folds functions that are the same, and
    /// writes the addresses that the loader corrects in a thirtieth of the room (`DT_RELR`, glibc 2.36).
    fn link(&self, map: &str) -> Result<Vec<String>> {
        let linker = sysroot::toolchain()?.join("lib/rustlib").join(sysroot::host()?).join("bin/gcc-ld");
        ensure!(
            linker.join("ld.lld").is_file(),
            "{} is not there: this Rust has no linker",
            linker.display()
        );
        let map = format!("-Wl,-Map={}", self.target.folder(map).display());
        let flags = ["-fuse-ld=lld", &format!("-B{}", linker.display()), SMALL, &map];
        Ok(flags.iter().map(|flag| format!("-Clink-arg={flag}")).collect())
    }
}

/// Where cargo keeps crates.
pub fn cargo_home() -> PathBuf {
    let usual = Path::new(&std::env::var_os("HOME").unwrap_or_default()).join(".cargo");
    std::env::var_os("CARGO_HOME").map_or(usual, PathBuf::from)
}

/// What keeps the folders of this machine out of the binary: a panic names a crate's file by `CRATE-VERSION/src/…`.
fn unnamed_folders() -> String {
    let registries = fs::read_dir(cargo_home().join("registry/src"))
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path());
    registries.map(|registry| format!(" --remap-path-prefix={}/=", registry.display())).collect()
}

/// Puts what was made aside under its name at once, so that half of it is never found there.
fn finish(made: &Path, name: &Path) -> Result<()> {
    fs::rename(made, name).with_context(|| format!("cannot rename {} to {}", made.display(), name.display()))
}

/// Removes a folder if it is there.
fn remove(folder: &Path) -> Result<()> {
    if folder.is_dir() {
        fs::remove_dir_all(folder).with_context(|| folder.display().to_string())?;
    }
    Ok(())
}

//! `cargo xtask arm`: the edge for the boards, built on this machine.
//!
//! ```text
//! deps -> sysroot     Rust's standard library for the target   the toolchain's own, else made of Debian's rust-src
//!      -> libraries   what the edge is linked with             from Debian, unpacked below target/
//!      -> build       porthole-edge                            linked with the libraries that a board has
//!      -> sizes       what it weighs                           against board/sizes.toml
//!      -> test        the unit tests                           under qemu-user
//! ```

mod libraries;
mod sizes;
mod sysroot;

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use clap::ValueEnum;

use crate::{command, deps, workspace};

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

    /// What runs its programs; `None` on the machine itself.
    fn emulator(self) -> Option<&'static str> {
        match self {
            Self::Armv7 => Some("qemu-arm-static"),
            Self::Aarch64 => Some("qemu-aarch64-static"),
            Self::X86_64 => None,
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
    deps::install(deps::Purpose::Cross)?;
    let cross = Cross::prepare(target)?;
    println!("Building porthole-edge for {}", target.triple());
    command::run(cross.cargo("build").args(["--profile", "board", "--package", "edge"]))?;
    let fits = sizes::check(target, &cross.binary(), &cross.map())?;
    if test {
        command::run(
            cross
                .cargo("test")
                .args(["--package", "media", "--package", "service", "--package", "edge"])
                .args(["--lib", "--bins"]),
        )?;
    }
    Ok(fits)
}

/// Everything that a build for a target takes.
struct Cross {
    target: Target,
    /// Rust's standard library, where the toolchain has none.
    sysroot: Option<PathBuf>,
    /// The target's ALSA and C library, where this machine is another.
    libraries: Option<PathBuf>,
}

impl Cross {
    fn prepare(target: Target) -> Result<Self> {
        let native = target.emulator().is_none();
        let sysroot = if native { None } else { sysroot::find(target)? };
        let libraries = if native { None } else { Some(libraries::unpack(target)?) };
        Ok(Self { target, sysroot, libraries })
    }

    /// Where the build puts the edge.
    fn binary(&self) -> PathBuf {
        workspace::target().join(self.target.triple()).join("board/porthole-edge")
    }

    /// Where the linker draws what is in it.
    fn map(&self) -> PathBuf {
        self.target.folder("edge.map")
    }

    /// A command of cargo for this target.
    fn cargo(&self, what: &str) -> Command {
        let mut cargo = command::cargo();
        cargo.args([what, "--locked", "--target", self.target.triple()]);
        let mut flags = format!("-C link-arg=-Wl,-Map={}", self.map().display());
        let tools = self.target.tools();
        if let (Some(libraries), Some(emulator)) = (&self.libraries, self.target.emulator()) {
            let own = libraries.join("usr/lib").join(tools);
            flags.push_str(&format!(" -L native={} -C link-arg=-Wl,-rpath-link={0}", own.display()));
            cargo.env(self.target.variable("LINKER"), format!("{tools}-gcc"));
            cargo.env(self.target.variable("RUNNER"), format!("{emulator} -L {}", libraries.display()));
            cargo.env("PKG_CONFIG_ALLOW_CROSS", "1").env("PKG_CONFIG_SYSROOT_DIR", libraries);
            cargo.env("PKG_CONFIG_LIBDIR", own.join("pkgconfig"));
            let here = self.target.triple().replace('-', "_");
            cargo.env(format!("CFLAGS_{here}"), format!("-I{}/usr/include/{tools}", libraries.display()));
            let clang = format!("--sysroot=/usr/{tools} -I/usr/{tools}/include");
            cargo.env(format!("BINDGEN_EXTRA_CLANG_ARGS_{here}"), clang);
        }
        if self.target == Target::Armv7 {
            // Instructions of two bytes where they do: a third less to load, and to keep in a small cache.
            flags.push_str(" -C target-feature=+thumb-mode");
        }
        if let Some(sysroot) = &self.sysroot {
            flags.push_str(&format!(" --sysroot={}", sysroot.display()));
        }
        cargo.env(self.target.variable("RUSTFLAGS"), flags);
        cargo
    }
}

/// Puts what was made aside under its name at once, so that half of it is never found there.
fn finish(made: &Path, name: &Path) -> Result<()> {
    std::fs::rename(made, name)
        .with_context(|| format!("cannot rename {} to {}", made.display(), name.display()))
}

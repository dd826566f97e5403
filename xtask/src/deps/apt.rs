//! Debian packages. Each row says what proves that a package is there, so that a machine which has everything, from
//! wherever it came, is left alone.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::Purpose;
use crate::command;

/// One package.
struct Package {
    /// Its name in Debian.
    name: &'static str,
    /// The first purpose that needs it.
    needed_to: Purpose,
    /// How to see that it is there.
    proof: Proof,
}

/// What a package brings.
enum Proof {
    /// A program on the search path.
    Program(&'static str),
    /// A file; one `*` in a component stands for anything.
    File(&'static str),
}

use Proof::{File, Program};
use Purpose::{Bench, Board, Build, Container, Cross, Demo, Test};

const PACKAGES: &[Package] = &[
    row("g++", Build, Program("g++")),
    row("make", Build, Program("make")),
    row("cmake", Build, Program("cmake")),
    row("pkg-config", Build, Program("pkg-config")),
    // Without nasm the H.264 encoder silently builds three times slower.
    row("nasm", Build, Program("nasm")),
    // The V4L2 bindings are generated.
    row("clang", Build, Program("clang")),
    row("libclang-dev", Build, File("/usr/lib/llvm-*/lib/libclang.so")),
    row("libssl-dev", Build, File("/usr/include/openssl/ssl.h")),
    row("libasound2-dev", Build, File("/usr/include/alsa/asoundlib.h")),
    // FFmpeg's libraries: the remote host decodes with them what is neither H.264 nor AAC.
    row("libavcodec-dev", Build, File("/usr/include/*/libavcodec/avcodec.h")),
    row("libavfilter-dev", Build, File("/usr/include/*/libavfilter/avfilter.h")),
    row("libavformat-dev", Build, File("/usr/include/*/libavformat/avformat.h")),
    row("libavutil-dev", Build, File("/usr/include/*/libavutil/avutil.h")),
    row("libswresample-dev", Build, File("/usr/include/*/libswresample/swresample.h")),
    row("libswscale-dev", Build, File("/usr/include/*/libswscale/swscale.h")),
    row("openssh-server", Demo, Program("sshd")),
    row("openssh-client", Demo, Program("ssh-keygen")),
    row("g++-arm-linux-gnueabihf", Cross, Program("arm-linux-gnueabihf-g++")),
    row("g++-aarch64-linux-gnu", Cross, Program("aarch64-linux-gnu-g++")),
    row("qemu-user-static", Cross, Program("qemu-arm-static")),
    row("mmdebstrap", Cross, Program("mmdebstrap")),
    row("debian-archive-keyring", Cross, File("/usr/share/keyrings/debian-archive-keyring.gpg")),
    row("qemu-system-arm", Board, Program("qemu-system-arm")),
    row("kmod", Board, Program("depmod")),
    row("xz-utils", Board, Program("xz")),
    row("cpio", Board, Program("cpio")),
    row("dosfstools", Board, Program("mkfs.vfat")),
    row("mtools", Board, Program("mcopy")),
    row("squashfs-tools", Board, Program("mksquashfs")),
    row("u-boot-tools", Board, Program("mkimage")),
    row("systemd", Board, Program("systemd-analyze")),
    // Debian's programs for building a driver want a newer C library than this machine has.
    row("patchelf", Board, Program("patchelf")),
    row("file", Test, Program("file")),
    row("ffmpeg", Test, Program("ffmpeg")),
    row("gstreamer1.0-tools", Test, Program("gst-launch-1.0")),
    row("gstreamer1.0-plugins-base", Test, File("/usr/lib/*/gstreamer-1.0/libgstplayback.so")),
    row("gstreamer1.0-plugins-good", Test, File("/usr/lib/*/gstreamer-1.0/libgstisomp4.so")),
    row("gstreamer1.0-plugins-bad", Test, File("/usr/lib/*/gstreamer-1.0/libgstmpegtsdemux.so")),
    row("gstreamer1.0-libav", Test, File("/usr/lib/*/gstreamer-1.0/libgstlibav.so")),
    row("chromium", Test, Program("chromium")),
    row("fonts-dejavu-core", Test, File("/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf")),
    row("nodejs", Test, Program("node")),
    row("npm", Test, Program("npm")),
    row("python3-pip", Test, Program("pip3")),
    row("iproute2", Test, Program("ip")),
    // The network of a board: who gives addresses, and who knows the time.
    row("dnsmasq-base", Test, Program("dnsmasq")),
    row("chrony", Test, Program("chronyd")),
    row("e2fsprogs", Test, Program("mkfs.ext4")),
    row("strace", Test, Program("strace")),
    row("libfaketime", Test, File("/usr/lib/*/faketime/libfaketimeMT.so.1")),
    row("spin", Test, Program("spin")),
    row("nginx-light", Bench, Program("nginx")),
    // The static one takes no plugins.
    row("qemu-user", Bench, Program("qemu-arm")),
    row("podman", Container, Program("podman")),
];

const fn row(name: &'static str, needed_to: Purpose, proof: Proof) -> Package {
    Package { name, needed_to, proof }
}

impl Package {
    fn is_there(&self) -> bool {
        match self.proof {
            Program(name) => command::find(name).is_some(),
            File(pattern) => exists(pattern),
        }
    }
}

/// Installs the packages that `purpose` needs and that are not there.
pub fn install(purpose: Purpose) -> Result<()> {
    let missing = missing(purpose);
    if missing.is_empty() {
        return Ok(());
    }
    let names = missing.join(" ");
    println!("Installing Debian packages: {names}");
    if command::find("apt-get").is_none() {
        bail!(
            "these Debian packages, or what they stand for, are needed and there is no apt-get here: {names}"
        );
    }
    let by_hand = || format!("install them by hand: apt-get install {names}");
    refresh().with_context(by_hand)?;
    command::run(apt_get()?.args(["-qq", "-y", "--no-install-recommends", "install"]).args(&missing))
        .with_context(by_hand)?;
    match self::missing(purpose).as_slice() {
        [] => Ok(()),
        still => bail!("apt-get succeeded, but this is still not there: {}", still.join(" ")),
    }
}

/// Reads the lists of packages anew.
pub fn refresh() -> Result<()> {
    command::run(apt_get()?.args(["-qq", "update"]))
}

fn missing(purpose: Purpose) -> Vec<&'static str> {
    let wanted = PACKAGES.iter().filter(|package| package.needed_to <= purpose);
    wanted.filter(|package| !package.is_there()).map(|package| package.name).collect()
}

/// `apt-get`, through sudo where this user is not root, that never asks.
fn apt_get() -> Result<Command> {
    let mut apt = if nix::unistd::geteuid().is_root() {
        command::command("env")
    } else if command::find("sudo").is_some() {
        let mut sudo = command::command("sudo");
        sudo.arg("env");
        sudo
    } else {
        bail!("installing Debian packages takes root, and there is no sudo here");
    };
    apt.args(["DEBIAN_FRONTEND=noninteractive", "apt-get"]);
    Ok(apt)
}

/// Whether any file matches the absolute `pattern`.
fn exists(pattern: &str) -> bool {
    let mut found = vec![PathBuf::from("/")];
    for component in Path::new(pattern).iter().skip(1).filter_map(|component| component.to_str()) {
        found = match component.split_once('*') {
            None => found.iter().map(|folder| folder.join(component)).filter(|path| path.exists()).collect(),
            Some((start, end)) => found.iter().flat_map(|folder| entries(folder, start, end)).collect(),
        };
    }
    !found.is_empty()
}

/// What in `folder` is named `start*end`.
fn entries(folder: &Path, start: &str, end: &str) -> Vec<PathBuf> {
    let names = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let matches = |name: &str| name.strip_prefix(start).is_some_and(|rest| rest.ends_with(end));
    names.filter(|entry| entry.file_name().to_str().is_some_and(matches)).map(|entry| entry.path()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_anything_in_one_component() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(folder.path().join("llvm-14/lib")).unwrap();
        std::fs::write(folder.path().join("llvm-14/lib/libclang.so"), "").unwrap();
        let pattern = |rest: &str| format!("{}/{rest}", folder.path().display());
        assert!(exists(&pattern("llvm-*/lib/libclang.so")));
        assert!(exists(&pattern("llvm-14/lib/lib*.so")));
        assert!(!exists(&pattern("llvm-*/lib/libLLVM.so")));
        assert!(!exists(&pattern("gcc-*/lib/libclang.so")));
    }

    #[test]
    fn a_purpose_needs_what_the_ones_before_it_need() {
        let needed = |purpose| PACKAGES.iter().filter(move |p| p.needed_to <= purpose).map(|p| p.name);
        assert!(needed(Build).all(|name| name != "openssh-server"));
        assert!(needed(Demo).any(|name| name == "nasm"));
        assert!(needed(Bench).any(|name| name == "chromium"));
    }
}

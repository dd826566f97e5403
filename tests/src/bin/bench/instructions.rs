//! Row: what encoding a picture takes of a board's processor.

use std::path::{Path, PathBuf};
use std::process::Command;

use ::tests::{built, footage, workspace};
use anyhow::{Context, Result, ensure};

use crate::quality;
use crate::table::{Figure, Unit};
use crate::{Bench, FOOTAGE};

/// How it is measured.
pub const HOW: &str = "Instructions of a Cortex-A7 with NEON, counted by qemu-user (a plugin that adds up the executed blocks of TCG, \
    `tests/src/bin/bench/instructions.c`): user space alone, all threads, whatever load this machine has. `examples/encode_clip`, \
    built as the edge is for boards, and Debian's ffmpeg for armhf (libx264 ultrafast zerolatency, one thread) encode the same raw \
    file, with the same rate and GOP. Each encodes the first half of the footage, and then all of it; the difference, by picture, is \
    without start and end.";

/// What is made for boards, beside the folder of this program.
const TARGET: &str = "armv7-unknown-linux-gnueabihf";

/// Measures it.
pub fn measure(_: &Bench) -> Result<Vec<Figure>> {
    let folder = tempfile::tempdir_in("/dev/shm")?;
    let counter = Counter::build(folder.path())?;
    let out = folder.path().join("out.264");
    let halves = [footage::i420(FOOTAGE / 2)?, footage::i420(FOOTAGE)?];
    let per_picture = |encode: &dyn Fn(&Path) -> Result<u64>| -> Result<f64> {
        let [half, whole] = [encode(&halves[0])?, encode(&halves[1])?];
        Ok((whole - half) as f64 / f64::from(FOOTAGE / 2 * 30))
    };
    let theirs = per_picture(&|raw| counter.theirs(raw, &out))?;
    let ours = |profile| per_picture(&|raw| counter.ours(raw, &out, profile));
    let figure = |name, count: f64| {
        let figure =
            Figure::new(format!("instructions for a picture on armv7, {name}"), Unit::Times, count / theirs);
        figure.detail(millions(count)).peer(millions(theirs))
    };
    Ok(vec![
        figure("Constrained Baseline", ours("constrained-baseline")?).at_most(1.3),
        figure("Main", ours("main")?),
    ])
}

fn millions(count: f64) -> String {
    format!("{:.2} million", count / 1e6)
}

/// QEMU with the plugin that counts.
struct Counter {
    plugin: PathBuf,
}

impl Counter {
    fn build(folder: &Path) -> Result<Self> {
        let plugin = folder.join("instructions.so");
        let source = workspace().join("tests/src/bin/bench/instructions.c");
        let mut compile = Command::new("cc");
        compile.args(["-O2", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-fvisibility=hidden", "-o"]);
        done(compile.arg(&plugin).arg(source))?;
        Ok(Self { plugin })
    }

    /// QEMU, for a program that finds its libraries below `root`.
    fn qemu(&self, root: &Path) -> Command {
        let mut qemu = Command::new("qemu-arm");
        qemu.args(["-cpu", "cortex-a7", "-plugin"]).arg(&self.plugin).arg("-L").arg(root);
        qemu
    }

    fn ours(&self, raw: &Path, out: &Path, profile: &str) -> Result<u64> {
        let mut encode = self.qemu(&cross("libraries"));
        encode.arg(built(&format!("../{TARGET}/board/examples/encode_clip"))).arg(raw).arg(out);
        count(encode.args(quality::PICTURES).arg(profile)).map(|(count, _)| count)
    }

    fn theirs(&self, raw: &Path, out: &Path) -> Result<u64> {
        let root = cross("ffmpeg");
        let own = root.join("usr/lib/arm-linux-gnueabihf");
        // Debian's scripts would have made links to these two.
        let path = format!("LD_LIBRARY_PATH={0}/blas:{0}/lapack", own.display());
        let mut ffmpeg = self.qemu(&root);
        ffmpeg.args(["-E", &path]).arg(root.join("usr/bin/ffmpeg")).args(["-v", "info"]);
        let (count, said) = count(quality::x264(&mut ffmpeg, raw, out))?;
        ensure!(said.contains("using cpu capabilities: ARMv6 NEON"), "the peer does without NEON: {said}");
        Ok(count)
    }
}

/// What `cargo xtask bench` has fetched for the target.
fn cross(name: &str) -> PathBuf {
    built(&format!("../cross/{TARGET}/{name}"))
}

/// Instructions that a command under QEMU takes, and what it says besides.
fn count(command: &mut Command) -> Result<(u64, String)> {
    let said = done(command)?;
    let count = said.lines().find_map(|line| line.strip_prefix("instructions=")?.parse().ok());
    Ok((count.with_context(|| format!("nothing was counted: {said}"))?, said))
}

/// Runs a command that must end well; what it wrote as errors.
fn done(command: &mut Command) -> Result<String> {
    let output = command.output().with_context(|| format!("{command:?}"))?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(output.status.success(), "{command:?}: {said}");
    Ok(said)
}

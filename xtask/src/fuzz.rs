//! `cargo xtask fuzz`: every fuzz target in turn, or those that are named, under libFuzzer. docs/design/fuzzing.md says more.
//!
//! ```text
//! fuzz/corpus/TARGET         where it begins; committed
//! target/fuzz/corpus/TARGET  what it found worth keeping; the next run goes on from there
//! target/fuzz/found/TARGET/  inputs that failed
//! ```
//!
//! libFuzzer needs instrumented code, and stable Rust has no switch for that; LLVM's own pass can be asked for.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::{command, workspace};

/// Asks LLVM for counters at each edge of the control flow, and for the operands of comparisons.
const INSTRUMENTED: &str = "-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares";
/// An input that takes longer is a fault.
const LONGEST_RUN: &str = "-timeout=20";
/// Bytes of an input that are printed.
const MOST_SHOWN: usize = 2048;

/// Builds the fuzz targets and runs `only`, or all of them, for so long together. Returns whether none found a fault.
pub fn run(only: &[String], time: Duration) -> Result<bool> {
    let all = targets()?;
    if let Some(unknown) = only.iter().find(|name| !all.contains(name)) {
        bail!("there is no fuzz target {unknown}; there are {}", all.join(", "));
    }
    let targets: Vec<String> =
        all.into_iter().filter(|name| only.is_empty() || only.contains(name)).collect();
    let program = build()?;
    let each = (time / u32::try_from(targets.len())?.max(1)).as_secs().max(1);
    let mut failed = Vec::new();
    for target in targets {
        println!("{target} for {each} s");
        if !start(&program, &target, each)?.status()?.success() {
            failed.push(target);
        }
    }
    if !failed.is_empty() {
        println!("found faults in {}: the inputs are in {}", failed.join(", "), folder("found").display());
    }
    for target in &failed {
        show(&folder("found").join(target))?;
    }
    Ok(failed.is_empty())
}

/// Prints the short inputs in `found`: a log that outlives its machine is enough to repeat the fault.
fn show(found: &Path) -> Result<()> {
    for entry in fs::read_dir(found).with_context(|| found.display().to_string())? {
        let path = entry?.path();
        let input = fs::read(&path).with_context(|| path.display().to_string())?;
        match input.len() {
            0..=MOST_SHOWN => println!("{}: b\"{}\"", path.display(), input.escape_ascii()),
            bytes => println!("{}: {bytes} bytes", path.display()),
        }
    }
    Ok(())
}

/// Every target has a corpus.
fn targets() -> Result<Vec<String>> {
    let corpora = workspace::root().join("fuzz/corpus");
    let entries = fs::read_dir(&corpora).with_context(|| corpora.display().to_string())?;
    let names = entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
    let mut names: Vec<String> = names.collect::<Result<_>>()?;
    names.sort();
    Ok(names)
}

fn folder(name: &str) -> PathBuf {
    workspace::target().join("fuzz").join(name)
}

/// The instrumented program. It has a target folder of its own: its flags would make everything else be built again.
fn build() -> Result<PathBuf> {
    let host = host()?;
    let mut build = command::cargo();
    build.args(["build", "--locked", "--quiet", "--profile", "fuzz", "--package", "fuzz", "--bin", "fuzz"]);
    // With a target named, programs that only the build runs stay without instrumentation.
    build.args(["--features", "engine", "--target", &host, "--target-dir"]).arg(folder("build"));
    command::run(build.env("RUSTFLAGS", INSTRUMENTED))?;
    Ok(folder("build").join(host).join("fuzz/fuzz"))
}

fn host() -> Result<String> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = command::command(rustc).arg("-vV").output().context("cannot start rustc")?;
    let text = String::from_utf8(output.stdout)?;
    let host = text.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(host.context("rustc does not say what its host is")?.to_owned())
}

fn start(program: &Path, target: &str, seconds: u64) -> Result<Command> {
    let (kept, found) = (folder("corpus").join(target), folder("found").join(target));
    for folder in [&kept, &found] {
        fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    }
    let mut fuzz = command::command(program);
    fuzz.env("PORTHOLE_FUZZ_TARGET", target);
    fuzz.arg(format!("-max_total_time={seconds}")).arg(format!("-artifact_prefix={}/", found.display()));
    fuzz.args([LONGEST_RUN, "-rss_limit_mb=2048", "-print_final_stats=1", "-verbosity=1"]);
    fuzz.arg(kept);
    let committed =
        ["corpus", "regressions"].map(|kind| workspace::root().join("fuzz").join(kind).join(target));
    fuzz.args(committed.iter().filter(|folder| folder.is_dir()));
    Ok(fuzz)
}

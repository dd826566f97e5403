//! Commands whose work is done by a program of the crate `tests`: build it with the edge, then become it.

use std::os::unix::process::CommandExt;
use std::process::Command;

use anyhow::{Context, Result};

use crate::{cargo, command, deps, workspace};

/// `cargo xtask demo`. Returns only if the demo could not be started.
pub fn demo(arguments: &[String]) -> Result<bool> {
    deps::install(deps::Purpose::Demo)?;
    build(&mut cargo::programs())?;
    become_program("debug/demo", arguments)
}

/// `cargo xtask bench`. Returns only if the bench could not be started.
pub fn bench(arguments: &[String]) -> Result<bool> {
    deps::install(deps::Purpose::Bench)?;
    let mut release = command::cargo();
    release.args(["build", "--quiet", "--locked", "--release", "--package", "edge", "--package", "remote"]);
    build(release.args(["--package", "tests", "--bins", "--examples"]))?;
    become_program("release/bench", arguments)
}

/// `cargo xtask sim`. Returns only if the simulator could not be started.
pub fn sim(arguments: &[String]) -> Result<bool> {
    let mut debug = command::cargo();
    debug.args(["build", "--quiet", "--locked", "--package", "tests", "--bin", "sim"]);
    build(&mut debug)?;
    become_program("debug/sim", arguments)
}

fn build(what: &mut Command) -> Result<()> {
    println!("Building (a few minutes the first time)");
    command::run(what)
}

fn become_program(program: &str, arguments: &[String]) -> Result<bool> {
    let program = workspace::target().join(program);
    let error = Command::new(&program).args(arguments).exec();
    Err(error).with_context(|| program.display().to_string())
}

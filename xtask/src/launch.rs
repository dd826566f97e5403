//! Commands whose work is done by a program of the crate `tests`: build it with the edge, then become it.

use std::os::unix::process::CommandExt;

use anyhow::{Context, Result};

use crate::{command, deps, workspace};

/// `cargo xtask demo`. Returns only if the demo could not be started.
pub fn demo(arguments: &[String]) -> Result<bool> {
    deps::install(deps::Purpose::Demo)?;
    build(&["--workspace", "--bins"])?;
    become_program("debug/demo", arguments)
}

/// `cargo xtask bench`. Returns only if the bench could not be started.
pub fn bench(arguments: &[String]) -> Result<bool> {
    deps::install(deps::Purpose::Bench)?;
    build(&["--release", "--package", "edge", "--package", "tests", "--bins", "--examples"])?;
    become_program("release/bench", arguments)
}

fn build(what: &[&str]) -> Result<()> {
    println!("Building (a few minutes the first time)");
    command::run(command::cargo().args(["build", "--quiet", "--locked"]).args(what))
}

fn become_program(program: &str, arguments: &[String]) -> Result<bool> {
    let program = workspace::target().join(program);
    let error = std::process::Command::new(&program).args(arguments).exec();
    Err(error).with_context(|| program.display().to_string())
}

//! Commands whose work is done by a program of the crate `tests`: build it with the edge, then become it.

use std::os::unix::process::CommandExt;

use anyhow::{Context, Result};

use crate::{command, deps, workspace};

/// `cargo xtask demo`. Returns only if the demo could not be started.
pub fn demo(arguments: &[String]) -> Result<bool> {
    deps::install(deps::Purpose::Demo)?;
    println!("Building (a few minutes the first time)");
    command::run(command::cargo().args(["build", "--quiet", "--locked", "--workspace", "--bins"]))?;
    let program = workspace::target().join("debug/demo");
    let error = std::process::Command::new(&program).args(arguments).exec();
    Err(error).with_context(|| program.display().to_string())
}

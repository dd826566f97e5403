//! Commands whose work is done by a program of the crate `tests`: build it with the edge, then become it.

use std::os::unix::process::CommandExt;
use std::process::Command;

use anyhow::{Context, Result};

use crate::{board, cargo, command, cross, deps, workspace};

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
    if measures("instructions", arguments) {
        cross::counted()?;
    }
    if measures("board", arguments) {
        board::testbed::make()?;
        board::image::make(&board::image::Wishes::default())?;
    }
    become_program("release/bench", arguments)
}

/// Whether the bench, called like that, measures the row `row`.
fn measures(row: &str, arguments: &[String]) -> bool {
    let mut words = arguments.iter().map(String::as_str).peekable();
    let mut all = true;
    while let Some(word) = words.next() {
        let named = word.strip_prefix("--row=").or_else(|| words.next_if(|_| word == "--row"));
        if named == Some(row) {
            return true;
        }
        all &= named.is_none();
    }
    all
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_measured_when_it_is_named_or_none_is() {
        let measures =
            |line: &str| measures("links", &line.split(' ').map(str::to_owned).collect::<Vec<_>>());
        assert!(measures("") && measures("--long") && measures("--row=cpu --row links"));
        assert!(!measures("--row cpu") && !measures("--long --row=link"));
    }
}

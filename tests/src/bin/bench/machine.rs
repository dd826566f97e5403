//! What the figures were measured on and with.

use std::fs;
use std::process::Command;

use ::tests::footage;
use anyhow::{Context, Result};

/// Processor, system, peers, footage, and what else the machine was doing, as sentences.
pub fn describe() -> Result<String> {
    let cpus = fs::read_to_string("/proc/cpuinfo")?;
    let model =
        cpus.lines().find_map(|line| Some(line.strip_prefix("model name")?.split_once(':')?.1.trim()));
    let cores = std::thread::available_parallelism()?;
    let system = fs::read_to_string("/etc/os-release")?;
    let system = system.lines().find_map(|line| line.strip_prefix("PRETTY_NAME=")).unwrap_or("Linux");
    let load = fs::read_to_string("/proc/loadavg")?;
    let load = load.split(' ').next().unwrap_or("?");
    let footage = match footage::clip() {
        Some(_) => "real footage",
        None => "a generated picture in place of real footage, so figures of quality and size say little",
    };
    Ok(format!(
        "Here: {cores} cores of {}, {}, {}, {}, {footage}, a load of {load} at the start.",
        model.unwrap_or(std::env::consts::ARCH),
        system.trim_matches('"'),
        version("ffmpeg", &["-version"])?,
        version("chromium", &["--version"])?,
    ))
}

/// The name and version on the first line that a program prints: `ffmpeg version 5.1.6 Copyright ...`.
fn version(program: &str, arguments: &[&str]) -> Result<String> {
    let output = Command::new(program).args(arguments).output().context(program.to_owned())?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let words = text.lines().next().unwrap_or_default().split(' ');
    let number = words.into_iter().find(|word| word.starts_with(|first: char| first.is_ascii_digit()));
    Ok(format!("{program} {}", number.unwrap_or("of an unknown version")))
}

//! One suite: a program that must end well before its time is up, with everything that it started.

use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use crate::workspace;

/// How a suite ended.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Ending {
    /// With exit status 0.
    Well,
    /// With another status, or by a signal.
    Badly,
    /// It was killed because its time was up.
    OutOfTime,
    /// It was killed because somebody pressed Ctrl-C.
    Interrupted,
}

/// What came of a suite.
#[derive(Debug)]
pub struct Outcome {
    /// How it ended.
    pub ending: Ending,
    /// How long it took.
    pub took: Duration,
    /// All that it printed.
    pub output: String,
    /// Where that is kept.
    pub log: PathBuf,
}

/// A flag that Ctrl-C and SIGTERM set.
pub fn interruptions() -> Result<Arc<AtomicBool>> {
    let flag = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        signal_hook::flag::register(signal, flag.clone()).context("cannot catch signals")?;
    }
    Ok(flag)
}

/// Runs `command` in a process group of its own for at most `limit`; whatever is left of the group is killed after it.
/// What it prints goes to `target/suites/NAME.log`.
pub fn run(name: &str, mut command: Command, limit: Duration, interrupted: &AtomicBool) -> Result<Outcome> {
    let folder = workspace::target().join("suites");
    fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
    let log = folder.join(format!("{}.log", name.replace('/', "-")));
    let file = File::create(&log).with_context(|| log.display().to_string())?;
    command.stdout(file.try_clone()?).stderr(file).process_group(0);

    let started = Instant::now();
    let mut child = command.spawn().with_context(|| format!("cannot start {name}"))?;
    let ending = wait(&mut child, started + limit, interrupted)?;
    // Nobody may outlive the suite: neither a suite that hangs, nor what a test left behind.
    let _ = killpg(Pid::from_raw(child.id().cast_signed()), Signal::SIGKILL);
    child.wait()?;
    let output = String::from_utf8_lossy(&fs::read(&log)?).into_owned();
    Ok(Outcome { ending, took: started.elapsed(), output, log })
}

fn wait(child: &mut Child, deadline: Instant, interrupted: &AtomicBool) -> Result<Ending> {
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(if status.success() { Ending::Well } else { Ending::Badly });
        }
        if interrupted.load(Ordering::Relaxed) {
            return Ok(Ending::Interrupted);
        }
        if Instant::now() >= deadline {
            return Ok(Ending::OutOfTime);
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(name: &str, script: &str, limit: Duration) -> Outcome {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        run(name, command, limit, &AtomicBool::new(false)).unwrap()
    }

    #[test]
    fn a_suite_ends_well_or_badly_and_its_output_is_kept() {
        let well = shell("self-test-well", "echo one; echo two >&2", Duration::from_secs(60));
        assert_eq!((well.ending, well.output.as_str()), (Ending::Well, "one\ntwo\n"));
        assert_eq!(shell("self-test-badly", "exit 3", Duration::from_secs(60)).ending, Ending::Badly);
    }

    #[test]
    fn a_suite_out_of_time_is_killed_with_all_that_it_started() {
        let outcome = shell("self-test-slow", "sleep 1000 & echo $!; wait", Duration::from_millis(300));
        assert_eq!(outcome.ending, Ending::OutOfTime);
        let pid: i32 = outcome.output.trim().parse().unwrap();
        let deadline = Instant::now() + Duration::from_secs(60);
        while fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z ")) {
            assert!(Instant::now() < deadline, "process {pid} outlived its suite");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

//! A child process with its output in a file, killed with all its children when dropped.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::wait::{PATIENCE, wait_for, wait_until};

/// A program that runs in the background.
#[derive(Debug)]
pub struct Process {
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts `command`, which reads nothing. Both its outputs are appended to the file `log`.
    pub fn start(command: Command, log: &Path) -> Result<Self> {
        Self::start_fed(command, Stdio::null(), log)
    }

    /// Starts `command`, which reads `input`. Both its outputs are appended to the file `log`.
    pub fn start_fed(mut command: Command, input: Stdio, log: &Path) -> Result<Self> {
        let file =
            File::options().create(true).append(true).open(log).with_context(|| log.display().to_string())?;
        command.stdin(input).stdout(file.try_clone()?).stderr(file);
        let child = command.spawn().with_context(|| format!("cannot start {command:?}"))?;
        Ok(Self { child, log: log.to_owned() })
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// All that it printed so far.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// The process and all that descend from it stand still until [`Process::thaw`].
    pub fn freeze(&self) {
        self.stop_family();
    }

    /// The end of [`Process::freeze`].
    pub fn thaw(&self) {
        descendants(self.child.id()).into_iter().for_each(|id| send(id, Signal::SIGCONT));
    }

    /// Whether the process or any that descends from it is stopped.
    pub fn stands_still(&self) -> bool {
        descendants(self.child.id())
            .into_iter()
            .any(|id| stat(id, 0).is_some_and(|now| now.starts_with(STOPPED)))
    }

    /// Sends a signal to the process alone.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        kill(Pid::from_raw(self.child.id().cast_signed()), signal).with_context(|| format!("{signal}"))
    }

    /// Waits for its end.
    pub fn wait(&mut self, patience: Duration) -> Result<ExitStatus> {
        let id = self.child.id();
        wait_for(&format!("the end of process {id}"), patience, || self.child.try_wait().ok().flatten())
    }

    /// Ends it, and all that descend from it, at once and without a chance to tidy up.
    pub fn kill(&mut self) {
        let family = self.stop_family();
        family.iter().for_each(|&id| send(id, Signal::SIGKILL));
        family.into_iter().for_each(|id| settle(id, &[]));
        let _ = self.child.wait();
    }

    /// Stops the process and all that descend from it. Nobody is forgotten: one that is not stopped yet may start another one
    /// behind our back.
    fn stop_family(&self) -> Vec<u32> {
        let mut family = Vec::new();
        loop {
            let grown = descendants(self.child.id());
            if grown == family {
                return family;
            }
            grown.iter().for_each(|&id| send(id, Signal::SIGSTOP));
            grown.iter().for_each(|&id| settle(id, &STOPPED));
            family = grown;
        }
    }

    /// Asks it to end, and waits for that.
    pub fn terminate(&mut self, patience: Duration) -> Result<ExitStatus> {
        self.signal(Signal::SIGTERM)?;
        self.wait(patience)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.is_running() {
            self.kill();
        }
    }
}

/// Sends a signal to a process that may have ended on its own in between.
fn send(id: u32, signal: Signal) {
    let _ = kill(Pid::from_raw(id.cast_signed()), signal);
}

/// The process `root` and all that descend from it.
pub(crate) fn descendants(root: u32) -> Vec<u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let ids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let parents: Vec<(u32, u32)> = ids.filter_map(|id| Some((id, parent(id)?))).collect();
    let mut family = vec![root];
    let mut next = 0;
    while let Some(&member) = family.get(next) {
        family.extend(parents.iter().filter(|(_, parent)| *parent == member).map(|(id, _)| id));
        next += 1;
    }
    family
}

/// The states of a process that was stopped; the second one under strace (proc(5)).
const STOPPED: [char; 2] = ['T', 't'];
/// The states of one that has ended.
const ENDED: [char; 2] = ['Z', 'X'];

/// Waits until a process is in one of `states` or is no more.
fn settle(id: u32, states: &[char]) {
    // A process in the middle of a system call takes its time.
    let _ = wait_until("a signal to arrive", PATIENCE, || {
        stat(id, 0).is_none_or(|now| now.starts_with(states) || now.starts_with(ENDED))
    });
}

fn parent(id: u32) -> Option<u32> {
    stat(id, 1)?.parse().ok()
}

/// A field of `/proc/ID/stat` (proc(5)), counted from the one behind the name, which is in parentheses and may hold anything.
pub(crate) fn stat(id: u32, field: usize) -> Option<String> {
    let stat = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    Some(stat.rsplit_once(") ")?.1.split(' ').nth(field)?.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn killing_reaches_grandchildren_in_sessions_of_their_own() {
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", "setsid sleep 1000 & echo started; wait"]);
        let mut process = Process::start(command, &folder.path().join("log")).unwrap();
        wait_until("two processes", PATIENCE, || descendants(process.id()).len() == 2).unwrap();
        wait_until("its output", PATIENCE, || process.log() == "started\n").unwrap();
        let sleep = descendants(process.id())[1];
        process.kill();
        wait_until("the grandchild's end", PATIENCE, || parent(sleep).is_none()).unwrap();
        assert!(!process.is_running());
    }
}

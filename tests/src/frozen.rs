//! One thread of a process stands still, wherever it is at that instant, with all that it holds (ptrace(2)).

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use nix::sys::ptrace;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use crate::wait::{PATIENCE, wait_for};

/// A thread that stands still until this is dropped, or until it is no more. Stays with the thread of the test that made it: only that
/// one is its tracer.
#[derive(Debug)]
pub struct Frozen {
    thread: Pid,
    over: Arc<AtomicBool>,
}

impl Frozen {
    /// Freezes the thread called `name` of the process `id`; the first one, if there are several.
    pub fn freeze(id: u32, name: &str) -> Result<Self> {
        Self::freeze_nth(id, name, 0)
    }

    /// Freezes all threads called `name` of the process `id`: where several wait for jobs, the others do the work of one that does not come.
    pub fn freeze_all(id: u32, name: &str) -> Result<Vec<Self>> {
        let mut frozen = vec![Self::freeze(id, name)?];
        Self::freeze_others(id, name, &mut frozen)?;
        Ok(frozen)
    }

    /// Freezes those threads called `name` of the process `id` that are not among `frozen` yet: one may have been started for a job since.
    pub fn freeze_others(id: u32, name: &str, frozen: &mut Vec<Self>) -> Result<()> {
        while let Some(other) =
            numbers(id, name).into_iter().find(|number| frozen.iter().all(|one| one.thread != *number))
        {
            frozen.push(Self::stop(other, name)?);
        }
        Ok(())
    }

    /// Freezes one of the threads called `name` of the process `id`, which are counted from 0 in the order in which they began.
    pub fn freeze_nth(id: u32, name: &str, nth: usize) -> Result<Self> {
        Self::stop(thread(id, name, nth)?, name)
    }

    fn stop(thread: Pid, name: &str) -> Result<Self> {
        ptrace::seize(thread, ptrace::Options::empty()).with_context(|| format!("cannot trace {name}"))?;
        ptrace::interrupt(thread)?;
        let status = waitpid(thread, Some(WaitPidFlag::__WALL))?;
        let stands = matches!(status, WaitStatus::PtraceEvent(..) | WaitStatus::Stopped(..));
        ensure!(stands, "{name} does not stand still: {status:?}");
        let over = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&over);
        std::thread::spawn(move || heed(thread, &seen));
        Ok(Self { thread, over })
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        // It may be no more.
        let _gone = ptrace::detach(self.thread, None);
    }
}

/// Takes note of the end of `thread` as soon as that comes: the kernel holds up everybody else who waits for it until its tracer has.
fn heed(thread: Pid, over: &AtomicBool) {
    let look = || waitpid(thread, Some(WaitPidFlag::__WALL | WaitPidFlag::WNOHANG));
    while !over.load(Ordering::Relaxed) && look() == Ok(WaitStatus::StillAlive) {
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The names of the threads of the process `id`; the kernel cuts them to 15 bytes.
pub fn threads(id: u32) -> Vec<String> {
    tasks(id).into_iter().filter_map(|task| name_of(&task)).collect()
}

/// A thread names itself once it runs: until then it bears the name of the one that made it.
fn thread(id: u32, name: &str, nth: usize) -> Result<Pid> {
    let named = || numbers(id, name).get(nth).copied();
    let gone = || tasks(id).is_empty();
    let number = wait_for(name, PATIENCE, || named().map(Some).or_else(|| gone().then_some(None)))
        .with_context(|| format!("no thread {name} among {:?}", threads(id)))?;
    number.with_context(|| format!("the process of {name} is no more"))
}

/// The threads of that name in the order in which they began.
fn numbers(id: u32, name: &str) -> Vec<Pid> {
    let named = tasks(id).into_iter().filter(|task| name_of(task).is_some_and(|found| found == name));
    let mut numbers: Vec<(u64, u32)> =
        named.filter_map(|task| Some((began(&task)?, number(&task)?))).collect();
    // Those of the same hundredth of a second by their numbers, which begin anew behind the largest.
    let largest =
        fs::read_to_string("/proc/sys/kernel/pid_max").ok().and_then(|text| text.trim_end().parse().ok());
    let largest = largest.unwrap_or(u32::MAX >> 1);
    numbers.sort_unstable_by_key(|(began, number)| (*began, (number + largest - id) % largest));
    numbers.into_iter().map(|(_, number)| Pid::from_raw(number.cast_signed())).collect()
}

fn number(task: &Path) -> Option<u32> {
    task.file_name()?.to_str()?.parse().ok()
}

/// When a thread began: the 22nd field of its line (`proc_pid_stat(5)`). Its name, the second one, ends with the last bracket.
fn began(task: &Path) -> Option<u64> {
    let line = fs::read_to_string(task.join("stat")).ok()?;
    line.rsplit_once(") ")?.1.split(' ').nth(22 - 3)?.parse().ok()
}

fn tasks(id: u32) -> Vec<PathBuf> {
    let tasks = fs::read_dir(format!("/proc/{id}/task")).into_iter().flatten().flatten();
    tasks.map(|task| task.path()).collect()
}

fn name_of(task: &Path) -> Option<String> {
    Some(fs::read_to_string(task.join("comm")).ok()?.trim_end().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wait::wait_until;
    use std::process::Command;

    #[test]
    fn a_frozen_thread_goes_on_when_it_is_let_go() {
        let mut counting = Command::new("sh").args(["-c", "while :; do :; done"]).spawn().unwrap();
        let ticks = |id| crate::usage::cpu(id).unwrap();
        // Until it has begun, it has the name of this thread.
        wait_until("it to begin", PATIENCE, || threads(counting.id()) == ["sh"]).unwrap();
        let frozen = Frozen::freeze(counting.id(), "sh").unwrap();
        let before = ticks(counting.id());
        std::thread::sleep(Duration::from_millis(50));
        assert_eq!(ticks(counting.id()), before);
        drop(frozen);
        wait_until("it to go on", PATIENCE, || ticks(counting.id()) > before).unwrap();
        counting.kill().unwrap();
        counting.wait().unwrap();
        assert!(Frozen::freeze(counting.id(), "sh").is_err());
    }
}

//! CPU time and memory that processes take, from `/proc` (proc(5)).

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use nix::unistd::{SysconfVar, sysconf};

use crate::process::{descendants, stat};

/// CPU time that the process `id` and its living descendants have taken so far.
pub fn cpu(id: u32) -> Result<Duration> {
    let ticks_per_second = sysconf(SysconfVar::CLK_TCK)?.context("no clock ticks")?;
    // User and system time are fields 14 and 15, counted from 1; the ones before are counted from the state, field 3.
    let ticks = |id: &u32| -> Option<u64> {
        Some(stat(*id, 11)?.parse::<u64>().ok()? + stat(*id, 12)?.parse::<u64>().ok()?)
    };
    let family = descendants(id);
    ticks(&id).with_context(|| format!("process {id} has ended"))?;
    let total: u64 = family.iter().filter_map(ticks).sum();
    Ok(Duration::from_secs_f64(total as f64 / ticks_per_second as f64))
}

/// CPU time that the thread called `name` of the process `id` has taken so far, to the nanosecond.
pub fn thread_cpu(id: u32, name: &str) -> Result<Duration> {
    let tasks =
        fs::read_dir(format!("/proc/{id}/task")).with_context(|| format!("process {id} has ended"))?;
    let folders = tasks.flatten().map(|task| task.path());
    let is_it = |folder: &std::path::PathBuf| {
        fs::read_to_string(folder.join("comm")).is_ok_and(|found| found.trim_end() == name)
    };
    let thread =
        folders.into_iter().find(is_it).with_context(|| format!("process {id} has no thread {name}"))?;
    let text = fs::read_to_string(thread.join("schedstat"))?;
    let nanoseconds = text.split(' ').next().and_then(|first| first.parse().ok());
    Ok(Duration::from_nanos(nanoseconds.with_context(|| format!("schedstat says {text}"))?))
}

/// CPU time that children of this process took which have ended and were waited for.
pub fn children_cpu() -> Result<Duration> {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN)?;
    let micros = usage.user_time().num_microseconds() + usage.system_time().num_microseconds();
    Ok(Duration::from_micros(u64::try_from(micros)?))
}

/// Bytes of memory that the process `id` holds: its own and its files', without the shared memory of a RAM disk.
pub fn resident(id: u32) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{id}/status"))?;
    let kibibytes = |key: &str| -> Option<u64> {
        let line = status.lines().find_map(|line| line.strip_prefix(key))?;
        line.trim_start_matches(':').trim().strip_suffix(" kB")?.parse().ok()
    };
    let parts = kibibytes("RssAnon").zip(kibibytes("RssFile"));
    let (own, files) = parts.with_context(|| format!("process {id} has ended"))?;
    Ok((own + files) * 1024)
}

/// Threads that the process `id` has now.
pub fn threads(id: u32) -> Result<usize> {
    let tasks = fs::read_dir(format!("/proc/{id}/task"));
    Ok(tasks.with_context(|| format!("process {id} has ended"))?.count())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_and_memory_of_this_process_are_seen() {
        let id = std::process::id();
        let before = cpu(id).unwrap();
        let thread = std::thread::Builder::new().name("worker".to_owned());
        let worker = thread.spawn(move || {
            while cpu(id).unwrap() < before + Duration::from_millis(30) {}
            thread_cpu(id, "worker").unwrap()
        });
        assert!(worker.unwrap().join().unwrap() > Duration::ZERO);
        assert!(thread_cpu(id, "nobody").is_err());

        let before = resident(id).unwrap();
        let block = vec![1_u8; 64 << 20];
        let grown = resident(id).unwrap() - before;
        assert!(grown > 60 << 20, "{grown} bytes more, {} taken", block.len());
    }
}

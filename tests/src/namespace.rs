//! What a test has for itself of the kernel: mounts, or a network.
//!
//! A namespace belongs to a thread and what it starts, so nothing of it is left behind. It takes root.

use anyhow::{Context, Result};
use nix::sched::{CloneFlags, unshare};
use nix::unistd::Uid;

/// Runs `test` in a thread with namespaces of its own; without root, says that it was not run.
pub fn with_own(namespaces: CloneFlags, test: impl FnOnce() -> Result<()> + Send) {
    if !Uid::effective().is_root() {
        eprintln!("only root can have what nobody else sees ({namespaces:?}): not run");
        return;
    }
    let apart = || unshare(namespaces).context("a namespace");
    let result = std::thread::scope(|scope| {
        scope
            .spawn(|| apart().and_then(|()| test()))
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    });
    result.unwrap_or_else(|error| panic!("{error:?}"));
}

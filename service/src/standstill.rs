//! Why a thread stands still.

/// Whether any thread of the process waits in the kernel where no signal reaches it (proc(5), state D): for a disk, mostly. Then the process
/// cannot end before the disk answers.
pub fn waits_for_disk() -> bool {
    let tasks = std::fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    tasks.filter_map(|task| std::fs::read_to_string(task.path().join("stat")).ok()).any(|stat| is_deaf(&stat))
}

/// Reads `ID (NAME) STATE ...`, where the name may hold anything.
fn is_deaf(stat: &str) -> bool {
    stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('D'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_that_waits_for_a_disk_is_told_from_others_whatever_its_name() {
        assert!(is_deaf("7 (record front) D 1 7"));
        assert!(!is_deaf("7 (a) D) S 1 7"));
        assert!(!is_deaf(""));
    }
}

//! A program under strace(1), which kills it, stops it or fails it at a call that was chosen beforehand.
//!
//! strace counts by thread, and each kind of call by itself: the third `fsync` is where the first thread enters its third one. What
//! was chosen happens before the call is carried out. The program keeps its process id and its outputs.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::process::Process;
use crate::wait::{PATIENCE, wait_until};

/// Calls that change what is on a disk. Those with a `?` are not there on every architecture.
pub const CHANGES: &str = "write,pwrite64,copy_file_range,ftruncate,fsync,fdatasync,linkat,\
    ?link,?rename,?renameat,renameat2,?unlink,unlinkat,?mkdir,mkdirat,?rmdir";

/// Only the calls in question stop the program. Signals get lost with it.
const FAST: &str = "--seccomp-bpf";

/// What strace is told.
#[derive(Clone, Debug)]
pub struct Strace {
    arguments: Vec<OsString>,
}

/// A call, as strace wrote it down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// The thread that made it.
    pub thread: u32,
    /// `fsync`.
    pub name: String,
    /// What stands in the parentheses, as far as it was known when the call was entered.
    pub arguments: String,
}

impl Strace {
    /// Writes the `calls` (`write,fsync`) of all threads into the file `log`, with the paths of their descriptors.
    pub fn record(calls: &str, log: &Path) -> Self {
        Self::quiet(calls).and(FAST).and("-y").and("-o").and(log)
    }

    /// The same, with all bytes of texts up to `most` of them, in hexadecimal: for [`Call::path`] and [`Call::bytes`].
    pub fn record_bytes(calls: &str, most: usize, log: &Path) -> Self {
        Self::record(calls, log).and("-xx").and("-s").and(most.to_string())
    }

    /// The first thread that enters the `nth` of its calls of this kind takes the whole program with it.
    pub fn kill_at(call: &str, nth: u32) -> Self {
        Self::inject(call, &format!("signal=KILL:when={nth}"))
    }

    /// The program stands still from there on.
    pub fn stop_at(call: &str, nth: u32) -> Self {
        Self::inject(call, &format!("signal=STOP:when={nth}"))
    }

    /// The `nth` of the `calls` of each thread fails with `error` (`EIO`).
    pub fn fail_at(calls: &str, error: &str, nth: u32) -> Self {
        Self::inject(calls, &format!("error={error}:when={nth}"))
    }

    /// Every one of the `calls` from the `nth` on fails with `error` (`EIO`).
    pub fn fail_from(calls: &str, error: &str, nth: u32) -> Self {
        Self::inject(calls, &format!("error={error}:when={nth}+")).and(FAST)
    }

    /// Counts and meets only calls on this very file or folder; may be repeated.
    pub fn on(self, path: &Path) -> Self {
        self.and("-P").and(path)
    }

    /// `program`, with its arguments, environment and folder, to be started under strace.
    ///
    /// # Errors
    /// strace is not installed.
    pub fn around(&self, program: &Command) -> Result<Command> {
        let mut strace = self.command()?;
        // strace itself stays in the background.
        strace.arg("-D").arg("--").arg(program.get_program()).args(program.get_args());
        for (name, value) in program.get_envs() {
            match value {
                Some(value) => strace.env(name, value),
                None => strace.env_remove(name),
            };
        }
        program.get_current_dir().map(|folder| strace.current_dir(folder));
        Ok(strace)
    }

    /// Meets a process that runs already, with all its threads, until what this gives is dropped. What strace says goes to the file `log`.
    ///
    /// # Errors
    /// strace is not installed, or does not get hold of all threads.
    pub fn attach(&self, process: u32, log: &Path) -> Result<Process> {
        let mut strace = self.command()?;
        strace.arg("-p").arg(process.to_string());
        let strace = Process::start(strace, log)?;
        wait_until("strace to have all threads", PATIENCE, || are_traced(process))
            .with_context(|| strace.log())?;
        Ok(strace)
    }

    fn command(&self) -> Result<Command> {
        let version = Command::new("strace").arg("--version").output();
        let version =
            version.context("strace is needed (apt-get install strace, or cargo xtask deps test)")?;
        ensure!(version.status.success(), "strace --version ended with {}", version.status);
        let mut strace = Command::new("strace");
        strace.args(&self.arguments);
        Ok(strace)
    }

    fn inject(calls: &str, what: &str) -> Self {
        Self::quiet(calls).and(format!("--inject={calls}:{what}")).and("-o").and("/dev/null")
    }

    /// All threads.
    fn quiet(calls: &str) -> Self {
        Self { arguments: Vec::new() }.and("-f").and("-qqq").and(format!("--trace={calls}"))
    }

    fn and(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.arguments.push(argument.as_ref().to_owned());
        self
    }
}

impl Call {
    /// What its descriptor is open on, in a log of [`Strace::record_bytes`].
    pub fn path(&self) -> Option<PathBuf> {
        let (_, path) = self.arguments.split_once('<')?;
        Some(OsString::from_vec(bytes(path.split_once('>')?.0)?).into())
    }

    /// The bytes that it was given, in a log of [`Strace::record_bytes`]; `None` if not all of them are in it.
    pub fn bytes(&self) -> Option<Vec<u8>> {
        let (_, rest) = self.arguments.split_once('"')?;
        let (text, rest) = rest.split_once('"')?;
        bytes(text).filter(|_| !rest.starts_with("..."))
    }

    /// The number that is its last argument: where `pwrite64` writes.
    pub fn offset(&self) -> Option<u64> {
        self.arguments.rsplit_once(", ")?.1.parse().ok()
    }
}

/// `\x61\x00`
fn bytes(text: &str) -> Option<Vec<u8>> {
    let mut bytes = text.split("\\x");
    let nothing = bytes.next()?.is_empty();
    nothing.then(|| bytes.map(|byte| u8::from_str_radix(byte, 16).ok()).collect())?
}

/// Whether somebody traces every thread of a process (proc(5)).
fn are_traced(process: u32) -> bool {
    let threads = fs::read_dir(format!("/proc/{process}/task")).into_iter().flatten().flatten();
    let is_traced = |thread: fs::DirEntry| {
        fs::read_to_string(thread.path().join("status"))
            .is_ok_and(|status| !status.contains("TracerPid:\t0\n"))
    };
    threads.map(is_traced).reduce(|all, one| all && one).unwrap_or_default()
}

/// The calls in a log of [`Strace::record`], in the order in which they were entered.
pub fn calls(log: &Path) -> Result<Vec<Call>> {
    let text = fs::read_to_string(log).with_context(|| log.display().to_string())?;
    Ok(text.lines().filter_map(call).collect())
}

/// `123 fsync(7</a/b>) = 0`, and `123 fsync(7</a/b> <unfinished ...>` where another thread came between. The rest of such a one, a
/// signal and an end are no calls.
fn call(line: &str) -> Option<Call> {
    let (thread, rest) = line.split_once(' ')?;
    let (name, rest) = rest.trim_start().split_once('(')?;
    let is_name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    if name.is_empty() || !name.chars().all(is_name) {
        return None;
    }
    let arguments = rest.strip_suffix(" <unfinished ...>").or_else(|| Some(rest.rsplit_once(") ")?.0));
    Some(Call {
        thread: thread.parse().ok()?,
        name: name.to_owned(),
        arguments: arguments?.trim_end().to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::descendants;
    use std::os::unix::process::ExitStatusExt;
    use tempfile::TempDir;

    /// `printf` of dash makes one `write` for each line.
    fn three_lines(strace: &Strace, folder: &TempDir) -> (Option<i32>, String) {
        let mut shell = Command::new("/bin/sh");
        shell.args(["-c", "for n in $NUMBERS; do echo $n; done"]).env("NUMBERS", "1 2 3");
        let mut process =
            Process::start(strace.around(&shell).unwrap(), &folder.path().join("output")).unwrap();
        let status = process.wait(PATIENCE).unwrap();
        (status.signal(), process.log())
    }

    #[test]
    fn a_program_dies_before_the_chosen_call() {
        let folder = tempfile::tempdir().unwrap();
        let killed = three_lines(&Strace::kill_at("write", 3), &folder);
        assert_eq!(killed, (Some(9), "1\n2\n".to_owned()));
    }

    #[test]
    fn calls_fail_on_the_chosen_file_alone() {
        let folder = tempfile::tempdir().unwrap();
        let elsewhere = Strace::fail_from("write", "EIO", 2).on(&folder.path().join("elsewhere"));
        assert_eq!(three_lines(&elsewhere, &folder), (None, "1\n2\n3\n".to_owned()));
        let folder = tempfile::tempdir().unwrap();
        let here = Strace::fail_from("write", "EIO", 2).on(&folder.path().join("output"));
        let (signal, output) = three_lines(&here, &folder);
        assert!(signal.is_none() && output.starts_with("1\n") && !output.contains("\n2\n"), "{output}");
    }

    #[test]
    fn calls_of_a_program_that_runs_fail_until_it_is_let_go() {
        let folder = tempfile::tempdir().unwrap();
        let [counts, log] = ["counts", "log"].map(|name| folder.path().join(name));
        let mut shell = Command::new("/bin/sh");
        shell.args(["-c", "while :; do echo; sleep 0.01; done 2>/dev/null"]);
        let process = Process::start(shell, &counts).unwrap();
        let grows = || {
            let before = process.log().len();
            wait_until("a line", PATIENCE, || process.log().len() > before)
        };
        grows().unwrap();
        let strace = Strace::fail_from("write", "EIO", 1).attach(process.id(), &log).unwrap();
        let all = process.log();
        let sleep = || descendants(process.id()).get(1).copied();
        let before = sleep();
        wait_until("another round", PATIENCE, || sleep().is_some_and(|now| Some(now) != before)).unwrap();
        assert_eq!(process.log(), all, "{}", strace.log());
        drop(strace);
        grows().unwrap();
    }

    #[test]
    fn calls_are_written_down_in_their_order() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("log");
        three_lines(&Strace::record("write", &log), &folder);
        let found = calls(&log).unwrap();
        let lines: Vec<&str> =
            found.iter().filter_map(|call| call.arguments.split_once(", ").map(|(_, rest)| rest)).collect();
        assert_eq!(lines, [r#""1\n", 2"#, r#""2\n", 2"#, r#""3\n", 2"#]);
        assert!(found.iter().all(|call| call.name == "write" && call.arguments.contains("/output>")));
    }

    #[test]
    fn bytes_are_written_down_whole_or_are_none() {
        let folder = tempfile::tempdir().unwrap();
        let bytes = |most| {
            let log = folder.path().join("log");
            three_lines(&Strace::record_bytes("write", most, &log), &folder);
            let calls = calls(&log).unwrap();
            assert!(calls.iter().all(|call| call.path() == Some(folder.path().join("output"))));
            calls.iter().map(Call::bytes).collect::<Vec<_>>()
        };
        assert_eq!(bytes(2), [b"1\n", b"2\n", b"3\n"].map(|line| Some(line.to_vec())));
        assert_eq!(bytes(1), [None, None, None]);
        let call = call(r#"7 pwrite64(3<\x2f\x61>, "\x00\x22\xff", 3, 4096) = 3"#).unwrap();
        assert_eq!((call.path(), call.offset()), (Some("/a".into()), Some(4096)));
        assert_eq!(call.bytes(), Some(b"\0\"\xff".to_vec()));
    }

    #[test]
    fn what_is_no_call_is_left_out() {
        let named = |line| call(line).map(|call| (call.thread, call.name, call.arguments));
        let fsync = (7, "fsync".to_owned(), "5</a/b>".to_owned());
        assert_eq!(named("7 fsync(5</a/b>) = 0"), Some(fsync.clone()));
        assert_eq!(named("7     fsync(5</a/b> <unfinished ...>"), Some(fsync));
        assert_eq!(named("7 <... fsync resumed>) = 0"), None);
        assert_eq!(named("7 +++ killed by SIGKILL +++"), None);
        assert_eq!(named("7 --- SIGTERM {si_signo=SIGTERM, si_code=SI_USER} ---"), None);
    }
}

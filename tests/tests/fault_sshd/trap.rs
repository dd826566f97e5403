//! A trap for the next connection: its SFTP servers run under strace, and those of all later connections as usual.
//!
//! An edge has three SFTP channels, one after the other, each with a server of its own: one for everything, one for what is
//! written into parts, and one for renames.

use std::ffi::OsStr;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use tempfile::TempDir;
use tests::strace::Strace;

/// OpenSSH's SFTP server, which `internal-sftp` is inside of sshd.
const SERVER: &str = "/usr/lib/openssh/sftp-server";
/// Calls at which something is asked, changed, made durable or answered.
pub const CALLS: &str =
    "openat,?lstat,newfstatat,lseek,write,ftruncate,fsync,?unlink,unlinkat,?rename,renameat,renameat2";

/// The channels, in the order in which they are opened.
pub const CHANNELS: [&str; 3] = ["everything", "parts", "renames"];

/// The folder with the trap.
pub struct Trap(TempDir);

impl Trap {
    /// A server that runs [`Trap::session`] for each session, and no trap yet.
    pub fn new() -> Self {
        let trap = Self(TempDir::with_prefix("trap-").unwrap());
        let folder = trap.0.path().display();
        let script = format!(
            "cd {folder}\nfor channel in {}; do\n\
             mv $channel.set $channel.sprung 2>/dev/null && . ./$channel.sprung\n\
             done\nexec {SERVER}\n",
            CHANNELS.join(" ")
        );
        fs::write(trap.file("session"), script).unwrap();
        trap
    }

    /// What every session runs.
    pub fn session(&self) -> String {
        format!("/bin/sh {}", self.file("session").display())
    }

    /// The servers of the next connection run under strace, where one is given.
    pub fn set(&self, straces: [Option<&Strace>; 3]) {
        // The first server looks for its own trap first.
        for (channel, strace) in CHANNELS.into_iter().zip(straces).rev() {
            self.set_one(channel, strace);
        }
    }

    fn set_one(&self, channel: &str, strace: Option<&Strace>) {
        let server = Command::new(SERVER);
        let server = strace.map_or(Ok(server), |strace| strace.around(&Command::new(SERVER))).unwrap();
        // One that stands still does not see the end of its session.
        let mortal = strace.map(|_| ["setpriv", "--pdeathsig", "KILL"].map(OsStr::new));
        let words = mortal.into_iter().flatten().chain([server.get_program()]).chain(server.get_args());
        let quoted: Vec<String> = words.map(|word| format!("'{}'", word.to_str().unwrap())).collect();
        let unset = self.file("unset");
        fs::write(&unset, format!("exec {}\n", quoted.join(" "))).unwrap();
        fs::rename(unset, self.file(&format!("{channel}.set"))).unwrap();
    }

    /// A file beside it.
    pub fn file(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }
}

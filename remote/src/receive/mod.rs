//! sshd's forced command for accounts of scripts, which know only `NAME.mp4` and `NAME.lockfile`.
//!
//! ```text
//! script                            here
//! scp NAME.lockfile HOST:     ->    scp's or sftp's own server side, confined to the inbox
//! scp NAME.mp4 HOST:          ->    the same
//! ssh HOST rm NAME.lockfile   ->    check NAME.mp4, fsync it, fsync the folder, only then remove the lock
//! && rm NAME.mp4
//! ```
//!
//! So a script's own `&&` deletes no copy before the recording is whole and durable here. [`request`] is the closed list of
//! commands; no shell sees any of them. docs/design/inbox.md has the rest of the handshake.

mod confine;
mod lock;
pub mod request;

use crate::folder::{self, Folder};
use crate::inbox::name::Name;
use nix::sys::stat::{Mode, umask};
use request::{Refused, Request};
use std::io;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

/// Where sshd leaves what the client asked for (sshd_config(5), `ForceCommand`).
pub const ASKED: &str = "SSH_ORIGINAL_COMMAND";

const SCP: &str = "/usr/bin/scp";
/// Where distributions have it: Debian, Fedora, Arch.
const SFTP_SERVERS: [&str; 3] =
    ["/usr/lib/openssh/sftp-server", "/usr/libexec/openssh/sftp-server", "/usr/lib/ssh/sftp-server"];
/// All that an upload takes. No `read`, so that nothing can be had from here, and no `remove` or `rename`, which would make a recording
/// visible before it is durable.
const SFTP_REQUESTS: &str =
    "open,close,write,stat,lstat,fstat,setstat,fsetstat,realpath,fsync,limits,expand-path";

/// Why a script did not get what it asked for. The text is the answer that it sees.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It came without a command.
    #[error("this account takes recordings, and has no shell")]
    Login,
    /// It asked for something else.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// Somebody else has the recording in hand.
    #[error("{lock}: not yours: {owner}")]
    Held {
        /// The file.
        lock: String,
        /// What is in it.
        owner: String,
    },
    /// There is nothing to vouch for.
    #[error("{recording} is not here; keep your copy. (It never came, or was taken over already.)")]
    Absent {
        /// The file.
        recording: String,
    },
    /// It did not arrive as it should have.
    #[error("{recording} is damaged: {reason}; {lock} stays, send it again")]
    Damaged {
        /// The file.
        recording: String,
        /// Its lock.
        lock: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The host is at fault.
    #[error(transparent)]
    Host(#[from] folder::Error),
    /// A program of OpenSSH could not be started.
    #[error("cannot start {program}: {source}")]
    Start {
        /// Which one.
        program: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// The rights of this process could not be given up.
    #[error("cannot confine myself: {0}")]
    Confine(#[from] landlock::RulesetError),
}

/// Does what a script asked for in the folder `inbox`. Where that is a program of OpenSSH, this process becomes that
/// program.
///
/// # Errors
/// It is not done.
pub fn receive(inbox: &Path, asked: Option<&str>) -> Result<(), Error> {
    // The service is in the group of the folder, and nobody else has anything to read.
    umask(Mode::S_IRWXO);
    let request = Request::parse(asked.ok_or(Error::Login)?, inbox)?;
    match request {
        Request::Scp { folder, preserve, target } => {
            let mut scp = Command::new(SCP);
            scp.arg("-t");
            scp.args(folder.then_some("-d")).args(preserve.then_some("-p")).args(["--", &target]);
            become_program(SCP, scp, inbox)
        }
        Request::Sftp => {
            let [first, ..] = SFTP_SERVERS;
            let program = SFTP_SERVERS.into_iter().find(|path| Path::new(path).exists()).unwrap_or(first);
            let mut sftp = Command::new(program);
            sftp.args(["-u", "0007", "-p", SFTP_REQUESTS]);
            become_program(program, sftp, inbox)
        }
        Request::Lock(name) => with_folder(inbox, &name, lock::make),
        Request::Unlock(name) => with_folder(inbox, &name, lock::vouch_and_remove),
    }
}

fn with_folder(inbox: &Path, name: &Name, act: fn(&Folder, &Name) -> Result<(), Error>) -> Result<(), Error> {
    act(&Folder::open(inbox)?, name)
}

/// Becomes `command`, in the folder, with no more rights than an upload takes, and without an environment.
fn become_program(program: &'static str, mut command: Command, inbox: &Path) -> Result<(), Error> {
    confine::to(inbox)?;
    let source = command.current_dir(inbox).env_clear().exec();
    Err(Error::Start { program, source })
}

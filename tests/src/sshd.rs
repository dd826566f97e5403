//! The remote host: an OpenSSH server on loopback that speaks SFTP and nothing else, with keys made for it.
//!
//! ```text
//! folder/  host_key  authorized_keys  sshd_config  sshd.log
//!          home/inbox/          what SFTP sees: as /inbox in a chroot, by its full path without one
//! ```

use std::fs;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use nix::unistd::{Uid, User};
use tempfile::TempDir;

use crate::port::free_port;
use crate::process::Process;
use crate::wait::{PATIENCE, wait_until};

/// What SFTP sees of the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum View {
    /// All that the account may see. Works for any user.
    Whole,
    /// The account's own folder alone (`ChrootDirectory`). Only root can start such a server.
    Chroot,
}

/// A running server.
#[derive(Debug)]
pub struct Sshd {
    folder: Folder,
    /// The account's own folder.
    home: PathBuf,
    view: View,
    port: u16,
    user: String,
    /// Every SFTP request is written into the log.
    requests: bool,
    /// What every session runs, whatever it asks for.
    forced: Option<String>,
    /// Keys that may be tried at each login.
    tries: u32,
    process: Option<Process>,
}

/// Where its files are.
#[derive(Debug)]
enum Folder {
    /// Gone when the server is dropped.
    Temporary(TempDir),
    /// Kept.
    Kept(PathBuf),
}

impl Folder {
    fn path(&self) -> &Path {
        match self {
            Self::Temporary(folder) => folder.path(),
            Self::Kept(folder) => folder,
        }
    }
}

impl Sshd {
    /// Starts a server in a temporary folder.
    pub fn start(view: View) -> Result<Self> {
        let folder = match view {
            View::Whole => TempDir::with_prefix("sshd-")?,
            // Every folder above a chroot must be closed to others, which /tmp is not.
            View::Chroot => TempDir::with_prefix_in("sshd-", "/run").context("a chroot takes root")?,
        };
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755))?;
        let home = folder.path().join("home");
        Self::start_in(Folder::Temporary(folder), home, view)
    }

    /// Starts a server in `folder`, which is made where it is missing and stays.
    pub fn start_at(folder: &Path) -> Result<Self> {
        Self::start_for(folder, &folder.join("home"))
    }

    /// The same, for an account whose own folder is `home`.
    pub fn start_for(folder: &Path, home: &Path) -> Result<Self> {
        fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
        Self::start_in(Folder::Kept(folder.to_owned()), home.to_owned(), View::Whole)
    }

    fn start_in(folder: Folder, home: PathBuf, view: View) -> Result<Self> {
        let user = User::from_uid(Uid::current())?.context("this user has no name")?.name;
        let mut sshd = Self {
            folder,
            home,
            view,
            port: free_port()?,
            user,
            requests: false,
            forced: None,
            tries: 6,
            process: None,
        };
        fs::create_dir_all(sshd.inbox())?;
        fs::write(sshd.file("authorized_keys"), "")?;
        sshd.make_host_key()?;
        sshd.start_again()?;
        Ok(sshd)
    }

    /// Starts the server after [`Sshd::stop`], on the same port and with the same files.
    pub fn start_again(&mut self) -> Result<()> {
        fs::write(self.file("sshd_config"), self.config())?;
        if Uid::current().is_root() {
            // The server insists on it, and only the service's start script makes it.
            fs::DirBuilder::new().recursive(true).mode(0o755).create("/run/sshd")?;
        }
        let mut command = Command::new("/usr/sbin/sshd");
        command.args(["-D", "-e", "-f"]).arg(self.file("sshd_config"));
        let mut process = Process::start(command, &self.file("sshd.log"))?;
        let address = ("127.0.0.1", self.port);
        let answers = || !process.is_running() || std::net::TcpStream::connect(address).is_ok();
        wait_until("sshd to listen", PATIENCE, answers)?;
        ensure!(process.is_running(), "sshd ended: {}", process.log());
        self.process = Some(process);
        Ok(())
    }

    /// Ends the server and every session, without a word to their peers.
    pub fn stop(&mut self) {
        self.process = None;
    }

    /// From the next start on [`Sshd::log`] tells of every SFTP request. Not in a chroot, where the log is out of reach.
    pub fn log_requests(&mut self) {
        self.requests = true;
    }

    /// From the next start on every session runs `command`, whatever it asks for.
    pub fn force(&mut self, command: String) {
        self.forced = Some(command);
    }

    /// From the next start on the server ends the connection instead of refusing the last one of so many keys.
    pub fn limit_tries(&mut self, tries: u32) {
        self.tries = tries;
    }

    /// Every session, and the server itself, stands still: connections stay open and nothing answers.
    pub fn freeze(&self) {
        self.process.iter().for_each(Process::freeze);
    }

    /// The end of [`Sshd::freeze`].
    pub fn thaw(&self) {
        self.process.iter().for_each(Process::thaw);
    }

    /// Whether anything of it was stopped.
    pub fn stands_still(&self) -> bool {
        self.process.as_ref().is_some_and(Process::stands_still)
    }

    /// Lets the owner of `public_key` (`ssh-ed25519 AAAA… comment`) in.
    pub fn authorize(&self, public_key: &str) -> Result<()> {
        Ok(fs::write(self.file("authorized_keys"), format!("restrict {}\n", public_key.trim()))?)
    }

    /// Replaces the host key, as an impostor's would be another; takes effect at the next start.
    pub fn make_host_key(&self) -> Result<()> {
        let key = self.file("host_key");
        for old in [key.clone(), key.with_extension("pub")] {
            if old.exists() {
                fs::remove_file(old)?;
            }
        }
        let mut keygen = Command::new("ssh-keygen");
        let made =
            keygen.args(["-q", "-t", "ed25519", "-N", "", "-C", "throw-away", "-f"]).arg(&key).status()?;
        ensure!(made.success(), "ssh-keygen ended with {made}");
        Ok(())
    }

    /// The public host key, as in a known_hosts file without the host: `ssh-ed25519 AAAA…`.
    pub fn host_key(&self) -> Result<String> {
        let line = fs::read_to_string(self.file("host_key.pub"))?;
        Ok(line.split(' ').take(2).collect::<Vec<_>>().join(" "))
    }

    /// Its port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The account to log in as.
    pub fn user(&self) -> &str {
        &self.user
    }

    /// The inbox, as this machine sees it.
    pub fn inbox(&self) -> PathBuf {
        self.home.join("inbox")
    }

    /// The inbox, as SFTP sees it.
    pub fn inbox_over_sftp(&self) -> String {
        match self.view {
            View::Whole => self.inbox().display().to_string(),
            View::Chroot => "/inbox".to_owned(),
        }
    }

    /// What the server printed.
    pub fn log(&self) -> String {
        fs::read_to_string(self.file("sshd.log")).unwrap_or_default()
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// With `SHLVL` a session's bash does not take itself for the first one, and reads no start-up file of this account.
    fn config(&self) -> String {
        let folder = self.folder.path().display();
        let chroot = match self.view {
            View::Whole => "none".to_owned(),
            View::Chroot => self.home.display().to_string(),
        };
        let sftp = if self.requests {
            format!("/bin/sh -c 'exec /usr/lib/openssh/sftp-server -e -l VERBOSE 2>>{folder}/sshd.log'")
        } else {
            "internal-sftp".to_owned()
        };
        let forced = self.forced.as_ref().unwrap_or(&sftp);
        format!(
            "\
ListenAddress 127.0.0.1
Port {port}
HostKey {folder}/host_key
AuthorizedKeysFile {folder}/authorized_keys
ChrootDirectory {chroot}
Subsystem sftp {sftp}
ForceCommand {forced}
PidFile none
UsePAM no
StrictModes no
MaxAuthTries {tries}
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
DisableForwarding yes
UseDNS no
SetEnv SHLVL=1
LogLevel VERBOSE
",
            port = self.port,
            tries = self.tries
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Stdio;

    /// Uploads a file with OpenSSH's own client; returns what that client printed.
    fn upload(sshd: &Sshd, key: &Path) -> (bool, String) {
        let mut sftp = Command::new("sftp");
        sftp.args(["-b", "-", "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null"]);
        sftp.arg("-i").arg(key).arg("-P").arg(sshd.port().to_string());
        sftp.arg(format!("{}@127.0.0.1", sshd.user()));
        let script = key.with_file_name("script");
        fs::write(&script, format!("put {} {}/a", script.display(), sshd.inbox_over_sftp())).unwrap();
        let output = sftp.stdin(Stdio::from(fs::File::open(&script).unwrap())).output().unwrap();
        (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
    }

    fn client_key(folder: &Path) -> PathBuf {
        let key = folder.join("client");
        let mut keygen = Command::new("ssh-keygen");
        assert!(keygen.args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(&key).status().unwrap().success());
        key
    }

    #[test]
    fn an_enrolled_key_may_upload_and_a_stranger_may_not() {
        let views: &[View] =
            if Uid::current().is_root() { &[View::Whole, View::Chroot] } else { &[View::Whole] };
        for view in views {
            let sshd = Sshd::start(*view).unwrap();
            let folder = tempfile::tempdir().unwrap();
            let key = client_key(folder.path());
            let (accepted, said) = upload(&sshd, &key);
            assert!(!accepted && said.contains("Permission denied"), "{view:?}: {said}{}", sshd.log());
            sshd.authorize(&fs::read_to_string(key.with_extension("pub")).unwrap()).unwrap();
            let (accepted, said) = upload(&sshd, &key);
            assert!(accepted, "{view:?}: {said}{}", sshd.log());
            assert!(sshd.inbox().join("a").exists());
        }
    }

    #[test]
    fn a_server_comes_back_on_the_same_port() {
        let mut sshd = Sshd::start(View::Whole).unwrap();
        let key = sshd.host_key().unwrap();
        assert!(key.starts_with("ssh-ed25519 AAAA"));
        sshd.stop();
        assert!(std::net::TcpStream::connect(("127.0.0.1", sshd.port())).is_err());
        sshd.make_host_key().unwrap();
        sshd.start_again().unwrap();
        assert_ne!(sshd.host_key().unwrap(), key);
    }
}

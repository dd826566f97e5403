//! OpenSSH's own clients, with a key of their own and a configuration made for one server.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

use crate::sshd::{Sshd, View};

/// A client with its key: `ssh`, `scp`, `sftp` to an account on 127.0.0.1 that is called `host`.
#[derive(Debug)]
pub struct Client {
    folder: TempDir,
}

impl Client {
    /// Makes a key, and a configuration for `user` at `port`. One connection carries everything: the first command opens it, and it ends
    /// with the server.
    pub fn new(user: &str, port: u16) -> Result<Self> {
        let client = Self { folder: TempDir::with_prefix("client-")? };
        let mut keygen = Command::new("ssh-keygen");
        keygen.args(["-q", "-t", "ed25519", "-N", "", "-C", "throw-away", "-f"]).arg(client.file("key"));
        let made = keygen.status()?;
        ensure!(made.success(), "ssh-keygen ended with {made}");
        let folder = client.folder.path().display();
        let config = format!(
            "\
Host host
    HostName 127.0.0.1
    Port {port}
    User {user}
    IdentityFile {folder}/key
    IdentitiesOnly yes
    BatchMode yes
    StrictHostKeyChecking no
    UserKnownHostsFile /dev/null
    LogLevel ERROR
    ControlMaster auto
    ControlPath {folder}/%C
    ControlPersist 60
"
        );
        fs::write(client.config(), config)?;
        Ok(client)
    }

    /// A server of its own whose sessions all run `command`, and a client that it lets in.
    pub fn forced(command: String) -> Result<(Sshd, Self)> {
        let mut sshd = Sshd::start(View::Whole)?;
        let client = Self::new(sshd.user(), sshd.port())?;
        sshd.authorize(&client.public_key()?)?;
        sshd.stop();
        sshd.force(command);
        sshd.start_again()?;
        Ok((sshd, client))
    }

    /// The line to enroll.
    pub fn public_key(&self) -> Result<String> {
        Ok(fs::read_to_string(self.file("key.pub"))?.trim_end().to_owned())
    }

    /// The configuration, for `-F`.
    pub fn config(&self) -> PathBuf {
        self.file("config")
    }

    /// A file of its own.
    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Runs `ssh`, `scp` or `sftp` with `arguments`, in which the server is called `host`.
    pub fn run(&self, program: &str, arguments: &[&str]) -> Result<Output> {
        let mut command = Command::new(program);
        // What stays behind to carry the next command must not keep our pipe open.
        command.arg("-F").arg(self.config()).args(arguments).stdin(Stdio::null());
        let error = self.file("stderr");
        command.stderr(fs::File::create(&error)?);
        let mut output = command.output().with_context(|| program.to_owned())?;
        output.stderr = fs::read(error)?;
        Ok(output)
    }

    /// Runs `sftp` with a batch of its commands; gives whether all succeeded, and what it printed.
    pub fn sftp(&self, batch: &str) -> Result<(bool, String)> {
        let file = self.file("batch");
        fs::write(&file, batch)?;
        let output = self.run("sftp", &["-q", "-b", &file.display().to_string(), "host"])?;
        Ok((output.status.success(), said(&output)))
    }
}

/// Both outputs of a program.
pub fn said(output: &Output) -> String {
    [&output.stdout[..], &output.stderr].map(String::from_utf8_lossy).concat()
}

//! What sshd is told about one account (sshd_config(5)), and whether it understood.

use super::{Enrollment, Error, Kind};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Debian's name of sshd's unit.
pub const UNIT: &str = "ssh.service";
/// What an edge pins.
pub const HOST_KEY: &str = "/etc/ssh/ssh_host_ed25519_key.pub";
const PROGRAM: &str = "/usr/sbin/sshd";
const CONFIG: &str = "/etc/ssh/sshd_config";

/// Where an account's part of the configuration stands.
pub fn file(account: &str) -> PathBuf {
    Path::new("/etc/ssh/sshd_config.d").join(format!("porthole-{account}.conf"))
}

/// An account's part of the configuration, and what `sshd -T` must say of the account with it.
pub fn snippet(enrollment: &Enrollment, key_file: &Path) -> (String, Vec<String>) {
    let account = &enrollment.account;
    let (chroot, command) = match enrollment.kind {
        Kind::Camera => (enrollment.home().display().to_string(), "internal-sftp -u 0007".to_owned()),
        Kind::Script => {
            let (program, inbox) = (enrollment.program.display(), enrollment.inbox());
            ("none".to_owned(), format!("{program} receive --inbox {}", inbox.display()))
        }
    };
    let settings = [
        ("AuthorizedKeysFile", key_file.display().to_string()),
        ("AuthenticationMethods", "publickey".to_owned()),
        ("ChrootDirectory", chroot),
        ("ForceCommand", command),
        ("DisableForwarding", "yes".to_owned()),
        ("PermitTTY", "no".to_owned()),
        ("PermitUserRC", "no".to_owned()),
    ];
    let mut text = format!(
        "# The {} {account}: made by porthole-remote enroll.\nMatch User {account}\n",
        enrollment.kind
    );
    let mut effect = Vec::new();
    for (keyword, value) in settings {
        text.push_str(&format!("    {keyword} {value}\n"));
        effect.push(format!("{} {value}", keyword.to_ascii_lowercase()));
    }
    text.push_str("Match all\n");
    (text, effect)
}

/// Looks whether sshd could be started with the file `more` before its configuration, and would do with the account what
/// `effect` says.
///
/// # Errors
/// It could not, or would do something else.
pub fn check(account: &str, effect: &[String], more: Option<&Path>) -> Result<(), Error> {
    let included = more.into_iter().chain([Path::new(CONFIG)]);
    let config: String = included.map(|file| format!("Include {}\n", file.display())).collect();
    let said = ask(account, &config)?;
    for wanted in effect {
        let keyword = wanted.split_once(' ').map_or(wanted.as_str(), |(keyword, _)| keyword);
        let has = |line: &&str| line.split_once(' ').is_some_and(|(found, _)| found == keyword);
        let found = said.lines().find(has).unwrap_or_default();
        if found != wanted {
            let (name, wanted, found) = (account.to_owned(), wanted.clone(), found.to_owned());
            return Err(Error::Sshd { name, wanted, found });
        }
    }
    Ok(())
}

/// What a configuration means for an account.
fn ask(account: &str, config: &str) -> Result<String, Error> {
    let failed = |said: String| Error::Program { program: "sshd -T".to_owned(), said };
    let mut command = Command::new(PROGRAM);
    command.args(["-T", "-f", "/dev/stdin", "-C", &format!("user={account},host=localhost,addr=127.0.0.1")]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|error| failed(error.to_string()))?;
    if let Some(mut input) = child.stdin.take() {
        input.write_all(config.as_bytes()).map_err(|error| failed(error.to_string()))?;
    }
    let output = child.wait_with_output().map_err(|error| failed(error.to_string()))?;
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    } else {
        Err(failed(String::from_utf8_lossy(&output.stderr).trim_end().to_owned()))
    }
}

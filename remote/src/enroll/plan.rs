//! What enrolling does, step by step, as data: to be performed, or printed as a script that a person can read and run.

use super::{Enrollment, Kind, sshd};
use std::fmt;
use std::path::{Path, PathBuf};

/// The group that the service is in; remote/systemd/porthole-remote.sysusers makes it.
pub const GROUP: &str = "porthole";
/// What systemctl(1) does with a running sshd, and not with one that is started by its socket.
pub const RELOAD: &str = "try-reload-or-restart";
/// A key for each account. Not in the account's home: it must not be able to add one.
pub const KEYS: &str = "/etc/porthole/keys";

/// One thing that is made so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// There is an account without a password, with a group of its own.
    Account {
        /// Its name.
        name: String,
        /// Its home.
        home: PathBuf,
        /// Its shell.
        shell: &'static str,
    },
    /// There is a folder.
    Folder {
        /// Where.
        path: PathBuf,
        /// Whose: user and group.
        owner: (String, &'static str),
        /// Its mode.
        mode: u32,
    },
    /// The account's key is in a file of root's.
    Key {
        /// Where.
        path: PathBuf,
        /// The whole file.
        text: String,
    },
    /// sshd knows what the account may do.
    Sshd {
        /// Whose.
        account: String,
        /// The file.
        path: PathBuf,
        /// The whole file.
        text: String,
        /// Lines of `sshd -T` for this account.
        effect: Vec<String>,
    },
    /// The running sshd reads its configuration again.
    Reload,
}

/// All steps, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    title: String,
    /// The steps.
    pub steps: Vec<Step>,
}

impl Plan {
    /// What it takes to enroll somebody.
    pub fn of(enrollment: &Enrollment) -> Self {
        let Enrollment { account, key, kind, dir, .. } = enrollment;
        let roots = |path: PathBuf| Step::Folder { path, owner: ("root".to_owned(), "root"), mode: 0o755 };
        // sshd starts a forced command by the account's shell, which sees nothing but that command.
        let shell = match kind {
            Kind::Camera => "/usr/sbin/nologin",
            Kind::Script => "/bin/sh",
        };
        let key_file = Path::new(KEYS).join(account);
        let (text, effect) = sshd::snippet(enrollment, &key_file);
        let steps = vec![
            Step::Account { name: account.clone(), home: enrollment.home(), shell },
            roots(dir.clone()),
            roots(dir.join("inbox")),
            roots(enrollment.home()),
            Step::Folder { path: enrollment.inbox(), owner: (account.clone(), GROUP), mode: 0o2770 },
            roots(PathBuf::from("/etc/porthole")),
            roots(PathBuf::from(KEYS)),
            Step::Key { path: key_file, text: format!("restrict {key} {account}\n") },
            Step::Sshd { account: account.clone(), path: sshd::file(account), text, effect },
            Step::Reload,
        ];
        Self { title: format!("Lets the {kind} {account} send its recordings."), steps }
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "#!/bin/sh\n# {} To be run as root.\nset -eu", self.title)?;
        self.steps.iter().try_for_each(|step| write!(f, "{step}"))
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Account { name, home, shell } => {
                let words = useradd(name, home, shell);
                writeln!(f, "useradd {}", words.join(" ").replace(NO_PASSWORD, &format!("'{NO_PASSWORD}'")))
            }
            Self::Folder { path, owner: (user, group), mode } => {
                writeln!(f, "install -d -o {user} -g {group} -m {mode:04o} {}", path.display())
            }
            Self::Key { path, text } => write_here(f, path, text),
            Self::Sshd { path, text, .. } => {
                write_here(f, path, text)?;
                writeln!(f, "sshd -t || {{ rm {}; exit 1; }}", path.display())
            }
            Self::Reload => writeln!(f, "systemctl {RELOAD} {}", sshd::UNIT),
        }
    }
}

fn write_here(f: &mut fmt::Formatter<'_>, path: &Path, text: &str) -> fmt::Result {
    let path = path.display();
    writeln!(f, "cat > {path} <<'END'\n{text}END\nchmod 0644 {path}")
}

/// Nothing matches it, and unlike `!` it does not lock the account for keys too.
const NO_PASSWORD: &str = "*";

/// Arguments of useradd(8).
pub fn useradd(name: &str, home: &Path, shell: &str) -> Vec<String> {
    let home = home.display().to_string();
    let words = ["--system", "--user-group", "--no-create-home", "--home-dir", &home, "--shell", shell];
    words.into_iter().chain(["--password", NO_PASSWORD, name]).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAINdamAGCsQq31Uv+08lkBzoO4XLz2qYjJa8CGmj3B1Ea porthole-front";

    fn printed(kind: Kind) -> String {
        let (dir, program) = (Path::new("/var/lib/porthole"), Path::new("/usr/local/bin/porthole-remote"));
        Enrollment::new(KEY, Some("front"), kind, dir, program).expect("is fine").plan().to_string()
    }

    #[test]
    fn a_cameras_plan_can_be_read() {
        let expected = "\
#!/bin/sh
# Lets the camera front send its recordings. To be run as root.
set -eu
useradd --system --user-group --no-create-home --home-dir /var/lib/porthole/inbox/front --shell /usr/sbin/nologin --password '*' front
install -d -o root -g root -m 0755 /var/lib/porthole
install -d -o root -g root -m 0755 /var/lib/porthole/inbox
install -d -o root -g root -m 0755 /var/lib/porthole/inbox/front
install -d -o front -g porthole -m 2770 /var/lib/porthole/inbox/front/inbox
install -d -o root -g root -m 0755 /etc/porthole
install -d -o root -g root -m 0755 /etc/porthole/keys
cat > /etc/porthole/keys/front <<'END'
restrict ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAINdamAGCsQq31Uv+08lkBzoO4XLz2qYjJa8CGmj3B1Ea front
END
chmod 0644 /etc/porthole/keys/front
cat > /etc/ssh/sshd_config.d/porthole-front.conf <<'END'
# The camera front: made by porthole-remote enroll.
Match User front
    AuthorizedKeysFile /etc/porthole/keys/front
    AuthenticationMethods publickey
    ChrootDirectory /var/lib/porthole/inbox/front
    ForceCommand internal-sftp -u 0007
    DisableForwarding yes
    PermitTTY no
    PermitUserRC no
Match all
END
chmod 0644 /etc/ssh/sshd_config.d/porthole-front.conf
sshd -t || { rm /etc/ssh/sshd_config.d/porthole-front.conf; exit 1; }
systemctl try-reload-or-restart ssh.service
";
        assert_eq!(printed(Kind::Camera), expected);
    }

    #[test]
    fn a_scripts_plan_differs_in_shell_chroot_and_command() {
        let (camera, script) = (printed(Kind::Camera), printed(Kind::Script));
        let only = |one: &str, other: &str| -> String {
            let lines = one.lines().filter(|line| !other.lines().any(|known| known == *line));
            lines.map(|line| format!("{line}\n")).collect()
        };
        assert_eq!(
            only(&script, &camera),
            "\
# Lets the script front send its recordings. To be run as root.
useradd --system --user-group --no-create-home --home-dir /var/lib/porthole/inbox/front --shell /bin/sh --password '*' front
# The script front: made by porthole-remote enroll.
    ChrootDirectory none
    ForceCommand /usr/local/bin/porthole-remote receive --inbox /var/lib/porthole/inbox/front/inbox
"
        );
    }
}

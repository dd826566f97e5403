//! Performing a plan: all of it, or, when a step fails, nothing.

use super::plan::{Plan, RELOAD, Step, useradd};
use super::{Error, sshd};
use nix::fcntl::OFlag;
use nix::unistd::{Group, User, geteuid};
use service::files;
use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};
use std::process::Command;

/// What a step changed.
enum Change {
    Account(String),
    Folder(PathBuf),
    File {
        path: PathBuf,
        /// What was there.
        before: Option<String>,
    },
}

/// Makes all steps of a plan so. What is so already stays as it is, so that doing it twice is harmless.
///
/// # Errors
/// A step failed; what the others had changed was undone.
pub fn perform(plan: &Plan) -> Result<(), Error> {
    if !geteuid().is_root() {
        return Err(Error::Host("enrolling takes root; --print shows what would be done".to_owned()));
    }
    let mut changes = Vec::new();
    let done = plan.steps.iter().try_for_each(|step| make_so(step, &mut changes));
    done.map_err(|error| {
        let left: Vec<String> = changes.iter().rev().filter_map(|change| undo(change).err()).collect();
        match left.is_empty() {
            true => error,
            false => Error::Undo { error: Box::new(error), left: left.join(", ") },
        }
    })
}

/// A change is noted before anything behind it can fail.
fn make_so(step: &Step, changes: &mut Vec<Change>) -> Result<(), Error> {
    match step {
        Step::Account { name, home, shell } => account(name, home, shell, changes),
        Step::Folder { path, owner: (user, group), mode } => folder(path, user, group, *mode, changes),
        Step::Key { path, text } => match read(path)? {
            None => replace(path, text, None, changes),
            Some(there) if there == *text => Ok(()),
            Some(_) => Err(Error::OtherKey(path.clone())),
        },
        Step::Sshd { account, path, text, effect } => {
            let before = read(path)?;
            if before.as_ref() != Some(text) {
                try_out(path, text, account, effect)?;
                replace(path, text, before, changes)?;
            }
            sshd::check(account, effect, None)
        }
        Step::Reload if Path::new("/run/systemd/system").exists() => {
            run(Command::new("systemctl").args([RELOAD, sshd::UNIT]))
        }
        Step::Reload => {
            eprintln!("no systemd runs here: make sshd read its configuration again");
            Ok(())
        }
    }
}

fn account(name: &str, home: &Path, shell: &str, changes: &mut Vec<Change>) -> Result<(), Error> {
    match User::from_name(name).map_err(|errno| Error::Host(format!("account {name}: {errno}")))? {
        None => {
            run(Command::new("useradd").args(useradd(name, home, shell)))?;
            changes.push(Change::Account(name.to_owned()));
            Ok(())
        }
        Some(user) if user.dir == home && user.shell == Path::new(shell) => Ok(()),
        Some(user) => {
            let found = format!("its home is {}, its shell {}", user.dir.display(), user.shell.display());
            Err(Error::Taken { name: name.to_owned(), found })
        }
    }
}

fn folder(path: &Path, user: &str, group: &str, mode: u32, changes: &mut Vec<Change>) -> Result<(), Error> {
    let missing = |what: &str, name: &str| Error::Host(format!("there is no {what} {name}"));
    let uid = User::from_name(user).ok().flatten().ok_or_else(|| missing("account", user))?.uid;
    let gid = Group::from_name(group).ok().flatten().ok_or_else(|| missing("group", group))?.gid;
    match DirBuilder::new().mode(0o700).create(path) {
        Ok(()) => changes.push(Change::Folder(path.to_owned())),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(host(path)(error)),
    }
    let flags = (OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW).bits();
    let folder = OpenOptions::new().read(true).custom_flags(flags).open(path).map_err(host(path))?;
    fchown(&folder, Some(uid.as_raw()), Some(gid.as_raw())).map_err(host(path))?;
    folder.set_permissions(Permissions::from_mode(mode)).map_err(host(path))
}

fn read(path: &Path) -> Result<Option<String>, Error> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(host(path)(error)),
    }
}

/// Where a file stands until it is whole; not `*.conf`, so that sshd does not read it.
fn unfinished(path: &Path) -> PathBuf {
    files::beside(path, files::UNFINISHED)
}

/// Has sshd judge its new configuration before the file has its name: also who pulls the plug now leaves an sshd that starts.
fn try_out(path: &Path, text: &str, account: &str, effect: &[String]) -> Result<(), Error> {
    let unfinished = unfinished(path);
    write(&unfinished, text).map_err(host(&unfinished))?;
    let judged = sshd::check(account, effect, Some(&unfinished));
    fs::remove_file(&unfinished).map_err(host(&unfinished))?;
    judged
}

/// Puts a file in the place of what was there, durably.
fn replace(path: &Path, text: &str, before: Option<String>, changes: &mut Vec<Change>) -> Result<(), Error> {
    put(path, text).map_err(host(path))?;
    changes.push(Change::File { path: path.to_owned(), before });
    let folder = files::parent(path);
    files::sync(folder).map_err(host(folder))
}

fn put(path: &Path, text: &str) -> io::Result<()> {
    let unfinished = unfinished(path);
    write(&unfinished, text)?;
    fs::rename(unfinished, path)
}

/// Root's, and for everybody to read: sshd reads a key as the account itself.
fn write(path: &Path, text: &str) -> io::Result<()> {
    let mut file = File::create(path)?;
    file.set_permissions(Permissions::from_mode(0o644))?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

/// Undoes a change, or says what is left.
fn undo(change: &Change) -> Result<(), String> {
    match change {
        Change::Account(name) => {
            run(Command::new("userdel").arg(name)).map_err(|_| format!("account {name}"))
        }
        Change::Folder(path) => fs::remove_dir(path).map_err(|_| path.display().to_string()),
        Change::File { path, before } => {
            let undone = match before {
                Some(text) => put(path, text),
                None => fs::remove_file(path),
            };
            undone.map_err(|_| path.display().to_string())
        }
    }
}

fn run(command: &mut Command) -> Result<(), Error> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.output().map_err(|error| Error::Host(format!("cannot start {program}: {error}")))?;
    if output.status.success() {
        return Ok(());
    }
    Err(Error::Program { program, said: String::from_utf8_lossy(&output.stderr).trim_end().to_owned() })
}

fn host(path: &Path) -> impl Fn(io::Error) -> Error {
    move |error| Error::Host(format!("{}: {error}", path.display()))
}

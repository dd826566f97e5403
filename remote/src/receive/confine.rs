//! A process that may write files into one folder, and do nothing else to the file system (landlock(7)).
//!
//! Accounts and modes protect the other cameras already; this keeps a script's own account from everything else, such as `/tmp`. Kernels
//! before 5.13 have no Landlock: there accounts and modes are all.

use landlock::{
    ABI, Access, AccessFs, BitFlags, Ruleset, RulesetAttr, RulesetCreatedAttr, RulesetError,
    path_beneath_rules,
};
use std::path::Path;

/// The first with a right to truncate; older kernels enforce what they know.
const KNOWN: ABI = ABI::V3;
/// What OpenSSH's programs, and the libraries they load, need to read.
const NEEDED: [&str; 8] = [
    "/usr",
    "/lib",
    "/lib64",
    "/etc/ld.so.cache",
    "/etc/passwd",
    "/etc/group",
    "/etc/nsswitch.conf",
    "/etc/localtime",
];

/// Gives up, for this process and what it becomes, all but making and writing regular files in `folder`.
pub fn to(folder: &Path) -> Result<(), RulesetError> {
    let write: BitFlags<AccessFs> = AccessFs::WriteFile | AccessFs::Truncate | AccessFs::MakeReg;
    Ruleset::default()
        .handle_access(AccessFs::from_all(KNOWN))?
        .create()?
        .add_rules(path_beneath_rules(NEEDED, AccessFs::from_read(KNOWN)))?
        .add_rules(path_beneath_rules(["/dev/null"], AccessFs::ReadFile | AccessFs::WriteFile))?
        .add_rules(path_beneath_rules([folder], write))?
        .restrict_self()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{self, File};
    use std::io::ErrorKind;

    #[test]
    fn nothing_can_be_read_or_made_elsewhere() {
        let dir = tempfile::tempdir().expect("dir");
        let (inbox, other) = (dir.path().join("inbox"), dir.path().join("other"));
        fs::create_dir(&inbox).expect("makes");
        fs::write(&other, "secret").expect("writes");
        // Only the thread that confines itself is confined.
        let confined = std::thread::spawn(move || {
            to(&inbox).expect("confines");
            if File::open(&other).is_ok() {
                return eprintln!("this kernel has no Landlock");
            }
            let denied = |error: std::io::Error| error.kind() == ErrorKind::PermissionDenied;
            fs::write(inbox.join("a.mp4"), "footage").expect("writes");
            fs::write(inbox.join("a.mp4"), "foot").expect("truncates");
            assert!(File::open(inbox.join("a.mp4")).is_err_and(denied));
            assert!(fs::write(&other, "").is_err_and(denied));
            assert!(fs::remove_file(inbox.join("a.mp4")).is_err_and(denied));
            assert!(std::os::unix::fs::symlink("/", inbox.join("link")).is_err_and(denied));
            assert!(fs::create_dir(inbox.join("folder")).is_err_and(denied));
            assert!(File::open("/etc/passwd").is_ok() && File::open("/etc/shadow").is_err());
        });
        confined.join().expect("no panic");
    }
}

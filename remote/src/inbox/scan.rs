//! Looking through the inboxes: all accounts in turn, a bounded number of names of each at a time.
//!
//! ```text
//! inbox/ACCOUNT/inbox/     where there is one: then inbox/ACCOUNT/ is a chroot
//! inbox/ACCOUNT/           else
//! ```
//!
//! A folder with more names than one look may take is gone on with at the next look, so that neither memory nor time
//! grow with what a camera puts there.

use super::name::Name;
use crate::folder::{Error, Folder, Kind, Names};
use std::collections::HashMap;
use std::ffi::OsString;
use std::sync::Arc;

/// Names of one account that one look takes.
const MOST_NAMES: usize = 4096;
/// Accounts that are served.
const MOST_ACCOUNTS: usize = 1024;

/// The inbox of one account.
#[derive(Debug)]
pub struct Account {
    /// The account: the name of its folder.
    pub name: String,
    /// Where its camera writes.
    pub folder: Folder,
}

/// The way through all inboxes.
#[derive(Default)]
pub struct Scan {
    /// Where the last look ended before the names did.
    unfinished: HashMap<String, Names>,
}

impl Scan {
    /// The accounts there are now. One whose folder cannot be opened is left out, with a line in the log.
    ///
    /// # Errors
    /// The folder of the inboxes cannot be read.
    pub fn accounts(&mut self, inboxes: &Folder) -> Result<Vec<Arc<Account>>, Error> {
        let mut accounts = Vec::new();
        for name in inboxes.names()?.take(MOST_ACCOUNTS) {
            let Some(name) = name?.to_str().and_then(Name::new) else { continue };
            match open(inboxes, name.as_str()) {
                Ok(Some(folder)) => {
                    accounts.push(Arc::new(Account { name: name.as_str().to_owned(), folder }));
                }
                Ok(None) => {}
                Err(error) => tracing::warn!(account = %name, %error, "inbox left out"),
            }
        }
        self.unfinished.retain(|name, _| accounts.iter().any(|account| account.name == *name));
        Ok(accounts)
    }

    /// The next names of an account, and whether they are the last ones: then all were seen.
    ///
    /// # Errors
    /// Its folder cannot be read.
    pub fn names(&mut self, account: &Account) -> Result<(Vec<OsString>, bool), Error> {
        let mut names = match self.unfinished.remove(&account.name) {
            Some(names) => names,
            None => account.folder.names()?,
        };
        let some = names.by_ref().take(MOST_NAMES).collect::<Result<Vec<_>, _>>()?;
        let ends = some.len() < MOST_NAMES;
        if !ends {
            self.unfinished.insert(account.name.clone(), names);
        }
        Ok((some, ends))
    }
}

fn open(inboxes: &Folder, account: &str) -> Result<Option<Folder>, Error> {
    let Some(outer) = inboxes.folder(account)? else { return Ok(None) };
    // A link of that name is the camera's own doing.
    match outer.look("inbox")? {
        Some(meta) if meta.kind == Kind::Folder => outer.folder("inbox"),
        _ => Ok(Some(outer)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;
    use std::fs;

    #[test]
    fn a_chroot_and_a_plain_folder_are_inboxes_and_a_link_is_none() {
        let dir = tempfile::tempdir().expect("dir");
        fs::create_dir_all(dir.path().join("plain")).expect("makes");
        fs::create_dir_all(dir.path().join("chroot/inbox")).expect("makes");
        std::os::unix::fs::symlink("plain", dir.path().join("link")).expect("links");
        fs::write(dir.path().join("file"), b"").expect("writes");
        let inboxes = Folder::open(dir.path()).expect("opens");
        let accounts = Scan::default().accounts(&inboxes).expect("reads");
        let mut paths: Vec<_> = accounts
            .iter()
            .map(|account| account.folder.path().strip_prefix(dir.path()).expect("below").to_owned())
            .collect();
        paths.sort();
        assert_eq!(paths, ["chroot/inbox", "plain"].map(std::path::PathBuf::from));
    }

    #[test]
    fn a_crowded_folder_is_read_in_pieces_until_every_name_was_seen() {
        let dir = tempfile::tempdir().expect("dir");
        fs::create_dir(dir.path().join("a")).expect("makes");
        for n in 0..MOST_NAMES + 10 {
            fs::write(dir.path().join(format!("a/{n}")), b"").expect("writes");
        }
        let inboxes = Folder::open(dir.path()).expect("opens");
        let mut scan = Scan::default();
        let mut seen = HashSet::new();
        for expected in [(MOST_NAMES, false), (10, true)] {
            let accounts = scan.accounts(&inboxes).expect("reads");
            let (names, ends) = scan.names(&accounts[0]).expect("reads");
            assert_eq!((names.len(), ends), expected);
            seen.extend(names);
        }
        assert_eq!(seen.len(), MOST_NAMES + 10);
    }
}

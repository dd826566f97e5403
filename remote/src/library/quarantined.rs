//! What was put aside, with the reasons. A folder is read again only after it has changed.

use super::recording::{Recording, State, arrived};
use crate::folder::{Error, Folder, Kind, Meta};
use crate::inbox::name::Name;
use std::cmp::Reverse;
use std::collections::BTreeMap;

/// Accounts that are looked at.
const MOST_ACCOUNTS: usize = 1024;
/// Files of an account that are told of: the newest.
const MOST_FILES: usize = 100;
/// The longest reason that is shown.
const MOST_REASON: u64 = 400;

/// What was put aside, account by account.
#[derive(Debug, Default)]
pub struct Quarantined(BTreeMap<String, (Meta, Vec<Recording>)>);

impl Quarantined {
    /// Looks at the folders that have changed; says whether any has.
    pub fn look(&mut self, quarantine: &Folder) -> Result<bool, Error> {
        let mut changed = false;
        let mut accounts = BTreeMap::new();
        for entry in quarantine.names()?.take(MOST_ACCOUNTS) {
            let entry = entry?;
            let Some(account) = entry.to_str().and_then(Name::new) else { continue };
            if let Some(meta) = quarantine.look(account.as_str())?.filter(|meta| meta.kind == Kind::Folder) {
                accounts.insert(account.as_str().to_owned(), meta);
            }
        }
        self.0.retain(|account, _| {
            let stays = accounts.contains_key(account);
            changed |= !stays;
            stays
        });
        for (account, meta) in accounts {
            if self.0.get(&account).is_some_and(|(known, _)| *known == meta) {
                continue;
            }
            if let Some(folder) = quarantine.folder(&account)? {
                let files = read(&folder, &account)?;
                self.0.insert(account, (meta, files));
                changed = true;
            }
        }
        Ok(changed)
    }

    /// What was found.
    pub fn recordings(&self) -> impl Iterator<Item = Recording> {
        self.0.values().flat_map(|(_, files)| files.iter().cloned())
    }
}

fn read(folder: &Folder, account: &str) -> Result<Vec<Recording>, Error> {
    let mut files: Vec<(Meta, String)> = Vec::new();
    for entry in folder.names()? {
        let Ok(name) = entry?.into_string() else { continue };
        if let Some(meta) = folder.look(&name)?.filter(|_| !name.ends_with(".reason")) {
            files.push((meta, name));
        }
    }
    files.sort_by_key(|(meta, _)| Reverse(meta.changed));
    files.truncate(MOST_FILES);
    let recording = |(meta, name): (Meta, String)| {
        let reason = folder.read(format!("{name}.reason"), MOST_REASON)?.unwrap_or_default();
        Ok(Recording {
            name,
            camera: account.to_owned(),
            state: State::Quarantined,
            reason: Some(String::from_utf8_lossy(&reason).trim().to_owned()),
            start: None,
            arrived: arrived(&meta),
            seconds: None,
            bytes: meta.size,
            hls: None,
            mp4: None,
        })
    };
    files.into_iter().map(recording).collect()
}

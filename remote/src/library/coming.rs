//! Recordings on their way: what cameras write into their inboxes, what waits there, what workers have.

use super::account::Account;
use super::held::Held;
use super::recording::{Recording, State, arrived};
use crate::folder::{Error, Folder, Kind, Meta};
use crate::folders::Folders;
use crate::inbox::name::FileName;
use crate::inbox::scan::Scan;
use media::WallTime;
use media::names::RecordingName;
use std::collections::BTreeMap;

/// Names of a folder that one look takes.
const MOST_NAMES: usize = 1024;
/// Recordings that are told of.
const MOST: usize = 1024;

/// Looks at inboxes and claims.
#[derive(Default)]
pub struct Coming(Scan);

/// What was found of a recording, the furthest that it has come.
struct Found {
    state: State,
    account: String,
    meta: Meta,
}

impl Coming {
    /// What is on its way, newest first. What is here already is not on its way.
    pub fn look(
        &mut self,
        folders: &Folders,
        held: &Held,
        account: &Account,
    ) -> Result<Vec<Recording>, Error> {
        let mut found = BTreeMap::new();
        for inbox in self.0.accounts(&folders.inbox)? {
            collect(&inbox.folder, &inbox.name, State::Receipted, &mut found)?;
        }
        collect(&folders.claim, "", State::Chopping, &mut found)?;
        found.retain(|name, _| !held.recordings.contains_key(name));
        let mut recordings: Vec<Recording> =
            found.into_iter().map(|(name, found)| recording(name, &found, account)).collect();
        recordings.sort_by(|a, b| b.key().cmp(&a.key()));
        recordings.truncate(MOST);
        Ok(recordings)
    }
}

/// Adds the recordings in a folder, which are in `state` if they are whole.
fn collect(
    folder: &Folder,
    account: &str,
    state: State,
    found: &mut BTreeMap<String, Found>,
) -> Result<(), Error> {
    for entry in folder.names()?.take(MOST_NAMES) {
        let entry = entry?;
        let (name, state) = match FileName::of(&entry) {
            FileName::Recording(name) => (name, state),
            FileName::Part(name) => (name, State::Arriving),
            _ => continue,
        };
        let Some(meta) = folder.look(&entry)?.filter(|meta| meta.kind == Kind::File) else { continue };
        let known = found.get(name.as_str());
        if known.is_some_and(|known| known.state != State::Arriving && state == State::Arriving) {
            continue;
        }
        let account = known.map_or(account, |known| &known.account).to_owned();
        found.insert(name.as_str().to_owned(), Found { state, account, meta });
    }
    Ok(())
}

fn recording(name: String, found: &Found, account: &Account) -> Recording {
    let start = name.parse::<RecordingName>().ok().and_then(|name| name.start);
    Recording {
        camera: account.label_of(&name, &found.account),
        name,
        state: found.state,
        reason: None,
        start: start.map(WallTime::as_millis),
        arrived: arrived(&found.meta),
        seconds: None,
        bytes: found.meta.size,
        hls: None,
        mp4: None,
    }
}

//! Sealing what a crash left torn in a folder that no appliance uses: on a card that was taken out, or in a copy of one.

use super::folder::lock;
use super::journal::{Journal, load};
use super::ledgers::Ledgers;
use super::places::Places;
use super::repair::{self, Sealed};
use super::{Error, files};
use crate::upload::key::DeviceKey;
use bytes::Bytes;
use media::names::{CameraId, RecordingName};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What became of one file of a folder.
pub type Recovered = (PathBuf, Result<Option<Sealed>, Error>);

/// Seals every torn recording in `dir`, whatever its name, with or without a journal; gives what was found. Nothing is
/// removed, and files that are no recordings are reported and left alone.
///
/// Whoever recovers a card elsewhere has neither its device's key nor, perhaps, the end of its ledger: what is sealed is not
/// signed then. With the `key`, and where the end of the camera's ledger is in `dir`, it is signed as the appliance itself would.
///
/// # Errors
/// The folder cannot be listed, an appliance is using it, or the key is none.
pub fn recover_dir(dir: &Path, key: Option<&DeviceKey>) -> Result<Vec<Recovered>, Error> {
    let _lock = lock(dir)?;
    let list = std::fs::read_dir(dir).map_err(Error::io("list", dir))?;
    let paths = list.map(|file| file.map(|file| file.path())).collect::<Result<Vec<_>, _>>();
    let mut paths = paths.map_err(Error::io("list", dir))?;
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "mp4"));
    paths.sort_unstable();
    let mut signer = key.map(|key| Signer::new(dir, key)).transpose()?;
    let recover = |path: PathBuf| {
        let sealed = match &mut signer {
            Some(signer) => signer.seal(&path),
            None => repair::seal(&path, None, |_, _| Ok(Bytes::new())),
        };
        (path, sealed)
    };
    Ok(paths.into_iter().map(recover).collect())
}

/// Signs what it seals.
struct Signer {
    device: Vec<u8>,
    ledgers: Ledgers,
}

impl Signer {
    fn new(dir: &Path, key: &DeviceKey) -> Result<Self, Error> {
        let places = Arc::new(Places::new(dir, None));
        Ok(Self { device: key.public_blob()?, ledgers: Ledgers::new(places, "", key) })
    }

    fn seal(&mut self, path: &Path) -> Result<Option<Sealed>, Error> {
        let name = path.file_stem().and_then(|name| name.to_str()?.parse::<RecordingName>().ok());
        let journal = load::<Journal>(&files::beside(path, "journal")).ok().flatten();
        let known = name.zip(journal).filter(|(name, _)| self.ledgers.has_end(name.camera));
        let sealed = repair::seal(path, None, |growing, about| match &known {
            Some((name, journal)) if CameraId::new(&self.device, &about.camera) == name.camera => {
                self.ledgers.draft(name, &journal.boot, growing.gops())
            }
            _ => Ok(Bytes::new()),
        })?;
        if let (Some((name, _)), Some(Sealed { repaired: true, .. })) = (&known, &sealed) {
            self.ledgers.sealed(name.camera, path)?;
        }
        Ok(sealed)
    }
}

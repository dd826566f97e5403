//! The host's own name and time zone, where the host is there for the device alone: as they are set for that.

use crate::config::Device;
use crate::store::files;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

/// Where a host has what is changed.
#[derive(Clone, Debug)]
pub struct Places {
    /// What is written there is the host's name from then on, also for mDNS.
    pub name: PathBuf,
    /// The time zones that there are.
    pub zones: PathBuf,
    /// Becomes a link to the one that holds.
    pub zone: PathBuf,
}

/// Why the host was not changed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file cannot be written.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The host does not know the time zone.
    #[error("device.time_zone = {0:?}: this host does not know it")]
    Zone(String),
}

/// Gives the host the name and the time zone of the device. An unknown zone does not keep the name from being set.
///
/// # Errors
/// One of them cannot be set.
pub fn name_host(device: &Device, places: &Places) -> Result<(), Error> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| Error::Io { path, source }
    };
    std::fs::write(&places.name, &device.name).map_err(failed(&places.name))?;
    let zone = places.zones.join(&device.time_zone);
    if !zone.is_file() {
        return Err(Error::Zone(device.time_zone.clone()));
    }
    // A link is replaced whole, or somebody reads none.
    let new = places.zone.with_extension("new");
    files::remove(&new).and_then(|()| symlink(&zone, &new)).map_err(failed(&new))?;
    std::fs::rename(&new, &places.zone).map_err(failed(&places.zone))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_called_as_the_device_and_knows_its_time() {
        let folder = tempfile::tempdir().expect("folder");
        let [name, zones, zone] = ["hostname", "zoneinfo", "localtime"].map(|name| folder.path().join(name));
        std::fs::create_dir_all(zones.join("Europe")).expect("folder");
        std::fs::write(zones.join("Europe/Berlin"), "CET").expect("zone");
        std::fs::write(zones.join("UTC"), "UTC").expect("zone");
        let places = Places { name: name.clone(), zones, zone: zone.clone() };
        let device = |name: &str, zone: &str| Device { name: name.to_owned(), time_zone: zone.to_owned() };
        let now =
            || (std::fs::read_to_string(&name).expect("name"), std::fs::read_to_string(&zone).expect("zone"));
        for (called, at, shows) in [("barn-7", "Europe/Berlin", "CET"), ("barn-8", "UTC", "UTC")] {
            name_host(&device(called, at), &places).expect("good");
            assert_eq!(now(), (called.to_owned(), shows.to_owned()));
        }
        let error = name_host(&device("barn-9", "Mars/Olympus"), &places).expect_err("unknown");
        assert_eq!(error.to_string(), "device.time_zone = \"Mars/Olympus\": this host does not know it");
        assert_eq!(now(), ("barn-9".to_owned(), "UTC".to_owned()));
    }
}

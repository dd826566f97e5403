//! Configuration files: TOML that is read once, whole, and refused with the reason.
//!
//! Each program has its own keys and defaults, and calls [`require`] for every value that can be impossible.

use serde::de::DeserializeOwned;
use std::path::{Path, PathBuf};

/// Why a configuration was refused.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file could not be read.
    #[error("{path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Not TOML, an unknown key or a value of the wrong type; the message shows the line.
    #[error("{0}")]
    Syntax(Box<toml::de::Error>),
    /// A value that cannot be.
    #[error("{key} = {value}: {allowed}")]
    Value {
        /// Dotted path of the key, cameras by name: `camera.front.width`.
        key: String,
        /// What stands there.
        value: String,
        /// What may stand there.
        allowed: &'static str,
    },
}

/// The file that was named, else the usual one if it is there.
pub fn chosen(named: Option<&Path>, usual: &Path) -> Option<PathBuf> {
    named.or_else(|| usual.exists().then_some(usual)).map(Path::to_owned)
}

/// The text of a configuration file.
///
/// # Errors
/// It cannot be read.
pub fn read(path: &Path) -> Result<String, Error> {
    std::fs::read_to_string(path).map_err(|source| Error::Read { path: path.to_owned(), source })
}

/// What the text says, not checked yet.
///
/// # Errors
/// It is not TOML, or has unknown keys or values of the wrong type.
pub fn from_toml<T: DeserializeOwned>(text: &str) -> Result<T, Error> {
    toml::from_str(text).map_err(|error| Error::Syntax(Box::new(error)))
}

/// Refuses the `value` of `key` unless it `holds`.
///
/// # Errors
/// It does not.
pub fn require(holds: bool, key: &str, value: impl ToString, allowed: &'static str) -> Result<(), Error> {
    if holds { Ok(()) } else { Err(Error::Value { key: key.to_owned(), value: value.to_string(), allowed }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_named_file_goes_before_the_usual_one_and_none_is_needed() {
        let dir = tempfile::tempdir().expect("dir");
        let [named, usual] = ["named", "usual"].map(|name| dir.path().join(name));
        assert_eq!(chosen(None, &usual), None);
        std::fs::write(&usual, "").expect("writes");
        assert_eq!(chosen(None, &usual), Some(usual.clone()));
        // That it is not there is for its reader to say.
        assert_eq!(chosen(Some(&named), &usual), Some(named.clone()));
        let error = read(&named).expect_err("is not there").to_string();
        assert_eq!(error, format!("{}: No such file or directory (os error 2)", named.display()));
    }
}

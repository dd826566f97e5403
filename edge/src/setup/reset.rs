//! The factory reset: the device is nobody's again, and no recording is lost. docs/design/auth.md says what goes and what stays.

use super::provision::APPLIED;
use crate::store::files;
use std::io;
use std::path::Path;

/// An empty file of this name asks for it.
pub const FILE: &str = "factory-reset";

/// Empties `dir` (`auth.dir`), if `flag` is there, but for the note of which `porthole.toml` was applied: a reset undoes that one.
/// The flag goes last: a power cut before that repeats everything.
///
/// # Errors
/// Something could not be removed; the flag is still there then.
pub fn reset(dir: &Path, flag: &Path) -> io::Result<bool> {
    if !flag.exists() {
        return Ok(false);
    }
    tracing::warn!(flag = %flag.display(), dir = %dir.display(), "factory reset");
    match std::fs::read_dir(dir) {
        Ok(entries) => {
            for entry in entries {
                let path = entry?.path();
                if path != flag && !path.ends_with(APPLIED) && !path.is_dir() {
                    files::remove(&path)?;
                }
            }
            files::sync_dir(dir)?;
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    files::remove(flag)?;
    files::sync_dir(files::parent(flag))?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_makes_the_device_somebodys_goes_and_nothing_beside_it_does() {
        let state = tempfile::tempdir().expect("folder");
        let dir = state.path().join("auth");
        std::fs::create_dir(&dir).expect("made");
        for name in ["access.json", "settings.json", "tls.pem", APPLIED, FILE] {
            std::fs::write(dir.join(name), "x").expect("written");
        }
        std::fs::write(state.path().join("id_ed25519"), "x").expect("written");
        assert!(reset(&dir, &dir.join(FILE)).expect("reset"));
        let left = std::fs::read_dir(&dir).expect("listed").map(|entry| entry.expect("entry").file_name());
        assert_eq!(left.collect::<Vec<_>>(), [APPLIED]);
        assert!(state.path().join("id_ed25519").exists());
        std::fs::write(dir.join("access.json"), "x").expect("written");
        assert!(!reset(&dir, &dir.join(FILE)).expect("nothing to do"));
        assert!(dir.join("access.json").exists());
        let boot = state.path().join(FILE);
        std::fs::write(&boot, "").expect("written");
        assert!(reset(&state.path().join("none"), &boot).expect("reset") && !boot.exists());
    }
}

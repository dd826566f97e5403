//! Where things are.

use std::path::{Path, PathBuf};

/// The top folder of the workspace.
pub fn root() -> &'static Path {
    let crate_folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    crate_folder.parent().unwrap_or(crate_folder)
}

/// Where everything that is made goes: `CARGO_TARGET_DIR`, or `target/` in the top folder.
pub fn target() -> PathBuf {
    match std::env::var_os("CARGO_TARGET_DIR") {
        Some(folder) => root().join(folder),
        None => root().join("target"),
    }
}

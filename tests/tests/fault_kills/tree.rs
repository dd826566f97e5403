//! What is in a folder, and copies of it.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use sha2::{Digest, Sha256};

/// Copies a folder with all that is in it, holes, times and owners too. `to` does not exist, or is a folder that is filled.
pub fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    let copied = Command::new("cp").args(["-a", "--sparse=always"]).arg(from.join(".")).arg(to).status();
    assert!(copied.unwrap().success(), "cp {} {}", from.display(), to.display());
}

/// All files below a folder, by their path in it, with the hash of what is in them.
pub fn files(folder: &Path) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    collect(folder, "", &mut found);
    found
}

fn collect(folder: &Path, prefix: &str, found: &mut BTreeMap<String, String>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
        if entry.file_type().unwrap().is_dir() {
            collect(&entry.path(), &format!("{name}/"), found);
        } else {
            let digest = Sha256::digest(fs::read(entry.path()).unwrap());
            let hex: String = digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
            found.insert(name, hex);
        }
    }
}

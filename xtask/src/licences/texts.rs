//! One file with the licences of everything in the edge: a line for each part, and behind them the texts, each once.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::Part;
use crate::workspace;

/// How the names of files with a licence begin, in small letters.
const NAMES: [&str; 6] = ["license", "licence", "copying", "notice", "unlicense", "copyright"];

/// Folders of a crate's source that hold nothing of what is linked.
const ASIDE: [&str; 6] = ["tests", "examples", "benches", "contrib", "zlib-ng", "fuzz"];

/// The file for `parts`.
pub fn file(parts: &[Part]) -> Result<String> {
    let mut texts: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut text =
        "The edge of Porthole, what is linked into it, and under which licences. Their texts stand below,\n\
                    each behind the names of what it is the licence of.\n\n"
            .to_owned();
    for part in parts {
        let name = format!("{} {}", part.name, part.version);
        let _ = writeln!(text, "{name:<40} {}", part.licence);
        for licence in of(part)? {
            texts.entry(licence).or_default().push(name.clone());
        }
    }
    let mut texts: Vec<(String, Vec<String>)> = texts.into_iter().collect();
    texts.sort_by(|a, b| a.1.cmp(&b.1).then_with(|| a.0.cmp(&b.0)));
    for (licence, names) in texts {
        let _ = write!(text, "\n{}\n{}\n\n{licence}\n", "=".repeat(80), names.join(", "));
    }
    Ok(text)
}

/// The texts of a part's licence; none, where its source has none but names it.
fn of(part: &Part) -> Result<Vec<String>> {
    let read = |path: PathBuf| {
        let text = fs::read(&path).with_context(|| path.display().to_string())?;
        let text = String::from_utf8_lossy(&text);
        Ok(text.lines().map(str::trim_end).collect::<Vec<_>>().join("\n").trim_matches('\n').to_owned())
    };
    files(part)?.into_iter().map(read).collect()
}

/// The files with a part's licence, sorted.
pub fn files(part: &Part) -> Result<Vec<PathBuf>> {
    let own = part.folder.starts_with(workspace::root());
    let mut files = Vec::new();
    find(if own { workspace::root() } else { &part.folder }, if own { 0 } else { 3 }, &mut files)?;
    files.sort();
    Ok(files)
}

/// The files with a licence in `folder`, and `depth` folders below it.
fn find(folder: &Path, depth: usize, found: &mut Vec<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let path = entry.with_context(|| folder.display().to_string())?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
        if path.is_dir() {
            if depth > 0 && !ASIDE.contains(&name.as_str()) {
                find(&path, depth - 1, found)?;
            }
        } else if NAMES.iter().any(|start| name.starts_with(start)) && !name.ends_with(".rs") {
            found.push(path);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cross::Target;
    use crate::licences;

    #[test]
    fn every_part_is_named_and_the_texts_are_there_once() {
        let parts = licences::parts(Target::Armv7).unwrap();
        let text = file(&parts).unwrap();
        for part in &parts {
            let row = format!("\n{:<40} {}\n", format!("{} {}", part.name, part.version), part.licence);
            assert!(text.contains(&row), "{row}");
        }
        let once = |words: &str| assert_eq!(text.matches(words).count(), 1, "{words}");
        once("Software License for The Fraunhofer FDK AAC Codec Library for Android");
        once("Copyright (c) 2013, Cisco Systems");
        assert!(text.contains("Permission is hereby granted, free of charge"));
        assert!(text.contains("Apache License"));
        assert_eq!(text, file(&parts).unwrap());
    }
}

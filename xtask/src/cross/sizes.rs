//! What the edge weighs: the file as a board gets it, and what each part of it adds, by the map that the linker draws.
//!
//! ```text
//!  .text._ZN4ring...                                  a section of an object file
//!                 0x0001a2c4      0x1f2 /w/libring-6b….rlib(ring-6b….o)
//! ```

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde::Deserialize;

use super::Target;
use crate::workspace;

/// Parts that are shown although nothing bounds them.
const SHOWN: usize = 12;

/// `board/sizes.toml`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Budget {
    /// Bytes of the stripped binary.
    binary: u64,
    /// Bytes of a part of it, by the name of its crate or library.
    parts: BTreeMap<String, u64>,
}

/// Prints what the edge for `target` weighs. Returns whether that is within the budget, which is made for armv7.
pub fn check(target: Target, binary: &Path, map: &Path) -> Result<bool> {
    let bytes = fs::metadata(binary).with_context(|| binary.display().to_string())?.len();
    let text = fs::read(map).with_context(|| map.display().to_string())?;
    let parts = parts(&String::from_utf8_lossy(&text));
    let path = workspace::root().join("board/sizes.toml");
    let budget = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    let budget: Budget = toml::from_str(&budget).with_context(|| path.display().to_string())?;
    let (table, fits) = table(bytes, &parts, &budget);
    println!("{}\n{table}", binary.display());
    Ok(fits || target != Target::Armv7)
}

/// The table, and whether everything is within its bound.
fn table(binary: u64, parts: &BTreeMap<String, u64>, budget: &Budget) -> (String, bool) {
    let mut rows = vec![("stripped binary", binary, Some(budget.binary))];
    let mut by_size: Vec<_> = parts.iter().map(|(name, bytes)| (name.as_str(), *bytes)).collect();
    by_size.sort_by_key(|(_, bytes)| std::cmp::Reverse(*bytes));
    let shown = by_size.iter().enumerate();
    let shown = shown.filter(|(place, (name, _))| *place < SHOWN || budget.parts.contains_key(*name));
    rows.extend(shown.map(|(_, (name, bytes))| (*name, *bytes, budget.parts.get(*name).copied())));
    let mut text = format!("{:<24} {:>9} {:>9}\n", "part", "bytes", "at most");
    for (name, bytes, most) in &rows {
        let bound = most.map_or_else(|| "-".to_owned(), |most| most.to_string());
        let over = if most.is_some_and(|most| *bytes > most) { "  TOO MUCH" } else { "" };
        text.push_str(&format!("{name:<24} {bytes:>9} {bound:>9}{over}\n"));
    }
    let fits = rows.iter().all(|(_, bytes, most)| most.is_none_or(|most| *bytes <= most));
    (text, fits)
}

/// Bytes in the file by crate or library.
fn parts(map: &str) -> BTreeMap<String, u64> {
    let mut parts = BTreeMap::new();
    let drawn = map.lines().skip_while(|line| *line != "Linker script and memory map");
    let mut section = "";
    for line in drawn {
        let mut words = line.split_whitespace();
        let first = words.next().unwrap_or_default();
        if line.starts_with(" .") {
            section = first;
        }
        // A long name of a section has a line of its own.
        let address = if line.starts_with(" .") { words.next() } else { Some(first) };
        let (Some(_), Some(size), Some(file)) =
            (address.and_then(hexadecimal), words.next().and_then(hexadecimal), words.next())
        else {
            continue;
        };
        if is_loaded(section) && file.starts_with('/') {
            *parts.entry(part_of(file)).or_default() += size;
        }
    }
    parts
}

/// Whether a section takes room in the stripped file.
fn is_loaded(section: &str) -> bool {
    let loaded = [".text", ".rodata", ".data", ".ARM", ".eh_frame", ".gcc_except_table", ".init_array"];
    loaded.iter().any(|start| section.starts_with(start))
}

fn hexadecimal(word: &str) -> Option<u64> {
    u64::from_str_radix(word.strip_prefix("0x")?, 16).ok()
}

/// The crate or library of an object file: `/w/libring-6b….rlib(a.o)` is of `ring`, `/w/libcrypto.a(a.o)` of `crypto`, and what the
/// whole program was optimised from, `/w/porthole_edge-6b….rustls-c0….rustls.60….rcgu.o`, of `rustls`.
fn part_of(file: &str) -> String {
    let file = file.rsplit_once('/').map_or(file, |(_, file)| file);
    let library = file.split_once('(').map_or(file, |(library, _)| library);
    let mut names = library.strip_prefix("lib").unwrap_or(library).split('.');
    let program = names.next().unwrap_or_default();
    let name = if library.ends_with(".rcgu.o") { names.next().unwrap_or(program) } else { program };
    match name.rsplit_once('-') {
        Some((name, hash)) if hash.len() == 16 => name.to_owned(),
        _ => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAP: &str = "Discarded input sections
 .text.gone     0x00000000      0x100 /w/libring-0123456789abcdef.rlib(r.o)
Linker script and memory map
 .text          0x00010000      0x010 /w/libcrypto.a(a.o)
 .text._ZN4ring3digest17h0123456789abcdefE
                0x00010010      0x020 /w/libring-0123456789abcdef.rlib(r.o)
                0x00010010                _ZN4ring
 .rodata.x      0x00020000       0x04 /w/libring-0123456789abcdef.rlib(r.o)
 .text.y        0x00010030       0x08 /w/edge-0123456789abcdef.tls-0123456789abcdef.tls.0123456789abcdef-cgu.1.rcgu.o
 .bss           0x00030000     0x4000 /w/libcrypto.a(a.o)
 .comment       0x00000000       0x2e /w/libcrypto.a(a.o)
";

    #[test]
    fn parts_are_what_the_file_holds_of_them() {
        let expected = [("crypto".to_owned(), 16), ("ring".to_owned(), 36), ("tls".to_owned(), 8)];
        assert_eq!(parts(MAP), BTreeMap::from(expected));
    }

    #[test]
    fn what_is_over_its_bound_is_named() {
        let budget = Budget { binary: 100, parts: BTreeMap::from([("ring".to_owned(), 35)]) };
        let (table, fits) = table(100, &parts(MAP), &budget);
        assert!(!fits);
        let expected = "\
part                         bytes   at most
stripped binary                100       100
ring                            36        35  TOO MUCH
crypto                          16         -
tls                              8         -
";
        assert_eq!(table, expected);
    }
}

//! What the edge weighs: the file as a board gets it, and what each part of it adds, by the map that the linker draws.
//!
//! ```text
//!      VMA      LMA     Size Align Out     In      Symbol
//!    1a2c4    1a2c4    c1f20     8 .text                                                      of the file
//!    1a2c4    1a2c4      1f2     4         /w/edge.rcgu.o:(.text._RNvNtCs0123456789a_4ring6digest)  of an object: counted
//!    1a2c4    1a2c4      1f2     1                 ring::digest                                of that
//! ```

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use super::Target;
use crate::workspace;

/// Crates and libraries that are shown although nothing bounds them.
const SHOWN: usize = 12;

/// What begins a row of an object's section, after its address, size and alignment.
const INPUT: &str = "         ";

/// Sections that the stripped file has no room for.
const ABSENT: [&str; 8] =
    [".bss", ".tbss", "COMMON", ".debug", ".comment", ".symtab", ".strtab", ".ARM.attributes"];

/// Crates that everything is made of: a function of theirs over somebody's type is that somebody's.
const LANGUAGE: [&str; 3] = ["core", "alloc", "std"];

/// `board/sizes.toml`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Budget {
    /// Bytes of the stripped binary.
    binary: u64,
    /// Bytes of the compressed image.
    image: u64,
    parts: Vec<Part>,
}

impl Budget {
    fn load() -> Result<Self> {
        let path = workspace::root().join("board/sizes.toml");
        let budget = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        toml::from_str(&budget).with_context(|| path.display().to_string())
    }
}

/// Some crates and libraries that serve one end.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Part {
    name: String,
    /// The names of its crates and libraries.
    of: Vec<String>,
    /// Bytes of all of them together.
    at_most: u64,
}

/// Prints what the edge for `target` weighs. Returns whether that is within the budget, which is made for armv7.
pub fn check(target: Target, binary: &Path, map: &Path) -> Result<bool> {
    let bytes = fs::metadata(binary).with_context(|| binary.display().to_string())?.len();
    let text = fs::read(map).with_context(|| map.display().to_string())?;
    let crates = crates(&String::from_utf8_lossy(&text));
    let bounded = target == Target::Armv7;
    let (table, fits) = table(bytes, crates, &Budget::load()?, bounded);
    println!("{}\n{table}", binary.display());
    Ok(fits)
}

/// An error, if the compressed image is larger than it may be.
pub fn check_image(packed: &Path) -> Result<()> {
    let bytes = fs::metadata(packed).with_context(|| packed.display().to_string())?.len();
    let most = Budget::load()?.image;
    ensure!(
        bytes <= most,
        "{} has {bytes} bytes, and {most} are enough (board/sizes.toml)",
        packed.display()
    );
    Ok(())
}

/// The table, and whether everything is within its bound, if it is `bounded`.
fn table(binary: u64, mut crates: BTreeMap<String, u64>, budget: &Budget, bounded: bool) -> (String, bool) {
    let bound = |most: u64| bounded.then_some(most);
    let mut rows = vec![("stripped binary".to_owned(), binary, bound(budget.binary))];
    for part in &budget.parts {
        let bytes = part.of.iter().filter_map(|name| crates.remove(name)).sum();
        rows.push((part.name.clone(), bytes, bound(part.at_most)));
    }
    let mut others: Vec<_> = crates.into_iter().map(|(name, bytes)| (name, bytes, None)).collect();
    others.sort_by_key(|(_, bytes, _)| std::cmp::Reverse(*bytes));
    let rest = others.split_off(SHOWN.min(others.len()));
    rows.append(&mut others);
    rows.push((format!("{} others", rest.len()), rest.iter().map(|(_, bytes, _)| bytes).sum(), None));

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
fn crates(map: &str) -> BTreeMap<String, u64> {
    let mut crates = BTreeMap::new();
    for (bytes, file, section) in map.lines().filter_map(input) {
        if !ABSENT.iter().any(|start| section.starts_with(start)) {
            *crates.entry(owner(file, section)).or_default() += bytes;
        }
    }
    crates
}

/// Size, file and section, if a line of the map is about a section of an object file.
fn input(line: &str) -> Option<(u64, &str, &str)> {
    let (mut rest, mut size) = (line, 0);
    for column in 0..4 {
        rest = rest.trim_start();
        let (word, after) = rest.split_at(rest.find(' ')?);
        if column == 2 {
            size = u64::from_str_radix(word, 16).ok()?;
        }
        rest = after;
    }
    let (file, section) = rest.strip_prefix(INPUT)?.rsplit_once(":(")?;
    (!file.starts_with(' ')).then_some((size, file, section.strip_suffix(')')?))
}

/// Who a section belongs to. In what the whole program was optimised into, `/w/porthole_edge-6b….rcgu.o`, names of functions tell; its
/// constants have none. `/w/libring-6b….rlib(a.o)` is of `ring`, `/w/libcrypto.a(a.o)` of `crypto`, and what the linker makes is its own.
fn owner(file: &str, section: &str) -> String {
    if file.starts_with('<') {
        return section.to_owned();
    }
    if let Some(name) = crate_of(section) {
        return name.to_owned();
    }
    let file = file.rsplit_once('/').map_or(file, |(_, file)| file);
    let library = file.split_once('(').map_or(file, |(library, _)| library);
    if library.ends_with(".rcgu.o") {
        return "constants".to_owned();
    }
    let name = library.strip_prefix("lib").unwrap_or(library);
    let name = name.split('.').next().unwrap_or_default();
    match name.rsplit_once('-') {
        Some((name, hash)) if hash.len() == 16 => name.to_owned(),
        _ => name.to_owned(),
    }
}

/// The crate in a function's name (the Rust reference, "v0 symbol mangling": `Cs`, a number to the base of 62, `_`, a length, a name): the first
/// that is not the language's own, so that `drop_in_place::<hyper::Body>` is hyper's.
fn crate_of(section: &str) -> Option<&str> {
    let named = section.match_indices("Cs").filter_map(|(at, start)| {
        let (number, rest) = section.get(at + start.len()..)?.split_once('_')?;
        if !number.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            return None;
        }
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let length: usize = rest.get(..digits)?.parse().ok()?;
        // A bar keeps the length apart from a name that begins with a bar itself.
        let name = rest.get(digits..)?;
        name.strip_prefix('_').filter(|name| name.starts_with('_')).unwrap_or(name).get(..length)
    });
    let mut named = named.peekable();
    let first = named.peek().copied();
    named.find(|name| !LANGUAGE.contains(name)).or(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAP: &str = "\
     VMA      LMA     Size Align Out     In      Symbol
     1d0      1d0       30     4 .rel.dyn
     1d0      1d0       30     4         <internal>:(.rel.dyn)
   10000    10000      100     8 .text
   10000    10000       10     4         /w/libcrypto.a(a.o):(.text.crypt)
   10000    10000        1     1                 crypt
   10010    10010       20     4         /w/libring-0123456789abcdef.rlib(r.o):(.text)
   10030    10030        8     4         /w/edge.edge-0123456789abcdef.rcgu.o:(.text._RNvNtCs0123456789a_3tls4read)
   10030    10030        8     1                 tls::read
   10040    10040        4     4         /w/edge.edge-0123456789abcdef.rcgu.o:(.rodata..Lanon.0123.4)
   30000    30000     4000     8         /w/libcrypto.a(a.o):(.bss)
";

    #[test]
    fn crates_are_what_the_file_holds_of_them() {
        let expected = [(".rel.dyn", 48), ("constants", 4), ("crypto", 16), ("ring", 32), ("tls", 8)];
        assert_eq!(crates(MAP), expected.map(|(name, bytes)| (name.to_owned(), bytes)).into());
    }

    #[test]
    fn a_function_over_a_type_belongs_to_the_type() {
        let of = [
            ("._RINvCsjMaewn57Afh_1t3foohEB2_", Some("t")),
            ("._RNvNtCsgEmfK2I1SDS_4core9panicking18panic_nounwind_fmt", Some("core")),
            (
                "._RINvNtCsgEmfK2I1SDS_4core3ptr13drop_in_placeNtNtNtCsiGO2KWI1TB6_12panic_unwind3imp9ExceptionE",
                Some("panic_unwind"),
            ),
            ("._RNvCsfLfy6EI15iL_7___rustc18___rust_start_panic", Some("__rustc")),
            (".rodata..Lanon.63df8a2734d2a4e6a929bce915db9932.3", None),
        ];
        for (section, owner) in of {
            assert_eq!(crate_of(section), owner, "{section}");
        }
    }

    #[test]
    fn what_is_over_its_bound_is_named() {
        let part = |at_most| Part { name: "TLS".into(), of: vec!["ring".into(), "tls".into()], at_most };
        let budget = |binary, at_most| Budget { binary, image: 0, parts: vec![part(at_most)] };
        let (text, fits) = table(100, crates(MAP), &budget(100, 39), true);
        assert!(!fits);
        let expected = "\
part                         bytes   at most
stripped binary                100       100
TLS                             40        39  TOO MUCH
.rel.dyn                        48         -
crypto                          16         -
constants                        4         -
0 others                         0         -
";
        assert_eq!(text, expected);
        assert!(table(100, crates(MAP), &budget(100, 40), true).1);
        assert!(!table(101, crates(MAP), &budget(100, 40), true).1);
        let (text, fits) = table(101, crates(MAP), &budget(100, 39), false);
        assert!(fits && !text.contains("TOO MUCH") && !text.contains(" 39"), "{text}");
    }
}

//! Which of Debian's packages a program needs: those of the libraries that it is linked with.

use std::path::Path;

use anyhow::{Context, Result};

use crate::command;

/// Libraries, and what brings them; where Debian has renamed a package, both names.
const LIBRARIES: [(&str, &str); 6] = [
    ("libasound.so.2", "libasound2t64 | libasound2"),
    ("libcrypto.so.3", "libssl3t64 | libssl3"),
    ("libssl.so.3", "libssl3t64 | libssl3"),
    ("libstdc++.so.6", "libstdc++6"),
    ("libgcc_s.so.1", "libgcc-s1"),
    ("libz.so.1", "zlib1g"),
];

/// The field `Depends` for `program`.
pub fn of(program: &Path) -> Result<String> {
    let mut readelf = command::command("readelf");
    let dynamic = command::output(readelf.args(["--wide", "--dynamic", "--version-info"]).arg(program))?;
    depends(&dynamic).with_context(|| program.display().to_string())
}

/// The same from what readelf tells of a program.
fn depends(dynamic: &str) -> Result<String> {
    let needed = dynamic.lines().filter(|line| line.contains("(NEEDED)"));
    let names = needed.filter_map(|line| line.split_once('[')?.1.split_once(']')).map(|(name, _)| name);
    let mut packages = vec![format!("libc6 (>= 2.{})", c_library(dynamic))];
    for name in names.filter(|name| !is_c_library(name)) {
        let known = LIBRARIES.iter().find(|(library, _)| *library == name);
        let (_, package) = known.with_context(|| format!("no package of Debian is known to bring {name}"))?;
        packages.push((*package).to_owned());
    }
    packages.sort();
    packages.dedup();
    Ok(packages.join(", "))
}

fn is_c_library(name: &str) -> bool {
    name.starts_with("ld-linux") || ["libc.so.6", "libm.so.6"].contains(&name)
}

/// The second number of the oldest C library that it runs with.
fn c_library(dynamic: &str) -> u32 {
    let versions = dynamic.split("GLIBC_2.").skip(1).filter_map(|rest| {
        rest.split(|c: char| !c.is_ascii_digit()).next().and_then(|number| number.parse().ok())
    });
    // Addresses in this form are only corrected since then.
    let packed = dynamic.contains("GLIBC_ABI_DT_RELR").then_some(36);
    versions.chain(packed).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DYNAMIC: &str = "\
 0x00000001 (NEEDED)                     Shared library: [libasound.so.2]
 0x00000001 (NEEDED)                     Shared library: [libcrypto.so.3]
 0x00000001 (NEEDED)                     Shared library: [libssl.so.3]
 0x00000001 (NEEDED)                     Shared library: [libm.so.6]
 0x00000001 (NEEDED)                     Shared library: [ld-linux-armhf.so.3]
  0x0010:   Name: GLIBC_2.4  Flags: none  Version: 29
  0x0020:   Name: GLIBC_2.34  Flags: none  Version: 21
";

    #[test]
    fn libraries_become_packages() {
        assert_eq!(
            depends(DYNAMIC).unwrap(),
            "libasound2t64 | libasound2, libc6 (>= 2.34), libssl3t64 | libssl3"
        );
        let packed = DYNAMIC.to_owned() + "  0x0030:   Name: GLIBC_ABI_DT_RELR  Flags: none  Version: 2\n";
        assert!(depends(&packed).unwrap().contains("libc6 (>= 2.36)"));
    }

    #[test]
    fn a_library_that_nobody_brings_is_named() {
        let error = depends("(NEEDED) Shared library: [libfoo.so.9]").unwrap_err().to_string();
        assert_eq!(error, "no package of Debian is known to bring libfoo.so.9");
    }
}

//! C and C++ that crates carry along: libraries of their own, under licences that cargo does not know.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use super::Part;

/// A library in a crate.
struct Bundled {
    name: &'static str,
    /// The crate.
    within: &'static str,
    /// The folder of its source there.
    folder: &'static str,
    licence: &'static str,
    /// The file that tells its version, and what stands before each number of that.
    version: (&'static str, &'static [&'static str]),
}

const BUNDLED: [Bundled; 4] = [
    Bundled {
        name: "fdk-aac",
        within: "fdk-aac-sys",
        folder: "aac",
        licence: "FDK-AAC",
        version: (
            "libAACenc/src/aacenc_lib.cpp",
            &["AACENCODER_LIB_VL0 ", "AACENCODER_LIB_VL1 ", "AACENCODER_LIB_VL2 "],
        ),
    },
    Bundled {
        name: "openh264",
        within: "openh264-sys2",
        folder: "upstream",
        licence: "BSD-2-Clause",
        version: (
            "codec/api/wels/codec_ver.h",
            &["OPENH264_MAJOR (", "OPENH264_MINOR (", "OPENH264_REVISION ("],
        ),
    },
    Bundled {
        name: "libssh2",
        within: "libssh2-sys",
        folder: "libssh2",
        licence: "BSD-3-Clause",
        version: (
            "include/libssh2.h",
            &["LIBSSH2_VERSION_MAJOR ", "LIBSSH2_VERSION_MINOR ", "LIBSSH2_VERSION_PATCH "],
        ),
    },
    Bundled {
        name: "zlib",
        within: "libz-sys",
        folder: "src/zlib",
        licence: "Zlib",
        version: ("zlib.h", &["ZLIB_VER_MAJOR ", "ZLIB_VER_MINOR ", "ZLIB_VER_REVISION "]),
    },
];

/// The libraries in `crates`.
pub fn within(crates: &[Part]) -> Result<Vec<Part>> {
    let mut found = Vec::new();
    for library in &BUNDLED {
        let Some(carrier) = crates.iter().find(|part| part.name == library.within) else { continue };
        let folder = carrier.folder.join(library.folder);
        found.push(Part {
            name: library.name.to_owned(),
            version: version(&folder, library)?,
            licence: library.licence.to_owned(),
            purl: None,
            folder,
        });
    }
    Ok(found)
}

/// The numbers of a version, as the source has them.
fn version(folder: &Path, library: &Bundled) -> Result<String> {
    let (file, starts) = library.version;
    let path = folder.join(file);
    let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    let number = |start: &&str| {
        let rest = text.split_once(start).map(|(_, rest)| rest.trim_start());
        let number = rest.map(|rest| rest.split(|c: char| !c.is_ascii_digit()).next().unwrap_or_default());
        number
            .filter(|number| !number.is_empty())
            .with_context(|| format!("{} has no {start}", path.display()))
    };
    Ok(starts.iter().map(number).collect::<Result<Vec<_>>>()?.join("."))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cross::Target;
    use crate::licences::crates;

    #[test]
    fn what_crates_carry_along_has_its_own_version_and_licence() {
        let libraries = within(&crates::linked(Target::Armv7).unwrap()).unwrap();
        let told: Vec<_> = libraries.iter().map(|part| (part.name.as_str(), part.licence.as_str())).collect();
        let expected = [
            ("fdk-aac", "FDK-AAC"),
            ("openh264", "BSD-2-Clause"),
            ("libssh2", "BSD-3-Clause"),
            ("zlib", "Zlib"),
        ];
        assert_eq!(told, expected);
        for part in &libraries {
            let numbers = part.version.split('.').map(|number| number.parse::<u32>().is_ok());
            assert_eq!(numbers.collect::<Vec<_>>(), [true; 3], "{} {}", part.name, part.version);
        }
    }
}

//! What the edge is made of, and under which licences: for its Debian package, for the image, and for the list of what is in the image.
//!
//! ```text
//! cargo tree, cargo metadata -> crates   name, version, licence, folder      of every crate that is linked
//! C and C++ in some of them  -> bundled  the same of what they carry along
//!                            -> texts    one file with every licence's text, each once
//! ```

mod bundled;
mod crates;
mod texts;

use std::collections::BTreeSet;
use std::path::PathBuf;

use anyhow::Result;

pub use texts::{file, files};

use crate::cross::Target;

/// Something that is in the edge.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Part {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Its licence, an expression of SPDX.
    pub licence: String,
    /// What tells it from all others: a package URL; a crate has one.
    pub purl: Option<String>,
    /// Where its source is.
    folder: PathBuf,
}

impl Part {
    /// The licences that apply: where there is a choice, Apache-2.0, else MIT, else the first.
    pub fn chosen(&self) -> BTreeSet<&str> {
        self.licence.split(" AND ").map(|choice| choose_one(choice.trim_matches(['(', ')']))).collect()
    }
}

fn choose_one(choice: &str) -> &str {
    let mut offered = choice.split(" OR ");
    let preferred =
        ["Apache-2.0", "MIT"].into_iter().find(|licence| offered.clone().any(|one| one == *licence));
    preferred.or_else(|| offered.next()).unwrap_or(choice)
}

/// Everything that is linked into the edge for `target`, but for what a board brings: sorted.
pub fn parts(target: Target) -> Result<Vec<Part>> {
    let crates = crates::linked(target)?;
    let bundled = bundled::within(&crates)?;
    let mut parts = [crates, bundled].concat();
    parts.sort();
    Ok(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_licences_to_choose_from_one_applies() {
        let chosen = |licence: &str| {
            let part = Part {
                name: String::new(),
                version: String::new(),
                licence: licence.to_owned(),
                purl: None,
                folder: PathBuf::new(),
            };
            part.chosen().into_iter().collect::<Vec<_>>().join(" & ")
        };
        assert_eq!(chosen("MIT OR Apache-2.0"), "Apache-2.0");
        assert_eq!(chosen("Unlicense OR MIT"), "MIT");
        assert_eq!(chosen("BSD-3-Clause"), "BSD-3-Clause");
        assert_eq!(chosen("(MIT OR Apache-2.0) AND IJG"), "Apache-2.0 & IJG");
        assert_eq!(chosen("Apache-2.0 AND ISC"), "Apache-2.0 & ISC");
    }
}

//! What the pages of both programs have in common: how they look, and the modules that show recordings, gaps and health.
//!
//! A page is HTML, style, ES modules and an icon, compiled into the program. No build step, no framework, and no request to any
//! other host; [`POLICY`] holds the browser to that. [`COMMON`] and the files of a program's own make one folder, `/page/`: they
//! import each other by bare names.

use sha2::{Digest, Sha256};

/// What the browser may load and where from: this host alone. `blob:` is how a page feeds a `<video>`.
pub const POLICY: &str = "default-src 'self'; media-src 'self' blob:; img-src 'self' blob:; object-src 'none'; base-uri 'none'; \
     form-action 'self'; frame-ancestors 'self'";

/// A file of a page.
#[derive(Clone, Copy, Debug)]
pub struct File {
    /// Its name below `/page/`.
    pub name: &'static str,
    /// What is in it.
    pub text: &'static str,
}

/// The files of these names, from the folder of the file that this stands in.
#[macro_export]
macro_rules! page_files {
    ($($name:literal)+) => {
        &[$($crate::page::File { name: $name, text: include_str!($name) }),+]
    };
}

/// The files that every page has.
pub static COMMON: &[File] = page_files! {
    "style.css"
    "icon.svg"
    "api.js"
    "dom.js"
    "format.js"
    "gaps.js"
    "health.js"
    "recordings.js"
    "theme.js"
};

impl File {
    /// Its media type.
    pub fn kind(&self) -> &'static str {
        match self.name.rsplit('.').next() {
            Some("html") => "text/html; charset=utf-8",
            Some("css") => "text/css; charset=utf-8",
            Some("js") => "text/javascript; charset=utf-8",
            Some("svg") => "image/svg+xml",
            _ => "application/octet-stream",
        }
    }
}

/// All files of a page that has these of its own.
pub fn files(own: &'static [File]) -> impl Iterator<Item = &'static File> {
    own.iter().chain(COMMON)
}

/// Tells one version of a page from another: the first 64 bits of the SHA-256 of `texts`, as hexadecimal digits.
pub fn version<'a>(texts: impl IntoIterator<Item = &'a str>) -> String {
    let hash = texts.into_iter().fold(Sha256::new(), |hash, text| hash.chain_update(text));
    hash.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_has_a_type_and_what_the_common_ones_import_is_common() {
        for file in COMMON {
            assert_ne!(file.kind(), "application/octet-stream", "{}", file.name);
            let imports = file.text.split("from './").skip(1).filter_map(|rest| rest.split('\'').next());
            for import in imports {
                assert!(COMMON.iter().any(|file| file.name == import), "{} imports {import}", file.name);
            }
        }
    }

    #[test]
    fn another_text_is_another_version() {
        assert_eq!(version(["ab", "c"]), "ba7816bf8f01cfea");
        assert_ne!(version(["ab", "d"]), version(["ab", "c"]));
    }
}

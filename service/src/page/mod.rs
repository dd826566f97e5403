//! What the pages of both programs have in common: how they look, and the modules that show recordings, gaps and health.
//!
//! A page is HTML, style, ES modules and an icon, packed into the program by `pack.rs`. No framework, and no request to any
//! other host; [`POLICY`] holds the browser to that. [`COMMON`] and the files of a program's own make one folder, `/page/`: they
//! import each other by bare names.

use std::sync::LazyLock;

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

/// The files that the build script of this crate has packed; unpacked when they are first asked for.
#[macro_export]
macro_rules! page_files {
    () => {
        std::sync::LazyLock::new(|| $crate::page::unpacked(include_bytes!(concat!(env!("OUT_DIR"), "/page"))))
    };
}

/// The files that every page has.
pub static COMMON: LazyLock<Vec<File>> = page_files!();

/// The files in what `pack.rs` made. They stay for as long as the program runs.
pub fn unpacked(packed: &[u8]) -> Vec<File> {
    let text =
        miniz_oxide::inflate::decompress_to_vec(packed).ok().and_then(|text| String::from_utf8(text).ok());
    let mut rest: &'static str = text.unwrap_or_default().leak();
    let mut files = Vec::new();
    while let Some(((name, length), after)) =
        rest.split_once('\n').and_then(|(head, after)| Some((head.split_once(' ')?, after)))
    {
        let Some((text, more)) = length.parse().ok().and_then(|length| after.split_at_checked(length)) else {
            break;
        };
        files.push(File { name, text });
        rest = more;
    }
    files
}

impl File {
    /// Whether it is what the others belong to.
    pub fn is_html(&self) -> bool {
        self.name.ends_with(".html")
    }

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

/// All files that the HTML of a page may refer to, if it has these of its own.
pub fn files(own: &'static [File]) -> impl Iterator<Item = &'static File> {
    own.iter().filter(|file| !file.is_html()).chain(COMMON.iter())
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
        assert!(COMMON.len() > 5);
        for file in COMMON.iter() {
            assert_ne!(file.kind(), "application/octet-stream", "{}", file.name);
            let imports = file.text.split("from './").skip(1).filter_map(|rest| rest.split('\'').next());
            for import in imports {
                assert!(COMMON.iter().any(|file| file.name == import), "{} imports {import}", file.name);
            }
        }
    }

    #[test]
    fn files_come_out_as_they_are() {
        let style = COMMON.iter().find(|file| file.name == "style.css").unwrap();
        assert_eq!(style.text, include_str!("style.css"));
        assert_eq!(COMMON.iter().map(|file| file.name).collect::<Vec<_>>().last(), Some(&"theme.js"));
        assert!(unpacked(b"no DEFLATE").is_empty());
    }

    #[test]
    fn another_text_is_another_version() {
        assert_eq!(version(["ab", "c"]), "ba7816bf8f01cfea");
        assert_ne!(version(["ab", "d"]), version(["ab", "c"]));
    }
}

//! What build scripts do with the files of a page: all become one compressed file, which `page_files!` takes in.
//!
//! ```text
//! NAME LENGTH \n TEXT   NAME LENGTH \n TEXT   ...      in one stream of DEFLATE (RFC 1951)
//! ```

use std::path::Path;
use std::{env, fs, io};

/// The best that DEFLATE does.
const BEST: u8 = 10;

/// Packs what a browser loads from `folder`, in the order of names.
pub fn page(folder: &str) -> io::Result<()> {
    println!("cargo::rerun-if-changed={folder}");
    let mut files: Vec<_> = fs::read_dir(folder)?.collect::<io::Result<_>>()?;
    files.sort_by_key(fs::DirEntry::file_name);
    let mut all = Vec::new();
    for file in files {
        let name = file.file_name().to_string_lossy().into_owned();
        if ["css", "html", "js", "svg"].iter().any(|kind| name.rsplit('.').next() == Some(kind)) {
            let text = fs::read(file.path())?;
            all.extend_from_slice(format!("{name} {}\n", text.len()).as_bytes());
            all.extend(text);
        }
    }
    let out = env::var_os("OUT_DIR").unwrap_or_default();
    fs::write(Path::new(&out).join("page"), miniz_oxide::deflate::compress_to_vec(&all, BEST))
}

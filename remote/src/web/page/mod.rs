//! The page of the remote host: the files here, and those that [`service::page`] has for every page.

use super::{not_found, set, tagged};
use axum::extract::Path;
use axum::http::HeaderMap;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use service::page::{File, files, version};
use service::page_files;
use std::sync::LazyLock;

const INDEX: &str = "index.html";

static OWN: LazyLock<Vec<File>> = page_files!();

/// The entity tag of all of it.
static TAG: LazyLock<String> =
    LazyLock::new(|| format!("\"{}\"", version(files(&OWN).chain(index_file()).map(|file| file.text))));

/// What the others belong to.
fn index_file() -> Option<&'static File> {
    OWN.iter().find(|file| file.name == INDEX)
}

/// Answers `/`.
pub async fn index(asked: HeaderMap) -> Response {
    found(INDEX, index_file(), &asked)
}

/// Answers `/page/{file}`.
pub async fn file(Path(name): Path<String>, asked: HeaderMap) -> Response {
    found(&name, files(&OWN).find(|file| file.name == name), &asked)
}

fn found(name: &str, file: Option<&File>, asked: &HeaderMap) -> Response {
    match file {
        Some(file) => answer(file, asked),
        None => not_found(format!("The page has no {name:?}.")),
    }
}

fn answer(file: &File, asked: &HeaderMap) -> Response {
    let mut response = file.text.into_response();
    set(&mut response, CONTENT_TYPE, file.kind());
    set(&mut response, CACHE_CONTROL, "no-cache");
    tagged(response, &TAG, asked)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    /// What stands between `before` and the next `after`, each time.
    fn between<'a>(text: &'a str, before: &str, after: char) -> Vec<&'a str> {
        text.split(before).skip(1).filter_map(|rest| rest.split(after).next()).collect()
    }

    #[test]
    fn everything_that_the_page_refers_to_is_served_and_nothing_else() {
        let mut needed: BTreeSet<&str> =
            between(index_file().expect(INDEX).text, "=\"/page/", '"').into_iter().collect();
        let mut left: Vec<&str> = needed.iter().copied().collect();
        while let Some(name) = left.pop() {
            let file = files(&OWN).find(|file| file.name == name).expect(name);
            let imports = between(file.text, "from './", '\'');
            left.extend(imports.into_iter().filter(|import| needed.insert(import)));
        }
        assert_eq!(needed, files(&OWN).map(|file| file.name).collect());
    }
}

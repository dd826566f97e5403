//! The page: HTML, style, ES modules and an icon, compiled into the program. No build step, no framework, and no request to
//! any other host; [`POLICY`] holds the browser to that. What it has in common with the page of an edge is that page's own files.

use super::{not_found, set, tagged};
use axum::extract::Path;
use axum::http::HeaderMap;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use sha2::{Digest, Sha256};
use std::sync::LazyLock;

/// What the browser may load and where from: this host alone. `blob:` is how a browser's own player feeds a `<video>`.
pub const POLICY: &str = "default-src 'self'; media-src 'self' blob:; object-src 'none'; base-uri 'none'; \
     form-action 'self'; frame-ancestors 'self'";

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";

const INDEX: &str = include_str!("page/index.html");

/// A file that `index.html` refers to: its name, its type and what is in it.
type File = (&'static str, &'static str, &'static str);

macro_rules! files {
    (own { $($own:literal $own_kind:ident)+ } of_the_edge { $($name:literal $kind:ident)+ }) => {
        &[
            $(($own, $own_kind, include_str!(concat!("page/", $own))),)+
            $(($name, $kind, include_str!(concat!("../../../edge/src/live/page/", $name))),)+
        ]
    };
}

static FILES: &[File] = files! {
    own {
        "main.js" SCRIPT
        "overview.js" SCRIPT
        "remote.css" CSS
    }
    of_the_edge {
        "style.css" CSS
        "icon.svg" SVG
        "api.js" SCRIPT
        "dom.js" SCRIPT
        "format.js" SCRIPT
        "gaps.js" SCRIPT
        "panel.js" SCRIPT
        "recordings.js" SCRIPT
        "theme.js" SCRIPT
    }
};

/// The entity tag of all of it.
static TAG: LazyLock<String> = LazyLock::new(|| {
    let texts = FILES.iter().map(|(_, _, content)| *content).chain([INDEX]);
    let hash = texts.fold(Sha256::new(), |hash, text| hash.chain_update(text)).finalize();
    let digits: String = hash.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    format!("\"{digits}\"")
});

/// Answers `/`.
pub async fn index(asked: HeaderMap) -> Response {
    answer(HTML, INDEX, &asked)
}

/// Answers `/page/{file}`.
pub async fn file(Path(name): Path<String>, asked: HeaderMap) -> Response {
    match FILES.iter().find(|(file, _, _)| *file == name) {
        Some((_, kind, content)) => answer(kind, content, &asked),
        None => not_found(format!("The page has no {name:?}.")),
    }
}

fn answer(kind: &str, content: &'static str, asked: &HeaderMap) -> Response {
    let mut response = content.into_response();
    set(&mut response, CONTENT_TYPE, kind);
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
        let mut needed: BTreeSet<&str> = between(INDEX, "=\"/page/", '"').into_iter().collect();
        let mut left: Vec<&str> = needed.iter().copied().collect();
        while let Some(name) = left.pop() {
            let (_, _, content) = FILES.iter().find(|(file, _, _)| *file == name).expect(name);
            left.extend(
                between(content, "from './", '\'').into_iter().filter(|import| needed.insert(import)),
            );
        }
        assert_eq!(needed, FILES.iter().map(|(name, _, _)| *name).collect());
    }

    #[test]
    fn the_page_keeps_to_its_own_policy() {
        assert!(!INDEX.contains("style=\"") && !INDEX.contains("<style") && !INDEX.contains(" onclick="));
        for (name, _, text) in FILES.iter().chain(&[("index.html", HTML, INDEX)]) {
            assert!(
                between(text, "://", '/').iter().all(|host| *host == "www.w3.org"),
                "{name} names another host"
            );
            assert!(
                !text.contains("innerHTML") && !text.contains("eval("),
                "{name} turns data into markup or code"
            );
        }
    }
}

//! The page of the appliance: the files here, and those that [`service::page`] has for every page.
//!
//! ```text
//! first ── live_player ── live_edge, backoff, boxes, sink          stream.mp4, at the live edge
//!   ⇣ once the first picture is there
//! main ─┬─ stage ─┬─ (the live_player that plays already)
//!       │         └─ ring_player ── ring, boxes, sink              segments of the HLS playlists, the past
//!       ├─ timeline   the last two minutes, to scrub in
//!       ├─ panel, recordings, gaps    what /api tells
//!       └─ clock, latency             how old a picture is when it is shown
//!
//! claim, login, setup ── forms, api, dom                            the pages of `[auth]`
//!                  └─ update                                       a bundle on its way
//! ```
//!
//! The edge writes two things into `index.html`: the names of the cameras, so that the stream is asked for without asking for
//! names before, and a digest of all other files into their paths, so that who comes again asks for none of them.

use super::reply::{self, Body, Cache};
use super::routes::Asked;
use bytes::Bytes;
use hyper::Response;
use hyper::header::{CONTENT_SECURITY_POLICY, HeaderValue};
use service::page::{File, POLICY, files, version};
use service::page_files;
use std::sync::LazyLock;

/// The pages, of which `index.html` alone is served without `[auth]`, and what they load.
static OWN: LazyLock<Vec<File>> = page_files!();

/// The pages of one edge.
pub(super) struct Page {
    /// Each with the version, and with the names of the cameras, in it.
    pages: Vec<Written>,
    /// Of all files; part of their paths, so that a browser may keep them for ever.
    version: String,
}

/// A page as it is sent.
struct Written {
    name: &'static str,
    text: Bytes,
    /// Quoted; changes whenever the text does.
    etag: String,
}

impl Page {
    /// The pages of an edge with these cameras, with a way to the set-up page if there is `[auth]`. Names of cameras are words of
    /// `a-z0-9_-`: nothing in them is markup.
    pub(super) fn new<'a>(cameras: impl Iterator<Item = &'a str>, auth: bool) -> Self {
        let version = version(files(&OWN).map(|file| file.text));
        let cameras = cameras.collect::<Vec<_>>().join(" ");
        let write = |page: &File| {
            let text = page
                .text
                .replace("\"/page/", &format!("\"/page/{version}/"))
                .replace("data-cameras=\"\"", &format!("data-cameras=\"{cameras}\""));
            let text = if auth { text.replace("href=\"/setup\" hidden", "href=\"/setup\"") } else { text };
            let etag = format!("\"{}\"", service::page::version([text.as_str()]));
            Written { name: page.name, text: text.into(), etag }
        };
        Self { pages: OWN.iter().filter(|file| file.is_html()).map(write).collect(), version }
    }

    /// Answers with one of the pages.
    pub(super) fn show(&self, name: &str, asked: &Asked<'_>) -> Response<Body> {
        match self.pages.iter().find(|page| page.name == name) {
            Some(page) => {
                let html = reply::ok("text/html; charset=utf-8", Cache::Ask, Body::Whole(page.text.clone()));
                reply::tagged(policed(html), &page.etag, asked.headers)
            }
            None => reply::not_found(format!("There is no page {name:?}.")),
        }
    }

    /// Answers `/page/{version}/{name}`.
    pub(super) fn file(&self, version: &str, name: &str) -> Response<Body> {
        match files(&OWN).find(|file| file.name == name) {
            Some(file) if version == self.version => {
                let text = Bytes::from_static(file.text.as_bytes());
                policed(reply::ok(file.kind(), Cache::Forever, Body::Whole(text)))
            }
            _ => reply::not_found(format!("The page has no {name:?} of version {version:?}.")),
        }
    }
}

fn policed(mut response: Response<Body>) -> Response<Body> {
    response.headers_mut().insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::header::{ETAG, IF_NONE_MATCH};
    use hyper::{HeaderMap, StatusCode};
    use std::collections::BTreeSet;

    fn page() -> Page {
        Page::new(["front", "back_2"].into_iter(), false)
    }

    fn index(page: &Page) -> &str {
        let index = page.pages.iter().find(|page| page.name == "index.html").unwrap();
        std::str::from_utf8(&index.text).unwrap()
    }

    fn content(name: &str) -> &'static str {
        let mut all = OWN.iter().chain(files(&OWN));
        all.find(|file| file.name == name).unwrap_or_else(|| panic!("there is no {name}")).text
    }

    /// What stands between `before` and the next `after`, each time.
    fn between<'a>(text: &'a str, before: &str, after: char) -> Vec<&'a str> {
        text.split(before).skip(1).filter_map(|rest| rest.split(after).next()).collect()
    }

    /// A module with all that it cannot start without.
    fn needed_by<'a>(module: &'a str, needed: &mut BTreeSet<&'a str>) {
        if needed.insert(module) {
            between(content(module), "from './", '\'')
                .into_iter()
                .for_each(|import| needed_by(import, needed));
        }
    }

    #[test]
    fn everything_that_the_page_refers_to_is_served() {
        let page = page();
        let folder = format!("/page/{}/", page.version);
        for Written { name: html, text, .. } in &page.pages {
            let text = std::str::from_utf8(text).unwrap();
            for path in between(text, "=\"/", '"').into_iter().filter(|path| !["", "setup"].contains(path)) {
                let name = format!("/{path}");
                let name = name.strip_prefix(&folder).unwrap_or_else(|| panic!("{html} refers to {name}"));
                assert_eq!(page.file(&page.version, name).status(), StatusCode::OK, "{name}");
            }
        }
        let mut needed = BTreeSet::new();
        needed_by("first.js", &mut needed);
        assert_eq!(between(content("first.js"), "import('./", '\''), ["main.js"]);
        for root in ["main.js", "claim.js", "login.js", "setup.js"] {
            needed_by(root, &mut needed);
        }
        let scripts = files(&OWN).map(|file| file.name).filter(|name| name.ends_with(".js"));
        assert_eq!(needed, scripts.collect(), "served is what is used");
    }

    #[test]
    fn what_the_first_picture_needs_is_asked_for_at_once_and_nothing_else() {
        let mut needed = BTreeSet::new();
        needed_by("first.js", &mut needed);
        let preloaded = between(content("index.html"), "rel=\"modulepreload\" href=\"/page/", '"');
        let script =
            between(content("index.html"), "<script type=\"module\" blocking=\"render\" src=\"/page/", '"');
        assert_eq!(script, ["first.js"]);
        assert_eq!(preloaded.into_iter().chain(script).collect::<BTreeSet<_>>(), needed);
    }

    #[test]
    fn the_page_names_the_cameras_and_is_another_one_with_others() {
        let page = page();
        assert_eq!(between(index(&page), "<body data-cameras=\"", '"'), ["front back_2"]);
        let mut headers = HeaderMap::new();
        let first = page.show("index.html", &Asked { headers: &headers, query: "" });
        headers.insert(IF_NONE_MATCH, first.headers()[ETAG].clone());
        let asked = Asked { headers: &headers, query: "" };
        assert_eq!(page.show("index.html", &asked).status(), StatusCode::NOT_MODIFIED);
        assert_eq!(
            Page::new(["front"].into_iter(), false).show("index.html", &asked).status(),
            StatusCode::OK
        );
    }

    #[test]
    fn the_way_to_the_set_up_page_is_there_with_auth_alone() {
        let link = "href=\"/setup\" hidden";
        assert!(index(&page()).contains(link));
        assert!(!index(&Page::new(["front"].into_iter(), true)).contains(link));
    }

    #[test]
    fn a_file_of_another_version_or_name_is_not_there() {
        let page = page();
        assert_eq!(page.version.len(), 16);
        for (version, name) in [
            ("0000000000000000", "main.js"),
            (&page.version, "mod.rs"),
            (&page.version, "../mod.rs"),
            ("", ""),
        ] {
            assert_eq!(page.file(version, name).status(), StatusCode::NOT_FOUND, "{version}/{name}");
        }
    }
}

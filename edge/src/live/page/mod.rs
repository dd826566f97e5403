//! The page: HTML, style, ES modules and an icon, compiled into the program. No build step, no framework, and no request to
//! any other host; [`POLICY`] holds the browser to that.
//!
//! ```text
//! main ─┬─ stage ─┬─ live_player ── live_edge, backoff, boxes      stream.mp4, at the live edge
//!       │         ├─ ring_player ── ring, boxes                    segments of the HLS playlists, the past
//!       │         └─ (both feed a <video> through sink)
//!       ├─ timeline   the last two minutes, to scrub in
//!       ├─ panel, recordings, gaps    what /api tells
//!       └─ clock, latency             how old a picture is when it is shown
//! ```

use super::reply::{self, Body, Cache};
use super::routes::Asked;
use bytes::Bytes;
use hyper::Response;
use hyper::header::{CONTENT_SECURITY_POLICY, HeaderValue};
use sha2::{Digest, Sha256};
use std::sync::LazyLock;

/// What the browser may load and where from: this edge alone. `blob:` is how a page feeds a `<video>`.
const POLICY: &str = "default-src 'self'; media-src 'self' blob:; img-src 'self' blob:; object-src 'none'; base-uri 'none'; \
     form-action 'self'; frame-ancestors 'self'";

/// Answers with the file that is served at `path`, such as `/` or `/page/main.js`.
pub(super) fn answer(path: &str, asked: &Asked<'_>) -> Response<Body> {
    let Some(asset) = asset(path) else {
        return reply::not_found(format!("The page has no {path:?}."));
    };
    let body = Body::Whole(Bytes::from_static(asset.body));
    let mut response = reply::ok(asset.content_type, Cache::Ask, body);
    response.headers_mut().insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    reply::tagged(response, &asset.etag, asked.headers)
}

/// One file of the page.
#[derive(Debug)]
struct Asset {
    path: &'static str,
    content_type: &'static str,
    /// Quoted; changes whenever the content does.
    etag: String,
    body: &'static [u8],
}

fn asset(path: &str) -> Option<&'static Asset> {
    static ASSETS: LazyLock<Vec<Asset>> = LazyLock::new(|| FILES.iter().map(Asset::new).collect());
    ASSETS.iter().find(|asset| asset.path == path)
}

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";

macro_rules! files {
    ($($path:literal $file:literal $kind:ident)+) => {
        &[$(($path, $kind, include_bytes!($file))),+]
    };
}

static FILES: &[(&str, &str, &[u8])] = files! {
    "/" "index.html" HTML
    "/page/style.css" "style.css" CSS
    "/page/icon.svg" "icon.svg" SVG
    "/page/api.js" "api.js" SCRIPT
    "/page/backoff.js" "backoff.js" SCRIPT
    "/page/boxes.js" "boxes.js" SCRIPT
    "/page/clock.js" "clock.js" SCRIPT
    "/page/dom.js" "dom.js" SCRIPT
    "/page/format.js" "format.js" SCRIPT
    "/page/gaps.js" "gaps.js" SCRIPT
    "/page/grid.js" "grid.js" SCRIPT
    "/page/keyboard.js" "keyboard.js" SCRIPT
    "/page/latency.js" "latency.js" SCRIPT
    "/page/live_edge.js" "live_edge.js" SCRIPT
    "/page/live_player.js" "live_player.js" SCRIPT
    "/page/main.js" "main.js" SCRIPT
    "/page/panel.js" "panel.js" SCRIPT
    "/page/recordings.js" "recordings.js" SCRIPT
    "/page/ring.js" "ring.js" SCRIPT
    "/page/ring_player.js" "ring_player.js" SCRIPT
    "/page/sink.js" "sink.js" SCRIPT
    "/page/stage.js" "stage.js" SCRIPT
    "/page/theme.js" "theme.js" SCRIPT
    "/page/timeline.js" "timeline.js" SCRIPT
};

impl Asset {
    fn new(&(path, content_type, body): &(&'static str, &'static str, &'static [u8])) -> Self {
        let digest: String = Sha256::digest(body).iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        Self { path, content_type, etag: format!("\"{digest}\""), body }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(path: &str) -> &'static str {
        std::str::from_utf8(asset(path).unwrap().body).unwrap()
    }

    /// What stands between `before` and the next `after`, each time.
    fn between<'a>(text: &'a str, before: &str, after: char) -> Vec<&'a str> {
        text.split(before).skip(1).filter_map(|rest| rest.split(after).next()).collect()
    }

    #[test]
    fn everything_that_the_page_refers_to_is_served() {
        for quoted in between(text("/"), "=\"/", '"') {
            assert!(asset(&format!("/{quoted}")).is_some(), "index.html refers to /{quoted}");
        }
        for (path, kind, _) in FILES.iter().filter(|(_, kind, _)| *kind == SCRIPT) {
            for module in between(text(path), "from './", '\'') {
                assert!(asset(&format!("/page/{module}")).is_some(), "{path} ({kind}) imports {module}");
            }
        }
    }

    #[test]
    fn every_module_is_asked_for_at_once() {
        let preloaded = between(text("/"), "rel=\"modulepreload\" href=\"", '"');
        for (path, _, _) in FILES.iter().filter(|(path, kind, _)| *kind == SCRIPT && *path != "/page/main.js")
        {
            assert!(
                preloaded.contains(path),
                "{path} would be found only once what imports it has been read"
            );
        }
    }

    #[test]
    fn the_page_keeps_to_its_own_policy() {
        let page = text("/");
        assert!(!page.contains("style=\"") && !page.contains("<style") && !page.contains(" onclick="));
        for (path, _, body) in FILES {
            let body = std::str::from_utf8(body).unwrap();
            for address in between(body, "://", '/') {
                assert_eq!(address, "www.w3.org", "{path} names another host");
            }
            assert!(
                !body.contains("innerHTML") && !body.contains("eval("),
                "{path} turns data into markup or code"
            );
        }
    }

    #[test]
    fn an_unknown_path_is_none_and_a_tag_is_quoted() {
        assert!(asset("/page/../mod.rs").is_none() && asset("").is_none());
        let etag = &asset("/").unwrap().etag;
        assert!(etag.starts_with('"') && etag.ends_with('"') && etag.len() == 18, "{etag}");
    }
}

//! What viewers see: the page, HLS, files, JSON, metrics. axum says which function answers; [`server`] says who may ask.
//!
//! ```text
//! /                    page      the list with its player
//! /hls/NAME/FILE       files     playlists and segments, as chop wrote them
//! /i/NAME.mp4          files     the recording, with ranges
//! /api/...  /healthz   api       JSON from the library's catalogue and from status
//! /metrics
//! ```
//!
//! Names from outside are checked before they touch a folder, and folders are open: nothing from outside becomes a path.
//! docs/design/remote-web.md has the bounds.

mod api;
mod files;
mod page;
mod server;

use crate::config::Config;
use crate::folders::Folders;
use crate::library::Shelf;
use crate::status::Status;
use crate::supervise::Pulses;
use axum::Router;
use axum::http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN, CACHE_CONTROL,
    CONTENT_SECURITY_POLICY, ETAG, IF_NONE_MATCH, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri};
use axum::middleware::map_response;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use media::http::has_tag;
pub use server::{Error, Server};
use std::sync::Arc;

/// What is shown, and from where.
pub struct Sources {
    /// The configuration.
    pub config: Config,
    /// What goes on.
    pub status: Arc<Status>,
    /// What there is to watch.
    pub shelf: Shelf,
    /// Which threads move.
    pub pulses: Pulses,
    /// Where the files are.
    pub folders: Folders,
}

/// What every answer can use.
type Site = Arc<Sources>;

fn router(site: Site) -> Router {
    let streams = Router::new()
        .route("/hls/{name}/{file}", get(files::hls).options(may_ask))
        .route("/i/{file}", get(files::recording).options(may_ask))
        .layer(map_response(for_everybody));
    Router::new()
        .route("/", get(page::index))
        .route("/page/{file}", get(page::file))
        .route("/api/status", get(api::status))
        .route("/api/recordings", get(api::recordings))
        .route("/api/gaps", get(api::gaps))
        .route("/healthz", get(api::health))
        .route("/metrics", get(api::metrics))
        .merge(streams)
        .fallback(async |uri: Uri| not_found(format!("There is nothing at {:?}.", uri.path())))
        .layer(map_response(secure))
        .with_state(site)
}

/// What a page of another origin may ask for: its browser asks first, if the page adds a header.
async fn may_ask() -> impl IntoResponse {
    let may = [(ACCESS_CONTROL_ALLOW_METHODS, "GET, HEAD, OPTIONS"), (ACCESS_CONTROL_ALLOW_HEADERS, "*")];
    (StatusCode::NO_CONTENT, may)
}

/// Players on other pages may read the streams; nobody else's page may read the rest.
async fn for_everybody(mut response: Response) -> Response {
    response.headers_mut().insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    response
}

/// Headers that keep other sites, and what an answer holds, from doing more than being shown.
async fn secure(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(service::page::POLICY));
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

/// A short text that says what is wrong.
fn text(status: StatusCode, text: impl Into<String>) -> Response {
    let mut text = text.into();
    text.push('\n');
    (status, text).into_response()
}

/// Nothing there; `why` names what was looked for.
fn not_found(why: impl Into<String>) -> Response {
    text(StatusCode::NOT_FOUND, why)
}

/// Adds a header whose value is ours.
fn set(response: &mut Response, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::try_from(value) {
        response.headers_mut().insert(name, value);
    }
}

/// Adds the entity tag, and turns the answer into 304 if the client has that one already.
fn tagged(mut response: Response, tag: &str, asked: &HeaderMap) -> Response {
    if asked.get_all(IF_NONE_MATCH).iter().any(|wanted| has_tag(wanted.as_bytes(), tag)) {
        let cached = response.headers().get(CACHE_CONTROL).cloned();
        response = StatusCode::NOT_MODIFIED.into_response();
        response.headers_mut().extend(cached.map(|cached| (CACHE_CONTROL, cached)));
    }
    set(&mut response, ETAG, tag);
    response
}

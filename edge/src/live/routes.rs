//! From a request to its answer.

use super::packager::Packager;
use super::page::Page;
use super::picture::{self, Pictures};
use super::reply::{self, Body, Cache};
use super::stream::{Tap, Viewer};
use super::{Sources, api, dash, entry, hls, recordings};
use crate::auth::Gate;
use crate::setup::Setup;
use crate::status::CameraStatus;
use bytes::Bytes;
use hyper::body::{Body as _, Incoming};
use hyper::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN, ALLOW,
    CONNECTION, HeaderName, HeaderValue,
};
use hyper::{Method, Request, Response, StatusCode, Version};
use media::Track;
use media::hls::Resource;
use media::mp4::Tracks;
use media::time::WallMapping;
use std::rc::Rc;
use std::sync::Arc;

const METHODS: HeaderValue = HeaderValue::from_static("GET, HEAD, OPTIONS");
/// What pages of other origins may read.
const STREAMS: &str = "/live/";

/// What is shown.
pub(super) struct Site {
    pub(super) sources: Sources,
    pub(super) page: Page,
    /// Decides about every request; without it everybody looks.
    gate: Option<Rc<Gate>>,
    /// What the set-up page works with.
    pub(super) setup: Option<Setup>,
    /// Of HTTPS.
    pub(super) port: u16,
    cameras: Vec<Camera>,
    /// MPD time of DASH.
    clock: WallMapping,
}

/// One camera, as viewers get it.
pub(super) struct Camera {
    pub(super) status: Arc<CameraStatus>,
    pub(super) ring: crate::ring::Ring,
    tap: Rc<Tap>,
    packager: Rc<Packager>,
    pictures: Rc<Pictures>,
}

impl Site {
    pub(super) fn new(sources: Sources, gate: Option<Rc<Gate>>, setup: Option<Setup>, port: u16) -> Self {
        let decoding = Rc::default();
        let seconds = sources.config.get().ring.seconds;
        let cameras = sources.rings.iter().filter_map(|ring| {
            let status = Arc::clone(sources.status.camera(ring.camera())?);
            let tap = Rc::new(Tap::new(ring.clone(), status.metrics.clone()));
            let turned_away = status.metrics.requests_turned_away.clone();
            let packager = Rc::new(Packager::new(ring.clone(), seconds, turned_away));
            let pictures = Rc::new(Pictures::new(ring.clone(), status.metrics.clone(), Rc::clone(&decoding)));
            Some(Camera { status, ring: ring.clone(), tap, packager, pictures })
        });
        let cameras: Vec<Camera> = cameras.collect();
        let names = cameras.iter().map(|camera| camera.status.name.as_str());
        let page = Page::new(names, gate.is_some());
        Self { page, gate, setup, port, cameras, clock: dash::mapping(), sources }
    }

    fn camera(&self, name: &str) -> Option<&Camera> {
        self.cameras.iter().find(|camera| camera.status.name == name)
    }
}

/// What every route sees of a request.
pub(super) struct Asked<'a> {
    pub(super) headers: &'a hyper::HeaderMap,
    pub(super) query: &'a str,
}

impl Asked<'_> {
    /// The value of a parameter of the query. None here has a value that needs percent-encoding.
    pub(super) fn parameter(&self, name: &str) -> Option<&str> {
        self.query.split('&').find_map(|pair| match pair.split_once('=') {
            Some((key, value)) => (key == name).then_some(value),
            None => (pair == name).then_some(""),
        })
    }
}

/// Answers one request.
pub(super) async fn answer(site: &Rc<Site>, request: Request<Incoming>) -> Response<Body> {
    let (method, uri) = (request.method().clone(), request.uri().clone());
    let mut response = match &site.gate {
        Some(gate) => entry::answer(site, gate, request).await,
        None => open(site, &request, uri.path()).await,
    };
    // A token is a secret.
    let path = if uri.path().starts_with(entry::TOKEN) { entry::TOKEN } else { uri.path() };
    secure(uri.path(), &mut response);
    tracing::debug!(%method, path, status = response.status().as_u16(), "answered");
    response
}

/// Answers one request of somebody who may ask for `path`.
pub(super) async fn open(site: &Rc<Site>, request: &Request<Incoming>, path: &str) -> Response<Body> {
    let asked = Asked { headers: request.headers(), query: request.uri().query().unwrap_or("") };
    match request.method() {
        _ if !request.body().is_end_stream() => {
            site.sources.status.metrics.requests_refused.inc();
            let mut refused = reply::text(StatusCode::PAYLOAD_TOO_LARGE, "No request here has a body.");
            if request.version() < Version::HTTP_2 {
                refused.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            refused
        }
        &Method::GET | &Method::HEAD => route(site, path, &asked).await,
        &Method::OPTIONS => {
            let mut allowed = Response::new(Body::Whole(Bytes::new()));
            *allowed.status_mut() = StatusCode::NO_CONTENT;
            allowed.headers_mut().insert(ALLOW, METHODS);
            if path.starts_with(STREAMS) {
                allowed.headers_mut().insert(ACCESS_CONTROL_ALLOW_METHODS, METHODS);
                allowed.headers_mut().insert(ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static("*"));
            }
            allowed
        }
        method => {
            let mut refused =
                reply::text(StatusCode::METHOD_NOT_ALLOWED, format!("{method} is not allowed here."));
            refused.headers_mut().insert(ALLOW, METHODS);
            refused
        }
    }
}

/// Headers that keep other sites from misusing an answer.
fn secure(path: &str, response: &mut Response<Body>) {
    let headers = response.headers_mut();
    headers.insert(HeaderName::from_static("x-content-type-options"), HeaderValue::from_static("nosniff"));
    // Players on other pages may read the streams; nobody else's page may read the rest.
    let with_token = path.strip_prefix(entry::TOKEN).and_then(|rest| rest.split_once('/'));
    let streams = with_token.is_some_and(|(_, rest)| rest.starts_with(&STREAMS[1..]));
    if streams || path.starts_with(STREAMS) {
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    }
}

async fn route(site: &Rc<Site>, path: &str, asked: &Asked<'_>) -> Response<Body> {
    let steps: Vec<&str> = path.trim_start_matches('/').splitn(4, '/').collect();
    match steps.as_slice() {
        [""] => site.page.show("index.html", asked),
        ["page", version, file] => site.page.file(version, file),
        ["live", name, resource] => match site.camera(name) {
            Some(camera) => live(site, camera, resource, asked).await,
            None => reply::not_found(format!("There is no camera {name:?}.")),
        },
        ["api", "status"] => reply::json(StatusCode::OK, &api::status(&site.sources)),
        ["api", "cameras"] => reply::json(StatusCode::OK, &api::cameras(&site.sources)),
        ["api", "recordings"] => reply::json(StatusCode::OK, &api::recordings(&site.sources)),
        ["api", "gaps"] => reply::json(StatusCode::OK, &api::gaps(&site.sources)),
        ["recordings", file] => recordings::answer(&site.sources.status, file, asked).await,
        ["healthz"] => {
            let health = api::health(&site.sources);
            let code = if health.healthy { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
            reply::json(code, &health)
        }
        ["metrics"] => reply::ok(
            "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Cache::No,
            Body::Whole(api::metrics(&site.sources).into()),
        ),
        _ => reply::not_found(format!("There is nothing at {path:?}.")),
    }
}

async fn live(site: &Site, camera: &Camera, resource: &str, asked: &Asked<'_>) -> Response<Body> {
    let packager = &camera.packager;
    match resource {
        "stream.mp4" => {
            let tracks = if asked.parameter("audio") == Some("0") { Tracks::Video } else { Tracks::Both };
            reply::ok("video/mp4", Cache::No, Body::stream(Viewer::new(&camera.tap, tracks)))
        }
        "timeline" => reply::json(StatusCode::OK, &api::timeline(&camera.ring)),
        "master.m3u8" => hls::master(packager, asked).await,
        "video.m3u8" => hls::media(packager, Track::Video, asked).await,
        "audio.m3u8" => hls::media(packager, Track::Audio, asked).await,
        "ts.m3u8" => hls::ts(packager, asked).await,
        "snapshot.jpg" => picture::snapshot(&camera.pictures, asked).await,
        "mjpeg" => picture::mjpeg(&camera.pictures),
        "manifest.mpd" => dash::manifest(packager, &site.clock, asked).await,
        media::dash::CLOCK => dash::time(&site.clock),
        _ if let Ok(piece) = resource.parse::<Resource>() => hls::resource(packager, piece, asked).await,
        _ => reply::not_found(format!("Camera {:?} has no {resource:?}.", camera.status.name)),
    }
}

//! What a request meets before its route, where `[auth]` is in force. docs/design/auth.md says what holds.
//!
//! ```text
//! Host ours? --> access.json good? --> HTTPS, or plain viewing? --> claimed? --> GET: guest --> right enough? --> routes
//!   421              503                  to HTTPS, 403             /claim   |         401, /login     403
//!                                                                            +-> POST: Origin, JSON, 8 KiB --> /login, /api/setup/...
//! ```

use super::reply::{self, Body};
use super::routes::{self, Asked, Site};
use super::{setup, update};
use crate::auth::{Gate, Guest, Refusal, Right, State, is_ours, is_same, name_of};
use bytes::Bytes;
use hyper::body::{Body as _, Incoming};
use hyper::header::{
    ACCEPT, CONTENT_TYPE, HOST, HeaderName, HeaderValue, LOCATION, ORIGIN, RETRY_AFTER, SET_COOKIE,
    WWW_AUTHENTICATE,
};
use hyper::http::request::Parts;
use hyper::{HeaderMap, Method, Request, Response, StatusCode};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use service::door::Peer;
use std::future::poll_fn;
use std::net::{IpAddr, Ipv4Addr};
use std::pin::Pin;
use std::rc::Rc;
use std::time::Duration;
use tokio::time::timeout;

/// A body may be this long, and take so long to come.
const BODY_BYTES: usize = 8 << 10;
const BODY_TIME: Duration = Duration::from_secs(10);
/// Takes what is longer than any other body.
const UPDATE: &str = "/api/setup/update";
/// What the path of a token begins with.
pub(super) const TOKEN: &str = "/t/";

/// Answers one request. The body of a POST is read in any case: a client that is answered while it still sends may take that for a
/// broken connection.
pub(super) async fn answer(site: &Rc<Site>, gate: &Rc<Gate>, request: Request<Incoming>) -> Response<Body> {
    let peer = request.extensions().get::<Peer>().copied();
    let peer = peer.unwrap_or(Peer { address: IpAddr::V4(Ipv4Addr::UNSPECIFIED), secure: false });
    let host = host(&request).map(str::to_owned);
    let visit = Visit { site, gate, peer };
    if request.method() == Method::POST && request.uri().path() == UPDATE {
        let (head, bundle) = request.into_parts();
        return match visit.is_meant(host.as_deref()) {
            Ok(meant) => visit.update(&head, bundle, meant).await,
            Err(refused) => update::refuse(bundle, *refused).await,
        };
    }
    if request.method() == Method::POST {
        let (head, incoming) = request.into_parts();
        let body = match body(incoming).await {
            Ok(body) => body,
            Err(status) => {
                return reply::text(status, "The body of the request is too long, or did not come.");
            }
        };
        return match visit.is_meant(host.as_deref()) {
            Ok(meant) => visit.post(&head, &body, meant).await,
            Err(refused) => *refused,
        };
    }
    match visit.is_meant(host.as_deref()) {
        Err(refused) => *refused,
        Ok(Meant { host, unencrypted: true, .. }) => to_https(site, &request, host),
        Ok(Meant { state: State::Unclaimed, .. }) => visit.unclaimed(&request),
        Ok(_) => visit.get(&request).await,
    }
}

/// A request that was meant for us.
struct Meant<'a> {
    host: &'a str,
    state: State,
    /// It came by plain HTTP, which is not for this.
    unencrypted: bool,
}

/// Whoever asks, and for what.
struct Visit<'a> {
    site: &'a Rc<Site>,
    gate: &'a Rc<Gate>,
    peer: Peer,
}

/// What `/login` and `/claim` are told.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Credentials {
    name: String,
    password: String,
    #[serde(default)]
    code: String,
}

impl Visit<'_> {
    /// Whether we are called so, and know who may do what.
    fn is_meant<'h>(&self, host: Option<&'h str>) -> Result<Meant<'h>, Box<Response<Body>>> {
        let config = self.site.sources.config.get();
        let auth = config.auth.as_ref();
        let Some(host) = host.filter(|host| is_ours(host, auth.map_or(&[], |auth| &auth.names))) else {
            let text = "This device is not called so; see auth.names.";
            return Err(Box::new(reply::text(StatusCode::MISDIRECTED_REQUEST, text)));
        };
        let state = self.gate.state();
        if let State::Locked(why) = state {
            return Err(Box::new(reply::text(StatusCode::SERVICE_UNAVAILABLE, why)));
        }
        let plain_viewing = state == State::Claimed && auth.is_some_and(|auth| auth.plain_viewing);
        Ok(Meant { host, state, unencrypted: !self.peer.secure && !plain_viewing })
    }

    /// Of a device that is nobody's: the page that claims it, and nothing else.
    fn unclaimed(&self, request: &Request<Incoming>) -> Response<Body> {
        let asked = asked(request);
        match steps(request.uri().path()).as_slice() {
            ["claim"] => self.site.page.show("claim.html", &asked),
            ["page", version, file] => self.site.page.file(version, file),
            _ if wants_page(request.headers()) => see_other("/claim"),
            _ => reply::text(StatusCode::FORBIDDEN, "This device is nobody's yet: open /claim in a browser."),
        }
    }

    async fn get(&self, request: &Request<Incoming>) -> Response<Body> {
        let whole = request.uri().path();
        let (token, path) = match whole.strip_prefix(TOKEN).and_then(|rest| rest.split_once('/')) {
            Some((token, _)) => (Some(token), &whole[TOKEN.len() + token.len()..]),
            None => (None, whole),
        };
        match steps(path).as_slice() {
            ["login"] => return self.site.page.show("login.html", &asked(request)),
            ["claim"] => return see_other("/"),
            ["page", version, file] => return self.site.page.file(version, file),
            // It says nothing that is not in the reference, and browsers ask without credentials.
            _ if request.method() == Method::OPTIONS => return routes::open(self.site, request, path).await,
            _ => {}
        }
        let guest = match self.gate.guest(request.headers(), token, self.peer).await {
            Ok(guest) => guest,
            Err(Refusal::Stranger) if token.is_none() && wants_page(request.headers()) => {
                return see_other("/login");
            }
            Err(refusal) => return refused(&refusal, request.headers()),
        };
        if guest.right < needed(path) {
            return reply::text(StatusCode::FORBIDDEN, format!("{path:?} is not for you."));
        }
        let response = match steps(path).as_slice() {
            ["setup"] if self.peer.secure => self.site.page.show("setup.html", &asked(request)),
            ["api", "setup"] if self.peer.secure => setup::show(self.site, self.gate, &guest).await,
            ["api", "setup", "update"] if self.peer.secure => update::show(self.site),
            _ => routes::open(self.site, request, path).await,
        };
        response.map(|body| body.while_alive(guest.lifeline))
    }

    async fn post(&self, head: &Parts, body: &[u8], meant: Meant<'_>) -> Response<Body> {
        let Meant { host, state, unencrypted } = meant;
        if let Err(text) = self.is_own(&head.headers, host, "application/json") {
            return reply::text(StatusCode::FORBIDDEN, text);
        }
        let headers = &head.headers;
        let answer = match (head.uri.path(), state) {
            _ if unencrypted => Err(reply::text(StatusCode::FORBIDDEN, "This needs HTTPS.")),
            ("/claim", State::Unclaimed) => self.claim(headers, body).await,
            (_, State::Unclaimed) => Err(reply::text(StatusCode::FORBIDDEN, "This device is nobody's yet.")),
            ("/login", _) => self.log_in(headers, body).await,
            ("/logout", _) => Ok(with_cookie(&self.gate.log_out(headers, self.peer.secure))),
            (path, _) => match path.strip_prefix("/api/setup/") {
                Some(what) if self.peer.secure => self.set_up(what, headers, body).await,
                Some(_) => Err(reply::text(StatusCode::FORBIDDEN, "This needs HTTPS.")),
                None => Err(reply::text(StatusCode::METHOD_NOT_ALLOWED, "POST is not allowed here.")),
            },
        };
        answer.unwrap_or_else(|refused| refused)
    }

    /// A browser sends `Origin` with every POST, and no page of another origin can send JSON or a bundle without being asked for leave first.
    fn is_own(&self, headers: &HeaderMap, host: &str, wanted: &str) -> Result<(), String> {
        let value = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
        if !value(ORIGIN).is_some_and(|origin| is_same(origin, host, self.peer.secure)) {
            return Err("Only the page of this device may ask for this: Origin is another one.".to_owned());
        }
        let kind = value(CONTENT_TYPE).map(|kind| kind.split(';').next().unwrap_or_default().trim());
        if kind == Some(wanted) { Ok(()) } else { Err(format!("This takes {wanted}.")) }
    }

    async fn claim(&self, headers: &HeaderMap, body: &[u8]) -> Result<Response<Body>, Response<Body>> {
        let Credentials { name, password, code } = parse(body)?;
        let cookie = self.gate.claim(&code, name, password, self.peer).await;
        cookie.map(|cookie| with_cookie(&cookie)).map_err(|refusal| refused(&refusal, headers))
    }

    async fn log_in(&self, headers: &HeaderMap, body: &[u8]) -> Result<Response<Body>, Response<Body>> {
        let Credentials { name, password, .. } = parse(body)?;
        let cookie = self.gate.log_in(&name, password, self.peer).await;
        cookie.map(|cookie| with_cookie(&cookie)).map_err(|refusal| refused(&refusal, headers))
    }

    async fn set_up(
        &self,
        what: &str,
        headers: &HeaderMap,
        body: &[u8],
    ) -> Result<Response<Body>, Response<Body>> {
        self.administers(headers).await?;
        Ok(setup::change(self.site, self.gate, what, body).await)
    }

    /// A bundle: nothing becomes of it before it is known who sends it.
    async fn update(&self, head: &Parts, bundle: Incoming, meant: Meant<'_>) -> Response<Body> {
        let refusal = match self.is_own(&head.headers, meant.host, "application/octet-stream") {
            Err(text) => Err(reply::text(StatusCode::FORBIDDEN, text)),
            Ok(()) if !self.peer.secure => Err(reply::text(StatusCode::FORBIDDEN, "This needs HTTPS.")),
            Ok(()) if meant.state == State::Unclaimed => {
                Err(reply::text(StatusCode::FORBIDDEN, "This device is nobody's yet."))
            }
            Ok(()) => self.administers(&head.headers).await,
        };
        match refusal {
            Ok(()) => update::receive(self.site, bundle).await,
            Err(refused) => update::refuse(bundle, refused).await,
        }
    }

    async fn administers(&self, headers: &HeaderMap) -> Result<(), Response<Body>> {
        match self.gate.guest(headers, None, self.peer).await {
            Ok(Guest { right: Right::Administer, .. }) => Ok(()),
            Ok(_) => Err(reply::text(StatusCode::FORBIDDEN, "Administrators alone may do this.")),
            Err(refusal) => Err(refused(&refusal, headers)),
        }
    }
}

/// What somebody must be allowed to see this.
fn needed(path: &str) -> Right {
    match steps(path).as_slice() {
        ["live" | "recordings", _, ..] => Right::Play,
        ["setup"] | ["api", "setup", ..] => Right::Administer,
        _ => Right::Look,
    }
}

fn steps(path: &str) -> Vec<&str> {
    path.trim_start_matches('/').splitn(4, '/').collect()
}

fn asked(request: &Request<Incoming>) -> Asked<'_> {
    Asked { headers: request.headers(), query: request.uri().query().unwrap_or("") }
}

/// Of HTTP/2 the authority, of HTTP/1.1 the header (RFC 9113 8.3.1).
fn host(request: &Request<Incoming>) -> Option<&str> {
    let header = || request.headers().get(HOST)?.to_str().ok();
    request.uri().authority().map(|authority| authority.as_str()).or_else(header)
}

/// A browser that goes to a page, and not a script or a player.
fn wants_page(headers: &HeaderMap) -> bool {
    headers.get(ACCEPT).and_then(|value| value.to_str().ok()).is_some_and(|kinds| kinds.contains("text/html"))
}

/// The same by HTTPS.
fn to_https(site: &Site, request: &Request<Incoming>, host: &str) -> Response<Body> {
    let name = name_of(host).unwrap_or_default();
    let port = match site.port {
        443 => String::new(),
        port => format!(":{port}"),
    };
    let rest = request.uri().path_and_query().map_or("/", |rest| rest.as_str());
    see_other(&format!("https://{name}{port}{rest}"))
}

fn see_other(place: &str) -> Response<Body> {
    let mut response = reply::text(StatusCode::SEE_OTHER, format!("See {place}"));
    if let Ok(value) = HeaderValue::try_from(place) {
        response.headers_mut().insert(LOCATION, value);
    }
    response
}

fn with_cookie(cookie: &str) -> Response<Body> {
    let mut response = reply::json(StatusCode::OK, &serde_json::json!({}));
    if let Ok(value) = HeaderValue::try_from(cookie) {
        response.headers_mut().insert(SET_COOKIE, value);
    }
    response
}

/// Why not, in words. A player is asked for its password; a script of the page is not, or the browser would ask its user.
pub(super) fn refused(refusal: &Refusal, headers: &HeaderMap) -> Response<Body> {
    let status = match refusal {
        Refusal::Stranger | Refusal::Wrong => StatusCode::UNAUTHORIZED,
        Refusal::WrongCode => StatusCode::FORBIDDEN,
        Refusal::TooMany(_) => StatusCode::TOO_MANY_REQUESTS,
        Refusal::Account(_) | Refusal::Change(_) => StatusCode::UNPROCESSABLE_ENTITY,
        Refusal::Busy(_) | Refusal::Locked(_) => StatusCode::SERVICE_UNAVAILABLE,
        Refusal::Save { .. } => StatusCode::INSUFFICIENT_STORAGE,
    };
    let mut response = reply::text(status, refusal.to_string());
    let more = response.headers_mut();
    if status == StatusCode::UNAUTHORIZED && !headers.contains_key("sec-fetch-mode") {
        more.insert(
            WWW_AUTHENTICATE,
            HeaderValue::from_static("Basic realm=\"Porthole\", charset=\"UTF-8\""),
        );
    }
    if let Refusal::TooMany(wait) = refusal {
        more.insert(RETRY_AFTER, HeaderValue::from(wait.as_secs() + 1));
    }
    response
}

/// The body of a request is not what the route takes.
pub(super) struct Malformed(serde_json::Error);

impl From<Malformed> for Response<Body> {
    fn from(Malformed(error): Malformed) -> Self {
        reply::text(StatusCode::BAD_REQUEST, format!("The JSON: {error}."))
    }
}

/// JSON from a page of this device.
pub(super) fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Malformed> {
    serde_json::from_slice(body).map_err(Malformed)
}

/// The whole body of a request, or the status that says what is wrong with it.
async fn body(mut incoming: Incoming) -> Result<Bytes, StatusCode> {
    let whole = async {
        let mut bytes = Vec::new();
        while let Some(frame) = poll_fn(|context| Pin::new(&mut incoming).poll_frame(context)).await {
            let frame = frame.map_err(|_gone| StatusCode::BAD_REQUEST)?;
            let data = frame.into_data().unwrap_or_default();
            if bytes.len() + data.len() > BODY_BYTES {
                return Err(StatusCode::PAYLOAD_TOO_LARGE);
            }
            bytes.extend_from_slice(&data);
        }
        Ok(bytes.into())
    };
    timeout(BODY_TIME, whole).await.unwrap_or(Err(StatusCode::REQUEST_TIMEOUT))
}

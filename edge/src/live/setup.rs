//! `/api/setup`: what the set-up page shows and changes. Only administrators come here, and only by HTTPS.

use super::entry::{parse, refused};
use super::reply::{self, Body};
use super::routes::Site;
use crate::auth::{Gate, Guest, Refusal, Who};
use crate::config::Device;
use crate::setup::{self, Remote, Setup, fingerprint};
use hyper::{HeaderMap, Response, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::rc::Rc;

/// `/api/setup`
#[derive(Serialize)]
struct Shown {
    you: String,
    device: Device,
    plain_viewing: bool,
    /// The port for plain HTTP, if there is one.
    plain_port: Option<u16>,
    /// SHA-256 of the device's own certificate.
    certificate: Option<String>,
    /// The line to enrol at a remote host.
    public_key: String,
    upload: Option<ShownRemote>,
    accounts: Vec<ShownAccount>,
    tokens: Vec<ShownToken>,
    cameras: Vec<String>,
}

#[derive(Serialize)]
struct ShownRemote {
    #[serde(flatten)]
    remote: Remote,
    fingerprint: Option<String>,
}

#[derive(Serialize)]
struct ShownAccount {
    name: String,
    admin: bool,
    /// The configuration file has it: the page cannot change it.
    fixed: bool,
}

#[derive(Serialize)]
struct ShownToken {
    id: String,
    name: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Viewing {
    plain: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Named {
    name: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Identified {
    id: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewAccount {
    name: String,
    password: String,
    admin: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Server {
    host: String,
    port: u16,
}

/// GET `/api/setup`
pub(super) async fn show(site: &Site, gate: &Gate, guest: &Guest) -> Response<Body> {
    let Some(setup) = &site.setup else { return nothing("") };
    let config = site.sources.config.get();
    let public_key = match setup.public_key(&config).await {
        Ok(line) => line,
        Err(error) => return wrong(&error),
    };
    let you = match &guest.who {
        Who::Account(name) => name.clone(),
        Who::Token(id) => id.clone(),
    };
    let upload = config
        .upload
        .as_ref()
        .map(|upload| ShownRemote { remote: Remote::of(upload), fingerprint: fingerprint(&upload.host_key) });
    let accounts = gate.accounts().into_iter();
    let tokens = gate.tokens().into_iter();
    let shown = Shown {
        you,
        device: config.device.clone(),
        plain_viewing: config.auth.as_ref().is_some_and(|auth| auth.plain_viewing),
        plain_port: config.live.plain.map(|plain| plain.port()),
        certificate: setup.certificate.clone(),
        public_key,
        upload,
        accounts: accounts.map(|(name, admin, fixed)| ShownAccount { name, admin, fixed }).collect(),
        tokens: tokens.map(|(id, name)| ShownToken { id, name }).collect(),
        cameras: config.camera.iter().map(|camera| camera.name.clone()).collect(),
    };
    reply::json(StatusCode::OK, &shown)
}

/// POST `/api/setup/{what}`
pub(super) async fn change(site: &Site, gate: &Rc<Gate>, what: &str, body: &[u8]) -> Response<Body> {
    let Some(setup) = &site.setup else { return nothing(what) };
    let answer = match what {
        "device" | "viewing" | "upload" => settings(site, setup, what, body).await,
        "host_key" | "trial" => remote(site, setup, what, body).await,
        _ => people(gate, what, body).await,
    };
    answer.unwrap_or_else(|refused| refused)
}

async fn settings(
    site: &Site,
    setup: &Setup,
    what: &str,
    body: &[u8],
) -> Result<Response<Body>, Response<Body>> {
    let current = &site.sources.config;
    let changed = match what {
        "device" => {
            let device: Device = parse(body)?;
            setup.change(current, |settings| settings.device = Some(device)).await
        }
        "viewing" => {
            let Viewing { plain } = parse(body)?;
            setup.change(current, move |settings| settings.plain_viewing = Some(plain)).await
        }
        _ => {
            let remote: Remote = parse(body)?;
            setup.change(current, |settings| settings.upload = Some(remote)).await
        }
    };
    changed.map(|()| reply::json(StatusCode::OK, &json!({}))).map_err(|error| wrong(&error))
}

async fn remote(
    site: &Site,
    setup: &Setup,
    what: &str,
    body: &[u8],
) -> Result<Response<Body>, Response<Body>> {
    let config = site.sources.config.get();
    let answer = match what {
        "host_key" => {
            let Server { host, port } = parse(body)?;
            setup.host_key(host, port).await.map(|key| reply::json(StatusCode::OK, &key))
        }
        _ => {
            let remote: Remote = parse(body)?;
            setup.trial(remote, &config).await.map(|()| reply::json(StatusCode::OK, &json!({})))
        }
    };
    answer.map_err(|error| wrong(&error))
}

async fn people(gate: &Rc<Gate>, what: &str, body: &[u8]) -> Result<Response<Body>, Response<Body>> {
    let refuse = |refusal: Refusal| refused(&refusal, &HeaderMap::new());
    let done = match what {
        "account" => {
            let NewAccount { name, password, admin } = parse(body)?;
            gate.put_account(name, password, admin).await
        }
        "account/remove" => {
            let Named { name } = parse(body)?;
            gate.remove_account(name).await
        }
        "token" => {
            let Named { name } = parse(body)?;
            let (id, token) = gate.add_token(name).await.map_err(refuse)?;
            return Ok(reply::json(StatusCode::OK, &json!({ "id": id, "token": token })));
        }
        "token/revoke" => {
            let Identified { id } = parse(body)?;
            gate.revoke_token(id).await
        }
        _ => return Err(nothing(what)),
    };
    done.map(|()| reply::json(StatusCode::OK, &json!({}))).map_err(refuse)
}

fn nothing(what: &str) -> Response<Body> {
    reply::not_found(format!("There is nothing to set at {what:?}."))
}

/// Why not, in words.
fn wrong(error: &setup::Error) -> Response<Body> {
    let status = match error {
        setup::Error::Value(_) => StatusCode::UNPROCESSABLE_ENTITY,
        setup::Error::Remote(_) => StatusCode::BAD_GATEWAY,
        setup::Error::Busy(_) => StatusCode::SERVICE_UNAVAILABLE,
        setup::Error::Save { .. } => StatusCode::INSUFFICIENT_STORAGE,
        setup::Error::Damaged { .. } | setup::Error::Key(_) | setup::Error::NoAuth => {
            StatusCode::INTERNAL_SERVER_ERROR
        }
    };
    reply::text(status, error.to_string())
}

//! A small HTTP client: every answer is a value, whatever its status.

use std::io::Read;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::wait::PATIENCE;

/// An answer.
#[derive(Debug)]
pub struct Reply {
    /// The status code.
    pub status: u16,
    headers: Vec<(String, String)>,
    /// The whole body.
    pub body: Vec<u8>,
}

impl Reply {
    /// The value of a header, by its name in small letters.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    pub fn json(&self) -> Result<Value> {
        serde_json::from_slice(&self.body).with_context(|| self.text())
    }
}

/// A client that keeps its connection.
#[derive(Debug)]
pub struct Client(ureq::Agent);

impl Client {
    /// A client that is not connected yet.
    #[expect(clippy::new_without_default, reason = "a client is no value")]
    pub fn new() -> Self {
        Self(agent(PATIENCE))
    }

    /// GET, with the answer read to its end.
    pub fn get(&self, url: &str) -> Result<Reply> {
        read(url, self.0.get(url).call().with_context(|| url.to_owned())?)
    }
}

/// GET, with the answer read to its end.
pub fn get(url: &str) -> Result<Reply> {
    get_with(url, &[])
}

/// GET with headers.
pub fn get_with(url: &str, headers: &[(&str, &str)]) -> Result<Reply> {
    read(url, request(url, headers, PATIENCE)?)
}

fn read(url: &str, response: ureq::http::Response<ureq::Body>) -> Result<Reply> {
    let status = response.status().as_u16();
    let header = |(name, value): (&ureq::http::HeaderName, &ureq::http::HeaderValue)| {
        (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned())
    };
    let headers = response.headers().iter().map(header).collect();
    let mut body = Vec::new();
    response
        .into_body()
        .into_reader()
        .read_to_end(&mut body)
        .with_context(|| format!("the body of {url}"))?;
    Ok(Reply { status, headers, body })
}

/// GET of a body without an end: what arrives can be read for at most `patience`.
pub fn open(url: &str, patience: Duration) -> Result<impl Read + Send + 'static> {
    let response = request(url, &[], patience)?;
    ensure!(response.status() == 200, "{url} answers {}", response.status());
    Ok(response.into_body().into_reader())
}

fn request(
    url: &str,
    headers: &[(&str, &str)],
    patience: Duration,
) -> Result<ureq::http::Response<ureq::Body>> {
    let mut request = agent(patience).get(url);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.call().with_context(|| url.to_owned())
}

fn agent(patience: Duration) -> ureq::Agent {
    let config = ureq::Agent::config_builder().http_status_as_error(false).timeout_global(Some(patience));
    ureq::Agent::new_with_config(config.proxy(None).build())
}

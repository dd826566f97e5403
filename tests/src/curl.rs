//! curl: HTTPS with certificates that a device has made for itself, cookies and passwords.

use std::process::Command;

use anyhow::{Context, Result};
use serde_json::Value;

/// An answer, as curl saw it.
#[derive(Debug)]
pub struct Answer {
    /// The status code; 0 if there was no answer.
    pub status: u16,
    /// The lines of its head.
    pub headers: String,
    /// What follows them, as text.
    pub body: String,
}

impl Answer {
    /// The value of a header, by its name in small letters.
    pub fn header(&self, name: &str) -> Option<&str> {
        let line = self.headers.lines().find(|line| line.to_lowercase().starts_with(&format!("{name}: ")));
        line.map(|line| line[name.len() + 2..].trim())
    }

    /// The body as JSON.
    pub fn json(&self) -> Result<Value> {
        serde_json::from_str(&self.body).with_context(|| self.body.clone())
    }
}

/// Asks for `url`, whoever signed its certificate.
pub fn curl(arguments: &[&str], url: &str) -> Result<Answer> {
    let mut curl = Command::new("curl");
    curl.args(["-sk", "-i", "--max-time", "60"]).args(arguments).arg(url);
    let output = curl.output().context("curl")?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let (headers, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    let status = headers.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0);
    Ok(Answer { status, headers: headers.to_owned(), body: body.to_owned() })
}

//! What a program of ours shows over HTTP on loopback.

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::http::{self, Reply};

/// A web server on a port of 127.0.0.1.
#[derive(Clone, Copy, Debug)]
pub struct Web {
    /// The port.
    pub port: u16,
}

impl Web {
    /// The address of a page.
    pub fn url(self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// GET of a path.
    pub fn get(self, path: &str) -> Result<Reply> {
        http::get(&self.url(path))
    }

    /// GET of a path whose answer must be JSON.
    pub fn json(self, path: &str) -> Result<Value> {
        let reply = self.get(path)?;
        ensure!(reply.status == 200, "{path} answers {}: {}", reply.status, reply.text());
        reply.json()
    }

    /// A list in such an answer.
    pub fn list(self, path: &str, key: &str) -> Result<Vec<Value>> {
        let answer = self.json(path)?;
        answer[key].as_array().cloned().with_context(|| answer.to_string())
    }

    /// A value of the metrics page: [`metric`].
    pub fn metric(self, name: &str) -> f64 {
        metric(&self.get("/metrics").map(|reply| reply.text()).unwrap_or_default(), name)
    }
}

/// The value on a line of a metrics page, by its whole name with labels; 0 if there is no such line.
pub fn metric(page: &str, name: &str) -> f64 {
    let value = page.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok());
    value.unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_metric_is_found_by_its_whole_name() {
        let page =
            "porthole_edge_viewers 3\nporthole_edge_viewers_stalled_total 7\nfps{camera=\"front\"} 29.5\n";
        assert_eq!(metric(page, "porthole_edge_viewers"), 3.0);
        assert_eq!(metric(page, "fps{camera=\"front\"}"), 29.5);
        assert_eq!(metric(page, "fps{camera=\"back\"}"), 0.0);
    }
}

//! What goes on at one moment, as the edge and the remote host tell it over HTTP.

use std::time::Duration;

use ::tests::edge::Edge;
use ::tests::remote::Remote;
use anyhow::Result;
use serde_json::Value;

/// One moment.
#[derive(Debug, Default)]
pub struct Snapshot {
    /// Address of the page.
    pub address: String,
    /// Of the edge.
    pub uptime: Duration,
    /// The camera: what was opened, or why nothing was.
    pub camera: String,
    /// Pictures encoded a second.
    pub fps: f64,
    /// Bits encoded a second.
    pub bitrate: f64,
    /// Seconds of footage in the ring.
    pub ring_seconds: f64,
    /// Viewers of a live stream.
    pub viewers: f64,
    /// On the edge, newest first.
    pub recordings: Vec<Recording>,
    /// What the upload is doing.
    pub upload: String,
    /// Address of the remote host's page.
    pub remote: String,
    /// What is there, newest first.
    pub arrived: Vec<Arrived>,
    /// What is wrong now.
    pub faults: Vec<String>,
}

/// A recording on the edge.
#[derive(Debug, Default)]
pub struct Recording {
    /// Its name.
    pub name: String,
    /// `growing`, `sealed`, `uploading` or `receipted`.
    pub state: String,
    /// Footage in it.
    pub seconds: f64,
    /// Bytes of it.
    pub bytes: f64,
}

/// A recording on the remote host.
#[derive(Debug, Default)]
pub struct Arrived {
    /// Its name.
    pub name: String,
    /// `arriving`, `receipted`, `chopping`, `chopped`, ...
    pub state: String,
    /// Bytes that are there.
    pub bytes: f64,
}

impl Snapshot {
    /// Recordings on the remote host in a state.
    pub fn in_state(&self, state: &str) -> usize {
        self.arrived.iter().filter(|recording| recording.state == state).count()
    }

    /// What goes on now.
    pub fn take(edge: &Edge, remote: &Remote) -> Result<Self> {
        let status = edge.json("/api/status")?;
        let arrived = remote.json("/api/recordings")?;
        let camera = &status["cameras"][0];
        let number = |value: &Value| value.as_f64().unwrap_or(0.0);
        Ok(Self {
            address: edge.url("/"),
            uptime: Duration::try_from_secs_f64(number(&status["uptime"]))?,
            camera: opened(camera),
            fps: number(&camera["video"]["fps"]),
            bitrate: number(&camera["video"]["bits_per_second"]),
            ring_seconds: number(&camera["ring"]["end"]) - number(&camera["ring"]["start"]),
            viewers: number(&status["viewers"]),
            recordings: edge.recordings()?.iter().rev().map(recording).collect(),
            upload: upload(&status["upload"]),
            remote: remote.url("/"),
            arrived: list(&arrived["recordings"]).iter().map(on_remote).collect(),
            faults: list(&status["faults"]).iter().map(fault).collect(),
        })
    }
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

fn word(value: &Value) -> &str {
    value.as_str().unwrap_or("?")
}

fn opened(camera: &Value) -> String {
    match word(&camera["state"]) {
        "streaming" => format!(
            "{}x{} {} from {}",
            camera["width"],
            camera["height"],
            word(&camera["format"]),
            word(&camera["device"])
        ),
        "gone" => format!("gone: {}", word(&camera["error"])),
        state => state.to_owned(),
    }
}

fn recording(recording: &Value) -> Recording {
    Recording {
        name: word(&recording["name"]).to_owned(),
        state: word(&recording["state"]).to_owned(),
        seconds: recording["seconds"].as_f64().unwrap_or(0.0),
        bytes: recording["bytes"].as_f64().unwrap_or(0.0),
    }
}

fn on_remote(recording: &Value) -> Arrived {
    Arrived {
        name: word(&recording["name"]).to_owned(),
        state: word(&recording["state"]).to_owned(),
        bytes: recording["bytes"].as_f64().unwrap_or(0.0),
    }
}

fn upload(upload: &Value) -> String {
    let state = &upload["state"];
    let doing = match word(&state["state"]) {
        "sending" => {
            format!("sending {}, {} of {} bytes", word(&state["recording"]), state["sent"], state["bytes"])
        }
        "backing_off" => format!("tries again in {} s", state["seconds"]),
        other => other.to_owned(),
    };
    match upload["failure"]["message"].as_str() {
        Some(message) => format!("{doing}; {message}"),
        None => doing,
    }
}

fn fault(fault: &Value) -> String {
    format!("{}: {}", word(&fault["part"]), word(&fault["message"]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_upload_says_what_it_does_and_what_failed() {
        assert_eq!(upload(&json!({"state": {"state": "idle"}, "failure": null})), "idle");
        let sending = json!({"state": {"state": "sending", "recording": "a", "sent": 1, "bytes": 2}});
        assert_eq!(upload(&sending), "sending a, 1 of 2 bytes");
        let failed =
            json!({"state": {"state": "backing_off", "seconds": 4}, "failure": {"message": "refused"}});
        assert_eq!(upload(&failed), "tries again in 4 s; refused");
    }
}

//! The status as a few lines for people: what `porthole-edge status` prints.

use serde_json::Value;
use std::fmt::Write;

/// Lines for the JSON of `/status`; what is not there is left out.
///
/// # Errors
/// The text is not JSON.
pub fn summary(status: &str) -> Result<String, serde_json::Error> {
    let status: Value = serde_json::from_str(status)?;
    let mut out = String::new();
    // Writing into a String cannot fail.
    let _written = write_all(&mut out, &status);
    Ok(out)
}

fn write_all(out: &mut String, status: &Value) -> std::fmt::Result {
    let health = if status["healthy"] == true { "well" } else { "NOT WELL" };
    writeln!(
        out,
        "porthole-edge {}: {health}, up {}, {} viewers",
        text(&status["version"]),
        span(&status["uptime"]),
        status["viewers"]
    )?;
    for camera in list(&status["cameras"]) {
        write_camera(out, camera)?;
    }
    let recordings = &status["recordings"];
    writeln!(
        out,
        "recordings: {}, {}, {}",
        recordings["count"],
        span(&recordings["seconds"]),
        size(&recordings["bytes"])
    )?;
    let storage = &status["storage"];
    if storage["ram"] == true {
        writeln!(out, "  ON A RAM DISK: a power cut takes what is not on a remote host")?;
    }
    if storage["written_bytes_per_day"].is_u64() {
        writeln!(out, "  written to the disk a day: {}", size(&storage["written_bytes_per_day"]))?;
    }
    match &status["upload"] {
        Value::Null => writeln!(out, "upload: no remote host is configured")?,
        upload => {
            let (remote, state) = (text(&upload["remote"]), text(&upload["state"]["state"]));
            writeln!(
                out,
                "upload to {remote}: {state}, {} waiting, {} receipts",
                upload["pending"], upload["receipts"]
            )?;
            write_backlog(out, upload)?;
            if let Some(message) = upload["failure"]["message"].as_str() {
                writeln!(out, "  {}: {message}", text(&upload["failure"]["kind"]))?;
            }
        }
    }
    for fault in list(&status["faults"]) {
        writeln!(out, "FAULT {}: {}", text(&fault["part"]), text(&fault["message"]))?;
    }
    Ok(())
}

/// What is at risk, and when that ends or hurts.
fn write_backlog(out: &mut String, upload: &Value) -> std::fmt::Result {
    for risk in list(&upload["at_risk"]) {
        let seconds = risk["seconds"].as_f64().unwrap_or(0.0);
        writeln!(out, "  {}: {seconds:.1} s are on this device alone", text(&risk["camera"]))?;
    }
    if upload["seconds_to_finish"].is_number() {
        let (left, finish) = (size(&upload["pending_bytes"]), span(&upload["seconds_to_finish"]));
        writeln!(out, "  {left} to go, done in {finish}")?;
    }
    if upload["seconds_to_full"].is_number() {
        let (left, full) = (size(&upload["pending_bytes"]), span(&upload["seconds_to_full"]));
        writeln!(out, "  THE BACKLOG GROWS: {left} to go; the disk is full in {full}")?;
    }
    Ok(())
}

fn write_camera(out: &mut String, camera: &Value) -> std::fmt::Result {
    write!(out, "camera {}: {}", text(&camera["name"]), text(&camera["state"]))?;
    if let Some(error) = camera["error"].as_str() {
        writeln!(out, ", {error}")?;
        return write_repairs(out, &camera["repairs"]);
    }
    let (video, ring) = (&camera["video"], &camera["ring"]);
    if let (Some(fps), Some(bits)) = (video["fps"].as_f64(), video["bits_per_second"].as_f64()) {
        write!(out, ", {}, {fps:.1} fps, {:.0} kb/s", text(&camera["device"]), bits / 1000.0)?;
    }
    if let (Some(start), Some(end)) = (ring["start"].as_f64(), ring["end"].as_f64()) {
        write!(out, ", ring {:.0} s, {}", end - start, size(&ring["bytes"]))?;
    }
    writeln!(out)?;
    write_repairs(out, &camera["repairs"])
}

/// What was done about a camera that was gone, if anything was.
fn write_repairs(out: &mut String, repairs: &Value) -> std::fmt::Result {
    let done = |rung: &str| repairs[rung].as_u64().unwrap_or(0);
    let (made, reopened, resets, restarts) =
        (done("made"), done("reopened"), done("usb_resets"), done("restarts"));
    if made + reopened + resets + restarts == 0 {
        return Ok(());
    }
    write!(out, "  came back {made} times")?;
    if let Some(seconds) = repairs["mean_seconds"].as_f64() {
        write!(out, ", {seconds:.1} s on average")?;
    }
    writeln!(out, ": opened again {reopened} times, {resets} USB resets, {restarts} restarts")
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or("?")
}

fn span(seconds: &Value) -> String {
    let seconds = seconds.as_f64().unwrap_or(0.0) as u64;
    format!("{}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

fn size(bytes: &Value) -> String {
    format!("{:.1} MB", bytes.as_f64().unwrap_or(0.0) / 1e6)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_read_a_line_for_each_part() {
        let status = r#"{"version":"0.1.0","uptime":3725.5,"healthy":false,"viewers":2,"cameras":[
            {"name":"front","state":"streaming","device":"/dev/video0","video":{"fps":29.97,"bits_per_second":401234.0},
             "repairs":{"made":0,"mean_seconds":null,"reopened":0,"usb_resets":0,"restarts":0},
             "ring":{"start":10.0,"end":130.0,"bytes":6500000}},
            {"name":"yard","state":"gone","error":"/dev/video2: No such device",
             "repairs":{"made":2,"mean_seconds":1.25,"reopened":3,"usb_resets":1,"restarts":0}}],
            "recordings":{"count":3,"bytes":90000000,"seconds":2700.0},
            "storage":{"ram":false,"written_bytes_per_day":5200000000},
            "upload":{"remote":"cam@host:22","state":{"state":"backing_off","seconds":4},"pending":1,"receipts":2,
                      "pending_bytes":45000000,"bytes_per_second":null,"seconds_to_finish":null,"seconds_to_full":7322.0,
                      "at_risk":[{"camera":"front","seconds":901.5}],
                      "failure":{"kind":"host_key","message":"host shows another key","tries":1}},
            "faults":[{"part":"store","message":"/data: read-only"}]}"#;
        assert_eq!(
            summary(status).expect("is JSON"),
            "porthole-edge 0.1.0: NOT WELL, up 1:02:05, 2 viewers\n\
             camera front: streaming, /dev/video0, 30.0 fps, 401 kb/s, ring 120 s, 6.5 MB\n\
             camera yard: gone, /dev/video2: No such device\n\
             \x20 came back 2 times, 1.2 s on average: opened again 3 times, 1 USB resets, 0 restarts\n\
             recordings: 3, 0:45:00, 90.0 MB\n\
             \x20 written to the disk a day: 5200.0 MB\n\
             upload to cam@host:22: backing_off, 1 waiting, 2 receipts\n  \
               front: 901.5 s are on this device alone\n  \
               THE BACKLOG GROWS: 45.0 MB to go; the disk is full in 2:02:02\n  \
               host_key: host shows another key\n\
             FAULT store: /data: read-only\n"
        );
    }
}

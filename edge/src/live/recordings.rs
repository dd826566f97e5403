//! `/recordings/NAME.mp4`: a recording that is on the edge, with ranges (RFC 9110, 14), also while it grows.
//!
//! A growing recording is served as long as it was when the request came: up to its last whole GOP, so that every answer is a file
//! that opens. Names are looked up in the list of recordings; nothing from outside ever becomes a path.

use super::reply::{self, Body, Cache};
use super::routes::Asked;
use crate::status::{Recording, RecordingState, Status};
use crate::supervise::aside;
use hyper::header::{
    ACCEPT_RANGES, CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_RANGE, HeaderValue, IF_RANGE, RANGE,
};
use hyper::{Response, StatusCode};
use media::http::{self, Wanted};
use service::reading::Reading;
use std::fs::File;
use std::io;
use std::sync::Arc;

/// Answers for the recording in the file called `file`.
pub(super) async fn answer(status: &Status, file: &str, asked: &Asked<'_>) -> Response<Body> {
    let recordings = status.recordings();
    let named = |recording: &&Recording| file.strip_suffix(".mp4") == Some(recording.name.as_str());
    let Some(recording) = recordings.iter().find(named).cloned() else {
        return reply::not_found(format!("There is no recording {file:?} on this edge."));
    };
    let path = recording.path.clone();
    let opened = aside(move || {
        let file = File::open(path)?;
        let length = file.metadata()?.len();
        Ok::<_, io::Error>((file, length))
    });
    match opened.await {
        Ok(Ok((opened, length))) => {
            let length =
                if recording.state == RecordingState::Growing { recording.bytes.min(length) } else { length };
            serve(&recording, Arc::new(opened), length, asked)
        }
        // It left between the look-up and now.
        Ok(Err(error)) if error.kind() == io::ErrorKind::NotFound => {
            reply::not_found(format!("The recording {file:?} has just left this edge."))
        }
        Ok(Err(error)) => {
            tracing::warn!(recording = file, %error, "a recording cannot be read");
            reply::text(
                StatusCode::INTERNAL_SERVER_ERROR,
                format!("The recording {file:?} cannot be read: {error}."),
            )
        }
        Err(_) => reply::text(StatusCode::SERVICE_UNAVAILABLE, "The edge is stopping."),
    }
}

fn serve(recording: &Recording, file: Arc<File>, length: u64, asked: &Asked<'_>) -> Response<Body> {
    let growing = if recording.state == RecordingState::Growing { "growing" } else { "sealed" };
    let tag = format!("\"{}-{growing}-{length}\"", recording.name);
    let whole = 0..length;
    let header = |name| asked.headers.get(name).map(HeaderValue::as_bytes);
    let (code, range) = match http::wanted(header(RANGE), header(IF_RANGE), &tag, length) {
        Wanted::Whole => (StatusCode::OK, whole),
        Wanted::Part(range) => (StatusCode::PARTIAL_CONTENT, range),
        Wanted::Malformed => {
            let text = String::from_utf8_lossy(header(RANGE).unwrap_or_default());
            return reply::text(StatusCode::BAD_REQUEST, format!("The range {text:?} cannot be understood."));
        }
        Wanted::Outside => {
            let mut response = reply::text(
                StatusCode::RANGE_NOT_SATISFIABLE,
                format!("The recording has {length} bytes; nothing of the range is there."),
            );
            set(&mut response, CONTENT_RANGE, format!("bytes */{length}"));
            return response;
        }
    };
    let mut response = reply::ok("video/mp4", Cache::Ask, Body::stream(Reading::new(file, range.clone())));
    *response.status_mut() = code;
    response.headers_mut().insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    set(&mut response, CONTENT_LENGTH, (range.end - range.start).to_string());
    if code == StatusCode::PARTIAL_CONTENT {
        set(&mut response, CONTENT_RANGE, format!("bytes {}-{}/{length}", range.start, range.end - 1));
    }
    if asked.parameter("download") == Some("1") {
        set(&mut response, CONTENT_DISPOSITION, format!("attachment; filename=\"{}.mp4\"", recording.name));
    }
    reply::tagged(response, &tag, asked.headers)
}

fn set(response: &mut Response<Body>, name: hyper::header::HeaderName, value: String) {
    if let Ok(value) = HeaderValue::try_from(value) {
        response.headers_mut().insert(name, value);
    }
}

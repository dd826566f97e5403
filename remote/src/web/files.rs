//! `/hls/NAME/FILE` and `/i/NAME.mp4`: files as they are, with ranges (RFC 9110, 14) and entity tags.
//!
//! A name from outside is looked for in an open folder only after it was checked; links are not followed.

use super::{Site, not_found, set, tagged, text};
use crate::chop::is_name;
use crate::folder::{Error, Folder};
use crate::supervise::aside;
use crate::sweep::leaving;
use crate::sweep::recordings::{is_segment, mp4, playlists};
use axum::body::Body;
use axum::extract::{Path, RawQuery, State};
use axum::http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, IF_RANGE,
    RANGE,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use media::WallTime;
use media::hls::vod;
use media::http::{Wanted, wanted};
use service::reading::Reading;
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::sync::Arc;

/// A file of this name never has other bytes.
const FOR_EVER: &str = "max-age=31536000, immutable";
/// It may leave, or have been another recording's: ask again each time.
const ASK: &str = "no-cache";

/// How a file is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Kind {
    content_type: &'static str,
    cache: &'static str,
}

const PLAYLIST: Kind = Kind { content_type: "application/vnd.apple.mpegurl", cache: ASK };
const SEGMENT: Kind = Kind { content_type: "video/mp2t", cache: FOR_EVER };
const RECORDING: Kind = Kind { content_type: "video/mp4", cache: ASK };

/// Answers `/hls/NAME/FILE`.
pub async fn hls(
    State(site): State<Site>,
    Path((name, file)): Path<(String, String)>,
    asked: HeaderMap,
) -> Response {
    let Some(kind) = kind(&name, &file) else {
        return not_found(format!("There is no {file:?} of a recording {name:?}."));
    };
    let date = site.shelf.catalogue().dates.get(&name).copied().filter(|_| {
        let [_, media] = playlists(&name);
        file == media
    });
    let wanted = file.clone();
    let opened = aside(move || match site.folders.hls.folder(&name)? {
        Some(folder) => open(&folder, &wanted),
        None => Ok(None),
    });
    match (opened.await, date) {
        (Ok(Ok(Some(opened))), Some(date)) => redate(opened, date, &asked).await,
        (opened, _) => answer(opened, &file, kind, &asked),
    }
}

/// A media playlist with the dates that its camera's ledger has learnt since it was made.
async fn redate(opened: Opened, date: WallTime, asked: &HeaderMap) -> Response {
    let Opened { mut file, tag, .. } = opened;
    let read = aside(move || {
        let mut playlist = String::new();
        (&mut file).take(leaving::MOST_BYTES).read_to_string(&mut playlist).map(|_| playlist)
    });
    let Ok(Ok(playlist)) = read.await else {
        return text(StatusCode::INTERNAL_SERVER_ERROR, "The playlist cannot be read.");
    };
    let mut response = vod::redated(&playlist, date).into_response();
    set(&mut response, CONTENT_TYPE, PLAYLIST.content_type);
    set(&mut response, CACHE_CONTROL, PLAYLIST.cache);
    let tag = format!("{}-{:x}\"", tag.trim_end_matches('"'), date.0);
    tagged(response, &tag, asked)
}

/// Answers `/i/NAME.mp4`; with `?download=1` it is to be saved.
pub async fn recording(
    State(site): State<Site>,
    Path(file): Path<String>,
    RawQuery(query): RawQuery,
    asked: HeaderMap,
) -> Response {
    let Some(name) = file.strip_suffix(".mp4").filter(|name| is_name(name)) else {
        return not_found(format!("There is no recording {file:?}."));
    };
    let wanted = mp4(name);
    let opened = aside(move || open(&site.folders.archive, &wanted));
    let mut response = answer(opened.await, &file, RECORDING, &asked);
    if response.status().is_success()
        && query.is_some_and(|query| query.split('&').any(|one| one == "download=1"))
    {
        set(&mut response, CONTENT_DISPOSITION, &format!("attachment; filename=\"{file}\""));
    }
    response
}

/// What a file in the folder of the recording `name` is; `None` if chop makes none of that name.
fn kind(name: &str, file: &str) -> Option<Kind> {
    if !is_name(name) {
        return None;
    }
    if playlists(name).iter().any(|playlist| playlist == file) {
        return Some(PLAYLIST);
    }
    is_segment(file, name).then_some(SEGMENT)
}

/// An open file as it is now.
struct Opened {
    file: File,
    length: u64,
    tag: String,
}

/// Opens a file. Another file of the same name, and the same with other bytes, has another entity tag.
fn open(folder: &Folder, file: &str) -> Result<Option<Opened>, Error> {
    let Some(opened) = folder.open_file(file)? else { return Ok(None) };
    let metadata =
        opened.metadata().map_err(|source| Error::new("look at", &folder.path().join(file), source))?;
    let length = metadata.len();
    let tag =
        format!("\"{:x}-{length:x}-{:x}-{:x}\"", metadata.ino(), metadata.mtime(), metadata.mtime_nsec());
    Ok(Some(Opened { file: opened, length, tag }))
}

fn answer(
    opened: Result<Result<Option<Opened>, Error>, tokio::task::JoinError>,
    name: &str,
    kind: Kind,
    asked: &HeaderMap,
) -> Response {
    match opened {
        Ok(Ok(Some(opened))) => {
            let tag = opened.tag.clone();
            tagged(serve(opened, kind, asked), &tag, asked)
        }
        Ok(Ok(None)) => not_found(format!("There is no {name:?}, or its time is over.")),
        Ok(Err(error)) => {
            tracing::warn!(%error, "a file cannot be read");
            text(StatusCode::INTERNAL_SERVER_ERROR, format!("{name:?} cannot be read."))
        }
        Err(_) => text(StatusCode::SERVICE_UNAVAILABLE, "The host is stopping."),
    }
}

fn serve(opened: Opened, kind: Kind, asked: &HeaderMap) -> Response {
    let Opened { file, length, tag } = opened;
    let header = |name: HeaderName| asked.get(name).map(HeaderValue::as_bytes);
    let (code, range) = match wanted(header(RANGE), header(IF_RANGE), &tag, length) {
        Wanted::Whole => (StatusCode::OK, 0..length),
        Wanted::Part(range) => (StatusCode::PARTIAL_CONTENT, range),
        Wanted::Malformed => return text(StatusCode::BAD_REQUEST, "The range cannot be understood."),
        Wanted::Outside => {
            let why = format!("The file has {length} bytes; nothing of the range is there.");
            let mut response = text(StatusCode::RANGE_NOT_SATISFIABLE, why);
            set(&mut response, CONTENT_RANGE, &format!("bytes */{length}"));
            return response;
        }
    };
    let body = Body::new(Reading::new(Arc::new(file), range.clone()));
    let mut response = (code, body).into_response();
    set(&mut response, CONTENT_TYPE, kind.content_type);
    set(&mut response, CACHE_CONTROL, kind.cache);
    set(&mut response, ACCEPT_RANGES, "bytes");
    set(&mut response, CONTENT_LENGTH, &(range.end - range.start).to_string());
    if code == StatusCode::PARTIAL_CONTENT {
        set(&mut response, CONTENT_RANGE, &format!("bytes {}-{}/{length}", range.start, range.end - 1));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_chop_makes_has_a_kind() {
        assert_eq!(kind("a", "a.m3u8"), Some(PLAYLIST));
        assert_eq!(kind("a", "a-out.m3u8"), Some(PLAYLIST));
        assert_eq!(kind("a", "a-front-12.ts"), Some(SEGMENT));
        for (name, file) in [
            ("a", "b.m3u8"),
            ("a", "a.leaving"),
            ("a", "a-front-x.ts"),
            ("a", "../a/a.m3u8"),
            ("a", "a-../../x-1.ts"),
            ("..", "...m3u8"),
            ("a/..", "a/...m3u8"),
            ("", ".m3u8"),
        ] {
            assert_eq!(kind(name, file), None, "{name} {file}");
        }
    }
}

//! Playlists, segments and recordings as files.

use crate::client::{ask, get};
use crate::fixture::{Host, put};
use std::os::unix::fs::symlink;

#[test]
fn a_segment_may_be_kept_for_ever_and_a_playlist_is_asked_for_again() {
    let host = Host::start(&["a"], "");
    for (path, kind, cache) in [
        ("/hls/a/a.m3u8", "application/vnd.apple.mpegurl", "no-cache"),
        ("/hls/a/a-out.m3u8", "application/vnd.apple.mpegurl", "no-cache"),
        ("/hls/a/a-front-1.ts", "video/mp2t", "max-age=31536000, immutable"),
        ("/i/a.mp4", "video/mp4", "no-cache"),
    ] {
        let reply = get(host.address, path);
        assert_eq!(reply.status, 200, "{path}");
        assert_eq!(reply.header("content-type"), Some(kind), "{path}");
        assert_eq!(reply.header("cache-control"), Some(cache), "{path}");
        assert_eq!(reply.header("access-control-allow-origin"), Some("*"), "{path}");
        assert_eq!(reply.header("x-content-type-options"), Some("nosniff"), "{path}");
        let tag = reply.header("etag").expect("a tag");
        let again = ask(host.address, "GET", path, &[("if-none-match", tag)]);
        assert_eq!((again.status, again.body.len()), (304, 0), "{path}");
        assert_eq!(again.header("cache-control"), Some(cache), "{path}");
        let head = ask(host.address, "HEAD", path, &[]);
        assert_eq!(head.header("content-length"), Some(reply.body.len().to_string().as_str()), "{path}");
    }
    assert_eq!(get(host.address, "/hls/a/a-front-1.ts").body, [b'1'; 188]);
    assert_eq!(get(host.address, "/api/status").header("access-control-allow-origin"), None);
}

#[test]
fn pages_of_other_origins_may_ask_for_files_with_any_header_and_for_nothing_else() {
    let host = Host::start(&["a"], "");
    let allowed = |path, what| {
        let reply = ask(host.address, "OPTIONS", path, &[("origin", "http://else")]);
        (reply.status, reply.header(&format!("access-control-allow-{what}")).map(str::to_owned))
    };
    for path in ["/hls/a/a.m3u8", "/i/a.mp4"] {
        for (what, value) in [("origin", "*"), ("methods", "GET, HEAD, OPTIONS"), ("headers", "*")] {
            assert_eq!(allowed(path, what), (204, Some(value.to_owned())), "{path} {what}");
        }
    }
    assert_eq!(allowed("/api/status", "origin"), (405, None));
}

#[test]
fn a_recording_is_served_in_ranges() {
    let host = Host::start(&["a"], "");
    let range = |range| ask(host.address, "GET", "/i/a.mp4", &[("range", range)]);
    let part = range("bytes=2-4");
    assert_eq!((part.status, part.text().as_str()), (206, "234"));
    assert_eq!(part.header("content-range"), Some("bytes 2-4/10"));
    assert_eq!(range("bytes=-3").text(), "789");
    let outside = range("bytes=10-");
    assert_eq!((outside.status, outside.header("content-range")), (416, Some("bytes */10")));
    assert_eq!(range("bytes=x").status, 400);
    let other = ask(host.address, "GET", "/i/a.mp4", &[("range", "bytes=2-4"), ("if-range", "\"other\"")]);
    assert_eq!((other.status, other.text().as_str()), (200, "0123456789"));
    let saved = get(host.address, "/i/a.mp4?download=1");
    assert_eq!(saved.header("content-disposition"), Some("attachment; filename=\"a.mp4\""));
}

#[test]
fn nothing_but_recordings_and_what_was_made_of_them_can_be_had() {
    let host = Host::start(&["a"], "");
    let dir = host.dir.path();
    put(dir, "secret.mp4", b"secret");
    put(dir, "archive/.hidden.mp4", b"secret");
    put(dir, "hls/a/notes.txt", b"secret");
    symlink(dir.join("secret.mp4"), dir.join("archive/link.mp4")).expect("links");
    symlink(dir.join("secret.mp4"), dir.join("hls/a/a-front-9.ts")).expect("links");
    symlink(dir.join("hls/a"), dir.join("hls/b")).expect("links");
    for path in [
        "/i/..%2fsecret.mp4",
        "/i/../secret.mp4",
        "/i/.hidden.mp4",
        "/i/link.mp4",
        "/i/a.mp4%00",
        "/i/%ff.mp4",
        "/hls/a/notes.txt",
        "/hls/a/a-front-9.ts",
        "/hls/b/b.m3u8",
        "/hls/a/..%2f..%2fsecret.mp4",
        "/hls/%2e%2e/secret.mp4",
        "/hls/a/a-..%2f..%2f-1.ts",
    ] {
        let reply = get(host.address, path);
        assert!(matches!(reply.status, 400 | 404), "{path}: {}", reply.status);
        assert!(!reply.text().contains("secret\n") && reply.body != b"secret", "{path}");
    }
}

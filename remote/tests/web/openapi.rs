//! docs/ref/remote-openapi.json, remote-http.md and remote-metrics.md say what the server does.

use crate::client::{Reply, get};
use crate::fixture::{Host, put};
use crate::schema::misfits;
use remote::status::Metrics;
use serde_json::Value;
use std::collections::BTreeSet;
use std::time::Duration;

const NAME: &str = "2026-11-21-06-00-00-0badcafe-0000000001";

fn document() -> Value {
    serde_json::from_str(include_str!("../../../docs/ref/remote-openapi.json")).expect("JSON")
}

/// A server that has one of everything to tell.
fn host() -> Host {
    let host = Host::start(&[NAME], "");
    put(host.dir.path(), "inbox/front/b.part", b"half");
    put(host.dir.path(), "inbox/front/c.mp4", b"whole");
    put(host.dir.path(), "claim/d.mp4", b"worked on");
    put(host.dir.path(), "quarantine/front/e.mp4", b"junk");
    put(host.dir.path(), "quarantine/front/e.mp4.reason", b"no box\n");
    host.status.begin("worker 1", "d", Duration::from_secs(1));
    host.status.begin("worker 2", "f", Duration::from_secs(1));
    host.status.end("worker 2", "done", Duration::from_secs(2));
    host.status.set_fault("inbox", Some("disk full".to_owned()));
    host.status.metrics.sweep_last_run.set(1);
    host.wait_for("/api/recordings", |list| list["count"] == 5);
    host
}

/// A path of the document with values in place of its parameters.
fn filled(path: &str, name: &str) -> String {
    [("{name}", name), ("{camera}", "front"), ("{number}", "0"), ("{file}", "style.css")]
        .iter()
        .fold(path.to_owned(), |path, (parameter, value)| path.replace(parameter, value))
}

fn check(document: &Value, path: &str, response: &Value, reply: &Reply) {
    let Some((kind, content)) = response["content"].as_object().and_then(|content| content.iter().next())
    else {
        return;
    };
    assert_eq!(reply.header("content-type"), Some(kind.as_str()), "{path}");
    if let Some(schema) = content.get("schema") {
        let answer = reply.json();
        assert_eq!(misfits(document, schema, &answer, path), [""; 0], "{answer:#}");
    }
}

#[test]
fn every_path_answers_as_described() {
    let (document, host) = (document(), host());
    for (path, item) in document["paths"].as_object().expect("paths") {
        let reply = get(host.address, &filled(path, NAME));
        assert_eq!(reply.status, 200, "{path}: {}", reply.text());
        check(&document, path, &item["get"]["responses"]["200"], &reply);
    }
}

#[test]
fn what_is_not_there_is_a_text_that_says_so() {
    let (document, host) = (document(), Host::start(&[], ""));
    for (path, item) in document["paths"].as_object().expect("paths") {
        if item["get"]["responses"].get("404").is_some() {
            let reply = get(host.address, &filled(path, NAME).replace("style", "no"));
            let kind = reply.header("content-type");
            assert_eq!((reply.status, kind), (404, Some("text/plain; charset=utf-8")), "{path}");
        }
    }
    assert_eq!(get(host.address, "/nowhere").status, 404);
}

#[test]
fn a_list_comes_in_pieces_and_each_entry_once() {
    let names = ["a", "b", "c", "d", "e"];
    let host = Host::start(&names, "");
    let mut seen = Vec::new();
    let mut path = "/api/recordings?limit=2".to_owned();
    loop {
        let piece = get(host.address, &path).json();
        assert_eq!(piece["count"], 5);
        let recordings = piece["recordings"].as_array().expect("a list");
        assert!(recordings.len() <= 2);
        seen.extend(
            recordings.iter().map(|recording| recording["name"].as_str().expect("a name").to_owned()),
        );
        let Some(next) = piece["next"].as_str() else { break };
        path = format!("/api/recordings?limit=2&after={next}");
    }
    seen.sort();
    assert_eq!(seen, names);
    let none = get(host.address, "/api/recordings?camera=nobody").json();
    assert_eq!((&none["count"], &none["next"]), (&Value::from(0), &Value::Null));
    for bad in ["limit=0", "limit=1001", "limit=x", "after=x", "after=1"] {
        assert_eq!(get(host.address, &format!("/api/recordings?{bad}")).status, 400, "{bad}");
    }
    assert_eq!(get(host.address, "/api/gaps?after=x").status, 400);
}

#[test]
fn health_names_the_thread_that_does_not_move() {
    let (document, host) = (document(), Host::start(&[], ""));
    let pulse = host.pulses.register("worker 1");
    let died = std::thread::spawn(move || {
        let _pulse = pulse;
        panic!("as meant");
    });
    assert!(died.join().is_err());
    let reply = get(host.address, "/healthz");
    assert_eq!(reply.status, 503);
    check(&document, "/healthz", &document["paths"]["/healthz"]["get"]["responses"]["503"], &reply);
    let health = reply.json();
    let stuck: Vec<_> = health["threads"]
        .as_array()
        .expect("a list")
        .iter()
        .filter(|thread| thread["moving"] == false)
        .collect();
    assert_eq!(stuck[0]["thread"], "worker 1");
    assert_eq!(stuck.len(), 1);
}

#[test]
fn the_reference_page_has_every_path() {
    let page = include_str!("../../../docs/ref/remote-http.md");
    for path in document()["paths"].as_object().expect("paths").keys() {
        assert!(page.contains(&format!("`{path}`")), "docs/ref/remote-http.md lacks {path}");
    }
}

#[test]
fn the_metrics_page_lists_what_metrics_gives() {
    let text = Metrics::default().render();
    let given: BTreeSet<(String, String)> = text
        .lines()
        .filter_map(|line| line.strip_prefix("# HELP ")?.split_once(' '))
        .map(|(name, help)| (name.to_owned(), help.trim_end_matches('.').to_owned()))
        .collect();
    let page = include_str!("../../../docs/ref/remote-metrics.md");
    let row = |line: &str| {
        let (name, help) = line.strip_prefix("| `")?.strip_suffix(" |")?.split_once("` | ")?;
        Some((name.to_owned(), help.to_owned()))
    };
    assert_eq!(page.lines().filter_map(row).collect::<BTreeSet<_>>(), given, "docs/ref/remote-metrics.md");
}

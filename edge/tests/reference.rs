//! docs/ref against the code: every key with its default, every metric.

#![allow(clippy::expect_used)] // helpers of tests, outside #[test]

use edge::config::Config;
use edge::status::Metrics;
use std::collections::BTreeSet;

const CONFIG: &str = include_str!("../../docs/ref/config.md");
const METRICS: &str = include_str!("../../docs/ref/metrics.md");

/// The cells of all table rows whose first cell is code: ("video.bitrate", "400000").
fn rows(page: &str) -> Vec<(String, String)> {
    let row = |line: &str| {
        let mut cells =
            line.strip_prefix("| `")?.split('|').map(|cell| cell.trim().trim_matches('`').to_owned());
        Some((cells.next()?, cells.next()?))
    };
    page.lines().filter_map(row).collect()
}

/// Keys and defaults as TOML would write them; `None` where the default depends on who runs it.
fn keys(config: &Config) -> Vec<(String, Option<String>)> {
    let json = serde_json::to_value(config).expect("serialises");
    let mut keys = Vec::new();
    for (section, value) in json.as_object().expect("tables") {
        let table = if let Some(list) = value.as_array() { &list[0] } else { value };
        for (key, value) in table.as_object().into_iter().flatten() {
            let fixed = !(value.is_null() || value.as_str().is_some_and(|text| text.starts_with('/')));
            keys.push((format!("{section}.{key}"), fixed.then(|| value.to_string())));
        }
    }
    keys
}

#[test]
fn the_configuration_page_has_every_key_with_its_default() {
    let rows = rows(CONFIG);
    for (key, default) in keys(&Config::default()) {
        let Some((_, shown)) = rows.iter().find(|(name, _)| *name == key) else {
            panic!("docs/ref/config.md lacks {key}")
        };
        if let Some(default) = default {
            assert_eq!(*shown, default, "default of {key} in docs/ref/config.md");
        }
    }
}

#[test]
fn the_configuration_page_has_no_key_that_is_not_there() {
    let upload = "[upload]\nhost = \"h\"\nuser = \"u\"\nhost_key = \"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIH0XDKDZpZ89hNCaej8mrOhs+CKiEI11242Un8zWzkXJ\"";
    let known: BTreeSet<_> =
        keys(&Config::parse(upload).expect("good")).into_iter().map(|(key, _)| key).collect();
    let shown: BTreeSet<_> = rows(CONFIG).into_iter().map(|(key, _)| key).collect();
    assert_eq!(shown, known);
}

#[test]
fn the_metrics_page_lists_what_metrics_gives() {
    let metrics = Metrics::default();
    metrics.camera("front");
    let text = metrics.render();
    let given: BTreeSet<_> = text
        .lines()
        .filter_map(|line| line.strip_prefix("# HELP "))
        .filter_map(|line| line.split_once(' '))
        .map(|(name, help)| (name.to_owned(), help.trim_end_matches('.').to_owned()))
        .collect();
    let shown: BTreeSet<_> = rows(METRICS).into_iter().collect();
    assert_eq!(shown, given, "docs/ref/metrics.md");
}

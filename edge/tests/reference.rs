//! docs/ref against the code: every key with its default, every metric.

#![allow(clippy::expect_used)] // helpers of tests, outside #[test]

use edge::config::{Config, Current};
use edge::status::Metrics;
use serde_json::{Value, json};
use std::collections::BTreeSet;

const CONFIG: &str = include_str!("../../docs/ref/config.md");
const METRICS: &str = include_str!("../../docs/ref/metrics.md");

/// Every key is there.
const WITH_UPLOAD: &str = "[auth]\n[update]\n[upload]\nhost = \"h\"\nuser = \"u\"\nhost_key = \"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIH0XDKDZpZ89hNCaej8mrOhs+CKiEI11242Un8zWzkXJ\"";

/// The cells of all table rows whose first cell is code: ("video.bitrate", "400000", ...).
fn cells(page: &str) -> impl Iterator<Item = Vec<String>> {
    let row = |line: &str| {
        let cells = line.strip_prefix("| `")?.split(" |").map(|cell| cell.trim_matches([' ', '|', '`']));
        Some(cells.map(str::to_owned).collect())
    };
    page.lines().filter_map(row)
}

/// The first two cells of all those rows.
fn rows(page: &str) -> Vec<(String, String)> {
    cells(page).map(|cells| (cells[0].clone(), cells[1].clone())).collect()
}

/// The table or the value of `key`, of the first camera if it is one of theirs.
fn find<'a>(all: &'a mut Value, key: &str) -> Option<&'a mut Value> {
    key.split('.').try_fold(all, |table, name| match table {
        Value::Array(list) => list.first_mut()?.get_mut(name),
        table => table.get_mut(name),
    })
}

/// `config` with another value of `key`, if there is one of that type.
fn changed(config: &Config, key: &str) -> Option<Config> {
    let all = serde_json::to_value(config).expect("serialises");
    let others = match find(&mut all.clone(), key)? {
        Value::Bool(value) => vec![json!(!*value)],
        Value::Number(value) if value.is_u64() => vec![json!(value.as_u64()? + 1)],
        Value::Number(value) => vec![json!(value.as_f64()? + 1.0)],
        Value::Null => {
            let tls = json!({ "cert": "/cert", "key": "/key" });
            vec![tls, json!("[::1]:1"), json!("yuyv"), json!("50Hz"), json!(-1)]
        }
        Value::Array(_) => vec![json!(["other"])],
        value => [&*format!("{}x", value.as_str()?), "main", "sealed", "[::1]:1"].map(Value::from).into(),
    };
    others.into_iter().find_map(|other| {
        let mut all = all.clone();
        *find(&mut all, key)? = other;
        serde_json::from_value(all).ok()
    })
}

/// Keys and defaults as TOML would write them; `None` where the default depends on who runs it.
fn keys(config: &Config) -> Vec<(String, Option<String>)> {
    let json = serde_json::to_value(config).expect("serialises");
    json.as_object().expect("tables").iter().flat_map(|(section, value)| keys_of(section, value)).collect()
}

/// Those of the table `name`, with the tables in it.
fn keys_of(name: &str, value: &Value) -> Vec<(String, Option<String>)> {
    let table = value.get(0).unwrap_or(value);
    let keys = table.as_object().into_iter().flatten().map(|(key, value)| {
        let name = format!("{name}.{key}");
        let fixed = !(value.is_null() || value.as_str().is_some_and(|text| text.starts_with('/')));
        if value.is_object() { keys_of(&name, value) } else { vec![(name, fixed.then(|| value.to_string()))] }
    });
    keys.flatten().collect()
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
    let known: BTreeSet<_> =
        keys(&Config::parse(WITH_UPLOAD).expect("good")).into_iter().map(|(key, _)| key).collect();
    let shown: BTreeSet<_> = rows(CONFIG).into_iter().map(|(key, _)| key).collect();
    assert_eq!(shown, known);
}

#[test]
fn the_configuration_page_says_which_keys_wait_for_a_restart() {
    let config = Config::parse(WITH_UPLOAD).expect("good");
    for row in cells(CONFIG) {
        let key = &row[0];
        let Some(wanted) = changed(&config, key) else { panic!("no other value of {key} is known here") };
        let current = Current::new(config.clone());
        let waiting = current.replace(wanted.clone());
        match row[3].as_str() {
            "restart" => {
                assert_eq!(*current.get(), config, "{key}");
                assert!(waiting.len() == 1 && key.starts_with(waiting[0]), "{key} and not {waiting:?}");
            }
            "-" => assert_eq!((waiting, &*current.get()), (Vec::new(), &wanted), "{key}"),
            other => panic!("{key} needs {other:?} to change"),
        }
    }
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

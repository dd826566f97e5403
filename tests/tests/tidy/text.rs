//! What stays out of every file, and links that must lead somewhere.

use crate::{Source, assert_tidy, folder_of};

/// Promises instead of work. Written in two pieces, so that this list does not find itself.
const UNFINISHED: &[&str] = &[
    concat!("TO", "DO"),
    concat!("FIX", "ME"),
    concat!("to", "do!("),
    concat!("unimplement", "ed!("),
    concat!("#[ig", "nore"),
];

/// Where packages come from is a matter of each machine's own settings.
const REGISTRIES: &[&str] = &[
    concat!("crates.", "io/"),
    concat!("index.crates.", "io"),
    concat!("static.crates.", "io"),
    concat!("registry.npm", "js.org"),
    concat!("registry.yarn", "pkg.com"),
    concat!("files.python", "hosted.org"),
    concat!("pypi.", "org"),
    concat!("deb.deb", "ian.org"),
    concat!("proxy.gol", "ang.org"),
];

/// Folders of the machine that something was once made on.
const MACHINES: &[&str] = &[concat!("/wo", "rk/"), concat!("/ro", "ot/"), concat!("/ho", "me/")];

/// The lines of `source` that hold one of `words`.
fn containing(source: &Source, words: &[&str]) -> Vec<String> {
    // Made by programs, of names that others have given.
    if ["Cargo.lock", "-crates.inc"].iter().any(|end| source.ends_with(end)) {
        return Vec::new();
    }
    let lines = source.text.lines().enumerate();
    let bad = lines.filter_map(|(n, line)| Some((n, words.iter().find(|word| line.contains(**word))?)));
    bad.map(|(n, word)| format!("{}:{}: {word}", source.path, n + 1)).collect()
}

/// The relative links of a Markdown file whose target is not there.
fn dead_links(source: &Source) -> Vec<String> {
    if !source.ends_with(".md") {
        return Vec::new();
    }
    let folder = tests::workspace().join(folder_of(&source.path));
    let links = source.text.split("](").skip(1).filter_map(|rest| rest.split([')', ' ']).next());
    let targets = links.filter(|link| {
        !link.contains("://") && !link.starts_with(['#', '<']) && !link.starts_with("mailto:")
    });
    let dead = targets.filter(|link| !folder.join(link.split('#').next().unwrap_or_default()).exists());
    dead.map(|link| format!("{}: nothing is at {link}", source.path)).collect()
}

/// What `service::page::POLICY` would stop in a browser, or what turns data into markup or code.
fn improper_page(source: &Source) -> Vec<String> {
    if !source.path.contains("/page/")
        || !["html", "css", "js", "svg"].iter().any(|end| source.ends_with(end))
    {
        return Vec::new();
    }
    let harmful = ["innerHTML", "eval(", "style=\"", "<style", " onclick="];
    let hosts = source.text.split("://").skip(1).filter_map(|rest| rest.split('/').next());
    let strangers = hosts.filter(|host| *host != "www.w3.org");
    let found = harmful.into_iter().filter(|word| source.text.contains(word)).chain(strangers);
    found.map(|what| format!("{}: a page has no {what}", source.path)).collect()
}

#[test]
fn pages_keep_to_their_own_policy() {
    assert_tidy(improper_page);
    let page = |text| improper_page(&Source::new("edge/src/live/page/a.js", text));
    assert_eq!(page("h('p').innerHTML = name"), ["edge/src/live/page/a.js: a page has no innerHTML"]);
    assert_eq!(page("get('https://example.org/a')"), ["edge/src/live/page/a.js: a page has no example.org"]);
    assert_eq!(page("const SVG = 'http://www.w3.org/2000/svg';"), [""; 0]);
}

#[test]
fn nothing_is_promised_instead_of_done() {
    assert_tidy(|source| containing(source, UNFINISHED));
}

#[test]
fn no_package_registry_is_named() {
    assert_tidy(|source| containing(source, REGISTRIES));
}

#[test]
fn no_folder_of_one_machine_is_named() {
    assert_tidy(|source| containing(source, MACHINES));
}

#[test]
fn every_relative_link_leads_somewhere() {
    assert_tidy(dead_links);
}

#[test]
fn what_must_stay_out_is_found() {
    for words in [UNFINISHED, REGISTRIES, MACHINES] {
        for word in words {
            let source = Source::new("a.js", &format!("fine\nx = 1; // {word} later"));
            assert_eq!(containing(&source, words), [format!("a.js:2: {word}")]);
        }
    }
    let links = "[a](README.md) [b](guide/nowhere.md#part) [c](#here) [d](https://example.org/e)";
    let source = Source::new("docs/a.md", links);
    assert_eq!(
        dead_links(&source),
        ["docs/a.md: nothing is at README.md", "docs/a.md: nothing is at guide/nowhere.md#part"]
    );
    assert_eq!(dead_links(&Source::new("a.md", "[a](Cargo.toml)")), [""; 0]);
}

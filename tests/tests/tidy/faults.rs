//! The page of faults names tests that exist.

use crate::{Source, workspace};

const PAGE: &str = "docs/design/faults.md";

/// What `page` names as `suite::test` and no file of that suite has.
fn missing(page: &str, files: &[Source]) -> Vec<String> {
    let quoted = page.split('`').skip(1).step_by(2);
    let named = quoted.filter_map(|code| code.split_once("::"));
    let exists = |suite: &str, test: &str| {
        let (file, folder) = (format!("tests/tests/{suite}.rs"), format!("tests/tests/{suite}/"));
        let head = format!("fn {test}(");
        let mut of_suite =
            files.iter().filter(|source| source.path == file || source.path.starts_with(&folder));
        of_suite.any(|source| source.text.contains(&head))
    };
    named
        .filter(|(suite, test)| *suite != "suite" && !exists(suite, test))
        .map(|(suite, test)| format!("{PAGE}: there is no test {suite}::{test}"))
        .collect()
}

#[test]
fn every_fault_is_tested_where_its_page_says() {
    let files = workspace();
    let page = files.iter().find(|source| source.path == PAGE).expect(PAGE);
    let rows = page.text.lines().filter(|line| line.starts_with("| ") && line.contains("::"));
    assert!(rows.count() > 20);
    assert_eq!(missing(&page.text, &files), [""; 0]);
}

#[test]
fn a_test_that_is_not_there_is_found() {
    let files = [
        Source::new("tests/tests/one.rs", "#[test]\nfn holds() {}"),
        Source::new("tests/tests/two/inner.rs", "#[test]\nfn holds_too() {}"),
    ];
    let page = "| fault | holds | `one::holds` `two::holds_too` `one::holds_too` `two::hold` |";
    let found = missing(page, &files);
    let none = |test: &str| format!("{PAGE}: there is no test {test}");
    assert_eq!(found, [none("one::holds_too"), none("two::hold")]);
}

//! What the compiler does not watch: who may import whom, how long a file and a function may be, what stays out of the
//! repository, and links that lead nowhere.
//!
//! Every rule is a function from a file to its findings; one test applies it to the workspace, and one shows that it finds.

mod borders;
mod code;
mod faults;
mod lengths;
mod text;

use std::path::PathBuf;
use std::process::Command;

/// A file of the repository that holds text.
struct Source {
    /// From the top folder, with `/`.
    path: String,
    /// What is in it.
    text: String,
}

impl Source {
    fn new(path: &str, text: &str) -> Self {
        Self { path: path.to_owned(), text: text.to_owned() }
    }

    fn ends_with(&self, extension: &str) -> bool {
        self.path.ends_with(extension)
    }
}

/// Every text file that is committed or about to be.
fn workspace() -> Vec<Source> {
    let mut git = Command::new("git");
    git.args(["ls-files", "--cached", "--others", "--exclude-standard"]).current_dir(tests::workspace());
    let output = git.output().expect("git");
    assert!(output.status.success(), "this is not a git checkout");
    let paths = String::from_utf8(output.stdout).expect("UTF-8");
    let read = |path: &str| {
        let text = std::fs::read_to_string(tests::workspace().join(path)).ok()?;
        Some(Source::new(path, &text))
    };
    let sources: Vec<Source> = paths.lines().filter_map(read).collect();
    assert!(sources.len() > 50, "only {} files were found", sources.len());
    sources
}

/// Applies a rule to every file, and fails with all that it finds.
fn assert_tidy(rule: impl Fn(&Source) -> Vec<String>) {
    let findings: Vec<String> = workspace().iter().flat_map(rule).collect();
    assert!(findings.is_empty(), "\n{}\n", findings.join("\n"));
}

/// The folder that a path is in.
fn folder_of(path: &str) -> PathBuf {
    PathBuf::from(path).parent().map(PathBuf::from).unwrap_or_default()
}

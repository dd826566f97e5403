//! Building everything, and finding the test programs that came out of it.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use serde::Deserialize;

use crate::command;

/// A test program that cargo built.
#[derive(Debug, PartialEq)]
pub struct TestProgram {
    /// `package`, or `package/target` where the target has a name of its own.
    pub name: String,
    /// The program.
    pub executable: PathBuf,
    /// The folder of its package, where cargo would start it.
    pub folder: PathBuf,
}

/// What cargo says, one JSON object a line (`--message-format=json`); most of it is of no interest here.
#[derive(Deserialize)]
struct Message {
    reason: String,
    manifest_path: Option<PathBuf>,
    target: Option<Target>,
    profile: Option<Profile>,
    executable: Option<PathBuf>,
}

#[derive(Deserialize)]
struct Target {
    name: String,
    kind: Vec<String>,
}

#[derive(Deserialize)]
struct Profile {
    test: bool,
}

/// Compiles every program of the workspace; tests start them by name.
pub fn programs() -> Command {
    let mut build = command::cargo();
    build.args(["build", "--workspace", "--bins", "--locked", "--quiet"]);
    build
}

/// Compiles every test of the workspace. What it prints holds one JSON object a line about what was
/// made, and the compiler's errors as text.
pub fn build() -> Command {
    let mut build = command::cargo();
    build.args([
        "test",
        "--workspace",
        "--locked",
        "--no-run",
        "--quiet",
        "--message-format=json-render-diagnostics",
    ]);
    build
}

/// Whether a line of that output is for programs alone.
pub fn is_message(line: &str) -> bool {
    line.starts_with("{\"reason\":")
}

/// The test programs that the output of [`build`] names.
pub fn test_programs(output: &str) -> Result<Vec<TestProgram>> {
    let mut programs = Vec::new();
    for line in output.lines().filter(|line| is_message(line)) {
        let message: Message =
            serde_json::from_str(line).with_context(|| format!("a message of cargo: {line}"))?;
        programs.extend(message.into_program());
    }
    programs.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(programs)
}

impl Message {
    fn into_program(self) -> Option<TestProgram> {
        if self.reason != "compiler-artifact" || !self.profile?.test {
            return None;
        }
        let folder = self.manifest_path?.parent().map(Path::to_path_buf)?;
        let package = folder.file_name()?.to_str()?.to_owned();
        let target = self.target?;
        let name = if target.kind == ["test"] || target.kind == ["bin"] && target.name != package {
            format!("{package}/{}", target.name)
        } else {
            package
        };
        Some(TestProgram { name, executable: self.executable?, folder })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn test_programs_are_named_after_package_and_target() {
        let messages = r#"
{"reason":"compiler-artifact","manifest_path":"/w/media/Cargo.toml","target":{"kind":["lib"],"name":"media"},"profile":{"test":false},"executable":null}
{"reason":"compiler-artifact","manifest_path":"/w/tests/Cargo.toml","target":{"kind":["test"],"name":"tidy"},"profile":{"test":true},"executable":"/t/tidy-1"}
{"reason":"compiler-artifact","manifest_path":"/w/media/Cargo.toml","target":{"kind":["lib"],"name":"media"},"profile":{"test":true},"executable":"/t/media-1"}
{"reason":"compiler-artifact","manifest_path":"/w/edge/Cargo.toml","target":{"kind":["bin"],"name":"porthole-edge"},"profile":{"test":true},"executable":"/t/edge-1"}
{"reason":"build-finished","success":true}
"#;
        let program = |name: &str, executable: &str, folder: &str| TestProgram {
            name: name.into(),
            executable: executable.into(),
            folder: folder.into(),
        };
        assert_eq!(
            test_programs(messages).unwrap(),
            [
                program("edge/porthole-edge", "/t/edge-1", "/w/edge"),
                program("media", "/t/media-1", "/w/media"),
                program("tests/tidy", "/t/tidy-1", "/w/tests"),
            ]
        );
    }
}

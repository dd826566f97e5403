//! `cargo xtask container`: the image of `remote/Containerfile`, built by Podman and started as docs/guide/remote.md says, where no image can be
//! fetched.
//!
//! ```text
//! bases -> what FROM names   a root file system of that suite; for Rust's, a C compiler and this machine's toolchain too
//!       -> build             the Containerfile and the workspace, as they are
//!       -> trial             the image as a host would run it: the page, and a recording that goes through all of it
//! ```
//!
//! All that Podman keeps is below `target/container/`, and is gone in the end.

mod trial;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::{command, cross, debian, deps, workspace};

/// What describes the image, below the top folder.
const CONTAINERFILE: &str = "remote/Containerfile";
/// The image's name, as the guide has it.
const IMAGE: &str = "porthole-remote";
/// What each base is made with. As in Debian's own images, apt keeps nothing of what it has installed.
const MINIMAL: [&str; 2] = [
    "--variant=minbase",
    r#"--customize-hook=echo 'APT::Keep-Downloaded-Packages "false"; Dir::Cache::pkgcache ""; Dir::Cache::srcpkgcache "";' \
       > "$1/etc/apt/apt.conf.d/minimal""#,
];

/// Where the toolchain is in Rust's image, and where crates are.
const RUST: &str = "/usr/local/rustup";
const CARGO: &str = "/usr/local/cargo";

/// Becomes `podman`. Its runtime starts nothing where a machine has control groups of both kinds; the first is enough.
const BECOME: &str = r#"
both=/sys/fs/cgroup/unified
if mountpoint -q "$both"; then umount "$both"; fi
exec podman "$@""#;

/// Podman gives a container more than some machines have to give.
const LIMITS: [&str; 4] = ["--ulimit", "nofile=4096:4096", "--ulimit", "nproc=4096:4096"];

/// Builds the image, says how large it is, and tries it.
pub fn run() -> Result<()> {
    deps::install(deps::Purpose::Container)?;
    let podman = Podman { folder: workspace::target().join("container") };
    command::empty(&podman.folder)?;
    let outcome = podman.build().and_then(|()| trial::run(&podman));
    let removed = fs::remove_dir_all(&podman.folder).with_context(|| podman.folder.display().to_string());
    outcome.and(removed)
}

/// An image that the Containerfile begins with.
#[derive(Debug, PartialEq, Eq)]
struct Base<'a> {
    /// As FROM names it: `debian:bookworm-slim`, `rust:1.95-slim-bookworm`.
    name: &'a str,
    /// The suite of Debian.
    suite: &'a str,
    /// What mmdebstrap is told of it beside that.
    more: &'static [&'static str],
    /// Whether it has Rust.
    rust: bool,
}

impl<'a> Base<'a> {
    fn parse(name: &'a str) -> Result<Self> {
        let (of, tag) = name.split_once(':').with_context(|| format!("FROM {name}: no tag"))?;
        let mut words = tag.split('-');
        let suite = words.find(|word| *word != "slim" && word.bytes().all(|byte| byte.is_ascii_lowercase()));
        let suite = suite.with_context(|| format!("FROM {name}: no suite of Debian"))?;
        match of {
            "debian" => Ok(Self { name, suite, more: &[], rust: false }),
            "rust" => {
                Ok(Self { name, suite, more: &["--include=ca-certificates,gcc,libc6-dev"], rust: true })
            }
            _ => bail!("FROM {name}: neither Debian's image nor Rust's"),
        }
    }
}

/// The images that a Containerfile begins with.
fn bases(containerfile: &str) -> Result<Vec<Base<'_>>> {
    let names = containerfile.lines().filter_map(|line| line.strip_prefix("FROM ")?.split(' ').next());
    names.map(Base::parse).collect()
}

/// Podman with a store of its own.
struct Podman {
    folder: PathBuf,
}

impl Podman {
    /// A command of it.
    fn command(&self, words: &[&str]) -> Command {
        let mut podman = debian::alone();
        podman.args(["sh", "-ec", BECOME, "podman", "--storage-driver", "vfs", "--events-backend", "none"]);
        for (option, name) in [("--root", "storage"), ("--runroot", "run"), ("--tmpdir", "tmp")] {
            podman.arg(option).arg(self.folder.join(name));
        }
        podman.args(words);
        podman
    }

    /// Builds the image, and says how large it is.
    fn build(&self) -> Result<()> {
        let path = workspace::root().join(CONTAINERFILE);
        let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        for base in bases(&text)? {
            self.import(&base)?;
        }
        let mut build = self.command(&["build", "--pull=never", "--layers=false", "--network=host"]);
        let certificates = Path::new("/etc/ssl/certs");
        let mounts = [
            (cross::toolchain()?, Path::new(RUST), "ro"),
            (cross::cargo_home(), Path::new(CARGO), "rw"),
            // Some machines reach the world through somebody whom only they know.
            (certificates.to_owned(), certificates, "ro"),
        ];
        for (from, to, how) in &mounts {
            build.arg("--volume").arg(format!("{}:{}:{how}", from.display(), to.display()));
        }
        command::run(build.args(LIMITS).args(["-f", CONTAINERFILE, "-t", IMAGE, "."]))?;

        let size = command::output(&mut self.command(&["image", "inspect", "--format", "{{.Size}}", IMAGE]))?;
        let bytes: u64 = size.trim().parse().with_context(|| format!("the image's size: {size}"))?;
        println!("{IMAGE}: {} MB", bytes / 1_000_000);
        Ok(())
    }

    /// Makes what stands in for a base.
    fn import(&self, base: &Base) -> Result<()> {
        let file = self.folder.join("base.tar");
        debian::bootstrap(
            base.suite,
            cross::Target::here().debian(),
            &file,
            &[&MINIMAL, base.more].concat(),
        )?;

        let mut import = self.command(&["import", "--quiet"]);
        if base.rust {
            let version = command::output(command::command("rustc").arg("--version"))?;
            println!("In {} is this machine's {}", base.name, version.trim());
            let folders = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
            import.arg("--change").arg(format!("ENV PATH={RUST}/bin:{folders}"));
            import.arg("--change").arg(format!("ENV CARGO_HOME={CARGO}"));
        }
        command::run(import.arg(&file).arg(base.name))?;
        fs::remove_file(&file).with_context(|| file.display().to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(path: &str) -> String {
        fs::read_to_string(workspace::root().join(path)).unwrap()
    }

    #[test]
    fn each_image_that_the_containerfile_begins_with_has_a_stand_in_of_one_suite() {
        let text = text(CONTAINERFILE);
        let bases = bases(&text).unwrap();
        assert_eq!(bases.iter().map(|base| base.rust).collect::<Vec<_>>(), [true, false]);
        assert!(bases.iter().all(|base| base.suite == bases[0].suite), "{bases:?}");
        for unknown in ["debian", "debian:12-slim", "alpine:edge"] {
            assert!(Base::parse(unknown).is_err(), "{unknown}");
        }
    }

    #[test]
    fn the_image_has_the_libraries_that_the_guide_installs_on_a_host() {
        let libraries = |path: &str| {
            let text = text(path);
            let installed =
                text.lines().filter(|line| line.contains("install")).flat_map(str::split_whitespace);
            let mut libraries: Vec<String> = installed
                .filter(|word| word.starts_with("lib") && !word.ends_with("-dev"))
                .map(str::to_owned)
                .collect();
            libraries.sort();
            libraries
        };
        assert_eq!(libraries(CONTAINERFILE), libraries(trial::GUIDE));
    }

    #[test]
    fn the_image_is_tried_with_the_options_of_the_guide() {
        let guide = text(trial::GUIDE).replace("\\\n", " ");
        let words: Vec<&str> = guide.split_whitespace().collect();
        let options = trial::OPTIONS.join(" ");
        assert!(words.join(" ").contains(&options), "{} does not say {options}", trial::GUIDE);
    }
}

//! Packages of another suite or architecture of Debian, without touching this machine's own.
//!
//! ```text
//! target/debian/SUITE-ARCH/   apt.conf, sources.list, status (empty), lists/, archives/
//! ```
//!
//! The mirror is the one that this machine asks; every list is checked against Debian's keyring.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result, bail, ensure};

use crate::{command, deps, workspace};

/// Who signs Debian's lists; the package `debian-archive-keyring`.
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// What was unpacked into a folder, one package a line; written when all is there.
const LIST: &str = "usr/share/doc/packages";

/// A package of Debian that was unpacked.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Package {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Its architecture: `armhf`, or `all`.
    pub architecture: String,
}

/// Whether a folder holds packages that were all unpacked.
pub fn is_whole(folder: &Path) -> bool {
    folder.join(LIST).is_file()
}

/// The packages that were unpacked into a folder.
pub fn unpacked(folder: &Path) -> Result<Vec<Package>> {
    let path = folder.join(LIST);
    let list = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    let mut packages: Vec<Package> = list.lines().filter_map(package).collect();
    packages.sort();
    Ok(packages)
}

/// A line of such a list: name, version and architecture.
fn package(line: &str) -> Option<Package> {
    let mut words = line.split(' ').map(str::to_owned);
    Some(Package { name: words.next()?, version: words.next()?, architecture: words.next()? })
}

/// What the name of a suite with corrections of faults that can be attacked ends with; it is kept beside the others.
const SECURITY: &str = "-security";
/// Firmware is not Debian's own, but may be passed on.
const COMPONENTS: &str = "main non-free-firmware";

/// The lists that this process has read, and by which names of their suites: they do not change beneath it.
static READ: Mutex<BTreeMap<PathBuf, Vec<String>>> = Mutex::new(BTreeMap::new());

/// Names of releases, and what else these are called for as long as they are that.
const ALSO: [(&str, &str); 2] = [("bookworm", "oldstable"), ("trixie", "stable")];

/// The packages of some suites for an architecture.
pub struct Archive {
    folder: PathBuf,
}

impl Archive {
    /// Asks for the lists of `suites` (`trixie`, `trixie-security`) for `architecture` (`armhf`). A mirror may be in the middle of a change of
    /// those: each is asked for by the other name that it has too, and where none after the first can be had, it is done without and said.
    pub fn open(suites: &[&str], architecture: &str) -> Result<Self> {
        let (archive, _) = Self::read(suites, architecture)?;
        Ok(archive)
    }

    /// The same, and the names by which they were had.
    fn read(suites: &[&str], architecture: &str) -> Result<(Self, Vec<String>)> {
        let name = format!("{}-{architecture}", suites.join("+"));
        let archive = Self { folder: workspace::target().join("debian").join(name) };
        let mut read = READ.lock().unwrap_or_else(PoisonError::into_inner);
        let names = match read.get(&archive.folder) {
            Some(names) => names.clone(),
            None => archive.update_what_is_whole(suites, architecture)?,
        };
        read.insert(archive.folder.clone(), names.clone());
        Ok((archive, names))
    }

    fn update_what_is_whole(&self, suites: &[&str], architecture: &str) -> Result<Vec<String>> {
        let all: Vec<String> = suites.iter().map(|&suite| suite.to_owned()).collect();
        let Err(error) = self.update(&all, architecture) else { return Ok(all) };
        eprintln!("WARNING: {architecture}: {}: {error:#}; each of them alone now", suites.join(", "));
        let mut whole: Vec<String> = Vec::new();
        for suite in suites {
            let mut with = names(suite).into_iter().map(|name| [&whole[..], &[name]].concat());
            let found = with.find(|with| {
                let read = self.update(with, architecture).and_then(|()| self.is_of(suite));
                read.inspect_err(|error| eprintln!("WARNING: {architecture}: {}: {error:#}", with.join(", ")))
                    .is_ok()
            });
            match found {
                Some(names) => whole = names,
                None => ensure!(!whole.is_empty(), "{architecture}: the lists of {suite} cannot be read"),
            }
        }
        self.configure(&whole, architecture)?;
        eprintln!("{architecture}: the lists of {}", whole.join(", "));
        Ok(whole)
    }

    /// Whether the list that was read last is of this suite, whatever name was asked for.
    fn is_of(&self, suite: &str) -> Result<()> {
        let mut ask = self.apt("apt-get");
        let codenames =
            command::output(ask.args(["indextargets", "--format", "$(CODENAME)", "Created-By: Packages"]))?;
        ensure!(codenames.lines().any(|name| name == suite), "{suite} is not there by that name");
        Ok(())
    }

    fn update(&self, suites: &[String], architecture: &str) -> Result<()> {
        self.configure(suites, architecture)?;
        command::run(self.apt("apt-get").args(["-qq", "update"]))
    }

    fn configure(&self, suites: &[String], architecture: &str) -> Result<()> {
        ensure!(Path::new(KEYRING).is_file(), "{KEYRING} is not there; it proves what Debian's packages are");
        for folder in ["lists/partial", "archives/partial", "none"] {
            let folder = self.folder.join(folder);
            fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
        }
        let mirror = mirror()?;
        let source = |suite: &String| {
            let beside = if suite.ends_with(SECURITY) { SECURITY } else { "" };
            let mirror = mirror.trim_end_matches('/');
            format!("deb [signed-by={KEYRING} arch={architecture}] {mirror}{beside} {suite} {COMPONENTS}\n")
        };
        let sources: String = suites.iter().map(source).collect();
        let here = self.folder.display();
        let configuration = format!(
            "APT::Architecture \"{architecture}\";\nAPT::Architectures \"{architecture}\";\n\
             APT::Install-Recommends \"false\";\nAcquire::Languages \"none\";\n\
             APT::Sandbox::User \"\";\nDebug::NoLocking \"true\";\n\
             Dir::State::Lists \"{here}/lists\";\nDir::State::status \"{here}/status\";\n\
             Dir::Cache \"{here}\";\nDir::Cache::archives \"{here}/archives\";\n\
             Dir::Etc::SourceList \"{here}/sources.list\";\nDir::Etc::SourceParts \"{here}/none\";\n\
             Dir::Etc::Parts \"{here}/none\";\n"
        );
        for (file, text) in [("sources.list", sources.as_str()), ("apt.conf", &configuration), ("status", "")]
        {
            let path = self.folder.join(file);
            fs::write(&path, text).with_context(|| path.display().to_string())?;
        }
        Ok(())
    }

    /// A program of apt that sees this archive alone.
    fn apt(&self, program: &str) -> Command {
        let mut apt = command::command(program);
        apt.env("APT_CONFIG", self.folder.join("apt.conf"));
        apt
    }

    /// The versions of `package`, newest first; none if it is not there.
    pub fn versions(&self, package: &str) -> Result<Vec<String>> {
        let table = command::output(self.apt("apt-cache").args(["madison", package]))?;
        Ok(second_columns(&table))
    }

    /// The packages that `package` depends on.
    pub fn depends(&self, package: &str) -> Result<Vec<String>> {
        let list = command::output(self.apt("apt-cache").args(["depends", package]))?;
        Ok(list.lines().filter_map(|line| line.trim().strip_prefix("Depends: ").map(str::to_owned)).collect())
    }

    /// What `unpack` of these packages would unpack today: a package a line, with its version.
    pub fn newest(&self, packages: &[&str]) -> Result<String> {
        let plan =
            command::output(self.apt("apt-get").args(["-qq", "--simulate", "install"]).args(packages))?;
        Ok(installed(&plan))
    }

    /// Unpacks packages (`NAME` or `NAME=VERSION`), and what they depend on, into a folder.
    pub fn unpack(&self, packages: &[&str], into: &Path) -> Result<()> {
        command::run(self.apt("apt-get").args(["-qq", "clean"]))?;
        let install = ["-qq", "-y", "--download-only", "install"];
        command::run(self.apt("apt-get").args(install).args(packages))?;
        self.extract(into)
    }

    /// Unpacks packages without what they depend on.
    pub fn unpack_alone(&self, packages: &[&str], into: &Path) -> Result<()> {
        command::run(self.apt("apt-get").args(["-qq", "clean"]))?;
        let archives = self.folder.join("archives");
        command::run(self.apt("apt-get").args(["-qq", "download"]).args(packages).current_dir(archives))?;
        self.extract(into)
    }

    /// Unpacks what was downloaded, and forgets it.
    fn extract(&self, into: &Path) -> Result<()> {
        let archives = self.folder.join("archives");
        fs::create_dir_all(into).with_context(|| into.display().to_string())?;
        let entries = fs::read_dir(&archives).with_context(|| archives.display().to_string())?;
        let files = entries.flatten().map(|entry| entry.path());
        let mut list = String::new();
        for package in files.filter(|file| file.extension().is_some_and(|end| end == "deb")) {
            command::run(command::command("dpkg-deb").arg("--extract").arg(&package).arg(into))?;
            let mut show = command::command("dpkg-deb");
            show.args(["--show", "--showformat", "${Package} ${Version} ${Architecture}\n"]);
            list.push_str(&command::output(show.arg(&package))?);
        }
        let path = into.join(LIST);
        fs::write(&path, list).with_context(|| path.display().to_string())?;
        command::run(self.apt("apt-get").args(["-qq", "clean"]))
    }
}

/// What starts a command whose mounts end with it: nothing of this machine is left in a folder that is removed later.
pub fn alone() -> Command {
    let mut unshare = command::command("unshare");
    unshare.args(["--mount", "--propagation", "private"]);
    unshare
}

/// Makes a root file system of `suite` for `architecture`, in the folder `root`; `more` is for mmdebstrap. It takes root.
pub fn bootstrap(suite: &str, architecture: &str, root: &Path, more: &[&str]) -> Result<()> {
    ensure!(nix::unistd::geteuid().is_root(), "a root file system of another system takes root");
    println!("Making a root file system of {suite}");
    let (_, names) = Archive::read(&[suite], architecture)?;
    let mut make = alone();
    make.args(["mmdebstrap", "--quiet", "--mode=root"]).arg(format!("--architectures={architecture}"));
    command::run(make.args(more).args(names).arg(root).arg(mirror()?))
}

/// Where this machine's own packages of Debian come from.
pub fn mirror() -> Result<String> {
    let ask = || {
        let filter = ["Created-By: Packages", "Origin: Debian", "Label: Debian"];
        command::output(
            command::command("apt-get").args(["indextargets", "--format", "$(REPO_URI)"]).args(filter),
        )
    };
    let first = |found: &str| found.lines().next().map(str::to_owned);
    if let Some(mirror) = first(&ask()?) {
        return Ok(mirror);
    }
    // A fresh machine has read no lists yet, and does not know whose they are.
    deps::refresh()?;
    match first(&ask()?) {
        Some(mirror) => Ok(mirror),
        None => bail!("apt knows no mirror of Debian here (apt-get indextargets)"),
    }
}

/// What a suite is called, its own name first.
fn names(suite: &str) -> Vec<String> {
    let also = ALSO.iter().filter_map(|(name, also)| Some(format!("{also}{}", suite.strip_prefix(name)?)));
    std::iter::once(suite.to_owned()).chain(also).collect()
}

/// `NAME VERSION` of each line `Inst NAME (VERSION ORIGIN [ARCHITECTURE]) ...` of a simulation.
fn installed(plan: &str) -> String {
    let package = |line: &str| {
        let (name, rest) = line.strip_prefix("Inst ")?.split_once(" (")?;
        Some(format!("{name} {}\n", rest.split(' ').next()?))
    };
    let mut packages: Vec<String> = plan.lines().filter_map(package).collect();
    packages.sort_unstable();
    packages.concat()
}

/// The second column of a table with bars.
fn second_columns(table: &str) -> Vec<String> {
    table.lines().filter_map(|line| line.split('|').nth(1)).map(|version| version.trim().to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_suite_has_the_names_that_its_release_has() {
        assert_eq!(names("trixie"), ["trixie", "stable"]);
        assert_eq!(names("bookworm-security"), ["bookworm-security", "oldstable-security"]);
        assert_eq!(names("sid"), ["sid"]);
    }

    #[test]
    fn a_list_of_packages_is_read_as_it_was_written() {
        let folder = tempfile::tempdir().unwrap();
        assert!(!is_whole(folder.path()));
        fs::create_dir_all(folder.path().join("usr/share/doc")).unwrap();
        fs::write(folder.path().join(LIST), "udev 257.9-1~deb13u1 armhf\nadduser 3.152 all\n").unwrap();
        let packages = unpacked(folder.path()).unwrap();
        let names: Vec<&str> = packages.iter().map(|package| package.name.as_str()).collect();
        assert_eq!(names, ["adduser", "udev"]);
        assert_eq!(packages[1].version, "257.9-1~deb13u1");
        assert!(is_whole(folder.path()));
    }

    #[test]
    fn what_would_be_installed_is_told_with_its_versions() {
        let plan = "NOTE: simulation\nInst udev (257.9-1 Debian:13/stable [armhf])\nInst libssl3t64 (3.5.7-1 Debian:13, Debian-Security:13 [armhf]) []\n\
                    Conf udev (257.9-1 Debian:13/stable [armhf])\n";
        assert_eq!(installed(plan), "libssl3t64 3.5.7-1\nudev 257.9-1\n");
    }

    #[test]
    fn versions_are_the_second_column() {
        let table = "  rust-src | 1.96.1+dfsg1-2 | http://mirror suite/main amd64 Packages\n  rust-src | 1.95.0+dfsg1-2 | http://mirror\n";
        assert_eq!(second_columns(table), ["1.96.1+dfsg1-2", "1.95.0+dfsg1-2"]);
        assert_eq!(second_columns(""), [""; 0]);
    }
}

//! Debian's kernel for 32-bit boards (`linux-image-armmp`), and its modules.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::{ARCHITECTURE, SUITE, SUITES, folder};
use crate::command;
use crate::debian::{self, Archive};

/// The package that names the newest one.
const NEWEST: &str = "linux-image-armmp";

/// What modules ask the kernel for by name while they run, which no table of theirs says: the ciphers of WPA2 and of its management frames.
const ASKED_FOR: [(&str, &[&str]); 1] = [("mac80211", &["ccm", "cmac"])];

/// Where drivers find what they load into devices.
const FIRMWARE: &str = "usr/lib/firmware";

/// An unpacked kernel.
pub struct Kernel {
    /// Where it was unpacked.
    pub tree: PathBuf,
    /// As `uname -r` says it.
    pub release: String,
}

impl Kernel {
    /// The newest one of the suite, fetched unless that was done before.
    pub fn fetch() -> Result<Self> {
        let archive = Archive::open(&SUITES, ARCHITECTURE)?;
        let package = archive.depends(NEWEST)?.into_iter().find(|name| name.starts_with("linux-image-"));
        let package = package.with_context(|| format!("{NEWEST} of {SUITE} names no kernel"))?;
        let release = package.trim_start_matches("linux-image-").to_owned();
        let kernel = Self { tree: folder(&package), release };
        if !debian::is_whole(&kernel.tree) {
            println!("Fetching Debian's kernel {}", kernel.release);
            let made = folder("kernel.new");
            command::empty(&made)?;
            archive.unpack_alone(&[&package], &made)?;
            command::run(
                command::command("depmod").arg("--basedir").arg(made.join("usr")).arg(&kernel.release),
            )?;
            command::empty(&kernel.tree)?;
            fs::rename(&made, &kernel.tree).with_context(|| kernel.tree.display().to_string())?;
        }
        Ok(kernel)
    }

    /// What a boot loader starts.
    pub fn image(&self) -> PathBuf {
        self.tree.join(format!("boot/vmlinuz-{}", self.release))
    }

    /// What a boot loader tells it of a board.
    pub fn device_tree(&self, name: &str) -> Result<PathBuf> {
        let trees = self.tree.join(format!("usr/lib/linux-image-{}", self.release));
        let found = command::output(command::command("find").arg(&trees).args(["-name", name]))?;
        let first = found.lines().next().map(PathBuf::from);
        first.with_context(|| format!("{} has no {name}", trees.display()))
    }

    /// Puts modules, and those that they need, into the root file system `root`, uncompressed: who loads them is slower at that
    /// than whoever packs `root`.
    pub fn install(&self, modules: &[&str], root: &Path) -> Result<()> {
        let here = self.modules(&self.tree);
        let there = self.modules(root);
        let table = here.join("modules.dep");
        let table = fs::read_to_string(&table).with_context(|| table.display().to_string())?;
        for path in with_dependencies(&table, modules)? {
            let plain = there.join(path.trim_end_matches(".xz"));
            if let Some(folder) = plain.parent() {
                fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
            }
            let packed = here.join(path);
            let out = fs::File::create(&plain).with_context(|| plain.display().to_string())?;
            command::run(command::command("xz").args(["--decompress", "--stdout"]).arg(packed).stdout(out))?;
        }
        for list in ["modules.builtin", "modules.builtin.modinfo", "modules.order"] {
            fs::copy(here.join(list), there.join(list)).with_context(|| list.to_owned())?;
        }
        Ok(())
    }

    /// Leaves in `/usr/lib/firmware` of `root` what the modules there ask for, by the names that they ask by.
    pub fn keep_firmware(&self, root: &Path) -> Result<()> {
        let (all, kept) = (root.join("usr/lib/firmware.all"), root.join(FIRMWARE));
        fs::rename(&kept, &all).with_context(|| kept.display().to_string())?;
        let mut find = command::command("find");
        find.arg(self.modules(root))
            .args(["-name", "*.ko", "-exec", "modinfo", "--field", "firmware", "{}", "+"]);
        for name in command::output(&mut find)?.lines() {
            // Packages leave the choice between two regulatory databases to a script.
            let there = [name.to_owned(), format!("{name}-upstream")].map(|name| all.join(name));
            let Some(from) = there.iter().find(|path| path.is_file()) else { continue };
            let place = kept.join(name);
            if let Some(folder) = place.parent() {
                fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
            }
            fs::copy(from, &place).with_context(|| place.display().to_string())?;
        }
        fs::remove_dir_all(&all).with_context(|| all.display().to_string())
    }

    /// Makes the tables of the modules in `root`; to be called when all are there.
    pub fn index(&self, root: &Path) -> Result<()> {
        command::run(command::command("depmod").arg("--basedir").arg(root.join("usr")).arg(&self.release))
    }

    /// The folder of the modules in a root file system.
    pub fn modules(&self, root: &Path) -> PathBuf {
        root.join("usr/lib/modules").join(&self.release)
    }
}

/// The paths of `modules` and of all that they need, by depmod's table of `PATH: PATH PATH ...`, and of what they ask for.
fn with_dependencies<'a>(table: &'a str, modules: &[&str]) -> Result<Vec<&'a str>> {
    let name = |path: &str| {
        let file = path.rsplit('/').next().unwrap_or(path);
        file.split('.').next().unwrap_or(file).replace('-', "_")
    };
    let mut paths = Vec::new();
    for module in modules {
        let wanted = module.replace('-', "_");
        let mut rows = table.lines().filter_map(|row| row.split_once(':'));
        let (path, needs) = rows
            .find(|(path, _)| name(path) == wanted)
            .with_context(|| format!("there is no module {module}"))?;
        paths.push(path);
        paths.extend(needs.split_whitespace());
    }
    for (asks, wanted) in ASKED_FOR {
        if paths.iter().any(|path| name(path) == asks) {
            paths.extend(with_dependencies(table, wanted)?);
        }
    }
    paths.sort_unstable();
    paths.dedup();
    Ok(paths)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "\
kernel/drivers/media/vivid.ko.xz: kernel/drivers/media/v4l2-tpg.ko.xz kernel/drivers/media/videodev.ko.xz
kernel/drivers/media/videodev.ko.xz:
kernel/sound/drivers/snd-aloop.ko.xz: kernel/sound/snd-pcm.ko.xz
kernel/net/mac80211/mac80211.ko.xz:
kernel/drivers/net/mac80211_hwsim.ko.xz: kernel/net/mac80211/mac80211.ko.xz
kernel/crypto/ccm.ko.xz:
kernel/crypto/cmac.ko.xz:
";

    #[test]
    fn modules_come_with_what_they_need_once() {
        let paths = with_dependencies(TABLE, &["vivid", "videodev", "snd_aloop"]).unwrap();
        let expected = [
            "kernel/drivers/media/v4l2-tpg.ko.xz",
            "kernel/drivers/media/videodev.ko.xz",
            "kernel/drivers/media/vivid.ko.xz",
            "kernel/sound/drivers/snd-aloop.ko.xz",
            "kernel/sound/snd-pcm.ko.xz",
        ];
        assert_eq!(paths, expected);
    }

    #[test]
    fn radios_come_with_the_ciphers_that_they_ask_for() {
        let paths = with_dependencies(TABLE, &["mac80211_hwsim"]).unwrap();
        let expected = [
            "kernel/crypto/ccm.ko.xz",
            "kernel/crypto/cmac.ko.xz",
            "kernel/drivers/net/mac80211_hwsim.ko.xz",
            "kernel/net/mac80211/mac80211.ko.xz",
        ];
        assert_eq!(paths, expected);
    }

    #[test]
    fn a_module_that_is_not_there_is_named() {
        assert_eq!(with_dependencies(TABLE, &["nvme"]).unwrap_err().to_string(), "there is no module nvme");
    }
}

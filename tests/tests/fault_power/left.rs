//! What a cut has left: on the card, whose data partition is looked at on a copy as its next start finds it, and on the remote host.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use media::mp4::{HEAD, Recovered, recover};
use tests::appliance::Appliance;

/// One of the two places, and what earlier looks have found there.
#[derive(Debug, Default)]
pub struct Left {
    /// The newest recording: the last ten digits of its name, which only grow.
    newest: Option<u64>,
}

impl Left {
    /// Repairs a copy of the card as the board will, and says how many of the GOPs that were `finished` since the board's start are not
    /// in any recording. An error if the file system cannot be repaired.
    pub fn lost_on_card(&mut self, appliance: &Appliance, finished: i64) -> Result<i64> {
        let folder = tempfile::tempdir()?;
        let copy = folder.path().join("data");
        appliance.copy_data(&copy)?;
        let data = copy.display().to_string();
        // 1: something was repaired.
        check(&["-f", "-p", &data], 1)?;
        check(&["-f", "-n", &data], 0)?;
        let dump = format!("rdump /recordings {}", folder.path().display());
        let output = Command::new("debugfs").args(["-R", &dump, &data]).output().context("debugfs")?;
        ensure!(output.status.success(), "{output:?}");
        self.lost(&folder.path().join("recordings"), finished)
    }

    /// How many of the GOPs that were `finished` since the board's start are in no recording in `folder`, whole or on its way.
    pub fn lost(&mut self, folder: &Path, finished: i64) -> Result<i64> {
        let newest = self.newest(folder)?;
        Ok(finished - newest.map_or(0, |sequence| sequence + 1))
    }

    /// The last GOP that is in a recording which was not seen before: numbers of GOPs begin anew with every start.
    fn newest(&mut self, folder: &Path) -> Result<Option<i64>> {
        let numbered = |path: &PathBuf| path.file_stem()?.to_str()?.rsplit('-').next()?.parse().ok();
        let mut recordings = BTreeMap::new();
        for entry in fs::read_dir(folder).with_context(|| folder.display().to_string())? {
            let path = entry?.path();
            if path.extension().is_some_and(|end| end == "mp4" || end == "part") {
                recordings.extend(numbered(&path).map(|number: u64| (number, path)));
            }
        }
        recordings.retain(|number, _| Some(*number) > self.newest);
        for (number, path) in recordings.into_iter().rev() {
            self.newest = self.newest.max(Some(number));
            let bytes = fs::read(&path)?;
            if bytes.len() <= HEAD {
                continue;
            }
            let last = match recover(&bytes).with_context(|| path.display().to_string())? {
                Recovered::Sealed(seal) => seal.last_sequence,
                Recovered::Torn(torn) => torn.growing.seal_box().last_sequence,
                Recovered::Empty => continue,
            };
            return Ok(Some(last.try_into()?));
        }
        Ok(None)
    }
}

fn check(arguments: &[&str], most: i32) -> Result<()> {
    let output = Command::new("e2fsck").args(arguments).output().context("e2fsck")?;
    let code = output.status.code().unwrap_or(i32::MAX);
    ensure!(
        code <= most,
        "e2fsck {arguments:?} ended with {code}: {}",
        [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat()
    );
    Ok(())
}

//! What a cut has left: on the card, whose data partition is looked at on a copy as its next start finds it, and on the remote host.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use media::mp4::{HEAD, Recovered, recover};
use tests::appliance::Appliance;

/// One of the two places, and what earlier looks have found there.
#[derive(Debug, Default)]
pub struct Left {
    /// The newest recording of all.
    newest: Option<u64>,
    /// What the last look has found on the card.
    kept: Recordings,
}

/// The last GOP of each recording that has one, by the last ten digits of the recording's name, which only grow.
type Recordings = BTreeMap<u64, i64>;

impl Left {
    /// Repairs a copy of the card as the board will, and says how many of the GOPs that were `finished` since the board's start are not
    /// in any recording. An error if the file system cannot be repaired, or something of the last look is neither here nor in `inbox`.
    pub fn lost_on_card(&mut self, appliance: &Appliance, inbox: &Path, finished: i64) -> Result<i64> {
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
        let here = recordings(&folder.path().join("recordings"), |_| true)?;
        let less = |number: &u64, last: &i64| here.get(number) < Some(last);
        let gone: Recordings =
            self.kept.iter().filter(|(n, last)| less(n, last)).map(|(n, last)| (*n, *last)).collect();
        let there = recordings(inbox, |number| gone.contains_key(&number))?;
        for (number, last) in gone {
            let (here, there) = (here.get(&number), there.get(&number));
            ensure!(there >= Some(&last), "{number} had {last}, and has {here:?}, or {there:?} off board");
        }
        self.kept.clone_from(&here);
        Ok(self.lost(&here, finished))
    }

    /// How many of the GOPs that were `finished` since the board's start are in no recording in `inbox`, whole or on its way.
    pub fn lost_off_board(&mut self, inbox: &Path, finished: i64) -> Result<i64> {
        let newest = self.newest;
        Ok(self.lost(&recordings(inbox, |number| Some(number) > newest)?, finished))
    }

    /// Numbers of GOPs begin anew with every start: what counts is a recording that was not seen before.
    fn lost(&mut self, found: &Recordings, finished: i64) -> i64 {
        let newest = found.last_key_value().filter(|(number, _)| Some(**number) > self.newest);
        self.newest = self.newest.max(newest.map(|(number, _)| *number));
        finished - newest.map_or(0, |(_, last)| last + 1)
    }
}

/// The `wanted` recordings in a folder, whole or on their way.
fn recordings(folder: &Path, wanted: impl Fn(u64) -> bool) -> Result<Recordings> {
    let numbered = |path: &Path| path.file_stem()?.to_str()?.rsplit('-').next()?.parse().ok();
    let mut found = Recordings::new();
    for entry in fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let path = entry?.path();
        let of_footage = path.extension().is_some_and(|end| end == "mp4" || end == "part");
        let Some(number) = numbered(&path).filter(|number| of_footage && wanted(*number)) else { continue };
        let bytes = fs::read(&path)?;
        if bytes.len() <= HEAD {
            continue;
        }
        let last = match recover(&bytes).with_context(|| path.display().to_string())? {
            Recovered::Sealed(seal) => seal.last_sequence,
            Recovered::Torn(torn) => torn.growing.seal_box().last_sequence,
            Recovered::Empty => continue,
        };
        let last = i64::try_from(last)?;
        // While it changes its name there may be both.
        found.entry(number).and_modify(|before: &mut i64| *before = last.max(*before)).or_insert(last);
    }
    Ok(found)
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

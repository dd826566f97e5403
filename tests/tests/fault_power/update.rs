//! An update on the board itself, from the upload on: undisturbed, and cut off.

use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use tests::appliance::{Appliance, UPDATE};

/// How long an update takes that nobody disturbs.
#[derive(Clone, Copy, Debug)]
pub struct Took {
    /// Until all of it is on the card, and how many writes that was.
    pub written: Duration,
    pub writes: u64,
    /// Until it is kept.
    pub kept: Duration,
}

/// The version that runs, and the slot that it runs from.
fn running(appliance: &mut Appliance) -> Result<(String, String)> {
    let version = appliance.settled()?["version"].as_str().unwrap_or_default().to_owned();
    Ok((version, appliance.slot()?))
}

/// An update that nobody disturbs: it is kept.
pub fn whole(appliance: &mut Appliance, release: u32) -> Result<Took> {
    let (_, slot) = running(appliance)?;
    let (bundle, version) = appliance.bundle(release)?;
    let (began, starts, before) = (Instant::now(), appliance.starts(), appliance.writes());
    appliance.update(&bundle)?;
    let (written, writes) = (began.elapsed(), appliance.writes() - before);
    appliance.wait_for_start(starts)?;
    appliance.wait_for_pictures()?;
    let told = appliance.settled()?;
    ensure!(told["last"]["kept"] == true && told["version"] == *version, "{told}");
    ensure!(appliance.slot()? != slot, "the slot is the same");
    Ok(Took { written, writes, kept: began.elapsed() })
}

/// An update that is on its way.
pub struct Sent {
    curl: Child,
    /// Version and slot before it.
    old: (String, String),
    new: String,
}

impl Sent {
    /// Begins to send a newer version.
    pub fn begin(appliance: &mut Appliance, release: u32) -> Result<Self> {
        let old = running(appliance)?;
        let (bundle, new) = appliance.bundle(release)?;
        let curl = appliance.sending(&bundle, UPDATE)?.stdout(Stdio::null()).spawn().context("curl")?;
        Ok(Self { curl, old, new })
    }

    /// After the cut: whether the new version runs; an error if it is neither that nor the one before.
    pub fn end(mut self, appliance: &mut Appliance) -> Result<bool> {
        // It may have ended by itself.
        let _gone = self.curl.kill();
        self.curl.wait()?;
        let (version, slot) = running(appliance)?;
        match (version == self.old.0, version == self.new, slot == self.old.1) {
            (true, false, true) => Ok(false),
            (false, true, false) => Ok(true),
            _ => bail!("{version} runs from {slot}; before it was {:?}, {} was given", self.old, self.new),
        }
    }
}

//! `NAME-partial`, which was made of half an upload that its edge had given up: it leaves when all of NAME comes after all.

use super::name::Name;
use super::whole::Opened;
use crate::folder::Error;
use crate::folders::Folders;
use crate::sweep::leaving::{self, Leaving};
use media::mp4::demux::examine;
use std::fs::File;
use std::time::Duration;

/// Lets the half of `name` leave if `whole` begins with all of its footage: at once where there is no HLS of it, else by the next
/// sweep, so that whoever plays it may finish. Whether it does.
///
/// # Errors
/// The host could not; the half is where it was.
pub fn let_go(folders: &Folders, name: &Name, whole: &File, now: Duration) -> Result<bool, Error> {
    let half = name.partial();
    let Some(known) = folders.archive.open_file(half.recording())? else { return Ok(false) };
    if !begins_with(whole, &known) {
        return Ok(false);
    }
    let Some(hls) = folders.hls.folder(half.as_str())? else {
        folders.archive.remove(half.recording())?;
        folders.archive.sync()?;
        return Ok(true);
    };
    let wait = leaving::playing_time(&hls, half.as_str())?.unwrap_or(leaving::LONGEST);
    Leaving { since: now, wait }.write(&hls, half.as_str())?;
    Ok(true)
}

/// Whether the GOPs of `half` are the first ones of `whole`. What cannot be read is not.
fn begins_with(whole: &File, half: &File) -> bool {
    let gops = |file| Some(examine(&Opened::new(file).ok()?).ok()?.gops);
    gops(whole).zip(gops(half)).is_some_and(|(whole, half)| !half.is_empty() && whole.starts_with(&half))
}

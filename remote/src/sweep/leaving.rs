//! What a sweep writes down: that a recording leaves, and that the sweep was there.
//!
//! ```text
//! hls/NAME/NAME.leaving   v1 <when it was withdrawn, s since 1970> <for how long somebody may play it, s>
//! cache/sweep.stamp       v1 <when, s since 1970> <withdrawn> <removed> <failed> <bytes freed>
//! ```

use super::Report;
use super::recordings::playlists;
use crate::folder::{Error, Folder};
use media::hls::vod::Outline;
use std::path::Path;
use std::time::Duration;

/// The folder of what a sweep writes down about itself.
pub const NOTES: &str = "cache";
/// Where it is written down when the last sweep was.
pub const STAMP: &str = "sweep.stamp";
/// The longest file that is read: a playlist of some hundred thousand segments.
pub const MOST_BYTES: u64 = 32 << 20;
/// For how long a recording may be played whose playlist is not there; no recording is longer.
pub const LONGEST: Duration = Duration::from_secs(24 * 3600);

/// The mark of a recording that leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leaving {
    /// When its playlists went, since 1970.
    pub since: Duration,
    /// For how long somebody may still play it.
    pub wait: Duration,
}

/// The file of the mark.
pub fn file(name: &str) -> String {
    format!("{name}.leaving")
}

impl Leaving {
    /// Reads the mark in the folder of a recording. One that cannot be read counts as none: it is written anew.
    pub fn read(folder: &Folder, name: &str) -> Result<Option<Self>, Error> {
        let bytes = folder.read(file(name), 64)?.unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes);
        let fields: Vec<&str> = text.split_whitespace().collect();
        let ["v1", since, wait] = fields[..] else { return Ok(None) };
        let seconds = |text: &str| text.parse().ok().map(Duration::from_secs);
        Ok(seconds(since).zip(seconds(wait)).map(|(since, wait)| Self { since, wait: wait.min(LONGEST) }))
    }

    /// Writes it, durably.
    pub fn write(&self, folder: &Folder, name: &str) -> Result<(), Error> {
        let text = format!("v1 {} {}\n", self.since.as_secs(), self.wait.as_secs());
        folder.replace(&file(name), text.as_bytes())
    }
}

/// The duration of a recording's playlist plus one target duration: so long somebody who has it may ask for its segments
/// (RFC 8216, 6.2.2). `None` if there is no playlist.
pub fn playing_time(folder: &Folder, name: &str) -> Result<Option<Duration>, Error> {
    let [_, media] = playlists(name);
    let Some(bytes) = folder.read(media, MOST_BYTES)? else { return Ok(None) };
    let outline = Outline::of(&String::from_utf8_lossy(&bytes));
    let seconds = outline.seconds + outline.target;
    Ok(Some(Duration::try_from_secs_f64(seconds.ceil()).unwrap_or(LONGEST).min(LONGEST)))
}

/// Where a sweep keeps notes: above it is only root's.
pub fn notes(dir: &Path) -> Result<Folder, Error> {
    Folder::open(dir)?.make_folder(NOTES)
}

/// Writes down that a sweep was there.
pub fn stamp(notes: &Folder, now: Duration, report: &Report) -> Result<(), Error> {
    let Report { withdrawn, removed, failures, freed, .. } = report;
    let counts = [withdrawn.len(), removed.len(), failures.len()].map(|count| count.to_string()).join(" ");
    notes.replace(STAMP, format!("v1 {} {counts} {freed}\n", now.as_secs()).as_bytes())
}

//! What is there to sweep: the files that chop and the inbox made, found by their very names.

use super::leaving;
use crate::chop::is_name;
use crate::folder::{Error, Folder, Kind, Meta};
use crate::supervise::beat;
use media::names::{CameraId, NAME_LEN, RecordingName};
use std::collections::BTreeMap;
use std::time::Duration;

/// A recording, or what is left of it.
#[derive(Debug)]
pub struct Recording {
    /// Its NAME.
    pub name: String,
    /// When it arrived, since 1970: the newest of its parts.
    pub since: Duration,
    /// Bytes of all its files.
    pub bytes: u64,
    /// `archive/NAME.mp4`.
    pub mp4: Option<Meta>,
    /// What is ours in `hls/NAME/`.
    pub hls: Option<Hls>,
}

/// Files in `hls/NAME/`.
#[derive(Debug, Default)]
pub struct Hls {
    /// `NAME.m3u8`, then `NAME-out.m3u8`.
    pub playlists: Vec<String>,
    /// `NAME-<camera>-<n>.ts`.
    pub segments: Vec<String>,
    /// Whether it is marked as leaving.
    pub leaving: bool,
}

impl Recording {
    /// Whether it was withdrawn already.
    pub fn is_leaving(&self) -> bool {
        self.hls.as_ref().is_some_and(|hls| hls.leaving)
    }

    /// Camera and number, if it is one of an edge: so the recordings of a camera follow on.
    pub fn place(&self) -> Option<(CameraId, u64)> {
        place(&self.name)
    }
}

/// The file of a recording in the archive.
pub fn mp4(name: &str) -> String {
    format!("{name}.mp4")
}

/// What the archive keeps of a recording whose HLS alone is wanted.
pub fn digest(name: &str) -> String {
    format!("{name}.sha256")
}

/// What the archive keeps of the ledger without a recording that carries it.
pub fn ledger(name: &str) -> String {
    format!("{name}.ledger")
}

/// Both playlists of a recording: the multivariant one, and the one it names.
pub fn playlists(name: &str) -> [String; 2] {
    [format!("{name}.m3u8"), format!("{name}-out.m3u8")]
}

/// All recordings in both folders.
pub fn find(hls: &Folder, archive: &Folder) -> Result<Vec<Recording>, Error> {
    let mut found: BTreeMap<String, Recording> = BTreeMap::new();
    for entry in archive.names()? {
        let entry = entry?;
        let Some(name) =
            entry.to_str().and_then(|file| file.strip_suffix(".mp4")).filter(|name| is_name(name))
        else {
            continue;
        };
        if let Some(mp4) = archive.look(&entry)?.filter(|meta| meta.kind == Kind::File) {
            let (since, bytes) = (mp4.changed, mp4.size);
            let recording = Recording { name: name.to_owned(), since, bytes, mp4: Some(mp4), hls: None };
            found.insert(name.to_owned(), recording);
        }
    }
    for entry in hls.names()? {
        beat();
        let entry = entry?;
        let Some(name) = entry.to_str().filter(|name| is_name(name)) else { continue };
        let Some(meta) = hls.look(name)?.filter(|meta| meta.kind == Kind::Folder) else { continue };
        let Some((hls, since, bytes)) =
            hls.folder(name)?.map(|folder| look(&folder, name, meta.changed)).transpose()?.flatten()
        else {
            continue;
        };
        let empty = || Recording { name: name.to_owned(), since, bytes: 0, mp4: None, hls: None };
        let recording = found.entry(name.to_owned()).or_insert_with(empty);
        recording.since = recording.since.max(since);
        recording.bytes += bytes;
        recording.hls = Some(hls);
    }
    Ok(found.into_values().collect())
}

/// Sorts recordings in the order in which they leave. After an outage the newest come first; so that retention takes no recording out
/// of the middle of a ledger, one of an edge counts as arrived no sooner than all that were recorded before it.
pub fn in_order(recordings: &mut [Recording]) {
    recordings.sort_by_cached_key(Recording::place);
    let mut before: Option<(CameraId, Duration)> = None;
    for recording in recordings.iter_mut() {
        let Some((camera, _)) = recording.place() else { continue };
        if let Some((_, since)) = before.filter(|(of, _)| *of == camera) {
            recording.since = recording.since.max(since);
        }
        before = Some((camera, recording.since));
    }
    // Those of one camera that count as arrived together stay in their order.
    recordings.sort_by_key(|recording| recording.since);
}

/// `archive/NAME.ledger`: entries that no recording in the archive carries.
pub struct Ledger {
    /// Its NAME.
    pub name: String,
    /// When it arrived, since 1970.
    pub since: Duration,
}

impl Ledger {
    /// Camera and number. What an edge cuts into a file has the next number: it lies behind all recordings of a lower one but
    /// the one that was growing then, and in front of all of a higher one.
    pub fn place(&self) -> Option<(CameraId, u64)> {
        // What an edge has set aside has a word behind its name.
        place(self.name.get(..NAME_LEN)?)
    }
}

/// All ledger files in the archive.
pub fn ledgers(archive: &Folder) -> Result<Vec<Ledger>, Error> {
    let mut found = Vec::new();
    for entry in archive.names()? {
        let entry = entry?;
        let name = entry.to_str().and_then(|file| file.strip_suffix(".ledger")).filter(|name| is_name(name));
        let Some(name) = name else { continue };
        if let Some(meta) = archive.look(&entry)?.filter(|meta| meta.kind == Kind::File) {
            found.push(Ledger { name: name.to_owned(), since: meta.changed });
        }
    }
    Ok(found)
}

/// Camera and number of a recording of an edge.
fn place(name: &str) -> Option<(CameraId, u64)> {
    name.parse::<RecordingName>().ok().map(|name| (name.camera, name.sequence))
}

/// What is ours in the folder of a recording that was made at `made`, when its playlists were, and its bytes. `None` if the folder holds only files of others.
fn look(folder: &Folder, name: &str, made: Duration) -> Result<Option<(Hls, Duration, u64)>, Error> {
    let mut hls = Hls::default();
    let (mut bytes, mut since, mut others) = (0, None, 0);
    let [multivariant, media] = playlists(name);
    for entry in folder.names()? {
        let entry = entry?;
        let found = folder.look(&entry)?.filter(|meta| meta.kind == Kind::File);
        let (Some(file), Some(found)) = (entry.to_str(), found) else {
            others += 1;
            continue;
        };
        if file == multivariant || file == media {
            // The playlists are the newest files of a product, and nobody changes them.
            since = since.max(Some(found.changed));
            hls.playlists.push(file.to_owned());
        } else if is_segment(file, name) {
            hls.segments.push(file.to_owned());
        } else if file == leaving::file(name) {
            hls.leaving = true;
        } else {
            others += 1;
            continue;
        }
        bytes += found.size;
    }
    // Whoever has the multivariant one alone would look for the other in vain.
    hls.playlists.sort_by_key(|file| *file != multivariant);
    let ours = hls.leaving || !hls.playlists.is_empty() || !hls.segments.is_empty();
    Ok((ours || others == 0).then(|| (hls, since.unwrap_or(made), bytes)))
}

/// Bytes of what is ours in the folder of a recording.
pub fn bytes(folder: &Folder, name: &str) -> Result<u64, Error> {
    Ok(look(folder, name, Duration::ZERO)?.map_or(0, |(_, _, bytes)| bytes))
}

/// Whether it is `NAME-<camera>-<n>.ts`.
pub fn is_segment(file: &str, name: &str) -> bool {
    let rest = file.strip_prefix(name).and_then(|rest| rest.strip_prefix('-'));
    let rest = rest.and_then(|rest| rest.strip_suffix(".ts")).and_then(|rest| rest.rsplit_once('-'));
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    rest.is_some_and(|(camera, number)| is_name(camera) && is_number(number))
}

//! The recordings in `archive/` and `hls/`, read once each, and again only if their files have changed.

use crate::chop::is_name;
use crate::folder::{Error, Folder, Kind, Meta};
use crate::folders::Folders;
use crate::inbox::whole::Opened;
use crate::supervise::beat;
use crate::sweep::leaving;
use crate::sweep::recordings::{self, mp4, playlists};
use media::Ticks90k;
use media::WallTime;
use media::hls::vod::Outline;
use media::ledger::slice::MOST_BYTES;
use media::ledger::{Boot, Entry, Form, SHORTEST_GAP, Slice};
use media::mp4::Movie;
use media::mp4::demux::ledger;
use media::names::{CameraId, RecordingName};
use std::collections::BTreeMap;
use std::fs::File;

/// Recordings that are known at most, less than 8 kB each; what is beyond them is in the folders all the same.
const MOST: usize = 50_000;
/// Recordings that one look reads.
const MOST_READ: usize = 200;

/// A recording that is here.
#[derive(Debug)]
pub struct Here {
    /// `archive/NAME.mp4`.
    pub mp4: Option<Meta>,
    /// `hls/NAME/`.
    pub hls: Option<Meta>,
    /// The camera's id; where a script sent it, the account.
    pub camera: String,
    /// There is a playlist.
    pub playable: bool,
    /// Seconds of footage.
    pub seconds: Option<f64>,
    /// When it began, by its playlist.
    pub listed: Option<WallTime>,
    /// When it began, by what was known when it was chopped.
    pub start: Option<WallTime>,
    /// Boot and media time of its first picture, if it carries its ledger.
    media: Option<(Boot, Ticks90k)>,
    /// Bytes.
    pub bytes: u64,
    slices: Vec<Slice>,
}

/// What is known of a camera by its recordings.
#[derive(Debug)]
pub struct Camera {
    /// The key of the first slice: nobody else's count.
    key: [u8; 32],
    /// Its name, which fits id and key.
    pub name: Option<String>,
}

/// Everything in `archive/` and `hls/`.
#[derive(Debug, Default)]
pub struct Held {
    /// By NAME.
    pub recordings: BTreeMap<String, Here>,
    /// By id.
    pub cameras: BTreeMap<CameraId, Camera>,
    /// `archive/NAME.ledger`.
    ledgers: BTreeMap<String, (Meta, Vec<Slice>)>,
    /// Both folders as they were when all of their names were read.
    folders: Option<[Option<Meta>; 2]>,
}

/// What a look has found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Looked {
    /// Something is different.
    pub changed: bool,
    /// Nothing is left to be read.
    pub complete: bool,
}

/// The files of a recording: `archive/NAME.mp4` and `hls/NAME/`.
type Files = [Option<Meta>; 2];

impl Held {
    /// Looks at what has changed, or at everything.
    pub fn look(&mut self, folders: &Folders, everything: bool) -> Result<Looked, Error> {
        let now = [folders.archive.look(".")?, folders.hls.look(".")?];
        if !everything && self.folders == Some(now) {
            return Ok(Looked { changed: false, complete: true });
        }
        let (found, ledgers) = names(folders)?;
        let before = self.recordings.len() + self.ledgers.len();
        self.recordings.retain(|name, _| found.contains_key(name));
        self.ledgers.retain(|name, _| ledgers.contains_key(name));
        let gone = before - self.recordings.len() - self.ledgers.len();
        let is_new = |name: &String, files: &Files| {
            self.recordings.get(name).is_none_or(|here| here.files() != *files)
        };
        let new: Vec<(String, Files)> =
            found.into_iter().filter(|(name, files)| is_new(name, files)).collect();
        for (name, files) in new.iter().take(MOST_READ) {
            beat();
            let here = self.read(folders, name, *files)?;
            self.recordings.insert(name.clone(), here);
        }
        let mut changed = gone > 0 || !new.is_empty();
        for (name, meta) in ledgers {
            if self.ledgers.get(&name).is_none_or(|(known, _)| *known != meta) {
                let bytes = folders.archive.read(&name, MOST_BYTES as u64)?.unwrap_or_default();
                let slices = self.verified(&bytes);
                self.ledgers.insert(name, (meta, slices));
                changed = true;
            }
        }
        let complete = new.len() <= MOST_READ;
        self.folders = complete.then_some(now);
        Ok(Looked { changed, complete })
    }

    /// The slices of a camera, from recordings and beside them.
    pub fn slices(&self, camera: CameraId) -> Vec<Slice> {
        let alone = self.ledgers.values().flat_map(|(_, slices)| slices);
        let carried = self.recordings.values().flat_map(|here| &here.slices);
        carried.chain(alone).filter(|slice| slice.camera == camera).cloned().collect()
    }

    /// Boot and media time of the first picture of a recording, by its ledger: it carries that, or the archive has kept it.
    pub fn media(&self, name: &str) -> Option<(Boot, Ticks90k)> {
        let kept = || own_span(&self.ledgers.get(&format!("{name}.ledger"))?.1);
        self.recordings.get(name)?.media.or_else(|| kept().map(|(boot, (from, _))| (boot, from)))
    }

    fn read(&mut self, folders: &Folders, name: &str, files: Files) -> Result<Here, Error> {
        let [mp4_meta, hls] = files;
        let outline = match (hls, folders.hls.folder(name)?) {
            (Some(_), Some(folder)) => Some(Playlists::read(&folder, name, mp4_meta.is_none())?),
            _ => None,
        };
        let outline = outline.unwrap_or_default();
        let slices = match folders.archive.open_file(mp4(name))? {
            Some(file) if mp4_meta.is_some() => self.carried(&file),
            _ => Vec::new(),
        };
        let span = own_span(&slices);
        let parsed = name.parse::<RecordingName>().ok();
        let camera =
            parsed.map(|name| name.camera.to_string()).or_else(|| segment_camera(name, &outline.text));
        let seconds = outline.playable.then_some(outline.text.seconds);
        Ok(Here {
            mp4: mp4_meta,
            hls,
            camera: camera.unwrap_or_else(|| "unknown".to_owned()),
            playable: outline.playable,
            seconds: seconds.or_else(|| span.map(|(_, (from, to))| (to - from).as_secs_f64())),
            listed: outline.text.start,
            start: outline.text.start.or_else(|| parsed.and_then(|name| name.start)),
            media: span.map(|(boot, (from, _))| (boot, from)),
            bytes: mp4_meta.map_or(outline.bytes, |meta| meta.size),
            slices,
        })
    }

    /// The slices that a recording carries. What cannot be read carries none: `check` says why.
    fn carried(&mut self, file: &File) -> Vec<Slice> {
        let Ok(source) = Opened::new(file) else { return Vec::new() };
        let slices = self.verified(&ledger(&source).unwrap_or_default());
        for slice in slices.iter().filter(|slice| slice.recording.is_some()) {
            if let Some(camera) = self.cameras.get_mut(&slice.camera)
                && camera.name.is_none()
            {
                let title = Movie::open(&source).ok().and_then(|movie| movie.title);
                camera.name = title.filter(|title| slice.is_of(title));
            }
        }
        slices
    }

    /// The slices that are what their camera's key signed, in short.
    fn verified(&mut self, bytes: &[u8]) -> Vec<Slice> {
        let mut slices = Slice::parse_all(bytes).unwrap_or_default();
        slices.retain(|slice| {
            let known = self.cameras.get(&slice.camera).is_none_or(|camera| camera.key == slice.key);
            let good = known && slice.verify().is_ok();
            if good {
                let camera = Camera { key: slice.key, name: None };
                self.cameras.entry(slice.camera).or_insert(camera);
            }
            good
        });
        slices.iter_mut().for_each(shorten);
        slices
    }
}

impl Here {
    fn files(&self) -> Files {
        [self.mp4, self.hls]
    }
}

/// Every NAME with its files, and every `NAME.ledger`.
type Names = (BTreeMap<String, Files>, BTreeMap<String, Meta>);

fn names(folders: &Folders) -> Result<Names, Error> {
    let mut found: BTreeMap<String, Files> = BTreeMap::new();
    let mut ledgers = BTreeMap::new();
    for entry in folders.archive.names()? {
        beat();
        let entry = entry?;
        let Some((name, kind)) = entry.to_str().and_then(|file| file.rsplit_once('.')) else { continue };
        if !is_name(name) || found.len() + ledgers.len() >= MOST {
            continue;
        }
        let Some(meta) = folders.archive.look(&entry)?.filter(|meta| meta.kind == Kind::File) else {
            continue;
        };
        match kind {
            "mp4" => drop(found.insert(name.to_owned(), [Some(meta), None])),
            "ledger" => drop(ledgers.insert(format!("{name}.ledger"), meta)),
            _ => {}
        }
    }
    for entry in folders.hls.names()? {
        beat();
        let entry = entry?;
        let Some(name) = entry.to_str().filter(|name| is_name(name)) else { continue };
        if found.len() >= MOST && !found.contains_key(name) {
            continue;
        }
        if let Some(meta) = folders.hls.look(name)?.filter(|meta| meta.kind == Kind::Folder) {
            found.entry(name.to_owned()).or_default()[1] = Some(meta);
        }
    }
    Ok((found, ledgers))
}

/// What the playlists of a recording say.
#[derive(Default)]
struct Playlists {
    text: Outline,
    /// Both are there.
    playable: bool,
    /// Bytes of everything in the folder, if they were asked for.
    bytes: u64,
}

impl Playlists {
    fn read(folder: &Folder, name: &str, count_bytes: bool) -> Result<Self, Error> {
        let [multivariant, media] = playlists(name);
        let text = folder.read(media, leaving::MOST_BYTES)?;
        let playable = text.is_some() && folder.look(multivariant)?.is_some();
        let text = Outline::of(&String::from_utf8_lossy(&text.unwrap_or_default()));
        let bytes = if count_bytes { recordings::bytes(folder, name)? } else { 0 };
        Ok(Self { text, playable, bytes })
    }
}

/// Boot and span of the footage of the recording that carries these slices.
fn own_span(slices: &[Slice]) -> Option<(Boot, (Ticks90k, Ticks90k))> {
    let own = slices.iter().find(|slice| slice.is_own())?;
    Some((own.boot, own.span()?))
}

/// `<camera>` in `NAME-<camera>-<n>.ts`.
fn segment_camera(name: &str, outline: &Outline) -> Option<String> {
    let rest = outline.first.as_ref()?.strip_prefix(name)?.strip_prefix('-')?;
    let (camera, _) = rest.rsplit_once('-')?;
    is_name(camera).then(|| camera.to_owned())
}

/// Leaves of a verified slice what is needed to account for its time: GOPs that follow on become one. So a recording of
/// 15 minutes takes a few hundred bytes instead of 70 kB.
fn shorten(slice: &mut Slice) {
    let mut entries: Vec<Entry> = Vec::new();
    for entry in slice.entries.drain(..) {
        if let (Some(Entry::Gop(last)), Entry::Gop(next)) = (entries.last_mut(), &entry)
            && (next.start - last.start - last.duration).0.abs() < SHORTEST_GAP.0
        {
            last.duration = next.start + next.duration - last.start;
            last.wall = last.wall.or(next.wall.map(|wall| wall.plus(last.start - next.start)));
            continue;
        }
        entries.push(entry);
    }
    entries.shrink_to_fit();
    slice.entries = entries;
    if let Form::Thinned(left) = &mut slice.form {
        *left = Vec::new();
    }
}

//! A recording as HLS: six-second segments of MPEG-TS and their playlists, without encoding anything again.
//!
//! ```text
//! NAME.mp4 ── Movie ── Plan ── Cutter ──> tmp/NAME/NAME-<camera>-0.ts ...   synced, then the caller renames tmp/NAME
//!    │                                             NAME-out.m3u8
//!    └─ not H.264 and AAC ── transcode ──┘         NAME.m3u8
//! ```
//!
//! [`plan`] says which access units go into the stream and in which order, [`cutter`] writes segments of them, [`source`]
//! reads the file, [`transcode`] makes H.264 and AAC of what is something else. Procedure and invariants: docs/design/chop.md.

mod cutter;
mod plan;
mod source;
pub mod transcode;
mod work;

use crate::supervise::Stop;
use cutter::Cutter;
use media::hls::vod;
use media::mp4::{Movie, ReadError};
use media::names::RecordingName;
use media::{Ticks90k, WallTime, ts};
use plan::{Plan, Unfit};
use service::files;
use source::Source;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
pub use work::Chop;

/// What to make of a recording.
#[derive(Clone, Debug)]
pub struct Options {
    /// How long a segment should be: it ends at the first IDR from then on.
    pub segment: Ticks90k,
    /// `<camera>` in the names of the segments where the recording's name has none: the account that brought it.
    pub account: String,
    /// The program porthole-transcode.
    pub program: PathBuf,
    /// The wish to end.
    pub stop: Stop,
}

impl Options {
    /// Segments of six seconds; the other program stands beside the running one.
    pub fn new(account: impl Into<String>) -> Self {
        let segment = Ticks90k(6 * Ticks90k::SECOND.0);
        Self { segment, account: account.into(), program: beside_us(TRANSCODER), stop: Stop::default() }
    }
}

const TRANSCODER: &str = "porthole-transcode";

/// A program in the folder of the running one.
fn beside_us(program: &str) -> PathBuf {
    std::env::current_exe().map_or_else(|_| program.into(), |running| running.with_file_name(program))
}

/// What was made.
#[derive(Debug)]
pub struct Chopped {
    /// The folder, synced: `tmp/NAME`.
    pub folder: PathBuf,
    /// How many segments are in it.
    pub segments: usize,
    /// How long they last together.
    pub duration: Ticks90k,
    /// Why the recording had to be encoded again, if it had to.
    pub transcoded: Option<Unfit>,
}

/// Why there is no HLS of a recording.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Not a name that a file and an address can have.
    #[error("{0:?} is not a name: 1 to 128 of A-Z a-z 0-9 . _ -, beginning with a letter or a digit")]
    Name(String),
    /// The recording cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// An access unit that MPEG-TS cannot carry.
    #[error(transparent)]
    Ts(#[from] ts::Error),
    /// It is something else than H.264 and AAC.
    #[error(transparent)]
    Unfit(#[from] Unfit),
    /// It is something else, and that could not be changed.
    #[error(transparent)]
    Transcode(#[from] transcode::Failure),
    /// The process ends.
    #[error("the process ends")]
    Stopped,
    /// A file of the product could not be written, or the recording not be opened.
    #[error("{path}: {source}")]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl Error {
    /// Whether the file itself is the reason, so that another try would end the same way.
    pub fn is_of_the_recording(&self) -> bool {
        !matches!(self, Self::Io { .. } | Self::Read(ReadError::Io { .. }) | Self::Stopped)
    }
}

/// Names the file in an error of the operating system.
fn at(path: &Path) -> impl FnOnce(io::Error) -> Error + '_ {
    move |source| Error::Io { path: path.to_owned(), source }
}

/// Makes HLS of the recording `mp4` in the folder `tmp/NAME`, which is made anew, and syncs all of it. The same recording, name
/// and options give the same files, byte for byte.
pub fn chop(mp4: &Path, name: &str, tmp: &Path, options: &Options) -> Result<Chopped, Error> {
    if !is_name(name) || !is_name(&options.account) {
        let bad = if is_name(name) { &options.account } else { name };
        return Err(Error::Name(bad.chars().take(128).collect()));
    }
    let folder = tmp.join(name);
    make_anew(&folder)?;
    let (segments, transcoded) = match remux(mp4, name, &folder, options) {
        Ok(segments) => (segments, None),
        Err(Error::Unfit(why)) => (transcoded(mp4, name, &folder, options)?, Some(why)),
        Err(error) => return Err(error),
    };
    sync(&folder)?;
    Ok(Chopped { folder, segments: segments.len(), duration: vod::duration(&segments), transcoded })
}

/// Makes what [`chop`] left in `tmp` visible in the folder `to` (on the same file system), in one step, and syncs it. What
/// stood there under the name gives way.
pub fn publish(chopped: &Chopped, to: &Path) -> Result<PathBuf, Error> {
    let published = chopped.folder.file_name().map_or_else(|| to.to_owned(), |name| to.join(name));
    use nix::fcntl::{AT_FDCWD, RenameFlags, renameat2};
    let exchange =
        if published.exists() { RenameFlags::RENAME_EXCHANGE } else { RenameFlags::RENAME_NOREPLACE };
    renameat2(AT_FDCWD, &chopped.folder, AT_FDCWD, &published, exchange)
        .map_err(|error| at(&published)(error.into()))?;
    files::sync(to).map_err(at(to))?;
    remove(&chopped.folder)?;
    Ok(published)
}

/// Whether files and addresses can have this name as it is.
pub fn is_name(name: &str) -> bool {
    let first = name.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric());
    let good = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    first && name.len() <= 128 && name.bytes().all(good)
}

fn remux(mp4: &Path, name: &str, folder: &Path, options: &Options) -> Result<Vec<vod::Segment>, Error> {
    let source = Source::open(mp4).map_err(at(mp4))?;
    if !source.is_mp4().map_err(at(mp4))? {
        return Err(Unfit::Container.into());
    }
    let mut movie = Movie::open(&source)?;
    if let Some(torn) = movie.torn.take() {
        return Err(torn.into());
    }
    let parsed: Option<RecordingName> = name.parse().ok();
    let camera = parsed.map_or_else(|| options.account.clone(), |name| name.camera.to_string());
    let plan = Plan::new(&movie)?;
    let cutter =
        Cutter::new(&plan, folder, format!("{name}-{camera}"), start(&movie, parsed), options.segment);
    let (segments, variant) = cutter.run(&source)?;
    let media = format!("{name}-out.m3u8");
    let playlists = [
        (format!("{name}.m3u8"), vod::multivariant(&media, &variant, &segments)),
        (media, vod::media(&segments)),
    ];
    for (file, text) in playlists {
        let path = folder.join(file);
        fs::write(&path, text).map_err(at(&path))?;
    }
    Ok(segments)
}

/// Makes it H.264 and AAC first. What the first try left is removed.
fn transcoded(mp4: &Path, name: &str, folder: &Path, options: &Options) -> Result<Vec<vod::Segment>, Error> {
    make_anew(folder)?;
    let made = folder.join("transcoded.mp4");
    transcode::run(options, mp4, &made)?;
    let segments = remux(&made, name, folder, options)?;
    fs::remove_file(&made).map_err(at(&made))?;
    Ok(segments)
}

/// The wall time of the movie's time 0: from the media clock's anchor, from the recording's name, or as the file says.
fn start(movie: &Movie, name: Option<RecordingName>) -> Option<WallTime> {
    let anchored = movie.anchor.and_then(|anchor| anchor.start);
    anchored.or_else(|| name.and_then(|name| name.start)).or(movie.created)
}

fn make_anew(folder: &Path) -> Result<(), Error> {
    remove(folder)?;
    fs::create_dir_all(folder).map_err(at(folder))
}

fn remove(folder: &Path) -> Result<(), Error> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(at(folder)(error)),
        _ => Ok(()),
    }
}

/// Syncs the files of a folder, then the folder.
fn sync(folder: &Path) -> Result<(), Error> {
    for entry in fs::read_dir(folder).map_err(at(folder))? {
        let path = entry.map_err(at(folder))?.path();
        files::sync(&path).map_err(at(&path))?;
    }
    files::sync(folder).map_err(at(folder))
}

//! Finishing what a crash left, and thinning: the two ways in which a recording is rewritten.

use super::folder::Counting;
use super::ledgers::Source;
use super::{Error, files};
use bytes::Bytes;
use media::Ticks90k;
use media::ledger::Hash;
use media::mp4::{About, Growing, Movie, ReadAt, Recovered, Seal, Step, Torn, demux, recover};
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// A recording that was looked at, and sealed if it was torn.
#[derive(Clone, Debug, PartialEq)]
pub struct Sealed {
    /// It had to be cut and sealed.
    pub repaired: bool,
    /// Size of the file.
    pub bytes: u64,
    /// Footage.
    pub duration: Ticks90k,
    /// Media time of its first picture.
    pub origin: Ticks90k,
    /// Its newest GOP.
    pub last_gop: u64,
    /// The camera's name, if the file says it.
    pub camera: Option<String>,
}

impl Sealed {
    fn of_movie(movie: Movie, seal: &Seal) -> Self {
        Self {
            repaired: false,
            bytes: seal.size,
            duration: movie.duration(),
            origin: movie.anchor.map_or(Ticks90k::ZERO, |anchor| anchor.origin),
            last_gop: seal.last_sequence,
            camera: movie.title,
        }
    }
}

/// What a recording turned out to be.
#[derive(Clone, Debug, PartialEq)]
pub enum Looked {
    /// It is sealed.
    Sealed(Sealed),
    /// It is not, and so much of it counts.
    Torn(Counting),
}

/// Looks at the recording at `path`, and touches nothing.
///
/// # Errors
/// The file cannot be read, or was never a recording.
pub fn look(path: &Path) -> Result<Looked, Error> {
    let source = Source::open(path)?;
    Ok(match recover(&source).map_err(Error::unreadable(path))? {
        Recovered::Empty => Looked::Torn(Counting::default()),
        Recovered::Sealed(seal) => {
            Looked::Sealed(Sealed::of_movie(Movie::open(&source).map_err(Error::unreadable(path))?, &seal))
        }
        Recovered::Torn(torn) => {
            let gop = Some(torn.growing.seal_box().last_sequence);
            Looked::Torn(Counting { bytes: torn.growing.size(), gop })
        }
    })
}

/// Makes sure that the recording at `path` is sealed: cuts it to its last whole GOP and seals it if it is not, with the ledger
/// slices that `sign` gives. What stands behind `cut` does not count. A recording that was sealed just there, and perhaps not durably, is sealed
/// once more with the slices that it has: the ledger may have moved on behind them, and they are nowhere else. `None`: not one GOP was finished.
///
/// # Errors
/// The file cannot be read or written, or was never a recording; it is as it was, then.
pub fn seal(
    path: &Path,
    cut: Option<u64>,
    sign: impl FnOnce(&Growing, &About) -> Result<Bytes, Error>,
) -> Result<Option<Sealed>, Error> {
    let file = OpenOptions::new().read(true).write(true).open(path).map_err(Error::io("open", path))?;
    let source = Source::of(file, path)?;
    let standing = cut.and_then(|cut| standing(&source, cut));
    let source = source.cut(cut.unwrap_or(u64::MAX));
    match recover(&source).map_err(Error::unreadable(path))? {
        Recovered::Empty => Ok(None),
        Recovered::Sealed(seal) => {
            let movie = Movie::open(&source).map_err(Error::unreadable(path))?;
            Ok(Some(Sealed::of_movie(movie, &seal)))
        }
        Recovered::Torn(torn) => {
            let Torn { mut growing, about, repair } = *torn;
            let stands = standing.is_some();
            let (slices, about) =
                standing.map_or_else(|| Ok((sign(&growing, &about)?, about)), Ok::<_, Error>)?;
            growing.carry(slices);
            let seal = growing.seal(&about);
            let write = || {
                // The same bytes once more do no harm, wherever this ends; without its seal the recording would be all that knew of the slices.
                if !(stands && is_there(source.file(), &seal)?) {
                    source.file().set_len(growing.size())?;
                    files::apply(source.file(), &repair)?;
                }
                files::apply(source.file(), &seal)
            };
            write().map_err(Error::io("seal", path))?;
            let seal = growing.seal_box();
            Ok(Some(Sealed {
                repaired: true,
                bytes: seal.size,
                duration: growing.end() - growing.start(),
                origin: growing.start(),
                last_gop: seal.last_sequence,
                camera: Some(about.camera),
            }))
        }
    }
}

/// The ledger slices of a recording whose seal stands at `cut`, and what that says.
fn standing(source: &Source, cut: u64) -> Option<(Bytes, About)> {
    let movie = Movie::open(source).ok().filter(|movie| movie.torn.is_none())?;
    let is_sealed = movie.seal?.size == source.size() && demux::footage_end(source).ok()? == cut;
    let about = About { camera: movie.title.unwrap_or_default(), start: movie.anchor?.start };
    Some((demux::ledger(source).ok().filter(|_| is_sealed)?, about))
}

/// Whether all that `steps` write stands in the file already.
fn is_there(file: &File, steps: &[Step]) -> io::Result<bool> {
    for step in steps {
        if let Step::Write { offset, bytes } = step {
            let mut there = vec![0; bytes.len()];
            file.read_exact_at(&mut there, *offset)?;
            if there != *bytes {
                return Ok(false);
            }
        }
    }
    Ok(true)
}

/// Rewrites the sealed recording at `path` so that it holds nothing but its IDR pictures; gives its new size. `sign` makes of
/// its ledger slices, and of the hash of each picture that is left, the slices that it carries then.
///
/// # Errors
/// It cannot be read, or there is no room beside it; it is as it was, then.
pub fn thin(path: &Path, sign: impl FnOnce(&[u8], Vec<Hash>) -> Bytes) -> Result<u64, Error> {
    let source = Source::open(path)?;
    let unfinished = files::beside(path, files::UNFINISHED);
    let written = write_thinned(&source, &unfinished, path, sign);
    if written.is_err() {
        files::remove(&unfinished).map_err(Error::io("remove", &unfinished))?;
    }
    let size = written?;
    let replaced = std::fs::rename(&unfinished, path).and_then(|()| files::sync_dir(files::parent(path)));
    replaced.map_err(Error::io("replace", path))?;
    Ok(size)
}

fn write_thinned(
    source: &Source,
    unfinished: &Path,
    path: &Path,
    sign: impl FnOnce(&[u8], Vec<Hash>) -> Bytes,
) -> Result<u64, Error> {
    let no_recording = || Error::NoRecording { path: path.to_owned() };
    let movie = Movie::open(source).map_err(Error::unreadable(path))?;
    let start = movie.anchor.ok_or_else(no_recording)?.start;
    let about = About { camera: movie.title.clone().unwrap_or_default(), start };
    let file = File::create(unfinished).map_err(Error::io("create", unfinished))?;
    let apply = |steps: &[Step]| {
        steps
            .iter()
            .filter(|step| **step != Step::Sync)
            .try_for_each(|step| files::apply(&file, std::slice::from_ref(step)))
    };
    let mut growing: Option<Growing> = None;
    for gop in movie.idrs(source).ok_or_else(no_recording)? {
        let gop = gop.map_err(Error::unreadable(path))?;
        let steps = match &mut growing {
            Some(growing) => growing.append(&gop),
            None => Growing::begin(&gop, &about).map(|(begun, steps)| {
                growing = Some(begun);
                steps
            }),
        };
        apply(&steps.map_err(Error::mp4(path))?).map_err(Error::io("write", unfinished))?;
    }
    let mut growing = growing.ok_or_else(no_recording)?;
    let ledger = demux::ledger(source).map_err(Error::unreadable(path))?;
    growing.carry(sign(&ledger, growing.gops().iter().map(|gop| gop.sha256).collect()));
    apply(&growing.seal(&about)).and_then(|()| file.sync_all()).map_err(Error::io("write", unfinished))?;
    Ok(growing.seal_box().size)
}

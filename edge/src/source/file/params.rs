//! The parameters behind the `?` of a file source.

use crate::source::Error;
use crate::source::grid::Rate;
use crate::source::pixels::{MOST_SIDE, PixelFormat};
use std::path::{Path, PathBuf};

/// What the configuration says of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Params {
    /// The file.
    pub path: PathBuf,
    /// A WAV file with its sound.
    pub audio: Option<PathBuf>,
    /// The wall clock's block code is drawn into the frames.
    pub stamp: bool,
    /// The file is bare frames of this kind.
    pub raw: Option<Raw>,
}

/// The frames of a file that does not describe itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Raw {
    /// Their format.
    pub format: PixelFormat,
    /// Luma samples a line.
    pub width: usize,
    /// Luma lines.
    pub height: usize,
    /// Frames a second.
    pub rate: Rate,
}

impl Params {
    /// Parses `PATH?key=value&key=value`.
    ///
    /// # Errors
    /// `Unusable`, naming the file, the key and what is allowed.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let (path, query) = text.split_once('?').unwrap_or((text, ""));
        let unusable = |reason: String| Error::Unusable { device: path.to_owned(), reason };
        let mut params = Self { path: path.into(), audio: None, stamp: false, raw: None };
        let (mut format, mut width, mut height, mut rate) = (None, None, None, None);
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            let good = match key {
                "stamp" => match value {
                    "0" | "1" => {
                        params.stamp = value == "1";
                        true
                    }
                    _ => false,
                },
                "audio" => {
                    let beside = Path::new(path).parent().unwrap_or(Path::new(""));
                    params.audio = Some(beside.join(value)).filter(|_| !value.is_empty());
                    params.audio.is_some()
                }
                "format" => set(&mut format, PixelFormat::from_name(value)),
                "width" => set(&mut width, side(value)),
                "height" => set(&mut height, side(value)),
                "fps" => set(&mut rate, parse_rate(value)),
                _ => return Err(unusable(format!("unknown parameter {key}; {ALLOWED}"))),
            };
            if !good {
                return Err(unusable(format!("{key}={value} cannot be; {ALLOWED}")));
            }
        }
        params.raw = match (format, width, height, rate) {
            (None, None, None, None) => None,
            (Some(format), Some(width), Some(height), Some(rate)) => {
                Some(Raw { format, width, height, rate })
            }
            _ => {
                return Err(unusable("a raw file needs all of format=, width=, height= and fps=".to_owned()));
            }
        };
        Ok(params)
    }
}

/// What the parameters may be.
pub const ALLOWED: &str = "allowed behind file:PATH? are stamp=0|1, audio=FILE.wav, and all of \
                           format=yuyv|uyvy|nv12|i420|mjpeg, width= and height= of 1 to 4096, \
                           fps=N, N/D or N.N of 1/10 to 1000 for bare frames";

fn set<T>(place: &mut Option<T>, value: Option<T>) -> bool {
    *place = value;
    place.is_some()
}

fn side(value: &str) -> Option<usize> {
    value.parse().ok().filter(|side| (1..=MOST_SIDE).contains(side))
}

/// `25`, `30000/1001` or `29.97`.
fn parse_rate(value: &str) -> Option<Rate> {
    if let Some((num, den)) = value.split_once('/') {
        return Rate::new(num.parse().ok()?, den.parse().ok()?);
    }
    let (whole, decimals) = value.split_once('.').unwrap_or((value, ""));
    let den = 10_u32.checked_pow(u32::try_from(decimals.len()).ok()?)?;
    Rate::new(format!("{whole}{decimals}").parse().ok()?, den)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> String {
        Params::parse(text).expect_err("must be refused").to_string()
    }

    #[test]
    fn a_path_alone_is_enough() {
        let params = Params::parse("/clips/a.y4m").expect("parses");
        assert_eq!(params, Params { path: "/clips/a.y4m".into(), audio: None, stamp: false, raw: None });
    }

    #[test]
    fn a_raw_file_has_all_its_parameters() {
        let params =
            Params::parse("a.yuv?format=nv12&width=640&height=480&fps=30000/1001&stamp=1").expect("parses");
        let rate = Rate::new(30_000, 1001).expect("a rate");
        assert_eq!(params.raw, Some(Raw { format: PixelFormat::Nv12, width: 640, height: 480, rate }));
        assert!(params.stamp);
        assert_eq!(parse_rate("29.97"), Rate::new(2997, 100));
        assert_eq!(
            error("a.yuv?format=nv12"),
            "a.yuv: a raw file needs all of format=, width=, height= and fps="
        );
    }

    #[test]
    fn sound_is_looked_for_beside_the_file() {
        let audio = |text| Params::parse(text).expect("parses").audio.expect("sound");
        assert_eq!(audio("/clips/a.y4m?audio=a.wav"), Path::new("/clips/a.wav"));
        assert_eq!(audio("/clips/a.y4m?audio=/other/b.wav"), Path::new("/other/b.wav"));
        assert_eq!(audio("a.y4m?audio=a.wav"), Path::new("a.wav"));
    }

    #[test]
    fn impossible_parameters_are_named() {
        for (text, begin) in [
            ("a?size=3", "a: unknown parameter size; allowed behind file:PATH? are stamp=0|1, "),
            ("a?width=5000", "a: width=5000 cannot be; "),
            ("a?width=0", "a: width=0 cannot be; "),
            ("a?fps=0", "a: fps=0 cannot be; "),
            ("a?fps=30/0", "a: fps=30/0 cannot be; "),
            ("a?fps=1.00000000001", "a: fps=1.00000000001 cannot be; "),
            ("a?format=rgb", "a: format=rgb cannot be; "),
            ("a?stamp=yes", "a: stamp=yes cannot be; "),
            ("a?audio=", "a: audio= cannot be; "),
        ] {
            assert!(error(text).starts_with(begin), "{}", error(text));
        }
    }
}

//! Names of recordings, and the tokens that say who holds a lockfile.
//!
//! ```text
//! 2026-11-21-06-15-00-k3vq7x2a-0000004711          39 characters, always
//! `------- UTC -------´ camera8  `- seq10 -´
//! 0000-00-00-00-00-00-k3vq7x2a-0000004712          the wall clock was not set
//!
//! v1 upload <camera8> <boot> <nonce>               an edge is sending the recording
//! v1 chop <host> <boot> <pid>                      a worker on the remote host has it
//! ```
//!
//! All names have one width, so none is a substring of another; camera and sequence number make a name unique, whatever the
//! clock does. A name never changes once the upload of its recording has begun.

use crate::time::{Civil, WallTime};
use sha2::{Digest, Sha256};
use std::fmt;
use std::str::FromStr;

/// Characters of a recording's name.
pub const NAME_LEN: usize = 39;
/// Sequence numbers have ten digits: after the last one comes 0.
pub const SEQUENCES: u64 = 10_000_000_000;
/// What `NAME.part` is called with when the edge has lost GOPs that it holds: `NAME-lost.part`.
pub const LOST: &str = "-lost";
/// The longest token that is read; anything longer is somebody else's.
pub const MOST_TOKEN_BYTES: usize = 256;

/// Why a text is not a name or a token.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Not the name of a recording.
    #[error("{0:?} is not YYYY-MM-DD-HH-MM-SS-camera8-seq10")]
    Name(String),
    /// Not eight characters of a-z and 2-7.
    #[error("{0:?} is not a camera id: eight of a-z, 2-7")]
    Camera(String),
    /// Not a token of version 1.
    #[error("{0:?} is not a lock token")]
    Token(String),
}

/// Identifies one camera of one device: the first 40 bits of SHA-256 over the device's public key and the camera's name,
/// in the base32 alphabet of RFC 4648, lower case.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CameraId([u8; 8]);

impl CameraId {
    /// From the device's public key (its SSH key blob, RFC 4253 6.6) and the camera's name.
    pub fn new(device_key: &[u8], camera: &str) -> Self {
        const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
        let mut hash = Sha256::new();
        // The length in front keeps (key, name) and (key + n, ame) apart.
        hash.update((device_key.len() as u64).to_be_bytes());
        hash.update(device_key);
        hash.update(camera.as_bytes());
        let bits = hash.finalize().iter().take(5).fold(0_u64, |bits, byte| bits << 8 | u64::from(*byte));
        Self(std::array::from_fn(|n| ALPHABET[(bits >> (35 - 5 * n) & 31) as usize]))
    }
}

impl fmt::Display for CameraId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{}", char::from(*byte)))
    }
}

impl fmt::Debug for CameraId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for CameraId {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let good = |byte: &u8| matches!(byte, b'a'..=b'z' | b'2'..=b'7');
        match <[u8; 8]>::try_from(text.as_bytes()) {
            Ok(bytes) if bytes.iter().all(good) => Ok(Self(bytes)),
            _ => Err(Error::Camera(clip(text))),
        }
    }
}

/// The name of a recording, without `.mp4`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RecordingName {
    /// The second in which the first picture was taken, UTC; `None` if the wall clock was not set then.
    pub start: Option<WallTime>,
    /// Whose recording it is.
    pub camera: CameraId,
    /// Counts the recordings of this camera; below [`SEQUENCES`].
    pub sequence: u64,
}

impl RecordingName {
    /// The name of a recording that starts at `start`. A date that four digits cannot show counts as unknown.
    pub fn new(start: Option<WallTime>, camera: CameraId, sequence: u64) -> Self {
        let second = start.map(|wall| WallTime(wall.as_secs() * 1_000_000));
        let start = second.filter(|wall| (1..=9999).contains(&wall.civil().year));
        Self { start, camera, sequence: sequence % SEQUENCES }
    }
}

impl fmt::Display for RecordingName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.start.map(WallTime::civil) {
            Some(Civil { year, month, day, hour, minute, second, .. }) => {
                write!(f, "{year:04}-{month:02}-{day:02}-{hour:02}-{minute:02}-{second:02}")?;
            }
            None => write!(f, "0000-00-00-00-00-00")?,
        }
        write!(f, "-{}-{:010}", self.camera, self.sequence)
    }
}

impl FromStr for RecordingName {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let refused = || Error::Name(clip(text));
        let fields: Vec<&str> = text.splitn(9, '-').collect();
        let [year, month, day, hour, minute, second, camera, sequence] = fields[..] else {
            return Err(refused());
        };
        let widths = [year, month, day, hour, minute, second, camera, sequence].map(str::len);
        if widths != [4, 2, 2, 2, 2, 2, 8, 10] {
            return Err(refused());
        }
        let number = |field: &str| {
            field.bytes().all(|byte| byte.is_ascii_digit()).then(|| field.parse::<u64>().ok()).flatten()
        };
        let date: Option<Vec<u64>> =
            [year, month, day, hour, minute, second].into_iter().map(number).collect();
        let date = date.ok_or_else(refused)?;
        let start = if date.iter().all(|field| *field == 0) {
            None
        } else {
            let civil = Civil {
                year: date[0] as i64,
                month: date[1] as u8,
                day: date[2] as u8,
                hour: date[3] as u8,
                minute: date[4] as u8,
                second: date[5] as u8,
                micros: 0,
            };
            Some(civil.wall_time().filter(|_| civil.year > 0).ok_or_else(refused)?)
        };
        let camera = camera.parse().map_err(|_| refused())?;
        Ok(Self { start, camera, sequence: number(sequence).ok_or_else(refused)? })
    }
}

/// What a lockfile holds: whose it is. An empty lockfile is a script's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LockToken {
    /// An edge is sending the recording.
    Upload {
        /// The recording's camera.
        camera: CameraId,
        /// The boot of the edge in which the lock was written.
        boot: String,
        /// Drawn once for each recording: what the edge knows its own lock by, over restarts too.
        nonce: String,
    },
    /// A worker on the remote host has the recording.
    Chop {
        /// The worker's host.
        host: String,
        /// The boot of that host.
        boot: String,
        /// The worker's process.
        pid: u32,
    },
}

impl fmt::Display for LockToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Upload { camera, boot, nonce } => write!(f, "v1 upload {camera} {boot} {nonce}"),
            Self::Chop { host, boot, pid } => write!(f, "v1 chop {host} {boot} {pid}"),
        }
    }
}

impl LockToken {
    /// Reads the content of a lockfile. A line feed at the end is allowed.
    pub fn parse(content: &[u8]) -> Result<Self, Error> {
        let refused = || Error::Token(clip(&String::from_utf8_lossy(content)));
        if content.len() > MOST_TOKEN_BYTES {
            return Err(refused());
        }
        let text = std::str::from_utf8(content).map_err(|_| refused())?;
        // One more than a token has: more blanks cost no more memory.
        let fields: Vec<&str> = text.strip_suffix('\n').unwrap_or(text).splitn(6, ' ').collect();
        if !fields.iter().all(|field| is_word(field)) {
            return Err(refused());
        }
        match fields[..] {
            ["v1", "upload", camera, boot, nonce] => Ok(Self::Upload {
                camera: camera.parse().map_err(|_| refused())?,
                boot: boot.to_owned(),
                nonce: nonce.to_owned(),
            }),
            ["v1", "chop", host, boot, pid] => Ok(Self::Chop {
                host: host.to_owned(),
                boot: boot.to_owned(),
                pid: pid.parse().map_err(|_| refused())?,
            }),
            _ => Err(refused()),
        }
    }
}

/// A field of a token: 1 to 64 of letters, digits, `.`, `-` and `_`.
fn is_word(field: &str) -> bool {
    let good = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    (1..=64).contains(&field.len()) && field.bytes().all(good)
}

/// As much of a refused text as an error message needs.
fn clip(text: &str) -> String {
    text.chars().take(64).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn camera() -> CameraId {
        CameraId::new(b"key", "front")
    }

    #[test]
    fn a_name_is_the_second_the_camera_and_the_sequence() {
        let name = RecordingName::new(Some(WallTime(1_795_241_700_987_654)), camera(), 4711);
        assert_eq!(name.to_string(), format!("2026-11-21-06-15-00-{}-0000004711", camera()));
        assert_eq!(name.to_string().len(), NAME_LEN);
        assert_eq!(name.to_string().parse(), Ok(name));
    }

    #[test]
    fn an_unknown_date_is_all_zeros() {
        let name = RecordingName::new(None, camera(), SEQUENCES + 1);
        assert_eq!(name.to_string(), format!("0000-00-00-00-00-00-{}-0000000001", camera()));
        assert_eq!(name.to_string().parse(), Ok(name));
        assert_eq!(RecordingName::new(Some(WallTime(i64::MAX)), camera(), 1).start, None);
    }

    #[test]
    fn what_is_not_a_name_is_refused() {
        for text in [
            "",
            "2026-11-21-06-15-00-abcdefgh-000000471",
            "2026-11-21-06-15-00-abcdefgh-00000004711",
            "2026-11-21-06-15-00-abcdefgh-0000004711-",
            "2026-11-21-06-15-00-abcdefgh-+000004711",
            "2026-11-21-06-15-00-abcdefg1-0000004711",
            "2026-11-21-06-15-00-ABCDEFGH-0000004711",
            "2026-02-29-06-15-00-abcdefgh-0000004711",
            "2026-11-21-24-15-00-abcdefgh-0000004711",
            "2026-11-21-06-15-60-abcdefgh-0000004711",
            "0000-00-00-00-00-01-abcdefgh-0000004711",
            "2026-11-21-06-15-00-abcdefgh-0000004711.mp4",
            "../..-11-21-06-15-00-abcdefgh-0000004711",
        ] {
            assert_eq!(text.parse::<RecordingName>(), Err(Error::Name(text.to_owned())));
        }
    }

    #[test]
    fn cameras_and_devices_have_ids_of_their_own() {
        assert_eq!(camera().to_string(), "fa43kknt");
        assert_ne!(camera(), CameraId::new(b"key", "back"));
        assert_ne!(camera(), CameraId::new(b"other", "front"));
        assert_ne!(CameraId::new(b"keyf", "ront"), camera());
        assert_eq!(camera().to_string().parse(), Ok(camera()));
    }

    #[test]
    fn a_token_says_whose_the_lock_is() {
        let upload = LockToken::Upload {
            camera: camera(),
            boot: "7d3c5a52-9a9c-4f0e-8d58-5b0f6c1f1a11".to_owned(),
            nonce: "00ff00ff00ff00ff".to_owned(),
        };
        let text = upload.to_string();
        assert_eq!(
            text,
            format!("v1 upload {} 7d3c5a52-9a9c-4f0e-8d58-5b0f6c1f1a11 00ff00ff00ff00ff", camera())
        );
        assert_eq!(LockToken::parse(text.as_bytes()), Ok(upload.clone()));
        assert_eq!(LockToken::parse(format!("{text}\n").as_bytes()), Ok(upload));
        let chop = LockToken::Chop { host: "vault".to_owned(), boot: "b".to_owned(), pid: 17 };
        assert_eq!(LockToken::parse(b"v1 chop vault b 17"), Ok(chop));
    }

    #[test]
    fn what_is_not_a_token_is_refused() {
        let long = [b'x'; MOST_TOKEN_BYTES + 1];
        let blanks = [b' '; MOST_TOKEN_BYTES];
        for content in [
            &b""[..],
            b"v1",
            b"v1 upload abcdefgh boot",
            b"v1 upload abcdefgh boot nonce more",
            b"v1 upload abcdefgh  nonce",
            b"v1 upload ABCDEFGH boot nonce",
            b"v2 upload abcdefgh boot nonce",
            b"v1 chop host boot -1",
            b"v1 chop host boot 4294967296",
            b"v1 chop ho/st boot 1",
            b"\xff\xfe",
            &long,
            &blanks,
        ] {
            assert!(LockToken::parse(content).is_err(), "{content:?}");
        }
    }
}

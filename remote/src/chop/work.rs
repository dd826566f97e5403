//! Chopping as the work that is done on every recording that comes in (W4).

use super::{Error, Options, chop, publish};
use crate::folder;
use crate::inbox::{Failure, Input, Work};
use crate::supervise::Stop;
use media::Ticks90k;
use media::mp4::ReadError;
use std::path::Path;

/// Makes HLS of every recording.
pub struct Chop {
    /// How long a segment lasts.
    pub segment: Ticks90k,
}

impl Work for Chop {
    fn make(&self, input: &Input<'_>, tmp: &Path, hls: &Path, stop: &Stop) -> Result<(), Failure> {
        let options = Options { stop: stop.clone(), segment: self.segment, ..Options::new(input.account) };
        let made = chop(input.path, input.name, tmp, &options);
        let published = made.and_then(|chopped| publish(&chopped, hls));
        published.map(drop).map_err(|error| failure(error, input.path))
    }
}

fn failure(error: Error, recording: &Path) -> Failure {
    match error {
        Error::Read(ReadError::Io { source, .. }) => folder::Error::new("read", recording, source).into(),
        Error::Io { path, source } => folder::Error::new("write the HLS of", &path, source).into(),
        Error::Stopped => Failure::Stopped,
        error => Failure::File(error.to_string()),
    }
}

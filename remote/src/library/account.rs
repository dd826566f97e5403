//! What follows from all ledgers together: the dates of recordings, and the gaps between them.

use super::held::{Held, Here};
use super::recording::{Gap, Recording, State, arrived};
use media::WallTime;
use media::ledger::{Dates, Finding, Missing, Stitched, stitch};
use media::names::{CameraId, RecordingName};
use std::cmp::Reverse;
use std::collections::BTreeMap;

/// A playlist is wrong by more than the drift of a clock: 3 s in microseconds.
const SET_LATER: i64 = 3_000_000;
/// Gaps that are told of.
const MOST_GAPS: usize = 10_000;

/// Dates and gaps, camera by camera.
#[derive(Debug, Default)]
pub struct Account {
    cameras: BTreeMap<String, Camera>,
}

#[derive(Debug)]
struct Camera {
    /// As it is shown.
    label: String,
    dates: Dates,
    gaps: Vec<Gap>,
}

impl Account {
    /// Puts the ledgers of every camera together.
    pub fn of(held: &Held) -> Self {
        let labels = labels(held);
        let camera = |(id, label): (CameraId, String)| {
            let stitched = stitch(&held.slices(id));
            let gaps = gaps(&stitched, &label);
            (id.to_string(), Camera { label, dates: stitched.dates, gaps })
        };
        Self { cameras: labels.into_iter().map(camera).collect() }
    }

    /// How a camera is shown, by its id; an account by itself.
    pub fn label(&self, camera: &str) -> String {
        self.cameras.get(camera).map_or(camera, |camera| &camera.label).to_owned()
    }

    /// How the camera of a recording is shown that has not been read yet; `account` is empty where it is not known.
    pub fn label_of(&self, name: &str, account: &str) -> String {
        let id = name.parse::<RecordingName>().ok().map(|name| name.camera.to_string());
        match id {
            Some(id) if account.is_empty() || self.cameras.contains_key(&id) => self.label(&id),
            _ => self.label(account),
        }
    }

    /// The recordings that are here.
    pub fn recordings(&self, held: &Held) -> Vec<Recording> {
        held.recordings.iter().map(|(name, here)| self.recording(held, name, here)).collect()
    }

    /// Recordings whose playlists have no date, or that of a clock that was put right later: when they began.
    pub fn dates(&self, held: &Held) -> BTreeMap<String, WallTime> {
        let chopped = held.recordings.iter().filter(|(_, here)| here.playable);
        let dated = chopped.filter_map(|(name, here)| Some((name, here, self.date(held, name, here)?)));
        let wrong = dated
            .filter(|(_, here, date)| here.listed.is_none_or(|listed| (listed.0 - date.0).abs() > SET_LATER));
        wrong.map(|(name, _, date)| (name.clone(), date)).collect()
    }

    /// When a recording began, by the ledger of its camera.
    fn date(&self, held: &Held, name: &str, here: &Here) -> Option<WallTime> {
        let (boot, at) = held.media(name)?;
        self.cameras.get(&here.camera)?.dates.wall_of(boot, at)
    }

    /// All gaps, newest first.
    pub fn gaps(&self) -> Vec<Gap> {
        let mut gaps: Vec<Gap> =
            self.cameras.values().flat_map(|camera| camera.gaps.iter().cloned()).collect();
        gaps.sort_by_key(|gap| Reverse(gap.start));
        gaps.truncate(MOST_GAPS);
        gaps
    }

    fn recording(&self, held: &Held, name: &str, here: &Here) -> Recording {
        Recording {
            name: name.to_owned(),
            camera: self.label(&here.camera),
            state: match (here.playable, here.hls) {
                (true, _) => State::Chopped,
                (false, Some(_)) => State::Leaving,
                (false, None) => State::Archived,
            },
            reason: None,
            start: self.date(held, name, here).or(here.start).map(WallTime::as_millis),
            arrived: here.mp4.or(here.hls).as_ref().and_then(arrived),
            seconds: here.seconds,
            bytes: here.bytes,
            hls: here.playable.then(|| format!("/hls/{name}/{name}.m3u8")),
            mp4: here.mp4.map(|_| format!("/i/{name}.mp4")),
        }
    }
}

/// The name of each camera; with its id where several cameras have that name, and the id alone where it is not known.
fn labels(held: &Held) -> BTreeMap<CameraId, String> {
    let name = |id: &CameraId| held.cameras.get(id).and_then(|camera| camera.name.as_deref());
    let namesakes = |wanted: &str| held.cameras.keys().filter(|id| name(id) == Some(wanted)).count();
    let label = |id: &CameraId| match name(id) {
        Some(name) if namesakes(name) == 1 => name.to_owned(),
        Some(name) => format!("{name} ({id})"),
        None => id.to_string(),
    };
    held.cameras.keys().map(|id| (*id, label(id))).collect()
}

/// What a ledger tells of time without footage. That it was begun anew or forked is for `check` to judge.
fn gaps(stitched: &Stitched, camera: &str) -> Vec<Gap> {
    let gap = |cause, missing: &Missing| Gap {
        camera: camera.to_owned(),
        cause,
        start: missing.start.map(WallTime::as_millis),
        seconds: missing.length.map(|length| length.as_secs_f64()),
    };
    let of = |finding: &Finding| match finding {
        Finding::Missing { missing, .. } => {
            Some(gap(missing.cause.map_or("unexplained", |cause| cause.name()), missing))
        }
        Finding::Absent { receipts: 1.., missing, .. } => {
            missing.as_ref().map(|missing| gap("removed", missing))
        }
        Finding::Absent { missing, .. } | Finding::BegunAnew { missing, .. } => {
            missing.as_ref().map(|missing| gap("absent", missing))
        }
        Finding::Forked { .. } => None,
    };
    stitched.findings.iter().rev().filter_map(of).take(MOST_GAPS).collect()
}

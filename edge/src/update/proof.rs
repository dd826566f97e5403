//! Whether a version has proved itself, and what a start of an edge has to do with an update: values in, values out.
//!
//! ```text
//!            what runs is tried ----------> prove: all that worked before is seen again --> keep
//! start --+                                         not within the deadline --------------> return, restart
//!         |  it is to be tried, and was not --> restart, twice at most
//!         |  it was tried, and is not here ---> it failed: say so
//!         +  nothing is tried ----------------> nothing
//! ```

use super::serve::Told;
use media::update::slots::TRIES;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// How often the board is started again for a version that was not tried.
const MOST_RESTARTS: u32 = 2;

/// What worked in the hour before.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Before {
    /// Cameras that gave pictures.
    pub cameras: BTreeSet<String>,
    /// The remote host took recordings.
    pub remote: bool,
}

/// What works now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// Cameras that give pictures.
    pub cameras: BTreeSet<String>,
    /// The live view answers.
    pub live: bool,
    /// A recording has its receipt.
    pub receipt: bool,
}

/// What an edge remembers of the last update over a restart.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Memory {
    /// The new version.
    pub version: String,
    /// What ran before it.
    pub from: String,
    /// What worked before it.
    pub before: Before,
    /// How often it was asked for a restart.
    pub restarts: u32,
    /// What became of it.
    pub outcome: Option<Outcome>,
}

/// What became of an update.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It runs.
    Kept,
    /// The version before it runs again; why.
    Returned(String),
}

/// What an edge has to do with the update when it starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Task {
    /// Nothing.
    None,
    /// What runs must prove itself.
    Prove(Before),
    /// It has yet to be tried: start the board again.
    Restart,
    /// It was kept, and nobody wrote that down.
    Note(Outcome),
    /// It failed: let it be.
    Fail(String),
}

/// What to do at the start.
pub fn task(told: &Told, memory: &Memory) -> Task {
    let known = memory.version == told.version;
    if told.is_trial() {
        return Task::Prove(if known { memory.before.clone() } else { Before::default() });
    }
    match (&told.trial, told.tries) {
        (None, _) if !known || memory.outcome.is_some() || memory.version.is_empty() => Task::None,
        (None, _) => Task::Note(Outcome::Kept),
        (Some(_), TRIES) if memory.restarts < MOST_RESTARTS => Task::Restart,
        (Some(_), TRIES) => Task::Fail("the boot loader does not try it".to_owned()),
        (Some(_), 0) => Task::Fail(format!("it was started {TRIES} times, and did not prove itself")),
        (Some(_), _) => Task::Fail("it could not be started".to_owned()),
    }
}

/// What is still missing, in words; nothing: it has proved itself.
pub fn missing(before: &Before, now: &Now) -> Vec<String> {
    let dark = before.cameras.difference(&now.cameras).map(|camera| format!("no picture of camera {camera}"));
    let mut missing: Vec<String> = dark.collect();
    if !now.live {
        missing.push("the live view does not answer".to_owned());
    }
    if before.remote && !before.cameras.is_empty() && !now.receipt {
        missing.push("no receipt yet for a recording".to_owned());
    }
    missing
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(version: &str, slot: &str, trial: Option<&str>, tries: u32) -> Told {
        let text = str::to_owned;
        Told { version: text(version), slot: text(slot), trial: trial.map(text), tries, ..Told::default() }
    }

    fn memory(restarts: u32, outcome: Option<Outcome>) -> Memory {
        let before = Before { cameras: ["front".to_owned()].into(), remote: true };
        Memory { version: "2.0.0+0".into(), from: "1.0.0+0".into(), before, restarts, outcome }
    }

    #[test]
    fn what_a_start_has_to_do_follows_from_the_sectors_and_from_what_is_remembered() {
        let (fresh, asked) = (memory(0, None), memory(2, None));
        let new = |trial, tries| told("2.0.0+0", "b", trial, tries);
        let old = |trial, tries| told("1.0.0+0", "a", trial, tries);
        let fails = |why: &str| Task::Fail(why.to_owned());
        let kept = || memory(1, Some(Outcome::Kept));
        for (told, memory, wanted) in [
            (new(Some("b"), 2), &fresh, Task::Prove(fresh.before.clone())),
            (new(Some("b"), 0), &Memory::default(), Task::Prove(Before::default())),
            (new(None, 0), &fresh, Task::Note(Outcome::Kept)),
            (new(None, 0), &kept(), Task::None),
            (new(None, 0), &Memory::default(), Task::None),
            (old(None, 0), &Memory::default(), Task::None),
            (old(Some("b"), 3), &fresh, Task::Restart),
            (old(Some("b"), 3), &asked, fails("the boot loader does not try it")),
            (old(Some("b"), 0), &fresh, fails("it was started 3 times, and did not prove itself")),
            (old(Some("b"), 2), &fresh, fails("it could not be started")),
            (old(None, 0), &memory(1, Some(Outcome::Returned("no".into()))), Task::None),
        ] {
            assert_eq!(task(&told, memory), wanted, "{told:?} {memory:?}");
        }
    }

    #[test]
    fn what_worked_before_must_work_again_and_nothing_more() {
        let before = memory(0, None).before;
        let all = Now { cameras: before.cameras.clone(), live: true, receipt: true };
        assert_eq!(missing(&before, &all), [""; 0]);
        assert_eq!(
            missing(&before, &Now::default()),
            ["no picture of camera front", "the live view does not answer", "no receipt yet for a recording"]
        );
        let alone = Now { live: true, ..Now::default() };
        assert_eq!(missing(&Before::default(), &alone), [""; 0], "a board without camera and remote host");
        let unseen = Before { cameras: BTreeSet::new(), remote: true };
        assert_eq!(missing(&unseen, &alone), [""; 0], "without a picture there is no recording");
        let offline = Before { remote: false, ..before };
        assert_eq!(missing(&offline, &Now { receipt: false, ..all }), [""; 0]);
    }
}

//! What a janitor remembers from one look to the next: how long each file has been as it is, and which boot of each camera was
//! heard last.
//!
//! ```text
//! look 1      NAME.part  inode 7, 300 bytes, stamp 12:00     first seen: quiet for 0 s
//! look 2      NAME.part  inode 7, 300 bytes, stamp 12:00     the same: quiet since look 1
//! look 3      NAME.part  inode 7, 900 bytes, stamp 13:00     another one: quiet for 0 s, whatever the stamp says
//! ```
//!
//! Stamps of files are those of the wall clock, and that jumps: a year ahead it would make every camera that is only away
//! for a minute look lost. So a stamp is compared, never reckoned with, and time is that of a clock that never jumps. A janitor
//! that begins anew is patient anew. Pure: the driver looks, and tells what it found.

use super::claim::{Lock, Seen, Sight, Writer};
use crate::names::CameraId;
use std::collections::HashMap;
use std::time::Duration;

/// NAMEs of one inbox that are remembered; of one beyond them nothing is ever concluded from its quiet.
const MOST_NAMES: usize = 4096;
/// Cameras of one inbox whose boots are remembered.
const MOST_CAMERAS: usize = 256;

/// Another value whenever there is another file, or other bytes in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark<Id> {
    /// Which file: its inode.
    pub id: Id,
    /// Bytes.
    pub size: u64,
    /// When it was changed, by the wall clock of then.
    pub changed: Duration,
}

/// Whose a lockfile is, by what it holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Owner {
    /// `v1 chop`: a worker's.
    Worker {
        /// Its flock is held.
        held: bool,
    },
    /// `v1 upload`: an edge's.
    Edge {
        /// Which camera's recording.
        camera: CameraId,
        /// The boot in which the lock was written.
        boot: String,
    },
    /// Anything else: a script's.
    Script,
}

/// What stands under one NAME.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Looked<Id> {
    /// `NAME.lockfile`.
    pub lock: Option<(Mark<Id>, Owner)>,
    /// `NAME.mp4`.
    pub recording: Option<Mark<Id>>,
    /// `NAME.part`.
    pub part: Option<Mark<Id>>,
}

/// A file, and since when it has been as it is.
type Known<Id> = Option<(Mark<Id>, Duration)>;

/// What is known of the files of one NAME.
#[derive(Debug)]
struct Files<Id> {
    lock: Known<Id>,
    recording: Known<Id>,
    part: Known<Id>,
    /// When all names were gone through for so many times, it was there.
    pass: u64,
}

/// The last lock of a camera that was written: in which pass that was seen, its stamp, and its boot.
#[derive(Debug)]
struct Heard {
    at: (u64, Duration),
    boot: String,
}

/// The memory of one inbox.
#[derive(Debug)]
pub struct Watch<Id> {
    names: HashMap<String, Files<Id>>,
    heard: HashMap<CameraId, Heard>,
    /// How often all names were gone through.
    pass: u64,
}

impl<Id> Default for Watch<Id> {
    fn default() -> Self {
        Self { names: HashMap::new(), heard: HashMap::new(), pass: 0 }
    }
}

impl<Id: Copy + PartialEq> Watch<Id> {
    /// Takes a look at one NAME, at `now` by a clock that never jumps. Whether a file is open for writing is left unknown: the
    /// driver asks where [`Sight`] has been quiet for long enough that it matters.
    pub fn look(&mut self, name: &str, looked: &Looked<Id>, now: Duration) -> Sight {
        let full = self.names.len() >= MOST_NAMES && !self.names.contains_key(name);
        let mut unknown = Files { lock: None, recording: None, part: None, pass: self.pass };
        let files = match self.names.get_mut(name) {
            Some(files) => files,
            None if full => &mut unknown,
            None => self.names.entry(name.to_owned()).or_insert(unknown),
        };
        files.pass = self.pass;
        let seen = |quiet| Seen { writer: Writer::Unknown, quiet };
        let recording = quiet(&mut files.recording, looked.recording, now).map(seen);
        let part = quiet(&mut files.part, looked.part, now).map(seen);
        let is_news = looked.lock.as_ref().map(|(mark, _)| *mark) != files.lock.map(|(mark, _)| mark);
        let quiet = quiet(&mut files.lock, looked.lock.as_ref().map(|(mark, _)| *mark), now);
        let lock = match (&looked.lock, quiet) {
            (Some((mark, owner)), Some(quiet)) => match owner {
                Owner::Worker { held } => Lock::Worker { held: *held },
                Owner::Edge { camera, boot } => {
                    if is_news {
                        self.hear(*camera, boot, mark.changed);
                    }
                    let newer_boot = self.heard.get(camera).is_some_and(|heard| heard.boot != *boot);
                    Lock::Edge { newer_boot, quiet }
                }
                Owner::Script => Lock::Script { quiet },
            },
            _ => Lock::None,
        };
        Sight { lock, recording, part }
    }

    /// All names have been gone through: what was not there is forgotten.
    pub fn end_pass(&mut self) {
        let pass = self.pass;
        self.names.retain(|_, files| files.pass == pass);
        self.pass += 1;
    }

    /// A lock was written. What is seen in one pass is ordered by its stamps: those are all that there is when a janitor begins.
    fn hear(&mut self, camera: CameraId, boot: &str, changed: Duration) {
        let at = (self.pass, changed);
        if self.heard.get(&camera).is_some_and(|heard| heard.at > at) {
            return;
        }
        if self.heard.len() >= MOST_CAMERAS && !self.heard.contains_key(&camera) {
            self.heard.clear();
        }
        self.heard.insert(camera, Heard { at, boot: boot.to_owned() });
    }
}

/// How long a file has been as it is; takes note of it if it has not been so before.
fn quiet<Id: Copy + PartialEq>(
    known: &mut Known<Id>,
    found: Option<Mark<Id>>,
    now: Duration,
) -> Option<Duration> {
    let since = known.filter(|(mark, _)| found == Some(*mark)).map_or(now, |(_, since)| since);
    *known = found.map(|mark| (mark, since));
    found.map(|_| now.saturating_sub(since))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mark(size: u64, changed: u64) -> Mark<u8> {
        Mark { id: 7, size, changed: Duration::from_secs(changed) }
    }

    fn part(mark: Mark<u8>) -> Looked<u8> {
        Looked { lock: None, recording: None, part: Some(mark) }
    }

    /// The lock of a boot, stamped with `changed`.
    fn lock(boot: &str, changed: u64) -> Looked<u8> {
        let owner = Owner::Edge { camera: CameraId::new(b"key", "front"), boot: boot.to_owned() };
        Looked { lock: Some((mark(30, changed), owner)), recording: None, part: None }
    }

    fn quiet_of(watch: &mut Watch<u8>, looked: &Looked<u8>, now: u64) -> u64 {
        let sight = watch.look("a", looked, Duration::from_secs(now));
        sight.part.expect("a part").quiet.as_secs()
    }

    fn is_old(watch: &mut Watch<u8>, name: &str, looked: &Looked<u8>) -> bool {
        match watch.look(name, looked, Duration::ZERO).lock {
            Lock::Edge { newer_boot, .. } => newer_boot,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_file_is_quiet_for_as_long_as_it_was_seen_unchanged_whatever_its_stamp_says() {
        let mut watch = Watch::default();
        assert_eq!(quiet_of(&mut watch, &part(mark(300, 9_000_000)), 10), 0);
        assert_eq!(quiet_of(&mut watch, &part(mark(300, 9_000_000)), 70), 60);
        for other in [mark(301, 9_000_000), mark(301, 5), Mark { id: 8, ..mark(301, 5) }] {
            assert_eq!(quiet_of(&mut watch, &part(other), 80), 0, "{other:?}");
        }
    }

    #[test]
    fn what_was_gone_for_a_pass_is_new_when_it_comes_again() {
        let mut watch = Watch::default();
        let file = part(mark(1, 1));
        quiet_of(&mut watch, &file, 0);
        watch.end_pass();
        assert_eq!(quiet_of(&mut watch, &file, 10), 10);
        watch.end_pass();
        watch.end_pass();
        assert_eq!(quiet_of(&mut watch, &file, 20), 0);
        let gone = Looked { part: None, ..part(mark(1, 1)) };
        watch.look("a", &gone, Duration::from_secs(21));
        assert_eq!(quiet_of(&mut watch, &file, 30), 0);
    }

    #[test]
    fn a_boot_is_old_once_another_one_was_heard_later_also_if_the_clock_was_set_back() {
        let mut watch = Watch::default();
        assert!(!is_old(&mut watch, "a", &lock("first", 900)));
        watch.end_pass();
        assert!(!is_old(&mut watch, "a", &lock("first", 900)));
        assert!(!is_old(&mut watch, "b", &lock("second", 20)), "it is heard now, whatever its stamp says");
        assert!(is_old(&mut watch, "a", &lock("first", 900)));
        watch.end_pass();
        assert!(!is_old(&mut watch, "b", &lock("second", 20)));
        assert!(!is_old(&mut watch, "a", &lock("second", 21)), "its lock was written anew");
        assert!(!is_old(&mut watch, "b", &lock("second", 20)));
    }

    #[test]
    fn a_janitor_that_begins_goes_by_the_stamps() {
        for order in [[0, 1], [1, 0]] {
            let mut watch = Watch::default();
            let locks = [("a", lock("first", 10)), ("b", lock("second", 20))];
            for place in order {
                is_old(&mut watch, locks[place].0, &locks[place].1);
            }
            assert_eq!(locks.each_ref().map(|(name, lock)| is_old(&mut watch, name, lock)), [true, false]);
        }
    }

    #[test]
    fn no_number_of_names_or_cameras_fills_the_memory() {
        let mut watch = Watch::default();
        for n in 0..2 * MOST_NAMES as u64 {
            let owner =
                Owner::Edge { camera: CameraId::new(b"key", &n.to_string()), boot: "boot".to_owned() };
            let looked = Looked { lock: Some((mark(30, n), owner)), recording: None, part: None };
            watch.look(&n.to_string(), &looked, Duration::ZERO);
        }
        assert_eq!(watch.names.len(), MOST_NAMES);
        assert!(watch.heard.len() <= MOST_CAMERAS);
        let hour = Duration::from_secs(3600);
        let late = watch.look("one more", &part(mark(1, 1)), hour);
        assert_eq!(late.part.map(|part| part.quiet), Some(Duration::ZERO));
        assert_eq!(watch.look("one more", &part(mark(1, 1)), hour * 2).part, late.part);
    }
}

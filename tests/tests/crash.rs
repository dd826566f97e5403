//! SIGKILL at random instants while the edge records and uploads: nothing is lost but the GOP in flight, nothing is there twice,
//! and nothing is half visible.
//!
//! `PORTHOLE_ROUNDS` kills; `PORTHOLE_SEED` repeats a run.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use tests::dice::Dice;
use tests::edge::{Edge, Settings};
use tests::sshd::{Sshd, View};
use tests::{players, work};

/// What is in a recording: a hash for each picture, in order.
#[derive(Clone, Debug, Default, PartialEq)]
struct Footage {
    pictures: Vec<String>,
    /// Those among them that begin a GOP. They show the whole clock of the pattern, so that no two are alike; any other holds
    /// what has changed since the one before, which can be the same minutes later.
    idrs: Vec<String>,
}

/// The recordings of one folder, on the edge or on the remote host, as they were last seen.
struct Folder {
    path: PathBuf,
    /// By name: length and time of the file when it was read, and what was in it.
    known: BTreeMap<String, ((u64, SystemTime), Footage)>,
}

impl Folder {
    fn new(path: PathBuf) -> Self {
        Self { path, known: BTreeMap::new() }
    }

    fn names(&self, extension: &str) -> BTreeSet<String> {
        let entries = fs::read_dir(&self.path).into_iter().flatten().flatten();
        let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
        names.filter_map(|name| name.strip_suffix(extension).map(str::to_owned)).collect()
    }

    /// Reads what has changed, and gives each recording that did to `judge` with what was in it before.
    fn look(&mut self, judge: impl Fn(&str, Option<&Footage>, &Footage)) {
        for name in self.names(".mp4") {
            let file = self.path.join(format!("{name}.mp4"));
            let metadata = fs::metadata(&file).unwrap();
            let stamp = (metadata.len(), metadata.modified().unwrap());
            let before = self.known.get(&name);
            if before.is_none_or(|(last, _)| *last != stamp) {
                let footage = read(&file, stamp.0);
                judge(&name, before.map(|(_, footage)| footage), &footage);
                self.known.insert(name, (stamp, footage));
            }
        }
    }

    /// The recordings with anything in them.
    fn footage(&self) -> impl Iterator<Item = (&String, &Footage)> {
        let all = self.known.iter().map(|(name, (_, footage))| (name, footage));
        all.filter(|(_, footage)| !footage.idrs.is_empty())
    }

    fn gops(&self) -> usize {
        self.footage().map(|(_, footage)| footage.idrs.len()).sum()
    }
}

/// A recording begins with this much room for its final `moov`; only one without a GOP is not longer.
const RESERVED: u64 = (1 << 20) + 4096;

fn read(file: &Path, length: u64) -> Footage {
    let packets = match players::packets(file.to_str().unwrap()) {
        Ok(packets) => packets,
        Err(_) if length <= RESERVED => Vec::new(),
        Err(error) => panic!("{error:#}"),
    };
    let text = |packet: &serde_json::Value, key: &str| packet[key].as_str().unwrap_or_default().to_owned();
    let hash = |packet: &serde_json::Value| text(packet, "data_hash");
    let idrs = packets.iter().filter(|packet| text(packet, "flags").starts_with('K'));
    Footage { pictures: packets.iter().map(hash).collect(), idrs: idrs.map(hash).collect() }
}

/// What the remote host shows is whole at every moment: no lock beside it, and it never changes.
fn check_inbox(inbox: &mut Folder) {
    let (locked, visible) = (inbox.names(".lockfile"), inbox.names(".mp4"));
    assert!(locked.is_disjoint(&visible), "a lock stands beside a published recording: {locked:?}");
    inbox.look(|name, before, _| assert!(before.is_none(), "{name} changed after it was published"));
}

fn assert_no_gop_twice(folder: &Folder) {
    let mut owners: BTreeMap<&str, &str> = BTreeMap::new();
    for (name, footage) in folder.footage() {
        for idr in &footage.idrs {
            if let Some(other) = owners.insert(idr, name) {
                panic!("a GOP of {name} is in {other} too");
            }
        }
    }
}

/// The number of the GOP that is being made, 0 if there is none yet.
fn newest_gop(edge: &Edge) -> usize {
    let status = edge.json("/api/status").unwrap();
    let sequence = status["cameras"][0]["ring"]["last_sequence"].as_u64().unwrap_or(0);
    usize::try_from(sequence).unwrap()
}

/// Starts the edge, kills it at a random instant, and looks at what is left.
fn round(edge: &mut Edge, dice: &mut Dice, recordings: &mut Folder) {
    edge.start_again().unwrap();
    let first = newest_gop(edge);
    // Uploads come soon after the start and are short: half of the kills fall on them.
    let instant = Duration::from_secs_f64(4.0 * dice.roll().powi(2));
    std::thread::sleep(instant);
    // The newest GOP is being made, and the one before it may be on its way into the recording.
    let recorded = newest_gop(edge).saturating_sub(first + 2);
    edge.kill();
    println!("killed after {instant:?}, {recorded} GOPs must be there");
    let before = recordings.gops();
    recordings.look(|name, before, now| {
        let kept = before.is_none_or(|before| now.pictures.starts_with(&before.pictures));
        assert!(kept, "{name} lost pictures: {} are left", now.pictures.len());
    });
    let added = recordings.gops() - before;
    assert!(added >= recorded, "only {added} of {recorded} GOPs are there");
}

/// Of the recording that grew until the edge ended a beginning is there, which can be played; of no other anything but the whole.
fn check_under_way(inbox: &Folder, recordings: &Path) {
    let (locks, parts) = (inbox.names(".lockfile"), inbox.names(".part"));
    assert!(locks.is_superset(&parts) && locks.len() <= 1, "{locks:?} {parts:?}");
    for name in parts {
        let there = inbox.path.join(format!("{name}.part"));
        let length = fs::metadata(&there).unwrap().len();
        let (there, here) = (read(&there, length), read(&recordings.join(format!("{name}.mp4")), u64::MAX));
        assert!(here.pictures.starts_with(&there.pictures), "another recording than {name} is on its way");
    }
}

#[test]
fn a_killed_edge_loses_nothing_but_the_gop_in_flight() {
    let mut dice = Dice::from_environment();
    let sshd = Sshd::start(View::Whole).unwrap();
    let mut edge = Edge::prepare(Settings::default().upload_to(&sshd).unwrap()).unwrap();
    sshd.authorize(&edge.public_key().unwrap()).unwrap();
    let mut recordings = Folder::new(edge.file("recordings"));
    let mut inbox = Folder::new(sshd.inbox());

    let rounds = work::rounds(20);
    for _ in 0..rounds {
        round(&mut edge, &mut dice, &mut recordings);
        check_inbox(&mut inbox);
    }

    edge.start_again().unwrap();
    edge.wait_for_receipts(recordings.footage().count()).unwrap();
    check_inbox(&mut inbox);
    assert!(edge.terminate().unwrap().success());
    for (name, footage) in recordings.footage() {
        let published = inbox.known.get(name).map(|(_, footage)| footage);
        assert_eq!(published, Some(footage), "{name} is not on the remote host as it was on the edge");
    }
    assert_no_gop_twice(&inbox);
    check_under_way(&inbox, &edge.file("recordings"));
    let (recordings, gops) = (inbox.footage().count(), inbox.gops());
    println!(
        "{rounds} kills: {recordings} recordings with {gops} GOPs, all whole on the remote host, none lost or doubled"
    );
}

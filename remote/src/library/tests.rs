//! What the catalogue tells, over the folders of a remote host.

use super::*;
use crate::check::tests::{Edge, MARK, seconds};
use std::fs;
use tempfile::TempDir;

/// A remote host, and what watches it.
struct Host {
    dir: TempDir,
    library: Library,
}

impl Host {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("dir");
        let library = Library::open(dir.path(), Arc::default()).expect("opens");
        Self { dir, library }
    }

    /// Puts the recordings of an edge into the archive.
    fn archive(&self, edge: &Edge) {
        for name in &edge.names {
            let file = format!("{name}.mp4");
            fs::copy(edge.dir.path().join(&file), self.dir.path().join("archive").join(&file))
                .expect("copies");
        }
    }

    fn put(&self, file: &str, bytes: &[u8]) {
        let path = self.dir.path().join(file);
        fs::create_dir_all(path.parent().expect("a folder")).expect("makes");
        fs::write(path, bytes).expect("writes");
    }

    /// Looks at everything until nothing is left to be read.
    fn look(&mut self) -> Catalogue {
        self.library.all = None;
        while !self.library.look().expect("looks") {}
        self.library.shelf().catalogue()
    }
}

fn states(catalogue: &Catalogue) -> Vec<(String, State)> {
    catalogue.recordings().map(|recording| (recording.name.clone(), recording.state)).collect()
}

#[test]
fn recordings_have_the_name_of_their_camera_the_dates_of_its_ledger_and_its_gaps() {
    let (mut host, mut edge) = (Host::new(), Edge::new());
    edge.record(0..4);
    edge.record(6..9);
    host.archive(&edge);
    let catalogue = host.look();
    let told: Vec<_> = catalogue
        .recordings()
        .map(|recording| (recording.camera.as_str(), recording.start, recording.seconds, recording.state))
        .collect();
    let start = |second| Some(MARK.plus(seconds(second)).as_millis());
    assert_eq!(
        told,
        [("front", start(6), Some(3.0), State::Archived), ("front", start(0), Some(4.0), State::Archived)]
    );
    let gap = Gap { camera: "front".to_owned(), cause: "unexplained", start: start(4), seconds: Some(2.0) };
    assert_eq!(*catalogue.gaps, [gap]);
    assert!(catalogue.complete);
}

#[test]
fn the_ledger_of_a_recording_is_kept_in_short() {
    let (mut host, mut edge) = (Host::new(), Edge::new());
    edge.record(0..900);
    host.archive(&edge);
    host.look();
    let slices = host.library.held.slices(edge.names[0].camera);
    let entries: Vec<usize> = slices.iter().map(|slice| slice.entries.len()).collect();
    assert_eq!(entries, [1]);
}

#[test]
fn a_slice_of_another_key_counts_for_nothing() {
    let (mut host, mut edge) = (Host::new(), Edge::new());
    edge.record(0..4);
    host.archive(&edge);
    let path = host.dir.path().join(format!("archive/{}.mp4", edge.names[0]));
    let mut bytes = fs::read(&path).expect("reads");
    // Somewhere in the signature, which ends the file.
    let end = bytes.len() - 10;
    bytes[end] ^= 1;
    fs::write(&path, bytes).expect("writes");
    let catalogue = host.look();
    let recording = catalogue.recordings().next().expect("a recording");
    assert_eq!(recording.camera, edge.names[0].camera.to_string(), "nobody has vouched for a name");
}

#[test]
fn a_recording_is_told_of_from_its_first_byte_to_its_last() {
    let mut host = Host::new();
    let stages: [(&str, &str, State); 4] = [
        ("", "inbox/front/a.part", State::Arriving),
        ("inbox/front/a.part", "inbox/front/a.mp4", State::Receipted),
        ("inbox/front/a.mp4", "claim/a.mp4", State::Chopping),
        ("claim/a.mp4", "archive/a.mp4", State::Archived),
    ];
    for (before, after, state) in stages {
        if !before.is_empty() {
            fs::remove_file(host.dir.path().join(before)).expect("removes");
        }
        host.put(after, b"bytes");
        assert_eq!(states(&host.look()), [("a".to_owned(), state)]);
    }
    host.put("hls/a/a.m3u8", b"#EXTM3U\n");
    host.put(
        "hls/a/a-out.m3u8",
        b"#EXT-X-PROGRAM-DATE-TIME:2026-11-21T06:15:00.000Z\n#EXTINF:6.5,\na-front-0.ts\n",
    );
    let catalogue = host.look();
    let recording = catalogue.recordings().next().expect("a recording");
    assert_eq!((recording.state, recording.camera.as_str()), (State::Chopped, "front"));
    assert_eq!((recording.start, recording.seconds), (Some(MARK.as_millis()), Some(6.5)));
    assert_eq!(recording.hls.as_deref(), Some("/hls/a/a.m3u8"));
    for playlist in ["a.m3u8", "a-out.m3u8"] {
        fs::remove_file(host.dir.path().join("hls/a").join(playlist)).expect("removes");
    }
    assert_eq!(states(&host.look()), [("a".to_owned(), State::Leaving)]);
    fs::remove_dir_all(host.dir.path().join("hls/a")).expect("removes");
    fs::remove_file(host.dir.path().join("archive/a.mp4")).expect("removes");
    assert_eq!(states(&host.look()), []);
}

#[test]
fn what_was_put_aside_is_listed_with_its_reason() {
    let mut host = Host::new();
    host.put("quarantine/front/a%20b.mp4", b"junk");
    host.put("quarantine/front/a%20b.mp4.reason", b"no box\n");
    let catalogue = host.look();
    let recording = catalogue.recordings().next().expect("a recording");
    assert_eq!((recording.name.as_str(), recording.camera.as_str()), ("a%20b.mp4", "front"));
    assert_eq!((recording.state, recording.reason.as_deref()), (State::Quarantined, Some("no box")));
    fs::remove_dir_all(host.dir.path().join("quarantine/front")).expect("removes");
    assert_eq!(states(&host.look()), []);
}

#[test]
fn many_recordings_are_read_piece_by_piece_and_unchanged_ones_never_again() {
    let mut host = Host::new();
    (0..450).for_each(|n| host.put(&format!("archive/{n:03}.mp4"), b""));
    let mut seen = Vec::new();
    while !host.library.look().expect("looks") {
        seen.push(host.library.shelf().catalogue().settled.len());
    }
    assert_eq!(seen, [200, 400]);
    let before = host.library.shelf().catalogue().settled;
    assert_eq!(before.len(), 450);
    assert!(Arc::ptr_eq(&before, &host.look().settled), "nothing has changed, so nothing is made anew");
}

#[test]
fn cameras_of_one_name_are_told_apart() {
    let mut host = Host::new();
    let mut names = Vec::new();
    for key in [7, 8] {
        let mut edge = Edge::with_key(key);
        edge.record(0..2);
        host.archive(&edge);
        names.push(format!("front ({})", edge.names[0].camera));
    }
    let catalogue = host.look();
    let mut told: Vec<_> = catalogue.recordings().map(|recording| recording.camera.clone()).collect();
    told.sort();
    names.sort();
    assert_eq!(told, names);
}

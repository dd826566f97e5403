//! From the camera to the browser's stream, into the recording, and onto the remote host: the same pictures everywhere.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use sha2::{Digest, Sha256};
use tests::edge::{Edge, Settings};
use tests::sshd::{Sshd, View};
use tests::{footage, players};

/// The files in `folder` that end in `.mp4`, in the order of their names.
fn recordings_in(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().flatten().map(|entry| entry.path());
    let mut files: Vec<PathBuf> =
        entries.filter(|path| path.extension().is_some_and(|end| end == "mp4")).collect();
    files.sort();
    files
}

fn sha256(file: &Path) -> Vec<u8> {
    Sha256::digest(fs::read(file).unwrap()).to_vec()
}

/// Where in the recording each picture of a view is.
fn places(view: &[String], recorded: &[String]) -> Vec<Option<usize>> {
    view.iter().map(|picture| recorded.iter().position(|other| other == picture)).collect()
}

fn enrolled(view: View, settings: Settings) -> (Edge, Sshd) {
    let sshd = Sshd::start(view).unwrap();
    let mut edge = Edge::prepare(settings.upload_to(&sshd).unwrap()).unwrap();
    sshd.authorize(&edge.public_key().unwrap()).unwrap();
    edge.start_again().unwrap();
    (edge, sshd)
}

#[test]
fn every_view_the_recording_and_the_remote_host_have_the_same_pictures() {
    let settings =
        Settings::default().camera("front", &footage::source().unwrap()).text("audio.device", "auto");
    let (mut edge, sshd) = enrolled(View::Whole, settings);
    edge.wait_until("a few segments", |edge| {
        edge.metric("porthole_edge_ring_seconds{camera=\"front\"}") >= 5.0
    })
    .unwrap();
    let view = |path: &str| players::pictures(&edge.url(&format!("/live/front/{path}")), Some(3)).unwrap();
    let paths = ["stream.mp4", "master.m3u8", "ts.m3u8", "manifest.mpd"];
    let views: Vec<(&str, Vec<String>)> = paths.into_iter().map(|path| (path, view(path))).collect();

    assert!(edge.terminate().unwrap().success());
    let sealed = recordings_in(&edge.file("recordings"));
    let recorded: Vec<String> =
        sealed.iter().flat_map(|file| players::pictures(file.to_str().unwrap(), None).unwrap()).collect();
    for (path, pictures) in &views {
        assert!(pictures.len() >= 60, "{path} gave {} pictures in 3 s", pictures.len());
        let places = places(pictures, &recorded);
        let in_order = places.windows(2).all(|pair| pair[0].is_some_and(|place| pair[1] == Some(place + 1)));
        assert!(in_order, "{path} and the recording differ: {places:?}");
    }

    edge.start_again().unwrap();
    edge.wait_for_receipts(sealed.len()).unwrap();
    for file in &sealed {
        let received = sshd.inbox().join(file.file_name().unwrap());
        assert_eq!(sha256(file), sha256(&received), "{}", received.display());
        players::ffprobe(received.to_str().unwrap()).unwrap();
        players::decode(received.to_str().unwrap(), None).unwrap();
        players::gstreamer(&format!("file://{}", received.display())).unwrap();
    }
    let mut check = Command::new(tests::built("porthole-remote"));
    let checked = check.arg("check").arg(sshd.inbox()).output().unwrap();
    assert!(checked.status.success(), "{checked:?}");
}

#[test]
fn a_recording_opens_while_it_grows() {
    let mut edge = Edge::start(Settings::default()).unwrap();
    let name = edge.wait_for_recording("growing", 2.0).unwrap();
    let url = edge.url(&format!("/recordings/{name}.mp4"));
    players::ffprobe(&url).unwrap();
    assert!(players::pictures(&url, None).unwrap().len() >= 60);
}

#[test]
fn recordings_reach_an_account_in_a_chroot() {
    if !nix::unistd::Uid::current().is_root() {
        eprintln!("not root: the chroot is not tried");
        return;
    }
    let (mut edge, sshd) = enrolled(View::Chroot, Settings::default());
    for _ in 0..3 {
        // Of this process: what it has only begun may be nothing yet.
        edge.wait_for_recording("growing", 0.5).unwrap();
        assert!(edge.terminate().unwrap().success());
        edge.start_again().unwrap();
    }
    edge.wait_for_receipts(3).unwrap();
    let names = |folder: &Path| -> Vec<_> {
        recordings_in(folder).iter().map(|f| f.file_name().unwrap().to_owned()).collect()
    };
    let (here, there) = (names(&edge.file("recordings")), names(&sshd.inbox()));
    assert!(there.len() >= 3 && here.starts_with(&there), "{here:?} {there:?}");
}

#[test]
fn the_demo_shows_what_goes_on_and_cleans_up() {
    let mut demo = Command::new(tests::built("demo"));
    let port = tests::port::free_port().unwrap();
    demo.args(["--source", "pattern", "--seconds", "11", "--port", &port.to_string()]);
    let output = demo.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    assert!(said.contains(&format!("http://127.0.0.1:{port}/")), "{said}");
    // A minute may end while it runs, and a recording with it.
    let recordings = said.lines().filter_map(|line| line.split_once(" recordings, ")?.0.rsplit(' ').next());
    let most = recordings.filter_map(|number| number.parse::<u32>().ok()).max();
    assert!(said.contains(" fps, ") && most.is_some_and(|most| (1..=2).contains(&most)), "{said}");
    assert!(std::net::TcpStream::connect(("127.0.0.1", port)).is_err());
    assert!(!tests::built("../demo").exists());
}

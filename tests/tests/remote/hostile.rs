//! What is no recording: put aside with the reason, in bounded memory, and nobody else waits for it.

use std::fs;
use std::os::unix::fs::symlink;

use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use tests::remote::Remote;
use tests::usage;

use crate::recordings::{put, sealed};
use crate::serve;

/// A box: size, type, payload.
fn a_box(name: &[u8; 4], payload: &[u8]) -> Vec<u8> {
    [&(payload.len() as u32 + 8).to_be_bytes()[..], name, payload].concat()
}

/// The reasons in the quarantine, each behind the name of its file.
fn reasons(remote: &Remote) -> Vec<String> {
    let files = remote.files("quarantine");
    let names = files.iter().filter_map(|file| file.strip_suffix(".reason"));
    let reason = |name: &str| fs::read_to_string(remote.file(&format!("quarantine/{name}.reason"))).unwrap();
    names.map(|name| format!("{name}: {}", reason(name).trim_end())).collect()
}

#[test]
fn every_file_that_is_no_recording_is_put_aside_with_its_reason() {
    let mut remote = serve("");
    let inbox = remote.inbox();
    let whole = sealed(1);
    let ftyp = a_box(b"ftyp", b"isom\0\0\0\0");
    let place = |name: &[u8; 4]| whole.windows(4).position(|found| found == name).unwrap();

    put(&inbox, "cut", &whole[..whole.len() - 1]);
    let mut spoilt = whole.clone();
    let media = spoilt.windows(5).rposition(|found| found == b"\0\0\0\x09\x41").unwrap();
    spoilt[media + 6] ^= 1;
    put(&inbox, "spoilt", &spoilt);
    let mut timeless = whole.clone();
    timeless[place(b"mvhd") + 24..][..4].fill(0);
    put(&inbox, "timeless", &timeless);
    put(&inbox, "giant", &[&ftyp[..], b"\0\0\0\x01moov\xff\xff\xff\xff\xff\xff\xff\xff"].concat());
    put(&inbox, "huge-count", &{
        let mut lying = whole.clone();
        lying[place(b"stsz") + 12..][..4].copy_from_slice(&u32::MAX.to_be_bytes());
        lying
    });
    put(&inbox, "text", b"no box at all, but letters");
    put(&inbox, "..", &whole);
    fs::write(inbox.join("..%2f..%2fetc.mp4"), &whole).unwrap();
    mkfifo(&inbox.join("fifo.mp4"), Mode::S_IRWXU).unwrap();
    symlink("/etc/passwd", inbox.join("link.mp4")).unwrap();
    fs::create_dir(inbox.join("folder.mp4")).unwrap();
    put(&inbox, "good", &whole);

    remote.wait_until("ten files to be put aside", |remote| reasons(remote).len() == 10).unwrap();
    remote.wait_until_settled(1).unwrap();
    let no_name = "its name is none: 1 to 128 of A-Z, a-z, 0-9, '.', '_' and '-', a letter or digit first";
    let expected = format!(
        "\
camera/%2E.%252f..%252fetc.mp4: {no_name}
camera/%2E..mp4: {no_name}
camera/cut.mp4: uuid at 1051240: reaches beyond the end of the file
camera/fifo.mp4: it is a FIFO, not a file
camera/giant.mp4: moov at 16: reaches beyond the end of the file
camera/huge-count.mp4: stsz at 664: 4294967295 samples, at most 2097152 are read
camera/link.mp4: it is a symbolic link, not a file
camera/spoilt.mp4: uuid at 1051240: the seal promises other access units
camera/text.mp4: ox a at 0: reaches beyond the end of the file
camera/timeless.mp4: mvhd at 44: the time scale is 0"
    );
    assert_eq!(reasons(&remote).join("\n"), expected);
    assert!(inbox.join("folder.mp4").is_dir());
    assert!(fs::read_to_string("/etc/passwd").unwrap().contains("root"));
}

#[test]
fn ten_thousand_empty_files_cost_little_memory_and_hold_nobody_up() {
    let mut remote = Remote::prepare("[inbox]\nworkers = 16\n[quarantine]\nfiles = 100").unwrap();
    for n in 0..10_000 {
        fs::File::create(remote.inbox().join(format!("empty{n}.mp4"))).unwrap();
    }
    let other = remote.file("inbox/other");
    fs::create_dir(&other).unwrap();
    remote.start().unwrap();
    let service = remote.ids()[0];
    remote
        .wait_until("the first files to be put aside", |remote| !remote.files("quarantine").is_empty())
        .unwrap();
    put(&other, "good", &sealed(1));
    remote
        .wait_until("another camera's recording", |remote| remote.file("archive/good.mp4").exists())
        .unwrap();
    let flooded = remote.files("inbox").len();
    assert!(flooded > 1000, "the flood was over before the other one came: {flooded}");

    let mut left = flooded;
    while left > 0 {
        remote.wait_until("the flood to go down", |remote| remote.files("inbox").len() < left).unwrap();
        left = remote.files("inbox").len();
    }
    let resident = usage::resident(service).unwrap();
    assert!(resident < 64 << 20, "{resident} bytes");
    // Two files each; what came since the last count may be there too.
    let kept = remote.files("quarantine").len();
    assert!(kept <= 2 * (100 + 32), "{kept}");
}

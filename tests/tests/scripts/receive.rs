//! `porthole-remote receive` behind a real sshd, asked by OpenSSH's own clients: what scripts need, and what strangers try.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Output;

use tempfile::TempDir;
use tests::client::{Client, said};
use tests::footage::recording;

use crate::{files, server};

/// Asks for `command`, as `ssh host command` does.
fn ask(client: &Client, command: &str) -> Output {
    client.run("ssh", &["host", command]).unwrap()
}

#[test]
fn every_way_of_scp_and_sftp_brings_files_in_and_none_brings_any_out() {
    let inbox = TempDir::with_prefix("inbox-").unwrap();
    let (_sshd, client) = server(inbox.path());
    let file = client.file("a.mp4");
    fs::write(&file, recording(1).unwrap()).unwrap();
    let file = file.to_str().unwrap();
    let whole = inbox.path().join("b.mp4").display().to_string();
    let ways: [&[&str]; 6] = [
        &[file, "host:"],
        &[file, "host:b.mp4"],
        &["-O", file, "host:"],
        &["-O", "-p", file, "host:./b.mp4"],
        &["-O", file, &format!("host:{whole}")],
        &["-p", file, "host:."],
    ];
    for way in ways {
        let output = client.run("scp", way).unwrap();
        assert!(output.status.success(), "{way:?}: {}", said(&output));
        let arrived = files(inbox.path());
        assert!(arrived == ["a.mp4"] || arrived == ["b.mp4"], "{way:?}: {arrived:?}");
        let path = inbox.path().join(&arrived[0]);
        assert!(fs::read(&path).unwrap() == recording(1).unwrap(), "{way:?}");
        fs::remove_file(path).unwrap();
    }
    let (put, said) = client.sftp(&format!("put {file}")).unwrap();
    assert!(put && files(inbox.path()) == ["a.mp4"], "{said}");
    for request in ["get a.mp4 /dev/null", "rm a.mp4", "rename a.mp4 b.mp4", "ln -s / b", "mkdir b", "ls"] {
        let (done, said) = client.sftp(request).unwrap();
        // sftp itself ends well after a list that it did not get.
        assert!(!done || request == "ls" && said.contains("Permission denied"), "{request}: {said}");
    }
    for out in
        [&["host:a.mp4", "/dev/null"][..], &["-O", "host:a.mp4", "/dev/null"], &["-O", "-r", file, "host:"]]
    {
        assert!(!client.run("scp", out).unwrap().status.success(), "{out:?}");
    }
    assert_eq!(files(inbox.path()), ["a.mp4"]);
}

#[test]
fn a_lock_goes_once_its_recording_is_whole_and_stays_beside_half_of_one() {
    let inbox = TempDir::with_prefix("inbox-").unwrap();
    let (_sshd, client) = server(inbox.path());
    let [mp4, lock] = ["a.mp4", "a.lockfile"].map(|name| inbox.path().join(name));
    assert!(ask(&client, "touch a.lockfile").status.success() && lock.exists());
    let whole = recording(1).unwrap();
    fs::write(&mp4, &whole[..whole.len() - 1]).unwrap();
    let refused = ask(&client, "rm a.lockfile");
    assert!(!refused.status.success() && lock.exists());
    let said = said(&refused);
    assert!(said.starts_with("porthole: a.mp4 is damaged: "), "{said}");
    assert!(said.ends_with("; a.lockfile stays, send it again\n"), "{said}");

    fs::write(&mp4, &whole).unwrap();
    fs::set_permissions(&mp4, fs::Permissions::from_mode(0o600)).unwrap();
    let done = ask(&client, "rm a.lockfile");
    assert!(done.status.success() && !lock.exists(), "{}", tests::client::said(&done));
    let mode = fs::metadata(&mp4).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o660, "the service can read it");
    assert!(ask(&client, "rm -f a.lockfile").status.success(), "asked again because the answer was lost");
    fs::remove_file(&mp4).unwrap();
    assert!(!ask(&client, "rm -f a.lockfile").status.success(), "nothing is vouched for that is not here");
}

#[test]
fn no_text_from_outside_reaches_a_shell() {
    let inbox = TempDir::with_prefix("inbox-").unwrap();
    let (_sshd, client) = server(inbox.path());
    let mark = client.file("mark");
    let mark = mark.to_str().unwrap();
    fs::write(inbox.path().join("a.mp4"), recording(1).unwrap()).unwrap();
    fs::write(inbox.path().join("a.lockfile"), "").unwrap();
    for command in [
        "id",
        &format!("touch {mark}"),
        &format!("rm a.lockfile; touch {mark}"),
        &format!("rm a.lockfile\ntouch {mark}"),
        &format!("rm $(touch {mark}).lockfile"),
        &format!("rm `touch {mark}`a.lockfile"),
        &format!("scp -t . && touch {mark}"),
        &format!("scp -t -S {mark} ."),
        &format!("touch ../../../../{mark}"),
        "rm ../a.lockfile",
        "rm -rf a.lockfile",
        "rm *.lockfile",
        "rm 'a.lockfile",
        "scp -f a.mp4",
        "cat a.mp4",
    ] {
        let output = ask(&client, command);
        assert!(!output.status.success() && output.stdout.is_empty(), "{command:?}: {output:?}");
        assert!(said(&output).starts_with("porthole: refused: "), "{command:?}: {}", said(&output));
    }
    let login = client.run("ssh", &["host"]).unwrap();
    assert_eq!(said(&login), "porthole: this account takes recordings, and has no shell\n");
    assert!(!std::path::Path::new(mark).exists());
    let mut left = files(inbox.path());
    left.sort();
    assert_eq!(left, ["a.lockfile", "a.mp4"]);
}

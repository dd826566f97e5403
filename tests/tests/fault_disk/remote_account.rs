//! An account whose quota is full on a disk that has room: OpenSSH's SFTP server says "failure" to that, as it does to a disk that fails.

use anyhow::Result;
use edge::status::UploadFailureKind as Kind;
use tests::strace::Strace;

use super::outbox::Uploader;
use super::remote_sync::Bench;

/// A recording of several writes.
const BYTES: usize = 2 << 20;

impl Bench {
    /// Waits until the upload has failed several times, as `kind` in the end; gives the message.
    fn wait_for_failures(&self, uploader: &Uploader, kind: Kind) -> String {
        let before = self.failures();
        uploader.wait_until(&format!("{kind:?} again and again"), |status| {
            self.failures() > before + 2
                && status.failure.as_ref().is_some_and(|failure| failure.kind == kind)
        });
        uploader.status().failure.map(|failure| failure.message).unwrap_or_default()
    }
}

#[test]
fn an_account_that_is_full_on_a_disk_with_room_is_called_so_and_nothing_is_lost() -> Result<()> {
    let bench = Bench::new()?;
    let mut names = Vec::new();
    for (file, strace) in [
        // No file may be created: the first time that a session opens it.
        ("lockfile", Strace::fail_at("openat", "EDQUOT", 1)),
        ("part", Strace::fail_at("openat", "EDQUOT", 1)),
        // No bytes may be written, from the first on or in the middle.
        ("lockfile", Strace::fail_from("write", "EDQUOT", 1)),
        ("part", Strace::fail_from("write", "EDQUOT", 1)),
        ("part", Strace::fail_from("write", "EDQUOT", 8)),
    ] {
        let name = bench.outbox.seal(BYTES);
        bench.serve(Some(&strace.on(&bench.sshd.inbox().join(format!("{name}.{file}")))))?;
        let uploader = bench.outbox.upload();
        let message = bench.wait_for_failures(&uploader, Kind::AccountFull);
        assert!(message.contains("the account takes no more") && message.contains(&name), "{message}");
        assert_eq!(uploader.status().receipts, 0, "{file}");
        // There is room again: the same uploader goes on by itself.
        bench.serve(None)?;
        uploader.wait_for_receipts(1);
        assert_eq!(uploader.status().failure, None);
        names.push(name);
    }
    bench.outbox.assert_arrived(&bench.sshd, &names);
    Ok(())
}

#[test]
fn a_disk_that_fails_is_not_taken_for_a_full_account() -> Result<()> {
    let bench = Bench::new()?;
    let name = bench.outbox.seal(BYTES);
    let inbox = bench.sshd.inbox();
    let part = inbox.join(format!("{name}.part"));
    bench.serve(Some(&Strace::fail_from("write,fsync", "EIO", 1).on(&part).on(&inbox)))?;
    let uploader = bench.outbox.upload();
    let message = bench.wait_for_failures(&uploader, Kind::Protocol);
    assert!(message.contains("cannot"), "{message}");
    bench.serve(None)?;
    uploader.wait_for_receipts(1);
    bench.outbox.assert_arrived(&bench.sshd, &[name]);
    Ok(())
}

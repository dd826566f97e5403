//! Syncs fail under OpenSSH's SFTP server: nothing has a receipt that is not durable.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;
use edge::status::UploadFailureKind as Kind;
use tempfile::TempDir;
use tests::sshd::{Sshd, View};
use tests::strace::Strace;

use super::outbox::{Outbox, Uploader, inbox};

/// OpenSSH's SFTP server, which `internal-sftp` is inside of sshd.
const SERVER: &str = "/usr/lib/openssh/sftp-server";

/// A server whose sessions can be made to fail, and an edge that uploads to it.
pub struct Bench {
    pub sshd: Sshd,
    /// What every session runs.
    session: PathBuf,
    pub outbox: Outbox,
    _folder: TempDir,
}

impl Bench {
    pub fn new() -> Result<Self> {
        let mut sshd = Sshd::start(View::Whole)?;
        let folder = TempDir::with_prefix("sessions-")?;
        let session = folder.path().join("session");
        sshd.stop();
        sshd.force(format!("/bin/sh {}", session.display()));
        sshd.start_again()?;
        let outbox = Outbox::new(&sshd, sshd.port());
        Ok(Self { sshd, session, outbox, _folder: folder })
    }

    /// From now on sessions run the server, under strace if there is a fault.
    pub fn serve(&self, fault: Option<&Strace>) -> Result<()> {
        let server = Command::new(SERVER);
        let server = fault.map_or(Ok(Command::new(SERVER)), |strace| strace.around(&server))?;
        let words = std::iter::once(server.get_program()).chain(server.get_args());
        let quoted: Vec<String> = words.map(|word| format!("'{}'", word.to_string_lossy())).collect();
        let unfinished = self.session.with_extension("unfinished");
        fs::write(&unfinished, format!("exec {}\n", quoted.join(" ")))?;
        Ok(fs::rename(unfinished, &self.session)?)
    }

    pub fn failures(&self) -> u64 {
        self.outbox.status.metrics.upload_failures.get()
    }

    /// An uploader whose syncs of `file` in the inbox all fail, after it has tried some times.
    fn fail_syncs_of(&self, file: &str) -> Result<Uploader> {
        self.serve(Some(&Strace::fail_from("fsync", "EIO", 1).on(&self.sshd.inbox().join(file))))?;
        let (before, uploader) = (self.failures(), self.outbox.upload());
        uploader.wait_until("a sync to fail again and again", |status| {
            let named = |message: &str| message.contains("cannot sync");
            let failure = status.failure.as_ref();
            self.failures() > before + 2
                && failure.is_some_and(|failure| failure.kind == Kind::Protocol && named(&failure.message))
        });
        Ok(uploader)
    }
}

#[test]
fn nothing_has_a_receipt_or_its_name_whose_sync_fails_on_the_remote_host() -> Result<()> {
    let bench = Bench::new()?;
    let mut names = Vec::new();
    for file in ["NAME.part", ""] {
        let name = bench.outbox.seal(1000);
        let uploader = bench.fail_syncs_of(&file.replace("NAME", &name))?;
        assert_eq!(uploader.status().receipts, 0, "{file:?}");
        assert!(!inbox(&bench.sshd).contains(&format!("{name}.mp4")), "{file:?}");
        uploader.end();
        bench.serve(None)?;
        bench.outbox.upload().wait_for_receipts(1);
        names.push(name);
    }
    bench.outbox.assert_arrived(&bench.sshd, &names);
    Ok(())
}

/// E3, E4 and E6 each sync the folder; the part, too, makes its name durable when it is created.
const FOLDER_SYNCS: u64 = 3;

#[test]
fn each_sync_of_the_folder_may_fail_once() -> Result<()> {
    let bench = Bench::new()?;
    // A session that goes on where the one before failed comes one sync further.
    bench.serve(Some(&Strace::fail_from("fsync", "EIO", 2).on(&bench.sshd.inbox())))?;
    let name = bench.outbox.seal(1000);
    let uploader = bench.outbox.upload();
    uploader.wait_for_receipts(1);
    assert_eq!(bench.failures(), FOLDER_SYNCS);
    uploader.end();
    bench.outbox.assert_arrived(&bench.sshd, &[name]);
    Ok(())
}

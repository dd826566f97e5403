//! The upload against a remote host in memory that loses sessions, restarts and loses power at every step.

use super::*;
use crate::names::CameraId;

const BYTES: u64 = 3;

fn token() -> LockToken {
    LockToken::Upload {
        camera: CameraId::new(b"key", "front"),
        boot: "b1".to_owned(),
        nonce: "n1".to_owned(),
    }
}

/// The names of one directory: what `NAME.*` hold. A file is how many good bytes it has; `bad` ones follow a power cut.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Files {
    lock: Option<Vec<u8>>,
    part: Option<u64>,
    mp4: Option<u64>,
    /// What a worker has taken.
    claim: Option<u64>,
}

/// A step of a dead session that the remote host runs later.
type Ghost = Option<(usize, Step)>;

struct Remote {
    now: Files,
    /// What a power cut leaves.
    durable: Files,
    /// Bytes of the one inode that are on the disk.
    data: u64,
    ghost: Ghost,
    /// A worker takes every `NAME.mp4` without a lock.
    worker: bool,
    journal: Journal,
}

impl Remote {
    fn new(worker: bool) -> Self {
        let (now, durable) = (Files::default(), Files::default());
        Self { now, durable, data: 0, ghost: None, worker, journal: Journal::Sealed }
    }

    fn run(&mut self, step: &Step) -> Reply {
        let reply = self.apply(step);
        if let Some((wait, step)) = self.ghost.take() {
            if wait == 0 {
                self.apply(&step);
            } else {
                self.ghost = Some((wait - 1, step));
            }
        }
        if self.worker && self.now.lock.is_none() && self.now.mp4.is_some() {
            self.now.claim = self.now.mp4.take();
        }
        // I1, and no half file is ever taken.
        assert!(self.now.mp4.is_none_or(|size| size == BYTES) || self.now.lock.is_some(), "{:?}", self.now);
        assert!(self.now.claim.is_none_or(|size| size == BYTES), "{:?}", self.now);
        reply
    }

    fn apply(&mut self, step: &Step) -> Reply {
        let size = |file: Option<u64>| file.map_or(Reply::Absent, Reply::Size);
        match step {
            Step::CreateLock if self.now.lock.is_some() => return Reply::Refused,
            Step::CreateLock => self.now.lock = Some(token().to_string().into_bytes()),
            Step::ReadLock => return self.now.lock.clone().map_or(Reply::Absent, Reply::Lock),
            Step::WriteLock if self.now.lock.is_none() => return Reply::Absent,
            Step::WriteLock => self.now.lock = Some(token().to_string().into_bytes()),
            Step::RemoveLock if self.now.lock.take().is_none() => return Reply::Absent,
            Step::RemoveLock => {}
            Step::SizePart => return size(self.now.part),
            Step::CreatePart => self.now.part = Some(0),
            Step::VerifyPart { from, to } => return Reply::Same(*from < *to && self.now.part == Some(*to)),
            Step::WritePart { from, to } => {
                assert_eq!(self.now.part, Some(*from), "written behind what is there");
                self.now.part = Some(*to);
            }
            Step::SyncPart => self.data = self.now.part.unwrap_or(0),
            Step::SizeRecording => return size(self.now.mp4),
            Step::Rename if self.now.part.is_none() => return Reply::Absent,
            Step::Rename => self.now.mp4 = self.now.part.take(),
            Step::SyncDir => self.durable = self.now.clone(),
            Step::WriteJournal(journal) => self.journal = *journal,
            Step::Free => {}
        }
        Reply::Done
    }

    fn power_cut(&mut self) {
        self.ghost = None;
        self.now = self.durable.clone();
        for file in [&mut self.now.part, &mut self.now.mp4, &mut self.now.claim] {
            *file = file.map(|size| size.min(self.data));
        }
    }
}

/// What goes wrong at one step.
#[derive(Clone, Copy, Debug)]
enum Break {
    NotDone,
    ReplyLost,
    /// Done only when so many more steps have been done.
    Late(usize),
    EdgeRestarts,
    RemotePowerCut,
}

const BREAKS: [Break; 9] = [
    Break::NotDone,
    Break::ReplyLost,
    Break::Late(0),
    Break::Late(1),
    Break::Late(2),
    Break::Late(4),
    Break::Late(7),
    Break::EdgeRestarts,
    Break::RemotePowerCut,
];

/// Uploads with these breaks; gives the steps that were taken.
fn upload(remote: &mut Remote, breaks: &[(usize, Break)]) -> Vec<Step> {
    let mut upload = Upload::new(Journal::Sealed, BYTES, token(), false);
    let mut steps = Vec::new();
    loop {
        let step = upload.step();
        if step == Step::Free {
            return steps;
        }
        steps.push(step.clone());
        assert!(steps.len() < 200, "no end: {steps:?}");
        let broken = breaks.iter().find(|(at, _)| *at == steps.len() - 1).map(|(_, what)| *what);
        if matches!(step, Step::WriteJournal(_)) && !matches!(broken, Some(Break::EdgeRestarts) | None) {
            // The journal is on the edge: a session cannot lose it.
            let reply = remote.run(&step);
            upload.reply(reply).expect("journal");
            continue;
        }
        match broken {
            None => {
                let reply = remote.run(&step);
                upload.reply(reply).unwrap_or_else(|fault| panic!("{fault} after {steps:?} with {breaks:?}"));
            }
            Some(Break::NotDone) => upload.retry(),
            Some(Break::ReplyLost) => {
                remote.run(&step);
                upload.retry();
            }
            Some(Break::Late(wait)) => {
                // As in the model: of the steps that a dead session left, unlock and rename matter.
                if matches!(step, Step::RemoveLock | Step::Rename) {
                    remote.ghost = Some((wait, step));
                }
                upload.retry();
            }
            Some(Break::EdgeRestarts) => {
                remote.run(&step);
                upload = Upload::new(remote.journal, BYTES, token(), true);
            }
            Some(Break::RemotePowerCut) => {
                remote.run(&step);
                remote.power_cut();
                upload.retry();
            }
        }
    }
}

fn assert_converged(remote: &Remote, breaks: &[(usize, Break)]) {
    let whole = if remote.worker { remote.now.claim } else { remote.now.mp4 };
    assert_eq!(whole, Some(BYTES), "not there: {breaks:?}");
    assert_eq!((&remote.now.lock, remote.now.part), (&None, None), "left behind: {breaks:?}");
    let durable = remote.durable.mp4.or(remote.durable.claim);
    assert_eq!((durable, remote.data), (Some(BYTES), BYTES), "receipt before it was durable: {breaks:?}");
}

#[test]
fn an_undisturbed_upload_takes_these_steps() {
    let mut remote = Remote::new(false);
    let steps = upload(&mut remote, &[]);
    assert_converged(&remote, &[]);
    assert_eq!(
        steps,
        [
            Step::CreateLock,
            Step::SizePart,
            Step::CreatePart,
            Step::WritePart { from: 0, to: BYTES },
            Step::SyncPart,
            Step::SizePart,
            Step::SyncDir,
            Step::WriteJournal(Journal::Committing),
            Step::ReadLock,
            Step::RemoveLock,
            Step::SyncDir,
            Step::SizeRecording,
            Step::Rename,
            Step::SyncDir,
            Step::WriteJournal(Journal::Acknowledged),
        ]
    );
}

#[test]
fn every_two_breaks_at_every_two_steps_converge() {
    let mut runs = 0;
    for worker in [false, true] {
        for first in 0..16 {
            for second in first + 1..first + 22 {
                for one in BREAKS {
                    for other in BREAKS {
                        let breaks = [(first, one), (second, other)];
                        let mut remote = Remote::new(worker);
                        upload(&mut remote, &breaks);
                        // A step of a dead session may still be on its way when the receipt is written.
                        if let Some((_, step)) = remote.ghost.take() {
                            remote.run(&step);
                        }
                        assert_converged(&remote, &breaks);
                        runs += 1;
                    }
                }
            }
        }
    }
    assert_eq!(runs, 2 * 16 * 21 * 81);
}

/// Drives a fresh upload into `state` of the remote host until its first fault or its end.
fn fault(now: Files, begun: bool) -> Result<Files, Fault> {
    let mut remote = Remote { now, ..Remote::new(false) };
    let mut upload = Upload::new(Journal::Sealed, BYTES, token(), begun);
    while upload.step() != Step::Free {
        let reply = remote.run(&upload.step());
        upload.reply(reply)?;
    }
    Ok(remote.now)
}

#[test]
fn a_lock_of_somebody_else_is_left_alone() {
    let locked = |text: &str| Files { lock: Some(text.into()), ..Files::default() };
    for text in ["v1 chop vault b2 17", "v1 upload abcdefgh b1 n1", "v1 upload", "garbage"] {
        assert_eq!(fault(locked(text), false), Err(Fault::Locked(text.to_owned())));
    }
    assert_eq!(fault(locked(""), false), Err(Fault::Locked(String::new())), "an empty one is a script's");
}

#[test]
fn a_lock_that_an_earlier_session_left_is_ours() {
    let ours = token().to_string();
    let older = ours.replace("b1", "b0");
    for (text, begun) in [(ours.as_str(), false), (&older, false), ("", true), (&ours[..9], true)] {
        let now = Files { lock: Some(text.into()), ..Files::default() };
        let end = fault(now, begun).expect("goes on");
        assert_eq!((end.lock, end.mp4), (None, Some(BYTES)));
    }
}

#[test]
fn a_recording_of_the_same_name_is_not_overwritten() {
    let now = Files { mp4: Some(BYTES), ..Files::default() };
    assert_eq!(fault(now, false), Err(Fault::NameClash(BYTES)));
}

#[test]
fn a_part_is_gone_on_with_only_where_its_tail_is_the_same() {
    let bytes = 3 * PIECE;
    let size = 2 * PIECE + 5;
    for (same, next) in [(true, Step::WritePart { from: size, to: bytes }), (false, Step::CreatePart)] {
        let mut upload = Upload::new(Journal::Sealed, bytes, token(), true);
        upload.reply(Reply::Done).expect("lock");
        upload.reply(Reply::Size(size)).expect("size");
        assert_eq!(upload.step(), Step::VerifyPart { from: PIECE + 5, to: size });
        upload.reply(Reply::Same(same)).expect("verified");
        assert_eq!(upload.step(), next);
    }
}

#[test]
fn a_part_is_synced_after_every_piece() {
    let mut upload = Upload::new(Journal::Sealed, PIECE + 1, token(), false);
    for reply in [Reply::Done, Reply::Absent, Reply::Done] {
        upload.reply(reply).expect("lock and part");
    }
    let mut steps = Vec::new();
    for _ in 0..4 {
        steps.push(upload.step());
        upload.reply(Reply::Done).expect("written");
    }
    assert_eq!(
        steps,
        [
            Step::WritePart { from: 0, to: PIECE },
            Step::SyncPart,
            Step::WritePart { from: PIECE, to: PIECE + 1 },
            Step::SyncPart
        ]
    );
}

#[test]
fn a_part_of_the_wrong_length_is_not_committed() {
    let mut upload = Upload::new(Journal::Sealed, BYTES, token(), false);
    for reply in [Reply::Done, Reply::Absent, Reply::Done, Reply::Done, Reply::Done] {
        upload.reply(reply).expect("part");
    }
    assert_eq!(upload.reply(Reply::Size(4)), Err(Fault::PartSize { part: 4, recording: BYTES }));
    assert_eq!(upload.journal(), Journal::Sealed);
}

#[test]
fn a_reply_that_does_not_fit_is_a_fault_of_the_driver() {
    let mut upload = Upload::new(Journal::Sealed, BYTES, token(), false);
    let refused = upload.reply(Reply::Size(1)).expect_err("no reply to it");
    assert_eq!(refused.to_string(), "Size(1) is no reply to CreateLock");
}

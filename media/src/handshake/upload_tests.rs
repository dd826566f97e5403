//! The upload against a remote host in memory that loses sessions, restarts and loses power at every step, while the
//! recording grows and is sealed.

#[path = "upload_sync_tests.rs"]
mod syncs;

use super::*;
use crate::names::CameraId;

/// The life of the recording: each time that the upload waits, the next of these comes.
const LIFE: [Content; 3] =
    [Content::Growing(MEDIA_AT + 4), Content::Growing(MEDIA_AT + 7), Content::Sealed(MEDIA_AT + 9)];
const WHOLE: u64 = 9;
/// Where the footage ends, and the seal begins.
const FOOTAGE: u64 = 7;
/// A byte of a GOP that the edge has lost.
const LOST: u8 = 0xEE;
const ROOM: u64 = MEDIA_AT - HEAD as u64;

fn token() -> LockToken {
    LockToken::Upload {
        camera: CameraId::new(b"key", "front"),
        boot: "b1".to_owned(),
        nonce: "n1".to_owned(),
    }
}

/// Bytes `from..to` of what is behind 1 MiB.
fn media(from: u64, to: u64) -> Vec<u8> {
    (from..to).map(|at| at as u8 + 1).collect()
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Head {
    #[default]
    Nothing,
    Growing,
    Sealed,
}

/// A part, or what became of it: its first 44 bytes, how much of the reserved room has been written, what follows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct File {
    head: Head,
    room: u64,
    media: Vec<u8>,
}

impl File {
    fn sealed() -> Self {
        Self { head: Head::Sealed, room: ROOM, media: media(0, WHOLE) }
    }

    fn size(&self) -> u64 {
        match (self.head, self.media.len() as u64) {
            (Head::Nothing, 0) => 0,
            (_, 0) => HEAD as u64,
            (_, media) => MEDIA_AT + media,
        }
    }

    fn same_up_to(&self, from: u64, to: u64) -> u64 {
        if to == HEAD as u64 {
            return if self.head == Head::Sealed { to } else { FLIP_AT };
        }
        assert!(from >= MEDIA_AT && from < to && to <= self.size(), "{from}..{to} of {self:?}");
        let good =
            |at: &u64| self.media[(at - MEDIA_AT) as usize] == media(at - MEDIA_AT, at - MEDIA_AT + 1)[0];
        (from..to).find(|at| !good(at)).unwrap_or(to)
    }

    /// GOPs behind the footage that the janitor would take for more of it.
    fn more(&self) -> usize {
        let behind = self.media.get(FOOTAGE as usize..).unwrap_or_default();
        behind.iter().take_while(|byte| **byte == LOST).count() / 2
    }

    fn write(&mut self, from: u64, to: u64) {
        if from == FLIP_AT {
            self.head = Head::Sealed;
        } else {
            assert!(self.media.len() as u64 >= from - MEDIA_AT, "written beyond what is there");
            let behind = self.media.split_off(((to - MEDIA_AT) as usize).min(self.media.len()));
            self.media.truncate((from - MEDIA_AT) as usize);
            self.media.extend(media(from - MEDIA_AT, to - MEDIA_AT));
            self.media.extend(behind);
        }
    }
}

/// The names of one directory. All but the lock stand for one and the same file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Names {
    lock: Option<Vec<u8>>,
    part: bool,
    mp4: bool,
    aside: bool,
    /// What a worker has taken.
    claim: bool,
}

/// A step of a dead session that the remote host runs later.
type Ghost = Option<(usize, Step)>;

#[derive(Default)]
struct Remote {
    names: Names,
    file: File,
    /// What was set aside.
    aside: File,
    /// The part is another file than the one whose name is durable.
    created: bool,
    /// What a power cut leaves.
    durable: (Names, File),
    ghost: Ghost,
    /// A worker takes every `NAME.mp4` without a lock.
    worker: bool,
    journal: Journal,
    /// Bytes of footage that were written.
    sent: u64,
}

impl Remote {
    fn with_part(file: File) -> Self {
        let names = Names { part: true, ..Names::default() };
        Self { durable: (names.clone(), file.clone()), names, file, ..Self::default() }
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
        if self.worker && self.names.lock.is_none() && self.names.mp4 {
            (self.names.claim, self.names.mp4) = (true, false);
        }
        self.check();
        reply
    }

    /// I1; no half file is ever taken; a head that says "sealed" tells the truth.
    fn check(&self) {
        let whole = self.file == File::sealed();
        assert!(!self.names.mp4 || whole || self.names.lock.is_some(), "{:?}", self.names);
        assert!(!self.names.claim || whole, "{:?}", self.file);
        assert!(self.file.head != Head::Sealed || whole, "opens as what it is not: {:?}", self.file);
    }

    fn apply(&mut self, step: &Step) -> Reply {
        let names = &mut self.names;
        match step {
            Step::CreateLock if names.lock.is_some() => return Reply::Refused,
            Step::CreateLock => names.lock = Some(token().to_string().into_bytes()),
            Step::ReadLock => return names.lock.clone().map_or(Reply::Absent, Reply::Lock),
            Step::WriteLock if names.lock.is_none() => return Reply::Absent,
            Step::WriteLock => names.lock = Some(token().to_string().into_bytes()),
            Step::RemoveLock if names.lock.take().is_none() => return Reply::Absent,
            Step::RemoveLock => {}
            Step::SizePart if names.part => return Reply::Size(self.file.size()),
            Step::SizeRecording if names.mp4 => return Reply::Size(self.file.size()),
            Step::SizePart | Step::SizeRecording => return Reply::Absent,
            Step::CreatePart if names.part => return Reply::Refused,
            Step::CreatePart => (names.part, self.file, self.created) = (true, File::default(), true),
            Step::CutPart(to) => self.file.media.truncate((to - MEDIA_AT) as usize),
            // Here a seal has two bytes, and its type is the second.
            Step::EndPart(at) => self.file.write(at + 1, at + 2),
            Step::PeekPart => return Reply::More(self.file.media.get(FOOTAGE as usize) == Some(&LOST)),
            Step::SetAside if !names.part => return Reply::Absent,
            Step::SetAside if names.aside => return Reply::Refused,
            Step::SetAside => {
                (names.part, names.aside) = (false, true);
                self.aside = std::mem::take(&mut self.file);
            }
            Step::VerifyPart { from, to } => return Reply::SameUpTo(self.file.same_up_to(*from, *to)),
            Step::WriteHead => self.file.head = Head::Growing,
            Step::WritePart { from, to } => {
                self.file.write(*from, *to);
                self.sent += if *from >= MEDIA_AT { to - from } else { 0 };
                return Reply::Written(*to);
            }
            Step::WriteRoom { from } => {
                assert_eq!(*from, HEAD as u64);
                self.file.room = ROOM;
                return Reply::Written(MEDIA_AT);
            }
            Step::SyncPart => self.durable.1 = self.file.clone(),
            Step::Rename if !names.part => return Reply::Absent,
            Step::Rename => (names.mp4, names.part) = (true, false),
            Step::SyncDir => {
                self.durable.0 = names.clone();
                if std::mem::take(&mut self.created) {
                    self.durable.1 = File::default();
                }
            }
            Step::WriteJournal(journal) => self.journal = *journal,
            Step::EndSync | Step::Wait | Step::Free => {}
        }
        Reply::Done
    }

    /// What was synced stays. Of what was not, the length of the tail may be there without its bytes.
    fn power_cut(&mut self, keeps_length: bool) {
        (self.ghost, self.created) = (None, false);
        let length = self.file.media.len();
        (self.names, self.file) = self.durable.clone();
        if keeps_length && self.file.media.len() < length {
            self.file.media.resize(length, 0);
        }
        self.check();
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
    RemotePowerCut {
        keeps_length: bool,
    },
}

const BREAKS: [Break; 9] = [
    Break::NotDone,
    Break::ReplyLost,
    Break::Late(0),
    Break::Late(1),
    Break::Late(4),
    Break::Late(7),
    Break::EdgeRestarts,
    Break::RemotePowerCut { keeps_length: false },
    Break::RemotePowerCut { keeps_length: true },
];

/// Uploads with these breaks; gives the steps that were taken.
fn upload(remote: &mut Remote, breaks: &[(usize, Break)]) -> Vec<Step> {
    upload_content(remote, LIFE.into_iter(), true, breaks)
}

fn upload_content(
    remote: &mut Remote,
    mut life: impl Iterator<Item = Content>,
    orphaned: bool,
    breaks: &[(usize, Break)],
) -> Vec<Step> {
    let mut content = life.next().expect("life");
    let begun = remote.names.part;
    let mut upload = Upload { orphaned, ..Upload::new(Journal::Sealed, content, token(), begun) };
    let mut steps = Vec::new();
    loop {
        let step = upload.step();
        match step {
            Step::Free => return steps,
            Step::Wait => {
                let ends = !matches!(content, Content::Torn(_)) || remote.file.more() == 0;
                assert!(ends, "what the ring has would be there twice: {breaks:?}");
                upload.sync();
                if upload.step() == Step::Wait {
                    content = life.next().expect("waits for no more than there is");
                    upload.update(content);
                }
                continue;
            }
            _ => steps.push(step.clone()),
        }
        assert!(steps.len() < 300, "no end: {steps:?}");
        let broken = breaks.iter().find(|(at, _)| *at == steps.len() - 1).map(|(_, what)| *what);
        let reply = match broken {
            // The journal is on the edge: a session cannot lose it.
            Some(what) if !matches!(step, Step::WriteJournal(_)) || matches!(what, Break::EdgeRestarts) => {
                break_at(remote, &mut upload, (&step, what, content));
                continue;
            }
            // A dead session has set it aside meanwhile.
            _ if !remote.names.part
                && matches!(step, Step::VerifyPart { .. } | Step::PeekPart | Step::WriteHead) =>
            {
                upload.retry();
                continue;
            }
            _ => remote.run(&step),
        };
        upload.reply(reply).unwrap_or_else(|fault| panic!("{fault} after {steps:?} with {breaks:?}"));
    }
}

fn break_at(remote: &mut Remote, upload: &mut Upload, (step, what, content): (&Step, Break, Content)) {
    match what {
        Break::NotDone => {}
        // The steps that a dead session may leave and that change what is there. A part that is created late is another file.
        Break::Late(wait)
            if matches!(
                step,
                Step::RemoveLock
                    | Step::Rename
                    | Step::WritePart { .. }
                    | Step::WriteRoom { .. }
                    | Step::SetAside
                    | Step::CutPart(_)
                    | Step::EndPart(_)
            ) =>
        {
            remote.ghost = Some((wait, step.clone()));
        }
        Break::Late(_) => {}
        Break::ReplyLost | Break::EdgeRestarts => {
            remote.run(step);
        }
        Break::RemotePowerCut { keeps_length } => {
            remote.run(step);
            remote.power_cut(keeps_length);
        }
    }
    match what {
        Break::EdgeRestarts => {
            let orphaned = upload.orphaned;
            *upload = Upload { orphaned, ..Upload::new(remote.journal, content, token(), true) };
        }
        _ => upload.retry(),
    }
}

fn assert_converged(remote: &Remote, breaks: &[(usize, Break)]) {
    let names = Names { mp4: !remote.worker, claim: remote.worker, ..Names::default() };
    assert_eq!((&remote.names, &remote.file), (&names, &File::sealed()), "{breaks:?}");
    let (names, file) = &remote.durable;
    assert!(names.mp4 || names.claim, "receipt before it was durable: {breaks:?}");
    assert_eq!(file, &File::sealed(), "receipt before it was durable: {breaks:?}");
}

#[test]
fn an_undisturbed_upload_follows_the_recording_with_these_steps() {
    let mut remote = Remote::default();
    let steps = upload(&mut remote, &[]);
    assert_converged(&remote, &[]);
    let write = |from, to| Step::WritePart { from: MEDIA_AT + from, to: MEDIA_AT + to };
    assert_eq!(
        steps,
        [
            Step::CreateLock,
            Step::SizePart,
            Step::CreatePart,
            Step::SyncDir,
            Step::WriteHead,
            write(0, 4),
            Step::SyncPart,
            write(4, 7),
            Step::SyncPart,
            write(7, 9),
            Step::WriteRoom { from: 44 },
            Step::SyncPart,
            Step::WritePart { from: 36, to: 44 },
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
        for first in 0..24 {
            for second in first + 1..first + 24 {
                for one in BREAKS {
                    for other in BREAKS {
                        let breaks = [(first, one), (second, other)];
                        let mut remote = Remote { worker, ..Remote::default() };
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
    assert_eq!(runs, 2 * 24 * 23 * 81);
}

/// Drives a fresh upload of a sealed recording against `remote` until its first fault or its end.
fn finish(remote: &mut Remote, begun: bool) -> Result<(), Fault> {
    let mut upload = Upload::new(Journal::Sealed, LIFE[2], token(), begun);
    while upload.step() != Step::Free {
        let reply = remote.run(&upload.step());
        upload.reply(reply)?;
    }
    Ok(())
}

fn fault(names: Names, begun: bool) -> Result<Names, Fault> {
    let mut remote = Remote { names, file: File::sealed(), ..Remote::default() };
    finish(&mut remote, begun).map(|()| remote.names)
}

#[test]
fn a_lock_of_somebody_else_is_left_alone() {
    let locked = |text: &str| Names { lock: Some(text.into()), ..Names::default() };
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
        let names = Names { lock: Some(text.into()), ..Names::default() };
        let end = fault(names, begun).expect("goes on");
        assert_eq!((end.lock, end.mp4), (None, true));
    }
}

#[test]
fn a_recording_of_the_same_name_is_not_overwritten() {
    let mut remote =
        Remote { names: Names { mp4: true, ..Names::default() }, ..Remote::with_part(File::sealed()) };
    remote.names.part = true;
    assert_eq!(finish(&mut remote, false), Err(Fault::NameClash(MEDIA_AT + WHOLE)));
}

/// What stands there when a session begins, and how much footage is sent then.
#[test]
fn what_stands_there_is_told_apart_by_its_content() {
    let grown = |bytes: Vec<u8>| File { head: Head::Growing, room: 0, media: bytes };
    let damaged = [media(0, 5), vec![0; 3]].concat();
    let cases = [
        ("nothing", File::default(), 9),
        ("a head alone", grown(Vec::new()), 9),
        ("growing", grown(media(0, 5)), 9),
        ("growing, with GOPs that the ring has", grown([media(0, 6), vec![LOST; 5]].concat()), 9),
        ("growing, with a tail that a power cut took", grown(damaged), 9),
        ("another's", grown(vec![LOST; 7]), 9),
        ("half-sealed", File { room: ROOM, ..grown(media(0, 9)) }, 9),
        ("sealed", File::sealed(), 9),
    ];
    for (what, file, sent) in cases {
        let mut remote = Remote::with_part(file);
        finish(&mut remote, true).unwrap_or_else(|fault| panic!("{what}: {fault}"));
        assert_converged(&remote, &[]);
        assert_eq!(remote.sent, sent, "{what}");
    }
}

#[test]
fn a_part_with_gops_that_the_edge_has_lost_is_set_aside_as_it_is() {
    for lost in [1, 2, 5] {
        let file = File { head: Head::Growing, room: 0, media: [media(0, 7), vec![LOST; lost]].concat() };
        for at in 0..20 {
            for what in BREAKS {
                let mut remote = Remote::with_part(file.clone());
                upload_content(&mut remote, LIFE[2..].iter().copied(), true, &[(at, what)]);
                assert!(remote.names.aside, "{lost} {at} {what:?}");
                assert_eq!(remote.aside, file, "{lost} {at} {what:?}");
                let names = Names { mp4: true, aside: true, ..Names::default() };
                assert_eq!((remote.names, remote.file), (names, File::sealed()), "{lost} {at} {what:?}");
            }
        }
    }
    let mut remote = Remote::with_part(File { media: media(0, 9), ..File::default() });
    remote.file.media.push(LOST);
    remote.names.aside = true;
    let mut upload = Upload::new(Journal::Sealed, LIFE[2], token(), true).orphaned();
    let told = loop {
        let reply = remote.run(&upload.step());
        if let Err(fault) = upload.reply(reply) {
            break fault;
        }
    };
    assert_eq!(told, Fault::SetAside, "another one stands there");
}

/// Of `LIFE`, the end of a recording that a card keeps from being sealed for a while.
const TORN: [Content; 2] = [Content::Torn(MEDIA_AT + FOOTAGE), LIFE[2]];

/// The part of one that has `more` bytes of what the ring has as well.
fn longer(more: usize) -> Remote {
    let file = File { head: Head::Growing, room: 0, media: [media(0, FOOTAGE), vec![LOST; more]].concat() };
    Remote::with_part(file)
}

#[test]
fn a_part_that_is_longer_than_a_torn_recording_is_ended_and_cut_once_to_what_is_sealed() {
    let mut remote = longer(5);
    let steps = upload_content(&mut remote, TORN.into_iter(), false, &[]);
    assert_converged(&remote, &[]);
    let end = MEDIA_AT + FOOTAGE;
    let verify = |to| Step::VerifyPart { from: MEDIA_AT, to };
    assert_eq!(
        steps[..12],
        [
            Step::CreateLock,
            Step::SizePart,
            Step::EndPart(end),
            Step::WriteHead,
            verify(end),
            Step::WritePart { from: MEDIA_AT, to: end },
            Step::SyncPart,
            Step::SizePart,
            Step::CutPart(MEDIA_AT + WHOLE),
            Step::SizePart,
            Step::VerifyPart { from: 0, to: HEAD as u64 },
            Step::WriteHead,
        ]
    );
    assert_eq!(
        steps[12..14],
        [verify(MEDIA_AT + WHOLE), Step::WritePart { from: end, to: MEDIA_AT + WHOLE }]
    );
}

#[test]
fn what_ends_and_cuts_a_part_may_be_done_late_and_no_gop_is_there_twice() {
    let lives = [TORN, [LIFE[1], LIFE[2]]];
    let late = (0..32).map(Break::Late);
    let breaks: Vec<Break> = BREAKS.into_iter().chain(late).collect();
    for (life, more) in lives.into_iter().flat_map(|life| (1..6).map(move |more| (life, more))) {
        for (at, what) in (0..26).flat_map(|at| breaks.iter().map(move |what| (at, *what))) {
            let (mut remote, breaks) = (longer(more), [(at, what)]);
            upload_content(&mut remote, life.into_iter(), false, &breaks);
            if let Some((_, step)) = remote.ghost.take() {
                remote.run(&step);
            }
            assert_converged(&remote, &breaks);
            assert!(!remote.names.aside, "{breaks:?}");
        }
    }
}

#[test]
fn a_part_that_a_dead_session_creates_late_is_not_taken_for_ours() {
    let mut upload = Upload::new(Journal::Committing, LIFE[2], token(), true);
    assert_eq!(upload.step(), Step::SizePart);
    upload.reply(Reply::Size(0)).expect("ours was renamed");
    assert_eq!(upload.step(), Step::SyncDir);
    let (part, recording) = (MEDIA_AT + 5, MEDIA_AT + WHOLE);
    let mut upload = Upload::new(Journal::Committing, LIFE[2], token(), true);
    assert_eq!(
        upload.reply(Reply::Size(part)),
        Err(Fault::PartSize { part, recording }),
        "no receipt for half"
    );

    let mut upload = Upload::new(Journal::Sealed, LIFE[2], token(), true);
    for reply in [Reply::Done, Reply::Absent, Reply::Refused] {
        upload.reply(reply).expect("lock and part");
    }
    let mut other = upload.clone();
    assert_eq!(other.reply(Reply::Absent), Err(Fault::NoPart));
    upload.reply(Reply::Size(0)).expect("a late one is as good as ours");
    assert_eq!(upload.step(), Step::SyncDir);
}

/// Takes an upload to E2, where a part of `size` bytes stands.
fn resumed(content: Content, size: u64) -> Upload {
    let mut upload = Upload::new(Journal::Sealed, content, token(), true);
    for reply in [Reply::Done, Reply::Size(size), Reply::Done] {
        upload.reply(reply).expect("lock, size and head");
    }
    upload
}

/// The replies to a session's first steps, where `size` bytes of a part stand under our own lock.
fn found(size: u64) -> [Reply; 4] {
    [Reply::Refused, Reply::Lock(token().to_string().into()), Reply::Size(size), Reply::Done]
}

#[test]
fn the_reserved_room_may_be_written_in_pieces() {
    let bytes = MEDIA_AT + 9;
    let mut upload = resumed(Content::Sealed(bytes), bytes - 1);
    for reply in [Reply::SameUpTo(bytes - 1), Reply::Written(bytes), Reply::Written(1000)] {
        upload.reply(reply).expect("written");
    }
    assert_eq!(upload.step(), Step::WriteRoom { from: 1000 });
    upload.reply(Reply::Written(MEDIA_AT)).expect("written");
    assert_eq!(upload.step(), Step::SyncPart);
}

#[test]
fn a_file_without_footage_is_written_front_to_back() {
    let mut upload = Upload::new(Journal::Sealed, Content::Plain(7), token(), false);
    let mut steps = Vec::new();
    for reply in
        [Reply::Done, Reply::Absent, Reply::Done, Reply::Done, Reply::Written(7), Reply::Done, Reply::Size(7)]
    {
        steps.push(upload.step());
        upload.reply(reply).expect("goes on");
    }
    assert_eq!(steps[3..6], [Step::SyncDir, Step::WritePart { from: 0, to: 7 }, Step::SyncPart]);
    assert_eq!(upload.step(), Step::SyncDir);

    let mut upload = Upload::new(Journal::Sealed, Content::Plain(7), token(), true);
    for reply in [Reply::Done, Reply::Size(5)] {
        upload.reply(reply).expect("lock and size");
    }
    assert_eq!(upload.step(), Step::VerifyPart { from: 0, to: 5 });
}

#[test]
fn a_part_of_the_wrong_length_is_not_committed() {
    let bytes = MEDIA_AT + 9;
    let mut upload = resumed(Content::Sealed(bytes), bytes - 1);
    let written = [Reply::SameUpTo(bytes - 1), Reply::Written(bytes), Reply::Written(MEDIA_AT), Reply::Done];
    for reply in written.into_iter().chain([Reply::Written(44), Reply::Done]) {
        upload.reply(reply).expect("sealed");
    }
    let refused = upload.reply(Reply::Size(bytes + 1));
    assert_eq!(refused, Err(Fault::PartSize { part: bytes + 1, recording: bytes }));
    assert_eq!(upload.journal(), Journal::Sealed);
}

#[test]
fn a_reply_that_does_not_fit_is_a_fault_of_the_driver() {
    let every = [
        Reply::Done,
        Reply::Refused,
        Reply::Absent,
        Reply::Size(MEDIA_AT + 3),
        Reply::Lock(b"garbage".to_vec()),
        Reply::SameUpTo(u64::MAX),
        Reply::More(true),
        Reply::Written(u64::MAX),
    ];
    let mut upload = Upload::new(Journal::Sealed, LIFE[0], token(), false);
    let refused = upload.reply(Reply::Size(1)).expect_err("no reply to it");
    assert_eq!(refused.to_string(), "Size(1) is no reply to CreateLock");
    // In every state of an undisturbed upload each reply either fits or leaves the machine as it was.
    let mut remote = Remote::default();
    let mut life = LIFE.into_iter().skip(1);
    while upload.step() != Step::Free {
        for reply in &every {
            let (mut other, before) = (upload.clone(), upload.step());
            match other.reply(reply.clone()) {
                Err(Fault::Unexpected { step, .. }) => {
                    assert_eq!((*step, other.step()), (before.clone(), before))
                }
                Err(_) | Ok(()) => assert_ne!(before, Step::Wait),
            }
        }
        match upload.step() {
            Step::Wait => upload.update(life.next().expect("life")),
            step => upload.reply(remote.run(&step)).expect("fits"),
        }
    }
}

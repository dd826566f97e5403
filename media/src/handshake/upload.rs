//! The edge's side of the handshake: E1 to E6 and "after a restart".
//!
//! ```text
//!            retry (after a restart, and after every lost session)
//!   j = 0 ---------+---------------------- j = 1 ------------------+------ j = 2
//!     |                                      |                     |         |
//!     v              +-- grows --+   part there|          part gone|         v
//!  E1 lock -> E2 part <----------+             |                   |       free
//!                |                             |                   |
//!                +-- sealed --> E3 seal, j=1 --+-> E4 unlock       |
//!                                                     |            |
//!                                                     v            v
//!                                                  E5 commit -> E6 syncdir, j=2 -> free
//! ```
//!
//! E1 and E4 own `NAME.lockfile`, E2 and E3 `NAME.part`, E5 renames `NAME.part` to `NAME.mp4`: the one commit point. The
//! journal `j` on the edge is synced before the step that follows it. Whoever drives the machine performs each
//! [`Step`], and either tells its [`Reply`] or, when the session broke, calls [`Upload::retry`]: the next step is then
//! found from `j` and from what stands on the remote host, never from how far the broken session seems to have come.
//!
//! What a session sends is to take nothing away that a later one has confirmed, however late the remote host does it: a part
//! is written to with the bytes that belong there, and not emptied. GOPs that the edge has lost in a power cut are set
//! aside as they are, and the janitor there keeps them. What the ring of this boot still has, another recording brings: it is
//! cut off, once the recording is sealed, at the very end that it has then. Before that it is only made not to count.
//!
//! A part of a recording always opens, up to its last whole GOP:
//!
//! ```text
//!           0      36 44                                 1 MiB
//! E2        ftyp | free | (hole) ...................... | moov (mvex) | moof mdat | moof mdat | ...     grows at its end
//! E3 room   ftyp | free | fields of moov, free ... mdat | moov (mvex) | moof mdat | moof mdat | uuid    behind 44, then synced
//! E3 flip   ftyp | moov | fields of moov, free ... mdat | moov (mvex) | moof mdat | moof mdat | uuid    eight bytes
//! ```

use crate::mp4::{FLIP_AT, HEAD, MEDIA_AT};
use crate::names::LockToken;

/// The most of a part that is not known to be on the remote host's disk. A power cut there can damage no more than this
/// much of its tail, and so this much is read back before a part is gone on with.
pub const PIECE: u64 = 1 << 20;

/// The same over a path that holds more than a piece: what an OpenSSH server lets be on its way, 2 MiB, and what the next sync
/// is still to cover.
pub const WIDE: u64 = 2 * PIECE + SYNC_EACH;

/// Of a part whose content is appended, an fsync follows what ends at each multiple of this.
pub const SYNC_EACH: u64 = PIECE / 2;

/// The least that is read back, even of a part that this process synced itself: a length alone proves nothing.
const LEAST_VERIFIED: u64 = 64 << 10;

/// How far the upload of one recording has come: `j` of the model, synced on the edge.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Journal {
    /// 0: open or sealed; nothing but the lockfile and the part can be on the remote host.
    #[default]
    Sealed,
    /// 1: the part is whole and durable; the rename may have happened.
    Committing,
    /// 2: the receipt. The remote host holds the recording durably.
    Acknowledged,
}

/// What there is to send, and in which order a part of it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// A recording that grows: so many bytes are whole GOPs.
    Growing(u64),
    /// A recording that is torn and cannot be sealed for now: so many bytes are whole GOPs, and it grows no more. Where its part
    /// goes on with others, another recording brings them.
    Torn(u64),
    /// A sealed recording of so many bytes.
    Sealed(u64),
    /// A file of so many bytes that holds no footage: it is written front to back.
    Plain(u64),
}

impl Content {
    /// Bytes that there are.
    pub fn bytes(self) -> u64 {
        match self {
            Self::Growing(bytes) | Self::Torn(bytes) | Self::Sealed(bytes) | Self::Plain(bytes) => bytes,
        }
    }

    /// Where what is appended begins.
    fn first(self) -> u64 {
        match self {
            Self::Growing(_) | Self::Torn(_) | Self::Sealed(_) => MEDIA_AT,
            Self::Plain(_) => 0,
        }
    }
}

/// What must be done next. Names stand for files in the inbox of the remote host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Create `NAME.lockfile` with `O_CREAT|O_EXCL`, write the token into it and sync it.
    /// Reply: [`Reply::Done`], or [`Reply::Refused`] if it could not be created.
    CreateLock,
    /// Read `NAME.lockfile`, at most [`crate::names::MOST_TOKEN_BYTES`] and one more.
    /// Reply: [`Reply::Lock`] or [`Reply::Absent`].
    ReadLock,
    /// Write the token into the `NAME.lockfile` that is there, and sync it. Reply: [`Reply::Done`] or [`Reply::Absent`].
    WriteLock,
    /// Remove `NAME.lockfile`. Reply: [`Reply::Done`] or [`Reply::Absent`].
    RemoveLock,
    /// LSTAT `NAME.part`. Reply: [`Reply::Size`] or [`Reply::Absent`].
    SizePart,
    /// Create `NAME.part` with `O_CREAT|O_EXCL`. Reply: [`Reply::Done`], or [`Reply::Refused`] if it could not be created.
    CreatePart,
    /// Cut `NAME.part` to this many bytes: to what the recording has, now that it is sealed. Reply: [`Reply::Done`].
    CutPart(u64),
    /// Write [`crate::mp4::SEAL_TYPE`] into `NAME.part` as the type of the box that begins at this byte: the GOP there, and all
    /// behind it, counts no more. It is what the seal has there. Reply: [`Reply::Done`].
    EndPart(u64),
    /// Look whether `NAME.part` goes on with a GOP where the footage of the sealed recording ends. Reply: [`Reply::More`].
    PeekPart,
    /// Rename `NAME.part` to `NAME-lost.part`, without replacing. Reply: [`Reply::Done`], [`Reply::Absent`] if there is no
    /// part, or [`Reply::Refused`] if there is one of that name.
    SetAside,
    /// Compare the bytes `from..to` of `NAME.part` with those of the recording. Reply: [`Reply::SameUpTo`].
    VerifyPart {
        /// The first byte.
        from: u64,
        /// The byte behind the last one.
        to: u64,
    },
    /// Write [`crate::mp4::head`], the first bytes of a growing recording, to the start of `NAME.part`, unless they stand
    /// there: done late it would open what is sealed. Reply: [`Reply::Done`].
    WriteHead,
    /// Write bytes `from..to` of the recording into `NAME.part`, or as many of them as should go at once. A GOP is sent
    /// with its final `moof`, whatever the file on the edge still says. An `fsync` is asked for behind each multiple of
    /// [`SYNC_EACH`], in the order of the writes. Reply: [`Reply::Written`] once some are confirmed, or [`Reply::Synced`] once
    /// such an `fsync` is; the others of `from..to` may be on their way.
    WritePart {
        /// The first byte.
        from: u64,
        /// The byte behind the last one.
        to: u64,
    },
    /// As [`Step::WritePart`], up to 1 MiB. Zeros need not be sent: the part has a hole there.
    WriteRoom {
        /// The first byte.
        from: u64,
    },
    /// `fsync` of `NAME.part`. Reply: [`Reply::Done`].
    SyncPart,
    /// Wait for the end of the next `fsync` that [`Step::WritePart`] asked for. Reply: [`Reply::Synced`].
    EndSync,
    /// Nothing until [`Upload::update`] says that there is more; [`Upload::sync`] may be asked for meanwhile.
    Wait,
    /// LSTAT `NAME.mp4`. Reply: [`Reply::Size`] or [`Reply::Absent`].
    SizeRecording,
    /// `posix-rename` of `NAME.part` to `NAME.mp4`. Reply: [`Reply::Done`], or [`Reply::Absent`] if there is no part.
    Rename,
    /// `fsync` of the inbox directory. Reply: [`Reply::Done`].
    SyncDir,
    /// Write this into the journal on the edge, and sync it. Reply: [`Reply::Done`].
    WriteJournal(Journal),
    /// Nothing: the receipt is there.
    Free,
}

/// What became of a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// It was done.
    Done,
    /// SFTP's "failure", which does not say why.
    Refused,
    /// There is no such file.
    Absent,
    /// The size of the file in bytes.
    Size(u64),
    /// What the lockfile holds.
    Lock(Vec<u8>),
    /// The first byte that is not the same, or the end of what was compared.
    SameUpTo(u64),
    /// Whether there is a GOP more.
    More(bool),
    /// The byte behind the last one that is confirmed.
    Written(u64),
    /// The byte behind the last one that is on the disk there.
    Synced(u64),
}

/// Why this recording cannot be uploaded now.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The lockfile is somebody else's; an empty one is a script's.
    #[error("the lockfile belongs to somebody else: {0:?}")]
    Locked(String),
    /// The lockfile cannot be created, although there is none.
    #[error("the lockfile cannot be created")]
    NoLock,
    /// There is another file of the recording's name beside our part.
    #[error("there is another recording of that name, {0} bytes long")]
    NameClash(u64),
    /// The part cannot be created, although there is none.
    #[error("the part cannot be created")]
    NoPart,
    /// The part is not a beginning of the recording, and cannot be set aside, because another one was.
    #[error("a part that was set aside is still there")]
    SetAside,
    /// The part did not become as long as the recording although every byte was confirmed.
    #[error("the part has {part} bytes, the recording {recording}")]
    PartSize {
        /// On the remote host.
        part: u64,
        /// On the edge.
        recording: u64,
    },
    /// A reply that the step cannot have. The driver is at fault.
    #[error("{reply:?} is no reply to {step:?}")]
    Unexpected {
        /// The step.
        step: Box<Step>,
        /// What was told.
        reply: Box<Reply>,
    },
}

/// Where the machine stands; each state has exactly one step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    RetryPart,
    E1Create,
    E1Read,
    E1Write,
    E2Size,
    E2Create,
    /// It could not be created: a dead session may have done so meanwhile.
    E2Refused,
    E2SyncDir,
    /// The part is as long as the sealed recording: is its head the sealed one?
    E2Sealed {
        size: u64,
    },
    E2Head {
        size: u64,
    },
    E2Verify {
        from: u64,
        to: u64,
    },
    /// It reads well up to `same`, and differs from there on.
    E2Peek {
        from: u64,
        same: u64,
    },
    /// It goes on with what is not of this recording.
    E2Aside,
    /// It is longer than the recording, by what is in the ring; the recording is sealed.
    E2Cut,
    /// The recording is torn, and ends at `at`.
    E2End {
        at: u64,
    },
    E2Write,
    E2Sync,
    E2EndSync,
    E2Wait,
    E3Room {
        from: u64,
    },
    E3SyncRoom,
    E3Flip,
    E3SyncFlip,
    E3Size,
    E3SyncDir,
    E3Journal,
    E4Read,
    E4Remove,
    E4SyncDir,
    E5Recording,
    E5Part {
        clash: u64,
    },
    E5Rename,
    E6SyncDir,
    E6Journal,
    Free,
}

/// The upload of one recording.
#[derive(Clone, Debug)]
pub struct Upload {
    journal: Journal,
    content: Content,
    token: LockToken,
    /// An earlier session may have created the lockfile and broken before the token was in it.
    begun: bool,
    state: State,
    /// Bytes of the part that are confirmed; only from E2 on.
    at: u64,
    /// All before this is on the remote host's disk: it was synced, with our lock there ever since.
    synced: u64,
    /// The most that may not be on the remote host's disk.
    window: u64,
    /// The part is sealed: its head says so, and it did not before everything else was synced.
    flipped: bool,
    /// A sync may have failed there. What it dropped reads well and counts as written, so that a later sync says nothing of it:
    /// what is not known to be synced is written again.
    doubted: bool,
    /// Where that ends, in this session.
    doubted_to: u64,
    /// The ring of the recording's boot is gone.
    orphaned: bool,
    /// The part is longer than the recording, and cannot be cut before that is sealed.
    surplus: bool,
}

impl Upload {
    /// The upload of `content` whose journal says `journal`. `token` is drawn once for each recording and kept in the
    /// journal before the first step; `begun` says that it had been kept there before.
    pub fn new(journal: Journal, content: Content, token: LockToken, begun: bool) -> Self {
        let state = State::Free;
        let (at, synced, window, flipped) = (0, 0, PIECE, false);
        let (doubted, doubted_to, orphaned, surplus) = (begun, 0, false, false);
        let mut upload = Self {
            journal,
            content,
            token,
            begun,
            state,
            at,
            synced,
            window,
            flipped,
            doubted,
            doubted_to,
            orphaned,
            surplus,
        };
        upload.state = upload.after_restart();
        upload
    }

    /// The ring that the recording was made from is gone with its boot: a GOP that the part has and the recording has not is
    /// nowhere else.
    pub fn orphaned(self) -> Self {
        Self { orphaned: true, ..self }
    }

    /// The path holds more than a piece: up to [`WIDE`] may not be on the remote host's disk from now on. Who says so keeps it
    /// until the receipt, also over a restart, because it is how much a later session cannot be sure of.
    pub fn widen(&mut self) {
        self.window = WIDE;
    }

    /// The session broke: whether the last step was done, or will be done later, is unknown.
    pub fn retry(&mut self) {
        self.begun = true;
        let sync = [State::E2Sync, State::E3SyncRoom, State::E3SyncFlip];
        self.doubted |= self.is_syncing() || sync.contains(&self.state);
        (self.at, self.doubted_to, self.flipped) = (0, 0, false);
        self.state = self.after_restart();
    }

    /// The recording has grown, or is sealed now; what was there before is unchanged.
    pub fn update(&mut self, content: Content) {
        self.content = content;
        if self.state == State::E2Wait {
            self.state = self.go_on();
        }
    }

    /// The part is to be synced now although more may follow; only where the step is [`Step::Wait`].
    pub fn sync(&mut self) {
        if self.state == State::E2Wait && self.synced < self.at {
            self.state = State::E2Sync;
        }
    }

    /// How far the journal says that the upload has come.
    pub fn journal(&self) -> Journal {
        self.journal
    }

    /// Bytes of the part that the remote host has confirmed in this session, and how many of them are on its disk.
    pub fn progress(&self) -> (u64, u64) {
        (self.at, self.synced.min(self.at))
    }

    /// What the lockfile must hold.
    pub fn token(&self) -> &LockToken {
        &self.token
    }

    /// What must be done next.
    pub fn step(&self) -> Step {
        match self.state {
            State::RetryPart | State::E2Size | State::E2Refused | State::E3Size | State::E5Part { .. } => {
                Step::SizePart
            }
            State::E1Create => Step::CreateLock,
            State::E1Read | State::E4Read => Step::ReadLock,
            State::E1Write => Step::WriteLock,
            State::E2Create => Step::CreatePart,
            State::E2Sealed { .. } => Step::VerifyPart { from: 0, to: HEAD as u64 },
            State::E2Head { .. } => Step::WriteHead,
            State::E2Peek { .. } => Step::PeekPart,
            State::E2Aside => Step::SetAside,
            State::E2Cut => Step::CutPart(self.content.bytes()),
            State::E2End { at } => Step::EndPart(at),
            State::E2Verify { from, to } => Step::VerifyPart { from, to },
            State::E2Write => Step::WritePart { from: self.at, to: self.reach() },
            State::E2Sync | State::E3SyncRoom | State::E3SyncFlip => Step::SyncPart,
            State::E2EndSync => Step::EndSync,
            State::E2Wait => Step::Wait,
            State::E3Room { from } => Step::WriteRoom { from },
            State::E3Flip => Step::WritePart { from: FLIP_AT, to: HEAD as u64 },
            State::E2SyncDir | State::E3SyncDir | State::E4SyncDir | State::E6SyncDir => Step::SyncDir,
            State::E3Journal => Step::WriteJournal(Journal::Committing),
            State::E4Remove => Step::RemoveLock,
            State::E5Recording => Step::SizeRecording,
            State::E5Rename => Step::Rename,
            State::E6Journal => Step::WriteJournal(Journal::Acknowledged),
            State::Free => Step::Free,
        }
    }

    /// Takes the reply to [`Upload::step`]. After a fault the step stands as it was; [`Upload::retry`] begins again.
    pub fn reply(&mut self, reply: Reply) -> Result<(), Fault> {
        let unexpected =
            |reply: &Reply, step| Fault::Unexpected { step: Box::new(step), reply: Box::new(reply.clone()) };
        let next = match self.state {
            State::RetryPart | State::E1Create | State::E1Read | State::E1Write => self.lock(&reply)?,
            State::E2Size
            | State::E2Create
            | State::E2Refused
            | State::E2SyncDir
            | State::E2Sealed { .. }
            | State::E2Head { .. }
            | State::E2Verify { .. }
            | State::E2Peek { .. }
            | State::E2Cut
            | State::E2End { .. }
            | State::E2Aside => self.find(&reply)?,
            State::E2Write | State::E2Sync | State::E2EndSync | State::E2Wait => self.send(&reply),
            State::E3Room { .. }
            | State::E3SyncRoom
            | State::E3Flip
            | State::E3SyncFlip
            | State::E3Size
            | State::E3SyncDir
            | State::E3Journal => self.seal(&reply)?,
            _ => self.commit(&reply)?,
        };
        self.state = next.ok_or_else(|| unexpected(&reply, self.step()))?;
        Ok(())
    }

    fn after_restart(&self) -> State {
        match self.journal {
            Journal::Sealed => State::E1Create,
            Journal::Committing => State::RetryPart,
            Journal::Acknowledged => State::Free,
        }
    }

    fn first(&self) -> u64 {
        self.content.first()
    }

    /// After a restart, and E1.
    fn lock(&mut self, reply: &Reply) -> Result<Option<State>, Fault> {
        Ok(Some(match (self.state, reply) {
            (State::RetryPart, Reply::Size(part)) if !self.is_late(*part) => self.still_whole(*part)?,
            // Our part is gone: it was renamed.
            (State::RetryPart, Reply::Absent | Reply::Size(_)) => State::E6SyncDir,

            (State::E1Create, Reply::Done) => {
                // Our lock was not there: nothing is known of the part.
                self.synced = 0;
                State::E2Size
            }
            (State::E1Create, Reply::Refused) => State::E1Read,
            (State::E1Read, Reply::Lock(content)) => self.own_lock(content)?,
            (State::E1Read, Reply::Absent) => return Err(Fault::NoLock),
            (State::E1Write, Reply::Done) => State::E2Size,
            (State::E1Write, Reply::Absent) => State::E1Create,
            _ => return Ok(None),
        }))
    }

    /// E2, until it is known how much of the part is good.
    fn find(&mut self, reply: &Reply) -> Result<Option<State>, Fault> {
        let first = self.first();
        Ok(Some(match (self.state, reply) {
            (State::E2Size, Reply::Absent) => State::E2Create,
            (State::E2Refused, Reply::Absent) => return Err(Fault::NoPart),
            (State::E2Size | State::E2Refused, Reply::Size(size)) => self.found(*size),
            (State::E2Create, Reply::Done) => self.fresh(),
            (State::E2Create, Reply::Refused) => State::E2Refused,
            (State::E2SyncDir, Reply::Done) if first == 0 => self.go_on(),
            (State::E2SyncDir, Reply::Done) => State::E2Head { size: first },
            (State::E2Sealed { size }, Reply::SameUpTo(same)) => {
                self.flipped = *same == HEAD as u64;
                if self.flipped { self.tail(size) } else { State::E2Head { size } }
            }
            (State::E2Head { size }, Reply::Done) => {
                if size == first {
                    self.go_on()
                } else {
                    self.tail(size)
                }
            }
            (State::E2Verify { from, to }, Reply::SameUpTo(same)) if *same == to => self.verified(from, to),
            // What is not of this recording cannot have been sealed by it.
            (State::E2Verify { .. }, Reply::SameUpTo(_)) if self.flipped => State::E2Aside,
            (State::E2Verify { from, to }, Reply::SameUpTo(same)) if *same < to => match self.content {
                Content::Sealed(_) if self.orphaned => State::E2Peek { from, same: *same },
                _ => self.overwrite(from, *same),
            },
            (State::E2Peek { .. }, Reply::More(true)) => State::E2Aside,
            (State::E2Peek { from, same }, Reply::More(false)) => self.overwrite(from, same),
            (State::E2Cut, Reply::Done) => State::E2Size,
            (State::E2End { at }, Reply::Done) => State::E2Head { size: at },
            (State::E2Aside, Reply::Done | Reply::Absent) => State::E2Create,
            (State::E2Aside, Reply::Refused) => return Err(Fault::SetAside),
            _ => return Ok(None),
        }))
    }

    /// E2: a part of `size` bytes stands there.
    fn found(&mut self, size: u64) -> State {
        let bytes = self.content.bytes();
        let longer = size > bytes;
        self.surplus = longer && matches!(self.content, Content::Growing(_) | Content::Torn(_));
        match self.content {
            _ if longer && self.orphaned => State::E2Aside,
            // The ring still has what is cut off: a later recording brings it, and kept here it would be there twice.
            Content::Sealed(_) | Content::Plain(_) if longer => State::E2Cut,
            Content::Torn(at) if longer => State::E2End { at },
            _ if size <= self.first() => self.fresh(),
            Content::Sealed(_) if size == bytes => State::E2Sealed { size },
            Content::Plain(_) => self.tail(size),
            _ => State::E2Head { size: size.min(bytes) },
        }
    }

    /// E2: the part has no footage yet.
    fn fresh(&mut self) -> State {
        (self.at, self.synced) = (self.first(), 0);
        (self.flipped, self.surplus) = (false, false);
        State::E2SyncDir
    }

    /// E2: the part reads well from `from` to `same` and not further. If not one byte of it is ours, nothing in front is.
    fn overwrite(&mut self, from: u64, same: u64) -> State {
        let (from, same) = if same > from { (from, same) } else { (self.first(), self.first()) };
        self.synced = self.synced.min(same);
        self.verified(from, same)
    }

    /// E2: the part reads well from `from` to `to`.
    fn verified(&mut self, from: u64, to: u64) -> State {
        (self.at, self.doubted_to) = (to, to);
        if self.doubted {
            self.at = self.synced.clamp(from, to);
            self.synced = self.at;
        }
        // Nobody waits for a sync of what an earlier session wrote.
        if self.at - self.floor() >= SYNC_EACH { State::E2Sync } else { self.go_on() }
    }

    /// E2: a part of `size` bytes stands there. Its tail must be ours.
    fn tail(&self, size: u64) -> State {
        let unsure = size.saturating_sub(self.synced).clamp(LEAST_VERIFIED, self.window);
        State::E2Verify { from: size.saturating_sub(unsure).max(self.first()), to: size }
    }

    /// E2, while there is something to send.
    fn send(&mut self, reply: &Reply) -> Option<State> {
        match (self.state, reply) {
            (State::E2Write, Reply::Written(to)) if *to > self.at && *to <= self.content.bytes() => {
                self.at = *to
            }
            (State::E2Sync, Reply::Done) => self.on_disk(self.at),
            (State::E2Write | State::E2EndSync, Reply::Synced(to))
                if *to > self.synced && *to <= self.content.bytes() =>
            {
                self.at = self.at.max(*to);
                self.on_disk(*to);
            }
            _ => return None,
        }
        Some(self.go_on())
    }

    /// All before `to` is on the remote host's disk.
    fn on_disk(&mut self, to: u64) {
        self.synced = to;
        self.doubted &= to < self.doubted_to;
    }

    /// Where what may not be on the remote host's disk begins.
    fn floor(&self) -> u64 {
        self.synced.max(self.first()).min(self.at)
    }

    /// As far as may be written until more is on the remote host's disk.
    fn reach(&self) -> u64 {
        self.content.bytes().min(self.floor() + self.window)
    }

    /// Whether a sync may be under way that was asked for behind a write.
    fn is_syncing(&self) -> bool {
        let sent = if self.state == State::E2Write { self.reach() } else { self.at };
        sent / SYNC_EACH > self.floor() / SYNC_EACH
    }

    /// E2: `at` bytes are there.
    fn go_on(&self) -> State {
        if self.surplus && matches!(self.content, Content::Sealed(_)) {
            State::E2Size
        } else if self.at < self.reach() {
            State::E2Write
        } else if self.at < self.content.bytes() {
            State::E2EndSync
        } else {
            match self.content {
                Content::Growing(_) | Content::Torn(_) => State::E2Wait,
                Content::Sealed(_) if !self.flipped => State::E3Room { from: HEAD as u64 },
                // An earlier session wrote its head, and perhaps did not come to sync it, or the sync failed.
                Content::Sealed(_) => State::E3Flip,
                Content::Plain(_) if self.synced < self.at => State::E2Sync,
                Content::Plain(_) => State::E3Size,
            }
        }
    }

    /// E3.
    fn seal(&mut self, reply: &Reply) -> Result<Option<State>, Fault> {
        let recording = self.content.bytes();
        Ok(Some(match (self.state, reply) {
            (State::E3Room { from }, Reply::Written(to)) if *to > from && *to < MEDIA_AT => {
                State::E3Room { from: *to }
            }
            (State::E3Room { .. }, Reply::Written(MEDIA_AT)) => State::E3SyncRoom,
            (State::E3SyncRoom, Reply::Done) => {
                self.on_disk(self.at);
                State::E3Flip
            }
            (State::E3Flip, Reply::Written(to)) if *to == HEAD as u64 => State::E3SyncFlip,
            (State::E3SyncFlip, Reply::Done) => {
                self.flipped = true;
                State::E3Size
            }
            (State::E3Size, Reply::Size(part)) if *part == recording => State::E3SyncDir,
            (State::E3Size, Reply::Size(part)) => return Err(Fault::PartSize { part: *part, recording }),
            (State::E3Size, Reply::Absent) => State::E1Create,
            (State::E3SyncDir, Reply::Done) => State::E3Journal,
            (State::E3Journal, Reply::Done) => {
                self.journal = Journal::Committing;
                State::E4Read
            }
            _ => return Ok(None),
        }))
    }

    /// E4 to E6.
    fn commit(&mut self, reply: &Reply) -> Result<Option<State>, Fault> {
        Ok(Some(match (self.state, reply) {
            // A lock that is not ours is left alone: by now it can be that of a worker.
            (State::E4Read, Reply::Lock(content)) if self.holds(content) => State::E4Remove,
            (State::E4Read, Reply::Lock(_) | Reply::Absent) => State::E4SyncDir,
            (State::E4Remove, Reply::Done | Reply::Absent) => State::E4SyncDir,
            (State::E4SyncDir, Reply::Done) => State::E5Recording,

            (State::E5Recording, Reply::Absent) => State::E5Rename,
            (State::E5Recording, Reply::Size(clash)) => State::E5Part { clash: *clash },
            (State::E5Part { clash }, Reply::Size(size)) if !self.is_late(*size) => {
                return Err(Fault::NameClash(clash));
            }
            // A rename that a dead session had sent was done meanwhile: the file is our own.
            (State::E5Part { .. }, Reply::Absent | Reply::Size(_)) => State::E6SyncDir,
            (State::E5Rename, Reply::Done) => State::E6SyncDir,
            (State::E5Rename, Reply::Absent) => State::RetryPart,

            (State::E6SyncDir, Reply::Done) => State::E6Journal,
            (State::E6Journal, Reply::Done) => {
                self.journal = Journal::Acknowledged;
                State::Free
            }
            _ => return Ok(None),
        }))
    }

    /// E1 was refused. Ours is our token; also the beginning of it (or nothing), where an earlier session broke between
    /// creating the lockfile and writing it: `j` is 0, so there was never a `NAME.mp4` that a worker could have locked.
    fn own_lock(&self, content: &[u8]) -> Result<State, Fault> {
        let whole = self.token.to_string();
        if content == whole.as_bytes() {
            Ok(State::E2Size)
        } else if self.holds(content) || self.begun && whole.as_bytes().starts_with(content) {
            Ok(State::E1Write)
        } else {
            Err(Fault::Locked(String::from_utf8_lossy(content).chars().take(80).collect()))
        }
    }

    /// Whether a part of this size, with j = 1, was created late by a dead session, when ours was renamed already.
    fn is_late(&self, size: u64) -> bool {
        size <= HEAD as u64 && size < self.content.bytes()
    }

    /// With j = 1 the part stands there: as it was, or there is no receipt.
    fn still_whole(&self, part: u64) -> Result<State, Fault> {
        let recording = self.content.bytes();
        if part == recording { Ok(State::E4Read) } else { Err(Fault::PartSize { part, recording }) }
    }

    /// The lockfile holds our token, perhaps with an earlier boot in it.
    fn holds(&self, content: &[u8]) -> bool {
        match (&self.token, LockToken::parse(content)) {
            (
                LockToken::Upload { camera, nonce, .. },
                Ok(LockToken::Upload { camera: theirs, nonce: other, .. }),
            ) => *camera == theirs && *nonce == other,
            _ => false,
        }
    }
}

#[cfg(test)]
#[path = "upload_tests.rs"]
mod tests;

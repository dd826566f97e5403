//! The edge's side of the handshake: E1 to E6 and "after a restart".
//!
//! ```text
//!            retry (after a restart, and after every lost session)
//!   j = 0 ---------+--------------- j = 1 ------------------+------ j = 2
//!     |                               |                     |         |
//!     v                     part there|            part gone|         v
//!  E1 lock -> E2 part -> E3 sync, j=1 +-> E4 unlock         |       free
//!                                          |                |
//!                                          v                v
//!                                       E5 commit -> E6 syncdir, j=2 -> free
//! ```
//!
//! E1 and E4 own `NAME.lockfile`, E2 and E3 `NAME.part`, E5 renames `NAME.part` to `NAME.mp4`: the one commit point. The
//! journal `j` on the edge is synced before the step that follows it. Whoever drives the machine performs each
//! [`Step`], and either tells its [`Reply`] or, when the session broke, calls [`Upload::retry`]: the next step is then
//! found from `j` and from what stands on the remote host, never from how far the broken session seems to have come.

use crate::names::LockToken;

/// Bytes of a part that are sent between two syncs. A power cut of the remote host can damage no more than this much of
/// a part's tail, and so this much is read back before a part is gone on with.
pub const PIECE: u64 = 8 << 20;

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
    /// Create `NAME.part`, or make it empty. Reply: [`Reply::Done`].
    CreatePart,
    /// Compare the bytes `from..to` of `NAME.part` with those of the recording. Reply: [`Reply::Same`].
    VerifyPart {
        /// The first byte.
        from: u64,
        /// The byte behind the last one.
        to: u64,
    },
    /// Write the bytes `from..to` of the recording into `NAME.part`. Reply: [`Reply::Done`] once all are confirmed.
    WritePart {
        /// The first byte.
        from: u64,
        /// The byte behind the last one.
        to: u64,
    },
    /// `fsync` of `NAME.part`. Reply: [`Reply::Done`].
    SyncPart,
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
    /// Whether the bytes are the same.
    Same(bool),
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
    E2Verify { size: u64 },
    E2Create,
    E2Write { from: u64 },
    E2Sync { to: u64 },
    E3Size,
    E3SyncDir,
    E3Journal,
    E4Read,
    E4Remove,
    E4SyncDir,
    E5Recording,
    E5Part { clash: u64 },
    E5Rename,
    E6SyncDir,
    E6Journal,
    Free,
}

/// The upload of one sealed recording.
#[derive(Clone, Debug)]
pub struct Upload {
    journal: Journal,
    /// Size of the recording.
    bytes: u64,
    token: LockToken,
    /// An earlier session may have created the lockfile and broken before the token was in it.
    begun: bool,
    state: State,
}

impl Upload {
    /// The upload of a recording of `bytes` whose journal says `journal`. `token` is drawn once for each recording and
    /// kept in the journal before the first step; `begun` says that it had been kept there before.
    pub fn new(journal: Journal, bytes: u64, token: LockToken, begun: bool) -> Self {
        let mut upload = Self { journal, bytes, token, begun, state: State::Free };
        upload.state = upload.after_restart();
        upload
    }

    /// The session broke: whether the last step was done, or will be done later, is unknown.
    pub fn retry(&mut self) {
        self.begun = true;
        self.state = self.after_restart();
    }

    /// How far the journal says that the upload has come.
    pub fn journal(&self) -> Journal {
        self.journal
    }

    /// What the lockfile must hold.
    pub fn token(&self) -> &LockToken {
        &self.token
    }

    /// What must be done next.
    pub fn step(&self) -> Step {
        match self.state {
            State::RetryPart | State::E2Size | State::E3Size | State::E5Part { .. } => Step::SizePart,
            State::E1Create => Step::CreateLock,
            State::E1Read | State::E4Read => Step::ReadLock,
            State::E1Write => Step::WriteLock,
            State::E2Verify { size } => Step::VerifyPart { from: size.saturating_sub(PIECE), to: size },
            State::E2Create => Step::CreatePart,
            State::E2Write { from } => Step::WritePart { from, to: self.bytes.min(from + PIECE) },
            State::E2Sync { .. } => Step::SyncPart,
            State::E3SyncDir | State::E4SyncDir | State::E6SyncDir => Step::SyncDir,
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
        self.state = self.next(reply)?;
        match self.state {
            State::E4Read => self.journal = Journal::Committing,
            State::Free => self.journal = Journal::Acknowledged,
            _ => {}
        }
        Ok(())
    }

    fn after_restart(&self) -> State {
        match self.journal {
            Journal::Sealed => State::E1Create,
            Journal::Committing => State::RetryPart,
            Journal::Acknowledged => State::Free,
        }
    }

    fn next(&self, reply: Reply) -> Result<State, Fault> {
        Ok(match (self.state, reply) {
            // Our part is gone: it was renamed.
            (State::RetryPart, Reply::Absent) => State::E6SyncDir,
            (State::RetryPart, Reply::Size(_)) => State::E4Read,

            (State::E1Create, Reply::Done) => State::E2Size,
            (State::E1Create, Reply::Refused) => State::E1Read,
            (State::E1Read, Reply::Lock(content)) => self.own_lock(&content)?,
            (State::E1Read, Reply::Absent) => return Err(Fault::NoLock),
            (State::E1Write, Reply::Done) => State::E2Size,
            (State::E1Write, Reply::Absent) => State::E1Create,

            (State::E2Size, Reply::Absent) => State::E2Create,
            (State::E2Size, Reply::Size(size)) => match size {
                0 => self.write_from(0),
                size if size <= self.bytes => State::E2Verify { size },
                _ => State::E2Create,
            },
            (State::E2Verify { size }, Reply::Same(true)) => self.write_from(size),
            (State::E2Verify { .. }, Reply::Same(false)) => State::E2Create,
            (State::E2Create, Reply::Done) => self.write_from(0),
            (State::E2Write { from }, Reply::Done) => {
                State::E2Sync { to: self.bytes.min(from.saturating_add(PIECE)) }
            }
            (State::E2Sync { to }, Reply::Done) if to < self.bytes => State::E2Write { from: to },

            (State::E2Sync { .. }, Reply::Done) => State::E3Size,
            (State::E3Size, Reply::Size(part)) if part == self.bytes => State::E3SyncDir,
            (State::E3Size, Reply::Size(part)) => {
                return Err(Fault::PartSize { part, recording: self.bytes });
            }
            (State::E3Size, Reply::Absent) => State::E1Create,
            (State::E3SyncDir, Reply::Done) => State::E3Journal,
            (State::E3Journal, Reply::Done) => State::E4Read,

            // A lock that is not ours is left alone: by now it can be that of a worker.
            (State::E4Read, Reply::Lock(content)) if self.holds(&content) => State::E4Remove,
            (State::E4Read, Reply::Lock(_) | Reply::Absent) => State::E4SyncDir,
            (State::E4Remove, Reply::Done | Reply::Absent) => State::E4SyncDir,
            (State::E4SyncDir, Reply::Done) => State::E5Recording,

            (State::E5Recording, Reply::Absent) => State::E5Rename,
            (State::E5Recording, Reply::Size(clash)) => State::E5Part { clash },
            // A rename that a dead session had sent was done meanwhile: the file is our own.
            (State::E5Part { .. }, Reply::Absent) => State::E6SyncDir,
            (State::E5Part { clash }, Reply::Size(_)) => return Err(Fault::NameClash(clash)),
            (State::E5Rename, Reply::Done) => State::E6SyncDir,
            (State::E5Rename, Reply::Absent) => State::RetryPart,

            (State::E6SyncDir, Reply::Done) => State::E6Journal,
            (State::E6Journal, Reply::Done) => State::Free,

            (_, reply) => {
                return Err(Fault::Unexpected { step: Box::new(self.step()), reply: Box::new(reply) });
            }
        })
    }

    fn write_from(&self, from: u64) -> State {
        if from < self.bytes { State::E2Write { from } } else { State::E2Sync { to: self.bytes } }
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

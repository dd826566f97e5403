//! The worker's side of the handshake, W1 to W6, and what the janitor concludes from what it sees.
//!
//! ```text
//! Recording: W1 lock -> W2 check -> W3 take -+
//! Abandoned:            W2 check -> sync  ---+> take -+
//! Part:                                      +> take -+
//! Orphan:    adopt a claim whose owner died ----------+-> W3 copy -> verify -> accept -> look
//!                                                                      |                  |
//!                                      half a part: mend (cut, seal) <-+                  v
//!                                                       W6 unlock <- W5 archive <- W4 count, work
//! ```
//!
//! A part that is a file of the ledger goes from verify to W5: its copy is kept in the archive, and the claim dropped.
//!
//! W1 and W6 own `NAME.lockfile`; from W3 on the claim's flock is the exclusive right, and the lockfile only says "being
//! processed". Whoever drives the machine performs each [`Step`] and tells its [`Reply`]; what hinders the host and is
//! not the file's fault (a full disk) is told by [`Claim::hindered`]. A worker that dies leaves a state that [`judge`] or
//! [`Found::Orphan`] goes on from.

use std::time::Duration;

/// Failures of the work on one recording after which it goes to quarantine.
pub const MOST_FAILURES: u32 = 3;
/// Starts of the work that came to no end (the worker died) after which it goes to quarantine.
pub const MOST_STARTS: u32 = 10;

/// How a worker comes to a recording.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// `NAME.mp4` without a lock.
    Recording,
    /// `NAME.mp4` beside a lock whose owner has given up.
    Abandoned,
    /// `NAME.part` that its device will not go on with.
    Part,
    /// A claim whose owner is dead.
    Orphan {
        /// It was taken as a part.
        part: bool,
    },
}

/// How often the work on a recording was tried: kept beside the claim.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tries {
    /// Starts that came to no end yet.
    pub starts: u32,
    /// Starts that ended with a failure.
    pub failures: u32,
}

impl Tries {
    /// How long a claim rests after its last failure.
    pub fn rest(self) -> Duration {
        match self.failures {
            0 => Duration::ZERO,
            failures => Duration::from_secs(5) * 4_u32.saturating_pow(failures.min(8) - 1),
        }
    }
}

/// What must be done next. Files are those of one NAME.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// W1: write the token to a file of our own, flock it, `link()` it to `NAME.lockfile`.
    /// Reply: [`Reply::Done`], or [`Reply::Exists`] if there is a lock.
    Lock,
    /// W2: look whether every box of `NAME.mp4` is inside the file, and whether its seal promises that size.
    /// Reply: [`Reply::Whole`], [`Reply::Broken`], [`Reply::Writing`] if it is not whole and open for writing, or [`Reply::Absent`].
    Check,
    /// W2: `fsync` of `NAME.mp4` and of the folder, because its uploader may not have done so.
    /// Reply: [`Reply::Done`] or [`Reply::Absent`].
    SyncInbox,
    /// W3: flock `NAME.mp4` (or `NAME.part`), rename it to the claims without replacing, `fsync` of the claims.
    /// Reply: [`Reply::Done`], [`Reply::Absent`], [`Reply::Exists`] if there is a claim of that NAME, of either kind, or
    /// [`Reply::Broken`] if it cannot be opened.
    Take,
    /// W3: flock the claim, and see that it still has its name.
    /// Reply: [`Reply::Done`], [`Reply::Absent`], or [`Reply::Exists`] if somebody holds it.
    Adopt,
    /// W3: copy the claim into a file of our own, and sync it. Reply: [`Reply::Done`].
    Copy,
    /// W3: read the whole copy: what its seal promises, or else every box and sample.
    /// Reply: [`Reply::Whole`] or [`Reply::Broken`]; of a part that holds signed slices and nothing else, [`Reply::Ledger`].
    Verify {
        /// Without a seal it is [`Reply::Broken`]: a part that ends with a whole GOP opens well, and is half a recording.
        sealed: bool,
    },
    /// W3: cut the copy of a part at its last whole GOP, seal and sync it; from here on its name is `NAME-partial`.
    /// Reply: [`Reply::Done`], or [`Reply::Broken`] if there is not one whole GOP.
    Mend,
    /// W3: flock the copy, rename it over the claim, `fsync` of the claims. What the camera may still hold open is let go. Of a
    /// part that is whole that claim is renamed then, so that the NAME has one at every instant.
    /// Reply: [`Reply::Done`], or, of a part, [`Reply::Exists`] if there is a claim of that name.
    Accept,
    /// W3: compare with the archive. Reply: [`Reply::Absent`], [`Reply::Same`] with the same bytes, else [`Reply::Exists`].
    Look,
    /// Write these tries beside the claim. Reply: [`Reply::Done`].
    Count(Tries),
    /// W4: make the output, sync it, rename it into place, `fsync` of its folder.
    /// Reply: [`Reply::Done`] or [`Reply::Broken`].
    Work,
    /// W5: the claim goes to the archive, or is removed where only the output is kept. Reply: [`Reply::Done`].
    Archive,
    /// W5: the copy is a file of the ledger: what it holds goes to the archive, durably. Reply: [`Reply::Done`], or
    /// [`Reply::Broken`] if the archive has another one of that name.
    KeepLedger,
    /// W5: remove the claim, of which the archive has every byte. Reply: [`Reply::Done`].
    Drop,
    /// Put the file aside, with the reason. Reply: [`Reply::Done`] or [`Reply::Absent`].
    Quarantine {
        /// Where it stands: in the inbox, or among the claims.
        claimed: bool,
        /// Why.
        reason: String,
    },
    /// W6: remove `NAME.lockfile`: our own, or the very one that was found abandoned. Reply: [`Reply::Done`].
    Unlock,
    /// Nothing: let the flocks go.
    End(Outcome),
}

/// What became of a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// It was done.
    Done,
    /// There is no such file.
    Absent,
    /// Somebody else's file is there, or somebody else has it.
    Exists,
    /// The recording is whole.
    Whole,
    /// It is a file of the ledger.
    Ledger,
    /// The archive has the same bytes.
    Same,
    /// Not whole, and open for writing.
    Writing,
    /// Something is wrong with the recording.
    Broken(String),
}

/// How a claim ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The output is in place and the input archived.
    Done,
    /// The archive had it already, byte for byte.
    Known,
    /// It was a file of the ledger, and the archive has it.
    Ledger,
    /// Another worker was first.
    Lost,
    /// Somebody still writes it.
    Left,
    /// It was put aside.
    Quarantined(String),
    /// The work failed; the claim stays and is tried again.
    Failed(String),
    /// The host was hindered; whatever is there stays and is tried again.
    Hindered,
}

/// A reply that the step cannot have. The driver is at fault.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reply:?} is no reply to {step:?}")]
pub struct Unexpected {
    /// The step.
    pub step: Step,
    /// What was told.
    pub reply: Reply,
}

/// Where the machine stands; each state has exactly one step.
#[derive(Clone, Debug, PartialEq, Eq)]
enum State {
    W1Lock,
    W2Check,
    W2Sync,
    W3Take,
    W3Adopt,
    W3Copy,
    W3Verify,
    W3Mend,
    W3Accept,
    W3Look,
    W4Count,
    W4Work,
    W4Failed { reason: String },
    W4Hindered,
    W5Archive,
    W5Ledger,
    W5Drop(Outcome),
    Quarantine { claimed: bool, reason: String },
    W6Unlock(Outcome),
    End(Outcome),
}

/// The way of one recording from the inbox to the archive.
#[derive(Clone, Debug)]
pub struct Claim {
    found: Found,
    tries: Tries,
    state: State,
}

impl Claim {
    /// A recording that was found so; `tries` is what stands beside its claim.
    pub fn new(found: Found, tries: Tries) -> Self {
        let state = match found {
            Found::Recording => State::W1Lock,
            Found::Abandoned => State::W2Check,
            Found::Part => State::W3Take,
            Found::Orphan { .. } => State::W3Adopt,
        };
        Self { found, tries, state }
    }

    /// What must be done next.
    pub fn step(&self) -> Step {
        match &self.state {
            State::W1Lock => Step::Lock,
            State::W2Check => Step::Check,
            State::W2Sync => Step::SyncInbox,
            State::W3Take => Step::Take,
            State::W3Adopt => Step::Adopt,
            State::W3Copy => Step::Copy,
            State::W3Verify => Step::Verify { sealed: self.is_part() },
            State::W3Mend => Step::Mend,
            State::W3Accept => Step::Accept,
            State::W3Look => Step::Look,
            State::W4Count => Step::Count(Tries { starts: self.tries.starts + 1, ..self.tries }),
            State::W4Work => Step::Work,
            State::W4Failed { .. } => Step::Count(self.failed()),
            State::W4Hindered => Step::Count(self.tries),
            State::W5Archive => Step::Archive,
            State::W5Ledger => Step::KeepLedger,
            State::W5Drop(_) => Step::Drop,
            State::Quarantine { claimed, reason } => {
                Step::Quarantine { claimed: *claimed, reason: reason.clone() }
            }
            State::W6Unlock(_) => Step::Unlock,
            State::End(outcome) => Step::End(outcome.clone()),
        }
    }

    /// Takes the reply to [`Claim::step`].
    ///
    /// # Errors
    /// A reply that the step cannot have; the state stays.
    pub fn reply(&mut self, reply: Reply) -> Result<(), Unexpected> {
        self.state = self.next(reply)?;
        Ok(())
    }

    /// The host could not perform the step, through no fault of the file. What was claimed stays claimed.
    pub fn hindered(&mut self) {
        self.state = match self.state {
            State::W1Lock | State::W3Adopt | State::W6Unlock(_) | State::End(_) => {
                State::End(Outcome::Hindered)
            }
            // The start that was counted is taken back.
            State::W4Work => State::W4Hindered,
            State::W2Check | State::W2Sync | State::W3Take
                if matches!(self.found, Found::Abandoned | Found::Part) =>
            {
                State::End(Outcome::Hindered)
            }
            _ => self.unlock(Outcome::Hindered),
        };
    }

    fn next(&self, reply: Reply) -> Result<State, Unexpected> {
        let from_part = self.is_part();
        Ok(match (&self.state, reply) {
            (State::W1Lock, Reply::Done) => State::W2Check,
            (State::W1Lock, Reply::Exists) => State::End(Outcome::Lost),

            (State::W2Check, Reply::Whole) if self.found == Found::Abandoned => State::W2Sync,
            (State::W2Check, Reply::Whole) => State::W3Take,
            (State::W2Check | State::W3Take, Reply::Broken(reason)) => {
                State::Quarantine { claimed: false, reason }
            }
            (State::W2Check, Reply::Writing) => self.leave(Outcome::Left),
            (State::W2Check | State::W2Sync, Reply::Absent) => self.leave(Outcome::Lost),
            (State::W2Sync, Reply::Done) => State::W3Take,

            (State::W3Take, Reply::Done) => State::W3Copy,
            (State::W3Take, Reply::Absent | Reply::Exists) => self.leave(Outcome::Lost),
            (State::W3Adopt, Reply::Done) if self.tries.starts >= MOST_STARTS => {
                let reason = format!("the work on it came to no end {} times", self.tries.starts);
                State::Quarantine { claimed: true, reason }
            }
            (State::W3Adopt, Reply::Done) => State::W3Copy,
            (State::W3Adopt, Reply::Absent | Reply::Exists) => State::End(Outcome::Lost),
            (State::W3Copy, Reply::Done) => State::W3Verify,
            (State::W3Verify, Reply::Whole) | (State::W3Mend, Reply::Done) => State::W3Accept,
            (State::W3Verify, Reply::Broken(_)) if from_part => State::W3Mend,
            // With j = 1 its edge takes a part that is gone for one that was renamed.
            (State::W3Verify, Reply::Ledger) if from_part => State::W5Ledger,
            (State::W3Verify | State::W3Mend, Reply::Broken(reason)) => {
                State::Quarantine { claimed: true, reason }
            }
            (State::W3Accept, Reply::Done) => State::W3Look,
            // What a dead worker made of the same part is still worked on.
            (State::W3Accept, Reply::Exists) if from_part => self.unlock(Outcome::Lost),
            (State::W3Look, Reply::Absent) => State::W4Count,
            (State::W3Look, Reply::Same) => State::W5Drop(Outcome::Known),
            (State::W3Look, Reply::Exists) => {
                let reason = "another recording of that name was accepted before".to_owned();
                State::Quarantine { claimed: true, reason }
            }

            (State::W4Count, Reply::Done) => State::W4Work,
            (State::W4Work, Reply::Done) => State::W5Archive,
            (State::W4Work, Reply::Broken(reason)) if self.tries.failures + 1 >= MOST_FAILURES => {
                State::Quarantine { claimed: true, reason }
            }
            (State::W4Work, Reply::Broken(reason)) => State::W4Failed { reason },
            (State::W4Failed { reason }, Reply::Done) => self.unlock(Outcome::Failed(reason.clone())),
            (State::W4Hindered, Reply::Done) => self.unlock(Outcome::Hindered),

            (State::W5Archive, Reply::Done) => self.unlock(Outcome::Done),
            (State::W5Ledger, Reply::Done) => State::W5Drop(Outcome::Ledger),
            (State::W5Ledger, Reply::Broken(reason)) => State::Quarantine { claimed: true, reason },
            (State::W5Drop(outcome), Reply::Done) => self.unlock(outcome.clone()),
            (State::Quarantine { reason, .. }, Reply::Done) => {
                self.unlock(Outcome::Quarantined(reason.clone()))
            }
            (State::Quarantine { .. }, Reply::Absent) => self.leave(Outcome::Lost),
            (State::W6Unlock(outcome), Reply::Done) => State::End(outcome.clone()),

            (_, reply) => return Err(Unexpected { step: self.step(), reply }),
        })
    }

    fn is_part(&self) -> bool {
        matches!(self.found, Found::Part | Found::Orphan { part: true })
    }

    fn failed(&self) -> Tries {
        Tries { failures: self.tries.failures + 1, ..self.tries }
    }

    /// Nothing was taken: our own lock goes, somebody else's stays.
    fn leave(&self, outcome: Outcome) -> State {
        if self.found == Found::Recording { State::W6Unlock(outcome) } else { State::End(outcome) }
    }

    /// The recording left the inbox. The lock of a dead owner is the janitor's.
    fn unlock(&self, outcome: Outcome) -> State {
        match self.found {
            Found::Orphan { .. } => State::End(outcome),
            _ => State::W6Unlock(outcome),
        }
    }
}

/// How long to wait for whoever does not come back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// For an uploader that was interrupted: a script, or an edge that has been heard with a newer boot.
    pub abandoned: Duration,
    /// For an edge that has not been heard again.
    pub lost: Duration,
}

/// What a look at one NAME in an inbox shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sight {
    /// `NAME.lockfile`.
    pub lock: Lock,
    /// `NAME.mp4`.
    pub recording: Option<Seen>,
    /// `NAME.part`.
    pub part: Option<Seen>,
}

/// What is known of a lockfile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lock {
    /// There is none.
    None,
    /// `v1 chop`: a worker's.
    Worker {
        /// Its flock is held: the worker lives.
        held: bool,
    },
    /// `v1 upload`: an edge's.
    Edge {
        /// The camera has been heard with a newer boot than the token's.
        newer_boot: bool,
        /// How long it has been as it is.
        quiet: Duration,
    },
    /// Anything else, mostly empty: a script's.
    Script {
        /// How long it has been as it is.
        quiet: Duration,
    },
}

/// What is known of a file that is being uploaded, or was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Whether somebody has it open for writing.
    pub writer: Writer,
    /// How long ago it last changed.
    pub quiet: Duration,
}

/// Whether a file is open for writing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Writer {
    /// Somebody has it open.
    Open,
    /// Nobody has.
    Closed,
    /// The kernel does not tell this process.
    Unknown,
}

/// What is to be done about a NAME.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing now.
    Wait,
    /// A worker may have it.
    Claim(Found),
    /// Nobody owns the lock any more.
    RemoveLock,
}

/// What the janitor does about what it sees.
pub fn judge(sight: &Sight, patience: Patience) -> Verdict {
    let wait = match sight.lock {
        Lock::None if sight.recording.is_some() => return Verdict::Claim(Found::Recording),
        Lock::Worker { held: true } => return Verdict::Wait,
        Lock::Worker { held: false } => return Verdict::RemoveLock,
        Lock::Edge { newer_boot: true, .. } => patience.abandoned,
        // A script is not heard of but by its file.
        Lock::Script { .. } if sight.recording.is_some() => patience.abandoned,
        Lock::Edge { .. } if sight.recording.is_some() => patience.abandoned,
        Lock::None | Lock::Edge { .. } | Lock::Script { .. } => patience.lost,
    };
    let given_up = |seen: Seen| match seen.writer {
        Writer::Open => false,
        Writer::Closed => seen.quiet >= wait,
        Writer::Unknown => seen.quiet >= patience.lost.max(wait),
    };
    match (sight.recording, sight.part, sight.lock) {
        (Some(recording), _, _) if given_up(recording) => Verdict::Claim(Found::Abandoned),
        (None, Some(part), _) if given_up(part) => Verdict::Claim(Found::Part),
        (None, None, Lock::Edge { quiet, .. } | Lock::Script { quiet }) if quiet >= wait => {
            Verdict::RemoveLock
        }
        _ => Verdict::Wait,
    }
}

#[cfg(test)]
#[path = "claim_tests.rs"]
mod tests;

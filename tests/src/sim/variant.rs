//! Who is on each side, and which faults happen: the rows of `tests/model/upload.pml`, by their names there.

use super::weather::Kind;

/// Who uploads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Uploader {
    /// Our edge.
    Ours,
    /// A plain shell script.
    Script {
        /// Somebody runs it again after a failure.
        again: bool,
        /// sshd's forced command makes its `rm NAME.lockfile` durable.
        receive: bool,
    },
}

/// Who works on the remote host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Workers {
    /// Ours.
    Ours,
    /// Plain shell loops.
    Script,
    /// Both, on one inbox.
    Both,
}

/// What an edge sends next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turns {
    /// Anything.
    Any,
    /// As the product: what grows, then the newest.
    Ours,
    /// The oldest, as a simple loop would.
    OldestFirst,
}

/// What is wrong with the ledgers of a bad row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// Nothing.
    None,
    /// Gaps are not noted.
    Gaps,
    /// The clock is noted when it is first known, and not when it is set again.
    Clock,
    /// What no recording takes along is not sent.
    Files,
    /// Somebody takes a recording of an edge that is gone out of the archive.
    Theft,
}

/// One row.
#[derive(Clone, Copy, Debug)]
pub struct Variant {
    /// Its name.
    pub name: &'static str,
    /// Who uploads.
    pub uploader: Uploader,
    /// Who works.
    pub workers: Workers,
    /// The remote host's disk says that it has synced, and has not.
    pub lies: bool,
    /// What may go wrong.
    pub faults: &'static [Kind],
    /// Everything must be done in the end: I4.
    pub converges: bool,
    /// What is sent next.
    pub turns: Turns,
    /// The cameras record for more than a day, on disks that are too small for a day without a network.
    pub day: bool,
    /// What is wrong with the ledgers.
    pub flaw: Flaw,
    /// Recordings are sent without the spare of their seal.
    pub bare: bool,
    /// What a recorder leaves torn travels until it can be sealed, as far as it counts.
    pub torn: bool,
    /// The part of such a recording is cut.
    pub cuts: bool,
}

const SCRIPT: Uploader = Uploader::Script { again: false, receive: false };

/// Rows of which every seed must hold.
pub const GOOD: [Variant; 6] = [
    ours("ours", Workers::Ours, &Kind::ALL),
    ours("our edge, script workers", Workers::Script, &Kind::NETWORK),
    ours("our edge, one worker of each", Workers::Both, &Kind::NO_POWER_CUT),
    Variant {
        uploader: Uploader::Script { again: false, receive: true },
        converges: false,
        ..ours("script edge, our remote", Workers::Ours, &Kind::CRASHES)
    },
    a_day("a day without a network", Turns::Ours),
    Variant { torn: true, ..ours("ours, and cards that fail", Workers::Ours, &Kind::CARD) },
];

/// Rows of which a seed must be found that does not hold.
pub const BAD: [Variant; 13] = [
    Variant { lies: true, ..ours("ours without fsync", Workers::Ours, &Kind::ALL) },
    script("script edge, plain rm", Workers::Ours, &Kind::CRASHES, false),
    Variant {
        uploader: Uploader::Script { again: true, receive: false },
        ..script(
            "scripts, run again after a drop",
            Workers::Script,
            &[Kind::Reset, Kind::Slow, Kind::EdgeDies, Kind::SshdDies],
            false,
        )
    },
    script("scripts, power cut", Workers::Script, &[Kind::RemotePower], false),
    script("scripts, one drop is stuck", Workers::Script, &[Kind::Reset], true),
    Variant {
        converges: false,
        ..ours("our edge, script workers, power cut", Workers::Script, &[Kind::RemotePower])
    },
    a_day("a day without a network, the oldest first", Turns::OldestFirst),
    Variant { flaw: Flaw::Gaps, ..ours("ours, and gaps are not noted", Workers::Ours, &Kind::ALL) },
    Variant {
        flaw: Flaw::Clock,
        ..ours("ours, and a clock that is set again is not noted", Workers::Ours, &Kind::ALL)
    },
    Variant {
        flaw: Flaw::Files,
        ..ours("ours, and files of the ledger are not sent", Workers::Ours, &Kind::ALL)
    },
    Variant {
        flaw: Flaw::Theft,
        ..ours("ours, and the archive is robbed", Workers::Ours, &[Kind::EdgeGone])
    },
    Variant { bare: true, ..ours("ours, and the seal stands once", Workers::Ours, &[Kind::LostAndLate]) },
    Variant {
        torn: true,
        cuts: true,
        ..ours("ours, and a torn part is cut", Workers::Ours, &[Kind::TornAndLate])
    },
];

const fn ours(name: &'static str, workers: Workers, faults: &'static [Kind]) -> Variant {
    Variant {
        name,
        uploader: Uploader::Ours,
        workers,
        lies: false,
        faults,
        converges: true,
        turns: Turns::Any,
        day: false,
        flaw: Flaw::None,
        bare: false,
        torn: false,
        cuts: false,
    }
}

const fn a_day(name: &'static str, turns: Turns) -> Variant {
    Variant { turns, day: true, ..ours(name, Workers::Ours, &[Kind::Day]) }
}

const fn script(name: &'static str, workers: Workers, faults: &'static [Kind], converges: bool) -> Variant {
    Variant { uploader: SCRIPT, converges, ..ours(name, workers, faults) }
}

//! Every reply at every step, and a small remote host on which a worker dies at every step.

use super::*;

const PATIENCE: Patience = Patience { abandoned: MINUTE, lost: HOUR };
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

fn broken() -> Reply {
    Reply::Broken("half".to_owned())
}

/// Drives a machine along `replies`; the steps that it asked for, the end included.
fn steps(found: Found, tries: Tries, replies: Vec<Reply>) -> Vec<Step> {
    let mut claim = Claim::new(found, tries);
    let mut steps = vec![claim.step()];
    for reply in replies {
        claim.reply(reply).unwrap();
        steps.push(claim.step());
    }
    steps
}

/// The last step along `replies`.
fn last(found: Found, replies: Vec<Reply>) -> Step {
    steps(found, Tries::default(), replies).pop().unwrap()
}

#[test]
fn a_whole_recording_is_locked_checked_taken_copied_worked_on_archived_and_unlocked() {
    use Reply::{Absent, Done, Whole};
    let replies = vec![Done, Whole, Done, Done, Whole, Done, Absent, Done, Done, Done, Done];
    let expected = [
        Step::Lock,
        Step::Check,
        Step::Take,
        Step::Copy,
        Step::Verify { sealed: false },
        Step::Accept,
        Step::Look,
        Step::Count(Tries { starts: 1, failures: 0 }),
        Step::Work,
        Step::Archive,
        Step::Unlock,
        Step::End(Outcome::Done),
    ];
    assert_eq!(steps(Found::Recording, Tries::default(), replies), expected);
}

#[test]
fn what_a_script_abandoned_is_checked_and_synced_before_it_is_taken() {
    use Reply::{Done, Whole};
    let begun = steps(Found::Abandoned, Tries::default(), vec![Whole, Done]);
    assert_eq!(begun, [Step::Check, Step::SyncInbox, Step::Take]);
    // A lock that is not ours stays as long as nothing was taken.
    for reply in [Reply::Writing, Reply::Absent] {
        assert!(matches!(last(Found::Abandoned, vec![reply]), Step::End(_)));
    }
    assert_eq!(last(Found::Abandoned, vec![Whole, Done, Reply::Absent]), Step::End(Outcome::Lost));
}

#[test]
fn half_a_part_is_cut_and_sealed_and_a_whole_one_is_taken_as_it_is() {
    use Reply::{Done, Whole};
    for (found, taken) in [(Found::Part, Step::Take), (Found::Orphan { part: true }, Step::Adopt)] {
        let steps = steps(found, Tries::default(), vec![Done, Done, broken(), Done]);
        // A part that grew ends with a whole GOP, and opens: what makes it whole is its seal.
        let verify = Step::Verify { sealed: true };
        assert_eq!(steps, [taken, Step::Copy, verify, Step::Mend, Step::Accept]);
        assert_eq!(last(found, vec![Done, Done, Whole]), Step::Accept);
        let nothing = last(found, vec![Done, Done, broken(), broken()]);
        assert_eq!(nothing, Step::Quarantine { claimed: true, reason: "half".to_owned() });
    }
}

#[test]
fn a_part_that_is_a_file_of_the_ledger_is_kept_and_put_aside_only_if_it_contradicts_another() {
    use Reply::{Done, Ledger};
    for (found, taken) in [(Found::Part, Step::Take), (Found::Orphan { part: true }, Step::Adopt)] {
        let kept = steps(found, Tries::default(), vec![Done, Done, Ledger, Done]);
        let verify = Step::Verify { sealed: true };
        assert_eq!(kept, [taken, Step::Copy, verify, Step::KeepLedger, Step::Drop]);
        let other = last(found, vec![Done, Done, Ledger, broken()]);
        assert_eq!(other, Step::Quarantine { claimed: true, reason: "half".to_owned() });
    }
    let end = last(Found::Part, vec![Done, Done, Ledger, Done, Done, Done]);
    assert_eq!(end, Step::End(Outcome::Ledger));
}

#[test]
fn a_race_that_is_lost_ends_and_leaves_no_lock_of_ours() {
    use Reply::{Absent, Done, Exists, Whole};
    assert_eq!(last(Found::Recording, vec![Exists]), Step::End(Outcome::Lost));
    for replies in [vec![Done, Absent], vec![Done, Whole, Absent], vec![Done, Whole, Exists]] {
        let after = [replies.clone(), vec![Done]].concat();
        assert_eq!(last(Found::Recording, replies), Step::Unlock);
        assert_eq!(last(Found::Recording, after), Step::End(Outcome::Lost));
    }
    for reply in [Absent, Exists] {
        assert_eq!(last(Found::Orphan { part: false }, vec![reply]), Step::End(Outcome::Lost));
    }
}

#[test]
fn a_bad_file_is_put_aside_before_its_lock_goes() {
    use Reply::Done;
    let aside = |claimed| Step::Quarantine { claimed, reason: "half".to_owned() };
    let replies = vec![Done, broken()];
    assert_eq!(last(Found::Recording, replies.clone()), aside(false));
    assert_eq!(last(Found::Recording, [replies, vec![Done]].concat()), Step::Unlock);
    // It changed between the check and the copy.
    let changed = vec![Done, Reply::Whole, Done, Done, broken()];
    assert_eq!(last(Found::Recording, changed), aside(true));
    let writing = vec![Done, Reply::Writing];
    assert_eq!(last(Found::Recording, writing), Step::Unlock);
}

#[test]
fn a_name_that_the_archive_knows_is_dropped_if_it_is_the_same_and_put_aside_if_not() {
    use Reply::{Done, Exists, Same, Whole};
    let until_look = vec![Done, Whole, Done, Done, Whole, Done];
    let same = [until_look.clone(), vec![Same]].concat();
    assert_eq!(last(Found::Recording, same.clone()), Step::Drop);
    assert_eq!(last(Found::Recording, [same, vec![Done, Done]].concat()), Step::End(Outcome::Known));
    let other = last(Found::Recording, [until_look, vec![Exists]].concat());
    assert!(
        matches!(other, Step::Quarantine { claimed: true, reason } if reason.contains("another recording"))
    );
}

/// An orphan with these tries, as far as its work.
fn at_work(tries: Tries) -> Claim {
    let mut claim = Claim::new(Found::Orphan { part: false }, tries);
    for reply in [Reply::Done, Reply::Done, Reply::Whole, Reply::Done, Reply::Absent, Reply::Done] {
        claim.reply(reply).unwrap();
    }
    assert_eq!(claim.step(), Step::Work);
    claim
}

#[test]
fn the_third_failure_and_the_tenth_death_put_a_recording_aside() {
    let mut claim = at_work(Tries { starts: 2, failures: 1 });
    claim.reply(broken()).unwrap();
    assert_eq!(claim.step(), Step::Count(Tries { starts: 2, failures: 2 }));
    claim.reply(Reply::Done).unwrap();
    assert_eq!(claim.step(), Step::End(Outcome::Failed("half".to_owned())));

    let mut claim = at_work(Tries { starts: 2, failures: 2 });
    claim.reply(broken()).unwrap();
    assert_eq!(claim.step(), Step::Quarantine { claimed: true, reason: "half".to_owned() });

    let deadly = Tries { starts: MOST_STARTS, failures: 0 };
    let step = steps(Found::Orphan { part: false }, deadly, vec![Reply::Done]).pop();
    assert!(matches!(step, Some(Step::Quarantine { claimed: true, .. })), "{step:?}");
    let rests = [0, 1, 2].map(|failures| Tries { starts: 0, failures }.rest().as_secs());
    assert_eq!(rests, [0, 5, 20]);
}

#[test]
fn a_host_that_is_hindered_counts_against_no_file() {
    let tries = Tries { starts: 2, failures: 2 };
    let mut claim = at_work(tries);
    claim.hindered();
    assert_eq!(claim.step(), Step::Count(tries));
    claim.reply(Reply::Done).unwrap();
    assert_eq!(claim.step(), Step::End(Outcome::Hindered));

    // Everywhere else too it comes to an end, and a lock of our own is removed.
    let mut claim = Claim::new(Found::Recording, Tries::default());
    claim.hindered();
    assert_eq!(claim.step(), Step::End(Outcome::Hindered));
    claim = Claim::new(Found::Recording, Tries::default());
    claim.reply(Reply::Done).unwrap();
    claim.hindered();
    assert_eq!(claim.step(), Step::Unlock);
    claim.hindered();
    assert_eq!(claim.step(), Step::End(Outcome::Hindered));
    for found in [Found::Abandoned, Found::Part] {
        let mut claim = Claim::new(found, Tries::default());
        claim.hindered();
        assert_eq!(claim.step(), Step::End(Outcome::Hindered), "the lock of an uploader stays");
    }
}

/// Every reply that a step may have.
fn replies(step: &Step, part: bool) -> Vec<Reply> {
    use Reply::{Absent, Done, Exists, Same, Whole, Writing};
    let broken = Reply::Broken(String::new());
    match step {
        Step::Lock => vec![Done, Exists],
        Step::Check => vec![Whole, broken, Writing, Absent],
        Step::SyncInbox | Step::Quarantine { .. } => vec![Done, Absent],
        Step::Take => vec![Done, Absent, Exists, broken],
        Step::Adopt => vec![Done, Absent, Exists],
        Step::Verify { .. } if part => vec![Whole, broken, Reply::Ledger],
        Step::Verify { .. } => vec![Whole, broken],
        Step::Mend | Step::Work | Step::KeepLedger => vec![Done, broken],
        Step::Look => vec![Absent, Same, Exists],
        Step::Accept if part => vec![Done, Exists],
        Step::Copy | Step::Accept | Step::Count(_) | Step::Archive | Step::Drop | Step::Unlock => vec![Done],
        Step::End(_) => vec![],
    }
}

#[test]
fn every_other_reply_to_any_step_is_refused_and_changes_nothing() {
    use Reply::{Absent, Done, Exists, Ledger, Same, Whole, Writing};
    let all = [Done, Absent, Exists, Whole, Ledger, Same, Writing, Reply::Broken(String::new())];
    let mut seen = 0;
    for found in [
        Found::Recording,
        Found::Abandoned,
        Found::Part,
        Found::Orphan { part: false },
        Found::Orphan { part: true },
    ] {
        let mut open = vec![Claim::new(found, Tries::default())];
        while let Some(claim) = open.pop() {
            seen += 1;
            for reply in &all {
                let mut next = claim.clone();
                let part = matches!(found, Found::Part | Found::Orphan { part: true });
                let allowed = replies(&claim.step(), part).contains(reply);
                assert_eq!(next.reply(reply.clone()).is_ok(), allowed, "{:?} {reply:?}", claim.step());
                if allowed { open.push(next) } else { assert_eq!(next.step(), claim.step()) }
            }
        }
    }
    assert!(seen > 100, "{seen}");
}

const FILE: Seen = Seen { writer: Writer::Closed, quiet: Duration::ZERO };

fn verdict(lock: Lock, recording: Option<Seen>, part: Option<Seen>) -> Verdict {
    judge(&Sight { lock, recording, part }, PATIENCE)
}

#[test]
fn a_recording_without_a_lock_is_claimed_and_a_part_without_one_waits_long() {
    let open = Seen { writer: Writer::Open, ..FILE };
    assert_eq!(verdict(Lock::None, Some(open), None), Verdict::Claim(Found::Recording));
    let old = Seen { quiet: HOUR, ..FILE };
    assert_eq!(verdict(Lock::None, None, Some(old)), Verdict::Claim(Found::Part));
    assert_eq!(verdict(Lock::None, None, Some(Seen { quiet: MINUTE, ..FILE })), Verdict::Wait);
    assert_eq!(verdict(Lock::None, None, None), Verdict::Wait);
}

#[test]
fn a_workers_lock_is_judged_by_its_flock_alone() {
    for file in [None, Some(Seen { quiet: HOUR, ..FILE })] {
        assert_eq!(verdict(Lock::Worker { held: true }, file, None), Verdict::Wait);
        assert_eq!(verdict(Lock::Worker { held: false }, file, None), Verdict::RemoveLock);
    }
}

#[test]
fn an_uploader_is_given_up_only_without_a_writer_and_after_its_time() {
    let script = Lock::Script { quiet: HOUR };
    let edge = |newer_boot| Lock::Edge { newer_boot, quiet: HOUR };
    let after = |quiet| Some(Seen { quiet, ..FILE });
    let second = Duration::from_secs(1);
    for lock in [script, edge(true), edge(false)] {
        assert_eq!(verdict(lock, after(MINUTE), None), Verdict::Claim(Found::Abandoned));
        assert_eq!(verdict(lock, after(MINUTE - second), None), Verdict::Wait);
        let unknown = |quiet| Some(Seen { writer: Writer::Unknown, quiet });
        assert_eq!(verdict(lock, unknown(HOUR - second), None), Verdict::Wait);
        assert_eq!(verdict(lock, unknown(HOUR), None), Verdict::Claim(Found::Abandoned));
        let open = Some(Seen { writer: Writer::Open, quiet: HOUR * 9 });
        assert_eq!(verdict(lock, open, None), Verdict::Wait);
        assert_eq!(verdict(lock, None, open), Verdict::Wait);
    }
    assert_eq!(verdict(edge(true), None, after(MINUTE)), Verdict::Claim(Found::Part));
    assert_eq!(verdict(edge(false), None, after(MINUTE)), Verdict::Wait);
    assert_eq!(verdict(edge(false), None, after(HOUR)), Verdict::Claim(Found::Part));
}

#[test]
fn a_lock_with_nothing_behind_it_goes_after_its_time() {
    for (lock, expected) in [
        (Lock::Edge { newer_boot: true, quiet: MINUTE }, Verdict::RemoveLock),
        (Lock::Edge { newer_boot: false, quiet: MINUTE }, Verdict::Wait),
        (Lock::Edge { newer_boot: false, quiet: HOUR }, Verdict::RemoveLock),
        (Lock::Script { quiet: MINUTE }, Verdict::Wait),
        (Lock::Script { quiet: HOUR }, Verdict::RemoveLock),
    ] {
        assert_eq!(verdict(lock, None, None), expected, "{lock:?}");
    }
}

/// What there is of one NAME on the remote host. A number is a worker that holds the flock; 0 is nobody.
#[derive(Clone, Debug, Default, PartialEq)]
struct Host {
    lock: Option<u8>,
    recording: bool,
    part: bool,
    claim: Option<(u8, bool)>,
    ours: bool,
    tries: Tries,
    output: bool,
    archive: bool,
    /// What there is is a file of the ledger.
    ledger: bool,
}

impl Host {
    /// Performs a step for worker 1 on a file that is whole.
    fn perform(&mut self, step: &Step, found: Found) -> Reply {
        let gone = if found == Found::Part { &mut self.part } else { &mut self.recording };
        match step {
            Step::Lock if self.lock.is_some() => return Reply::Exists,
            Step::Lock => self.lock = Some(1),
            Step::Check if !*gone => return Reply::Absent,
            Step::Verify { .. } if self.ledger => return Reply::Ledger,
            Step::Check | Step::Verify { .. } => return Reply::Whole,
            Step::Take if self.claim.is_some() => return Reply::Exists,
            Step::Take => {
                assert!(std::mem::take(gone));
                self.claim = Some((1, found == Found::Part));
            }
            Step::Adopt => self.claim = self.claim.map(|(_, part)| (1, part)),
            Step::Accept => {
                self.ours = true;
                self.claim = Some((1, false));
            }
            Step::Look => return if self.archive { Reply::Same } else { Reply::Absent },
            Step::Count(tries) => self.tries = *tries,
            Step::Work => {
                assert!(self.ours, "the work is done on what the camera cannot change");
                self.output = true;
            }
            Step::Archive => {
                assert!(self.output, "the input is let go only after the output");
                (self.archive, self.claim) = (true, None);
            }
            Step::KeepLedger => self.archive = true,
            Step::Drop => self.claim = None,
            Step::Unlock => self.lock = None,
            Step::SyncInbox | Step::Copy | Step::Mend | Step::Quarantine { .. } | Step::End(_) => {}
        }
        Reply::Done
    }

    /// Every flock of worker 1 is free.
    fn die(&mut self) {
        self.lock = self.lock.map(|_| 0);
        self.claim = self.claim.map(|(_, part)| (0, part));
    }

    /// What a janitor and a living worker make of it.
    fn settle(&mut self) {
        for _ in 0..4 {
            let lock = self.lock.map_or(Lock::None, |owner| Lock::Worker { held: owner != 0 });
            let seen = |there: bool| there.then_some(Seen { quiet: HOUR, ..FILE });
            let sight = Sight { lock, recording: seen(self.recording), part: seen(self.part) };
            match (judge(&sight, PATIENCE), self.claim) {
                (Verdict::RemoveLock, _) => self.lock = None,
                (_, Some((0, part))) => self.run(Found::Orphan { part }, usize::MAX),
                (Verdict::Claim(found), None) => self.run(found, usize::MAX),
                _ => return,
            }
        }
    }

    /// Works until the end, or dies after `most` steps.
    fn run(&mut self, found: Found, most: usize) {
        let mut claim = Claim::new(found, self.tries);
        for _ in 0..most {
            if matches!(claim.step(), Step::End(_)) {
                return;
            }
            let reply = self.perform(&claim.step(), found);
            claim.reply(reply).unwrap();
        }
        self.die();
    }
}

#[test]
fn a_worker_may_die_after_every_step_and_another_one_ends_what_it_began() {
    for (found, part) in [(Found::Recording, false), (Found::Part, true)] {
        for most in 0..12 {
            let mut host = Host { recording: !part, part, ..Host::default() };
            host.run(found, most);
            host.settle();
            assert!(host.tries.starts <= 2, "{host:?}");
            let expected =
                Host { ours: true, output: true, archive: true, tries: host.tries, ..Host::default() };
            assert_eq!(host, expected, "{found:?}, death after {most} steps");
        }
    }
}

#[test]
fn a_worker_may_die_with_a_part_that_is_a_file_of_the_ledger_after_every_step() {
    for most in 0..8 {
        let mut host = Host { part: true, ledger: true, ..Host::default() };
        host.run(Found::Part, most);
        host.settle();
        let expected = Host { ledger: true, archive: true, ..Host::default() };
        assert_eq!(host, expected, "death after {most} steps");
    }
}

#[test]
fn the_archive_having_it_already_is_the_end_of_a_second_copy() {
    let mut host = Host { recording: true, archive: true, output: true, ..Host::default() };
    host.settle();
    assert_eq!(host, Host { archive: true, output: true, ours: true, ..Host::default() });
}

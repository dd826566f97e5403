//! What of a part is known to be on the remote host's disk, and what a later session makes of the rest.

use super::*;

#[test]
fn a_megabyte_is_read_back_and_of_a_synced_part_less() {
    let size = 5 * PIECE + 5;
    let half = size - PIECE / 2;
    let mut upload = resumed(Content::Growing(size), size);
    assert_eq!(upload.step(), Step::VerifyPart { from: size - PIECE, to: size });
    upload.reply(Reply::SameUpTo(size)).expect("verified");
    assert_eq!(upload.step(), Step::WritePart { from: size - PIECE, to: size }, "a sync may have failed");
    upload.reply(Reply::Written(half)).expect("written");
    assert_eq!(upload.step(), Step::WritePart { from: half, to: size }, "while the sync behind it runs");
    upload.reply(Reply::Written(size)).expect("written");
    upload.sync();
    assert_eq!(upload.step(), Step::SyncPart);
    upload.reply(Reply::Done).expect("synced");
    assert_eq!((upload.step(), upload.progress()), (Step::Wait, (size, size)));
    upload.update(Content::Growing(size + 20));
    upload.reply(Reply::Written(size + 10)).expect("written");
    upload.retry();
    for reply in found(size + 10) {
        upload.reply(reply).expect("lock, size and head");
    }
    let from = size + 10 - LEAST_VERIFIED;
    assert_eq!(upload.step(), Step::VerifyPart { from, to: size + 10 });
    upload.reply(Reply::SameUpTo(size + 10)).expect("verified");
    assert_eq!(upload.step(), Step::WritePart { from: size + 10, to: size + 20 }, "no sync was under way");
}

#[test]
fn what_a_failed_sync_may_have_dropped_is_written_again() {
    let size = PIECE + 70_000;
    let mut upload = resumed(Content::Growing(size), size);
    for reply in [Reply::SameUpTo(size), Reply::Written(size)] {
        upload.reply(reply).expect("written");
    }
    upload.sync();
    upload.reply(Reply::Done).expect("synced");
    upload.update(Content::Growing(size + 9));
    upload.reply(Reply::Written(size + 9)).expect("written");
    upload.sync();
    assert_eq!(upload.step(), Step::SyncPart);
    upload.retry();
    for reply in found(size + 9).into_iter().chain([Reply::SameUpTo(size + 9)]) {
        upload.reply(reply).expect("verified");
    }
    assert_eq!(upload.step(), Step::WritePart { from: size, to: size + 9 });
}

#[test]
fn what_was_written_while_a_sync_ran_is_in_doubt_until_all_of_it_is_synced() {
    let (half, bytes) = (PIECE + SYNC_EACH, 9 * PIECE);
    let mut upload = Upload::new(Journal::Sealed, Content::Sealed(bytes), token(), false);
    let begin = [Reply::Done, Reply::Absent, Reply::Done, Reply::Done, Reply::Done];
    for reply in begin.into_iter().chain([Reply::Written(half), Reply::Written(half + 100)]) {
        upload.reply(reply).expect("written while a sync runs");
    }
    let there = half + SYNC_EACH;
    upload.retry();
    for reply in found(there).into_iter().chain([Reply::SameUpTo(there)]) {
        upload.reply(reply).expect("verified");
    }
    assert_eq!(upload.step(), Step::WritePart { from: PIECE, to: 2 * PIECE }, "nothing counts as synced");
    for reply in [Reply::Written(half), Reply::Synced(half)] {
        upload.reply(reply).expect("written again");
    }
    upload.retry();
    for reply in found(there).into_iter().chain([Reply::SameUpTo(there)]) {
        upload.reply(reply).expect("verified");
    }
    let again = Step::WritePart { from: half, to: half + PIECE };
    assert_eq!(upload.step(), again, "more was sent than was heard of as synced");
}

#[test]
fn what_is_gone_on_with_under_no_sync_of_this_session_is_synced_first() {
    let size = 5 * PIECE;
    let mut upload = Upload::new(Journal::Sealed, Content::Growing(size + 9), token(), false);
    for reply in [Reply::Done, Reply::Size(size), Reply::Done, Reply::SameUpTo(size)] {
        upload.reply(reply).expect("a part that another has left");
    }
    assert_eq!(upload.step(), Step::SyncPart, "nobody else asks for it");
    upload.reply(Reply::Done).expect("synced");
    assert_eq!(upload.step(), Step::WritePart { from: size, to: size + 9 });
}

#[test]
fn over_a_path_that_holds_more_more_is_read_back_and_written_again() {
    let size = 9 * PIECE;
    let mut upload = Upload::new(Journal::Sealed, Content::Sealed(2 * size), token(), true);
    upload.widen();
    for reply in [Reply::Done, Reply::Size(size), Reply::Done] {
        upload.reply(reply).expect("lock, size and head");
    }
    assert_eq!(upload.step(), Step::VerifyPart { from: size - WIDE, to: size });
    upload.reply(Reply::SameUpTo(size)).expect("verified");
    assert_eq!(upload.step(), Step::WritePart { from: size - WIDE, to: size }, "as much as may be in doubt");
    upload.reply(Reply::Written(size)).expect("written");
    assert_eq!(upload.step(), Step::EndSync, "the window is full");
    upload.reply(Reply::Synced(size - SYNC_EACH)).expect("synced");
    assert_eq!(upload.step(), Step::WritePart { from: size, to: size - SYNC_EACH + WIDE });
}

#[test]
fn what_was_synced_under_a_lock_that_is_gone_is_read_back() {
    let size = 5 * PIECE;
    let mut upload = resumed(Content::Growing(size), size);
    for reply in [Reply::SameUpTo(size), Reply::Written(size)] {
        upload.reply(reply).expect("written");
    }
    upload.sync();
    upload.reply(Reply::Done).expect("synced");
    upload.retry();
    for reply in [Reply::Done, Reply::Size(size), Reply::Done] {
        upload.reply(reply).expect("lock, size and head");
    }
    assert_eq!(upload.step(), Step::VerifyPart { from: size - PIECE, to: size });
}

#[test]
fn never_more_than_a_megabyte_is_unsynced() {
    let mut upload = Upload::new(Journal::Sealed, Content::Growing(4 * PIECE), token(), false);
    for reply in [Reply::Done, Reply::Absent, Reply::Done, Reply::Done, Reply::Done] {
        upload.reply(reply).expect("lock and part");
    }
    let (mut written, mut synced, mut syncs) = (PIECE, PIECE, 0);
    while upload.step() != Step::Wait {
        let reply = match upload.step() {
            Step::WritePart { from, to } => {
                assert_eq!(from, written);
                written = to.min(from + PIECE / 4);
                Reply::Written(written)
            }
            step => {
                assert_eq!((step, written - synced), (Step::EndSync, PIECE), "as late as may be");
                (synced, syncs) = (synced + SYNC_EACH, syncs + 1);
                Reply::Synced(synced)
            }
        };
        assert!(written - synced <= PIECE);
        upload.reply(reply).expect("goes on");
    }
    assert_eq!((written, synced, syncs), (4 * PIECE, 3 * PIECE, 4), "one each half of a piece");
    upload.sync();
    assert_eq!(upload.step(), Step::SyncPart);
    upload.reply(Reply::Done).expect("synced");
    assert_eq!(upload.progress(), (4 * PIECE, 4 * PIECE), "three pieces behind the reserved room");
    upload.sync();
    assert_eq!(upload.step(), Step::Wait, "there is nothing to sync");
    upload.update(Content::Growing(4 * PIECE + 5));
    assert_eq!(upload.step(), Step::WritePart { from: 4 * PIECE, to: 4 * PIECE + 5 });
    upload.reply(Reply::Written(4 * PIECE + 5)).expect("written");
    assert_eq!((upload.step(), upload.progress()), (Step::Wait, (4 * PIECE + 5, 4 * PIECE)));
    upload.sync();
    assert_eq!(upload.step(), Step::SyncPart);
}

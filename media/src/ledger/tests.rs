//! What the ledger promises: every entry is bound to all before it, every kind of tampering shows, every second has its account.

use super::fixture::*;
use super::slice::{Forged, adds, write_all};
use super::*;

/// Three recordings of ten seconds that follow on.
fn three() -> (Camera, Vec<Slice>) {
    let mut camera = Camera::new();
    camera.note(Entry::Start { at: seconds(99) });
    camera.note(Entry::Clock { media: seconds(100), wall: NOON.plus(seconds(100)) });
    let slices = [100..110, 110..120, 120..130].map(|range| camera.record(range, Some(NOON)).remove(0));
    (camera, slices.to_vec())
}

fn hashes(range: std::ops::Range<i64>) -> Vec<Hash> {
    range.map(hash_of).collect()
}

/// Parses the slice again with one byte of it changed.
fn flipped(slice: &Slice, at: usize) -> Option<Slice> {
    let mut bytes = write_all([slice]).to_vec();
    bytes[at] ^= 1;
    Slice::parse_all(&bytes).ok().map(|mut slices| slices.remove(0))
}

#[test]
fn footage_that_follows_on_needs_no_explanation_in_whatever_order_it_comes() {
    let (_, mut slices) = three();
    assert_eq!(told(&slices), Vec::<String>::new());
    slices.reverse();
    slices.push(slices[1].clone());
    let stitched = stitch(&slices);
    assert_eq!((stitched.findings, stitched.footage), (vec![], seconds(30)));
    for (slice, range) in slices.iter().zip([120..130, 110..120, 100..110]) {
        assert_eq!((slice.verify(), slice.verify_footage(&hashes(range))), (Ok(()), Ok(())));
        assert!(slice.is_of("front") && !slice.is_of("back"));
    }
}

#[test]
fn the_bytes_of_entries_are_these() {
    let hex = |entry: Entry| {
        let mut bytes = Vec::new();
        entry.write(&mut bytes);
        assert_eq!(Entry::read(&mut &bytes[..]), Some(entry));
        bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>()
    };
    assert_eq!(hex(Entry::Start { at: Ticks90k(258) }), "010000000000000102");
    assert_eq!(
        hex(Entry::Receipt { at: Ticks90k(1), recording: 4711 }),
        "0500000000000000010000000000001267"
    );
    let gap = Entry::Gap { cause: Cause::DiskFull, from: Ticks90k(-1), to: Ticks90k(1) };
    assert_eq!(hex(gap), "0304ffffffffffffffff0000000000000001");
    assert_eq!(
        hex(Entry::Clock { media: Ticks90k(2), wall: WallTime(3) }),
        "0400000000000000020000000000000003"
    );
    let gop = Gop { sequence: 9, start: Ticks90k(1), duration: Ticks90k(2), wall: None, sha256: [0xAB; 32] };
    let expected =
        format!("020000000000000009000000000000000100000002{}{}", "8000000000000000", "ab".repeat(32));
    assert_eq!(hex(Entry::Gop(gop)), expected);
}

#[test]
fn a_hash_covers_its_entry_its_boot_and_everything_before() {
    let (one, two) = (Entry::Start { at: seconds(1) }, Entry::Start { at: seconds(2) });
    let boot = Boot::of("one");
    let head = Head::begin([0; 32]).append(boot, &one).append(boot, &two);
    assert_eq!(format!("{head:?}"), "2:19707cd5");
    for other in [
        Head::begin([1; 32]).append(boot, &one).append(boot, &two),
        Head::begin([0; 32]).append(boot, &two).append(boot, &one),
        Head::begin([0; 32]).append(boot, &one).append(Boot::of("two"), &two),
    ] {
        assert_ne!(other, head);
    }
}

#[test]
fn a_changed_byte_anywhere_in_a_slice_is_noticed() {
    let (_, slices) = three();
    let length = write_all([&slices[0]]).len();
    for at in 0..length {
        let noticed = flipped(&slices[0], at).is_none_or(|slice| slice.verify().is_err());
        assert!(noticed, "byte {at} of {length}");
    }
}

#[test]
fn an_altered_gop_is_named() {
    let (_, slices) = three();
    let mut found = hashes(110..120);
    found[4] = [0; 32];
    assert_eq!(slices[1].verify_footage(&found), Err(Forged::Altered { sequence: 114 }));
}

#[test]
fn gops_in_another_order_are_named() {
    let (_, slices) = three();
    let mut found = hashes(110..120);
    found.swap(2, 6);
    let expected = Forged::Reordered { sequence: 112, found: 116 };
    assert_eq!(slices[1].verify_footage(&found), Err(expected));
}

#[test]
fn gops_that_were_cut_off_are_counted() {
    let (_, slices) = three();
    let expected = Forged::Count { found: 7, signed: 10 };
    assert_eq!(slices[1].verify_footage(&hashes(110..117)), Err(expected));
}

#[test]
fn entries_that_were_cut_out_break_the_signature_and_signed_anew_the_chain() {
    let (camera, slices) = three();
    let mut cut = slices[1].clone();
    cut.entries.remove(5);
    assert_eq!(cut.verify(), Err(Forged::Signature));
    // Whoever has no key can sign with another one, and does not fit the camera's id then.
    let thief = SigningKey::from_bytes(&[8; 32]);
    let Slice { camera: id, recording, boot, before, .. } = slices[1];
    let forged = Slice::sign(&thief, id, recording, boot, before, cut.entries.clone());
    assert_eq!((forged.verify(), forged.is_of("front")), (Ok(()), false));
    // Even with the device's key the slices behind it would not follow on.
    let forged = Slice::sign(&camera.key, id, recording, boot, before, cut.entries);
    let told = told(&[slices[0].clone(), forged, slices[2].clone()]);
    let expected = [
        "in 1: unexplained 2026-11-21T06:16:55.000Z 1.000s",
        "1 absent between 1 and 2: unexplained 2026-11-21T06:17:00.000Z 0.000s",
    ];
    assert_eq!(told, expected);
}

#[test]
fn a_slice_that_leads_nowhere_is_none() {
    let (camera, slices) = three();
    let Slice { camera: id, recording, boot, before, .. } = slices[1];
    let nothing = Slice::sign(&camera.key, id, recording, boot, before, Vec::new());
    assert_eq!(nothing.verify(), Err(Forged::Chain));
    let back = Slice { before: slices[2].after, ..slices[1].clone() }.dropped(&camera.key);
    assert_eq!(back.verify(), Err(Forged::Chain));
}

#[test]
fn a_slice_that_is_not_there_is_missing_with_its_seconds() {
    let (_, mut slices) = three();
    slices.remove(1);
    let expected = "10 absent between 0 and 1: unexplained 2026-11-21T06:16:50.000Z 10.000s";
    assert_eq!(told(&slices), [expected]);
    slices.remove(0);
    assert_eq!(told(&slices), Vec::<String>::new(), "what is older may have been swept");
}

#[test]
fn a_recording_that_had_a_receipt_and_is_not_there_was_taken_away() {
    let (mut camera, mut slices) = three();
    for recording in [1, 2, 2] {
        camera.note(Entry::Receipt { at: seconds(125), recording });
    }
    slices.extend(camera.record(130..131, Some(NOON)));
    assert_eq!(told(&slices), Vec::<String>::new());
    slices.remove(1);
    let expected = "10 absent between 0 and 1, 1 receipts: unexplained 2026-11-21T06:16:50.000Z 10.000s";
    assert_eq!(told(&slices), [expected]);
    slices.remove(0);
    assert_eq!(told(&slices), Vec::<String>::new(), "what is older may have been swept");
}

#[test]
fn what_newer_files_have_taken_along_of_swept_times_makes_no_hole() {
    let (mut camera, slices) = three();
    let dropped = slices[0].clone().dropped(&camera.key);
    for recording in [2, 3] {
        camera.note(Entry::Receipt { at: seconds(125), recording });
    }
    let newest = camera.record(130..131, Some(NOON));
    let mut left = [vec![dropped], slices[1..].to_vec(), newest].concat();
    let in_between = left.clone();
    assert_eq!(told(&left)[1..], Vec::<String>::new(), "all is here but the footage that was dropped");
    left.remove(1);
    assert_eq!(told(&left).len(), 1, "the oldest has left: {:?}", told(&left));
    left.remove(1);
    assert_eq!(told(&left).len(), 1, "all but the newest have left: {:?}", told(&left));
    let mut taken = [vec![slices[0].clone()], in_between].concat();
    taken.retain(|slice| slice.recording != Some(2));
    assert_eq!(
        told(&taken).iter().filter(|line| line.contains("1 receipts")).count(),
        1,
        "{:?}",
        told(&taken)
    );
}

#[test]
fn two_continuations_of_one_head_are_a_fork() {
    let (camera, mut slices) = three();
    let Slice { camera: id, recording, boot, before, .. } = slices[1];
    let entries = vec![Entry::Gop(gop(110, None))];
    slices.push(Slice::sign(&camera.key, id, recording, boot, before, entries));
    assert_eq!(told(&slices), ["forked: 1 3"]);
}

#[test]
fn a_chain_that_is_begun_anew_is_said_to_be_one() {
    let (mut camera, mut slices) = three();
    camera.tail = Tail::begin(slices[0].camera, [2; 32]);
    slices.extend(camera.record(135..140, Some(NOON)));
    let expected = "begun anew between 2 and 3: unexplained 2026-11-21T06:17:10.000Z 5.000s";
    assert_eq!(told(&slices), [expected]);
}

#[test]
fn a_chain_that_goes_on_elsewhere_is_one_chain_and_cut_off_with_the_power_it_contradicts_nothing() {
    let mut camera = Camera::new();
    let mut slices = camera.record(100..110, Some(NOON));
    let kept = camera.tail.clone();
    camera.tail.branch(camera.boot);
    slices.extend(camera.record(110..120, Some(NOON)));
    // It went back, and elsewhere again, before anything was signed.
    camera.tail.branch(camera.boot);
    camera.tail.branch(camera.boot);
    slices.extend(camera.record(120..130, Some(NOON)));
    assert_eq!(told(&slices), Vec::<String>::new());
    let others: Vec<Slice> = [0, 2].map(|n| slices[n].clone()).to_vec();
    assert_eq!(told(&others).len(), 1, "what is not there is missed: {:?}", told(&others));

    // The power takes the end of the branch; what was sent of it stays.
    camera.tail = kept;
    camera.boot = Boot::of("two");
    camera.note(Entry::Start { at: seconds(5) });
    slices.extend(camera.record(5..9, Some(NOON.plus(seconds(130)))));
    assert_eq!(told(&slices), ["in 3: no_power 2026-11-21T06:16:50.000Z 25.000s"]);
    assert_eq!(stitch(&slices).footage, seconds(34));
}

#[test]
fn what_was_signed_for_a_file_that_may_not_be_there_goes_with_the_next_seal_too_and_counts_once() {
    let mut camera = Camera::new();
    let mut slices = camera.record(100..110, Some(NOON));
    camera.gap(Cause::CameraGone, 110, 115);
    camera.tail.sign(&camera.key);
    let file = camera.tail.waiting().to_vec();
    camera.gap(Cause::Overload, 115, 120);
    slices.extend(camera.record(120..130, Some(NOON)));
    let expected = [
        "in 1: camera_gone 2026-11-21T06:16:50.000Z 5.000s",
        "in 2: overload 2026-11-21T06:16:55.000Z 5.000s",
    ];
    assert_eq!(told(&slices), expected, "the file is not there");
    slices.extend(file);
    assert_eq!(told(&slices), expected, "it is");
    assert!(camera.tail.waiting().is_empty() && camera.tail.open().is_empty());
}

#[test]
fn gaps_have_their_causes_and_pieces_of_one_gap_are_one() {
    let mut camera = Camera::new();
    let mut slices = camera.record(0..10, Some(NOON));
    camera.gap(Cause::CameraGone, 10, 3600);
    camera.gap(Cause::CameraGone, 3600, 7200);
    slices.extend(camera.record(7200..7210, Some(NOON)));
    slices.extend(camera.record(7212..7213, Some(NOON)));
    camera.note(Entry::Start { at: seconds(7300) });
    slices.extend(camera.record(7301..7302, Some(NOON)));
    assert_eq!(
        told(&slices),
        [
            "in 1: camera_gone 2026-11-21T06:15:10.000Z 7190.000s",
            "in 2: unexplained 2026-11-21T08:15:10.000Z 2.000s",
            "in 3: no_power 2026-11-21T08:15:13.000Z 88.000s",
        ]
    );
}

#[test]
fn every_cause_that_an_entry_can_say_is_told() {
    let mut camera = Camera::new();
    let mut slices = camera.record(0..10, Some(NOON));
    for (cause, from) in Cause::ALL.into_iter().zip(10..) {
        camera.gap(cause, from, from + 1);
    }
    slices.extend(camera.record(16..20, Some(NOON)));
    let told = told(&slices);
    let names = ["camera_gone", "no_power", "clock_unset", "overload", "disk_full", "thinned"];
    let expected = names.map(|name| format!("in 1: {name} 2026-11-21T06:15:1"));
    assert_eq!(told.len(), names.len(), "{told:?}");
    assert!(told.iter().zip(&expected).all(|(told, expected)| told.starts_with(expected)), "{told:?}");
}

#[test]
fn what_was_in_flight_when_the_power_went_is_missing_for_want_of_it_in_front_of_gaps_that_were_noted() {
    let mut camera = Camera::new();
    let mut slices = camera.record(0..10, Some(NOON));
    // The GOP of 12 was not whole when the gap behind it was over.
    camera.gap(Cause::Overload, 10, 12);
    camera.gap(Cause::CameraGone, 13, 15);
    let kept = camera.tail.clone();
    camera.tail.sign(&camera.key);
    let told_before = [slices.clone(), camera.tail.waiting().to_vec()].concat();
    let gaps = [
        "in 1: overload 2026-11-21T06:15:10.000Z 2.000s",
        "in 1: camera_gone 2026-11-21T06:15:13.000Z 2.000s",
    ];
    assert_eq!(told(&told_before), gaps, "it may come yet");

    camera.tail = kept.clone();
    let come = [slices.clone(), camera.record(12..13, Some(NOON))].concat();
    assert_eq!(told(&come), gaps, "it has come");

    camera.tail = kept.clone();
    let later = [slices.clone(), camera.record(15..16, Some(NOON))].concat();
    let unexplained = "in 1: unexplained 2026-11-21T06:15:12.000Z 1.000s";
    assert_eq!(told(&later), [gaps[0], unexplained, gaps[1]], "it cannot come any more");

    camera.tail = kept.clone();
    camera.note(Entry::Start { at: seconds(18) });
    let no_power = "in 1: no_power 2026-11-21T06:15:12.000Z 1.000s";
    let restarted = [slices.clone(), camera.record(20..21, Some(NOON))].concat();
    let until = "in 1: no_power 2026-11-21T06:15:15.000Z 5.000s";
    assert_eq!(told(&restarted), [gaps[0], no_power, gaps[1], until], "the process ended");

    camera.tail = kept;
    camera.boot = Boot::of("two");
    camera.note(Entry::Start { at: seconds(5) });
    slices.extend(camera.record(5..6, Some(NOON.plus(seconds(100)))));
    let off = "in 2: no_power 2026-11-21T06:15:15.000Z 90.000s";
    assert_eq!(told(&slices), [gaps[0], no_power, gaps[1], off], "the board was off");
}

#[test]
fn between_two_boots_the_power_was_off_as_long_as_the_clocks_say() {
    let mut camera = Camera::new();
    let mut slices = camera.record(0..10, Some(NOON));
    camera.boot = Boot::of("two");
    camera.note(Entry::Start { at: seconds(5) });
    slices.extend(camera.record(6..10, None));
    assert_eq!(told(&slices), ["in 1: no_power 2026-11-21T06:15:10.000Z unknown"]);
    camera.note(Entry::Clock { media: seconds(10), wall: NOON.plus(seconds(100)) });
    slices.extend(camera.record(10..11, Some(NOON.plus(seconds(90)))));
    assert_eq!(told(&slices), ["in 1: no_power 2026-11-21T06:15:10.000Z 86.000s"]);
    let dates = stitch(&slices).dates;
    let date = |boot, second| dates.wall_of(Boot::of(boot), seconds(second)).map(WallTime::rfc3339);
    assert_eq!(date("two", 6).as_deref(), Some("2026-11-21T06:16:36.000Z"), "before the clock was set");
    assert_eq!(date("three", 6), None);
}

#[test]
fn a_clock_that_was_wrong_is_put_right_for_what_was_before_and_drift_is_believed() {
    let mut dates = Dates::default();
    let boot = Boot::of("one");
    let year = 365 * 86_400;
    for (media, ahead) in [(10, 0), (100, year), (200, 0), (90_000, 1), (180_000, 2)] {
        let wall = WallTime(NOON.0 + (media + ahead) * 1_000_000);
        dates.add(boot, &Entry::Clock { media: seconds(media), wall });
    }
    let ahead =
        |media: i64| dates.wall_of(boot, seconds(media)).map(|wall| (wall.0 - NOON.0) / 1_000_000 - media);
    let found = [0, 50, 150, 250, 89_999, 90_000, 200_000].map(ahead);
    assert_eq!(found, [0, 0, 0, 0, 0, 1, 2].map(Some));
}

#[test]
fn a_thinned_recording_says_so_and_its_pictures_are_still_vouched_for() {
    let (camera, mut slices) = three();
    let left = hashes(0..10);
    slices[1] = slices[1].clone().thinned(&camera.key, left.clone());
    assert_eq!((slices[1].verify(), slices[1].verify_footage(&left)), (Ok(()), Ok(())));
    assert_eq!(slices[1].verify_footage(&hashes(110..120)), Err(Forged::Altered { sequence: 110 }));
    assert_eq!(told(&slices), ["in 1: thinned 2026-11-21T06:16:50.000Z 10.000s"]);
    let again = Slice::parse_all(&write_all(&slices)).unwrap();
    assert_eq!(again, slices);
}

#[test]
fn what_was_dropped_leaves_its_place_in_the_chain_and_its_clock() {
    let (mut camera, mut slices) = three();
    let dropped = slices.remove(0).dropped(&camera.key);
    assert_eq!(dropped.verify(), Ok(()));
    assert_eq!(dropped.entries.len(), 3, "no GOP is left");
    camera.tail.keep(dropped.clone());
    camera.tail.keep(dropped);
    slices.extend(camera.record(130..131, Some(NOON)));
    assert_eq!(slices.len(), 4);
    assert_eq!(told(&slices), ["in 2: disk_full 2026-11-21T06:16:40.000Z 10.000s"]);
    assert_eq!(camera.tail.waiting(), []);
}

#[test]
fn a_crash_anywhere_around_a_seal_changes_no_byte_of_the_chain() {
    let mut camera = Camera::new();
    camera.gap(Cause::Overload, 3, 4);
    let gops = [gop(1, None), gop(2, None)];
    let kept = camera.tail.to_bytes();
    let before_seal = camera.tail.seal(&camera.key, 1, camera.boot, &gops);
    // The recording is sealed, the tail is not written yet: it is read again, and told what the seal holds.
    let mut tail = Tail::parse(&kept).unwrap();
    assert_eq!(tail.seal(&camera.key, 1, camera.boot, &gops), before_seal);
    tail.advance(&before_seal);
    let advanced = tail.clone();
    tail.advance(&before_seal);
    assert_eq!(tail, advanced, "told twice");
    assert_eq!((tail.open(), Tail::parse(&tail.to_bytes())), (&[][..], Ok(advanced)));
}

#[test]
fn a_recording_of_an_earlier_boot_that_is_sealed_late_goes_in_front() {
    let mut camera = Camera::new();
    let mut slices = camera.record(0..5, None);
    let first = camera.boot;
    camera.gap(Cause::CameraGone, 5, 6);
    camera.boot = Boot::of("two");
    camera.note(Entry::Start { at: seconds(1) });
    let late = camera.tail.seal(&camera.key, 9, first, &[gop(6, None)]);
    camera.tail.advance(&late);
    assert_eq!(camera.tail.open().len(), 1);
    slices.extend(late);
    slices.extend(camera.record(2..4, None));
    let expected = ["in 1: camera_gone 5.000s 1.000s", "in 2: no_power 7.000s unknown"];
    assert_eq!(told(&slices), expected);
}

#[test]
fn what_no_recording_takes_along_can_be_cut_for_a_file_of_its_own() {
    let mut camera = Camera::new();
    let mut slices = camera.record(0..2, Some(NOON));
    camera.gap(Cause::CameraGone, 2, 3602);
    for _ in 1..tail::MOST_OPEN {
        camera.note(Entry::Clock { media: seconds(3602), wall: NOON.plus(seconds(3602)) });
    }
    assert!(camera.tail.is_full());
    let cut = camera.tail.cut(&camera.key);
    camera.tail.advance(&cut);
    assert!(!camera.tail.is_full() && camera.tail.open().is_empty());
    slices.extend(cut);
    slices.extend(camera.record(3602..3603, Some(NOON)));
    assert_eq!(slices.iter().map(|slice| slice.recording).collect::<Vec<_>>(), [Some(1), None, Some(2)]);
    assert_eq!(told(&slices), ["in 1: camera_gone 2026-11-21T06:15:02.000Z 3600.000s"]);
}

#[test]
fn of_two_files_of_one_name_the_longer_counts_if_the_other_is_its_beginning() {
    let (_, slices) = three();
    let [half, whole, other] = [&slices[..1], &slices[..2], &slices[1..]].map(write_all);
    assert_eq!(adds(None, &half), Some(true));
    assert_eq!(adds(Some(&half), &whole), Some(true));
    assert_eq!(adds(Some(&whole), &half), Some(false));
    assert_eq!(adds(Some(&whole), &whole), Some(false));
    assert_eq!(adds(Some(&whole), &other), None);
}

#[test]
fn a_list_of_entries_that_is_ten_times_as_long_takes_ten_times_as_long_whatever_is_in_it() {
    const MANY: i64 = 100_000;
    let (_, slices) = three();
    let mut gaps = slices[0].clone();
    gaps.entries.clear();
    for n in 0..MANY {
        let cause = if n % 2 == 0 { Cause::Overload } else { Cause::CameraGone };
        gaps.entries.push(Entry::Gap { cause, from: seconds(3 * n), to: seconds(3 * n + 1) });
        gaps.entries.push(Entry::Start { at: seconds(3 * n + 2) });
    }
    let findings = stitch(&[gaps]).findings;
    assert_eq!(findings.len() as i64, 2 * MANY - 1, "each gap, and each hole for want of power");

    // One long chain, and many slices that claim to lead to its head.
    let head = |n: u64| Head { position: n, hash: std::array::from_fn(|at| n.to_be_bytes()[at % 8]) };
    let many = MANY as u64 / 10;
    let slice = |before, after| Slice { before: head(before), after: head(after), ..slices[0].clone() };
    let mut liars: Vec<Slice> = (0..many).map(|n| slice(n, n + 1)).collect();
    liars.extend((0..many).map(|n| slice(2 * many + n, 0)));
    let forks = stitch(&liars).findings;
    let forks = forks.iter().filter(|finding| matches!(finding, Finding::Forked { .. })).count();
    assert_eq!(forks as u64, many - 1);
}

#[test]
fn nothing_that_stands_in_a_file_can_make_the_account_panic() {
    let (mut camera, mut slices) = three();
    camera.gap(Cause::Overload, 130, 131);
    slices.push(slices[0].clone().thinned(&camera.key, hashes(0..3)));
    slices.push(slices[1].clone().dropped(&camera.key));
    camera.tail.keep(slices[1].clone().dropped(&camera.key));
    let (bytes, tail) = (write_all(&slices).to_vec(), camera.tail.to_bytes().to_vec());
    let mut random = 1_u64;
    let mut draw = |below: usize| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) as usize % below
    };
    let mut parsed = 0;
    for _ in 0..4000 {
        let (mut bytes, mut tail) = (bytes.clone(), tail.clone());
        for _ in 0..=draw(4) {
            let (at, end) = (draw(bytes.len()), draw(tail.len()));
            bytes[at] = [0, 0x7F, 0x80, 0xFF][draw(4)];
            tail[end] = [0, 0x7F, 0x80, 0xFF][draw(4)];
        }
        if let Ok(slices) = Slice::parse_all(&bytes) {
            parsed += 1;
            stitch(&slices);
        }
        if let Ok(tail) = Tail::parse(&tail) {
            stitch(&tail.cut(&camera.key));
        }
    }
    assert!(parsed > 1000, "{parsed}");
}

#[test]
fn bytes_that_are_no_ledger_are_refused_without_taking_memory() {
    let (_, slices) = three();
    let bytes = write_all(&slices);
    for cut in 1..bytes.len() {
        let parsed = Slice::parse_all(&bytes[..cut]);
        assert!(parsed.is_err() || slices.starts_with(&parsed.unwrap()), "{cut}");
    }
    // A slice that promises four thousand million entries.
    let mut liar = write_all([&slices[0]]).to_vec();
    let count = 8 + 8 + 8 + 16 + 1 + 40 + 40;
    liar[count..count + 4].copy_from_slice(&[0xFF; 4]);
    let error = Slice::parse_all(&liar).unwrap_err().to_string();
    assert_eq!(error, "ledger at byte 0: not a slice");
    assert!(Tail::parse(b"PLT1aaaaaaaa").is_err());
    assert!(Slice::parse_all(&vec![0; slice::MOST_BYTES + 1]).is_err());
}

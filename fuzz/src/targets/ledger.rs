//! The ledger: slices and the tail as bytes, and the account of slices that were signed.

use crate::Target;
use crate::memory::Bound;
use crate::sample::Numbers;
use media::ledger::slice::write_all;
use media::ledger::{Boot, Cause, Dates, Entry, Finding, Form, Gop, Head, SigningKey, Slice, Tail, stitch};
use media::names::CameraId;
use media::{Ticks90k, WallTime};

/// Any bytes as the slices of a seal or a file, and as entries.
pub const SLICES: Target = Target {
    name: "ledger_slices",
    run: slices,
    bound: Bound { each: 64, fixed: 64 << 10 },
    seeds: || {
        let (whole, thinned, dropped) = (signed(), signed(), signed());
        let key = key();
        let all = [whole, thinned.thinned(&key, vec![[3; 32]]), dropped.dropped(&key)];
        vec![write_all(&all).to_vec(), written(&entries())]
    },
};

/// Any bytes as the end of a chain.
pub const TAIL: Target = Target {
    name: "ledger_tail",
    run: tail,
    bound: Bound { each: 256, fixed: 256 << 10 },
    seeds: || {
        let mut tail = Tail::begin(camera(), [1; 32]);
        for entry in entries() {
            tail.note(Boot::of("one"), entry);
        }
        tail.keep(signed());
        vec![tail.to_bytes().to_vec()]
    },
};

/// Slices of one camera that were signed, of which some are missing, thinned, dropped or forked.
pub const STITCH: Target = Target {
    name: "ledger_stitch",
    run: account,
    bound: Bound { each: 256, fixed: 256 << 10 },
    seeds: || {
        let slice = |kind: u8| [&[kind, entries().len() as u8][..], &written(&entries())].concat();
        vec![[slice(0), slice(0x10)].concat(), [slice(0), slice(4), slice(9), slice(0x20), slice(2)].concat()]
    },
};

fn key() -> SigningKey {
    SigningKey::from_bytes(&[7; 32])
}

fn camera() -> CameraId {
    CameraId::new(b"key", "front")
}

/// One entry of each kind.
fn entries() -> Vec<Entry> {
    let second = |n| Ticks90k(n * Ticks90k::SECOND.0);
    let gop = |n: i64, wall| {
        Entry::Gop(Gop {
            sequence: n as u64,
            start: second(n),
            duration: second(1),
            wall,
            sha256: [n as u8; 32],
        })
    };
    vec![
        Entry::Start { at: second(1) },
        gop(2, None),
        Entry::Clock { media: second(3), wall: WallTime(1_795_241_700_000_000) },
        gop(3, Some(WallTime(1_795_241_700_000_000))),
        Entry::Gap { cause: Cause::CameraGone, from: second(4), to: second(9) },
    ]
}

fn written(entries: &[Entry]) -> Vec<u8> {
    let mut bytes = Vec::new();
    entries.iter().for_each(|entry| entry.write(&mut bytes));
    bytes
}

fn signed() -> Slice {
    Slice::sign(&key(), camera(), Some(1), Boot::of("one"), Head::begin([1; 32]), entries())
}

fn slices(input: &[u8]) {
    let mut rest = input;
    while let Some(before) = Some(rest).filter(|rest| !rest.is_empty())
        && let Some(entry) = Entry::read(&mut rest)
    {
        assert_eq!(written(&[entry]), before[..before.len() - rest.len()]);
    }
    let Ok(slices) = Slice::parse_all(input) else { return };
    assert_eq!(write_all(&slices), input);
    let mut dates = Dates::default();
    for slice in &slices {
        slice.entries.iter().for_each(|entry| dates.add(slice.boot, entry));
        slice.start(&dates);
        let hashes: Vec<_> = slice.gops().map(|gop| gop.sha256).collect();
        let footage = slice.verify_footage(&hashes);
        assert!(slice.form != Form::Whole || footage.is_ok());
        let _ = slice.verify();
    }
}

fn tail(input: &[u8]) {
    let Ok(mut tail) = Tail::parse(input) else { return };
    assert_eq!(tail.to_bytes(), input);
    let cut = tail.cut(&key());
    let parsed = Slice::parse_all(&write_all(&cut)).expect("what was written");
    assert_eq!(parsed, cut);
    tail.advance(&cut);
    tail.seal(&key(), 1, Boot::of("one"), &[]);
    Tail::parse(&tail.to_bytes()).expect("what was written");
}

/// What an input makes of the chain: `kind(8) count(8) entries ...` for each slice.
///
/// ```text
/// kind  boot(2) missing(1) thinned(1) dropped(1) forked(1) of no recording(1)       from the lowest bit on
/// ```
fn account(input: &[u8]) {
    let key = key();
    let mut numbers = Numbers(input);
    let (mut head, mut slices) = (Head::begin([1; 32]), Vec::new());
    let (mut missing, mut forked) = (false, false);
    for number in 0_u64.. {
        let (kind, count) = (numbers.byte(), numbers.byte() % 16);
        let entries: Vec<Entry> = (0..count).map_while(|_| Entry::read(&mut numbers.0)).collect();
        if entries.is_empty() {
            break;
        }
        let flag = |bit: u8| kind & bit != 0;
        let recording = (!flag(0x40)).then_some(number);
        let slice = Slice::sign(&key, camera(), recording, Boot([kind & 3; 16]), head, entries);
        slice.verify().expect("what was signed");
        assert!(head.position < slice.after.position);
        head = if flag(0x20) { head } else { slice.after };
        missing |= flag(0x04);
        forked |= flag(0x20);
        let gops = slice.gops().count();
        if !flag(0x04) {
            slices.push(match (flag(0x08), flag(0x10)) {
                (true, _) => slice.thinned(&key, vec![[0; 32]; gops]),
                (_, true) => slice.dropped(&key),
                _ => slice,
            });
        }
    }
    let whole = stitch(&slices);
    slices.reverse();
    let backwards = stitch(&slices);
    // Which of two that follow the same head counts is a matter of their order.
    assert!(forked || whole.footage == backwards.footage);
    assert!(whole.footage >= Ticks90k::ZERO);
    let broken = |finding: &Finding| !matches!(finding, Finding::Missing { .. });
    assert!(missing || forked || !whole.findings.iter().any(broken), "a whole chain: {:?}", whole.findings);
}

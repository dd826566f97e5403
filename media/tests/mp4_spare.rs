//! A GOP that the edge has lost is written late over the seal of what is left, in whole or in part: the recording reads as it was.

#![allow(clippy::unwrap_used)]

mod small;

use media::mp4::demux::{ledger, verify};
use media::mp4::{Growing, HEAD, ReadAt, Restored, Spare, Step, head, spare};
use small::{Disk, GOPS, about, gops};

/// A recording with all GOPs while it grows, and one with the first `count` of them, sealed; and where the footage of that ends.
fn recordings(count: usize, slices: &[u8]) -> (Disk, Disk, u64) {
    let gops = gops();
    let (mut growing, mut steps) = Growing::begin(&gops[0], &about()).unwrap();
    let mut sealed = (Vec::new(), 0);
    for number in 1..=GOPS {
        if number == count {
            let mut left = growing.clone();
            left.carry(slices.to_vec().into());
            sealed = ([steps.clone(), left.seal(&about())].concat(), left.size());
        }
        if let Some(gop) = gops.get(number) {
            steps.extend(growing.append(gop).unwrap());
        }
    }
    let disk = |steps: &[Step]| {
        let mut disk = Disk::default();
        disk.apply(steps);
        disk
    };
    (disk(&steps), disk(&sealed.0), sealed.1)
}

fn read(disk: &impl ReadAt, from: u64, to: u64) -> Vec<u8> {
    let mut bytes = vec![0; (to - from) as usize];
    disk.read_exact_at(&mut bytes, from).unwrap();
    bytes
}

#[test]
fn whatever_of_a_lost_gop_is_written_over_the_seal_the_recording_reads_as_it_was() {
    // Slices shorter than what is written late, and longer.
    for slices in [&b"short"[..], &[7; 3000]] {
        for count in 1..GOPS {
            let (grown, sealed, end) = recordings(count, slices);
            // What is written late stands behind the footage.
            let whole = read(&sealed, end - 100, sealed.size);
            assert_eq!(spare(&sealed).unwrap(), None);
            for to in end + 1..=grown.size {
                let mut late = sealed.clone();
                late.write(end, &read(&grown, end, to));
                let restored = Restored::new(&late).unwrap();
                assert_eq!(restored.size(), sealed.size, "{to}");
                assert!(read(&restored, end - 100, sealed.size) == whole, "{count} GOPs, late to {to}");
            }
        }
    }
}

#[test]
fn the_seal_is_found_also_where_the_head_says_that_the_recording_grows() {
    let (grown, mut sealed, end) = recordings(1, b"slices");
    sealed.write(0, &head());
    assert_eq!(spare(&sealed).unwrap(), None);
    sealed.write(end, &read(&grown, end, grown.size));
    let found = spare(&sealed).unwrap().unwrap();
    assert_eq!(found.offset, end);
    let restored = Restored::new(&sealed).unwrap();
    assert_eq!(
        (verify(&restored).unwrap().size, &ledger(&restored).unwrap()[..]),
        (found.end(), &b"slices"[..])
    );
}

#[test]
fn what_is_no_spare_of_this_recording_puts_nothing_in_place() {
    let (grown, sealed, end) = recordings(1, b"slices");
    let mut late = sealed.clone();
    late.write(end, &read(&grown, end, grown.size));
    let Spare { bytes, .. } = spare(&late).unwrap().unwrap();
    // Its length, its size, its names and what it says of the recording.
    let at = (1 << 20) - 20 - bytes.len() as u64;
    for byte in (at..at + 25).chain(at + 28..at + 36).chain((1 << 20) - 20..1 << 20) {
        let mut spoilt = late.clone();
        spoilt.write(byte, &[!read(&late, byte, byte + 1)[0]]);
        assert_eq!(spare(&spoilt).unwrap(), None, "{byte}");
    }
    let mut short = late.clone();
    short.truncate(sealed.size - 1);
    assert_eq!(spare(&short).unwrap(), None, "it was cut");
    short.truncate(HEAD as u64);
    assert_eq!(spare(&short).unwrap(), None, "no room");
    assert_eq!(spare(&grown).unwrap(), None, "it grows");
}

#[test]
fn slices_that_do_not_fit_beside_the_moov_leave_the_recording_without_a_spare() {
    let (grown, sealed, end) = recordings(1, &vec![7; 2 << 20]);
    verify(&sealed).unwrap();
    let mut late = sealed.clone();
    late.write(end, &read(&grown, end, grown.size));
    assert_eq!(spare(&late).unwrap(), None);
}

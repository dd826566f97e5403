//! Power is cut at any byte of any write of a recording, and writes that were not synced are lost in any combination: what
//! is left opens up to the last whole GOP, and can be sealed with exactly that.

#![allow(clippy::unwrap_used)]

mod small;

use bytes::Bytes;
use media::mp4::demux::{examine, ledger, verify};
use media::mp4::{Growing, Movie, ReadAt, Recovered, Step, recover};
use media::{Gop, Track};
use small::{Disk, GOPS, about, gops};

/// Offset of the header that makes a recording sealed. It lies within one sector, and a sector is written whole or not at
/// all; so a torn one needs to be recovered, but not to open.
const SEAL_FLIP: u64 = 36;

/// What the seal carries.
const LEDGER: &[u8] = b"slices of the ledger";

/// Everything that is written for a recording from its beginning to its seal.
fn all_steps(gops: &[Gop]) -> Vec<Step> {
    let (mut growing, mut steps) = Growing::begin(&gops[0], &about()).unwrap();
    for gop in &gops[1..] {
        steps.extend(growing.append(gop).unwrap());
    }
    growing.carry(LEDGER.into());
    steps.extend(growing.seal(&about()));
    steps
}

/// The writes between syncs, in groups.
fn groups(steps: &[Step]) -> Vec<Vec<(u64, Bytes)>> {
    let mut groups = vec![Vec::new()];
    for step in steps {
        match step {
            Step::Write { offset, bytes } => groups.last_mut().unwrap().push((*offset, bytes.clone())),
            Step::Sync => groups.push(Vec::new()),
        }
    }
    groups.retain(|group| !group.is_empty());
    groups
}

/// What the first `count` GOPs hold, as a player must see it: times count from the first picture.
fn expected(gops: &[Gop], count: usize) -> Vec<(Track, i64, bool, Bytes)> {
    let origin = gops[0].start;
    let units = |track| {
        gops[..count]
            .iter()
            .flat_map(move |gop| gop.track(track))
            .map(move |unit| (track, (unit.pts - origin).0, unit.key, unit.data.clone()))
    };
    units(Track::Video).chain(units(Track::Audio)).collect()
}

fn access_units(disk: &Disk) -> Vec<(Track, i64, bool, Bytes)> {
    let Ok(movie) = Movie::open(disk) else { return Vec::new() };
    let read = |track: &media::mp4::demux::MovieTrack| {
        let units: Vec<_> = track.samples.iter().map(|sample| track.read(disk, sample).unwrap()).collect();
        units
    };
    let units = movie.tracks.iter().flat_map(read);
    units.map(|unit| (unit.track, unit.pts.0, unit.key, unit.data)).collect()
}

/// How many GOPs are whole on a disk: their headers were flipped.
fn whole_gops(disk: &Disk, steps: &[Step]) -> usize {
    let flips = steps.iter().filter_map(|step| match step {
        Step::Write { offset, bytes } if bytes.len() == 8 && *offset > SEAL_FLIP => Some((offset, bytes)),
        _ => None,
    });
    let is_there = |&(&offset, bytes): &(&u64, &Bytes)| {
        let mut found = [0; 8];
        disk.read_exact_at(&mut found, offset).is_ok() && found == bytes[..]
    };
    flips.take_while(is_there).count()
}

/// The claim of this file, for one state of a disk after the power came back.
fn assert_recovers(mut disk: Disk, gops: &[Gop], steps: &[Step], opens: bool, context: &str) {
    let count = whole_gops(&disk, steps);
    let expected = expected(gops, count);
    if opens {
        assert_eq!(access_units(&disk), expected, "opened {context}");
    }
    match recover(&disk).unwrap_or_else(|error| panic!("{context}: {error}")) {
        Recovered::Empty => assert_eq!(count, 0, "{context}"),
        Recovered::Sealed(_) => {
            assert_eq!(count, GOPS, "{context}");
            assert_eq!(ledger(&disk).unwrap(), LEDGER, "{context}");
        }
        Recovered::Torn(torn) => {
            disk.truncate(torn.growing.size());
            disk.apply(&torn.repair);
            assert_eq!(torn.about, about(), "{context}");
            disk.apply(&torn.growing.seal(&torn.about));
        }
    }
    if count > 0 {
        let seal = verify(&disk).unwrap_or_else(|error| panic!("{context}: {error}"));
        assert_eq!((seal.first_sequence, seal.last_sequence), (40, 39 + count as u64), "{context}");
        assert_eq!(access_units(&disk), expected, "sealed again {context}");
    }
}

#[test]
fn a_cut_at_any_byte_of_any_write_costs_at_most_the_gop_in_flight() {
    let gops = gops();
    let steps = all_steps(&gops);
    let mut synced = Disk::default();
    for (number, group) in groups(&steps).iter().enumerate() {
        for (index, (torn_at, torn)) in group.iter().enumerate() {
            for cut in 0..=torn.len() {
                // What else was not synced: lost, or all of it there.
                for others in [&group[..index], group] {
                    let mut disk = synced.clone();
                    for (offset, bytes) in others.iter().filter(|(offset, _)| offset != torn_at) {
                        disk.write(*offset, bytes);
                    }
                    disk.write(*torn_at, &torn[..cut]);
                    let opens = *torn_at != SEAL_FLIP || cut == 0 || cut == torn.len();
                    let context = format!("group {number}, write {index} cut at {cut}");
                    assert_recovers(disk, &gops, &steps, opens, &context);
                }
            }
        }
        group.iter().for_each(|(offset, bytes)| synced.write(*offset, bytes));
    }
    assert_eq!(verify(&synced).unwrap().size, synced.size);
}

#[test]
fn writes_that_are_lost_in_any_combination_before_a_sync_cost_at_most_the_gop_in_flight() {
    let gops = gops();
    let steps = all_steps(&gops);
    let mut synced = Disk::default();
    for (number, group) in groups(&steps).iter().enumerate() {
        for kept in 0..1u32 << group.len() {
            let mut disk = synced.clone();
            for (index, (offset, bytes)) in group.iter().enumerate() {
                if kept >> index & 1 == 1 {
                    disk.write(*offset, bytes);
                }
            }
            assert_recovers(disk, &gops, &steps, true, &format!("group {number}, kept {kept:b}"));
        }
        group.iter().for_each(|(offset, bytes)| synced.write(*offset, bytes));
    }
}

#[test]
fn a_recovered_recording_grows_on_as_if_nothing_had_happened() {
    let gops = gops();
    let mut disk = Disk::default();
    let (mut growing, steps) = Growing::begin(&gops[0], &about()).unwrap();
    disk.apply(&steps);
    let in_flight = growing.append(&gops[1]).unwrap();
    disk.apply(&in_flight[..1]);

    let Recovered::Torn(mut torn) = recover(&disk).unwrap() else { panic!("not torn") };
    assert_eq!(torn.repair, []);
    assert_eq!(torn.growing.append(&gops[1]).unwrap(), in_flight);
    assert_eq!(torn.growing.append(&gops[2]).unwrap(), growing.append(&gops[2]).unwrap());
    assert_eq!(torn.growing.seal(&about()), growing.seal(&about()));
}

#[test]
fn what_the_ledger_says_of_a_gop_is_the_same_from_the_encoder_after_a_crash_and_from_the_sealed_file() {
    let gops = gops();
    let mut disk = Disk::default();
    let (mut growing, steps) = Growing::begin(&gops[0], &about()).unwrap();
    disk.apply(&steps);
    gops[1..].iter().for_each(|gop| disk.apply(&growing.append(gop).unwrap()));
    let said = |growing: &Growing| -> Vec<_> {
        growing.gops().iter().map(|gop| (gop.sequence, gop.start, gop.duration, gop.sha256)).collect()
    };
    let Recovered::Torn(torn) = recover(&disk).unwrap() else { panic!("not torn") };
    assert_eq!(said(&torn.growing), said(&growing));
    for (gop, said) in gops.iter().zip(growing.gops()) {
        assert_eq!(
            (gop.sequence, gop.start, gop.video_end()),
            (said.sequence, said.start, said.start + said.duration)
        );
    }
    growing.carry(LEDGER.into());
    disk.apply(&growing.seal(&about()));
    let examined = examine(&disk).unwrap();
    assert_eq!(examined.gops, growing.gops().iter().map(|gop| gop.sha256).collect::<Vec<_>>());
    assert_eq!((&examined.ledger[..], examined.seal.size), (LEDGER, disk.size));
}

#[test]
fn files_that_never_were_recordings_are_refused_and_not_called_empty() {
    let recovery =
        |bytes: &[u8]| recover(bytes).map(|recovered| format!("{recovered:?}")).map_err(|e| e.to_string());
    assert_eq!(recovery(b""), Ok("Empty".to_owned()));
    assert_eq!(
        recovery(b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom"),
        Err("ftyp at 0: any file but a recording is not supported".to_owned())
    );

    // A recording whose moov was damaged by something else than a crash.
    let mut disk = Disk::default();
    disk.apply(&all_steps(&gops())[..5]);
    disk.write(1 << 20, b"\0\0\0\0oops");
    assert_eq!(
        recover(&disk).unwrap_err().to_string(),
        "moov at 1048576: finished GOPs, but nothing that says how to decode them"
    );
}
